use upbeat_core::campaign::Single;
use upbeat_core::event::{CUSTOMER_FILE_ID, Event, EventKind, Id, MINUTE_MS, Membership, Row, Time};
use upbeat_core::feedback::FeedbackPeriods;
use upbeat_core::profile::Window;

use super::*;

const WALL_MS: i64 = 1_700_000_000_000;

/// An engine with room for so many customers and bytes of profiles, and for two tracks.
pub(super) fn engine_with(max_customers: usize, max_profile_bytes: usize) -> Engine {
    let settings = Settings {
        window: Window::default(),
        clock: Clock::Wall,
        max_future_ms: 5 * MINUTE_MS,
        expected_customers: 0,
        max_customers,
        max_profile_bytes,
        max_retry_bytes: 1 << 20,
        max_tracks: 2,
        max_tombstones: 1000,
        first_decision: 1,
        feedback: FeedbackPeriods::default(),
    };
    Engine::new(settings, Single::default().document())
}

fn engine() -> Engine {
    engine_with(10, 1 << 20)
}

fn membership(customer: u64, level: Membership) -> Result<Row, String> {
    Ok(Row::Event(Event {
        customer: Id::Number(customer),
        id: Id::Text(CUSTOMER_FILE_ID.into()),
        time: Time::from_unix_ms(WALL_MS),
        kind: EventKind::Membership(level),
    }))
}

#[test]
fn rows_of_an_atomic_body_are_checked_against_each_other() {
    use Membership::{Gold, Silver};
    let cases = [
        (vec![membership(1, Silver), membership(1, Gold)], Some(1)),
        (vec![membership(1, Silver), membership(1, Silver)], None),
        (vec![membership(1, Silver), membership(2, Gold)], None),
        ((0..11).map(|customer| membership(customer, Silver)).collect(), Some(10)),
        (vec![membership(1, Silver), Err("not a row".to_owned())], Some(1)),
    ];
    for (number, (rows, refused)) in cases.into_iter().enumerate() {
        let engine = engine();
        let count = rows.len();
        match (engine.apply_all(rows.into_iter(), WALL_MS), refused) {
            (Ok(report), None) => assert_eq!(report.accepted + report.duplicates, count, "case {number}"),
            (Err(report), Some(index)) => {
                let indices: Vec<_> = report.rejected.iter().map(|row| row.index).collect();
                assert_eq!(indices, [index], "case {number}");
                assert_eq!(engine.customer_count(), 0, "case {number}");
            }
            (result, _) => panic!("case {number}: {result:?}"),
        }
    }
}

#[test]
fn report_lists_ten_thousand_refusals_and_counts_the_rest() {
    let rows = (0..MAX_REJECTED_REPORTED + 5).map(|index| Err(format!("row {index}")));
    let report = engine().apply_each(rows, WALL_MS);
    assert_eq!((report.rejected.len(), report.rejected_omitted), (MAX_REJECTED_REPORTED, 5));
    assert_eq!((report.rejected[7].index, report.rejected[7].detail.as_str()), (7, "row 7"));
    assert_eq!(report.worst, Some(RowProblem::InvalidEvent));
}
