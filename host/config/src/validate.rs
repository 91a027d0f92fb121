//! Validates the configuration file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::file::{
    AdminFile, JournalFile, KubernetesFile, ReplayFile, RuleFile, SourceFile, Speed, WhenFullFile,
    schema,
};
use super::policy::{Policy, cycles};
use super::targets;
use super::{
    Config, Journal, Kubernetes, Replay, Rule, Source, SourceKind, Target, TargetOrigin, quota,
    substitute,
};
use klaxon_model::{Limits, WhenFull};
use klaxon_recording as recording;
use klaxon_yaml::{Document, FileErrors, Found, against_schema, escape, nearest};

/// The targets of a configuration that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Targets {
    /// As they are written.
    Written,
    /// Each is taken for `stdout`, so that neither its secrets nor its files are needed.
    Omitted,
}

pub(super) fn read(path: &Path, targets: Targets) -> Result<Config, FileErrors> {
    let mut document = Document::read(path)?;
    if targets == Targets::Omitted
        && let Some(targets) = document.value.get_mut("targets").and_then(Value::as_object_mut)
    {
        targets.values_mut().for_each(|target| *target = serde_json::json!({"stdout": {}}));
    }
    let base = path.parent().unwrap_or(Path::new("."));

    let mut found = Vec::new();
    // The targets as written: their references may resolve differently while the service runs.
    let written = document.value.get("targets").cloned().unwrap_or_default();
    substitute::all(&mut document.value, "", base, &mut found);
    found.extend(against_schema(&schema(), &document.value));
    let form = found.iter().map(|(pointer, _)| pointer.clone()).collect();
    let mut check = Check { form, written, ..Check::new(base, found) };
    let config = check.config(path, &document.value);
    document.errors(path, check.found).map_or(Ok(config), Err)
}

