//! Answers as the vendor documents them, and answers as they arrive on a bad day.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::core::model::{Observation, Value as Attribute};
use crate::core::parcel::Exception;
use crate::core::parcel::fold::Known;
use crate::core::time::Instant;
use crate::sources::parcels::trace::Whose as OfWhom;
use crate::sources::row::told::answer;

const QUERY: &str = include_str!("../../../tests/fixtures/sources/kuaidi100/query.json");

fn account() -> Kuaidi100 {
    let config = Kuaidi100Config {
        customer: "c".to_owned(),
        phones: [("shunfeng".to_owned(), "4321".to_owned())].into(),
        ..Kuaidi100Config::default()
    };
    Kuaidi100::new(&config, Secret::new("s3cret-key")).unwrap()
}

fn number() -> Number {
    Number::new("yuantong", "YT0000000000001").unwrap()
}

fn read(body: impl Into<Vec<u8>>) -> Result<Trace, String> {
    account().read_query(&number(), &answer(body)).map_err(|t| format!("{} {:?}", t.failure, t.of))
}

/// One line a mark and an attribute, for comparing.
fn told(observation: &Observation<'_>) -> String {
    let mut text = format!("{} {} {}", observation.kind, observation.id, observation.as_of);
    for mark in &observation.marks {
        _ = write!(text, " {}={}", mark.name, mark.at);
    }
    for (name, value) in &observation.attributes {
        match value {
            Attribute::Text(value) => _ = write!(text, " {name}={value}"),
            other => _ = write!(text, " {name}={other:?}"),
        }
    }
    text
}

#[test]
fn a_documented_answer_becomes_observations() {
    let trace = read(QUERY).unwrap();
    let at = |text: &str| text.parse::<Instant>().unwrap();
    assert_eq!((trace.scans.len(), trace.rejects.len(), trace.rows), (5, 0, 5));
    let shipped = at("2026-02-27T10:00:00+08:00");
    let now = at("2026-03-01T10:20:00+08:00");
    let parcel = trace.fold(Known { shipped: Some(shipped), now });
    let began = parcel.changed.unwrap_or(shipped);
    let whose = OfWhom {
        source: "k",
        shop: Some("a"),
        number: &number(),
        links: &[],
        since: shipped,
        shipped: Some(shipped),
    };
    let seen: Vec<String> = trace.observations(whose, &parcel, began).iter().map(told).collect();
    assert_eq!(
        seen,
        [
            "parcel yuantong:YT0000000000001 2026-02-27T02:00:00Z carrier=yuantong waybill=YT0000000000001 shop=a \
             direction=out from=浙江",
            "parcel yuantong:YT0000000000001 2026-03-01T02:15:00Z status=delivered exception=none vendor_hint=none \
             vendor_state=301 claimed_delivered=Bool(false) proxy=Bool(false)",
            "parcel yuantong:YT0000000000001 2026-03-01T02:15:00Z last_scan=2026-02-27T11:30:00Z \
             last_scan=2026-02-27T18:40:00Z in_transit=2026-02-27T18:40:00Z last_scan=2026-02-28T15:10:00Z \
             at_destination=2026-02-28T15:10:00Z last_scan=2026-03-01T00:02:11Z last_scan=2026-03-01T02:15:00Z \
             out_for_delivery=2026-03-01T00:02:11Z delivered=2026-03-01T02:15:00Z signed=2026-03-01T02:15:00Z \
             picked_up=2026-02-27T11:30:00Z traced=2026-02-27T11:30:00Z moved_on=2026-02-27T18:40:00Z \
             shipped=2026-02-27T02:00:00Z",
        ]
    );
    for personal in ["张三", "李四", "13812345678"] {
        assert!(!format!("{trace:?} {seen:?}").contains(personal), "{personal} stays outside");
    }
}

