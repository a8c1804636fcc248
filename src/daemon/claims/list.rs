//! From what the store keeps to claims.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::core::engine::{CaseRow, KeptCase};
use crate::core::ids::Id;
use crate::core::model::{Incident, Resolution, Status, Subject, Table};
use crate::core::parcel::evidence;
use crate::core::time::{Instant, Span};
use crate::store::sqlite::Look;
use crate::store::{StoreError, Stored};

use super::{ClaimsConfig, Kind};

/// Days of a zone, both included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Days {
    /// The first.
    pub from: Date,
    /// The last.
    pub to: Date,
    /// The zone.
    pub zone: TimeZone,
}

impl Days {
    /// When they begin, and when they are over.
    pub fn bounds(&self) -> (Instant, Instant) {
        let begin = |date: Date| {
            // The zone's first instant of that day; a day that cannot be told is one of the end of times.
            let start = date.to_zoned(self.zone.clone()).map(|zoned| zoned.timestamp());
            start.map_or(Instant::MAX, Instant::from_timestamp)
        };
        (begin(self.from), self.to.tomorrow().map_or(Instant::MAX, begin))
    }

    /// The day of an instant.
    pub fn day(zone: &TimeZone, at: Instant) -> Date {
        at.to_timestamp().to_zoned(zone.clone()).date()
    }
}

/// Which claims are wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The desk.
    pub desk: String,
    /// First told on one of these days.
    pub days: Days,
    /// What is a claim.
    pub config: ClaimsConfig,
    /// The platforms of the sources, by their names (`taobao`, `jd`, …).
    pub platforms: BTreeMap<String, &'static str>,
    /// As of when.
    pub now: Instant,
}

/// Where a claim stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClaimState {
    /// Nobody has it.
    Open,
    /// Somebody works on it.
    Acked,
    /// Somebody has put it off.
    Snoozed,
    /// The carrier shows that it is over: found again, delivered.
    Recovered,
    /// A person said that it is done.
    Done,
}

/// A parcel to claim for.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The gravest of what is wrong.
    pub kind: Kind,
    /// What else is, the gravest first.
    pub also: Vec<Kind>,
    /// When that was first told.
    pub told_at: Instant,
    /// Since when it has been wrong.
    pub since: Instant,
    /// The parcel's case.
    pub subject: Subject,
    /// The shop.
    pub shop: Option<String>,
    /// The platform.
    pub platform: Option<String>,
    /// The platform's id of the order.
    pub order: Option<String>,
    /// The number (运单号).
    pub waybill: Option<String>,
    /// The carrier, by the aggregator's code.
    pub carrier: Option<String>,
    /// What the goods are worth, in cents.
    pub goods: Option<i64>,
    /// What the platform takes by the policy, in cents; 0 where it says none.
    pub penalty: i64,
    /// What the claim rests on.
    pub evidence: Evidence,
    /// Where it stands.
    pub state: ClaimState,
    /// Since when that is over.
    pub ended: Option<Instant>,
    /// The platform's page of the case.
    pub url: Option<String>,
    /// The incident that speaks for it.
    pub incident: Id,
}

/// What a claim rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// When.
    pub at: Option<Instant>,
    /// Where.
    pub place: Option<String>,
    /// In the courier's words, masked; without them it is the last time that anybody had it.
    pub words: Option<String>,
}

/// What is looked at of every incident, before it is read as a whole.
#[derive(Deserialize)]
struct Glance<'a> {
    #[serde(borrow)]
    family: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    subject: GlanceSubject<'a>,
}

#[derive(Deserialize)]
struct GlanceSubject<'a> {
    #[serde(borrow)]
    kind: std::borrow::Cow<'a, str>,
}

