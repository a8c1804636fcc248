//! Where pushes arrive (`logistics` 8): an address of its own for each parcel, which nobody can guess, and a salt of its
//! own. Both are derived from the installation's key, so that nothing of them is kept, and a push for one parcel says
//! nothing that could be used for another.

use crate::core::ids::{InstallationKey, Secret, hex};
use crate::sources::parcels::{Hook, Number};
use crate::sources::sign::same;

/// The path under which pushes arrive; source, carrier, number and token follow.
pub const PATH: &str = "/v1/traces";

/// The hooks of one source.
#[derive(Clone)]
pub struct Hooks {
    key: InstallationKey,
    source: String,
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hooks({})", self.source)
    }
}

impl Hooks {
    /// Those of `source`.
    pub fn new(key: InstallationKey, source: &str) -> Hooks {
        Hooks { key, source: source.to_owned() }
    }

    /// The hook of a parcel, where this program is reached at `base`.
    pub fn hook(&self, base: &str, number: &Number) -> Hook {
        let (source, carrier, waybill) = (&self.source, number.carrier(), number.waybill());
        let token = self.token(number);
        let url = format!("{}{PATH}/{source}/{carrier}/{waybill}/{token}", base.trim_end_matches('/'));
        Hook { url, salt: self.salt(number) }
    }

    /// What the pushes of a parcel are signed with.
    pub fn salt(&self, number: &Number) -> Secret {
        Secret::new(&self.derive(b"trace-salt", number)[..32])
    }

    /// Whether `token` is that of the parcel's address, in a time that says nothing of it.
    pub fn is_of(&self, number: &Number, token: &str) -> bool {
        same(token, &self.token(number))
    }

    fn token(&self, number: &Number) -> String {
        self.derive(b"trace-path", number)[..32].to_owned()
    }

    fn derive(&self, what: &[u8], number: &Number) -> String {
        hex(&self.key.mac(&[what, self.source.as_bytes(), number.to_string().as_bytes()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parcel_has_an_address_and_a_salt_of_its_own() {
        let hooks = |key: u8, source: &str| Hooks::new(InstallationKey::new([key; 32]), source);
        let number = |n: u32| Number::new("yuantong", &format!("YT{n:012}")).unwrap();
        let hook = hooks(1, "k").hook("https://bell.example.com/", &number(1));
        let token = hook.url.rsplit('/').next().unwrap().to_owned();
        assert!(hook.url.starts_with("https://bell.example.com/v1/traces/k/yuantong/YT000000000001/"));
        assert_eq!((token.len(), hook.salt.reveal().len()), (32, 32));
        assert!(hooks(1, "k").is_of(&number(1), &token));
        for (other, number) in
            [(hooks(1, "k"), number(2)), (hooks(2, "k"), number(1)), (hooks(1, "l"), number(1))]
        {
            assert!(!other.is_of(&number, &token));
            assert_ne!(other.salt(&number), hook.salt);
        }
        assert_ne!(token, hook.salt.reveal(), "what stands in the address signs nothing");
        assert!(!hooks(1, "k").is_of(&number(1), ""));
    }
}
