//! A simulated day of a shop on Pinduoduo. The platform is simulated.

use super::*;
use crate::sim::platforms::reader::{
    Judged, Reader, START, Truth, a_broken_method_delays_nothing, a_lost_row_is_found,
    a_refused_method_is_told, bad_day, calm, day, over_a_socket, plain_aftersale, plain_order,
    traces_are_read, what_was_done_a_moment_ago_does_not_ring, wrong_clock,
};
use crate::sim::platforms::{Asked, Simulated};
use crate::sources::http::Request;
use crate::sources::pinduoduo::{Pinduoduo as Adapter, PinduoduoConfig};
use crate::sources::platform::{Platform, Tokens};
use crate::sources::row::Origin;
use crate::sources::sign::Body;

impl Judged for Pinduoduo {
    fn issue(&self) -> &Issue {
        &self.issue
    }

    fn id(&self, kind: Kind, number: u64) -> String {
        match kind {
            Kind::Order => order_sn(number),
            Kind::AfterSale => aftersale_id(number).to_string(),
        }
    }

    fn order(&self, _: u64, order: &Order) -> Truth {
        let mut truth = plain_order(order);
        truth.exact.push(("urged", order.urged));
        truth
    }

    fn aftersale(&self, _: u64, case: &AfterSale) -> Truth {
        let mut truth = plain_aftersale(case);
        truth.seen.push(("refunded", case.refunded));
        truth
    }
}

fn adapter() -> Adapter {
    let config = PinduoduoConfig { client_id: "sim-client".to_owned(), ..PinduoduoConfig::default() };
    let origin = Origin { source: "pdd".to_owned(), shop: Some("flagship".to_owned()) };
    Adapter::new(origin, &config, Secret::new("sim-secret")).unwrap()
}

fn mall(seed: u64, late: u8, manners: Manners) -> Pinduoduo {
    Pinduoduo::new("sim-client", "sim-secret", seed, late, manners, START)
}

/// The methods for single cases.
const SINGLE: &[&str] = &["pdd.order.information.get", "pdd.refund.information.get"];

