//! What the answer of a job changes: a challenger is registered, promoted or dropped, or the champion stays with a sentence that says why.

use std::sync::Arc;

use upbeat_core::campaign::{Label, Mode};
use upbeat_core::event::Id;
use upbeat_engine::campaigns::Current;
use upbeat_learn::job::{Answer, Ask, Challenger, Judged, Standing, Training};
use upbeat_learn::registry::{Known, Registry, Source};

use super::super::app::App;
use super::super::model::of_bytes;
use super::jobs::Outcome;
use super::promotion::unfit;
use super::store::serving;
use super::worker::Ended;

/// Who promotes what has passed the gate.
pub(crate) const GATE: &str = "gate";

fn failed(what: impl std::fmt::Display) -> Ended {
    (Outcome::Failed, format!("The champion stays in force: {what}."))
}

/// The present champion of a campaign, by its id, and its place in the plan.
fn champion(current: &Current, campaign: &Id) -> Option<(usize, Option<String>)> {
    let index = current.plan.find(campaign)?;
    let model = current.plan.campaigns[index].model;
    Some((index, model.map(|model| current.plan.models[model].id.clone())))
}

impl App {
    /// Takes in the answer of a job, and says what came of it.
    ///
    /// # Errors
    /// Nothing did, and why: all stays as it was.
    pub(super) fn apply(&self, ask: &Ask, answer: Answer) -> Result<Ended, Ended> {
        let _alone = self.one_change_of_campaigns();
        let campaign = &ask.campaign;
        let current = self.engine.campaigns();
        let (index, now) = champion(&current, campaign)
            .ok_or_else(|| failed(format!("the campaign {campaign} was removed while the job ran")))?;
        let registry = self.learning().registry();
        let of = registry.of(campaign);
        let challenger = of.and_then(|of| of.challenger.clone());
        if now != ask.champion || challenger != ask.challenger {
            return Err(failed(
                "the champion or its challenger was changed while the job ran, and it was about the former one",
            ));
        }
        let Answer { judged, trained, .. } = answer;
        let mode = current.document.campaign[current.plan.campaigns[index].place].mode;
        let judged = judged.map(|judged| self.take_judged(ask, judged, mode)).transpose()?;
        // A model that is trained though a challenger stays would throw its evidence away.
        let has_challenger = self
            .learning()
            .with_registry(|registry| registry.of(campaign).is_some_and(|of| of.challenger.is_some()));
        let is_over = judged.as_ref().is_some_and(|(outcome, _)| *outcome == Outcome::Promoted);
        let trained = match trained.filter(|_| !has_challenger && !is_over) {
            Some(trained) => Some(self.take_trained(ask, trained)?),
            None => None,
        };
        Ok(match (judged, trained) {
            (None, None) => failed("the job answered nothing of what it was asked"),
            (Some(ended), None) | (None, Some(ended)) => ended,
            (Some((outcome, judged)), Some((later, trained))) => {
                let outcome = if later == Outcome::Registered { later } else { outcome };
                (outcome, format!("{judged} {trained}"))
            }
        })
    }

    /// What becomes of the challenger.
    fn take_judged(&self, ask: &Ask, mut judged: Judged, mode: Mode) -> Result<Ended, Ended> {
        let Ask { campaign, challenger, gate, now_ms, .. } = ask;
        let asked = challenger.as_ref().filter(|challenger| challenger.id == judged.id);
        let asked =
            asked.ok_or_else(|| failed(format!("the job judged {}, which nobody asked for", judged.id)))?;
        let (id, is_auto) = (judged.id.clone(), mode == Mode::Auto);
        // Nobody else waits for one that has passed, but it may not wait for ever either.
        let age_ms = now_ms.saturating_sub(asked.fixed_ms);
        if judged.standing == Standing::Promote && !is_auto && age_ms >= gate.max_age_ms {
            judged.standing = Standing::TooOld;
            judged.sentence = format!(
                "The champion stays in force: the candidate has passed every check, and nobody has promoted it in {:.1} days, which is \
                 as long as one may stay; POST /models/{id}/promote does so still.",
                gate.max_age_ms as f64 / 86_400_000.0
            );
        } else if judged.standing == Standing::Promote && !is_auto {
            judged.sentence = format!(
                "Every check that decides has passed: it would be promoted, and the campaign's mode leaves that to you. POST \
                 /models/{id}/promote?campaign={campaign} does it."
            );
        }
        let mut next = self.learning().registry();
        next.judge(campaign, &judged);
        self.commit(next).map_err(failed)?;
        let Judged { standing, sentence, .. } = judged;
        let outcome = match standing {
            Standing::Promote if is_auto => {
                self.promote_alone(campaign, &id, GATE).map_err(failed)?;
                Outcome::Promoted
            }
            Standing::Promote => Outcome::WouldPromote,
            Standing::Stays | Standing::NotComputed => Outcome::Stays,
            Standing::Futile | Standing::TooOld => {
                tracing::info!(%campaign, model = id, "a challenger is dropped: {sentence}");
                Outcome::Dropped
            }
        };
        Ok((outcome, sentence))
    }

