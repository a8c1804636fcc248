//! The rules of parcels as they are shipped (`config/policies/parcels.toml`, `logistics` 6), each by a row: what is said of
//! a case, when it rings after that and not before, and what ends it.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::alerting::AlertingConfig;
use crate::core::calendar::Era;
use crate::core::clock::PolicyConfig;
use crate::core::engine::{Changes, Engine, Verdict};
use crate::core::model::{Mark, Observation, Value};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};

const START: Instant = Instant::from_secs(1_772_380_800);
const SHIPPED: &str = include_str!("../../../config/policies/parcels.toml");
/// So long is looked ahead, in hours.
const LONG: i64 = 1000;

pub(super) fn policy() -> PolicyConfig {
    let mut file: toml::Table = toml::from_str(SHIPPED).expect("the shipped file");
    // Who is told how is of another room.
    file.remove("alerting");
    file.try_into().expect("the shipped policy")
}

pub(super) fn alerting() -> AlertingConfig {
    let file: toml::Table = toml::from_str(SHIPPED).expect("the shipped file");
    file["alerting"].clone().try_into().expect("the shipped families")
}

fn at(hours: i64) -> Instant {
    START + Span::HOUR.times(hours)
}

/// `picked_up status=in_transit attempts=2 detour=true deliver_by@30`: seen at an hour.
fn observation(kind: &'static str, hour: i64, words: &str) -> Observation<'static> {
    let mut seen = Observation {
        source: "k".into(),
        kind: kind.into(),
        id: "P1".into(),
        as_of: at(hour),
        revision: hour,
        marks: Vec::new(),
        attributes: Vec::new(),
    };
    for word in words.split_whitespace() {
        if let Some((name, value)) = word.split_once('=') {
            let value = match (value, value.parse::<i64>()) {
                ("true" | "false", _) => Value::Bool(value == "true"),
                (_, Ok(number)) => Value::Int(number),
                _ => Value::Text(value.to_owned().into()),
            };
            seen.attributes.push((name.to_owned().into(), value));
        } else {
            let (name, hours) = word.split_once('@').unwrap_or((word, ""));
            let hour = hours.parse().unwrap_or(hour);
            let mark = Mark { name: name.to_owned().into(), reference: None, at: at(hour), removed: false };
            seen.marks.push(mark);
        }
    }
    seen
}

struct Story {
    engine: Engine,
    rung: Vec<(String, String, i64)>,
}

impl Story {
    fn new(policy: &PolicyConfig) -> Story {
        let mut problems = Problems::new();
        let engine = Engine::new("desk", policy, Some(START), Era::DEFAULT, &mut problems);
        let problems = problems.into_vec();
        assert_eq!(problems.iter().map(|p| format!("{}: {}", p.path, p.text)).collect::<Vec<_>>(), [""; 0]);
        Story { engine: engine.expect("the shipped policy compiles"), rung: Vec::new() }
    }

    fn take(&mut self, changes: &Changes) {
        for crossing in &changes.crossings {
            if !matches!(crossing.verdict, Verdict::PassedBeforeAttach | Verdict::Held { .. }) {
                let hour = crossing.at.since(START).as_secs() / 3600;
                self.rung.push((crossing.cycle.clock.to_string(), crossing.ring_name.to_string(), hour));
            }
        }
    }

    fn until(&mut self, hour: i64) {
        while let Some(wake) = self.engine.next_wake().filter(|wake| *wake <= at(hour)) {
            let changes = self.engine.advance(wake);
            self.take(&changes);
        }
    }

    fn see(&mut self, kind: &'static str, hour: i64, words: &str) {
        self.until(hour);
        let changes = self.engine.observe(&observation(kind, hour, words), at(hour));
        assert_eq!(changes.refused, None);
        self.take(&changes);
    }

    fn rings(&self, rule: &str) -> Vec<(&str, i64)> {
        let of_rule = self.rung.iter().filter(|(clock, ..)| clock == rule);
        of_rule.map(|(_, ring, hour)| (ring.as_str(), *hour)).collect()
    }

    fn is_open(&self, kind: &str, rule: &str) -> bool {
        let Some(case) = self.engine.case("k", kind, "P1") else { return false };
        let name = self.engine.symbols().get(rule);
        case.cycles(self.engine.now()).iter().any(|c| Some(c.clock) == name && c.state.is_open())
    }
}

/// A rule: what is said when, what rings when, and what ends it.
type Row = (
    &'static str,
    &'static str,
    &'static [(i64, &'static str)],
    &'static [(&'static str, i64)],
    &'static str,
);

const MOVING: &str = "last_scan status=in_transit direction=out";

