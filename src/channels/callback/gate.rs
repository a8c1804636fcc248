//! Providers that sign nothing: a secret stands in the path, and where their addresses are known these are listed (RC4).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Knock, Refusal};
use crate::channels::BuildFault;
use crate::core::ids::Secret;
use crate::core::problem::Problems;
use crate::wire::secret::SecretConfig;
use crate::wire::sign;

/// The shortest secret of a path.
const SHORTEST: usize = 16;

/// `[channels.NAME.ADAPTER.callback]` of a provider that signs nothing: it calls `…/v1/callbacks/NAME/SECRET`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PathCallbackConfig {
    /// The secret that stands in the path: 16 letters, digits, `-` or `_` at least.
    pub token: SecretConfig,
    /// The addresses or networks that it comes from: `203.0.113.7`, `203.0.113.0/24`. Empty: from anywhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}

impl PathCallbackConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.token.rebase(folder);
    }

    /// Notes everything that is wrong with it.
    pub(crate) fn check(&self, problems: &mut Problems) {
        check(&self.token, &self.addresses, problems);
    }

    /// The gate of it.
    pub(crate) fn gate(&self, env: &BTreeMap<String, String>) -> Result<Gate, BuildFault> {
        Gate::of(&self.token, &self.addresses, env)
    }
}

/// Notes what is wrong with a secret of a path and a list of addresses.
pub(crate) fn check(token: &SecretConfig, addresses: &[String], problems: &mut Problems) {
    problems.within("token", |p| token.check_given("", p));
    problems.within("addresses", |problems| {
        for (i, address) in addresses.iter().enumerate() {
            if Net::of(address).is_none() {
                problems.within(i, |p| {
                    p.error(format!("found `{address}`, expected such as 203.0.113.7 or 203.0.113.0/24"));
                });
            }
        }
    });
}

/// Notes it when `url` is not where a provider can reach us.
pub(crate) fn check_url(url: &str, problems: &mut Problems) {
    let good =
        reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if !good {
        problems.within("url", |p| {
            p.error("is no address where it reaches us, expected https://HOST/v1/callbacks/NAME");
        });
    }
}

/// Lets in who has the secret and comes from where they may.
#[derive(Clone, Debug)]
pub struct Gate {
    token: Secret,
    nets: Vec<Net>,
}

impl Gate {
    /// A gate with this secret, for these addresses.
    pub(crate) fn of(
        token: &SecretConfig,
        addresses: &[String],
        env: &BTreeMap<String, String>,
    ) -> Result<Gate, BuildFault> {
        let token = token.need("callback.token.", env)?;
        let token = Secret::new(token.reveal().trim());
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if token.reveal().len() < SHORTEST || !token.reveal().bytes().all(good) {
            return Err(BuildFault::Setting(format!(
                "callback.token: has {} bytes, expected {SHORTEST} letters, digits, - or _ at least, such as \
                 `openssl rand -hex 16` prints",
                token.reveal().len()
            )));
        }
        Ok(Gate { token, nets: addresses.iter().filter_map(|address| Net::of(address)).collect() })
    }

    /// Lets a request in.
    pub(crate) fn admit(&self, knock: &Knock<'_>) -> Result<(), Refusal> {
        if !sign::same(knock.pass.unwrap_or_default(), self.token.reveal()) {
            return Err(Refusal::Signature);
        }
        let known = |caller: IpAddr| self.nets.iter().any(|net| net.holds(caller));
        // Who calls over the socket of this machine has no address.
        if self.nets.is_empty() || knock.caller.is_none_or(known) { Ok(()) } else { Err(Refusal::Address) }
    }

    /// The address to call, below `url`.
    pub(crate) fn address(&self, url: &str) -> String {
        format!("{}/{}", url.trim_end_matches('/'), self.token.reveal())
    }

    /// What no text may repeat.
    pub(crate) fn secret(&self) -> String {
        self.token.reveal().to_owned()
    }
}

/// A network of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Net {
    bits: u128,
    /// How many of the 128 bits count.
    length: u32,
}

/// Every address as one of IPv6, so that one rule serves both.
fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl Net {
    fn of(text: &str) -> Option<Net> {
        let (address, length) = match text.trim().split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().ok()?;
        let longest: u32 = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Some(longest), |n| n.parse().ok()).filter(|n| *n <= longest)?;
        let length = length + 128 - longest;
        Some(Net { bits: mapped(address) & Net::mask(length), length })
    }

    fn mask(length: u32) -> u128 {
        u128::MAX.checked_shl(128 - length).unwrap_or(0)
    }

    fn holds(self, address: IpAddr) -> bool {
        mapped(address) & Net::mask(self.length) == self.bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::callback::tests::{headers, knock};

    #[test]
    fn networks_hold_their_addresses() {
        for (net, address, holds) in [
            ("203.0.113.7", "203.0.113.7", true),
            ("203.0.113.7", "203.0.113.8", false),
            ("203.0.113.0/24", "203.0.113.255", true),
            ("203.0.113.0/24", "203.0.114.1", false),
            ("0.0.0.0/0", "198.51.100.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:1::5", true),
            ("::/0", "198.51.100.1", true),
            ("203.0.113.0/24", "::ffff:203.0.113.9", true),
        ] {
            assert_eq!(Net::of(net).unwrap().holds(address.parse().unwrap()), holds, "{net} {address}");
        }
        for bad in ["", "203.0.113", "203.0.113.0/33", "203.0.113.0/", "a/b", "203.0.113.0/-1"] {
            assert!(Net::of(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn only_the_whole_secret_lets_in() {
        let gate = |addresses: &[&str]| Gate {
            token: Secret::new("0123456789abcdef"),
            nets: addresses.iter().filter_map(|a| Net::of(a)).collect(),
        };
        let none = headers(&[]);
        let admit = |gate: &Gate, pass| gate.admit(&knock(&none, "", b"x", pass));
        let open = gate(&[]);
        assert_eq!(admit(&open, Some("0123456789abcdef")), Ok(()));
        for pass in
            [None, Some(""), Some("0123456789abcde"), Some("0123456789abcdeF"), Some("0123456789abcdef0")]
        {
            assert_eq!(admit(&open, pass), Err(Refusal::Signature), "{pass:?}");
        }
        assert_eq!(admit(&gate(&["203.0.113.0/24"]), Some("0123456789abcdef")), Ok(()));
        assert_eq!(admit(&gate(&["203.0.114.0/24"]), Some("0123456789abcdef")), Err(Refusal::Address));
    }
}
