//! What a watch does after something went wrong: where it goes on, when, and what it says of it.

use std::time::Duration;

use tracing::{info, warn};

use super::Closed;
use super::api::ApiError;
use super::watch::{State, Stop, Watch};
use crate::model::{ListStart, SourceEvent, Telling, Timestamp, clock};

impl Watch {
    /// What to do after something went wrong; waits as long as is due.
    pub(super) async fn after(
        &mut self,
        stop: Stop,
        was_listing: Option<ListStart>,
    ) -> Result<State, Closed> {
        self.served = None;
        let error = match stop {
            Stop::Closed => return Err(Closed),
            Stop::OtherHistory(why) => {
                self.note("other_history", &why);
                self.report(SourceEvent::Disconnected).await?;
                self.wait(None).await;
                self.list_began = false;
                return Ok(State::List(self.gap(why, true)));
            }
            Stop::ApiError(error) => error,
        };
        self.note(error.label(), &error.to_string());
        let asked = match &error {
            ApiError::Throttled { after, .. } => *after,
            _ => None,
        };
        if matches!(error, ApiError::Unauthorized(_)) {
            let (number, _) = self.cluster.client().await;
            if let Err(why) = self.cluster.renew(number).await {
                warn!(watch = %self.plan.name, why, "the credentials cannot be renewed");
            }
        }
        if self.is_absent {
            self.wait(asked).await;
            return Ok(State::Absent);
        }
        let next = match (was_listing, error) {
            // What was sent of the first list is known, and may have vanished before the next.
            (Some(ListStart::First), error) if self.listed > 0 => {
                State::List(self.gap(format!("the first list broke off: {error}"), false))
            }
            // The same comparison, from the beginning.
            (
                Some(ListStart::Compare { from, reason, telling, complete_at, is_other_history }),
                _,
            ) => {
                // What outlived the break so far may not have outlived this.
                let telling = match telling {
                    Telling::Gap => Telling::Gap,
                    Telling::Counted => self.telling(from, is_other_history),
                };
                // Another history is counted once.
                let is_other_history = is_other_history && !self.list_began;
                State::List(ListStart::Compare {
                    from,
                    reason,
                    telling,
                    complete_at,
                    is_other_history,
                })
            }
            (Some(ListStart::First), _) => State::List(ListStart::First),
            (None, ApiError::Expired(why)) => {
                self.report(SourceEvent::Disconnected).await?;
                State::List(self.gap(why, false))
            }
            (None, _) => {
                self.report(SourceEvent::Disconnected).await?;
                State::Resume
            }
        };
        self.wait(asked).await;
        self.list_began = false;
        // Without a version there is nothing to go on from.
        if matches!(next, State::Resume) && self.cursor.is_empty() {
            return Ok(State::Absent);
        }
        Ok(next)
    }

    pub(super) async fn wait(&mut self, asked: Option<Duration>) {
        let wait = self.backoff.next(asked);
        self.status.set(|state| state.doing = "waiting");
        tokio::time::sleep(wait).await;
    }

    /// A list that is compared with what was known when the watch was in order last.
    pub(super) fn gap(&self, reason: String, is_other_history: bool) -> ListStart {
        ListStart::Compare {
            from: self.since,
            reason,
            telling: self.telling(self.since, is_other_history),
            complete_at: self.complete_at(),
            is_other_history,
        }
    }

    /// Kubernetes Events outlive a short break, and count their repeats: in it only those are missed
    /// that were deleted before their time.
    pub(super) fn telling(&self, from: Timestamp, is_other_history: bool) -> Telling {
        let blind = clock::now().millis_since(from);
        let ttl = i64::try_from(self.cluster.event_ttl.as_millis()).unwrap_or(i64::MAX);
        let outlives = self.plan.is_of_events() && (0..ttl).contains(&blind);
        if outlives && !is_other_history { Telling::Counted } else { Telling::Gap }
    }

    pub(super) fn note(&self, label: &'static str, why: &str) {
        match label {
            "broken" | "throttled" | "expired" => {
                info!(watch = %self.plan.name, why, "the watch was interrupted");
            }
            _ => warn!(watch = %self.plan.name, why, "the watch was interrupted"),
        }
        self.status.set(|state| {
            *state.restarts.entry(label).or_default() += 1;
            state.in_sync = false;
            state.error = Some(why.to_owned());
        });
    }
}
