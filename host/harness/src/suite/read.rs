//! Conversion of a test file to a checked suite.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::file::{
    CaseFile, Entry, Expect, ExpectWord, Fuel, OneOrMore, Percent, SuiteFile, schema,
};
use super::{All, Case, CaseLimits, Expectation, Suite};
use crate::expect::Expected;
use crate::rule::Input;
use klaxon_model::Timestamp;
use klaxon_recording::{self as recording, StreamFile};
use klaxon_yaml::{Document, FileErrors, Found, against_schema, escape, nearest};

type State = BTreeMap<String, BTreeMap<String, Value>>;

pub(super) fn read(path: &Path) -> Result<Suite, FileErrors> {
    let document = Document::read(path)?;
    let mut found = against_schema(&schema(), &document.value);
    let file: Option<SuiteFile> = if found.is_empty() {
        serde_path_to_error::deserialize(&document.value)
            .map_err(|error| found.push((pointer(error.path()), error.inner().to_string())))
            .ok()
    } else {
        None
    };
    let suite =
        file.map(|file| Reader { path, document: &document, found: Vec::new() }.suite(file));
    let suite = suite.map(|(suite, more)| {
        found.extend(more);
        suite
    });
    match (document.errors(path, found), suite) {
        (None, Some(suite)) => Ok(suite),
        (Some(errors), _) => Err(errors),
        (None, None) => Err(FileErrors { file: path.to_owned(), errors: Vec::new() }),
    }
}

/// Types of lines in a stream.
const TYPES: [&str; 6] = ["ADDED", "MODIFIED", "DELETED", "SNAPSHOT", "BOOKMARK", "ERROR"];

/// Converts serde's path to a JSON Pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let segments = path.iter().map(|segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", escape(key)),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    });
    segments.collect()
}

struct Reader<'a> {
    path: &'a Path,
    document: &'a Document,
    found: Found,
}

