//! What a scan said, as it may be kept: the words that a claim at a carrier rests on (理赔凭证), with the people in it
//! made unrecognisable. Only of scans that tell of trouble; every other text is read and dropped.

use crate::core::ids::mask_phone;
use crate::core::parcel::Exception;
use crate::core::time::Instant;

/// So much of a text is kept, in characters.
const LONGEST: usize = 160;
/// Runs of so many digits are somebody's number; shorter ones are times and shelves, longer ones parcels and orders.
const PHONE: std::ops::RangeInclusive<usize> = 7..=12;

/// Who is called by name behind these words. The longer before the shorter.
const ROLES: &[&str] = &[
    "快递小哥",
    "快递人员",
    "派件人员",
    "快递员",
    "派件员",
    "派送员",
    "配送员",
    "投递员",
    "收件员",
    "揽收员",
    "揽件员",
    "揽投员",
    "取件员",
    "业务员",
    "送件员",
    "客服",
    "司机",
    "小哥",
    "骑手",
    "站长",
    "联系人",
    "签收人",
    "代收人",
    "代签人",
    "收件人",
    "收货人",
    "寄件人",
    "发件人",
    "取件人",
    "客户",
    "买家",
    "顾客",
    "signed for by",
    "signed by",
    "received by",
    "accepted by",
    "delivered to",
    "left with",
    "courier",
    "driver",
    "contact",
    "recipient",
    "consignee",
    "receiver",
];

/// What stands in the place of a name and is none.
const NOBODY: &[&str] = &[
    "本人",
    "他人",
    "家人",
    "同事",
    "门卫",
    "保安",
    "前台",
    "物业",
    "邻居",
    "丰巢",
    "菜鸟",
    "驿站",
    "代收",
    "快递柜",
    "自提",
    "收发室",
    "传达室",
    "电话",
    "手机",
    "拒收",
    "已",
    "正在",
    "不在",
    "未",
    "无",
    "要求",
    "请",
    "联系",
    "拨打",
    "致电",
    "咨询",
    "front desk",
    "reception",
    "neighbour",
    "neighbor",
    "security",
    "agent",
    "has",
    "is",
    "was",
    "not",
    "refused",
    "unavailable",
    "will",
    "to",
];

/// The family names of most people in China; where a name follows a role without any mark between them, it begins with one.
const FAMILIES: &str = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤";

/// What a name is followed by, where no mark stands before it: else it is no name.
const BEHIND: &[&str] =
    &["先生", "女士", "小姐", "师傅", "电话", "手机", "联系", "正在", "已", "将", "为", "派", "的"];

/// A text as it may be kept: one line, of a bounded length, without numbers to call and without names.
///
/// Names cannot be told from words for sure: what stands where a name would stand is hidden, even if it is none.
pub fn masked(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    let chars: Vec<char> = line.join(" ").chars().filter(|c| !c.is_control()).collect();
    let numbered = hide_numbers(&chars);
    let mut out: String = hide_names(&numbered).into_iter().take(LONGEST + 1).collect();
    if out.chars().count() > LONGEST {
        out = out.chars().take(LONGEST - 1).chain(['…']).collect();
    }
    out
}

/// A scan that tells of trouble, in one text: when, what, where, and in whose words. Read by [`read`].
pub fn written(at: Instant, what: Exception, place: Option<&str>, words: &str) -> String {
    format!("{at} {} {}|{words}", what.word(), place.unwrap_or_default().replace('|', " "))
}

/// What [`written`] wrote: when, the word of the exception, where (empty where nobody says), in whose words.
pub fn read(text: &str) -> Option<(Instant, &str, &str, &str)> {
    let (at, rest) = text.split_once(' ')?;
    let (what, rest) = rest.split_once(' ')?;
    let (place, words) = rest.split_once('|')?;
    Some((Instant::parse(at).ok()?, what, place, words))
}

