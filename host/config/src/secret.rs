//! Keys of Standard Webhooks signatures.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const PREFIX: &str = "whsec_";
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A symmetric key, written `whsec_<base64 of 24 to 64 bytes>` (standard-webhooks specification,
/// "Signature scheme"). `Debug` does not print the key.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Parses a secret.
    ///
    /// # Errors
    /// Returns a message with a hint, without the secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        const MEND: &str = "hint: make one with `echo whsec_$(openssl rand -base64 32)`";
        let encoded = text
            .trim()
            .strip_prefix(PREFIX)
            .ok_or_else(|| format!("the secret does not begin with {PREFIX}; {MEND}"))?;
        let key = STANDARD
            .decode(encoded)
            .map_err(|_| format!("the secret is no base64 after {PREFIX}; {MEND}"))?;
        if !KEY_BYTES.contains(&key.len()) {
            return Err(format!("the secret has {} bytes, not 24 to 64; {MEND}", key.len()));
        }
        Ok(Self(key))
    }

    /// Returns the key.
    pub fn key(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
