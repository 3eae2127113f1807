//! Rows of impressions, which are read for training and are no events.

use super::*;
use upbeat_core::event::IdRef;

/// The rows as text, or what is wrong with them.
fn impressions(bytes: &[u8]) -> Vec<Result<String, String>> {
    let mut reader = RowReader::new(bytes, Layout::of(Kind::Impressions));
    let mut lines = reader.line_count();
    let mut rows = Vec::new();
    while let Some(row) = reader.impression_row(&Zone::utc()) {
        rows.push(match row {
            Ok(ImpressionRow { event_id, customer, ad, time, clicked }) => {
                let [event_id, customer, ad] = [event_id, customer, ad].map(|id: IdRef<'_>| id.to_id());
                Ok(format!("{event_id} {customer} {ad} {time} {clicked}"))
            }
            Err(refusal) => Err(lines.report(&refusal)),
        });
    }
    rows
}

#[test]
fn impression_is_read_in_every_form_of_its_row() {
    let wanted = Ok("7 48 ADV 2014-10-23T03:26:20 true".to_owned());
    for row in [
        "7,48,\"ADV\",\"2014-10-23 03:26:20\",1",
        "7,48,ADV,2014-10-23 03:26:20,true",
        "\"7\",\"48\",\"ADV\",\"2014-10-23T03:26:20\",\"1\"",
        " 7 , 48 ,ADV , 2014-10-23 03:26:20 , T ",
    ] {
        for end in ["", "\n", "\r\n", "\r"] {
            assert_eq!(
                impressions(format!("{row}{end}").as_bytes()),
                std::slice::from_ref(&wanted),
                "{row:?} {end:?}"
            );
        }
        let header = "event_id,customer_id,ad,time,clicked\n";
        assert_eq!(impressions(format!("{header}{row}").as_bytes()), std::slice::from_ref(&wanted));
    }
    let reordered = b"clicked,extra,time,ad,customer_id,event_id\n1,x,2014-10-23 03:26:20,ADV,48,7\n";
    assert_eq!(impressions(reordered), [wanted]);
}

#[test]
fn faulty_impression_is_refused_with_its_column() {
    for (row, reason) in [
        ("7,48,ADV,2014-10-23 03:26:20,2", "clicked (column 5) is \"2\"; write 0 or 1, or false or true"),
        ("7,48,ADV,2014-10-23 03:26:20,", "clicked (column 5)"),
        ("7,48,ADV,2014-10-23 03:26:20", "4 columns where an impression has 5"),
        ("7,48,3,2014-10-23 03:26:20,0,72132", "6 columns where an impression has 5"),
        ("7,48,A V,2014-10-23 03:26:20,0", "ad (column 3)"),
        ("7,48,ADV,tomorrow,0", "tomorrow"),
    ] {
        let rows = impressions(format!("{row}\n7,48,ADV,2014-10-23 03:26:20,0\n").as_bytes());
        let [Err(said), Ok(_)] = &rows[..] else { panic!("{row}: {rows:?}") };
        assert!(said.starts_with("line 1: ") && said.contains(reason), "{row}: {said}");
    }
}

#[test]
fn impressions_of_a_file_are_no_events() {
    let (read, reasons) = refused(Kind::Impressions, "7,48,ADV,2014-10-23 03:26:20,0\n");
    assert_eq!((read, reasons.len()), (0, 1));
    assert!(reasons[0].contains("are no events"), "{reasons:?}");
    assert!(serde_json::from_str::<Kind>("\"impressions\"").is_err(), "no request asks for them");
    assert!(serde_json::from_str::<Kind>("\"clicks\"").is_ok());
}

/// A field in one of the forms that files have.
fn written(field: &'static [&'static str]) -> impl Strategy<Value = String> {
    (proptest::sample::select(field), 0u8..8).prop_map(|(field, form)| match form {
        0..4 => field.to_owned(),
        4 | 5 => format!("\"{field}\""),
        6 => format!(" {field} "),
        _ => format!("{field}\""),
    })
}

proptest! {
    /// A column more in the header takes rows away from the reader for those of the usual form.
    #[test]
    fn impressions_of_the_usual_form_are_read_as_others_are(
        rows in proptest::collection::vec(
            (
                written(&["0", "7", "18446744073709551615", "18446744073709551616", "007", "a:b", "", "é"]),
                written(&["48", "c-1", "", "1 2"]),
                written(&["ADV", "ADV_REDUCED_1DAY", "7", "A V"]),
                written(&["2014-10-23 03:26:20", "2014-10-23T03:26:20.5+02:00", "2014-02-29 00:00:00", "", "2014-10-23"]),
                written(&["0", "1", "true", "F", "2", "", "truest"]),
            ),
            1..6,
        ),
    ) {
        let lines: Vec<String> = rows.iter().map(|(e, c, a, t, k)| format!("{e},{c},{a},{t},{k}")).collect();
        let header = "event_id,customer_id,ad,time,clicked";
        let usual = impressions(format!("{header}\n{}\n", lines.join("\n")).as_bytes());
        let other = impressions(format!("{header},x\n{},x\n", lines.join(",x\n")).as_bytes());
        prop_assert_eq!(usual.len(), other.len());
        for (one, other) in usual.iter().zip(&other) {
            prop_assert_eq!(one.is_ok(), other.is_ok(), "{:?} {:?}", one, other);
            if let (Ok(one), Ok(other)) = (one, other) {
                prop_assert_eq!(one, other);
            }
        }
    }
}
