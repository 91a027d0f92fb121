//! IP addresses: recognition at the start of a text, and pseudonyms.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::pseudonym::{Pseudonyms, Purpose};

/// Maximum length of an IPv6 address as text.
const LONGEST_V6: usize = 45;

/// Recognizes an IPv4 address at the start of a text. Returns it with its length and the separator of its
/// octets: names of nodes and DNS names of pods contain addresses such as `10-0-0-12`. Leading zeros are
/// accepted.
pub(super) fn v4(text: &str) -> Option<(usize, Ipv4Addr, char)> {
    let mut octets = [0_u8; 4];
    let mut separator = None;
    let mut rest = text;
    for (index, octet) in octets.iter_mut().enumerate() {
        if index > 0 {
            let found = rest.chars().next().filter(|found| matches!(found, '.' | '-' | '_'))?;
            if *separator.get_or_insert(found) != found {
                return None;
            }
            rest = rest.get(1..)?;
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(digits)?;
        if digits > 3 {
            return None;
        }
        *octet = number.parse().ok()?;
        rest = after;
    }
    ends_before(rest).then_some((text.len() - rest.len(), Ipv4Addr::from(octets), separator?))
}

/// Recognizes an IPv6 address at the start of a text, and returns it with its length.
pub(super) fn v6(text: &str) -> Option<(usize, Ipv6Addr)> {
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    let length = text.bytes().take(LONGEST_V6 + 2).take_while(is_part).count();
    let mut written = text.get(..length)?;
    // `::` alone is more often punctuation than an address.
    if !written.contains(':') || !written.bytes().any(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    loop {
        if let Ok(address) = written.parse() {
            let rest = text.get(written.len()..)?;
            return ends_before(rest).then_some((written.len(), address));
        }
        // The address may be followed by the colon or full stop of a sentence.
        written = written.strip_suffix([':', '.'])?;
    }
}

/// Returns `true` if a word before this text is complete.
pub(super) fn ends_before(rest: &str) -> bool {
    !rest.chars().next().is_some_and(char::is_alphanumeric)
}

impl Pseudonyms {
    /// Returns an address of 198.18.0.0/15, the range for benchmarks (RFC 2544).
    ///
    /// As 17 bits are few, the pseudonyms are a permutation within each /15 of originals: two addresses of
    /// one pod network never have the same pseudonym; two addresses of different networks may.
    pub(super) fn v4(&self, original: Ipv4Addr) -> Ipv4Addr {
        let bits = original.to_bits();
        let (network, mut host) = (bits >> 17, bits & 0x1_ffff);
        // The permutation has 18 bits. Repeating it until the result fits 17 bits makes it one of 17 bits.
        loop {
            host = self.permute(network, host);
            if host <= 0x1_ffff {
                return Ipv4Addr::from_bits(Ipv4Addr::new(198, 18, 0, 0).to_bits() | host);
            }
        }
    }

    /// Permutes 18 bits by a Feistel network.
    fn permute(&self, network: u32, host: u32) -> u32 {
        let (mut left, mut right) = (host >> 9, host & 0x1ff);
        for round in 0..4_u32 {
            let mut input = [0; 12];
            let words = [network, round, right].map(u32::to_le_bytes);
            input.iter_mut().zip(words.as_flattened()).for_each(|(to, from)| *to = *from);
            let mut hash = [0; 4];
            self.fill(Purpose::V4, &input, &mut hash);
            (left, right) = (right, left ^ (u32::from_le_bytes(hash) & 0x1ff));
        }
        left << 9 | right
    }

    /// Returns an address of 2001:db8::/32, the range for documentation (RFC 3849).
    pub(super) fn v6(&self, original: Ipv6Addr) -> Ipv6Addr {
        let mut hash = [0; 16];
        self.fill(Purpose::V6, &original.octets(), &mut hash);
        Ipv6Addr::from_bits(u128::from_be_bytes(hash) >> 32 | 0x2001_0db8 << 96)
    }
}
