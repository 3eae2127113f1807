//! Which models are known, which of them serves which campaign, who challenges it, and what became of those before.
//!
//! Plain state and plain functions: times and models are arguments, the server keeps it in a file. The champion is what the
//! server serves; the registry is told of it by [`Registry::see`], and whatever changes it ends the challenge, since the evidence
//! is against another champion.

mod known;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use upbeat_core::event::Id;

pub use known::{Known, Properties, Source};

use crate::gate::{Reign, Standing as Ended};
use crate::job::{Challenger, Judged, Standing};

/// So many models that neither serve nor challenge are kept of each campaign, and of those that were uploaded.
pub const KEPT_MODELS: usize = 10;

/// So many campaigns are kept that have no champion any more, as those have none that do not run.
pub const KEPT_CAMPAIGNS: usize = 64;

/// So many promotions of each campaign are told.
pub const KEPT_PROMOTIONS: usize = 100;

/// All models that are known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// What is known of each campaign that runs or ran.
    pub campaigns: Vec<OfCampaign>,
    /// Models that were uploaded, and belong to no campaign yet, oldest first.
    pub uploaded: Vec<Known>,
}

/// What is known of one campaign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfCampaign {
    /// Its id.
    pub campaign: Id,
    /// The model that decides for it, by its id.
    pub champion: Option<String>,
    /// Since when, by the wall clock, in Unix milliseconds; `None` while there is none.
    pub since_ms: Option<i64>,
    /// The model that was promoted in place of what its document names.
    pub promoted: Option<Promoted>,
    /// How many challengers the champion has met.
    pub reign: Reign,
    /// The model that is held against the champion.
    pub challenger: Option<Challenger>,
    /// The newest row that the last training knew, in Unix milliseconds, those included that it held out.
    pub trained_until_ms: Option<i64>,
    /// When the last job began, by the engine's clock, in Unix milliseconds.
    pub job_ms: Option<i64>,
    /// What the last job came to.
    pub said: Option<Said>,
    /// The last [`KEPT_PROMOTIONS`], oldest first.
    pub promotions: VecDeque<Promotion>,
    /// Every model that is known of it, in the order of their registration.
    pub models: Vec<Known>,
}

/// A model that was promoted. It is in force as long as the campaign's document gives the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promoted {
    /// The model's id.
    pub id: String,
    /// The name in the document that it stands in place of.
    pub over: String,
}

/// A sentence, and when it was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// By the wall clock, in Unix milliseconds.
    pub time_ms: i64,
    /// In words.
    pub sentence: String,
}

/// A change of the champion that somebody asked for, or the gate made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promotion {
    /// By the wall clock, in Unix milliseconds.
    pub time_ms: i64,
    /// Who promoted it: `gate`, or a name.
    pub who: String,
    /// The model before; `None` where there was none.
    pub from: Option<String>,
    /// The model from then on.
    pub to: String,
}

/// The model that serves a campaign at a moment, as the server has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Serving {
    /// The campaign.
    pub campaign: Id,
    /// The name that its document gives.
    pub name: String,
    /// What decides; `None` while it has no model.
    pub model: Option<Known>,
}

/// What is a model's part in a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It decides.
    Champion,
    /// It is held against the champion.
    Challenger,
    /// It was one of the two.
    Former,
    /// It was uploaded, and no campaign has used it.
    Uploaded,
}

/// A model with its part in one campaign.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// The campaign; `None` of an uploaded model.
    pub campaign: Option<&'a OfCampaign>,
    /// Its part.
    pub role: Role,
    /// The model.
    pub model: &'a Known,
}

impl OfCampaign {
    fn new(campaign: Id) -> Self {
        Self {
            campaign,
            champion: None,
            since_ms: None,
            promoted: None,
            reign: Reign::default(),
            challenger: None,
            trained_until_ms: None,
            job_ms: None,
            said: None,
            promotions: VecDeque::new(),
            models: Vec::new(),
        }
    }

    /// A model of it that is known.
    #[must_use]
    pub fn known(&self, id: &str) -> Option<&Known> {
        self.models.iter().find(|known| known.id == id)
    }

    fn known_mut(&mut self, id: &str) -> Option<&mut Known> {
        self.models.iter_mut().find(|known| known.id == id)
    }

    fn role(&self, id: &str) -> Role {
        if self.champion.as_deref() == Some(id) {
            Role::Champion
        } else if self.challenger.as_ref().is_some_and(|challenger| challenger.id == id) {
            Role::Challenger
        } else {
            Role::Former
        }
    }

