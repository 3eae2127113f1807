//! The parts of records as bytes: events, answers, tracks, what a process begins with.

use upbeat_core::campaign::{Cap, Single};
use upbeat_core::catalogue::Track;
use upbeat_core::decision::Score;
use upbeat_core::encoding::{
    DecodeError, Decoder, put_id, put_level, put_time, put_varint, unzigzag, zigzag,
};
use upbeat_core::event::{ClickOf, DecisionId, Event, EventKind, Id, ImpressionOf, PackedTime, Time};
use upbeat_core::profile::Window;

use super::entry::{Answered, Entry, Started};
use crate::decision_ids::IdKey;
use crate::{ModelId, RequestId, Tombstone};

/// The longest text of a track, in bytes.
const MOST_TEXT: usize = 1 << 20;

/// A play whose ids are numbers and whose time is packed, in 32 bytes:
/// customer u64, event id u64, seconds u32, rest of the time u32, track and whether on a phone u32, last event u32.
pub(super) fn usual_play(event: &Event, last_event_s: u32) -> Option<[u8; 32]> {
    let (Id::Number(customer), Id::Number(event_id)) = (&event.customer, &event.id) else { return None };
    let EventKind::Play { track: Id::Number(track), mobile } = &event.kind else { return None };
    let track = u32::try_from(*track).ok().filter(|track| *track < 1 << 31)?;
    let PackedTime { seconds, fine } = event.time.pack()?;
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&customer.to_le_bytes());
    bytes[8..16].copy_from_slice(&event_id.to_le_bytes());
    bytes[16..20].copy_from_slice(&seconds.to_le_bytes());
    bytes[20..24].copy_from_slice(&fine.to_le_bytes());
    bytes[24..28].copy_from_slice(&(track << 1 | u32::from(*mobile)).to_le_bytes());
    bytes[28..].copy_from_slice(&last_event_s.to_le_bytes());
    Some(bytes)
}

pub(super) fn decode_usual_play(from: &mut Decoder<'_>) -> Result<Entry, DecodeError> {
    let (customer, event_id) = (from.u64("a customer")?, from.u64("an event id")?);
    let packed = PackedTime { seconds: from.u32("a time")?, fine: from.u32("a time")? };
    let (track, last_event_s) = (from.u32("a track")?, from.u32("the last event")?);
    let time = packed.checked().ok_or_else(|| DecodeError::bad("a time", packed.fine))?;
    let kind = EventKind::Play { track: Id::Number(u64::from(track >> 1)), mobile: track & 1 == 1 };
    let event = Event { customer: Id::Number(customer), id: Id::Number(event_id), time, kind };
    Ok(Entry::Event { event, last_event_s })
}

/// What kind of event it is.
const PLAY: u8 = 0;
const MOBILE_PLAY: u8 = 1;
const CLICK: u8 = 2;
const IMPRESSION: u8 = 3;
const CONFIRMATION: u8 = 4;
const MEMBERSHIP: u8 = 5;
const CLICK_OF_DECISION: u8 = 6;
/// The same, with the ad of the decision's campaign behind the decision.
const CLICK_OF_KNOWN_AD: u8 = 7;
const VOID: u8 = 8;

pub(super) fn event_bytes(event: &Event, last_event_s: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(96);
    let into = &mut bytes;
    put_id(into, event.customer.as_ref());
    put_varint(into, last_event_s.into());
    put_id(into, event.id.as_ref());
    put_time(into, event.time);
    match &event.kind {
        EventKind::Play { track, mobile } => {
            into.push(if *mobile { MOBILE_PLAY } else { PLAY });
            put_id(into, track.as_ref());
        }
        EventKind::Click { of: ClickOf::Ad(ad) } => {
            into.push(CLICK);
            put_id(into, ad.as_ref());
        }
        EventKind::Click { of: ClickOf::Decision { decision, ad } } => {
            into.push(if ad.is_some() { CLICK_OF_KNOWN_AD } else { CLICK_OF_DECISION });
            into.extend_from_slice(&decision.0.to_le_bytes());
            ad.iter().for_each(|ad| put_id(into, ad.as_ref()));
        }
        EventKind::Void { decision } => {
            into.push(VOID);
            into.extend_from_slice(&decision.0.to_le_bytes());
        }
        EventKind::Impression(ImpressionOf::Campaign(campaign)) => {
            into.push(IMPRESSION);
            put_id(into, campaign.as_ref());
        }
        EventKind::Impression(ImpressionOf::Decision(decision)) => {
            into.push(CONFIRMATION);
            into.extend_from_slice(&decision.0.to_le_bytes());
        }
        EventKind::Membership(level) => {
            into.push(MEMBERSHIP);
            put_level(into, *level);
        }
    }
    bytes
}

