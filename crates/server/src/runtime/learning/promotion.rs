//! What changes which model serves a campaign: promotions, uploads, and what the server sees after every change of campaigns.

use std::sync::Arc;

use upbeat_core::campaign::Served;
use upbeat_core::event::Id;
use upbeat_core::model::serving_notes;
use upbeat_engine::campaigns::{Current, DEFAULT_MODEL, NotSet};
use upbeat_learn::registry::{Known, Promoted, Registry, Serving, Source};
use upbeat_svm::Model;

use super::super::app::App;
use super::super::campaigns::{KeepError, keep_model, note};
use super::super::durability::Fate;
use super::super::model::{LoadError, of_bytes, read_copy};
use super::super::shipped::shipped_model;
use super::store::{is_id, path_of, promoted, serving};
use crate::api::{Kind, Problem};

/// The longest model that is taken over HTTP, in bytes.
pub(crate) const MAX_MODEL_BYTES: usize = 16 << 20;

/// Why no model was promoted: the former one stays in force.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotPromoted {
    #[error("no campaign {0} runs; GET /campaigns has those that do")]
    NoCampaign(Id),
    #[error("no model {0} is known here; GET /models lists those that are, and PUT /models/{0} takes one")]
    NoModel(String),
    #[error("{0}")]
    Model(String),
    #[error(transparent)]
    Keep(#[from] KeepError),
    #[error(transparent)]
    NotSet(NotSet),
}

impl From<NotPromoted> for Problem {
    fn from(error: NotPromoted) -> Self {
        let kind = match &error {
            NotPromoted::NoCampaign(_) => Kind::CampaignNotFound,
            NotPromoted::NoModel(_) => Kind::ModelNotFound,
            NotPromoted::Model(_) | NotPromoted::NotSet(NotSet::Invalid(_)) => Kind::InvalidModel,
            NotPromoted::NotSet(NotSet::TooLarge(..)) => Kind::BodyTooLarge,
            NotPromoted::NotSet(NotSet::LogUnavailable) => Kind::LogUnavailable,
            NotPromoted::Keep(_) => Kind::Internal,
        };
        Self::new(kind, error.to_string())
    }
}

/// A model that was sent.
pub(crate) struct Uploaded {
    /// What is known of it.
    pub(crate) model: Known,
    /// Whether it was not known before.
    pub(crate) is_new: bool,
}

impl App {
    /// Has a model decide for a campaign from now on. Gives the version of the campaigns once it is durable; it is the present one
    /// where the model decides already.
    ///
    /// # Errors
    /// The problem to answer with; unless it is that nobody knows whether it is durable, the former model stays.
    pub(crate) async fn promote(
        self: Arc<Self>,
        campaign: Id,
        id: String,
        who: String,
    ) -> Result<Arc<Current>, Problem> {
        let this = Arc::clone(&self);
        let promote = move || {
            let _alone = this.one_change_of_campaigns();
            this.promote_alone(&campaign, &id, &who)?;
            Ok::<_, NotPromoted>(this.engine.campaigns())
        };
        let promoted = tokio::task::spawn_blocking(promote).await;
        let current = promoted.map_err(|error| Problem::new(Kind::Internal, error.to_string()))??;
        self.durable().await?;
        Ok(current)
    }

    /// Waits until what was published is durable.
    ///
    /// # Errors
    /// The log does not say so in time.
    pub(in crate::runtime) async fn durable(&self) -> Result<(), Problem> {
        if let Some(barrier) = self.durability().barrier() {
            let timeout = self.config.ack_timeout;
            if self.durability().fate_within(barrier, timeout.get()).await != Fate::Durable {
                self.metrics.acks_unknown.inc();
                return Err(Problem::fate_unknown(timeout));
            }
        }
        Ok(())
    }

