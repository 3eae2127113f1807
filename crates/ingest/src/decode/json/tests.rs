use proptest::prelude::*;

use super::*;
use upbeat_core::event::Zone;

fn context() -> Context {
    Context { zone: Zone::utc(), as_of: None, columns: None, max_event_bytes: 1 << 16 }
}

/// A key and its value as JSON text, good or bad, for the most part good.
fn member() -> impl Strategy<Value = String> {
    let id = || {
        prop_oneof![
            4 => "[0-9]{1,9}",
            1 => "\"[0-9a-zA-Z._:-]{1,12}\"",
            1 => proptest::sample::select(vec![
                "48.0", "4.8e1", "1e-400", "-1", "-0", "007", "18446744073709551615", "18446744073709551616", "null", "\"\"",
                "\"48\"", "\"\\u0034\"", "\"a b\"", "\"é\"", "true", "[1]", "{}", "48 ", "\"007\"", "1 2", "",
            ])
            .prop_map(str::to_owned),
        ]
    };
    let text = |good: Vec<&'static str>| {
        let odd = vec![
            "null",
            "\"\\n\"",
            "\"é\"",
            "\"\u{1}\"",
            "\"\"",
            "1",
            "\"x",
            "\"a\\\"b\"",
            "\"\\u00",
            "\"01234567890123456\"",
        ];
        prop_oneof![9 => proptest::sample::select(good), 1 => proptest::sample::select(odd)]
            .prop_map(str::to_owned)
    };
    let named = |key: &'static str, value: BoxedStrategy<String>| {
        value.prop_map(move |value| format!("\"{key}\":{value}")).boxed()
    };
    prop_oneof![
        named(
            "type",
            text(vec!["\"play\"", "\"click\"", "\"impression\"", "\"void\"", "\"membership\""]).boxed()
        ),
        named("event_id", id().boxed()),
        named("customer_id", id().boxed()),
        named(
            "time",
            text(vec![
                "\"2014-10-23T03:26:20\"",
                "\"2014-10-23 03:26:20.5+02:00\"",
                "\"2014-02-29T00:00:00\""
            ])
            .boxed()
        ),
        named("track_id", id().boxed()),
        named("mobile", text(vec!["true", "false", "true ", "falsetrue", "tru", "0"]).boxed()),
        named("zip", text(vec!["\"72132\"", "\"ab cd\""]).boxed()),
        named("ad", text(vec!["\"ADV\"", "\"48\""]).boxed()),
        named("campaign", text(vec!["\"spring\"", "\"48\""]).boxed()),
        named("decision_id", text(vec!["\"0123456789abcdef\"", "\"0123456789ABCDEF\"", "\"0\""]).boxed()),
        named(
            "level",
            text(vec!["\"free\"", "\"silver\"", "\"gold\"", "\"Gold\"", "{\"gold\":null}"]).boxed()
        ),
        named("other", text(vec!["1"]).boxed()),
    ]
}