pub(super) fn decode_event(from: &mut Decoder<'_>) -> Result<Entry, DecodeError> {
    let customer = from.id("a customer")?;
    let last_event_s = from.varint_u32("the last event")?;
    let (id, time) = (from.id("an event id")?, from.time("a time")?);
    let kind = match from.byte("an event's kind")? {
        kind @ (PLAY | MOBILE_PLAY) => {
            EventKind::Play { track: from.id("a track")?, mobile: kind == MOBILE_PLAY }
        }
        CLICK => EventKind::click(from.id("an ad")?),
        form @ (CLICK_OF_DECISION | CLICK_OF_KNOWN_AD) => {
            let decision = DecisionId(from.u64("a decision")?);
            let ad = (form == CLICK_OF_KNOWN_AD).then(|| from.id("an ad")).transpose()?;
            EventKind::Click { of: ClickOf::Decision { decision, ad } }
        }
        VOID => EventKind::Void { decision: DecisionId(from.u64("a decision")?) },
        IMPRESSION => EventKind::Impression(ImpressionOf::Campaign(from.id("a campaign")?)),
        CONFIRMATION => EventKind::Impression(ImpressionOf::Decision(DecisionId(from.u64("a decision")?))),
        MEMBERSHIP => EventKind::Membership(from.level("a level")?),
        kind => return Err(DecodeError::bad("an event's kind", kind)),
    };
    Ok(Entry::Event { event: Event { customer, id, time, kind }, last_event_s })
}

/// An instant of the engine's clock.
pub(super) fn decode_ms(from: &mut Decoder<'_>, what: &'static str) -> Result<i64, DecodeError> {
    let unix_ms = unzigzag(from.varint(what)?);
    Time::from_parts(unix_ms, 0, false)
        .map(|time| time.unix_ms)
        .ok_or_else(|| DecodeError::bad(what, unix_ms))
}

const HAS_SCORE: u8 = 1;
const HAS_PROBABILITY: u8 = 2;
const HAS_MODEL: u8 = 4;

/// Appends an answer to a request.
pub(crate) fn encode_answer(answer: &Answered, into: &mut Vec<u8>) {
    put_varint(into, zigzag(answer.made_ms));
    let probability = answer.score.and_then(|score| score.probability);
    let flag = |there: bool, flag: u8| if there { flag } else { 0 };
    into.push(
        flag(answer.score.is_some(), HAS_SCORE)
            | flag(probability.is_some(), HAS_PROBABILITY)
            | flag(answer.model.is_some(), HAS_MODEL),
    );
    for value in answer.score.map(|score| score.value).into_iter().chain(probability) {
        into.extend_from_slice(&value.to_bits().to_le_bytes());
    }
    if let Some(model) = answer.model {
        put_text(into, model.as_str());
    }
    put_text(into, answer.request.as_str());
}

/// Reads what [`encode_answer`] wrote.
pub(crate) fn decode_answer(from: &mut Decoder<'_>) -> Result<Answered, DecodeError> {
    let made_ms = decode_ms(from, "when a request was answered")?;
    let flags = from.byte("an answer's parts")?;
    if flags > 7 || flags & HAS_PROBABILITY != 0 && flags & HAS_SCORE == 0 {
        return Err(DecodeError::bad("an answer's parts", flags));
    }
    let mut score = None;
    if flags & HAS_SCORE != 0 {
        let value = f64::from_bits(from.u64("a score")?);
        let probability = match flags & HAS_PROBABILITY {
            0 => None,
            _ => Some(f64::from_bits(from.u64("a probability")?)),
        };
        score = Some(Score { value, probability });
    }
    let model = match flags & HAS_MODEL {
        0 => None,
        _ => Some(decode_model(text(from, 15, "a model's id")?)?),
    };
    let request = text(from, 4 * 64, "a request's id")?;
    let request = RequestId::parse(request).map_err(|error| DecodeError::bad("a request's id", error))?;
    Ok(Answered { request, made_ms, score, model })
}

pub(super) fn decode_model(text: &str) -> Result<ModelId, DecodeError> {
    let model = ModelId::new(text);
    if model.as_str() == text { Ok(model) } else { Err(DecodeError::bad("a model's id", text)) }
}

pub(super) fn put_text(into: &mut Vec<u8>, text: &str) {
    put_varint(into, text.len() as u64);
    into.extend_from_slice(text.as_bytes());
}

pub(super) fn text<'a>(
    from: &mut Decoder<'a>,
    most: usize,
    what: &'static str,
) -> Result<&'a str, DecodeError> {
    let count = from.count(most, what)?;
    str::from_utf8(from.bytes(count, what)?).map_err(|error| DecodeError::bad(what, error))
}

