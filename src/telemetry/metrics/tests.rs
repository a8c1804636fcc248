use super::*;

fn known() -> Known {
    Known {
        channels: ["ops-mail".into()].into(),
        families: ["ticket.reply".into()].into(),
        teams: ["after-sales".into()].into(),
    }
}

fn metrics() -> Metrics {
    let metrics = Metrics::new(known()).expect("every name is there once");
    metrics.source_begins("tmall", &["answered", "throttled"]);
    metrics
}

/// The value of one series, as it stands on the page.
fn value(metrics: &Metrics, series: &str) -> Option<String> {
    let page = metrics.text().expect("a page");
    page.lines().find_map(|line| Some(line.strip_prefix(series)?.strip_prefix(' ')?.to_owned()))
}

#[test]
fn the_names_on_the_page() {
    let page = metrics().text().expect("a page");
    let names: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter(|l| l.starts_with("shiftbell"))
        .collect();
    insta::assert_snapshot!(names.join("\n"));
    assert!(page.contains("\nprocess_resident_memory_bytes "), "the standard series keep their names");
    assert!(page.contains(concat!("shiftbell_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1\n")));
}

#[test]
fn names_have_units_and_counters_end_in_total() {
    let page = metrics().text().expect("a page");
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').expect("a name and a kind");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
        assert!(kind != "histogram" || name.ends_with("_seconds"), "{line}");
        assert!(page.contains(&format!("# HELP {name} ")), "{name} has no help");
    }
}

#[test]
fn every_count_moves_one_series_that_began_at_zero() {
    let metrics = metrics();
    let after = Span::from_secs(3);
    let (channel, family): (Arc<str>, Arc<str>) = ("ops-mail".into(), "ticket.reply".into());
    let (class, sms) = (Class::P1, ChannelClass::Sms);
    let cases: Vec<(Count, &str)> = vec![
        (Count::NoticePlanned { class }, "notices_planned_total{class=\"p1\"}"),
        (
            Count::Discharged { class, channel: sms, after },
            "notice_discharge_seconds_count{channel=\"sms\",class=\"p1\"}",
        ),
        (
            Count::CrossingToAccept { family: family.clone(), class, after },
            "crossing_to_accept_seconds_count{class=\"p1\",family=\"ticket.reply\"}",
        ),
        (
            Count::Attempt { channel: channel.clone(), class, outcome: OutcomeClass::Throttled, after },
            "send_attempts_total{channel=\"ops-mail\",class=\"p1\",outcome=\"throttled\"}",
        ),
        (
            Count::DuplicatePossible { channel: channel.clone(), cause: "timeout" },
            "duplicates_possible_total{cause=\"timeout\",channel=\"ops-mail\"}",
        ),
        (
            Count::DeadLetter { family: family.clone(), reason: Cause::NoLane },
            "deadletter_total{family=\"ticket.reply\",reason=\"no_lane\"}",
        ),
        (
            Count::Fallback { from: ChannelClass::ChatApp, to: sms, reason: "silence" },
            "fallback_total{from=\"chat_app\",reason=\"silence\",to=\"sms\"}",
        ),
        (Count::Escalated { level: 2, reason: "time" }, "escalations_total{level=\"2\",reason=\"time\"}"),
        (Count::Acked { level: 1, after }, "ack_seconds_count{level=\"1\"}"),
        (Count::AckLapsed, "ack_lapsed_total"),
        (Count::Suppressed { cause: Cause::Folded }, "suppressed_total{cause=\"folded\"}"),
        (Count::BudgetOverflow { channel }, "budget_overflow_total{channel=\"ops-mail\"}"),
        (Count::StaleTimer, "stale_timers_total"),
        (Count::RenderFault, "render_faults_total"),
    ];
    for (count, series) in cases {
        let series = format!("shiftbell_{series}");
        assert_eq!(value(&metrics, &series).as_deref(), Some("0"), "{series} before");
        metrics.apply(&count);
        assert_eq!(value(&metrics, &series).as_deref(), Some("1"), "{series} after");
    }
}

