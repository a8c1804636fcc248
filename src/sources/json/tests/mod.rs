//! Rows and pages by the table; whole walks against a server that misbehaves.

mod server;
mod walks;

use proptest::prelude::*;

use super::*;
use crate::core::model::{Observation, Value as Attribute};
use crate::core::problem::Problem;

fn config(text: &str) -> HttpConfig {
    toml::from_str(text).unwrap()
}

fn json(text: &str) -> Json {
    Json::new(Origin { source: "desk".to_owned(), shop: Some("flagship".to_owned()) }, &config(text), None)
        .unwrap()
}

fn answer(body: impl Into<Vec<u8>>) -> Answer {
    Answer { status: 200, body: body.into(), ..Answer::default() }
}

fn told(seen: &Observation<'_>) -> String {
    let mut text = format!("{} {} {} r{}", seen.kind, seen.id, seen.as_of, seen.revision);
    for mark in &seen.marks {
        let reference = mark.reference.as_ref().map_or_else(String::new, |r| format!("[{r}]"));
        text += &format!(" {}{reference}={}", mark.name, mark.at);
    }
    for (name, value) in &seen.attributes {
        text += &match value {
            Attribute::Text(text) => format!(" {name}={text}"),
            other => format!(" {name}={other:?}"),
        };
    }
    text
}

fn ask() -> Ask {
    let at = Instant::from_secs(1_767_571_200);
    Ask { from: at, to: at + Span::HOUR, page: 1, size: 2, count: false }
}

fn read(json: &Json, body: impl Into<Vec<u8>>) -> Result<Page, String> {
    json.read_page(&json.feeds[0].clone(), ask(), &answer(body)).map_err(|f| f.to_string())
}

fn reasons(page: &Page) -> Vec<&str> {
    page.rejects.iter().map(|r| r.reason.as_str()).collect()
}

const DESK: &str = r#"
base = "https://tickets.example/api/"
auth.bearer = {}

[[errors]]
path = "code"
unless = ["0"]
class = "transient"

[lists.tickets]
request = { url = "tickets", query = { since = "{{ from | epoch }}", until = "{{ to | epoch }}", page = "{{ page }}", n = "{{ size }}" } }
items = "data.rows"
total = "data.total"
paging = "pages"
page_size = 2

[lists.tickets.map]
kind = "ticket"
id = "row.id"
modified = "row.updated"
marks.opened = "row.created"
marks.resolved = "row.closed | default(none)"
marks.respond_by = "row.due | default(none)"
seen.escalated = "row.level | default(0) > 1"
seen.urgent = "row.urgent | default(none)"
attributes.status = "{'1': 'open', '2': 'closed'}[row.state | string] | default('other')"
attributes.amount = "row.amount | default(none)"

[[lists.tickets.map.each]]
of = "row.talk | default(none)"
when = "entry.by != 'bot'"
mark = "agent_reply"
at = "entry.at"
reference = "entry.id"
"#;

