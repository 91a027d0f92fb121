//! Permissions of the journal's files.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{group, start, verdict};
use crate::inspect;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn nobody_but_the_owner_may_read_the_journal_and_its_copies() {
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("a/journal");
    let handle = start(&folder);
    handle.commit_and_wait(group(vec![], vec![verdict(1)], vec![])).unwrap();
    let files = || {
        let names = ["klaxon.db", "klaxon.db-wal", "klaxon.db-shm", "lock"];
        names.map(|name| (name, mode(&folder.join(name))))
    };
    assert_eq!(mode(&folder), 0o700);
    for (name, mode) in files() {
        assert_eq!(mode, 0o600, "{name}");
    }
    let copy = above.path().join("copy.db");
    inspect::backup(&folder, &copy, false).unwrap();
    assert_eq!(mode(&copy), 0o600);
    handle.close().unwrap();
}

#[test]
fn files_that_an_earlier_version_left_readable_are_closed_and_the_folder_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    start(folder.path()).close().unwrap();
    set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    for name in ["klaxon.db", "lock"] {
        set_permissions(folder.path().join(name), Permissions::from_mode(0o644)).unwrap();
    }
    let handle = start(folder.path());
    for name in ["klaxon.db", "klaxon.db-wal", "klaxon.db-shm", "lock"] {
        assert_eq!(mode(&folder.path().join(name)), 0o600, "{name}");
    }
    assert_eq!(mode(folder.path()), 0o755, "it may be a volume that others share");
    handle.close().unwrap();
}