/// `logistics` 3.1: what is said of the whole, and of one event.
#[test]
fn every_code_has_its_meaning() {
    for (code, milestone, exception) in [
        ("1", "picked_up", "none"),
        ("101", "registered", "none"),
        ("102", "registered", "none"),
        ("103", "picked_up", "none"),
        ("0", "in_transit", "none"),
        ("1001", "at_destination", "none"),
        ("1002", "in_transit", "none"),
        ("1003", "in_transit", "forwarded"),
        ("5", "out_for_delivery", "none"),
        ("501", "at_pickup_point", "none"),
        ("3", "delivered", "none"),
        ("301", "delivered", "none"),
        ("302", "delivered", "none"),
        ("303", "delivered", "none"),
        ("304", "at_pickup_point", "none"),
        ("6", "returning", "none"),
        ("4", "returned", "none"),
        ("401", "cancelled", "cancelled"),
        ("14", "delivery_failed", "refused"),
        ("7", "in_transit", "forwarded"),
        ("2", "no_trace", "unspecified"),
        ("201", "out_for_delivery", "none"),
        ("202", "no_trace", "none"),
        ("203", "delivery_failed", "refused"),
        ("204", "delivery_failed", "attempt_failed"),
        ("205", "at_pickup_point", "pickup_overdue"),
        ("206", "delivery_failed", "contact_failed"),
        ("207", "delivery_failed", "out_of_area"),
        ("208", "in_transit", "stranded"),
        ("209", "in_transit", "damaged"),
        ("210", "cancelled", "cancelled"),
        ("8", "in_transit", "none"),
        ("12", "in_transit", "none"),
        ("13", "in_transit", "customs_hold"),
        ("777", "no_trace", "none"),
        ("", "no_trace", "none"),
    ] {
        let at = "2026-03-01 10:00:00";
        let of_event = format!(
            r#"{{"status":"200","state":"","nu":"YT0000000000001","data":[{{"time":"{at}","statusCode":"{code}"}}]}}"#
        );
        let of_whole = format!(
            r#"{{"status":"200","state":"{code}","nu":"YT0000000000001","data":[{{"time":"{at}"}}]}}"#
        );
        for body in [of_event, of_whole] {
            let trace = read(body).unwrap();
            let now = Instant::from_secs(1_800_000_000);
            let parcel = trace.fold(Known { shipped: None, now });
            let is = (parcel.milestone.word(), parcel.exception.map_or("none", |(is, _)| is.word()));
            assert_eq!(is, (milestone, exception), "{code}");
        }
    }
}

