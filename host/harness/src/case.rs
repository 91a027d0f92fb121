//! One case: run in every mode and compared with its expectation.

use std::path::Path;

use serde::Serialize;

use super::compare::{First, Pair, align, first_difference, first_missing};
use super::expect::Expected;
use super::invariants::{self, Broken};
use super::location::Locations;
use super::rule::{Ran, RuleError, RuleUnderTest};
use super::snapshot::{self, Compared, Update};
use super::suite::{All, Case, Expectation};
use klaxon_model::Verdict;
use klaxon_yaml::nearest;

/// Result of a case.
#[derive(Debug, Serialize)]
pub struct CaseReport {
    /// Name of the case.
    pub name: String,
    /// Line in the file.
    pub line: usize,
    /// Reasons for failing; empty if the case passed.
    pub failures: Vec<Failure>,
    /// Emitted codes, each once.
    pub codes: Vec<String>,
    /// The emitted codes that the case expects, so that a change of them would fail it.
    pub covered: Vec<String>,
    /// Number of emitted verdicts.
    pub verdicts: usize,
    /// Partitions whose state the rule read.
    #[serde(skip)]
    pub partitions: Vec<String>,
    /// `true` if the snapshot was written.
    pub updated: bool,
    /// Cost of the most expensive event; `None` unless the case has limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<DearestEvent>,
}

/// Maximum cost of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DearestEvent {
    /// Fuel of one event.
    pub fuel: u64,
    /// Linear memory of one instance, in bytes.
    pub memory: usize,
}

/// One reason for a case's failure.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// Kind of failure.
    pub kind: FailureKind,
    /// The problem, in one line.
    pub message: String,
    /// Lines that help to find the cause.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub details: String,
}

/// Kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The case could not be run at all.
    CouldNotRun,
    /// Other verdicts were emitted than expected.
    Verdicts,
    /// Another number of verdicts was emitted than expected.
    Count,
    /// Other verdicts were emitted than were reviewed.
    Snapshot,
    /// The rule failed to answer an event.
    Rule,
    /// The mode of running the rule changed its verdicts.
    Invariant,
    /// An event cost more than the limit.
    Limit,
    /// The test itself is wrong, for example it expects a code that the rule does not declare.
    Test,
}

impl CaseReport {
    /// Returns `true` if the case has no failure.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Runs a case of a file.
pub(super) fn run(file: &Path, rule: &RuleUnderTest, case: &Case, update: Update) -> CaseReport {
    let mut judge = Judge { case, failures: Vec::new(), updated: false, cost: None };
    let mut report = CaseReport {
        name: case.name.clone(),
        line: case.line,
        failures: Vec::new(),
        codes: Vec::new(),
        covered: Vec::new(),
        verdicts: 0,
        partitions: Vec::new(),
        updated: false,
        cost: None,
    };
    match judge.run(file, rule, update) {
        Ok(ran) => {
            let verdicts = &ran.output.verdicts;
            report.verdicts = verdicts.len();
            report.codes = verdicts.iter().map(|verdict| verdict.code.clone()).collect();
            report.codes.sort();
            report.codes.dedup();
            report.covered = covered(&case.expectation, &report.codes);
            report.partitions = ran.partitions.iter().map(|one| one.to_string()).collect();
        }
        Err(Broken::Differs(difference)) => {
            let text = difference.to_string();
            let (message, details) = text.split_once('\n').unwrap_or((&text, ""));
            judge.fail(FailureKind::Invariant, message.trim_end_matches(':'), details);
        }
        Err(Broken::Rule(error)) => judge.fail(FailureKind::CouldNotRun, error.to_string(), ""),
    }
    CaseReport { failures: judge.failures, updated: judge.updated, cost: judge.cost, ..report }
}

/// Returns the emitted codes that an expectation fixes.
fn covered(expectation: &Expectation, said: &[String]) -> Vec<String> {
    let is_fixed = |code: &&String| {
        let listed = expectation.all.is_some();
        let any = expectation.any.iter().flatten().any(|one| one.code() == code.as_str());
        let counted = expectation.count.as_ref().and_then(|count| count.get(code.as_str()));
        listed || any || counted.is_some_and(|count| *count > 0)
    };
    said.iter().filter(is_fixed).cloned().collect()
}

struct Judge<'a> {
    case: &'a Case,
    failures: Vec<Failure>,
    updated: bool,
    cost: Option<DearestEvent>,
}

