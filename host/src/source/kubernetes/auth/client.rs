//! The client that every method ends in.

use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use kube::{Client, Config};

use super::{Failure, How, address};
use crate::source::kubernetes::error::{describe, is_credential};

/// How long a TCP and TLS connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A client, not yet known to be let in.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) how: How,
    pub(super) server: String,
    pub(super) default_namespace: String,
}

/// Reads a configuration and makes a client of it. Both read files and may run a credential plugin,
/// so they have a thread of their own; one that hangs is left behind.
pub(super) async fn connect(
    load: impl FnOnce() -> Result<(Config, How), String> + Send + 'static,
) -> Result<Connection, Failure> {
    let made = tokio::task::spawn_blocking(move || {
        let (mut config, how) = load()?;
        tune(&mut config);
        let server = address::shown(&config.cluster_url.to_string());
        let default_namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(|error| {
            let why = describe(&error);
            if is_credential(&error) { why } else { format!("no client for {server}: {why}") }
        })?;
        Ok(Connection { client, how, server, default_namespace })
    });
    match made.await {
        Ok(connection) => connection.map_err(Failure::Unusable),
        Err(error) => Err(Failure::Unusable(format!("the client could not be made: {error}"))),
    }
}

fn tune(config: &mut Config) {
    config.connect_timeout = Some(CONNECT);
    // A watch may be silent for minutes: whether it is stalled is judged by its progress.
    config.read_timeout = None;
    // A request that is repeated unseen hides that the API server is busy, for up to hours.
    config.default_retry = false;
    let agent = HeaderValue::from_static(concat!("klaxon/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, agent));
}
