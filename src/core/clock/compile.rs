//! Checking a policy, and making it ready: from what people write to what the clocks ask (`sla_semantics` §2.5, §8).
//!
//! Every problem is noted under its key, not only the first.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::calendar::{Calendar, Era};
use crate::core::clock::condition::{ATTRIBUTES, AttributeType, Condition};
use crate::core::clock::config::{
    ClockConfig, Names, OnChange, OnMismatch, OverlayConfig, Pick, PolicyConfig, Reopen, RuleEntry,
};
use crate::core::clock::policy::{Clock, ClockSource, Layer, Policy, Promise, Roles, Rule, Terms};
use crate::core::clock::ring::{RingAt, compile_rings};
use crate::core::model::{Sym, Symbols};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};

/// The most overlays upon one clock: their combinations are worked out ahead.
const MOST_OVERLAYS: usize = 6;

impl Policy {
    /// Checks a policy and makes it ready. Every problem is noted under its key; `None` when any is an error. What
    /// depends on the day it is taken into use (2.5) is checked as of `now`, if one is given.
    pub fn compile(
        config: &PolicyConfig,
        symbols: &mut Symbols,
        now: Option<Instant>,
        era: Era,
        problems: &mut Problems,
    ) -> Option<Policy> {
        let before = problems.error_count();
        declare_marks(config, symbols, problems);
        let calendars = compile_calendars(config, now, era, problems);
        let types = attribute_types(config, problems);
        let rules = config.rules();
        let mut names: Vec<&str> = Vec::new();
        for rule in &rules {
            if !names.contains(&rule.clock.name.as_str()) {
                names.push(&rule.clock.name);
            }
        }
        check_overlay_names(config, &names, problems);
        check_signals(&rules, problems);
        let mut context = Compile { config, rules: &rules, symbols, calendars: &calendars, types: &types };
        let clocks: Vec<Option<Clock>> = names.iter().map(|name| context.clock(name, problems)).collect();
        if problems.error_count() > before {
            return None;
        }
        let clocks = clocks.into_iter().flatten().map(Arc::new).collect();
        Some(Policy { config: config.clone(), calendars, clocks })
    }
}

/// What clocks say of their signals.
fn check_signals(rules: &[RuleEntry], problems: &mut Problems) {
    let mut families: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for RuleEntry { section, place, clock } in rules {
        problems.within(*section, |problems| {
            problems.within(*place, |problems| {
                problems.within("family", |problems| {
                    let Some(family) = &clock.family else { return };
                    let word = |w: &str| {
                        !w.is_empty() && w.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
                    };
                    let own = ["system", "delivery", "channel", "source", "config", "store"];
                    let kind = family.split('.').next().unwrap_or_default();
                    if family.len() > 60 || !family.split('.').all(word) || own.contains(&kind) {
                        problems.error(format!(
                            "found `{family}`, expected words such as ticket.reply, and none of the program's own: {}",
                            own.join(", ")
                        ));
                    }
                    let other = families.insert((&clock.on, family), &clock.name).filter(|other| *other != clock.name);
                    if let Some(other) = other {
                        problems.error(format!(
                            "found `{family}`, which is that of clock {other} on the same kind, expected one of its own: \
                             an incident is known by its family and case"
                        ));
                    }
                });
                problems.within("hard_deadline", |problems| {
                    for (n, name) in clock.hard_deadline.0.iter().enumerate() {
                        if !name.ends_with("_by") {
                            problems.within(n, |p| {
                                p.error(format!("found `{name}`, expected a deadline, whose name ends in _by"));
                            });
                        }
                    }
                });
                problems.within("levels", |problems| {
                    for (ring, level) in &clock.levels {
                        problems.within(ring.as_str(), |problems| {
                            if !matches!(RingAt::parse(ring), Ok(RingAt::After(..))) {
                                problems.error("is no ring after due, expected one such as `10m after`");
                            } else if !(2..=3).contains(level) {
                                problems.error(format!("found {level}, expected level 2 or 3"));
                            } else if !clock.ring.iter().any(|r| RingAt::parse(&r.at) == RingAt::parse(ring)) {
                                problems.error("is none of the clock's rings, expected one of `ring`");
                            }
                        });
                    }
                });
                problems.within("ticket", |problems| {
                    if clock.ticket.as_ref().is_some_and(String::is_empty) {
                        problems.error("is empty, expected a name that rules share, such as parcel");
                    }
                });
            });
        });
    }
}

