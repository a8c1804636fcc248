//! Signatures as Standard Webhooks has them: HMAC-SHA256 over `{id}.{timestamp}.{body}`, one for each key while keys
//! are changed.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::core::ids::{Secret, hex};
use crate::wire::sign::hmac_sha256;

/// More keys than this are a mistake: two are valid while one replaces the other.
const MOST: usize = 4;

/// The keys that sign, the newest first.
#[derive(Clone)]
pub struct SigningKeys(Vec<Vec<u8>>);

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKeys({})", self.0.len())
    }
}

/// A signing secret that is none. Says where, not what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// Not the right form.
    #[error(
        "key {0} is not whsec_ and base64 of 16 to 64 bytes; make one with: echo whsec_$(openssl rand -base64 32)"
    )]
    Form(usize),
    /// Too many.
    #[error("found {0} keys, expected at most {MOST}: the newest first, one in each line")]
    Many(usize),
    /// None.
    #[error("found no key")]
    None,
}

impl SigningKeys {
    /// Reads keys, one in each line (or parted by spaces), the newest first.
    ///
    /// # Errors
    /// A key that is not `whsec_` and base64 of 16 to 64 bytes; none, or too many.
    pub fn parse(text: &Secret) -> Result<SigningKeys, KeyFault> {
        let words: Vec<&str> = text.reveal().split_whitespace().collect();
        match words.len() {
            0 => return Err(KeyFault::None),
            n if n > MOST => return Err(KeyFault::Many(n)),
            _ => {}
        }
        let key = |(i, word): (usize, &&str)| {
            let word = word.strip_prefix("whsec_").ok_or(KeyFault::Form(i + 1))?;
            let key = STANDARD.decode(word).map_err(|_| KeyFault::Form(i + 1))?;
            if (16..=64).contains(&key.len()) { Ok(key) } else { Err(KeyFault::Form(i + 1)) }
        };
        words.iter().enumerate().map(key).collect::<Result<_, _>>().map(SigningKeys)
    }

    /// Any text as the key of GitHub's form.
    pub(crate) fn plain(text: &Secret) -> SigningKeys {
        SigningKeys(vec![text.reveal().as_bytes().to_vec()])
    }

    /// The value of `X-Hub-Signature-256`, by the newest key.
    pub(crate) fn sign_as_github(&self, body: &[u8]) -> String {
        let key = self.0.first().map_or(&[][..], Vec::as_slice);
        format!("sha256={}", hex(&hmac_sha256(key, body)))
    }

    /// The value of `webhook-signature`.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let signatures = self.0.iter().filter_map(|key| {
            // HMAC takes a key of any length.
            let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).ok()?;
            mac.update(format!("{id}.{timestamp}.").as_bytes());
            mac.update(body);
            Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Result<SigningKeys, KeyFault> {
        SigningKeys::parse(&Secret::new(text))
    }

    #[test]
    fn signatures_agree_with_the_published_libraries() {
        let vectors = include_str!("../../../tests/fixtures/channels/standard_webhooks.json");
        let vectors: Vec<serde_json::Value> = serde_json::from_str(vectors).unwrap();
        assert_eq!(vectors.len(), 3);
        for vector in vectors {
            let of = |key: &str| vector["inputs"][key].as_str().unwrap();
            let signed = keys(of("secret")).unwrap().sign(
                of("webhook-id"),
                vector["inputs"]["webhook-timestamp"].as_i64().unwrap(),
                of("body").as_bytes(),
            );
            assert_eq!(
                signed,
                vector["expected"]["webhook-signature"].as_str().unwrap(),
                "{}",
                vector["case"]
            );
        }
    }

    #[test]
    fn both_keys_sign_while_they_are_changed() {
        let (new, old) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB");
        let both = keys(&format!("{new}\n{old}\n")).unwrap().sign("a", 1, b"{}");
        let each = [new, old].map(|k| keys(k).unwrap().sign("a", 1, b"{}"));
        assert_eq!(both, each.join(" "));
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_told() {
        let short = "whsec_QUFBQQ==";
        for (text, want) in [
            ("", KeyFault::None),
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", KeyFault::Form(1)),
            (short, KeyFault::Form(1)),
            ("whsec_!!!", KeyFault::Form(1)),
            ("a b c d e", KeyFault::Many(5)),
        ] {
            let fault = keys(text).unwrap_err();
            assert_eq!(fault, want, "{text}");
            assert!(text.is_empty() || !fault.to_string().contains(text), "{text}");
        }
        let keys = keys("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(format!("{keys:?}"), "SigningKeys(1)");
    }
}