impl Judge<'_> {
    fn fail(&mut self, kind: FailureKind, message: impl Into<String>, details: impl Into<String>) {
        let (message, details) = (message.into(), details.into());
        self.failures.push(Failure { kind, message, details });
    }

    fn run(&mut self, file: &Path, rule: &RuleUnderTest, update: Update) -> Result<Ran, Broken> {
        let own = self.case.settings.clone().map(|settings| rule.with_settings(settings));
        let own = own.transpose()?;
        let rule = own.as_ref().unwrap_or(rule);
        self.declared(rule);
        let ran = invariants::check(rule, &self.case.input)?;
        self.asked(rule, &ran);
        self.answers(&ran);
        self.state(&ran);
        self.verdicts(&ran);
        self.limits(rule, &ran)?;
        // Checked last, so that a snapshot of a failed case is not written.
        if let Some(All::Snapshot(path)) = &self.case.expectation.all {
            let update = if self.failures.is_empty() { update } else { Update::No };
            self.reviewed(file, path, &ran, update);
        }
        Ok(ran)
    }

    /// Fails on expected codes that the rule does not declare, as they can never be emitted.
    fn declared(&mut self, rule: &RuleUnderTest) {
        let expectation = &self.case.expectation;
        let listed = match &expectation.all {
            Some(All::Listed(expected)) => expected.as_slice(),
            _ => &[],
        };
        let any = expectation.any.iter().flatten();
        let counted = expectation.count.iter().flat_map(|count| count.keys().map(String::as_str));
        let codes = listed.iter().chain(any).map(Expected::code).chain(counted);
        let manifest = rule.manifest();
        let mut unknown: Vec<&str> = codes.filter(|code| manifest.code(code).is_none()).collect();
        unknown.dedup();
        for code in unknown {
            let known: Vec<&str> = manifest.codes.iter().map(|code| code.name.as_str()).collect();
            let hint = nearest(code, &known);
            self.fail(FailureKind::Test, format!("the rule declares no code {code:?}; {hint}"), "");
        }
    }

    /// Fails if no event reaches the rule: such a case would pass with any rule.
    fn asked(&mut self, rule: &RuleUnderTest, ran: &Ran) {
        let counts = &ran.summary.counts;
        if counts.observed == 0 {
            let skipped = ran.summary.skipped;
            let marks = if skipped > 0 {
                format!(" ({skipped} lines of other types)")
            } else {
                String::new()
            };
            let message = format!("the streams hold no object{marks}, so the test cannot fail");
            self.fail(FailureKind::Test, message, "hint: name streams of what the rule is about");
        } else if counts.ignored == counts.observed {
            let interests = rule.manifest().interests.iter();
            let kinds: Vec<String> =
                interests.map(|one| format!("{} {}", one.api_version, one.kind)).collect();
            self.fail(
                FailureKind::Test,
                "the streams hold no object of a kind that the rule asks for, so the test cannot fail",
                format!("it asks for: {}", kinds.join(", ")),
            );
        }
        let is_inline = self.case.input.streams.iter().any(|stream| stream.text.is_some());
        if is_inline && counts.repeated > 0 {
            let number = counts.repeated;
            self.fail(
                FailureKind::Test,
                format!("{number} of the events are no news: their object had this version before"),
                "hint: raise metadata.resourceVersion from one event of an object to the next",
            );
        }
    }

    /// Fails on events without an answer and on objects that could not be decoded.
    fn answers(&mut self, ran: &Ran) {
        let output = &ran.output;
        let locations = || Locations::of(&self.case.input.streams);
        if let Some(first) = output.failures.first() {
            let more = output.failures.len() - 1;
            let message = format!("{}: {}", first.failure.kind.as_str(), first.failure.message);
            let mut details = format!("on {}", locations().describe(&first.input));
            if more > 0 {
                details.push_str(&format!("\nand on {more} more events"));
            }
            self.fail(FailureKind::Rule, message, details);
        }
        for object in &output.quarantine {
            let message = format!("an object cannot be decoded: {}", object.reason);
            self.fail(FailureKind::Rule, message, format!("in {}", object.scope));
        }
    }

    /// Fails on given state that the rule never read: it was given to the wrong partition.
    fn state(&mut self, ran: &Ran) {
        if !self.case.has_own_state {
            return;
        }
        let mut given: Vec<&str> =
            self.case.input.state.iter().map(|(partition, ..)| partition.as_str()).collect();
        given.dedup();
        let read: Vec<&str> = ran.partitions.iter().map(|partition| &**partition).collect();
        for partition in given.into_iter().filter(|partition| !read.contains(partition)) {
            let details = if read.is_empty() {
                "the rule read no state at all".to_owned()
            } else {
                format!("the rule read the state of: {}", read.join(", "))
            };
            self.fail(
                FailureKind::Test,
                format!("the state given to partition {partition:?} was never read"),
                details,
            );
        }
    }

    fn verdicts(&mut self, ran: &Ran) {
        let said = &ran.output.verdicts;
        if let Some(All::Listed(expected)) = &self.case.expectation.all {
            self.listed(expected, said);
        }
        if let Some(expected) = &self.case.expectation.any
            && let Some(missing) = first_missing(expected, said)
        {
            let missing = expected.get(missing).map(Expected::to_string).unwrap_or_default();
            let message = format!("expected among the verdicts, in this order: {missing}");
            let details = self.list(said, None);
            self.fail(FailureKind::Verdicts, message, details);
        }
        for (code, expected) in self.case.expectation.count.iter().flatten() {
            let counted = said.iter().filter(|verdict| verdict.code == *code).count() as u64;
            if counted != *expected {
                let message = format!("{code}: {expected} expected, {counted} said");
                let details = self.list(said, Some(code));
                self.fail(FailureKind::Count, message, details);
            }
        }
    }

    fn listed(&mut self, expected: &[Expected], said: &[Verdict]) {
        let Some(first) = first_difference(expected, said) else { return };
        let message = match first {
            First::Field(index, mismatch) => format!("verdict {}: {mismatch}", index + 1),
            First::Number if expected.is_empty() => {
                format!("nothing expected, {} said", verdicts(said.len()))
            }
            First::Number => format!("{} expected, {} said", verdicts(expected.len()), said.len()),
        };
        let locations = Locations::of(&self.case.input.streams);
        let lines = align(expected, said).into_iter().map(|pair| match pair {
            Pair::Same(at, _) => {
                format!("  {}", expected.get(at).map(Expected::to_string).unwrap_or_default())
            }
            Pair::Missing(at) => {
                format!("- {}", expected.get(at).map(Expected::to_string).unwrap_or_default())
            }
            Pair::Extra(at) => said
                .get(at)
                .map(|one| format!("+ {}", in_full(one, &locations)))
                .unwrap_or_default(),
        });
        let details = shorten(lines.collect());
        self.fail(FailureKind::Verdicts, message, details);
    }

    /// Lists the emitted verdicts; with a code, only those of that code.
    fn list(&self, said: &[Verdict], code: Option<&str>) -> String {
        let said = said.iter().filter(|one| code.is_none_or(|code| one.code == code));
        let locations = Locations::of(&self.case.input.streams);
        let lines: Vec<String> =
            said.map(|one| format!("  {}", in_full(one, &locations))).collect();
        if lines.is_empty() { "nothing was said".to_owned() } else { shorten(lines) }
    }

    fn reviewed(&mut self, file: &Path, path: &Path, ran: &Ran, update: Update) {
        let contents = snapshot::contents(&ran.output.verdicts, &ran.output.refusals);
        let source = file.file_name().map(|name| name.to_string_lossy().into_owned());
        let source = source.unwrap_or_default();
        let compared = snapshot::compare(path, &source, &self.case.name, &contents, update);
        let name = path.display();
        match compared {
            Ok(Compared::Same) => {}
            Ok(Compared::Written) => self.updated = true,
            Ok(Compared::Differs(None)) => {
                let message = format!(
                    "there is no snapshot {name}; hint: look at what is said, then --update"
                );
                let lines = contents.lines().map(str::to_owned).collect();
                self.fail(FailureKind::Snapshot, message, shorten(lines));
            }
            Ok(Compared::Differs(Some(before))) => {
                let mut config = similar::TextDiff::configure();
                let diff = config
                    .timeout(std::time::Duration::from_secs(1))
                    .diff_lines(before.trim_end(), contents.trim_end());
                let lines = diff.iter_all_changes().map(|change| {
                    let sign = match change.tag() {
                        similar::ChangeTag::Equal => ' ',
                        similar::ChangeTag::Delete => '-',
                        similar::ChangeTag::Insert => '+',
                    };
                    format!("{sign} {}", change.value().trim_end())
                });
                let details = shorten(lines.collect());
                let message = format!(
                    "the verdicts differ from snapshot {name}; hint: look at what differs, then --update"
                );
                self.fail(FailureKind::Snapshot, message, details);
            }
            Err(error) => self.fail(FailureKind::CouldNotRun, format!("{name}: {error}"), ""),
        }
    }

    fn limits(&mut self, rule: &RuleUnderTest, ran: &Ran) -> Result<(), RuleError> {
        let limits = self.case.limits;
        if limits.fuel.is_none() && limits.memory.is_none() {
            return Ok(());
        }
        let counted = rule.measure(&self.case.input)?;
        let fuel = counted.output.costs.iter().max_by_key(|one| one.cost.fuel);
        let memory = ran.output.costs.iter().max_by_key(|one| one.cost.memory);
        let (Some(fuel), Some(memory)) = (fuel, memory) else {
            self.fail(FailureKind::Test, "the limits hold for no event: none was answered", "");
            return Ok(());
        };
        if counted.output.failures.len() > ran.output.failures.len() {
            let message = "an event could not be measured: it failed while its fuel was counted";
            let why = counted.output.failures.first().map(|one| one.failure.message.clone());
            self.fail(FailureKind::Limit, message, why.unwrap_or_default());
        }
        let cost =
            DearestEvent { fuel: fuel.cost.fuel.unwrap_or_default(), memory: memory.cost.memory };
        self.cost = Some(cost);
        let locations = Locations::of(&self.case.input.streams);
        let over = |limit: Option<u64>, used: u64| limit.filter(|limit| used > *limit);
        if let Some(limit) = over(limits.fuel, cost.fuel) {
            let message = format!("an event used {} fuel; the limit is {limit}", cost.fuel);
            self.fail(
                FailureKind::Limit,
                message,
                format!("on {}", locations.describe(&fuel.event)),
            );
        }
        let limit = limits.memory.map(|bytes| bytes as u64);
        if let Some(limit) = over(limit, cost.memory as u64) {
            let message =
                format!("the instance grew to {} bytes; the limit is {limit}", cost.memory);
            let event = locations.describe(&memory.event);
            self.fail(FailureKind::Limit, message, format!("by the end of {event}"));
        }
        Ok(())
    }
}

