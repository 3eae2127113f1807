//! The one way to declare a family that this crate counts: with its help and, by its type, with every known combination
//! of its labels.

use std::fmt::Debug;
use std::hash::Hash;

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Metric, Registry};

use super::labels::KnownLabels;

/// Families by labels, shared by all who count in them.
type Counted<L, M> = Family<L, M>;

/// Declares families in a registry.
pub(super) struct Declare<'a>(pub(super) &'a mut Registry);

impl Declare<'_> {
    /// A family with labels, with every known combination at 0.
    pub(super) fn family<L, M>(&mut self, name: &str, help: &str) -> Counted<L, M>
    where
        L: KnownLabels + EncodeLabelSet + Clone + Hash + Eq + Debug + Send + Sync + 'static,
        M: Default + Clone + EncodeMetric + TypedMetric + Debug + Send + Sync + 'static,
    {
        let family = Counted::<L, M>::default();
        for labels in L::known() {
            drop(family.get_or_create(&labels));
        }
        self.0.register(name, help, family.clone());
        family
    }

    /// A family without labels, at 0.
    pub(super) fn single<M: Default + Clone + Metric>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.0.register(name, help, metric.clone());
        metric
    }
}
