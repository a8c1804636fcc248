//! The values of buttons in chats and calls (`delivery_semantics` §12.1, §12.2). As the tokens of links, but short, because
//! a button of Telegram holds 64 bytes; and without a person, because who presses is known by the provider, not by what
//! they hold. One button is one act of one message.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use super::{LINK_LIFE, LinkKeys, LinkTarget, put_number, take, take_number};
use crate::core::alerting::Act;
use crate::core::ids::{Id, InstallationKey};
use crate::core::model::{Incident, Purpose};
use crate::core::time::{Instant, Span};

/// The longest value, in letters: what a button of Telegram holds.
pub const MAX_BUTTON: usize = 64;
/// For how long a button puts off; a page behind a link offers more.
pub const BUTTON_SNOOZE: Span = Span::from_minutes(30);

const VERSION: u8 = 2;
const NONCE: usize = 6;
const SIGNATURE: usize = 12;

/// What a button does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ButtonAct {
    /// Work on it (认领).
    Ack,
    /// Put it off for [`BUTTON_SNOOZE`] (推迟).
    Snooze,
    /// Hand it to the next level (转上级).
    Escalate,
}

impl ButtonAct {
    /// All of them.
    pub const ALL: [ButtonAct; 3] = [ButtonAct::Ack, ButtonAct::Snooze, ButtonAct::Escalate];

    /// Its word in letters, words and the audit.
    pub fn word(self) -> &'static str {
        match self {
            ButtonAct::Ack => "ack",
            ButtonAct::Snooze => "snooze",
            ButtonAct::Escalate => "escalate",
        }
    }

    fn byte(self) -> u8 {
        match self {
            ButtonAct::Ack => 1,
            ButtonAct::Snooze => 2,
            ButtonAct::Escalate => 3,
        }
    }

    /// What it asks for, of these incidents: an ack takes them all, anything else is of one.
    pub fn act(self, incidents: Vec<Id>) -> Option<Act> {
        match (self, incidents.as_slice()) {
            (_, []) => None,
            (ButtonAct::Ack, _) => Some(Act::Ack { incidents }),
            (ButtonAct::Snooze, [one]) => Some(Act::Snooze { incident: *one, span: BUTTON_SNOOZE }),
            (ButtonAct::Escalate, [one]) => Some(Act::Escalate { incident: *one, reason: None }),
            (ButtonAct::Snooze | ButtonAct::Escalate, _) => None,
        }
    }
}

/// What the value of a button says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ButtonToken {
    /// What it does.
    pub act: ButtonAct,
    /// About what; the revision of a list is always 0.
    pub target: LinkTarget,
    /// The episode it was made for; 0 for a list.
    pub episode: u32,
    /// From then on it is no longer good. Whole seconds.
    pub expires_at: Instant,
    /// What tells it from every other.
    pub nonce: [u8; NONCE],
}

/// Why the value of a button is not good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadButton {
    /// It is not one of ours, or was changed, or its key is two rotations back.
    #[error("this button is not valid")]
    Invalid,
    /// It was ours, and its time is over.
    #[error("this button has expired")]
    Expired,
}

