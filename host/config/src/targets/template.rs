//! Names with placeholders, such as `klaxon.{rule}.{code}`. A name is rendered once, when its delivery is created, so
//! that each attempt uses the same name.

use klaxon_model::{Severity, Verdict};
use klaxon_yaml::nearest;

/// A name with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Fact(Fact),
}

/// The property of a verdict that a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fact {
    Cluster,
    Rule,
    Code,
    Severity,
    Status,
    Namespace,
    Kind,
}

const FACTS: [(&str, Fact); 7] = [
    ("cluster", Fact::Cluster),
    ("rule", Fact::Rule),
    ("code", Fact::Code),
    ("severity", Fact::Severity),
    ("status", Fact::Status),
    ("namespace", Fact::Namespace),
    ("kind", Fact::Kind),
];

impl Fact {
    fn of(self, verdict: &Verdict) -> &str {
        match self {
            Self::Cluster => &verdict.cluster,
            Self::Rule => &verdict.rule,
            Self::Code => &verdict.code,
            Self::Severity => match verdict.severity {
                Severity::Info => "info",
                Severity::Warning => "warning",
                Severity::Error => "error",
                Severity::Critical => "critical",
            },
            Self::Status => verdict.status.as_str(),
            Self::Namespace => &verdict.object.namespace,
            Self::Kind => &verdict.object.kind,
        }
    }
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// Returns a message with a hint if the template is invalid.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            push_text(&mut parts, before)?;
            let Some((name, tail)) = after.split_once('}') else {
                return Err("a { has no }; hint: close it, as in {rule}".to_owned());
            };
            let fact = FACTS.iter().find(|(known, _)| *known == name).map(|(_, fact)| *fact);
            let Some(fact) = fact else {
                let known = FACTS.map(|(known, _)| known);
                return Err(format!(
                    "{{{name}}} stands for nothing; {}. The known ones are {}",
                    nearest(name, &known),
                    known.map(|known| format!("{{{known}}}")).join(", ")
                ));
            };
            parts.push(Part::Fact(fact));
            rest = tail;
        }
        push_text(&mut parts, rest)?;
        Ok(Self(parts))
    }

    /// Returns the template with `value` in place of each placeholder.
    pub(super) fn filled_with(&self, value: &str) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text,
            Part::Fact(_) => value,
        });
        parts.collect()
    }

    /// Renders the name for a verdict. In values of the verdict, unfit characters become `_`, and so does an empty
    /// value; the fixed parts were validated before.
    pub(super) fn render(&self, verdict: &Verdict, is_unfit: fn(char) -> bool) -> String {
        let mut name = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Fact(fact) => match fact.of(verdict) {
                    "" => name.push('_'),
                    value => name.extend(value.chars().map(|c| if is_unfit(c) { '_' } else { c })),
                },
            }
        }
        name
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) -> Result<(), String> {
    if text.contains('}') {
        return Err("a } has no {; hint: open it, as in {rule}".to_owned());
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_placeholder_is_told_with_the_known_ones() {
        let error = Template::parse("klaxon.{rule}.{pod}").unwrap_err();
        assert!(error.starts_with("{pod} stands for nothing; hint: "), "{error}");
        for known in ["{cluster}", "{rule}", "{code}", "{severity}", "{namespace}", "{kind}"] {
            assert!(error.contains(known), "{error}");
        }
    }

    #[test]
    fn braces_come_in_pairs() {
        for wrong in ["a.{rule", "a.rule}", "{", "}", "{rule}}", "{{rule}}", "{}"] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_template_needs_no_placeholder() {
        assert_eq!(Template::parse("a.b").map(|name| name.filled_with("x")), Ok("a.b".to_owned()));
    }
}