/// Removes the value at a JSON Pointer.
fn remove(value: &mut Value, pointer: &str) {
    let Some((above, key)) = pointer.rsplit_once('/') else { return };
    if let Some(members) = value.pointer_mut(above).and_then(Value::as_object_mut) {
        members.remove(&key.replace("~1", "/").replace("~0", "~"));
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// The default time after which the objects of a kind that is not served count as deleted.
const UNSERVED_GRACE: Duration = Duration::from_secs(900);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// Returns `true` if `name` is a valid name of a namespace (RFC 1123, a label).
fn is_namespace(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty()
        && name.len() <= 63
        && name.chars().all(is_inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// The checks that the schema cannot express, and their errors.
pub(super) struct Check<'a> {
    pub(super) base: &'a Path,
    pub(super) found: Found,
    /// The pointers at which the schema or a substitution reported an error. Their values are not parsed.
    form: Vec<String>,
    /// The targets before their references were substituted.
    written: Value,
    sources: Vec<String>,
    targets: Vec<String>,
}

impl<'a> Check<'a> {
    pub(super) fn new(base: &'a Path, found: Found) -> Self {
        Self {
            base,
            found,
            form: Vec::new(),
            written: Value::Null,
            sources: Vec::new(),
            targets: Vec::new(),
        }
    }

    pub(super) fn say(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.found.push((pointer.into(), message.into()));
    }

    /// Parses each part separately, so that an error in one part does not hide errors in others.
    fn config(&mut self, path: &Path, value: &Value) -> Config {
        let part = |name: &str| value.get(name).unwrap_or(&Value::Null);
        let targets: Vec<(&String, &Value)> =
            part("targets").as_object().into_iter().flatten().collect();
        self.targets = targets.iter().map(|(name, _)| (*name).clone()).collect();
        let sources = part("sources").as_array().map_or(&[] as &[Value], Vec::as_slice);
        let rules = part("rules").as_array().map_or(&[] as &[Value], Vec::as_slice);
        if part("sources").is_array() && sources.len() != 1 {
            self.say("/sources", "this version runs exactly one source; hint: write one");
        }
        if part("rules").is_array() && rules.is_empty() {
            self.say("/rules", "there is no rule; hint: add one");
        }
        let mut names = BTreeSet::new();
        for (place, rule) in rules.iter().enumerate() {
            if let Some(name) = rule.get("name").and_then(Value::as_str)
                && !names.insert(name)
            {
                self.say(
                    format!("/rules/{place}/name"),
                    format!("another rule is called {name:?}; hint: give each its own name"),
                );
            }
        }
        let sources = sources.iter().enumerate().filter_map(|(place, one)| {
            let source = self.read_part(&format!("/sources/{place}"), one)?;
            self.source(place, source)
        });
        let sources = sources.collect();
        let names: Vec<&str> = names.into_iter().collect();
        let rules = rules.iter().enumerate().filter_map(|(place, one)| {
            let rule = self.read_part(&format!("/rules/{place}"), one)?;
            Some(self.rule(place, rule, &names))
        });
        let rules: Vec<Rule> = rules.collect();
        let policies: Vec<(&str, &Policy)> =
            rules.iter().map(|rule| (rule.name.as_str(), &rule.policy)).collect();
        for (place, why) in cycles(&policies) {
            self.say(format!("/rules/{place}/policy/inhibited_by"), why);
        }
        let sets_quota = |(_, one): &&(&String, &Value)| one.get("max_queue").is_some();
        let set: BTreeSet<String> =
            targets.iter().filter(sets_quota).map(|(name, _)| (*name).clone()).collect();
        let targets = targets.into_iter().filter_map(|(name, one)| {
            let pointer = format!("/targets/{}", escape(name));
            let target = self.read_part(&pointer, one)?;
            let written = self.written.get(name).cloned().unwrap_or_default();
            let origin = TargetOrigin::new(name, written, self.base);
            Some((name.clone(), targets::target(self, name, target, origin)?))
        });
        let mut targets: BTreeMap<String, Target> = targets.collect();
        for (name, target) in &mut targets {
            let listing = rules.iter().filter(|rule| {
                rule.targets.iter().chain(&rule.nameable).any(|listed| listed == name)
            });
            target.rules = Some(listing.map(|rule| rule.name.clone()).collect());
        }
        let cluster = part("cluster").as_str().unwrap_or_default().to_owned();
        let journal: JournalFile = self.optional_part("/journal", part("journal"));
        let admin: AdminFile = self.optional_part("/admin", part("admin"));
        let journal = Journal {
            path: journal.path.map(|path| self.base.join(path)),
            retain: journal.retain.map_or(WEEK, |span| span.0),
            max_size: journal.max_size.map_or(2 << 30, |size| size.0 as u64),
            max_dead_letters: journal.max_dead_letters.unwrap_or(100_000),
        };
        let stall_timeout = admin.stall_timeout.as_ref().map_or(MINUTE, |span| span.0);
        if stall_timeout < Duration::from_secs(1) {
            self.say(
                "/admin/stall_timeout",
                "any pause would count as a stall; hint: write 1s or more",
            );
        }
        quota::share(self, &mut targets, &set, journal.max_size);
        let admin = self.listen(admin);
        let path = path.to_owned();
        Config { path, cluster, sources, rules, targets, journal, admin, stall_timeout }
    }

    /// Parses a part of the file. `None` if its form is wrong, which the schema check has reported.
    fn read_part<T: DeserializeOwned>(&mut self, pointer: &str, value: &Value) -> Option<T> {
        let mut value = value.clone();
        for at in &self.form {
            if let Some(inside) = at.strip_prefix(pointer).filter(|rest| rest.starts_with('/')) {
                remove(&mut value, inside);
            }
        }
        match serde_json::from_value(value) {
            Ok(part) => Some(part),
            Err(error) => {
                if !self.found.iter().any(|(at, _)| at.starts_with(pointer)) {
                    // The error of serde is dropped: it repeats the value, which may hold a secret.
                    let kind = error.classify();
                    self.say(pointer, format!("this cannot be read ({kind:?} error)"));
                }
                None
            }
        }
    }

    /// Parses a part that may be missing.
    fn optional_part<T: DeserializeOwned + Default>(&mut self, pointer: &str, value: &Value) -> T {
        match value {
            Value::Null => T::default(),
            value => self.read_part(pointer, value).unwrap_or_default(),
        }
    }

    fn listen(&mut self, admin: AdminFile) -> Option<String> {
        let listen = admin.listen?;
        self.has_port("/admin/listen", &listen, "127.0.0.1:9090");
        Some(listen)
    }

    /// Reports an address without a port.
    pub(super) fn has_port(&mut self, pointer: &str, listen: &str, example: &str) {
        let port = listen.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() {
            self.say(
                pointer,
                format!("{listen:?} has no port; hint: write one, such as {example}"),
            );
        }
    }

    fn source(&mut self, place: usize, source: SourceFile) -> Option<Source> {
        if self.sources.contains(&source.name) {
            self.say(format!("/sources/{place}/name"), "another source has this name");
        }
        self.sources.push(source.name.clone());
        let kind = match (source.kubernetes, source.replay) {
            (Some(kubernetes), None) => SourceKind::Kubernetes(self.kubernetes(place, kubernetes)),
            (None, Some(replay)) => SourceKind::Replay(self.replay(place, replay)),
            _ => {
                self.say(
                    format!("/sources/{place}"),
                    "a source is of exactly one kind; hint: write kubernetes or replay",
                );
                return None;
            }
        };
        Some(Source { name: source.name, kind })
    }

    fn kubernetes(&mut self, place: usize, file: KubernetesFile) -> Kubernetes {
        let pointer = format!("/sources/{place}/kubernetes");
        if file.context.is_some() && file.kubeconfig.is_none() {
            self.say(
                format!("{pointer}/context"),
                "a context is one of a kubeconfig; hint: name the kubeconfig, or set KUBERNETES_CONTEXT",
            );
        }
        let kubeconfig = file.kubeconfig.map(|path| self.base.join(path));
        if let Some(path) = kubeconfig.as_ref().filter(|path| !path.is_file()) {
            self.say(
                format!("{pointer}/kubeconfig"),
                format!("there is no file {}; hint: check the path", path.display()),
            );
        }
        for (at, name) in file.namespaces.iter().enumerate() {
            if !is_namespace(name) {
                self.say(
                    format!("{pointer}/namespaces/{at}"),
                    format!(
                        "{name:?} is no name of a namespace; hint: use lower-case letters, digits and dashes"
                    ),
                );
            }
        }
        let cluster_uid = file.cluster_uid;
        if cluster_uid.as_deref().is_some_and(|uid| uid.trim().is_empty()) {
            self.say(
                format!("{pointer}/cluster_uid"),
                "the uid is empty; hint: write the output of `kubectl get namespace kube-system -o jsonpath={.metadata.uid}`, or leave the key out",
            );
        }
        let mut namespaces = file.namespaces;
        namespaces.sort();
        namespaces.dedup();
        Kubernetes {
            kubeconfig,
            context: file.context,
            namespaces,
            lease: file.lease,
            event_ttl: file.event_ttl.map_or(HOUR, |span| span.0),
            unserved_grace: file.unserved_grace.map_or(UNSERVED_GRACE, |span| span.0),
            cluster_uid,
        }
    }

    fn replay(&mut self, place: usize, replay: ReplayFile) -> Replay {
        let streams = recording::expand(&replay.streams, self.base).unwrap_or_else(|error| {
            self.say(format!("/sources/{place}/replay/streams"), error.to_string());
            Vec::new()
        });
        for stream in streams.iter().filter(|stream| !stream.is_file()) {
            self.say(
                format!("/sources/{place}/replay/streams"),
                format!("there is no file {}; hint: check the path", stream.display()),
            );
        }
        let speed = match replay.speed {
            Speed::Word(_) => None,
            Speed::Times(times) => {
                if times.is_nan() || times <= 0.0 {
                    self.say(
                        format!("/sources/{place}/replay/speed"),
                        "must be above 0; hint: write max, or a number such as 10",
                    );
                }
                Some(times)
            }
        };
        let advance = replay.advance.map_or(Duration::ZERO, |span| span.0);
        let advance_ms = i64::try_from(advance.as_millis()).unwrap_or(i64::MAX);
        Replay { streams, speed, advance_ms }
    }

    /// Checks that the targets exist that a rule lists.
    fn listed(&mut self, pointer: &str, names: &[String]) {
        for (at, target) in names.iter().enumerate() {
            if !self.targets.contains(target) {
                let known: Vec<&str> = self.targets.iter().map(String::as_str).collect();
                self.say(
                    format!("{pointer}/{at}"),
                    format!("there is no target {target:?}; {}", nearest(target, &known)),
                );
            }
        }
    }

    fn rule(&mut self, place: usize, rule: RuleFile, names: &[&str]) -> Rule {
        let module = self.base.join(&rule.module);
        if !module.is_file() {
            let path = module.display();
            let message = match module.is_dir() {
                true => format!(
                    "{path} is a folder; hint: name the .wasm file that `klaxon rule build {path}` makes"
                ),
                false => {
                    format!("there is no file {path}; hint: build the rule, or check the path")
                }
            };
            self.say(format!("/rules/{place}/module"), message);
        }
        self.listed(&format!("/rules/{place}/targets"), &rule.targets);
        self.listed(&format!("/rules/{place}/grants/targets"), &rule.grants.targets);
        let policy = rule.policy.read(names);
        for (pointer, why) in policy.found {
            self.say(format!("/rules/{place}/policy{pointer}"), why);
        }
        let defaults = Limits::default();
        let state = rule.grants.state.map_or(defaults.state, |size| size.0);
        let state_total = rule.grants.state_total.map(|size| size.0);
        if state_total.is_some_and(|total| total < state) {
            self.say(
                format!("/rules/{place}/grants/state_total"),
                format!("one partition may have {state} bytes, which is more than all may have together; hint: write at least as much as `grants.state`"),
            );
        }
        if rule.limits.answers.is_some_and(|size| size.0 == 0) {
            self.say(
                format!("/rules/{place}/limits/answers"),
                "with no room for an answer each event waits by itself; hint: write a size, such as 16MiB",
            );
        }
        if rule.limits.verdicts_per_minute == Some(0) {
            self.say(
                format!("/rules/{place}/limits/verdicts_per_minute"),
                "a rule without verdicts would lag at once; hint: write a number, or take the rule out",
            );
        }
        if rule.limits.backlog.is_some_and(|size| size.0 == 0) {
            self.say(
                format!("/rules/{place}/limits/backlog"),
                "with no room at all a rule that is slow stops intake at once; hint: write a size, such as 64MiB",
            );
        }
        Rule {
            name: rule.name,
            module,
            settings: Value::Object(rule.settings),
            targets: rule.targets,
            nameable: rule.grants.targets,
            policy: policy.policy,
            narrowing: rule
                .interests
                .into_iter()
                .map(|(name, interest)| (name, interest.namespaces))
                .collect(),
            limits: Limits {
                cpu: rule.limits.cpu.map_or(defaults.cpu, |span| span.0),
                memory: rule.limits.memory.map_or(defaults.memory, |size| size.0),
                module: rule.limits.module.map_or(defaults.module, |size| size.0),
                state,
                state_total: state_total.unwrap_or(defaults.state_total.max(state)),
                timers: rule.limits.timers.map_or(defaults.timers, |size| size.0),
                answers: rule.limits.answers.map_or(defaults.answers, |size| size.0),
                verdicts_per_minute: rule
                    .limits
                    .verdicts_per_minute
                    .unwrap_or(defaults.verdicts_per_minute),
                output_per_minute: rule
                    .limits
                    .output_per_minute
                    .map_or(defaults.output_per_minute, |size| size.0),
                log_per_minute: rule
                    .limits
                    .log_per_minute
                    .map_or(defaults.log_per_minute, |size| size.0),
                backlog: rule.limits.backlog.map_or(defaults.backlog, |size| size.0),
                when_backlog_full: match rule.limits.when_backlog_full {
                    WhenFullFile::Block => WhenFull::Block,
                    WhenFullFile::Skip => WhenFull::Skip,
                },
                ..defaults
            },
            state_granted: state > 0,
        }
    }
}
