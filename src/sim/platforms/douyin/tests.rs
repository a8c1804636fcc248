//! A simulated day of a shop on Douyin. The platform is simulated.

use super::*;
use crate::sim::platforms::Simulated;
use crate::sim::platforms::reader::{
    Judged, Reader, START, Truth, a_broken_method_delays_nothing, a_lost_row_is_found,
    a_refused_method_is_told, bad_day, calm, day, over_a_socket, plain_aftersale, plain_order,
    traces_are_read, what_was_done_a_moment_ago_does_not_ring, wrong_clock,
};
use crate::sim::platforms::shop::{AfterSale, Order};
use crate::sources::douyin::{Douyin as Adapter, DouyinConfig};
use crate::sources::http::Request;
use crate::sources::platform::{Platform, Tokens};
use crate::sources::poll::Ask;
use crate::sources::row::Origin;
use crate::sources::sign::Body;

impl Judged for Douyin {
    fn issue(&self) -> &Issue {
        &self.issue
    }

    fn id(&self, kind: Kind, number: u64) -> String {
        match kind {
            Kind::Order => order_id(number).to_string(),
            Kind::AfterSale => aftersale_id(number).to_string(),
        }
    }

    fn order(&self, _: u64, order: &Order) -> Truth {
        let mut truth = plain_order(order);
        // Seen while it was not paid, or never.
        truth.may.push(("close_by", Some(order.created + Span::from_minutes(30))));
        truth
    }

    fn aftersale(&self, _: u64, case: &AfterSale) -> Truth {
        let mut truth = plain_aftersale(case);
        truth.seen.push(("refunded", case.refunded));
        truth
    }
}

fn adapter() -> Adapter {
    let config = DouyinConfig { app_key: "sim-app".to_owned(), ..DouyinConfig::default() };
    let origin = Origin { source: "douyin".to_owned(), shop: Some("flagship".to_owned()) };
    Adapter::new(origin, &config, Secret::new("sim-secret")).unwrap()
}

fn mall(seed: u64, late: u8, manners: Manners) -> Douyin {
    Douyin::new("sim-app", "sim-secret", seed, late, manners, START)
}

/// Every other day answers come in both envelopes.
fn pair(seed: u64) -> (Adapter, Douyin) {
    let mut mall = mall(seed, 5, bad_day());
    mall.old = seed % 2 == 1;
    (adapter(), mall)
}

/// The methods for single cases.
const SINGLE: &[&str] = &["order.orderDetail", "afterSale.Detail"];

