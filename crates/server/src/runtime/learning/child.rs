//! The process of a job: started at low priority and with bounded memory, asked over its standard input, and killed where it takes too
//! long or nobody wants its answer any more.
//!
//! It is started without a copy of this process's memory, which with millions of customers would take longer than a decision may: so
//! its priority and its bounds are set from here, before it is asked anything and so before it has a second thread.

use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use upbeat_learn::job::{Answer, Ask};

/// Has this process end with the thread of the process `parent` that has started it: to be called first by the process of a job.
pub fn end_with_parent(parent: u32) {
    // SAFETY: both calls touch no memory of this process.
    let present = unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::getppid()
    };
    // It may have ended before.
    if present as u32 != parent {
        std::process::exit(1);
    }
}

/// The most bytes of an answer: a model of the longest that is taken over HTTP, as JSON within JSON.
const MOST_ANSWER_BYTES: u64 = 64 << 20;

/// The most bytes of what a process said before its end that are told.
const MOST_TAIL_BYTES: usize = 600;

/// How long a process that has answered may take to end.
const TIME_TO_END: Duration = Duration::from_secs(10);

/// How often such a process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The lowest priority of the processor.
const NICE: libc::c_int = 19;

/// The class of a disk's idle time, as `ioprio_set(2)` takes it, and whom it is set of.
const IDLE: libc::c_int = 3 << 13;
const OF_PROCESS: libc::c_int = 1;

/// What a process may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Memory of its own, in bytes.
    pub(super) memory: u64,
    /// From its start to its answer.
    pub(super) time: Duration,
}

/// A program and its arguments.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    /// What it is told that its own name is.
    pub(super) name: &'static str,
    pub(super) arguments: Vec<String>,
}

impl Program {
    /// This program itself, as the process of jobs of a data directory.
    pub(super) fn of_jobs(data_dir: &Path) -> Self {
        // The file under the program's name may be a newer version by now; this is what runs.
        let own = Path::new("/proc/self/exe");
        let path = if own.exists() {
            own.to_owned()
        } else {
            std::env::current_exe().unwrap_or_else(|_| own.to_owned())
        };
        let (directory, parent) = (data_dir.display().to_string(), std::process::id().to_string());
        let arguments = ["learn-job", "--data-dir", &directory, "--parent", &parent].map(str::to_owned);
        Self { path, name: "upbeat", arguments: arguments.into() }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChildError {
    /// Somebody has cancelled the job, or the server stops.
    #[error("the job was cancelled")]
    Cancelled,
    /// It cannot be started.
    #[error("the process of the job cannot be started: {0}")]
    Start(io::Error),
    /// It took too long.
    #[error("the process of the job was killed after {} s, which is as long as one may take", .0.as_secs_f64())]
    Late(Duration),
    /// It has answered too much.
    #[error("the process of the job was killed: it answered with more than {MOST_ANSWER_BYTES} bytes")]
    Flood,
    /// It ended without success.
    #[error("the process of the job {}{}", ending(*.0), said(.1))]
    Ended(ExitStatus, String),
    /// It has answered something else.
    #[error("the process of the job gave no answer that can be read: {0}{said}", said = said(.1))]
    Garbage(String, String),
}

/// How a process ended, and what that means as a rule.
fn ending(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(libc::SIGKILL), _) => {
            "was killed (signal 9): by somebody, or by the system for want of memory".to_owned()
        }
        (Some(signal), _) => format!(
            "was ended by signal {signal}, which is how one ends as a rule that asks for more memory than it may have"
        ),
        (None, Some(code)) => format!("ended with status {code}"),
        (None, None) => "ended".to_owned(),
    }
}

fn said(tail: &str) -> String {
    if tail.is_empty() { String::new() } else { format!("; it said: {tail}") }
}

/// What the threads of a job tell the one that waits.
enum Message {
    Answered(io::Result<Vec<u8>>),
    Said(Vec<u8>),
    Cancel,
}

/// Ends the process of a job, from any thread.
#[derive(Clone)]
pub(super) struct Cancel(Sender<Message>);

impl Cancel {
    pub(super) fn cancel(&self) {
        // Nobody listens any more where the job has ended.
        let _ = self.0.send(Message::Cancel);
    }
}

/// A job that is about to run, and what cancels it: also before it runs.
pub(super) struct Runner {
    sender: Sender<Message>,
    messages: Receiver<Message>,
}

impl Runner {
    pub(super) fn new() -> (Self, Cancel) {
        let (sender, messages) = channel();
        let cancel = Cancel(sender.clone());
        (Self { sender, messages }, cancel)
    }

