//! Who says whether an ad that the server would show is played.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use upbeat_core::feature::FeatureVector;

/// An ad that no rule of the server is against.
#[derive(Debug, Clone, Copy)]
pub struct Offered {
    /// The decision's number.
    pub number: u64,
    /// What is known of the listener.
    pub features: FeatureVector,
    /// The planted probability of a click, which only the oracle may look at.
    pub truth: f64,
    /// An even draw in 0 to 1.
    pub coin: f64,
}

/// An ad that was played.
#[derive(Debug, Clone, Copy)]
pub struct Played {
    /// What was known of the listener.
    pub features: FeatureVector,
    /// How probable it was that it is played, above 0 up to 1.
    pub propensity: f64,
    /// Whether it was clicked.
    pub clicked: bool,
}

/// Whether to play an ad, and how probable that was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// Whether it is played; otherwise the server is told that it was not.
    pub play: bool,
    /// How probable it was that it is played, 0 to 1.
    pub propensity: f64,
}

/// A policy in front of a server.
pub enum Policy {
    /// The server's own: all that it shows is played.
    Served,
    /// Plays each with this probability.
    Random(f64),
    /// Plays where the planted probability is above this.
    Oracle(f64),
    /// Another program.
    Peer(Peer),
}

impl Policy {
    /// Chooses among ads that the server would show.
    ///
    /// # Errors
    /// The program gave no answer.
    pub fn choose(&mut self, offered: &[Offered]) -> anyhow::Result<Vec<Choice>> {
        let certain = |play: bool| Choice { play, propensity: f64::from(u8::from(play)) };
        let each = |choice: &dyn Fn(&Offered) -> Choice| Ok(offered.iter().map(choice).collect());
        match self {
            Self::Served => each(&|_| certain(true)),
            Self::Random(share) => {
                let share = *share;
                each(&|offered| Choice { play: offered.coin < share, propensity: share })
            }
            Self::Oracle(break_even) => {
                let break_even = *break_even;
                each(&|offered| certain(offered.truth > break_even))
            }
            Self::Peer(peer) => peer.choose(offered),
        }
    }

    /// Says what came of ads that were played.
    ///
    /// # Errors
    /// The program does not listen.
    pub fn learn(&mut self, played: &[Played]) -> anyhow::Result<()> {
        match self {
            Self::Peer(peer) if !played.is_empty() => peer.learn(played),
            _ => Ok(()),
        }
    }
}

/// A program that is asked line by line: `{"ask":[[features, coin, number], …]}` is answered with `[[play, propensity], …]`, and
/// `{"learn":[[features, propensity, clicked], …]}` with nothing.
pub struct Peer {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Ask(Vec<(FeatureVector, f64, u64)>),
    Learn(Vec<(FeatureVector, f64, bool)>),
}

#[derive(Deserialize)]
struct Answer(Vec<(bool, f64)>);

impl Peer {
    /// Starts it; the shell splits the command.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(command: &str) -> anyhow::Result<Self> {
        let mut child = Command::new("sh")
            .args(["-c", &format!("exec {command}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| command.to_owned())?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("{command}: it has no streams")
        };
        Ok(Self { child, to, from: BufReader::new(from) })
    }

    fn write(&mut self, line: &Line) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.to.write_all(&text).and_then(|()| self.to.flush()).context("the peer does not listen")
    }

    fn choose(&mut self, offered: &[Offered]) -> anyhow::Result<Vec<Choice>> {
        self.write(&Line::Ask(offered.iter().map(|one| (one.features, one.coin, one.number)).collect()))?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        let Answer(choices) =
            serde_json::from_str(&line).with_context(|| format!("the peer answered {line:?}"))?;
        if choices.len() != offered.len() {
            bail!("the peer was asked of {} ads and answered of {}", offered.len(), choices.len());
        }
        Ok(choices.into_iter().map(|(play, propensity)| Choice { play, propensity }).collect())
    }

    fn learn(&mut self, played: &[Played]) -> anyhow::Result<()> {
        let rows = played.iter().map(|one| (one.features, one.propensity, one.clicked)).collect();
        self.write(&Line::Learn(rows))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
