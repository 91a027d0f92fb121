//! Reads the journal's write-ahead log (`klaxon.db-wal`) as SQLite does in recovery, and reports the part that
//! SQLite ignores.
//!
//! SQLite reads the frames from the beginning, each with a running checksum, and stops silently at the first
//! that does not match; commits after it are lost. Only a scan of the log itself can tell if a disk lost data.
//! The format is <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::io::{self, Read};
use std::path::Path;

use serde::Serialize;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The magic number without its last bit, which gives the byte order of the checksums.
const MAGIC: u32 = 0x377f_0682;
/// The most rounds by which a frame counts as left by an earlier round. Each round of the log adds one to the
/// first salt, so the salt of an earlier round is only a little smaller.
const ROUNDS: u32 = 1 << 20;

/// The result of scanning a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Wal {
    /// The length of the file.
    pub bytes: u64,
    /// `true` if the header is damaged; SQLite then ignores the whole log.
    pub is_header_damaged: bool,
    /// The size of a page; 0 if the header is damaged.
    pub page_size: u32,
    /// The frames from the beginning with matching salts and checksums.
    pub frames: u64,
    /// The commits within these frames.
    pub commits: u64,
    /// The frames up to the last of these commits, which SQLite reads.
    pub committed: u64,
    /// The part that SQLite ignores.
    pub tail: Tail,
}

/// The part of a log after the last commit that SQLite reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tail {
    /// The length of the tail.
    pub bytes: u64,
    /// Whole frames of a commit that was not completed.
    pub unfinished: u64,
    /// Frames of this log that are damaged, or come after a damaged one.
    pub torn: u64,
    /// The frames among `torn` that end a commit.
    pub torn_commits: u64,
    /// Frames that an earlier round of the log left, which is normal.
    pub earlier: u64,
    /// Frames of no round, such as zeros or foreign bytes.
    pub strange: u64,
    /// Bytes at the end that are not a whole frame.
    pub rest: u64,
}

impl Wal {
    /// Returns `true` if the tail contains more than the frames of an earlier round. A process that was killed
    /// while writing, and a rolled-back transaction, leave such a tail too.
    pub fn is_suspicious(&self) -> bool {
        let Tail { torn, strange, rest, .. } = self.tail;
        self.is_header_damaged || torn + strange + rest > 0
    }

    /// Returns `true` if a commit may be missing. A commit that was never confirmed looks the same: the power
    /// failed, or the process ended, while it was written.
    pub fn may_lack_commits(&self) -> bool {
        self.is_header_damaged || self.tail.torn_commits + self.tail.strange > 0
    }
}

