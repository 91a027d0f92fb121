//! Formats reviewed permissions for people and for programs.

use serde_json::{Value, json};

use super::{Answer, Permission};

const HEAD: [&str; 4] = ["RESOURCE", "VERB", "NAMESPACE", "ANSWER"];
/// The namespace column of a permission in the whole cluster; no namespace can have this name.
const EVERYWHERE: &str = "*";

/// Formats a table for people, with a header and one line for each permission.
pub fn table(reviewed: &[(Permission, Answer)]) -> String {
    let mut lines = vec![HEAD.map(str::to_owned)];
    lines.extend(reviewed.iter().map(|(permission, answer)| {
        let resource = match &permission.name {
            Some(name) => format!("{} {name}", permission.qualified()),
            None => permission.qualified(),
        };
        let namespace = permission.namespace.as_deref().unwrap_or(EVERYWHERE);
        [resource, permission.verb.clone(), namespace.to_owned(), words(answer)]
    }));
    let width = |column: usize| {
        lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()
    };
    let [first, second, third] = [width(0), width(1), width(2)];
    let mut text = String::new();
    for [resource, verb, namespace, answer] in &lines {
        let line = format!("{resource:first$}  {verb:second$}  {namespace:third$}  {answer}\n");
        text.push_str(&line);
    }
    text
}

/// Returns a JSON list for programs, with one object for each permission, in their order.
pub fn document(reviewed: &[(Permission, Answer)]) -> Value {
    reviewed
        .iter()
        .map(|(permission, answer)| {
            let (word, why) = match answer {
                Answer::Granted => ("granted", None),
                Answer::Missing { why } => ("missing", Some(why)),
                Answer::Unknown { why } => ("unknown", Some(why)),
            };
            json!({
                "group": permission.group,
                "resource": permission.resource,
                "verb": permission.verb,
                "namespace": permission.namespace,
                "name": permission.name,
                "answer": word,
                "why": why,
            })
        })
        .collect()
}

fn words(answer: &Answer) -> String {
    match answer {
        Answer::Granted => "granted".to_owned(),
        Answer::Missing { why } => format!("missing: {why}"),
        Answer::Unknown { why } => format!("unknown: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(group: &str, resource: &str, verb: &str, namespace: Option<&str>) -> Permission {
        Permission {
            group: group.to_owned(),
            resource: resource.to_owned(),
            verb: verb.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: None,
        }
    }

    fn reviewed() -> Vec<(Permission, Answer)> {
        let secret = Permission {
            name: Some("x".to_owned()),
            ..permission("", "secrets", "get", Some("a"))
        };
        vec![
            (permission("", "pods", "watch", Some("a")), Answer::Granted),
            (
                permission("apps", "deployments/scale", "list", None),
                Answer::Missing { why: "no rule allows it".to_owned() },
            ),
            (secret, Answer::Unknown { why: "not reviewed".to_owned() }),
        ]
    }

    #[test]
    fn a_table_has_a_line_for_each_right() {
        let expected = "\
RESOURCE                VERB   NAMESPACE  ANSWER
pods                    watch  a          granted
deployments.apps/scale  list   *          missing: no rule allows it
secrets x               get    a          unknown: not reviewed
";
        assert_eq!(table(&reviewed()), expected);
    }

    #[test]
    fn a_document_has_an_object_for_each_right() {
        assert_eq!(
            document(&reviewed())[1],
            json!({
                "group": "apps", "resource": "deployments/scale", "verb": "list",
                "namespace": null, "name": null,
                "answer": "missing", "why": "no rule allows it",
            })
        );
    }

    #[test]
    fn a_right_is_shown_as_a_sentence_would_say_it() {
        let shown: Vec<String> =
            reviewed().iter().map(|(permission, _)| permission.to_string()).collect();
        assert_eq!(
            shown,
            [
                r#"watch pods in namespace "a""#,
                "list deployments.apps/scale in the whole cluster",
                r#"get secrets "x" in namespace "a""#,
            ]
        );
    }
}
