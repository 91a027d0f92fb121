//! A rule's policy as it is written in the file, and the checks that the schema cannot express.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Budget, Inhibitor, Policy, Throttle};
use klaxon_yaml::{Found, Span, nearest};

pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// The shortest time in a policy: the pipeline evaluates the events of less than a second together.
const LEAST: Duration = Duration::from_secs(1);

/// Suppression and delay of a rule's verdicts before delivery. The default suppresses nothing.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PolicyFile {
    /// how long a firing that was delivered is not delivered again, such as 30m; another severity is
    /// delivered at once.
    repeat: Option<Span>,
    /// Deliver a firing once, and a resolved only after a firing (false).
    pair: bool,
    /// The incidents that inhibit firings of this rule while they are open.
    inhibited_by: Vec<InhibitorFile>,
    /// At most so many deliveries in a time.
    throttle: Option<ThrottleFile>,
    /// how long after its last verdict an open incident is taken as over, such as 7d (the default).
    forget: Option<Span>,
    /// The budget of writes to one object of the cluster.
    budget: Option<BudgetFile>,
}

/// The rate limit of a rule's writes to one object of the cluster: Kubernetes Events, conditions, applied objects.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct BudgetFile {
    /// So many writes at once (25; 0: none at all) …
    burst: u32,
    /// and one more after each of these times, such as 5m (the default).
    per: Span,
}

impl Default for BudgetFile {
    fn default() -> Self {
        let Budget { burst, per } = Budget::default();
        Self { burst, per: Span(per) }
    }
}

/// An incident that inhibits firings of a rule: `rule/code`, or in full.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum InhibitorFile {
    /// rule/code
    Short(String),
    /// In full.
    Full(FullInhibitorFile),
}

/// An inhibitor of a rule's firings, in full.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FullInhibitorFile {
    /// The other rule's name.
    rule: String,
    /// Its code.
    code: String,
    /// The property that both must have in common.
    #[serde(default)]
    equal: Equal,
    /// the longest time that one incident is held, such as 1h (the default).
    r#for: Option<Span>,
}

/// The property that an inhibiting incident shares with the incidents that it inhibits.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Equal {
    /// The object; an incident of a node holds what is on the node as well.
    #[default]
    Object,
    /// The node that both are on.
    Node,
    /// The namespace.
    Namespace,
    /// The key.
    Key,
    /// Nothing: it holds everything in the cluster.
    Cluster,
}

/// A maximum number of deliveries in a time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ThrottleFile {
    /// So many deliveries …
    count: u32,
    /// the time, from the first delivery on, such as 1m.
    per: Span,
    /// A digest of the suppressed verdicts at its end (true).
    #[serde(default = "yes")]
    digest: bool,
}

fn yes() -> bool {
    true
}

/// A parsed policy and its errors, with pointers relative to the policy.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// The policy.
    pub(crate) policy: Policy,
    /// The errors.
    pub(crate) found: Found,
}

impl PolicyFile {
    /// Performs all checks that need no manifest. `rules` are the names of all rules.
    pub(crate) fn read(self, rules: &[&str]) -> Read {
        let mut read = Read::default();
        let repeat = self.repeat.map(|span| span.0);
        let forget = self.forget.map_or(WEEK.max(repeat.unwrap_or_default()), |span| span.0);
        read.at_least("/forget", forget, LEAST, "a second");
        if let Some(repeat) = repeat {
            read.repeat(repeat, forget);
        }
        let throttle = self.throttle.map(|file| read.throttle(&file));
        let inhibited_by = self.inhibited_by.into_iter().enumerate();
        let inhibited_by = inhibited_by
            .filter_map(|(place, file)| read.inhibitor(place, file, rules, forget))
            .collect();
        let BudgetFile { burst, per } = self.budget.unwrap_or_default();
        read.at_least("/budget/per", per.0, LEAST, "a second");
        let budget = Budget { burst, per: per.0 };
        read.policy = Policy { repeat, pair: self.pair, inhibited_by, throttle, forget, budget };
        read
    }
}

