//! The lines of a login, as RFC 2195 and RFC 4954 have them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use md5::Md5;

use crate::core::ids::hex;

/// The answer to a challenge of CRAM-MD5; `None` where the challenge is none.
pub(crate) fn cram_md5(user: &str, password: &str, challenge: &str) -> Option<String> {
    let challenge = STANDARD.decode(challenge.trim()).ok()?;
    let mac = <Hmac<Md5> as Mac>::new_from_slice(password.as_bytes()).ok()?.chain_update(challenge);
    Some(STANDARD.encode(format!("{user} {}", hex(&mac.finalize().into_bytes()))))
}
