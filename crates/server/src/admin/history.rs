//! `GET /customers/{customer}/events`: what the log has of one customer, as events that `POST /events` takes again.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use upbeat_core::event::{Event, Id, Time};
use upbeat_engine::storage::{OfCustomer, OpenError, log_of};

use super::customers::not_found;
use crate::api::content::json;
use crate::api::event_line;
use crate::api::extract::{CheckedQuery, CustomerId};
use crate::api::{Kind, Problem};
use crate::runtime::{App, LOOKS, are_used_up, look};

/// The most events of an answer, which take some 300 bytes each at most.
const MOST_EVENTS: usize = 4_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    since: Option<String>,
    until: Option<String>,
    from: Option<u64>,
}

#[derive(Serialize)]
struct Answer {
    customer: String,
    events: Vec<Value>,
    next: Option<u64>,
}

/// The times of the events that are wanted, in Unix milliseconds: from the first on, and before the second.
#[derive(Clone, Copy)]
struct Range(i64, i64);

impl Range {
    fn of(query: &Query, app: &App) -> Result<Self, Problem> {
        let time = |name: &str, text: &Option<String>, default: i64| match text {
            None => Ok(default),
            Some(text) => Time::parse(text, &app.zone)
                .map(|time| time.unix_ms)
                .map_err(|error| Problem::new(Kind::InvalidQuery, format!("query string: {name}: {error}"))),
        };
        Ok(Self(time("since", &query.since, i64::MIN)?, time("until", &query.until, i64::MAX)?))
    }

    fn holds(self, event: &Event) -> bool {
        (self.0..self.1).contains(&event.time.unix_ms)
    }
}

/// `GET /customers/{customer}/events`: events that the log has of a customer, and those of the profile that it has no longer.
pub(super) async fn get(
    State(app): State<Arc<App>>,
    CustomerId(id): CustomerId,
    CheckedQuery(query): CheckedQuery<Query>,
) -> Result<Response, Problem> {
    let range = Range::of(&query, &app)?;
    let from = query.from.unwrap_or(0);
    if i64::try_from(from).is_err() {
        let detail =
            format!("query string: from: {from} is no position; take the `next` of the answer before");
        return Err(Problem::new(Kind::InvalidQuery, detail));
    }
    // All of the log is read for each answer, and all its files are open meanwhile.
    let permit = app.one_history().await?;
    let reading = Arc::clone(&app);
    let customer = id.clone();
    let read = move || {
        let page = Page::read(&reading, &customer, from, range);
        drop(permit);
        page
    };
    let page = app.on_bulk_pool(read).await??;
    if !page.any && from == 0 {
        return Err(not_found(&id));
    }
    let events = page.events.iter().map(event_line).collect();
    Ok(json(&Answer { customer: id.to_string(), events, next: page.next }))
}

/// What one answer holds.
#[derive(Default)]
struct Page {
    events: Vec<Event>,
    /// The position from which on the next answer goes on.
    next: Option<u64>,
    /// Whether there is any event of the customer, of whatever time.
    any: bool,
}

/// Why the history was not read.
enum Failed {
    Io(std::io::Error),
    Open(OpenError),
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Failed> for Problem {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Io(error) if are_used_up(&error) => Self::new(
                Kind::Overloaded,
                "the files of the log cannot be opened, since connections have all file descriptors; send the request again, or \
                 read the data directory with upbeat export events --from DIR",
            ),
            Failed::Io(error) => Self::new(Kind::Internal, format!("the data directory: {error}")),
            Failed::Open(error) => Self::new(Kind::Internal, format!("the data directory: {error}")),
        }
    }
}

/// What makes two events the same one.
fn key(event: &Event) -> (Id, i64, &'static str) {
    (event.id.clone(), event.time.unix_ms, event.kind.name())
}

impl Page {
    fn read(app: &App, customer: &Id, from: u64, range: Range) -> Result<Self, Problem> {
        let Some(kept) = app.kept() else {
            let held = if from == 0 { Self::held(app, customer) } else { Vec::new() };
            let any = !held.is_empty();
            let events = held.into_iter().filter(|event| range.holds(event)).collect();
            return Ok(Self { events, any, next: None });
        };
        let looked = look(
            &kept.data_dir,
            LOOKS,
            |_| true,
            |disk| {
                let next_position = app.engine.barrier();
                // What the profile has and the log has no longer comes first.
                let mut held = if from == 0 { Self::held(app, customer) } else { Vec::new() };
                let (mut page, mut seen) = (Self::default(), HashSet::new());
                let keys: HashSet<_> = held.iter().map(key).collect();
                log_of(&**disk, customer, Some(app.engine.digest(customer)), from, &mut |position, of| {
                    match of {
                        OfCustomer::Erased => {
                            page = Self::default();
                            if position >= next_position {
                                held.clear();
                            }
                        }
                        OfCustomer::Event(event) => {
                            page.any = true;
                            let key = key(&event);
                            if keys.contains(&key) {
                                seen.insert(key);
                            }
                            if range.holds(&event) && page.next.is_none() {
                                if page.events.len() < MOST_EVENTS {
                                    page.events.push(event);
                                } else {
                                    page.next = Some(position);
                                }
                            }
                        }
                    }
                    if app.is_draining() { Err("the server is stopping".to_owned()) } else { Ok(()) }
                })
                .map_err(Failed::Open)?;
                page.any |= !held.is_empty();
                held.retain(|event| range.holds(event) && !seen.contains(&key(event)));
                held.append(&mut page.events);
                page.events = held;
                Ok::<_, Failed>(page)
            },
        );
        match looked {
            Ok((page, _)) => Ok(page),
            Err(_) if app.is_draining() => {
                Err(Problem::new(Kind::NotReady, "the server is stopping; ask another one"))
            }
            Err(failed) => Err(failed.into()),
        }
    }

    /// The events of the profile, oldest first.
    fn held(app: &App, customer: &Id) -> Vec<Event> {
        let profile = app.engine.profile(customer);
        let mut events: Vec<_> = profile.iter().flat_map(|profile| profile.events(customer)).collect();
        events.sort_by_key(|event| event.time.unix_ms);
        events
    }
}
