//! Pages as the platform documents them, and pages as they arrive on a bad day.

use proptest::prelude::*;

use super::*;
use crate::sources::row::told::{answer, feed_of, told};

fn shop() -> Pinduoduo {
    let config = PinduoduoConfig { client_id: "c".to_owned(), ..PinduoduoConfig::default() };
    Pinduoduo::new(
        Origin { source: "pdd".to_owned(), shop: Some("flagship".to_owned()) },
        &config,
        Secret::new("s3cret"),
    )
    .unwrap()
}

fn feed(name: &str) -> Feed {
    feed_of(&shop(), name)
}

fn ask() -> Ask {
    let at = Instant::from_secs(1_767_600_000);
    Ask { from: at, to: at + Span::from_minutes(30), page: 1, size: 100, count: true }
}

fn read(name: &str, body: impl Into<Vec<u8>>) -> Result<Page, String> {
    shop().read_page(&feed(name), ask(), &answer(body)).map_err(|f| f.to_string())
}

const ORDER: &str = include_str!("../../../tests/fixtures/sources/pinduoduo/orders.json");
const REFUND: &str = include_str!("../../../tests/fixtures/sources/pinduoduo/refunds.json");
const DETAIL: &str = include_str!("../../../tests/fixtures/sources/pinduoduo/refund.json");

#[test]
fn a_documented_page_of_orders_is_read() {
    let page = read("orders", ORDER).unwrap();
    assert_eq!((page.items.len(), page.rejects.len(), page.facts.total), (1, 0, Some(1)));
    let item = &page.items[0];
    assert_eq!(
        told(&item.observations[0]),
        "order 260105-000000000000001 2026-01-05T09:40:02Z created=2026-01-05T01:00:00Z paid=2026-01-05T01:00:21Z \
         ship_by=2026-01-07T01:00:21Z status=to_ship shop=flagship confirm_status=1 group_status=1 order_status=1 \
         refund_status=1 after_sales_status=0 risk_control_status=0"
    );
    assert_eq!(item.deadline, Some("2026-01-07T01:00:21Z".parse().unwrap()));
    assert!(!format!("{page:?}").contains("AgAAAA"), "what the buyer is called stays outside");
}

#[test]
fn a_documented_after_sale_and_its_deadline_are_read() {
    let page = read("aftersale-2", REFUND).unwrap();
    let item = &page.items[0];
    assert_eq!(
        told(&item.observations[0]),
        "aftersale 7000000001 2026-01-05T02:00:00Z return_requested=2026-01-05T02:00:00Z status=to_handle \
         shop=flagship order=260105-000000000000001 after_sales_status=2 dispute_refund_status=0 after_sales_type=2"
    );
    let want = item.want.clone().unwrap();
    assert_eq!(want.ids, ["aftersale", "260105-000000000000001", "7000000001"]);
    let detail = shop().read_detail(&want, &answer(DETAIL)).unwrap();
    assert_eq!(
        told(&detail.items[0].observations[0]),
        "aftersale 7000000001 2026-01-05T02:00:00Z handle_by=2026-01-07T02:00:00Z status=to_handle shop=flagship \
         after_sales_status=2 platform_joined=Bool(false)"
    );
    let other =
        Want { ids: ["aftersale", "260105-000000000000001", "8"].map(str::to_owned).to_vec(), ..want };
    assert!(shop().read_detail(&other, &answer(DETAIL)).is_err(), "another case is not this one");
}

