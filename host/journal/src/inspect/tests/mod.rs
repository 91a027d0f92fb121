//! Inspection and changes of journals, on real files.

mod change;
mod concurrent;
mod copy;
mod look;

use std::path::Path;

use klaxon_test_support::journal_file::{self, Sample};
use rusqlite::Connection;

use super::{Editor, Filter, Reader, Selection};
use crate::{FILE, schema};

fn create(folder: &Path) {
    let mut connection = Connection::open(folder.join(FILE)).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    schema::migrate(&mut connection).unwrap();
}

fn empty() -> Sample {
    Sample::new(create)
}

fn furnished() -> Sample {
    journal_file::furnished(create)
}

/// Opens a sample with the crate's own types.
trait Opened {
    fn reader(&self) -> Reader;
    fn editor(&self) -> Editor;
}

impl Opened for Sample {
    fn reader(&self) -> Reader {
        Reader::open(self.folder()).unwrap()
    }

    fn editor(&self) -> Editor {
        Editor::open(self.folder()).unwrap()
    }
}

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