/// A day without trouble.
fn quiet() -> (Adapter, Pinduoduo) {
    (adapter(), mall(6, 0, Manners::default()))
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

/// Traces are asked for with the carrier's code, which orders do not have.
#[test]
fn a_trace_says_when_an_order_was_picked_up() {
    let pair = |traces: bool| {
        let carriers = [("44".to_owned(), CARRIER.to_owned())];
        let config = PinduoduoConfig {
            client_id: "sim-client".to_owned(),
            trace_carriers: carriers.into_iter().filter(|_| traces).collect(),
            ..PinduoduoConfig::default()
        };
        let origin = Origin { source: "pdd".to_owned(), shop: Some("flagship".to_owned()) };
        let adapter = Adapter::new(origin, &config, Secret::new("sim-secret")).unwrap();
        (adapter, mall(5, 0, Manners::default()))
    };
    traces_are_read(pair, "pdd.logistics.ordertrace.get", |_| true);
}

/// What may be refused on a bad day.
const REFUSED: [&str; 4] = ["50000", "52101", "52102", "10019"];

#[test]
fn a_short_day_is_read_without_loss() {
    for seed in 0..3 {
        let pair = (adapter(), mall(seed, 5, bad_day()));
        day("pinduoduo", pair, (seed, 1500, Span::from_minutes(240)), &REFUSED);
    }
}

/// The whole of it, a minute or two; `-- whole_days --nocapture` shows requests and freshness.
#[test]
fn whole_days_are_read_without_loss() {
    for seed in 100..120 {
        let pair = (adapter(), mall(seed, 5, bad_day()));
        day("pinduoduo", pair, (seed, 20_000, Span::DAY), &REFUSED);
    }
}

#[test]
fn on_a_calm_day_nothing_waits() {
    calm("pinduoduo", (adapter(), mall(11, 5, Manners::default())), 10_000, Span::from_minutes(720));
}

/// The reader's clock is ten minutes off: it is refused, believes the `Date` header, and says so.
#[test]
fn a_wrong_clock_is_corrected_by_theirs() {
    for minutes in [-15, 15] {
        wrong_clock((adapter(), mall(3, 0, Manners::default())), minutes);
    }
}

/// A token is renewed before it ends, once, and what was taken back is told to the merchant.
#[test]
fn tokens_are_renewed_and_their_end_is_told() {
    let mut mall = mall(4, 0, Manners::default());
    let mut reader = Reader::new(adapter(), &mall);
    reader.until(&mut mall, START + Span::from_minutes(13 * 60));
    assert_eq!((mall.gateway.requests["pdd.pop.auth.token.refresh"], mall.issue.renewals()), (2, 2));
    assert!(mall.gateway.refusals.is_empty(), "{:?}", mall.gateway.refusals);
    // Taken back: neither token is good any more.
    mall.issue.access.0 = "other".to_owned();
    mall.issue.refresh = "other".to_owned();
    reader.until(&mut mall, START + Span::from_minutes(14 * 60));
    let told = reader.planner.blind(reader.now.since(START)).unwrap();
    assert!(told.contains("授权失效") && !told.contains("sim-"), "{told}");
    assert!(mall.gateway.refusals["10019"] <= 40, "{:?}", mall.gateway.refusals);
}

#[tokio::test]
async fn what_is_signed_arrives_as_it_was_signed() {
    let adapter = |port: u16| {
        let gateway = format!("http://127.0.0.1:{port}/api/router");
        let config =
            PinduoduoConfig { gateway, client_id: "sim-client".to_owned(), ..PinduoduoConfig::default() };
        let origin = Origin { source: "sim".to_owned(), shop: None };
        Adapter::new(origin, &config, Secret::new("sim-secret")).unwrap()
    };
    over_a_socket(adapter, mall(1, 0, Manners::default())).await;
}

/// The gateway is as strict as the real one says it is.
#[test]
fn the_gateway_refuses_what_the_real_one_refuses() {
    let adapter = adapter();
    let now = START + Span::HOUR;
    let feed = adapter.feeds().iter().find(|f| f.name == "orders").unwrap().clone();
    let tokens = |access: &str| Tokens { access: Secret::new(access), ..Tokens::default() };
    let ask = |from: i64, to: i64| crate::sources::poll::Ask {
        from: now - Span::from_secs(from),
        to: now - Span::from_secs(to),
        page: 1,
        size: 100,
        count: true,
    };
    let good = tokens("sim-access-0");
    let told = |request: &Request, at: Instant| {
        let answer = mall(1, 0, Manners::default()).answer(&Asked::of(request), at).into_answer().unwrap();
        adapter.read_page(&feed, ask(0, 0), &answer).map(|_| ()).map_err(|f| f.to_string())
    };
    let fine = adapter.page(&feed, ask(1200, 200), &good, now);
    assert_eq!(told(&fine, now), Ok(()));
    let refused = |text: &str| Err(text.to_owned());
    assert_eq!(told(&fine, now + Span::from_secs(601)), refused("parameter (10001)"));
    assert_eq!(told(&fine, now + Span::from_minutes(9 * 60)), refused("parameter (10001)"));
    assert_eq!(
        told(&adapter.page(&feed, ask(1200, 200), &tokens("x"), now), now),
        refused("token_expired (10019)")
    );
    assert_eq!(told(&adapter.page(&feed, ask(2200, 200), &good, now), now), refused("parameter (21001)"));
    assert_eq!(told(&adapter.page(&feed, ask(1200, 100), &good, now), now), refused("parameter (21001)"));
    let mut forged = fine.clone();
    let Body::Json(text) = &fine.signed.body else { panic!("JSON") };
    forged.signed.body = Body::Json(text.replace("\"page\":1", "\"page\":2"));
    assert_eq!(told(&forged, now), refused("signature (20004)"));
}
