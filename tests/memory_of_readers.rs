//! Reading takes little memory beside the bytes that are read, whatever they are. The allocator counts the bytes in use by all
//! threads, so the tests of this file run one at a time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use upbeat_batch::blocks::Input;
use upbeat_batch::features::{self, Resources, Source, Style, Watch};
use upbeat_core::event::{Id, Zone};
use upbeat_core::profile::Window;
use upbeat_ingest::decode::{Context, Format, csv, rows};
use upbeat_svm::{Bias, Choice, Loss, Method, NoProgress, Parameters, Plan, Problem, fit, train};

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

struct Counting;

// SAFETY: all is done by the system's allocator; counting allocates nothing. Growing in place is left to `realloc`'s
// default, which takes the new memory before it gives the old back, so that the peak is that of the worst case.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(IN_USE.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that `work` had in use at a time, beyond those before it.
fn peak_of(work: impl FnOnce()) -> usize {
    let before = IN_USE.load(Relaxed);
    PEAK.store(before, Relaxed);
    work();
    PEAK.load(Relaxed) - before
}

/// The longest body that the server takes by default.
const BODY_BYTES: usize = 8 << 20;

/// `start`, and then a text again and again up to a length in bytes.
fn filled(start: &str, with: &str, length: usize) -> Vec<u8> {
    [start, &with.repeat((length - start.len()) / with.len())].concat().into_bytes()
}

#[test]
fn rows_of_lines_are_read_in_less_than_a_megabyte() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let context = Context { zone: Zone::utc(), as_of: None, columns: None, max_event_bytes: 64 << 10 };
    for (format, header) in [
        (Format::Csv(csv::Kind::Plays), ""),
        (Format::Csv(csv::Kind::Clicks), ""),
        (Format::Csv(csv::Kind::Customers), "CustID,SignDate,Level\n"),
        (Format::Csv(csv::Kind::Customers), ""),
        (Format::Csv(csv::Kind::Tracks), "TrackId,Title,Artist,Length\n"),
        (Format::Csv(csv::Kind::Tracks), ""),
        (Format::Ndjson, ""),
    ] {
        for (with, length) in [
            (",", BODY_BYTES),
            ("\"", BODY_BYTES),
            ("x", BODY_BYTES),
            ("\"\"\"", BODY_BYTES / 8),
            ("\"\n", BODY_BYTES / 64),
            (",\n", BODY_BYTES / 64),
            ("\",\"", BODY_BYTES / 8),
            ("[", BODY_BYTES / 8),
        ] {
            let body = filled(header, with, length);
            let peak = peak_of(|| {
                let rows = rows(format, &body, &context).expect("rows").rows;
                assert_eq!(rows.filter(Result::is_ok).count(), 0, "{format:?} of {with:?}");
            });
            assert!(peak <= 1 << 20, "{peak} bytes for {format:?} of {with:?}");
        }
    }
}

#[test]
fn arrays_are_read_in_at_most_three_times_their_length() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let context = Context { zone: Zone::utc(), as_of: None, columns: None, max_event_bytes: 64 << 10 };
    for format in [Format::Json, Format::CloudEventBatch] {
        for (with, end) in [("0,", "0]"), ("{},", "{}]"), ("\"\",", "0]"), ("[", ""), ("{\"a\":", "")] {
            let body = [filled("[", with, BODY_BYTES / 8), end.into()].concat();
            let peak = peak_of(|| {
                if let Ok(rows) = rows(format, &body, &context) {
                    assert_eq!(rows.rows.filter(Result::is_ok).count(), 0, "{format:?} of {with:?}");
                }
            });
            assert!(peak <= 3 * body.len() + (64 << 10), "{peak} bytes for {format:?} of {with:?}");
        }
    }
}

#[test]
fn sparse_rows_are_read_and_trained_in_memory_of_what_is_not_zero() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // 80 MB of cells, and 10 kB of values.
    let row = |row: usize| {
        let (near, far) = (2 + row * 7919 % 4000, 5000 + row * 6101 % 5000);
        format!("{} {near}:0.5 {far}:1\n", if row.is_multiple_of(3) { "+1 1:1" } else { "-1" })
    };
    let text = (0..1000).map(row).collect::<String>() + "-1 10000:1\n";
    let mut problem = None;
    let peak = peak_of(|| problem = Some(Problem::read(text.as_bytes()).expect("rows")));
    assert!(peak < 2 << 20, "{peak} bytes to read");
    let problem = problem.expect("it was read");
    for loss in [Loss::Hinge, Loss::SquaredHinge, Loss::Logistic] {
        for bias in [Bias::Free, Bias::Regularised] {
            let parameters = Parameters { loss, bias, ..Parameters::default() };
            let peak = peak_of(|| {
                train(&problem, &Choice::Parameters(parameters), Plan::All, Some(Method::Platt), &NoProgress)
                    .expect("a machine");
            });
            assert!(peak < 10 << 20, "{peak} bytes to train with {loss} and a bias that is {bias}");
        }
    }
    // Few bytes of text make few bytes of memory, whatever indices they name.
    let text = format!("1 1000000:1\n{}", "0\n".repeat(10_000));
    let mut problem = None;
    let peak = peak_of(|| problem = Some(Problem::read(text.as_bytes()).expect("rows")));
    assert!(peak < 2 << 20, "{peak} bytes to read");
    let problem = problem.expect("it was read");
    let parameters = Parameters { loss: Loss::SquaredHinge, ..Parameters::default() };
    let peak = peak_of(|| drop(fit(&problem, &parameters, &NoProgress).expect("a machine")));
    assert!(peak < 256 << 20, "{peak} bytes to train");
}

