//! The page of `upbeat backtest --report`: what other policies would have earned, and how far that can be trusted.
//!
//! Like the training report it is self-contained, fetches nothing and has no script.

mod pictures;
#[cfg(test)]
mod tests;

use std::fmt::Write;

use super::text::{count, escape, percent, shortened};

/// The contents of the page.
pub struct Policies {
    /// Whence the decisions are.
    pub source: String,
    /// The campaigns, in the order to show them.
    pub campaigns: Vec<OfCampaign>,
}

/// What is told of one campaign. Money is in units of its currency.
pub struct OfCampaign {
    /// Its id.
    pub name: String,
    /// The currency, three capital letters; none names none.
    pub currency: Option<String>,
    /// What was looked at, in sentences.
    pub summary: String,
    /// What to be careful about, in a sentence; none where nothing is.
    pub doubt: Option<String>,
    /// The table of policies: the names of the columns, and a row each.
    pub columns: Vec<String>,
    /// Its rows, as many cells as there are columns.
    pub rows: Vec<Vec<String>>,
    /// Curves over all thresholds, by their names.
    pub curves: Vec<(String, Vec<Threshold>)>,
    /// What showing all would earn; a line to compare with.
    pub show_all: Option<f64>,
    /// The probability at which a show earns what it costs.
    pub break_even: Option<f64>,
    /// How often was clicked what the model told a probability of.
    pub reliability: Vec<ReliabilityPoint>,
    /// Differences between customers who were shown it and those who were held out.
    pub lift: Vec<Lift>,
    /// By hour of the day, from midnight on.
    pub hours: Vec<Slice>,
    /// By membership.
    pub memberships: Vec<Slice>,
}

/// What the policy of one threshold would have earned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// The threshold of the probability, above 0 and at most 1.
    pub threshold: f64,
    /// What it would have cost.
    pub cost: f64,
    /// What it would have earned.
    pub profit: f64,
    /// The ends of the 95 % interval of that; none where it cannot be computed.
    pub interval: Option<(f64, f64)>,
}

/// A range of probabilities that were told, and what happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReliabilityPoint {
    /// The mean probability, `0.0..=1.0`.
    pub told: f64,
    /// The share that was clicked, `0.0..=1.0`.
    pub found: f64,
    /// The ends of its 95 % interval.
    pub interval: (f64, f64),
    /// Of so many shown ads.
    pub shown: u64,
}

/// A difference of means a customer.
#[derive(Debug, Clone, PartialEq)]
pub struct Lift {
    /// What is compared.
    pub outcome: String,
    /// The mean of customers who were shown the campaign, and how many they are.
    pub with: (f64, u64),
    /// The mean of those who were held out, and how many they are.
    pub without: (f64, u64),
    /// The ends of the 95 % interval of the difference.
    pub interval: (f64, f64),
}

/// What was observed of a part of the decisions.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice {
    /// Which part.
    pub name: String,
    /// Eligible decisions.
    pub decisions: u64,
    /// Ads that were shown.
    pub shown: u64,
    /// Ads that were clicked.
    pub clicked: u64,
    /// The share of shown ads that were clicked, and its 95 % interval; none where none was shown.
    pub click_rate: Option<(f64, (f64, f64))>,
    /// What was earned.
    pub profit: f64,
}

impl Policies {
    /// The page as HTML, UTF-8.
    ///
    /// # Errors
    /// A picture that cannot be drawn; no input is known to lead there.
    pub fn render(&self) -> anyhow::Result<String> {
        let mut page = super::head("Estimates of other policies");
        let _ = write!(
            page,
            "<header>\n<p class=\"kind\">Backtest</p>\n<h1>What other policies would have earned</h1>\n<p>From the decisions of {}. Each \
             estimate is of the same eligible decisions; intervals are of 95&nbsp;%.</p>\n</header>\n",
            escape(&self.source)
        );
        for campaign in &self.campaigns {
            page += &campaign.sections()?;
        }
        page += "</main>\n</body>\n</html>\n";
        Ok(page)
    }
}

