//! The journal's log (`klaxon.db-wal`) read as SQLite reads it after a crash: how much of it counts.
//!
//! SQLite goes through the frames from the beginning, each with a running checksum, and stops without
//! a word at the first that does not fit; what was committed behind that is gone. So whoever wants to
//! know whether a disk lost something must look itself. The form is that of
//! <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::io::{self, Read};
use std::path::Path;

use serde::Serialize;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// Without its last bit, which says how the words of checksums are read.
const MAGIC: u32 = 0x377f_0682;
/// A round adds one to the first salt, so what the rounds before left is only a little smaller.
const ROUNDS: u32 = 1 << 20;

/// What was found in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Wal {
    /// Length of the file.
    pub bytes: u64,
    /// The header is not whole, and SQLite ignores all that follows.
    pub is_header_damaged: bool,
    /// Of one page; 0 where the header does not say.
    pub page_size: u32,
    /// From the beginning, with right salts and checksums.
    pub frames: u64,
    /// Commits within these.
    pub commits: u64,
    /// Frames up to the last of these commits: what SQLite reads.
    pub committed: u64,
    /// What it ignores.
    pub tail: Tail,
}

/// What lies behind the last commit that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tail {
    /// All of it.
    pub bytes: u64,
    /// Whole frames of a commit that was not completed.
    pub unfinished: u64,
    /// Frames of this log that are damaged, or come after a damaged one.
    pub torn: u64,
    /// Those of them that end a commit.
    pub torn_commits: u64,
    /// Frames that an earlier round of the log left: the normal tail.
    pub earlier: u64,
    /// Frames of no round, such as zeros or foreign bytes.
    pub strange: u64,
    /// Bytes at the end that are no whole frame.
    pub rest: u64,
}

impl Wal {
    /// Whether there is more than what an earlier round left. A process that was killed while it
    /// wrote leaves such a tail too, and so does a transaction that was taken back.
    pub fn is_suspicious(&self) -> bool {
        let Tail { torn, strange, rest, .. } = self.tail;
        self.is_header_damaged || torn + strange + rest > 0
    }

    /// Whether a commit may be missing. What was never confirmed looks the same: a power cut, or the
    /// end of the process, in the middle of its being written.
    pub fn may_lack_commits(&self) -> bool {
        self.is_header_damaged || self.tail.torn_commits + self.tail.strange > 0
    }
}

/// Reads the log beside a database file; none: there is none.
///
/// # Errors
/// Fails if it cannot be read.
pub fn read(database: &Path) -> io::Result<Option<Wal>> {
    match std::fs::File::open(beside(database)) {
        Ok(file) => scan(io::BufReader::with_capacity(1 << 16, file)).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The path of a database's log.
pub fn beside(database: &Path) -> std::path::PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Goes through the bytes of a log.
///
/// # Errors
/// Fails if they cannot be read; any bytes at all can be gone through.
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

/// Where the reading of frames is.
struct Frames {
    page_size: u32,
    is_big_endian: bool,
    salts: [u32; 2],
    sums: [u32; 2],
    /// One did not fit: none behind it counts.
    is_broken: bool,
}

impl Frames {
    /// None where the header is not whole.
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
        // One salt may be what was damaged.
        if salt_1 == ours_1 || salt_2 == ours_2 {
            Frame::Torn { is_commit }
        } else if ours_1.wrapping_sub(salt_1) <= ROUNDS {
            Frame::Earlier
        } else {
            Frame::Strange
        }
    }
}

/// The sum goes on over frames, so that none can be taken out or put in.
fn checksum(is_big_endian: bool, bytes: &[u8], [mut first, mut second]: [u32; 2]) -> [u32; 2] {
    let word = if is_big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
    let (pairs, _) = bytes.as_chunks::<8>();
    for &[a, b, c, d, e, f, g, h] in pairs {
        first = first.wrapping_add(word([a, b, c, d])).wrapping_add(second);
        second = second.wrapping_add(word([e, f, g, h])).wrapping_add(first);
    }
    [first, second]
}

/// The first words; what is not there is 0.
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
