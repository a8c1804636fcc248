//! Every vector of these platforms, through the code that signs requests.

use serde_json::{Value, json};

use super::*;
use crate::core::ids::Secret;

const VECTORS: &str = include_str!("../../../tests/fixtures/sources/signatures.json");

fn text<'v>(vector: &'v Value, key: &str) -> &'v str {
    vector["inputs"][key].as_str().unwrap_or_else(|| panic!("{}: {key}", vector["id"]))
}

fn params(vector: &Value) -> Params {
    let params = vector["inputs"]["params"].as_object().unwrap();
    params.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
}

fn form(signed: &Signed) -> Params {
    match &signed.body {
        Body::Form(form) => form.clone(),
        _ => panic!("a form"),
    }
}

fn secret(vector: &Value, key: &str) -> Secret {
    Secret::new(text(vector, key))
}

/// The types that the published examples say values had.
fn typed((name, value): (&String, &Value)) -> (String, Value) {
    let text = value.as_str().unwrap();
    let value = match name.as_str() {
        "timestamp" | "start_updated_at" | "end_updated_at" | "page" | "page_size" | "order_status"
        | "refund_status" | "is_lucky_flag" => json!(text.parse::<i64>().unwrap()),
        "use_has_next" => json!(text == "true"),
        "data_list" => serde_json::from_str(text).unwrap(),
        _ => value.clone(),
    };
    (name.clone(), value)
}

/// What our code makes of the inputs of a vector.
fn signed(vector: &Value) -> String {
    match (vector["platform"].as_str().unwrap(), vector["id"].as_str().unwrap()) {
        ("taobao_top", _) => {
            let params = params(vector);
            let way = match params.get("sign_method").map(String::as_str) {
                Some("hmac") => top::Way::Hmac,
                Some("hmac-sha256") => top::Way::HmacSha256,
                _ => top::Way::Md5,
            };
            form(&top::sign(params, &secret(vector, "secret"), way))["sign"].clone()
        }
        ("jd_routerjson" | "jd_jos", _) => {
            form(&jd::sign(params(vector), &secret(vector, "secret")))["sign"].clone()
        }
        ("pinduoduo", "pdd-pmc-ws") => {
            let at = Instant::from_millis(text(vector, "millis").parse().unwrap());
            let path =
                pinduoduo::message_path(text(vector, "client_id"), &secret(vector, "client_secret"), at);
            assert_eq!(path, vector["expected_path"].as_str().unwrap());
            path.rsplit('/').next().unwrap().replace("%3D", "=")
        }
        ("pinduoduo", _) => {
            let object = vector["inputs"]["params"].as_object().unwrap().iter().map(typed).collect();
            let Body::Json(body) = pinduoduo::sign(object, &secret(vector, "secret")).body else { panic!() };
            let body: Value = serde_json::from_str(&body).unwrap();
            body["sign"].as_str().unwrap().to_owned()
        }
        ("douyin_shop", id) => {
            let secret = secret(vector, "app_secret");
            let app = douyin::App { key: text(vector, "app_key"), secret: &secret };
            if id == "douyin-event-sign" {
                return douyin::event(app, text(vector, "raw_body"));
            }
            let way = match vector["inputs"].get("sign_method") {
                Some(_) => douyin::Way::HmacSha256,
                None => douyin::Way::Md5,
            };
            let (method, at) = (text(vector, "method"), text(vector, "timestamp"));
            let body = text(vector, "param_json");
            // The body as we would write it is the body that was signed.
            assert_eq!(serde_json::from_str::<Value>(body).unwrap().to_string(), body, "{id}");
            douyin::sign(app, None, method, at, body.to_owned(), way).query["sign"].clone()
        }
        ("kuaidi100", id) if id.contains("callback") => {
            kuaidi100::callback(text(vector, "param"), &secret(vector, "salt"))
        }
        ("kuaidi100", _) => {
            let key = secret(vector, "key");
            form(&kuaidi100::query(text(vector, "customer"), &key, text(vector, "param").to_owned()))["sign"]
                .clone()
        }
        other => panic!("no code for {other:?}"),
    }
}

#[test]
fn every_published_signature_is_ours() {
    let vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    assert_eq!(vectors.len(), 24);
    for vector in &vectors {
        assert_eq!(signed(vector), vector["expected"].as_str().unwrap(), "{}", vector["id"]);
    }
}

