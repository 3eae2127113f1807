//! Idle customers are evicted, and stay evicted.

use std::collections::{BTreeMap, BTreeSet};

use crate::account::Held;
use crate::dice::Dice;
use crate::inspect;
use crate::preload::{Control, Kind, Of, Watch, Word};
use crate::process::{Place, Server, folder};
use crate::wire::Wire;

const DAY_S: i64 = 24 * 3600;

/// Customers of one round.
const CUSTOMERS: usize = 40;

/// What must be there of a customer who was idle.
#[derive(Debug, Clone)]
struct Idle {
    plays: BTreeSet<u64>,
    is_gold: bool,
    /// It was seen that they are evicted, before the kill.
    is_gone: bool,
}

impl Idle {
    fn fault(&self, held: &Held) -> Option<String> {
        let plays: BTreeSet<u64> = held.plays.iter().copied().collect();
        let is_whole = plays == self.plays && plays.len() == held.plays.len();
        let is_possible = plays.is_empty() || (is_whole && !self.is_gone);
        let keeps_gold = held.membership.as_ref().is_some_and(|(level, _)| level == "gold") == self.is_gold;
        (!is_possible || !keeps_gold).then(|| format!("{self:?} is held as {held:?}"))
    }
}

fn post(wire: &mut Wire, rows: &str) -> bool {
    wire.post("/events", "application/x-ndjson", rows.as_bytes()).is_ok_and(|answer| answer.status == 200)
}

fn row(kind: &str, customer: &str, event: u64, seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).expect("a time");
    let rest = match kind {
        "play" => r#""track_id":1,"mobile":false"#,
        _ => r#""level":"gold""#,
    };
    format!(
        "{{\"type\":\"{kind}\",\"event_id\":{event},\"customer_id\":\"{customer}\",\"time\":\"{time}\",{rest}}}\n"
    )
}

fn held_of(server: &Server, customer: &str) -> Held {
    let answer = Wire::to(&server.admin).get(&format!("/customers/{customer}")).expect("an answer");
    if answer.status == 404 { Held::default() } else { Held::of(&answer.json()) }
}

#[test]
fn evicted_customers_stay_evicted_and_all_others_are_whole() {
    let rounds = crate::rounds().map_or(4, |rounds| rounds * 10);
    let folder = folder();
    let root = folder.path().canonicalize().expect("a path");
    let place = Place::below(&root);
    // Now is the newest event, so that the events decide who is idle.
    let config = std::fs::read_to_string(&place.config).expect("the configuration");
    let config = |every: &str| {
        let limits = format!("[limits]\nevict_every = \"{every}\"\n");
        format!("clock = \"event\"\n{}", config.replace("[limits]\n", &limits))
    };
    let control = Control::new(&root.join("control"));
    let watch = Watch { directory: place.watched().to_owned(), trace: None, control: Some(&control) };
    let start = |every: &str| {
        std::fs::write(&place.config, config(every)).expect("it is written");
        Server::start(&place, Some(&watch)).unwrap_or_else(|ended| panic!("it starts: {ended:?}"))
    };
    let mut dice = Dice::part(crate::seed(), 400);
    let step_s = 20 * DAY_S;
    let begin = jiff::Timestamp::now().as_second() - (rounds as i64 * 2 + 4) * step_s;
    let (mut idle, mut seen, mut amid) = (BTreeMap::<String, Idle>::new(), 0, 0);
    for round in 0..rounds {
        let server = start("100ms");
        let mut wire = Wire::to(&server.data);
        let at = begin + round as i64 * 2 * step_s;
        for number in 0..CUSTOMERS {
            let customer = format!("i{round}-{number}");
            let is_gold = number % 5 == 0;
            let mut rows: String =
                (0..3).map(|play| row("play", &customer, play, at + play as i64)).collect();
            rows += &if is_gold { row("membership", &customer, 9, at) } else { String::new() };
            assert!(post(&mut wire, &rows), "it is acknowledged");
            idle.insert(customer, Idle { plays: (0..3).collect(), is_gold, is_gone: false });
        }
        let was_evicted = inspect::metric(&server, "upbeat_customers_evicted_total");
        // In every other round the process is killed while the sweep's records are written.
        let is_amid = round % 2 == 1;
        if is_amid {
            control.kill_in(Kind::Write, Of::Segment, 2 + dice.below(3), dice.below(3));
        }
        // Two customers, two steps of time: whoever was not there meanwhile is idle.
        let mut movers = String::new();
        for step in 1..=2 {
            for mover in ["m1", "m2"] {
                movers += &row("play", mover, round * 10 + step, at + step as i64 * step_s);
            }
        }
        let moved = post(&mut wire, &movers);
        if is_amid {
            let deadline = std::time::Instant::now() + crate::wire::TIMEOUT;
            let mut server = server;
            while !server.has_ended() {
                assert!(std::time::Instant::now() < deadline, "the writes come");
                // Something to write, where nothing is left to evict.
                let _ = post(&mut wire, &row("play", "m1", 1_000_000 + dice.below(1 << 40), at + 2 * step_s));
            }
            amid += usize::from(control.take_death().is_some());
        } else {
            assert!(moved, "it is acknowledged");
            let deadline = std::time::Instant::now() + crate::wire::TIMEOUT;
            while inspect::metric(&server, "upbeat_customers_evicted_total") < was_evicted + CUSTOMERS as u64
            {
                assert!(std::time::Instant::now() < deadline, "idle customers are evicted");
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            for (customer, idle) in &mut idle {
                if held_of(&server, customer).plays.is_empty() {
                    seen += usize::from(!idle.is_gone);
                    idle.is_gone = true;
                }
            }
            server.kill();
        }
        control.set(Word::KillIn, 0);

        // Nobody is evicted by the server that is asked.
        let server = start("24h");
        for (customer, idle) in &mut idle {
            let held = held_of(&server, customer);
            assert_eq!(idle.fault(&held), None, "round {round}: {customer}\n{}", server.stderr());
            idle.is_gone |= held.plays.is_empty();
        }
        if moved {
            for mover in ["m1", "m2"] {
                let plays = held_of(&server, mover).plays;
                let there = (1..=2).all(|step| plays.contains(&(round * 10 + step)));
                assert!(there, "round {round}: {mover} is not idle: {plays:?}");
            }
        }
        server.kill();
    }
    eprintln!("evictions: {rounds} rounds, {amid} killed amid a write, {seen} customers seen evicted");
    assert!(seen > CUSTOMERS && amid as u64 >= rounds / 2, "{seen} were seen to be evicted, {amid} kills");
    // What a server that forgot an eviction, or a membership, or one play, would hold.
    let mut gone = Idle { plays: (0..3).collect(), is_gold: true, is_gone: true };
    let gold = Some(("gold".to_owned(), String::new()));
    let held = |plays: &[u64], gold| Held { plays: plays.to_vec(), membership: gold, ..Held::default() };
    assert!(gone.fault(&held(&[0, 1, 2], gold.clone())).is_some(), "an eviction is forgotten");
    assert!(gone.fault(&held(&[], None)).is_some(), "the membership is forgotten");
    assert_eq!(gone.fault(&held(&[], gold.clone())), None);
    gone.is_gone = false;
    assert!(gone.fault(&held(&[0, 2], gold.clone())).is_some(), "one play is forgotten");
    assert_eq!(gone.fault(&held(&[0, 1, 2], gold)), None);
}
