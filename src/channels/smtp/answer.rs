//! What a relay's answer means (`apis/channels` §19, `delivery_semantics` §10.2): by the stage, the code, the enhanced
//! code and, where providers hide a limit behind a common code, by the text.

use crate::core::model::OutcomeClass;
use crate::core::time::Span;

/// How far an attempt came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Connecting, greeting, EHLO, STARTTLS.
    Hello,
    /// Logging in.
    Auth,
    /// Naming the sender.
    Sender,
    /// Naming the recipient.
    Recipient,
    /// Asking to send the text, and sending it; the final dot has not left.
    Data,
    /// The final dot may have left.
    Dot,
}

impl Stage {
    /// Its word in details.
    pub(super) fn word(self) -> &'static str {
        match self {
            Stage::Hello => "connecting",
            Stage::Auth => "AUTH",
            Stage::Sender => "MAIL FROM",
            Stage::Recipient => "RCPT TO",
            Stage::Data => "DATA",
            Stage::Dot => "the final dot",
        }
    }
}

/// A negative answer of a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// The stage it came in.
    pub(super) stage: Stage,
    /// The code of three digits.
    pub(super) code: u16,
    /// The enhanced code at the beginning of the text: `5.1.1`.
    pub(super) enhanced: Option<[u16; 3]>,
    /// The text.
    pub(super) text: String,
}

impl Reply {
    pub(super) fn new(stage: Stage, code: u16, text: &str) -> Reply {
        Reply { stage, code, enhanced: enhanced(code, text), text: text.to_owned() }
    }

    /// Code and enhanced code, as they are kept.
    pub(super) fn code_text(&self) -> String {
        match self.enhanced {
            Some([a, b, c]) => format!("{} {a}.{b}.{c}", self.code),
            None => self.code.to_string(),
        }
    }
}

/// The enhanced code (RFC 2034) at the beginning of a text, or anywhere in it where it agrees with the code: some
/// providers put words before it.
pub(super) fn enhanced(code: u16, text: &str) -> Option<[u16; 3]> {
    text.split(|c: char| !(c.is_ascii_digit() || c == '.')).find_map(|word| {
        let mut parts = word.split('.').map(|p| p.parse::<u16>().ok().filter(|n| *n < 1000));
        let triple = [parts.next()??, parts.next()??, parts.next()??];
        (parts.next().is_none() && triple[0] == code / 100).then_some(triple)
    })
}

/// One line of the table: all that is given must match.
struct Line {
    codes: &'static [u16],
    /// Beginning of the enhanced code behind its first digit.
    enhanced: &'static [&'static [u16]],
    /// One of these words, in lower case.
    words: &'static [&'static str],
    stages: &'static [Stage],
    class: OutcomeClass,
    wait: Option<Span>,
}

const ANY: &[u16] = &[];
const MIN: i64 = 60;

const fn line(codes: &'static [u16], class: OutcomeClass) -> Line {
    Line { codes, enhanced: &[], words: &[], stages: &[], class, wait: None }
}

impl Line {
    const fn said(self, words: &'static [&'static str]) -> Line {
        Line { words, ..self }
    }
    const fn with(self, enhanced: &'static [&'static [u16]]) -> Line {
        Line { enhanced, ..self }
    }
    const fn at(self, stages: &'static [Stage]) -> Line {
        Line { stages, ..self }
    }
    const fn wait(self, seconds: i64) -> Line {
        Line { wait: Some(Span::from_secs(seconds)), ..self }
    }

    fn fits(&self, reply: &Reply, text: &str) -> bool {
        let enhanced = reply.enhanced.as_ref();
        (self.codes.is_empty() || self.codes.contains(&reply.code))
            && (self.enhanced.is_empty()
                || enhanced.is_some_and(|e| self.enhanced.iter().any(|want| e[1..].starts_with(want))))
            && (self.words.is_empty() || self.words.iter().any(|word| text.contains(word)))
            && (self.stages.is_empty() || self.stages.contains(&reply.stage))
    }
}

