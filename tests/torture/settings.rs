//! The window, the campaign and the model are others in each life of a server: what was applied under one stays as it was
//! applied.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::account::Held;
use crate::dice::Dice;
use crate::process::{CAP, Place, Server, folder};
use crate::wire::{TIMEOUT, Wire};

const CUSTOMERS: u64 = 12;

/// The model that ships, with another bias.
fn model(number: usize) -> String {
    let text = include_str!("../../model/default.json");
    let other = text.replace("\"bias\":-", &format!("\"bias\":-{number}"));
    assert_ne!(text, other);
    other
}

fn model_id(server: &Server) -> String {
    let models = Wire::to(&server.admin).get("/models").expect("an answer").json();
    let champion = models.as_array().expect("an array").iter().find(|model| model["role"] == "champion");
    champion.and_then(|model| model["id"].as_str()).expect("a champion's id").to_owned()
}

/// What the server holds of all customers, each list in an order of its own.
fn held(server: &Server) -> BTreeMap<String, Held> {
    let mut admin = Wire::to(&server.admin);
    let profiles = (0..CUSTOMERS).filter_map(|number| {
        let customer = format!("s{number}");
        let answer = admin.get(&format!("/customers/{customer}")).expect("an answer");
        let mut held = (answer.status == 200).then(|| Held::of(&answer.json()))?;
        held.plays.sort_unstable();
        held.clicks.sort_unstable();
        held.impressions.sort();
        Some((customer, held))
    });
    profiles.collect()
}

fn play(customer: &str, event: u64, seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).expect("a time");
    format!(
        "{{\"type\":\"play\",\"event_id\":{event},\"customer_id\":\"{customer}\",\"track_id\":1,\"time\":\"{time}\",\"mobile\":false}}\n"
    )
}

/// The models that were promoted, as the log tells, in order.
fn promoted(place: &Place) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_upbeat"));
    let output = command.args(["journal", "dump", "--all"]).arg(&place.data).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).expect("text");
    let entries = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let models = entries.filter(|entry| entry["type"] == "promoted");
    models.map(|entry| entry["model"].as_str().expect("an id").to_owned()).collect()
}

/// Whether all of `few` are among `many`, in that order.
fn is_within(few: &[String], many: &[String]) -> bool {
    let mut many = many.iter();
    few.iter().all(|one| many.any(|other| other == one))
}

#[test]
fn held_customers_stay_as_they_are_where_window_campaign_and_model_change() {
    let lives = crate::rounds().map_or(5, |rounds| rounds * 5);
    let folder = folder();
    let root = folder.path().canonicalize().expect("a path");
    let place = Place::below(&root);
    let path = root.join("model.json");
    // All of the log is kept, so that each promotion can be looked for.
    let config = std::fs::read_to_string(&place.config).expect("the configuration");
    let config = config.replace("128KiB", "1GiB").replace("256KiB", "1GiB");
    // One campaign, by the table that stands for it.
    std::fs::remove_file(&place.campaigns).expect("the campaigns");
    let cap = format!("[campaign.cap]\nimpressions = {CAP}\nhours = 24\n");
    let config = format!("{config}[campaign]\nmin_plays = 1\nthreshold = -1e9\n{cap}");
    let mut dice = Dice::part(crate::seed(), 500);
    let today = jiff::Timestamp::now().as_second();
    let (mut before, mut events, mut shown, mut models) = (BTreeMap::new(), 0_u64, 0, Vec::new());
    for life in 0..lives {
        // The model is for one window; another one is served without a model.
        let (plays, days) = [(256, 28), (6, 28), (256, 28), (40, 3)][life as usize % 4];
        let has_model = (plays, days) == (256, 28);
        std::fs::write(&path, model(2 * life as usize + 1)).expect("it is written");
        let model_path = if has_model { path.display().to_string() } else { "none".to_owned() };
        let campaign = ["gold-one-day", "silver-two-days"][dice.place(2)];
        let config = config.replace("[campaign]\n", &format!("[campaign]\nid = \"{campaign}\"\n"));
        let window = format!("[window]\nplays = {plays}\ndays = {days}\n");
        std::fs::write(&place.config, format!("model = \"{model_path}\"\n{config}{window}"))
            .expect("written");
        let server = Server::start(&place, None).unwrap_or_else(|ended| panic!("it starts: {ended:?}"));
        assert_eq!(held(&server), before, "life {life}: what was held is held\n{}", server.stderr());

        let mut wire = Wire::to(&server.data);
        let rows: String = (0..150)
            .map(|_| {
                events += 1;
                let customer = format!("s{}", dice.below(CUSTOMERS));
                play(&customer, events, today - dice.below(20 * 24 * 3600) as i64)
            })
            .collect();
        let answer = wire.post("/events", "application/x-ndjson", rows.as_bytes()).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        if has_model {
            models.push(model_id(&server));
            std::fs::write(&path, model(2 * life as usize + 2)).expect("it is written");
            server.hang_up();
            let deadline = Instant::now() + TIMEOUT;
            while model_id(&server) == models[models.len() - 1] {
                assert!(Instant::now() < deadline, "the model is read again");
            }
            models.push(model_id(&server));
        }
        for number in 0..CUSTOMERS {
            let answer = wire.get(&format!("/should-show-ad/s{number}")).expect("an answer").json();
            shown += usize::from(answer["show"] == true);
        }
        // Acknowledged after all of it, so that all of it is on the disk.
        let last = play("s0", 1_000_000 + life, today);
        assert_eq!(wire.post("/events", "application/json", last.as_bytes()).expect("an answer").status, 200);
        before = held(&server);
        server.kill();
        assert!(before.len() as u64 == CUSTOMERS && before.values().any(|held| !held.plays.is_empty()));
        let in_log = promoted(&place);
        assert!(is_within(&models, &in_log), "life {life}: {models:?} were promoted, the log has {in_log:?}");
    }
    assert!(shown > CUSTOMERS as usize && CAP > 1, "ads were shown: {shown}");
    let distinct: std::collections::BTreeSet<_> = models.iter().collect();
    assert_eq!(distinct.len(), models.len(), "each model is another one");
    let names = |names: [&str; 3]| names.map(str::to_owned);
    assert!(is_within(&names(["a", "b", "c"]), &names(["a", "b", "c"])[..]));
    assert!(!is_within(&names(["a", "c", "b"]), &names(["a", "b", "c"])[..]), "an order is not kept");
}
