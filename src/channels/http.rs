//! What the HTTP channels have in common beside the client: what came of a request without an answer, and what is shown
//! of one.

use crate::channels::mask::mask_text;
use crate::core::model::{Outcome, OutcomeClass};

use crate::wire::http::{is_not_public, is_tls_refusal, told};

/// What is read of an answer at most.
pub const LONGEST_ANSWER: usize = 16 * 1024;

/// The outcome of a request that got no answer: what was certainly not sent is transient, everything else unknown.
pub fn failed(error: reqwest::Error) -> Outcome {
    let class = if error.is_builder() || is_not_public(&error) {
        OutcomeClass::Config
    } else if error.is_connect() {
        if is_tls_refusal(&error) { OutcomeClass::Config } else { OutcomeClass::Transient }
    } else {
        OutcomeClass::Unknown
    };
    let word = if error.is_timeout() { "timeout" } else { "connection" };
    Outcome {
        class,
        code: Some(word.to_owned()),
        detail: Some(detail(&told(&error.without_url()))),
        wait: None,
        provider_id: None,
    }
}

/// As [`detail`], for whoever answers to a request with `secrets` in it: an answer may repeat what was asked.
pub(crate) fn detail_without(text: &str, secrets: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|s| s.len() >= 4) {
        text = text.replace(secret.as_str(), "***");
    }
    detail(&text)
}

/// What somebody said, for people: one line, masked, cut.
pub fn detail(text: &str) -> String {
    const LONGEST: usize = 200;
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let masked = mask_text(&line);
    let mut cut: String = masked.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    if masked.chars().count() > LONGEST {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_one_masked_line() {
        assert_eq!(detail("550 no\r\nsuch user lin@example.com\u{7}"), "550 no such user l***@example.com");
        assert_eq!(detail(&"x".repeat(500)).chars().count(), 201);
    }
}
