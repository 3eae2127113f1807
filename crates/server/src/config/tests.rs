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

/// The comment that stands directly above a key of `upbeat.toml`, by the key's path.
fn comments_of_shipped_file() -> BTreeMap<String, String> {
    let mut section = String::new();
    let mut comment = String::new();
    let mut comments = BTreeMap::new();
    for line in include_str!("../../../../upbeat.toml").lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = format!("{}.", name.trim_end_matches(']'));
        }
        match (line.strip_prefix("# "), line.split_once(" = ")) {
            (Some(words), _) => comment = format!("{comment} {words}"),
            (None, Some((key, _))) => {
                comments.insert(format!("{section}{key}"), std::mem::take(&mut comment));
            }
            (None, None) => comment.clear(),
        }
    }
    comments
}

/// Every key of the defaults that is a number or a length of time has a range, so that a new key cannot go without.
#[test]
fn every_number_and_every_length_of_time_has_a_range() {
    let ranged: Vec<_> = Config::default().ranges().iter().map(|range| range.key).collect();
    let defaults = toml::Table::try_from(Config::default()).expect("the defaults can be written as TOML");
    for key in environment_keys().values() {
        let (name, sections) = key.path.split_last().expect("a key has a name");
        let table = sections.iter().fold(&defaults, |table, section| table[section].as_table().unwrap());
        let is_quantity = match table.get(name) {
            Some(toml::Value::Integer(_) | toml::Value::Float(_)) => true,
            Some(toml::Value::String(text)) => {
                text.parse::<Duration>().is_ok() || text.parse::<Bytes>().is_ok()
            }
            _ => false,
        };
        let path = key.path.join(".");
        assert_eq!(ranged.contains(&path.as_str()), is_quantity, "{path}");
    }
}

#[test]
fn shipped_file_states_every_range() {
    let comments = comments_of_shipped_file();
    for Range { key, least, most, .. } in Config::default().ranges() {
        let stated = format!("({least} to {most})");
        let comment = &comments[key];
        assert!(comment.contains(&stated), "upbeat.toml does not state {stated} for {key}: {comment}");
    }
}

/// One unit beyond an end: of a length of time the least that can be written.
fn beyond(end: Quantity, sign: i64) -> String {
    match end {
        Quantity::Number(number) => (number + sign as f64).to_string(),
        Quantity::Bytes(bytes) => format!("{}B", i128::from(bytes.0) + i128::from(sign)),
        Quantity::Time(duration) => {
            format!("{}ns", i128::try_from(duration.get().as_nanos()).unwrap() + i128::from(sign))
        }
    }
}

#[test]
fn ends_of_every_range_are_taken_and_one_beyond_is_refused_by_name() {
    // What bounds other keys is set so that it bounds none of those that are tried.
    let others =
        [("UPBEAT_LIMITS_BODY_MEMORY_BYTES", "1099511627776"), ("UPBEAT_LIMITS_EXPECTED_CUSTOMERS", "0")];
    for Range { key, least, most, .. } in Config::default().ranges() {
        let variable = format!("{ENV_PREFIX}{}", key.replace('.', "_").to_uppercase());
        let try_value = |value: &str| {
            let others = others.iter().filter(|(name, _)| *name != variable);
            let environment: Vec<_> = others.copied().chain([(variable.as_str(), value)]).collect();
            load("", &environment)
        };
        for good in [least, most] {
            assert_eq!(try_value(&good.value.to_string()).err(), None, "{key}");
        }
        for bad in [beyond(least.value, -1), beyond(most.value, 1)] {
            let error = try_value(&bad).expect_err(key).0;
            assert!(error.contains(key) || error.contains(&variable), "{key} {bad}: {error}");
        }
        if let Quantity::Time(_) = least.value {
            let error = try_value("99999999999999h").expect_err(key).0;
            assert!(error.contains(key) || error.contains(&variable), "{key}: {error}");
        }
    }
}

/// The variable stands in the error, since the file may have a good value for the key.
#[test]
fn variable_out_of_range_is_named_beside_its_key() {
    let error = load("", &[("UPBEAT_LIMITS_HEADER_TIMEOUT", "0s")]).expect_err("too short").0;
    let said =
        "UPBEAT_LIMITS_HEADER_TIMEOUT=\"0s\": limits.header_timeout is 0s; it must be from 100ms to 1h";
    assert_eq!(error, said);
    let error = load("[limits]\nheader_timeout = \"0s\"", &[]).expect_err("too short").0;
    assert_eq!(error, "limits.header_timeout is 0s; it must be from 100ms to 1h");
}
