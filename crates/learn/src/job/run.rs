//! Does what a job is asked, over the records of a log in their order.

mod trained;

use upbeat_core::event::{DAY_MS, Id};
use upbeat_core::model::check_serving;
use upbeat_engine::Entry;
use upbeat_engine::storage::ProfilesBefore;
use upbeat_svm::Model;

use self::trained::trained;
use super::{Answer, Ask, Challenger, Judged, Standing, Verdict};
use crate::backtest::Judge;
use crate::consistency::Consistency;
use crate::gate::{self, Challenge, Settings};
use crate::judging::Judging;
use crate::rows::decided;
use crate::training::{Examples, Warm};
use crate::watch::Watch;
use crate::{Found, Joiner, Row};

/// `max_weight` of a campaign that explores less often than one in so many decisions.
const MOST_WEIGHT: f64 = 1e6;

/// Memory for the plays of customers whose decisions are checked, in bytes; those of others are not checked.
const MOST_PLAYS_BYTES: usize = 64 << 20;

/// The models that an [`Ask`] names, where they are there.
#[derive(Debug, Default)]
pub struct Given {
    /// The champion's.
    pub champion: Option<Model>,
    /// The challenger's.
    pub challenger: Option<Model>,
}

/// A job over the records of a log.
///
/// It holds 100,000 examples, a gate, 262,144 customers, what a [`Joiner`] and a [`Watch`] hold, and 64 MiB of plays, however long the log
/// is.
pub struct Run<'a> {
    ask: &'a Ask,
    found: &'a Found,
    joiner: Joiner<'a>,
    rows: Rows<'a>,
    consistency: Consistency<'a>,
    /// What the last training chose.
    last: Option<Warm>,
    champion: Option<Judge>,
    /// Decisions far later than *now*, which are left out.
    jumped: u64,
}

struct Rows<'a> {
    /// The newest time at which a decision has matured, in Unix milliseconds.
    matured_ms: i64,
    /// The challenger over the log; or why it cannot be judged.
    judging: Option<Result<Judging<'a>, String>>,
    examples: Option<Examples>,
    watch: Option<Watch<'a>>,
}

impl Rows<'_> {
    fn row(&mut self, row: &Row) {
        if let Some(Ok(judging)) = &mut self.judging {
            judging.row(row, self.matured_ms);
        }
        self.examples.iter_mut().for_each(|examples| examples.row(row));
        self.watch.iter_mut().for_each(|watch| watch.row(row));
    }
}

impl<'a> Run<'a> {
    /// Nothing read yet. `found` is what a first reading of the same log found.
    #[must_use]
    pub fn new(ask: &'a Ask, found: &'a Found, given: &Given) -> Self {
        let slot = slot(found, &ask.campaign);
        let last = [&given.challenger, &given.champion].into_iter().flatten().find_map(Warm::of);
        let judging = ask.challenger.as_ref().map(|challenger| judging(ask, challenger, found, given));
        let examples = slot.filter(|_| ask.train).map(|slot| Examples::new(slot, ask.trained_since_ms()));
        let watch = slot.map(|slot| Watch::new(found, slot, given.champion.as_ref().map(Judge::new)));
        let matured_ms = ask.now_ms.saturating_sub(ask.attribution_ms).saturating_sub(1);
        Self {
            ask,
            found,
            joiner: Joiner::new(found, ask.attribution_ms).at(ask.now_ms),
            rows: Rows { matured_ms, judging, examples, watch },
            consistency: Consistency::new(found, 0, MOST_PLAYS_BYTES),
            last,
            champion: given.champion.as_ref().map(Judge::new),
            jumped: 0,
        }
    }

    /// Takes an entry of the snapshot from which on the log goes on, as
    /// [`profiles_before`](upbeat_engine::storage::profiles_before) gives them.
    pub fn before(&mut self, entry: Entry) {
        self.rows.watch.iter_mut().for_each(|watch| watch.before(&entry));
        self.consistency.profile(entry);
    }

