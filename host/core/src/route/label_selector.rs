//! Label selectors in the syntax of kubectl's `-l` (Kubernetes API, "Labels and Selectors").

use super::interest::check_length;
use klaxon_model::Meta;

/// A parsed selector: all requirements must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct LabelSelector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Exists,
    Missing,
    In(Vec<String>),
    NotIn(Vec<String>),
}

impl LabelSelector {
    /// Parses a selector.
    ///
    /// # Errors
    /// If a requirement is invalid; the error names it and the valid forms.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        check_length("label", text)?;
        split(text)
            .into_iter()
            .map(|part| {
                requirement(part.trim()).ok_or_else(|| {
                    format!(
                        "label selector {text:?}: {part:?} is no requirement; write key, !key, \
                         key=value, key!=value, key in (a,b) or key notin (a,b)"
                    )
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(super) fn matches(&self, meta: &Meta) -> bool {
        self.0.iter().all(|requirement| {
            let value = meta.label(&requirement.key);
            let among =
                |values: &[String]| value.is_some_and(|value| values.iter().any(|v| v == value));
            match &requirement.test {
                Test::Exists => value.is_some(),
                Test::Missing => value.is_none(),
                Test::In(values) => among(values),
                // As in Kubernetes, an object without the label is not in any set.
                Test::NotIn(values) => !among(values),
            }
        })
    }
}

/// A label that a selector names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectedLabel {
    /// The label's key.
    pub key: String,
    /// The values that the label is compared with; empty if only its presence or absence is required.
    pub values: Vec<String>,
    /// `true` if matching objects have the label.
    pub is_required: bool,
}

/// Returns the labels that a selector names, in its order; empty if the selector is invalid.
pub fn selected_labels(selector: &str) -> Vec<SelectedLabel> {
    let requirements = LabelSelector::parse(selector).unwrap_or_default().0.into_iter();
    let label = |Requirement { key, test }| {
        let (values, is_required) = match test {
            Test::Exists => (Vec::new(), true),
            Test::Missing => (Vec::new(), false),
            Test::In(values) => (values, true),
            Test::NotIn(values) => (values, false),
        };
        SelectedLabel { key, values, is_required }
    };
    requirements.map(label).collect()
}

/// Splits at commas outside parentheses; an empty text has no parts.
fn split(text: &str) -> Vec<&str> {
    if text.trim().is_empty() {
        return Vec::new();
    }
    let mut depth = 0u32;
    text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .collect()
}

fn requirement(text: &str) -> Option<Requirement> {
    let of = |key: &str, test| {
        let key = key.trim();
        is_word(key).then(|| Requirement { key: key.to_owned(), test })
    };
    let one = |value: &str| {
        let value = value.trim();
        (value.is_empty() || is_word(value)).then(|| vec![value.to_owned()])
    };
    if let Some((key, value)) = text.split_once("!=") {
        return of(key, Test::NotIn(one(value)?));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return of(key, Test::In(one(value)?));
    }
    if let Some(key) = text.strip_prefix('!') {
        return of(key, Test::Missing);
    }
    if let Some((head, set)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let (key, operator) = head.trim().rsplit_once(char::is_whitespace)?;
        let values = set.split(',').map(|value| one(value)?.pop()).collect::<Option<Vec<_>>>()?;
        return match operator {
            "in" => of(key, Test::In(values)),
            "notin" => of(key, Test::NotIn(values)),
            _ => None,
        };
    }
    of(text, Test::Exists)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use klaxon_model::Label;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels
            .iter()
            .map(|(key, value)| Label { key: (*key).to_owned(), value: (*value).to_owned() })
            .collect();
        LabelSelector::parse(selector).unwrap().matches(&Meta { labels, ..Meta::default() })
    }

    #[test]
    fn every_form_of_requirement() {
        let web = [("app", "web"), ("tier", "front")];
        for yes in [
            "",
            "app",
            "!db",
            "app=web",
            "app==web",
            "app!=db",
            "app in (web, db)",
            "app notin (db)",
            "db!=x",
            "db notin (x)",
            "app=web,tier in (front,back),!db",
        ] {
            assert!(matches(yes, &web), "{yes}");
        }
        for no in
            ["db", "!app", "app=db", "app!=web", "app in (db)", "app notin (web)", "app,db", "app="]
        {
            assert!(!matches(no, &web), "{no}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused_with_the_forms() {
        for wrong in ["a b", "=x", "a in b", "a near (b)", ",", "a=b=c", "!"] {
            let error = LabelSelector::parse(wrong).unwrap_err();
            assert!(error.contains("key notin (a,b)"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_long_selector_is_refused_with_its_length() {
        for long in ["(".repeat(3000), "a,".repeat(1500), format!("a in ({})", "b,".repeat(1500))] {
            let error = LabelSelector::parse(&long).unwrap_err();
            assert!(error.contains(&format!("has {} bytes", long.len())), "{error}");
            assert!(error.contains("hint: "), "{error}");
        }
    }
}
