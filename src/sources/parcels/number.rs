//! The number of a parcel (运单号), as people and platforms write it, and the carrier's code as the aggregator has it.

use std::collections::BTreeMap;
use std::fmt;

use crate::core::parcel::fold::waybills;

/// The longest code of a carrier.
const LONGEST_CARRIER: usize = 40;

/// A parcel: carrier and number. Printed as `yuantong:YT0000000000001`, which is the id of its case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number {
    carrier: String,
    waybill: String,
}

impl Number {
    /// The parcel of a carrier, by the aggregator's code, and a number as somebody wrote it. `None` where these are none.
    pub fn new(carrier: &str, waybill: &str) -> Option<Number> {
        let carrier = carrier.trim().to_ascii_lowercase();
        let fits = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
        if carrier.is_empty() || carrier.len() > LONGEST_CARRIER || !carrier.bytes().all(fits) {
            return None;
        }
        // Of several in one field the first.
        let waybill = waybills(waybill).into_iter().next()?;
        Some(Number { carrier, waybill })
    }

    /// Reads what [`Number`] prints.
    pub fn parse(text: &str) -> Option<Number> {
        let (carrier, waybill) = text.split_once(':')?;
        Number::new(carrier, waybill)
    }

    /// The carrier, by the aggregator's code.
    pub fn carrier(&self) -> &str {
        &self.carrier
    }

    /// The number (运单号).
    pub fn waybill(&self) -> &str {
        &self.waybill
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.carrier, self.waybill)
    }
}

/// Carriers as they are called elsewhere, and the code that Kuaidi100 and its like have for them (`logistics` 3.11,
/// unverified: `carriers` in the configuration comes before it).
const KNOWN: &[(&str, &[&str])] = &[
    ("debangkuaidi", &["dbl", "deppon", "德邦", "德邦快递"]),
    ("ems", &["ems"]),
    ("huitongkuaidi", &["htky", "best", "百世", "百世快递"]),
    ("jd", &["jd", "jdl", "京东", "京东快递", "京东物流"]),
    ("jtexpress", &["jtsd", "jt", "极兔", "极兔速递"]),
    ("shentong", &["sto", "申通", "申通快递"]),
    ("shunfeng", &["sf", "顺丰", "顺丰速运"]),
    ("youzhengguonei", &["yzpy", "邮政", "邮政快递包裹"]),
    ("yuantong", &["yto", "圆通", "圆通速递"]),
    ("yunda", &["yd", "韵达", "韵达快递"]),
    ("zhongtong", &["zto", "中通", "中通快递"]),
];

/// What people call the carrier of a code, where it is a known one.
pub fn carrier_title(code: &str) -> Option<&'static str> {
    let (_, words) = KNOWN.iter().find(|(known, _)| *known == code)?;
    words.iter().find(|word| !word.is_ascii()).copied()
}

/// Which code a source's word for a carrier is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carriers(BTreeMap<String, String>);

impl Carriers {
    /// Those of the configuration: a source's word, or `source/word`, and the code.
    pub fn new(own: &BTreeMap<String, String>) -> Carriers {
        Carriers(own.iter().map(|(word, code)| (word.trim().to_lowercase(), code.clone())).collect())
    }

    /// The code of `word` as `source` says it.
    pub fn code(&self, source: &str, word: &str) -> Option<String> {
        let word = word.trim().to_lowercase();
        let own =
            self.0.get(&format!("{}/{word}", source.to_lowercase())).or_else(|| self.0.get(&word)).cloned();
        own.or_else(|| {
            let known = KNOWN.iter().find(|(code, words)| *code == word || words.contains(&word.as_str()));
            known.map(|(code, _)| (*code).to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for (text, want) in [
            ("YT0000000000001", Some("YT0000000000001")),
            (" yt0000000000001 ", Some("YT0000000000001")),
            ("单号:YT0000000000001", Some("YT0000000000001")),
            ("ＹＴ００００００００００００１", Some("YT0000000000001")),
            ("75300000000001,75300000000002", Some("75300000000001")),
            ("75300000000001　75300000000002", Some("75300000000001")),
            ("JD0001-1-1-", Some("JD0001-1-1")),
            ("12345", None),
            ("无需物流", None),
            ("SELFPICK", None),
            ("", None),
            ("123456789012345678901234567890123", None),
        ] {
            let number = Number::new("yuantong", text);
            assert_eq!(number.as_ref().map(Number::waybill), want, "{text}");
            if let Some(number) = number {
                assert_eq!(Number::parse(&number.to_string()), Some(number), "{text}");
            }
        }
        for carrier in ["", "a b", "圆通", "../x", &"x".repeat(41)] {
            assert_eq!(Number::new(carrier, "YT0000000000001"), None, "{carrier}");
        }
    }

    #[test]
    fn carriers_are_known_by_many_names_and_the_configuration_comes_first() {
        let own: BTreeMap<String, String> = [("44", "yunda"), ("jd-shop/44", "zhongtong"), ("STO", "own")]
            .map(|(a, b)| (a.into(), b.into()))
            .into();
        let carriers = Carriers::new(&own);
        for (source, word, want) in [
            ("pdd", "44", Some("yunda")),
            ("JD-shop", "44", Some("zhongtong")),
            ("pdd", "圆通", Some("yuantong")),
            ("pdd", " YTO ", Some("yuantong")),
            ("pdd", "shunfeng", Some("shunfeng")),
            ("pdd", "sto", Some("own")),
            ("pdd", "45", None),
        ] {
            assert_eq!(carriers.code(source, word).as_deref(), want, "{source} {word}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_written_is_a_number_or_none(carrier in "\\PC{0,50}", waybill in "\\PC{0,300}") {
            if let Some(number) = Number::new(&carrier, &waybill) {
                proptest::prop_assert!(number.to_string().len() <= 80);
                proptest::prop_assert_eq!(Number::parse(&number.to_string()), Some(number));
            }
        }
    }
}
