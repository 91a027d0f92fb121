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
    pub(crate) dyno_type: &'a str,
}

impl<'a> App<'a> {
    /// None where the object has no app label or no name.
    pub(crate) fn of(event: &'a Event) -> Option<Self> {
        let name = event.label(APP_NAME)?;
        if event.object.name.is_empty() {
            return None;
        }
        let dyno_type = event
            .label(DYNO_TYPE)
            .or_else(|| event.object.name.split_once("--").map(|(_, rest)| rest))
            .unwrap_or("web");
        Some(Self { name, space: &event.object.namespace, dyno_type })
    }

    /// What receivers know the app by.
    pub(crate) fn key(&self) -> String {
        format!("{}-{}", self.name, self.space)
    }
}

/// `{"name": …}`, as apps and spaces are written.
#[derive(Serialize)]
pub(crate) struct Named<'a> {
    pub(crate) name: &'a str,
}