/// The claims that the store knows, by carrier, kind and when they were told. The same each time it is asked, as long as
/// nothing changes.
///
/// # Errors
/// The store cannot be read, or holds a row that cannot.
pub fn list(look: &mut Look, wanted: &Wanted) -> Result<Vec<Claim>, StoreError> {
    let (from, to) = wanted.days.bounds();
    let mut parcels: BTreeMap<Subject, Vec<(Kind, Incident)>> = BTreeMap::new();
    let mut bad: Option<StoreError> = None;
    look.each(&wanted.desk, Table::Incident, |row| {
        let read = || -> Result<Option<(Kind, Incident)>, serde_json::Error> {
            let glance: Glance<'_> = serde_json::from_slice(&row.body)?;
            if glance.subject.kind != "parcel" {
                return Ok(None);
            }
            let Some(kind) = wanted.config.kind(&glance.family) else { return Ok(None) };
            let incident: Incident = serde_json::from_slice(&row.body)?;
            let is_claim = (from..to).contains(&incident.opened_at)
                && incident.level > 0
                && !matches!(incident.resolution, Some(Resolution::Retracted | Resolution::RuleRemoved));
            Ok(is_claim.then_some((kind, incident)))
        };
        match read() {
            Ok(None) => {}
            Ok(Some((kind, incident))) => {
                parcels.entry(incident.subject.clone()).or_default().push((kind, incident));
            }
            Err(e) => drop(bad.get_or_insert_with(|| unreadable(&row, &e))),
        }
    })?;
    if let Some(bad) = bad {
        return Err(bad);
    }
    let mut claims = Vec::with_capacity(parcels.len());
    for (subject, incidents) in parcels {
        let case = case(look, &wanted.desk, &subject.source, &subject.kind, &subject.id)?;
        let order = match case.as_ref().and_then(|case| case.text_at("order", wanted.now)) {
            Some(id) => order_case(look, wanted, id)?,
            None => None,
        };
        claims.push(claim(subject, incidents, case.as_ref(), order.as_ref(), wanted));
    }
    claims.sort_by(|a, b| {
        (&a.carrier, a.kind, a.told_at, &a.subject).cmp(&(&b.carrier, b.kind, b.told_at, &b.subject))
    });
    Ok(claims)
}

fn unreadable(row: &Stored, why: &dyn std::fmt::Display) -> StoreError {
    let place = format!("{} {}", row.table.word(), row.id.replace('\0', "/"));
    StoreError::Other { place, reason: format!("cannot be read: {why}") }
}

fn case(
    look: &mut Look,
    desk: &str,
    source: &str,
    kind: &str,
    id: &str,
) -> Result<Option<KeptCase>, StoreError> {
    let Some(row) = look.row(desk, Table::Case, &format!("{source}\0{kind}\0{id}"))? else { return Ok(None) };
    let read = CaseRow::from_bytes(&row.body).and_then(|case| KeptCase::read(&case));
    read.map(Some).map_err(|e| unreadable(&row, &e))
}

/// The case of the order, with the name of its source: a parcel knows the order's id alone.
fn order_case(look: &mut Look, wanted: &Wanted, id: &str) -> Result<Option<(String, KeptCase)>, StoreError> {
    for source in wanted.platforms.keys() {
        for kind in ["order", "aftersale"] {
            if let Some(found) = case(look, &wanted.desk, source, kind, id)? {
                return Ok(Some((source.clone(), found)));
            }
        }
    }
    Ok(None)
}

