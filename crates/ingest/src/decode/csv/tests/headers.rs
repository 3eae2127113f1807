//! The columns of a file: its header line, `?columns=`, and what is no header.

use super::*;

#[test]
fn header_may_be_quoted_and_in_any_order() {
    for (kind, body) in [
        (Kind::Tracks, "\"Length\",\"TrackId\",\"Title\",\"Artist\"\n10,7,\"A, b\",\"X\"\n"),
        (Kind::Customers, "\"\",\"Level\",\"CustID\",\"SignDate\"\r1,2,48,06/04/2013\r"),
        (
            Kind::Plays,
            "\"\",\"event_id\",\"customer_id\",\"track_id\",\"time\",\"mobile\"\n\"1\",1,48,3,2014-10-23 03:26:20,0\n",
        ),
        (Kind::Plays, "event_id,customer_id,track_id,time,mobile,zip\n1,48,3,2014-10-23 03:26:20,0,7\n"),
        (Kind::Clicks, "time,ad,customer_id,event_id\n2014-10-23 03:26:20,ADV,48,7\n"),
    ] {
        assert_eq!(refused(kind, body), (1, vec![]), "{body}");
    }
    let Ok(Row::Event(click)) =
        &read(Kind::Clicks, b"time,ad,customer_id,event_id\n2014-10-23 03:26:20,ADV,48,7")[0]
    else {
        panic!("no click")
    };
    assert_eq!((&click.id, &click.customer), (&Id::Number(7), &Id::Number(48)));
    assert_eq!(click.kind, EventKind::click(Id::Text("ADV".into())));
}

#[test]
fn header_line_between_rows_is_skipped_as_a_repeat_and_else_refused() {
    let header = "event_id,customer_id,track_id,time,mobile,zip\n";
    assert_eq!(refused(Kind::Plays, format!("{header}{PLAY}{header}{PLAY}")), (2, vec![]));
    let (read, reasons) = refused(Kind::Plays, format!("{PLAY}{header}{PLAY}"));
    assert!(
        read == 2 && reasons[0].starts_with("line 2: a header line that is not the first"),
        "{reasons:?}"
    );
}

#[test]
fn header_that_names_a_column_twice_is_refused_with_its_rows() {
    let body = "CustID,SignDate,Level,Level\n901,06/04/2013,0,2\n";
    let (read, reasons) = refused(Kind::Customers, body);
    assert_eq!((read, reasons.len()), (0, 2), "{reasons:?}");
    assert!(reasons[0].starts_with("line 1: Level is the name of columns 3 and 4"), "{reasons:?}");
    // Of columns that are not read the names do not matter.
    assert_eq!(refused(Kind::Customers, "CustID,SignDate,Level,x,x\n901,06/04/2013,0,2,3\n"), (1, vec![]));
}

#[test]
fn rows_under_a_faulty_header_are_refused_rather_than_read_in_another_order() {
    let row = "1,453,48,2014-10-23T03:26:20,0,0\n";
    for (header, reason) in [
        ("event_id,track_id,customer_id,time,mobile,mobile", "mobile is the name of columns 5 and 6"),
        ("event_id,track_id,customer,time,mobile,zip", "the column customer_id is not named"),
        ("\"event_id,track_id,customer_id,time,mobile,zip", "quote"),
    ] {
        let (read, reasons) = refused(Kind::Plays, format!("{header}\n{row}{row}"));
        assert_eq!((read, reasons.len()), (0, 3), "{header}: {reasons:?}");
        assert!(reasons[0].starts_with("line 1: ") && reasons[0].contains(reason), "{reasons:?}");
        assert!(reasons[1].contains("the header line cannot be read"), "{reasons:?}");
    }
    // A first row that is wrong in another way is no header, and says nothing of the others.
    let (read, reasons) = refused(Kind::Plays, format!("1,453\n{row}"));
    assert_eq!((read, reasons.len()), (1, 1), "{reasons:?}");
}

#[test]
fn first_line_that_is_no_header_refuses_rows_rather_than_the_body() {
    for kind in [Kind::Customers, Kind::Tracks] {
        assert_eq!(refused(kind, ""), (0, vec![]));
        assert_eq!(refused(kind, "\r\n\n"), (0, vec![]));
        let (read, reasons) = refused(kind, "48,06/04/2013,2,x\n\n49,06/04/2013,2,y");
        assert_eq!((read, reasons.len()), (0, 2), "{reasons:?}");
        assert!(reasons[0].starts_with("line 1: ") && reasons[0].contains("?columns="), "{reasons:?}");
        assert!(reasons[1].starts_with("line 3: "), "{reasons:?}");
    }
}

#[test]
fn named_columns_read_every_body_of_a_sender() {
    let header = Header::parse(Kind::Customers, "Level,\"CustID\", SignDate").expect("columns");
    let context = Context { columns: Some(Arc::new(header)), ..context() };
    for body in [
        "2,48,06/04/2013\n",
        "Level,CustID,SignDate\n2,48,06/04/2013\n\"Level\",CustID,SignDate\n",
        "2,48,06/04/2013",
    ] {
        let rows = Vec::from_iter(rows(Kind::Customers, body.as_bytes(), &context).rows);
        assert!(
            matches!(&rows[..], [Ok(Row::Event(event))] if event.kind == EventKind::Membership(Membership::Gold)),
            "{rows:?}"
        );
    }
    for names in [
        "",
        "CustID,Level",
        "CustID,SignDate,Level,Level",
        "\"CustID,SignDate,Level",
        "CustID,SignDate\nLevel",
    ] {
        assert!(Header::parse(Kind::Customers, names).is_err(), "{names}");
    }
}
