//! The example of several campaigns that is part of the binary, and the models that its campaigns name.

use upbeat_core::model::read;

use super::model::BUILT_IN_MODEL;

/// The document of the four campaigns, as TOML.
pub const SHIPPED_CAMPAIGNS: &str = include_str!("../../../../model/campaigns.toml");

/// The files of the models by their names. Their probabilities are of an impression being clicked.
const MODELS: [(&str, &[u8]); 4] = [
    ("gold-one-day", include_bytes!("../../../../model/impression/gold-one-day.json")),
    ("free-referral", include_bytes!("../../../../model/impression/free-referral.json")),
    ("charity-donation", include_bytes!("../../../../model/impression/charity-donation.json")),
    ("facebook-like", include_bytes!("../../../../model/impression/facebook-like.json")),
];

/// The file of the shipped model of this name, for [`upbeat_core::model::read`]; `None` for other names, that of the built-in
/// `default` included.
#[must_use]
pub fn shipped_model(name: &str) -> Option<&'static [u8]> {
    MODELS.iter().find(|(known, _)| *known == name).map(|(_, file)| *file)
}

/// The file of the model that is served where none is configured, for [`upbeat_core::model::read`].
#[must_use]
pub const fn default_model() -> &'static [u8] {
    BUILT_IN_MODEL
}

/// The file of the model of this id, as answers tell it, if the binary has it: the built-in one or one of [`shipped_model`].
#[must_use]
pub fn model_in_binary(id: &str) -> Option<&'static [u8]> {
    let files = MODELS.iter().map(|(_, file)| *file).chain([BUILT_IN_MODEL]);
    let is_it = |file: &&[u8]| read(file).is_ok_and(|model| model.id() == id);
    files.into_iter().find(is_it)
}
