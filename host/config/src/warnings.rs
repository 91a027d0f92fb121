//! Warnings about a configuration that is valid.

use super::quota::rules_beyond_reserve;
use super::{Config, Rule};

/// Returns the warnings about a configuration that is valid and may not do what its author expects.
pub fn warnings(config: &Config) -> Vec<String> {
    let mut warnings: Vec<String> = rules_beyond_reserve(config).into_iter().collect();
    for (index, rule) in config.rules.iter().enumerate() {
        if rule.targets.is_empty() && rule.nameable.is_empty() {
            warnings.push(format!(
                "rules[{index}] ({}) has no targets: its verdicts are recorded and sent nowhere; hint: add targets, such as targets: [{}]",
                rule.name,
                config.targets.keys().next().map_or("name", String::as_str),
            ));
        }
    }
    for name in config.targets.keys() {
        let uses = |rule: &Rule| rule.targets.contains(name) || rule.nameable.contains(name);
        if !config.rules.iter().any(uses) {
            warnings.push(format!(
                "targets.{name} is used by no rule; hint: add it to the targets of a rule"
            ));
        }
    }
    warnings
}