#[test]
fn hinge_loss_trains_in_memory_of_a_few_copies_of_the_rows() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    const ROWS: usize = 6000;
    let row = |row: usize| {
        let value = |factor: usize| row * factor % 997;
        let label = usize::from(value(7) + value(13) > 800 + value(101) / 2);
        format!(
            "{label} 1:0.{:03} 2:0.{:03} 3:0.{:03} 4:0.{:03}\n",
            value(7),
            value(13),
            value(29),
            value(31)
        )
    };
    let text = (0..ROWS).map(row).collect::<String>();
    let problem = Problem::read(text.as_bytes()).expect("rows");
    let parameters = Parameters { loss: Loss::Hinge, ..Parameters::default() };
    let peak = peak_of(|| drop(fit(&problem, &parameters, &NoProgress).expect("a machine")));
    // Of each row: its scaled copy, its line of eight numbers, its point, and a few numbers beside them.
    assert!(peak < 300 * ROWS, "{} bytes a row", peak / ROWS);
}

/// A file that repeats a byte, or two in turn, up to a length.
struct Repeated {
    bytes: [u8; 2],
    length: u64,
    at: u64,
}

impl Read for Repeated {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = buffer.len().min((self.length - self.at) as usize);
        let pair = self.bytes.repeat(length / 2 + 1);
        let start = (self.at % 2) as usize;
        buffer[..length].copy_from_slice(&pair[start..start + length]);
        self.at += length as u64;
        Ok(length)
    }
}

impl Seek for Repeated {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let SeekFrom::Start(at) = to else { unreachable!("blocks are sought from the start") };
        self.at = at;
        Ok(at)
    }
}

struct Unwatched;

impl Watch for Unwatched {
    fn advance(&mut self, _: u64) {}

    fn bad_row(&mut self, _: &str, _: (u64, u64), _: &str) {}
}

#[test]
fn features_of_any_file_take_little_memory() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let ad = Id::parse("ADV").expect("an id");
    // Of rows that are refused the lines and reasons are kept until the blocks before theirs were reported.
    for (bytes, length, most) in [
        (*b",,", 32 << 20, 4 << 20),
        (*b"\"\"", 8 << 20, 4 << 20),
        (*b"\",", 8 << 20, 4 << 20),
        (*b"x\r", 1 << 20, 32 << 20),
    ] {
        for threads in [1, 2] {
            for is_stream in [false, true] {
                let file = Repeated { bytes, length, at: 0 };
                let source = |input| Source {
                    input,
                    name: "plays".to_owned(),
                    zone: Zone::utc(),
                    watch: Box::new(Unwatched),
                };
                let file = Mutex::new(Some(file));
                let open_plays = || {
                    let file = file.lock().expect("no panic").take().expect("opened once");
                    let input = if is_stream {
                        Input::Stream(Box::new(file))
                    } else {
                        Input::Seekable(Box::new(file))
                    };
                    Ok(source(input))
                };
                let open_clicks = || Ok(source(Input::Seekable(Box::new(Cursor::new(Vec::new())))));
                let resources = Resources { threads, ..Resources::new(std::env::temp_dir()) };
                let peak = peak_of(|| {
                    let history = features::read([&open_plays, &open_clicks], &ad, &resources).expect("read");
                    assert!(!history.has_plays() && history.bad() > 0);
                });
                assert!(
                    peak <= most,
                    "{peak} bytes for {:?}, {threads} threads",
                    bytes.escape_ascii().to_string()
                );
            }
        }
    }
}

