//! The proof that the ledger is right: it finds nothing wrong with a server that never stopped, and everything wrong with one
//! that forgot.

use std::sync::atomic::AtomicBool;

use crate::account::Held;
use crate::inspect;
use crate::ledger::{Act, Book, Outcome, Spending};
use crate::load::{Client, work};
use crate::process::{Place, Server, folder};
use crate::trace::Instant;

/// What a server may forget, and how it does; `false` if it had nothing to forget.
type Forget = (&'static str, fn(&mut Held) -> bool);

#[test]
fn server_that_never_stopped_holds_what_it_acknowledged() {
    let folder = folder();
    let place = Place::below(folder.path());
    let server = Server::start(&place, None).unwrap_or_else(|ended| panic!("it starts: {ended:?}"));
    let mut clients: Vec<Client> = (0..4).map(|number| Client::new(7, number)).collect();
    work(&mut clients, &server.data, &server.admin, 150, &AtomicBool::new(false));
    let faults: Vec<String> = clients.iter().flat_map(|client| client.faults.clone()).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    let deeds: Vec<_> = clients.iter_mut().map(Client::take_deeds).collect();
    let mut book = Book::default();
    book.enter(&deeds, Instant::MAX, true);
    assert!(book.promised().len() > 1000 && book.impressions().0 > 20, "much was done");
    let (held, faults) = inspect::faults(&server, &book);
    assert!(faults.is_empty(), "{faults:#?}");

    // What a server that lost one thing would hold.
    let mut planted = 0;
    for (customer, all) in &held {
        let forgets: [Forget; 9] = [
            ("a play", |held| held.plays.pop().is_some()),
            ("a click", |held| held.clicks.pop().is_some()),
            ("an impression", |held| held.impressions.pop().is_some()),
            ("the membership", |held| held.membership.take().is_some()),
            ("that a play was there", |held| {
                let again = held.plays.last().copied();
                held.plays.extend(again);
                again.is_some()
            }),
            ("that a play was never sent", |held| {
                held.plays.push(1);
                true
            }),
            ("a confirmation", |held| {
                let confirmed = held.impressions.iter_mut().find(|each| each.is_confirmed);
                confirmed.map(|impression| impression.is_confirmed = false).is_some()
            }),
            ("that an ad was not played", |held| {
                let voided = held.impressions.iter_mut().find(|each| each.is_voided);
                voided.map(|impression| impression.is_voided = false).is_some()
            }),
            ("that an ad was played", |held| {
                let played = held.impressions.iter_mut().find(|each| !each.is_voided && !each.is_confirmed);
                played.map(|impression| impression.is_voided = true).is_some()
            }),
        ];
        for (what, forget) in forgets {
            let mut less = all.clone();
            if forget(&mut less) {
                let mut others = held.clone();
                others.insert(customer.clone(), less);
                assert!(
                    !book.check(&others).is_empty(),
                    "a server that forgets {what} of {customer} is found out"
                );
                planted += 1;
            }
        }
    }
    assert!(planted > 100);
    let says = inspect::spending(&server);
    assert_eq!(book.check_spending(&says, &held), [""; 0]);
    let by_show = says["by-show"];
    assert!(by_show.spent + by_show.reserved > 0, "something was spent: {says:?}");
    for wrong in [
        Spending { spent: by_show.spent + 1, ..by_show },
        Spending { reserved: by_show.reserved - 20_000, ..by_show },
        Spending { budget: by_show.spent + by_show.reserved - 1, ..by_show },
        Spending { lost: 1, ..by_show },
    ] {
        let mut others = says.clone();
        others.insert("by-show".to_owned(), wrong);
        assert!(!book.check_spending(&others, &held).is_empty(), "{wrong:?} is found out");
    }
    let tracks = inspect::tracks(&server, &book);
    assert!(tracks.len() > 10 && book.catalogue.faults(&tracks).is_empty());
    for (id, version) in &tracks {
        let mut less = tracks.clone();
        less.remove(id);
        assert!(!book.catalogue.faults(&less).is_empty(), "a server that forgets {id} is found out");
        for other in [version - 1, version + 1] {
            less.insert(id.clone(), other);
            assert!(!book.catalogue.faults(&less).is_empty(), "{id} is the last that was sent");
        }
    }
    let fresh = folder.path().join("fresh");
    std::fs::create_dir(&fresh).expect("a directory");
    let empty =
        Server::start(&Place::below(&fresh), None).unwrap_or_else(|ended| panic!("it starts: {ended:?}"));
    assert!(inspect::faults(&empty, &book).1.len() > 10, "a server that forgot everything is found out");

    // Half of what is whole or not there.
    let mut cut = deeds.clone();
    let (mut bodies, mut found) = (0, 0);
    for deed in cut.iter_mut().flatten() {
        if let Act::Post { atomic: true, outcome, .. } = &mut deed.act {
            *outcome = Outcome::Unknown;
            bodies += 1;
        }
    }
    let mut book = Book::default();
    book.enter(&cut, Instant::MAX, true);
    assert!(book.check(&held).is_empty(), "bodies of unknown fate may be there");
    for (row, customer) in cut.iter().flatten().filter_map(|deed| match &deed.act {
        Act::Post { rows, atomic: true, .. } => rows.last().map(|row| (row.event, row.customer.clone())),
        _ => None,
    }) {
        let mut others = held.clone();
        let Some(less) = others.get_mut(&customer) else { continue };
        let before = less.plays.len();
        less.plays.retain(|event| *event != row);
        if less.plays.len() < before {
            found += usize::from(!book.check(&others).is_empty());
        }
    }
    assert!(bodies > 10 && found > 10, "half of an atomic body is found out: {found} of {bodies}");
}