const TABLE: &[Row] = &[
    (
        "ship",
        "order",
        &[(0, "paid")],
        &[("50%", 24), ("6h before", 42), ("due", 48), ("24h after", 72)],
        "shipped",
    ),
    (
        "ship",
        "order",
        &[(0, "paid ship_by@30")],
        &[("50%", 15), ("6h before", 24), ("due", 30), ("24h after", 54)],
        "refunded",
    ),
    ("pick_up", "order", &[(0, "shipped")], &[("75%", 18), ("due", 24)], "picked_up"),
    ("pick_up", "order", &[(0, "shipped"), (3, "tracked=true")], &[], ""),
    (
        "r02_pick_up",
        "parcel",
        &[(0, "shipped direction=out")],
        &[("4h before", 20), ("due", 24), ("24h after", 48)],
        "picked_up",
    ),
    ("r02_pick_up", "parcel", &[(0, "shipped direction=return")], &[], ""),
    (
        "r03_move_on",
        "parcel",
        &[(0, "picked_up")],
        &[("6h before", 18), ("due", 24), ("24h after", 48)],
        "moved_on",
    ),
    ("r04_transit", "parcel", &[(0, MOVING)], &[("75%", 54), ("due", 72)], "delivered"),
    (
        "r04_transit",
        "parcel",
        &[(0, MOVING), (50, "last_scan")],
        &[("75%", 104), ("due", 122)],
        "status=at_destination",
    ),
    (
        "r04_transit",
        "parcel",
        &[(0, "last_scan status=in_transit same_province=true")],
        &[("75%", 36), ("due", 48)],
        "status=out_for_delivery",
    ),
    (
        "r04_transit",
        "parcel",
        &[(0, "last_scan status=in_transit province=新疆")],
        &[("75%", 90), ("due", 120)],
        "returning",
    ),
    // A pause for the weather, two days long; nothing was heard for a day.
    (
        "r04_transit",
        "parcel",
        &[(0, MOVING), (10, "waits=force_majeure"), (58, "waits=none")],
        &[("75%", 102), ("due", 120)],
        "delivered",
    ),
    (
        "r04_transit",
        "parcel",
        &[(0, MOVING), (10, "fresh=false"), (34, "fresh=true")],
        &[("75%", 78), ("due", 96)],
        "delivered",
    ),
    (
        "r05_silent",
        "parcel",
        &[(0, MOVING)],
        &[("48h before", 72), ("due", 120), ("120h after", 240)],
        "delivered",
    ),
    (
        "r05_silent",
        "parcel",
        &[(0, MOVING), (20, "last_scan at_pickup_point status=at_pickup_point")],
        &[],
        "",
    ),
    (
        "r06_not_out",
        "parcel",
        &[(0, "at_destination")],
        &[("6h before", 18), ("due", 24), ("24h after", 48)],
        "out_for_delivery",
    ),
    (
        "r07_not_handed_over",
        "parcel",
        &[(0, "out_for_delivery")],
        &[("22h before", 14), ("due", 36), ("12h after", 48)],
        "delivery_failed",
    ),
    ("r07_not_handed_over", "parcel", &[(0, "out_for_delivery"), (10, "delivery_failed")], &[], ""),
    (
        "r08_attempts",
        "parcel",
        &[(0, "attempts=1"), (24, "attempts=2 status=delivery_failed")],
        &[("due", 24)],
        "status=delivered",
    ),
    (
        "r08_attempts_3",
        "parcel",
        &[(0, "attempts=2"), (24, "attempts=3 status=delivery_failed")],
        &[("due", 24)],
        "status=at_pickup_point",
    ),
    (
        "r09_refused",
        "parcel",
        &[(0, "exception=none"), (5, "exception=refused")],
        &[("due", 5)],
        "exception=none",
    ),
    ("r10_address", "parcel", &[(5, "exception=address_problem")], &[("due", 5)], "exception=none"),
    (
        "r11_contact",
        "parcel",
        &[(5, "exception=contact_failed")],
        &[("12h before", 5), ("due", 17), ("12h after", 29)],
        "exception=none",
    ),
    ("r12_out_of_area", "parcel", &[(5, "exception=out_of_area")], &[("due", 5)], "exception=none"),
    ("r13_damaged", "parcel", &[(5, "exception=damaged")], &[("due", 5)], "exception=none"),
    ("r13_damaged", "parcel", &[(5, "exception=content_mismatch")], &[("due", 5)], "exception=none"),
    ("r14_lost", "parcel", &[(5, "exception=lost")], &[("due", 5)], "exception=none"),
    ("r14_missing", "parcel", &[(0, MOVING)], &[("due", 168)], "delivered"),
    (
        "r14_missing",
        "parcel",
        &[(0, "last_scan status=in_transit province=西藏")],
        &[("due", 240)],
        "at_pickup_point",
    ),
    (
        "r14_missing",
        "parcel",
        &[(0, MOVING), (20, "last_scan at_pickup_point status=at_pickup_point")],
        &[],
        "",
    ),
    (
        "r15_missort",
        "parcel",
        &[(5, "exception=missort")],
        &[("due", 5), ("24h after", 29)],
        "exception=none",
    ),
    ("r15_detour", "parcel", &[(5, "detour=true")], &[("due", 5), ("24h after", 29)], "detour=false"),
    (
        "r16_stranded",
        "parcel",
        &[(5, "exception=stranded")],
        &[("due", 5), ("24h after", 29)],
        "exception=none",
    ),
    ("prohibited", "parcel", &[(5, "exception=prohibited")], &[("due", 5)], "exception=none"),
    (
        "r17_not_collected",
        "parcel",
        &[(0, "at_pickup_point claimed_delivered=false")],
        &[("30h before", 18), ("due", 48), ("24h after", 72)],
        "returning",
    ),
    ("r17_not_collected", "parcel", &[(0, "at_pickup_point claimed_delivered=true")], &[], ""),
    (
        "r17_not_collected",
        "parcel",
        &[(0, "at_pickup_point claimed_delivered=true reports_collection=no")],
        &[],
        "",
    ),
    (
        "r17_not_collected",
        "parcel",
        &[(0, "at_pickup_point claimed_delivered=true reports_collection=yes")],
        &[("30h before", 18), ("due", 48), ("24h after", 72)],
        "delivered",
    ),
    (
        "r18_no_delivery_scan",
        "parcel",
        &[(5, "no_delivery_scan=true reports_delivery=yes")],
        &[("due", 5)],
        "no_delivery_scan=false",
    ),
    ("r18_no_delivery_scan", "parcel", &[(5, "no_delivery_scan=true reports_delivery=no")], &[], ""),
    ("r18_no_delivery_scan", "parcel", &[(5, "no_delivery_scan=true")], &[], ""),
    ("r19_elsewhere", "parcel", &[(5, "signed_elsewhere=true")], &[("due", 5)], "signed_elsewhere=false"),
    ("r19_early", "parcel", &[(5, "signed_early=true")], &[("due", 5)], "signed_early=false"),
    (
        "r20_moved_after_delivery",
        "parcel",
        &[(5, "moved_after_delivery=true")],
        &[("due", 5)],
        "moved_after_delivery=false",
    ),
    (
        "r21_return_stalled",
        "parcel",
        &[(0, "last_scan returning status=returning")],
        &[("48h before", 72), ("due", 120), ("120h after", 240)],
        "returned",
    ),
    (
        "r22_unexpected_return",
        "parcel",
        &[(0, "status=in_transit direction=out"), (5, "status=returning")],
        &[("due", 5)],
        "return_expected=true",
    ),
    (
        "r22_unexpected_return",
        "parcel",
        &[(0, "direction=out return_expected=true"), (5, "status=returning")],
        &[],
        "",
    ),
    (
        "r23_not_received",
        "parcel",
        &[(0, "status=delivered"), (5, "not_received=true")],
        &[("due", 5)],
        "not_received=false",
    ),
    ("r23_not_received", "parcel", &[(0, "status=in_transit"), (5, "not_received=true")], &[], ""),
    ("r24_locker", "parcel", &[(5, "locker_complaint=true")], &[("due", 5)], "locker_complaint=false"),
    ("r25_never_picked_up", "parcel", &[(0, "shipped")], &[("due", 48)], "picked_up"),
    ("r25_never_moved", "parcel", &[(0, "picked_up")], &[("due", 48)], "moved_on"),
    ("r25_old_trace", "parcel", &[(5, "old_trace=true")], &[("due", 5)], "old_trace=false"),
    (
        "r25_false_shipment",
        "parcel",
        &[(5, "false_shipment=number_reused")],
        &[("due", 5)],
        "false_shipment=none",
    ),
    (
        "r26_refunded",
        "parcel",
        &[(0, "status=in_transit"), (5, "refunded=true")],
        &[("due", 5)],
        "exception=intercepted",
    ),
    (
        "r26_refunded_out",
        "parcel",
        &[(0, "refunded=true"), (5, "status=out_for_delivery")],
        &[("due", 5)],
        "status=returning",
    ),
    (
        "r27_not_intercepted",
        "parcel",
        &[(0, "intercept=requested"), (5, "status=out_for_delivery")],
        &[("due", 5)],
        "intercept=done",
    ),
    (
        "r28_return_no_trace",
        "parcel",
        &[(0, "shipped direction=return")],
        &[("24h before", 24), ("due", 48), ("24h after", 72)],
        "picked_up",
    ),
    (
        "r29_return_stalled",
        "parcel",
        &[(0, "last_scan status=in_transit direction=return")],
        &[("75%", 54), ("due", 72)],
        "delivered",
    ),
    ("r30_refund", "aftersale", &[(0, "return_signed")], &[("12h before", 12), ("due", 24)], "refunded"),
    (
        "r31_not_received_back",
        "parcel",
        &[(0, "returned wms=true")],
        &[("24h before", 24), ("due", 48), ("48h after", 96)],
        "warehouse_received",
    ),
    ("r31_not_received_back", "parcel", &[(0, "returned")], &[], ""),
    (
        "r32_promise",
        "parcel",
        &[(0, "shipped deliver_by@50")],
        &[("due", 50), ("24h after", 74)],
        "delivered",
    ),
    ("r32_edd_moved", "parcel", &[(5, "edd_moved=true")], &[("due", 5)], "edd_moved=false"),
    ("r33_void", "parcel", &[(5, "status=cancelled")], &[("due", 5)], "order_over=true"),
    ("r33_void", "parcel", &[(5, "status=cancelled order_over=true")], &[], ""),
    ("r33_revived", "parcel", &[(5, "revived=true")], &[("due", 5)], "revived=false"),
    (
        "r34_stale",
        "parcel",
        &[(0, "fresh=true"), (5, "fresh=false")],
        &[("6h before", 5), ("due", 11), ("18h after", 29)],
        "fresh=true",
    ),
    ("r34_tz_suspect", "parcel", &[(5, "tz_suspect=true")], &[("due", 5)], "tz_suspect=false"),
    (
        "r35_no_trace",
        "parcel",
        &[(0, "shipped")],
        &[("24h before", 24), ("due", 48), ("24h after", 72)],
        "traced",
    ),
    ("r35_other_carrier", "parcel", &[(5, "other_carrier=true")], &[("due", 5)], "other_carrier=false"),
    (
        "r36_part_stalled",
        "parcel",
        &[(5, "part_delivered=true status=in_transit")],
        &[("due", 53), ("24h after", 77)],
        "status=delivered",
    ),
    (
        "r37_customs",
        "parcel",
        &[(5, "exception=customs_hold")],
        &[("due", 5), ("72h after", 77), ("168h after", 173)],
        "exception=none",
    ),
    ("r39_stalled", "parcel", &[(0, "last_scan status=in_transit stall_by@31")], &[("due", 31)], "delivered"),
    (
        "r39_stalled",
        "parcel",
        &[(0, "last_scan status=in_transit stall_by@31"), (30, "last_scan stall_by@61")],
        &[("due", 61)],
        "status=delivered",
    ),
    (
        "r39_stalled",
        "parcel",
        &[(0, "last_scan status=in_transit stall_by@31"), (30, "last_scan status=at_pickup_point")],
        &[],
        "",
    ),
    // Told an hour after the scan: until then nothing is unusual.
    (
        "r39_stalled",
        "parcel",
        &[(0, "last_scan status=in_transit stall_by@31"), (40, "last_scan@39"), (41, "stall_by@70")],
        &[("due", 31), ("due", 70)],
        "delivered",
    ),
    ("late", "parcel", &[(0, "shipped late_by@40")], &[("due", 40)], "delivered"),
    ("r40_weight", "parcel", &[(5, "weight_off=true")], &[("due", 5)], "weight_off=false"),
];

