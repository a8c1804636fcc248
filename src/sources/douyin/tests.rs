//! Pages as the platform documents them, and pages as they arrive on a bad day.

use proptest::prelude::*;

use super::*;
use crate::core::problem::Problems;
use crate::sources::config::Section;
use crate::sources::platform::Item;
use crate::sources::row::told::{answer, feed_of, told};
use crate::sources::sign::Body;

fn with(config: DouyinConfig) -> Douyin {
    let config = DouyinConfig { app_key: "k".to_owned(), ..config };
    let origin = Origin { source: "douyin".to_owned(), shop: Some("flagship".to_owned()) };
    Douyin::new(origin, &config, Secret::new("s3cret")).unwrap()
}

fn shop() -> Douyin {
    with(DouyinConfig::default())
}

fn feed(name: &str) -> Feed {
    feed_of(&shop(), name)
}

fn ask() -> Ask {
    let at = Instant::from_secs(1_767_600_000);
    Ask { from: at, to: at + Span::from_minutes(30), page: 0, size: 100, count: false }
}

fn read(name: &str, body: impl Into<Vec<u8>>) -> Result<Page, String> {
    shop().read_page(&feed(name), ask(), &answer(body)).map_err(|f| f.to_string())
}

const ORDERS_PAGE: &str = include_str!("../../../tests/fixtures/sources/douyin/orders.json");
const AFTERSALES_PAGE: &str = include_str!("../../../tests/fixtures/sources/douyin/aftersales.json");
const AFTERSALE_CASE: &str = include_str!("../../../tests/fixtures/sources/douyin/aftersale.json");
const TRACE_CASE: &str = include_str!("../../../tests/fixtures/sources/douyin/trace.json");

fn want(ids: &[&str]) -> Want {
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    Want { ids, modified: Instant::from_secs(1_767_578_400) }
}

fn order(row: Value) -> Item {
    shop().order(row.as_object().unwrap()).unwrap()
}

#[test]
fn a_documented_page_of_orders_is_read() {
    let page = read("orders", ORDERS_PAGE).unwrap();
    assert_eq!((page.items.len(), page.rejects.len(), page.facts.rows), (2, 0, 2));
    assert_eq!(page.facts.last, Some(Instant::from_secs(1_767_578_430)));
    let item = &page.items[0];
    assert_eq!(
        told(&item.observations[0]),
        "order 6920000000000000001 2026-01-05T01:00:30Z created=2026-01-05T01:00:00Z paid=2026-01-05T01:00:25Z \
         ship_by=2026-01-07T01:00:25Z status=to_ship shop=flagship order_status=2"
    );
    assert_eq!(item.deadline, Some("2026-01-07T01:00:25Z".parse().unwrap()));
    // One line is gone, one was paid back: the deadline is that of the one that waits, not the order's own.
    assert_eq!(
        told(&page.items[1].observations[0]),
        "order 6920000000000000002 2026-01-05T02:00:30Z created=2026-01-05T01:00:00Z paid=2026-01-05T01:00:25Z \
         ship_by=2026-01-07T01:00:25Z status=part_shipped shop=flagship order_status=101 after_sale_status=12 \
         carrier=zhongtong waybill=75300000000001"
    );
    let shown = format!("{page:?}");
    assert!(!shown.contains('张') && !shown.contains("cipher"), "what the buyer is called stays outside");
}