/// Runs of digits with single marks in between, as numbers are written; dates are none.
fn hide_numbers(chars: &[char]) -> Vec<char> {
    let mut out = Vec::with_capacity(chars.len());
    let mut i = 0;
    while i < chars.len() {
        if !chars[i].is_numeric() {
            out.push(chars[i]);
            i += 1;
            continue;
        }
        let behind_letter = i > 0 && chars[i - 1].is_ascii_alphanumeric();
        let plain = run(chars, i, false);
        let joined = run(chars, i, true);
        let count = |end: usize| chars[i..end].iter().filter(|c| c.is_numeric()).count();
        let date = plain - i == 4 && chars.get(plain).is_some_and(|c| matches!(c, '-' | '/' | '.'));
        let mut end = match (count(plain), count(joined)) {
            // A number of a parcel: letters before it, or more digits than any number to call.
            _ if behind_letter || date => plain,
            (n, _) if n > *PHONE.end() => plain,
            (_, n) if PHONE.contains(&n) => joined,
            _ => plain,
        };
        let hidden = !behind_letter && !date && PHONE.contains(&count(end));
        match hidden {
            true => {
                let digits: String = chars[i..end].iter().filter(|c| c.is_numeric()).collect();
                out.extend(mask_phone(&digits).chars());
                // An extension, as those of privacy numbers: 17012345678-1234.
                let extension = run(chars, i, true);
                if extension > end && count(extension) > count(end) {
                    out.extend("-****".chars());
                    end = extension;
                }
            }
            false => out.extend(&chars[i..end]),
        }
        i = end;
    }
    out
}

/// The end of the run of digits that begins at `from`; `joined`: across single spaces and dashes.
fn run(chars: &[char], from: usize, joined: bool) -> usize {
    let digit = |at: usize| chars.get(at).is_some_and(|c| c.is_numeric());
    let mut end = from;
    loop {
        while digit(end) {
            end += 1;
        }
        let mark = chars.get(end).is_some_and(|c| matches!(c, '-' | ' ' | '—' | '转'));
        if !(joined && mark && digit(end + 1)) {
            return end;
        }
        end += 1;
    }
}

/// Names behind a role, and right before a number that was hidden.
fn hide_names(chars: &[char]) -> Vec<char> {
    let lower: Vec<char> = chars.iter().map(|c| c.to_ascii_lowercase()).collect();
    let mut hidden = vec![false; chars.len()];
    for at in 0..lower.len() {
        if let Some(role) = ROLES.iter().find(|role| starts(&lower, at, role)) {
            let end = at + role.chars().count();
            if let Some((from, to)) = named(&lower, end, role.is_ascii()) {
                hidden[from..to].fill(true);
            }
        }
        // 张三 138****0000, 张三(138****0000), 张三,电话:138****0000.
        let number = at >= 3 && lower[at] == '*' && lower[at - 3..at].iter().all(|c| c.is_numeric());
        if let Some((from, to)) = number.then(|| before_number(&lower, at - 3)).flatten() {
            hidden[from..to].fill(true);
        }
    }
    let mut out = Vec::with_capacity(chars.len());
    for (i, c) in chars.iter().enumerate() {
        match (hidden[i], i > 0 && hidden[i - 1]) {
            (false, _) => out.push(*c),
            // The first letter stays, as everywhere.
            (true, false) => out.extend([*c, '*', '*']),
            (true, true) => {}
        }
    }
    out
}

/// The name right before a number, if a few letters stand there alone; more than that is a sentence.
fn before_number(chars: &[char], number: usize) -> Option<(usize, usize)> {
    let marks = |mut to: usize| {
        while to > 0 && !is_han(chars[to - 1]) && !chars[to - 1].is_alphanumeric() && chars[to - 1] != '*' {
            to -= 1;
        }
        to
    };
    let mut to = marks(number);
    for word in ["联系电话", "联系方式", "手机号", "电话", "手机"] {
        let length = word.chars().count();
        if to >= length && starts(chars, to - length, word) {
            to = marks(to - length);
            break;
        }
    }
    let mut from = (0..to).rev().take_while(|i| is_han(chars[*i])).last().unwrap_or(to);
    if let Some(role) = ROLES.iter().find(|role| starts(chars, from, role)) {
        from += role.chars().count();
    }
    ((2..=4).contains(&to.saturating_sub(from)) && !is_nobody(&chars[from..to])).then_some((from, to))
}

fn is_han(c: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&c)
}

