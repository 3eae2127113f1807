//! Rows of impressions on any files, blocks and number of threads are those of a plain implementation.

use super::*;
use upbeat_ingest::decode::csv::{ImpressionRow, Layout, RowReader};

/// An impression of the plain implementation, which sorts by all of it: of copies the clicked one comes first.
type Heard = (Id, i64, Id, bool);

/// The plain implementation: for each impression all plays are searched.
fn expected(tracks: &[u8], impressions: &[u8], options: &Options) -> (String, ImpressionCounts) {
    let mut plays: Vec<(Id, Play)> = Vec::new();
    records(
        "tracks",
        Kind::Plays,
        tracks,
        &mut Vec::new(),
        |Event { customer, id: event_id, time, kind }| {
            if let EventKind::Play { track, mobile } = kind {
                plays.push((customer, Play { time, event_id, track, mobile }));
            }
        },
    );
    let mut heard: Vec<Heard> = Vec::new();
    let mut reader = RowReader::new(impressions, Layout::of(Kind::Impressions));
    while let Some(row) = reader.impression_row(&Zone::utc()) {
        let Ok(ImpressionRow { event_id, customer, ad, time, clicked }) = row else { continue };
        if ad.to_id().to_string() == "AD" {
            heard.push((customer.to_id(), time.unix_ms, event_id.to_id(), !clicked));
        }
    }
    let smaller = |(_, a): &(Id, Play), (_, b): &(Id, Play)| match (a.precedes(b), b.precedes(a)) {
        (true, _) => Ordering::Less,
        (_, true) => Ordering::Greater,
        _ => Ordering::Equal,
    };
    plays.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.key().cmp(&b.1.key())).then(smaller(a, b)));
    heard.sort();
    let mut counts = ImpressionCounts::default();
    let all = (plays.len(), heard.len());
    let distinct = plays.chunk_by(|a, b| a.0 == b.0 && a.1.key() == b.1.key()).count();
    counts.repeated_plays = (all.0 - distinct) as u64;
    let same = |a: &Heard, b: &Heard| (&a.0, a.1, &a.2) == (&b.0, b.1, &b.2);
    counts.repeated_impressions = (all.1 - heard.chunk_by(same).count()) as u64;
    if !options.keep_repeats {
        plays.dedup_by(|later, first| later.0 == first.0 && later.1.key() == first.1.key());
        heard.dedup_by(|later, first| same(later, first));
    }
    let mut text = Vec::new();
    for (customer, now_ms, _, not_clicked) in heard {
        let start_ms = options.window.start_ms(now_ms);
        let counted: Vec<_> = plays
            .iter()
            .filter(|(own, play)| *own == customer && (start_ms..now_ms).contains(&play.time.unix_ms))
            .map(|(_, play)| play)
            .collect();
        let counted = &counted[counted.len().saturating_sub(options.window.plays as usize)..];
        let vector = feature::vector(counted.iter().map(|play| play.view().into()));
        let Some(vector) = vector.filter(|_| counted.len() >= options.min_plays) else {
            counts.few_plays += 1;
            continue;
        };
        counts.rows += 1;
        write!(text, "{}", u8::from(!not_clicked)).expect("memory");
        for (index, value) in (1..).zip(vector) {
            let written = if options.precise { format!("{value}") } else { format!("{value:.2}") };
            write!(text, " {index}:{written}").expect("memory");
        }
        writeln!(text, " # {customer}").expect("memory");
    }
    (String::from_utf8(text).expect("text"), counts)
}

fn actual(
    tracks: &[u8],
    impressions: &[u8],
    options: &Options,
    execution: &Execution,
) -> (String, ImpressionCounts) {
    let directory = tempfile::tempdir().expect("a directory");
    let resources = Resources {
        threads: execution.threads,
        block_bytes: execution.block_bytes,
        plays_bytes: execution.plays_bytes,
        spill_directory: directory.path().to_owned(),
    };
    let open = |name: &str, bytes: &[u8]| -> anyhow::Result<Source<'static>> {
        let reader = Cursor::new(bytes.to_vec());
        let input = if execution.stream {
            Input::Stream(Box::new(reader))
        } else {
            Input::Seekable(Box::new(reader))
        };
        Ok(Source { input, name: name.to_owned(), zone: Zone::utc(), watch: Box::new(BadRows::default()) })
    };
    let ad = Id::parse("AD").expect("an id");
    let history =
        read_impressions([&|| open("tracks", tracks), &|| open("impressions", impressions)], &ad, &resources)
            .expect("bytes in memory");
    let style = Style { ids: true, precise: options.precise };
    let table = history
        .aggregate(options.window, options.min_plays, options.keep_repeats, style, execution.threads, || ())
        .expect("a good disk");
    let mut text = Vec::new();
    table.write(&mut text).expect("memory");
    let files = std::fs::read_dir(directory.path()).expect("a directory").count();
    assert_eq!(files, 0, "no file is left behind");
    (String::from_utf8(text).expect("text"), table.counts())
}

fn impressions() -> impl Strategy<Value = Vec<u8>> {
    let ids = || mostly_plain(id().boxed());
    let ad = prop::sample::select(&["AD", "AD", "AD", "ADV_LIKE_FACEBOOK"][..]).prop_map(str::to_owned);
    let clicked =
        mostly_plain(prop::sample::select(&["0", "1", "1", "2", ""][..]).prop_map(str::to_owned).boxed());
    let row = (ids(), ids(), mostly_plain(ad.boxed()), mostly_plain(time().boxed()), clicked, end())
        .prop_map(|(event, customer, ad, time, clicked, end)| {
            format!("{event},{customer},{ad},{time},{clicked}{end}").into_bytes()
        });
    file(row.boxed())
}

proptest! {
    #[test]
    fn any_files_give_the_rows_of_impressions_of_the_plain_implementation(
        tracks in tracks(),
        impressions in impressions(),
        options in options(),
        executions in prop::collection::vec(execution(), 2),
    ) {
        let expected = expected(&tracks, &impressions, &options);
        for execution in executions {
            prop_assert_eq!(&actual(&tracks, &impressions, &options, &execution), &expected, "{:?}", execution);
        }
    }
}
