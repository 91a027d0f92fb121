//! A cluster as a source of events: its own loop over lists and watches, on raw JSON. Ready-made watchers cannot
//! resume at a saved version, nor report the periods in which changes may have been missed.
//!
//! One task runs one watch ([`watch`]). All tasks send their items to the pipeline through one channel, which is
//! bounded by items and by bytes: a slow pipeline makes them stop reading, which leads to backpressure on the
//! sockets.

mod api;
pub mod auth;
mod backfill;
mod budget;
mod error;
mod follow;
mod identity;
mod lease;
mod line_reader;
mod list;
pub mod permissions;
mod plan;
mod proof;
pub mod rbac;
mod retry;
mod revision_check;
mod status;
mod unserved;
mod watch;
mod wire;

use std::time::Duration;

use tokio::sync::{Mutex, RwLock, mpsc, oneshot};

use klaxon_config as config;
use klaxon_model::{SourceEvent, Timestamp};

pub use api::ApiError;
use budget::{Budget, Share};
pub use error::describe;
pub use identity::{cluster_uid, permission as identity_permission};
pub use lease::{Lease, LeaseRecord, LeaseStatus};
pub use plan::{Served, WatchPlan, discover, find, plan};
pub use status::{WatchState, WatchStatus};
pub use watch::{Resume, start};

/// The capacity of the channel to the pipeline, in items.
pub const ITEMS: usize = 1024;

/// A message from a watch to the pipeline.
#[derive(Debug)]
pub struct Item {
    /// The watch's index among the plans.
    pub watch: usize,
    /// The time at which the item was sent.
    pub at: Timestamp,
    /// The time up to which no change is missing, this item included.
    pub since: Timestamp,
    /// The message.
    pub message: WatchMessage,
    /// Its share of the bytes that may be queued for the pipeline, released when the item is dropped.
    pub share: Share,
}

/// A message of a watch to the pipeline.
#[derive(Debug)]
pub enum WatchMessage {
    /// An event for the rules.
    Event {
        /// The event.
        event: SourceEvent,
        /// The version from which the watch continues after it. `None` leaves the version unchanged.
        version: Option<String>,
    },
    /// The list for rules that are new is complete, at a version. They know everything that exists once the watch
    /// has come past it.
    BackfillListed(String),
    /// A question that the watch waits to have answered.
    Question(Question),
}

/// A question of a watch about the objects that the pipeline knows.
#[derive(Debug)]
pub enum Question {
    /// Asks whether any object of a kind is known that is not served now. If so, it is not taken as deleted yet,
    /// and timers are suspended.
    IsAnyKnown {
        /// Receives `true` if such an object is known.
        reply: oneshot::Sender<bool>,
    },
    /// Asks for a check that a list of all versions belongs to the known revision epoch.
    IsSameEpoch {
        /// The version from which the watch would continue.
        cursor: u64,
        /// Uid and version of every object that exists.
        listed: Vec<(String, String)>,
        /// Receives `true` if a known object was not listed, or the first contradiction.
        reply: oneshot::Sender<Result<bool, String>>,
    },
    /// Asks, after the watch has come past that list, for an object that it did not have and that is still known.
    Undeleted {
        /// Receives its uid.
        reply: oneshot::Sender<Option<String>>,
    },
}

