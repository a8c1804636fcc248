//! Calendars in the styles people download, and texts that are none.

use super::*;

fn lines(list: &[HolidayConfig]) -> Vec<String> {
    list.iter()
        .map(|h| match (&h.date, &h.from, &h.to) {
            (Some(date), _, _) => format!("{} {}", date.0, h.name),
            (_, Some(from), Some(to)) => format!("{}..{} {}", from.0, to.0, h.name),
            _ => panic!("{h:?}"),
        })
        .collect()
}

fn event(lines: &str) -> String {
    format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:x\n{lines}\nEND:VEVENT\nEND:VCALENDAR\n")
}

#[test]
fn google_style() {
    let text = include_str!("../../../tests/fixtures/calendar/google_style.ics");
    let (set, warnings) = parse_holidays(text).unwrap();
    assert_eq!(set.title.as_deref(), Some("Holidays in China"));
    assert_eq!(set.covers, CoversConfig("2026-01-01".into(), "2026-12-31".into()));
    assert_eq!(
        lines(&set.days_off),
        ["2026-01-01 New Year's Day", "2026-02-15..2026-02-23 Spring Festival Golden Week holiday"]
    );
    assert_eq!(lines(&set.makeup_days), ["2026-01-04 Special Working Day"]);
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn officeholidays_style() {
    let text = include_str!("../../../tests/fixtures/calendar/officeholidays_style.ics");
    let (set, warnings) = parse_holidays(text).unwrap();
    assert_eq!(set.covers, CoversConfig("2025-01-01".into(), "2028-12-31".into()));
    assert_eq!(
        lines(&set.days_off),
        [
            "2025-12-25 Christmas Day",
            "2026-01-01 New Year's Day",
            "2026-02-16..2026-02-17 Carnival",
            "2026-12-25 Christmas Day",
            "2027-02-08..2027-02-09 Carnival",
            "2028-02-28..2028-02-29 Carnival",
            "2028-12-25 Christmas Day",
        ]
    );
    assert_eq!(warnings.len(), 2);
    assert!(warnings[0].contains("`Ash Wednesday (until noon)` is not a whole-day event"), "{warnings:?}");
    assert!(warnings[1].contains("is cancelled"), "{warnings:?}");
}

#[test]
fn chinese_style() {
    let text = include_str!("../../../tests/fixtures/calendar/cn_style.ics");
    let (set, warnings) = parse_holidays(text).unwrap();
    assert_eq!(
        lines(&set.days_off),
        ["2026-05-01..2026-05-05 劳动节 放假, 共5天", "2026-10-01..2026-10-07 国庆节 休"]
    );
    assert_eq!(lines(&set.makeup_days), ["2026-09-20 国庆节 补班", "2026-10-10 国庆节(班)"]);
    assert_eq!(warnings, [""; 0]);
    // The set is one that compiles.
    let mut problems = crate::core::problem::Problems::new();
    set.check(&mut problems);
    assert_eq!(problems.into_vec(), []);
}

#[test]
fn recurrences() {
    for (text, count, first, last) in [
        ("DTSTART;VALUE=DATE:20260501\nRRULE:FREQ=YEARLY", 74, "2026-05-01", "2099-05-01"),
        ("DTSTART;VALUE=DATE:19490101\nRRULE:FREQ=YEARLY;COUNT=60", 10, "1999-01-01", "2008-01-01"),
        // Thanksgiving.
        (
            "DTSTART;VALUE=DATE:20241128\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH;COUNT=3",
            3,
            "2024-11-28",
            "2026-11-26",
        ),
        (
            "DTSTART;VALUE=DATE:20260101\nRRULE:FREQ=DAILY;UNTIL=20260103T160000Z",
            3,
            "2026-01-01",
            "2026-01-03",
        ),
        ("DTSTART;VALUE=DATE:20240229\nRRULE:FREQ=YEARLY;COUNT=3", 3, "2024-02-29", "2032-02-29"),
        (
            "DTSTART;VALUE=DATE:20260102\nRDATE;VALUE=DATE:20260102,20270102\nEXDATE:20260102T000000Z",
            1,
            "2027-01-02",
            "2027-01-02",
        ),
    ] {
        let (set, warnings) = parse_holidays(&event(text)).unwrap_or_else(|e| panic!("{text}: {e}"));
        let all = lines(&set.days_off);
        let ends = all.first().zip(all.last()).map(|(a, b)| (&a[..10], &b[..10]));
        assert_eq!((all.len(), ends), (count, Some((first, last))), "{text} {warnings:?}");
    }
}

#[test]
fn left_out_with_a_warning() {
    for (text, want) in [
        ("DTSTART;VALUE=DATE:20260101\nRRULE:FREQ=SECONDLY", "FREQ=SECONDLY is not for whole days"),
        ("DTSTART;VALUE=DATE:20260101\nRRULE:FREQ=DAILY;BYHOUR=1", "BYHOUR"),
        ("DTSTART;VALUE=DATE:20260101\nRRULE:nonsense", "no rule part"),
        ("DTSTART;VALUE=DATE:20260101\nRRULE:FREQ=YEARLY;UNTIL=soon", "UNTIL=SOON"),
        ("DTSTART;VALUE=DATE:20260101\nRRULE:FREQ=YEARLY;BYMONTH=99", "RRULE was left out"),
        ("DTSTART;VALUE=DATE:20260101\nEXDATE:never", "EXDATE `never` is not a date"),
        ("DTSTART;VALUE=DATE:20260101\nRECURRENCE-ID;VALUE=DATE:20260102", "event of its own"),
    ] {
        let (_, warnings) = parse_holidays(&event(text)).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert!(warnings.iter().any(|w| w.contains(want)), "{text}: {warnings:?}");
    }
    for text in [
        "",
        "DTSTART:20260101T090000Z",
        "DTSTART;VALUE=DATE:20261301",
        "DTSTART;VALUE=DATE:20260101\nDTEND;VALUE=DATE:20251231",
        "DTSTART;VALUE=DATE:20260101\nDTEND;VALUE=DATE:20990101",
        "DTSTART;VALUE=DATE:20260101\nDURATION:PT5H",
        "DTSTART;VALUE=DATE:20260101\nDURATION:P99999W",
        "DTSTART;VALUE=DATE:18000101\nRRULE:FREQ=DAILY",
        "DTSTART;VALUE=DATE:99990101",
    ] {
        assert_eq!(parse_holidays(&event(text)), Err(IcsError::NoDates), "{text}");
    }
}

#[test]
fn texts_that_are_no_calendars() {
    let nested = "BEGIN:VCALENDAR\n".repeat(100_000);
    let cases: [(&str, String, &str); 12] = [
        ("empty", String::new(), "expected `BEGIN:VCALENDAR`"),
        ("html", "<!DOCTYPE html><html>".into(), "begins with `<!DOCTYPE html><html`"),
        ("binary", "PK\u{3}\u{4}\0\0\0".into(), "begins with `PK`"),
        ("multibyte", "日历日历日历日历".into(), "begins with"),
        (
            "cut off",
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260101".into(),
            "line 3: the file ends inside of VEVENT",
        ),
        (
            "crossed",
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR\nEND:VEVENT".into(),
            "line 3: END:VCALENDAR",
        ),
        ("no name", "BEGIN:VCALENDAR\nBEGIN:\nEND:\nEND:VCALENDAR".into(), "line 2: BEGIN"),
        ("deep", nested, "nested more than 8 deep"),
        ("long", "x".repeat(MAX_BYTES + 1), "expected at most"),
        ("long line", event(&format!("DTSTART:{}", "1".repeat(5 << 20))), "line 4 has more than"),
        ("long folds", event(&format!("DTSTART:\n{}", " 1111111\n".repeat(100_000))), "line 4 has more than"),
        ("no events", "BEGIN:VCALENDAR\nEND:VCALENDAR".into(), "no whole-day event"),
    ];
    for (name, text, want) in cases {
        let error = parse_holidays(&text).unwrap_err().to_string();
        assert!(error.contains(want), "{name}: {error}");
        assert!(error.len() < 300, "{name}: {error}");
    }
}

#[test]
fn bounded() {
    let many: String = (0..30_000)
        .map(|i| {
            let date = date(2000, 1, 1).saturating_add(i.days());
            format!("BEGIN:VEVENT\nSUMMARY:x\nDTSTART;VALUE=DATE:{}\nEND:VEVENT\n", date.strftime("%Y%m%d"))
        })
        .collect();
    let text = format!("BEGIN:VCALENDAR\n{many}END:VCALENDAR");
    assert_eq!(parse_holidays(&text), Err(IcsError::TooManyDates));
    let daily = event("DTSTART;VALUE=DATE:20000101\nRRULE:FREQ=DAILY");
    assert_eq!(parse_holidays(&daily), Err(IcsError::TooManyDates));
    // Rules that never come true, rules without a step, and very many rules.
    for rule in [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=YEARLY;INTERVAL=65535;BYDAY=MO",
        "FREQ=DAILY;COUNT=4294967295",
    ] {
        let text = event(&format!("DTSTART;VALUE=DATE:19000101\n{}", format!("RRULE:{rule}\n").repeat(400)));
        assert_eq!(parse_holidays(&text), Err(IcsError::TooManyDates), "{rule}");
    }
    let timed = "BEGIN:VEVENT\nDTSTART:20260101T090000Z\nEND:VEVENT\n".repeat(1000);
    let whole = "BEGIN:VEVENT\nDTSTART:20260101\nEND:VEVENT\n";
    let (_, warnings) = parse_holidays(&format!("BEGIN:VCALENDAR\n{whole}{timed}END:VCALENDAR")).unwrap();
    assert_eq!((warnings.len(), warnings[MAX_WARNINGS].as_str()), (MAX_WARNINGS + 1, "and 950 more"));
}

proptest::proptest! {
    #[test]
    fn never_a_panic(text in "\\PC{0,200}", lines in proptest::collection::vec(
        "(BEGIN:VEVENT|END:VEVENT|DTSTART|DTSTART;VALUE=DATE|RRULE|SUMMARY|DURATION|EXDATE|DTEND)[:;=]?[A-Z0-9;=,\\-: ]{0,20}", 0..20))
    {
        let _any = parse_holidays(&text);
        let _any = parse_holidays(&format!("BEGIN:VCALENDAR\n{}\nEND:VCALENDAR", lines.join("\n")));
        let _any = parse_holidays(&event(&lines.join("\n")));
        let _any = recur(date(2026, 1, 1), &text, &mut 0);
    }
}
