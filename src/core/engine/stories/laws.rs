//! Laws of incidents over random days (I9, I11, I18, I48, and that a restart changes nothing).

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::world::{Plan, World};
use crate::core::alerting::{Act, Edge, Facts, Response, Signal};
use crate::core::ids::Id;
use crate::core::model::{Incident, Subject, Table};
use crate::core::time::{Instant, Span};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Happening {
    Pass(i64),
    Question(u8),
    Reply(u8),
    Vip(u8, bool),
    Complaint(u8),
    Ack(u8, u8),
    Snooze(u8, u8, i64),
    Resolve(u8, u8),
    Escalate(u8, u8),
    Release(u8, u8),
}

const PEOPLE: [&str; 5] = ["lin", "chen", "min", "zhou", "zhan"];

fn happening() -> impl Strategy<Value = Happening> {
    let case = || 0_u8..3;
    let who = || 0_u8..5;
    prop_oneof![
        4 => (1_i64..900).prop_map(Happening::Pass),
        1 => (900_i64..9_000).prop_map(Happening::Pass),
        4 => case().prop_map(Happening::Question),
        2 => case().prop_map(Happening::Reply),
        1 => (case(), any::<bool>()).prop_map(|(c, v)| Happening::Vip(c, v)),
        1 => case().prop_map(Happening::Complaint),
        2 => (case(), who()).prop_map(|(c, p)| Happening::Ack(c, p)),
        1 => (case(), who(), 1_i64..300).prop_map(|(c, p, m)| Happening::Snooze(c, p, m)),
        1 => (case(), who()).prop_map(|(c, p)| Happening::Resolve(c, p)),
        1 => (case(), who()).prop_map(|(c, p)| Happening::Escalate(c, p)),
        1 => (case(), who()).prop_map(|(c, p)| Happening::Release(c, p)),
    ]
}

/// How a story is told.
#[derive(Clone, Copy, Default)]
struct Manner {
    /// Everything is said twice.
    twice: bool,
    /// The source goes blind and comes back between any two things.
    blinking: bool,
    /// The process dies at every so many things.
    restarts: Option<usize>,
}

fn case(n: u8) -> String {
    format!("T{n}")
}

fn tell(story: &[Happening], manner: Manner) -> World {
    let mut world = Plan::default().at("09:00");
    let mut seen = BTreeMap::new();
    for (n, happening) in story.iter().enumerate() {
        for round in 0..=u8::from(manner.twice) {
            happen(&mut world, happening, n, round == 0);
            check(&world, &mut seen);
        }
        if manner.blinking {
            blink(&mut world);
        }
        if manner.restarts.is_some_and(|every| n % every == every - 1) {
            let now = world.now;
            world.restart_at(&Plan::default(), now);
        }
    }
    let end = world.now + Span::from_minutes(90);
    world.until(end);
    world
}

fn happen(world: &mut World, happening: &Happening, n: usize, first: bool) {
    let act = |world: &mut World, who: &u8, c: &u8, act: &dyn Fn(Id) -> Act| {
        let of_case = world.desk.incidents().filter(|i| *i.subject.id == *case(*c));
        let Some(id) = of_case.max_by_key(|i| (i.opened_at, i.id)).map(|i| i.id) else { return };
        let mut inbox = [0; 16];
        inbox[..8].copy_from_slice(&(n as u64 + 1).to_be_bytes());
        let response = Response {
            inbox: Id::from_bytes(inbox),
            person: PEOPLE[usize::from(*who)].into(),
            via: "link".into(),
            act: act(id),
            episode: None,
            from: None,
        };
        // Whatever they may not do changes nothing.
        let _ = world.respond(&response);
    };
    let mark = |world: &mut World, c: &u8, name: &str| {
        let reference = format!("r{n}");
        let at = world.now.to_string();
        world.observe("ticket", &case(*c), &[(name, &reference, &at)], &[]);
    };
    match happening {
        Happening::Pass(secs) if first => {
            let until = world.now + Span::from_secs(*secs);
            world.until(until);
        }
        Happening::Pass(_) => {}
        Happening::Question(c) => mark(world, c, "customer_message"),
        Happening::Reply(c) => mark(world, c, "agent_reply"),
        Happening::Vip(c, vip) => world.observe("ticket", &case(*c), &[], &[("vip", (*vip).into())]),
        Happening::Complaint(c) => world.observe("ticket", &case(*c), &[], &[("complaint", true.into())]),
        Happening::Ack(c, p) => act(world, p, c, &|id| Act::Ack { incidents: vec![id] }),
        Happening::Snooze(c, p, m) => {
            act(world, p, c, &|incident| Act::Snooze { incident, span: Span::from_minutes(*m) });
        }
        Happening::Resolve(c, p) => {
            act(world, p, c, &|incident| Act::Resolve { incident, reason: "done".to_owned() });
        }
        Happening::Escalate(c, p) => act(world, p, c, &|incident| Act::Escalate { incident, reason: None }),
        Happening::Release(c, p) => act(world, p, c, &|incident| Act::Release { incident }),
    }
}