impl Reader<'_> {
    fn say(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.found.push((pointer.into(), message.into()));
    }

    fn base(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn suite(mut self, file: SuiteFile) -> (Suite, Found) {
        if file.tests.is_empty() {
            self.say("/tests", "there is no test; hint: add one");
        }
        let mut slugs = BTreeSet::new();
        for (place, case) in file.tests.iter().enumerate() {
            // Snapshots are named after their tests.
            if !slugs.insert(slug(&case.name)) {
                self.say(
                    format!("/tests/{place}/name"),
                    "another test is called so; hint: give each its own name",
                );
            }
        }
        let coverage = file.coverage.as_ref().and_then(|share| self.percent(share));
        let cases = file.tests.into_iter().enumerate();
        let cases = cases.map(|(place, case)| self.case(place, case, &file.state)).collect();
        let suite = Suite {
            rule: self.base().join(&file.rule),
            settings: Value::Object(file.settings),
            cases,
            partitions: file.state.into_keys().collect(),
            coverage,
        };
        (suite, self.found)
    }

    fn percent(&mut self, share: &Percent) -> Option<u8> {
        let number = match share {
            Percent::Number(number) => Some(*number),
            Percent::Text(text) => text.trim_end_matches('%').parse().ok(),
        };
        let number = number.filter(|number| *number <= 100);
        if number.is_none() {
            self.say("/coverage", "this is no share; hint: write one such as 100%");
        }
        number
    }

    fn case(&mut self, place: usize, case: CaseFile, state: &State) -> Case {
        let pointer = format!("/tests/{place}");
        let expectation = self.expectation(&pointer, &case);
        let snapshot_until = case
            .snapshot_until
            .as_ref()
            .and_then(|text| self.time(&format!("{pointer}/snapshot_until"), text));
        let advance = case.advance.map_or(0, |span| span.0.as_millis());
        let input = Input {
            streams: self.streams(&pointer, &case, snapshot_until),
            advance_ms: i64::try_from(advance).unwrap_or(i64::MAX),
            state: flat(case.state.as_ref().unwrap_or(state)),
        };
        if case
            .limits
            .as_ref()
            .is_some_and(|limits| limits.fuel.is_none() && limits.memory.is_none())
        {
            self.say(
                format!("{pointer}/limits"),
                "this limits nothing; hint: write fuel or memory",
            );
        }
        let limits = case.limits.unwrap_or_default();
        let limits = CaseLimits {
            fuel: limits.fuel.as_ref().and_then(|fuel| self.fuel(&pointer, fuel)),
            memory: limits.memory.map(|size| size.0),
        };
        Case {
            line: self.document.line(&pointer),
            has_own_state: case.state.is_some(),
            name: case.name,
            settings: case.settings.map(Value::Object),
            input,
            expectation,
            limits,
        }
    }

    fn fuel(&mut self, pointer: &str, fuel: &Fuel) -> Option<u64> {
        match fuel {
            Fuel::Number(number) => Some(*number),
            Fuel::Text(text) => {
                let number = text.replace('_', "").parse().ok();
                if number.is_none() {
                    self.say(format!("{pointer}/limits/fuel"), "this is no number");
                }
                number
            }
        }
    }

    fn time(&mut self, pointer: &str, text: &str) -> Option<Timestamp> {
        let time = text.parse().ok();
        if time.is_none() {
            self.say(
                pointer,
                "this is no time; hint: write RFC 3339, such as 2026-11-20T10:00:00Z",
            );
        }
        time
    }

    fn streams(
        &mut self,
        pointer: &str,
        case: &CaseFile,
        snapshot_until: Option<Timestamp>,
    ) -> Vec<StreamFile> {
        let paths = match (&case.stream, &case.events) {
            (Some(OneOrMore::One(path)), None) => std::slice::from_ref(path),
            (Some(OneOrMore::More(paths)), None) => paths.as_slice(),
            (None, Some(events)) => {
                self.types(pointer, events);
                let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
                return vec![StreamFile {
                    path: PathBuf::from("events"),
                    snapshot_until,
                    text: Some(Arc::from(lines.into_bytes())),
                }];
            }
            _ => {
                self.say(pointer, "a test has either a stream or events; hint: write one of both");
                return Vec::new();
            }
        };
        let pointer = format!("{pointer}/stream");
        if paths.is_empty() {
            self.say(&pointer, "there is no stream; hint: name one");
        }
        let files = recording::expand(paths, self.base()).unwrap_or_else(|error| {
            self.say(&pointer, error.to_string());
            Vec::new()
        });
        for file in files.iter().filter(|file| !file.is_file()) {
            let message = format!("there is no file {}; hint: check the path", file.display());
            self.say(&pointer, message);
        }
        let stream = |path| StreamFile { snapshot_until, ..StreamFile::at(path) };
        files.into_iter().map(stream).collect()
    }

    /// Rejects events of other types. A recording may contain such lines, for example a recorder's marks, but
    /// in events written by hand, which would be skipped, such a type is a mistake.
    fn types(&mut self, pointer: &str, events: &[Value]) {
        for (place, event) in events.iter().enumerate() {
            let kind = event.get("type").and_then(Value::as_str);
            if let Some(kind) =
                kind.filter(|kind| event.get("object").is_some() && !TYPES.contains(kind))
            {
                let hint = nearest(kind, &TYPES);
                self.say(
                    format!("{pointer}/events/{place}/type"),
                    format!("{kind:?} is no type of a watch event; {hint}"),
                );
            }
        }
    }

    fn expectation(&mut self, pointer: &str, case: &CaseFile) -> Expectation {
        if case.expect.is_none() && case.expect_any.is_none() && case.count.is_none() {
            self.say(
                pointer,
                "the test expects nothing, so it cannot fail; hint: add expect, expect_any or count",
            );
        }
        let all = case.expect.as_ref().map(|expect| match expect {
            Expect::Word(ExpectWord::None) => All::Listed(Vec::new()),
            Expect::Word(ExpectWord::Snapshot) => All::Snapshot(self.snapshot(&case.name)),
            Expect::List(entries) => {
                All::Listed(self.entries(&format!("{pointer}/expect"), entries))
            }
        });
        let any = case.expect_any.as_ref();
        let any = any.map(|entries| self.entries(&format!("{pointer}/expect_any"), entries));
        if any.as_ref().is_some_and(Vec::is_empty) {
            self.say(
                format!("{pointer}/expect_any"),
                "an empty list cannot fail; hint: name a verdict, or write `expect: none`",
            );
        }
        if case.count.as_ref().is_some_and(BTreeMap::is_empty) {
            self.say(format!("{pointer}/count"), "this counts nothing; hint: name a code");
        }
        Expectation { all, any, count: case.count.clone() }
    }

    fn entries(&mut self, pointer: &str, entries: &[Entry]) -> Vec<Expected> {
        let mut expected = Vec::new();
        for (place, entry) in entries.iter().enumerate() {
            match Expected::from_file(entry) {
                Ok(entry) => expected.push(entry),
                Err((field, why)) => self.say(format!("{pointer}/{place}/{}", escape(field)), why),
            }
        }
        expected
    }

    fn snapshot(&self, case: &str) -> PathBuf {
        let name = format!("{}__{}.snap", Suite::stem(self.path), slug(case));
        self.base().join("snapshots").join(name)
    }
}

/// Converts a name to a part of a file's name.
fn slug(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_").to_lowercase()
}

/// Flattens state: a string stays as it is, other values become JSON, as `put` and `put_json` of an SDK store
/// them.
fn flat(state: &State) -> Vec<(String, String, String)> {
    let entries = state
        .iter()
        .flat_map(|(partition, keys)| keys.iter().map(move |(key, value)| (partition, key, value)));
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    entries.map(|(partition, key, value)| (partition.clone(), key.clone(), text(value))).collect()
}