#[test]
fn every_rule_rings_when_its_row_says_and_not_before_and_ends() {
    let policy = policy();
    for (rule, kind, said, rings, close) in TABLE {
        let what = format!("{rule} {said:?}");
        let mut story = Story::new(&policy);
        said.iter().for_each(|(hour, words)| story.see(kind, *hour, words));
        story.until(LONG);
        // The gravest of what is crossed at one instant is rung alone, but all is recorded.
        assert_eq!(story.rings(rule), *rings, "{what}");
        let Some((_, first)) = rings.first() else { continue };
        assert!(story.is_open(kind, rule), "{what}: it is wrong until something ends it");
        story.see(kind, LONG, close);
        story.until(2 * LONG);
        assert!(!story.is_open(kind, rule), "{what}: {close} ends it");
        let again = story.rings(rule).len();
        assert_eq!(again, rings.len(), "{what}: and nothing rings after it");
        // What ends it before it rings.
        let mut story = Story::new(&policy);
        let before = said.iter().filter(|(hour, _)| hour < first);
        before.clone().for_each(|(hour, words)| story.see(kind, *hour, words));
        if before.count() == said.len() && *first > 0 {
            story.see(kind, first - 1, close);
            story.until(LONG);
            assert_eq!(story.rings(rule), [], "{what}: {close} an hour before");
        }
    }
}

