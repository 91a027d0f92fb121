//! Stable ids: an observation, a verdict or a delivery has the same id in a replay, after a crash and on
//! any machine.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const HEX: usize = 32;

/// 128 bits of a BLAKE3 hash, stored as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id([u8; HEX]);

impl Id {
    /// Returns the hash of a list of parts. The length of each part is hashed too, so that no two lists
    /// are confused.
    pub fn of(kind: &str, parts: &[&dyn IdPart]) -> Self {
        let mut hasher = IdWriter(blake3::Hasher::new());
        hasher.bytes(kind.as_bytes());
        for part in parts {
            part.write(&mut hasher);
        }
        let hash = hasher.0.finalize();
        let mut digits = [0; HEX];
        let hex = hash.to_hex();
        for (to, from) in digits.iter_mut().zip(hex.as_bytes()) {
            *to = *from;
        }
        Self(digits)
    }

    /// Returns the 32 digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// A part that an id can be derived from.
pub trait IdPart {
    /// Adds the part to the hash.
    fn write(&self, writer: &mut IdWriter);
}

/// Collects the parts of an id in a hasher.
pub struct IdWriter(blake3::Hasher);

impl IdWriter {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }
}

impl IdPart for str {
    fn write(&self, writer: &mut IdWriter) {
        writer.bytes(self.as_bytes());
    }
}

impl IdPart for &str {
    fn write(&self, writer: &mut IdWriter) {
        writer.bytes(self.as_bytes());
    }
}

impl IdPart for String {
    fn write(&self, writer: &mut IdWriter) {
        writer.bytes(self.as_bytes());
    }
}

impl IdPart for u64 {
    fn write(&self, writer: &mut IdWriter) {
        writer.bytes(&self.to_le_bytes());
    }
}

impl IdPart for Id {
    fn write(&self, writer: &mut IdWriter) {
        writer.bytes(&self.0);
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl std::str::FromStr for Id {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        match <[u8; HEX]>::try_from(text.as_bytes()) {
            Ok(digits) if digits.iter().all(is_digit) => Ok(Self(digits)),
            _ => Err(NoId),
        }
    }
}

/// An error: the text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id has 32 hexadecimal digits in lower case")]
pub struct NoId;

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_never_change() {
        // Receivers remember ids for days: a change of this value breaks the deduplication of every one
        // of them.
        let id = Id::of("s", &[&"cluster", &1u64]);
        assert_eq!(id.as_str(), "0bcfe517f880f958b7f1457b8b0c0360");
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(Id::of("s", &[&"ab", &"c"]), Id::of("s", &[&"a", &"bc"]));
        assert_ne!(Id::of("s", &[&"a"]), Id::of("sa", &[]));
    }
}