    /// The log follows, of which this is known.
    pub fn begin(&mut self, before: ProfilesBefore) {
        self.rows.watch.iter_mut().for_each(|watch| watch.begin(before));
        self.consistency.begin(before);
    }

    /// Takes the next record, with all plays and evictions in the log. What was decided after *now* is left out: nothing of it has matured.
    pub fn entry(&mut self, position: u64, entry: Entry) {
        let Self { ask, joiner, rows, consistency, jumped, .. } = self;
        consistency.entry(position, &entry);
        if let Some(facts) = decided(&entry) {
            if facts.time_ms > ask.now_ms {
                *jumped += u64::from(ask.is_ahead(facts.time_ms));
                return;
            }
            if let Some(Ok(judging)) = &mut rows.judging {
                judging.note(facts);
            }
            rows.watch.iter_mut().for_each(|watch| watch.entry(position, &entry));
        }
        let taken: Result<(), Never> = joiner.entry(position, entry, &mut |row| {
            rows.row(&row);
            Ok(())
        });
        taken.unwrap_or_else(|never| match never {});
    }

    /// What was found.
    #[must_use]
    pub fn finish(self) -> Answer {
        let Self { ask, found, joiner, mut rows, consistency, last, champion, jumped } = self;
        let taken: Result<(), Never> = joiner.finish(&mut |row| {
            rows.row(&row);
            Ok(())
        });
        taken.unwrap_or_else(|never| match never {});
        let judged = ask
            .challenger
            .as_ref()
            .zip(rows.judging)
            .map(|(challenger, of)| judged(ask, challenger, of, jumped));
        let stays = judged.as_ref().is_some_and(|judged| {
            matches!(judged.standing, Standing::Stays | Standing::NotComputed | Standing::Promote)
        });
        let trained =
            (ask.train && !stays).then(|| trained(ask, found, rows.examples, (last, champion), jumped));
        Answer {
            judged,
            trained,
            watched: rows.watch.map(Watch::finish),
            consistency: Some(consistency.finish_alone()),
        }
    }
}

/// The error of what cannot fail.
enum Never {}

/// The slot of a campaign.
fn slot(found: &Found, campaign: &Id) -> Option<u16> {
    found.campaigns.ids().iter().position(|id| id == campaign)?.try_into().ok()
}

/// The challenger over the log, or why it cannot be judged.
fn judging<'a>(
    ask: &Ask,
    challenger: &Challenger,
    found: &'a Found,
    given: &Given,
) -> Result<Judging<'a>, String> {
    let Challenger { id, number, trained_until_ms, fixed_ms, cost_micro, value_micro } = challenger;
    let slot = slot(found, &ask.campaign)
        .ok_or_else(|| format!("the log has no version of the campaigns that has {}", ask.campaign))?;
    let missing = |what: &str, id: &str| {
        format!(
            "{what} {id} is neither in the data directory's models nor in this program: put its file back with PUT /models/{id}"
        )
    };
    let candidate = given.challenger.as_ref().ok_or_else(|| missing("the challenger's model", id))?;
    let champion = match (&ask.champion, &given.champion) {
        (Some(id), None) => return Err(missing("the champion's model", id)),
        (_, model) => model.as_ref().map(Judge::new),
    };
    if let Some(window) = found.window {
        check_serving(candidate, window).map_err(|error| format!("challenger {id}: {error}"))?;
    }
    let candidate = Judge::new(candidate);
    if !candidate.knows_clicks() {
        return Err(format!(
            "challenger {id} has no probability that a show is clicked: only a calibrated model of the label impression can be judged"
        ));
    }
    let settings = settings(ask);
    let challenge = Challenge {
        number: *number,
        trained_until_ms: *trained_until_ms,
        fixed_ms: *fixed_ms,
        cost_micro: *cost_micro,
        value_micro: *value_micro,
    };
    Judging::new(found, (&ask.campaign, slot), (champion, candidate), settings, challenge)
        .map_err(|error| error.to_string())
}

