//! The desk behind a reader: it says which cases are open and which ring soon, and rings.

use std::collections::BTreeSet;

use crate::core::calendar::Era;
use crate::core::clock::PolicyConfig;
use crate::core::engine::{Changes, Engine, OpenCase, Verdict};
use crate::core::model::Observation;
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};
use crate::sources::platform::Platform;
use crate::sources::poll::Planner;
use crate::sources::poll::again::{AHEAD, Again, Part};

/// What the desk promises: to ship in time, that what is shipped is picked up and arrives, and to decide about
/// after-sales. In these shops everything is picked up within six hours.
const POLICY: &str = r#"
[kinds.order]
closed = { status = ["closed"] }
[kinds.aftersale]
closed = { status = ["closed"] }
[[clock]]
name     = "ship"
on       = "order"
start    = "paid"
stop     = "shipped"
target   = "6h"
ring     = ["50%", "due"]
[[clock]]
name     = "pick_up"
on       = "order"
start    = "shipped"
stop     = ["picked_up", "signed"]
target   = "6h"
ring     = ["due"]
[[clock]]
name     = "sign"
on       = "order"
start    = "shipped"
stop     = "signed"
target   = "72h"
ring     = ["due"]
[[clock]]
name     = "review"
on       = "aftersale"
start    = "return_requested"
stop     = "return_reviewed"
target   = "3h"
ring     = ["50%", "due"]
"#;

/// It is asked so often who rings soon, as the daemon asks.
const LOOK: Span = Span::from_secs(20);

/// Something that rang.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    /// The case.
    pub id: String,
    /// The clock and the ring.
    pub what: String,
    /// When.
    pub at: Instant,
    /// How long after it should have.
    pub late_by: Span,
}

/// The desk.
pub struct Desk {
    engine: Engine,
    /// What rang.
    pub rung: Vec<Rung>,
    looked: Option<Instant>,
    source: String,
}

impl Desk {
    /// One without a case.
    pub fn new() -> Desk {
        let policy: PolicyConfig = toml::from_str(POLICY).unwrap();
        let mut problems = Problems::new();
        let engine = Engine::new("desk", &policy, None, Era::DEFAULT, &mut problems);
        let engine = engine.unwrap_or_else(|| panic!("{:?}", problems.into_vec()));
        Desk { engine, rung: Vec::new(), looked: None, source: String::new() }
    }

    /// Takes in what was read.
    pub fn observe(&mut self, seen: &Observation<'_>, now: Instant) {
        if self.source.is_empty() {
            self.source = seen.source.to_string();
        }
        self.advance(now - Span::MILLISECOND);
        let changes = self.engine.observe(seen, now);
        self.ring(&changes);
    }

    /// It is `now`: every wake-up at its own instant, for a desk is a task of its own and waits for no request.
    pub fn advance(&mut self, now: Instant) {
        while let Some(at) = self.engine.next_wake().filter(|at| *at <= now) {
            let changes = self.engine.advance(at.max(self.engine.now()));
            self.ring(&changes);
        }
    }

    fn ring(&mut self, changes: &Changes) {
        for crossing in &changes.crossings {
            let Verdict::Rung { late_by, .. } = crossing.verdict else { continue };
            let (id, clock) = (crossing.cycle.case.id.to_string(), &crossing.cycle.clock);
            let what = format!("{clock} {}", crossing.ring_name);
            self.rung.push(Rung { id, what, at: crossing.at, late_by });
        }
    }

    /// Tells the planner what it asks for.
    pub fn tell(&mut self, adapter: &impl Platform, planner: &mut Planner, (now, elapsed): (Instant, Span)) {
        let again =
            |case: &OpenCase| Again { rings: case.next, changed: case.changed, wants: adapter.looks(case) };
        if self.looked.is_none_or(|at| now.since(at) >= LOOK) {
            self.looked = Some(now);
            let sources = BTreeSet::from([self.source.clone()]);
            let cases = self.engine.ahead(&sources, now + AHEAD, 20_000);
            planner.ahead(cases.iter().map(again).collect());
        }
        if let Some(Part { from, most }) = planner.part(elapsed) {
            let open = self.engine.open_cases(&self.source, from, most);
            planner.open(open.found.iter().map(again).collect(), (open.next, open.end), (now, elapsed));
        }
    }
}