impl Read {
    fn say(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.found.push((pointer.into(), message.into()));
    }

    fn at_least(&mut self, pointer: &str, span: Duration, least: Duration, name: &str) {
        if span < least {
            self.say(pointer, format!("this is shorter than {name}; hint: write a longer time"));
        }
    }

    fn repeat(&mut self, repeat: Duration, forget: Duration) {
        if repeat.is_zero() {
            self.say("/repeat", "this suppresses nothing; hint: write a time such as 30m");
        }
        self.at_least("/forget", forget, repeat, "`repeat`, so that it would be cut short");
    }

    fn throttle(&mut self, file: &ThrottleFile) -> Throttle {
        if file.count == 0 {
            self.say(
                "/throttle/count",
                "this would suppress everything; hint: write at least 1, or leave the rule out",
            );
        }
        self.at_least("/throttle/per", file.per.0, LEAST, "a second");
        Throttle { count: file.count, per: file.per.0, digest: file.digest }
    }

    fn at_most(&mut self, pointer: String, at_most: Duration, forget: Duration) {
        self.at_least(&pointer, at_most, LEAST, "a second");
        if at_most > forget {
            let hint = "hint: write a shorter time, or a longer `forget`";
            self.say(pointer, format!("what is held would be forgotten before; {hint}"));
        }
    }

    fn inhibitor(
        &mut self,
        place: usize,
        file: InhibitorFile,
        rules: &[&str],
        forget: Duration,
    ) -> Option<Inhibitor> {
        let pointer = format!("/inhibited_by/{place}");
        let (file, at) = match file {
            InhibitorFile::Full(file) => (file, format!("{pointer}/rule")),
            InhibitorFile::Short(text) => match short(&text) {
                Some(file) => (file, pointer.clone()),
                None => {
                    let hint = "hint: write rule/code, such as nodes/NotReady";
                    self.say(pointer, format!("{text:?} names no rule and code; {hint}"));
                    return None;
                }
            },
        };
        if !rules.contains(&file.rule.as_str()) {
            self.say(
                at,
                format!("there is no rule {:?}; {}", file.rule, nearest(&file.rule, rules)),
            );
        }
        let at_most = file.r#for.map_or(HOUR.min(forget), |span| span.0);
        self.at_most(format!("{pointer}/for"), at_most, forget);
        Some(Inhibitor { rule: file.rule, code: file.code, equal: file.equal, at_most })
    }
}

/// Splits a short inhibitor at its last slash: rule names may contain a slash, codes hardly do.
fn short(text: &str) -> Option<FullInhibitorFile> {
    let (rule, code) = text.rsplit_once('/')?;
    let (rule, code) = (rule.to_owned(), code.to_owned());
    let file = FullInhibitorFile { rule, code, equal: Equal::default(), r#for: None };
    (!file.rule.is_empty() && !file.code.is_empty()).then_some(file)
}

/// Finds rules that inhibit each other, each with its index and a message: incidents that two rules inhibit mutually
/// would stay pending forever. (Codes of one rule may inhibit other codes of the same rule.)
pub(crate) fn cycles(policies: &[(&str, &Policy)]) -> Vec<(usize, String)> {
    let mut by: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, policy) in policies {
        let others = policy.inhibited_by.iter().map(|one| one.rule.as_str());
        by.entry(name).or_default().extend(others.filter(|other| other != name));
    }
    let errors = policies.iter().enumerate().filter_map(|(place, (name, _))| {
        let other = by.get(name)?.iter().find(|other| reaches(&by, other, name))?;
        Some((
            place,
            format!(
                "{name:?} and {other:?} hold each other; hint: take one out of the other's list"
            ),
        ))
    });
    errors.collect()
}

fn reaches<'a>(by: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &'a str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut next = vec![from];
    while let Some(name) = next.pop() {
        if name == to {
            return true;
        }
        if seen.insert(name) {
            next.extend(by.get(name).into_iter().flatten().copied());
        }
    }
    false
}
