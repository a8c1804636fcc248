//! One writing for all: what is the same to a reader is the same to the lexicon (`logistics` 4.1, step 1).

use std::collections::BTreeMap;

use icu_normalizer::ComposingNormalizerBorrowed;

/// The text in one writing: compatible forms (full-width letters and digits) as plain ones, traditional characters as
/// simplified, letters in lower case. Spaces beside Chinese are gone, others are one; hyphens between letters are spaces.
pub(super) fn normalise(text: &str, characters: &BTreeMap<char, char>) -> String {
    let text = ComposingNormalizerBorrowed::new_nfkc().normalize(text);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut space = false;
    while let Some(c) = chars.next() {
        let c = match c {
            // Nothing to see.
            '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' => continue,
            '\n' | '\r' => '。',
            c if c.is_whitespace() || c.is_control() => ' ',
            '-' | '_' | '‐' if is_letter(out.chars().next_back()) && is_letter(chars.peek().copied()) => {
                ' '
            }
            '‘' | '’' | '`' => '\'',
            '｡' => '。',
            c => c,
        };
        if c == ' ' {
            space = true;
            continue;
        }
        if std::mem::take(&mut space) && c.is_ascii() && out.chars().next_back().is_some_and(|c| c.is_ascii())
        {
            out.push(' ');
        }
        let c = characters.get(&c).copied().unwrap_or(c);
        out.extend(c.to_lowercase());
    }
    out
}

fn is_letter(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_ascii_alphabetic())
}

/// Whether a sentence ends with the character at `at`.
pub(super) fn ends_sentence(text: &str, at: usize, c: char) -> bool {
    match c {
        '。' | ';' | '!' | '?' => true,
        // Not in numbers and abbreviated names.
        '.' => !text[at + 1..].starts_with(|c: char| c.is_ascii_alphanumeric()),
        _ => false,
    }
}

/// Whether a clause ends with the character at `at`.
pub(super) fn ends_clause(text: &str, at: usize, c: char) -> bool {
    c == ',' || ends_sentence(text, at, c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writing_for_all() {
        let characters = BTreeMap::from([('簽', '签'), ('遞', '递')]);
        for (text, want) in [
            ("快 遞 已簽收", "快递已签收"),
            ("【上海】 已收件 ，电话：１３８", "【上海】已收件,电话:138"),
            ("Out-for-Delivery", "out for delivery"),
            ("SF-100  Out   for\tdelivery", "sf-100 out for delivery"),
            ("couldn’t\u{200b} deliver", "couldn't deliver"),
            ("一\n二", "一。二"),
            (" ", ""),
            ("第 1 次", "第1次"),
        ] {
            assert_eq!(normalise(text, &characters), want, "{text}");
        }
    }
}
