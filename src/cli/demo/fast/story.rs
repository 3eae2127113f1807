//! What the demo says while the service learns.

use serde_json::Value;
use upbeat_closed_loop::{Counts, Model};

const DAY_S: f64 = 86_400.0;

/// What was said last, so that only what is new is said.
pub(super) struct Story {
    began_s: i64,
    champion: Option<String>,
    challenger: Option<String>,
    /// The checks that have not passed.
    failed: Vec<String>,
    /// What the last job said where there is no challenger.
    said: String,
    told: Counts,
    drifted: bool,
    promotions: u64,
    candidates: u64,
}

impl Story {
    /// Names the columns of [`Story::figures`].
    pub(super) const HEADER: &str =
        "    day  decisions    shown  explored   clicks   earned   by truth   show-all by truth, USD";

    /// Nothing was said yet of a service that began at this second.
    pub(super) fn new(began_s: i64) -> Self {
        Self {
            began_s,
            champion: None,
            challenger: None,
            failed: Vec::new(),
            said: String::new(),
            told: Counts::default(),
            drifted: false,
            promotions: 0,
            candidates: 0,
        }
    }

    fn day(&self, civil_s: i64) -> f64 {
        (civil_s - self.began_s) as f64 / DAY_S
    }

    /// What came since the last line.
    pub(super) fn figures(&mut self, civil_s: i64, total: &Counts) -> String {
        let since = total.less(&self.told);
        self.told = *total;
        let money = |micro: f64| micro / 1e6;
        format!(
            "{:>7.1} {:>10} {:>8} {:>9} {:>8} {:>8.2} {:>10.2} {:>10.2}",
            self.day(civil_s),
            since.decisions,
            since.shown,
            since.explored,
            since.clicks,
            money(since.earned_micro),
            money(since.expected_micro),
            money(since.all_micro),
        )
    }

    /// Whether the taste has just moved.
    pub(super) fn drifts(&mut self, has_moved: bool) -> bool {
        !std::mem::replace(&mut self.drifted, has_moved) && has_moved
    }

    /// What a job has changed.
    pub(super) fn learnt(
        &mut self,
        civil_s: i64,
        job: &Value,
        models: &[Model],
        campaign: &str,
    ) -> Vec<String> {
        let of = |role: &str| {
            let is_it = |model: &&Model| {
                model.campaign.as_deref() == Some(campaign) && model.role.as_deref() == Some(role)
            };
            models.iter().find(is_it)
        };
        // What is watched is bad for as long as the shipped model expects too few clicks, which would be said again and again.
        let sentence = job["sentence"].as_str().unwrap_or_default();
        let sentence = sentence.split_once(" Bad: ").map_or(sentence, |(before, _)| before).to_owned();
        let mut lines = Vec::new();
        let day = self.day(civil_s);
        let mut say = |what: &str| lines.push(format!("{day:>7.1}   {what}"));
        let (champion, challenger) = (of("champion"), of("challenger"));
        let champion_id = champion.map(|model| model.id.clone());
        if self.champion.is_some() && champion_id != self.champion {
            self.promotions += 1;
            say(&format!(
                "PROMOTED {}: every check of the gate that decides has passed",
                short(champion_id.as_deref())
            ));
            let verdicts = champion.into_iter().flat_map(|model| &model.gate);
            for verdict in verdicts.filter(|verdict| verdict.ok == Some(true)) {
                say(&format!("  {}", verdict.sentence));
            }
        }
        self.champion = champion_id;
        let challenger_id = challenger.map(|model| model.id.clone());
        let is_new = challenger_id.is_some() && challenger_id != self.challenger;
        if is_new {
            self.candidates += 1;
            say(&format!("candidate {}: {sentence}", short(challenger_id.as_deref())));
        } else if let Some(model) = challenger {
            let failed: Vec<String> = model
                .gate
                .iter()
                .filter(|verdict| verdict.ok == Some(false))
                .map(|verdict| verdict.check.clone())
                .collect();
            if failed != self.failed {
                say(&format!("gate of {}: {sentence}", short(challenger_id.as_deref())));
                for verdict in model.gate.iter().filter(|verdict| verdict.ok == Some(false)) {
                    say(&format!("  {}", verdict.sentence));
                }
                self.failed = failed;
            }
        } else if sentence != self.said {
            say(&sentence);
        }
        if is_new || challenger_id.is_none() {
            self.failed.clear();
        }
        self.challenger = challenger_id;
        self.said = sentence;
        lines
    }

    /// What it came to.
    pub(super) fn summary(&self) -> String {
        format!(
            "{} candidates were held against the champion, {} promoted; model {} decides now",
            self.candidates,
            self.promotions,
            short(self.champion.as_deref())
        )
    }
}

/// An id as people read it.
fn short(id: Option<&str>) -> &str {
    let id = id.unwrap_or("none");
    id.get(..12).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use upbeat_closed_loop::Verdict;

    use super::*;

    fn model(id: &str, role: &str, profit_passed: bool) -> Model {
        let verdict =
            Verdict { check: "profit".into(), ok: Some(profit_passed), sentence: "It earns.".into() };
        Model { id: id.into(), campaign: Some("a".into()), role: Some(role.into()), gate: vec![verdict] }
    }

    #[test]
    fn each_change_is_said_once() {
        let mut story = Story::new(0);
        let job = |sentence: &str| json!({ "sentence": sentence });
        let mut learnt = |sentence: &str, models: &[Model]| story.learnt(86_400, &job(sentence), models, "a");
        let old = model("old", "champion", true);
        assert_eq!(learnt("Too few.", std::slice::from_ref(&old)), ["    1.0   Too few."]);
        assert!(learnt("Too few.", std::slice::from_ref(&old)).is_empty(), "it was said");
        let both = [old, model("new", "challenger", false)];
        assert_eq!(learnt("Trained.", &both), ["    1.0   candidate new: Trained."]);
        let gated = learnt("It stays.", &both);
        assert_eq!(gated, ["    1.0   gate of new: It stays.", "    1.0     It earns."]);
        assert!(learnt("It stays still.", &both).is_empty(), "the same checks fail");
        let promoted = learnt("Passed.", &[model("new", "champion", true)]);
        assert_eq!(promoted[0], "    1.0   PROMOTED new: every check of the gate that decides has passed");
        assert!(
            story.summary().starts_with("1 candidates were held against the champion, 1 promoted; model new")
        );
    }
}
