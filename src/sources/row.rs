//! What all platforms' files share when they read the rows of an answer: each becomes a case or is counted; nothing that
//! cannot be read takes another thing with it.

#[cfg(test)]
pub mod told;

use reqwest::Url;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::core::engine::OpenCase;
use crate::core::ids::hex;
use crate::core::model::{Mark, Observation, Value as Attribute, hash64};
use crate::core::time::Instant;
use crate::sources::loose::Odd;
use crate::sources::platform::{Item, Reject, Want};

/// Where requests go: https, or this machine. `example` is shown to whoever wrote something else.
pub fn endpoint(text: &str, example: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("is no URL: {e}, expected {example}"))?;
    let local = url.host_str().is_some_and(|host| {
        let host = host.trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    });
    match url.scheme() {
        "https" => Ok(url),
        "http" if local => Ok(url),
        _ => Err("is not https: everybody on the way could read the tokens".to_owned()),
    }
}

/// Whose cases they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The name of the source.
    pub source: String,
    /// The attribute `shop`.
    pub shop: Option<String>,
}

impl Origin {
    /// What its list says of a case, changed at `modified`; marks and attributes are to come.
    pub fn observation<'o>(&self, kind: &'static str, id: &str, modified: Instant) -> Observation<'o> {
        Observation {
            source: self.source.clone().into(),
            kind: kind.into(),
            id: id.to_owned().into(),
            as_of: modified,
            revision: modified.as_secs(),
            marks: Vec::new(),
            attributes: Vec::new(),
        }
    }

    /// Marks that the platform gives no instant for: that of the earliest snapshot that shows them. A revision that
    /// counts backwards keeps the earliest, in whatever order snapshots arrive (T3).
    pub fn first_seen(
        &self,
        kind: &'static str,
        id: &str,
        modified: Instant,
        names: &[&'static str],
    ) -> Observation<'static> {
        let marks = names.iter().map(|name| mark(name, modified)).collect();
        Observation { revision: -modified.as_secs(), marks, ..self.observation(kind, id, modified) }
    }

    /// The attributes that every case has: `status`, and `shop` where it has a name.
    pub fn attributes(&self, seen: &mut Observation<'_>, status: &'static str) {
        seen.attributes.push(("status".into(), Attribute::Text(status.into())));
        if let Some(shop) = &self.shop {
            seen.attributes.push(("shop".into(), Attribute::Text(shop.clone().into())));
        }
    }
}

/// Whether the courier is not known to have an order's parcel yet: its trace is worth asking for.
pub fn is_under_way(case: &OpenCase) -> bool {
    case.status.as_deref() == Some("shipped") && !case.is_picked_up
}

/// A mark without a reference.
pub fn mark(name: &'static str, at: Instant) -> Mark<'static> {
    Mark { name: name.into(), reference: None, at, removed: false }
}

/// Why a row cannot be used.
pub type Bad = String;

/// A field without which a row says nothing.
pub fn need<T>(name: &str, read: Result<Option<T>, Odd>) -> Result<T, Bad> {
    match read {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(format!("{name} is missing")),
        Err(odd) => Err(format!("{name} is not {odd}")),
    }
}

/// What was read of a row beside its id.
#[derive(Default)]
pub struct Reading {
    odd: Vec<&'static str>,
}

impl Reading {
    /// A field that may be missing. One that cannot be read is left out: the rest of the row is still true.
    pub fn keep<T>(&mut self, name: &'static str, read: Result<Option<T>, Odd>) -> Option<T> {
        read.unwrap_or_else(|_| {
            self.odd.push(name);
            None
        })
    }

    /// What was read. The digest is of everything that is observed.
    pub fn item(
        self,
        id: String,
        modified: Instant,
        deadline: Option<Instant>,
        want: Option<Want>,
        observations: Vec<Observation<'static>>,
    ) -> Item {
        let digest = hash64(format!("{observations:?}").as_bytes());
        Item { observations, id, digest, modified, deadline, want, odd: self.odd }
    }
}

/// Reads rows one by one; what cannot be used is counted with a digest.
pub fn rows(
    list: &[Value],
    read: impl Fn(&Map<String, Value>) -> Result<Item, Bad>,
) -> (Vec<Item>, Vec<Reject>) {
    let (mut items, mut rejects) = (Vec::with_capacity(list.len()), Vec::new());
    for row in list {
        match row.as_object().map_or_else(|| Err("is not an object".to_owned()), &read) {
            Ok(item) => items.push(item),
            Err(reason) => rejects.push(Reject { digest: digest(row), reason }),
        }
    }
    (items, rejects)
}

/// A digest that tells rows apart and nothing of them (5.8).
pub fn digest(row: &Value) -> String {
    hex(&Sha256::digest(row.to_string().as_bytes())[..8])
}
