use super::*;

fn load(file: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Some(file), variables)
}

#[test]
fn shipped_file_states_every_key_and_its_default() {
    let file = include_str!("../../../../upbeat.toml");
    assert_eq!(load(file, &[]), Ok(Config::default()));
    for (variable, key) in environment_keys() {
        let name = key.path.last().expect("a key has a name");
        let named = file.lines().any(|line| {
            let line = line.trim_start_matches('#').trim_start();
            line.strip_prefix(name.as_str()).is_some_and(|rest| rest.trim_start().starts_with('='))
        });
        assert!(named, "upbeat.toml does not document {variable}");
    }
}

#[test]
fn environment_overrides_the_file() {
    let file = "time_zone = \"UTC\"\n[window]\ndays = 7\n";
    let environment = [
        ("UPBEAT_WINDOW_PLAYS", "50"),
        ("UPBEAT_CAMPAIGN_CAP_HOURS", "12"),
        ("UPBEAT_CAMPAIGN_AUDIENCE", "[\"silver\"]"),
        ("UPBEAT_LISTEN", "0.0.0.0:80"),
        ("UPBEAT_MAX_FUTURE", "2m"),
        ("UPBEAT_CONFIG", "elsewhere.toml"),
        ("HOME", "/root"),
    ];
    let config = load(file, &environment).expect("a good configuration");
    assert_eq!(config.window, Window { plays: 50, days: 7 });
    assert_eq!(config.campaign.cap.hours, 12);
    assert_eq!(config.campaign.cap.impressions, 1);
    assert_eq!(config.campaign.audience.len(), 1);
    assert_eq!(config.listen.port(), 80);
    assert_eq!(config.max_future, Duration::from_secs(120));
}

#[test]
fn invalid_setting_is_named() {
    let cases = [
        ("windw = 3", &[][..], "windw"),
        ("[window]\nplay = 3", &[], "play"),
        ("[window]\nplays = 0", &[], "window.plays is 0"),
        ("[window]\nplays = \"many\"", &[], "line 2"),
        ("time_zone = \"Mars/Olympus\"", &[], "Mars/Olympus"),
        ("max_future = \"soon\"", &[], "soon"),
        ("max_future = \"-1s\"", &[], "-1s"),
        ("listen = \"everywhere\"", &[], "listen"),
        ("[log]\nlevel = \"inof\"", &[], "log.level"),
        ("[log]\nlevel = \"upbeat=loud\"", &[], "log.level"),
        ("clock = \"sun\"", &[], "sun"),
        ("[campaign]\nthreshold = nan", &[], "campaign.threshold"),
        ("", &[("UPBEAT_WINDOW_PLAYS", "many")], "UPBEAT_WINDOW_PLAYS"),
        ("", &[("UPBEAT_WINDOWS", "1")], "UPBEAT_WINDOWS"),
        ("[limits]\nevent_bytes = 1", &[], "limits.event_bytes"),
    ];
    for (file, environment, said) in cases {
        let error = load(file, environment).expect_err(said);
        assert!(error.0.contains(said), "{said}: {error}");
    }
}

#[test]
fn durations_are_written_with_units() {
    for (text, milliseconds) in
        [("30s", 30_000), ("5m", 300_000), ("250ms", 250), ("1h 30m", 5_400_000), ("0s", 0)]
    {
        let duration: Duration = text.parse().expect(text);
        assert_eq!(duration, Duration::from_millis(milliseconds));
        assert_eq!(duration.to_string().parse(), Ok(duration));
    }
    assert!("30".parse::<Duration>().is_err());
}