    /// Asks the program, and waits for its answer. The process ends with the thread that calls this, if not before.
    ///
    /// # Errors
    /// There is no answer: why. The process is gone.
    pub(super) fn run(self, program: &Program, ask: &Ask, bounds: Bounds) -> Result<Answer, ChildError> {
        let deadline = Instant::now() + bounds.time;
        let mut child = Group(start(program, bounds.memory).map_err(ChildError::Start)?);
        // The question fits the pipe, so nobody waits for a process that does not read.
        let question = serde_json::to_vec(ask).unwrap_or_default();
        let (stdin, stdout, stderr) = (child.0.stdin.take(), child.0.stdout.take(), child.0.stderr.take());
        // One that has ended already is told of below.
        let _ = stdin.map(|mut stdin| stdin.write_all(&question));
        let Self { sender, messages } = self;
        let answers = sender.clone();
        spawn("learn-answer", move || {
            let mut bytes = Vec::new();
            let read =
                stdout.map_or(Ok(0), |stdout| stdout.take(MOST_ANSWER_BYTES + 1).read_to_end(&mut bytes));
            let _ = answers.send(Message::Answered(read.map(|_| bytes)));
        })?;
        spawn("learn-said", move || {
            let tail = stderr.map(tail).unwrap_or_default();
            let _ = sender.send(Message::Said(tail));
        })?;

        let (mut answered, mut said) = (None, None);
        while answered.is_none() || said.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            match messages.recv_timeout(left) {
                Ok(Message::Answered(Ok(bytes))) if bytes.len() as u64 > MOST_ANSWER_BYTES => {
                    return Err(ChildError::Flood);
                }
                Ok(Message::Answered(bytes)) => answered = Some(bytes),
                Ok(Message::Said(tail)) => said = Some(tail),
                Ok(Message::Cancel) => return Err(ChildError::Cancelled),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(ChildError::Late(bounds.time));
                }
            }
        }
        let said = told(&said.unwrap_or_default());
        let status =
            child.ended(deadline.min(Instant::now() + TIME_TO_END)).ok_or(ChildError::Late(bounds.time))?;
        if !status.success() {
            return Err(ChildError::Ended(status, said));
        }
        let bytes = answered.unwrap_or_else(|| Ok(Vec::new()));
        let bytes = bytes.map_err(|error| ChildError::Garbage(error.to_string(), said.clone()))?;
        serde_json::from_slice(&bytes).map_err(|error| ChildError::Garbage(error.to_string(), said))
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), ChildError> {
    thread::Builder::new().name(name.into()).spawn(work).map(drop).map_err(ChildError::Start)
}

/// Starts a program in a group of its own, at low priority, with so much memory.
fn start(program: &Program, memory: u64) -> io::Result<Child> {
    let mut command = Command::new(&program.path);
    command.args(&program.arguments).arg0(program.name).process_group(0);
    // Nothing of the server's settings is the job's: all it needs is in its question.
    let settings = std::env::vars_os().map(|(name, _)| name);
    for name in settings.filter(|name| name.to_string_lossy().starts_with(crate::config::ENV_PREFIX)) {
        command.env_remove(name);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn()?;
    let id = child.id() as libc::pid_t;
    // Where memory ends, this one is to be killed and not the server, which is larger.
    let _ = std::fs::write(format!("/proc/{id}/oom_score_adj"), "1000");
    let limit = libc::rlimit { rlim_cur: memory, rlim_max: memory };
    // SAFETY: the process is this one's child and is not waited for yet, so the number is its own; the limit outlives the call.
    unsafe {
        // What fails of these leaves a process that takes more than it should, for a time that is bounded.
        libc::setpriority(libc::PRIO_PROCESS, id as libc::id_t, NICE);
        libc::syscall(libc::SYS_ioprio_set, OF_PROCESS, id, IDLE);
        libc::prlimit(id, libc::RLIMIT_DATA, &limit, std::ptr::null_mut());
    }
    Ok(child)
}

/// A process with those that it has started, which ends with this value.
struct Group(Child);

impl Group {
    /// Waits for the end of a process whose output has ended; `None` where it does not come by then.
    fn ended(&mut self, deadline: Instant) -> Option<ExitStatus> {
        loop {
            if let Ok(Some(status)) = self.0.try_wait() {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: no memory is touched. The number of a group stays taken while one of its processes is there. Where none is, nothing
        // happens: the system gives numbers in turn, so that one that has just become free is not given again for thousands.
        unsafe {
            libc::kill(-(self.0.id() as libc::pid_t), libc::SIGKILL);
        }
        let _ = self.0.wait();
    }
}

/// Reads all, and keeps the end.
fn tail(mut from: impl Read) -> Vec<u8> {
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..count]);
        let extra = kept.len().saturating_sub(MOST_TAIL_BYTES);
        kept.drain(..extra);
    }
    kept
}

/// The end of what a process said, on one line.
fn told(tail: &[u8]) -> String {
    let text = String::from_utf8_lossy(tail);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