/// Appends a track.
pub(crate) fn encode_track(track: &Track, into: &mut Vec<u8>) {
    put_text(into, &track.title);
    put_text(into, &track.artist);
    put_varint(into, track.length_s.into());
}

/// Reads what [`encode_track`] wrote.
pub(crate) fn decode_track(from: &mut Decoder<'_>) -> Result<Track, DecodeError> {
    Ok(Track {
        title: text(from, MOST_TEXT, "a title")?.into(),
        artist: text(from, MOST_TEXT, "an artist")?.into(),
        length_s: from.varint_u32("a length")?,
    })
}

/// Bytes of a tombstone in a record: digest, erased until i64, made i64. An erasure's customer follows.
pub(crate) const TOMBSTONE_BYTES: usize = 32;

/// Appends a tombstone but for its position, which is that of the record.
pub(crate) fn put_tombstone(into: &mut Vec<u8>, tombstone: &Tombstone) {
    into.extend_from_slice(&tombstone.digest);
    into.extend_from_slice(&tombstone.erased_until_ms.to_le_bytes());
    into.extend_from_slice(&tombstone.made_ms.to_le_bytes());
}

/// Reads what [`put_tombstone`] wrote, with position 0.
pub(crate) fn decode_tombstone(from: &mut Decoder<'_>) -> Result<Tombstone, DecodeError> {
    let what = "a tombstone";
    let mut digest = [0; 16];
    digest.copy_from_slice(from.bytes(16, what)?);
    let (erased_until_ms, made_ms) = (from.u64(what)? as i64, from.u64(what)? as i64);
    Ok(Tombstone { digest, erased_until_ms, made_ms, position: 0 })
}

/// Appends what a process begins with.
pub(crate) fn encode_started(started: &Started, into: &mut Vec<u8>) {
    let Started { window, campaign, clock_key, id_key } = started;
    put_varint(into, window.plays.into());
    put_varint(into, window.days.into());
    if let Some(campaign) = campaign {
        put_single(into, campaign);
    }
    for key in [*clock_key, id_key.0[0], id_key.0[1]] {
        into.extend_from_slice(&key.to_le_bytes());
    }
}

/// The most plays of a window before counts of them had two bytes.
const FORMER_MAX_PLAYS: u32 = 65_536;

/// Reads what [`encode_started`] wrote; `has_campaign` for a version that ran one campaign.
pub(crate) fn decode_started(from: &mut Decoder<'_>, has_campaign: bool) -> Result<Started, DecodeError> {
    let window = Window { plays: from.varint_u32("window.plays")?, days: from.varint_u32("window.days")? };
    // A log of an earlier version may be of one play more than a window has now.
    let is_former = window.plays == FORMER_MAX_PLAYS;
    let checked = if is_former { Window { plays: FORMER_MAX_PLAYS - 1, ..window } } else { window };
    if let Some((key, _)) = checked.range_error() {
        return Err(DecodeError::bad("a window", key));
    }
    let campaign = if has_campaign { Some(decode_single(from)?) } else { None };
    let clock_key = from.u64("the key of a clock")?;
    let id_key = IdKey([from.u64("the key of ids")?, from.u64("the key of ids")?]);
    Ok(Started { window, campaign, clock_key, id_key })
}

/// Appends the campaign of a process of a version that ran one.
fn put_single(into: &mut Vec<u8>, campaign: &Single) {
    put_id(into, campaign.id.as_ref());
    put_id(into, campaign.ad.as_ref());
    put_varint(into, campaign.audience.len() as u64);
    campaign.audience.iter().for_each(|level| put_level(into, *level));
    put_varint(into, campaign.min_plays.into());
    put_varint(into, campaign.cap.impressions.into());
    put_varint(into, campaign.cap.hours.into());
    for value in [campaign.threshold, campaign.impression_cost, campaign.click_value] {
        into.extend_from_slice(&value.to_bits().to_le_bytes());
    }
}

fn decode_single(from: &mut Decoder<'_>) -> Result<Single, DecodeError> {
    let (id, ad) = (from.id("a campaign's id")?, from.id("a campaign's ad")?);
    let mut audience = Vec::new();
    for _ in 0..from.count(64, "an audience")? {
        audience.push(from.level("an audience")?);
    }
    let min_plays = from.varint_u32("min_plays")?;
    let cap = Cap { impressions: from.varint_u32("a cap")?, hours: from.varint_u32("a cap")? };
    let mut number = || Ok::<_, DecodeError>(f64::from_bits(from.u64("a campaign's numbers")?));
    let (threshold, impression_cost, click_value) = (number()?, number()?, number()?);
    Ok(Single { id, ad, audience, min_plays, threshold, cap, impression_cost, click_value })
}
