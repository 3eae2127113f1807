use axum::http::Request;

use super::*;

fn config(admin_hosts: &[&str], allow_cross_site: bool) -> Config {
    let admin_hosts = admin_hosts.iter().map(|name| (*name).to_owned()).collect();
    Config { admin_hosts, allow_cross_site, ..Config::default() }
}

/// What a gate says of a `GET` with these headers: the kind of problem, if any.
fn asked(config: &Config, listener: Listener, target: &str, headers: &[(&str, &str)]) -> Option<Kind> {
    let request =
        headers.iter().fold(Request::get(target), |request, (name, value)| request.header(*name, *value));
    let request = request.body(()).expect("a request");
    Gate::new(config).admit(&HeadFacts::of(listener, &request)).err().map(|problem| problem.kind())
}

#[test]
fn host_is_one_and_well_formed_on_both_listeners() {
    for listener in Listener::ALL {
        let asked = |headers: &[(&str, &str)]| asked(&config(&[], false), listener, "/", headers);
        assert_eq!(asked(&[("host", "127.0.0.1:8080")]), None);
        assert_eq!(asked(&[]), Some(Kind::InvalidHost));
        assert_eq!(asked(&[("host", "localhost"), ("host", "localhost")]), Some(Kind::InvalidHost));
        assert_eq!(asked(&[("host", "local host")]), Some(Kind::InvalidHost));
    }
}

#[test]
fn host_may_be_missing_in_http_1_0_only() {
    for listener in Listener::ALL {
        let mut request = Request::get("/").body(()).expect("a request");
        *request.version_mut() = Version::HTTP_10;
        let gate = Gate::new(&Config::default());
        assert!(gate.admit(&HeadFacts::of(listener, &request)).is_ok());
        request.headers_mut().append("host", HeaderValue::from_static("a b"));
        assert!(gate.admit(&HeadFacts::of(listener, &request)).is_err());
    }
}

#[test]
fn admin_listener_answers_to_addresses_and_its_own_names_alone() {
    let config = config(&["upbeat.internal"], false);
    for (host, refused) in [
        ("127.0.0.1:8081", false),
        ("192.0.2.7", false),
        ("[::1]:8081", false),
        ("localhost", false),
        ("LOCALHOST:8081", false),
        ("upbeat.internal", false),
        ("Upbeat.Internal:80", false),
        ("evil.example", true),
        ("localhost.evil.example:8081", true),
        ("127.0.0.1.evil.example", true),
        ("internal", true),
        ("", true),
    ] {
        let expected = refused.then_some(Kind::MisdirectedRequest);
        assert_eq!(asked(&config, Listener::Admin, "/", &[("host", host)]), expected, "{host}");
        assert_eq!(asked(&config, Listener::Data, "/", &[("host", host)]), None, "{host}");
        // The name of a target in absolute form counts in place of Host's.
        if !host.is_empty() {
            let target = format!("http://{host}/");
            assert_eq!(
                asked(&config, Listener::Admin, &target, &[("host", "localhost")]),
                expected,
                "{host}"
            );
        }
    }
    assert_eq!(
        asked(&config, Listener::Admin, "http://localhost/", &[("host", "evil.example")]),
        None,
        "Host does not count beside a target in absolute form"
    );
}

#[test]
fn pages_of_other_sites_are_refused_on_both_listeners_unless_configured() {
    for listener in Listener::ALL {
        for (site, refused) in [
            ("cross-site", true),
            ("Cross-Site", true),
            ("same-origin", false),
            ("same-site", false),
            ("none", false),
            ("", false),
        ] {
            let headers = [("host", "localhost"), ("sec-fetch-site", site)];
            let expected = refused.then_some(Kind::CrossSite);
            assert_eq!(asked(&config(&[], false), listener, "/", &headers), expected, "{site}");
            assert_eq!(asked(&config(&[], true), listener, "/", &headers), None, "{site}");
        }
        let twice = [("host", "localhost"), ("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")];
        assert_eq!(asked(&config(&[], false), listener, "/", &twice), Some(Kind::CrossSite));
    }
}

#[test]
fn configured_name_is_a_name_without_port() {
    assert!(is_host_name("upbeat") && is_host_name("upbeat.internal"));
    for name in ["", "upbeat:8081", "http://upbeat", "127.0.0.1", "[::1]", "a b", "*"] {
        assert!(!is_host_name(name), "{name}");
    }
}
