use std::collections::HashMap as StdMap;

use proptest::prelude::*;
use upbeat_core::decision::Reason;
use upbeat_core::event::DecisionId;

use super::*;

const WALL_MS: i64 = 1_700_000_000_000;

fn decision(id: u64) -> Decision {
    Decision { reason: Reason::NoModel, score: None, campaign: None, model: None, id: DecisionId(id) }
}

fn request(number: u64) -> RequestId {
    RequestId::parse(&format!("{number:032x}")).expect("an id")
}

/// Asks, and returns the decision's id, a new one where it is a new decision.
fn ask(
    requests: &RecentRequests,
    customer: u64,
    number: u64,
    wall_ms: i64,
    new: u64,
) -> Result<u64, NotKept> {
    let decided = requests.get_or_decide(&Id::Number(customer), &request(number), wall_ms, || decision(new));
    decided.map(|(decision, repeated)| {
        assert_eq!(repeated, decision.id.0 != new);
        decision.id.0
    })
}

fn drop_old(requests: &RecentRequests, wall_ms: i64) {
    for shard in 0..requests.shards() {
        requests.drop_old(shard, wall_ms);
    }
}

#[test]
fn answer_stays_its_whole_minute_however_many_others_come() {
    let requests = RecentRequests::new(16 << 20);
    assert_eq!(ask(&requests, 48, 0, WALL_MS, 1), Ok(1));
    // More than once pushed it out, all for one customer, and then for others.
    let mut refused = 0;
    for number in 1..20_000 {
        refused += usize::from(ask(&requests, 48, number, WALL_MS + 1, 2) == Err(NotKept::CustomerShare));
    }
    assert!(refused > 0, "what could not be kept is refused");
    for number in 0..80_000 {
        let _ = ask(&requests, 1000 + number, number, WALL_MS + 1, 2);
    }
    assert_eq!(ask(&requests, 48, 0, WALL_MS + RETRY_PERIOD_MS, 3), Ok(1));
    assert_eq!(ask(&requests, 48, 0, WALL_MS + RETRY_PERIOD_MS + 1, 4), Ok(4));
    assert_eq!(ask(&requests, 48, 0, WALL_MS + 2 * RETRY_PERIOD_MS + 1, 5), Ok(4), "another minute begins");
}

#[test]
fn one_customers_requests_leave_room_for_all_others() {
    let requests = RecentRequests::new(16 << 20);
    let flooding = (0..20_000).filter(|number| ask(&requests, 48, *number, WALL_MS, 1).is_ok()).count();
    assert!((500..5000).contains(&flooding), "{flooding}");
    for customer in 1000..31_000 {
        assert_eq!(ask(&requests, customer, 7, WALL_MS, 2), Ok(2), "{customer}");
    }
}

#[test]
fn memory_is_bounded_and_returned_after_the_minute() {
    let limit = 4 << 20;
    let requests = RecentRequests::new(limit);
    let kept = (0..40_000).filter(|number| ask(&requests, *number, *number, WALL_MS, 1).is_ok()).count();
    assert!(kept > 10_000, "{kept}");
    assert_eq!(ask(&requests, 999_999, 1, WALL_MS, 1), Err(NotKept::MemoryFull));
    assert!((limit * 3 / 4..=limit).contains(&requests.bytes()), "{}", requests.bytes());
    drop_old(&requests, WALL_MS + RETRY_PERIOD_MS);
    assert!(requests.bytes() > limit / 2, "not a moment earlier");
    drop_old(&requests, WALL_MS + RETRY_PERIOD_MS + 1);
    assert_eq!(requests.bytes(), 0);
    assert_eq!(ask(&requests, 999_999, 1, WALL_MS + RETRY_PERIOD_MS + 1, 1), Ok(1));
}

#[test]
fn clock_that_steps_back_does_not_fill_the_memory() {
    let requests = RecentRequests::new(1 << 20);
    assert!((0..10_000).any(|number| ask(&requests, number, number, WALL_MS, 1).is_err()));
    let back_ms = WALL_MS - 3_600_000;
    drop_old(&requests, back_ms);
    assert_eq!(requests.bytes(), 0);
    assert_eq!(ask(&requests, 1, 1, back_ms, 2), Ok(2));
    assert_eq!(ask(&requests, 1, 1, back_ms - 1000, 3), Ok(2), "a small step changes nothing");
}

