//! A one-pass reader for events of the usual form.
//!
//! That form is a JSON object of known keys in any order, each once, whose texts have no escapes and whose numbers are
//! whole. For anything else, and for invalid events, the functions here return `None`; serde then reads the object or
//! reports what is wrong with it.

use super::MAX_ZIP_LENGTH;
use upbeat_core::event::{
    ClickOf, DecisionId, Event, EventKind, IdRef, ImpressionOf, Membership, Time, Zone, leading_decimal,
};

// One bit for each key that has been read.
const TYPE: u16 = 1;
const EVENT_ID: u16 = 1 << 1;
const CUSTOMER_ID: u16 = 1 << 2;
const TIME: u16 = 1 << 3;
const TRACK_ID: u16 = 1 << 4;
const MOBILE: u16 = 1 << 5;
const ZIP: u16 = 1 << 6;
const AD: u16 = 1 << 7;
const CAMPAIGN: u16 = 1 << 8;
const DECISION_ID: u16 = 1 << 9;
const LEVEL: u16 = 1 << 10;

/// The keys of every event.
const COMMON: u16 = TYPE | EVENT_ID | CUSTOMER_ID | TIME;
const PLAY: u16 = COMMON | TRACK_ID | MOBILE;
const PLAY_WITH_ZIP: u16 = PLAY | ZIP;
const CLICK: u16 = COMMON | AD;
const IMPRESSION_OF_CAMPAIGN: u16 = COMMON | CAMPAIGN;
/// An impression, a click, or an ad that was not played.
const OF_DECISION: u16 = COMMON | DECISION_ID;
const MEMBERSHIP: u16 = COMMON | LEVEL;

/// Reads a JSON text as one event of the usual form.
pub(super) fn event(text: &str, zone: &Zone) -> Option<Event> {
    let mut reader = Reader { text, at: 0 };
    let event = reader.object()?.event(zone)?;
    reader.is_at_end().then_some(event)
}

/// Reads a JSON text as a list of events, if all are of the usual form and none has more than `max_event_bytes`.
pub(super) fn list(text: &str, zone: &Zone, max_event_bytes: usize) -> Option<Vec<Event>> {
    let mut reader = Reader { text, at: 0 };
    let mut events = Vec::new();
    reader.expect(b'[')?;
    loop {
        reader.skip_blanks();
        let start = reader.at;
        events.push(reader.object()?.event(zone)?);
        if reader.at - start > max_event_bytes {
            return None;
        }
        match reader.next()? {
            b',' => {}
            b']' => break,
            _ => return None,
        }
    }
    reader.is_at_end().then_some(events)
}

/// The fields read so far. A field is valid if its key's bit in `read` is set.
struct Fields<'a> {
    read: u16,
    kind: &'a str,
    event_id: IdRef<'a>,
    customer_id: IdRef<'a>,
    time: &'a str,
    track_id: IdRef<'a>,
    mobile: bool,
    /// The ad or the campaign, whichever was read last.
    name: IdRef<'a>,
    decision_id: &'a str,
    level: Membership,
}

impl<'a> Fields<'a> {
    fn none() -> Self {
        let id = IdRef::Number(0);
        Self {
            read: 0,
            kind: "",
            event_id: id,
            customer_id: id,
            time: "",
            track_id: id,
            mobile: false,
            name: id,
            decision_id: "",
            level: Membership::Free,
        }
    }

    /// Reads the value of a key; `None` if the key is unknown or was read before.
    fn read(&mut self, key: &str, reader: &mut Reader<'a>) -> Option<()> {
        let bit = match key {
            "type" => {
                self.kind = reader.string()?;
                TYPE
            }
            "event_id" => {
                self.event_id = reader.id()?;
                EVENT_ID
            }
            "customer_id" => {
                self.customer_id = reader.id()?;
                CUSTOMER_ID
            }
            "time" => {
                self.time = reader.string()?;
                TIME
            }
            "track_id" => {
                self.track_id = reader.id()?;
                TRACK_ID
            }
            "mobile" => {
                self.mobile = reader.flag()?;
                MOBILE
            }
            "zip" => {
                // A text has at least as many bytes as characters.
                reader.string().filter(|zip| zip.len() <= MAX_ZIP_LENGTH)?;
                ZIP
            }
            "ad" => {
                self.name = IdRef::parse(reader.string()?).ok()?;
                AD
            }
            "campaign" => {
                self.name = IdRef::parse(reader.string()?).ok()?;
                CAMPAIGN
            }
            "decision_id" => {
                self.decision_id = reader.string()?;
                DECISION_ID
            }
            "level" => {
                self.level = level(reader.string()?)?;
                LEVEL
            }
            _ => return None,
        };
        let again = self.read & bit != 0;
        self.read |= bit;
        (!again).then_some(())
    }