    /// Has a model decide for a campaign from now on, whose mode nobody asks for here. To be called under the lock of the campaigns.
    ///
    /// # Errors
    /// It cannot: the former model stays.
    pub(super) fn promote_alone(&self, campaign: &Id, id: &str, who: &str) -> Result<(), NotPromoted> {
        let current = self.engine.campaigns();
        let index = current.plan.find(campaign).ok_or_else(|| NotPromoted::NoCampaign(campaign.clone()))?;
        let planned = &current.plan.campaigns[index];
        let before = planned.model.map(|model| &current.plan.models[model]);
        if before.is_some_and(|served| served.id == id) {
            return Ok(());
        }
        let name = &current.document.campaign[planned.place].model;
        let model = self.model_of(id)?;
        let served = serving(name, Arc::clone(&model)).only_for(campaign.clone());
        self.engine.try_model(&served).map_err(|invalid| NotPromoted::Model(invalid.reason))?;
        note([&served]);
        // What the document names anyway needs nothing in its place, and follows its file again.
        let is_named = self.engine.served(name).is_some_and(|named| named.id == id);
        let over = (!is_named).then(|| Promoted { id: id.to_owned(), over: name.clone() });
        let mut all = self.learning().state().promoted.clone();
        all.retain(|other| !other.replaces(&served));
        all.extend((!is_named).then_some(served));
        self.keep_model(&model)?;

        let former = self.learning().registry();
        let mut next = former.clone();
        let known = next.of(campaign).and_then(|of| of.known(id)).or_else(|| next.known(id)).cloned();
        let known = known.unwrap_or_else(|| Known::new(&model, Source::File, self.wall_ms()));
        next.promote(campaign, known, over, (who, self.wall_ms()));
        tell_dropped(&former, &next);
        // First what is meant, then what follows from it: a start makes the version that is missing.
        self.commit(next)?;
        let version = match self.engine.set_models(&all, who, self.wall_ms()) {
            Ok(version) => version,
            Err(error) => {
                self.commit(former)?;
                return Err(NotPromoted::NotSet(error));
            }
        };
        self.learning().state().promoted = all;
        self.metrics.learning.count_promotion();
        let from = before.map(|served| &*served.id);
        tracing::info!(%campaign, from, to = id, who, version, "a model is promoted");
        self.see_models();
        self.write_registry()?;
        Ok(())
    }

    /// A model by its id: of those that serve, that were uploaded or trained, or whose copies are kept.
    ///
    /// # Errors
    /// There is none, or it cannot be served here.
    fn model_of(&self, id: &str) -> Result<Arc<Model>, NotPromoted> {
        let current = self.engine.campaigns();
        if let Some(served) = current.plan.models.iter().find(|served| served.id == id) {
            return Ok(Arc::clone(&served.model));
        }
        let named =
            current.document.campaign.iter().filter_map(|campaign| self.engine.served(&campaign.model));
        if let Some(served) = named.into_iter().find(|served| served.id == id) {
            return Ok(served.model);
        }
        if let Some(model) = self.learning().state().models.get(id) {
            return Ok(Arc::clone(model));
        }
        let unknown = || NotPromoted::NoModel(id.to_owned());
        let kept = self.kept().filter(|_| is_id(id)).ok_or_else(unknown)?;
        let path = path_of(&kept.data_dir, id);
        if !path.is_file() {
            return Err(unknown());
        }
        let model = read_copy(&path, id, self.config.window);
        let damaged = |error| {
            NotPromoted::Model(format!("{error}; PUT /models/{id} with the model puts its file right"))
        };
        Ok(Arc::new(model.map_err(damaged)?))
    }

    /// Keeps a model under its id, durably where something is kept.
    ///
    /// # Errors
    /// The disk failed.
    pub(super) fn keep_model(&self, model: &Arc<Model>) -> Result<(), KeepError> {
        match self.kept() {
            Some(kept) => keep_model(&kept.data_dir, model),
            None => {
                self.learning().state().models.insert(model.id().to_owned(), Arc::clone(model));
                Ok(())
            }
        }
    }

    /// Takes a model that somebody sent under this id.
    ///
    /// # Errors
    /// The problem to answer with; nothing is changed.
    pub(crate) async fn upload_model(
        self: Arc<Self>,
        id: String,
        bytes: Vec<u8>,
    ) -> Result<Uploaded, Problem> {
        let upload = move || {
            let model = of_bytes("the model", &bytes, self.config.window);
            let refused = |error: LoadError| Problem::new(Kind::InvalidModel, error.to_string());
            let model = Arc::new(model.map_err(refused)?);
            if model.id() != id {
                let right = model.id();
                let detail = format!(
                    "the body is the model {right}, whose id follows from its content, and the path says {id:?}: send it to \
                     /models/{right}"
                );
                return Err(Problem::new(Kind::OtherModel, detail));
            }
            let failed = |error: KeepError| Problem::new(Kind::Internal, error.to_string());
            let _alone = self.one_change_of_campaigns();
            // A file that is here already, and that nobody knows of, may have decided before there was a registry.
            let is_kept = self.kept().is_some_and(|kept| path_of(&kept.data_dir, &id).is_file());
            self.keep_model(&model).map_err(failed)?;
            let mut next = self.learning().registry();
            let known =
                Known { has_decided: is_kept, ..Known::new(&model, Source::Uploaded, self.wall_ms()) };
            let is_new = next.upload(known.clone());
            let model = next.known(&id).cloned().unwrap_or(known);
            self.commit(next).map_err(failed)?;
            if is_new {
                tracing::info!(model = id, "a model was uploaded");
            }
            Ok(Uploaded { model, is_new })
        };
        let uploaded = tokio::task::spawn_blocking(upload).await;
        uploaded.map_err(|error| Problem::new(Kind::Internal, error.to_string()))?
    }