/// Temporary answers, the first line that fits.
static TEMPORARY: &[Line] = &[
    // NetEase: the behaviour of our address is blocked for a while.
    line(&[421], OutcomeClass::Throttled).said(&["hl:"]).wait(10 * MIN),
    line(&[450, 451], OutcomeClass::Throttled).said(&["mi:sfq", "mi:dmc", "rp:qrc"]).wait(15 * MIN),
    // NetEase takes the text for spam: once more, then it is refused for good (see `classify`).
    line(ANY, OutcomeClass::Transient).said(&["dt:spm"]).wait(2 * MIN),
    // Aliyun: too fast.
    line(&[454], OutcomeClass::Throttled).said(&["too frequently"]).wait(10 * MIN),
    // Aliyun DirectMail: the sender is not the account; a 4xx that never gets better.
    line(&[436], OutcomeClass::Config),
    // Greylisting: some want five minutes, from the same address and with the same envelope.
    line(&[450, 451, 452], OutcomeClass::Transient)
        .said(&["greylist", "graylist", "grey list", "gray list", "postgrey"])
        .wait(5 * MIN),
    line(&[452], OutcomeClass::Transient).with(&[&[2, 2]]).wait(10 * MIN),
    line(ANY, OutcomeClass::Transient).with(&[&[2, 1], &[7]]).wait(MIN),
];

/// Lasting answers, the first line that fits.
static LASTING: &[Line] =
    &[
        // Limits that look like refusals.
        line(&[550], OutcomeClass::Throttled)
            .said(&["frequency limited", "mailbox unavailable or access denied"])
            .wait(10 * MIN),
        line(&[554], OutcomeClass::Throttled)
            .said(&["too frequently", "behaviour spam", "behavior spam"])
            .wait(30 * MIN),
        // Our account.
        line(&[535], OutcomeClass::Credential),
        line(&[530, 534, 538], OutcomeClass::Config),
        line(ANY, OutcomeClass::Config).at(&[Stage::Hello]),
        line(ANY, OutcomeClass::Credential).at(&[Stage::Auth]),
        line(ANY, OutcomeClass::ContentPermanent).said(&["dt:spm"]),
        line(&[552], OutcomeClass::Config)
            .said(&["daily", "monthly", "quota exceeded", "exceed quota"])
            .at(&[Stage::Sender, Stage::Data, Stage::Dot]),
        // Our sender.
        line(ANY, OutcomeClass::Config).at(&[Stage::Sender]).with(&[&[1], &[7]]),
        line(&[501, 550, 551, 553], OutcomeClass::Config).at(&[Stage::Sender]),
        line(ANY, OutcomeClass::Config).with(&[&[1, 7], &[1, 8]]),
        line(ANY, OutcomeClass::Config).at(&[Stage::Recipient]).said(&["relay"]),
        // The recipient.
        line(ANY, OutcomeClass::RecipientPermanent).with(&[&[1], &[2]]),
        line(&[551, 553, 559], OutcomeClass::RecipientPermanent),
        line(&[501], OutcomeClass::RecipientPermanent).at(&[Stage::Recipient]),
        // The text.
        line(ANY, OutcomeClass::ContentPermanent).with(&[&[3, 4], &[6], &[7]]),
        line(&[552, 554, 523, 557], OutcomeClass::ContentPermanent),
        line(&[550], OutcomeClass::RecipientPermanent).at(&[Stage::Recipient]),
        line(&[550], OutcomeClass::ContentPermanent),
        // A command that the relay does not know: a defect of ours, and no repetition helps.
        line(&[500, 501, 502, 503, 504, 555], OutcomeClass::ContentPermanent),
    ];

