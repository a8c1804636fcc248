//! Pages as the platform documents them, and pages as they arrive on a bad day.

use proptest::prelude::*;

use super::*;
use crate::sources::row::told::{answer, feed_of, told};

fn shop_with(change: impl FnOnce(&mut JdConfig)) -> Jd {
    let mut config =
        JdConfig { app_key: "k".to_owned(), operate_pin: Some("pin".to_owned()), ..JdConfig::default() };
    change(&mut config);
    let origin = Origin { source: "jd".to_owned(), shop: Some("flagship".to_owned()) };
    Jd::new(origin, &config, Secret::new("s3cret")).unwrap()
}

fn shop() -> Jd {
    shop_with(|_| ())
}

fn feed(name: &str) -> Feed {
    feed_of(&shop(), name)
}

fn ask() -> Ask {
    let at = Instant::from_secs(1_767_571_200);
    Ask { from: at, to: at + Span::from_minutes(240), page: 1, size: 100, count: true }
}

fn read(name: &str, body: impl Into<Vec<u8>>) -> Result<Page, String> {
    shop().read_page(&feed(name), ask(), &answer(body)).map_err(|f| f.to_string())
}

const ORDER: &str = include_str!("../../../tests/fixtures/sources/jd/orders.json");
const SERVICE: &str = include_str!("../../../tests/fixtures/sources/jd/aftersales.json");

#[test]
fn a_documented_page_of_orders_is_read() {
    let page = read("orders", ORDER).unwrap();
    assert_eq!((page.items.len(), page.rejects.len(), page.facts.total), (1, 0, Some(1)));
    assert_eq!(page.facts.last, Some("2026-01-05T01:01:13Z".parse().unwrap()));
    let seen: Vec<String> = page.items[0].observations.iter().map(told).collect();
    assert_eq!(
        seen,
        [
            "order 290000000001 2026-01-05T01:01:13Z created=2026-01-05T01:00:00Z paid=2026-01-05T01:01:12Z status=to_ship \
          shop=flagship order_state=WAIT_SELLER_STOCK_OUT"
        ]
    );
    for personal in ["张三", "13812345678", "ob-1"] {
        assert!(!format!("{page:?}").contains(personal), "{personal} stays outside");
    }
}

#[test]
fn a_documented_after_sale_is_read() {
    let page = read("aftersales", SERVICE).unwrap();
    assert_eq!(page.facts.last, None);
    // When it was changed is not said: before the end of the window.
    assert_eq!(
        told(&page.items[0].observations[0]),
        "aftersale 900000001 2026-01-05T04:00:00Z return_requested=2026-01-05T03:00:00Z status=to_handle shop=flagship \
         order=290000000001 apply=900000002 service_status=10001 customer_expect=10 customer_grade=56"
    );
    for personal in ["张三", "浦东"] {
        assert!(!format!("{page:?}").contains(personal), "{personal} stays outside");
    }
    // The same in a later window is no news; another status is, and counts for more.
    let later = Ask { to: ask().to + Span::from_secs(60), ..ask() };
    let again =
        |body: &str| shop().read_page(&feed("aftersales"), later, &answer(body)).unwrap().items.remove(0);
    let (first, same) = (&page.items[0], again(SERVICE));
    assert_eq!(same.digest, first.digest);
    let other = again(&SERVICE.replace("待审核", "完成"));
    assert_ne!(other.digest, first.digest);
    assert!(
        other.observations[0].revision > first.observations[0].revision && other.modified > first.modified
    );
}

