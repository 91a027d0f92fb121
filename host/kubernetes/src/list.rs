//! Lists all existing objects, page by page.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use serde_json::value::RawValue;
use tracing::debug;

use super::api::{self, ApiError, Form};
use super::plan::query;
use super::watch::{Stop, Watch};
use super::wire::{Head, Page, PageMeta};
use super::{Served, WatchMessage};
use klaxon_model::{Seen, SourceEvent};

/// A list in progress.
pub(super) struct Pages<'a> {
    watch: &'a Watch,
    path: String,
    selection: Vec<(&'static str, String)>,
    form: Form,
    token: Option<String>,
    version: String,
    /// The maximum number of objects of the next page.
    limit: usize,
}

impl<'a> Pages<'a> {
    /// Starts a list of the objects that the watch selects, or of all objects of the kind if `is_selected` is
    /// `false`.
    pub(super) fn new(watch: &'a Watch, served: &Served, form: Form, is_selected: bool) -> Self {
        let selection = if is_selected { watch.plan.selection() } else { Vec::new() };
        let path = watch.plan.path(served, None, None);
        let limit = match form {
            Form::Full => watch.page.load(Ordering::Relaxed),
            Form::Metadata => watch.cluster.timing.page,
        };
        let (token, version) = (Some(String::new()), String::new());
        Self { watch, path, selection, form, token, version, limit }
    }

    /// Returns the next page. `None` after the last page. A page that is too large is requested again with fewer
    /// objects.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        let timing = &self.watch.cluster.timing;
        loop {
            let Some(token) = &self.token else { return Ok(None) };
            let mut parameters = self.selection.clone();
            parameters.push(("limit", self.limit.to_string()));
            if !token.is_empty() {
                parameters.push(("continue", token.clone()));
            }
            let (_, client) = self.watch.cluster.client().await;
            let path = query(&self.path, &parameters);
            let got = api::get(&client, &path, self.form, timing.answer, timing.page_bytes).await;
            match got {
                Err(ApiError::TooLarge(why)) if self.limit > 1 => {
                    debug!(watch = %self.watch.plan.name, why, "a page is too large: asking for fewer objects");
                    self.set_limit(self.limit / 4);
                }
                outcome => return outcome.map(Some),
            }
        }
    }

    /// Sets the page size. For full objects, the watch's next list also begins with this size.
    fn set_limit(&mut self, limit: usize) {
        self.limit = limit.clamp(1, self.watch.cluster.timing.page.max(1));
        if self.form == Form::Full {
            self.watch.page.store(self.limit, Ordering::Relaxed);
        }
    }

    /// Adapts the page size to the objects of this page, so that the next page uses a quarter of its permitted bytes.
    fn adapt(&mut self, objects: usize, bytes: usize) {
        if let Some(each) = bytes.checked_div(objects) {
            self.set_limit((self.watch.cluster.timing.page_bytes / 4) / each.max(1));
        }
    }

    /// Parses a page and returns its items.
    pub(super) fn read<'p>(&mut self, page: &'p [u8]) -> Result<Vec<&'p RawValue>, ApiError> {
        let bytes = page.len();
        let page: Page<'p> = serde_json::from_slice(page)
            .map_err(|error| ApiError::Broken(format!("a list cannot be read: {error}")))?;
        self.adapt(page.items.as_ref().map_or(0, Vec::len), bytes);
        let PageMeta { resource_version, r#continue } = page.metadata;
        self.version = resource_version;
        self.token = Some(r#continue).filter(|token| !token.is_empty());
        Ok(page.items.unwrap_or_default())
    }

    /// Returns the version of the last page. The version of an item or of an earlier page is not valid for resuming a
    /// watch.
    pub(super) fn version(self) -> String {
        self.version
    }
}

impl Watch {
    /// Returns the version of a new list, which is at least as new as every write confirmed before the request.
    pub(super) async fn newest_version(&self, served: &Served) -> Result<String, Stop> {
        let path = query(&self.plan.path(served, None, None), &[("limit", "1".to_owned())]);
        let (_, client) = self.cluster.client().await;
        let timing = &self.cluster.timing;
        let got =
            api::get(&client, &path, Form::Metadata, timing.answer, timing.page_bytes).await?;
        let mut pages = Pages::new(self, served, Form::Metadata, false);
        pages.read(&got)?;
        Ok(pages.version())
    }

    /// Lists all objects in pages and returns the list's version.
    pub(super) async fn paged_list(&mut self, served: &Served) -> Result<String, Stop> {
        let mut sent = 0;
        let event = |json| SourceEvent::Object { seen: Seen::Snapshot, json, is_change: false };
        let listed = self.send_pages(served, event, &mut sent).await;
        self.listed += sent;
        listed
    }

    /// Backfills newly added rules with all existing objects, once.
    pub(super) async fn backfill_pages(&self, served: &Served) -> Result<(), Stop> {
        let version = self.send_pages(served, SourceEvent::BackfillObject, &mut 0).await?;
        Ok(self.send(WatchMessage::BackfillListed(version)).await?)
    }

    async fn send_pages(
        &self,
        served: &Served,
        event: fn(Box<str>) -> SourceEvent,
        sent: &mut u64,
    ) -> Result<String, Stop> {
        let mut pages = Pages::new(self, served, self.plan.form(), true);
        while let Some(page) = pages.next().await? {
            for item in pages.read(&page)? {
                *sent += 1;
                self.report(event(self.with_kind(item).into())).await?;
            }
        }
        Ok(pages.version())
    }

    /// Sends the uids of all existing objects, regardless of the selector: a known object among them was not deleted.
    pub(super) async fn report_outside(&self, served: &Served) -> Result<(), Stop> {
        let mut pages = Pages::new(self, served, Form::Metadata, false);
        while let Some(page) = pages.next().await? {
            for item in pages.read(&page)? {
                let uid = Head::of(item).uid().to_owned();
                self.report(SourceEvent::Excluded { uid }).await?;
            }
        }
        Ok(())
    }

    /// Returns the uid and version of every object that the watch selects, and the version of the list.
    pub(super) async fn versions(
        &self,
        served: &Served,
    ) -> Result<(Vec<(String, String)>, String), Stop> {
        let mut listed = Vec::new();
        let mut pages = Pages::new(self, served, Form::Metadata, true);
        while let Some(page) = pages.next().await? {
            for item in pages.read(&page)? {
                let head = Head::of(item);
                let version = head.version().unwrap_or_default().to_owned();
                listed.push((head.uid().to_owned(), version));
            }
        }
        Ok((listed, pages.version()))
    }
}
