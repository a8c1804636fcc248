//! How long a merchant's authorisation (授权) of a shop lasts: told before it ends, because only the merchant can give
//! another (`platforms` 10.1, 10).

use crate::core::alerting::Edge;
use crate::core::time::{Instant, Span};
use crate::sources::platform::Tokens;
use crate::sources::sign::EAST_8;

/// So long before its end it is told as a warning.
const WARNED: Span = Span::from_minutes(7 * 24 * 60);
/// So long before it is told as trouble.
const GRAVE: Span = Span::from_minutes(3 * 24 * 60);

/// When the tokens, and all that can be had for them, are over; `None` where nobody knows. `renewable`: others can be asked
/// for with them.
pub fn ends(tokens: &Tokens, renewable: bool) -> Option<Instant> {
    tokens.refresh_until.or(if renewable { None } else { tokens.access_until })
}

/// What is told of an authorisation that ends then; `None` while there is time.
pub fn told(source: &str, ends: Option<Instant>, now: Instant) -> Option<(Edge, String)> {
    let ends = ends.filter(|ends| *ends <= now + WARNED)?;
    let edge = if ends <= now + GRAVE { Edge::Firing } else { Edge::Prewarning };
    let day = ends.to_timestamp().to_zoned(EAST_8.to_time_zone()).strftime("%Y-%m-%d %H:%M").to_string();
    let text = match ends > now {
        true => format!(
            "{source}:店铺授权将于北京时间 {day} 到期,请商家在此之前重新授权 / the authorisation of the shop ends at {day} \
             (Beijing): the merchant has to authorise again before"
        ),
        false => format!(
            "{source}:店铺授权已于北京时间 {day} 到期,请商家重新授权 / the authorisation of the shop ended at {day} \
             (Beijing): the merchant has to authorise again"
        ),
    };
    Some((edge, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::Secret;

    #[test]
    fn an_authorisation_is_over_when_nothing_gets_another_token() {
        let (access, refresh) = (Instant::from_secs(1_767_600_000), Instant::from_secs(1_767_700_000));
        for (access_until, refresh_until, renewable, want) in [
            (Some(access), Some(refresh), true, Some(refresh)),
            (Some(access), Some(refresh), false, Some(refresh)),
            (Some(access), None, true, None),
            (Some(access), None, false, Some(access)),
            (None, Some(refresh), true, Some(refresh)),
            (None, None, false, None),
        ] {
            let tokens = Tokens { access: Secret::new("a"), refresh: None, access_until, refresh_until };
            assert_eq!(ends(&tokens, renewable), want, "{access_until:?} {refresh_until:?} {renewable}");
        }
    }

    #[test]
    fn it_is_a_warning_for_a_week_and_trouble_for_three_days() {
        let ends: Instant = "2026-01-12T16:30:00Z".parse().unwrap();
        let day = 24 * 60 * 60;
        for (left, want) in [
            (7 * day + 1, None),
            (7 * day, Some(Edge::Prewarning)),
            (3 * day + 1, Some(Edge::Prewarning)),
            (3 * day, Some(Edge::Firing)),
            (1, Some(Edge::Firing)),
            (0, Some(Edge::Firing)),
            (-day, Some(Edge::Firing)),
        ] {
            let told = told("flagship", Some(ends), ends - Span::from_secs(left));
            assert_eq!(told.as_ref().map(|(edge, _)| *edge), want, "{left} s before");
            let Some((_, text)) = told else { continue };
            assert!(text.starts_with("flagship:") && text.contains("2026-01-13 00:30"), "{text}");
            assert_eq!((text.contains("将于"), text.contains("ends at")), (left > 0, left > 0), "{text}");
        }
        assert_eq!(told("flagship", None, ends), None, "nobody knows");
    }
}
