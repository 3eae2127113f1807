//! A profile as bytes, in snapshots: all that later answers depend on, whatever its layout in memory.
//!
//! ```text
//! flags u8: which of the parts below there are
//! plays         count, then a column after another: seconds, tracks, event ids, perhaps the rest of times
//! memberships, impressions, clicks    count, then an entry after another
//! dropped plays, memberships, impressions, clicks    count, then a fingerprint of four bytes after another
//! ```
//!
//! Seconds and event ids are written as differences to the play before: plays ascend by time, and senders mostly count.

use super::dropped::{DROPPED_LIMIT, Dropped};
use super::impression::{EventRef, Impression, ImpressionSource};
use super::impressions::AdHistory;
use super::membership::{HISTORY_LIMIT, LatestMembership};
use super::packed::{PackedPlay, PackedPlays};
use super::plays::{Play, Plays};
use super::recent::{Recent, RecentEntry};
use super::{AD_HISTORY_LIMIT, Click, Extras, MembershipChange, PlayRef, Profile, Window};
use crate::encoding::{DecodeError, Decoder, put_id, put_level, put_time, put_varint, unzigzag, zigzag};
use crate::event::{DecisionId, Id, PackedTime};

const USUAL_PLAYS: u8 = 1;
/// Besides [`USUAL_PLAYS`]: times have milliseconds or offsets.
const FINE_TIMES: u8 = 2;
/// Besides [`USUAL_PLAYS`]: an event id takes more than 32 bits.
const WIDE_EVENTS: u8 = 128;
const OTHER_PLAYS: u8 = 4;
const MEMBERSHIPS: u8 = 8;
const IMPRESSIONS: u8 = 16;
const CLICKS: u8 = 32;
const DROPPED: u8 = 64;

/// The most plays, a full window.
const MOST_PLAYS: usize = *Window::PLAYS.end() as usize;

/// The most impressions that are read: no configuration comes near it.
const MOST_IMPRESSIONS: usize = 1 << 20;

impl Profile {
    /// Appends all that later answers depend on. Profiles that were made of the same events in the same order give the same
    /// bytes.
    pub fn encode(&self, into: &mut Vec<u8>) {
        let flags_at = into.len();
        into.push(0);
        let mut flags = encode_plays(&self.plays, into);
        let memberships = self.membership.changes(self.listed_memberships());
        flags |= encode_list(&memberships, MEMBERSHIPS, into, |change, into| {
            put_time(into, change.time);
            put_id(into, change.event_id.as_ref());
            put_level(into, change.level);
        });
        flags |= encode_list(self.kept_impressions(), IMPRESSIONS, into, encode_impression);
        flags |= encode_list(self.clicks(), CLICKS, into, |click, into| {
            put_time(into, click.time);
            put_id(into, click.event_id.as_ref());
            if let Some(decision) = click.decision {
                into.push(CLICK_OF_DECISION);
                into.extend_from_slice(&decision.0.to_le_bytes());
            }
            put_id(into, click.ad.as_ref());
        });
        // Plays that do not all have the usual form keep their own, also where there is nothing else beside them.
        let extras = self.extras.as_deref();
        let lists = [
            self.plays.dropped().or(extras.map(|extras| &extras.dropped_plays)),
            extras.map(|extras| extras.memberships.dropped()),
            extras.map(|extras| extras.impressions.dropped()),
            extras.map(|extras| extras.clicks.dropped()),
        ];
        if lists.iter().flatten().any(|dropped| dropped.fingerprints().len() > 0) {
            flags |= DROPPED;
            lists.iter().for_each(|dropped| encode_dropped(*dropped, into));
        }
        into[flags_at] = flags;
    }