/// `platforms` 1.7, 3.5.
#[test]
fn every_state_has_its_word() {
    for (fields, want) in [
        (r#""orderState":"WAIT_SELLER_STOCK_OUT""#, "status=to_ship"),
        (r#""orderState":"WAIT_SELLER_DELIVERY""#, "status=to_ship"),
        (r#""orderState":"PAUSE""#, "status=held"),
        (r#""orderState":"POP_ORDER_PAUSE""#, "status=held"),
        (r#""orderState":"LOCKED""#, "status=held"),
        (r#""orderState":"WAIT_SEND_CODE""#, "status=held"),
        (r#""orderState":"WAIT_GOODS_RECEIVE_CONFIRM""#, "status=shipped"),
        (
            r#""orderState":"FINISHED_L","orderEndTime":"2026-01-05 12:00:00""#,
            "signed=2026-01-05T04:00:00Z status=done",
        ),
        (
            r#""orderState":"TRADE_CANCELED","orderEndTime":"2026-01-05 12:00:00""#,
            "cancelled=2026-01-05T04:00:00Z status=closed",
        ),
        (r#""orderState":"DELIVERY_RETURN""#, "status=closed"),
        (r#""orderState":"UN_KNOWN""#, "status=other"),
        (r#""orderState":"SOMETHING_NEW","parentOrderId":29"#, "order_state=SOMETHING_NEW parent=29"),
        (
            r#""orderState":"LOCKED","logisticsId":463,"waybill":75300000000001"#,
            "carrier=463 waybill=75300000000001",
        ),
    ] {
        let row = format!(r#"{{"orderId":1,"modified":"2026-01-05 12:00:01",{fields}}}"#);
        let item = shop().order(serde_json::from_str::<Value>(&row).unwrap().as_object().unwrap()).unwrap();
        assert!(told(&item.observations[0]).contains(want), "{fields}: {}", told(&item.observations[0]));
    }
    let names = [
        ("待审核", "to_handle"),
        ("待商家处理", "to_handle"),
        ("待用户寄回", "waiting_buyer"),
        ("退款中", "refunding"),
        ("已完成", "closed"),
        ("用户取消", "closed"),
        ("别的", "other"),
        ("", "other"),
    ];
    for (name, want) in names {
        assert_eq!(shop().word(Some("1"), name), want, "{name}");
    }
    let own = shop_with(|c| {
        c.aftersale_status =
            [("10001", "arbitration"), ("别的", "closed")].map(|(a, b)| (a.into(), b.into())).into();
    });
    assert_eq!((own.word(Some("10001"), "待审核"), own.word(None, "别的")), ("arbitration", "closed"));
}

/// Shipped is when it was first seen to be, in whatever order snapshots come.
#[test]
fn what_was_seen_first_stays() {
    let shipped = |row: &str| {
        let item = shop().order(serde_json::from_str::<Value>(row).unwrap().as_object().unwrap()).unwrap();
        item.observations
            .get(1)
            .map(|o| (o.marks.iter().map(|m| m.name.to_string()).collect::<Vec<_>>(), o.revision))
    };
    let early =
        shipped(r#"{"orderId":1,"modified":"2026-01-05 12:00:00","orderState":"LOCKED","waybill":"753"}"#)
            .unwrap();
    let late = shipped(
        r#"{"orderId":1,"modified":"2026-01-05 13:00:00","orderState":"WAIT_GOODS_RECEIVE_CONFIRM"}"#,
    )
    .unwrap();
    assert_eq!(
        (early.0.as_slice(), late.0.as_slice()),
        (&["shipped".to_owned()][..], &["shipped".to_owned()][..])
    );
    assert!(early.1 > late.1, "the earlier look counts for more");
    let waits =
        shipped(r#"{"orderId":1,"modified":"2026-01-05 12:00:00","orderState":"WAIT_SELLER_STOCK_OUT"}"#);
    assert_eq!(waits, None);
    let done =
        shipped(r#"{"orderId":1,"modified":"2026-01-05 12:00:00","orderState":"FINISHED_L"}"#).unwrap();
    assert_eq!(done.0, ["shipped", "signed"], "without an end of its own");
}

#[test]
fn all_three_layers_say_no() {
    let page = |inner: &str| format!(r#"{{"jingdong_pop_order_search_responce":{inner}}}"#);
    let result = |text: &str| page(&format!(r#"{{"code":"0","searchorderinfo_result":{text}}}"#));
    let no = |code: &str| result(&format!(r#"{{"apiResult":{{"success":"false","numberCode":{code}}}}}"#));
    for (body, want) in [
        (r#"{"error_response":{"code":"19","zh_desc":"无效access_token"}}"#.to_owned(), "token_expired (19)"),
        (r#"{"error_response":{"code":2}}"#.to_owned(), "throttled (2)"),
        (r#"{"error_response":"x"}"#.to_owned(), "unseen (0)"),
        (page(r#"{"code":"8"}"#), "clock (8)"),
        (page(r#"{"code":12}"#), "signature (12)"),
        (no("67"), "transient (67)"),
        (no("\"10100021\""), "unseen (10100021)"),
        (result(r#"{"apiResult":{"success":"maybe"}}"#), "unseen (0)"),
        (result(r#"{"apiResult":{"success":true},"orderInfoList":[]}"#), "malformed (no_total)"),
        (result(r#"{"orderTotal":3}"#), "malformed (no_list)"),
        (result(r#"{"orderTotal":"x","orderInfoList":[]}"#), "malformed (bad_total)"),
        (page(r#"{"code":"0"}"#), "malformed (no_result)"),
        ("{}".to_owned(), "malformed (no_wrapper)"),
        ("[]".to_owned(), "malformed (not_an_object)"),
        ("<html>busy</html>".to_owned(), "malformed (html)"),
    ] {
        assert_eq!(read("orders", body.as_str()).map(|_| ()), Err(want.to_owned()), "{body}");
    }
    for fine in [
        r#"{"apiResult":{"success":"true"},"orderTotal":"0","orderInfoList":null}"#,
        r#"{"apiResult":{"success":true},"orderTotal":0}"#,
        r#"{"orderTotal":0,"orderInfoList":[]}"#,
    ] {
        assert_eq!(read("orders", result(fine)).map(|p| p.facts.rows), Ok(0), "{fine}");
    }
    let right = result(r#"{"orderTotal":0}"#).replace("responce", "response");
    assert!(read("orders", right).is_ok(), "either spelling");
    let gone = Answer { status: 503, body: b"{}".to_vec(), ..Answer::default() };
    let told = shop().read_page(&feed("orders"), ask(), &gone).unwrap_err().to_string();
    assert_eq!(told, "transient (http_503)");
}

/// One row that cannot be used is counted, with a digest; the others are read.
#[test]
fn the_page_goes_on_without_a_bad_row() {
    let good = r#"{"orderId":9007199254740993,"modified":"2026-01-05 12:00:00","orderState":"LOCKED"}"#;
    let odd = r#"{"orderId":"2","modified":"2026-01-05 12:00:00","orderState":"LOCKED","orderEndTime":"soon","waybill":[]}"#;
    for (bad, reason) in [
        (r#"{"orderId":"张三","modified":"tomorrow","orderState":"LOCKED"}"#, "modified is not an instant"),
        (r#"{"modified":"2026-01-05 12:00:00","orderState":"LOCKED"}"#, "orderId is missing"),
        (r#"{"orderId":18446744073709551616,"modified":"2026-01-05 12:00:00"}"#, "orderId is not an id"),
        (r#"{"orderId":1,"modified":"2026-01-05 12:00:00"}"#, "orderState is missing"),
        ("7", "is not an object"),
    ] {
        let body = format!(
            r#"{{"jingdong_pop_order_search_responce":{{"code":"0","searchorderinfo_result":{{"orderTotal":3,
                "orderInfoList":[{good},{bad},{odd}]}}}}}}"#
        );
        let page = read("orders", body).unwrap();
        let ids: Vec<&str> = page.items.iter().map(|i| i.id.as_str()).collect();
        assert_eq!((ids, page.facts.rows), (vec!["9007199254740993", "2"], 3), "{bad}");
        assert_eq!((page.rejects[0].reason.as_str(), page.rejects[0].digest.len()), (reason, 16));
        assert_eq!(page.items[1].odd, ["orderEndTime", "waybill"]);
    }
}

/// Reading on from the last change needs rows in the order of their changes.
#[test]
fn rows_in_another_order_are_not_read_on_from() {
    let row = |minute: u32| {
        format!(r#"{{"orderId":{minute},"modified":"2026-01-05 12:{minute:02}:00","orderState":"LOCKED"}}"#)
    };
    let body = |rows: [String; 2]| {
        format!(
            r#"{{"jingdong_pop_order_search_responce":{{"code":"0","searchorderinfo_result":{{"orderTotal":2,
                "orderInfoList":[{}]}}}}}}"#,
            rows.join(",")
        )
    };
    assert!(read("orders", body([row(1), row(2)])).is_ok());
    assert_eq!(
        read("orders", body([row(2), row(1)])).map(|_| ()),
        Err("malformed (not_ascending)".to_owned())
    );
    let other = shop_with(|c| c.ascending = false);
    let feed = other.feeds.iter().find(|f| f.name == "orders").unwrap();
    let page = other.read_page(feed, ask(), &answer(body([row(2), row(1)]))).unwrap();
    assert_eq!(
        (page.items.len(), page.facts.last),
        (2, None),
        "from the last page to the first any order will do"
    );
}

#[test]
fn what_is_asked_is_what_is_configured() {
    let tokens =
        Tokens { access: Secret::new("t0ken"), refresh: Some(Secret::new("r3fresh")), ..Tokens::default() };
    let at = Instant::from_secs(1_767_571_200);
    let param = |shop: &Jd, name: &str| {
        let feed = shop.feeds.iter().find(|f| f.name == name).unwrap();
        let Body::Form(form) = shop.page(feed, ask(), &tokens, at).signed.body else { panic!("a form") };
        assert!(!form.contains_key("format") && !form.contains_key("sign_method"));
        serde_json::from_str::<Value>(&form["360buy_param_json"]).unwrap()
    };
    let flat = param(&shop(), "orders");
    assert_eq!(
        (flat["start_date"].as_str(), flat["page"].as_str()),
        (Some("2026-01-05 08:00:00"), Some("1"))
    );
    assert_eq!(flat["dateType"], "0");
    assert_eq!(param(&shop_with(|c| c.wrapped = true), "orders")["paramOrderJSFQuery"], flat);
    let service = param(&shop_with(|c| c.vender_id = Some("7".to_owned())), "aftersales");
    assert_eq!((service["operateNick"].as_str(), service["buId"].as_str()), (Some("pin"), Some("7")));
    assert_eq!(
        shop_with(|c| c.operate_pin = None).feeds.len(),
        1,
        "without an account there are no after-sales"
    );
    let renewal = shop().renew(&tokens, at).unwrap();
    assert_eq!(renewal.signed.query["grant_type"], "refresh_token");
    let shown = format!("{:?} {renewal:?} {tokens:?}", shop());
    assert!(!shown.contains("s3cret") && !shown.contains("t0ken") && !shown.contains("r3fresh"), "{shown}");
    let got =
        shop().read_tokens(&answer(r#"{"access_token":"a2","refresh_token":"r2","expires_in":"86400"}"#), at);
    let got = got.unwrap();
    assert_eq!((got.access.reveal(), got.access_until), ("a2", Some(at + Span::DAY)));
    for (body, want) in [
        (r#"{"code":10400,"msg":"x","requestId":"1"}"#, "revoked (10400)"),
        ("{}", "malformed (no_tokens)"),
        (r#"{"access_token":""}"#, "malformed (no_tokens)"),
        ("<html>", "malformed (html)"),
    ] {
        let told = shop().read_tokens(&answer(body), at).map_err(|f| f.to_string());
        assert_eq!(told.map(|_| ()), Err(want.to_owned()), "{body}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for name in ["orders", "aftersales"] {
            read(name, bytes.clone()).ok();
        }
        shop().read_tokens(&answer(bytes), Instant::from_secs(1_767_600_000)).ok();
    }

    /// A good page with some bytes of it changed.
    #[test]
    fn no_damage_makes_it_panic(place in 0usize..700, byte: u8, services: bool) {
        let (name, text) = if services { ("aftersales", SERVICE) } else { ("orders", ORDER) };
        let mut bytes = text.as_bytes().to_vec();
        let at = place % bytes.len();
        bytes[at] = byte;
        if let Ok(page) = read(name, bytes) {
            prop_assert_eq!(page.facts.rows as usize, page.items.len() + page.rejects.len());
        }
    }

    /// Any value in any field.
    #[test]
    fn no_value_makes_it_panic(field in 0usize..20, services: bool, value in prop::sample::select(vec![
        "null", "0", "-1", "1e400", "1.5", "\"\"", "\"x\"", "[]", "{}", "true", "9223372036854775807",
        "18446744073709551615", "99999999999999999999999", "\"2026-02-30 00:00:00\"", "\"99999999999999999999\"",
    ])) {
        let (name, text) = if services { ("aftersales", SERVICE) } else { ("orders", ORDER) };
        let mut page: Value = serde_json::from_str(text).unwrap();
        let rows = match services {
            true => &mut page["jingdong_asc_query_list_responce"]["pageResult"]["data"],
            false => &mut page["jingdong_pop_order_search_responce"]["searchorderinfo_result"]["orderInfoList"],
        };
        let row = rows[0].as_object_mut().unwrap();
        let key = row.keys().nth(field % row.len()).unwrap().clone();
        if let Ok(value) = serde_json::from_str(value) {
            row.insert(key, value);
        }
        let page = read(name, page.to_string()).unwrap();
        prop_assert_eq!(page.items.len() + page.rejects.len(), 1);
    }
}
