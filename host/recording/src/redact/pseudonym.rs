//! Keyed pseudonyms of single strings: the only module that knows the key.

use std::fmt::Write;

/// Makes pseudonyms with one key.
pub(super) struct Pseudonyms {
    key: [u8; 32],
}

/// Purpose of a pseudonym. Each has its own hash, so that a pseudonym reveals nothing about one of another
/// purpose.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Segment = 0,
    Digest = 1,
    Uuid = 2,
    V4 = 3,
    V6 = 4,
}

/// Length of a segment's pseudonym: a letter and eight characters of base32, so 26 * 2^40 = 2.9e13
/// pseudonyms. Among 100,000 different segments, the probability that any two have the same pseudonym is 1 in
/// 5,700.
const LENGTH: usize = 9;

/// Minimum length of an all-hexadecimal segment that is treated as a digest or id, whose form stays.
const DIGEST: usize = 32;

impl Pseudonyms {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self { key: *key }
    }

    /// Fills `hash` with the hash behind a pseudonym.
    pub(super) fn fill(&self, purpose: Purpose, original: &[u8], hash: &mut [u8]) {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&[purpose as u8]).update(original);
        hasher.finalize_xof().fill(hash);
    }

    /// Returns the pseudonym of a string, ignoring separators; an empty string stays empty.
    pub(super) fn segment(&self, original: &str) -> String {
        if original.is_empty() {
            return String::new();
        }
        if original.len() >= DIGEST && original.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return self.digest(original);
        }
        let mut hash = [0; 16];
        self.fill(Purpose::Segment, original.as_bytes(), &mut hash);
        let mut left = u128::from_le_bytes(hash);
        let mut pseudonym = String::with_capacity(LENGTH);
        for base in std::iter::once(26).chain(std::iter::repeat_n(32, LENGTH - 1)) {
            pseudonym.push(character((left % base) as u8));
            left /= base;
        }
        pseudonym
    }

    /// Returns as many hexadecimal digits as the original has.
    fn digest(&self, original: &str) -> String {
        let mut hash = vec![0; original.len().div_ceil(2)];
        self.fill(Purpose::Digest, original.to_ascii_lowercase().as_bytes(), &mut hash);
        let mut pseudonym = hex(&hash);
        pseudonym.truncate(original.len());
        pseudonym
    }

    /// Returns a random-looking UUID for a UUID; the case of the original does not matter.
    pub(super) fn uuid(&self, original: &str) -> String {
        let mut hash = [0; 16];
        self.fill(Purpose::Uuid, original.to_ascii_lowercase().as_bytes(), &mut hash);
        let number = u128::from_be_bytes(hash);
        // Version 4 and its variant (RFC 9562), as in all uids of the API server.
        let number = number & !(0xf << 76) | (0x4 << 76);
        let number = number & !(0x3 << 62) | (0x2 << 62);
        let [group1, group2, group3, group4] = [96, 80, 64, 48].map(|shift| number >> shift);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            group1,
            group2 & 0xffff,
            group3 & 0xffff,
            group4 & 0xffff,
            number & 0xffff_ffff_ffff
        )
    }
}

/// Returns a character of base32 in lower case; the first 26 are letters.
fn character(number: u8) -> char {
    char::from(if number < 26 { b'a' + number } else { b'2' + (number - 26) })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}