#[test]
fn a_documented_after_sale_and_its_deadline_are_read() {
    let item = &read("aftersales", AFTERSALES_PAGE).unwrap().items[0];
    assert_eq!(
        told(&item.observations[0]),
        "aftersale 7100000000000000001 2026-01-05T02:00:00Z return_requested=2026-01-05T02:00:00Z \
         handle_by=2026-01-07T02:00:00Z status=to_handle shop=flagship order=6920000000000000001 \
         line=6920000000000000003 aftersale_status=6 aftersale_type=0 refund_status=1 arbitrate_status=0 \
         platform_joined=Bool(false)"
    );
    assert_eq!((item.observations.len(), &item.want), (1, &None));
    assert!(!format!("{item:?}").contains('张'));
    // What the platform arbitrates has its deadline in the detail, where the id is a number.
    let disputed = AFTERSALES_PAGE.replace("\"aftersale_status\":6", "\"aftersale_status\":27");
    let disputed = disputed.replace("\"arbitrate_status\":0", "\"arbitrate_status\":4");
    let item = &read("aftersales", disputed).unwrap().items[0];
    assert!(!told(&item.observations[0]).contains("handle_by"), "that time is the buyer's");
    let asked = item.want.clone().unwrap();
    assert_eq!(asked, want(&["aftersale", "7100000000000000001"]));
    let item = &shop().read_detail(&asked, &answer(AFTERSALE_CASE)).unwrap().items[0];
    assert_eq!(
        told(&item.observations[0]),
        "aftersale 7100000000000000001 2026-01-05T03:00:00Z handle_by=2026-01-08T02:00:00Z status=to_handle \
         shop=flagship aftersale_status=27"
    );
    let other = shop().read_detail(&want(&["aftersale", "8"]), &answer(AFTERSALE_CASE));
    assert_eq!(other.unwrap_err().to_string(), "malformed (no_case)", "another after-sale is not this one");
}

