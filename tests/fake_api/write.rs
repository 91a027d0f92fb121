//! Single objects: read, create, replace, patch and delete, with optimistic concurrency.

use serde_json::{Map, Value, json};

use super::Call;
use super::answer::{Answer, Refusal, json as json_reply};
use super::asked::Verb;
use super::events;
use super::kinds::Kind;
use super::object::{Body, Shape, Version};
use super::store::{Key, Registered, Store};

/// Answers a request for a single object.
pub(super) fn single(call: &Call, served: &Registered, body: &[u8]) -> Answer {
    let store = &mut call.shared.store();
    let namespace = call.asked.namespace().unwrap_or_default().to_owned();
    let name = call.asked.resource.as_ref().and_then(|resource| resource.name.clone());
    let key = (namespace, name.unwrap_or_default());
    let found = store.table(served.table).objects.get(&key).cloned();
    let found = found.ok_or_else(|| not_found(&served.kind, &key.1));
    let shape = Shape::new(&served.kind, &call.asked.accept);
    let show =
        |code, version: &Version| json_reply(code, shape.object(&version.body, version.revision));
    match call.asked.verb {
        Verb::Get => Ok(show(200, &found?)),
        Verb::Create => Ok(show(201, &create(served, key, body, store)?)),
        Verb::Update => {
            let object = parse(body, &served.kind)?;
            match found {
                Ok(old) => Ok(show(200, &replace(served, key, object, &old, store)?)),
                Err(_) if may_create(&served.kind, &object) => {
                    Ok(show(201, &create(served, (key.0, String::new()), body, store)?))
                }
                Err(missing) => Err(missing),
            }
        }
        Verb::Patch => {
            if call.asked.content_type.contains("json-patch")
                || call.asked.content_type.contains("apply-patch")
            {
                let message = "only merge patches are served here";
                return Err(Refusal::new(415, "UnsupportedMediaType", message));
            }
            let old = found?;
            let patch = parse(body, &served.kind)?;
            let wanted =
                patch.get("metadata").and_then(|data| data.get("resourceVersion")).cloned();
            let mut object = old.body.value();
            merge(&mut object, Value::Object(patch));
            // Without a version in the patch, the patch applies to the newest state.
            object["metadata"]["resourceVersion"] = wanted.unwrap_or_default();
            let Value::Object(object) = object else { unreachable!() };
            Ok(show(200, &replace(served, key, object, &old, store)?))
        }
        Verb::Delete => delete(served, key, body, &found?, store),
        _ => Err(Refusal::usual(405)),
    }
}

