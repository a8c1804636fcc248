//! The tokens in links (`delivery_semantics` §12.1): who may do what to which incident, until when, and that we said so.
//!
//! A token is a few dozen bytes and a keyed digest over them, in letters that every mail program leaves whole. It serves
//! one purpose, on one incident and episode or on the list of one message, for one person, for at most a day. It is no
//! secret store and no session: whoever holds it may press that one button in that person's name, which the page says.

mod button;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use crate::core::alerting::AlertingConfig;
use crate::core::ids::{Id, InstallationKey};
use crate::core::model::{Incident, PersonId, Purpose};
use crate::core::time::{Instant, Span};

pub use button::{BUTTON_SNOOZE, BadButton, ButtonAct, ButtonToken, MAX_BUTTON};

/// The longest that a link is good (§12.1).
pub const LINK_LIFE: Span = Span::DAY;
/// How long a link is good after its incident was resolved (§12.1).
pub const LINK_AFTER_RESOLVED: Span = Span::from_minutes(120);
/// The longest token that is looked at, in letters.
pub const MAX_TOKEN: usize = 512;

const VERSION: u8 = 1;
const NONCE: usize = 8;
const SIGNATURE: usize = 16;

/// What a link is for. One link serves one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkPurpose {
    /// Work on it (认领).
    Ack,
    /// Put it off (稍后).
    Snooze,
    /// It is done (已解决).
    Resolve,
    /// Only look.
    View,
    /// Take a handover (交接). Reserved: no page serves it yet.
    AcceptHandover,
}

impl LinkPurpose {
    /// All of them.
    pub const ALL: [LinkPurpose; 5] = [
        LinkPurpose::Ack,
        LinkPurpose::Snooze,
        LinkPurpose::Resolve,
        LinkPurpose::View,
        LinkPurpose::AcceptHandover,
    ];

    /// Its word in letters, templates and the audit.
    pub fn word(self) -> &'static str {
        match self {
            LinkPurpose::Ack => "ack",
            LinkPurpose::Snooze => "snooze",
            LinkPurpose::Resolve => "resolve",
            LinkPurpose::View => "view",
            LinkPurpose::AcceptHandover => "accept_handover",
        }
    }

    fn byte(self) -> u8 {
        match self {
            LinkPurpose::Ack => 1,
            LinkPurpose::Snooze => 2,
            LinkPurpose::Resolve => 3,
            LinkPurpose::View => 4,
            LinkPurpose::AcceptHandover => 5,
        }
    }

    fn of(byte: u8) -> Option<LinkPurpose> {
        LinkPurpose::ALL.into_iter().find(|purpose| purpose.byte() == byte)
    }
}

/// What a link is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkTarget {
    /// One incident.
    Incident(Id),
    /// The incidents that a message lists, as it listed them (RS4).
    List {
        /// The message.
        message: Id,
        /// The revision of its list.
        revision: u32,
    },
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkToken {
    /// What for.
    pub purpose: LinkPurpose,
    /// About what.
    pub target: LinkTarget,
    /// The episode it was made for; 0 for a list.
    pub episode: u32,
    /// The level at which it was made. An ack of an earlier level still acks.
    pub level: u8,
    /// In whose name it acts.
    pub person: PersonId,
    /// From then on it is no longer good. Whole seconds.
    pub expires_at: Instant,
    /// What tells it from every other token.
    pub nonce: [u8; NONCE],
}

/// Why a token is not good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLink {
    /// It is not one of ours, or was changed, or its key is two rotations back.
    #[error("this link is not valid")]
    Invalid,
    /// It was ours, and its time is over.
    #[error("this link has expired")]
    Expired(LinkToken),
}

/// The keys of links: the current one signs, it and the one before are believed. They are derived from the key of the
/// installation and a number, so that a rotation is a reload and no new file.
#[derive(Clone, Debug)]
pub struct LinkKeys {
    desk: Arc<str>,
    root: InstallationKey,
    /// The newest first.
    keys: Vec<(u8, InstallationKey)>,
}

