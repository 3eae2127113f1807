//! `upbeat serve`: the server.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;

use super::{logging, output};
use upbeat_core::model::serving_notes;
use upbeat_engine::Clock;
use upbeat_server::config::{Bytes, Config, ConfigError, ENV_CONFIG};
use upbeat_server::runtime::{
    App, CampaignsError, Inherited, Listeners, Listening, MemoryLimit, Passed, Server, Stopped, Storage,
    Supervisor, capped_backlog, heap, listen, listen_on, load_campaigns, load_model, machine_clock,
    make_room, memory_limit,
};

/// Run the server
///
/// Serves decisions and events on one listener, metrics and profiles on another. What it acknowledges it keeps in
/// upbeat-data (--data-dir), and reads again at the next start. Settings come from defaults, then
/// the file, then UPBEAT_… environment variables, then these flags. Stops cleanly on SIGTERM or Ctrl-C; SIGHUP reads
/// the campaigns and the models again. Serves on sockets that systemd or another launcher passes (LISTEN_FDS), and tells it how it
/// goes (NOTIFY_SOCKET, WATCHDOG_USEC).
#[derive(clap::Args)]
#[command(after_help = "Examples:
  upbeat serve
  upbeat serve --data-dir /var/lib/upbeat
  upbeat serve --in-memory
  upbeat serve --config upbeat.toml --check-config
  upbeat serve --clock event --model my-model.json
  UPBEAT_WINDOW_DAYS=7 upbeat serve --listen 0.0.0.0:8080")]
