//! Follows an open watch line by line, until it ends.

use std::time::Duration;

use bytes::Bytes;
use tracing::debug;

use super::api::{self, ApiError};
use super::line_reader::Lines;
use super::watch::{State, Stop, Watch};
use super::wire::{self, Head, Line};
use super::{Served, WatchMessage};
use klaxon_core::route::is_older;
use klaxon_model::clock::{self, Stopwatch};
use klaxon_model::{Seen, SourceEvent};

impl Watch {
    /// Follows changes until the watch ends, at its regular time or earlier. `compared` is the version of a compared
    /// list that the watch has not reached yet.
    pub(super) async fn follow(
        &mut self,
        served: &Served,
        lines: Option<Box<Lines>>,
        mut compared: Option<u64>,
    ) -> Result<State, Stop> {
        let mut lines = match lines {
            Some(lines) => *lines,
            None => {
                let mut parameters = self.watch_parameters();
                parameters.push(("resourceVersion", self.cursor.clone()));
                let lines = self.open(served, &parameters).await?;
                // With a compared list, the watch is in order only once it has passed that list's version.
                if compared.is_none() {
                    self.report(SourceEvent::Connected).await?;
                    self.in_order();
                }
                lines
            }
        };
        self.proof.begin();
        let mut has_begun = false;
        while let Some(bytes) = self.next_line(served, &mut lines).await? {
            // Before the first line the server may not have begun to send what it has, and until the watch has come
            // past the list that was compared it is still sending: that nothing is left to read proves nothing.
            let is_current = has_begun && compared.is_none();
            self.came_to(is_current.then(|| lines.drained_at()));
            has_begun = true;
            self.take(served, &bytes).await?;
            self.backoff.reset();
            self.look_after_backfill().await;
            if let Some(version) = compared
                && self.cursor.parse::<u64>().is_ok_and(|cursor| cursor >= version)
            {
                compared = None;
                self.caught_up().await?;
                self.in_order();
            }
        }
        // A server that ends a watch early is shutting down, and its successor may be another server.
        let time = self.cluster.timing.watch;
        if lines.age() + Duration::from_secs(2).min(time / 4) >= time {
            self.came_to(compared.is_none().then(|| lines.drained_at()));
            self.report(SourceEvent::Progress).await?;
            // Without bookmarks a quiet watch may never pass the version of the compared list: compare again.
            return Ok(if compared.is_some() { State::Resume } else { State::Follow(None, None) });
        }
        Err(ApiError::Broken("the server ended the watch".to_owned()).into())
    }

    /// Returns the next line. While waiting, requests the server's newest version at intervals of `probe`.
    async fn next_line(
        &mut self,
        served: &Served,
        lines: &mut Lines,
    ) -> Result<Option<Bytes>, Stop> {
        let (probe, stall) = (self.cluster.timing.probe, self.cluster.timing.stall);
        let silent = Stopwatch::start();
        loop {
            let due = self.proof.due_in(probe);
            if due == Duration::ZERO {
                self.ask_for_proof(served).await?;
                continue;
            }
            // `lines` buffers a partial line across this timeout.
            match tokio::time::timeout(due, lines.next(stall)).await {
                Ok(line) => return Ok(line?),
                Err(_) if silent.elapsed() >= stall => {
                    let why = format!("stalled: nothing came for {stall:?}");
                    return Err(ApiError::Broken(why).into());
                }
                Err(_) => {}
            }
        }
    }

    /// Processes one line of a watch.
    pub(super) async fn take(&mut self, served: &Served, bytes: &[u8]) -> Result<(), Stop> {
        let line = parse(bytes)?;
        match line.kind {
            "ADDED" | "MODIFIED" | "DELETED" => {
                let head = Head::of(line.object);
                let version = head.version().map(str::to_owned);
                let (seen, json) = if line.kind == "DELETED" {
                    self.ended(served, &head, line.object).await?
                } else {
                    (Seen::Present, self.with_kind(line.object))
                };
                let is_change = line.kind != "ADDED";
                let event = SourceEvent::Object { seen, json: json.into(), is_change };
                self.send(WatchMessage::Event { event, version: version.clone() }).await?;
                if let Some(version) = version {
                    self.cursor = version;
                }
                let (now, cursor) = (clock::now(), self.cursor.clone());
                self.status.set(|state| {
                    state.events += 1;
                    state.last_event = Some(now);
                    state.cursor = Some(cursor);
                });
            }
            "BOOKMARK" => {
                self.proof.has_bookmarks = true;
                let head = Head::of(line.object);
                // A cache that has fallen behind since may send an older version than it has sent already.
                if let Some(version) =
                    head.version().filter(|version| !is_older(version, &self.cursor))
                {
                    version.clone_into(&mut self.cursor);
                    let version = Some(version.to_owned());
                    let event = SourceEvent::Progress;
                    self.send(WatchMessage::Event { event, version }).await?;
                }
            }
            "ERROR" => return Err(wire::error(line.object).into()),
            other => debug!(watch = %self.plan.name, kind = other, "a line of an unknown kind"),
        }
        Ok(())
    }

    /// Classifies a DELETED event. An object that a selector no longer selects looks deleted too, so the API server
    /// is asked for the object.
    pub(super) async fn ended(
        &self,
        served: &Served,
        head: &Head,
        object: &serde_json::value::RawValue,
    ) -> Result<(Seen, String), Stop> {
        let name = head.metadata.name.as_deref();
        // The end of a Kubernetes Event has no meaning for rules, so its cause is not looked up.
        if !self.plan.need.selects() || self.plan.is_of_events() || name.is_none() {
            return Ok((Seen::Deleted, self.with_kind(object)));
        }
        let path = self.plan.path(served, head.metadata.namespace.as_deref(), name);
        let (_, client) = self.cluster.client().await;
        let timing = &self.cluster.timing;
        let got =
            api::get(&client, &path, self.plan.form(), timing.answer, timing.page_bytes).await;
        match got {
            Ok(bytes) => {
                let found: &serde_json::value::RawValue = serde_json::from_slice(&bytes)
                    .map_err(|error| ApiError::Broken(format!("{path}: no JSON: {error}")))?;
                if Head::of(found).uid() == head.uid() {
                    return Ok((Seen::Outside, self.with_kind(found)));
                }
                Ok((Seen::Deleted, self.with_kind(object)))
            }
            Err(ApiError::NotServed(_)) => Ok((Seen::Deleted, self.with_kind(object))),
            Err(error) => Err(error.into()),
        }
    }
}

pub(super) fn parse(bytes: &[u8]) -> Result<Line<'_>, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let text = String::from_utf8_lossy(bytes);
        let begin: String = text.chars().take(80).collect();
        ApiError::Broken(format!("a line of the watch cannot be read ({error}): {begin}"))
    })
}
