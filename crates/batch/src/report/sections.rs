//! The page's text: what the model is and how good it is.

use super::curves;
use super::text::{Terms, count, escape, number, percent, percent_interval};
use super::{Evaluation, Report};
use upbeat_core::model::serving_notes;
use upbeat_svm::{Confusion, Interval, Metrics, Model, RELIABILITY_BINS, RocPoint, reliability, roc};

/// The section on the measures when there are none.
pub(super) const NOT_EVALUATED: &str = "<section>\n<h2>How good it is</h2>\n<p>Not known: there were no rows that the \
    model was not trained on. Train with a holdout or a cross-validation, on at least two rows of each label.</p>\n\
    </section>\n";

/// Of weighted rows.
const WEIGHED: &str = " The rows have weights, or stand for rows that were left out: shares, means and curves are by weight, \
    counts are of rows.";

/// Of rows in folds, whose record and picture are made of different pairs.
const POOLED: &str = " It is measured between rows of one fold; the curve holds the scores of all folds, whose machines \
    differ a little.";

/// Of rows in folds, whose record allows for what the folds hide from the picture.
const HIDDEN_BY_FOLDS: &str = " It allows for what calibrations of folds hide, which the dots do not show.";

/// What the model is.
pub(super) fn heading(report: &Report<'_>) -> String {
    let model = report.model;
    let parts = model.parts();
    let mut is = format!("A support vector machine, {} kernel", escape(parts.machine.kernel().name()));
    for (name, value) in
        [("gamma", parts.machine.kernel().gamma()), ("C", parts.training.as_ref().map(|t| t.c))]
    {
        is += &value.map_or(String::new(), |value| format!(", {name} = {}", number(value)));
    }
    if parts.machine.support_vectors() > 0 {
        is += &format!(", {} support vectors", count(parts.machine.support_vectors() as u64));
    }
    if let Some(training) = &parts.training {
        let terms = Terms::of(model);
        is += &format!(
            ", trained on {} {}, {} of them {}",
            count(training.rows),
            terms.rows,
            count(training.positives),
            escape(&terms.positives)
        );
    }
    let warning = |note: &String| format!("<p class=\"warning\">Mind: {}.</p>\n", escape(note));
    let notes: String = serving_notes(model).iter().map(warning).collect();
    format!(
        "<header>\n<p class=\"kind\">Training report</p>\n<h1>{}</h1>\n<p>{is}.{}</p>\n{notes}</header>\n",
        escape(model.name().unwrap_or_else(|| model.id())),
        report.why.map_or(String::new(), |why| format!(" {}", escape(why)))
    )
}

/// Everything that is measured on rows.
pub(super) fn evaluation(model: &Model, evaluation: &Evaluation<'_>) -> anyhow::Result<String> {
    assert_eq!(evaluation.scores.len(), evaluation.positive.len(), "one label per score");
    let metrics = evaluation.metrics;
    let terms = Terms::of(model);
    let Evaluation { scores, positive, weights, .. } = *evaluation;
    let bins = evaluation
        .probabilities
        .map_or(Vec::new(), |all| reliability(all, positive, weights, RELIABILITY_BINS));
    let error = metrics.calibration_error;
    let points = roc(scores, positive, weights);
    let mut html = figures(evaluation, &terms);
    html += &confusion(evaluation, model, &terms);
    html += &ranking(evaluation, metrics, &points, &terms)?;
    html += "<section>\n<h2>Can the figures be taken at their word?</h2>\n<div class=\"pair\">\n";
    html += &match error {
        Some(error) => format!(
            "<figure>\n<h3>Reliability</h3>\n{}\n<figcaption>Of 100 {} told 0.8, how many are {}? On the dashed line, \
             80. Each dot is a tenth of the range; its bar is the 95 % interval, which few rows make long. Below: how \
             many were told so. Mean distance from the line, by {}: {}.{}</figcaption>\n</figure>\n",
            curves::reliability(&bins, error, &terms)?,
            terms.rows,
            escape(&terms.positives),
            if weights.is_some() { "weight" } else { "rows" },
            percent(error),
            if evaluation.folds { HIDDEN_BY_FOLDS } else { "" }
        ),
        None => "<p>The model is not calibrated: it tells scores, not probabilities. Rows of the scarcer label were too \
                 few.</p>\n"
            .to_owned(),
    };
    if let Some(picture) = curves::score_histogram(scores, positive, weights, &terms)? {
        html += &format!(
            "<figure>\n<h3>Scores</h3>\n{picture}\n<figcaption>How far apart the model holds the two classes. Bars \
             upwards: {}; bars downwards: {}; each as a share of its class. Whatever lies on the wrong side of the \
             upright line at 0 is an error.</figcaption>\n</figure>\n",
            escape(&terms.positives),
            escape(&terms.negatives)
        );
    }
    Ok(html + "</div>\n</section>\n")
}

