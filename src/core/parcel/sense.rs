//! What a vendor's code and the courier's own words say together (`logistics` 4): codes first, and the text where it says
//! more than the code. One rule for every vendor.

use crate::core::parcel::lexicon::{Flag, Of, Reading};
use crate::core::parcel::vendor::{Meaning, StatusFlag};
use crate::core::parcel::{Exception, Milestone};

/// What a scan says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sense {
    /// Where it brings the parcel; [`Milestone::Unknown`] where it does not say.
    pub milestone: Milestone,
    /// What is wrong.
    pub exception: Option<Exception>,
    /// It says that nothing is wrong any more.
    pub clears: bool,
    /// Called signed, though it only lies in a locker or station.
    pub claimed: bool,
    /// Somebody else signed.
    pub proxy: bool,
    /// The locker or station is the sender's.
    pub sender_side: bool,
}

impl Sense {
    /// That of a code, if the vendor's table knows it, and a text.
    pub fn of(code: Option<&Meaning>, text: &Reading) -> Sense {
        let by_code = code.and_then(|c| c.milestone).filter(|m| *m != Milestone::Unknown);
        // What a table names it may be more exactly, nothing else is.
        let more = code.is_some_and(|c| match c.covers.is_empty() {
            false => c.covers.contains(&text.milestone),
            true => c.text && text.milestone != Milestone::Unknown,
        });
        let milestone = match by_code {
            Some(milestone) if !more => milestone,
            _ => text.milestone,
        };
        // Two ideas in one clause are a note, not yet a reason to ring.
        let heard = text.exception.filter(|_| text.is_by_phrase(Of::Exception));
        let exception = match code.and_then(|c| c.exception) {
            // These say that something is wrong, and not what.
            Some(told @ (Exception::Unspecified | Exception::AttemptFailed)) => {
                heard.filter(|heard| is_more(told, *heard)).or(Some(told))
            }
            None if by_code.is_some_and(ends) => None,
            told => told.or(heard),
        };
        let has = |flag| code.is_some_and(|c| c.has(flag));
        Sense {
            milestone,
            exception,
            clears: code.is_some_and(|c| c.clears),
            claimed: milestone == Milestone::AtPickupPoint
                && (has(StatusFlag::ClaimedDelivered)
                    || by_code == Some(Milestone::Delivered)
                    || text.flags.contains(&Flag::ClaimedDelivered)),
            proxy: has(StatusFlag::Proxy),
            sender_side: has(StatusFlag::SenderSide)
                || code.is_none() && text.flags.contains(&Flag::SenderSide),
        }
    }
}

/// Whether a text names the reason of what a code only calls in vain, or a problem.
fn is_more(told: Exception, heard: Exception) -> bool {
    use Exception as E;
    match told {
        E::AttemptFailed => matches!(
            heard,
            E::Refused
                | E::AddressProblem
                | E::ContactFailed
                | E::Rescheduled
                | E::BusinessClosed
                | E::AccessRestricted
                | E::PaymentIssue
                | E::OutOfArea
        ),
        _ => heard != E::Unspecified,
    }
}

/// What a text says beside a code of these is of the past, or an advertisement.
fn ends(milestone: Milestone) -> bool {
    matches!(milestone, Milestone::Delivered | Milestone::Returned | Milestone::Cancelled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::parcel::lexicon::{By, Evidence};
    use crate::core::parcel::vendor::{Vendor, VendorConfig};
    use crate::core::problem::Problems;

    fn text(milestone: Milestone, exception: Option<Exception>, by: By) -> Reading {
        let evidence = exception.map(|_| Evidence {
            of: Of::Exception,
            by,
            block: "X".to_owned(),
            phrase: "x".to_owned(),
        });
        Reading { milestone, exception, flags: Vec::new(), evidence: evidence.into_iter().collect() }
    }

    #[test]
    fn the_code_counts_and_the_text_where_it_says_more() {
        use Exception as E;
        use Milestone as M;
        let config: VendorConfig = toml::from_str(
            "vendor = 'v'\nstatus = [\n{ code = ['transit'], milestone = 'in_transit', covers = ['at_destination'] },\n\
             { code = ['failed'], milestone = 'delivery_failed', exception = 'attempt_failed' },\n\
             { code = ['problem'], exception = 'unspecified' },\n{ code = ['lost'], exception = 'lost' },\n\
             { code = ['signed'], milestone = 'delivered' },\n{ code = ['other'], milestone = 'in_transit', text = true } ]",
        )
        .unwrap();
        let vendor = Vendor::compile(&config, &mut Problems::new()).unwrap();
        for (code, says, want) in [
            ("", (M::OutForDelivery, None), (M::OutForDelivery, None)),
            ("", (M::InTransit, Some(E::Damaged)), (M::InTransit, Some(E::Damaged))),
            ("transit", (M::OutForDelivery, None), (M::InTransit, None)),
            ("transit", (M::AtDestination, None), (M::AtDestination, None)),
            ("transit", (M::InTransit, Some(E::Damaged)), (M::InTransit, Some(E::Damaged))),
            ("other", (M::AtPickupPoint, None), (M::AtPickupPoint, None)),
            ("other", (M::Unknown, None), (M::InTransit, None)),
            ("failed", (M::DeliveryFailed, Some(E::Refused)), (M::DeliveryFailed, Some(E::Refused))),
            ("failed", (M::InTransit, Some(E::CarrierDelay)), (M::DeliveryFailed, Some(E::AttemptFailed))),
            ("problem", (M::Unknown, Some(E::Damaged)), (M::Unknown, Some(E::Damaged))),
            ("problem", (M::Unknown, None), (M::Unknown, Some(E::Unspecified))),
            ("lost", (M::InTransit, Some(E::Damaged)), (M::InTransit, Some(E::Lost))),
            ("signed", (M::AtPickupPoint, Some(E::Refused)), (M::Delivered, None)),
        ] {
            let (milestone, exception) = says;
            let sense =
                Sense::of(vendor.meaning("", code).map(|m| &**m), &text(milestone, exception, By::Lexicon));
            assert_eq!((sense.milestone, sense.exception), want, "{code} {says:?}");
        }
        let note = text(M::InTransit, Some(E::Damaged), By::Pair);
        assert_eq!(Sense::of(None, &note).exception, None, "a note is no reason to ring");
    }
}
