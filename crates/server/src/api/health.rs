//! `/healthz` and `/readyz`: liveness and readiness.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json as object};
use upbeat_engine::LogState;

use super::content::json;
use super::extract::{CheckedQuery, NoQuery};
use super::problem::{Kind, Problem};
use crate::config::Durability;
use crate::runtime::{App, state_name};

/// `GET /healthz`: 200 as long as the process answers.
pub(crate) async fn healthz(CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>) -> Response {
    json(&object!({"status": "alive"}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    verbose: Option<String>,
}

/// `GET /readyz`: 200 unless what was kept is still being read, the log takes no records, the server is draining or an event
/// loop has failed. `?verbose` says more of the log.
pub(crate) async fn readyz(
    State(app): State<Arc<App>>,
    CheckedQuery(query): CheckedQuery<Query>,
) -> Result<Response, Problem> {
    let is_verbose = match query.verbose.as_deref() {
        None | Some("false") => false,
        Some("" | "true") => true,
        Some(_) => return Err(Problem::new(Kind::InvalidQuery, "verbose is true, false or nothing")),
    };
    if let Some(reason) = unready(&app) {
        return Err(Problem::new(Kind::NotReady, reason));
    }
    let mut ready = object!({"status": "ready"});
    if is_verbose {
        ready["log"] = log(&app);
        let clock = if app.metrics.clock_suspect.get() == 0 { "believed" } else { "in doubt" };
        ready["clock"] = clock.into();
        let refused = app.metrics.campaigns_refused.get();
        ready["campaigns"] = object!({"version": app.engine.campaigns().version, "refused": refused});
    }
    Ok(json(&ready))
}

/// Why the server should get no traffic.
fn unready(app: &App) -> Option<String> {
    if app.is_draining() {
        return Some("the server is stopping; ask another one".to_owned());
    }
    if app.recovery().is_under_way() {
        return Some(format!("the server is starting: {}", app.recovery().progress()));
    }
    match app.durability().log_state() {
        LogState::Failed => {
            return Some(
                "the log has failed: nothing more is acknowledged and no ad is shown; look at the disk and start the \
                 server again"
                    .to_owned(),
            );
        }
        LogState::Reserve | LogState::Full => {
            return Some("the disk of the log is full: events are refused until it has space".to_owned());
        }
        LogState::Off | LogState::Accepting => {}
    }
    let failed = "an event loop of this server failed, and the others do its work; start the server again";
    app.has_failed_loop().then(|| failed.to_owned())
}

/// What is kept, where, and what a crash may take.
fn log(app: &App) -> Value {
    let Some(kept) = app.kept() else {
        return object!({"state": "off", "lost_by_a_crash": "everything: the server keeps nothing on a disk"});
    };
    let config = &app.config;
    let (events_by_power, durability) = match config.durability {
        Durability::Ack => ("none".to_owned(), "ack"),
        Durability::Interval => (format!("those of the last {}", config.journal.interval), "interval"),
        Durability::Off => ("those that the system had not written by itself".to_owned(), "off"),
    };
    let files = app.metrics.journal.files();
    let lanes = kept.lanes.as_ref().map(|path| path.display().to_string());
    let by_kill = if lanes.is_some() { "none" } else { "those of the last 1ms" };
    let unshown = format!("those of the last {}", kept.unshown);
    let unshown_by_kill = if lanes.is_some() { "none" } else { &*unshown };
    object!({
        "state": state_name(app.durability().log_state()),
        "durability": durability,
        "data_dir": kept.data_dir.display().to_string(),
        "lanes": lanes,
        "acknowledged_events_lost_by_a_kill": if durability == "ack" { "none" } else { by_kill },
        "acknowledged_events_lost_by_power": events_by_power,
        "impressions_lost_by_a_kill": by_kill,
        "impressions_lost_by_power": format!("those of the last {}", kept.every),
        "unshown_decisions_lost_by_a_kill": unshown_by_kill,
        "unshown_decisions_lost_by_power": unshown,
        "recovered_records": kept.recovered_records,
        "recovery_seconds": kept.recovery_seconds,
        "snapshots": files.snapshots,
        "snapshots_failed": files.snapshots_failed,
        "snapshot_age_seconds": files.snapshot_age.as_secs(),
        "segments": files.segments,
        "history_bytes": files.history_bytes,
        "history_failed": files.history_failed,
        "erasures_pending": app.engine.pending_erasures().map_or(0, |pending| pending.count),
        "erasures_overdue": files.erase_overdue,
    })
}
