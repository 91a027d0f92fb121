//! State that the test's side and the server's side share.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch as latest;

use super::access::Access;
use super::asked::{Asked, Seen};
use super::fault::{Fault, Faults};
use super::server::Connection;
use super::store::Store;

/// State, settings, and signals.
pub(super) struct Shared {
    pub(super) store: Mutex<Store>,
    pub(super) faults: Mutex<Faults>,
    pub(super) access: Mutex<Access>,
    pub(super) settings: Mutex<Settings>,
    pub(super) seen: Mutex<Vec<Seen>>,
    /// Number of watches so far.
    pub(super) begun: AtomicUsize,
    /// Number of open watches.
    pub(super) watches: Arc<AtomicUsize>,
    /// Written to after each change of the store, to wake the open watches.
    pub(super) changed: latest::Sender<()>,
    /// Number of restarts of the server; connections end when it changes.
    pub(super) epoch: latest::Sender<u64>,
    pub(super) door: latest::Sender<Door>,
    /// A listener that the server has not taken yet.
    pub(super) listener: Mutex<Option<TcpListener>>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Door {
    Open,
    Shut,
    Stopped,
}

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) streaming_lists: bool,
    pub(super) first_bookmark: Duration,
    pub(super) bookmark_every: Duration,
    /// Delay of the changes that watches show.
    pub(super) lag: Duration,
    /// `true` if only every other watch lags, as with two servers behind one address.
    pub(super) lags_every_other: bool,
    /// An API version that is not served, and for how many more requests.
    pub(super) hidden: Option<(String, usize)>,
}

/// A request that the server is processing.
pub(super) struct Call {
    pub(super) shared: Arc<Shared>,
    pub(super) asked: Asked,
    pub(super) fault: Option<Fault>,
    pub(super) connection: Connection,
}

impl Shared {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self {
            store: Mutex::new(Store::new()),
            faults: Mutex::default(),
            access: Mutex::default(),
            settings: Mutex::new(Settings {
                streaming_lists: true,
                first_bookmark: Duration::from_millis(200),
                bookmark_every: Duration::from_secs(1),
                lag: Duration::ZERO,
                lags_every_other: false,
                hidden: None,
            }),
            seen: Mutex::default(),
            begun: AtomicUsize::new(0),
            watches: Arc::default(),
            changed: latest::Sender::new(()),
            epoch: latest::Sender::new(0),
            door: latest::Sender::new(Door::Open),
            listener: Mutex::new(Some(listener)),
        }
    }

    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    pub(super) fn access(&self) -> MutexGuard<'_, Access> {
        self.access.lock().unwrap()
    }

    pub(super) fn settings(&self) -> Settings {
        self.settings.lock().unwrap().clone()
    }

    pub(super) fn take_listener(&self) -> Option<TcpListener> {
        self.listener.lock().unwrap().take()
    }

    /// Records a request, and returns the fault to inject into it.
    pub(super) fn note(&self, asked: &Asked) -> Option<Fault> {
        self.seen.lock().unwrap().push(asked.seen());
        self.faults.lock().unwrap().take(asked)
    }

    /// Returns `true` if the watch that begins is served by a lagging cache.
    pub(super) fn next_watch_lags(&self) -> bool {
        let number = self.begun.fetch_add(1, Ordering::SeqCst);
        number % 2 == 1 || !self.settings().lags_every_other
    }

    /// Returns `true` if a request asks for an API version that is hidden from it.
    pub(super) fn hides(&self, asked: &Asked) -> bool {
        let mut settings = self.settings.lock().unwrap();
        let Some((api_version, left)) = &mut settings.hidden else { return false };
        let is_meant = match &asked.resource {
            Some(resource) => format!("{}/{}", resource.group, resource.version) == *api_version,
            None => asked.path == format!("/apis/{api_version}"),
        };
        let hides = is_meant && *left > 0;
        if hides {
            *left -= 1;
        }
        hides
    }

    /// Returns `true` if a connection belongs to the current run of the server.
    pub(super) fn is_current(&self, connection: &Connection) -> bool {
        *self.epoch.borrow() == connection.epoch
    }
}
