//! What answers of jobs change, and what they do not.

use std::sync::Arc;

use upbeat_core::event::{Id, Zone};
use upbeat_learn::job::{Answer, Ask, Challenger, GateSettings, Judged, Standing, Training};
use upbeat_learn::registry::OfCampaign;

use super::super::app::App;
use super::super::shipped::shipped_model;
use super::answer::GATE;
use super::jobs::Outcome;
use super::worker::Ended;
use crate::config::Config;

const NOW_MS: i64 = 1_700_000_000_000;

fn campaign() -> Id {
    Id::Text("offer".into())
}

/// An app whose one campaign has this mode, and is served by the model `gold-one-day`.
async fn app(mode: &str) -> Arc<App> {
    let app = Arc::new(App::new(Config::default(), Zone::utc(), || NOW_MS));
    put(&app, mode, "gold-one-day").await;
    app
}

async fn put(app: &Arc<App>, mode: &str, model: &str) {
    let toml = format!(
        "currency = \"USD\"\n[[campaign]]\nid = \"offer\"\nad = \"AD\"\nmode = \"{mode}\"\nmodel = \"{model}\"\n\
         threshold = \"profit\"\nimpression_cost = 0.02\nclick_value = 0.5\n"
    );
    Arc::clone(app).put_campaigns(toml, "ada".into(), |_| Ok(())).await.expect("they are good");
}

fn champion(app: &App) -> String {
    let current = app.engine.campaigns();
    current.plan.models[current.plan.campaigns[0].model.expect("a model")].id.clone()
}

fn of(app: &App) -> OfCampaign {
    app.learning().registry().of(&campaign()).expect("it is known").clone()
}

/// What a job is asked now.
fn ask(app: &App) -> Ask {
    Ask {
        campaign: campaign(),
        champion: Some(champion(app)),
        challenger: of(app).challenger,
        train: true,
        trained_until_ms: None,
        min_labels: 500,
        attribution_ms: 1,
        conversion_ms: 1,
        now_ms: NOW_MS,
        gate: GateSettings { alpha: 0.05, min_gain_micro: 0.0, max_age_ms: 1_000, exploration: 0.1 },
        seed: 1,
    }
}

fn text(name: &str) -> String {
    String::from_utf8(shipped_model(name).expect("it ships").to_vec()).expect("text")
}

/// A candidate, as a job that trained this text says.
fn candidate(text: &str) -> Answer {
    let id = upbeat_svm::Model::read(text.as_bytes())
        .map_or_else(|_| "0".to_owned(), |model| model.id().to_owned());
    let trained = Training::Candidate {
        model: text.to_owned(),
        id,
        trained_until_ms: NOW_MS - 100,
        newest_ms: Some(NOW_MS - 50),
        rows: 700,
        clicks: 70,
        sentence: "It was trained.".into(),
    };
    Answer { judged: None, trained: Some(trained), ..Answer::default() }
}

fn judged(app: &App, standing: Standing) -> Answer {
    let judged = Judged {
        id: of(app).challenger.expect("a challenger").id,
        standing,
        sentence: "It was judged.".into(),
        verdicts: Vec::new(),
        rows: 3,
        agreement: Some(0.5),
        would_have_profit_micro: Some(1.0),
    };
    Answer { judged: Some(judged), trained: None, ..Answer::default() }
}

fn outcome(ended: Result<Ended, Ended>) -> Outcome {
    let (outcome, sentence) = ended.unwrap_or_else(|ended| ended);
    assert!(!sentence.is_empty());
    outcome
}

/// The model that challenges after a job that trained it.
fn challenge(app: &App) -> Challenger {
    assert_eq!(outcome(app.apply(&ask(app), candidate(&text("facebook-like")))), Outcome::Registered);
    of(app).challenger.expect("it was registered")
}