impl LinkKeys {
    /// The keys of a desk at a revision ([`AlertingConfig::link_revision`]).
    pub fn new(root: &InstallationKey, desk: &Arc<str>, revision: u8) -> LinkKeys {
        let derived = |n: u8| (n, InstallationKey::new(root.mac(&[b"link key", &[n]])));
        let keys = std::iter::once(revision).chain(revision.checked_sub(1)).map(derived).collect();
        LinkKeys { desk: desk.clone(), root: root.clone(), keys }
    }

    /// The text of a token.
    pub fn sign(&self, token: &LinkToken) -> String {
        // There is always a newest key.
        let Some((id, key)) = self.keys.first() else { return String::new() };
        let mut bytes = token.to_bytes(*id, self.desk_mark());
        bytes.extend_from_slice(&self.signature(key, &bytes));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token and believes it only when it carries our signature and its time is not over. Nothing of it is
    /// looked at before the signature fits, and how long that takes does not depend on where it differs.
    ///
    /// # Errors
    /// See [`BadLink`]. What is wrong with an invalid one is told to nobody.
    pub fn verify(&self, text: &str, now: Instant) -> Result<LinkToken, BadLink> {
        if text.len() > MAX_TOKEN {
            return Err(BadLink::Invalid);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadLink::Invalid)?;
        let cut = bytes.len().checked_sub(SIGNATURE).ok_or(BadLink::Invalid)?;
        let (said, signature) = bytes.split_at(cut);
        let [VERSION, id, ..] = said else { return Err(BadLink::Invalid) };
        let (_, key) = self.keys.iter().find(|(known, _)| known == id).ok_or(BadLink::Invalid)?;
        if !bool::from(self.signature(key, said).ct_eq(signature)) {
            return Err(BadLink::Invalid);
        }
        let token = LinkToken::from_bytes(&said[2..], self.desk_mark()).ok_or(BadLink::Invalid)?;
        if now < token.expires_at { Ok(token) } else { Err(BadLink::Expired(token)) }
    }

    /// The inbox id of what is done with a token (§4): the same token twice is one act (I11).
    pub fn inbox(&self, token: &LinkToken) -> Id {
        self.root.id(&[b"inbox", b"link", &token.nonce, token.person.as_bytes()])
    }

    /// The one-time value of a page of `text`, at a time bucket: who posts it has seen the page that was made for this
    /// very token not long before.
    pub fn page_value(&self, text: &str, bucket: i64) -> String {
        let Some((_, key)) = self.keys.first() else { return String::new() };
        let mac = key.mac(&[b"page", self.desk.as_bytes(), text.as_bytes(), &bucket.to_be_bytes()]);
        URL_SAFE_NO_PAD.encode(&mac[..SIGNATURE])
    }

    fn signature(&self, key: &InstallationKey, said: &[u8]) -> [u8; SIGNATURE] {
        let mac = key.mac(&[b"link", self.desk.as_bytes(), said]);
        let mut cut = [0; SIGNATURE];
        cut.copy_from_slice(&mac[..SIGNATURE]);
        cut
    }

    /// Four bytes that name the desk, so that a token can be led to the desk it is of. Its whole name is signed.
    fn desk_mark(&self) -> [u8; 4] {
        let mac = self.root.mac(&[b"desk", self.desk.as_bytes()]);
        [mac[0], mac[1], mac[2], mac[3]]
    }
}

impl LinkToken {
    fn to_bytes(&self, key: u8, desk: [u8; 4]) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        out.extend_from_slice(&[VERSION, key]);
        out.extend_from_slice(&desk);
        let (listed, id, revision) = match &self.target {
            LinkTarget::Incident(id) => (0, id, 0),
            LinkTarget::List { message, revision } => (0x80, message, *revision),
        };
        out.push(self.purpose.byte() | listed);
        out.extend_from_slice(id.as_bytes());
        put_number(&mut out, revision);
        put_number(&mut out, self.episode);
        out.push(self.level);
        let expires = u32::try_from(self.expires_at.as_secs()).unwrap_or_default();
        out.extend_from_slice(&expires.to_be_bytes());
        out.extend_from_slice(&self.nonce);
        out.extend_from_slice(self.person.as_bytes());
        out
    }