    /// The models that were promoted for campaigns of a document, as they are served: to be given to the engine with the document. Where
    /// the file of one is gone or damaged, its promotion is over, and the log says so.
    pub(in crate::runtime) fn promoted_models(
        &self,
        document: &upbeat_core::campaign::Document,
    ) -> Vec<Served> {
        let Some(kept) = self.kept() else {
            let state = self.learning().state();
            let is_in_force = |served: &&Served| {
                let only = served.only.as_ref();
                document.campaign.iter().any(|campaign| {
                    only == Some(&campaign.id)
                        && state
                            .registry
                            .promoted(&campaign.id, &campaign.model)
                            .is_some_and(|it| it.id == served.id)
                })
            };
            return state.promoted.iter().filter(is_in_force).cloned().collect();
        };
        let mut state = self.learning().state();
        let of = (document, &*kept.data_dir, self.config.window);
        let (served, failed) = promoted(&state.registry, of, &state.promoted);
        for (campaign, error) in failed {
            tracing::error!(%campaign, "the model that was promoted is not served, and the one that the campaign names is: {error}");
            let sentence = format!("The model that was promoted cannot be served any more: {error}.");
            state.registry.of_mut(&campaign).promoted = None;
            state.registry.say(&campaign, &sentence, self.wall_ms());
        }
        served
    }

    /// Who has asked for a model that serves a campaign of a document and that the log does not know of yet: a kill came between a
    /// promotion and its version.
    pub(in crate::runtime) fn promoted_before(&self, current: &Current, models: &[Served]) -> Option<String> {
        let registry = self.learning().registry();
        current.document.campaign.iter().find_map(|campaign| {
            let last = registry.of(&campaign.id)?.promotions.back()?;
            let own = models.iter().find(|served| served.only.as_ref() == Some(&campaign.id));
            let named =
                || models.iter().find(|served| served.only.is_none() && served.name == campaign.model);
            let served = own.or_else(named)?;
            let is_missing = served.id == last.to && !self.engine.has_recorded(std::slice::from_ref(served));
            is_missing.then(|| last.who.clone())
        })
    }

    /// Takes in what serves the campaigns that run. To be called after every change of them, under their lock; what follows of it is
    /// written once the change is durable, so that a loss of power leaves both or none.
    pub(in crate::runtime) fn see_models(&self) {
        let current = self.engine.campaigns();
        let mut next = self.learning().registry();
        let serving = current.plan.campaigns.iter().map(|planned| {
            let name = &current.document.campaign[planned.place].model;
            let model = planned.model.map(|model| {
                let served = &current.plan.models[model];
                let known = next.of(&planned.id).and_then(|of| of.known(&served.id)).cloned();
                let source = known.as_ref().map_or_else(|| self.source_of(served), |known| known.source);
                let new = Known::new(&served.model, source, self.wall_ms());
                Known { properties: new.properties.clone(), ..known.unwrap_or(new) }
            });
            Serving { campaign: planned.id.clone(), name: name.clone(), model }
        });
        let serving: Vec<_> = serving.collect();
        next.see(&serving, self.wall_ms());
        let mut state = self.learning().state();
        tell_dropped(&state.registry, &next);
        state.promoted.retain(|served| {
            let only = served.only.as_ref();
            only.is_some_and(|only| next.promoted(only, &served.name).is_some_and(|it| it.id == served.id))
        });
        state.is_unwritten |= next != state.registry;
        state.registry = next;
    }

    fn source_of(&self, served: &Served) -> Source {
        if served.name == DEFAULT_MODEL {
            return if self.config.model.is_empty() { Source::Shipped } else { Source::File };
        }
        let shipped = shipped_model(&served.name).and_then(|bytes| Model::read(bytes).ok());
        if shipped.is_some_and(|model| model.id() == served.id) { Source::Shipped } else { Source::File }
    }
}

/// Says of challengers that are gone because their champions are that they are.
fn tell_dropped(before: &Registry, after: &Registry) {
    for of in &before.campaigns {
        let (Some(challenger), Some(now)) = (&of.challenger, after.of(&of.campaign)) else { continue };
        if now.challenger.is_none() && now.champion.as_ref() != Some(&challenger.id) {
            let (campaign, model) = (&of.campaign, &challenger.id);
            tracing::info!(%campaign, model, "a challenger is dropped: its champion is another since now");
        }
    }
}

/// Why a model that was trained here cannot challenge anybody.
pub(super) fn unfit(model: &Model) -> Option<String> {
    serving_notes(model).into_iter().next()
}
