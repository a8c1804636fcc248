//! What counts as proof that a person was told (`delivery_semantics` §10.6).
//!
//! Acceptance by a personal chat account is proof. A robot, a mailbox and somebody's endpoint prove nothing about a
//! person, so for P0 and P1 they count only where the person has nothing better: then acceptance by the last class that
//! the plan has for them is all the proof there can be, and the audit says so.

use crate::core::model::{ChannelCard, ChannelClass, Class, ReceiptPath};
use crate::core::time::{Instant, Span};

/// What a lane can prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Acceptance.
    Acceptance,
    /// A positive receipt or an answered call.
    Receipt,
    /// Acceptance, but only where the person has no class that proves more.
    Weak,
}

/// What a channel can prove for a notice of this class.
pub(super) fn proof(card: &ChannelCard, class: Class) -> Proof {
    let ordinary = class >= Class::P2;
    match card.class {
        ChannelClass::ChatApp => Proof::Acceptance,
        ChannelClass::ChatRobot | ChannelClass::Email | ChannelClass::Webhook if ordinary => {
            Proof::Acceptance
        }
        ChannelClass::ChatRobot | ChannelClass::Email | ChannelClass::Webhook => Proof::Weak,
        ChannelClass::Sms | ChannelClass::Voice if card.receipts != ReceiptPath::None => Proof::Receipt,
        // A provider that never says more than "taken".
        ChannelClass::Sms | ChannelClass::Voice if ordinary => Proof::Acceptance,
        ChannelClass::Sms | ChannelClass::Voice => Proof::Weak,
    }
}

/// How long a receipt is awaited after acceptance; `None` where acceptance is the last word.
pub(super) fn receipt_window(card: &ChannelCard, sms: Span, voice: Span) -> Option<Span> {
    match card.class {
        ChannelClass::Sms if card.receipts != ReceiptPath::None => Some(sms),
        ChannelClass::Voice if card.receipts != ReceiptPath::None => Some(voice),
        _ => None,
    }
}

/// One message of a wave, as the fallback looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// The class of its channel.
    pub(super) class: ChannelClass,
    /// It was accepted.
    pub(super) accepted: bool,
    /// Until when its receipt is awaited.
    pub(super) receipt_until: Option<Instant>,
}

/// Whether the fallback may wait for a receipt, and until when: a call that was placed may still be answered, and an SMS
/// that was taken may still arrive while a chat message of the same notice has been taken as well. Otherwise silence for
/// `FALLBACK_AFTER` is enough.
pub(super) fn receipt_awaited(sent: &[Sent], now: Instant) -> Option<Instant> {
    let chat =
        sent.iter().any(|s| s.accepted && matches!(s.class, ChannelClass::ChatApp | ChannelClass::ChatRobot));
    sent.iter()
        .filter(|s| s.accepted && (s.class == ChannelClass::Voice || s.class == ChannelClass::Sms && chat))
        .filter_map(|s| s.receipt_until)
        .filter(|until| *until > now)
        .max()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::model::{DuplicateKey, LinkRule, ReplyPath};

    fn card(class: ChannelClass, receipts: ReceiptPath) -> ChannelCard {
        ChannelCard {
            name: Arc::from("x"),
            adapter: Arc::from("x"),
            class,
            duplicate_key: DuplicateKey::None,
            receipts,
            reply: ReplyPath::None,
            body_limit: None,
            links: LinkRule::Any,
            lane_caps: Vec::new(),
            account_caps: Vec::new(),
            max_inflight: 16,
        }
    }

    #[test]
    fn proof_by_channel_and_class() {
        use ChannelClass::{ChatApp, ChatRobot, Email, Sms, Voice, Webhook};
        use ReceiptPath::{None, Polled, Pushed};
        for (class, receipts, urgent, ordinary) in [
            (ChatApp, None, Proof::Acceptance, Proof::Acceptance),
            (ChatApp, Polled, Proof::Acceptance, Proof::Acceptance),
            (ChatRobot, None, Proof::Weak, Proof::Acceptance),
            (Sms, Pushed, Proof::Receipt, Proof::Receipt),
            (Sms, None, Proof::Weak, Proof::Acceptance),
            (Voice, Pushed, Proof::Receipt, Proof::Receipt),
            (Voice, None, Proof::Weak, Proof::Acceptance),
            (Email, None, Proof::Weak, Proof::Acceptance),
            (Webhook, None, Proof::Weak, Proof::Acceptance),
        ] {
            let card = card(class, receipts);
            assert_eq!(proof(&card, Class::P0), urgent, "{class:?} P0");
            assert_eq!(proof(&card, Class::P1), urgent, "{class:?} P1");
            assert_eq!(proof(&card, Class::P2), ordinary, "{class:?} P2");
            assert_eq!(proof(&card, Class::P3), ordinary, "{class:?} P3");
        }
    }

    #[test]
    fn the_fallback_waits_only_for_what_may_still_come() {
        let until = Instant::from_secs(60);
        let sent =
            |class, accepted, window: bool| Sent { class, accepted, receipt_until: window.then_some(until) };
        let sms = sent(ChannelClass::Sms, true, true);
        let robot = sent(ChannelClass::ChatRobot, true, false);
        let lost = sent(ChannelClass::ChatApp, false, false);
        let call = sent(ChannelClass::Voice, true, true);
        for (what, sent, now, want) in [
            ("nothing", &[][..], 20, None),
            ("an SMS alone", &[sms][..], 20, None),
            ("an SMS, and the chat was not accepted", &[sms, lost][..], 20, None),
            ("an SMS beside a robot", &[sms, robot][..], 20, Some(until)),
            ("its window is over", &[sms, robot][..], 60, None),
            ("a call", &[call][..], 20, Some(until)),
        ] {
            assert_eq!(receipt_awaited(sent, Instant::from_secs(now)), want, "{what}");
        }
    }
}
