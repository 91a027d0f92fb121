//! An expected verdict and its comparison with emitted ones.

use std::fmt;

use serde_json::Value;

use super::suite::{Entry, ObjectEntry, ObjectParts, SeverityEntry, StatusEntry};
use klaxon_model::{Identity, Severity, Status, Timestamp, Verdict};

/// An expected verdict: the fields that it names are compared, others may have any value.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    code: String,
    fields: Vec<Field>,
}

/// A field that an expected verdict fixes.
#[derive(Debug, Clone)]
enum Field {
    Object(ObjectParts),
    Key(String),
    Status(Status),
    Severity(Severity),
    Title(String),
    Time(Timestamp),
    Payload(Value),
    Targets(Vec<String>),
    Gap(bool),
    Delta(u32),
}

/// The first field in which a verdict differs from the expected one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mismatch {
    /// The field, such as `payload.action`.
    pub(super) field: String,
    /// The expected value, as JSON.
    pub(super) expected: String,
    /// The emitted value, as JSON; empty if there is none.
    pub(super) said: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = if self.said.is_empty() { "nothing" } else { &self.said };
        write!(f, "{}: expected {}, said {said}", self.field, self.expected)
    }
}

impl Expected {
    /// Reads an entry of a test file.
    ///
    /// # Errors
    /// The field that cannot be parsed, and the reason.
    pub(super) fn from_file(entry: &Entry) -> Result<Self, (&'static str, String)> {
        let mut fields = Vec::new();
        let mut add = |field: Option<Field>| fields.extend(field);
        add(entry.object.as_ref().map(object).transpose()?.map(Field::Object));
        add(entry.key.clone().map(Field::Key));
        add(entry.status.map(|status| {
            Field::Status(match status {
                StatusEntry::Firing => Status::Firing,
                StatusEntry::Resolved => Status::Resolved,
            })
        }));
        add(entry.severity.map(|severity| {
            Field::Severity(match severity {
                SeverityEntry::Info => Severity::Info,
                SeverityEntry::Warning => Severity::Warning,
                SeverityEntry::Error => Severity::Error,
                SeverityEntry::Critical => Severity::Critical,
            })
        }));
        add(entry.title.clone().map(Field::Title));
        let no_time = |_| ("time", "this is no time; hint: write RFC 3339".to_owned());
        add(entry.time.as_ref().map(|t| t.parse()).transpose().map_err(no_time)?.map(Field::Time));
        add(entry.payload.clone().map(Field::Payload));
        add(entry.targets.clone().map(Field::Targets));
        add(entry.gap.map(Field::Gap));
        add(entry.delta.map(Field::Delta));
        Ok(Self { code: entry.code.clone(), fields })
    }

    /// Returns the expected code.
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    /// Returns the first field in which a verdict differs; `None` if it is the expected one.
    pub(super) fn mismatch(&self, said: &Verdict) -> Option<Mismatch> {
        if self.code != said.code {
            return Some(differ(
                "code",
                &self.code.as_str().into(),
                Some(&said.code.as_str().into()),
            ));
        }
        self.fields.iter().find_map(|field| field.mismatch(said))
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        for field in &self.fields {
            match field {
                Field::Object(parts) => write!(f, " {parts}")?,
                other => {
                    let (name, value) = other.named();
                    write!(f, " {name}: {value}")?;
                }
            }
        }
        Ok(())
    }
}

impl Field {
    /// Returns the name and the value as in a verdict's JSON.
    fn named(&self) -> (&'static str, Value) {
        match self {
            Self::Object(parts) => ("object", parts.to_string().into()),
            Self::Key(key) => ("key", key.as_str().into()),
            Self::Status(status) => ("status", status.as_str().into()),
            Self::Severity(severity) => ("severity", json(severity)),
            Self::Title(title) => ("title", title.as_str().into()),
            Self::Time(time) => ("time", json(time)),
            Self::Payload(payload) => ("payload", payload.clone()),
            Self::Targets(targets) => ("targets", json(targets)),
            Self::Gap(gap) => ("gap", (*gap).into()),
            Self::Delta(delta) => ("delta", (*delta).into()),
        }
    }

