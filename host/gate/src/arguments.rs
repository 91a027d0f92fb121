//! The command line of a gate, which `klaxon-gate` and `klaxon gate` share.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use klaxon_http_server::Server;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use super::{DownStatus, GateError, GateFile, serve};

/// The arguments of a gate.
#[derive(Debug, Clone, Args)]
pub struct GateArguments {
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

/// Runs a gate until SIGTERM or SIGINT.
///
/// # Errors
/// If the gate cannot start.
pub fn run(arguments: &GateArguments) -> Result<(), RunError> {
    let gate = GateFile::check(&arguments.file)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let port = arguments.port;
        let server = bind(port).await.map_err(|source| RunError::Bind { port, source })?;
        info!(address = %server.address(), file = %gate.path().display(), "gate ready");
        let down = match arguments.readme_status {
            true => DownStatus::Unavailable,
            false => DownStatus::Ok,
        };
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

/// Listens on all addresses: IPv6 and IPv4, or IPv4 alone on a node without IPv6.
async fn bind(port: u16) -> io::Result<Server> {
    let all = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    match Server::bind(all).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            Server::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await
        }
        bound => bound,
    }
}
