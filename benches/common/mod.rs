//! What several benches need: a policy like a real desk's, and tickets for it.
#![allow(dead_code, reason = "each bench uses a part of it")]
#![allow(clippy::disallowed_methods, reason = "a bench runs in real time, beside what it measures")]

pub mod desk;
pub mod hook;
pub mod live;
pub mod parcels;
pub mod table;
pub mod watch;

use shiftbell::core::calendar::Era;
use shiftbell::core::clock::PolicyConfig;
use shiftbell::core::engine::Engine;
use shiftbell::core::model::{Mark, Observation, Value};
use shiftbell::core::problem::Problems;
use shiftbell::core::time::{Instant, Span};

/// Two promises on every ticket: an answer in 20 minutes, a solution in 48 hours.
pub const POLICY: &str = r#"
[calendars.platform-desk]
tz = "Asia/Shanghai"
weekly = { daily = [["09:00", "21:00"]] }
[kinds.ticket]
closed = { status = ["closed"] }
[[clock]]
name = "ticket_reply"
on = "ticket"
start = "customer_message"
stop = "agent_reply"
target = "20m"
calendar = "platform-desk"
ring = ["50%", "5m before", "due", "10m after"]
[[clock]]
name = "ticket_solved"
on = "ticket"
start = "opened"
stop = "resolved"
pause = { status = ["waiting_buyer"] }
target = "48h"
ring = ["75%", "due"]
"#;

/// 2026-03-02 10:00 in Shanghai, a Monday.
pub fn ten() -> Instant {
    Instant::from_secs(1_772_416_800)
}

pub fn engine(policy: &str) -> Engine {
    let config: PolicyConfig = toml::from_str(policy).expect("the policy of the bench is right");
    let mut problems = Problems::new();
    Engine::new("desk", &config, None, Era::DEFAULT, &mut problems)
        .unwrap_or_else(|| panic!("{:?}", problems.into_vec()))
}

/// Ticket number `n` as a platform shows it: opened with a first message, four attributes.
pub fn ticket(n: u64, opened: Instant) -> Observation<'static> {
    let mark = |name: &'static str, reference: Option<String>| Mark {
        name: name.into(),
        reference: reference.map(Into::into),
        at: opened,
        removed: false,
    };
    let text = |text: &'static str| Value::Text(text.into());
    Observation {
        source: "tmall-flagship".into(),
        kind: "ticket".into(),
        id: format!("T{n:012}").into(),
        as_of: opened + Span::from_secs(5),
        revision: 0,
        marks: vec![mark("opened", None), mark("customer_message", Some(format!("m{n:010}")))],
        attributes: vec![
            ("status".into(), text("open")),
            ("shop".into(), text("flagship")),
            ("priority".into(), text("normal")),
            ("assignee".into(), Value::Text(format!("kf{:03}", n % 200).into())),
        ],
    }
}

/// Tickets opened over the last 20 days, so that their due times are spread.
pub fn opened(n: u64, count: u64) -> Instant {
    let spread = Span::DAY.times(20).as_millis() as u64;
    ten() - Span::from_millis((n.wrapping_mul(7919) % count * (spread / count)) as i64)
}

/// The text a ticket brings with it: its id, reference, and text values.
pub fn text_of(observation: &Observation<'_>) -> usize {
    let references = observation.marks.iter().filter_map(|m| m.reference.as_ref()).map(|r| r.len());
    let values = observation.attributes.iter().map(|(_, v)| match v {
        Value::Text(text) => text.len(),
        _ => 0,
    });
    observation.id.len() + references.sum::<usize>() + values.sum::<usize>()
}