    /// Notes a model where it is not known yet.
    fn note(&mut self, model: Known) {
        if self.known(&model.id).is_none() {
            self.models.push(model);
        }
    }

    /// The challenger leaves without a promotion.
    fn drop_challenger(&mut self, sentence: String) -> Option<String> {
        let challenger = self.challenger.take()?;
        if let Some(known) = self.known_mut(&challenger.id) {
            known.sentence = Some(sentence);
        }
        Some(challenger.id)
    }

    /// From now on this model decides: the challenge of the one before is over, and its reign.
    fn crown(&mut self, model: Option<Known>, time_ms: i64) {
        let id = model.as_ref().map(|model| model.id.clone());
        if let Some(model) = model {
            let (id, properties) = (model.id.clone(), model.properties.clone());
            self.note(model);
            if let Some(known) = self.known_mut(&id) {
                // A file may say other things of the same function, which is what an id is of.
                (known.has_decided, known.properties) = (true, properties);
            }
        }
        if self.champion == id {
            return;
        }
        let is_promoted =
            id.is_some() && self.challenger.as_ref().map(|challenger| &challenger.id) == id.as_ref();
        if is_promoted {
            self.challenger = None;
        }
        let to = id.as_deref().unwrap_or("none").to_owned();
        self.drop_challenger(format!(
            "The champion is another since then ({to}), and what was found was found against the one before: a challenger of the new \
             champion is trained by the next job."
        ));
        self.since_ms = id.is_some().then_some(time_ms);
        self.champion = id;
        self.reign = Reign::default();
    }
}

impl Registry {
    /// What is known of a campaign.
    #[must_use]
    pub fn of(&self, campaign: &Id) -> Option<&OfCampaign> {
        self.campaigns.iter().find(|of| of.campaign == *campaign)
    }

    /// The same, to be changed; made where nothing is known.
    pub fn of_mut(&mut self, campaign: &Id) -> &mut OfCampaign {
        let place = self.campaigns.iter().position(|of| of.campaign == *campaign).unwrap_or_else(|| {
            self.campaigns.push(OfCampaign::new(campaign.clone()));
            self.campaigns.len() - 1
        });
        &mut self.campaigns[place]
    }

    /// Any record of a model.
    #[must_use]
    pub fn known(&self, id: &str) -> Option<&Known> {
        let of_campaigns = self.campaigns.iter().flat_map(|of| &of.models);
        of_campaigns.chain(&self.uploaded).find(|known| known.id == id)
    }

    /// The model that was promoted for a campaign whose document gives this name.
    #[must_use]
    pub fn promoted(&self, campaign: &Id, name: &str) -> Option<&Promoted> {
        self.of(campaign)?.promoted.as_ref().filter(|promoted| promoted.over == name)
    }

    /// Takes in what serves each campaign of the document from now on. A document that names another model ends a promotion, and so
    /// does one without the campaign; another champion ends the challenge, and begins another reign. `time_ms` by the wall clock.
    pub fn see(&mut self, serving: &[Serving], time_ms: i64) {
        for Serving { campaign, name, model } in serving {
            let of = self.of_mut(campaign);
            of.promoted.take_if(|promoted| promoted.over != *name);
            of.crown(model.clone(), time_ms);
        }
        for of in &mut self.campaigns {
            if !serving.iter().any(|serving| serving.campaign == of.campaign) {
                of.promoted = None;
                of.crown(None, time_ms);
            }
        }
    }

    /// Notes a promotion that is about to be made: `promoted` is `None` where the model is what the document names anyway. The new
    /// champion is seen by [`Registry::see`].
    pub fn promote(
        &mut self,
        campaign: &Id,
        model: Known,
        promoted: Option<Promoted>,
        (who, time_ms): (&str, i64),
    ) {
        self.uploaded.retain(|uploaded| uploaded.id != model.id);
        let of = self.of_mut(campaign);
        let promotion =
            Promotion { time_ms, who: who.to_owned(), from: of.champion.clone(), to: model.id.clone() };
        of.promotions.push_back(promotion);
        if of.promotions.len() > KEPT_PROMOTIONS {
            of.promotions.pop_front();
        }
        of.promoted = promoted;
        of.crown(Some(model), time_ms);
    }

