//! What answers mean: tables of a provider's codes, and what is made of an answer that has none (`apis/channels` 2).

use serde_json::Value;

use crate::channels::provider::Reply;
use crate::core::model::{Outcome, OutcomeClass};
use crate::core::time::Span;

/// One line of a provider's table.
pub(crate) struct Line {
    /// The code; a `*` at its end stands for any rest.
    code: &'static str,
    /// One of these is in what it says, in lower case; empty for whatever it says.
    words: &'static [&'static str],
    class: OutcomeClass,
    wait: Option<Span>,
}

/// A line of a table. The first that fits is taken.
pub(crate) const fn line(code: &'static str, class: OutcomeClass) -> Line {
    Line { code, words: &[], class, wait: None }
}

impl Line {
    /// Only where it says one of these.
    pub(crate) const fn says(self, words: &'static [&'static str]) -> Line {
        Line { words, ..self }
    }

    /// How long to wait, where the answer itself does not say more.
    pub(crate) const fn wait(self, secs: i64) -> Line {
        Line { wait: Some(Span::from_secs(secs)), ..self }
    }

    fn fits(&self, code: &str, text: &str) -> bool {
        let same = match self.code.strip_suffix('*') {
            Some(begin) => code.starts_with(begin),
            None => code == self.code,
        };
        same && (self.words.is_empty() || self.words.iter().any(|word| text.contains(word)))
    }
}

/// The answers of one provider.
pub(crate) struct Answers {
    /// What its codes are called, such as `errcode`.
    pub(crate) name: &'static str,
    /// The code of success.
    pub(crate) good: &'static str,
    pub(crate) lines: &'static [Line],
}

/// A code that stands in an answer, and what is said beside it.
pub(crate) struct Said {
    pub(crate) code: String,
    pub(crate) text: String,
}

impl Answers {
    /// The outcome of an answer. A body without a code is no success, whatever its status.
    pub(crate) fn judge(&self, reply: &Reply, said: Option<Said>) -> Outcome {
        let Some(Said { code, text }) = said else { return by_status(reply) };
        if code == self.good && reply.is_good() {
            return Outcome { code: self.shown(&code), ..Outcome::of(OutcomeClass::Accepted) };
        }
        let low = text.to_lowercase();
        let (class, wait) = match self.lines.iter().find(|line| line.fits(&code, &low)) {
            Some(line) => (line.class, line.wait),
            // A new code must not silently count as sent, nor shut the channel.
            None => match reply.status {
                429 => (OutcomeClass::Throttled, None),
                408 | 425 | 500..=599 | 200..=299 => (OutcomeClass::Transient, None),
                _ => (OutcomeClass::Config, None),
            },
        };
        let waits = matches!(
            class,
            OutcomeClass::Throttled | OutcomeClass::RecipientThrottled | OutcomeClass::Transient
        );
        Outcome {
            class,
            code: self.shown(&code),
            detail: Some(text).filter(|t| !t.is_empty()),
            wait: wait.max(reply.wait).filter(|_| waits),
            provider_id: None,
        }
    }

    fn shown(&self, code: &str) -> Option<String> {
        const LONGEST: usize = 96;
        let code: String = code.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        Some(if self.name.is_empty() { code } else { format!("{} {code}", self.name) })
    }
}

/// What an answer without a code means: its status is all there is, and a good one proves nothing.
pub(crate) fn by_status(reply: &Reply) -> Outcome {
    let class = match reply.status {
        200..=299 => OutcomeClass::Unknown,
        429 => OutcomeClass::Throttled,
        408 | 425 | 500..=599 => OutcomeClass::Transient,
        _ => OutcomeClass::Config,
    };
    let detail = match reply.status {
        300..=399 => "redirects are not followed: give the final url".to_owned(),
        200..=299 => format!("the answer cannot be read: {}", reply.body),
        _ => reply.body.clone(),
    };
    Outcome {
        class,
        code: Some(format!("HTTP {}", reply.status)),
        detail: Some(detail),
        wait: reply.wait.filter(|_| matches!(class, OutcomeClass::Throttled | OutcomeClass::Transient)),
        provider_id: None,
    }
}

/// A value as its code: providers write one and the same as a number and as a text.
pub(crate) fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The code and the text under these names of a document.
pub(crate) fn said(reply: &Reply, code: &str, text: &str) -> Option<Said> {
    let document = reply.json()?;
    let code = word(document.get(code)?)?;
    Some(Said { code, text: document.get(text).and_then(word).unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    const ANSWERS: Answers = Answers {
        name: "code",
        good: "0",
        lines: &[
            line("7", OutcomeClass::Throttled).says(&["too many"]).wait(60),
            line("7", OutcomeClass::ContentPermanent),
            line("auth.*", OutcomeClass::Credential),
        ],
    };

    #[test]
    fn a_code_decides_and_what_has_none_is_no_success() {
        use OutcomeClass::*;
        for (status, body, wait, class, waits) in [
            (200, r#"{"code":0}"#, None, Accepted, None),
            (200, r#"{"code":"0"}"#, None, Accepted, None),
            (500, r#"{"code":0}"#, None, Transient, None),
            (200, r#"{"code":7,"msg":"Too Many"}"#, None, Throttled, Some(60)),
            (200, r#"{"code":7,"msg":"too many"}"#, Some(90), Throttled, Some(90)),
            (200, r#"{"code":7,"msg":"long"}"#, Some(90), ContentPermanent, None),
            (400, r#"{"code":"auth.expired"}"#, None, Credential, None),
            (200, r#"{"code":8}"#, None, Transient, None),
            (400, r#"{"code":8}"#, None, Config, None),
            (429, r#"{"code":8}"#, Some(5), Throttled, Some(5)),
            (503, r#"{"code":8}"#, None, Transient, None),
            (200, r#"{"msg":"ok"}"#, None, Unknown, None),
            (200, "<html>", None, Unknown, None),
            (200, "", None, Unknown, None),
            (502, "<html>", Some(3), Transient, Some(3)),
            (429, "", Some(3), Throttled, Some(3)),
            (404, "", Some(3), Config, None),
            (302, "", None, Config, None),
        ] {
            let wait = wait.map(Span::from_secs);
            let reply = Reply { status, headers: HeaderMap::new(), body: body.to_owned(), wait };
            let outcome = ANSWERS.judge(&reply, said(&reply, "code", "msg"));
            assert_eq!((outcome.class, outcome.wait), (class, waits.map(Span::from_secs)), "{status} {body}");
        }
    }
}