/// The parameters that a call builds are those of the published examples.
#[test]
fn calls_are_built_as_published() {
    let vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    let of = |id: &str| vectors.iter().find(|v| v["id"] == id).unwrap();

    let vector = of("top-md5-increment");
    let mut business = params(vector);
    for common in ["method", "app_key", "session", "timestamp", "format", "v", "sign_method"] {
        business.remove(common);
    }
    let at: Instant = "2026-01-05T18:00:00+08:00".parse().unwrap();
    let session = Secret::new("6100e234test");
    let method = "taobao.trades.sold.increment.get";
    let built = top::params("12345678", Some(&session), method, top::Way::Md5, at, business);
    assert_eq!(built, params(vector));

    let vector = of("jd-routerjson-search");
    let business: Value = serde_json::from_str(&params(vector)["360buy_param_json"]).unwrap();
    let at: Instant = "2026-01-05T18:00:05+08:00".parse().unwrap();
    let token = Secret::new("tok-jd-001");
    assert_eq!(
        jd::params("APPKEYJD01", Some(&token), "jingdong.pop.order.search", at, &business),
        params(vector)
    );

    let vector = of("pdd-increment-bool");
    let published: pinduoduo::Object =
        vector["inputs"]["params"].as_object().unwrap().iter().map(typed).collect();
    let mut business = published.clone();
    for common in ["type", "client_id", "timestamp", "data_type", "access_token"] {
        business.remove(common);
    }
    let token = Secret::new("tok-abc");
    let kind = "pdd.order.number.list.increment.get";
    let at = Instant::from_secs(1_700_000_000);
    assert_eq!(pinduoduo::params("test_client_001", Some(&token), kind, at, business), published);

    let vector = of("douyin-hmac-2");
    let secret = secret(vector, "app_secret");
    let app = douyin::App { key: text(vector, "app_key"), secret: &secret };
    let business: Value = serde_json::from_str(text(vector, "param_json")).unwrap();
    let call = douyin::call(app, None, "order.searchList", Instant::from_secs(1_767_607_205), &business);
    assert_eq!(call.query["sign"], vector["expected"].as_str().unwrap());
    assert_eq!(call.query["sign_method"], "hmac-sha256");
}

/// Douyin signs keys in order at every level: that is how our JSON is written.
#[test]
fn keys_are_in_order() {
    let value: Value = serde_json::from_str(r#"{"b":{"z":1,"a":[{"y":"<&>","x":"加急"}]},"a":2}"#).unwrap();
    assert_eq!(value.to_string(), r#"{"a":2,"b":{"a":[{"x":"加急","y":"<&>"}],"z":1}}"#);
}

#[test]
fn what_is_empty_is_neither_signed_nor_sent() {
    let secret = Secret::new("s");
    let with = Params::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())]);
    let without = Params::from([("a".to_owned(), "1".to_owned())]);
    assert_eq!(top::sign(with, &secret, top::Way::Md5), top::sign(without, &secret, top::Way::Md5));
    let object = |text: &str| serde_json::from_str::<pinduoduo::Object>(text).unwrap();
    let (with, without) = (object(r#"{"a":1,"b":null}"#), object(r#"{"a":1}"#));
    assert_eq!(pinduoduo::sign(with, &secret), pinduoduo::sign(without, &secret));
}

#[test]
fn signatures_are_the_same_in_either_case() {
    assert!(same("ABCDEF", "abcdef") && same("", ""));
    assert!(!same("ABCDEF", "abcde") && !same("a", "b"));
}

#[test]
fn what_is_signed_is_not_printed() {
    let signed = kuaidi100::query("customer", &Secret::new("hunter2"), "{\"num\":\"YT1\"}".to_owned());
    assert_eq!(format!("{signed:?} {:?}", signed.body), "Signed(…) Body(…)");
}

#[test]
fn local_times_are_those_of_china() {
    for (at, want) in
        [("2026-01-05T10:00:00Z", "2026-01-05 18:00:00"), ("2026-06-30T16:00:00.999Z", "2026-07-01 00:00:00")]
    {
        assert_eq!(beijing(at.parse().unwrap()), want);
    }
}