/// The fields of one kind, in any order, some of them left out, repeated, replaced or damaged.
fn object() -> impl Strategy<Value = String> {
    let common = [r#""event_id":7"#, r#""customer_id":48"#, r#""time":"2014-10-23T03:26:20""#];
    let kinds = vec![
        vec![r#""type":"play""#, r#""track_id":3"#, r#""mobile":true"#, r#""zip":"72132""#],
        vec![r#""type":"play""#, r#""track_id":"x""#, r#""mobile":false"#],
        vec![r#""type":"click""#, r#""ad":"ADV""#],
        vec![r#""type":"click""#, r#""decision_id":"0123456789abcdef""#],
        vec![r#""type":"void""#, r#""decision_id":"0123456789abcdef""#],
        vec![r#""type":"impression""#, r#""campaign":"spring""#],
        vec![r#""type":"impression""#, r#""decision_id":"0123456789abcdef""#],
        vec![r#""type":"membership""#, r#""level":"gold""#],
    ];
    let whole = proptest::sample::select(kinds).prop_map(move |kind| {
        common.iter().chain(&kind).map(|member| (*member).to_owned()).collect::<Vec<_>>()
    });
    let more = proptest::collection::vec(member(), 0..3);
    let separator = proptest::sample::select(vec![",", ",", ",", ", ", " ,\t", "\r\n,", ",,", "", ",\u{a0}"]);
    let members = (whole, more, 0usize..5).prop_flat_map(|(mut members, more, left_out)| {
        // Often nothing is left out; a member that is replaced keeps its key single.
        let replaced: Vec<String> =
            more.iter().filter_map(|member| member.split(':').next().map(str::to_owned)).collect();
        if left_out > 0 {
            members.retain(|member| !replaced.iter().any(|key| member.starts_with(key.as_str())));
        }
        if left_out == 1 {
            members.pop();
        }
        members.extend(more);
        Just(members).prop_shuffle()
    });
    let stray = proptest::option::weighted(
        0.1,
        (any::<prop::sample::Index>(), "[{}\\[\\]\",:\\\\ 0-9a\u{0}-\u{ff}]"),
    );
    let ends = proptest::sample::select(vec![
        ("{", "}"),
        ("{", "}"),
        (" { ", " } "),
        ("\t{\r", "}\r"),
        ("{", ",}"),
        ("{", ""),
        ("[", "]"),
        ("{", "}x"),
    ]);
    (members, separator, ends, stray).prop_map(|(members, separator, (begin, end), stray)| {
        let mut text = format!("{begin}{}{end}", members.join(separator));
        if let Some((at, stray)) = stray {
            let at = at.index(text.len());
            if text.is_char_boundary(at) {
                text.insert_str(at, &stray);
            }
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn plain_reader_agrees_with_serde(text in object()) {
        if let Some(event) = plain::event(&text, &Zone::utc()) {
            let expected = any_event(&text, &context());
            prop_assert_eq!(format!("{:?}", Ok::<_, String>(event)), format!("{expected:?}"));
        }
    }

    #[test]
    fn plain_list_reader_agrees_with_serde(
        objects in proptest::collection::vec(object(), 1..4),
        separator in proptest::sample::select(vec![",", ",", " ,\n", "", ",,"]),
        ends in proptest::sample::select(vec![("[", "]"), ("[", "]"), (" [ ", "\t]\n"), ("[", ",]"), ("[", ""), ("", "]")]),
        max_event_bytes in proptest::sample::select(vec![120usize, 1000]),
    ) {
        let text = format!("{}{}{}", ends.0, objects.join(separator), ends.1);
        let context = Context { max_event_bytes, ..context() };
        if let Some(events) = plain::list(&text, &Zone::utc(), max_event_bytes) {
            let elements = elements(&text).map(Vec::from_iter);
            prop_assert!(elements.is_ok(), "{}", text);
            for (element, read) in elements.iter().flatten().zip(&events) {
                prop_assert!(element.len() <= max_event_bytes);
                let expected = any_event(element, &context);
                prop_assert_eq!(format!("{:?}", Ok::<_, String>(read)), format!("{expected:?}"));
            }
            prop_assert_eq!(elements.map(|elements| elements.len()), Ok(events.len()));
        }
    }

    #[test]
    fn body_of_one_object_is_malformed_only_if_it_is_not_json(text in object()) {
        let context = context();
        let json = serde_json::from_str::<&RawValue>(&text).is_ok();
        if text.trim_start().starts_with('{') {
            prop_assert_eq!(rows(text.as_bytes(), &context).is_ok(), json);
        }
    }
}

#[test]
fn events_of_the_usual_form_take_the_plain_reader() {
    for text in [
        r#"{"type":"play","event_id":1,"customer_id":48,"track_id":"t-1","time":"2014-10-23T03:26:20","mobile":true,"zip":"72132"}"#,
        r#" { "mobile" : false , "type":"play", "event_id":"1","customer_id":48,"track_id":3,"time":"2014-10-23T03:26:20Z" } "#,
        r#"{"type":"click","event_id":"a","customer_id":48,"ad":"ADV","time":"2014-10-23T03:26:20"}"#,
        r#"{"type":"click","event_id":"a","customer_id":48,"decision_id":"0123456789abcdef","time":"2014-10-23T03:26:20"}"#,
        r#"{"decision_id":"0123456789abcdef","type":"void","event_id":0,"customer_id":48,"time":"2014-10-23T03:26:20"}"#,
        r#"{"type":"impression","event_id":0,"customer_id":48,"campaign":"x","time":"2014-10-23T03:26:20"}"#,
        r#"{"type":"impression","event_id":0,"customer_id":48,"decision_id":"0123456789abcdef","time":"2014-10-23T03:26:20"}"#,
        r#"{"type":"membership","event_id":0,"customer_id":48,"level":"gold","time":"2014-10-23T03:26:20"}"#,
    ] {
        let event = plain::event(text, &Zone::utc());
        let expected = any_event(text, &context()).expect(text);
        assert_eq!(event, Some(expected.clone()), "{text}");
        let list = plain::list(&format!("[{text}, {text}]"), &Zone::utc(), text.len());
        assert_eq!(list, Some(vec![expected.clone(), expected]), "{text}");
        assert_eq!(plain::list(&format!("[{text}]"), &Zone::utc(), text.trim().len() - 1), None, "{text}");
    }
}

#[test]
fn ad_or_decision_of_feedback_is_named_exactly_once_and_as_it_was_given() {
    let decision = r#""decision_id":"0123456789abcdef""#;
    for (members, reason) in [
        (r#""type":"click""#.to_owned(), "a click needs either ad or decision_id, not both"),
        (
            format!(r#""type":"click","ad":"A",{decision}"#),
            "a click needs either ad or decision_id, not both",
        ),
        (
            format!(r#""type":"click","campaign":"A",{decision}"#),
            "campaign does not belong to a click; leave it out",
        ),
        (r#""type":"click","decision_id":"17""#.to_owned(), "send it as the decision gave it"),
        (r#""type":"void""#.to_owned(), "decision_id is missing; a void needs it"),
        (format!(r#""type":"void","ad":"A",{decision}"#), "ad does not belong to a void; leave it out"),
        (
            format!(r#""type":"void","campaign":"A",{decision}"#),
            "campaign does not belong to a void; leave it out",
        ),
        (r#""type":"void","decision_id":"0123456789ABCDEF""#.to_owned(), "send it as the decision gave it"),
        (
            r#""type":"voided""#.to_owned(),
            "type \"voided\" is not known; send play, click, impression, void or membership",
        ),
    ] {
        let text = format!(r#"{{"event_id":1,"customer_id":48,"time":"2014-10-23T03:26:20",{members}}}"#);
        assert_eq!(plain::event(&text, &Zone::utc()), None, "{text}");
        let refused = any_event(&text, &context()).expect_err(&text);
        assert!(refused.contains(reason), "{text}: {refused}");
    }
}

#[test]
fn line_numbers_count_blank_lines() {
    let context = context();
    let details = |body: &'static [u8]| -> Vec<String> {
        line_rows(body, &context).rows.map(|row| row.expect_err("no event")).collect()
    };
    let refused = details(b"\n[]\r\n \r\n[]\n\xff\n[]");
    let lines: Vec<&str> = refused.iter().filter_map(|detail| detail.split(':').next()).collect();
    assert_eq!(lines, ["line 2", "line 4", "line 5", "line 6"]);
    assert_eq!(details(b""), Vec::<String>::new());
    assert_eq!(details(b"\n\n"), Vec::<String>::new());
}