fn create(
    served: &Registered,
    (namespace, _): Key,
    body: &[u8],
    store: &mut Store,
) -> Result<Version, Refusal> {
    let kind = &served.kind;
    let mut object = parse(body, kind)?;
    let metadata = metadata(&mut object)?;
    let text = |name: &str| metadata.get(name).and_then(Value::as_str).unwrap_or_default();
    let (given, mut name) = (text("namespace").to_owned(), text("name").to_owned());
    let prefix = text("generateName").to_owned();
    if !text("resourceVersion").is_empty() {
        let message = "resourceVersion should not be set on objects to be created";
        return Err(Refusal::bad_request(message));
    }
    if !given.is_empty() && given != namespace {
        let message = "the namespace of the provided object does not match the namespace sent on \
                       the request";
        return Err(Refusal::bad_request(message));
    }
    if name.is_empty() && !prefix.is_empty() {
        name = format!("{prefix}{}", store.suffix());
    }
    if name.is_empty() {
        return Err(Refusal::invalid("metadata.name: Required value"));
    }
    metadata.insert("name".to_owned(), json!(name));
    if kind.namespaced {
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    metadata.remove("uid");
    metadata.remove("creationTimestamp");
    if kind.is_event() {
        events::check(&kind.group, &Value::Object(object.clone()), &namespace)?;
    }
    let key = (namespace, name);
    if store.table(served.table).objects.contains_key(&key) {
        let message = format!("{} {:?} already exists", full_name(kind), key.1);
        return Err(Refusal::new(409, "AlreadyExists", &message));
    }
    store.fill(&mut object, None);
    Ok(written(served, key, Body::new(object), store))
}

fn replace(
    served: &Registered,
    key: Key,
    mut object: Map<String, Value>,
    old: &Version,
    store: &mut Store,
) -> Result<Version, Refusal> {
    let kind = &served.kind;
    let metadata = metadata(&mut object)?;
    let text = |name: &str| metadata.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("name") != key.1 {
        let message = "the name of the object does not match the name on the URL";
        return Err(Refusal::bad_request(message));
    }
    let version = text("resourceVersion");
    let other_uid = !text("uid").is_empty() && text("uid") != old.body.uid;
    if other_uid || (!version.is_empty() && version != old.revision.to_string()) {
        return Err(conflict(kind, &key.1));
    }
    if version.is_empty() && kind.kind == "Lease" && metadata.get("resourceVersion").is_none() {
        let message = "metadata.resourceVersion: Invalid value: 0: must be specified for an update";
        return Err(Refusal::invalid(message));
    }
    if kind.namespaced {
        metadata.insert("namespace".to_owned(), json!(key.0));
    }
    metadata.remove("uid");
    metadata.remove("creationTimestamp");
    store.fill(&mut object, Some(&old.body));
    let body = Body::new(object);
    // A write that changes nothing does not make a new version.
    if body == *old.body { Ok(old.clone()) } else { Ok(written(served, key, body, store)) }
}

fn delete(served: &Registered, key: Key, body: &[u8], old: &Version, store: &mut Store) -> Answer {
    let options: Value = serde_json::from_slice(body).unwrap_or_default();
    let wanted = |name: &str| options["preconditions"][name].as_str();
    if wanted("uid").is_some_and(|uid| uid != old.body.uid)
        || wanted("resourceVersion").is_some_and(|version| version != old.revision.to_string())
    {
        return Err(conflict(&served.kind, &key.1));
    }
    let details = json!({"name": key.1, "kind": served.kind.plural, "uid": old.body.uid});
    store.write(served.table, key, None);
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Success", "details": details});
    Ok(json_reply(200, status.to_string()))
}

fn written(served: &Registered, key: Key, body: Body, store: &mut Store) -> Version {
    store.write(served.table, key.clone(), Some(body));
    store.table(served.table).objects[&key].clone()
}

/// Returns `true` if a replacement may create the object: a Lease or an Event without a resource version.
fn may_create(kind: &Kind, object: &Map<String, Value>) -> bool {
    let version = object.get("metadata").and_then(|metadata| metadata.get("resourceVersion"));
    let unset = version.and_then(Value::as_str).unwrap_or_default().is_empty();
    unset && matches!(kind.kind.as_str(), "Lease" | "Event")
}

fn parse(body: &[u8], kind: &Kind) -> Result<Map<String, Value>, Refusal> {
    let object: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|fault| Refusal::bad_request(&format!("cannot decode: {fault}")))?;
    let same = |name: &str, wanted: &str| object.get(name).is_none_or(|value| value == wanted);
    if !same("kind", &kind.kind) || !same("apiVersion", &kind.api_version()) {
        return Err(Refusal::bad_request("the object provided is of another kind or version"));
    }
    Ok(object)
}

fn metadata(object: &mut Map<String, Value>) -> Result<&mut Map<String, Value>, Refusal> {
    let metadata = object.entry("metadata").or_insert(json!({})).as_object_mut();
    metadata.ok_or_else(|| Refusal::bad_request("metadata is not an object"))
}

/// Applies a JSON merge patch (RFC 7386).
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        match value {
            Value::Null => _ = target.as_object_mut().unwrap().remove(&key),
            value => merge(&mut target[key], value),
        }
    }
}

fn full_name(kind: &Kind) -> String {
    match kind.group.as_str() {
        "" => kind.plural.clone(),
        group => format!("{}.{group}", kind.plural),
    }
}

fn not_found(kind: &Kind, name: &str) -> Refusal {
    Refusal::new(404, "NotFound", &format!("{} {name:?} not found", full_name(kind)))
}

fn conflict(kind: &Kind, name: &str) -> Refusal {
    let message = format!(
        "Operation cannot be fulfilled on {} {name:?}: the object has been modified; please apply \
         your changes to the latest version and try again",
        full_name(kind)
    );
    Refusal::new(409, "Conflict", &message)
}