pub(crate) struct Args {
    /// Configuration file; upbeat.toml in the repository explains every key [env: UPBEAT_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address of the data plane [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Address of the control plane [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
    /// Directory of the log and its snapshots [default: upbeat-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Keep nothing on a disk: a restart begins empty
    #[arg(long, conflicts_with = "data_dir")]
    in_memory: bool,
    /// Model file; none to serve without [default: the built-in model]
    #[arg(long, value_name = "FILE")]
    model: Option<String>,
    /// File of campaigns [default: campaigns.toml beside the configuration, if it is there]
    #[arg(long, value_name = "FILE")]
    campaigns: Option<PathBuf>,
    /// What "now" means: the wall clock, or the newest event seen (to replay history) [default: wall]
    #[arg(long)]
    clock: Option<ClockArg>,
    /// Threads that answer decisions and events; 0 for one per core [default: 0]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Check configuration, campaigns and models, then exit: status 0 if they are good, else 2
    #[arg(long)]
    check_config: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum ClockArg {
    Wall,
    Event,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut config = match load(&args) {
        Ok(config) => config,
        Err(error) => return Ok(refuse(&error)),
    };
    if args.check_config {
        return check(&config);
    }
    // First of all: there is no other thread yet, and no file is open.
    let inherited = take_inherited();
    // SAFETY: nothing else has opened a descriptor that is open now, and this is called once.
    let passed = unsafe { Passed::take(&inherited) }?;
    heap::keep_on_huge_pages();
    let _logging = logging::start(&config)?;
    fit_memory(&mut config);
    async_runtime()?.block_on(serve(config, &inherited, passed))
}

/// What the service manager has left in the environment for this process, and takes it out: what this process starts is not
/// meant.
fn take_inherited() -> Inherited {
    let inherited = Inherited::of(std::env::vars_os());
    for name in Inherited::VARIABLES {
        // SAFETY: no other thread has been started yet.
        unsafe { std::env::remove_var(name) };
    }
    inherited
}

/// Lowers what has its default to what fits into the memory of the process's control group, and says so.
fn fit_memory(config: &mut Config) {
    let Some(MemoryLimit { bytes, file }) = memory_limit(Path::new("/")) else { return };
    let (limit, file) = (Bytes(bytes), file.display());
    let fitted = config.fit(limit);
    if !fitted.lowered.is_empty() {
        let lowered: Vec<_> = fitted.lowered.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        tracing::info!(
            "this process may have {limit} of memory, by {file}: {} in place of the defaults, so that all fits",
            lowered.join(", ")
        );
    }
    if fitted.most > bytes {
        tracing::warn!(
            most = %Bytes(fitted.most),
            "limits.profile_bytes, body_memory_bytes, response_memory_bytes and retry_bytes allow more than the {limit} of memory that \
             this process may have by {file}: the kernel may end it; lower them, or raise that"
        );
    }
}

fn refuse(error: &anyhow::Error) -> ExitCode {
    output::note(format_args!("upbeat serve: {error:#}"));
    ExitCode::from(2)
}

fn check(config: &Config) -> anyhow::Result<ExitCode> {
    let loaded = load_model(&config.model, config.window).map_err(CampaignsError::from);
    match loaded.and_then(|model| load_campaigns(config).map(|_| model)) {
        Ok(model) => {
            let notes = model.as_ref().map_or(Vec::new(), serving_notes);
            let note: String = notes.iter().map(|note| format!(", but {note}")).collect();
            output::print(format_args!("configuration, campaigns and models are good{note}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Ok(refuse(&error.into())),
    }
}

fn load(args: &Args) -> anyhow::Result<Config> {
    let path = args.config.clone().or_else(|| std::env::var_os(ENV_CONFIG).map(PathBuf::from));
    let file = path.as_deref().map(read_config).transpose()?;
    // The names of Upbeat's variables, and their values, are UTF-8.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let loaded = Config::load(file.as_deref(), environment);
    let mut config = match path {
        Some(path) => {
            let config = loaded.with_context(|| path.display().to_string())?;
            // Of a file in the working directory this is the empty path, which is joined as such.
            Config { directory: path.parent().map(Path::to_owned), ..config }
        }
        None => loaded?,
    };
    config.listen = args.listen.unwrap_or(config.listen);
    config.admin_listen = args.admin_listen.unwrap_or(config.admin_listen);
    config.workers = args.workers.unwrap_or(config.workers);
    if let Some(model) = &args.model {
        config.model.clone_from(model);
    }
    if let Some(campaigns) = &args.campaigns {
        config.campaigns.clone_from(campaigns);
    }
    if let Some(clock) = args.clock {
        config.clock = match clock {
            ClockArg::Wall => Clock::Wall,
            ClockArg::Event => Clock::Event,
        };
    }
    if let Some(directory) = &args.data_dir {
        config.data_dir.clone_from(directory);
        config.in_memory = false;
    }
    config.in_memory |= args.in_memory;
    config.validate()?;
    Ok(config)
}

fn read_config(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("configuration {}: {error}", path.display())))
}

/// A runtime for everything but decisions and events, which have threads of their own.
pub(crate) fn async_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// Binds both listeners, but for those whose sockets were passed.
pub(crate) fn bind(config: &Config, passed: Passed) -> anyhow::Result<Listeners> {
    let connections = config.limits.connections;
    let bind = |passed: Option<TcpListener>, address: SocketAddr, flag: &str| -> anyhow::Result<Listening> {
        if let Some(socket) = passed {
            let socket = listen_on(socket, connections).context("a socket that was passed (LISTEN_FDS)")?;
            let (passed, key) = (socket.local_addr()?, flag.trim_start_matches('-').replace('-', "_"));
            tracing::info!(%passed, not_used = %address, "serving on a socket that was passed, whatever {flag} and {key} say");
            return Ok(Listening { socket, is_passed: true });
        }
        let socket = listen(address, connections)
            .with_context(|| format!("cannot listen on {address}; choose another with {flag} ADDRESS"))?;
        Ok(socket.into())
    };
    Ok(Listeners {
        data: bind(passed.data, config.listen, "--listen")?,
        admin: bind(passed.admin, config.admin_listen, "--admin-listen")?,
    })
}

/// Who is told how the process goes; nobody, with a warning, where the environment names somebody who cannot be told.
fn supervisor(inherited: &Inherited) -> Supervisor {
    Supervisor::of(inherited).unwrap_or_else(|error| {
        tracing::warn!("the service manager is not told how it goes: {error}");
        Supervisor::default()
    })
}

async fn serve(mut config: Config, inherited: &Inherited, passed: Passed) -> anyhow::Result<ExitCode> {
    make_room(&mut config)?;
    let zone = config.zone()?;
    let listeners = bind(&config, passed)?;
    let (data, admin) = (listeners.data.socket.local_addr()?, listeners.admin.socket.local_addr()?);
    if let Some((asked, most)) = capped_backlog(config.limits.connections) {
        tracing::info!(
            asked,
            most,
            "the kernel holds fewer new connections than limits.connections allows: raise net.core.somaxconn \
             if more of them may come at once"
        );
    }
    // Campaigns and models that are not good are said before anything is written.
    let campaigns = load_campaigns(&config)?;
    let storage = Storage::take(&config)?;
    match &storage {
        Some(_) => tracing::info!(data_dir = %config.data_dir.display(), "keeping what is acknowledged"),
        None => tracing::warn!("in memory only: nothing is kept on a disk, and a restart begins empty"),
    }
    let app = App::with_campaigns(config, campaigns, zone, machine_clock)?;
    let app = Arc::new(app.with_supervisor(supervisor(inherited)));
    // Before a request is let in: one in between would be answered without it.
    let model = app.serve_configured_model()?.map(|id| id.to_string());
    if model.is_none() {
        tracing::warn!("no model: every answer is show:false, reason no_model");
    }
    // Before the addresses are printed: a signal sent as soon as they are known must find its handler.
    let mut stop = pin!(stop_signal()?);
    // Until campaigns and models can be reloaded SIGHUP does nothing, rather than end the process.
    let _hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
    let opening = Server::open(listeners, Arc::clone(&app), storage);
    let mut server = tokio::select! {
        opened = opening => opened?,
        () = &mut stop => {
            // Reading changes nothing, so there is nothing to wait for.
            tracing::info!("stopped while what was kept was read");
            return Ok(ExitCode::SUCCESS);
        }
    };
    server.reload_on_hangup()?;
    // For scripts; the server also runs where stdout is closed.
    let _ = writeln!(std::io::stdout(), "data  http://{data}\nadmin http://{admin}");
    tracing::info!(%data, %admin, model, "serving");
    let stopped = server.run_until(stop).await;
    tracing::info!(?stopped, "stopped");
    // The system takes the memory back in one piece. To free millions of profiles one by one took seconds, in which connections
    // of sockets that were passed would wait for the next process.
    std::mem::forget(app);
    Ok(if stopped == Stopped::Clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Resolves at the first SIGTERM or SIGINT; a second one ends the process at once.
pub(crate) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (sender, first) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => 128 + 15,
                _ = interrupt.recv() => 128 + 2,
            }
        };
        next().await;
        let _ = sender.send(());
        let status = next().await;
        std::process::exit(status);
    });
    Ok(async move {
        let _ = first.await;
    })
}
