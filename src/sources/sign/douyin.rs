//! Douyin Shop (`platforms` 5.1, 5.7).

use serde_json::Value;

use super::{Body, Params, Signed, glue, hmac_sha256_hex, md5_hex, wrap};
use crate::core::ids::Secret;
use crate::core::time::Instant;

/// An app.
#[derive(Clone, Copy, Debug)]
pub struct App<'a> {
    /// `app_key`.
    pub key: &'a str,
    /// `app_secret`.
    pub secret: &'a Secret,
}

/// Which digest. The platform takes MD5 where `sign_method` is absent; it is here to be told apart, not to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// HMAC-SHA256 over the text between two secrets, the secret being the key as well.
    HmacSha256,
    /// MD5 over the same text.
    Md5,
}

/// A call, signed. `method` is the path with dots (`order.searchList`); `business` is the body, with its keys in order at
/// every level and without escapes. The timestamp is in seconds.
pub fn call(app: App<'_>, token: Option<&Secret>, method: &str, at: Instant, business: &Value) -> Signed {
    // Objects keep their keys in order: serde_json is built without `preserve_order`, which `keys_are_in_order` holds.
    sign(app, token, method, &at.as_secs().to_string(), business.to_string(), Way::HmacSha256)
}

/// As [`call`], for a body and a timestamp that are texts already.
pub fn sign(
    app: App<'_>,
    token: Option<&Secret>,
    method: &str,
    timestamp: &str,
    body: String,
    way: Way,
) -> Signed {
    let mut query: Params = [("app_key", app.key), ("method", method), ("timestamp", timestamp), ("v", "2")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    // A fixed set of five is signed; whatever else is sent is not.
    let mut signed = query.clone();
    signed.insert("param_json".to_owned(), body.clone());
    let text = wrap(app.secret.reveal(), &glue(&signed));
    let digest = match way {
        Way::HmacSha256 => hmac_sha256_hex(app.secret.reveal(), &text),
        Way::Md5 => md5_hex(&text),
    };
    if way == Way::HmacSha256 {
        query.insert("sign_method".to_owned(), "hmac-sha256".to_owned());
    }
    if let Some(token) = token {
        query.insert("access_token".to_owned(), token.reveal().to_owned());
    }
    query.insert("sign".to_owned(), digest);
    Signed { query, body: Body::Json(body) }
}

/// What the header `event-sign` of a push must say, over the raw body; `app-id` must be our key.
pub fn event(app: App<'_>, body: &str) -> String {
    md5_hex(&[app.key, body, app.secret.reveal()].concat())
}