/// What a negative answer means, and how long to wait at least. `attempt` counts from 1.
pub(super) fn classify(reply: &Reply, attempt: u32) -> (OutcomeClass, Option<Span>) {
    let text = reply.text.to_lowercase();
    if reply.code / 100 == 4 {
        if attempt > 1 && text.contains("dt:spm") {
            return (OutcomeClass::ContentPermanent, None);
        }
        return match TEMPORARY.iter().find(|l| l.fits(reply, &text)) {
            Some(line) => (line.class, line.wait),
            None => (OutcomeClass::Transient, None),
        };
    }
    match LASTING.iter().find(|l| l.fits(reply, &text)) {
        Some(line) => (line.class, line.wait),
        // Unlisted and lasting: somebody must look (§10.1).
        None => (OutcomeClass::Config, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_answer_has_its_class() {
        use OutcomeClass::*;
        use Stage::*;
        let minutes = |m: i64| Some(Span::from_minutes(m));
        for (stage, code, text, class, wait) in [
            // 4xx
            (Hello, 421, "4.3.2 service not available", Transient, None),
            (Sender, 421, "HL:REP 163 smtp8,xxx", Throttled, minutes(10)),
            (Recipient, 450, "4.2.1 mailbox busy, try later", Transient, minutes(1)),
            (Recipient, 451, "4.7.1 greylisted, try later", Transient, minutes(5)),
            (Recipient, 450, "4.2.0 Greylisting in action", Transient, minutes(5)),
            (Recipient, 451, "4.7.0 try again", Transient, minutes(1)),
            (Dot, 451, "DT:SPM 163 smtp,please try again", Transient, minutes(2)),
            (Dot, 451, "MI:SFQ 126 smtp4", Throttled, minutes(15)),
            (Sender, 450, "MI:DMC 163 smtp", Throttled, minutes(15)),
            (Recipient, 451, "RP:QRC 163 smtp", Throttled, minutes(15)),
            (Recipient, 452, "4.2.2 mailbox full", Transient, minutes(10)),
            (Recipient, 452, "4.5.3 too many recipients", Transient, None),
            (Dot, 454, "Transient reject by behaviour, too frequently sending", Throttled, minutes(10)),
            (Auth, 454, "4.3.0 temporary authentication failure", Transient, None),
            (Sender, 436, "MAIL FROM doesn't conform with authentication", Config, None),
            (Data, 499, "?", Transient, None),
            // 5xx
            (Hello, 554, "no SMTP service here", Config, None),
            (Hello, 550, "Ip frequency limited", Throttled, minutes(10)),
            (Hello, 502, "STARTTLS not implemented", Config, None),
            (Auth, 535, "5.7.8 authentication failed", Credential, None),
            (Auth, 535, "Login Fail. Please enter your authorization code to login.", Credential, None),
            (Auth, 534, "5.7.9 mechanism too weak", Config, None),
            (Auth, 504, "unrecognised mechanism", Credential, None),
            (Sender, 530, "5.7.0 must issue STARTTLS first", Config, None),
            (Sender, 538, "encryption required", Config, None),
            (Sender, 553, "Mail from must equal authorized user", Config, None),
            (Sender, 550, "5.7.1 sender not allowed", Config, None),
            (Recipient, 550, "5.1.1 no such user", RecipientPermanent, None),
            (Recipient, 550, "User not found", RecipientPermanent, None),
            (Recipient, 550, "5.1.0 address rejected", RecipientPermanent, None),
            (Recipient, 551, "user not local", RecipientPermanent, None),
            (Recipient, 553, "mailbox name not allowed", RecipientPermanent, None),
            (Recipient, 559, "Invalid rcptto", RecipientPermanent, None),
            (Recipient, 501, "bad address syntax", RecipientPermanent, None),
            (Recipient, 552, "5.2.2 mailbox full", RecipientPermanent, None),
            (Recipient, 550, "5.7.1 relaying denied", Config, None),
            (Recipient, 550, "5.7.1 rejected by policy", ContentPermanent, None),
            (Recipient, 550, "Connection frequency limited", Throttled, minutes(10)),
            (Recipient, 550, "Mailbox unavailable or access denied", Throttled, minutes(10)),
            (Dot, 550, "5.7.26 DMARC failed", ContentPermanent, None),
            (Dot, 554, "DT:SPM 163 smtp", ContentPermanent, None),
            (Dot, 554, "5.7.1 message looks like spam", ContentPermanent, None),
            (
                Dot,
                554,
                "Reject by behaviour spam at Rcpt State, too frequently sending",
                Throttled,
                minutes(30),
            ),
            (Dot, 552, "Daily quota exceeded", Config, None),
            (Dot, 552, "5.3.4 message too large", ContentPermanent, None),
            (Dot, 552, "content refused", ContentPermanent, None),
            (Dot, 523, "too long", ContentPermanent, None),
            (Dot, 557, "too long", ContentPermanent, None),
            (Dot, 550, "content refused", ContentPermanent, None),
            (Dot, 500, "syntax error", ContentPermanent, None),
            (Data, 503, "bad sequence", ContentPermanent, None),
            (Data, 555, "parameters not recognised", ContentPermanent, None),
            (Dot, 571, "?", Config, None),
        ] {
            let reply = Reply::new(stage, code, text);
            assert_eq!(classify(&reply, 1), (class, wait), "{stage:?} {code} {text}");
        }
        let spam = Reply::new(Dot, 451, "DT:SPM 163 smtp");
        assert_eq!(classify(&spam, 2), (ContentPermanent, None), "the second time it is the text");
    }

    #[test]
    fn enhanced_codes_must_agree_with_the_code() {
        for (code, text, want) in [
            (550, "5.1.1 no such user", Some([5, 1, 1])),
            (550, "4.1.1 no such user", None),
            (550, "Error: 5.1.10 null MX", Some([5, 1, 10])),
            (550, "no such user at 5.1.1.9", None),
            (250, "OK", None),
        ] {
            assert_eq!(enhanced(code, text), want, "{text}");
        }
        assert_eq!(Reply::new(Stage::Dot, 550, "5.1.1 x").code_text(), "550 5.1.1");
    }
}