    /// The event, if exactly its fields were read.
    fn event(&self, zone: &Zone) -> Option<Event> {
        let kind = match (self.kind, self.read) {
            ("play", PLAY | PLAY_WITH_ZIP) => {
                EventKind::Play { track: self.track_id.to_id(), mobile: self.mobile }
            }
            ("click", CLICK) => EventKind::click(self.name.to_id()),
            ("click", OF_DECISION) => {
                let decision = DecisionId::parse(self.decision_id)?;
                EventKind::Click { of: ClickOf::Decision { decision, ad: None } }
            }
            ("void", OF_DECISION) => EventKind::Void { decision: DecisionId::parse(self.decision_id)? },
            ("impression", IMPRESSION_OF_CAMPAIGN) => {
                EventKind::Impression(ImpressionOf::Campaign(self.name.to_id()))
            }
            ("impression", OF_DECISION) => {
                EventKind::Impression(ImpressionOf::Decision(DecisionId::parse(self.decision_id)?))
            }
            ("membership", MEMBERSHIP) => EventKind::Membership(self.level),
            _ => return None,
        };
        let time = Time::parse(self.time, zone).ok()?;
        Some(Event { customer: self.customer_id.to_id(), id: self.event_id.to_id(), time, kind })
    }
}

fn level(name: &str) -> Option<Membership> {
    [Membership::Free, Membership::Silver, Membership::Gold].into_iter().find(|level| level.name() == name)
}

/// A JSON text and the position up to which it is read.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.rest().first() {
            self.at += 1;
        }
    }

    /// Whether only blanks follow.
    fn is_at_end(&mut self) -> bool {
        self.skip_blanks();
        self.at == self.text.len()
    }

    #[inline]
    fn object(&mut self) -> Option<Fields<'a>> {
        let mut fields = Fields::none();
        self.expect(b'{')?;
        loop {
            let key = self.string()?;
            self.expect(b':')?;
            fields.read(key, self)?;
            match self.next()? {
                b',' => {}
                b'}' => return Some(fields),
                _ => return None,
            }
        }
    }

    /// The next byte that is not blank.
    #[inline]
    fn next(&mut self) -> Option<u8> {
        self.skip_blanks();
        let byte = *self.rest().first()?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    /// A text without escapes, and without characters that JSON requires to be escaped.
    #[inline]
    fn string(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let rest = self.rest();
        let length = plain_length(rest);
        if rest.get(length) != Some(&b'"') {
            return None;
        }
        let string = self.text.get(self.at..self.at + length);
        self.at += length + 1;
        string
    }

    #[inline]
    fn id(&mut self) -> Option<IdRef<'a>> {
        self.skip_blanks();
        if self.rest().first() == Some(&b'"') {
            return IdRef::parse(self.string()?).ok();
        }
        let (number, length) = leading_decimal(self.rest())?;
        self.at += length;
        // After a point or an exponent the number would continue.
        matches!(self.rest().first()?, b',' | b'}' | b' ' | b'\t' | b'\n' | b'\r')
            .then_some(IdRef::Number(number))
    }

    fn flag(&mut self) -> Option<bool> {
        self.skip_blanks();
        let (flag, length) = match self.rest() {
            [b't', b'r', b'u', b'e', ..] => (true, 4),
            [b'f', b'a', b'l', b's', b'e', ..] => (false, 5),
            _ => return None,
        };
        self.at += length;
        Some(flag)
    }
}

/// How many bytes come before the first `"`, `\` or control character. Tests eight bytes at a time: the lowest byte
/// whose upper bit is set in `found` is such a byte (Sean Eron Anderson, "Bit Twiddling Hacks", "Determine if a word
/// has a byte less than n").
#[inline]
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let less = |word: u64, than: u64| word.wrapping_sub(ONES * than) & !word & (ONES << 7);
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = less(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = less(word ^ (ONES * u64::from(b'\\')), 1);
        let found = quote | backslash | less(word, 0x20);
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20);
    bytes.len() - rest.len() + rest.iter().position(special).unwrap_or(rest.len())
}