fn declare_marks(config: &PolicyConfig, symbols: &mut Symbols, problems: &mut Problems) {
    problems.within("marks", |problems| {
        for (key, names, single) in
            [("single", &config.marks.single, true), ("repeated", &config.marks.repeated, false)]
        {
            problems.within(key, |problems| {
                for (i, name) in names.iter().enumerate() {
                    problems.within(i, |problems| {
                        if name.ends_with("_by") {
                            problems.error(format!(
                                "found `{name}`, which is a deadline by its name, expected another mark"
                            ));
                        } else if single && config.marks.repeated.contains(name) {
                            problems.error(format!("found `{name}` in both lists, expected it in one"));
                        } else if let Some(sym) = symbols.intern(name) {
                            symbols.declare_single(sym, single);
                        } else {
                            problems.error(format!("found `{name}`, expected a name of 1 to 100 bytes"));
                        }
                    });
                }
            });
        }
    });
}

fn compile_calendars(
    config: &PolicyConfig,
    now: Option<Instant>,
    era: Era,
    problems: &mut Problems,
) -> BTreeMap<String, Arc<Calendar>> {
    let mut calendars = BTreeMap::new();
    problems.within("calendars", |problems| {
        for (name, calendar) in &config.calendars {
            problems.within(name.as_str(), |problems| {
                if name == "always" {
                    return problems.error("is built in (around the clock), expected another name");
                }
                let compiled = Calendar::compile(name, calendar, &config.holidays, era, problems);
                if let Some(compiled) = compiled {
                    match now {
                        Some(now) => compiled.check(now, problems),
                        None if compiled.elapsed(Instant::EARLIEST, Instant::LATEST).is_zero() => {
                            problems.error("is never open, expected some open time");
                        }
                        None => {}
                    }
                    calendars.insert(name.clone(), Arc::new(compiled));
                }
            });
        }
    });
    calendars.insert("always".to_owned(), Arc::new(Calendar::always()));
    calendars
}

fn attribute_types(config: &PolicyConfig, problems: &mut Problems) -> BTreeMap<String, AttributeType> {
    let mut types: BTreeMap<String, AttributeType> =
        ATTRIBUTES.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
    problems.within("attributes", |problems| {
        for (name, kind) in &config.attributes {
            let built_in = types.insert(name.clone(), *kind);
            if built_in.is_some_and(|built_in| built_in != *kind) {
                problems.within(name.as_str(), |problems| {
                    problems.error("is built in with another type, expected another name");
                });
            }
        }
    });
    types
}

fn check_overlay_names(config: &PolicyConfig, clocks: &[&str], problems: &mut Problems) {
    problems.within("overlay", |problems| {
        for (i, overlay) in config.overlay.iter().enumerate() {
            problems.within(i, |problems| {
                problems.within("clock", |problems| {
                    if overlay.clock.0.is_empty() {
                        problems.error("is empty, expected the names of the clocks it changes");
                    }
                    for name in overlay.clock.0.iter().filter(|name| !clocks.contains(&name.as_str())) {
                        problems.error(format!("found `{name}`, expected one of {}", clocks.join(", ")));
                    }
                });
                let changes = [&overlay.target, &overlay.by, &overlay.calendar];
                if changes.iter().all(|c| c.is_none()) && overlay.ring.is_none() && overlay.min_left.is_none()
                {
                    problems.error("changes nothing, expected target, by, calendar, min_left or ring");
                }
            });
        }
    });
}

struct Compile<'a> {
    config: &'a PolicyConfig,
    rules: &'a [RuleEntry],
    symbols: &'a mut Symbols,
    calendars: &'a BTreeMap<String, Arc<Calendar>>,
    types: &'a BTreeMap<String, AttributeType>,
}

