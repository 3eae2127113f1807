//! The bytes of versions of the campaigns.

use std::sync::Arc;

use upbeat_core::encoding::{DecodeError, Decoder, put_id, put_varint, zigzag};

use super::parts::{decode_model, decode_ms, put_text, text};
use crate::campaigns::{CampaignVersion, KeptCampaigns, MAX_BYTES, MAX_WHO, MOST_SLOTS, NamedModel};

/// The most changes that a version lists, and the longest text of one, in bytes: far more than are written.
const MOST_CHANGES: usize = 1_000;
const MOST_CHANGE: usize = 4_096;

/// The most models of a version, and the longest of their names, in bytes: more than a document has.
const MOST_MODELS: usize = 1_000;
const MOST_NAME: usize = 1_000;

/// What is there of the parts that may be absent.
const HAS_FILE: u8 = 1;
const HAS_MODELS: u8 = 2;

/// Appends what is kept of campaigns.
pub(crate) fn put_campaigns(into: &mut Vec<u8>, kept: &KeptCampaigns) {
    let KeptCampaigns { version, toml, file_digest, slots, models } = kept;
    put_version(into, version);
    let flag = |there: bool, flag: u8| if there { flag } else { 0 };
    into.push(flag(file_digest.is_some(), HAS_FILE) | flag(models.is_some(), HAS_MODELS));
    into.extend_from_slice(file_digest.as_ref().map_or(&[], |digest| digest.as_slice()));
    put_varint(into, slots.len() as u64);
    slots.iter().for_each(|id| put_id(into, id.as_ref()));
    put_text(into, toml);
    if let Some(models) = models {
        put_varint(into, models.len() as u64);
        for NamedModel { name, id } in models {
            put_text(into, name);
            put_text(into, id.as_str());
        }
    }
}

/// Reads what [`put_campaigns`] wrote.
pub(crate) fn decode_campaigns(from: &mut Decoder<'_>) -> Result<KeptCampaigns, DecodeError> {
    let version = decode_version(from)?;
    let flags = from.byte("the parts of campaigns")?;
    if flags & !(HAS_FILE | HAS_MODELS) != 0 {
        return Err(DecodeError::bad("the parts of campaigns", flags));
    }
    let file_digest = (flags & HAS_FILE != 0).then(|| decode_digest(from)).transpose()?;
    let mut slots = Vec::new();
    for _ in 0..from.count(MOST_SLOTS, "the ids of campaigns")? {
        slots.push(from.id("a campaign's id")?);
    }
    let toml: Arc<str> = text(from, MAX_BYTES, "the text of campaigns")?.into();
    let models = (flags & HAS_MODELS != 0).then(|| decode_models(from)).transpose()?;
    Ok(KeptCampaigns { version, toml, file_digest, slots, models })
}

fn decode_models(from: &mut Decoder<'_>) -> Result<Vec<NamedModel>, DecodeError> {
    let mut models = Vec::new();
    for _ in 0..from.count(MOST_MODELS, "the models of campaigns")? {
        let name = text(from, MOST_NAME, "a model's name")?.to_owned();
        let id = decode_model(text(from, 15, "a model's id")?)?;
        models.push(NamedModel { name, id });
    }
    Ok(models)
}

/// Appends a version as the history has it.
pub(crate) fn put_version(into: &mut Vec<u8>, version: &CampaignVersion) {
    let CampaignVersion { version, time_ms, who, changed, digest } = version;
    put_varint(into, *version);
    put_varint(into, zigzag(*time_ms));
    put_text(into, who);
    put_varint(into, changed.len() as u64);
    changed.iter().for_each(|change| put_text(into, change));
    into.extend_from_slice(digest);
}

/// Reads what [`put_version`] wrote.
pub(crate) fn decode_version(from: &mut Decoder<'_>) -> Result<CampaignVersion, DecodeError> {
    let version = from.varint("a version of the campaigns")?;
    let time_ms = decode_ms(from, "when campaigns changed")?;
    let who = text(from, MAX_WHO, "who changed campaigns")?.to_owned();
    let mut changed = Vec::new();
    for _ in 0..from.count(MOST_CHANGES, "changes of campaigns")? {
        changed.push(text(from, MOST_CHANGE, "a change of campaigns")?.to_owned());
    }
    Ok(CampaignVersion { version, time_ms, who, changed, digest: decode_digest(from)? })
}

fn decode_digest(from: &mut Decoder<'_>) -> Result<[u8; 32], DecodeError> {
    let mut digest = [0; 32];
    digest.copy_from_slice(from.bytes(32, "a digest")?);
    Ok(digest)
}
