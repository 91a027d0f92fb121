//! Error handling of a watch: chooses the next state, waits, and reports the interruption.

use std::time::Duration;

use tracing::{info, warn};

use super::Closed;
use super::api::ApiError;
use super::watch::{State, Stop, Watch};
use klaxon_model::{GapEffect, GapStart, ListStart, SourceEvent, Timestamp, clock};

impl Watch {
    /// Returns the next state after an error; waits for the backoff or the time that the server asked for.
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
            // The objects that were sent of the first list are known now, and may be deleted before the next list.
            (Some(ListStart::First), error) if self.listed > 0 => {
                State::List(self.gap(format!("the first list broke off: {error}"), false))
            }
            // The same comparison is repeated from its beginning.
            (Some(ListStart::Compare(start)), _) => {
                // Kubernetes Events that were still stored at the first attempt may have expired since.
                let effect = match start.effect {
                    GapEffect::Marked => GapEffect::Marked,
                    GapEffect::Counted => self.effect(start.from, start.is_other_epoch),
                };
                // A new revision epoch is counted once.
                let is_other_epoch = start.is_other_epoch && !self.list_began;
                State::List(ListStart::Compare(GapStart { effect, is_other_epoch, ..start }))
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
        // Without a version there is nothing to resume.
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

    /// Starts a comparison of a list with the objects that were known when the watch was last in sync.
    pub(super) fn gap(&self, reason: String, is_other_epoch: bool) -> ListStart {
        ListStart::Compare(GapStart {
            from: self.since,
            reason,
            effect: self.effect(self.since, is_other_epoch),
            complete_at: self.complete_at(),
            is_other_epoch,
        })
    }

    /// Chooses the report for a period without a watch. Kubernetes Events outlive a short period and count their
    /// repeats: only those that were deleted before they expired can be missed.
    pub(super) fn effect(&self, from: Timestamp, is_other_epoch: bool) -> GapEffect {
        let blind = clock::now().millis_since(from);
        let ttl = i64::try_from(self.cluster.event_ttl.as_millis()).unwrap_or(i64::MAX);
        let outlives = self.plan.is_of_events() && (0..ttl).contains(&blind);
        if outlives && !is_other_epoch { GapEffect::Counted } else { GapEffect::Marked }
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
