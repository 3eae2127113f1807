use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::metrics::Format;
use crate::tests::app;
use crate::wire::Slices;

async fn get_from(router: &Router, path: &str) -> Response {
    let request = Request::get(path).header("host", "a").body(Body::empty()).expect("a request");
    router.clone().oneshot(request).await.expect("routers do not fail")
}

async fn text(response: Response) -> String {
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(body.to_vec()).expect("text")
}

async fn panics_with_a_text() -> StatusCode {
    panic!("a customer's secret")
}

async fn panics_with_a_string() -> StatusCode {
    let secret = "secret";
    panic!("a customer's {secret}")
}

async fn panics_with_a_value() -> StatusCode {
    std::panic::panic_any(7)
}

#[tokio::test]
async fn panic_is_answered_and_the_server_continues() {
    let app = app();
    let routes = Router::new()
        .route("/text", get(panics_with_a_text))
        .route("/string", get(panics_with_a_string))
        .route("/value", get(panics_with_a_value))
        .route("/healthz", get(health::healthz));
    let router = with_layers(routes, &app, Listener::Data);
    for path in ["/text", "/string", "/value"] {
        let response = get_from(&router, path).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()["content-type"], problem::PROBLEM_JSON);
        assert!(response.headers().contains_key("x-request-id"), "so that the log's line can be found");
        let body = text(response).await;
        assert!(body.contains("/problems/internal") && !body.contains("secret"), "{body}");
        assert_eq!(get_from(&router, "/healthz").await.status(), StatusCode::OK);
    }
    let metrics = app.metrics.render(Format::Classic).expect("text");
    assert!(metrics.contains("upbeat_problems_total{type=\"internal\"} 3"), "{metrics}");
}

#[tokio::test]
async fn gate_that_panics_is_answered_500() {
    let app = crate::runtime::App::new(Default::default(), upbeat_core::event::Zone::utc(), || 0);
    let app = Arc::new(app.with_admit(|_| panic!("a customer's secret")));
    let response = get_from(&router(&app), "/healthz").await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!text(response).await.contains("secret"));
}

#[test]
fn every_problem_has_its_own_name_and_an_error_status() {
    let mut names: Vec<_> = problem::Kind::ALL.iter().map(|kind| kind.slug()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), problem::Kind::ALL.len());
    for kind in problem::Kind::ALL {
        assert!(kind.status().is_client_error() || kind.status().is_server_error(), "{kind:?}");
        assert!(kind.slug().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{kind:?}");
    }
}

/// A loop's place among those that run slices, which the test takes by hand.
fn loop_by_hand(slices: &Slices) -> mio::Poll {
    let poll = mio::Poll::new().expect("a poller");
    slices.join(&Arc::new(mio::Waker::new(poll.registry(), mio::Token(0)).expect("a waker")));
    poll
}

/// Runs slices until `response` is there, and says how much `count` grew with each; without slices it must not grow.
async fn growth_by_slice(
    app: &Arc<App>,
    response: tokio::task::JoinHandle<Response>,
    count: impl Fn() -> usize,
) -> (Response, Vec<usize>) {
    let mut growth = Vec::new();
    while !response.is_finished() {
        let before = count();
        tokio::task::yield_now().await;
        assert_eq!(count(), before, "only slices change the store");
        if app.slices().is_waiting() {
            app.slices().run_next();
            growth.push(count() - before);
        }
    }
    (response.await.expect("no panic"), growth)
}

