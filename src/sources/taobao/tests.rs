//! Pages as the platform documents them, and pages as they arrive on a bad day.

use proptest::prelude::*;
use serde_json::json;

use super::read::From;
use super::*;
use crate::core::problem::Problems;
use crate::sources::config::Section;
use crate::sources::platform::Item;
use crate::sources::row::told::{answer, feed_of, told};
use crate::sources::sign::Body;

fn with(config: TaobaoConfig) -> Taobao {
    let config = TaobaoConfig { app_key: "k".to_owned(), ..config };
    let origin = Origin { source: "tmall".to_owned(), shop: Some("flagship".to_owned()) };
    Taobao::new(origin, &config, Secret::new("s3cret")).unwrap()
}

fn shop() -> Taobao {
    with(TaobaoConfig::default())
}

fn feed(name: &str) -> Feed {
    feed_of(&shop(), name)
}

fn ask() -> Ask {
    let at = Instant::from_secs(1_767_600_000);
    Ask { from: at, to: at + Span::from_minutes(30), page: 3, size: 50, count: true }
}

fn read(name: &str, body: impl Into<Vec<u8>>) -> Result<Page, String> {
    shop().read_page(&feed(name), ask(), &answer(body)).map_err(|f| f.to_string())
}

const ORDERS_PAGE: &str = include_str!("../../../tests/fixtures/sources/taobao/orders.json");
const REFUNDS_PAGE: &str = include_str!("../../../tests/fixtures/sources/taobao/refunds.json");
const REFUND_CASE: &str = include_str!("../../../tests/fixtures/sources/taobao/refund.json");
const TRACE_CASE: &str = include_str!("../../../tests/fixtures/sources/taobao/trace.json");

fn want(kind: &str, id: &str) -> Want {
    Want { ids: vec![kind.to_owned(), id.to_owned()], modified: "2026-01-05T02:00:00Z".parse().unwrap() }
}

fn order(row: Value) -> Item {
    shop().order(row.as_object().unwrap(), From::List).unwrap()
}

#[test]
fn a_documented_page_of_orders_is_read() {
    let page = read("orders", ORDERS_PAGE).unwrap();
    assert_eq!((page.items.len(), page.rejects.len(), page.facts.total), (2, 0, Some(2)));
    let item = &page.items[0];
    assert_eq!(
        told(&item.observations[0]),
        "order 4287000000000000001 2026-01-05T09:41:10Z created=2026-01-05T01:12:01Z paid=2026-01-05T01:12:40Z \
         ship_by=2026-01-07T01:12:40Z pickup_by=2026-01-08T01:12:40Z status=to_ship shop=flagship \
         trade_status=WAIT_SELLER_SEND_GOODS"
    );
    assert_eq!((item.deadline, &item.want), (Some("2026-01-07T01:12:40Z".parse().unwrap()), &None));
    // One line is gone, one was paid back, one waits until three days after the payment.
    let item = &page.items[1];
    assert_eq!(
        told(&item.observations[0]),
        "order 4287000000000000003 2026-01-05T09:40:00Z created=2026-01-05T01:00:00Z paid=2026-01-05T01:00:30Z \
         ship_by=2026-01-08T01:00:30Z status=part_shipped shop=flagship trade_status=SELLER_CONSIGNED_PART \
         refund_status=SUCCESS carrier=中通快递 waybill=75300000000001"
    );
    assert!(!format!("{page:?}").contains('张'), "what the buyer is called stays outside");
}

