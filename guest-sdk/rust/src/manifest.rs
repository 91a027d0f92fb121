//! Builder methods of a manifest and its interests.

use crate::{Changes, Code, Duration, Interest, Manifest, Partition, Parts, Schedule};

impl Manifest {
    /// Creates a manifest without codes and interests.
    pub fn new(name: &str, version: &str, description: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            description: description.to_owned(),
            codes: Vec::new(),
            interests: Vec::new(),
            schedules: Vec::new(),
            settings_schema: String::new(),
            capabilities: Vec::new(),
            state_version: 0,
        }
    }

    /// Declares a code of the rule's verdicts.
    pub fn code(mut self, code: Code) -> Self {
        self.codes.push(code.into());
        self
    }

    /// Declares several codes of the rule's verdicts.
    pub fn codes(mut self, codes: impl IntoIterator<Item = Code>) -> Self {
        self.codes.extend(codes.into_iter().map(Into::into));
        self
    }

    /// Declares a kind of object that the rule wants to receive.
    pub fn interest(mut self, interest: Interest) -> Self {
        self.interests.push(interest);
        self
    }

    /// Declares a tick in this interval.
    pub fn schedule(mut self, name: &str, every: Duration) -> Self {
        let every_ms = u32::try_from(every.as_millis()).unwrap_or(u32::MAX);
        self.schedules.push(Schedule { name: name.to_owned(), every_ms });
        self
    }

    /// Declares that the rule stores state in this format; increase the number when the format changes.
    pub fn state(mut self, version: u32) -> Self {
        self.capabilities.push("state".to_owned());
        self.state_version = version;
        self
    }

    /// Declares that the rule writes to the log.
    pub fn log(mut self) -> Self {
        self.capabilities.push("log".to_owned());
        self
    }
}

impl Interest {
    /// Creates an interest in every object of a kind, with all changes, no parts, partitioned by object.
    pub fn new(name: &str, api_version: &str, kind: &str) -> Self {
        Self {
            name: name.to_owned(),
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            label_selector: String::new(),
            field_selector: String::new(),
            namespaces: Vec::new(),
            changes: Changes::empty(),
            partition: Partition::ByObject,
            parts: Parts::empty(),
            annotations: Vec::new(),
            fields: Vec::new(),
        }
    }

    /// Selects only objects that match this label selector, as in kubectl's `-l`.
    pub fn label_selector(mut self, selector: &str) -> Self {
        selector.clone_into(&mut self.label_selector);
        self
    }

    /// Selects only objects that match this field selector, as in kubectl's `--field-selector`.
    pub fn field_selector(mut self, selector: &str) -> Self {
        selector.clone_into(&mut self.field_selector);
        self
    }

    /// Selects only these changes.
    pub fn changes(mut self, changes: Changes) -> Self {
        self.changes = changes;
        self
    }

    /// Adds parts to each event; each part makes an event more expensive.
    pub fn parts(mut self, parts: Parts) -> Self {
        self.parts = parts;
        self
    }

    /// Sets the partitioning, which determines the events that share state and are evaluated in order.
    pub fn partition(mut self, partition: Partition) -> Self {
        self.partition = partition;
        self
    }

    /// Adds this annotation to each event.
    pub fn annotation(mut self, name: &str) -> Self {
        self.annotations.push(name.to_owned());
        self
    }

    /// Adds the result of this JSONPath (RFC 9535); its value has the same index in `event.fields`.
    pub fn field(mut self, path: &str) -> Self {
        self.fields.push(path.to_owned());
        self
    }
}
