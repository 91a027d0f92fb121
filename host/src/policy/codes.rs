//! Whether codes exist that inhibit others: only a manifest says so, which is known once the rules are
//! loaded.

use crate::config::Policy;
use crate::yaml::nearest;

/// A policy names a code that its rule does not declare, so it would never hold anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "rule {rule}: policy.inhibited_by names {other}/{code}, but {other} declares no such code; {hint}"
)]
pub struct UnknownCode {
    /// The rule whose policy it is.
    pub rule: String,
    /// The rule that it names.
    pub other: String,
    /// The code that it names.
    pub code: String,
    /// What to do.
    pub hint: String,
}

/// Checks the policy of one rule; `codes` gives those of a rule's manifest, none where there is no
/// such rule, which the configuration has said.
///
/// # Errors
/// The first code that is not declared.
pub fn check_codes<'a>(
    rule: &str,
    policy: &Policy,
    codes: impl Fn(&str) -> Option<Vec<&'a str>>,
) -> Result<(), UnknownCode> {
    for one in &policy.inhibited_by {
        let Some(known) = codes(&one.rule) else { continue };
        if !known.contains(&one.code.as_str()) {
            return Err(UnknownCode {
                rule: rule.to_owned(),
                other: one.rule.clone(),
                code: one.code.clone(),
                hint: nearest(&one.code, &known),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Equal, Inhibitor};

    #[test]
    fn a_code_that_is_not_declared_names_the_nearest() {
        let inhibitor = Inhibitor {
            rule: "nodes".to_owned(),
            code: "NotRedy".to_owned(),
            equal: Equal::Object,
            at_most: std::time::Duration::from_secs(1),
        };
        let policy = Policy { inhibited_by: vec![inhibitor], ..Policy::default() };
        let error = check_codes("web", &policy, |_| Some(vec!["NotReady"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "rule web: policy.inhibited_by names nodes/NotRedy, but nodes declares no such code; \
             hint: did you mean \"NotReady\"?"
        );
        assert_eq!(check_codes("web", &policy, |_| Some(vec!["NotRedy"])), Ok(()));
        assert_eq!(check_codes("web", &policy, |_| None), Ok(()));
    }
}
