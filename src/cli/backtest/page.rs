//! The page of `upbeat backtest --report`.

use upbeat_batch::report::policies::{
    Lift, OfCampaign as Section, Policies, ReliabilityPoint, Slice, Threshold,
};
use upbeat_core::event::Membership;
use upbeat_learn::backtest::{OfCampaign, Policy};
use upbeat_learn::detail::{AtThreshold, Detail};
use upbeat_learn::estimate::Estimator;
use upbeat_learn::lift::Difference;
use upbeat_learn::slices::{Reliability, Slice as Observed};

use super::answer::{self, Answer};
use super::doubt;

/// Money in units of its currency.
fn units(micro: f64) -> f64 {
    micro / 1e6
}

impl Answer<'_> {
    /// The page as HTML.
    ///
    /// # Errors
    /// A picture that cannot be drawn; no input is known to lead there.
    pub(super) fn page(&self, source: &str) -> anyhow::Result<String> {
        let campaigns = self.campaigns.iter().map(|of| self.section(of)).collect();
        Policies { source: source.to_owned(), campaigns }.render()
    }

    fn section(&self, of: &OfCampaign) -> Section {
        let [columns, rows @ ..] = &answer::rows(of)[..] else { unreachable!("a table has a line of names") };
        let (summary, terms) = self.summary(of);
        let support = of.support().map_or(String::new(), |support| {
            format!(" Ads were shown {support:.3} times as often as their probabilities say; 1 is as often.")
        });
        let show_all = of
            .estimates()
            .iter()
            .find(|of| of.policy == Policy::ShowAll && of.estimator == Estimator::Snips)
            .map(|of| units(of.estimate.profit_micro));
        Section {
            name: of.id.to_string(),
            currency: self.currency.map(str::to_owned),
            summary: format!("{summary}. {}.{support}", capital(&terms)),
            doubt: doubt(of),
            columns: columns.to_vec(),
            rows: rows.iter().map(|row| row.to_vec()).collect(),
            curves: of.detail().map_or(Vec::new(), curves),
            show_all,
            break_even: of.terms.break_even(),
            reliability: of
                .detail()
                .map_or(Vec::new(), |detail| detail.slices.reliability().into_iter().map(told).collect()),
            lift: self.lift.of(of.slot).into_iter().map(lift).collect(),
            hours: of.detail().map_or(Vec::new(), |detail| {
                let each = detail.slices.hours().iter().enumerate();
                each.map(|(hour, of)| slice(format!("{hour}:00"), of)).collect()
            }),
            memberships: of.detail().map_or(Vec::new(), |detail| {
                let name =
                    |level: Option<Membership>| level.map_or("not in the log", Membership::name).to_owned();
                detail.slices.levels().map(|(level, of)| slice(name(level), of)).collect()
            }),
        }
    }
}

/// A sentence with its first letter, which is one of English, as a capital.
fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or(String::new(), |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

fn curves(detail: &Detail) -> Vec<(String, Vec<Threshold>)> {
    let point = |at: &AtThreshold| Threshold {
        threshold: at.threshold,
        cost: units(at.estimate.cost_micro),
        profit: units(at.estimate.profit_micro),
        interval: at.estimate.interval.map(|(low, high)| (units(low), units(high))),
    };
    let named = [("champion", detail.champion()), ("challenger", detail.challenger())];
    let drawn = named.into_iter().filter(|(_, points)| !points.is_empty());
    drawn.map(|(name, points)| (name.to_owned(), points.iter().map(point).collect())).collect()
}

fn told(of: Reliability) -> ReliabilityPoint {
    let Reliability { told, found, interval, shown } = of;
    ReliabilityPoint { told, found, interval, shown }
}

fn lift(of: Difference) -> Lift {
    let Difference { outcome, treated, held_out, with, without, interval } = of;
    Lift { outcome: outcome.name().to_owned(), with: (with, treated), without: (without, held_out), interval }
}

fn slice(name: String, of: &Observed) -> Slice {
    let Observed { decisions, shown, clicked, profit_micro } = *of;
    let profit = units(profit_micro as f64);
    Slice { name, decisions, shown, clicked, click_rate: of.click_rate(), profit }
}
