//! Finds what is personal inside a text and hides it (A4, I44): phone numbers, mail addresses, identity numbers,
//! postal addresses. Names cannot be found in a text; they are hidden by the key of the fact that holds them.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::core::ids::{mask_address, mask_phone};

/// Keys of facts that hold a person's name.
const NAMES: &[&str] = &[
    "buyer",
    "buyer_name",
    "buyer_nick",
    "consignee",
    "contact",
    "contact_name",
    "customer",
    "customer_name",
    "name",
    "receiver",
    "receiver_name",
    "recipient",
    "买家",
    "客户",
    "收件人",
    "收货人",
    "联系人",
    "姓名",
];

/// Parts of keys that hold a number to call.
const PHONES: &[&str] = &["phone", "mobile", "tel", "电话", "手机"];

/// Parts of keys that hold a postal address.
const ADDRESSES: &[&str] = &["address", "addr", "地址"];

/// A fact as it may leave: by what its key says of it, then by what is found in it. Masking what is masked changes
/// nothing.
pub fn mask_fact(key: &str, value: &str) -> String {
    let key = key.to_lowercase();
    let value = value.trim();
    if NAMES.contains(&key.as_str()) {
        return mask_name(value);
    }
    if PHONES.iter().any(|word| key.contains(word)) {
        return if value.contains('*') { mask_text(value) } else { mask_phone(value) };
    }
    if ADDRESSES.iter().any(|word| key.contains(word)) && !value.contains('@') {
        return mask_place(value);
    }
    mask_text(value)
}

/// A name as it may leave: its first character.
pub fn mask_name(name: &str) -> String {
    let mut chars = name.chars();
    match chars.next() {
        None => String::new(),
        Some(_) if name.contains('*') => name.to_owned(),
        Some(first) => format!("{first}**"),
    }
}

/// A postal address as it may leave: up to its district.
fn mask_place(place: &str) -> String {
    if place.is_empty() || place.contains("****") {
        return place.to_owned();
    }
    static DISTRICT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^.{2,24}?[区县旗]").ok());
    static CITY: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^.{2,12}?[市州]").ok());
    let head = [&*DISTRICT, &*CITY]
        .into_iter()
        .find_map(|pattern| pattern.as_ref().and_then(|p| p.find(place)))
        .map(|found| found.as_str().to_owned());
    format!("{}****", head.unwrap_or_else(|| place.chars().take(2).collect()))
}

