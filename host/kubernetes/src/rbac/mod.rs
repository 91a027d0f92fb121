//! Generates a ServiceAccount and the smallest roles that grant it given permissions, as YAML for `kubectl apply`.

use std::collections::{BTreeMap, BTreeSet};

use super::permissions::Permission;

/// Verbs that act on objects without a known name: a rule with `resourceNames` never allows them.
const NAMELESS: [&str; 2] = ["create", "deletecollection"];
/// Words that YAML 1.1, which kubectl reads, does not parse as strings.
const WORDS: [&str; 10] = ["true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan"];

/// One rule of a role.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rule {
    group: String,
    resources: BTreeSet<String>,
    names: BTreeSet<String>,
    verbs: BTreeSet<String>,
}

/// Writes a ServiceAccount with its roles and bindings: a ClusterRole for permissions in the whole cluster, and a Role
/// in each namespace for the others.
pub fn manifest(permissions: &[Permission], account: &str, namespace: &str) -> String {
    let name = format!("klaxon:{namespace}:{account}");
    let mut scopes: BTreeMap<Option<&str>, Vec<&Permission>> = BTreeMap::new();
    for permission in permissions {
        // A permission in the whole cluster makes the same permission in one namespace redundant.
        let is_covered = permission.namespace.is_some()
            && permissions.iter().any(|wide| covers(wide, permission));
        if !is_covered {
            scopes.entry(permission.namespace.as_deref()).or_default().push(permission);
        }
    }
    let mut text = String::from(
        "# The service account of Klaxon, and the least permissions that it needs.\n\
         # Its namespace must exist:\n",
    );
    line(&mut text, &format!("#   kubectl create namespace {}", scalar(namespace)));
    write_account(&mut text, account, namespace);
    for (scope, permissions) in scopes {
        write_role(&mut text, &name, scope, &rules(&permissions));
        write_binding(&mut text, &name, scope, (account, namespace));
    }
    text
}

/// Returns `true` if `wide`, granted in the whole cluster, makes `permission` redundant.
fn covers(wide: &Permission, permission: &Permission) -> bool {
    wide.namespace.is_none()
        && wide.group == permission.group
        && wide.resource == permission.resource
        && wide.verb == permission.verb
        && (wide.name.is_none() || wide.name == permission.name)
}

/// Merges permissions of one scope: first the verbs of a resource, then resources with the same verbs.
fn rules(permissions: &[&Permission]) -> Vec<Rule> {
    let mut names: BTreeMap<(&str, &str, &str), BTreeSet<String>> = BTreeMap::new();
    let mut unnamed = BTreeSet::new();
    for permission in permissions {
        let key =
            (permission.group.as_str(), permission.resource.as_str(), permission.verb.as_str());
        match &permission.name {
            Some(name) if !NAMELESS.contains(&key.2) => {
                names.entry(key).or_default().insert(name.clone());
            }
            _ => {
                unnamed.insert(key);
            }
        }
    }
    // A permission for all objects covers the same permission for one object.
    names.retain(|key, _| !unnamed.contains(key));
    names.extend(unnamed.into_iter().map(|key| (key, BTreeSet::new())));

    let mut verbs: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for ((group, resource, verb), names) in names {
        verbs.entry((group, resource, names)).or_default().insert(verb.to_owned());
    }
    let mut resources: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for ((group, resource, names), verbs) in verbs {
        resources.entry((group, names, verbs)).or_default().insert(resource.to_owned());
    }
    let rule = |((group, names, verbs), resources): ((&str, _, _), _)| Rule {
        group: group.to_owned(),
        resources,
        names,
        verbs,
    };
    let mut rules: Vec<Rule> = resources.into_iter().map(rule).collect();
    rules.sort();
    rules
}

fn write_role(text: &mut String, name: &str, namespace: Option<&str>, rules: &[Rule]) {
    let kind = if namespace.is_some() { "Role" } else { "ClusterRole" };
    write_head(text, kind, name, namespace);
    text.push_str("rules:\n");
    for rule in rules {
        line(text, &format!("  - apiGroups: [{}]", scalar(&rule.group)));
        line(text, &format!("    resources: {}", list(&rule.resources)));
        if !rule.names.is_empty() {
            line(text, &format!("    resourceNames: {}", list(&rule.names)));
        }
        line(text, &format!("    verbs: {}", list(&rule.verbs)));
    }
}

fn write_binding(text: &mut String, name: &str, namespace: Option<&str>, subject: (&str, &str)) {
    let (kind, role) = match namespace {
        Some(_) => ("RoleBinding", "Role"),
        None => ("ClusterRoleBinding", "ClusterRole"),
    };
    write_head(text, kind, name, namespace);
    text.push_str("roleRef:\n  apiGroup: rbac.authorization.k8s.io\n");
    line(text, &format!("  kind: {role}"));
    line(text, &format!("  name: {}", scalar(name)));
    text.push_str("subjects:\n  - kind: ServiceAccount\n");
    line(text, &format!("    name: {}", scalar(subject.0)));
    line(text, &format!("    namespace: {}", scalar(subject.1)));
}

fn write_account(text: &mut String, account: &str, namespace: &str) {
    text.push_str("---\napiVersion: v1\n");
    write_metadata(text, "ServiceAccount", account, Some(namespace));
}

fn write_head(text: &mut String, kind: &str, name: &str, namespace: Option<&str>) {
    text.push_str("---\napiVersion: rbac.authorization.k8s.io/v1\n");
    write_metadata(text, kind, name, namespace);
}

fn write_metadata(text: &mut String, kind: &str, name: &str, namespace: Option<&str>) {
    line(text, &format!("kind: {kind}"));
    text.push_str("metadata:\n");
    line(text, &format!("  name: {}", scalar(name)));
    if let Some(namespace) = namespace {
        line(text, &format!("  namespace: {}", scalar(namespace)));
    }
}

fn line(text: &mut String, content: &str) {
    text.push_str(content);
    text.push('\n');
}

fn list(items: &BTreeSet<String>) -> String {
    let items: Vec<String> = items.iter().map(|item| scalar(item)).collect();
    format!("[{}]", items.join(", "))
}

/// Writes a string that YAML parses back unchanged: plain if that is safe, else quoted.
fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-./".contains(c))
        && !WORDS.contains(&text);
    if is_plain {
        return text.to_owned();
    }
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            c if u32::from(c) <= 0xffff => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