/// The headline figures.
fn figures(evaluation: &Evaluation<'_>, terms: &Terms) -> String {
    let metrics = evaluation.metrics;
    let Confusion { true_positive, false_negative, .. } = metrics.confusion;
    let rows = metrics.confusion.rows();
    let positives = true_positive + false_negative;
    let share = evaluation.base_rate();
    let always = share.min(1.0 - share);
    let mut html = format!(
        "<section>\n<h2>How good it is</h2>\n<p>Judged by {}: {} {}, {} of them {} ({}{}).{}</p>\n<dl class=\"figures\">\n",
        escape(evaluation.method),
        count(rows),
        terms.rows,
        count(positives),
        escape(&terms.positives),
        percent(share),
        if evaluation.weights.is_some() { " by weight" } else { "" },
        if evaluation.weights.is_some() { WEIGHED } else { "" }
    );
    let mut add = |name: &str, value: &str, note: &str| {
        html += &format!("<div><dt>{name}</dt><dd>{value}</dd><dd class=\"note\">{note}</dd></div>\n");
    };
    add(
        "Error",
        &percent(metrics.error),
        &format!(
            "95 %: {}. Always telling the commoner answer: {}",
            percent_interval(metrics.error_interval),
            percent(always)
        ),
    );
    if let (Some(auc), Some(Interval(low, high))) = (metrics.auc, metrics.auc_interval) {
        add("AUC", &format!("{auc:.3}"), &format!("95 %: {low:.3} to {high:.3}. By chance 0.5, perfect 1"));
    }
    if let Some(loss) = metrics.log_loss {
        let ignorant: f64 =
            [share, 1.0 - share].iter().filter(|share| **share > 0.0).map(|share| -share * share.ln()).sum();
        add("Log loss", &number(loss), &format!("Telling everyone {}: {}", percent(share), number(ignorant)));
    }
    if let Some(error) = metrics.calibration_error {
        add("Calibration error", &percent(error), "Mean gap between told and happened, over ten ranges");
    }
    html + "</dl>\n"
}

/// The confusion table, then precision and recall in words. Closes the section.
fn confusion(evaluation: &Evaluation<'_>, model: &Model, terms: &Terms) -> String {
    let metrics = evaluation.metrics;
    let Confusion { true_positive, false_positive, false_negative, true_negative } = metrics.confusion;
    let labels = &model.parts().labels;
    let (positives, negatives) = (escape(&terms.positives), escape(&terms.negatives));
    let row = |name: &str, yes: u64, no: u64, right: usize| {
        let cell = |place: usize, rows: u64| {
            let class = if place == right { "n right" } else { "n wrong" };
            let mark = if place == right { "✓" } else { "✗" };
            format!("<td class=\"{class}\">{} <span aria-hidden=\"true\">{mark}</span></td>", count(rows))
        };
        format!(
            "<tr><th scope=\"row\">{name}</th>{}{}<td class=\"n\">{}</td></tr>\n",
            cell(0, yes),
            cell(1, no),
            count(yes + no)
        )
    };
    let mut html = format!(
        "<div class=\"scroll\"><table class=\"confusion\">\n<caption>Confusion: what was true, what was told</caption>\n\
         <thead><tr><td></td><th scope=\"col\" class=\"n\">told yes<br><small>label {}</small></th>\
         <th scope=\"col\" class=\"n\">told no<br><small>label {}</small></th><th scope=\"col\" class=\"n\">all</th></tr>\
         </thead>\n<tbody>\n",
        escape(&labels.positive),
        escape(&labels.negative)
    );
    html += &row(&positives, true_positive, false_negative, 0);
    html += &row(&negatives, false_positive, true_negative, 1);
    html += "</tbody></table></div>\n<ul>\n";
    if let Some(precision) = metrics.precision {
        html += &format!(
            "<li>Of 100 {} told yes, <b>{:.0}</b> are {positives} (precision {}, 95 %: {}).</li>\n",
            terms.rows,
            precision * 100.0,
            percent(precision),
            percent_interval(metrics.precision_interval)
        );
    } else {
        html += &format!("<li>None of the {} was told yes.</li>\n", terms.rows);
    }
    match metrics.recall {
        Some(recall) => {
            html += &format!(
                "<li>Of 100 {positives}, <b>{:.0}</b> are told yes (recall {}, 95 %: {}).</li>\n",
                recall * 100.0,
                percent(recall),
                percent_interval(metrics.recall_interval)
            );
        }
        None => {
            html += &format!("<li>There are no {positives} among them, so nothing could be found.</li>\n")
        }
    }
    html + "</ul>\n</section>\n"
}