/// The source cannot be read, and can again, at one instant.
fn blink(world: &mut World) {
    let known: Vec<Incident> = world.desk.incidents().filter(|i| i.cycle.is_some()).cloned().collect();
    for edge in [Edge::Unverified, Edge::Verified] {
        for incident in &known {
            let signal = Signal {
                family: incident.family.clone(),
                rule: incident.rule.clone(),
                subject: incident.subject.clone(),
                generation: incident.generation.clone(),
                cycle: incident.cycle,
                edge,
                at: world.now,
                facts: Facts::default(),
            };
            world.desk.signal(&signal, world.now);
        }
    }
    // And of what nobody has heard of.
    let unknown = Signal {
        family: "ticket.reply".into(),
        rule: "ticket_reply".into(),
        subject: Subject { kind: "ticket".into(), source: "tmall".into(), id: "T9".into() },
        generation: "after:start".into(),
        cycle: None,
        edge: Edge::Unverified,
        at: world.now,
        facts: Facts::default(),
    };
    world.desk.signal(&unknown, world.now);
}

/// What holds at every instant.
fn check(world: &World, seen: &mut BTreeMap<Id, (u32, u8)>) {
    for incident in world.desk.incidents() {
        let line = format!("{incident:?}");
        // I18: inside an episode a level only rises, and episodes only follow one another.
        let stands = (incident.episode, incident.level);
        let before = seen.insert(incident.id, stands).unwrap_or_default();
        assert!(before <= stands, "from {before:?}: {line}");
        // I14, I15.
        if let Some(until) =
            incident.ack_until.filter(|_| incident.acked_by.is_some() && !incident.is_resolved())
        {
            assert!(until >= world.now, "{line}");
        }
        // I1, I6: whoever is at a level was announced there, or is kept back with a reason.
        let kept_back = incident.folded.is_some() || incident.silenced.is_some() || incident.owed;
        if !incident.is_resolved() && incident.level >= 1 && !kept_back && incident.storm.is_none() {
            let told = incident
                .notices
                .iter()
                .filter_map(|id| world.desk.alerting().notices().find(|n| n.id == *id));
            assert!(told.clone().any(|n| n.level == incident.level), "no notice at its level: {line}");
        }
        assert!((1..=3).contains(&incident.level) || incident.level == 0, "{line}");
    }
}

/// Incidents as they are, without what only counts steps.
fn standing(world: &World) -> BTreeMap<Id, (String, u8, u32, Option<Instant>)> {
    let line = |i: &Incident| (i.status.word().to_owned(), i.level, i.episode, i.next_level_at);
    world.desk.incidents().filter(|i| i.cycle.is_some()).map(|i| (i.id, line(i))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_same_story_gives_the_same_rows(story in proptest::collection::vec(happening(), 1..40)) {
        let (one, two) = (tell(&story, Manner::default()), tell(&story, Manner::default()));
        prop_assert_eq!(&one.store, &two.store);
        prop_assert_eq!(&one.audit, &two.audit);
    }

    #[test]
    fn what_is_said_twice_is_done_once(story in proptest::collection::vec(happening(), 1..40)) {
        let (one, two) = (tell(&story, Manner::default()), tell(&story, Manner { twice: true, ..Manner::default() }));
        prop_assert_eq!(standing(&one), standing(&two));
        let notices = |w: &World| -> Vec<String> {
            w.store.keys().filter(|(t, _)| *t == Table::Notice).map(|(_, id)| id.clone()).collect()
        };
        prop_assert_eq!(notices(&one), notices(&two));
    }

    #[test]
    fn what_cannot_be_read_neither_opens_nor_clears(story in proptest::collection::vec(happening(), 1..40)) {
        let (one, two) = (tell(&story, Manner::default()), tell(&story, Manner { blinking: true, ..Manner::default() }));
        prop_assert_eq!(standing(&one), standing(&two));
    }

    #[test]
    fn a_restart_at_any_point_changes_nothing(
        story in proptest::collection::vec(happening(), 1..40),
        every in 1_usize..6,
    ) {
        let one = tell(&story, Manner::default());
        let two = tell(&story, Manner { restarts: Some(every), ..Manner::default() });
        prop_assert_eq!(standing(&one), standing(&two));
    }
}