    /// Reads what [`Profile::encode`] wrote. Equal ids of campaigns take the memory of `campaigns`.
    ///
    /// # Errors
    /// The bytes are none that it writes.
    pub fn decode(from: &mut Decoder<'_>, campaigns: &[Id]) -> Result<Self, DecodeError> {
        let flags = from.byte("a profile's flags")?;
        let has = |flag| flags & flag != 0;
        let form_of_none = flags & (FINE_TIMES | WIDE_EVENTS) != 0 && !has(USUAL_PLAYS);
        if form_of_none || has(USUAL_PLAYS) && has(OTHER_PLAYS) {
            return Err(DecodeError::bad("a profile's flags", flags));
        }
        let (mut packed, mut any) = (PackedPlays::default(), None);
        if has(USUAL_PLAYS) {
            packed = decode_usual_plays(from, has(WIDE_EVENTS), has(FINE_TIMES))?;
        } else if has(OTHER_PLAYS) {
            any = Some(decode_list(from, MOST_PLAYS, "plays", decode_play)?);
        }
        let memberships = list_if(has(MEMBERSHIPS), from, HISTORY_LIMIT, "memberships", |from| {
            Ok(MembershipChange {
                time: from.time("a membership's time")?,
                event_id: from.id("a membership's event id")?,
                level: from.level("a membership's level")?,
            })
        })?;
        let impressions = list_if(has(IMPRESSIONS), from, MOST_IMPRESSIONS, "impressions", |from| {
            decode_impression(from, campaigns)
        })?;
        let clicks = list_if(has(CLICKS), from, AD_HISTORY_LIMIT, "clicks", |from| {
            let (time, event_id) = (from.time("a click's time")?, from.id("a click's event id")?);
            let mut decision = None;
            if from.rest().first() == Some(&CLICK_OF_DECISION) {
                from.byte("a click's form")?;
                decision = Some(DecisionId(from.u64("a click's decision")?));
            }
            Ok(Click { time, event_id, ad: from.id("a click's ad")?, decision })
        })?;
        let mut dropped: [Dropped; 4] = Default::default();
        if has(DROPPED) {
            for list in &mut dropped {
                *list = decode_dropped(from)?;
            }
        }
        let [dropped_plays, dropped_memberships, dropped_impressions, dropped_clicks] = dropped;
        if flags & !(USUAL_PLAYS | FINE_TIMES | WIDE_EVENTS) == 0 {
            return Ok(Self { plays: Plays::Packed(packed), ..Self::default() });
        }

        let mut extras = Extras::default();
        let mut membership = LatestMembership::default();
        if !ascends(&memberships) || !ascends(&clicks) || any.as_deref().is_some_and(|plays| !ascends(plays))
        {
            return Err(DecodeError::bad("a profile", "entries that do not ascend"));
        }
        let listed = memberships.len() > 1;
        for change in memberships {
            membership.insert(change, || &mut extras.memberships);
        }
        if listed {
            let kept = std::mem::take(&mut extras.memberships).into_kept();
            extras.memberships = Recent::from_parts(kept, dropped_memberships);
        }
        let plays = match any {
            Some(any) => Plays::Any(Box::new(Recent::from_parts(any, dropped_plays))),
            None => {
                extras.dropped_plays = dropped_plays;
                Plays::Packed(packed)
            }
        };
        extras.clicks = Recent::from_parts(clicks, dropped_clicks);
        extras.impressions = AdHistory::from_parts(impressions, dropped_impressions)
            .ok_or_else(|| DecodeError::bad("a profile", "impressions that do not ascend"))?;
        let needs_extras = listed
            || flags & (IMPRESSIONS | CLICKS | DROPPED) != 0
            || !extras.memberships.as_slice().is_empty();
        let mut profile = Self { plays, membership, extras: needs_extras.then(|| Box::new(extras)) };
        profile.renew_digest();
        Ok(profile)
    }
}

/// Writes the plays, and returns the flags that say how.
fn encode_plays(plays: &Plays, into: &mut Vec<u8>) -> u8 {
    if plays.len() == 0 {
        return 0;
    }
    if let Some(packed) = plays.packed() {
        return match packed.usual_from(0) {
            Some(usual) => encode_usual_plays(usual, into),
            None => encode_usual_plays(packed.iter_from(0), into),
        };
    }
    let usual: Option<Vec<PackedPlay>> = plays
        .all()
        .iter()
        .map(|play| PackedPlay::new(play.time, &play.event_id.to_id(), &play.track.to_id(), play.mobile))
        .collect();
    if let Some(usual) = usual {
        return encode_usual_plays(usual.into_iter(), into);
    }
    put_varint(into, plays.len() as u64);
    for PlayRef { time, event_id, track, mobile } in plays.all().iter() {
        put_time(into, time);
        put_id(into, event_id);
        put_id(into, track);
        into.push(mobile.into());
    }
    OTHER_PLAYS
}