#[test]
fn rows_of_many_impressions_take_the_memory_that_they_are_given() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    const CUSTOMERS: usize = 500;
    const IMPRESSIONS: usize = 150_000;
    let time = |second: usize| {
        format!(
            "2014-10-{:02} {:02}:{:02}:{:02}",
            1 + second / 86_400,
            second / 3600 % 24,
            second / 60 % 60,
            second % 60
        )
    };
    let plays: String = (0..20_000)
        .map(|play| {
            format!("{play},{},{},{},{},1\n", play % CUSTOMERS, play % 97, time(play * 100), play % 2)
        })
        .collect();
    let impressions: String = (0..IMPRESSIONS)
        .map(|one| format!("{one},{},ADV,{},{}\n", one % CUSTOMERS, time(one * 13 + 50), one % 7 / 6))
        .collect();
    let source = |name: &str, text: &'static str| Source {
        input: Input::Seekable(Box::new(Cursor::new(text.as_bytes()))),
        name: name.to_owned(),
        zone: Zone::utc(),
        watch: Box::new(Unwatched),
    };
    let (plays, impressions): (&'static str, &'static str) = (plays.leak(), impressions.leak());
    let resources = Resources { threads: 2, plays_bytes: 2 << 20, ..Resources::new(std::env::temp_dir()) };
    let mut written = 0;
    let peak = peak_of(|| {
        let open: [&dyn Fn() -> anyhow::Result<Source<'static>>; 2] =
            [&|| Ok(source("plays", plays)), &|| Ok(source("impressions", impressions))];
        let ad = Id::parse("ADV").expect("an id");
        let history = features::read_impressions(open, &ad, &resources).expect("read");
        let style = Style { ids: false, precise: true };
        let table = history.aggregate(Window::default(), 1, false, style, 2, || ()).expect("a good disk");
        let mut count = Counted(0);
        table.write(&mut count).expect("it takes everything");
        written = count.0;
        assert!(table.counts().rows > IMPRESSIONS as u64 * 9 / 10, "{:?}", table.counts());
    });
    // The records are 32 bytes each and a row some 100: neither is held as a whole.
    assert!(written > 10 << 20, "{written} bytes of rows");
    assert!(peak < 5 << 20, "{peak} bytes");
}

/// Takes everything and counts it.
struct Counted(usize);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn backtest_takes_the_same_few_megabytes_however_many_decisions_there_are() {
    use std::sync::Arc;

    use upbeat_core::campaign::Bill;
    use upbeat_core::decision::Reason;
    use upbeat_core::event::{DecisionId, Event, EventKind, Time};
    use upbeat_core::feature::Counts;
    use upbeat_engine::campaigns::{CampaignVersion, KeptCampaigns};
    use upbeat_engine::ledger::Charge;
    use upbeat_engine::{Coins, Entry, Facts};
    use upbeat_learn::Found;
    use upbeat_learn::backtest::{Backtest, Question};

    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let version = CampaignVersion {
        version: 1,
        time_ms: 0,
        who: "file".to_owned(),
        changed: Vec::new(),
        digest: [0; 32],
    };
    let toml =
        Arc::from("[[campaign]]\nid = \"a\"\nad = \"AD\"\nimpression_cost = 0.02\nclick_value = 0.5\n");
    let slots = vec![Id::Text("a".into())];
    let kept = KeptCampaigns { version, toml, file_digest: None, slots, models: None };
    let play = EventKind::Play { track: Id::Number(1), mobile: false };
    let event = |time_ms, kind| {
        let (customer, time) = (Id::Number(1), Time::from_unix_ms(time_ms));
        Entry::Event { event: Event { customer, id: Id::Number(1), time, kind }, last_event_s: 0 }
    };
    // One in four is shown, one a second, to a thousand customers.
    let decision = |number: u64| {
        let (time_ms, is_shown) = (number as i64 * 1000, number.is_multiple_of(4));
        let reason = if is_shown { Reason::LikelyToClick } else { Reason::Paced };
        let counts = Some(Counts { plays: 2, parts: [2, 0, 0, 0, 0, 1] });
        let coins = Coins::Pacing(vec![(0, 16_384)].into());
        let (id, campaign) = (DecisionId(number), Some(0));
        let facts =
            Facts { id, time_ms, reason, eligible: true, campaign, version: 1, model: None, counts, coins };
        let (customer, facts) = (Id::Number(number % 1000), Box::new(facts));
        let charge = Charge { expires_s: 0, day: 0, bill: Bill::Show, cost: 20_000 };
        match is_shown {
            true => Entry::ShownInPlan { customer, facts, charge, answer: None },
            false => Entry::Decided { customer, facts, has_state: false },
        }
    };
    let peak = |decisions: u64| {
        peak_of(|| {
            let mut found = Found::default();
            for (entry, position) in
                [Entry::Campaigns(Box::new(kept.clone())), event(0, play.clone())].iter().zip(1..)
            {
                found.note(position, entry);
            }
            (0..decisions).for_each(|number| found.note(number + 3, &decision(number)));
            let question = Question { in_detail: true, ..Question::default() };
            let mut backtest = Backtest::new(&found, 1_800_000, vec![(0, None)], question);
            for number in 0..decisions {
                backtest.entry(number + 3, decision(number)).expect("a sound log");
            }
            let (campaigns, _) = backtest.finish().expect("a sound log");
            assert_eq!(campaigns[0].mature(), decisions - 1801);
        })
    };
    let (few, many) = (peak(20_000), peak(100_000));
    assert!(many < few + (64 << 10) && many < 4 << 20, "{few} and {many} bytes");
}
