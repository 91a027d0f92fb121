//! Access control: tokens, permissions, and their reviews.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::answer::{Answer, Refusal, json as json_reply};
use super::asked::{Asked, Verb};

/// An action and the resource that it is requested on.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    verb: String,
    group: String,
    /// Plural of the kind.
    resource: String,
    /// Empty for all namespaces.
    namespace: String,
}

/// The access rules. By default everything is allowed.
#[derive(Default)]
pub(super) struct Access {
    pub(super) tokens: Option<BTreeSet<String>>,
    pub(super) denied: Vec<(String, String, String)>,
}

impl Access {
    pub(super) fn knows(&self, token: &str) -> bool {
        self.tokens.as_ref().is_none_or(|tokens| tokens.contains(token))
    }

    pub(super) fn allows(&self, wish: &Wish) -> bool {
        let is = |rule: &str, value: &str| rule == "*" || rule == value;
        let denied = self.denied.iter().any(|(verb, resource, namespace)| {
            is(verb, &wish.verb) && is(resource, &wish.resource) && is(namespace, &wish.namespace)
        });
        !denied
    }

    /// Refuses requests that are not allowed, with the messages of a real API server.
    pub(super) fn check(&self, asked: &Asked) -> Result<(), Refusal> {
        let Some(resource) = &asked.resource else { return Ok(()) };
        if asked.verb == Verb::Review {
            return Ok(());
        }
        let wish = Wish {
            verb: asked.verb.as_str().to_owned(),
            group: resource.group.clone(),
            resource: resource.plural.clone(),
            namespace: resource.namespace.clone().unwrap_or_default(),
        };
        if self.allows(&wish) {
            return Ok(());
        }
        let Wish { verb, group, resource, namespace } = wish;
        let (full, scope) = (
            if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") },
            match namespace.as_str() {
                "" => "at the cluster scope".to_owned(),
                name => format!("in the namespace {name:?}"),
            },
        );
        let message = format!(
            "{full} is forbidden: User \"test\" cannot {verb} resource {resource:?} in API group \
             {group:?} {scope}"
        );
        Err(Refusal::new(403, "Forbidden", &message))
    }

    /// Answers a SelfSubjectAccessReview.
    pub(super) fn review(&self, body: &[u8]) -> Answer {
        let review: Result<Value, _> = serde_json::from_slice(body);
        let mut review = review.map_err(|fault| Refusal::bad_request(&fault.to_string()))?;
        let wanted = &review["spec"]["resourceAttributes"];
        let text = |name: &str| wanted[name].as_str().unwrap_or_default().to_owned();
        let wish = Wish {
            verb: text("verb"),
            group: text("group"),
            resource: text("resource"),
            namespace: text("namespace"),
        };
        let allowed = wanted.is_null() || self.allows(&wish);
        review["kind"] = json!("SelfSubjectAccessReview");
        review["apiVersion"] = json!("authorization.k8s.io/v1");
        review["status"] = json!({"allowed": allowed});
        Ok(json_reply(201, review.to_string()))
    }
}
