//! A cluster as a source: an own loop over lists and watches, on raw JSON, for a ready-made one cannot
//! go on from a saved version, nor say what was missed.
//!
//! One task keeps one watch ([`watch`]); all send what they see to the pipeline through one channel,
//! bounded by items and by bytes, so that a pipeline that is behind makes them stop reading, up to the
//! socket.

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

use crate::config;
use crate::model::{SourceEvent, Timestamp};

pub use api::ApiError;
use budget::{Budget, Share};
pub use error::describe;
pub use identity::{cluster_uid, right as identity_right};
pub use lease::{Held, Lease, LeaseStatus};
pub use plan::{Served, WatchPlan, discover, find, plan};
pub use status::{WatchState, WatchStatus};
pub use watch::{Resume, start};

/// Items that wait for the pipeline.
pub const ITEMS: usize = 1024;

/// What a watch tells the pipeline.
#[derive(Debug)]
pub struct Item {
    /// The watch's place among the plans.
    pub watch: usize,
    /// When it came.
    pub at: Timestamp,
    /// Up to when it is certain that nothing is missing, with what comes here.
    pub since: Timestamp,
    /// The message.
    pub message: WatchMessage,
    /// Its share of the bytes that may wait for the pipeline; given back when the item is dropped.
    pub share: Share,
}

/// A message of a watch to the pipeline.
#[derive(Debug)]
pub enum WatchMessage {
    /// An event for the rules.
    Event {
        /// The event.
        event: SourceEvent,
        /// The version from which the watch goes on after it. `None` leaves the version that is known.
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
        /// Receives `true` if one is.
        reply: oneshot::Sender<bool>,
    },
    /// Asks whether a list of all versions belongs to the revision epoch that is known.
    IsSameEpoch {
        /// The version from which the watch would go on.
        cursor: u64,
        /// Uid and version of every object that exists.
        listed: Vec<(String, String)>,
        /// Receives whether a known object was not listed, or the first contradiction.
        reply: oneshot::Sender<Result<bool, String>>,
    },
    /// Asks, after the watch has come past that list, for an object that it did not have and that is still known.
    Undeleted {
        /// Receives its uid.
        reply: oneshot::Sender<Option<String>>,
    },
}

/// How patient a watch is.
#[derive(Debug, Clone)]
pub struct Timing {
    /// How long the server keeps a watch open before it is renewed.
    pub watch: Duration,
    /// A watch that says nothing for so long is broken.
    pub stall: Duration,
    /// The pause between two requests for the newest version, which prove up to when a watch is
    /// complete, and that a server whose watch is silent is there.
    pub probe: Duration,
    /// The time limit for an answer to begin, and to go on.
    pub answer: Duration,
    /// The first wait after a failure, and the longest.
    pub waits: (Duration, Duration),
    /// How often it is looked whether a kind is served by now.
    pub poll: Duration,
    /// Objects of a page, at most.
    pub page: usize,
    /// Bytes of a page, at most: where objects are large a page has fewer.
    pub page_bytes: usize,
    /// Bytes of objects that may wait for the pipeline.
    pub queue_bytes: usize,
    /// The pause between two renewals of the Lease.
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

/// Makes a fresh client when the old one is not accepted any longer.
pub type Renew = Box<
    dyn Fn() -> std::pin::Pin<Box<dyn Future<Output = Result<kube::Client, String>> + Send>>
        + Send
        + Sync,
>;

/// The cluster, as all watches share it.
pub struct Cluster {
    client: RwLock<(u64, kube::Client)>,
    renew: Renew,
    renewing: Mutex<()>,
    /// How patient its watches are.
    pub timing: Timing,
    /// How long the server keeps Kubernetes Events.
    pub event_ttl: Duration,
    /// The time for which a kind must not have been served before its objects are taken as deleted.
    pub unserved_grace: Duration,
    /// Bytes that may wait for the pipeline.
    budget: Budget,
}

impl Cluster {
    /// A cluster that is signed in to.
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

    /// The client, and its number: it grows when credentials are renewed.
    pub async fn client(&self) -> (u64, kube::Client) {
        self.client.read().await.clone()
    }

    /// The client of this number is not accepted: makes a new one, unless somebody did already.
    ///
    /// # Errors
    /// Why there is none.
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

/// The pipeline does not listen any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed;

/// Sends a watch's items.
#[derive(Clone)]
pub(super) struct Out {
    watch: usize,
    items: mpsc::Sender<Item>,
    budget: Budget,
}

impl Out {
    pub(super) async fn send(&self, message: WatchMessage, since: Timestamp) -> Result<(), Closed> {
        let at = crate::model::clock::now();
        let share = self.budget.take(message.bytes()).await;
        let item = Item { watch: self.watch, at, since, message, share };
        self.items.send(item).await.map_err(|_| Closed)
    }
}

impl WatchMessage {
    /// An event that does not move the watch.
    pub(super) fn of(event: SourceEvent) -> Self {
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