#[test]
fn what_is_outside_its_set_makes_no_series() {
    let metrics = metrics();
    let lines = metrics.text().expect("a page").lines().count();
    for n in 0..50 {
        let name: Arc<str> = format!("made-up-{n}").into();
        metrics.apply(&Count::BudgetOverflow { channel: name.clone() });
        metrics.apply(&Count::DeadLetter { family: name.clone(), reason: Cause::Failed });
        metrics.canary(&name, Span::ZERO);
    }
    assert_eq!(metrics.text().expect("a page").lines().count(), lines);
    assert_eq!(value(&metrics, "shiftbell_budget_overflow_total{channel=\"other\"}").as_deref(), Some("50"));
    metrics.know(Known { channels: ["sms-a".into()].into(), ..Known::default() });
    metrics.apply(&Count::BudgetOverflow { channel: "sms-a".into() });
    assert_eq!(value(&metrics, "shiftbell_budget_overflow_total{channel=\"sms-a\"}").as_deref(), Some("1"));
}

#[test]
fn gauges_show_the_last_snapshot() {
    let metrics = metrics();
    let mut now = Snapshot {
        notices: [(NoticeState::Open, 3)].into(),
        outbox: [((Class::P0, MessageState::Ready), 2)].into(),
        outbox_oldest: [(Class::P0, Span::from_millis(1500))].into(),
        breakers: [("ops-mail".into(), BreakerState::Open)].into(),
        on_duty: [(("after-sales".into(), 1), 4)].into(),
        roster_gap: Some(Span::HOUR),
        config_revision: 7,
        ..Snapshot::default()
    };
    metrics.set(&now);
    for (series, want) in [
        ("notices{state=\"open\"}", "3"),
        ("notices{state=\"dead\"}", "0"),
        ("outbox_depth{class=\"p0\",state=\"ready\"}", "2"),
        ("outbox_oldest_seconds{class=\"p0\"}", "1.5"),
        ("breaker_state{channel=\"ops-mail\"}", "2"),
        ("on_duty{level=\"1\",team=\"after-sales\"}", "4"),
        ("roster_gap_seconds_ahead", "3600"),
        ("config_revision", "7"),
        ("config_last_reload_ok", "0"),
    ] {
        assert_eq!(value(&metrics, &format!("shiftbell_{series}")).as_deref(), Some(want), "{series}");
    }
    now.notices.clear();
    now.roster_gap = None;
    metrics.set(&now);
    assert_eq!(value(&metrics, "shiftbell_notices{state=\"open\"}").as_deref(), Some("0"));
    assert_eq!(value(&metrics, "shiftbell_roster_gap_seconds_ahead").as_deref(), Some("inf"));
}

/// The sources are those that are polled: what says something of another makes no series.
#[test]
fn a_source_has_series_while_it_is_polled() {
    let metrics = metrics();
    let of = |name: &str, more: &str| {
        value(&metrics, &format!("shiftbell_source_{name}{{{more}source=\"tmall\"}}"))
    };
    let begun = ["blind", "age_seconds", "skew_seconds", "rejects_total"];
    assert_eq!(begun.map(|name| of(name, "")), [(); 4].map(|()| Some("0".to_owned())), "from the first on");
    let lines = metrics.text().expect("a page").lines().count();
    metrics.source("tmall", SourceState { blind: true, age: Span::MINUTE, skew_ms: -1500 });
    metrics.source_rejected("tmall", 3);
    for result in ["answered", "throttled", "throttled", "made-up"] {
        metrics.source_asked("tmall", result);
    }
    // A task that begins anew takes nothing away; a gauge is not set by other gauges.
    metrics.source_begins("tmall", &["answered", "throttled"]);
    metrics.set(&Snapshot::default());
    metrics.know(known());
    assert_eq!(begun.map(|name| of(name, "")), ["1", "60", "-1.5", "3"].map(|v| Some(v.to_owned())));
    for (result, want) in [("answered", "1"), ("throttled", "2"), ("other", "1")] {
        assert_eq!(of("requests_total", &format!("result=\"{result}\",")).as_deref(), Some(want), "{result}");
    }
    for name in ["never-begun", "other"] {
        metrics.source(name, SourceState::default());
        metrics.source_asked(name, "answered");
        metrics.source_rejected(name, 1);
    }
    assert_eq!(metrics.text().expect("a page").lines().count(), lines, "no other series");
    metrics.source_ends("tmall");
    metrics.source("tmall", SourceState { blind: true, ..SourceState::default() });
    metrics.source_asked("tmall", "answered");
    metrics.source_rejected("tmall", 1);
    let page = metrics.text().expect("a page");
    assert!(!page.contains("tmall"), "{page}");
}
