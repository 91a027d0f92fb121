//! What of a recording its rules need: the keep-list that their interests and modules make.

use super::rule::RuleUnderTest;
use crate::route::selected_labels;
use crate::stream::redact::{Keep, Values};

/// Adds what a rule asks for: labels that its selectors and partitions name, annotations, fields, and
/// the text of its module, for a rule can only compare with text that it contains.
pub fn keep_for(rule: &RuleUnderTest, keep: &mut Keep) {
    for interest in &rule.manifest().interests {
        for label in selected_labels(&interest.label_selector) {
            // Values that the selector compares with stay; a label that only has to be there is
            // asked about like any other.
            if !label.values.is_empty() {
                keep.labels.insert(label.key, Values::Only(label.values.into_iter().collect()));
            }
        }
        keep.annotations.extend(interest.annotations.iter().cloned());
        keep.fields.extend(interest.fields.iter().filter_map(|path| field(path)));
        keep.fields.extend(selected_fields(&interest.field_selector));
    }
    keep.literals.extend_from_slice(rule.bytes());
    keep.literals.push(0);
}

/// A JSONPath (RFC 9535) of names, indices and wildcards as keys from the root; what follows anything
/// else stays whole. None where nothing comes before that.
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

/// `.name`, `['name']`, `["name"]`, `[0]`, `[*]` or `.*`, and what comes after it.
fn segment(path: &str) -> Option<(String, &str)> {
    if let Some(inside) = path.strip_prefix('[') {
        let (inside, after) = inside.split_once(']')?;
        let quoted = |mark: char| inside.strip_prefix(mark)?.strip_suffix(mark);
        if let Some(name) = quoted('\'').or_else(|| quoted('"')) {
            return Some((name.to_owned(), after));
        }
        let is_element = inside == "*" || inside.chars().all(|c| c.is_ascii_digit());
        return is_element.then(|| ("*".to_owned(), after));
    }
    let name = path.strip_prefix('.')?;
    let end = name.find(['.', '[']).unwrap_or(name.len());
    let (name, after) = name.split_at_checked(end)?;
    (!name.is_empty()).then(|| (name.to_owned(), after))
}

/// The paths that a field selector (`spec.nodeName=a,status.phase!=Running`) compares.
fn selected_fields(selector: &str) -> impl Iterator<Item = Vec<String>> {
    let paths = selector.split(',').filter_map(|part| part.split(['=', '!']).next());
    paths
        .map(str::trim)
        .filter(|path| !path.is_empty())
        .map(|path| path.split('.').map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_keys_as_far_as_they_are_plain() {
        let keys = |path: &str| field(path).unwrap_or_default().join("/");
        assert_eq!(keys("$.spec.serviceName"), "spec/serviceName");
        assert_eq!(keys("$['spec'][\"a.b\"][0].c"), "spec/a.b/*/c");
        assert_eq!(keys("$.spec.containers[*].env[?@.name=='A'].value"), "spec/containers/*/env");
        assert_eq!(keys("$..name"), "");
        assert_eq!(keys("spec"), "");
    }

    #[test]
    fn field_selectors_name_paths() {
        let paths: Vec<_> = selected_fields("spec.nodeName=a, status.phase!=Running").collect();
        assert_eq!(paths, [vec!["spec", "nodeName"], vec!["status", "phase"]]);
        assert_eq!(selected_fields("").count(), 0);
    }
}