/// A code that no table knows takes nothing with it, and is counted; a file of one's own may know it.
#[test]
fn unknown_codes_are_counted_and_may_be_told() {
    let row = |code: &str| format!(r#"{{"time":"2026-03-01 10:00:00","statusCode":"{code}"}}"#);
    let rows = [row("103"), row("1099"), row("1099"), row("")].join(",");
    let body = format!(r#"{{"status":"200","state":"99","nu":"YT0000000000001","data":[{rows}]}}"#);
    let trace = read(body.clone()).unwrap();
    assert_eq!((trace.scans.len(), trace.unknown, trace.state), (4, 3, None));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("codes.toml");
    let own = "include = [\"builtin:parcels/vendors/kuaidi100.toml\"]\n\
               status = [{ code = [\"1099\"], milestone = \"in_transit\", exception = \"missort\" }]";
    std::fs::write(&path, own).unwrap();
    let statuses = Some(path.to_string_lossy().into_owned());
    let config = Kuaidi100Config { customer: "c".to_owned(), statuses, ..Kuaidi100Config::default() };
    let account = Kuaidi100::new(&config, Secret::new("s3cret-key")).unwrap();
    let trace = account.read_query(&number(), &answer(body)).map_err(|t| t.failure).unwrap();
    assert_eq!((trace.unknown, trace.scans[1].exception), (1, Some(Exception::Missort)));
    let config = Kuaidi100Config { statuses: Some("nowhere.toml".to_owned()), ..config };
    let fault = Kuaidi100::new(&config, Secret::new("k")).unwrap_err();
    assert!(fault.contains("nowhere.toml"), "{fault}");
}

#[test]
fn every_refusal_is_somebodys() {
    for (body, want) in [
        (r#"{"result":false,"returnCode":"400","message":"x"}"#, "parameter (400) Number"),
        (r#"{"result":false,"returnCode":"408","message":"x"}"#, "parameter (408) Number"),
        (r#"{"result":false,"returnCode":"501","message":"x"}"#, "transient (501) Account"),
        (r#"{"result":false,"returnCode":502,"message":"x"}"#, "transient (502) Account"),
        (r#"{"result":false,"returnCode":"503","message":"x"}"#, "signature (503) Account"),
        (r#"{"result":false,"returnCode":"601","message":"x"}"#, "quota (601) Account"),
        (r#"{"result":false,"returnCode":"999","message":"x"}"#, "unseen (999) Account"),
        (r#"{"status":"601"}"#, "quota (601) Account"),
        (r#"{"status":"200","nu":"YT2","data":[]}"#, "malformed (other_number) Number"),
        (r#"{"status":"200","data":{}}"#, "malformed (no_list) Account"),
        ("{}", "malformed (no_status) Account"),
        ("[]", "malformed (not_an_object) Account"),
        ("<html>busy</html>", "malformed (html) Account"),
        ("", "malformed (not_json) Account"),
    ] {
        assert_eq!(read(body), Err(want.to_owned()), "{body}");
    }
    for nothing in [
        r#"{"result":false,"returnCode":"500","message":"查询无结果"}"#,
        r#"{"status":"201","message":"快递公司参数异常"}"#,
        r#"{"status":"200","state":"3","data":[]}"#,
        r#"{"status":"200","state":"3","data":null}"#,
    ] {
        assert_eq!(read(nothing), Ok(Trace::default()), "{nothing}: nothing is known yet");
    }
    let subscribed =
        |body: &str| account().read_subscribe(&answer(body)).map_err(|t| format!("{} {:?}", t.failure, t.of));
    for (code, want) in [
        ("200", Ok(Submitted::Taken)),
        ("501", Ok(Submitted::Already)),
        ("500", Err("transient (500) Account")),
        ("600", Err("permission (600) Account")),
        ("601", Err("quota (601) Account")),
        ("700", Err("parameter (700) Number")),
        ("701", Err("parameter (701) Number")),
        ("702", Err("parameter (702) Number")),
        ("9", Err("unseen (9) Account")),
    ] {
        let body = format!(r#"{{"result":true,"returnCode":"{code}","message":"m"}}"#);
        assert_eq!(subscribed(&body), want.map_err(str::to_owned), "{code}");
    }
    let gone = Answer { status: 502, body: b"<html>".to_vec(), ..Answer::default() };
    assert_eq!(
        account().read_query(&number(), &gone).unwrap_err().failure.to_string(),
        "transient (http_502)"
    );
}

#[test]
fn requests_say_what_the_vendor_wants_and_show_no_key() {
    let text = |request: &Request| match &request.signed.body {
        Body::Form(form) => form.clone(),
        _ => panic!("a form"),
    };
    let query = account().query(&Number::new("shunfeng", "SF0000000000002").unwrap());
    let form = text(&query);
    assert_eq!(
        form["param"],
        r#"{"com":"shunfeng","num":"SF0000000000002","order":"desc","phone":"4321","resultv2":"6","show":"0"}"#
    );
    assert!(!form.values().any(|v| v.contains("s3cret-key")), "the key signs, and stays");
    let hook =
        Hook { url: "https://bell.example.com/v1/traces/k/a/b/c".to_owned(), salt: Secret::new("pepper") };
    let subscribe = account().subscribe(&number(), &hook);
    let param: Value = serde_json::from_str(&text(&subscribe)["param"]).unwrap();
    assert_eq!(param["parameters"]["callbackurl"], hook.url);
    assert_eq!(
        (param["key"].as_str(), param["parameters"]["salt"].as_str()),
        (Some("s3cret-key"), Some("pepper"))
    );
    assert_eq!(subscribe.url.as_str(), "https://poll.kuaidi100.com/poll");
    assert!(!format!("{query:?} {subscribe:?} {:?}", account()).contains("s3cret"), "nothing prints it");
}

/// A push as it is signed, with something of it changed.
fn push(status: &str, number: &str, salt: &str) -> String {
    let result: Value = serde_json::from_str(&QUERY.replace("YT0000000000001", number)).unwrap();
    let param = json!({ "status": status, "billstatus": "check", "message": "", "autoCheck": "0", "comOld": "",
                        "comNew": if status == "corrected" { "yunda" } else { "" }, "lastResult": result });
    let param = param.to_string().replace("corrected", "abort");
    form::pack([("sign", sign::callback(&param, &Secret::new(salt)).as_str()), ("param", &param)])
}

#[test]
fn a_push_is_believed_only_with_its_signature() {
    let salt = Secret::new("pepper");
    let read = |body: &str| {
        account().read_push(&number(), body.as_bytes(), &salt).map(|p| (p.trace.scans.len(), p.on))
    };
    let good = push("polling", "YT0000000000001", "pepper");
    for (body, want) in [
        (good.clone(), Ok((5, On::Yes))),
        (push("updateall", "YT0000000000001", "pepper"), Ok((5, On::Yes))),
        (push("shutdown", "yt0000000000001", "pepper"), Ok((5, On::Shutdown))),
        (push("abort", "YT0000000000001", "pepper"), Ok((5, On::Abort))),
        (push("corrected", "YT0000000000001", "pepper"), Ok((5, On::Corrected))),
        (push("polling", "YT0000000000001", ""), Err(Refusal::Signature)),
        (push("polling", "YT0000000000002", "pepper"), Err(Refusal::Other)),
        (
            push("dancing", "YT0000000000001", "pepper"),
            Err(Refusal::Malformed("status is none that is known")),
        ),
        (good.replace("sign=", "sgn="), Err(Refusal::Signature)),
        (good.replace("param=", "prm="), Err(Refusal::Malformed("the field param is missing"))),
        (good.replace("10%3A15", "10%3A16"), Err(Refusal::Signature)),
        ("%".to_owned(), Err(Refusal::Malformed("the body is no form"))),
        (
            form::pack([("sign", sign::callback("[]", &salt).as_str()), ("param", "[]")]),
            Err(Refusal::Malformed("param is no JSON object")),
        ),
    ] {
        assert_eq!(read(&body), want, "{}", &body[..body.len().min(60)]);
    }
    // Either case of the signature.
    let (_, rest) = good.split_once('=').unwrap();
    let (signature, rest) = rest.split_once('&').unwrap();
    assert_eq!(read(&format!("sign={}&{rest}", signature.to_lowercase())), Ok((5, On::Yes)));
    assert_eq!(account().thanks(Ok(())), r#"{"message":"成功","result":true,"returnCode":"200"}"#);
}

#[test]
fn rows_that_cannot_be_used_are_counted_and_take_nothing_with_them() {
    let rows = [
        r#"{"time":"2026-03-01 10:00:00","statusCode":"103"}"#,
        r#"{"time":"soon","statusCode":"103"}"#,
        r#"{"ftime":"2026-03-01 11:00:00","time":5,"statusCode":1002}"#,
        r#"{"statusCode":"103"}"#,
        "7",
        r#"{"time":"2026-03-01 12:00:00","statusCode":["103"],"areaName":"13812345678"}"#,
    ];
    let body = format!(r#"{{"status":"200","nu":"YT0000000000001","data":[{}]}}"#, rows.join(","));
    let trace = read(body).unwrap();
    let reasons: Vec<&str> = trace.rejects.iter().map(|r| r.reason.as_str()).collect();
    assert_eq!(reasons, ["time is not an instant", "time is missing", "is not an object"]);
    assert_eq!((trace.scans.len(), trace.rows), (3, 6));
    assert_eq!(trace.scans[2].place, None, "a number is no place");
    let many = vec![rows[0]; MOST_EVENTS + 2].join(",");
    let trace = read(format!(r#"{{"status":"200","data":[{many}]}}"#)).unwrap();
    assert_eq!((trace.scans.len(), trace.rejects.len()), (MOST_EVENTS, 1), "there is an end to it");
}

proptest! {
    /// Whatever takes the place of a value, nothing panics, and rows are used or counted.
    #[test]
    fn any_value_anywhere_is_read_or_counted(
        field in prop::sample::select(vec!["time", "ftime", "statusCode", "areaName", "location", "context"]),
        value in prop::sample::select(vec![
            "null", "true", "-1", "0", "\"\"", "\"x\"", "[]", "{}", "1e400", "18446744073709551616",
            "\"2026-13-01 00:00:00\"", "\"\\u0000\"", "\"🚚\"", "9007199254740993",
        ]),
        top in prop::sample::select(vec!["state", "nu", "com", "ischeck", "message", "routeInfo", "data"]),
        other in prop::sample::select(vec!["null", "7", "\"\"", "[]", "{}", "\"301\"", "\"x\""]),
    ) {
        let mut body: Value = serde_json::from_str(QUERY).unwrap();
        let value: Value = serde_json::from_str(value).unwrap_or(Value::Null);
        body["data"][1][field] = value;
        body[top] = serde_json::from_str(other).unwrap();
        if let Ok(trace) = account().read_query(&number(), &answer(body.to_string())) {
            prop_assert_eq!(trace.scans.len() + trace.rejects.len(), trace.rows);
        }
    }

    #[test]
    fn any_bytes_are_an_answer_or_none(bytes in prop::collection::vec(any::<u8>(), 0..400), status in 100_u16..600) {
        let answer = Answer { status, body: bytes.clone(), ..Answer::default() };
        _ = account().read_query(&number(), &answer);
        _ = account().read_subscribe(&answer);
        prop_assert!(account().read_push(&number(), &bytes, &Secret::new("s")).is_err());
    }

    /// The order of rows says nothing: the vendor's may be any.
    #[test]
    fn rows_in_any_order_say_the_same(seed in any::<u64>()) {
        let mut body: Value = serde_json::from_str(QUERY).unwrap();
        let rows = body["data"].as_array_mut().unwrap();
        let n = rows.len();
        for i in 0..n {
            rows.swap(i, (seed.rotate_left(i as u32 * 7) % n as u64) as usize);
        }
        let now = Instant::from_secs(1_800_000_000);
        let fold = |body: &str| read(body).unwrap().fold(Known { shipped: None, now });
        prop_assert_eq!(fold(&body.to_string()), fold(QUERY));
    }
}
