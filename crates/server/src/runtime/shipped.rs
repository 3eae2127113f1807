//! The example of several campaigns that is part of the binary, and the models that its campaigns name.

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
