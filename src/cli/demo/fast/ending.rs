//! What the demo says at its end: what learning was worth, by the log and by the planted truth.

use std::path::Path;

use upbeat_closed_loop::Tally;
use upbeat_learn::backtest::{Backtest, Estimated, OfCampaign, Policy, Question};
use upbeat_learn::estimate::Estimator;

use super::print;
use crate::cli::decision_log::{DecisionLog, LogArgs, Needs};

/// Prints profit against that of showing the ad to all, estimated from the log of the stopped server, with the truth beside it.
pub(super) fn tell(data_dir: &Path, tally: &Tally) -> anyhow::Result<()> {
    let log = DecisionLog::open(
        &LogArgs::of_directory(data_dir),
        Needs { role: "demo", clicks: false, newest: true, notes: false },
    )?;
    let mut backtest = Backtest::new(&log.found, log.attribution_ms, vec![(0, None)], Question::default());
    log.read(true, &mut |position, entry| Ok(backtest.entry(position, entry)?))?;
    let (campaigns, _) = backtest.finish()?;
    let total = tally.total();
    let usd = |micro: f64| format!("{:.2}", micro / 1e6);
    let truth = format!(
        "by the planted truth it earned {} and showing all would have earned {}: {} more",
        usd(total.expected_micro),
        usd(total.all_micro),
        usd(total.expected_micro - total.all_micro)
    );
    let estimated = campaigns.first().and_then(against_all);
    match estimated {
        Some((earned, all, (low, high))) => print(format_args!(
            "profit against show-all, from the decision log: {} USD earned, {} estimated for showing all where coins decided\n  that is {} more, \
                 95 % interval {} to {}\n  {truth}",
            usd(earned),
            usd(all),
            usd(earned - all),
            usd(earned - high),
            usd(earned - low)
        )),
        None => print(format_args!(
            "profit against show-all: the log has too few shows to estimate an interval from\n  {truth}"
        )),
    }
}

/// What was earned, what showing all would have earned, and the interval of that, in micro-units.
fn against_all(of: &OfCampaign) -> Option<(f64, f64, (f64, f64))> {
    let estimates = of.estimates();
    let found = |policy: Policy| {
        let is_it = |one: &&Estimated| one.policy == policy && one.estimator == Estimator::Ips;
        estimates.iter().find(is_it).map(|one| one.estimate)
    };
    let (logged, all) = (found(Policy::Logging)?, found(Policy::ShowAll)?);
    Some((logged.profit_micro, all.profit_micro, all.interval?))
}
