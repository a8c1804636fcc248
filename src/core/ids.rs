//! Ids that are derived, not drawn (`delivery_semantics` §4), and texts that must not be printed in clear.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use hmac::{Hmac, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Sha256;

/// The key of an installation: what makes its ids its own and its links unforgeable. Part of every backup; never
/// printed.
#[derive(Clone, PartialEq, Eq)]
pub struct InstallationKey([u8; 32]);

impl InstallationKey {
    /// A key of the given bytes.
    pub const fn new(bytes: [u8; 32]) -> InstallationKey {
        InstallationKey(bytes)
    }

    /// The bytes, for whoever keeps them.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The id derived from `parts`: the same parts give the same id, and no two lists of parts run together.
    pub fn id(&self, parts: &[&[u8]]) -> Id {
        let mac = self.mac(parts);
        let mut id = [0; 16];
        id.copy_from_slice(&mac[..16]);
        Id(id)
    }

    /// The whole 32 bytes of the keyed digest over `parts`, for signatures.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        // HMAC takes a key of any length, so this cannot fail; the fallback keeps the signature free of panics.
        let Ok(mut mac) = <Hmac<Sha256> as Mac>::new_from_slice(&self.0) else { return [0; 32] };
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for InstallationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InstallationKey(…)")
    }
}

/// A derived id: 16 bytes, printed as 26 characters of base32 (Crockford's letters, without I, L, O and U).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id([u8; 16]);

const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl Id {
    /// The id of the given bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Id {
        Id(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The first characters, for people: `K7Q2`.
    pub fn short(&self) -> String {
        self.to_string()[..4].to_owned()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0_u8; 26];
        let mut bits = u128::from_be_bytes(self.0);
        // 26 letters hold 130 bits: the two lowest of the last letter stay zero.
        text[25] = LETTERS[((bits & 0b111) << 2) as usize];
        bits >>= 3;
        for letter in text[..25].iter_mut().rev() {
            *letter = LETTERS[(bits & 31) as usize];
            bits >>= 5;
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no id, expected 26 letters and digits such as 5C8RT9NH3V2M6QGXK4E0YB7DWF")]
pub struct BadId(String);

impl FromStr for Id {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Id, BadId> {
        let bad = || BadId(text.chars().take(40).collect());
        if text.len() != 26 {
            return Err(bad());
        }
        let mut bits = 0_u128;
        for (i, c) in text.bytes().enumerate() {
            let upper = c.to_ascii_uppercase();
            let value = LETTERS.iter().position(|l| *l == upper).ok_or_else(bad)? as u128;
            if i < 25 {
                bits = bits << 5 | value;
            } else if value & 0b11 == 0 {
                bits = bits << 3 | value >> 2;
            } else {
                return Err(bad());
            }
        }
        Ok(Id(bits.to_be_bytes()))
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A text that shows itself only to who asks for it by name: passwords, tokens, keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself. The caller must not print it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Bytes as they are shown: two lower-case digits each.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a text does not fail.
        _ = write!(text, "{byte:02x}");
        text
    })
}

/// A phone number as it may be shown: `138****0000`. What is too short to hide in is hidden whole.
pub fn mask_phone(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    match chars.len() {
        0..=6 => "*".repeat(chars.len()),
        n => chars[..3].iter().chain(&['*'; 4]).chain(&chars[n - 4..]).collect(),
    }
}

/// An address of any channel as it may be shown: mail keeps its first letter and its domain, a number is masked as a
/// phone number, a URL keeps its host.
pub fn mask_address(text: &str) -> String {
    if let Some((scheme, rest)) = text.split_once("://") {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        return format!("{scheme}://{host}/…");
    }
    if let Some((local, domain)) = text.rsplit_once('@') {
        let first: String = local.chars().take(1).collect();
        return format!("{first}***@{domain}");
    }
    mask_phone(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_depends_on_every_part() {
        let key = InstallationKey::new([7; 32]);
        let id = key.id(&[b"a", b"bc"]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), 26);
        assert_eq!(id.to_string().to_lowercase().parse(), Ok(id));
        assert_ne!(id, key.id(&[b"ab", b"c"]));
        assert_ne!(id, InstallationKey::new([8; 32]).id(&[b"a", b"bc"]));
        for bad in ["", "5C8R", "5C8RT9NH3V2M6QGXK4E0YB7DWU", "5C8RT9NH3V2M6QGXK4E0YB7DW1"] {
            assert!(bad.parse::<Id>().is_err(), "{bad}");
        }
        assert_eq!(Id::from_bytes([255; 16]).to_string().parse(), Ok(Id::from_bytes([255; 16])));
    }

    #[test]
    fn what_is_masked_cannot_be_read() {
        assert_eq!(mask_phone("13812340000"), "138****0000");
        assert_eq!(mask_phone("110"), "***");
        assert_eq!(mask_address("lin@example.com"), "l***@example.com");
        assert_eq!(mask_address("https://u:p@hooks.example.com/a/b?token=x"), "https://hooks.example.com/…");
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
        assert_eq!(format!("{:?}", InstallationKey::new([1; 32])), "InstallationKey(…)");
    }
}
