//! The Akkeris app of an object, and the parts of a payload that crash and release reports share.

use std::collections::BTreeMap;

use klaxon_sdk::Event;

/// Label of all objects of Akkeris.
pub(crate) const APP_NAME: &str = "akkeris.io/app-name";
const DYNO_TYPE: &str = "akkeris.io/dyno-type";

/// An object of texts in a payload.
pub(crate) type Texts<'a> = BTreeMap<&'static str, &'a str>;

/// The app of an event's object.
pub(crate) struct App<'a> {
    name: &'a str,
    space: &'a str,
    /// Dyno type in the object's label; the only one in a release's payload.
    pub(crate) labelled_type: Option<&'a str>,
    /// Dyno type of a pod; has a default.
    pub(crate) dyno_type: &'a str,
}

impl<'a> App<'a> {
    /// Returns `None` if the object has no app label or no name. An empty label counts as absent.
    pub(crate) fn of(event: &'a Event) -> Option<Self> {
        let object = &event.object;
        let name = label(event, APP_NAME).filter(|_| !object.name.is_empty())?;
        let labelled_type = label(event, DYNO_TYPE);
        let dyno_type = labelled_type
            .or_else(|| object.name.split_once("--").map(|(_, rest)| rest))
            .unwrap_or("web");
        Some(Self { name, space: &object.namespace, labelled_type, dyno_type })
    }

    /// Returns the text that identifies the app to receivers.
    pub(crate) fn key(&self) -> String {
        format!("{}-{}", self.name, self.space)
    }

    /// Returns the app and its space, as they are in payloads.
    pub(crate) fn names(&self) -> [Texts<'a>; 2] {
        [self.name, self.space].map(|name| Texts::from([("name", name)]))
    }
}

/// Returns a label's value, unless it is empty.
pub(crate) fn label<'a>(event: &'a Event, key: &str) -> Option<&'a str> {
    event.label(key).filter(|value| !value.is_empty())
}