fn starts(chars: &[char], at: usize, word: &str) -> bool {
    word.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c))
}

fn is_nobody(chars: &[char]) -> bool {
    NOBODY.iter().any(|word| starts(chars, 0, word))
}

/// Where the name behind a role stands.
fn named(chars: &[char], role_end: usize, english: bool) -> Option<(usize, usize)> {
    let mark = |c: char| {
        matches!(c, ':' | '\u{ff1a}' | ' ' | '【' | '[' | '(' | '\u{ff08}' | '“' | '"' | '是' | '为')
    };
    let from = role_end + chars[role_end..].iter().take_while(|c| mark(**c)).count();
    let marked = from > role_end;
    if is_nobody(&chars[from..]) {
        return None;
    }
    if english {
        let part = |c: char| c.is_ascii_alphabetic() || matches!(c, ' ' | '.' | '\'' | '-');
        let to = from + chars[from..].iter().take_while(|c| part(**c)).count();
        let to = from + chars[from..to].iter().rposition(|c| c.is_ascii_alphabetic()).map_or(0, |i| i + 1);
        return (marked && to > from && chars.get(to) != Some(&'*')).then_some((from, to));
    }
    let length = chars[from..].iter().take_while(|c| is_han(**c)).count();
    if chars.get(from + length) == Some(&'*') {
        return None;
    }
    if marked && !matches!(chars[from - 1], '为' | '是') {
        // Between marks stands the name, and mostly nothing else; behind a mere space anything may.
        let end = (0..length).find(|n| BEHIND.iter().any(|word| starts(chars, from + n, word)));
        let length = end.unwrap_or(length);
        let fits = if chars[from - 1] == ' ' { 2..=3 } else { 1..=8 };
        return fits.contains(&length).then_some((from, from + length));
    }
    let family = chars.get(from).is_some_and(|c| FAMILIES.contains(*c));
    let to = (1..=3).map(|n| from + n).find(|to| {
        *to > from + 1 && (*to == from + length || BEHIND.iter().any(|word| starts(chars, *to, word)))
    });
    to.filter(|_| family).map(|to| (from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_be_recognised_in_what_is_kept() {
        for (text, want) in [
            ("外包装破损,快递员:张三丰,电话13812345678", "外包装破损,快递员:张**,电话138****5678"),
            (
                "【杭州市】快递员李四(13812345678)反馈:内件破损",
                "【杭州市】快递员李**(138****5678)反馈:内件破损",
            ),
            ("派件员 王小明 138-1234-5678 登记丢失", "派件员 王** 138****5678 登记丢失"),
            ("快件遗失,联系人:赵敏女士 021-66668888", "快件遗失,联系人:赵** 021****8888"),
            ("客户张伟,电话:17012345678-1234,件破损", "客户张**,电话:170****5678-****,件破损"),
            ("签收人:本人,如有破损请联系", "签收人:本人,如有破损请联系"),
            ("快递员正在联系客户,快件疑似丢失", "快递员正在联系客户,快件疑似丢失"),
            ("快件已丢失,运单75312345678901234", "快件已丢失,运单75312345678901234"),
            ("Damaged. Signed by: JOHN SMITH", "Damaged. Signed by: J**"),
            ("2026-03-02 10:00:00 单号YT1381234567890 破损", "2026-03-02 10:00:00 单号YT1381234567890 破损"),
            ("两行\n之间\t破损", "两行 之间 破损"),
        ] {
            assert_eq!(masked(text), want, "{text}");
            assert_eq!(masked(&masked(text)), want, "once more: {text}");
        }
        assert_eq!(masked(&"破".repeat(500)).chars().count(), LONGEST);
    }

    #[test]
    fn what_is_written_reads_back() {
        let at: Instant = "2026-03-02T10:12:00+08:00".parse().unwrap();
        for place in [None, Some("上海 转运|中心")] {
            let text = written(at, Exception::Damaged, place, "外包装|破损");
            let want = place.unwrap_or_default().replace('|', " ");
            assert_eq!(read(&text), Some((at, "damaged", want.as_str(), "外包装|破损")));
        }
        assert_eq!(read("none"), None);
    }
}
