//! What people wrote, made harmless for the place where it is shown: a buyer's message must not mention everybody in a
//! group, become a link, or end a line that it did not begin.

/// How a place of text must be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Markup {
    /// Plain text: nothing but invisible characters is dangerous.
    Plain,
    /// HTML, in text and in quoted attributes.
    Html,
    /// Markdown of an IM: emphasis, links, mentions.
    Markdown,
    /// Short messages in China: what carriers refuse or rewrite.
    Sms,
}

/// The text in one line, without characters that are not seen or that turn the direction of others, and harmless for
/// `markup`.
pub fn escape(markup: Markup, text: &str) -> String {
    let text = neutral(text);
    match markup {
        Markup::Plain => text,
        Markup::Html => html(&text),
        Markup::Markdown => markdown(&text),
        Markup::Sms => sms(&text),
    }
}

/// The text in one line, without control, invisible and direction-changing characters.
pub fn neutral(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // C0, C1, and the line breaks of Unicode.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                if !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{2069}'
            | '\u{061c}'
            | '\u{00ad}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}' => {}
            c => out.push(c),
        }
    }
    out
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Every IM has a markdown of its own and few of them know escapes: what has a meaning in any of them is replaced by the
/// full-width character that looks like it. Mentions (`@all`, `<@U1>`, `<at id=all>`) lose their sign.
fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut begins = true;
    for c in text.chars() {
        let safe = match c {
            '@' => '＠',
            '<' => '＜',
            '>' => '＞',
            '*' => '＊',
            '_' => '＿',
            '`' => '｀',
            '[' => '［',
            ']' => '］',
            '!' => '！',
            '#' => '＃',
            '|' => '｜',
            '~' => '～',
            '\\' => '＼',
            '-' | '+' if begins => '－',
            c => c,
        };
        begins = begins && c == ' ';
        out.push(safe);
    }
    // The links by which IMs do things.
    for scheme in ["dingtalk://", "dtmd://", "http://", "https://", "javascript:"] {
        let broken = scheme.replacen(':', "：", 1);
        out = out.replace(scheme, &broken);
    }
    out
}

/// The signature brackets, links and emoji: carriers refuse a message for them.
fn sms(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    for (i, c) in chars.iter().copied().enumerate() {
        let before = i.checked_sub(1).and_then(|i| chars.get(i)).copied().unwrap_or(' ');
        let after = chars.get(i + 1).copied().unwrap_or(' ');
        match c {
            '【' | '[' => out.push('('),
            '】' | ']' => out.push(')'),
            // `taobao.com` would be taken for a link; `3.5` is a number.
            '.' if before.is_alphanumeric() && after.is_ascii_alphabetic() => out.push(' '),
            ':' if after == '/' => out.push(' '),
            '/' if before == '/' || after == '/' => {}
            '\u{1f000}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}' | '\u{fe00}'..='\u{fe0f}' => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_is_harmless_everywhere() {
        for (markup, text, want) in [
            (Markup::Plain, "a\r\nBcc: x\u{0}\u{85}b", "a Bcc: x b"),
            (Markup::Plain, "a\u{202e}b\u{200b}c\u{2066}d\u{feff}", "abcd"),
            (Markup::Plain, "a\u{2028}b", "a b"),
            (Markup::Html, "<b onclick=\"x('y')\">&", "&lt;b onclick=&quot;x(&#39;y&#39;)&quot;&gt;&amp;"),
            (Markup::Markdown, "@all <@U1> <at id=all></at>", "＠all ＜＠U1＞ ＜at id=all＞＜/at＞"),
            (Markup::Markdown, "- [x](http://a) **b**", "－ ［x］(http：//a) ＊＊b＊＊"),
            (Markup::Markdown, "a-b 3 - 1", "a-b 3 - 1"),
            (Markup::Markdown, "![x](dingtalk://y)", "！［x］(dingtalk：//y)"),
            (Markup::Sms, "【旗舰店】见 https://t.cn/a 😀 3.5元", "(旗舰店)见 https t cn/a  3.5元"),
            (Markup::Sms, "去taobao.com", "去taobao com"),
        ] {
            assert_eq!(escape(markup, text), want, "{markup:?} {text:?}");
        }
    }

    #[test]
    fn escaping_keeps_ordinary_words() {
        let text = "工单 T-1001:买家问“何时发货”,应于 14:20 前回复(早班)";
        for markup in [Markup::Plain, Markup::Html, Markup::Markdown, Markup::Sms] {
            assert_eq!(escape(markup, text), text, "{markup:?}");
        }
    }
}
