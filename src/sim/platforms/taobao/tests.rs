//! A simulated day of a shop on Taobao. The platform is simulated.

use super::*;
use crate::sim::platforms::Simulated;
use crate::sim::platforms::reader::{
    Judged, Reader, START, Truth, a_broken_method_delays_nothing, a_lost_row_is_found,
    a_refused_method_is_told, bad_day, calm, day, over_a_socket, plain_aftersale, plain_order,
    traces_are_read, what_was_done_a_moment_ago_does_not_ring, wrong_clock,
};
use crate::sim::platforms::shop::{AfterSale, Order, Stage};
use crate::sources::http::Request;
use crate::sources::platform::{Platform, Tokens};
use crate::sources::poll::Ask;
use crate::sources::row::Origin;
use crate::sources::taobao::{Taobao as Adapter, TaobaoConfig};

impl Judged for Taobao {
    fn issue(&self) -> &Issue {
        &self.issue
    }

    fn id(&self, kind: Kind, number: u64) -> String {
        match kind {
            Kind::Order => tid(number).to_string(),
            Kind::AfterSale => refund_id(number).to_string(),
        }
    }

    fn order(&self, _: u64, order: &Order) -> Truth {
        let mut truth = plain_order(order);
        truth.exact.push(("pickup_by", order.pickup_by()));
        truth.exact.push(("deliver_by", order.deliver_by()));
        if self.thin && !matches!(order.word(), "to_ship" | "part_shipped" | "held") {
            // Nobody asks for what an order that is over had promised; it may have been over before anybody did.
            truth.exact.retain(|(name, _)| !name.ends_with("_by"));
        }
        truth
    }

    fn aftersale(&self, _: u64, case: &AfterSale) -> Truth {
        let mut truth = plain_aftersale(case);
        // Who agrees has paid back.
        let paid = matches!(case.stage, Stage::Agreed | Stage::Refunded);
        truth.seen.push(("refunded", case.reviewed.filter(|_| paid)));
        if case.stage == Stage::Agreed {
            truth.status = "closed";
        }
        truth
    }
}

fn adapter(config: TaobaoConfig) -> Adapter {
    let config = TaobaoConfig { app_key: "sim-app".to_owned(), ..config };
    let origin = Origin { source: "tmall".to_owned(), shop: Some("flagship".to_owned()) };
    Adapter::new(origin, &config, Secret::new("sim-secret")).unwrap()
}

fn mall(seed: u64, late: u8, manners: Manners) -> Taobao {
    Taobao::new("sim-app", "sim-secret", seed, late, manners, START)
}

/// Every other day the lists are thin.
fn pair(seed: u64) -> (Adapter, Taobao) {
    let mut mall = mall(seed, 5, bad_day());
    mall.thin = seed % 2 == 1;
    (adapter(TaobaoConfig::default()), mall)
}

/// The methods for single cases.
const SINGLE: &[&str] = &["taobao.trade.fullinfo.get", "taobao.refund.get"];