#[test]
fn a_documented_refund_and_its_deadline_are_read() {
    let item = &read("refunds", REFUNDS_PAGE).unwrap().items[0];
    let marks = "aftersale 200000000000001 2026-01-05T02:00:00Z return_requested=2026-01-05T02:00:00Z";
    let rest = "status=to_handle shop=flagship order=4287000000000000001 line=4287000000000000001 \
                refund_status=WAIT_SELLER_AGREE good_status=BUYER_RECEIVED refund_phase=onsale with_goods=Bool(true)";
    assert_eq!(told(&item.observations[0]), format!("{marks} {rest}"));
    let asked = item.want.clone().unwrap();
    assert_eq!(asked, want("refund", "200000000000001"));
    let item = &shop().read_detail(&asked, &answer(REFUND_CASE)).unwrap().items[0];
    assert_eq!(told(&item.observations[0]), format!("{marks} handle_by=2026-01-07T02:00:00Z {rest}"));
    assert_eq!((item.deadline, &item.want), (Some("2026-01-07T02:00:00Z".parse().unwrap()), &None));
    let other = shop().read_detail(&want("refund", "8"), &answer(REFUND_CASE));
    assert_eq!(other.unwrap_err().to_string(), "malformed (no_case)", "another refund is not this one");
    // The time that ends may be the buyer's.
    let theirs = REFUND_CASE.replace("WAIT_SELLER_AGREE", "WAIT_BUYER_RETURN_GOODS");
    let item = &shop().read_detail(&asked, &answer(theirs)).unwrap().items[0];
    assert!(!told(&item.observations[0]).contains("handle_by"));
    assert_eq!(
        told(&item.observations[1]),
        "aftersale 200000000000001 2026-01-05T02:00:00Z return_reviewed=2026-01-05T02:00:00Z"
    );
}

#[test]
fn a_documented_trace_is_read() {
    let asked = want("trace", "4287000000000000001");
    let page = shop().read_detail(&asked, &answer(TRACE_CASE)).unwrap();
    assert_eq!(
        told(&page.items[0].observations[0]),
        "order 4287000000000000001 2026-01-05T02:00:00Z picked_up=2026-01-05T12:11:00Z"
    );
    let empty = r#"{"logistics_trace_search_response":{"tid":"4287000000000000001","status":"已签收"}}"#;
    assert_eq!(shop().read_detail(&asked, &answer(empty)).unwrap().items, [], "no node says nothing");
    assert!(shop().read_detail(&want("trace", "7"), &answer(TRACE_CASE)).is_err());
}

/// A deadline that the list leaves out is asked for, once, while somebody has to act.
#[test]
fn a_deadline_that_is_missing_is_asked_for() {
    let line = |status: &str| json!({ "order": [{ "oid": 1, "status": status }] });
    for (status, paid, lines, wanted) in [
        ("WAIT_SELLER_SEND_GOODS", true, line("WAIT_SELLER_SEND_GOODS"), true),
        ("WAIT_SELLER_SEND_GOODS", true, Value::Null, true),
        ("PAID_FORBID_CONSIGN", true, line("PAID_FORBID_CONSIGN"), true),
        ("SELLER_CONSIGNED_PART", true, line("WAIT_SELLER_SEND_GOODS"), true),
        ("WAIT_BUYER_PAY", false, line("WAIT_BUYER_PAY"), false),
        ("WAIT_BUYER_CONFIRM_GOODS", true, line("WAIT_BUYER_CONFIRM_GOODS"), false),
        ("TRADE_CLOSED", true, line("TRADE_CLOSED"), false),
    ] {
        let mut row =
            json!({ "tid": 5, "status": status, "modified": "2026-01-05 10:00:00", "orders": lines });
        if paid {
            row["pay_time"] = "2026-01-05 10:00:00".into();
        }
        let asked = order(row.clone()).want;
        assert_eq!(asked.is_some(), wanted, "{status}");
        if let Some(asked) = asked {
            let body = json!({ "trade_fullinfo_get_response": { "trade": row } }).to_string();
            let again = shop().read_detail(&asked, &answer(body)).unwrap();
            assert_eq!(again.items[0].want, None, "it is not asked for for ever");
        }
    }
}

