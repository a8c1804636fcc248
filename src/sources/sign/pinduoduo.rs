//! Pinduoduo (`platforms` 4.1, 4.7).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Body, Params, Signed, glue, md5_hex, wrap};
use crate::core::ids::Secret;
use crate::core::time::Instant;

/// One flat object, common and business parameters together.
pub type Object = serde_json::Map<String, Value>;

/// The parameters of a call: `business` and those that every call has.
pub fn params(client_id: &str, token: Option<&Secret>, kind: &str, at: Instant, business: Object) -> Object {
    let mut params = business;
    let mut put = |name: &str, value: Value| params.insert(name.to_owned(), value);
    put("type", kind.into());
    put("client_id", client_id.into());
    put("timestamp", at.as_secs().into());
    put("data_type", "JSON".into());
    if let Some(token) = token {
        put("access_token", token.reveal().into());
    }
    params
}

/// Signs parameters. Those that are null are neither signed nor sent; nested ones are signed as compact JSON.
pub fn sign(mut params: Object, secret: &Secret) -> Signed {
    params.retain(|_, value| !value.is_null());
    let signature = signature(&params, secret);
    params.insert("sign".to_owned(), signature.into());
    Signed { query: Params::new(), body: Body::Json(Value::Object(params).to_string()) }
}

/// The signature of everything but `sign`.
pub fn signature(params: &Object, secret: &Secret) -> String {
    let texts: Params = params
        .iter()
        .filter(|(name, _)| *name != "sign")
        .map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    md5_hex(&wrap(secret.reveal(), &glue(&texts))).to_ascii_uppercase()
}

/// The path of the message socket (PMC): `/message/{client_id}/{millis}/{token}`.
pub fn message_path(client_id: &str, secret: &Secret, at: Instant) -> String {
    let millis = at.as_millis();
    let digest = md5_hex(&format!("{client_id}{millis}{}", secret.reveal()));
    format!("/message/{client_id}/{millis}/{}", STANDARD.encode(digest).replace('=', "%3D"))
}