fn post(app: &Arc<App>, path: &str, content_type: &str, body: String) -> tokio::task::JoinHandle<Response> {
    let request =
        Request::post(path).header("host", "a").header("content-type", content_type).body(Body::from(body));
    let router = router(app);
    tokio::spawn(
        async move { router.oneshot(request.expect("a request")).await.expect("routers do not fail") },
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_large_bodies_are_applied_by_event_loops_in_short_slices() {
    const ROWS: usize = 1000;
    let app = app();
    let _poll = loop_by_hand(app.slices());
    let row = |customer: usize| {
        format!(
            "{{\"type\":\"play\",\"event_id\":1,\"customer_id\":{customer},\"track_id\":7,\
             \"time\":\"2023-11-14T20:00:00\",\"mobile\":true,\"zip\":\"72132\"}}\n"
        )
    };
    let mut rows: Vec<String> = (0..ROWS).map(row).collect();
    rows[500] = "not an event\n".to_owned();
    let response = post(&app, "/events", "application/x-ndjson", rows.concat());
    let (response, growth) = growth_by_slice(&app, response, || app.engine.customer_count()).await;
    assert!(growth.len() > 1 && growth.iter().all(|rows| *rows <= 128), "{growth:?}");
    let report: serde_json::Value = serde_json::from_str(&text(response).await).expect("JSON");
    assert_eq!(report["accepted"], ROWS - 1);
    assert_eq!(report["rejected"][0]["index"], 500, "rows are counted over all slices: {report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_batches_are_decided_by_event_loops_in_short_slices_and_in_order() {
    const CUSTOMERS: usize = 1000;
    let app = app();
    let _poll = loop_by_hand(app.slices());
    let ids: Vec<String> = (0..CUSTOMERS).map(|customer| format!("\"{customer}\"")).collect();
    let body = format!("{{\"customers\":[{}]}}", ids.join(","));
    let decided = || app.engine.counters().decisions().map(|(_, count)| count as usize).sum::<usize>();
    let (response, growth) =
        growth_by_slice(&app, post(&app, "/decisions", "application/json", body), decided).await;
    assert!(growth.len() > 1 && growth.iter().all(|decisions| *decisions <= 128), "{growth:?}");
    let answer: serde_json::Value = serde_json::from_str(&text(response).await).expect("JSON");
    let answered = answer["decisions"].as_array().expect("a list").iter();
    let answered: Vec<_> = answered.map(|decision| decision["customer"].to_string()).collect();
    assert_eq!(answered, ids);
}

#[tokio::test]
async fn while_what_was_kept_is_read_only_health_is_answered_and_readiness_says_how_far() {
    let app = app();
    app.recovery().begin();
    app.recovery().note(crate::runtime::Progress { phase: "log", bytes: 30, of_bytes: 120, records: 7 });
    let router = router(&app);
    assert_eq!(get_from(&router, "/healthz").await.status(), StatusCode::OK);
    let readiness = get_from(&router, "/readyz").await;
    assert_eq!(readiness.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = text(readiness).await;
    assert!(body.contains("/problems/not-ready") && body.contains("25 % of the log"), "{body}");

    let post = Request::post("/events").header("host", "a").header("content-type", "application/json");
    let post = post.body(Body::from("{}")).expect("a request");
    let posted = router.clone().oneshot(post).await.expect("routers do not fail");
    for answer in [get_from(&router, "/should-show-ad/48").await, posted] {
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().contains_key("retry-after"));
        let body = text(answer).await;
        assert!(body.contains("/problems/not-ready") && body.contains("25 %"), "{body}");
    }
    let metrics = app.metrics.render(Format::Classic).expect("text");
    assert!(metrics.contains("upbeat_journal_refused_total{cause=\"recovering\"} 2"), "{metrics}");
    app.recovery().end();
    assert_eq!(get_from(&router, "/readyz").await.status(), StatusCode::OK);
    assert_eq!(get_from(&router, "/should-show-ad/48").await.status(), StatusCode::OK);
}

#[test]
fn events_are_refused_by_their_head_where_the_log_takes_none_and_decisions_never() {
    let log = crate::tests::FakeLog::new(10, 10);
    let app = crate::tests::app_with_log(&log);
    let refused = |path| unavailable(&app, &Method::POST, path).map(|problem| problem.kind());
    assert_eq!(refused("/events"), None);
    log.back_up();
    assert_eq!(refused("/events"), Some(Kind::LogUnavailable));
    assert_eq!(refused("/decisions"), None);
    assert_eq!(unavailable(&app, &Method::GET, "/should-show-ad/48").map(|problem| problem.kind()), None);
}
