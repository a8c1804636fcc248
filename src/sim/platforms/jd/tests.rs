//! A simulated day of a shop on JD. The platform is simulated.

use super::*;
use crate::sim::platforms::reader::{
    Judged, Reader, START, Truth, a_broken_method_delays_nothing, a_lost_row_is_found,
    a_refused_method_is_told, bad_day, calm, day, plain_aftersale, plain_order,
    what_was_done_a_moment_ago_does_not_ring, wrong_clock,
};
use crate::sim::platforms::{Asked, Simulated};
use crate::sources::http::Request;
use crate::sources::jd::{Jd as Adapter, JdConfig};
use crate::sources::platform::{Platform, Tokens};
use crate::sources::poll::Ask;
use crate::sources::row::Origin;

impl Judged for Jd {
    fn issue(&self) -> &Issue {
        &self.issue
    }

    fn id(&self, kind: Kind, number: u64) -> String {
        match kind {
            Kind::Order => order_id(number).to_string(),
            Kind::AfterSale => service_id(number).to_string(),
        }
    }

    fn order(&self, _: u64, order: &Order) -> Truth {
        // No deadline, and no time of shipping.
        let mut truth = plain_order(order);
        truth.exact.retain(|(name, _)| !matches!(*name, "ship_by" | "shipped"));
        truth.exact.push(("cancelled", order.cancelled));
        truth.seen.push(("shipped", order.shipped()));
        truth
    }

    fn aftersale(&self, _: u64, case: &AfterSale) -> Truth {
        let mut truth = Truth { turns: Vec::new(), ..plain_aftersale(case) };
        truth.exact.extend([("return_reviewed", case.reviewed), ("processed", case.refunded)]);
        truth
    }
}

fn config(ascending: bool) -> JdConfig {
    JdConfig {
        app_key: "sim-key".to_owned(),
        operate_pin: Some(PIN.to_owned()),
        ascending,
        ..JdConfig::default()
    }
}

fn adapter(ascending: bool) -> Adapter {
    let origin = Origin { source: "jd".to_owned(), shop: Some("flagship".to_owned()) };
    Adapter::new(origin, &config(ascending), Secret::new("sim-secret")).unwrap()
}

fn mall(seed: u64, late: u8, manners: Manners) -> Jd {
    Jd::new("sim-key", "sim-secret", seed, late, manners, START)
}

/// The methods for single cases.
const SINGLE: &[&str] = &["jingdong.pop.order.get"];

/// A day without trouble.
fn quiet() -> (Adapter, Jd) {
    (adapter(true), mall(6, 0, Manners::default()))
}

#[test]
fn a_row_that_its_list_never_shows_is_found() {
    a_lost_row_is_found(quiet());
}

#[test]
fn nobody_is_rung_for_what_was_done_a_moment_ago() {
    what_was_done_a_moment_ago_does_not_ring(quiet);
}

#[test]
fn no_ring_waits_for_a_method_that_is_out_of_order() {
    a_broken_method_delays_nothing(quiet(), SINGLE);
}

#[test]
fn a_method_that_is_refused_does_not_make_its_source_blind() {
    a_refused_method_is_told(quiet(), SINGLE);
}

/// What may be refused on a bad day.
const REFUSED: [&str; 5] = ["2", "19", "65", "66", "67"];

#[test]
fn a_short_day_is_read_without_loss() {
    for seed in 0..3 {
        let pair = (adapter(seed != 2), mall(seed, 5, bad_day()));
        day("jd", pair, (seed, 1500, Span::from_minutes(240)), &REFUSED);
    }
}

/// The whole of it, a minute or two; `-- whole_days --nocapture` shows requests and freshness.
#[test]
fn whole_days_are_read_without_loss() {
    for seed in 100..120 {
        let pair = (adapter(true), mall(seed, 5, bad_day()));
        day("jd", pair, (seed, 20_000, Span::DAY), &REFUSED);
    }
}

#[test]
fn on_a_calm_day_nothing_waits() {
    calm("jd", (adapter(true), mall(11, 5, Manners::default())), 10_000, Span::from_minutes(720));
}

/// The reader's clock is fifteen minutes off: it is refused, believes the `Date` header, and says so.
#[test]
fn a_wrong_clock_is_corrected_by_theirs() {
    for minutes in [-15, 15] {
        wrong_clock((adapter(true), mall(3, 0, Manners::default())), minutes);
    }
}