fn encode_usual_plays(plays: impl ExactSizeIterator<Item = PackedPlay> + Clone, into: &mut Vec<u8>) -> u8 {
    put_varint(into, plays.len() as u64);
    let (mut last_seconds, mut last_event, mut fine_times, mut events) = (0, 0, 0, 0);
    for (time, ..) in plays.clone().map(|play| play.parts()) {
        put_varint(into, u64::from(time.seconds - last_seconds));
        last_seconds = time.seconds;
        fine_times |= time.fine;
    }
    for (_, _, track_and_mobile) in plays.clone().map(|play| play.parts()) {
        put_varint(into, track_and_mobile.into());
    }
    for (_, event_id, _) in plays.clone().map(|play| play.parts()) {
        put_varint(into, zigzag(event_id.wrapping_sub(last_event) as i64));
        last_event = event_id;
        events |= event_id;
    }
    let wide = if events > u64::from(u32::MAX) { WIDE_EVENTS } else { 0 };
    if fine_times == 0 {
        return USUAL_PLAYS | wide;
    }
    for (time, ..) in plays.map(|play| play.parts()) {
        put_varint(into, time.fine.into());
    }
    USUAL_PLAYS | FINE_TIMES | wide
}

fn decode_usual_plays(from: &mut Decoder<'_>, wide: bool, fine: bool) -> Result<PackedPlays, DecodeError> {
    let count = from.count(MOST_PLAYS, "the number of plays")?;
    if count > from.rest().len() {
        return Err(DecodeError::Ends("plays"));
    }
    let plays = PackedPlays::from_columns(count, wide, fine, |columns| {
        let mut seconds = 0_u32;
        for time in columns.times {
            let step = from.varint_u32("a play's time")?;
            seconds = seconds.checked_add(step).ok_or_else(|| DecodeError::bad("a play's time", step))?;
            *time = seconds;
        }
        for track in columns.tracks {
            *track = from.varint_u32("a play's track")?;
        }
        let mut event_id = 0_u64;
        for (index, event) in columns.events.iter_mut().enumerate() {
            event_id = event_id.wrapping_add(unzigzag(from.varint("a play's event id")?) as u64);
            *event = event_id as u32;
            match columns.upper_events.get_mut(index) {
                Some(upper) => *upper = (event_id >> 32) as u32,
                None if event_id > u64::from(u32::MAX) => {
                    return Err(DecodeError::bad("a play's event id", event_id));
                }
                None => {}
            }
        }
        for fine in columns.fine_times {
            *fine = from.varint_u32("a play's time")?;
            let time = PackedTime { seconds: 0, fine: *fine };
            time.checked().ok_or_else(|| DecodeError::bad("a play's time", *fine))?;
        }
        Ok(())
    })?;
    plays.ok_or_else(|| DecodeError::bad("a profile", "plays that do not ascend"))
}

fn decode_play(from: &mut Decoder<'_>) -> Result<Play, DecodeError> {
    Ok(Play {
        time: from.time("a play's time")?,
        event_id: from.id("a play's event id")?,
        track: from.id("a play's track")?,
        mobile: from.flag("whether a play was heard on a phone")?,
    })
}

/// Before a click's ad, if the event named a decision, which follows. No id begins with it.
const CLICK_OF_DECISION: u8 = 0xfe;

/// What is known of an impression's source: a decision, perhaps confirmed or voided, or a report, perhaps of the same event.
const DECIDED: u8 = 0;
const CONFIRMED: u8 = 1;
const REPORTED: u8 = 2;
const CONFIRMING: u8 = 3;
const VOIDED: u8 = 4;
const CONFIRMED_AND_VOIDED: u8 = 5;

