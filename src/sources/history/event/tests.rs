use proptest::prelude::*;

use super::*;

const HEAD: &str = r#""at":"2026-03-02T10:00:00Z","source":"s","kind":"ticket","id":"1""#;

fn line(rest: &str) -> String {
    format!("{{{HEAD}{rest}}}")
}

fn parsed(text: &str) -> Event<'_> {
    Event::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn an_event_borrows_from_its_line() {
    let text = line(
        r#","event":"opened","ref":"m1","rev":7,"removed":true,"as_of":"2026-03-02T18:00:01+08:00",
        "attrs":{"vip":true,"items":2,"value":72.5,"to":"RR","none":null,"big":18446744073709551615}"#,
    );
    let event = parsed(&text);
    assert_eq!(event.at, Instant::from_secs(1_772_445_600));
    assert!(matches!(event.source, Cow::Borrowed("s")));
    assert_eq!(event.revision, 7);
    assert_eq!(event.as_of, Some(Instant::from_secs(1_772_445_601)));
    assert_eq!(
        event.told,
        Told::Event { name: "opened".into(), reference: Some("m1".into()), removed: true }
    );
    assert_eq!(
        event.attrs,
        [
            ("vip".into(), Value::Bool(true)),
            ("items".into(), Value::Int(2)),
            ("value".into(), Value::Real(72.5)),
            ("to".into(), Value::Text("RR".into())),
            ("big".into(), Value::Text("18446744073709551615".into())),
        ]
    );
}

#[test]
fn escapes_and_whole_number_ids_are_read() {
    let text = r#"{"\u0061t":"2026-03-02T10:00:00Z","source":"\u6296音","kind":"k","id":18446744073709551615,"event":"a\"b"}"#;
    let event = parsed(text);
    assert_eq!(event.source, "抖音");
    assert_eq!(event.id, "18446744073709551615");
    assert_eq!(event.told, Told::Event { name: "a\"b".into(), reference: None, removed: false });
}

#[test]
fn a_snapshot_carries_marks() {
    let text = line(
        r#","revision":3,"marks":[{"name":"opened","at":"2026-03-02T09:00:00Z"},
        {"name":"agent_reply","at":"2026-03-02T09:30:00Z","ref":"m2","removed":true}]"#,
    );
    let event = parsed(&text);
    assert_eq!(event.revision, 3);
    let Told::Marks(marks) = event.told else { panic!("a snapshot") };
    assert_eq!(marks.len(), 2);
    assert_eq!(marks[1].reference.as_deref(), Some("m2"));
    assert!(marks[1].removed && !marks[0].removed);
}

#[test]
fn what_is_no_event_says_why() {
    let event = |rest: &str| line(&format!(r#","event":"e"{rest}"#));
    let at = |at: &str| format!(r#"{{"at":"{at}","source":"s","kind":"k","id":"1","event":"e"}}"#);
    for (text, want) in [
        (String::new(), "EOF while parsing a value"),
        ("garbage".into(), "expected value (column 1)"),
        ("[1]".into(), "invalid type: sequence, expected a JSON object"),
        ("3".into(), "expected a JSON object"),
        (line(""), "neither `event` nor `marks`"),
        (event(r#","marks":[]"#), "exclude each other"),
        (event(r#","colour":"red""#), "unknown key `colour`, expected one of at, source"),
        (event(r#","id":"2""#), "`id` is there twice"),
        (event(r#","attrs":{"a":1,"a":2}"#), "attrs: `a` is there twice"),
        (event(r#","attrs":{"lines":[1]}"#), "attrs: lines: a list is not kept"),
        (event(r#","attrs":{"to":{"x":1}}"#), "attrs: to: a nested object is not kept"),
        (event(r#","attrs":{"x":NaN}"#), "attrs: x: expected value"),
        (event(r#","attrs":{"x":1e999}"#), "attrs: x: number out of range"),
        (event(r#","attrs":{"x":-Infinity}"#), "attrs: x: invalid number"),
        (event(r#","attrs":{"x":123456789012345678901234567890}"#), "too large to stay exact"),
        (event(r#","attrs":3"#), "attrs: invalid type: integer `3`"),
        (event(r#","rev":1.5"#), "rev: invalid type: floating point `1.5`"),
        (event(r#","rev":18446744073709551615"#), "rev: invalid value"),
        (event(r#","removed":"yes""#), "removed: invalid type"),
        (event(" } {"), "trailing characters"),
        (line(r#","event":"""#), "event: is empty"),
        (line(&format!(r#","event":"{}""#, "x".repeat(600))), "event: has 600 bytes"),
        (line(r#","marks":[{"name":"a"}]"#), "marks: entry 1: `at` is missing"),
        (
            line(r#","marks":[{"name":"a","at":"2026-03-02T09:00:00Z","x":1}]"#),
            "marks: entry 1: unknown key `x`",
        ),
        (line(r#","marks":[],"ref":"1""#), "belong inside"),
        (at("9999-12-30T00:00:00Z"), "at: 9999-12-30T00:00:00Z lies outside 2000–2096"),
        (at("0000-01-01T00:00:00Z"), "at: 0000-01-01T00:00:00Z lies outside 2000–2096"),
        (at("1970-01-01T00:00:00Z"), "lies outside"),
        (at("2026-03-02 10:00:00"), "is not an instant"),
        (
            r#"{"at":1772445600,"source":"s","kind":"k","id":"1","event":"e"}"#.into(),
            "expected an RFC 3339 text",
        ),
        (r#"{"source":"s","kind":"k","id":"1","event":"e"}"#.into(), "`at` is missing"),
    ] {
        let got = Event::parse(text.as_bytes()).expect_err(&text);
        assert!(got.contains(want), "{text}\n got: {got}\nwant: {want}");
    }
    let gbk = b"{\"at\":\"\xC4\xE3\"}";
    assert!(Event::parse(gbk).expect_err("GBK").starts_with("not UTF-8 from byte 8 on"));
}

#[test]
fn the_number_of_attributes_is_bounded() {
    let attrs = |n: usize| (0..n).map(|i| format!("\"a{i}\":1")).collect::<Vec<_>>().join(",");
    let text = |n| line(&format!(r#","event":"e","attrs":{{{}}}"#, attrs(n)));
    assert_eq!(parsed(&text(MAX_ATTRS)).attrs.len(), MAX_ATTRS);
    assert!(Event::parse(text(MAX_ATTRS + 1).as_bytes()).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Event::parse(&bytes).map(drop);
    }

    #[test]
    fn no_damage_to_a_line_makes_it_panic(
        cut in 0usize..300, place in 0usize..300, byte in any::<u8>(), number in any::<f64>()
    ) {
        let mut bytes = line(&format!(
            r#","event":"opened","ref":"é\u00e9","rev":-3,"attrs":{{"n":{number},"t":"\ud83d\ude00","z":null}}"#
        )).into_bytes();
        if let Some(target) = bytes.get_mut(place) {
            *target = byte;
        }
        bytes.truncate(bytes.len().saturating_sub(cut));
        let _ = Event::parse(&bytes).map(drop);
    }
}
