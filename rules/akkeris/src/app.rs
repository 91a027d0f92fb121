//! Which app an object belongs to, and the parts of a payload that both kinds of report share.

use klaxon_sdk::Event;
use serde::Serialize;

/// The label that makes an object Akkeris's.
pub(crate) const APP_NAME: &str = "akkeris.io/app-name";
const DYNO_TYPE: &str = "akkeris.io/dyno-type";

/// The app behind an event.
pub(crate) struct App<'a> {
    pub(crate) name: &'a str,
    pub(crate) space: &'a str,
    /// The dyno type that the object's label names; a release passes on this one only.
    pub(crate) labelled_type: Option<&'a str>,
    /// The dyno type of a pod, which has a default.
    pub(crate) dyno_type: &'a str,
}

impl<'a> App<'a> {
    /// Returns `None` where the object has no app label or no name. An empty label counts as absent.
    pub(crate) fn of(event: &'a Event) -> Option<Self> {
        let name = label(event, APP_NAME)?;
        if event.object.name.is_empty() {
            return None;
        }
        let labelled_type = label(event, DYNO_TYPE);
        let dyno_type = labelled_type
            .or_else(|| event.object.name.split_once("--").map(|(_, rest)| rest))
            .unwrap_or("web");
        Some(Self { name, space: &event.object.namespace, labelled_type, dyno_type })
    }

    /// Returns the text by which receivers know the app.
    pub(crate) fn key(&self) -> String {
        format!("{}-{}", self.name, self.space)
    }
}

/// Returns a label's value, unless it is empty.
pub(crate) fn label<'a>(event: &'a Event, key: &str) -> Option<&'a str> {
    event.label(key).filter(|value| !value.is_empty())
}

/// `{"name": …}`, as apps and spaces are written.
#[derive(Serialize)]
pub(crate) struct Named<'a> {
    pub(crate) name: &'a str,
}
