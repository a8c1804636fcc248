//! How requests are signed, one file a platform. Each function builds the parameters, the signed text and what is sent
//! from one set, so that they cannot differ (`platforms` 10.1, 15). Nothing here is logged; a [`Signed`] prints without
//! its values.
//!
//! MD5 is what these platforms ask for. It protects nothing but their own door.

pub mod douyin;
pub mod jd;
pub mod kuaidi100;
pub mod pinduoduo;
pub mod top;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use hmac::{Hmac, Mac};
use md5::{Digest, Md5};
use reqwest::Method;
use reqwest::header::HeaderMap;
use sha2::Sha256;

use crate::core::ids::hex;
use crate::core::time::Instant;

/// Parameters by name, in the order in which ASCII has them: `bar`, `foo`, `foo_bar`, `foobar`.
pub type Params = BTreeMap<String, String>;

/// What is sent, signed.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    /// What stands in the URL behind the `?`, by name.
    pub query: Params,
    /// What stands in the body.
    pub body: Body,
}

/// The body of a request.
#[derive(Clone, PartialEq, Eq)]
pub enum Body {
    /// `application/x-www-form-urlencoded`, UTF-8.
    Form(Params),
    /// `application/json`: these very bytes.
    Json(String),
    /// As somebody configured it.
    Plain(Plain),
    /// It cannot be written, and why: nothing is sent.
    Never(&'static str),
}

/// A request as somebody configured it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    /// `GET`, `POST`, …
    pub method: Method,
    /// Its headers; those with secrets are marked as sensitive.
    pub headers: HeaderMap,
    /// What the body is called, and the body.
    pub content: Option<(&'static str, String)>,
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signed(…)")
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body(…)")
    }
}

/// Whether two signatures are the same, in a time that does not depend on where they differ. Upper or lower case is one.
pub fn same(one: &str, other: &str) -> bool {
    crate::wire::sign::same(&one.to_ascii_lowercase(), &other.to_ascii_lowercase())
}

/// `name + value` of all parameters, in order, with nothing between them; values are raw, not encoded for a URL.
fn glue(params: &Params) -> String {
    params.iter().fold(String::new(), |text, (name, value)| text + name + value)
}

fn wrap(secret: &str, text: &str) -> String {
    [secret, text, secret].concat()
}

fn md5_hex(text: &str) -> String {
    hex(&Md5::digest(text.as_bytes()))
}

fn hmac_md5_hex(key: &str, text: &str) -> String {
    // HMAC takes a key of any length.
    let mac = <Hmac<Md5> as Mac>::new_from_slice(key.as_bytes()).map(|m| m.chain_update(text.as_bytes()));
    mac.map_or_else(|_| String::new(), |m| hex(&m.finalize().into_bytes()))
}

fn hmac_sha256_hex(key: &str, text: &str) -> String {
    let mac = <Hmac<Sha256> as Mac>::new_from_slice(key.as_bytes()).map(|m| m.chain_update(text.as_bytes()));
    mac.map_or_else(|_| String::new(), |m| hex(&m.finalize().into_bytes()))
}

/// `yyyy-MM-dd HH:mm:ss` of +08:00, whatever the machine's zone is (`platforms` 10.1, 12). China has one offset and no
/// daylight saving time.
pub fn beijing(at: Instant) -> String {
    at.to_timestamp().to_zoned(EAST_8.to_time_zone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The offset of China.
pub(crate) const EAST_8: jiff::tz::Offset = jiff::tz::offset(8);