fn claim(
    subject: Subject,
    incidents: Vec<(Kind, Incident)>,
    case: Option<&KeptCase>,
    order: Option<&(String, KeptCase)>,
    wanted: &Wanted,
) -> Claim {
    let now = wanted.now;
    // 短少 is told by the rule of damages: which of the two it is the scan says.
    let mut all: Vec<(Kind, Incident)> = incidents
        .into_iter()
        .map(|(kind, incident)| {
            let said = case.and_then(|case| case.text_at("exception", incident.since));
            let kind = match (kind, said) {
                (Kind::Damaged, Some("content_mismatch")) => Kind::Mismatch,
                (kind, _) => kind,
            };
            (kind, incident)
        })
        .collect();
    // The gravest, of these what is not over, the newest.
    all.sort_by_key(|(kind, i)| (*kind, i.is_resolved(), std::cmp::Reverse(i.opened_at), i.id));
    let mut also: Vec<Kind> = all.iter().skip(1).map(|(kind, _)| *kind).filter(|k| *k != all[0].0).collect();
    also.dedup();
    let (kind, incident) = &all[0];
    let of_kind = || all.iter().filter(|(k, _)| k == kind).map(|(_, i)| i);
    let fact = |name: &str| incident.facts.get(name).cloned();
    let text = |name: &str| case.and_then(|case| case.text_at(name, now)).map(str::to_owned);
    let of_order = |name: &str| order.and_then(|(_, case)| case.text_at(name, now)).map(str::to_owned);
    let (state, ended) = match (incident.status, incident.resolution) {
        (Status::Open, _) => (ClaimState::Open, None),
        (Status::Acked, _) => (ClaimState::Acked, None),
        (Status::Snoozed, _) => (ClaimState::Snoozed, None),
        (Status::Resolved, Some(Resolution::Manual)) => (ClaimState::Done, incident.resolved_at),
        (Status::Resolved, _) => (ClaimState::Recovered, incident.resolved_at),
    };
    let configured = || order.and_then(|(source, _)| wanted.platforms.get(source));
    let platform = text("platform").or_else(|| of_order("platform"));
    Claim {
        kind: *kind,
        also,
        told_at: of_kind().map(|i| i.opened_at).min().unwrap_or(incident.opened_at),
        since: of_kind().map(|i| i.since).min().unwrap_or(incident.since),
        shop: text("shop").or_else(|| of_order("shop")).or_else(|| fact("shop")),
        platform: platform.or_else(|| configured().map(|p| (*p).to_owned())),
        order: text("order").or_else(|| fact("order")).or_else(|| fact("order_id")),
        waybill: text("waybill").or_else(|| fact("waybill")),
        carrier: text("carrier").or_else(|| fact("carrier")),
        goods: case
            .and_then(|case| case.minor_at("value", now))
            .or_else(|| order.and_then(|(_, case)| case.minor_at("value", now))),
        penalty: all.iter().map(|(_, i)| i.penalty_cents).max().unwrap_or(0),
        evidence: case.map(|case| evidence(case, *kind, incident, now)).unwrap_or_default(),
        state,
        ended,
        url: incident.url.clone().or_else(|| of_order("url")),
        incident: incident.id,
        subject,
    }
}