fn settings(ask: &Ask) -> Settings {
    let of = &ask.gate;
    let default = Settings::default();
    Settings {
        alpha: of.alpha,
        min_gain_micro: of.min_gain_micro,
        max_age_ms: of.max_age_ms,
        max_weight: match of.exploration > 0.0 {
            true => (1.0 / of.exploration).clamp(1.0, MOST_WEIGHT),
            false => default.max_weight,
        },
        ..default
    }
}

/// What becomes of the challenger.
fn judged(ask: &Ask, challenger: &Challenger, judging: Result<Judging, String>, jumped: u64) -> Judged {
    let without = |standing: Standing, sentence: String, rows: u64| Judged {
        id: challenger.id.clone(),
        standing,
        sentence,
        verdicts: Vec::new(),
        rows,
        agreement: None,
        would_have_profit_micro: None,
    };
    let not_computed = |why: &str, rows: u64| {
        // One that cannot be judged goes, too, once it has stayed as long as it may: no other comes before it has gone.
        let age_ms = ask.now_ms.saturating_sub(challenger.fixed_ms);
        let is_old = ask.gate.max_age_ms > 0 && age_ms >= ask.gate.max_age_ms;
        let (standing, what) = match is_old {
            true => (Standing::TooOld, "it has stayed as long as one may, and goes"),
            false => (Standing::NotComputed, "it stays until it can be"),
        };
        let sentence =
            format!("The champion stays in force: the challenger could not be judged, and {what}: {why}.");
        without(standing, sentence, rows)
    };
    // No decision would count for it, and no other would come, until the time that the clock had jumped to.
    if ask.is_ahead(challenger.fixed_ms) {
        let days = challenger.fixed_ms.saturating_sub(ask.now_ms) as f64 / DAY_MS as f64;
        let sentence = format!(
            "The champion stays in force, and the challenger goes: the clock had jumped ahead when it was registered, and no decision \
             would count for it until {days:.1} days from now.{}",
            left_out(jumped)
        );
        return without(Standing::TooOld, sentence, 0);
    }
    let judging = match judging {
        Ok(judging) => judging,
        Err(why) => return not_computed(&why, 0),
    };
    if judging.crowded > 0 {
        let why = format!(
            "{} ads had to be left before their labels were known, since more were shown within [learn] attribution than can be waited for",
            judging.crowded
        );
        return not_computed(&why, judging.rows);
    }
    let (rows, forgotten) = (judging.rows, judging.forgotten);
    let (gate, agreement, would_have_profit_micro) = judging.finish();
    let standing = gate.standing(ask.now_ms);
    let mut sentence = gate.sentence(standing);
    if forgotten > 0 {
        sentence += &format!(
            " {forgotten} decisions are older than the events that the log still has, and are left out."
        );
    }
    sentence += &left_out(jumped);
    Judged {
        id: challenger.id.clone(),
        standing: standing.into(),
        sentence,
        verdicts: gate.verdicts().into_iter().map(Verdict::from).collect(),
        rows,
        agreement,
        would_have_profit_micro,
    }
}

/// What is said of decisions of a clock that has jumped.
fn left_out(jumped: u64) -> String {
    match jumped {
        0 => String::new(),
        _ => format!(
            " {jumped} decisions are left out, since they are later than now by more than an hour: the clock had jumped ahead."
        ),
    }
}

impl From<gate::Standing> for Standing {
    fn from(of: gate::Standing) -> Self {
        match of {
            gate::Standing::Promote => Self::Promote,
            gate::Standing::Stays => Self::Stays,
            gate::Standing::Futile => Self::Futile,
            gate::Standing::TooOld => Self::TooOld,
        }
    }
}

impl From<gate::Verdict> for Verdict {
    fn from(of: gate::Verdict) -> Self {
        let gate::Verdict { check, outcome, value, limit, sentence } = of;
        // JSON has no infinity.
        let value = value.filter(|value| value.is_finite());
        Self { check: check.as_str().to_owned(), ok: outcome.ok(), value, limit, sentence }
    }
}

#[cfg(test)]
mod tests;
