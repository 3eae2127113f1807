//! The five files; four of them in the row shapes of the original data set, which has none of impressions.
//!
//! | file | rows |
//! |---|---|
//! | `customers.csv` | header; `0,"Anna Abel",1,"12 Amber Arch","10234","03/21/2013",1,2,1,0` |
//! | `music.csv` | header; `0,Amber Arches,The Quiet Lanterns,214` |
//! | `tracks.csv` | `0,48,453,"2014-10-23 03:26:20",0,"72132"` |
//! | `clicks.csv` | `0,48,"ADV_REDUCED_1DAY","2014-10-23 03:26:20"` |
//! | `impressions.csv` | header; `0,48,"ADV_REDUCED_1DAY","2014-10-23 03:26:20",1` |
//!
//! Lines end with LF. Writers are given buffers; these functions write many small pieces.

use std::io::{self, Write};

use jiff::civil::Date;

use super::people::{self, Person};
use super::rng::Stream;
use super::shipping::Shipper;
use super::{Ad, Click, Impression, Play, Simulation, TRACKS};

/// Rows written to `tracks.csv`, `clicks.csv` and `impressions.csv`, repeats counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// Rows in `tracks.csv`.
    pub tracks: u64,
    /// Rows in `clicks.csv`.
    pub clicks: u64,
    /// Rows in `impressions.csv` without its header.
    pub impressions: u64,
}

/// Where the files of events go.
pub struct EventFiles<'a, T, C, I> {
    /// `tracks.csv`: plays.
    pub tracks: &'a mut T,
    /// `clicks.csv`.
    pub clicks: &'a mut C,
    /// `impressions.csv`: every ad that was heard, clicked or not.
    pub impressions: &'a mut I,
}

/// Writes `tracks.csv`, `clicks.csv` and `impressions.csv` in one pass over the history.
///
/// Rows are in time order, but for the late and re-sent rows that the settings ask for: of each
/// file, that share of rows, rounded up or down. `progress` is called now and then with the number
/// of plays done since the last call.
///
/// # Errors
/// What a writer fails with; the files are then incomplete.
pub fn events(
    simulation: &Simulation,
    files: EventFiles<'_, impl Write, impl Write, impl Write>,
    mut progress: impl FnMut(u64),
) -> io::Result<RowCounts> {
    const PROGRESS_STEP: u64 = 16_384;
    let EventFiles { tracks, clicks, impressions } = files;
    let settings = simulation.settings();
    let mut play_shipper = Shipper::new(settings, Stream::ShipTracks);
    let mut click_shipper = Shipper::new(settings, Stream::ShipClicks);
    let mut impression_shipper = Shipper::new(settings, Stream::ShipImpressions);
    let mut counts = RowCounts::default();
    let (mut play_row, mut click_row, mut impression_row) = (Row::default(), Row::default(), Row::default());
    writeln!(impressions, "event_id,customer_id,ad,time,clicked")?;
    let mut write_play = |play: &Play| {
        counts.tracks += 1;
        play_row.play(play, tracks)
    };
    let mut write_click = |click: &Click| {
        counts.clicks += 1;
        click_row.click(click, clicks)
    };
    let mut write_impression = |impression: &Impression| {
        counts.impressions += 1;
        impression_row.impression(impression, impressions)
    };
    let mut unreported = 0;
    for event in simulation.events() {
        play_shipper.push(event.play.civil_s, event.play, &mut write_play)?;
        if let Some(click) = event.click {
            click_shipper.push(click.civil_s, click, &mut write_click)?;
        }
        let impression = event.impression();
        impression_shipper.push(impression.civil_s, impression, &mut write_impression)?;
        unreported += 1;
        if unreported == PROGRESS_STEP {
            progress(unreported);
            unreported = 0;
        }
    }
    play_shipper.finish(&mut write_play)?;
    click_shipper.finish(&mut write_click)?;
    impression_shipper.finish(&mut write_impression)?;
    progress(unreported);
    Ok(counts)
}

/// Writes `customers.csv`: `CustID,Name,Gender,Address,zip,SignDate,Status,Level,Campaign,
/// LinkedWithApps`, a row for each listener by ascending id. Names and addresses are invented.
///
/// # Errors
/// What the writer fails with.
pub fn customers(simulation: &Simulation, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "CustID,Name,Gender,Address,zip,SignDate,Status,Level,Campaign,LinkedWithApps")?;
    let start_day = simulation.start_s().div_euclid(86_400);
    for listener in simulation.listeners() {
        let Person {
            first_name,
            last_name,
            gender,
            house,
            street,
            signed_days_before,
            active,
            campaign,
            linked,
        } = Person::new(simulation.settings().seed, listener.customer);
        let signed = date(start_day - i64::from(signed_days_before));
        writeln!(
            out,
            "{},\"{first_name} {last_name}\",{gender},\"{house} {} {} {}\",\"{:05}\",\
             \"{:02}/{:02}/{:04}\",{},{},{campaign},{}",
            listener.customer,
            street[0],
            street[1],
            street[2],
            listener.zip,
            signed.month(),
            signed.day(),
            signed.year(),
            u8::from(active),
            listener.level as u8,
            u8::from(linked),
        )?;
    }
    Ok(())
}

