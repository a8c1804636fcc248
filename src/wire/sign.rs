//! What signatures are made of: keyed hashes, and the two ways of packing texts into a URL. Each signed request is made
//! of one text, so that what is sent and what is signed cannot differ.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::core::ids::hex;

/// Whether two signatures are the same, in a time that does not depend on where they differ.
pub fn same(given: &str, expected: &str) -> bool {
    given.as_bytes().ct_eq(expected.as_bytes()).into()
}

/// HMAC-SHA256.
pub fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    // HMAC takes a key of any length.
    let mac = <Hmac<Sha256> as Mac>::new_from_slice(key).map(|mac| mac.chain_update(text));
    mac.map(|mac| mac.finalize().into_bytes().to_vec()).unwrap_or_default()
}

/// HMAC-SHA1; only where a provider asks for it.
pub fn hmac_sha1(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mac = <Hmac<Sha1> as Mac>::new_from_slice(key).map(|mac| mac.chain_update(text));
    mac.map(|mac| mac.finalize().into_bytes().to_vec()).unwrap_or_default()
}

/// SHA-1, in hexadecimal digits; only where a provider asks for it.
pub fn sha1_hex(text: &[u8]) -> String {
    hex(&Sha1::digest(text))
}

/// SHA-256, in hexadecimal digits.
pub fn sha256_hex(text: &[u8]) -> String {
    hex(&Sha256::digest(text))
}

/// Base64 with its padding.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// As RFC 3986 packs a text: letters, digits and `-_.~` stay, a space is `%20`.
pub fn percent(text: &str) -> String {
    pack(text, "%20")
}

/// A form of these fields, in their order: as [`percent`], but a space is `+`.
pub fn form<N: AsRef<str>, V: AsRef<str>>(fields: &[(N, V)]) -> String {
    let packed =
        |(name, value): &(N, V)| format!("{}={}", pack(name.as_ref(), "+"), pack(value.as_ref(), "+"));
    fields.iter().map(packed).collect::<Vec<_>>().join("&")
}

/// The query of these fields, in their order, packed as [`percent`] does.
pub fn query<N: AsRef<str>, V: AsRef<str>>(fields: &[(N, V)]) -> String {
    let packed = |(name, value): &(N, V)| format!("{}={}", percent(name.as_ref()), percent(value.as_ref()));
    fields.iter().map(packed).collect::<Vec<_>>().join("&")
}

fn pack(text: &str, space: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            b' ' => out.push_str(space),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_the_same_to_the_letter() {
        assert!(same("v0=a", "v0=a") && same("", ""));
        assert!(!same("v0=a", "v0=b") && !same("", "v0=a") && !same("aB", "ab"));
    }

    #[test]
    fn texts_are_packed_to_the_byte() {
        for (text, in_url, in_form) in [
            ("aZ09-._~", "aZ09-._~", "aZ09-._~"),
            (
                "!*'()&=+/?#:@",
                "%21%2A%27%28%29%26%3D%2B%2F%3F%23%3A%40",
                "%21%2A%27%28%29%26%3D%2B%2F%3F%23%3A%40",
            ),
            ("a b\r\n", "a%20b%0D%0A", "a+b%0D%0A"),
            ("售😀", "%E5%94%AE%F0%9F%98%80", "%E5%94%AE%F0%9F%98%80"),
        ] {
            assert_eq!(percent(text), in_url, "{text}");
            assert_eq!(form(&[("k", text)]), format!("k={in_form}"), "{text}");
            assert_eq!(query(&[("k", text), ("l", "")]), format!("k={in_url}&l="), "{text}");
        }
    }

    #[test]
    fn hashes_agree_with_the_published_examples() {
        // RFC 4231 test case 2, RFC 2202 test case 2, FIPS 180 "abc".
        let (key, text) = (b"Jefe".as_slice(), b"what do ya want for nothing?".as_slice());
        let sha256 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(&hmac_sha256(key, text)), sha256);
        assert_eq!(hex(&hmac_sha1(key, text)), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert_eq!(sha1_hex(b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(sha256_hex(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(base64(&[0xff, 0xfe]), "//4=");
    }
}