/// `platforms` 1.7.
#[test]
fn every_state_has_its_word() {
    for (codes, want) in [
        (r#""confirm_status":0,"group_status":0,"order_status":1"#, "unpaid"),
        (r#""confirm_status":1,"group_status":1,"order_status":1"#, "to_ship"),
        (r#""confirm_status":"1","group_status":"1","order_status":"1","risk_control_status":"1""#, "held"),
        (r#""confirm_status":1,"group_status":0,"order_status":1"#, "held"),
        (r#""confirm_status":1,"group_status":1,"order_status":2"#, "shipped"),
        (r#""confirm_status":1,"group_status":1,"order_status":3"#, "signed"),
        (
            r#""confirm_status":1,"group_status":1,"order_status":3,"receive_time":"2026-01-05 10:00:00""#,
            "done",
        ),
        (r#""confirm_status":2,"group_status":1,"order_status":1"#, "closed"),
        (r#""confirm_status":1,"group_status":2,"order_status":1"#, "closed"),
        (r#""confirm_status":1,"group_status":1,"order_status":1,"refund_status":4"#, "closed"),
        (r#""confirm_status":1,"group_status":1,"order_status":9"#, "other"),
        (r#""confirm_status":1,"group_status":1"#, "other"),
    ] {
        let row = format!(r#"{{"order_sn":"1","updated_at":"2026-01-05 10:00:00",{codes}}}"#);
        let item = shop().order(serde_json::from_str::<Value>(&row).unwrap().as_object().unwrap()).unwrap();
        assert!(told(&item.observations[0]).contains(&format!(" status={want} ")), "{codes}");
    }
}

/// A mark without an instant of its own is that of the first snapshot that shows it, in whatever order they come.
#[test]
fn what_was_seen_first_stays() {
    let at = |s: i64| Instant::from_secs(1_767_600_000 + s);
    let shop = shop();
    let [early, late] =
        [0, 60].map(|s| shop.origin.first_seen("aftersale", "1", at(s), &["return_reviewed"]));
    assert!(early.revision > late.revision && early.marks[0].at < late.marks[0].at);
}

#[test]
fn what_is_no_page_is_said_to_be_none() {
    for (body, want) in [
        ("<html>busy</html>", "malformed (html)"),
        ("{}", "malformed (no_wrapper)"),
        (r#"{"order_sn_increment_get_response":{}}"#, "malformed (no_list)"),
        (r#"{"order_sn_increment_get_response":{"total_count":3}}"#, "malformed (no_list)"),
        (
            r#"{"order_sn_increment_get_response":{"total_count":3,"order_sn_list":null}}"#,
            "malformed (no_list)",
        ),
        (r#"{"order_sn_increment_get_response":{"order_sn_list":[]}}"#, "malformed (no_total)"),
        (
            r#"{"order_sn_increment_get_response":{"total_count":"x","order_sn_list":[]}}"#,
            "malformed (bad_total)",
        ),
        (r#"{"error_response":{"error_code":52101,"error_msg":"限流"}}"#, "throttled (52101)"),
        (r#"{"error_response":{"error_code":"10019"}}"#, "token_expired (10019)"),
        (r#"{"error_response":{"error_code":20005}}"#, "ip_list (20005)"),
        (r#"{"error_response":{"error_code":12345}}"#, "unseen (12345)"),
        (r#"{"error_response":{}}"#, "unseen (0)"),
    ] {
        assert_eq!(read("orders", body).map(|_| ()), Err(want.to_owned()), "{body}");
    }
    let empty = r#"{"order_sn_increment_get_response":{"total_count":"0","order_sn_list":null}}"#;
    assert_eq!(read("orders", empty).map(|p| p.facts.rows), Ok(0));
}

/// One row that cannot be used is counted, with a digest; the others are read.
#[test]
fn the_page_goes_on_without_a_bad_row() {
    let good = r#"{"order_sn":9007199254740993,"updated_at":1767600000,"order_status":"1","confirm_status":1,"group_status":1}"#;
    let odd = r#"{"order_sn":"2","updated_at":1767600000,"last_ship_time":"soon","order_status":[]}"#;
    for (bad, reason) in [
        (r#"{"order_sn":"张三 13912345678","updated_at":"tomorrow"}"#, "updated_at is not an instant"),
        (r#"{"updated_at":1767600000}"#, "order_sn is missing"),
        (r#"{"order_sn":18446744073709551616,"updated_at":1767600000}"#, "order_sn is not an id"),
        ("7", "is not an object"),
        ("null", "is not an object"),
    ] {
        let list = format!("[{good},{bad},{odd}]");
        let body =
            format!(r#"{{"order_sn_increment_get_response":{{"total_count":3,"order_sn_list":{list}}}}}"#);
        let page = read("orders", body).unwrap();
        let ids: Vec<&str> = page.items.iter().map(|i| i.id.as_str()).collect();
        assert_eq!((ids, page.facts.rows), (vec!["9007199254740993", "2"], 3), "{bad}");
        assert_eq!(page.rejects.len(), 1);
        assert_eq!((page.rejects[0].reason.as_str(), page.rejects[0].digest.len()), (reason, 16));
        assert_eq!(page.items[1].odd, ["order_status", "last_ship_time"]);
    }
}

/// The same case with another receiver is no news; another status is.
#[test]
fn receiver_fields_are_no_news() {
    let digest = |body: String| read("orders", body).unwrap().items[0].digest;
    let before = digest(ORDER.to_owned());
    assert_eq!(digest(ORDER.replace("~AgAAAA==~x~", "")), before);
    assert_ne!(digest(ORDER.replace("\"order_status\":1", "\"order_status\":2")), before);
}

#[test]
fn tokens_end_at_the_earlier_of_both() {
    let at = Instant::from_secs(1_767_600_000);
    let body = r#"{"pop_auth_token_refresh_response":{"access_token":"a2","refresh_token":"r2","expires_in":3600,
        "expires_at":1767602000,"refresh_token_expires_in":"86400"}}"#;
    let tokens = shop().read_tokens(&answer(body), at).unwrap();
    assert_eq!((tokens.access.reveal(), tokens.refresh.unwrap().reveal()), ("a2", "r2"));
    assert_eq!(tokens.access_until, Some(Instant::from_secs(1_767_602_000)));
    assert_eq!(tokens.refresh_until, Some(at + Span::DAY));
    for bad in [
        r#"{"pop_auth_token_refresh_response":{}}"#,
        r#"{"pop_auth_token_refresh_response":{"access_token":""}}"#,
    ] {
        assert!(shop().read_tokens(&answer(bad), at).is_err(), "{bad}");
    }
}

#[test]
fn nothing_secret_is_printed() {
    let tokens = Tokens { access: Secret::new("t0ken"), ..Tokens::default() };
    let request = shop().page(&feed("orders"), ask(), &tokens, Instant::from_secs(1_767_600_000));
    let shown = format!("{:?} {request:?} {tokens:?}", shop());
    assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
}

#[test]
fn a_gateway_that_others_can_listen_to_is_refused() {
    for (url, good) in [
        (GATEWAY, true),
        ("http://127.0.0.1:9/x", true),
        ("http://gw-api.pinduoduo.com/api/router", false),
        ("ftp://x", false),
        ("", false),
    ] {
        assert_eq!(endpoint(url, GATEWAY).is_ok(), good, "{url}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for name in ["orders", "aftersale-2"] {
            read(name, bytes.clone()).ok();
        }
    }

    /// A good page with some bytes of it changed.
    #[test]
    fn no_damage_makes_it_panic(place in 0usize..700, byte: u8, refunds: bool) {
        let (name, text) = if refunds { ("aftersale-2", REFUND) } else { ("orders", ORDER) };
        let mut bytes = text.as_bytes().to_vec();
        let at = place % bytes.len();
        bytes[at] = byte;
        if let Ok(page) = read(name, bytes.clone()) {
            prop_assert_eq!(page.facts.rows as usize, page.items.len() + page.rejects.len());
        }
        shop().read_detail(&Want { ids: vec![], modified: Instant::MIN }, &answer(bytes)).ok();
    }

    /// Any value in any field.
    #[test]
    fn no_value_makes_it_panic(field in 0usize..20, value in prop::sample::select(vec![
        "null", "0", "-1", "1e400", "1.5", "\"\"", "\"x\"", "[]", "{}", "true", "9223372036854775807",
        "18446744073709551615", "99999999999999999999999", "\"2026-02-30 00:00:00\"", "\"99999999999999999999\"",
    ])) {
        let mut page: Value = serde_json::from_str(ORDER).unwrap();
        let row = page["order_sn_increment_get_response"]["order_sn_list"][0].as_object_mut().unwrap();
        let name = row.keys().nth(field % row.len()).unwrap().clone();
        if let Ok(value) = serde_json::from_str(value) {
            row.insert(name, value);
        }
        let page = read("orders", page.to_string()).unwrap();
        prop_assert_eq!(page.items.len() + page.rejects.len(), 1);
    }
}
