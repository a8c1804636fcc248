//! Taobao and Tmall, TOP (`platforms` 2.1).

use super::{Body, Params, Signed, beijing, glue, hmac_md5_hex, hmac_sha256_hex, md5_hex, wrap};
use crate::core::ids::Secret;
use crate::core::time::Instant;

/// Which digest (`sign_method`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// MD5 over the text between two secrets.
    Md5,
    /// HMAC-MD5, the secret being the key; nothing is put around the text.
    Hmac,
    /// HMAC-SHA256, the same way.
    HmacSha256,
}

impl Way {
    /// Its word in `sign_method`.
    pub fn word(self) -> &'static str {
        match self {
            Way::Md5 => "md5",
            Way::Hmac => "hmac",
            Way::HmacSha256 => "hmac-sha256",
        }
    }
}

/// The parameters of a call: `business` and those that every call has. `format=json` is always sent, the server's
/// default being XML.
pub fn params(
    app_key: &str,
    session: Option<&Secret>,
    method: &str,
    way: Way,
    at: Instant,
    business: Params,
) -> Params {
    let mut params = business;
    let mut put = |name: &str, value: &str| params.insert(name.to_owned(), value.to_owned());
    put("method", method);
    put("app_key", app_key);
    put("timestamp", &beijing(at));
    put("format", "json");
    put("v", "2.0");
    put("sign_method", way.word());
    if let Some(session) = session {
        put("session", session.reveal());
    }
    params
}

/// Signs parameters. Empty ones are neither signed nor sent.
pub fn sign(mut params: Params, secret: &Secret, way: Way) -> Signed {
    params.retain(|_, value| !value.is_empty());
    let text = glue(&params);
    let secret = secret.reveal();
    let digest = match way {
        Way::Md5 => md5_hex(&wrap(secret, &text)),
        Way::Hmac => hmac_md5_hex(secret, &text),
        Way::HmacSha256 => hmac_sha256_hex(secret, &text),
    };
    params.insert("sign".to_owned(), digest.to_ascii_uppercase());
    Signed { query: Params::new(), body: Body::Form(params) }
}
