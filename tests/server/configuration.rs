//! Configuration: the precedence of its sources, and the messages about bad settings.

use std::path::PathBuf;
use std::process::Output;

use upbeat_server::config::{Config, Quantity, Range};

use super::support::{Server, upbeat};

/// A configuration file that is removed when dropped.
struct File(tempfile::TempDir);

impl File {
    fn holding(text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("upbeat.toml"), text).expect("a file");
        Self(directory)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("upbeat.toml")
    }

    fn text(&self) -> String {
        self.path().display().to_string()
    }
}

fn check(flags: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = upbeat();
    command.args(["serve", "--check-config"]).args(flags).envs(environment.iter().copied());
    command.output().expect("it runs")
}

#[track_caller]
fn assert_refused(output: &Output, expected: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    for text in expected {
        assert!(stderr.contains(text), "{text} in {stderr}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn valid_configuration_is_reported_as_good() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/upbeat.toml");
    for (flags, environment) in [
        (&[][..], &[][..]),
        (&["--config", shipped], &[]),
        (&[], &[("UPBEAT_CONFIG", shipped)]),
        (&["--config", shipped, "--model", "none"], &[("UPBEAT_WINDOW_DAYS", "7")]),
    ] {
        let output = check(flags, environment);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("good"));
    }
}

#[test]
fn bad_file_is_reported_with_its_path_and_key() {
    for (text, said) in [
        ("windw = 3", "windw"),
        ("[limits]\nconnection = 3", "connection"),
        ("[limits]\nconnections = 0", "limits.connections is 0"),
        ("[window]\nplays = \"many\"", "plays"),
        ("[campaign.cap]\nhours = 0", "campaign.cap.hours"),
        ("not toml", "line 1"),
        ("clock = \"sun\"", "sun"),
    ] {
        let file = File::holding(text);
        assert_refused(&check(&["--config", &file.text()], &[]), &[said, &file.text()]);
        assert_refused(&check(&[], &[("UPBEAT_CONFIG", &file.text())]), &[said, &file.text()]);
    }
    assert_refused(&check(&["--config", "/no/such/file.toml"], &[]), &["/no/such/file.toml"]);
}

#[test]
fn bad_variable_is_reported_by_name() {
    for (name, value) in [
        ("UPBEAT_WINDOWS", "3"),
        ("UPBEAT_WINDOW_PLAYS", "many"),
        ("UPBEAT_LISTEN", "everywhere"),
        ("UPBEAT_CAMPAIGN_AUDIENCE", "platinum"),
        ("UPBEAT_SHUTDOWN_DRAIN", "-1s"),
    ] {
        assert_refused(&check(&[], &[(name, value)]), &[name]);
        // The server refuses it too: it does not start and ignore the setting.
        let serve = upbeat().arg("serve").env(name, value).output().expect("it runs");
        assert_refused(&serve, &[name]);
    }
}

#[test]
fn model_for_another_window_is_refused_with_both_windows() {
    let output = check(&[], &[("UPBEAT_WINDOW_PLAYS", "100")]);
    assert_refused(&output, &["100", "256"]);
    let serve = upbeat()
        .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--in-memory"])
        .env("UPBEAT_WINDOW_DAYS", "7")
        .output()
        .expect("it runs");
    assert!(!serve.status.success(), "it must not serve");
    assert!(String::from_utf8_lossy(&serve.stderr).contains("28"));
}

#[test]
fn file_that_is_no_model_is_refused_by_path() {
    let garbage = File::holding("garbage");
    assert_refused(&check(&["--model", &garbage.text()], &[]), &[&garbage.text()]);
    assert_refused(&check(&["--model", "/no/such/model.json"], &[]), &["/no/such/model.json"]);
}

#[test]
fn flags_override_variables_and_variables_override_the_file() {
    let file = File::holding(
        "model = \"/no/such/model\"\nclock = \"wall\"\n[campaign]\nid = \"from-file\"\nmin_plays = 3\n[campaign.cap]\nhours = 1\n",
    );
    // The file alone would not start: its model does not exist, and the variable's listener is nowhere.
    let environment = [
        ("UPBEAT_MODEL", "none"),
        ("UPBEAT_LISTEN", "192.0.2.1:1"),
        ("UPBEAT_CAMPAIGN_MIN_PLAYS", "4"),
        ("UPBEAT_CAMPAIGN_CAP_HOURS", "2"),
    ];
    let server = Server::with(&["--config", &file.text()], &environment);
    let campaigns = server.admin_get("/campaigns").text();
    for line in ["id = \"from-file\"", "min_plays = 4", "hours = 2", "threshold = { score = 0.0 }"] {
        assert!(campaigns.contains(line), "{line} in {campaigns}");
    }
}

/// The table of ranges is tried whole in the crate; here one beyond each end goes through the real command line.
#[test]
fn value_beyond_its_range_is_refused_by_name_from_file_variable_and_flag() {
    for Range { key, least, most, .. } in Config::default().ranges() {
        let beyond = |end: Quantity, sign: f64| match end {
            Quantity::Number(number) => (number + sign).to_string(),
            Quantity::Time(duration) => format!("{}ns", duration.get().as_nanos() as i128 + sign as i128),
            Quantity::Bytes(bytes) => format!("{}B", i128::from(bytes.0) + sign as i128),
        };
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        let (low, high) = (beyond(least.value, -1.0), beyond(most.value, 1.0));
        let low = if !matches!(least.value, Quantity::Number(_)) { format!("{low:?}") } else { low };
        let header = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
        let file = File::holding(&format!("{header}{name} = {low}"));
        assert_refused(&check(&["--config", &file.text()], &[]), &[name, &file.text()]);
        let variable = format!("UPBEAT_{}", key.replace('.', "_").to_uppercase());
        assert_refused(&check(&[], &[(&variable, &high)]), &[key, &variable]);
    }
    assert_refused(&check(&["--workers", "1025"], &[]), &["workers is 1025; it must be from 0 to 1024"]);
}