/// What is shipped is in the table, each rule of the list has an entry, and nobody is told of a rule without what to do.
#[test]
fn every_rule_has_a_row_and_says_what_to_do() {
    let policy = policy();
    let rows: BTreeSet<&str> = TABLE.iter().map(|(rule, ..)| *rule).collect();
    let mut numbers: BTreeSet<u8> = BTreeSet::new();
    for entry in policy.rules() {
        let clock = &entry.clock;
        assert!(rows.contains(clock.name.as_str()), "{} has no row", clock.name);
        let title = clock.title.as_deref().unwrap_or_default();
        numbers.extend(title.strip_prefix('R').and_then(|t| t.get(..2)).and_then(|n| n.parse::<u8>().ok()));
        assert!(clock.action.as_ref().is_some_and(|a| !a.is_empty()), "{}", clock.name);
        assert!(clock.on != "parcel" || clock.ticket.as_deref() == Some("parcel"), "{}", clock.name);
    }
    let all: BTreeSet<u8> = (1..=40).filter(|n| *n != 38).collect();
    assert_eq!(numbers, all, "R38 is a storm");
    let attributes: BTreeMap<_, _> = policy.attributes;
    assert!(attributes.len() > 30);
}

/// Signed and still on its way (R20), and the other way round: a rule that a mark ends has to become untrue first.
#[test]
fn a_condition_that_a_mark_ended_is_told_again_only_when_it_begins_anew() {
    let mut story = Story::new(&policy());
    story.see("parcel", 0, "status=returning direction=out");
    story.see("parcel", 5, "returned");
    story.see("parcel", 6, "status=returning attempts=1");
    story.until(20);
    assert_eq!(story.rings("r22_unexpected_return"), [("due", 0)], "ended by a mark, and still so");
    story.see("parcel", 30, "status=in_transit");
    story.see("parcel", 40, "status=returning");
    story.until(50);
    assert_eq!(story.rings("r22_unexpected_return"), [("due", 0), ("due", 40)]);
}