    /// Takes a candidate as the challenger of a campaign that has none. Its number is set here. `newest_ms` is the newest row that its
    /// training knew, in Unix milliseconds.
    pub fn challenge(&mut self, campaign: &Id, model: Known, challenger: Challenger, newest_ms: i64) {
        self.uploaded.retain(|uploaded| uploaded.id != model.id);
        let of = self.of_mut(campaign);
        // One that is later than now is of a clock that had jumped ahead.
        let before = of.trained_until_ms.filter(|until_ms| *until_ms <= challenger.fixed_ms);
        of.trained_until_ms = before.max(Some(newest_ms));
        // What it was before, it is no more.
        of.models.retain(|known| known.id != model.id || known.has_decided);
        of.note(model);
        of.challenger = Some(Challenger { number: of.reign.number(), ..challenger });
    }

    /// Takes in what a job has found of the challenger, where it is this one: what becomes of it. One that is futile or too old is
    /// dropped, and has spent its share; one that is to be promoted stays until it is.
    pub fn judge(&mut self, campaign: &Id, judged: &Judged) -> Option<Standing> {
        let of = self.of_mut(campaign);
        of.challenger.as_ref().filter(|challenger| challenger.id == judged.id)?;
        if let Some(known) = of.known_mut(&judged.id) {
            known.gate.clone_from(&judged.verdicts);
            known.standing = Some(judged.standing);
            known.sentence = Some(judged.sentence.clone());
            known.rows = Some(judged.rows);
            known.agreement = judged.agreement;
            known.would_have_profit_micro = judged.would_have_profit_micro;
        }
        let ended = match judged.standing {
            Standing::Futile => Ended::Futile,
            Standing::TooOld => Ended::TooOld,
            Standing::Promote | Standing::Stays | Standing::NotComputed => return Some(judged.standing),
        };
        of.challenger = None;
        of.reign = of.reign.after(ended);
        Some(judged.standing)
    }

    /// Notes what the last job of a campaign came to.
    pub fn say(&mut self, campaign: &Id, sentence: &str, time_ms: i64) {
        self.of_mut(campaign).said = Some(Said { time_ms, sentence: sentence.to_owned() });
    }

    /// Takes a model that somebody sent; `false` where it is known.
    pub fn upload(&mut self, model: Known) -> bool {
        let is_new = self.known(&model.id).is_none();
        if is_new {
            self.uploaded.push(model);
        }
        is_new
    }

    /// Forgets the oldest campaigns without a champion beyond [`KEPT_CAMPAIGNS`], and of each campaign, as of those that were uploaded, the
    /// oldest models beyond [`KEPT_MODELS`] that neither serve nor challenge. Gives the ids of those that are not known at
    /// all any more and have never decided: nothing names them. The file of one that has decided stays, since a decision that is
    /// kept may name it.
    pub fn trim(&mut self) -> Vec<String> {
        let mut forgotten: Vec<Known> = Vec::new();
        let mut extra =
            self.campaigns.iter().filter(|of| of.champion.is_none()).count().saturating_sub(KEPT_CAMPAIGNS);
        self.campaigns.retain_mut(|of| {
            let goes = extra > 0 && of.champion.is_none();
            if goes {
                extra -= 1;
                forgotten.append(&mut of.models);
            }
            !goes
        });
        for of in &mut self.campaigns {
            let former = |of: &OfCampaign, known: &Known| of.role(&known.id) == Role::Former;
            let mut extra =
                of.models.iter().filter(|known| former(of, known)).count().saturating_sub(KEPT_MODELS);
            while extra > 0 {
                let oldest = of.models.iter().position(|known| former(of, known));
                forgotten.extend(oldest.map(|oldest| of.models.remove(oldest)));
                extra -= 1;
            }
        }
        let extra = self.uploaded.len().saturating_sub(KEPT_MODELS);
        forgotten.extend(self.uploaded.drain(..extra));
        let is_gone = |known: &Known| !known.has_decided && self.known(&known.id).is_none();
        forgotten.into_iter().filter(is_gone).map(|known| known.id).collect()
    }

    /// Every model with its part: of each campaign the champion, the challenger, and those before, newest first; then those that
    /// were uploaded.
    #[must_use]
    pub fn listed(&self) -> Vec<Listed<'_>> {
        let mut all = Vec::new();
        for of in &self.campaigns {
            let models = of.models.iter().rev();
            let mut models: Vec<_> =
                models.map(|model| Listed { campaign: Some(of), role: of.role(&model.id), model }).collect();
            models.sort_by_key(|listed| listed.role as u8);
            all.extend(models);
        }
        let uploaded = self.uploaded.iter().rev();
        all.extend(uploaded.map(|model| Listed { campaign: None, role: Role::Uploaded, model }));
        all
    }
}

#[cfg(test)]
mod tests;
