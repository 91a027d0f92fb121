//! Handles kinds that the API server does not serve, temporarily or permanently.
//!
//! One lookup proves little: of several API servers behind one address, one may not serve the kind yet or no longer,
//! and an aggregated API is unavailable while its server is. If a CustomResourceDefinition is deleted, the API server
//! first deletes its objects, and the watch reports that. Therefore known objects count as deleted only after a long
//! time.

use std::time::Duration;

use rand::RngExt;
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::plan::served_elsewhere;
use super::watch::{State, Stop, Watch};
use super::{Closed, Question, WatchMessage};
use klaxon_model::clock::{self, Stopwatch};
use klaxon_model::{ListStart, SourceEvent};

/// The number of consecutive lookups in which a kind must be missing before that is believed.
const BELIEVED: u32 = 2;

/// A period in which a kind is not served.
#[derive(Debug)]
pub(super) struct Missing {
    /// The time since the first failed lookup.
    since: Stopwatch,
    looks: u32,
    /// Another version of the group in which the kind is served.
    elsewhere: Option<String>,
    /// The state that was logged last: `true` if the kind is served in another version. `None` if nothing was logged.
    told: Option<bool>,
}

impl Watch {
    /// Handles a kind that is not served, and looks it up again later. Known objects count as deleted only after the
    /// grace period, and never while another version of the group serves the kind.
    pub(super) async fn absent(&mut self, state: State) -> Result<State, Stop> {
        let now = clock::now();
        let missing = self.missing.get_or_insert_with(|| Missing {
            since: Stopwatch::start(),
            looks: 0,
            elsewhere: None,
            told: None,
        });
        missing.looks += 1;
        if !self.is_absent && missing.looks < BELIEVED {
            self.wait(None).await;
            return Ok(state);
        }
        if !self.is_absent {
            if self.is_any_known().await? && self.keeps_waiting().await? {
                self.poll().await;
                return Ok(state);
            }
            self.is_absent = true;
            let before = match state {
                State::Absent | State::List(ListStart::First) => None,
                _ => Some(self.gap("the kind is not served any longer".to_owned(), false)),
            };
            // Of a kind that does not exist, all objects are known.
            self.known_at = Some(self.complete_at().unwrap_or(0));
            self.cursor.clear();
            if before.is_some() {
                warn!(watch = %self.plan.name, "the kind is not served any longer: its objects are taken as deleted");
            } else {
                info!(watch = %self.plan.name, "the kind is not served: waiting for it");
            }
            self.backfilling = None;
            let coverage = self.plan.coverage();
            self.report(SourceEvent::NotServed { start: before, coverage }).await?;
            self.status.set(|state| {
                state.doing = "not served";
                state.in_sync = true;
                state.error = None;
                state.cursor = None;
            });
        }
        self.poll().await;
        match self.known_at {
            // The kind never existed, up to the time of this lookup.
            None | Some(0) => self.certain_until(now),
            // Another API server may serve the kind meanwhile, with changes that are not seen.
            Some(_) => self.progressed(),
        }
        Ok(State::Absent)
    }

    async fn poll(&self) {
        let poll = self.cluster.timing.poll.mul_f64(rand::rng().random_range(0.75..=1.0));
        tokio::time::sleep(poll).await;
    }

    /// Asks the pipeline if objects of the kind are known; if so, the pipeline suspends timers.
    async fn is_any_known(&self) -> Result<bool, Stop> {
        let (reply, answer) = oneshot::channel();
        self.send(WatchMessage::Question(Question::IsAnyKnown { reply })).await?;
        Ok(answer.await.map_err(|_| Closed)?)
    }

    /// Returns `true` if it is too early to count the known objects as deleted. If so, logs and reports the reason.
    async fn keeps_waiting(&mut self) -> Result<bool, Stop> {
        let grace = self.cluster.unserved_grace;
        let Some(missing) = &mut self.missing else { return Ok(true) };
        let left = grace.saturating_sub(missing.since.elapsed());
        if left == Duration::ZERO || missing.elsewhere.is_some() {
            let (_, client) = self.cluster.client().await;
            let within = self.cluster.timing.answer;
            missing.elsewhere = served_elsewhere(&client, &self.plan.need, within).await?;
            if missing.elsewhere.is_none() && left == Duration::ZERO {
                return Ok(false);
            }
        }
        let wanted = format!("{} {}", self.plan.need.api_version, self.plan.need.kind);
        let why = match &missing.elsewhere {
            Some(version) => format!(
                "{wanted} is not served any longer, and {version} is: its objects are not followed; hint: use a rule that asks for {version}"
            ),
            None => format!(
                "{wanted} is not served: its objects are taken as deleted unless it is served again within {} s (unserved_grace)",
                left.as_secs()
            ),
        };
        let tells = Some(missing.elsewhere.is_some());
        if missing.told != tells {
            missing.told = tells;
            warn!(watch = %self.plan.name, why, "kind not served");
        }
        self.status.set(|state| {
            state.doing = "not served";
            state.in_sync = false;
            state.error = Some(why);
        });
        Ok(true)
    }
}