impl OfCampaign {
    fn sections(&self) -> anyhow::Result<String> {
        let name = escape(&shortened(&self.name, 60));
        let doubt = self
            .doubt
            .as_ref()
            .map_or(String::new(), |doubt| format!("<p><strong>Careful:</strong> {}</p>\n", escape(doubt)));
        let mut page = format!("<section>\n<h2>{name}</h2>\n<p>{}</p>\n{doubt}", escape(&self.summary));
        page += &self.table();
        page += "</section>\n";
        let figures = [
            ("Profit against threshold", pictures::profit(self)?, THRESHOLD),
            ("What a budget buys", pictures::budget(self)?, BUDGET),
            ("Reliability", pictures::reliability(self)?, RELIABILITY),
            ("Lift against the holdout", pictures::lift(self)?, LIFT),
        ];
        let mut drawn = String::new();
        for (title, picture, caption) in figures {
            let Some(picture) = picture else { continue };
            let _ = write!(
                drawn,
                "<figure>\n<h3>{title}</h3>\n{picture}\n<figcaption>{caption}</figcaption>\n</figure>\n"
            );
        }
        if !drawn.is_empty() {
            let _ = write!(
                page,
                "<section>\n<h2>{name}: thresholds, probabilities, lift</h2>\n<div class=\"pair\">\n{drawn}</div>\n</section>\n"
            );
        }
        let _ = writeln!(page, "<section>\n<h2>{name}: who and when</h2>");
        if let Some(picture) = pictures::hours(self)? {
            let _ = writeln!(
                page,
                "<figure class=\"wide\">\n<h3>By hour</h3>\n{picture}\n<figcaption>{HOURS}</figcaption>\n</figure>"
            );
        }
        page += &slices("By membership", &self.memberships, self.currency.as_deref());
        page += &slices("By hour", &self.hours, self.currency.as_deref());
        page += "</section>\n";
        Ok(page)
    }

    fn table(&self) -> String {
        let cells = |tag: &str, row: &[String]| {
            let cell = |(place, cell): (usize, &String)| {
                let class = if place < 2 { "" } else { " class=\"n\"" };
                format!("<{tag}{class}>{}</{tag}>", escape(cell))
            };
            row.iter().enumerate().map(cell).collect::<String>()
        };
        let rows: String = self.rows.iter().map(|row| format!("<tr>{}</tr>\n", cells("td", row))).collect();
        format!(
            "<div class=\"scroll\">\n<table>\n<thead><tr>{}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n",
            cells("th", &self.columns)
        )
    }

    /// Money by its name on an axis.
    fn money(&self, what: &str) -> String {
        self.currency.as_ref().map_or(what.to_owned(), |currency| format!("{what}, {currency}"))
    }
}

const THRESHOLD: &str = "What would have been earned by showing wherever the probability of a click is above the threshold, \
                         self-normalised. The thin lines are the ends of the interval of the champion. The dashed line is that of \
                         showing all; the mark on the axis is the probability at which a show earns what it costs.";
const BUDGET: &str = "The same thresholds by what they would have cost: how much the next unit of budget would have earned. Where \
                      the curve falls, more budget loses money.";
const RELIABILITY: &str = "What the champion told, and how often shown ads were clicked, each ad by one over the probability that \
                           it was shown. On the dashed line its probabilities are right.";
const LIFT: &str = "What a customer did more who was shown the campaign than one whom the holdout kept from it, from the first \
                    such decision on, with its interval. Right of the dashed line it did something.";
const HOURS: &str =
    "The share of shown ads that were clicked by hour of the campaign's time zone, with its interval.";

/// A table of parts; nothing where there are none.
fn slices(title: &str, of: &[Slice], currency: Option<&str>) -> String {
    if of.iter().all(|slice| slice.decisions == 0) {
        return String::new();
    }
    let profit = currency.map_or("profit".to_owned(), |currency| format!("profit, {currency}"));
    let mut table = format!(
        "<details{}>\n<summary>{title}</summary>\n<div class=\"scroll\">\n<table>\n<thead><tr><th>part</th><th class=\"n\">eligible \
         decisions</th><th class=\"n\">shown</th><th class=\"n\">clicked</th><th class=\"n\">click rate</th><th class=\"n\">{}</th></tr></thead>\n\
         <tbody>\n",
        if of.len() < 10 { " open" } else { "" },
        escape(&profit)
    );
    for slice in of.iter().filter(|slice| slice.decisions > 0) {
        let rate = slice.click_rate.map_or("–".to_owned(), |(rate, (low, high))| {
            format!("{} ({} to {})", percent(rate), percent(low), percent(high))
        });
        let _ = writeln!(
            table,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{rate}</td><td \
             class=\"n\">{:.2}</td></tr>",
            escape(&slice.name),
            count(slice.decisions),
            count(slice.shown),
            count(slice.clicked),
            slice.profit
        );
    }
    table + "</tbody>\n</table>\n</div>\n</details>\n"
}
