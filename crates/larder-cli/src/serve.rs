//! `larder serve FILE`: runs a server until SIGTERM or SIGINT.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use larder_server::Server;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::check::{read, tell};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for programs.
    Json,
}

/// What `serve` is told on the command line.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The configuration file
    file: PathBuf,
    /// What is logged: error, warn, info, debug, trace, or per module as in
    /// `info,larder_server=debug`
    #[arg(long, default_value = "info", env = "LARDER_LOG")]
    log: String,
    /// How log lines are written
    #[arg(long, value_enum, default_value_t, env = "LARDER_LOG_FORMAT")]
    log_format: LogFormat,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let filter = match EnvFilter::try_new(&arguments.log) {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("larder: --log {:?} can't be understood: {error}", arguments.log);
            return ExitCode::from(2);
        }
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match arguments.log_format {
        LogFormat::Text => lines.with_ansi(false).init(),
        LogFormat::Json => lines.json().init(),
    }
    let config = match read(&arguments.file) {
        Ok(config) => config,
        Err(code) => return code,
    };
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let listeners = [&config.listen.resp, &config.listen.http].into_iter().flatten().count();
    let edges = config.edges.iter().map(|edge| edge.bounds.clients_max + edge.bounds.requests_max);
    raise_descriptors(config.listen.clients_max * listeners.max(1) + edges.sum::<usize>());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tell(&format!("can't start the runtime: {error}")),
    };
    let served = runtime.block_on(async {
        let stop = Stop::listen().map_err(|error| format!("can't listen for signals: {error}"))?;
        let server = Server::open(&config).await.map_err(|error| error.chain())?;
        let at = server.addresses().map_err(|error| error.chain())?;
        for (name, address) in [("RESP", at.resp), ("HTTP", at.http), ("admin", at.admin)] {
            if let Some(address) = address {
                tracing::info!(%address, "{name} listens");
            }
        }
        for (edge, address) in server.edges().map_err(|error| error.chain())? {
            tracing::info!(%address, edge = edge.name(), "edge listens");
        }
        // Boxed: everything that a server holds would otherwise lie on the stack.
        Box::pin(server.serve(stop.asked())).await.map_err(|error| error.chain())
    });
    // A load that still runs is of no use to anybody now.
    runtime.shutdown_background();
    match served {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(message) => tell(&message),
    }
}

/// The signals that ask the server to stop.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of them. A second one ends the process at once, as if nobody listened.
    async fn asked(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
            std::process::exit(130);
        });
    }
}

/// Descriptors that aren't clients: sources, files, listeners.
const DESCRIPTORS_BESIDE_CLIENTS: u64 = 1024;

/// Raises the limit of open descriptors towards what the clients may need, as far as the system
/// allows; says so where it doesn't reach.
fn raise_descriptors(clients_max: usize) {
    let wanted = clients_max as u64 + DESCRIPTORS_BESIDE_CLIENTS;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let reach = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = Rlimit { current: Some(reach), maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_err() || reach < wanted {
        tracing::warn!(
            "the system allows {reach} open descriptors and {clients_max} clients (clients_max of \
             each listener) need {wanted}: raise the limit (ulimit -n) or lower clients_max"
        );
    }
}