/// A token is renewed before it ends, once; what was taken back is told to the merchant.
#[test]
fn tokens_are_renewed_in_time_and_their_end_is_told() {
    let mut mall = mall(4, 0, Manners::default());
    let mut reader = Reader::new(adapter(true), &mall);
    reader.until(&mut mall, START + Span::from_minutes(13 * 60));
    assert_eq!((mall.gateway.requests["refresh_token"], mall.issue.renewals()), (2, 2));
    assert!(mall.gateway.refusals.is_empty(), "{:?}", mall.gateway.refusals);
    mall.issue.access.0 = "other".to_owned();
    mall.issue.refresh = "other".to_owned();
    reader.until(&mut mall, START + Span::from_minutes(14 * 60));
    let told = reader.planner.blind(reader.now.since(START)).unwrap();
    assert!(told.contains("授权失效") && !told.contains("sim-"), "{told}");
    assert!(mall.gateway.refusals["19"] <= 40, "{:?}", mall.gateway.refusals);
}

/// The gateway is as strict as the real one says it is.
#[test]
fn the_gateway_refuses_what_the_real_one_refuses() {
    let now = START + Span::HOUR;
    let tokens = |access: &str| Tokens { access: Secret::new(access), ..Tokens::default() };
    let good = tokens("sim-access-0");
    let ask = |days: i64, size: u32| Ask {
        from: now - Span::DAY.times(days),
        to: now - Span::from_secs(70),
        page: 1,
        size,
        count: true,
    };
    let told = |adapter: &Adapter, name: &str, tokens: &Tokens, ask: Ask, at: Instant, there: Instant| {
        let feed = adapter.feeds().iter().find(|f| f.name == name).unwrap().clone();
        let request = adapter.page(&feed, ask, tokens, at);
        let answer =
            mall(1, 0, Manners::default()).answer(&Asked::of(&request), there).into_answer().unwrap();
        adapter.read_page(&feed, ask, &answer).map(|_| ()).map_err(|f| f.to_string())
    };
    let ours = adapter(true);
    let with = |change: &dyn Fn(&mut JdConfig), secret: &str| {
        let mut config = config(true);
        change(&mut config);
        let origin = Origin { source: "jd".to_owned(), shop: None };
        Adapter::new(origin, &config, Secret::new(secret)).unwrap()
    };
    let fine = |adapter: &Adapter, name: &str| told(adapter, name, &good, ask(1, 100), now, now);
    for name in ["orders", "aftersales"] {
        assert_eq!(fine(&ours, name), Ok(()));
    }
    let refused = |text: &str| Err(text.to_owned());
    let late = now + Span::from_secs(361);
    assert_eq!(told(&ours, "orders", &good, ask(1, 100), now, late), refused("clock (8)"));
    assert_eq!(told(&ours, "orders", &tokens("x"), ask(1, 100), now, now), refused("token_expired (19)"));
    assert_eq!(told(&ours, "orders", &good, ask(32, 100), now, now), refused("parameter (61)"));
    assert_eq!(told(&ours, "orders", &good, ask(1, 101), now, now), refused("parameter (61)"));
    assert_eq!(fine(&with(&|_| (), "x"), "orders"), refused("signature (12)"));
    assert_eq!(
        fine(&with(&|c| c.app_key = "x".to_owned(), "sim-secret"), "orders"),
        refused("disabled (21)")
    );
    assert_eq!(fine(&with(&|c| c.wrapped = true, "sim-secret"), "orders"), refused("parameter (68)"));
    let other = with(&|c| c.operate_pin = Some("x".to_owned()), "sim-secret");
    assert_eq!(fine(&other, "aftersales"), refused("parameter (62)"));
    // A renewal after the end is of no use.
    let mut mall = mall(1, 0, Manners::default());
    let old = Tokens { refresh: Some(Secret::new("sim-refresh-0")), ..good.clone() };
    let renewal: Request = ours.renew(&old, now).unwrap();
    let end = START + TOKEN;
    let answer = mall.answer(&Asked::of(&renewal), end).into_answer().unwrap();
    assert_eq!(ours.read_tokens(&answer, end).unwrap_err().to_string(), "revoked (10400)");
    let answer = mall.answer(&Asked::of(&renewal), end - Span::HOUR).into_answer().unwrap();
    let tokens = ours.read_tokens(&answer, end).unwrap();
    assert_eq!(tokens.access_until, Some(end + TOKEN));
}