/// An order is read again by its own number; its trace only while it is under way, and where that is wanted.
#[test]
fn what_is_known_is_asked_for_again() {
    let tracing = with(TaobaoConfig { traces: true, ..TaobaoConfig::default() });
    let case = |kind: &str, status: &str, is_picked_up: bool| OpenCase {
        kind: kind.to_owned(),
        id: "5".to_owned(),
        status: Some(status.to_owned()),
        is_picked_up,
        ..OpenCase::default()
    };
    for (shop, case, want) in [
        (&tracing, case("order", "to_ship", false), &["trade"][..]),
        (&tracing, case("order", "shipped", false), &["trade", "trace"]),
        (&tracing, case("order", "shipped", true), &["trade"]),
        (&shop(), case("order", "shipped", false), &["trade"]),
        (&tracing, case("aftersale", "to_handle", false), &["refund"]),
        (&tracing, case("parcel", "", false), &[]),
    ] {
        let wants = shop.looks(&case);
        let words: Vec<&str> = wants.iter().map(Want::method).collect();
        assert_eq!(words, want, "{case:?}");
        assert!(wants.iter().all(|want| want.ids[1] == "5"));
    }
    let refused = |code: u32| answer(format!(r#"{{"error_response":{{"code":{code},"msg":"no"}}}}"#));
    let trace = want("trace", "5");
    assert_eq!(shop().read_detail(&trace, &refused(41)), Ok(Page::default()), "no trace is no failure");
    assert_eq!(shop().read_detail(&trace, &refused(11)).unwrap_err().class, Class::Permission);
}

/// `platforms` 1.7, 2.4.
#[test]
fn every_state_has_its_word() {
    let row = |key: &str, code: &str| json!({ key: 9007199254740993u64, "tid": "1", "status": code, "modified": "2026-01-05 10:00:00" });
    for (code, want) in [
        ("WAIT_BUYER_PAY", "unpaid"),
        ("TRADE_NO_CREATE_PAY", "unpaid"),
        ("PAY_PENDING", "unpaid"),
        ("WAIT_PRE_AUTH_CONFIRM", "unpaid"),
        ("PAID_FORBID_CONSIGN", "held"),
        ("WAIT_SELLER_SEND_GOODS", "to_ship"),
        ("SELLER_CONSIGNED_PART", "part_shipped"),
        ("WAIT_BUYER_CONFIRM_GOODS", "shipped"),
        ("TRADE_BUYER_SIGNED", "signed"),
        ("TRADE_FINISHED", "done"),
        ("TRADE_CLOSED", "closed"),
        ("TRADE_CLOSED_BY_TAOBAO", "closed"),
        ("TRADE_IN_ORBIT", "other"),
    ] {
        let item = order(row("tid", code));
        let text = told(&item.observations[0]);
        assert!(text.contains(&format!(" status={want} ")) && text.contains(code), "{code}: {text}");
        assert_eq!(item.observations.len(), if want == "signed" { 2 } else { 1 }, "{code}");
    }
    for (code, want, marks) in [
        ("WAIT_SELLER_AGREE", "to_handle", ""),
        ("WAIT_SELLER_CONFIRM_GOODS", "to_handle", "return_reviewed"),
        ("WAIT_BUYER_RETURN_GOODS", "waiting_buyer", "return_reviewed"),
        ("SELLER_REFUSE_BUYER", "waiting_buyer", "return_reviewed"),
        ("CLOSED", "closed", ""),
        ("SUCCESS", "closed", "refunded return_reviewed"),
        ("EXCHANGE_SOMETHING", "other", ""),
    ] {
        let item = shop().refund(row("refund_id", code).as_object().unwrap(), From::List).unwrap();
        assert!(told(&item.observations[0]).contains(&format!(" status={want} ")), "{code}");
        let seen =
            item.observations.get(1).map_or_else(Vec::new, |o| o.marks.iter().map(|m| &*m.name).collect());
        assert_eq!(seen.join(" "), marks, "{code}");
    }
}

/// `platforms` 2.5.
#[test]
fn every_refusal_has_its_class() {
    for (code, sub, want) in [
        (7, "accesscontrol.limited-by-api-access-count", "throttled"),
        (7, "accesscontrol.limited-by-day", "quota"),
        (8, "", "throttled"),
        (27, "invalid-sessionkey", "token_expired"),
        (26, "", "token_wrong"),
        (25, "", "signature"),
        (31, "", "clock"),
        (11, "isv.permission-api-package-limit", "permission"),
        (29, "", "disabled"),
        (41, "isv.invalid-parameter", "parameter"),
        (22, "", "gone"),
        (10, "", "transient"),
        (15, "isp.remote-service-timeout", "transient"),
        (15, "isp.trade-service-unavailable", "transient"),
        (15, "isp.top-remote-connection-error", "transient"),
        (15, "isp.null-pointer-exception", "parameter"),
        (15, "isv.trade-not-exist", "parameter"),
        (15, "isp.never-heard-of", "unseen"),
        (77, "", "unseen"),
    ] {
        let body = json!({ "error_response": { "code": code, "sub_code": sub, "msg": "张三" } }).to_string();
        let told = read("orders", body).unwrap_err();
        assert!(told.starts_with(&format!("{want} ({code}")) && !told.contains('张'), "{code} {sub}: {told}");
    }
}

#[test]
fn what_is_no_page_is_said_to_be_none() {
    let wrapped = |inner: &str| format!(r#"{{"trades_sold_increment_get_response":{inner}}}"#);
    for (body, want) in [
        ("<?xml version=\"1.0\"?><error_response/>".to_owned(), "malformed (html)"),
        ("{}".to_owned(), "malformed (no_wrapper)"),
        (r#"{"refunds_receive_get_response":{"total_results":0}}"#.to_owned(), "malformed (no_wrapper)"),
        (wrapped("[]"), "malformed (no_wrapper)"),
        (wrapped("{}"), "malformed (no_list)"),
        (wrapped(r#"{"total_results":3}"#), "malformed (no_list)"),
        (wrapped(r#"{"total_results":3,"trades":{}}"#), "malformed (no_list)"),
        (wrapped(r#"{"total_results":0,"trades":{"trade":7}}"#), "malformed (no_list)"),
        (wrapped(r#"{"has_next":true}"#), "malformed (no_list)"),
        (wrapped(r#"{"has_next":false}"#), "malformed (no_total)"),
        (wrapped(r#"{"total_results":"x"}"#), "malformed (bad_total)"),
        (wrapped(r#"{"trades":{"trade":[]}}"#), "malformed (no_total)"),
        (r#"{"error_response":{"code":"27"}}"#.to_owned(), "token_expired (27)"),
        (r#"{"error_response":{}}"#.to_owned(), "unseen (0)"),
    ] {
        assert_eq!(read("orders", body.clone()).map(|_| ()), Err(want.to_owned()), "{body}");
    }
    for body in [r#"{"total_results":"0","trades":null}"#, r#"{"total_results":0,"trades":{"trade":[]}}"#] {
        assert_eq!(read("orders", wrapped(body)).map(|p| p.facts.rows), Ok(0), "{body}");
    }
    let walking = Ask { count: false, ..ask() };
    let page = shop().read_page(&feed("orders"), walking, &answer(wrapped(r#"{"has_next":"false"}"#)));
    assert_eq!(page.map(|p| p.facts.rows), Ok(0), "the rows of a page may have left");
}

/// One row that cannot be used is counted, with a digest; the others are read.
#[test]
fn the_page_goes_on_without_a_bad_row() {
    let good = r#"{"tid":18446744073709551615,"modified":"1767600000","status":"TRADE_FINISHED"}"#;
    let odd = r#"{"tid":"2","modified":1767600000,"status":"WAIT_BUYER_PAY","pay_time":"soon","orders":{"order":[7,{"sign_time":[]}]}}"#;
    for (bad, reason) in [
        (r#"{"tid":"张三 13912345678","modified":"tomorrow","status":"x"}"#, "modified is not an instant"),
        (r#"{"modified":1767600000,"status":"x"}"#, "tid is missing"),
        (r#"{"tid":18446744073709551616,"modified":1767600000}"#, "tid is not an id"),
        (r#"{"tid":3,"modified":1767600000}"#, "status is missing"),
        ("7", "is not an object"),
    ] {
        let list = format!("[{good},{bad},{odd}]");
        let body = format!(
            r#"{{"trades_sold_increment_get_response":{{"total_results":3,"trades":{{"trade":{list}}}}}}}"#
        );
        let page = read("orders", body).unwrap();
        let ids: Vec<&str> = page.items.iter().map(|i| i.id.as_str()).collect();
        assert_eq!((ids, page.facts.rows), (vec!["18446744073709551615", "2"], 3), "{bad}");
        assert_eq!((page.rejects[0].reason.as_str(), page.rejects[0].digest.len()), (reason, 16));
        assert_eq!(page.items[1].odd, ["pay_time", "sign_time"]);
    }
}

/// The count is asked for without a word about what comes next; refunds of every type are asked for.
#[test]
fn requests_ask_for_what_is_needed() {
    let at = Instant::from_secs(1_767_600_000);
    let form = |name: &str, ask: Ask| match shop().page(&feed(name), ask, &Tokens::default(), at).signed.body
    {
        Body::Form(form) => form,
        _ => panic!("a form"),
    };
    let counted = form("orders", ask());
    assert_eq!((counted.get("use_has_next"), counted["page_no"].as_str()), (None, "3"));
    assert_eq!(counted["start_modified"], "2026-01-05 16:00:00");
    assert!(!counted["fields"].contains("receiver") && counted["fields"].contains(",orders.delivery_time,"));
    assert!(!counted["fields"].contains(' '));
    let walked = form("refunds", Ask { count: false, ..ask() });
    assert_eq!((walked["use_has_next"].as_str(), walked["page_size"].as_str()), ("true", "50"));
    assert_eq!(walked["type"], "guarantee_trade,auto_delivery,ec,cod,step");
}

#[test]
fn tokens_end_at_the_earlier_of_both() {
    let at = Instant::from_secs(1_767_600_000);
    let tokens = |told: Value| {
        let body = json!({ "top_auth_token_refresh_response": { "token_result": told.to_string() } });
        shop().read_tokens(&answer(body.to_string()), at)
    };
    let both = tokens(json!({ "access_token": "a2", "refresh_token": "r2", "expires_in": 3600,
        "expire_time": 1_767_602_000_000i64, "re_expires_in": "86400", "r1_expires_in": 1800 }));
    let both = both.unwrap();
    assert_eq!((both.access.reveal(), both.refresh.unwrap().reveal()), ("a2", "r2"));
    assert_eq!(both.access_until, Some(Instant::from_secs(1_767_602_000)));
    assert_eq!(both.refresh_until, Some(at + Span::DAY));
    // A token of a fixed length says so.
    let fixed = tokens(
        json!({ "access_token": "a2", "refresh_token": "r2", "expires_in": 3600, "re_expires_in": 0 }),
    );
    assert_eq!(fixed.unwrap().refresh, None);
    assert!(tokens(json!({ "access_token": "" })).is_err());
    for bad in ["{}", r#"{"top_auth_token_refresh_response":{"token_result":"{"}}"#] {
        assert_eq!(shop().read_tokens(&answer(bad), at).unwrap_err().class, Class::Malformed, "{bad}");
    }
    let lost = r#"{"error_response":{"code":15,"sub_code":"isv.refresh-token-invalid"}}"#;
    assert_eq!(shop().read_tokens(&answer(lost), at).unwrap_err().class, Class::Revoked);
    let refresh = Tokens { refresh: Some(Secret::new("r")), ..Tokens::default() };
    assert!(shop().renew(&refresh, at).is_some() && shop().renew(&Tokens::default(), at).is_none());
    let fixed = with(TaobaoConfig { renewal: String::new(), ..TaobaoConfig::default() });
    assert!(fixed.renew(&refresh, at).is_none());
}

#[test]
fn nothing_secret_is_printed() {
    let tokens = Tokens { access: Secret::new("t0ken"), ..Tokens::default() };
    let request = shop().page(&feed("orders"), ask(), &tokens, Instant::from_secs(1_767_600_000));
    let shown = format!("{:?} {request:?} {tokens:?}", shop());
    assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
}

#[test]
fn what_is_wrong_in_its_section_is_told() {
    let told = |lines: &str| -> Vec<String> {
        let text = format!("app_key = \"k\"\napp_secret_env = \"S\"\n{lines}");
        let mut problems = Problems::new();
        toml::from_str::<TaobaoConfig>(&text).unwrap().check(&mut problems);
        problems.into_vec().into_iter().map(|p| format!("{}: {}", p.path, p.text)).collect()
    };
    assert_eq!(told(""), [""; 0]);
    for (lines, want) in [
        ("page_size = 101", "page_size: found 101, expected 1 to 100"),
        ("longest = \"25h\"", "longest: found 25h, expected 1m to 24h"),
        ("overlap = \"31m\"", "overlap: found 31m, expected 0s to 30m"),
        ("lag = \"16m\"", "lag: found 16m, expected 0s to 15m"),
        (
            "gateway = \"http://gw.example\"",
            "gateway: is not https: everybody on the way could read the tokens",
        ),
    ] {
        assert_eq!(told(lines), [want], "{lines}");
    }
    let mut problems = Problems::new();
    TaobaoConfig::default().check(&mut problems);
    let told: Vec<String> = problems.into_vec().into_iter().map(|p| p.text.to_string()).collect();
    assert_eq!(
        told,
        [
            "is missing, expected the app_key of your app",
            "has no app_secret_file, app_secret_env or app_secret_credential"
        ]
    );
    assert!(toml::from_str::<TaobaoConfig>("sign_method = \"rsa\"").is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for name in ["orders", "refunds"] {
            read(name, bytes.clone()).ok();
        }
    }

    /// A good page with some bytes of it changed.
    #[test]
    fn no_damage_makes_it_panic(place in 0usize..2000, byte: u8, which in 0usize..4) {
        let (name, text) = [("orders", ORDERS_PAGE), ("refunds", REFUNDS_PAGE), ("refund", REFUND_CASE),
                            ("trace", TRACE_CASE)][which];
        let mut bytes = text.as_bytes().to_vec();
        let at = place % bytes.len();
        bytes[at] = byte;
        if which < 2 {
            if let Ok(page) = read(name, bytes) {
                prop_assert_eq!(page.facts.rows as usize, page.items.len() + page.rejects.len());
            }
        } else {
            shop().read_detail(&want(name, "4287000000000000001"), &answer(bytes.clone())).ok();
            shop().read_tokens(&answer(bytes), Instant::MIN).ok();
        }
    }

    /// Any value in any field, of an order, of its line, of a refund.
    #[test]
    fn no_value_makes_it_panic(field in 0usize..20, place in 0usize..3, value in prop::sample::select(vec![
        "null", "0", "-1", "1e400", "1.5", "\"\"", "\"x\"", "[]", "{}", "true", "9223372036854775807",
        "18446744073709551615", "99999999999999999999999", "\"2026-02-30 00:00:00\"", "\"99999999999999999999\"",
        "\"1_\"", "\"2_99999999999999999999\"", "\"2_-1\"",
    ])) {
        let (name, text) = if place < 2 { ("orders", ORDERS_PAGE) } else { ("refunds", REFUNDS_PAGE) };
        let mut page: Value = serde_json::from_str(text).unwrap();
        let row = match place {
            0 => &mut page["trades_sold_increment_get_response"]["trades"]["trade"][1],
            1 => &mut page["trades_sold_increment_get_response"]["trades"]["trade"][1]["orders"]["order"][0],
            _ => &mut page["refunds_receive_get_response"]["refunds"]["refund"][0],
        };
        let row = row.as_object_mut().unwrap();
        let key = row.keys().nth(field % row.len()).unwrap().clone();
        if let Ok(value) = serde_json::from_str(value) {
            row.insert(key, value);
        }
        let page = read(name, page.to_string()).unwrap();
        prop_assert_eq!(page.items.len() + page.rejects.len(), if place < 2 { 2 } else { 1 });
    }
}
