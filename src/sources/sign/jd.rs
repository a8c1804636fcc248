//! JD, routerjson (`platforms` 3.2).

use super::{Body, EAST_8, Params, Signed, glue, md5_hex, wrap};
use crate::core::ids::Secret;
use crate::core::time::Instant;

/// The parameters of a call. `business` is serialised once, as the one parameter `360buy_param_json`; `format` and
/// `sign_method` are not sent.
pub fn params(
    app_key: &str,
    token: Option<&Secret>,
    method: &str,
    at: Instant,
    business: &serde_json::Value,
) -> Params {
    let mut params = Params::new();
    let mut put = |name: &str, value: &str| params.insert(name.to_owned(), value.to_owned());
    put("360buy_param_json", &business.to_string());
    put("app_key", app_key);
    put("method", method);
    put("timestamp", &timestamp(at));
    put("v", "2.0");
    if let Some(token) = token {
        put("access_token", token.reveal());
    }
    params
}

/// `yyyy-MM-dd HH:mm:ss.SSS+0800`: with its offset, because the server allows only six minutes.
fn timestamp(at: Instant) -> String {
    at.to_timestamp().to_zoned(EAST_8.to_time_zone()).strftime("%Y-%m-%d %H:%M:%S%.3f%z").to_string()
}

/// Signs parameters.
pub fn sign(mut params: Params, secret: &Secret) -> Signed {
    let digest = md5_hex(&wrap(secret.reveal(), &glue(&params))).to_ascii_uppercase();
    params.insert("sign".to_owned(), digest);
    Signed { query: Params::new(), body: Body::Form(params) }
}