impl LinkKeys {
    /// The value of a button.
    pub fn sign_button(&self, token: &ButtonToken) -> String {
        // There is always a newest key.
        let Some((id, key)) = self.keys.first() else { return String::new() };
        let mut bytes = vec![VERSION, *id];
        bytes.extend_from_slice(&self.desk_mark()[..2]);
        let (listed, target) = match &token.target {
            LinkTarget::Incident(id) => (0, id),
            LinkTarget::List { message, .. } => (0x80, message),
        };
        bytes.push(token.act.byte() | listed);
        bytes.extend_from_slice(target.as_bytes());
        put_number(&mut bytes, token.episode);
        let expires = u32::try_from(token.expires_at.as_secs()).unwrap_or_default();
        bytes.extend_from_slice(&expires.to_be_bytes());
        bytes.extend_from_slice(&token.nonce);
        bytes.extend_from_slice(&self.button_signature(key, &bytes));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads the value of a button; nothing of it is looked at before its signature fits.
    ///
    /// # Errors
    /// See [`BadButton`].
    pub fn verify_button(&self, text: &str, now: Instant) -> Result<ButtonToken, BadButton> {
        if text.len() > MAX_BUTTON {
            return Err(BadButton::Invalid);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadButton::Invalid)?;
        let cut = bytes.len().checked_sub(SIGNATURE).ok_or(BadButton::Invalid)?;
        let (said, signature) = bytes.split_at(cut);
        let [VERSION, id, rest @ ..] = said else { return Err(BadButton::Invalid) };
        let (_, key) = self.keys.iter().find(|(known, _)| known == id).ok_or(BadButton::Invalid)?;
        if !bool::from(self.button_signature(key, said).ct_eq(signature)) {
            return Err(BadButton::Invalid);
        }
        let token = ButtonToken::from_bytes(rest, &self.desk_mark()[..2]).ok_or(BadButton::Invalid)?;
        if now < token.expires_at { Ok(token) } else { Err(BadButton::Expired) }
    }

    /// The inbox id of a press: the same button pressed twice by one person is one act (I11), however often the provider
    /// tells it.
    pub fn button_inbox(&self, token: &ButtonToken, person: &str) -> Id {
        self.root.id(&[b"inbox", b"button", &token.nonce, person.as_bytes()])
    }

    /// The inbox id of what came by a channel under an id of the provider's (§4).
    pub fn event_inbox(&self, channel: &str, event: &str, person: &str) -> Id {
        self.root.id(&[b"inbox", b"event", channel.as_bytes(), event.as_bytes(), person.as_bytes()])
    }

    /// The buttons of a message about `members`, the incidents it lists: word and value. The same message made at the same
    /// instant has the same. One incident: ack, snooze, escalate; several, or a storm: ack of all of them. What only tells
    /// that something is over has none.
    pub fn buttons(
        &self,
        message: Id,
        purpose: Purpose,
        members: &[&Incident],
        now: Instant,
    ) -> Vec<(&'static str, String)> {
        let acts: &[ButtonAct] = match (purpose, members) {
            (Purpose::Canary, _) | (_, []) => &[],
            (Purpose::Cleared | Purpose::Corrected | Purpose::StormOver | Purpose::SilenceEnding, _) => &[],
            (_, [one]) if one.storm.is_none() => &ButtonAct::ALL,
            _ => &[ButtonAct::Ack],
        };
        let (target, episode) = match members {
            [one] => (LinkTarget::Incident(one.id), one.episode),
            _ => (LinkTarget::List { message, revision: 0 }, 0),
        };
        let value = |act: ButtonAct| {
            let parts: [&[u8]; 4] =
                [b"button nonce", self.desk.as_bytes(), message.as_bytes(), act.word().as_bytes()];
            let mac = self.root.mac(&parts);
            let mut nonce = [0; NONCE];
            nonce.copy_from_slice(&mac[..NONCE]);
            let expires_at = Instant::from_secs((now + LINK_LIFE).as_secs());
            self.sign_button(&ButtonToken { act, target, episode, expires_at, nonce })
        };
        acts.iter().map(|&act| (act.word(), value(act))).collect()
    }

    fn button_signature(&self, key: &InstallationKey, said: &[u8]) -> [u8; SIGNATURE] {
        let mac = key.mac(&[b"button", self.desk.as_bytes(), said]);
        let mut cut = [0; SIGNATURE];
        cut.copy_from_slice(&mac[..SIGNATURE]);
        cut
    }
}

impl ButtonToken {
    /// What the bytes behind version and key say.
    fn from_bytes(bytes: &[u8], desk: &[u8]) -> Option<ButtonToken> {
        let mut rest = bytes;
        if take::<2>(&mut rest)? != desk {
            return None;
        }
        let [kind] = take(&mut rest)?;
        let act = ButtonAct::ALL.into_iter().find(|act| act.byte() == kind & 0x7f)?;
        let id = Id::from_bytes(take(&mut rest)?);
        let target = match kind & 0x80 {
            0 => LinkTarget::Incident(id),
            _ => LinkTarget::List { message: id, revision: 0 },
        };
        let episode = take_number(&mut rest)?;
        let expires_at = Instant::from_secs(i64::from(u32::from_be_bytes(take(&mut rest)?)));
        let nonce = take(&mut rest)?;
        rest.is_empty().then_some(ButtonToken { act, target, episode, expires_at, nonce })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::alerting::LinkToken;

    fn keys(desk: &str, revision: u8) -> LinkKeys {
        LinkKeys::new(&InstallationKey::new([7; 32]), &desk.into(), revision)
    }

    fn now() -> Instant {
        Instant::from_secs(1_790_000_000)
    }

    fn token(episode: u32) -> ButtonToken {
        ButtonToken {
            act: ButtonAct::Snooze,
            target: LinkTarget::Incident(Id::from_bytes([9; 16])),
            episode,
            expires_at: now() + Span::HOUR,
            nonce: [3; NONCE],
        }
    }

    #[test]
    fn a_value_reads_back_and_fits_into_every_button() {
        let keys = keys("after-sales", 3);
        for episode in [0, 1, 127, 128, u32::MAX] {
            let text = keys.sign_button(&token(episode));
            assert!(text.len() <= MAX_BUTTON, "{} letters", text.len());
            assert_eq!(keys.verify_button(&text, now()), Ok(token(episode)));
        }
        let list = ButtonToken {
            act: ButtonAct::Ack,
            target: LinkTarget::List { message: Id::from_bytes([4; 16]), revision: 0 },
            ..token(0)
        };
        assert_eq!(keys.verify_button(&keys.sign_button(&list), now()), Ok(list));
    }

    #[test]
    fn a_value_is_of_one_desk_one_time_and_two_keys() {
        let text = keys("after-sales", 3).sign_button(&token(1));
        assert_eq!(keys("after-sales", 4).verify_button(&text, now()), Ok(token(1)));
        for (keys, what) in [(keys("after-sales", 5), "two rotations"), (keys("other", 3), "another desk")] {
            assert_eq!(keys.verify_button(&text, now()), Err(BadButton::Invalid), "{what}");
        }
        let late = now() + Span::HOUR;
        assert_eq!(keys("after-sales", 3).verify_button(&text, late), Err(BadButton::Expired));
        // A link is no button, and the other way round.
        let keys = keys("after-sales", 3);
        assert!(keys.verify(&text, now()).is_err());
        let link = LinkToken {
            purpose: crate::core::alerting::LinkPurpose::Ack,
            target: LinkTarget::Incident(Id::from_bytes([9; 16])),
            episode: 1,
            level: 1,
            person: "a".into(),
            expires_at: now() + Span::HOUR,
            nonce: [3; 8],
        };
        assert_eq!(keys.verify_button(&keys.sign(&link), now()), Err(BadButton::Invalid));
    }

    #[test]
    fn only_an_ack_is_of_several() {
        let ids = vec![Id::from_bytes([1; 16]), Id::from_bytes([2; 16])];
        for act in ButtonAct::ALL {
            assert!(act.act(Vec::new()).is_none(), "{act:?}");
            assert!(act.act(ids[..1].to_vec()).is_some(), "{act:?}");
            assert_eq!(act.act(ids.clone()).is_some(), act == ButtonAct::Ack, "{act:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_changed_is_refused(at in 0_usize..48, bit in 0_u8..8, garbage in ".{0,80}") {
            let keys = keys("after-sales", 3);
            let text = keys.sign_button(&token(1));
            let mut bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(keys.verify_button(&URL_SAFE_NO_PAD.encode(bytes), now()), Err(BadButton::Invalid));
            prop_assert_eq!(keys.verify_button(&garbage, now()), Err(BadButton::Invalid));
        }
    }
}
