//! The reference implementation of the features, written for clarity: strings, sorting, and C's own `printf`.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int};

/// One row of a file of plays.
#[derive(Debug, Clone, PartialEq)]
pub struct Play {
    pub event_id: String,
    pub customer: String,
    pub track: String,
    /// Days since 2014-10-01, `0..=30`.
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub mobile: bool,
}

impl Play {
    pub fn time(&self) -> String {
        format!("2014-10-{:02} {:02}:{:02}:00", self.day + 1, self.hour, self.minute)
    }

    fn minutes(&self) -> u32 {
        (self.day * 24 + self.hour) * 60 + self.minute
    }
}

/// The options of one run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    pub keep_repeats: bool,
    pub precise: bool,
    pub window_plays: Option<usize>,
    pub window_days: Option<u32>,
    /// Of impressions alone.
    pub min_plays: Option<usize>,
}

/// Numbers as numbers before other ids as text.
pub fn id_order(id: &str) -> (u8, u64, String) {
    match id.parse::<u64>() {
        Ok(number) if number.to_string() == id => (0, number, String::new()),
        _ => (1, 0, id.to_owned()),
    }
}

/// The expected output of the command, with ids.
pub fn rows(plays: &[Play], clicked: &[String], asked: Asked) -> String {
    let newest = plays.iter().map(Play::minutes).max().unwrap_or(0);
    let mut customers: BTreeMap<_, Vec<&Play>> = BTreeMap::new();
    for play in plays {
        customers.entry(id_order(&play.customer)).or_default().push(play);
    }
    let mut text = String::new();
    for mut own in customers.into_values() {
        own.sort_by_key(|play| (play.minutes(), id_order(&play.event_id)));
        // Of copies of one play the smallest counts; the written hour is the same here, as there are no offsets.
        let content = |play: &&Play| (id_order(&play.track), play.mobile);
        if !asked.keep_repeats {
            let order = |play: &&Play| (play.minutes(), id_order(&play.event_id));
            own.sort_by_key(|play| (order(play), content(play)));
            own.dedup_by_key(|play| order(play));
        }
        if let Some(days) = asked.window_days {
            own.retain(|play| play.minutes() + days * 24 * 60 >= newest);
        }
        let old = asked.window_plays.map_or(0, |most| own.len().saturating_sub(most));
        own.drain(..old);
        if own.is_empty() {
            continue;
        }
        let customer = &own[0].customer;
        text.push(if clicked.contains(customer) { '1' } else { '0' });
        for (index, share) in shares(&own).into_iter().enumerate() {
            let value = if asked.precise { share.to_string() } else { two_digits_in_c(share) };
            text.push_str(&format!(" {}:{value}", index + 1));
        }
        text.push_str(&format!(" # {customer}\n"));
    }
    text
}

/// One row of a file of impressions.
#[derive(Debug, Clone, PartialEq)]
pub struct Impression {
    pub event_id: String,
    pub customer: String,
    pub ad: &'static str,
    /// Days since 2014-10-01, `0..=30`.
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub clicked: bool,
}

impl Impression {
    pub fn time(&self) -> String {
        format!("2014-10-{:02} {:02}:{:02}:00", self.day + 1, self.hour, self.minute)
    }

    fn minutes(&self) -> u32 {
        (self.day * 24 + self.hour) * 60 + self.minute
    }
}

/// The expected output of the command with `--label impression`, with ids: for each impression of `ad` the plays before it
/// are picked out anew from all of the file's. Also how many impressions have none.
pub fn rows_of_impressions(
    plays: &[Play],
    impressions: &[Impression],
    ad: &str,
    asked: Asked,
) -> (String, usize) {
    let mut of_ad: Vec<&Impression> = impressions.iter().filter(|impression| impression.ad == ad).collect();
    let key = |one: &Impression| (id_order(&one.customer), one.minutes(), id_order(&one.event_id));
    // Of copies of one impression the clicked one counts.
    of_ad.sort_by_key(|impression| (key(impression), !impression.clicked));
    if !asked.keep_repeats {
        of_ad.dedup_by_key(|impression| key(impression));
    }
    let (mut text, mut left_out) = (String::new(), 0);
    for impression in of_ad {
        let now = impression.minutes();
        let earlier = |play: &&Play| play.customer == impression.customer && play.minutes() < now;
        let mut own: Vec<&Play> = plays.iter().filter(earlier).collect();
        let order = |play: &Play| (play.minutes(), id_order(&play.event_id));
        own.sort_by_key(|play| (order(play), id_order(&play.track), play.mobile));
        if !asked.keep_repeats {
            own.dedup_by_key(|play| order(play));
        }
        if let Some(days) = asked.window_days {
            own.retain(|play| play.minutes() + days * 24 * 60 >= now);
        }
        let old = asked.window_plays.map_or(0, |most| own.len().saturating_sub(most));
        own.drain(..old);
        if own.len() < asked.min_plays.unwrap_or(1) {
            left_out += 1;
            continue;
        }
        text.push(if impression.clicked { '1' } else { '0' });
        for (index, share) in shares(&own).into_iter().enumerate() {
            let value = if asked.precise { share.to_string() } else { two_digits_in_c(share) };
            text.push_str(&format!(" {}:{value}", index + 1));
        }
        text.push_str(&format!(" # {}\n", impression.customer));
    }
    (text, left_out)
}

fn shares(plays: &[&Play]) -> [f64; 6] {
    let share = |count: usize| count as f64 / plays.len() as f64;
    let between = |from: u32, to: u32| plays.iter().filter(|play| (from..to).contains(&play.hour)).count();
    let mut tracks: Vec<_> = plays.iter().map(|play| &play.track).collect();
    tracks.sort();
    tracks.dedup();
    [
        share(between(5, 12)),
        share(between(12, 17)),
        share(between(17, 22)),
        share(between(22, 24) + between(0, 5)),
        share(plays.iter().filter(|play| play.mobile).count()),
        share(tracks.len()),
    ]
}

unsafe extern "C" {
    fn snprintf(text: *mut c_char, size: usize, format: *const c_char, ...) -> c_int;
}

/// `%.2f`, by the C library itself.
pub fn two_digits_in_c(value: f64) -> String {
    let mut buffer: [c_char; 64] = [0; 64];
    // SAFETY: the buffer's own size is passed, the format takes one double, and the result ends with a zero byte.
    let text = unsafe {
        snprintf(buffer.as_mut_ptr(), buffer.len(), c"%.2f".as_ptr(), value);
        CStr::from_ptr(buffer.as_ptr())
    };
    text.to_str().expect("digits").to_owned()
}