fn encode_impression(impression: &Impression, into: &mut Vec<u8>) {
    put_time(into, impression.time);
    put_id(into, impression.campaign.as_ref());
    match &impression.source {
        ImpressionSource::Decided { decision, confirmation, void } => {
            into.push(match (confirmation, void) {
                (None, None) => DECIDED,
                (Some(_), None) => CONFIRMED,
                (None, Some(_)) => VOIDED,
                (Some(_), Some(_)) => CONFIRMED_AND_VOIDED,
            });
            into.extend_from_slice(&decision.0.to_le_bytes());
            for EventRef { time, event_id } in confirmation.iter().chain(void.as_deref()) {
                put_time(into, *time);
                put_id(into, event_id.as_ref());
            }
        }
        ImpressionSource::Reported { event_id, confirms } => {
            into.push(if *confirms { CONFIRMING } else { REPORTED });
            put_id(into, event_id.as_ref());
        }
    }
}

fn decode_impression(from: &mut Decoder<'_>, campaigns: &[Id]) -> Result<Impression, DecodeError> {
    let time = from.time("an impression's time")?;
    let campaign = from.id("an impression's campaign")?;
    let campaign = campaigns.iter().find(|known| **known == campaign).cloned().unwrap_or(campaign);
    let what = "an impression's source";
    let source = match from.byte(what)? {
        form @ (DECIDED | CONFIRMED | VOIDED | CONFIRMED_AND_VOIDED) => {
            let decision = DecisionId(from.u64(what)?);
            let mut said = || {
                let time = from.time("the time of an event of an impression")?;
                Ok(EventRef { time, event_id: from.id("the id of an event of an impression")? })
            };
            let confirmation =
                matches!(form, CONFIRMED | CONFIRMED_AND_VOIDED).then(&mut said).transpose()?;
            let void = matches!(form, VOIDED | CONFIRMED_AND_VOIDED).then(&mut said).transpose()?;
            ImpressionSource::Decided { decision, confirmation, void: void.map(Box::new) }
        }
        form @ (REPORTED | CONFIRMING) => ImpressionSource::Reported {
            event_id: from.id("an impression's event id")?,
            confirms: form == CONFIRMING,
        },
        form => return Err(DecodeError::bad(what, form)),
    };
    Ok(Impression { time, campaign, source })
}

fn encode_list<T>(list: &[T], flag: u8, into: &mut Vec<u8>, encode: impl Fn(&T, &mut Vec<u8>)) -> u8 {
    if list.is_empty() {
        return 0;
    }
    put_varint(into, list.len() as u64);
    list.iter().for_each(|entry| encode(entry, into));
    flag
}

fn decode_list<'a, T>(
    from: &mut Decoder<'a>,
    most: usize,
    what: &'static str,
    mut decode: impl FnMut(&mut Decoder<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = from.count(most, what)?;
    // Damaged bytes may claim any number; each entry takes a byte at least.
    let mut list = Vec::with_capacity(count.min(from.rest().len()));
    for _ in 0..count {
        list.push(decode(from)?);
    }
    Ok(list)
}

fn list_if<'a, T>(
    there: bool,
    from: &mut Decoder<'a>,
    most: usize,
    what: &'static str,
    decode: impl FnMut(&mut Decoder<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    if there { decode_list(from, most, what, decode) } else { Ok(Vec::new()) }
}

fn encode_dropped(dropped: Option<&Dropped>, into: &mut Vec<u8>) {
    let Some(dropped) = dropped else { return put_varint(into, 0) };
    let fingerprints = dropped.fingerprints();
    put_varint(into, fingerprints.len() as u64);
    fingerprints.for_each(|fingerprint| into.extend_from_slice(&fingerprint.to_le_bytes()));
}

fn decode_dropped(from: &mut Decoder<'_>) -> Result<Dropped, DecodeError> {
    let what = "fingerprints of dropped entries";
    let count = from.count(DROPPED_LIMIT, what)?;
    let bytes = from.bytes(count * 4, what)?;
    let words = bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap_or_default()));
    Ok(Dropped::from_fingerprints(words))
}

fn ascends<T: RecentEntry>(list: &[T]) -> bool {
    list.windows(2).all(|pair| pair[0].key() < pair[1].key())
}

#[cfg(test)]
mod tests;