/// A day without trouble.
fn quiet() -> (Adapter, Taobao) {
    (adapter(TaobaoConfig::default()), mall(6, 0, Manners::default()))
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
const REFUSED: [&str; 3] = ["7", "10", "15"];

#[test]
fn a_short_day_is_read_without_loss() {
    for seed in 0..3 {
        day("taobao", pair(seed), (seed, 1500, Span::from_minutes(240)), &REFUSED);
    }
}

/// The whole of it, a minute or two; `-- whole_days --nocapture` shows requests and freshness.
#[test]
fn whole_days_are_read_without_loss() {
    for seed in 100..120 {
        day("taobao", pair(seed), (seed, 20_000, Span::DAY), &REFUSED);
    }
}

#[test]
fn on_a_calm_day_nothing_waits() {
    let pair = (adapter(TaobaoConfig::default()), mall(11, 5, Manners::default()));
    calm("taobao", pair, 10_000, Span::from_minutes(720));
}

/// The reader's clock is fifteen minutes off: it is refused, believes the `Date` header, and says so.
#[test]
fn a_wrong_clock_is_corrected_by_theirs() {
    for minutes in [-15, 15] {
        wrong_clock((adapter(TaobaoConfig::default()), mall(3, 0, Manners::default())), minutes);
    }
}

/// A token is renewed before it ends, once, and what was taken back is told to the merchant.
#[test]
fn tokens_are_renewed_and_their_end_is_told() {
    let mut mall = mall(4, 0, Manners::default());
    let mut reader = Reader::new(adapter(TaobaoConfig::default()), &mall);
    reader.until(&mut mall, START + Span::from_minutes(25 * 60));
    assert_eq!((reader.counts.renewals, mall.issue.renewals()), (2, 2));
    assert!(mall.gateway.refusals.is_empty(), "{:?}", mall.gateway.refusals);
    mall.issue.access.0 = "other".to_owned();
    mall.issue.refresh = "other".to_owned();
    reader.until(&mut mall, START + Span::from_minutes(26 * 60));
    let told = reader.planner.blind(reader.now.since(START)).unwrap();
    assert!(told.contains("授权失效") && !told.contains("sim-"), "{told}");
    assert!(mall.gateway.refusals["27"] <= 40, "{:?}", mall.gateway.refusals);
}

/// The courier's first node is when an order was picked up; that it was signed is not believed.
#[test]
fn a_trace_says_when_an_order_was_picked_up() {
    let pair = |traces| {
        (adapter(TaobaoConfig { traces, ..TaobaoConfig::default() }), mall(5, 0, Manners::default()))
    };
    traces_are_read(pair, "taobao.logistics.trace.search", |_| true);
}

#[tokio::test]
async fn what_is_signed_arrives_as_it_was_signed() {
    let adapter = |port: u16| {
        let gateway = format!("http://127.0.0.1:{port}/router/rest");
        let config = TaobaoConfig { gateway, app_key: "sim-app".to_owned(), ..TaobaoConfig::default() };
        let origin = Origin { source: "sim".to_owned(), shop: None };
        Adapter::new(origin, &config, Secret::new("sim-secret")).unwrap()
    };
    over_a_socket(adapter, mall(1, 0, Manners::default())).await;
}

/// The gateway is as strict as the real one says it is.
#[test]
fn the_gateway_refuses_what_the_real_one_refuses() {
    let adapter = adapter(TaobaoConfig::default());
    let now = START + Span::HOUR;
    let feed = adapter.feeds().iter().find(|f| f.name == "orders").unwrap().clone();
    let tokens = |access: &str| Tokens { access: Secret::new(access), ..Tokens::default() };
    let ask = |from: i64, to: i64| Ask {
        from: now - Span::from_secs(from),
        to: now - Span::from_secs(to),
        page: 1,
        size: 50,
        count: true,
    };
    let good = tokens("sim-access-0");
    let told = |request: &Request, at: Instant| {
        let answer = mall(1, 0, Manners::default()).answer(&Asked::of(request), at).into_answer().unwrap();
        adapter.read_page(&feed, ask(0, 0), &answer).map(|_| ()).map_err(|f| f.to_string())
    };
    let fine = adapter.page(&feed, ask(1200, 200), &good, now);
    let changed = |name: &str, value: Option<&str>| {
        let mut request = fine.clone();
        if let Body::Form(form) = &mut request.signed.body {
            match value {
                Some(value) => form.insert(name.to_owned(), value.to_owned()),
                None => form.remove(name),
            };
        }
        request
    };
    let refused = |text: &str| Err(text.to_owned());
    for (what, request, at, want) in [
        ("as it is", fine.clone(), now, Ok(())),
        ("late", fine.clone(), now + Span::from_secs(601), refused("clock (31)")),
        ("another page", changed("page_no", Some("2")), now, refused("signature (25)")),
        ("unsigned", changed("sign", None), now, refused("signature (24)")),
        ("XML", changed("format", None), now, refused("malformed (html)")),
        ("another app", changed("app_key", Some("x")), now, refused("disabled (29:isv.appkey-not-exists)")),
        (
            "another token",
            adapter.page(&feed, ask(1200, 200), &tokens("x"), now),
            now,
            refused("token_expired (27:invalid-sessionkey)"),
        ),
        (
            "its token is over",
            adapter.page(&feed, ask(1200, 200), &good, now + TOKEN),
            now + TOKEN,
            refused("token_expired (27:invalid-sessionkey)"),
        ),
        (
            "more than a day",
            adapter.page(&feed, ask(86_700, 200), &good, now),
            now,
            refused("parameter (41:isv.invalid-parameter)"),
        ),
        (
            "half a day",
            adapter.page(&feed, ask(40_000, 200), &good, now),
            now,
            refused("transient (15:isp.remote-service-timeout)"),
        ),
        (
            "a large page",
            adapter.page(&feed, Ask { size: 101, ..ask(1200, 200) }, &good, now),
            now,
            refused("parameter (41:isv.invalid-parameter)"),
        ),
    ] {
        assert_eq!(told(&request, at), want, "{what}");
    }
    for way in ["hmac", "hmac-sha256"] {
        let sign_method = serde_json::from_value(way.into()).unwrap();
        let other = self::adapter(TaobaoConfig { sign_method, ..TaobaoConfig::default() });
        assert_eq!(told(&other.page(&feed, ask(1200, 200), &good, now), now), Ok(()), "{way}");
    }
}
