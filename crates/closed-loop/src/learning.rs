//! Asking a server to learn, and reading what became of it.

use std::time::Duration;

use anyhow::bail;
use serde::Deserialize;
use serde_json::Value;
use upbeat_client::Client;

use crate::driver::good;

/// Between two looks at a job.
const LOOK_PERIOD: Duration = Duration::from_millis(20);

/// A model that `GET /models` lists.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Model {
    /// Its id.
    pub id: String,
    /// The campaign that it is of, where it is of one.
    #[serde(default)]
    pub campaign: Option<String>,
    /// What it does for the campaign, such as `champion` or `challenger`.
    #[serde(default)]
    pub role: Option<String>,
    /// What the gate has found of it.
    #[serde(default)]
    pub gate: Vec<Verdict>,
}

/// What a check of the gate has found.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Verdict {
    /// Which check.
    pub check: String,
    /// Whether it passed; `None` where it does not decide.
    pub ok: Option<bool>,
    /// In words.
    pub sentence: String,
}

/// Has the server learn for one campaign, and waits until it has; gives what `GET /retrain/{job}` says then.
///
/// # Errors
/// The server refuses, or gives no answer.
pub async fn retrain(admin: &Client, campaign: &str) -> anyhow::Result<Value> {
    let path = format!("/retrain?campaign={campaign}");
    let answer = good(admin.post(&path, "application/json", "").await?)?;
    let begun: Value = serde_json::from_slice(&answer.body)?;
    let job = match &begun["job"] {
        Value::String(job) => job.clone(),
        Value::Number(job) => job.to_string(),
        _ => bail!("POST {path} named no job: {begun}"),
    };
    loop {
        let answer = good(admin.get(&format!("/retrain/{job}")).await?)?;
        let state: Value = serde_json::from_slice(&answer.body)?;
        match state["state"].as_str() {
            Some("queued" | "waiting" | "running") => tokio::time::sleep(LOOK_PERIOD).await,
            Some(_) => return Ok(state),
            None => bail!("GET /retrain/{job} has no state: {state}"),
        }
    }
}

/// The models that the server lists.
///
/// # Errors
/// It gives no answer.
pub async fn models(admin: &Client) -> anyhow::Result<Vec<Model>> {
    let answer = good(admin.get("/models").await?)?;
    Ok(serde_json::from_slice(&answer.body)?)
}