/// How well the scores rank the positive class before the negative one.
fn ranking(
    evaluation: &Evaluation<'_>,
    metrics: &Metrics,
    points: &[RocPoint],
    terms: &Terms,
) -> anyhow::Result<String> {
    let mut html = "<section>\n<h2>Does it put the right ones first?</h2>\n".to_owned();
    let Some(auc) = metrics.auc else {
        html += "<p>There are rows of one label only, so there is no order to judge.</p>\n</section>\n";
        return Ok(html);
    };
    let Evaluation { scores, positive, weights, .. } = *evaluation;
    let yes_of = |class: bool| evaluation.share(|row| scores[row] > 0.0, |row| positive[row] == class);
    let threshold = (yes_of(false), yes_of(true));
    let (positives, negatives) = (escape(&terms.positives), escape(&terms.negatives));
    html += &format!(
        "<div class=\"pair\">\n<figure>\n<h3>ROC</h3>\n{}\n<figcaption>Lowering the threshold from strict (left) to \
         lenient (right): how many {positives} are reached, at the price of how many {negatives}. The area is the chance \
         that one of the {positives} scores above one of the {negatives}.{}</figcaption>\n</figure>\n",
        curves::roc(points, threshold, auc, terms)?,
        if evaluation.folds { POOLED } else { "" }
    );
    let chosen = metrics.precision.map(|precision| (threshold.1, precision));
    if let Some(picture) = curves::precision_and_recall(scores, positive, weights, chosen, terms)? {
        html += &format!(
            "<figure>\n<h3>Precision and recall</h3>\n{picture}\n<figcaption>Of those told yes, how many are \
             {positives}, when the threshold is lowered until this share of all {positives} is found. The left end \
             rests on few rows and so is rough.</figcaption>\n</figure>\n"
        );
    }
    html += "</div>\n";
    html += &reach(points, evaluation.base_rate(), terms);
    Ok(html + "</section>\n")
}

/// The share of the positive class among the rows with the highest scores.
fn reach(points: &[RocPoint], share: f64, terms: &Terms) -> String {
    let positives = escape(&terms.positives);
    let mut html = format!(
        "<div class=\"scroll\"><table>\n<caption>If only some can be told yes: the highest scores first</caption>\n\
         <thead><tr><th scope=\"col\">of all {0}</th><th scope=\"col\" class=\"n\">{positives} reached</th>\
         <th scope=\"col\" class=\"n\">compared with chance</th></tr></thead>\n<tbody>\n",
        terms.rows
    );
    for asked in [0.05, 0.1, 0.2, 0.3, 0.5] {
        let reached = reached(points, share, asked);
        html += &format!(
            "<tr><th scope=\"row\">{:.0} %</th><td class=\"n\">{}</td><td class=\"n\">{:.1} ×</td></tr>\n",
            asked * 100.0,
            percent(reached),
            reached / asked
        );
    }
    html + "</tbody></table></div>\n"
}

/// The share of positive rows among the `asked` share of rows that score highest; ties in proportion.
fn reached(points: &[RocPoint], share: f64, asked: f64) -> f64 {
    let above =
        |point: &RocPoint| share * point.true_positive_rate + (1.0 - share) * point.false_positive_rate;
    let after = points.partition_point(|point| above(point) < asked).clamp(1, points.len() - 1);
    let (from, to) = (&points[after - 1], &points[after]);
    let part = ((asked - above(from)) / (above(to) - above(from))).clamp(0.0, 1.0);
    from.true_positive_rate + part * (to.true_positive_rate - from.true_positive_rate)
}

/// Where the model comes from.
pub(super) fn facts(report: &Report<'_>) -> String {
    let parts = report.model.parts();
    let mut facts = vec![("Model id".to_owned(), report.model.id().to_owned())];
    let definition = parts.features.definition.clone().unwrap_or_else(|| "of no known definition".to_owned());
    facts.push(("Features".to_owned(), format!("{}, {definition}", count(parts.features.count as u64))));
    if let Some(training) = &parts.training {
        facts.push(("Solver".to_owned(), training.solver.clone()));
        facts.push(("Upbeat".to_owned(), training.tool_version.clone()));
        facts.push(("Seed".to_owned(), training.seed.to_string()));
        facts.extend(training.data_sha256.clone().map(|digest| ("SHA-256 of the rows".to_owned(), digest)));
    }
    facts.extend(report.facts.iter().cloned());
    let rows: String = facts
        .iter()
        .map(|(name, value)| {
            format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escape(name), escape(value))
        })
        .collect();
    format!(
        "<section>\n<h2>Facts</h2>\n<div class=\"scroll\"><table class=\"facts\">\n<tbody>\n{rows}</tbody></table></div>\n\
         </section>\n"
    )
}