    /// What becomes of the training.
    fn take_trained(&self, ask: &Ask, trained: Training) -> Result<Ended, Ended> {
        let (text, id, trained_until_ms, newest_ms, rows, clicks, sentence) = match trained {
            Training::None { sentence, .. } => return Ok((Outcome::NoModel, sentence)),
            Training::Candidate { model, id, trained_until_ms, newest_ms, rows, clicks, sentence } => {
                (model, id, trained_until_ms, newest_ms, rows, clicks, sentence)
            }
        };
        let campaign = &ask.campaign;
        let model = of_bytes("the model that the job trained", text.as_bytes(), self.config.window);
        let model = Arc::new(model.map_err(failed)?);
        if model.id() != id {
            return Err(failed(format!("the job says that its model is {id}, and it is {}", model.id())));
        }
        if ask.champion.as_deref() == Some(&id) {
            return Ok((Outcome::NoModel, format!("{sentence} It is the champion itself.")));
        }
        if let Some(why) = unfit(&model) {
            return Err(failed(format!("the job trained {id}, which cannot challenge it: {why}")));
        }
        let current = self.engine.campaigns();
        let index = current.plan.find(campaign).ok_or_else(|| failed("its campaign is gone"))?;
        let planned = &current.plan.campaigns[index];
        let served = serving(&current.document.campaign[planned.place].model, Arc::clone(&model));
        if served.label != Label::Impression || !served.is_calibrated() {
            return Err(failed(format!(
                "the job trained {id}, which says nothing of the probability that a show is clicked"
            )));
        }
        let served = served.only_for(campaign.clone());
        self.engine.try_model(&served).map_err(|invalid| failed(invalid.reason))?;
        let now_ms = self.engine.now_ms(self.wall_ms());
        let newest_ms = newest_ms.unwrap_or(trained_until_ms);
        if trained_until_ms.max(newest_ms) > now_ms {
            return Err(failed(format!("the job trained {id} on rows that are newer than now")));
        }
        self.keep_model(&model).map_err(failed)?;
        let mut next = self.learning().registry();
        let known = Known {
            trained_until_ms: Some(trained_until_ms),
            sentence: Some(sentence.clone()),
            ..Known::new(&model, Source::Trained, self.wall_ms())
        };
        let challenger = Challenger {
            id: id.clone(),
            number: 1,
            trained_until_ms,
            fixed_ms: now_ms,
            cost_micro: planned.cost_micro,
            value_micro: planned.value_micro,
        };
        next.challenge(campaign, known, challenger, newest_ms);
        self.commit(next).map_err(failed)?;
        tracing::info!(%campaign, model = id, rows, clicks, "a model was trained, and challenges the champion");
        Ok((Outcome::Registered, sentence))
    }

    /// Notes what the last job of a campaign came to, for people.
    pub(super) fn say(&self, campaign: &Id, sentence: &str) {
        let _alone = self.one_change_of_campaigns();
        let mut next: Registry = self.learning().registry();
        if next.of(campaign).is_none() {
            return;
        }
        next.say(campaign, sentence, self.wall_ms());
        next.of_mut(campaign).job_ms = Some(self.engine.now_ms(self.wall_ms()));
        if let Err(error) = self.commit(next) {
            tracing::warn!(%error, "what the last job came to is not written");
        }
    }
}