#[test]
fn a_trace_that_is_not_there_says_nothing() {
    let tracing = with(DouyinConfig { traces: true, ..DouyinConfig::default() });
    let sent = OpenCase {
        kind: "order".to_owned(),
        id: "6920000000000000002".to_owned(),
        since: Instant::from_secs(1_767_578_430),
        status: Some("shipped".to_owned()),
        carrier: Some("zhongtong".to_owned()),
        waybill: Some("75300000000001".to_owned()),
        ..OpenCase::default()
    };
    let words = |shop: &Douyin, case: &OpenCase| {
        shop.looks(case).iter().map(|want| want.method().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(words(&shop(), &sent), ["order"]);
    assert_eq!(words(&tracing, &OpenCase { is_picked_up: true, ..sent.clone() }), ["order"]);
    let asked = tracing.looks(&sent)[1].clone();
    assert_eq!(asked.ids, ["trace", "6920000000000000002", "zhongtong", "75300000000001"]);
    let page = tracing.read_detail(&asked, &answer(TRACE_CASE)).unwrap();
    assert_eq!(
        told(&page.items[0].observations[0]),
        "order 6920000000000000002 2026-01-05T02:00:30Z picked_up=2026-01-05T12:11:00Z"
    );
    for body in [
        r#"{"code":50002,"sub_code":"isv.business-failed:2"}"#,
        r#"{"code":30001,"sub_code":"isv.waybill-not-yours"}"#,
        r#"{"code":10000,"data":{"track_info":{}}}"#,
    ] {
        assert_eq!(tracing.read_detail(&asked, &answer(body)), Ok(Page::default()), "{body}");
    }
    let refused = answer(r#"{"code":30001,"sub_code":"isv.app-permissions-insufficient"}"#);
    assert_eq!(
        tracing.read_detail(&asked, &refused).unwrap_err().class,
        Class::Permission,
        "of the app as a whole"
    );
    let throttled = tracing.read_detail(&asked, &answer(r#"{"code":60000}"#));
    assert_eq!(throttled.unwrap_err().class, Class::Throttled);
}

/// `platforms` 1.7, 5.5.
#[test]
fn every_state_has_its_word() {
    for (codes, want) in [
        (r#""order_status":1"#, "unpaid"),
        (r#""order_status":105"#, "held"),
        (r#""order_status":"2""#, "to_ship"),
        (r#""order_status":101"#, "part_shipped"),
        (r#""order_status":3"#, "shipped"),
        (r#""order_status":3,"sku_order_list":[{"logistics_receipt_time":1767600000}]"#, "signed"),
        (
            r#""order_status":3,"sku_order_list":[{"logistics_receipt_time":1767600000},{"logistics_receipt_time":0}]"#,
            "shipped",
        ),
        (r#""order_status":4"#, "closed"),
        (r#""order_status":5"#, "done"),
        (r#""order_status":77"#, "other"),
    ] {
        let row = format!(r#"{{"order_id":"1","update_time":1767600000,{codes}}}"#);
        let item = order(serde_json::from_str(&row).unwrap());
        assert!(told(&item.observations[0]).contains(&format!(" status={want} ")), "{codes}");
    }
    for (status, refund, dispute, want, ours, marks) in [
        (6, 0, 0, "to_handle", true, ""),
        (8, 0, 0, "to_handle", true, "return_reviewed"),
        (11, 0, 0, "to_handle", true, "return_reviewed"),
        (7, 0, 0, "waiting_buyer", false, "return_reviewed"),
        (3, 0, 0, "waiting_buyer", false, "return_reviewed"),
        (13, 0, 0, "waiting_buyer", false, "return_reviewed"),
        (27, 0, 0, "waiting_buyer", false, "return_reviewed"),
        (29, 0, 1, "arbitration", false, "return_reviewed"),
        (27, 0, 4, "to_handle", false, "return_reviewed"),
        (12, 1, 0, "refunding", false, "return_reviewed"),
        (12, 3, 0, "closed", false, "return_reviewed refunded"),
        (14, 0, 0, "closed", false, "return_reviewed"),
        (28, 1, 0, "closed", false, ""),
        (28, 1, 4, "closed", false, ""),
        (99, 0, 0, "other", false, ""),
    ] {
        let row = json!({ "aftersale_info": { "aftersale_id": 1, "update_time": 1_767_600_000, "aftersale_status": status,
            "refund_status": refund, "arbitrate_status": dispute, "status_deadline": 1_767_700_000 } });
        let item = shop().aftersale(row.as_object().unwrap()).unwrap();
        let text = told(&item.observations[0]);
        assert!(text.contains(&format!(" status={want} ")), "{status} {dispute}: {text}");
        assert_eq!(text.contains("handle_by"), ours, "{status}");
        let seen =
            item.observations.get(1).map_or_else(Vec::new, |o| o.marks.iter().map(|m| &*m.name).collect());
        assert_eq!(seen.join(" "), marks, "{status}");
    }
}

/// When an order that nobody pays is closed is a span or an instant.
#[test]
fn what_nobody_pays_is_closed() {
    for (value, want) in [
        (json!(1800), " close_by=2026-01-05T08:30:00Z"),
        (json!(1_767_602_000), " close_by=2026-01-05T08:33:20Z"),
        (json!(0), ""),
        (json!("soon"), ""),
    ] {
        let row = json!({ "order_id": 1, "order_status": 1, "create_time": 1_767_600_000, "update_time": 1_767_600_000,
                          "order_expire_time": value });
        let text = told(&order(row.clone()).observations[0]);
        assert!(
            text.contains(&format!("created=2026-01-05T08:00:00Z{want} status=unpaid")),
            "{value}: {text}"
        );
    }
}

/// `platforms` 5.8, in both envelopes.
#[test]
fn every_refusal_has_its_class() {
    for (code, sub, want) in [
        (60_000, "", "throttled"),
        (40_003, "isv.access-token-expired", "token_expired"),
        (40_003, "isv.access-token-no-existed", "token_expired"),
        (40_003, "isv.access-token-invalid", "token_wrong"),
        (40_001, "isv.access-token-missing", "token_wrong"),
        (40_003, "isv.signature-invalid", "signature"),
        (40_003, "isv.timestamp-invalid", "clock"),
        (30_001, "dop.authorization-closed", "revoked"),
        (30_001, "dop.app-forbidden", "disabled"),
        (30_001, "isv.app-permissions-insufficient", "permission"),
        (30_002, "", "ip_list"),
        (40_004, "isv.parameter-invalid", "parameter"),
        (50_001, "dop.token-generate-failed:1", "revoked"),
        (50_001, "isp.busy", "transient"),
        (20_001, "", "transient"),
        (10_001, "", "transient"),
        (70_000, "isp.api-service-off", "gone"),
        (40_003, "isv.never-heard-of", "unseen"),
        (77, "", "unseen"),
    ] {
        for key in ["code", "err_no"] {
            let body = json!({ key: code, "sub_code": sub, "message": "张三", "data": { "total": 0 } });
            let told = read("orders", body.to_string()).unwrap_err();
            assert!(
                told.starts_with(&format!("{want} ({code}")) && !told.contains('张'),
                "{code} {sub}: {told}"
            );
        }
    }
}

#[test]
fn what_is_no_page_is_said_to_be_none() {
    for (body, want) in [
        ("<html>busy</html>", "malformed (html)"),
        ("{}", "malformed (no_code)"),
        (r#"{"code":"x","data":{}}"#, "malformed (bad_code)"),
        (r#"{"code":10000}"#, "malformed (no_data)"),
        (r#"{"code":10000,"data":[]}"#, "malformed (no_data)"),
        (r#"{"code":10000,"data":{}}"#, "malformed (no_list)"),
        (r#"{"code":10000,"data":{"total":3,"shop_order_list":null}}"#, "malformed (no_list)"),
        (r#"{"code":10000,"data":{"total":"x","shop_order_list":[]}}"#, "malformed (bad_total)"),
        (
            r#"{"code":10000,"data":{"shop_order_list":[{"update_time":1767600001},{"update_time":1767600000}]}}"#,
            "malformed (not_in_order)",
        ),
        (r#"{"code":0,"data":{"shop_order_list":[]}}"#, "unseen (0)"),
    ] {
        assert_eq!(read("orders", body).map(|_| ()), Err(want.to_owned()), "{body}");
    }
    for body in [
        r#"{"code":"10000","data":{"total":"0","shop_order_list":null}}"#,
        r#"{"err_no":0,"message":"success","data":{"total":0}}"#,
        r#"{"code":10000,"err_no":0,"data":{"shop_order_list":[]}}"#,
    ] {
        assert_eq!(read("orders", body).map(|p| p.facts.rows), Ok(0), "{body}");
    }
}

/// One row that cannot be used is counted, with a digest; the others are read.
#[test]
fn the_page_goes_on_without_a_bad_row() {
    let good = r#"{"order_id":18446744073709551615,"update_time":"1767600000","order_status":5}"#;
    let odd = r#"{"order_id":"2","update_time":1767600002,"order_status":2,"pay_time":"soon","sku_order_list":[7,{"ship_time":[]}],"logistics_info":"no"}"#;
    for (bad, reason) in [
        (r#"{"order_id":"张三 13912345678","update_time":"tomorrow"}"#, "update_time is not an instant"),
        (r#"{"update_time":1767600001}"#, "order_id is missing"),
        (r#"{"order_id":18446744073709551616,"update_time":1767600001}"#, "order_id is not an id"),
        (r#"{"order_id":3,"update_time":1767600001}"#, "order_status is missing"),
        ("7", "is not an object"),
    ] {
        let body = format!(r#"{{"code":10000,"data":{{"total":3,"shop_order_list":[{good},{bad},{odd}]}}}}"#);
        let page = read("orders", body).unwrap();
        let ids: Vec<&str> = page.items.iter().map(|i| i.id.as_str()).collect();
        assert_eq!((ids, page.facts.rows), (vec!["18446744073709551615", "2"], 3), "{bad}");
        assert_eq!((page.rejects[0].reason.as_str(), page.rejects[0].digest.len()), (reason, 16));
        assert_eq!(page.items[1].odd, ["pay_time", "ship_time"]);
        assert_eq!(page.facts.last, Some(Instant::from_secs(1_767_600_002)));
    }
}

/// The first page is 0, the order of rows is asked for, the body is what was signed.
#[test]
fn requests_ask_for_what_is_needed() {
    let at = Instant::from_secs(1_767_600_000);
    let request = shop().page(&feed("orders"), ask(), &Tokens::default(), at);
    let Body::Json(text) = &request.signed.body else { panic!("JSON") };
    assert_eq!(
        text,
        r#"{"order_asc":true,"order_by":"update_time","page":0,"size":100,"update_time_end":1767601800,"update_time_start":1767599999}"#
    );
    assert_eq!(request.url.as_str(), "https://openapi-fxg.jinritemai.com/order/searchList");
    assert_eq!(request.signed.query["method"], "order.searchList");
    assert_eq!(request.headers, [("x-open-no-old-err-code", "1")]);
    let request = shop().page(&feed("aftersales"), ask(), &Tokens::default(), at);
    assert_eq!(
        (request.url.path(), request.signed.query["method"].as_str()),
        ("/afterSale/List", "afterSale.List")
    );
    assert_eq!(feed("orders").rules.first_page, 0);
}

#[test]
fn an_end_of_tokens_is_a_span_or_an_instant() {
    let at = Instant::from_secs(1_767_600_000);
    let tokens = |expires: Value| {
        let body = json!({ "code": 10_000, "data": { "access_token": "a2", "refresh_token": "r2", "expires_in": expires } });
        shop().read_tokens(&answer(body.to_string()), at).unwrap()
    };
    let week = at + Span::DAY.times(7);
    for (expires, want) in [
        (json!(604_800), Some(week)),
        (json!("604800"), Some(week)),
        (json!(week.as_secs()), Some(week)),
        (json!(0), None),
        (Value::Null, None),
    ] {
        let told = tokens(expires.clone());
        assert_eq!(
            (told.access_until, told.refresh_until),
            (want, Some(at + Span::DAY.times(14))),
            "{expires}"
        );
        assert_eq!((told.access.reveal(), told.refresh.unwrap().reveal()), ("a2", "r2"));
    }
    for bad in [r#"{"code":10000,"data":{}}"#, r#"{"err_no":0,"data":{"access_token":""}}"#] {
        assert!(shop().read_tokens(&answer(bad), at).is_err(), "{bad}");
    }
    let lost = r#"{"code":50001,"sub_code":"dop.token-generate-failed:refresh-token-invalid"}"#;
    assert_eq!(shop().read_tokens(&answer(lost), at).unwrap_err().class, Class::Revoked);
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
        toml::from_str::<DouyinConfig>(&text).unwrap().check(&mut problems);
        problems.into_vec().into_iter().map(|p| format!("{}: {}", p.path, p.text)).collect()
    };
    assert_eq!(told(""), [""; 0]);
    for (lines, want) in [
        ("page_size = 1", "page_size: found 1, expected 2 to 100"),
        ("longest = \"30s\"\noverlap = \"10s\"", "longest: found 30s, expected 1m to 2160h"),
        ("overlap = \"2h\"", "overlap: found 2h, expected 0s to 1h"),
        ("refresh_life = \"1m\"", "refresh_life: found 1m, expected 1h to 87600h"),
        ("gateway = \"ftp://x\"", "gateway: is not https: everybody on the way could read the tokens"),
    ] {
        assert_eq!(told(lines), [want], "{lines}");
    }
    let mut problems = Problems::new();
    DouyinConfig::default().check(&mut problems);
    assert_eq!(problems.into_vec().len(), 2, "no key and no secret");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for name in ["orders", "aftersales"] {
            read(name, bytes.clone()).ok();
        }
    }

    /// A good page with some bytes of it changed.
    #[test]
    fn no_damage_makes_it_panic(place in 0usize..3000, byte: u8, which in 0usize..4) {
        let (name, text) = [("orders", ORDERS_PAGE), ("aftersales", AFTERSALES_PAGE), ("aftersale", AFTERSALE_CASE),
                            ("trace", TRACE_CASE)][which];
        let mut bytes = text.as_bytes().to_vec();
        let at = place % bytes.len();
        bytes[at] = byte;
        if which < 2 {
            if let Ok(page) = read(name, bytes) {
                prop_assert_eq!(page.facts.rows as usize, page.items.len() + page.rejects.len());
            }
        } else {
            shop().read_detail(&want(&[name, "7100000000000000001", "x", "y"]), &answer(bytes.clone())).ok();
            shop().read_detail(&want(&[]), &answer(bytes.clone())).ok();
            shop().read_tokens(&answer(bytes), Instant::MIN).ok();
        }
    }

    /// Any value in any field, of an order, of its line, of an after-sale.
    #[test]
    fn no_value_makes_it_panic(field in 0usize..30, place in 0usize..3, value in prop::sample::select(vec![
        "null", "0", "-1", "1e400", "1.5", "\"\"", "\"x\"", "[]", "{}", "true", "9223372036854775807",
        "18446744073709551615", "99999999999999999999999", "\"2026-02-30 00:00:00\"", "\"99999999999999999999\"",
    ])) {
        let (name, text) = if place < 2 { ("orders", ORDERS_PAGE) } else { ("aftersales", AFTERSALES_PAGE) };
        let mut page: Value = serde_json::from_str(text).unwrap();
        let row = match place {
            0 => &mut page["data"]["shop_order_list"][1],
            1 => &mut page["data"]["shop_order_list"][1]["sku_order_list"][0],
            _ => &mut page["data"]["items"][0]["aftersale_info"],
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
