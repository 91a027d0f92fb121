//! A connection to the servers of a NATS cluster.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{ContextBuilder, PublishError};
use async_nats::jetstream::message::PublishMessage;
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerAddr};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use klaxon_config::{self as config, Login, Tls};

/// The number of reconnects before a lost connection is given up: about four seconds where no server listens.
/// After that the secrets may have changed, and the error must be reported.
const RECONNECTS: usize = 12;
/// The longest time to connect to one server: a server that hangs must not use up the time for the others.
const LONGEST_CONNECT: Duration = Duration::from_secs(5);

/// Makes connections.
pub(super) struct Connector {
    servers: Vec<ServerAddr>,
    shown: String,
    options: ConnectOptions,
    /// The settings to check when a server refuses the credentials.
    login: &'static str,
    timeout: Duration,
}

impl Connector {
    pub(super) fn new(settings: &config::Nats) -> Result<Self, String> {
        let servers = settings.servers.iter().map(|server| server.parse());
        let servers: Vec<ServerAddr> =
            servers.collect::<Result<_, _>>().map_err(|error| format!("url: {error}"))?;
        // Another part of the process may have installed the same provider already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let options = ConnectOptions::new()
            .name("klaxon")
            .connection_timeout(settings.timeout.min(LONGEST_CONNECT))
            // The list of servers is tried at least once.
            .max_reconnects(RECONNECTS.max(servers.len()));
        // A compromised server could announce any address, which would get our credentials.
        let options = if settings.discover { options } else { options.ignore_discovered_servers() };
        let options = match &settings.tls {
            None => options,
            Some(tls) => options.require_tls(true).tls_client_config(tls_config(tls)?),
        };
        let (options, login) = match &settings.login {
            Login::None => (options, "user and password, token, or credentials"),
            Login::User(user, password) => {
                (options.user_and_password(user.clone(), password.clone()), "user and password")
            }
            Login::Token(token) => (options.token(token.clone()), "token"),
            Login::Credentials(text) => {
                let options = options.credentials(text);
                // The error names the missing part, without the content.
                (options.map_err(|error| format!("credentials: {error}"))?, "credentials")
            }
        };
        Ok(Self {
            servers,
            shown: settings.servers.join(", "),
            options,
            login,
            timeout: settings.timeout,
        })
    }

    /// Returns the servers, for errors.
    pub(super) fn servers(&self) -> &str {
        &self.shown
    }

    pub(super) async fn connect(&self) -> Result<Connection, String> {
        let said = Said::default();
        let hears = said.clone();
        let options = self.options.clone().event_callback(move |event| {
            hears.hear(&event);
            std::future::ready(())
        });
        match options.connect(self.servers.as_slice()).await {
            Ok(client) => {
                // Longer than the caller's timeout, which therefore ends first.
                let timeout = self.timeout.saturating_add(LONGEST_CONNECT);
                let context = ContextBuilder::new().timeout(timeout).build(client.clone());
                Ok(Connection { client, context, said })
            }
            Err(error) => Err(match error.kind() {
                ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                    format!(
                        "{} does not let us in ({error}); hint: check {} of the target",
                        self.shown, self.login
                    )
                }
                _ => format!("no connection to {}: {error}", self.shown),
            }),
        }
    }
}

/// A connection, which reconnects when it is lost.
pub(super) struct Connection {
    client: Client,
    context: Context,
    said: Said,
}

impl Connection {
    /// Waits until the connection is established. Returns `false` if it was lost and given up.
    pub(super) async fn is_there(&self) -> bool {
        // A flush waits for the connection, and fails if the connection is given up.
        self.client.connection_state() == State::Connected || self.client.flush().await.is_ok()
    }

    /// Publishes, and waits until a stream acknowledges the message. The caller sets the timeout.
    pub(super) async fn publish(
        &self,
        subject: String,
        message: PublishMessage,
    ) -> Result<(), PublishError> {
        // A duplicate is acknowledged like the message that it repeats.
        self.context.send_publish(subject, message).await?.await.map(drop)
    }

    /// Returns the server's last error, as the end of an error text.
    pub(super) fn said(&self) -> String {
        let said = self.said.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.as_ref().map(|said| format!("; last heard: {said}")).unwrap_or_default()
    }
}

/// The last error: the server reports a missing permission as an event, not as an answer.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Option<String>>>);

impl Said {
    fn hear(&self, event: &Event) {
        let said = match event {
            Event::Connected => None,
            Event::ServerError(_) | Event::ClientError(_) | Event::Disconnected => {
                Some(event.to_string())
            }
            _ => return,
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = said;
    }
}

/// Makes a TLS configuration with the target's root certificates, else with the system's.
fn tls_config(tls: &Tls) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let builder = match &tls.ca {
        Some(pem) => {
            for certificate in certificates(pem, "ca")? {
                roots.add(certificate).map_err(|error| format!("tls.ca: {error}"))?;
            }
            ClientConfig::builder().with_root_certificates(roots)
        }
        None => {
            // Without root certificates no server is trusted, which the connection reports.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            ClientConfig::builder().with_root_certificates(roots)
        }
    };
    let Some(pem) = &tls.identity else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates(pem, "certificate")?;
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| format!("tls.key: {error}"))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| format!("tls.certificate: {error}"))
}

fn certificates(pem: &[u8], name: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("tls.{name}: {error}"))?;
    if found.is_empty() {
        return Err(format!("tls.{name}: there is no certificate; hint: name a PEM file with one"));
    }
    Ok(found)
}