/// A day without trouble.
fn quiet() -> (Adapter, Douyin) {
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

/// Only parcels with the platform's own waybill have a trace.
#[test]
fn a_trace_says_when_an_order_was_picked_up() {
    let pair = |traces| {
        let config = DouyinConfig { app_key: "sim-app".to_owned(), traces, ..DouyinConfig::default() };
        let origin = Origin { source: "douyin".to_owned(), shop: Some("flagship".to_owned()) };
        let adapter = Adapter::new(origin, &config, Secret::new("sim-secret")).unwrap();
        (adapter, mall(5, 0, Manners::default()))
    };
    traces_are_read(pair, "logistics.trackNoRouteDetail", |parcel| parcel % 2 == 1);
}

/// What may be refused on a bad day.
const REFUSED: [&str; 4] = ["60000:isp.flow-limited", "20000:isp.service-error", "10001", "90000"];

#[test]
fn a_short_day_is_read_without_loss() {
    for seed in 0..3 {
        day("douyin", pair(seed), (seed, 1500, Span::from_minutes(240)), &REFUSED);
    }
}

/// The whole of it, a minute or two; `-- whole_days --nocapture` shows requests and freshness.
#[test]
fn whole_days_are_read_without_loss() {
    for seed in 100..120 {
        day("douyin", pair(seed), (seed, 20_000, Span::DAY), &REFUSED);
    }
}

#[test]
fn on_a_calm_day_nothing_waits() {
    calm("douyin", (adapter(), mall(11, 5, Manners::default())), 10_000, Span::from_minutes(720));
}

/// The reader's clock is fifteen minutes off: it is refused, believes the `Date` header, and says so.
#[test]
fn a_wrong_clock_is_corrected_by_theirs() {
    for minutes in [-15, 15] {
        wrong_clock((adapter(), mall(3, 0, Manners::default())), minutes);
    }
}

/// A token is renewed in its last hour, once, and what was taken back is told to the merchant.
#[test]
fn tokens_are_renewed_and_their_end_is_told() {
    let mut mall = mall(4, 0, Manners::default());
    let mut reader = Reader::new(adapter(), &mall);
    reader.until(&mut mall, START + Span::from_minutes(13 * 60));
    assert_eq!((reader.counts.renewals, mall.issue.renewals()), (2, 2), "none of them was too early");
    assert!(mall.gateway.refusals.is_empty(), "{:?}", mall.gateway.refusals);
    mall.issue.access.0 = "other".to_owned();
    mall.issue.refresh = "other".to_owned();
    reader.until(&mut mall, START + Span::from_minutes(14 * 60));
    let told = reader.planner.blind(reader.now.since(START)).unwrap();
    assert!(told.contains("授权失效") && !told.contains("sim-"), "{told}");
    assert!(mall.gateway.refusals["40003:isv.access-token-no-existed"] <= 40, "{:?}", mall.gateway.refusals);
}

/// As the platform does it: too early is nothing new, in the last hour the old token lives on for an hour.
#[test]
fn a_renewal_that_comes_too_early_is_none() {
    let mut mall = mall(4, 0, Manners::default());
    let adapter = adapter();
    let renewed = |mall: &mut Douyin, refresh: &str, at: Instant| {
        let tokens = Tokens { refresh: Some(Secret::new(refresh)), ..Tokens::default() };
        let request = adapter.renew(&tokens, at).unwrap();
        let answer = mall.answer(&Asked::of(&request), at).into_answer().unwrap();
        adapter.read_tokens(&answer, at).map(|t| (t.access.reveal().to_owned(), t.access_until))
    };
    let early = START + Span::from_minutes(299);
    let same = renewed(&mut mall, "sim-refresh-0", early).unwrap();
    assert_eq!(same, ("sim-access-0".to_owned(), Some(START + TOKEN)), "the same token with the same end");
    let late = START + Span::from_minutes(320);
    let new = renewed(&mut mall, "sim-refresh-0", late).unwrap();
    assert_eq!(new, ("sim-access-1".to_owned(), Some(late + TOKEN)));
    let minute = Span::from_minutes(1);
    assert!(mall.admits("sim-access-0", late + Span::HOUR - minute).is_ok());
    assert!(mall.admits("sim-access-0", late + Span::HOUR + minute).is_err());
    assert!(renewed(&mut mall, "nobody", late).is_err());
}

#[tokio::test]
async fn what_is_signed_arrives_as_it_was_signed() {
    let adapter = |port: u16| {
        let gateway = format!("http://127.0.0.1:{port}");
        let config = DouyinConfig { gateway, app_key: "sim-app".to_owned(), ..DouyinConfig::default() };
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
    let ask = Ask {
        from: now - Span::from_secs(1200),
        to: now - Span::from_secs(60),
        page: 0,
        size: 100,
        count: false,
    };
    let good = tokens("sim-access-0");
    let told = |request: &Request, at: Instant| {
        let answer = mall(1, 0, Manners::default()).answer(&Asked::of(request), at).into_answer().unwrap();
        adapter.read_page(&feed, ask, &answer).map(|_| ()).map_err(|f| f.to_string())
    };
    let fine = adapter.page(&feed, ask, &good, now);
    let Body::Json(body) = fine.signed.body.clone() else { panic!("JSON") };
    let query = |name: &str, value: Option<&str>| {
        let mut request = fine.clone();
        match value {
            Some(value) => request.signed.query.insert(name.to_owned(), value.to_owned()),
            None => request.signed.query.remove(name),
        };
        request
    };
    let bodied = |text: String| {
        let mut request = fine.clone();
        request.signed.body = Body::Json(text);
        request
    };
    let mut elsewhere = fine.clone();
    elsewhere.url.set_path("/afterSale/List");
    let refused = |text: &str| Err(text.to_owned());
    let signature = || refused("signature (40003:isv.signature-invalid)");
    for (what, request, at, want) in [
        ("as it is", fine.clone(), now, Ok(())),
        ("late", fine.clone(), now + Span::from_secs(601), refused("clock (40003:isv.timestamp-invalid)")),
        ("another page", bodied(body.replace("\"page\":0", "\"page\":1")), now, signature()),
        ("written anew", bodied(body.replace(',', ", ")), now, signature()),
        ("MD5 for HMAC", query("sign_method", None), now, signature()),
        ("unsigned", query("sign", None), now, refused("signature (40001:isv.signature-missing)")),
        (
            "no token",
            query("access_token", None),
            now,
            refused("token_wrong (40001:isv.access-token-missing)"),
        ),
        (
            "another token",
            query("access_token", Some("x")),
            now,
            refused("token_expired (40003:isv.access-token-no-existed)"),
        ),
        ("another path", elsewhere, now, refused("parameter (40002:isv.parameter-invalid:method)")),
        (
            "its token is over",
            adapter.page(&feed, ask, &good, now + TOKEN),
            now + TOKEN,
            refused("token_expired (40003:isv.access-token-expired)"),
        ),
        (
            "a large page",
            adapter.page(&feed, Ask { size: 101, ..ask }, &good, now),
            now,
            refused("parameter (40004:isv.parameter-invalid)"),
        ),
        (
            "long ago",
            adapter.page(&feed, Ask { from: now - Span::DAY.times(91), ..ask }, &good, now),
            now,
            refused("parameter (40004:isv.parameter-invalid)"),
        ),
    ] {
        assert_eq!(told(&request, at), want, "{what}");
    }
    // Without the header the old envelope comes, and is read all the same.
    let mut plain = fine.clone();
    plain.headers.clear();
    assert_eq!(told(&plain, now), Ok(()));
}
