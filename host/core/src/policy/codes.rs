//! Checks that inhibiting codes exist. Codes are declared in manifests, which are known only once the
//! rules are loaded.

use klaxon_config::Policy;
use klaxon_yaml::nearest;

/// A policy names a code that its rule does not declare, so that the code would never inhibit anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "rule {rule}: policy.inhibited_by names {other}/{code}, but {other} declares no such code; {hint}"
)]
pub struct UnknownCode {
    /// The rule that has the policy.
    pub rule: String,
    /// The rule that the policy names.
    pub other: String,
    /// The code that the policy names.
    pub code: String,
    /// A hint how to correct it.
    pub hint: String,
}

/// Checks the policy of one rule. `codes` returns the codes of a rule's manifest, `None` if there is no
/// such rule, which is reported when the configuration is checked.
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
    use klaxon_config::{Equal, Inhibitor};

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