    fn mismatch(&self, said: &Verdict) -> Option<Mismatch> {
        let (name, expected) = self.named();
        let found = match self {
            Self::Object(parts) => return parts.mismatch(&said.object),
            Self::Payload(expected) => {
                let said = serde_json::from_str(said.payload.get()).unwrap_or(Value::Null);
                return payload_mismatch("payload", expected, &said);
            }
            Self::Key(_) => Some(said.key.as_str().into()),
            Self::Status(_) => Some(said.status.as_str().into()),
            Self::Severity(_) => Some(json(&said.severity)),
            Self::Title(_) => Some(said.title.as_str().into()),
            Self::Time(_) => Some(json(&said.time)),
            Self::Targets(_) => Some(json(&said.targets)),
            Self::Gap(_) => Some(said.gap.into()),
            Self::Delta(_) => said.delta.map(Value::from),
        };
        (found.as_ref() != Some(&expected)).then(|| differ(name, &expected, found.as_ref()))
    }
}

fn json<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

fn differ(field: &str, expected: &Value, said: Option<&Value>) -> Mismatch {
    Mismatch {
        field: field.to_owned(),
        expected: expected.to_string(),
        said: said.map_or(String::new(), Value::to_string),
    }
}

/// Compares payloads: expected members must exist and match; lists must have the same length and matching
/// items.
fn payload_mismatch(path: &str, expected: &Value, said: &Value) -> Option<Mismatch> {
    match (expected, said) {
        (Value::Object(members), Value::Object(found)) => {
            members.iter().find_map(|(key, member)| {
                let path = format!("{path}.{key}");
                match found.get(key) {
                    Some(found) => payload_mismatch(&path, member, found),
                    None => Some(differ(&path, member, None)),
                }
            })
        }
        (Value::Array(items), Value::Array(found)) => {
            if items.len() != found.len() {
                return Some(differ(path, expected, Some(said)));
            }
            let pairs = items.iter().zip(found).enumerate();
            pairs.into_iter().find_map(|(place, (item, found))| {
                payload_mismatch(&format!("{path}[{place}]"), item, found)
            })
        }
        // 2 and 2.0 are the same number in JSON; integers are compared exactly.
        (Value::Number(a), Value::Number(b))
            if (a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64() =>
        {
            None
        }
        _ if expected == said => None,
        _ => Some(differ(path, expected, Some(said))),
    }
}

fn object(entry: &ObjectEntry) -> Result<ObjectParts, (&'static str, String)> {
    let short = match entry {
        ObjectEntry::Parts(parts) if parts.to_string().is_empty() => {
            return Err(("object", "this names nothing; hint: write kind/name".to_owned()));
        }
        ObjectEntry::Parts(parts) => return Ok(parts.clone()),
        ObjectEntry::Short(short) => short,
    };
    let some = |text: &str| Some(text.to_owned());
    match short.split('/').collect::<Vec<_>>().as_slice() {
        [kind, name] => {
            Ok(ObjectParts { kind: some(kind), name: some(name), ..ObjectParts::default() })
        }
        [kind, namespace, name] => Ok(ObjectParts {
            kind: some(kind),
            namespace: some(namespace),
            name: some(name),
            ..ObjectParts::default()
        }),
        _ => Err((
            "object",
            "this names no object; hint: write kind/name or kind/namespace/name".to_owned(),
        )),
    }
}

impl ObjectParts {
    fn mismatch(&self, said: &Identity) -> Option<Mismatch> {
        let parts = [
            ("api_version", &self.api_version, &said.api_version),
            ("kind", &self.kind, &said.kind),
            ("namespace", &self.namespace, &said.namespace),
            ("name", &self.name, &said.name),
            ("uid", &self.uid, &said.uid),
        ];
        parts.into_iter().find_map(|(name, expected, said)| {
            let expected = expected.as_ref()?;
            let same = expected == said || name == "kind" && expected.eq_ignore_ascii_case(said);
            let field = format!("object.{name}");
            (!same).then(|| differ(&field, &expected.as_str().into(), Some(&said.as_str().into())))
        })
    }
}

impl fmt::Display for ObjectParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [&self.api_version, &self.kind, &self.namespace, &self.name, &self.uid];
        let known: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
        f.write_str(&known.join("/"))
    }
}
