//! Counters over UDP: best effort. A datagram that was sent counts as delivered even if no server received it.
//! If an error is known at once, as when no process listens on this machine, the delivery is retried for some
//! seconds and then becomes a dead letter. The refusal of a remote server is reported only with the next
//! delivery.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::{UdpSocket, lookup_host};
use tokio::sync::Mutex;

use super::{Attempt, Delivery, Trouble};
use klaxon_config as config;
use klaxon_model::Verdict;
use klaxon_model::clock::Stopwatch;

/// The time limit for resolving a name and sending.
const PATIENCE: Duration = Duration::from_secs(5);
/// The time after which a name is resolved again, because its address may have changed.
const RESOLVE_AGAIN: Duration = Duration::from_secs(60);

/// A statsd server, ready to be sent to.
pub(super) struct Statsd {
    address: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connected: Option<Connected>,
    /// The index of the address to use next: `localhost` may also resolve to `::1`, where no process listens.
    turn: usize,
}

/// A socket for one resolved address.
struct Connected {
    socket: UdpSocket,
    since: Stopwatch,
}

/// Renders a verdict as a counter, which grows by the growth of a Kubernetes Event's count, else by one. Empty
/// if the verdict's status is not counted.
pub(super) fn body(settings: &config::Statsd, verdict: &Verdict) -> Vec<u8> {
    let Some(name) = settings.name(verdict) else { return Vec::new() };
    format!("{name}:{}|c", verdict.delta.unwrap_or(1)).into_bytes()
}

impl Statsd {
    /// Makes a target without resolving its name yet.
    pub(super) fn new(settings: &config::Statsd) -> Result<Self, String> {
        let address = settings.address.clone();
        Ok(Self { address, state: Mutex::default() })
    }

    pub(super) async fn send(&self, delivery: &Delivery) -> Attempt {
        if delivery.body.is_empty() {
            return Attempt::Delivered;
        }
        let address = &self.address;
        let error = match tokio::time::timeout(PATIENCE, self.write(&delivery.body)).await {
            Ok(Ok(())) => return Attempt::Delivered,
            Ok(Err(error)) => error,
            Err(_) => {
                let why = format!("{address} was not resolved within {PATIENCE:?}");
                return Attempt::Retry(Trouble::of_receiver(why));
            }
        };
        if error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) {
            let why = format!("{} bytes do not fit into a datagram", delivery.body.len());
            return Attempt::Refused { why };
        }
        let hint = match error.kind() {
            io::ErrorKind::ConnectionRefused => "; hint: start the statsd server there",
            _ => "",
        };
        Attempt::Retry(Trouble::of_receiver(format!("{address}: {error}{hint}")))
    }

    /// Sends one datagram. After an error the next datagram uses a new socket, for the next address.
    async fn write(&self, datagram: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock().await;
        let fresh =
            state.connected.take().filter(|connected| connected.since.elapsed() < RESOLVE_AGAIN);
        let connected = match fresh {
            Some(connected) => connected,
            None => connect(&self.address, state.turn).await?,
        };
        match connected.write(datagram).await {
            Ok(()) => state.connected = Some(connected),
            Err(error) => {
                state.turn = state.turn.wrapping_add(1);
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Connected {
    async fn write(&self, datagram: &[u8]) -> io::Result<()> {
        // The refusal of an earlier datagram is reported now, and this one is not sent.
        pending_error(&self.socket)?;
        self.socket.send(datagram).await?;
        // On this machine the refusal is known at once.
        pending_error(&self.socket)
    }
}

fn pending_error(socket: &UdpSocket) -> io::Result<()> {
    socket.take_error()?.map_or(Ok(()), Err)
}

/// Connects to the first of the name's addresses, from index `turn` on, to which there is a route.
async fn connect(address: &str, turn: usize) -> io::Result<Connected> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut addresses: Vec<SocketAddr> = lookup_host(address).await?.collect();
    let first = turn.checked_rem(addresses.len()).unwrap_or(0);
    addresses.rotate_left(first);
    for to in addresses {
        let from: SocketAddr = match to {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let connected = async {
            let socket = UdpSocket::bind(from).await?;
            socket.connect(to).await?;
            Ok(socket)
        };
        match connected.await {
            Ok(socket) => return Ok(Connected { socket, since: Stopwatch::start() }),
            Err(error) => last = error,
        }
    }
    Err(last)
}