#[test]
fn answer_that_a_newer_one_has_replaced_is_not_listed() {
    let requests = RecentRequests::new(1 << 20);
    let show = |customer: u64, wall_ms: i64, id: u64| {
        let shown = Decision { reason: Reason::LikelyToClick, ..decision(id) };
        requests.get_or_decide(&Id::Number(customer), &request(1), wall_ms, || shown).expect("room")
    };
    let after_ms = WALL_MS + RETRY_PERIOD_MS + 1;
    // Each shard has many that are older, so that it keeps the memory of the last one for now.
    for customer in 0..200 {
        assert!(!show(customer, WALL_MS, 1000 + customer).1);
    }
    assert!(!show(199, after_ms, 7).1 && show(199, after_ms + 1, 8).1);
    let kept = |requests: &RecentRequests| -> usize {
        requests.shards.iter().map(|shard| lock(shard).answers.len()).sum()
    };
    assert!(kept(&requests) > 190, "both are kept");
    let shown: Vec<_> = (0..requests.shards()).flat_map(|shard| requests.shown(shard)).collect();
    let of: Vec<u64> = shown
        .iter()
        .filter(|shown| shown.customer == Id::Number(199))
        .map(|shown| shown.decision.0)
        .collect();
    assert_eq!(of, [7]);
}

#[test]
fn answer_that_a_newer_one_has_replaced_does_not_come_back_when_a_customer_is_erased() {
    let requests = RecentRequests::new(1 << 20);
    let after_ms = WALL_MS + RETRY_PERIOD_MS + 1;
    let asked = 100..200;
    for customer in 0..200 {
        assert_eq!(ask(&requests, customer, 1, WALL_MS, 1000 + customer), Ok(1000 + customer));
    }
    for customer in asked.clone() {
        assert_eq!(ask(&requests, customer, 1, after_ms, 2000 + customer), Ok(2000 + customer));
    }
    (0..50).for_each(|customer| requests.remove(&Id::Number(customer)));
    for customer in asked {
        assert_eq!(ask(&requests, customer, 1, after_ms + 1, 3000 + customer), Ok(2000 + customer));
    }
}

#[test]
fn panic_while_deciding_keeps_no_answer_and_breaks_nothing() {
    let requests = RecentRequests::new(1 << 20);
    let panicking = std::panic::AssertUnwindSafe(|| {
        requests.get_or_decide(&Id::Number(1), &request(1), WALL_MS, || panic!("a fault in a decision"))
    });
    assert!(std::panic::catch_unwind(panicking).is_err());
    assert_eq!(ask(&requests, 1, 1, WALL_MS, 2), Ok(2));
}

#[test]
fn concurrent_retries_count_once() {
    let requests = RecentRequests::new(1 << 20);
    let decided = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..500 {
                    let customer = Id::Number(number);
                    let kept = requests.get_or_decide(&customer, &request(number), WALL_MS, || {
                        decided.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        decision(number)
                    });
                    assert_eq!(kept.expect("room").0.id, DecisionId(number));
                }
            });
        }
    });
    assert_eq!(decided.into_inner(), 500);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Few customers and requests, so that they repeat, grow old and are removed: what a plain map would answer.
    #[test]
    fn answers_are_those_of_a_plain_map(
        steps in prop::collection::vec((0u8..10, 0u64..4, 0u64..8, 0i64..20_000), 1..300),
    ) {
        let requests = RecentRequests::new(1 << 20);
        let mut expected = StdMap::<(u64, u64), (i64, u64)>::new();
        let mut now_ms = WALL_MS;
        for (new, (step, customer, number, later_ms)) in steps.into_iter().enumerate() {
            now_ms += later_ms;
            match step {
                0 => {
                    requests.remove(&Id::Number(customer));
                    expected.retain(|(held, _), _| *held != customer);
                }
                1 => drop_old(&requests, now_ms),
                _ => {
                    let new = new as u64;
                    let held = expected.get(&(customer, number)).copied();
                    let kept = held.filter(|(made_ms, _)| now_ms - made_ms <= RETRY_PERIOD_MS);
                    let (made_ms, id) = kept.unwrap_or((now_ms, new));
                    expected.insert((customer, number), (made_ms, id));
                    prop_assert_eq!(ask(&requests, customer, number, now_ms, new), Ok(id));
                }
            }
            for shard in &requests.shards {
                let shard = lock(shard);
                let bytes: usize = shard.answers.iter().map(Answer::bytes).sum();
                prop_assert_eq!(shard.customers.values().sum::<usize>(), bytes);
                prop_assert!(shard.index.len() <= shard.answers.len());
            }
        }
    }
}