impl Compile<'_> {
    fn clock(&mut self, name: &str, problems: &mut Problems) -> Option<Clock> {
        let config = self.config;
        let rules_of = self.rules;
        let entries = || rules_of.iter().filter(|rule| rule.clock.name == name);
        let overlays: Vec<(usize, &OverlayConfig)> = config
            .overlay
            .iter()
            .enumerate()
            .filter(|(_, o)| o.clock.0.iter().any(|clock| clock == name))
            .collect();
        let RuleEntry { section: of, place: first, clock: first_entry } = entries().next()?;
        let mut rules = Vec::new();
        for RuleEntry { section, place, clock: entry } in entries() {
            let rule = problems.within(*section, |problems| {
                problems.within(*place, |problems| {
                    if section != of {
                        problems.within("name", |problems| {
                            problems.error(format!("found `{name}`, which is that of {of}[{first}], expected another"));
                        });
                    }
                    if entry.on != first_entry.on {
                        problems.within("on", |problems| {
                            problems.error(format!(
                                "found `{}`, expected `{}` as in {of}[{first}]: entries of one name watch one kind",
                                entry.on, first_entry.on
                            ));
                        });
                    }
                    if overlays.len() > MOST_OVERLAYS {
                        problems.error(format!(
                            "has {} overlays, expected at most {MOST_OVERLAYS}",
                            overlays.len()
                        ));
                        return None;
                    }
                    Some(self.rule(entry, problems))
                })
            });
            let Some(mut rule) = rule else { continue };
            rule.terms = self.all_terms((*section, *place), entry, &overlays, problems);
            rules.push(rule);
        }
        let layers = overlays
            .iter()
            .map(|(i, overlay)| {
                problems.within("overlay", |problems| {
                    problems.within(*i, |problems| self.layer(overlay, problems))
                })
            })
            .collect();
        let source = ClockSource {
            entries: entries().map(|rule| rule.clock.clone()).collect(),
            overlays: overlays.iter().map(|(_, o)| (*o).clone()).collect(),
            kind: config.kinds.get(&first_entry.on).cloned(),
            calendars: rules.iter().flat_map(|r: &Rule| r.terms.iter().map(|t| t.calendar.clone())).collect(),
        };
        Some(Clock {
            name: self.name(name, problems)?,
            title: first_entry.title.as_deref().map(Arc::from),
            on: self.name(&first_entry.on, problems)?,
            rules,
            overlays: layers,
            source,
        })
    }

    fn layer(&mut self, overlay: &OverlayConfig, problems: &mut Problems) -> Layer {
        let (from, to) = (overlay.from.unwrap_or(Instant::MIN), overlay.to.unwrap_or(Instant::MAX));
        if from >= to {
            problems.within("to", |p| p.error(format!("found {to}, expected an instant after `from`")));
        }
        // A stretch of time alone is condition enough.
        let is_dated = overlay.from.is_some() || overlay.to.is_some();
        let config = Some(&overlay.when).filter(|when| !(is_dated && when.0.is_empty()));
        Layer { when: self.condition("when", config, problems), from, to }
    }

    fn name(&mut self, text: &str, problems: &mut Problems) -> Option<Sym> {
        let sym = self.symbols.intern(text);
        if sym.is_none() {
            problems.error(format!("found `{text}`, expected a name of 1 to {} bytes", Symbols::LONGEST));
        }
        sym
    }

    fn condition(
        &mut self,
        key: &str,
        config: Option<&super::condition::ConditionConfig>,
        problems: &mut Problems,
    ) -> Option<Condition> {
        let config = config?;
        Some(problems.within(key, |p| Condition::compile(config, self.types, self.symbols, p)))
    }

    fn rule(&mut self, entry: &ClockConfig, problems: &mut Problems) -> Rule {
        problems.within("name", |problems| {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
            if entry.name.is_empty() || !entry.name.chars().all(plain) {
                problems.error(format!(
                    "found `{}`, expected lower-case letters, digits, `_` and `-`",
                    entry.name
                ));
            }
        });
        // A condition calls things by names of its own.
        let is_rule = self.config.condition.iter().any(|rule| rule.name == entry.name);
        let kind = self.config.kinds.get(&entry.on);
        let standard =
            ["ticket", "order", "parcel", "aftersale", "handover", "chat", "call", "mail", "customer"];
        if kind.is_none() && !standard.contains(&entry.on.as_str()) {
            problems.within("on", |problems| {
                problems.error(format!(
                    "found `{}`, expected one of {} or a kind declared under [kinds]",
                    entry.on,
                    standard.join(", ")
                ));
            });
        }
        let kind = kind.cloned().unwrap_or_default();
        let recurring = entry.every.is_some();
        let pick = entry.pick.unwrap_or(if entry.stop.0.iter().any(|s| s == "agent_reply") {
            Pick::OldestOpen
        } else {
            Pick::First
        });
        let no_stop = Names(vec!["reopened".to_owned()]);
        let mut cancel = entry.cancel.clone();
        let is_reply = pick == Pick::OldestOpen;
        // K13: a question that was resolved without a reply is no breach while it was in time.
        if is_reply && !entry.stop.0.iter().any(|s| s == "resolved") {
            cancel.0.push("resolved".to_owned());
        }
        let mut roles: Vec<(Sym, Roles)> = Vec::new();
        for (key, names, role) in [
            ("start", &entry.start, Roles::START),
            ("stop", &entry.stop, Roles::STOP),
            ("cancel", &cancel, Roles::CANCEL),
            ("reset", &entry.reset, Roles::RESET),
            ("reopen_on", entry.reopen_on.as_ref().unwrap_or(&no_stop), Roles::REOPEN),
            ("final", &kind.final_marks, Roles::FINAL),
        ] {
            problems.within(key, |problems| {
                for name in &names.0 {
                    if name.ends_with("_by") {
                        problems.error(format!(
                            "found `{name}`, which is a deadline by its name: name it as `deadline`"
                        ));
                    }
                    let Some(sym) = self.name(name, problems) else { continue };
                    match roles.iter_mut().find(|(known, _)| *known == sym) {
                        Some((_, known)) => known.0 |= role.0,
                        None => roles.push((sym, role)),
                    }
                }
            });
        }
        if entry.start.0.is_empty() == entry.start_when.is_none() {
            problems.within("start", |problems| {
                problems.error(match &entry.start_when {
                    None => "is empty, expected the mark that starts a cycle",
                    Some(_) => "stands beside start_when, expected one of the two",
                });
            });
        }
        if entry.stop.0.is_empty() && entry.stop_when.is_none() && entry.start_when.is_none() {
            problems.within("stop", |problems| {
                problems.error("is missing, expected the mark that fulfils the promise, or stop_when");
            });
        }
        check_promise_keys(entry, problems);
        // An unknown calendar is told of with the terms.
        let calendar = self.calendar(entry.calendar.as_deref(), &mut Problems::new());
        if let Some(target) = &entry.target {
            let counts_days = target.contains('d') && !target.contains("wd");
            if counts_days && !calendar.is_always_open() {
                problems.within("target", |problems| {
                    problems.warn(format!(
                        "found `{target}` on calendar `{}`: a d is 24 open hours there; write `wd` for working days",
                        calendar.id()
                    ));
                });
            }
        }
        if entry.by.is_some() && entry.calendar.is_none() {
            problems.within("by", |problems| {
                problems.warn("goes by UTC without a calendar, expected a calendar of your zone");
            });
        }
        let reopen_target = problems.within("reopen_target", |problems| {
            entry.reopen_target.as_deref().and_then(|text| length(text, &calendar, problems))
        });
        Rule {
            when: self.condition(if is_rule { "cases" } else { "when" }, entry.when.as_ref(), problems),
            start_when: self.condition(
                if is_rule { "when" } else { "start_when" },
                entry.start_when.as_ref(),
                problems,
            ),
            roles,
            pick,
            recurring,
            stop_when: self.condition("stop_when", entry.stop_when.as_ref(), problems),
            cancel_when: self.condition("cancel_when", entry.cancel_when.as_ref(), problems),
            pause: self.condition("pause", entry.pause.as_ref(), problems),
            closed: self.condition("closed", kind.closed.as_ref(), problems),
            deadline_follows: entry.deadline_follows,
            reopen: entry.reopen.unwrap_or(
                if pick == Pick::First && !recurring && entry.start_when.is_none() {
                    Reopen::Continue
                } else {
                    Reopen::Ignore
                },
            ),
            reopen_within: entry.reopen_within,
            reopen_target,
            cancel_on_mismatch: entry.on_mismatch == Some(OnMismatch::Cancel),
            cancel_on_removal: entry.on_removal == Some(OnMismatch::Cancel),
            terms: Vec::new(),
        }
    }

    /// The calendar of this name. In place of one that is unknown or wrong, which is told, `always`: so that what
    /// else is wrong is told as well.
    fn calendar(&self, name: Option<&str>, problems: &mut Problems) -> Arc<Calendar> {
        let name = name.unwrap_or("always");
        let found = self.calendars.get(name);
        // A calendar that is configured but wrong has its own problems noted already.
        if found.is_none() && !self.config.calendars.contains_key(name) {
            problems.within("calendar", |problems| {
                let known: Vec<&str> = self.calendars.keys().map(String::as_str).collect();
                problems.error(format!("found `{name}`, expected one of {}", known.join(", ")));
            });
        }
        found.cloned().unwrap_or_else(|| Arc::new(Calendar::always()))
    }

    /// The terms of an entry under every combination of its overlays, by the bits that are set.
    fn all_terms(
        &mut self,
        index: (&'static str, usize),
        entry: &ClockConfig,
        overlays: &[(usize, &OverlayConfig)],
        problems: &mut Problems,
    ) -> Vec<Terms> {
        // Problems are noted once: those of the entry with no overlay, those of an overlay where it stands alone. What
        // is wrong without it is not its doing, nor is what the entry says and it leaves as it is.
        let before = problems.error_count();
        let entry_alone = self.terms(index, entry, overlays, 0, problems);
        let entry_is_right = problems.error_count() == before;
        let mut all: Vec<Terms> = entry_alone.into_iter().collect();
        for mask in 1..1usize << overlays.len() {
            let mut silent = Problems::new();
            if mask.count_ones() > 1 {
                all.extend(self.terms(index, entry, overlays, mask, &mut silent));
                continue;
            }
            let overlay = overlays[mask.trailing_zeros() as usize].1;
            if entry_is_right {
                all.extend(self.terms(index, entry, overlays, mask, problems));
                continue;
            }
            // The entry's own mistakes are left out by giving it terms that are right.
            let sound = ClockConfig {
                target: overlay.by.is_none().then(|| "1000h".to_owned()),
                by: None,
                deadline: None,
                every: None,
                calendar: None,
                ring: Vec::new(),
                ..entry.clone()
            };
            all.extend(self.terms(index, &sound, overlays, mask, problems));
        }
        all
    }

    /// The terms of an entry under the overlays whose bits are set in `mask`.
    fn terms(
        &mut self,
        index: (&'static str, usize),
        entry: &ClockConfig,
        overlays: &[(usize, &OverlayConfig)],
        mask: usize,
        told: &mut Problems,
    ) -> Option<Terms> {
        let place = match mask.trailing_zeros() as usize {
            bit if bit < overlays.len() => ("overlay", overlays[bit].0),
            _ => index,
        };
        told.within(place.0, |told| {
            told.within(place.1, |told| {
                let active = || overlays.iter().enumerate().filter(|(b, _)| mask & (1 << b) != 0).map(|(_, o)| o.1);
                let calendar = active().fold(entry.calendar.as_deref(), |c, o| o.calendar.as_deref().or(c));
                let calendar = self.calendar(calendar, told);
                let mut target = entry.target.as_deref();
                let mut by = entry.by.as_deref();
                for overlay in active() {
                    if let Some(other) = overlay.target.as_deref() {
                        (target, by) = (Some(other), None);
                    }
                    if let Some(other) = overlay.by.as_deref() {
                        (target, by) = (None, Some(other));
                    }
                }
                let target = match target {
                    Some(text) => {
                        // A condition has another word for it.
                        let key = if place.0 == "condition" { "after" } else { "target" };
                        Some(told.within(key, |p| length(text, &calendar, p))?)
                    }
                    None => None,
                };
                let promise = if let Some(by) = by {
                    Promise::By {
                        time: told.within("by", |p| time_of_day(by, p))?,
                        extends: entry.by_extends,
                    }
                } else if let (None, Some(every)) = (target, &entry.every) {
                    let (months, days) = told.within("every", |p| recurrence(every, p))?;
                    Promise::Every { months, days }
                } else {
                    let deadline = match &entry.deadline {
                        Some(name) if !name.ends_with("_by") => {
                            told.within("deadline", |told| {
                                told.error(format!(
                                    "found `{name}`, expected a deadline mark: its name ends in `_by`, such as ship_by"
                                ));
                            });
                            None
                        }
                        Some(name) => self.name(name, told),
                        None => None,
                    };
                    // What is wrong is told at once.
                    let at_once = entry.start_when.is_some() && target.is_none() && deadline.is_none();
                    let target = target.or(at_once.then_some(Span::ZERO));
                    if target.is_none() && deadline.is_none() {
                        return None;
                    }
                    Promise::Within { target, deadline }
                };
                let rings = active().fold(&entry.ring, |r, o| o.ring.as_ref().unwrap_or(r));
                if mask == 0 && calendar.is_always_open() && rings.iter().any(|r| r.hold) {
                    told.within("ring", |told| {
                        told.warn(format!(
                            "has `hold` on calendar `{}`, which is always open: nothing is ever held",
                            calendar.id()
                        ));
                    });
                }
                let longest = match promise {
                    Promise::Within { target, deadline: None } => target,
                    _ => None,
                };
                // H6 is refused where the rings are written; a target that an overlay shortens fires them at the change.
                let longest = if mask == 0 || active().any(|o| o.ring.is_some()) { longest } else { None };
                Some(Terms {
                    promise,
                    rings: told.within("ring", |p| compile_rings(rings, longest, self.symbols, p)),
                    calendar,
                    min_left: active().fold(entry.min_left, |m, o| o.min_left.or(m)),
                    restart: entry.on_change == Some(OnChange::Restart),
                    overlaid: active().any(|o| o.target.is_some() || o.by.is_some()),
                    overlays: active().map(|o| Arc::from(o.name.as_str())).collect(),
                })
            })
        })
    }
}

fn check_promise_keys(entry: &ClockConfig, problems: &mut Problems) {
    let given: Vec<&str> = [
        ("target", entry.target.is_some()),
        ("by", entry.by.is_some()),
        ("deadline", entry.deadline.is_some()),
        ("every", entry.every.is_some()),
    ]
    .into_iter()
    .filter_map(|(key, given)| given.then_some(key))
    .collect();
    match given.as_slice() {
        [] if entry.start_when.is_some() => {}
        [] => problems.error("promises nothing, expected target, by, deadline or every"),
        [_] | ["target", "deadline"] => {}
        several => problems.error(format!(
            "has {}, expected one of target, by, deadline and every, or target with deadline",
            several.join(" and ")
        )),
    }
}

/// A target as written: a span, or working days of the calendar (`2wd`).
fn length(text: &str, calendar: &Calendar, problems: &mut Problems) -> Option<Span> {
    let parsed = match text.trim().strip_suffix("wd") {
        Some(days) => days
            .trim()
            .parse::<u32>()
            .ok()
            .zip(calendar.working_day())
            .map(|(n, day)| day.times(i64::from(n))),
        None => Span::parse(text).ok(),
    };
    let parsed = parsed.filter(|span| !span.is_zero());
    if parsed.is_none() {
        problems.error(format!(
            "found `{text}`, expected a length of time such as 20m, 48h or 2wd (working days)"
        ));
    }
    parsed
}

fn time_of_day(text: &str, problems: &mut Problems) -> Option<jiff::civil::Time> {
    let parsed = match text.as_bytes() {
        [h1, h2, b':', m1, m2] if [h1, h2, m1, m2].iter().all(|d| d.is_ascii_digit()) => {
            text.parse::<jiff::civil::Time>().ok()
        }
        _ => None,
    };
    if parsed.is_none() {
        problems.error(format!("found `{text}`, expected a local time such as 12:00"));
    }
    parsed
}

fn recurrence(text: &str, problems: &mut Problems) -> Option<(i32, i32)> {
    let parsed = text.trim().split_once(' ').and_then(|(n, unit)| {
        let n: i32 = n.parse().ok().filter(|n| (1..=24).contains(n))?;
        match unit.trim() {
            "month" | "months" => Some((n, 0)),
            "week" | "weeks" => Some((0, 7 * n)),
            "day" | "days" => Some((0, n)),
            _ => None,
        }
    });
    if parsed.is_none() {
        problems.error(format!("found `{text}`, expected `1 month`, `2 weeks` or `10 days` (1 to 24)"));
    }
    parsed
}
