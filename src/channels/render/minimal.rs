//! The text that cannot fail: short id, level, family, due, link. No template, no loop that depends on one.

use crate::channels::escape::{Markup, escape};
use crate::channels::mask::mask_text;
use crate::channels::render::Form;
use crate::channels::render::view::{cut, family_words, links, local};
use crate::channels::render::words::Words;
use crate::core::alerting::{Item, Letter};
use crate::core::model::Language;

/// A line of an incident.
fn line(item: &Item<'_>, letter: &Letter<'_>, words: Option<&Words>, markup: Markup) -> String {
    let family = words.map_or_else(|| item.family.to_owned(), |words| family_words(item, words));
    let family = escape(markup, &cut(&mask_text(&family), 40));
    let mut line = format!("#{} L{} {family}", item.id.short(), item.level);
    if let Some(due) = item.due {
        let due = local(due, letter.now, letter.zone);
        line += &match letter.language {
            Language::Zh => format!(" 应于 {due}"),
            Language::En => format!(" due {due}"),
        };
    }
    line
}

/// The text, at most `limit` bytes: whole lines only, but for the first, which is cut between characters.
pub(super) fn text(letter: &Letter<'_>, words: Option<&Words>, limit: usize) -> String {
    let markup = Form::of(letter.card.class).markup(letter.card);
    let mut head = String::new();
    let zh = letter.language == Language::Zh;
    if letter.marked {
        head += if zh { "(可能重复)" } else { "(possible duplicate) " };
    }
    if letter.unrecorded {
        head += if zh { "(存储故障)" } else { "(storage fault) " };
    }
    let total = letter.total.max(letter.items.len());
    let mut lines: Vec<String> = letter.items.iter().map(|item| line(item, letter, words, markup)).collect();
    if lines.is_empty() {
        let what = format!("{} {}", mask_text(letter.desk), letter.purpose.word());
        lines.push(escape(markup, &what));
    }
    let link = links(letter).next().map(|(_, url)| url.as_str());
    // What must stay: the first line, the count where lines are missing, the link.
    for shown in (1..=lines.len()).rev() {
        let mut text = format!("{head}{}", lines[..shown].join("\n"));
        if shown < total.max(lines.len()) {
            text += &if zh { format!("\n…等{total}条") } else { format!("\n… {total} in all") };
        }
        if let Some(link) = link {
            text.push('\n');
            text += link;
        }
        if text.len() <= limit {
            return text;
        }
    }
    let first = format!("{head}{}", lines.first().map_or("", String::as_str));
    let mut end = limit.min(first.len());
    while !first.is_char_boundary(end) {
        end -= 1;
    }
    first[..end].to_owned()
}

/// The title.
pub(super) fn subject(letter: &Letter<'_>, words: Option<&Words>) -> String {
    let what = letter
        .items
        .first()
        .map_or_else(|| letter.purpose.word().to_owned(), |item| line(item, letter, words, Markup::Plain));
    format!("[{}] {what}", cut(&mask_text(letter.desk), 20))
}
