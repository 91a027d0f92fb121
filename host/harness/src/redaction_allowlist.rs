//! The redaction allowlist of a recording's rules, derived from their interests and modules.

use std::collections::BTreeSet;

use super::rule::RuleUnderTest;
use klaxon_core::route::selected_labels;
use klaxon_recording::redact::{Keep, Values};

/// Adds the data that a rule reads: labels in its selectors, annotations, fields, values in its field selectors,
/// and the text of its module and settings, because a rule can compare only with strings that these contain.
pub fn keep_for(rule: &RuleUnderTest, keep: &mut Keep) {
    for interest in &rule.manifest().interests {
        for label in selected_labels(&interest.label_selector) {
            // Values that the selector compares with stay; a label that is only required to exist is redacted
            // like any other.
            if !label.values.is_empty() {
                let values = keep.labels.entry(label.key);
                // Another interest may compare the same label with another value.
                match values.or_insert_with(|| Values::Only(BTreeSet::new())) {
                    Values::All => {}
                    Values::Only(values) => values.extend(label.values),
                    values @ Values::Pseudonym => {
                        *values = Values::Only(label.values.into_iter().collect());
                    }
                }
            }
        }
        keep.annotations.extend(interest.annotations.iter().cloned());
        keep.fields.extend(interest.fields.iter().filter_map(|path| field(path)));
        keep.names.extend(selected_values(&interest.field_selector));
    }
    keep.literals.extend_from_slice(rule.bytes());
    keep.literals.push(0);
    // The module does not contain strings that come from the rule's settings.
    keep.literals.extend_from_slice(rule.settings().to_string().as_bytes());
    keep.literals.push(0);
}

/// Converts a JSONPath (RFC 9535) to keys from the root; a filter or a slice becomes `*`, any element. The
/// result ends before a descendant segment (`..`), so everything below stays as it is. `None` if no key
/// remains.
pub fn field(path: &str) -> Option<Vec<String>> {
    let mut keys = Vec::new();
    let mut rest = path.trim().strip_prefix('$')?;
    while !rest.is_empty() {
        let (key, after) = match segment(rest) {
            Some(found) => found,
            None => break,
        };
        keys.push(key);
        rest = after;
    }
    (!keys.is_empty()).then_some(keys)
}

/// Splits off the first segment: `.name`, `['name']`, `["name"]`, `[0]`, `[*]` or `.*`.
fn segment(path: &str) -> Option<(String, &str)> {
    if let Some(inside) = path.strip_prefix('[') {
        let (inside, after) = bracketed(inside)?;
        let quoted = |mark: char| inside.strip_prefix(mark)?.strip_suffix(mark);
        if let Some(name) = quoted('\'').or_else(|| quoted('"')) {
            return Some((name.to_owned(), after));
        }
        return Some(("*".to_owned(), after));
    }
    let name = path.strip_prefix('.')?;
    let end = name.find(['.', '[']).unwrap_or(name.len());
    let (name, after) = name.split_at_checked(end)?;
    (!name.is_empty()).then(|| (name.to_owned(), after))
}

/// Splits after the closing bracket. A filter may contain brackets, also in its strings.
fn bracketed(path: &str) -> Option<(&str, &str)> {
    let (mut depth, mut quote) = (1u32, None);
    let close = path.char_indices().find_map(|(at, c)| {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })?;
    let (inside, rest) = path.split_at_checked(close)?;
    Some((inside, rest.strip_prefix(']')?))
}

/// Returns the values that a field selector (`spec.nodeName=a,status.phase!=Running`) compares with. They
/// stay as names wherever they occur, so that relations hold; other values of the same field are replaced.
fn selected_values(selector: &str) -> impl Iterator<Item = String> {
    let values = selector.split(',').filter_map(|part| part.rsplit_once('='));
    values.map(|(_, value)| value.trim().to_owned()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_keys_as_far_as_they_are_plain() {
        let keys = |path: &str| field(path).unwrap_or_default().join("/");
        assert_eq!(keys("$.spec.serviceName"), "spec/serviceName");
        assert_eq!(keys("$['spec'][\"a.b\"][0].c"), "spec/a.b/*/c");
        assert_eq!(
            keys("$.spec.containers[*].env[?@.name=='A'].value"),
            "spec/containers/*/env/*/value"
        );
        assert_eq!(keys("$..name"), "");
        assert_eq!(keys("spec"), "");
    }

    #[test]
    fn field_selectors_name_values() {
        let values: Vec<_> =
            selected_values("spec.nodeName=a, status.phase!=Running,x==y").collect();
        assert_eq!(values, ["a", "Running", "y"]);
        assert_eq!(selected_values("").count(), 0);
    }
}