fn page_of(row: &str) -> String {
    format!(r#"{{"code":0,"data":{{"total":1,"rows":[{row}]}}}}"#)
}

#[test]
fn a_row_becomes_what_the_mapping_says() {
    for (row, want) in [
        (
            r#"{"id":9007199254740993,"updated":"2026-01-05 10:00:00","created":1767571200,"state":1,"amount":18446744073709551615}"#,
            vec![
                "ticket 9007199254740993 2026-01-05T02:00:00Z r1767578400000 opened=2026-01-05T00:00:00Z status=open \
                 amount=18446744073709551615 shop=flagship",
            ],
        ),
        (
            r#"{"id":"A-1","updated":"2026-01-05T10:00:00.5+09:00","created":1767571200123,"state":"2","amount":1.5,
                "closed":"1970-01-01T00:00:00Z","due":"2026-01-06T00:00:00Z","level":2,
                "talk":[{"by":"bot","at":"x","id":1},{"by":"lin","at":1767571260,"id":12}]}"#,
            vec![
                "ticket A-1 2026-01-05T01:00:00.500Z r1767574800500 opened=2026-01-05T00:00:00.123Z \
                 respond_by=2026-01-06T00:00:00Z agent_reply[12]=2026-01-05T00:01:00Z status=closed amount=Real(1.5) shop=flagship",
                "ticket A-1 2026-01-05T01:00:00.500Z r-1767574800500 escalated=2026-01-05T01:00:00.500Z",
            ],
        ),
        (
            r#"{"id":7,"updated":1767578400.25,"created":"","state":null,"closed":null,"amount":-3}"#,
            vec![
                "ticket 7 2026-01-05T02:00:00.250Z r1767578400250 status=other amount=Int(-3) shop=flagship",
            ],
        ),
    ] {
        let page = read(&json(DESK), page_of(row)).unwrap();
        assert_eq!(reasons(&page), [""; 0], "{row}");
        // Attributes stand in the order of their names.
        let got: Vec<String> = page.items[0].observations.iter().map(told).collect();
        let sorted = |text: &str| {
            let mut words: Vec<String> =
                text.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect();
            words.sort();
            words
        };
        let (got, want): (Vec<_>, Vec<_>) =
            (got.iter().map(|t| sorted(t)).collect(), want.iter().map(|t| sorted(t)).collect());
        assert_eq!(got, want, "{row}");
    }
    let page =
        read(&json(DESK), page_of(r#"{"id":1,"updated":1767578400,"created":0,"state":1,"due":1767600000}"#));
    assert_eq!(page.unwrap().items[0].deadline, Some(Instant::from_secs(1_767_600_000)));
}

/// One row that cannot be used is counted, with a digest and without its words; the others are read.
#[test]
fn the_page_goes_on_without_a_bad_row() {
    let good = r#"{"id":1,"updated":1767578400,"created":0,"state":1}"#;
    for (bad, reason) in [
        (r#"{"updated":1767578400,"created":0,"state":1}"#, "id is missing"),
        (r#"{"id":null,"updated":1767578400,"created":0,"state":1}"#, "id is missing"),
        (r#"{"id":1.5,"updated":1767578400,"created":0,"state":1}"#, "id is not an id"),
        (r#"{"id":18446744073709551616,"updated":1767578400,"created":0,"state":1}"#, "id is not an id"),
        (r#"{"id":[],"updated":1767578400,"created":0,"state":1}"#, "id is not an id"),
        (r#"{"id":1,"created":0,"state":1}"#, "modified is missing"),
        (r#"{"id":1,"updated":"张三","created":0,"state":1}"#, "modified is not an instant"),
        (r#"{"id":1,"updated":99999999999999,"created":0,"state":1}"#, "modified is not an instant"),
        (r#"{"id":1,"updated":1767578400,"state":1}"#, "marks.opened is missing"),
        (r#"{"id":1,"updated":1767578400,"created":{},"state":1}"#, "marks.opened is not an instant"),
        (
            r#"{"id":1,"updated":1767578400,"created":0}"#,
            "attributes.status uses something that is not there",
        ),
        (
            r#"{"id":1,"updated":1767578400,"created":0,"state":1,"amount":[1]}"#,
            "attributes.amount is not a text, a number, true or false",
        ),
        (r#"{"id":1,"updated":1767578400,"created":0,"state":1,"talk":{}}"#, "each[0].of is not a list"),
        (
            r#"{"id":1,"updated":1767578400,"created":0,"state":1,"talk":[{"by":"lin","id":3}]}"#,
            "each[0].at is missing",
        ),
        (
            r#"{"id":1,"updated":1767578400,"created":0,"state":1,"urgent":"x"}"#,
            "seen.urgent is not true or false",
        ),
        ("7", "row is not an object"),
        ("null", "row is not an object"),
    ] {
        let page = read(&json(DESK), page_of(&format!("{good},{bad}"))).unwrap();
        assert_eq!((page.items.len(), page.facts.rows), (1, 2), "{bad}");
        assert_eq!(page.rejects.len(), 1, "{bad}");
        assert!(page.rejects[0].reason.starts_with(reason), "{bad}: {}", page.rejects[0].reason);
        assert_eq!(page.rejects[0].digest.len(), 16);
    }
    let large = format!(r#"{{"id":1,"updated":1,"created":0,"state":1,"x":"{}"}}"#, "x".repeat(1 << 20));
    assert_eq!(reasons(&read(&json(DESK), page_of(&large)).unwrap()), ["row is larger than 1 MiB"]);
}

#[test]
fn what_is_no_page_is_said_to_be_none() {
    let json = json(DESK);
    for (status, body, want) in [
        (200, "<html>busy</html>", "malformed (html)"),
        (200, "{}", "malformed (no_list)"),
        (200, r#"{"data":{"rows":null,"total":3}}"#, "malformed (no_list)"),
        (200, r#"{"data":{"rows":{},"total":0}}"#, "malformed (no_list)"),
        (200, r#"{"data":{"rows":[],"total":"x"}}"#, "malformed (bad_total)"),
        (200, r#"{"data":{"rows":[{}],"total":9}}"#, "malformed (short_page)"),
        (200, r#"{"code":"BUSY","data":{"rows":[],"total":0}}"#, "transient (BUSY)"),
        (200, r#"{"code":"张三 的 订单"}"#, "transient (http_200)"),
        (400, "{}", "parameter (http_400)"),
        (302, "", "parameter (http_302)"),
        (401, "{}", "token_wrong (http_401)"),
        (403, "<html>", "permission (http_403)"),
        (404, "", "gone (http_404)"),
        (429, "", "throttled (http_429)"),
        (503, "<html>", "transient (http_503)"),
        (400, r#"{"code":7}"#, "transient (7)"),
    ] {
        let got = Answer { status, ..answer(body) };
        let got = json.read_page(&json.feeds[0].clone(), ask(), &got).map_err(|f| f.to_string());
        assert_eq!(got.map(|_| ()), Err(want.to_owned()), "{status} {body}");
    }
    let empty = r#"{"code":0,"data":{"total":0,"rows":null}}"#;
    assert_eq!(read(&json, empty).map(|p| p.facts.rows), Ok(0));
    let missing = r#"{"code":0,"data":{"rows":[]}}"#;
    let count = json.read_page(&json.feeds[0].clone(), Ask { count: true, ..ask() }, &answer(missing));
    assert_eq!(count.map_err(|f| f.to_string()).map(|_| ()), Err("malformed (no_total)".to_owned()));
}

#[test]
fn a_request_is_what_was_configured_and_shows_no_secret() {
    let at = Instant::from_secs(1_767_571_200);
    let tokens = Tokens { access: Secret::new("t0ken"), ..Tokens::default() };
    let list = "[lists.a]\nrequest = { url = \"x/{{ page }}\", query = { q = \"{{ from }}\", none = \"{{ cursor }}\" } }\n\
                paging = \"cursor\"\nnext = \"next\"\nmap = { kind = \"ticket\", id = \"row.id\" }\n";
    for (auth, header, query) in [
        ("", None, None),
        ("auth.bearer = {}\n", Some(("authorization", "Bearer t0ken")), None),
        ("auth.header = { name = \"X-Key\" }\n", Some(("x-key", "t0ken")), None),
        ("auth.basic = { user = \"root\" }\n", Some(("authorization", "Basic cm9vdDp0MGtlbg==")), None),
        ("auth.basic = {}\n", Some(("authorization", "Basic dDBrZW46")), None),
        ("auth.query = { name = \"key\" }\n", None, Some("t0ken")),
    ] {
        let json = json(&format!("base = \"https://tickets.example/api/\"\n{auth}{list}"));
        let request = json.page(&json.feeds[0], ask(), &tokens, at);
        assert_eq!(request.url.as_str(), "https://tickets.example/api/x/1");
        let crate::sources::sign::Body::Plain(plain) = &request.signed.body else { panic!("{auth}") };
        if let Some((name, value)) = header {
            assert_eq!(plain.headers.get(name).unwrap(), value, "{auth}");
        }
        assert_eq!(request.signed.query.get("key").map(String::as_str), query, "{auth}");
        assert_eq!(request.signed.query["q"], "2026-01-05T00:00:00Z");
        assert!(!request.signed.query.contains_key("none"), "what is empty is not sent");
        let shown = format!("{json:?} {request:?} {:?} {tokens:?}", plain.headers);
        assert!(!shown.contains("t0ken") && !shown.contains("dDBrZW46"), "{shown}");
    }
}

/// A link that leads to another host would carry the token there.
#[test]
fn links_are_followed_on_the_same_server_only() {
    let text = "base = \"https://tickets.example/api/\"\nauth.query = { name = \"key\" }\n[lists.a]\n\
                request = { url = \"x\" }\nitems = \"rows\"\npaging = \"link\"\nnext = \"next\"\n\
                map = { kind = \"ticket\", id = \"row.id\" }\n";
    let json = json(text);
    let tokens = Tokens { access: Secret::new("t0ken"), ..Tokens::default() };
    for (link, want) in [
        ("https://tickets.example/api/x?page=2&key=t0ken", Ok("https://tickets.example/api/x?page=2")),
        ("x?page=2", Ok("https://tickets.example/api/x?page=2")),
        ("?page=2&key=t0ken", Ok("https://tickets.example/api/x?page=2")),
        ("/other?page=2", Ok("https://tickets.example/other?page=2")),
        ("https://tickets.example:443/x", Ok("https://tickets.example/x")),
        ("http://tickets.example/api/x?page=2", Err("malformed (foreign_link)")),
        ("https://tickets.example:8443/x", Err("malformed (foreign_link)")),
        ("https://evil.example/api/x", Err("malformed (foreign_link)")),
        ("//evil.example/api/x", Err("malformed (foreign_link)")),
        ("https://tickets.example@evil.example/", Err("malformed (foreign_link)")),
        ("https://a:b@tickets.example/", Err("malformed (foreign_link)")),
        ("javascript:alert(1)", Err("malformed (foreign_link)")),
    ] {
        let body = serde_json::json!({ "rows": [], "next": link }).to_string();
        let page = read(&json, body).map(|page| page.facts.more);
        match want {
            Err(want) => assert_eq!(page, Err(want.to_owned()), "{link}"),
            Ok(url) => {
                let Ok(Some(More::After(kept))) = page else { panic!("{link}: {page:?}") };
                assert!(!kept.contains("t0ken"), "{kept}");
                let request = json.page_after(&json.feeds[0], ask(), &kept, &tokens, ask().to);
                assert_eq!(request.url.as_str(), url, "{link}");
                assert_eq!(request.signed.query["key"], "t0ken");
            }
        }
    }
    // What was kept by another configuration leads nowhere else either.
    let request = json.page_after(&json.feeds[0], ask(), "https://evil.example/x", &tokens, ask().to);
    assert!(matches!(request.signed.body, crate::sources::sign::Body::Never("foreign_url")));
}

#[test]
fn pages_say_how_they_go_on() {
    let base = "base = \"https://x.example/\"\n[lists.a]\npage_size = 2\nmap = { kind = \"ticket\", id = \"row.id\", modified = \"row.at\" }\n";
    let row = |at: i64| format!(r#"{{"id":{at},"at":{at}}}"#);
    let (early, late) = (1_767_571_200, 1_767_571_300);
    let after = |text: &str| Ok(Some(More::After(text.into())));
    let keyset = "paging = \"keyset\"\nrequest = { url = \"x\", query = { f = \"{{ from }}\" } }\n";
    let cursor = "paging = \"cursor\"\nnext = \"n\"\nitems = \"r\"\nrequest = { url = \"x\", query = { c = \"{{ cursor }}\" } }\n";
    let pages = "paging = \"pages\"\nrequest = { url = \"x\", query = { p = \"{{ page }}\" } }\n";
    for (config, body, want) in [
        ("request = { url = \"x\" }\n".to_owned(), "[]".to_owned(), Ok(Some(More::Over))),
        (pages.to_owned(), "[]".to_owned(), Ok(None)),
        (
            format!("{pages}items = \"r\"\ntotal = \"t\"\n"),
            r#"{"r":[{"id":1,"at":1767571200}],"t":1}"#.to_owned(),
            Ok(Some(More::Over)),
        ),
        (
            format!("{pages}items = \"r\"\nmore = \"m\"\n"),
            r#"{"r":[],"m":true}"#.to_owned(),
            Ok(Some(More::Page)),
        ),
        (
            format!("{pages}items = \"r\"\nmore = \"m\"\n"),
            r#"{"r":[],"m":"yes"}"#.to_owned(),
            Err("malformed (bad_more)".to_owned()),
        ),
        (keyset.to_owned(), format!("[{},{}]", row(early + 1), row(late)), Ok(Some(More::Page))),
        (keyset.to_owned(), format!("[{}]", row(late)), Ok(Some(More::Over))),
        (
            keyset.to_owned(),
            format!("[{},{}]", row(late), row(early)),
            Err("malformed (not_ascending)".to_owned()),
        ),
        (
            keyset.to_owned(),
            format!("[{},{}]", row(early), row(early)),
            Err("malformed (too_many_at_once)".to_owned()),
        ),
        (keyset.to_owned(), format!("[{},{}]", row(early), row(late + 4000)), Ok(Some(More::Over))),
        // The last row cannot be used, and says how far the page goes all the same.
        (keyset.to_owned(), format!(r#"[{},{{"id":[],"at":{late}}}]"#, row(early)), Ok(Some(More::Page))),
        (cursor.to_owned(), r#"{"r":[],"n":"abc"}"#.to_owned(), after("abc")),
        (cursor.to_owned(), r#"{"r":[],"n":9007199254740993}"#.to_owned(), after("9007199254740993")),
        (cursor.to_owned(), r#"{"r":[],"n":null}"#.to_owned(), Ok(Some(More::Over))),
        (cursor.to_owned(), r#"{"r":[],"n":""}"#.to_owned(), Ok(Some(More::Over))),
        (cursor.to_owned(), r#"{"r":[],"n":{}}"#.to_owned(), Err("malformed (bad_next)".to_owned())),
        (
            cursor.to_owned(),
            format!(r#"{{"r":[],"n":"{}"}}"#, "x".repeat(5000)),
            Err("malformed (long_cursor)".to_owned()),
        ),
        (
            format!("{cursor}most_rows = 1\n"),
            r#"{"r":[{},{}]}"#.to_owned(),
            Err("malformed (too_many_rows)".to_owned()),
        ),
    ] {
        // The list's own keys come before its map.
        let (head, map) = base.split_once("map = ").unwrap();
        let json = json(&format!("{head}{config}map = {map}"));
        assert_eq!(read(&json, body.clone()).map(|p| p.facts.more), want, "{config} {body}");
    }
}

#[test]
fn a_case_is_asked_for_and_read() {
    let text = r#"
base = "https://x.example/"
[lists.a]
request.url = "x"
map = { kind = "{{ row.type }}", id = "row.id", modified = "row.at" }
[lists.a.detail]
request = { url = "order/{{ kept.order }}/{{ id }}" }
when = "row.open"
keep = { order = "row.order" }
row = "data"
marks = { handle_by = "row.due" }
attributes = { joined = "row.joined" }
"#;
    let json = json(text);
    let page = read(
        &json,
        r#"[{"type":"aftersale","id":1,"at":1767571200,"open":true,"order":"O/1"},{"type":"order","id":2,"at":1767571200,"open":false}]"#,
    )
    .unwrap();
    assert_eq!(reasons(&page), [""; 0]);
    assert_eq!(page.items[1].want, None);
    let want = page.items[0].want.clone().unwrap();
    let request = json.detail(&want, &Tokens::default(), want.modified);
    assert_eq!(request.url.as_str(), "https://x.example/order/O%2F1/1");
    let case = json.read_detail(&want, &answer(r#"{"data":{"due":1767600000,"joined":true}}"#)).unwrap();
    assert_eq!(
        told(&case.items[0].observations[0]),
        "aftersale 1 2026-01-05T00:00:00Z r1767571200000 handle_by=2026-01-05T08:00:00Z joined=Bool(true) shop=flagship"
    );
    assert_eq!(case.items[0].deadline, Some(Instant::from_secs(1_767_600_000)));
    let bad = json.read_detail(&want, &answer(r#"{"data":{"joined":true}}"#)).unwrap();
    assert_eq!(reasons(&bad), ["detail.marks.handle_by is missing"]);
    for (status, body, code) in [(404, "{}", "parameter (http_404)"), (200, "{}", "malformed (no_case)")] {
        let answer = Answer { status, ..answer(body) };
        assert_eq!(
            json.read_detail(&want, &answer).map_err(|f| f.to_string()).map(|_| ()),
            Err(code.to_owned())
        );
    }
    // A list of before a reload.
    let old = Want { ids: vec!["b".to_owned()], ..want };
    assert!(json.read_detail(&old, &answer("{}")).is_err());
    assert!(matches!(
        json.detail(&old, &Tokens::default(), old.modified).signed.body,
        crate::sources::sign::Body::Never(_)
    ));
}

/// A row without a time of change is no news because time went by.
#[test]
fn without_a_time_of_change_only_a_change_is_news() {
    let json = json(
        "base = \"https://x.example/\"\n[lists.a]\nrequest.url = \"x\"\nmap = { kind = \"ticket\", id = \"row.id\", seen = { closed = \"row.closed\" } }\n",
    );
    let digest = |body: &str, at: i64| {
        let answer = Answer { date: Some(Instant::from_secs(at)), ..answer(body) };
        json.read_page(&json.feeds[0].clone(), ask(), &answer).unwrap().items[0].digest
    };
    let open = digest(r#"[{"id":1,"closed":false}]"#, 1_767_571_200);
    assert_eq!(digest(r#"[{"id":1,"closed":false}]"#, 1_767_571_260), open);
    assert_ne!(digest(r#"[{"id":1,"closed":true}]"#, 1_767_571_260), open);
}

#[test]
fn tokens_are_got_and_end() {
    let at = Instant::from_secs(1_767_571_200);
    let oauth2 = "base = \"https://x.example/api/\"\nauth.oauth2 = { token_url = \"/oauth/token\", client_id = \"de sk\", client_secret_env = \"S\", scope = \"read\" }\n\
                  [lists.a]\nrequest.url = \"x\"\nmap = { kind = \"ticket\", id = \"row.id\" }\n";
    let made = |text: &str| {
        Json::new(Origin { source: "d".to_owned(), shop: None }, &config(text), Some(Secret::new("s:3 cret")))
            .unwrap()
    };
    let json = made(oauth2);
    let request = json.renew(&Tokens::default(), at).unwrap();
    let crate::sources::sign::Body::Plain(plain) = &request.signed.body else { panic!() };
    assert_eq!(request.url.as_str(), "https://x.example/oauth/token");
    assert_eq!(plain.content.as_ref().unwrap().1, "grant_type=client_credentials&scope=read");
    // de+sk:s%3A3+cret
    assert_eq!(plain.headers["authorization"], "Basic ZGUrc2s6cyUzQTMrY3JldA==");
    let tokens = json.read_tokens(&answer(r#"{"access_token":"a","expires_in":"300"}"#), at).unwrap();
    assert_eq!((tokens.access.reveal(), tokens.access_until), ("a", Some(at + Span::from_secs(300))));
    assert_eq!(json.renew_before(), Span::MINUTE);
    for (status, body, want) in [
        (401, r#"{"error":"invalid_client"}"#, "revoked (http_401)"),
        (200, "{}", "malformed (no_token)"),
        (200, r#"{"access_token":""}"#, "malformed (no_token)"),
        (503, "", "transient (http_503)"),
    ] {
        let got = json.read_tokens(&Answer { status, ..answer(body) }, at).map_err(|f| f.to_string());
        assert_eq!(got.map(|_| ()), Err(want.to_owned()), "{body}");
    }
    let refused = json.read_page(&json.feeds[0].clone(), ask(), &Answer { status: 401, ..answer("{}") });
    assert_eq!(refused.map_err(|f| f.class), Err(Class::TokenExpired), "there is another to be had");
    let in_body = made(&oauth2.replace("scope = \"read\"", "in_body = true"));
    let request = in_body.renew(&Tokens::default(), at).unwrap();
    let crate::sources::sign::Body::Plain(plain) = &request.signed.body else { panic!() };
    assert_eq!(
        plain.content.as_ref().unwrap().1,
        "client_id=de+sk&client_secret=s%3A3+cret&grant_type=client_credentials"
    );
    let login = made(
        "base = \"https://x.example/\"\n[auth.login]\nsecret_env = \"S\"\ntoken_header = \"x-token\"\n\
         request = { method = \"POST\", url = \"login\", body = '{\"user\":\"a\",\"password\":\"{{ secret }}\"}' }\n\
         [lists.a]\nrequest.url = \"x\"\nmap = { kind = \"ticket\", id = \"row.id\" }\n",
    );
    let request = login.renew(&Tokens::default(), at).unwrap();
    let crate::sources::sign::Body::Plain(plain) = &request.signed.body else { panic!() };
    assert_eq!(plain.content.as_ref().unwrap().1, r#"{"user":"a","password":"s:3 cret"}"#);
    let mut given = answer("");
    given.headers.insert("x-token", "h".parse().unwrap());
    assert_eq!(login.read_tokens(&given, at).unwrap().access.reveal(), "h");
    assert!(!format!("{login:?} {request:?}").contains("cret"));
}

fn problems(text: &str) -> Vec<String> {
    let mut problems = Problems::new();
    config(text).check(&mut problems);
    problems.into_vec().into_iter().map(|Problem { path, text, .. }| format!("{path}: {text}")).collect()
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    assert_eq!(problems(DESK), [""; 0]);
    assert_eq!(
        problems(
            r#"
base = "http://tickets.example/"
zone = "Mars/Base"
auth = {}
[headers]
"X Y" = "1"
[[errors]]
class = "bad_luck"
[lists.A]
request = { url = "https://evil.example/", query = { a = "{{ nothing }}", b = "{{ size | epoch }}", c = "{% for x in y %}" }, body = "{" }
page_size = 0
paging = "keyset"
next = "n"
[lists.A.map]
kind = "Ticket!"
id = ""
marks = { Opened = "row." }
seen = { ship_by = "rows.x" }
"#
        ),
        [
            "base: is not https: everybody on the way could read the tokens",
            "zone: failed to find time zone `Mars/Base` in time zone database, expected a zone such as Asia/Shanghai",
            "headers.X Y: is no header, expected a name such as X-Team",
            "auth: is empty, expected one of: bearer, header, basic, query, oauth2, login",
            "errors[0]: has neither status nor path, expected one of them",
            "errors[0].class: found `bad_luck`, expected one of: throttled, quota, token_expired, token_wrong, revoked, \
             signature, clock, permission, ip_list, disabled, parameter, gone, transient, malformed, unseen",
            "lists.A: is no name of a list, expected small letters, digits, - and _",
            "lists.A.request.query.a: uses `nothing`, expected one of: from, to, page, offset, cursor, size, now",
            "lists.A.request.query.b: invalid operation",
            "lists.A.request.query.c: found the tag `for`, expected one of: if, elif, else, endif",
            "lists.A.request.body: is no JSON once it is filled in: EOF while parsing an object at line 1 column 1",
            "lists.A.request.method: found GET with a body or form, expected POST",
            "lists.A.page_size: found 0, expected 1 to 10000",
            "lists.A.next: is used with paging = \"cursor\" or \"link\" only",
            "lists.A.request: does not use {{ from }}, expected it: rows are read from there on",
            "lists.A.map.modified: is missing: without it nobody knows where to go on",
            "lists.A.map.kind: found `Ticket!`, expected a word such as ticket, order, aftersale",
            "lists.A.map.id: is empty, expected an expression such as row.id",
            "lists.A.map.marks.Opened: is no name, expected small letters, digits and _",
            "lists.A.map.marks.Opened: syntax error: unexpected end of input, expected identifier or integer",
            "lists.A.map.seen.ship_by: ends in _by, which is for deadlines; these have an instant",
            "lists.A.map.seen.ship_by: uses `rows`, expected one of: row",
        ]
    );
    let foreign = DESK.replace("url = \"tickets\"", "url = \"//evil.example/\"");
    assert_eq!(
        problems(&foreign),
        [
            "lists.tickets.request.url: found `//evil.example/`, expected a place seen from `base`, on the same server"
        ]
    );
    // A window that is closed, and no count: rows would be lost.
    let lossy = DESK.replace("total = \"data.total\"\n", "");
    assert!(
        problems(&lossy)[0].starts_with("lists.tickets.total: is missing: a window that ends at"),
        "{:?}",
        problems(&lossy)
    );
    let plain = DESK
        .replace("https://tickets.example", "http://tickets.lan")
        .replace("auth", "plain_http = true\nauth");
    assert_eq!(problems(&plain).len(), 1);
    assert!(problems(&plain)[0].starts_with("plain_http: everybody on the way"), "a warning");
}

/// The examples that are tried against the real servers in tests/real.
#[test]
fn the_examples_are_taken() {
    for (name, text) in [
        ("rt", include_str!("../../../../config/examples/rt.toml")),
        ("medusa", include_str!("../../../../config/examples/medusa.toml")),
    ] {
        let table: toml::Table = toml::from_str(text).unwrap();
        let section = table["sources"][name]["http"].clone();
        let config: HttpConfig = section.try_into().unwrap();
        let mut problems = Problems::new();
        config.check(&mut problems);
        assert_eq!(
            problems.into_vec().iter().map(|p| format!("{}: {}", p.path, p.text)).collect::<Vec<_>>(),
            [""; 0]
        );
    }
}

/// What the manual shows is taken as it stands.
#[test]
fn the_manual_is_right() {
    let manual = include_str!("../../../../docs/http-source.md");
    let blocks: Vec<&str> =
        manual.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 2);
    let table: toml::Table = toml::from_str(&blocks.concat()).unwrap();
    let config: HttpConfig = table["sources"]["tickets"]["http"].clone().try_into().unwrap();
    let mut problems = Problems::new();
    config.check(&mut problems);
    let told: Vec<String> = problems.into_vec().iter().map(|p| format!("{}: {}", p.path, p.text)).collect();
    assert!(told.len() == 1 && told[0].starts_with("lists.open.sample: cannot be read"), "{told:?}");
}

#[test]
fn a_sample_proves_the_mapping() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.json");
    let with = DESK.replace("page_size = 2", &format!("page_size = 2\nsample = \"{}\"", file.display()));
    assert!(problems(&with)[0].contains("lists.tickets.sample: cannot be read"), "{:?}", problems(&with));
    let good = r#"{"id":9007199254740993,"updated":1767578400,"created":1767571200,"state":1}"#;
    std::fs::write(&file, page_of(good)).unwrap();
    assert_eq!(problems(&with), [""; 0]);
    let origin = Origin { source: "desk".to_owned(), shop: None };
    assert_eq!(
        config(&with).shown(origin),
        [
            "tickets: desk ticket 9007199254740993 as of 2026-01-05T02:00:00Z  opened=2026-01-05T00:00:00Z  status=\"open\""
        ]
    );
    let bad = r#"{"id":1,"updated":"soon","created":0,"state":1},{"id":2,"updated":1,"created":0,"state":1},{"id":3,"updated":1767578400,"state":1}"#;
    std::fs::write(&file, page_of(bad)).unwrap();
    assert_eq!(
        problems(&with),
        [
            "lists.tickets.map.modified: row 1 of the sample: found `soon`, expected an instant",
            "lists.tickets.map.modified: row 2 of the sample: found 1, expected an instant",
            "lists.tickets.map.marks.opened: row 3 of the sample: found nothing, expected a value, or an expression that \
             ends in `| default(none)`",
        ]
    );
    std::fs::write(&file, "{\"code\":0,\"rows\":[]}").unwrap();
    assert_eq!(
        problems(&with),
        ["lists.tickets.sample: found no list at items = \"data.rows\"; the answer has: code, rows"]
    );
    std::fs::write(&file, "<html>").unwrap();
    assert_eq!(problems(&with), ["lists.tickets.sample: is no page: malformed (html)"]);
}

#[test]
fn buyers_stay_outside() {
    let row = r#"{"id":1,"updated":1767578400,"created":0,"state":1,"buyer":{"name":"张三","phone":"13912345678"}}"#;
    let page = read(&json(DESK), page_of(row)).unwrap();
    let shown = format!("{page:?}");
    assert!(!shown.contains("张三") && !shown.contains("13912345678"), "{shown}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read(&json(DESK), bytes).ok();
    }

    /// Any value in any field: the page is read, and each row is used or counted.
    #[test]
    fn no_value_makes_it_panic(field in 0usize..8, value in prop::sample::select(vec![
        "null", "0", "-1", "1e400", "1.5", "\"\"", "\"x\"", "[]", "{}", "true", "9223372036854775807", "[[[[[]]]]]",
        "18446744073709551615", "99999999999999999999999", "\"2026-02-30 00:00:00\"", "\"99999999999999999999\"",
        "[null]", "[{}]", "[{\"by\":1,\"at\":1,\"id\":null}]", "-9223372036854775808", "1e18", "\"\\u0000\"",
    ])) {
        let names = ["id", "updated", "created", "state", "amount", "closed", "level", "talk"];
        let mut row: Value = serde_json::from_str(r#"{"id":1,"updated":1767578400,"created":0,"state":1}"#).unwrap();
        if let Ok(value) = serde_json::from_str(value) {
            row[names[field]] = value;
        }
        let page = read(&json(DESK), page_of(&row.to_string())).unwrap();
        prop_assert_eq!(page.items.len() + page.rejects.len(), 1);
    }
}