/// The time limits and sizes of a watch's requests.
#[derive(Debug, Clone)]
pub struct Timing {
    /// The time after which the server ends a watch, and the watch is renewed.
    pub watch: Duration,
    /// The time without data after which a watch counts as broken.
    pub stall: Duration,
    /// The interval between two requests for the newest version. They prove up to which time a watch is complete, and
    /// that the server of a silent watch is alive.
    pub probe: Duration,
    /// The time limit for an answer to begin, and for each of its next parts.
    pub answer: Duration,
    /// The first wait after a failure, and the longest.
    pub waits: (Duration, Duration),
    /// The interval at which a kind that is not served is looked up again.
    pub poll: Duration,
    /// The maximum number of objects of a page.
    pub page: usize,
    /// The maximum size of a page, in bytes; pages of large objects have fewer objects.
    pub page_bytes: usize,
    /// The maximum number of bytes of objects that are queued for the pipeline.
    pub queue_bytes: usize,
    /// The interval between two renewals of the Lease.
    pub lease: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            watch: Duration::from_secs(280),
            stall: Duration::from_secs(300),
            probe: Duration::from_secs(60),
            answer: Duration::from_secs(60),
            waits: (Duration::from_millis(500), Duration::from_secs(30)),
            poll: Duration::from_secs(10),
            page: 500,
            page_bytes: 32 << 20,
            queue_bytes: 64 << 20,
            lease: Duration::from_secs(10),
        }
    }
}

/// Makes a new client after the credentials of the old one were rejected.
pub type Renew = Box<
    dyn Fn() -> std::pin::Pin<Box<dyn Future<Output = Result<kube::Client, String>> + Send>>
        + Send
        + Sync,
>;

/// The connection to the cluster that all watches share.
pub struct Cluster {
    client: RwLock<(u64, kube::Client)>,
    renew: Renew,
    renewing: Mutex<()>,
    /// The time limits and sizes of the watches' requests.
    pub timing: Timing,
    /// The time for which the server stores Kubernetes Events.
    pub event_ttl: Duration,
    /// The time for which a kind must not be served before its objects count as deleted.
    pub unserved_grace: Duration,
    /// The bytes that may be queued for the pipeline.
    budget: Budget,
}

impl Cluster {
    /// Creates the shared connection from an authenticated client.
    pub fn new(
        client: kube::Client,
        renew: Renew,
        timing: Timing,
        settings: &config::Kubernetes,
    ) -> Self {
        Self {
            client: RwLock::new((0, client)),
            renew,
            renewing: Mutex::new(()),
            budget: Budget::new(timing.queue_bytes),
            timing,
            event_ttl: settings.event_ttl,
            unserved_grace: settings.unserved_grace,
        }
    }

    /// Returns the client and its number, which grows when the credentials are renewed.
    pub async fn client(&self) -> (u64, kube::Client) {
        self.client.read().await.clone()
    }

    /// Replaces the client with this number, whose credentials were rejected, unless another watch did so already.
    ///
    /// # Errors
    /// Returns the reason for which no new client can be made.
    pub async fn renew(&self, number: u64) -> Result<(), String> {
        let _alone = self.renewing.lock().await;
        if self.client.read().await.0 != number {
            return Ok(());
        }
        let client = (self.renew)().await?;
        *self.client.write().await = (number + 1, client);
        Ok(())
    }
}

/// The pipeline no longer receives items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

/// Sends a watch's items.
#[derive(Clone)]
pub(crate) struct Out {
    watch: usize,
    items: mpsc::Sender<Item>,
    budget: Budget,
}

impl Out {
    pub(crate) async fn send(&self, message: WatchMessage, since: Timestamp) -> Result<(), Closed> {
        let at = klaxon_model::clock::now();
        let share = self.budget.take(message.bytes()).await;
        let item = Item { watch: self.watch, at, since, message, share };
        self.items.send(item).await.map_err(|_| Closed)
    }
}

impl WatchMessage {
    /// Returns a message with an event that does not change the watch's version.
    pub(crate) fn of(event: SourceEvent) -> Self {
        Self::Event { event, version: None }
    }

    /// Returns about as many bytes as it takes in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Event { event, .. } => event.bytes(),
            Self::Question(Question::IsSameEpoch { listed, .. }) => {
                listed.iter().map(|(uid, version)| uid.len() + version.len() + 48).sum()
            }
            Self::BackfillListed(_)
            | Self::Question(Question::IsAnyKnown { .. } | Question::Undeleted { .. }) => 0,
        }
    }
}
