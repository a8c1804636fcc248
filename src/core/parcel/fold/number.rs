//! Numbers of parcels as people write them (Q16), and the number under which one goes on (Q13).

use icu_normalizer::ComposingNormalizerBorrowed;

/// A number is at least so long …
const SHORTEST: usize = 6;
/// … and at most so.
const LONGEST: usize = 32;
/// A number that follows another, in a text, is at least and at most so long.
const FOLLOWS: std::ops::RangeInclusive<usize> = 8..=20;
/// What stands before it.
const BEFORE: [&str; 9] = [
    "新单号",
    "新运单号",
    "新快递单号",
    "转单号",
    "新的单号",
    "邮政单号",
    "ems单号",
    "new tracking number",
    "new waybill",
];
/// More numbers in one field are a mistake.
const MOST: usize = 16;

/// The numbers in a field: plain letters, digits and hyphens (JD's parts of a parcel) in capitals, without words before
/// them; what is none is left out.
pub fn waybills(field: &str) -> Vec<String> {
    let field = ComposingNormalizerBorrowed::new_nfkc().normalize(field);
    let mut out: Vec<String> = Vec::new();
    for word in field.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')) {
        let number = word.trim_matches('-').to_ascii_uppercase();
        let has_digit = number.bytes().any(|b| b.is_ascii_digit());
        if has_digit && (SHORTEST..=LONGEST).contains(&number.len()) && !out.contains(&number) {
            out.push(number);
        }
        if out.len() == MOST {
            break;
        }
    }
    out
}

/// The number under which a parcel goes on, where a text names one: `已退回,新单号为 SF0000000009`.
pub fn successor(text: &str) -> Option<String> {
    let text = ComposingNormalizerBorrowed::new_nfkc().normalize(text).to_lowercase();
    BEFORE.iter().find_map(|before| {
        text.match_indices(before).find_map(|(at, _)| {
            let rest = text[at + before.len()..].trim_start_matches(|c: char| {
                c.is_whitespace() || matches!(c, ':' | '为' | '是' | '(' | '【' | '[' | ',' | '.' | '#')
            });
            let number: String = rest.chars().take_while(char::is_ascii_alphanumeric).take(LONGEST).collect();
            let fits = FOLLOWS.contains(&number.len()) && number.bytes().any(|b| b.is_ascii_digit());
            fits.then(|| number.to_ascii_uppercase())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for (field, want) in [
            ("YT0000000000001", vec!["YT0000000000001"]),
            ("  单号：ｓｆ００００００００００１ ", vec!["SF00000000001"]),
            ("YT0000000001,YT0000000002；YT0000000001", vec!["YT0000000001", "YT0000000002"]),
            ("JD0001-1-1-", vec!["JD0001-1-1"]),
            ("无", vec![]),
            ("12345", vec![]),
            ("ABCDEFGH", vec![]),
        ] {
            assert_eq!(waybills(field), want, "{field}");
        }
        assert_eq!(waybills(&(100_000..100_100).map(|n| format!("{n} ")).collect::<String>()).len(), MOST);
        assert!(waybills(&"9".repeat(100_000)).is_empty());
    }

    #[test]
    fn the_number_that_follows_is_found() {
        for (text, want) in [
            ("快件已退回/转寄，新单号为 SF0000000009", Some("SF0000000009")),
            ("新运单号：yt00000000012，请查询", Some("YT00000000012")),
            ("本件转邮政派送,邮政单号【98000000001】", Some("98000000001")),
            ("New tracking number: LX000000001CN", Some("LX000000001CN")),
            ("新单号稍后提供", None),
            ("新单号 SF1", None),
            ("单号 SF0000000009 已签收", None),
            ("", None),
        ] {
            assert_eq!(successor(text).as_deref(), want, "{text}");
        }
    }
}