    /// What the bytes behind version and key say; the person's name is what is left at the end.
    fn from_bytes(bytes: &[u8], desk: [u8; 4]) -> Option<LinkToken> {
        let mut rest = bytes;
        if take::<4>(&mut rest)? != desk {
            return None;
        }
        let [kind] = take(&mut rest)?;
        let purpose = LinkPurpose::of(kind & 0x7f)?;
        let id = Id::from_bytes(take(&mut rest)?);
        let revision = take_number(&mut rest)?;
        let target = match kind & 0x80 {
            0 => LinkTarget::Incident(id),
            _ => LinkTarget::List { message: id, revision },
        };
        let episode = take_number(&mut rest)?;
        let [level] = take(&mut rest)?;
        let expires_at = Instant::from_secs(i64::from(u32::from_be_bytes(take(&mut rest)?)));
        let nonce = take(&mut rest)?;
        let person = std::str::from_utf8(rest).ok().filter(|name| !name.is_empty())?;
        Some(LinkToken { purpose, target, episode, level, person: person.into(), expires_at, nonce })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*first)
}

/// Seven bits a byte, the lowest first.
fn put_number(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_number(rest: &mut &[u8]) -> Option<u32> {
    let mut number = 0_u64;
    for shift in (0..35).step_by(7) {
        let [byte] = take(rest)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(number).ok();
        }
    }
    None
}

/// Makes the links of letters.
#[derive(Clone, Debug)]
pub struct LinkMaker {
    keys: LinkKeys,
    base: String,
}

impl LinkMaker {
    /// A maker for a desk; none where [`AlertingConfig::base_url`] is not given, because no page can be reached then.
    pub fn new(root: &InstallationKey, desk: &Arc<str>, config: &AlertingConfig) -> Option<LinkMaker> {
        let base = config.base_url.as_deref()?.trim_end_matches('/').to_owned();
        Some(LinkMaker { keys: LinkKeys::new(root, desk, config.link_revision), base })
    }

    /// The links of a message to a person about `members`, the incidents it lists: purpose word and URL. The same
    /// message made at the same instant has the same links. One incident: ack, snooze, resolve, view. Several: ack of
    /// all of them, view. What only tells that something is over: view. A test: none.
    pub fn links(
        &self,
        message: Id,
        person: &PersonId,
        purpose: Purpose,
        members: &[&Incident],
        now: Instant,
    ) -> Vec<(&'static str, String)> {
        let kinds: &[LinkPurpose] = match (purpose, members) {
            (Purpose::Canary, _) | (_, []) => &[],
            (Purpose::Cleared | Purpose::Corrected | Purpose::StormOver | Purpose::SilenceEnding, _) => {
                &[LinkPurpose::View]
            }
            (_, [one]) if one.storm.is_none() => {
                &[LinkPurpose::Ack, LinkPurpose::Snooze, LinkPurpose::Resolve, LinkPurpose::View]
            }
            _ => &[LinkPurpose::Ack, LinkPurpose::View],
        };
        let (target, episode) = match members {
            [one] => (LinkTarget::Incident(one.id), one.episode),
            _ => (LinkTarget::List { message, revision: 0 }, 0),
        };
        let level = members.iter().map(|incident| incident.level).max().unwrap_or_default();
        kinds
            .iter()
            .map(|&purpose| {
                let word = purpose.word();
                let mac = self.keys.root.mac(&[
                    b"nonce",
                    self.keys.desk.as_bytes(),
                    message.as_bytes(),
                    word.as_bytes(),
                    person.as_bytes(),
                ]);
                let mut nonce = [0; NONCE];
                nonce.copy_from_slice(&mac[..NONCE]);
                let expires_at = Instant::from_secs((now + LINK_LIFE).as_secs());
                let person = person.clone();
                let token = LinkToken { purpose, target, episode, level, person, expires_at, nonce };
                (word, format!("{}/a/{}", self.base, self.keys.sign(&token)))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
