//! The command line of a gate, which `klaxon-gate` and `klaxon gate` share.

use std::io;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use klaxon_http_server::Server;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use super::{DownStatus, GateError, GateFile, serve};

/// The arguments of a gate.
#[derive(Debug, Clone, Args)]
pub struct GateArguments {
    /// Switch the gate or look at it once, without a server: for hooks and probes
    #[arg(value_enum)]
    action: Option<Action>,
    /// The port to listen at, on all addresses; 0 takes any free port
    #[arg(long, value_name = "PORT", env = "UP_PORT", default_value = "9999")]
    port: u16,
    /// The file: the gate is open while it exists
    #[arg(long, value_name = "FILE", env = "UP_FILE", default_value = "/pod/up.txt")]
    file: PathBuf,
    /// Answer /down with 503 if the gate was closed before, as appup's README says; appup itself answers 200
    #[arg(long)]
    readme_status: bool,
}

/// An action on a gate without a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Action {
    /// Open the gate
    Up,
    /// Close the gate
    Down,
    /// Exit with 0 if the gate is open, and with 1 if it is closed
    Health,
}

/// The outcome of a gate's command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The server has ended, the gate was switched, or the gate that was looked at is open.
    Done,
    /// The gate that was looked at is closed.
    Closed,
}

/// An error of running a gate.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The file cannot be used.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// The server cannot listen.
    #[error(
        "the gate cannot listen at port {port}: {source}; hint: choose another port with UP_PORT"
    )]
    Bind {
        /// The port.
        port: u16,
        /// The cause.
        source: io::Error,
    },
    /// The runtime or the signal handlers failed.
    #[error("the gate cannot start: {0}")]
    System(#[from] io::Error),
}

/// Runs a gate until SIGTERM or SIGINT, or performs one action.
///
/// # Errors
/// If the gate cannot start, or its file cannot be changed.
pub fn run(arguments: &GateArguments) -> Result<Outcome, RunError> {
    match arguments.action {
        None => run_server(arguments).map(|()| Outcome::Done),
        Some(Action::Up) => {
            GateFile::check(&arguments.file)?.open()?;
            Ok(Outcome::Done)
        }
        Some(Action::Down) => {
            GateFile::check(&arguments.file)?.close()?;
            Ok(Outcome::Done)
        }
        // Looking needs no permission to write.
        Some(Action::Health) => match GateFile::new(&arguments.file).is_open()? {
            true => Ok(Outcome::Done),
            false => Ok(Outcome::Closed),
        },
    }
}

fn run_server(arguments: &GateArguments) -> Result<(), RunError> {
    let gate = GateFile::check(&arguments.file)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let port = arguments.port;
        let server = Server::bind(format!(":{port}"))
            .await
            .map_err(|source| RunError::Bind { port, source })?;
        info!(address = %server.address(), file = %gate.path().display(), "gate ready");
        let down = DownStatus::new(arguments.readme_status);
        let stopped = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        serve(server, gate, down, stopped).await;
        Ok(())
    })
}