/// An overlay for some days: by when a cycle starts.
#[test]
fn terms_for_double_eleven() {
    let mut policy = policy();
    let dated = format!(
        "name = \"double_11\"\nclock = [\"r02_pick_up\"]\nfrom = \"{}\"\nto = \"{}\"\ntarget = \"72h\"\n",
        at(10),
        at(20)
    );
    policy.overlay.push(toml::from_str(&dated).expect("an overlay"));
    for (hour, due) in [(9, 33), (10, 82), (19, 91), (20, 44)] {
        let mut story = Story::new(&policy);
        story.see("parcel", hour, "shipped direction=out");
        story.until(LONG);
        let rung: Vec<_> =
            story.rings("r02_pick_up").into_iter().filter(|(ring, _)| *ring == "due").collect();
        assert_eq!(rung, [("due", due)], "shipped at {hour}");
    }
}

/// Nobody is rung between two halves of what is told at once.
#[test]
fn what_is_told_at_once_is_judged_at_once() {
    let told = [
        observation("parcel", 40, "shipped@0 direction=out"),
        observation("parcel", 40, "picked_up@10 moved_on@12"),
    ];
    let (mut at_once, mut apart) = (Story::new(&policy()), Story::new(&policy()));
    let mut merged = Vec::new();
    let changes = at_once.engine.observe_all(&told, at(40), |merge| merged.push(merge.changed));
    at_once.take(&changes);
    for seen in &told {
        let changes = apart.engine.observe(seen, at(40));
        apart.take(&changes);
    }
    assert_eq!(merged, [2, 2]);
    assert_eq!(at_once.rings("r02_pick_up"), []);
    assert_eq!(apart.rings("r02_pick_up"), [("due", 24)]);
    let cycles = |story: &Story| {
        let view = story.engine.case("k", "parcel", "P1").expect("the parcel");
        let name = |clock| story.engine.symbols().name(clock).to_string();
        view.cycles(at(40)).iter().map(|c| (name(c.clock), c.key, c.state)).collect::<Vec<_>>()
    };
    assert_eq!(cycles(&at_once), cycles(&apart));
}
