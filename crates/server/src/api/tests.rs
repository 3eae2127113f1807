use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::tests::app;

async fn get_from(router: &Router, path: &str) -> Response {
    let request = Request::get(path).body(Body::empty()).expect("a request");
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
    let router = with_layers(routes, &app);
    for path in ["/text", "/string", "/value"] {
        let response = get_from(&router, path).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()["content-type"], problem::PROBLEM_JSON);
        assert!(response.headers().contains_key("x-request-id"), "so that the log's line can be found");
        let body = text(response).await;
        assert!(body.contains("/problems/internal") && !body.contains("secret"), "{body}");
        assert_eq!(get_from(&router, "/healthz").await.status(), StatusCode::OK);
    }
    let metrics = app.metrics.render().expect("text");
    assert!(metrics.contains("upbeat_problems_total{type=\"internal\"} 3"), "{metrics}");
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
