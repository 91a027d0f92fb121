//! Possible contents of a disk after a power loss at some moment of a trace.

use std::collections::BTreeMap;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::trace::{Deed, Trace};

/// Chance of unsynced changes to be on the disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Luck {
    pub(super) seed: u64,
    /// The unit that a disk writes atomically.
    pub(super) sector: usize,
    /// Probability of each sector and of each change of a name or length to be there.
    pub(super) kept: f64,
}

impl Luck {
    /// No unsynced change is there.
    pub(super) const NONE: Self = Self { seed: 0, sector: 512, kept: 0.0 };

    pub(super) fn random(random: &mut StdRng) -> Self {
        let kept = [0.0, 0.1, 0.5, 0.9, 1.0];
        Self {
            seed: random.random(),
            sector: if random.random() { 512 } else { 4096 },
            kept: kept[random.random_range(0..kept.len())],
        }
    }
}

/// The files of a folder by name, or `None` where the folder itself is not there.
pub(super) type Disk = Option<BTreeMap<String, Vec<u8>>>;

/// A change of a file, and its time.
struct Change<'a> {
    ended: usize,
    deed: &'a Deed,
}

/// A file, independent of its current name.
#[derive(Default)]
struct File<'a> {
    changes: Vec<Change<'a>>,
    /// Changes that had ended by this moment are on the disk.
    synced: usize,
}

impl File<'_> {
    fn content(&self, luck: Luck, random: &mut StdRng) -> Vec<u8> {
        let mut content = Vec::new();
        for change in &self.changes {
            let is_synced = change.ended < self.synced;
            match change.deed {
                Deed::Write { offset, data, .. } if is_synced => write(&mut content, *offset, data),
                Deed::Write { offset, data, .. } => {
                    // The new length may be there without the data.
                    if random.random_bool(luck.kept) && content.len() < offset + data.len() {
                        content.resize(offset + data.len(), 0);
                    }
                    let mut from = 0;
                    while from < data.len() {
                        let to_boundary = luck.sector - (offset + from) % luck.sector;
                        let to = data.len().min(from + to_boundary);
                        if random.random_bool(luck.kept) {
                            write(&mut content, offset + from, &data[from..to]);
                        }
                        from = to;
                    }
                }
                Deed::Resize { length, .. } if is_synced || random.random_bool(luck.kept) => {
                    content.resize(*length, 0);
                }
                _ => {}
            }
        }
        content
    }
}

fn write(content: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(data);
}

/// Builds a possible disk at a moment. A sync that has returned covers all changes that had ended when it began; a
/// name is certain only after a sync of the folder.
pub(super) fn build(trace: &Trace, at: usize, luck: Luck) -> Disk {
    let mut random = StdRng::seed_from_u64(luck.seed);
    let mut files: Vec<File<'_>> = Vec::new();
    let mut live: BTreeMap<&str, usize> = BTreeMap::new();
    // Names that were given, with the file, or removed.
    let mut names: Vec<(usize, &str, Option<usize>)> = Vec::new();
    let (mut names_synced, mut made, mut parent_synced) = (0, 0, 0);
    for call in trace.calls.iter().take_while(|call| call.begun <= at) {
        let has_ended = call.ended <= at;
        match &call.deed {
            Deed::MakeFolder => made = call.ended,
            Deed::SyncParent if has_ended => parent_synced = call.begun,
            Deed::SyncFolder if has_ended => names_synced = call.begun,
            Deed::Create(name) if !live.contains_key(name.as_str()) => {
                live.insert(name, files.len());
                names.push((call.ended, name, Some(files.len())));
                files.push(File::default());
            }
            Deed::Remove(name) => {
                live.remove(name.as_str());
                names.push((call.ended, name, None));
            }
            Deed::Write { name, .. } | Deed::Resize { name, .. } => {
                let file = &mut files[live[name.as_str()]];
                file.changes.push(Change { ended: call.ended, deed: &call.deed });
            }
            // A reader of the test, which is not traced, may have left an empty log.
            Deed::Sync(name) if has_ended => {
                if let Some(file) = live.get(name.as_str()).map(|at| &mut files[*at]) {
                    file.synced = file.synced.max(call.begun);
                }
            }
            _ => {}
        }
    }
    let is_there = made != 0 && (made < parent_synced || random.random_bool(luck.kept));
    let mut on_disk = BTreeMap::new();
    for (ended, name, file) in names {
        if ended < names_synced || random.random_bool(luck.kept) {
            match file {
                Some(file) => on_disk.insert(name, file),
                None => on_disk.remove(name),
            };
        }
    }
    let content =
        |(name, file): (&str, usize)| (name.to_owned(), files[file].content(luck, &mut random));
    let disk = on_disk.into_iter().map(content).collect();
    is_there.then_some(disk)
}

/// Writes a disk into a folder.
pub(super) fn place(disk: &Disk, folder: &Path) {
    if let Some(files) = disk {
        std::fs::create_dir_all(folder).unwrap();
        for (name, content) in files {
            std::fs::write(folder.join(name), content).unwrap();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::trace::Call;
    use super::*;

    fn trace(deeds: Vec<Deed>) -> Trace {
        let mut trace = Trace::default();
        for (at, deed) in (1..).zip(deeds) {
            trace.calls.push(Call { begun: at, ended: at, deed });
        }
        trace
    }

    fn written(offset: usize, byte: u8, length: usize) -> Deed {
        Deed::Write { name: "f".to_owned(), offset, data: vec![byte; length] }
    }

    #[test]
    fn only_what_was_synced_is_certain() {
        let name = || "f".to_owned();
        let trace = trace(vec![
            Deed::MakeFolder,
            Deed::SyncParent,
            Deed::Create(name()),
            written(0, 1, 1024),
            Deed::Sync(name()),
            Deed::SyncFolder,
            written(512, 2, 1024),
            Deed::Remove(name()),
        ]);
        let file = |at, luck| build(&trace, at, luck).and_then(|files| files.get("f").cloned());
        assert_eq!(build(&trace, 1, Luck::NONE), None, "the folder's own name was not synced");
        assert_eq!(file(5, Luck::NONE), None, "the file's name was not synced");
        assert_eq!(file(8, Luck::NONE).unwrap(), [1; 1024], "neither was the second write");
        let all = Luck { kept: 1.0, ..Luck::NONE };
        assert_eq!(file(4, all).unwrap(), [1; 1024]);
        assert_eq!(file(7, all).unwrap(), [vec![1; 512], vec![2; 1024]].concat());
        assert_eq!(file(8, all), None);
    }

    #[test]
    fn unsynced_sectors_are_there_in_every_combination() {
        let name = || "f".to_owned();
        let trace = trace(vec![
            Deed::MakeFolder,
            Deed::SyncParent,
            Deed::Create(name()),
            written(0, 1, 1536),
            Deed::Sync(name()),
            Deed::SyncFolder,
            written(0, 2, 1536),
        ]);
        let seen: std::collections::BTreeSet<Vec<u8>> = (0..200)
            .map(|seed| {
                let luck = Luck { seed, sector: 512, kept: 0.5 };
                let content = build(&trace, 7, luck).unwrap()["f"].clone();
                [0, 512, 1024].map(|at| content[at]).to_vec()
            })
            .collect();
        assert_eq!(seen.len(), 8, "{seen:?}");
    }
}
