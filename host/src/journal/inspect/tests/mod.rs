//! Inspection and changes of journals, on real files.

mod change;
mod concurrent;
mod copy;
mod look;

use super::{Filter, Selection};

fn ids(ids: &[&str]) -> Selection {
    Selection { ids: ids.iter().map(|id| (*id).to_owned()).collect(), ..Selection::default() }
}

fn target(name: &str) -> Selection {
    let filter = Filter { target: Some(name.to_owned()), ..Filter::default() };
    Selection { filter, ..Selection::default() }
}

fn silent() -> impl FnMut(u64) {
    |_| {}
}
