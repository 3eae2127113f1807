//! Records that tests of several modules are made of.

use std::sync::Arc;

use upbeat_core::event::Id;
use upbeat_engine::Entry;
use upbeat_engine::campaigns::{CampaignVersion, KeptCampaigns};

/// A version of the campaigns: this document, of one campaign with this id.
pub(crate) fn version(version: u64, campaign: &str, toml: &str) -> Entry {
    let version = CampaignVersion {
        version,
        time_ms: 0,
        who: "somebody".to_owned(),
        changed: Vec::new(),
        digest: [0; 32],
    };
    let slots = vec![Id::Text(campaign.into())];
    Entry::Campaigns(Box::new(KeptCampaigns {
        version,
        toml: Arc::from(toml),
        file_digest: None,
        slots,
        models: None,
    }))
}