#[tokio::test(flavor = "multi_thread")]
async fn candidate_challenges_from_now_on_at_the_campaigns_terms() {
    let app = app("auto").await;
    let before = champion(&app);
    let challenger = challenge(&app);
    let Challenger { number, trained_until_ms, fixed_ms, cost_micro, value_micro, .. } = challenger;
    assert_eq!((number, trained_until_ms, fixed_ms), (1, NOW_MS - 100, NOW_MS));
    assert_eq!((cost_micro, value_micro), (20_000, 500_000));
    assert_eq!(of(&app).trained_until_ms, Some(NOW_MS - 50));
    assert_eq!(champion(&app), before, "it answers nobody");
    // No other is made meanwhile, whatever a job trained.
    let again =
        Answer { trained: candidate(&text("charity-donation")).trained, ..judged(&app, Standing::Stays) };
    assert_eq!(outcome(app.apply(&ask(&app), again)), Outcome::Stays);
    assert_eq!(of(&app).challenger.map(|it| it.id), Some(challenger.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn challenger_that_has_passed_is_promoted_by_the_gate_in_the_mode_auto_alone() {
    for mode in ["auto", "apprentice", "frozen"] {
        let app = app(mode).await;
        let (before, challenger) = (champion(&app), challenge(&app));
        let came = outcome(app.apply(&ask(&app), judged(&app, Standing::Promote)));
        let version = app.engine.campaign_history().pop().expect("a version");
        if mode == "auto" {
            assert_eq!((came, champion(&app)), (Outcome::Promoted, challenger.id.clone()));
            assert_eq!((&*version.who, of(&app).challenger), (GATE, None));
            assert_eq!(version.changed, [format!("offer: model {before} → {}", challenger.id)]);
            continue;
        }
        assert_eq!((came, champion(&app)), (Outcome::WouldPromote, before.clone()), "{mode}");
        assert_eq!(
            (&*version.who, of(&app).challenger.map(|it| it.id)),
            ("ada", Some(challenger.id.clone()))
        );
        let known = of(&app).known(&challenger.id).cloned().expect("it is known");
        assert!(known.sentence.expect("a sentence").contains("/promote?campaign=offer"));
        // It may not wait for ever either.
        let late = Ask { now_ms: NOW_MS + 1_000, ..ask(&app) };
        assert_eq!(outcome(app.apply(&late, judged(&app, Standing::Promote))), Outcome::Dropped);
        assert_eq!((champion(&app), of(&app).challenger, of(&app).reign.number()), (before, None, 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn challenger_that_is_futile_makes_room_for_the_candidate_of_the_same_job() {
    let app = app("auto").await;
    let before = champion(&app);
    challenge(&app);
    let next = candidate(&text("charity-donation"));
    let answer = Answer { trained: next.trained, ..judged(&app, Standing::Futile) };
    let (outcome, sentence) = app.apply(&ask(&app), answer).expect("it came to something");
    assert_eq!((outcome, sentence.as_str()), (Outcome::Registered, "It was judged. It was trained."));
    assert_eq!((of(&app).challenger.map(|it| it.number), champion(&app)), (Some(2), before));
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_about_a_former_champion_or_challenger_changes_nothing() {
    let app = app("auto").await;
    challenge(&app);
    let (asked, answer) = (ask(&app), judged(&app, Standing::Promote));
    put(&app, "auto", "charity-donation").await;
    let (before, registry) = (champion(&app), app.learning().registry());
    let (outcome, sentence) = app.apply(&asked, answer.clone()).expect_err("the champion is another");
    assert!(outcome == Outcome::Failed && sentence.contains("changed while the job ran"), "{sentence}");
    assert_eq!((champion(&app), app.learning().registry()), (before, registry));
    // The former champion is back, and the challenger's evidence is not.
    put(&app, "auto", "gold-one-day").await;
    assert!(app.apply(&asked, answer).is_err());
    // A campaign that was removed has nobody.
    let none = "currency = \"USD\"\ncampaign = []\n".to_owned();
    Arc::clone(&app).put_campaigns(none, "ada".into(), |_| Ok(())).await.expect("they are good");
    assert!(
        app.apply(&asked, candidate(&text("facebook-like")))
            .expect_err("it is gone")
            .1
            .contains("was removed")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn candidate_that_could_not_serve_is_refused_with_a_sentence_and_the_champion_stays() {
    let app = app("auto").await;
    let good = text("facebook-like");
    let weights = good.find("\"weights\":[").map(|at| at + "\"weights\":[".len()).expect("weights");
    let end = weights + good[weights..].find(']').expect("an end");
    let constant = format!("{}0,0,0,0,0,0{}", &good[..weights], &good[end..]);
    let with_id = |id: &str| {
        let Some(Training::Candidate { model, trained_until_ms, newest_ms, rows, clicks, sentence, .. }) =
            candidate(&good).trained
        else {
            panic!("a candidate")
        };
        let id = id.to_owned();
        let trained = Training::Candidate { model, id, trained_until_ms, newest_ms, rows, clicks, sentence };
        Answer { judged: None, trained: Some(trained), ..Answer::default() }
    };
    let mut ahead = candidate(&good);
    if let Some(Training::Candidate { trained_until_ms, .. }) = &mut ahead.trained {
        *trained_until_ms = NOW_MS + 1;
    }
    let mut of_another = candidate(&good);
    of_another.judged = Some(Judged {
        id: "nobody".into(),
        standing: Standing::Promote,
        sentence: String::new(),
        verdicts: Vec::new(),
        rows: 0,
        agreement: None,
        would_have_profit_micro: None,
    });
    let before = (champion(&app), app.learning().registry());
    for (answer, why) in [
        (candidate("no model"), "not an Upbeat model file"),
        (candidate(&good.replace("\"plays\":256", "\"plays\":100")), "window"),
        (
            candidate(&good.replace("\"label\":\"impression\"", "\"label\":\"customer\"")),
            "probability that a show",
        ),
        (candidate(&good.replace("\"converged\":true", "\"converged\":false")), "converged"),
        (candidate(&constant), "scores all listeners alike"),
        (with_id("4017e3471abc"), "says that its model is"),
        (ahead, "newer than now"),
        (of_another, "nobody asked for"),
        (Answer { judged: None, trained: None, ..Answer::default() }, "nothing of what it was asked"),
    ] {
        let (outcome, sentence) = match app.apply(&ask(&app), answer) {
            Ok(ended) | Err(ended) => ended,
        };
        assert_eq!(outcome, Outcome::Failed, "{why}: {sentence}");
        assert!(
            sentence.contains("The champion stays in force") && sentence.contains(why),
            "{why}: {sentence}"
        );
        assert_eq!((champion(&app), app.learning().registry()), before, "{why}");
    }
}
