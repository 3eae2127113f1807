//! Events of one customer from the admin listener of a running server.

use std::time::Duration;

use serde_json::Value;
use upbeat_client::Client;

use super::Wanted;
use super::sink::Sink;

/// Longest wait for one answer: the server reads all of its log for it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);

/// Writes the events that are wanted; whether there is any of the customer, of whatever time.
///
/// # Errors
/// The server cannot be asked or answers otherwise, or the output cannot be written.
pub(super) fn each(url: &str, wanted: &Wanted, sink: &mut Sink) -> anyhow::Result<bool> {
    let client = Client::new(url, ANSWER_TIMEOUT)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let customer = wanted.customer.as_ref().map(ToString::to_string).unwrap_or_default();
    let route = format!("/customers/{customer}/events");
    let mut from = 0;
    loop {
        let mut path = format!("{route}?from={from}");
        for (name, time) in [("since", &wanted.since), ("until", &wanted.until)] {
            if let Some(time) = time {
                let time = serde_json::to_value(time)?;
                // The sign of an offset is all that needs an escape, in times and in ids.
                path += &format!("&{name}={}", time.as_str().unwrap_or_default().replace('+', "%2B"));
            }
        }
        let answer = runtime.block_on(client.get(&path))?;
        match answer.status {
            200 => {}
            404 if kind(&answer.body) == "/problems/customer-not-found" => return Ok(false),
            404 => anyhow::bail!(
                "{url} has no {route}: name the admin listener, admin_listen in the server's configuration, \
                 http://127.0.0.1:8081 unless that says otherwise"
            ),
            status => anyhow::bail!("{url} answered {status}: {}", answer.detail()),
        }
        let page: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let Some(events) = page["events"].as_array() else {
            anyhow::bail!("{url} answered something else than events: is it the admin listener of a server?");
        };
        for event in events {
            sink.event(event)?;
        }
        match page["next"].as_u64() {
            Some(next) if next > from => from = next,
            _ => return Ok(true),
        }
    }
}

/// The type of a problem document.
fn kind(body: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    problem["type"].as_str().unwrap_or_default().to_owned()
}