/// Reads the log of a database file; `None` if there is no log.
///
/// # Errors
/// Fails if the log cannot be read.
pub fn read(database: &Path) -> io::Result<Option<Wal>> {
    match std::fs::File::open(beside(database)) {
        Ok(file) => scan(io::BufReader::with_capacity(1 << 16, file)).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the path of a database's log.
pub fn beside(database: &Path) -> std::path::PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Scans the bytes of a log.
///
/// # Errors
/// Fails if reading fails; any bytes can be scanned.
pub fn scan(mut from: impl Read) -> io::Result<Wal> {
    let mut bytes = [0; HEADER];
    let length = fill(&mut from, &mut bytes)?;
    let mut wal = Wal { bytes: length as u64, ..Wal::default() };
    let Some(mut frames) = Frames::after(&bytes, length) else {
        wal.bytes += io::copy(&mut from, &mut io::sink())?;
        wal.is_header_damaged = wal.bytes > 0;
        wal.tail.bytes = wal.bytes;
        return Ok(wal);
    };
    wal.page_size = frames.page_size;
    let size = FRAME_HEADER + frames.page_size as usize;
    let mut frame = vec![0; size];
    loop {
        let length = fill(&mut from, &mut frame)?;
        wal.bytes += length as u64;
        if length < size {
            wal.tail.rest = length as u64;
            break;
        }
        let found = frames.next(&frame);
        wal.count(found);
    }
    wal.tail.bytes = wal.bytes - HEADER as u64 - wal.committed * size as u64;
    Ok(wal)
}

impl Wal {
    fn count(&mut self, frame: Frame) {
        let tail = &mut self.tail;
        match frame {
            Frame::Whole { is_commit } => {
                self.frames += 1;
                tail.unfinished += 1;
                if is_commit {
                    self.commits += 1;
                    self.committed = self.frames;
                    tail.unfinished = 0;
                }
            }
            Frame::Torn { is_commit } => {
                tail.torn += 1;
                tail.torn_commits += u64::from(is_commit);
            }
            Frame::Earlier => tail.earlier += 1,
            Frame::Strange => tail.strange += 1,
        }
    }
}

enum Frame {
    Whole { is_commit: bool },
    Torn { is_commit: bool },
    Earlier,
    Strange,
}

/// The state of reading frames.
struct Frames {
    page_size: u32,
    is_big_endian: bool,
    salts: [u32; 2],
    sums: [u32; 2],
    /// `true` after a frame that did not match: no later frame counts.
    is_broken: bool,
}

impl Frames {
    /// Reads the header; `None` if it is damaged.
    fn after(header: &[u8; HEADER], length: usize) -> Option<Self> {
        let [magic, _version, page_size, _round, salt_1, salt_2, sum_1, sum_2] = words(header);
        let is_size = page_size.is_power_of_two() && (512..=65536).contains(&page_size);
        if length < HEADER || magic & !1 != MAGIC || !is_size {
            return None;
        }
        let is_big_endian = magic & 1 == 1;
        let (summed, _) = header.split_at(HEADER - 8);
        let sums = checksum(is_big_endian, summed, [0, 0]);
        let salts = [salt_1, salt_2];
        let is_whole = sums == [sum_1, sum_2];
        is_whole.then_some(Self { page_size, is_big_endian, salts, sums, is_broken: false })
    }

    fn next(&mut self, frame: &[u8]) -> Frame {
        let (header, page) = frame.split_at(FRAME_HEADER);
        let [number, pages, salt_1, salt_2, sum_1, sum_2] = words(header);
        let is_commit = pages != 0;
        if !self.is_broken && self.salts == [salt_1, salt_2] && number != 0 {
            let (summed, _) = header.split_at(8);
            let sums = checksum(self.is_big_endian, summed, self.sums);
            let sums = checksum(self.is_big_endian, page, sums);
            if sums == [sum_1, sum_2] {
                self.sums = sums;
                return Frame::Whole { is_commit };
            }
        }
        self.is_broken = true;
        let [ours_1, ours_2] = self.salts;
        // The damage may be in one of the two salts.
        if salt_1 == ours_1 || salt_2 == ours_2 {
            Frame::Torn { is_commit }
        } else if ours_1.wrapping_sub(salt_1) <= ROUNDS {
            Frame::Earlier
        } else {
            Frame::Strange
        }
    }
}

/// Returns the checksum, which continues over frames, so that no frame can be removed or inserted.
fn checksum(is_big_endian: bool, bytes: &[u8], [mut first, mut second]: [u32; 2]) -> [u32; 2] {
    let word = if is_big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
    let (pairs, _) = bytes.as_chunks::<8>();
    for &[a, b, c, d, e, f, g, h] in pairs {
        first = first.wrapping_add(word([a, b, c, d])).wrapping_add(second);
        second = second.wrapping_add(word([e, f, g, h])).wrapping_add(first);
    }
    [first, second]
}

/// Returns the first big-endian words; missing ones are 0.
fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    words
}

/// Reads until the buffer is full or the end is reached.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while let Some(room) = buffer.get_mut(length..).filter(|room| !room.is_empty()) {
        match from.read(room) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests;
