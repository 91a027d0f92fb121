//! Redaction of every object of every fixture of the project.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;

use super::super::{Keep, Redactor, public};
use super::redactor;

/// Collects the files below a directory, sorted.
fn files(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
    let mut entries: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "jsonl") {
            found.push(path);
        }
    }
}

fn objects() -> Vec<Value> {
    let mut found = Vec::new();
    files(
        &Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../../fixtures"),
        &mut found,
    );
    let texts = found.iter().map(|path| std::fs::read_to_string(path).unwrap());
    let objects: Vec<Value> = texts
        .flat_map(|text| {
            let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            lines.filter_map(|mut line| line.get_mut("object").map(Value::take)).collect::<Vec<_>>()
        })
        .collect();
    assert!(objects.len() > 2000);
    objects
}

/// A redactor that has learnt all fixtures, and each object before and after. Created once, as it takes long.
static PAIRS: LazyLock<(Redactor, Vec<(Value, Value)>)> = LazyLock::new(|| {
    let (mut redactor, objects) = (redactor(), objects());
    for object in &objects {
        redactor.learn(&object.to_string()).unwrap();
    }
    let pairs = objects.into_iter().map(|object| {
        let after = redactor.object(&object.to_string()).unwrap();
        (object, serde_json::from_str(&after).unwrap())
    });
    let pairs = pairs.collect();
    (redactor, pairs)
});

/// Visits every leaf with its path; the user's keys become `?`.
fn leaves(value: &Value, path: &str, visit: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(map) => {
            let key = path.rsplit('.').next().unwrap_or_default();
            let is_users = matches!(key, "labels" | "matchLabels" | "nodeSelector" | "data");
            visit(path, &Value::from(map.len()));
            for (key, value) in map {
                if matches!(key.as_str(), "managedFields" | "annotations" | "selfLink") {
                    continue;
                }
                let key = if is_users { "?" } else { key };
                leaves(value, &format!("{path}.{key}"), visit);
            }
        }
        Value::Array(list) => {
            visit(path, &Value::from(list.len()));
            list.iter().for_each(|value| leaves(value, &format!("{path}[]"), visit));
        }
        leaf => visit(path, leaf),
    }
}

#[test]
fn the_structure_stays() {
    for (before, after) in &PAIRS.1 {
        let paths = |object: &Value| {
            let mut paths: BTreeMap<String, usize> = BTreeMap::new();
            leaves(object, "", &mut |path, _| *paths.entry(path.to_owned()).or_default() += 1);
            paths
        };
        assert_eq!(paths(before), paths(after));
    }
}

#[test]
fn what_rules_decide_on_is_untouched() {
    let fields =
        ["reason", "phase", "exitCode", "resourceVersion", "restartCount", "count", "kind"];
    let times = ["Timestamp", "Time", "startedAt", "finishedAt", "timeAdded"];
    for (before, after) in &PAIRS.1 {
        let decisive = |object: &Value| {
            let mut found: BTreeSet<(String, String)> = BTreeSet::new();
            leaves(object, "", &mut |path, leaf| {
                let key = path.rsplit('.').next().unwrap_or_default();
                // A reason that is a sentence is redacted like a message.
                let is_sentence = leaf.as_str().is_some_and(|text| text.contains(' '));
                if fields.contains(&key) && !is_sentence
                    || times.iter().any(|end| key.ends_with(end))
                {
                    found.insert((path.to_owned(), leaf.to_string()));
                }
            });
            found
        };
        assert_eq!(decisive(before), decisive(after));
    }
}

/// Collects everything in an object that is a name of more than three characters.
fn private(object: &Value, redactor: &Redactor, names: &mut BTreeSet<String>) {
    leaves(object, "", &mut |path, leaf| {
        let is_name = [
            ".metadata.name",
            ".namespace",
            ".nodeName",
            ".image",
            ".podIP",
            ".hostIP",
            ".ip",
            "ontainers[].name",
            "volumes[].name",
            ".ownerReferences[].name",
            ".address",
            ".host",
            "Object.name",
            ".uid",
            ".containerID",
            ".secretName",
            ".claimName",
            ".labels.?",
        ];
        let Some(name) = leaf.as_str().filter(|_| is_name.iter().any(|end| path.ends_with(end)))
        else {
            return;
        };
        // A namespace may have the same name as an API group, which occurs everywhere.
        let is_public = public::is_namespace(name) || redactor.keeps_word(name) || name == "batch";
        if name.len() > 3 && !is_public {
            names.insert(name.to_owned());
        }
    });
}

#[test]
fn no_name_is_left() {
    let (redactor, pairs) = &*PAIRS;
    let mut names = BTreeSet::new();
    pairs.iter().for_each(|(before, _)| private(before, redactor, &mut names));
    assert!(names.len() > 500);
    let in_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | '/' | ':' | '@');
    let at_separators = |c: char| !c.is_alphanumeric() && c != '-';
    for (_, after) in pairs {
        let text = after.to_string();
        for word in
            text.split(|c| !in_name(c)).chain(text.split(at_separators)).chain(text.split('"'))
        {
            assert!(!names.contains(word.trim_matches([':', '.'])), "{word} in {text}");
        }
    }
}

#[test]
fn messages_still_say_what_is_missing() {
    let mut seen = 0;
    for (before, after) in &PAIRS.1 {
        for phrase in [
            "Insufficient cpu",
            "Insufficient memory",
            "untolerated taint",
            "Back-off",
            "probe failed",
        ] {
            let count = |object: &Value| {
                let mut count = 0;
                leaves(object, "", &mut |path, leaf| {
                    if path.ends_with("message") || path.ends_with("note") {
                        count += leaf.as_str().unwrap_or_default().matches(phrase).count();
                    }
                });
                count
            };
            assert_eq!(count(before), count(after), "{phrase} in {after}");
            seen += count(before);
        }
    }
    assert!(seen > 500);
}

#[test]
fn owners_are_found_by_their_uid() {
    let (mut before_uids, mut after_uids) = (BTreeMap::new(), BTreeMap::new());
    let (_, pairs) = &*PAIRS;
    for (before, after) in pairs {
        for (object, uids) in [(before, &mut before_uids), (after, &mut after_uids)] {
            if let (Some(uid), Some(name)) =
                (object.pointer("/metadata/uid"), object.pointer("/metadata/name"))
            {
                uids.insert(uid.to_string(), name.to_string());
            }
        }
    }
    assert_eq!(before_uids.len(), after_uids.len());
    for (before, after) in pairs {
        let owner = |object: &Value| object.pointer("/metadata/ownerReferences/0").cloned();
        if let (Some(before), Some(after)) = (owner(before), owner(after))
            && before_uids.contains_key(&before["uid"].to_string())
        {
            assert_eq!(after_uids.get(&after["uid"].to_string()), Some(&after["name"].to_string()));
        }
    }
}

#[test]
fn the_key_decides() {
    let (one, again) = (redactor(), redactor());
    let other = Redactor::new(&[8; 32], Keep::default());
    // Bookmarks and statuses have nothing to redact.
    for object in objects().iter().filter(|object| object.pointer("/metadata/name").is_some()) {
        let json = object.to_string();
        let redacted = one.object(&json).unwrap();
        assert_eq!(redacted, again.object(&json).unwrap());
        assert_ne!(redacted, other.object(&json).unwrap());
    }
}