/// What to look for, and what to leave of it. The order matters: a mail address may hold digits, and an identity number
/// what looks like a phone number.
type Hide = fn(&Captures<'_>) -> String;

/// Whether a text can hold such a thing at all: most texts are told at a glance.
type May = fn(&Glance) -> bool;

/// A text at a glance.
struct Glance {
    at: bool,
    digits: usize,
    /// Something beyond ASCII.
    wide: bool,
}

impl Glance {
    fn of(text: &str) -> Glance {
        let count = |is: fn(&u8) -> bool| text.bytes().filter(is).count();
        Glance { at: count(|b| *b == b'@') > 0, digits: count(u8::is_ascii_digit), wide: !text.is_ascii() }
    }
}

static FINDERS: LazyLock<Vec<(May, Regex, Hide)>> = LazyLock::new(|| {
    let finders: [(May, &str, Hide); 5] = [
        (
            |g| g.at,
            r"[A-Za-z0-9][A-Za-z0-9._%+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
            |c| mask_address(&c[0]),
        ),
        // 居民身份证: area, birthday, serial, check digit.
        (
            |g| g.digits >= 17,
            r"(?P<l>^|[^0-9A-Za-z])(?P<n>[1-9][0-9]{5}(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9Xx])",
            |c| format!("{}{}", &c["l"], mask_phone(&c["n"])),
        ),
        // Mobile numbers, with or without +86 and separators.
        (
            |g| g.digits >= 11,
            r"(?P<l>^|[^0-9A-Za-z+])(?P<cc>(?:\+|00)?86[- ]?)?(?P<n>1[3-9][0-9][- ]?[0-9]{4}[- ]?[0-9]{4})",
            |c| {
                let digits: String = c["n"].chars().filter(char::is_ascii_digit).collect();
                let cc = c.name("cc").map_or("", |cc| cc.as_str());
                format!("{}{cc}{}", &c["l"], mask_phone(&digits))
            },
        ),
        // Fixed lines: area code and number.
        (
            |g| g.digits >= 10,
            r"(?P<l>^|[^0-9A-Za-z-])(?P<n>\(?0[1-9][0-9]{1,2}\)?[- ]?[2-9][0-9]{6,7})",
            |c| format!("{}{}", &c["l"], mask_phone(&c["n"])),
        ),
        // A street with a number, a building, a room: the detail goes, the district stays.
        (
            |g| g.wide,
            r"(?P<s>[\p{Han}A-Za-z0-9]{1,12}(?:路|街|道|巷|弄|胡同|村|镇|乡|大厦|小区|花园|苑))(?P<n>[\p{Han}A-Za-z0-9 \-#]{0,24}?[0-9一二三四五六七八九十]+(?:号楼|号院|号|栋|幢|座|单元|层|楼|室|户))+(?:[0-9\-]{1,8})?",
            |c| match c["s"].char_indices().rfind(|(_, ch)| matches!(ch, '区' | '县' | '市')) {
                Some((at, ch)) => format!("{}****", &c["s"][..at + ch.len_utf8()]),
                None => "****".to_owned(),
            },
        ),
    ];
    finders
        .into_iter()
        .filter_map(|(may, pattern, hide)| Some((may, Regex::new(pattern).ok()?, hide)))
        .collect()
});

/// The text with everything personal in it hidden. A number longer than a phone number is left: parcels and orders have
/// such numbers, and people need them.
pub fn mask_text(text: &str) -> String {
    let mut text = text.to_owned();
    let glance = Glance::of(&text);
    for (may, finder, hide) in FINDERS.iter() {
        if !may(&glance) || !finder.is_match(&text) {
            continue;
        }
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        while let Some(found) = finder.captures_at(&text, done) {
            let Some(whole) = found.get(0) else { break };
            let digit_follows = text[whole.end()..].starts_with(|c: char| c.is_ascii_digit());
            let ends_in_digit = whole.as_str().ends_with(|c: char| c.is_ascii_alphanumeric());
            out.push_str(&text[done..whole.start()]);
            if digit_follows && ends_in_digit {
                // A piece of a longer number: not ours to hide. Go on behind all of its digits.
                let rest = &text[whole.end()..];
                let more = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                out.push_str(&text[whole.start()..whole.end() + more]);
                done = whole.end() + more;
            } else {
                out.push_str(&hide(&found));
                done = whole.end();
            }
            if whole.is_empty() || done >= text.len() {
                break;
            }
        }
        out.push_str(&text[done.min(text.len())..]);
        text = out;
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What a glance rules out is not there.
        #[test]
        fn a_glance_rules_out_nothing_that_is_there(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "a@b.cn", "@", "110101", "19900307", "123X", "+86 ", "138", "-", "1234", "0000", "010", "(0755)", "8",
                "浦东新区世纪大道", "花园", "三号楼", "5栋", "室", " ", "T", "x",
            ]), 0..9),
        ) {
            let text = pieces.concat();
            let glance = Glance::of(&text);
            for (may, finder, _) in FINDERS.iter() {
                prop_assert!(may(&glance) || !finder.is_match(&text), "{text}: {finder}");
            }
        }
    }

    #[test]
    fn every_finder_is_a_regex() {
        assert_eq!(FINDERS.len(), 5);
    }

    #[test]
    fn what_is_personal_is_hidden_in_any_text() {
        for (text, want) in [
            ("请拨打13812340000联系", "请拨打138****0000联系"),
            ("+86 138 1234 0000", "+86 138****0000"),
            ("8613812340000", "86138****0000"),
            ("138-1234-0000,139 0000 1111", "138****0000,139****1111"),
            ("电话021-66668888转2", "电话021****8888转2"),
            ("(010)66668888", "(01****8888"),
            ("lin.xiao+a@example.com.cn 回信", "l***@example.com.cn 回信"),
            ("身份证11010519491231002X", "身份证110****002X"),
            ("浙江省杭州市西湖区文三路100号3栋501室", "浙江省杭州市西湖区****"),
            ("送到文三路100号。", "****。"),
            // Numbers of parcels and orders stay.
            ("运单 75312345678901 已揽收", "运单 75312345678901 已揽收"),
            ("SF1381234000012", "SF1381234000012"),
            ("订单 240312138123400001234", "订单 240312138123400001234"),
            ("单号YT13812340000", "单号YT13812340000"),
            ("2026-03-12 14:20", "2026-03-12 14:20"),
            ("第13812340000123单,13812340000", "第13812340000123单,138****0000"),
            ("一切正常", "一切正常"),
            ("", ""),
        ] {
            assert_eq!(mask_text(text), want, "{text}");
            assert_eq!(mask_text(want), want, "again: {text}");
        }
    }

    #[test]
    fn the_key_of_a_fact_says_what_it_holds() {
        for (key, value, want) in [
            ("buyer", "张三丰", "张**"),
            ("收件人", "李四", "李**"),
            ("buyer_phone", "13812340000", "138****0000"),
            ("phone", "138****0000", "138****0000"),
            ("receiver_address", "浙江省杭州市西湖区文三路100号", "浙江省杭州市西湖区****"),
            ("地址", "杭州市文三路", "杭州市****"),
            ("mail_address", "lin@example.com", "l***@example.com"),
            ("last_scan", "已到达杭州转运中心,电话13812340000", "已到达杭州转运中心,电话138****0000"),
            ("order", "240312138123400001234", "240312138123400001234"),
            ("name", "张**", "张**"),
            ("name", "", ""),
        ] {
            assert_eq!(mask_fact(key, value), want, "{key}={value}");
            assert_eq!(mask_fact(key, want), want, "again: {key}={value}");
        }
    }
}