/// What of the parcel's own story a claim of this kind rests on: the scan that says so, else the last one.
fn evidence(case: &KeptCase, kind: Kind, incident: &Incident, now: Instant) -> Evidence {
    let until = incident.resolved_at.unwrap_or(now);
    let says = |word: &str| {
        matches!(
            (kind, word),
            (Kind::Lost, "lost")
                | (Kind::Damaged, "damaged")
                | (Kind::Mismatch, "content_mismatch")
                | (Kind::Misrouted, "missort")
        )
    };
    let told = case.texts("evidence", until).find_map(|text| match evidence::read(text) {
        Some((at, word, place, words)) if says(word) => Some((Some(at), place, words)),
        // A source of one's own says it in a word of its own.
        None if text != "none" => Some((None, "", text)),
        _ => None,
    });
    if let Some((at, place, words)) = told {
        let place = Some(place).filter(|place| !place.is_empty()).map(str::to_owned);
        // Masked as it was kept; once more for who wrote it by other ways.
        return Evidence { at, place, words: Some(evidence::masked(words)) };
    }
    // The last scan before the trouble was told of, so that what came later does not stand for it.
    let before = incident.opened_at + Span::from_secs(1);
    Evidence {
        at: case.last("last_scan", before).or_else(|| case.last("last_scan", until)),
        place: case.text_at("location", before).or_else(|| case.text_at("node", before)).map(str::to_owned),
        words: None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::core::calendar::Era;
    use crate::core::clock::PolicyConfig;
    use crate::core::engine::Engine;
    use crate::core::ids::InstallationKey;
    use crate::core::model::{Batch, Mark, Observation, Row, Value as Attribute};
    use crate::core::problem::Problems;
    use crate::store::{SqliteOptions, SqliteStore, Store};

    pub(in super::super) fn at(text: &str) -> Instant {
        format!("2026-03-{text}+08:00").parse().unwrap()
    }

    /// A row of an incident: the parcel, the family, when it was opened, and what is other than usual.
    pub(in super::super) fn incident(parcel: &str, family: &str, opened: Instant, other: Value) -> Row {
        let id = InstallationKey::new([5; 32]).id(&[
            parcel.as_bytes(),
            family.as_bytes(),
            &[opened.as_secs() as u8],
        ]);
        let mut body = json!({
            "id": id, "family": family, "rule": "r", "generation": "g", "episode": 1, "status": "open", "level": 1,
            "subject": { "kind": "parcel", "source": "k100", "id": parcel },
            "step": 1, "version": 1, "round": 0, "team": "t", "dimensions": {}, "penalty_cents": 0, "since": opened,
            "firing": true, "levels_from": opened, "opened_at": opened, "episode_at": opened, "audience": [],
            "route_rev": 0, "reminders": 0, "told": {}, "notices": [], "facts": {},
        });
        let (Value::Object(body_map), Value::Object(other)) = (&mut body, other) else { panic!("objects") };
        body_map.extend(other);
        Row {
            table: Table::Incident,
            id: id.to_string(),
            state: Some("open"),
            parent: None,
            wake: None,
            body: Some(body.to_string().into_bytes()),
        }
    }

    type Said<'a> = (Instant, &'a str, Attribute<'a>);

    /// The row of a case of which this was said.
    pub(in super::super) fn case_row(
        source: &str,
        kind: &str,
        id: &str,
        said: &[Said<'_>],
        scans: &[Instant],
    ) -> Row {
        let mut engine =
            Engine::new("d", &PolicyConfig::default(), None, Era::DEFAULT, &mut Problems::new()).unwrap();
        let scan = |at: &Instant| Mark { name: "last_scan".into(), reference: None, at: *at, removed: false };
        let first = said.iter().map(|(at, ..)| *at).min().unwrap_or(Instant::MIN);
        for (i, (at, name, value)) in said.iter().enumerate() {
            let seen = Observation {
                source: source.into(),
                kind: kind.into(),
                id: id.into(),
                as_of: *at,
                revision: i as i64,
                marks: if i == 0 { scans.iter().map(scan).collect() } else { Vec::new() },
                attributes: vec![((*name).into(), value.clone())],
            };
            engine.observe(&seen, at.max(&first).max(scans.iter().max().unwrap_or(&first)).to_owned());
        }
        let number = engine.views().next().map(|view| view.key()).unwrap();
        let id_of = format!("{}\0{}\0{}", number.source, number.kind, number.id);
        Row {
            table: Table::Case,
            id: id_of,
            state: None,
            parent: None,
            wake: None,
            body: Some(engine.save().case_rows()[0].to_bytes().unwrap()),
        }
    }

    pub(in super::super) async fn keep(path: &Path, rows: Vec<Row>) {
        let options = SqliteOptions { ballast_bytes: 0, ..SqliteOptions::default() };
        let store = SqliteStore::open(path, options).unwrap();
        let desk: Arc<str> = "desk".into();
        store.commit(&desk, Batch { rows, audit: Vec::new() }).await.unwrap();
        store.close().await.unwrap();
    }

    fn wanted(from: &str, to: &str) -> Wanted {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        Wanted {
            desk: "desk".to_owned(),
            days: Days { from: from.parse().unwrap(), to: to.parse().unwrap(), zone },
            config: ClaimsConfig::default(),
            platforms: BTreeMap::from([("erp".to_owned(), "http"), ("tmall".to_owned(), "taobao")]),
            now: at("09T12:00:00"),
        }
    }

    fn text(text: &str) -> Attribute<'_> {
        Attribute::Text(text.into())
    }

    #[tokio::test]
    async fn one_row_a_parcel_by_the_gravest_and_with_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let (day2, day3) = (at("02T09:00:00"), at("03T23:59:59"));
        let words = crate::core::parcel::evidence::written(
            day2,
            crate::core::parcel::Exception::Damaged,
            Some("上海"),
            "外包装破损,快递员:张三",
        );
        let parcel = "yuantong:YT1";
        keep(
            &path,
            vec![
                incident(parcel, "parcel.damaged", day2, json!({ "penalty_cents": 300 })),
                incident(parcel, "parcel.missing", day3, json!({ "penalty_cents": 500 })),
                incident(parcel, "parcel.transit", day3, json!({})),
                // Another case of the same beginning.
                case_row("k100", "parcel", "yuantong:YT10", &[(day2, "order", text("other"))], &[]),
                case_row(
                    "k100",
                    "parcel",
                    parcel,
                    &[
                        (day2, "order", text("o-1")),
                        (day2, "carrier", text("yuantong")),
                        (day2, "waybill", text("YT1")),
                        (day2, "exception", text("damaged")),
                        (day2, "evidence", text(&words)),
                        (day3, "evidence", text("none")),
                    ],
                    &[],
                ),
                case_row(
                    "tmall",
                    "order",
                    "o-1",
                    &[
                        (day2, "value", Attribute::Real(199.0)),
                        (day2, "shop", text("flagship")),
                        (day2, "url", text("https://t.example/o-1")),
                    ],
                    &[],
                ),
            ],
        )
        .await;
        let mut look = Look::open(&path).unwrap();
        let claims = list(&mut look, &wanted("2026-03-01", "2026-03-31")).unwrap();
        let [claim] = &claims[..] else { panic!("{claims:?}") };
        assert_eq!((claim.kind, claim.also.as_slice()), (Kind::Damaged, &[Kind::Missing][..]));
        assert_eq!((claim.told_at, claim.goods, claim.penalty), (day2, Some(19_900), 500));
        let of = |text: &Option<String>| text.clone().unwrap_or_default();
        assert_eq!(
            [&claim.shop, &claim.platform, &claim.order, &claim.waybill, &claim.carrier, &claim.url].map(of),
            ["flagship", "taobao", "o-1", "YT1", "yuantong", "https://t.example/o-1"]
        );
        let evidence = Evidence {
            at: Some(day2),
            place: Some("上海".into()),
            words: Some("外包装破损,快递员:张**".into()),
        };
        assert_eq!(claim.evidence, evidence);
        // By days: what was told on each.
        let day = |day: &str| list(&mut Look::open(&path).unwrap(), &wanted(day, day)).unwrap();
        assert_eq!(day("2026-03-02")[0].kind, Kind::Damaged);
        assert_eq!(day("2026-03-03")[0].kind, Kind::Missing, "a second before midnight in Shanghai");
        assert_eq!(day("2026-03-04"), []);
    }

    #[tokio::test]
    async fn what_is_no_claim_is_not_listed_and_states_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let (day2, over) = (at("02T09:00:00"), at("04T09:00:00"));
        let resolved = |how: &str| json!({ "status": "resolved", "resolution": how, "resolved_at": over });
        let (lost, missing) = ("parcel.lost", "parcel.missing");
        keep(
            &path,
            vec![
                incident("sf:1", missing, day2, json!({ "level": 0 })),
                incident("sf:2", lost, day2, resolved("retracted")),
                incident("sf:3", lost, day2, resolved("rule_removed")),
                incident("sf:4", "parcel.transit", day2, json!({})),
                incident(
                    "sf:5",
                    lost,
                    day2,
                    json!({ "subject": { "kind": "order", "source": "k100", "id": "5" } }),
                ),
                incident("sf:6", lost, day2, resolved("source")),
                incident("sf:7", lost, day2, resolved("manual")),
                incident("sf:8", lost, day2, json!({ "status": "acked" })),
                incident("sf:9", missing, day2, json!({})),
                case_row(
                    "k100",
                    "parcel",
                    "sf:9",
                    &[
                        (at("01T09:00:00"), "location", text("杭州")),
                        (at("03T09:00:00"), "location", text("武汉")),
                    ],
                    &[at("01T09:00:00"), at("03T09:00:00")],
                ),
            ],
        )
        .await;
        let claims = list(&mut Look::open(&path).unwrap(), &wanted("2026-03-02", "2026-03-02")).unwrap();
        let told: Vec<_> =
            claims.iter().map(|c| (&*c.subject.id, c.kind, c.state, c.ended.is_some())).collect();
        assert_eq!(
            told,
            [
                ("sf:6", Kind::Lost, ClaimState::Recovered, true),
                ("sf:7", Kind::Lost, ClaimState::Done, true),
                ("sf:8", Kind::Lost, ClaimState::Acked, false),
                ("sf:9", Kind::Missing, ClaimState::Open, false),
            ]
        );
        let last = Evidence { at: Some(at("01T09:00:00")), place: Some("杭州".into()), words: None };
        assert_eq!(claims[3].evidence, last, "what came later does not stand for it");
        // A row that cannot be read is told, not left out.
        let mut bad = incident("sf:10", lost, day2, json!({}));
        bad.body = Some(b"{\"family\":\"parcel.lost\",\"subject\":{\"kind\":\"parcel\"}}".to_vec());
        keep(&path, vec![bad]).await;
        let told = list(&mut Look::open(&path).unwrap(), &wanted("2026-03-02", "2026-03-02")).unwrap_err();
        assert!(told.to_string().contains("cannot be read"), "{told}");
    }
}
