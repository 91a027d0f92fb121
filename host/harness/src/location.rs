//! Location, in its stream, of the event behind a verdict.

use std::collections::HashMap;

use serde::Deserialize;

use klaxon_model::{Change, Event, Identity, Meta, SourceEvent};
use klaxon_recording::{Merged, StreamFile};

/// File and line of each version of each object.
pub(super) struct Locations {
    lines: HashMap<(String, String), (String, u64)>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Header {
    kind: String,
    metadata: HeaderMeta,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct HeaderMeta {
    namespace: String,
    name: String,
    uid: String,
    resource_version: String,
}

impl Locations {
    /// Reads the streams again; reading errors were reported before.
    pub(super) fn of(streams: &[StreamFile]) -> Self {
        let mut lines = HashMap::new();
        let Ok(mut merged) = Merged::open(streams) else { return Self { lines } };
        while let Ok(Some((stream, record))) = merged.next_record() {
            let SourceEvent::Object { json, .. } = &record.event else { continue };
            let Ok(Header { kind, metadata }) = serde_json::from_str::<Header>(json) else {
                continue;
            };
            let HeaderMeta { namespace, name, uid, resource_version } = metadata;
            let identity = Identity { kind, namespace, name, uid, ..Identity::default() };
            let file = merged.path(stream).file_name();
            let file = file.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let version = (identity.unique().into_owned(), resource_version);
            lines.entry(version).or_insert((file, record.line));
        }
        Self { lines }
    }

    /// Describes an event: the change, the object, the time and the location.
    pub(super) fn describe(&self, event: &Event) -> String {
        let Meta { identity, resource_version, .. } = &event.object.meta;
        let mut text = match (&event.change, &event.timer) {
            (Change::Timer, Some(timer)) => format!("timer {:?} of", timer.key),
            (change, _) => change.as_str().to_owned(),
        };
        text.push_str(&format!(" {}", identity.kind));
        let namespace = Some(&identity.namespace).filter(|namespace| !namespace.is_empty());
        for part in namespace.into_iter().chain([&identity.name]) {
            text.push_str(if text.ends_with(&identity.kind) { " " } else { "/" });
            text.push_str(part);
        }
        text.push_str(&format!(" at {}", event.time));
        let version = (identity.unique().into_owned(), resource_version.clone());
        if let Some((file, line)) = self.lines.get(&version) {
            text.push_str(&format!(" ({file}:{line})"));
        }
        if event.gap {
            text.push_str(", found after a gap");
        }
        text
    }
}
