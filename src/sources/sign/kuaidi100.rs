//! Kuaidi100 (快递100), the courier aggregator (`logistics` 3.1).

use super::{Body, Params, Signed, md5_hex};
use crate::core::ids::Secret;

/// A query, signed. `param` is serialised once: the very text that was signed is sent.
pub fn query(customer: &str, key: &Secret, param: String) -> Signed {
    let sign = md5_hex(&[&param, key.reveal(), customer].concat()).to_ascii_uppercase();
    let form = [("customer", customer.to_owned()), ("sign", sign), ("param", param)];
    Signed {
        query: Params::new(),
        body: Body::Form(form.map(|(name, value)| (name.to_owned(), value)).into()),
    }
}

/// What the field `sign` of a callback must say, over the form value of `param` as it arrived. Compare by
/// [`super::same`]: upper and lower case are seen.
pub fn callback(param: &str, salt: &Secret) -> String {
    md5_hex(&[param, salt.reveal()].concat()).to_ascii_uppercase()
}
