//! Lists in pages, all of which show the state at the first page.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::answer::{Answer, Refusal, cut_short, in_pieces, json};
use super::fault::Fault;
use super::object::{Spoil, Version};
use super::select::Filter;
use super::store::Store;
use super::watch::too_large;
use super::{Call, object::Shape, store::Registered};

/// Number of lists that are retained for their next pages.
const KEPT: usize = 32;

/// Lists with pages that have not been requested yet.
#[derive(Default)]
pub(super) struct Pages {
    lists: VecDeque<(u64, Arc<Whole>)>,
    count: u64,
}

/// A list as of its first page.
pub(super) struct Whole {
    table: usize,
    revision: u64,
    versions: Vec<Version>,
}

impl Pages {
    fn keep(&mut self, list: Arc<Whole>) -> u64 {
        self.count += 1;
        self.lists.push_back((self.count, list));
        if self.lists.len() > KEPT {
            self.lists.pop_front();
        }
        self.count
    }

    /// Resolves a continue token to the number of the list, the list, and the number of items on earlier pages.
    fn continued(&self, token: &str, table: usize) -> Result<(u64, Arc<Whole>, usize), Refusal> {
        let invalid = || Refusal::bad_request("continue key is not valid");
        let (number, done) = token
            .strip_prefix("list-")
            .and_then(|rest| rest.split_once('-'))
            .ok_or_else(invalid)?;
        let number: u64 = number.parse().map_err(|_| invalid())?;
        let done = done.parse().map_err(|_| invalid())?;
        let found = self.lists.iter().find(|(other, _)| *other == number);
        let (_, list) = found.ok_or_else(expired)?;
        if list.table == table { Ok((number, list.clone(), done)) } else { Err(invalid()) }
    }

    /// Expires all tokens.
    pub(super) fn expire(&mut self) {
        self.lists.clear();
    }
}

fn expired() -> Refusal {
    Refusal::new(
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result. \
         You can start a new list without the continue parameter.",
    )
}

/// Answers a list request.
pub(super) async fn list(call: &Call, served: &Registered) -> Answer {
    if call.fault == Some(Fault::ExpiredContinue) {
        return Err(expired());
    }
    let filter = Filter::new(call.asked.namespace(), &call.asked.query);
    let filter = filter.map_err(|fault| Refusal::bad_request(&fault))?;
    let found = page(call, served, &filter, &mut call.shared.store());
    // A real server waits up to three seconds for the version; here any wait is enough.
    if matches!(&found, Err(refusal) if refusal.code == 504) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (list, from, to, token) = found?;
    let mut metadata = String::new();
    if let Some(token) = token {
        metadata.push_str(&format!(r#","continue":"{token}""#));
        if !filter.selects() {
            let remaining = list.versions.len() - to;
            metadata.push_str(&format!(r#","remainingItemCount":{remaining}"#));
        }
    }
    let spoil = Spoil::of(call.fault.as_ref());
    let shape = Shape::new(&served.kind, &call.asked.accept);
    let text = shape.list(&list.versions[from..to], list.revision, &metadata, spoil);
    match call.fault {
        Some(Fault::TruncatedList) => cut_short(text),
        Some(Fault::SlowBody { pieces, millis }) => {
            in_pieces(text, pieces, Duration::from_millis(millis))
        }
        _ => Ok(json(200, text)),
    }
}

type Page = (Arc<Whole>, usize, usize, Option<String>);

/// Returns the list, the range of its items on this page, and the token of the next page.
fn page(
    call: &Call,
    served: &Registered,
    filter: &Filter,
    store: &mut Store,
) -> Result<Page, Refusal> {
    let asked = |name: &str| call.asked.param(name);
    let limit = asked("limit").parse::<usize>().ok().filter(|limit| *limit > 0);
    let (number, list, from) = match asked("continue") {
        "" => (None, Arc::new(first(call, served, filter, store)?), 0),
        _ if !matches!(asked("resourceVersion"), "" | "0") => {
            let fault = "specifying resource version is not allowed when using continue";
            return Err(Refusal::bad_request(fault));
        }
        token => {
            let (number, list, from) = store.pages.continued(token, served.table)?;
            (Some(number), list, from)
        }
    };
    let total = list.versions.len();
    // From its cache, a server returns the whole list for any limit.
    let whole = asked("resourceVersion") == "0" && served.kind.cached && number.is_none();
    let to = limit.filter(|_| !whole).map_or(total, |limit| total.min(from.saturating_add(limit)));
    let token = (to < total).then(|| {
        let number = number.unwrap_or_else(|| store.pages.keep(list.clone()));
        format!("list-{number}-{to}")
    });
    Ok((list, from.min(to), to, token))
}

/// Returns the current state, if the request allows that.
fn first(
    call: &Call,
    served: &Registered,
    filter: &Filter,
    store: &Store,
) -> Result<Whole, Refusal> {
    let wanted = match call.asked.param("resourceVersion") {
        "" => None,
        text => match text.parse::<u64>() {
            Ok(version) => Some(version),
            Err(_) => return Err(Refusal::bad_request("invalid resource version")),
        },
    };
    match (call.asked.param("resourceVersionMatch"), wanted) {
        ("", _) | ("NotOlderThan" | "Exact", Some(_)) => {}
        _ => return Err(Refusal::invalid("resourceVersionMatch: Forbidden or not supported")),
    }
    if let Some(wanted) = wanted.filter(|wanted| *wanted > store.revision) {
        return Err(too_large(wanted, store.revision));
    }
    let exact = call.asked.param("resourceVersionMatch") == "Exact";
    if let Some(wanted) = wanted.filter(|wanted| exact && *wanted < store.revision) {
        let message = format!("The provided resource version is too old: {wanted}");
        return Err(Refusal::new(410, "Expired", &message));
    }
    let versions = present(store, served.table, filter);
    Ok(Whole { table: served.table, revision: store.revision, versions })
}

/// Returns the current objects, ordered by namespace and name.
pub(super) fn present(store: &Store, table: usize, filter: &Filter) -> Vec<Version> {
    let objects = &store.table(table).objects;
    let start = (filter.namespace().unwrap_or_default().to_owned(), String::new());
    let found = objects
        .range(start..)
        .map(|(_, version)| version)
        .take_while(|version| filter.namespace().is_none_or(|name| name == version.body.namespace));
    found.filter(|version| filter.matches(&version.body)).cloned().collect()
}
