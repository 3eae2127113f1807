//! The tracks of the catalogue, of which the last that was sent counts.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::ledger::Outcome;

/// One track, as often as it was sent: its title tells which time it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Track {
    /// The client that sends it; no other one does.
    pub client: u64,
    pub number: u64,
    /// Rises each time that it is sent.
    pub version: u64,
}

impl Track {
    pub fn id(self) -> String {
        format!("t{}-{}", self.client, self.number)
    }

    /// As a row of `kind=tracks`.
    pub fn csv(self) -> String {
        format!("{},{},client {},200\n", self.id(), self.version, self.client)
    }

    /// The version in the answer of `GET /tracks/{track}`.
    pub fn version_of(answer: &Value) -> u64 {
        answer["title"].as_str().and_then(|title| title.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
    }
}

/// What must be, and what may be, known of a track.
#[derive(Debug, Clone, Default)]
struct Shelf {
    must: Option<u64>,
    may: Vec<u64>,
}

/// All tracks that were sent.
#[derive(Debug, Clone, Default)]
pub struct Catalogue(BTreeMap<String, Shelf>);

impl Catalogue {
    pub fn enter(&mut self, tracks: &[Track], outcome: Outcome) {
        for track in tracks {
            let shelf = self.0.entry(track.id()).or_default();
            match outcome {
                // A client's requests are one after the other: what came before it is replaced if it was there at all.
                Outcome::Acknowledged => *shelf = Shelf { must: Some(track.version), may: Vec::new() },
                Outcome::Unknown => shelf.may.push(track.version),
                Outcome::Refused => {}
            }
        }
    }

    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The number of tracks that must be there.
    pub fn promised(&self) -> usize {
        self.0.values().filter(|shelf| shelf.must.is_some()).count()
    }

    /// What is wrong with the versions that a server holds.
    pub fn faults(&self, held: &BTreeMap<String, u64>) -> Vec<String> {
        let fault = |(id, shelf): (&String, &Shelf)| {
            let version = held.get(id).copied();
            let is_possible = version == shelf.must || version.is_some_and(|each| shelf.may.contains(&each));
            (!is_possible).then(|| format!("track {id} is {version:?} and not one of {shelf:?}"))
        };
        self.0.iter().filter_map(fault).collect()
    }

    /// Takes what a server holds, which was found right, for what must be there from now on.
    pub fn take_over(&mut self, held: &BTreeMap<String, u64>) {
        for (id, shelf) in &mut self.0 {
            *shelf = Shelf { must: held.get(id).copied(), may: Vec::new() };
        }
    }
}