/// Returns the lines near a difference (`-` and `+`), up to a number that a person can read.
fn shorten(lines: Vec<String>) -> String {
    const AROUND: usize = 3;
    const MOST: usize = 40;
    let differs = |line: &String| line.starts_with(['-', '+']);
    let is_diff = lines.iter().any(differs);
    let near = |at: usize| {
        let around = lines.iter().skip(at.saturating_sub(AROUND)).take(2 * AROUND + 1);
        !is_diff || around.into_iter().any(differs)
    };
    let mut shown: Vec<&str> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if near(at) {
            shown.push(line);
        } else if shown.last() != Some(&"  …") {
            shown.push("  …");
        }
    }
    let hidden = shown.len().saturating_sub(MOST);
    shown.truncate(MOST);
    let more = if hidden > 0 { format!("\n… and {hidden} more") } else { String::new() };
    shown.join("\n") + &more
}

fn verdicts(number: usize) -> String {
    if number == 1 { "1 verdict".to_owned() } else { format!("{number} verdicts") }
}

/// Describes an emitted verdict completely, with its event.
fn in_full(verdict: &Verdict, locations: &Locations) -> String {
    let object = &verdict.object;
    let namespace =
        if object.namespace.is_empty() { String::new() } else { format!("{}/", object.namespace) };
    let kind = object.kind.to_lowercase();
    let mut more = String::new();
    if !verdict.targets.is_empty() {
        more.push_str(&format!(" targets: {:?}", verdict.targets));
    }
    if let Some(delta) = verdict.delta {
        more.push_str(&format!(" delta: {delta}"));
    }
    if verdict.gap {
        more.push_str(" gap: true");
    }
    format!(
        "{} {kind}/{namespace}{} {} {} key: {:?} title: {:?}{more} payload: {}\n      on {}",
        verdict.code,
        object.name,
        snapshot::severity(verdict),
        verdict.status.as_str(),
        verdict.key,
        verdict.title,
        verdict.payload.get().replace(['\n', '\r'], " "),
        verdict.event.as_deref().map_or_else(String::new, |event| locations.describe(event)),
    )
}
