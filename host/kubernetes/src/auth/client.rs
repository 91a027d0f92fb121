//! Builds the client for every authentication method.

use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use kube::{Client, Config};

use super::{Failure, How, address};
use crate::error::{describe, is_credential};

/// The time limit for establishing a TCP and TLS connection.
const CONNECT: Duration = Duration::from_secs(10);

/// A client whose credential was not yet accepted by the API server.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) how: How,
    pub(super) server: String,
    pub(super) default_namespace: String,
}

/// Loads a configuration and builds a client from it. Both read files and may run a credential plugin, so they run
/// on a blocking thread; a thread that hangs is abandoned.
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
    // A watch may be silent for minutes; stalls are detected from its progress instead.
    config.read_timeout = None;
    // Automatic retries would hide for up to hours that the API server is busy.
    config.default_retry = false;
    let agent = HeaderValue::from_static(concat!("klaxon/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, agent));
}
