//! A queue for each target: several deliveries at once, but those of one rule and key in order, each
//! retried for as long as the target says.

mod retry;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{error, warn};

use crate::model::clock::Stopwatch;
use crate::targets::{Attempt, Delivery, Sender};

pub use retry::Backoff;

/// Deliveries that wait in a target's queue, beyond those under way.
pub const QUEUE: usize = 256;

/// What a target's queue did, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Delivered {
    /// Deliveries that the receiver has.
    pub sent: u64,
    /// Attempts that failed and were tried again.
    pub retried: u64,
    /// Deliveries that were given up.
    pub dead: u64,
}

/// Delivers what comes through the queue until it is closed and empty.
pub async fn run(name: String, sender: Sender, mut queue: mpsc::Receiver<Delivery>) -> Delivered {
    let sender = Arc::new(sender);
    let mut waiting: VecDeque<Delivery> = VecDeque::new();
    let mut under_way: JoinSet<(Delivery, Delivered)> = JoinSet::new();
    let mut busy: HashSet<(String, String)> = HashSet::new();
    let mut total = Delivered::default();
    let mut open = true;
    loop {
        while under_way.len() < sender.concurrency()
            && let Some(at) = waiting.iter().position(|next| !busy.contains(&next.order))
            && let Some(delivery) = waiting.remove(at)
        {
            busy.insert(delivery.order.clone());
            under_way.spawn(deliver(sender.clone(), delivery));
        }
        if !open && waiting.is_empty() && under_way.is_empty() {
            return total;
        }
        tokio::select! {
            next = queue.recv(), if open && waiting.len() < QUEUE => match next {
                Some(delivery) => waiting.push_back(delivery),
                None => open = false,
            },
            Some(done) = under_way.join_next() => match done {
                Ok((delivery, counted)) => {
                    busy.remove(&delivery.order);
                    total.sent += counted.sent;
                    total.retried += counted.retried;
                    total.dead += counted.dead;
                }
                // A delivery's task does not panic; if one did, its key must not stay blocked.
                Err(fault) => {
                    error!(target = name, %fault, "a delivery ended without an outcome");
                    busy.clear();
                    total.dead += 1;
                }
            },
        }
    }
}

/// Tries a delivery until the receiver has it or its time is over.
async fn deliver(sender: Arc<Sender>, delivery: Delivery) -> (Delivery, Delivered) {
    let began = Stopwatch::start();
    let mut backoff = Backoff::default();
    let mut counted = Delivered::default();
    loop {
        let (why, after) = match sender.send(&delivery).await {
            Attempt::Delivered => {
                counted.sent += 1;
                return (delivery, counted);
            }
            Attempt::Retry { why, after } => (why, after),
            Attempt::Refused { why } => {
                give_up(&delivery, &why, &mut counted);
                return (delivery, counted);
            }
        };
        let wait = backoff.next(after);
        if began.elapsed().saturating_add(wait) > sender.retry_for() {
            give_up(&delivery, &why, &mut counted);
            return (delivery, counted);
        }
        warn!(
            id = %delivery.id, target = delivery.target, code = delivery.code, why,
            wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            "delivery failed and will be tried again"
        );
        counted.retried += 1;
        tokio::time::sleep(wait).await;
    }
}

fn give_up(delivery: &Delivery, why: &str, counted: &mut Delivered) {
    counted.dead += 1;
    error!(
        id = %delivery.id, target = delivery.target, code = delivery.code, why,
        "delivery given up: it is a dead letter now"
    );
}
