//! Which way a parcel goes, as numbers.

use serde::{Deserialize, Serialize};

/// Who carries a parcel from where to where; 24 bytes, compared by value.
///
/// The names are kept as 64-bit digests: of 100,000 lanes, two share one with a chance of 1 in 3 billion, and would
/// then be learned as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Route {
    /// All that one carrier carries.
    pub carrier: u64,
    /// All that it carries to one place.
    pub region: u64,
    /// All that it carries from one place to another.
    pub lane: u64,
}

impl Route {
    /// The way of `carrier` from `from` to `to`, named as the source names them; nothing known is an empty text.
    pub fn new(carrier: &str, from: &str, to: &str) -> Route {
        Route {
            carrier: digest(&["carrier", carrier]),
            region: digest(&["region", carrier, to]),
            lane: digest(&["lane", carrier, from, to]),
        }
    }
}

/// FNV-1a over the parts and their lengths, stirred so that all bits depend on all letters. The same on every machine.
fn digest(parts: &[&str]) -> u64 {
    let mut h = 0xcbf2_9ce4_8422_2325_u64;
    let mut eat = |byte: u8| h = (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    for part in parts {
        for byte in (part.len() as u32).to_le_bytes() {
            eat(byte);
        }
        part.bytes().for_each(&mut eat);
    }
    h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    h ^ (h >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_run_together() {
        let a = Route::new("yto", "浙江", "湖南");
        assert_eq!(a, Route::new("yto", "浙江", "湖南"));
        assert_ne!(a.lane, Route::new("yto", "浙江湖", "南").lane);
        assert_ne!(a.lane, Route::new("yto", "湖南", "浙江").lane);
        assert_eq!(a.region, Route::new("yto", "上海", "湖南").region);
        assert_ne!(a.region, Route::new("sf", "浙江", "湖南").region);
        assert_ne!(Route::new("", "", "").lane, Route::new("", "", "").region);
    }
}