/// Writes `music.csv`: `TrackId,Title,Artist,Length` with the length in seconds, 120 to 359. The
/// catalogue is the same for every seed; titles and artists are invented.
///
/// # Errors
/// What the writer fails with.
pub fn music(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "TrackId,Title,Artist,Length")?;
    for track in 0..TRACKS {
        let people::Track { title, artist, length_s } = people::Track::new(track);
        writeln!(out, "{track},{} {},The {} {}s,{length_s}", title[0], title[1], artist[0], artist[1])?;
    }
    Ok(())
}

/// The day `days` after 1970-01-01, which [`super::Settings::check`] keeps in the calendar; sign
/// dates reach back a few years further.
fn date(days: i64) -> Date {
    const EPOCH: Date = Date::constant(1970, 1, 1);
    EPOCH.saturating_add(jiff::Span::new().days(days))
}

/// Formats event rows. `write!` would cost more than making the event.
#[derive(Default)]
struct Row {
    line: Vec<u8>,
    day: i64,
    /// `YYYY-MM-DD` of `day`; empty before the first row.
    day_text: String,
}

impl Row {
    fn play(&mut self, play: &Play, out: &mut impl Write) -> io::Result<()> {
        self.line.clear();
        self.number(play.event_id);
        self.line.push(b',');
        self.number(u64::from(play.customer));
        self.line.push(b',');
        self.number(u64::from(play.track));
        self.line.extend_from_slice(b",\"");
        self.time(play.civil_s);
        self.line.extend_from_slice(if play.mobile { b"\",1,\"" } else { b"\",0,\"" });
        self.number(u64::from(play.zip));
        self.line.extend_from_slice(b"\"\n");
        out.write_all(&self.line)
    }

    fn click(&mut self, click: &Click, out: &mut impl Write) -> io::Result<()> {
        self.heard(click.event_id, click.customer, click.ad, click.civil_s);
        self.line.push(b'\n');
        out.write_all(&self.line)
    }

    fn impression(&mut self, impression: &Impression, out: &mut impl Write) -> io::Result<()> {
        self.heard(impression.event_id, impression.customer, impression.ad, impression.civil_s);
        self.line.extend_from_slice(if impression.clicked { b",1\n" } else { b",0\n" });
        out.write_all(&self.line)
    }

    /// Begins a row with what clicks and impressions have in common.
    fn heard(&mut self, event_id: u64, customer: u32, ad: Ad, civil_s: i64) {
        self.line.clear();
        self.number(event_id);
        self.line.push(b',');
        self.number(u64::from(customer));
        self.line.extend_from_slice(b",\"");
        self.line.extend_from_slice(ad.name().as_bytes());
        self.line.extend_from_slice(b"\",\"");
        self.time(civil_s);
        self.line.push(b'"');
    }

    fn number(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.line.extend_from_slice(&digits[first..]);
    }

    fn time(&mut self, civil_s: i64) {
        let day = civil_s.div_euclid(86_400);
        if day != self.day || self.day_text.is_empty() {
            self.day = day;
            self.day_text = date(day).to_string();
        }
        self.line.extend_from_slice(self.day_text.as_bytes());
        let second = civil_s.rem_euclid(86_400) as u32;
        for (before, value) in [(b' ', second / 3_600), (b':', second / 60 % 60), (b':', second % 60)] {
            let [tens, ones] = [value / 10, value % 10].map(|digit| b'0' + digit as u8);
            self.line.extend_from_slice(&[before, tens, ones]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_rows_have_the_original_shape() {
        let mut row = Row::default();
        let mut out = Vec::new();
        let play = Play {
            event_id: 1_000_000_000,
            customer: 48,
            track: 453,
            civil_s: 1_414_034_780,
            mobile: false,
            zip: 72_132,
        };
        row.play(&play, &mut out).unwrap();
        let click = Click { event_id: 0, customer: 0, ad: Ad::Offer, civil_s: 951_868_799 };
        row.click(&click, &mut out).unwrap();
        let impression =
            Impression { event_id: 7, customer: 48, ad: Ad::Facebook, civil_s: 0, clicked: false };
        row.impression(&impression, &mut out).unwrap();
        row.impression(&Impression { clicked: true, ..impression }, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "1000000000,48,453,\"2014-10-23 03:26:20\",0,\"72132\"\n\
             0,0,\"ADV_REDUCED_1DAY\",\"2000-02-29 23:59:59\"\n\
             7,48,\"ADV_LIKE_FACEBOOK\",\"1970-01-01 00:00:00\",0\n\
             7,48,\"ADV_LIKE_FACEBOOK\",\"1970-01-01 00:00:00\",1\n"
        );
    }
}
