//! How what providers send us is known to be theirs: signatures over the raw body, looked at before anything is read, and
//! the two envelopes that hide it (`apis/channels` 6, 8, 9, 17).

use aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockDecryptMut, KeyIvInit};
use sha2::{Digest as _, Sha256};

use crate::core::ids::hex;
use crate::wire::sign;

/// An envelope that cannot be opened. Says nothing of what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeFault {
    /// The key is none.
    #[error("the key is not of the right form")]
    Key,
    /// Not Base64, not whole blocks, or padding that is none.
    #[error("the envelope cannot be opened with this key")]
    Envelope,
    /// It was sealed for somebody else.
    #[error("the envelope is for somebody else")]
    Recipient,
}

/// The `X-Slack-Signature` of a request.
pub fn slack_signature(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let text = [format!("v0:{timestamp}:").as_bytes(), body].concat();
    format!("v0={}", hex(&sign::hmac_sha256(secret.as_bytes(), &text)))
}

/// The `X-Twilio-Signature` of a request to `url` with these fields.
pub fn twilio_signature(token: &str, url: &str, fields: &[(String, String)]) -> String {
    let mut fields: Vec<_> = fields.iter().collect();
    fields.sort();
    // A field that comes twice with one value counts once.
    fields.dedup();
    let text = fields.iter().fold(url.to_owned(), |text, (name, value)| text + name + value);
    sign::base64(&sign::hmac_sha1(token.as_bytes(), text.as_bytes()))
}

/// The `X-Lark-Signature` of a request of Feishu.
pub fn feishu_signature(encrypt_key: &str, timestamp: &str, nonce: &str, body: &[u8]) -> String {
    let text = [timestamp.as_bytes(), nonce.as_bytes(), encrypt_key.as_bytes(), body].concat();
    sign::sha256_hex(&text)
}

/// The `msg_signature` of a request of WeCom.
pub fn wecom_signature(token: &str, timestamp: &str, nonce: &str, encrypt: &str) -> String {
    let mut parts = [token, timestamp, nonce, encrypt];
    parts.sort_unstable();
    sign::sha1_hex(parts.concat().as_bytes())
}

/// The `x-ddpaas-signature` of a callback of a card of DingTalk: the body is not covered by it.
pub fn dingtalk_signature(secret: &str, timestamp: &str) -> String {
    sign::base64(&sign::hmac_sha256(secret.as_bytes(), timestamp.as_bytes()))
}

/// What is in an envelope of Feishu.
///
/// # Errors
/// It was not sealed with this key.
pub fn feishu_open(encrypt_key: &str, encrypt: &str) -> Result<String, EnvelopeFault> {
    let sealed = STANDARD.decode(encrypt).map_err(|_| EnvelopeFault::Envelope)?;
    let key = Sha256::digest(encrypt_key.as_bytes());
    let (iv, sealed) = sealed.split_at_checked(16).ok_or(EnvelopeFault::Envelope)?;
    let plain = open(&key, iv, sealed)?;
    let plain = unpadded(&plain, 16)?;
    String::from_utf8(plain.to_vec()).map_err(|_| EnvelopeFault::Envelope)
}

/// What is in an envelope of WeCom that was sealed for `receiver`.
///
/// # Errors
/// The key is none, it was not sealed with this key, or for somebody else.
pub fn wecom_open(aes_key: &str, encrypt: &str, receiver: &str) -> Result<String, EnvelopeFault> {
    // 43 letters, whose last bits may be anything.
    let lenient = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, lenient);
    let key = engine.decode(aes_key).map_err(|_| EnvelopeFault::Key)?;
    let iv = key.get(..16).filter(|_| key.len() == 32).ok_or(EnvelopeFault::Key)?;
    let sealed = STANDARD.decode(encrypt).map_err(|_| EnvelopeFault::Envelope)?;
    let plain = open(&key, iv, &sealed)?;
    // Sixteen bytes of chance, four of length, the text, whom it is for.
    let rest = unpadded(&plain, 32)?.get(16..).ok_or(EnvelopeFault::Envelope)?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or(EnvelopeFault::Envelope)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| EnvelopeFault::Envelope)?;
    let (text, whom) = rest.split_at_checked(length).ok_or(EnvelopeFault::Envelope)?;
    if whom != receiver.as_bytes() {
        return Err(EnvelopeFault::Recipient);
    }
    String::from_utf8(text.to_vec()).map_err(|_| EnvelopeFault::Envelope)
}

fn open(key: &[u8], iv: &[u8], sealed: &[u8]) -> Result<Vec<u8>, EnvelopeFault> {
    let cipher = cbc::Decryptor::<Aes256>::new_from_slices(key, iv).map_err(|_| EnvelopeFault::Key)?;
    let mut bytes = sealed.to_vec();
    let plain = cipher.decrypt_padded_mut::<NoPadding>(&mut bytes).map_err(|_| EnvelopeFault::Envelope)?;
    Ok(plain.to_vec())
}

/// Without its padding of PKCS#7 to blocks of so many bytes.
fn unpadded(plain: &[u8], block: usize) -> Result<&[u8], EnvelopeFault> {
    let count = plain.last().copied().map(usize::from).ok_or(EnvelopeFault::Envelope)?;
    let end = plain.len().checked_sub(count).filter(|_| (1..=block).contains(&count));
    let (text, padding) = plain.split_at(end.ok_or(EnvelopeFault::Envelope)?);
    let good = padding.iter().all(|byte| usize::from(*byte) == count);
    good.then_some(text).ok_or(EnvelopeFault::Envelope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_not_opened() {
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        let sealed =
            "4j/AuRx71kQlxVlzbpsMWCelA8C1lBoxP43lHv+9IBYt+cD4sHFjiuHNKIIHxL5+010Hh1a8SWWfq9neY4oTOA==";
        assert_eq!(wecom_open(key, sealed, "wwcorp").as_deref(), Ok("8921347298347"));
        assert_eq!(wecom_open(key, sealed, "wwother"), Err(EnvelopeFault::Recipient));
        assert_eq!(wecom_open("short", sealed, "wwcorp"), Err(EnvelopeFault::Key));
        for sealed in ["", "!", "AAAA", &sealed[..64], &sealed.replace('4', "5")] {
            assert!(wecom_open(key, sealed, "wwcorp").is_err(), "{sealed}");
            assert!(feishu_open(key, sealed).is_err(), "{sealed}");
        }
    }
}
