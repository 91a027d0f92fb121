//! The target and the parameters of a request.

use std::collections::BTreeMap;

use hyper::header::{ACCEPT, AUTHORIZATION};
use hyper::http::request::Parts;

/// A request that the server got.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) accept: String,
    pub(crate) verb: Verb,
}

/// The action of a request, in the verbs of role-based access control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Discovery, version and health.
    Discover,
    List,
    Watch,
    Get,
    Create,
    Update,
    Patch,
    Delete,
    /// A SelfSubjectAccessReview.
    Review,
}

impl Verb {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Discover => "discover",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Get => "get",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::Review => "review",
        }
    }
}

pub(super) struct Asked {
    pub(super) path: String,
    pub(super) query: BTreeMap<String, String>,
    pub(super) accept: String,
    pub(super) content_type: String,
    pub(super) token: String,
    pub(super) verb: Verb,
    /// `None` for discovery and for unknown paths.
    pub(super) resource: Option<ResourcePath>,
}

/// The objects that a path denotes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ResourcePath {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
}

impl Asked {
    pub(super) fn new(parts: &Parts) -> Self {
        let header = |name| {
            let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let query = parts.uri.query().unwrap_or_default();
        let query: BTreeMap<_, _> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let path = parts.uri.path().to_owned();
        let resource = resource(&path);
        let verb = verb(parts.method.as_str(), resource.as_ref(), &query);
        let token = header(AUTHORIZATION);
        Self {
            accept: header(ACCEPT),
            content_type: header(hyper::header::CONTENT_TYPE),
            token: token.strip_prefix("Bearer ").unwrap_or_default().to_owned(),
            path,
            query,
            verb,
            resource,
        }
    }

    /// Returns a parameter, or an empty string without one.
    pub(super) fn param(&self, name: &str) -> &str {
        self.query.get(name).map(String::as_str).unwrap_or_default()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.param(name), "1" | "true")
    }

    pub(super) fn plural(&self) -> &str {
        self.resource.as_ref().map(|resource| resource.plural.as_str()).unwrap_or_default()
    }

    pub(super) fn namespace(&self) -> Option<&str> {
        self.resource.as_ref().and_then(|resource| resource.namespace.as_deref())
    }

    pub(super) fn seen(&self) -> Seen {
        Seen {
            path: self.path.clone(),
            query: self.query.clone(),
            accept: self.accept.clone(),
            verb: self.verb,
        }
    }
}

fn verb(method: &str, resource: Option<&ResourcePath>, query: &BTreeMap<String, String>) -> Verb {
    let Some(resource) = resource else { return Verb::Discover };
    let watch = query.get("watch").is_some_and(|value| matches!(value.as_str(), "1" | "true"));
    match method {
        "POST" if resource.plural == "selfsubjectaccessreviews" => Verb::Review,
        "POST" => Verb::Create,
        "PUT" => Verb::Update,
        "PATCH" => Verb::Patch,
        "DELETE" => Verb::Delete,
        _ if resource.name.is_some() => Verb::Get,
        _ if watch => Verb::Watch,
        _ => Verb::List,
    }
}

fn resource(path: &str) -> Option<ResourcePath> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", version, rest),
        ["apis", group, version, rest @ ..] => (*group, version, rest),
        _ => return None,
    };
    let (namespace, plural, name) = match rest {
        [] => return None,
        ["namespaces", namespace, plural] if *plural != "status" => (Some(namespace), plural, None),
        ["namespaces", namespace, plural, name]
        | ["namespaces", namespace, plural, name, "status"] => {
            (Some(namespace), plural, Some(name))
        }
        [plural] => (None, plural, None),
        [plural, name] | [plural, name, "status"] => (None, plural, Some(name)),
        _ => return None,
    };
    Some(ResourcePath {
        group: group.to_owned(),
        version: (*version).to_owned(),
        plural: (*plural).to_owned(),
        namespace: namespace.map(|name| (*name).to_owned()),
        name: name.map(|name| (*name).to_owned()),
    })
}
