//! What people are shown after a press or a reply, in their language: one passing sentence, and the card as it is now. Only
//! of what is committed (§12.2).

use std::sync::Arc;

use super::super::Shared;
use super::name_of;
use crate::channels::callback::{Card, Face, Link, Tone};
use crate::channels::escape::neutral;
use crate::core::alerting::{Answer, Done, LinkMaker, LinkTarget, Refusal, Setup};
use crate::core::ids::Id;
use crate::core::model::{ChannelClass, Incident, Language, PersonId, Purpose, Status};
use crate::core::time::Instant;

/// Incidents that a card shows; the rest is counted.
const SHOWN: usize = 10;

/// Makes faces for one person.
pub(super) struct Faces<'a> {
    shared: &'a Shared,
    setup: Arc<Setup>,
    person: PersonId,
    class: ChannelClass,
    zh: bool,
    now: Instant,
}

impl<'a> Faces<'a> {
    /// For this person, who may be nobody, on a channel of this class.
    pub(super) fn new(shared: &'a Shared, person: &PersonId, class: ChannelClass) -> Faces<'a> {
        let setup = shared.setup();
        let known = setup.roster.people.get(person).and_then(|person| person.language);
        let zh = known.unwrap_or(setup.language) == Language::Zh;
        Faces { shared, person: person.clone(), class, zh, now: (shared.now)(), setup }
    }

    fn say(&self, tone: Tone, zh: &str, en: &str) -> Face {
        let say = if self.zh { zh } else { en };
        Face { tone, say: say.to_owned(), card: None }
    }

    /// It is not one of our buttons.
    pub(super) fn invalid(&self) -> Face {
        self.say(Tone::Bad, "此按钮无效,请用最近一条消息", "This button is not valid: use the latest message")
    }

    /// Its time is over.
    pub(super) fn expired(&self) -> Face {
        self.say(
            Tone::Bad,
            "此按钮已过期,请用最近一条消息",
            "This button has expired: use the latest message",
        )
    }

    /// What it is about is over for long, or no longer kept.
    pub(super) fn gone(&self) -> Face {
        self.say(Tone::Plain, "事件已结束", "It is over")
    }

    /// Whoever pressed is not in the roster.
    pub(super) fn unknown(&self) -> Face {
        let zh = "您不在值班名单中,没有任何改动";
        self.say(Tone::Bad, zh, "You are not in the roster: nothing was changed")
    }

    /// It is not committed yet (§12.2).
    pub(super) fn working(&self) -> Face {
        self.say(Tone::Plain, "处理中", "Still working on it")
    }

    /// It was not recorded (§16.4).
    pub(super) fn not_recorded(&self) -> Face {
        let fallback = self.setup.config.fallback.iter().take(3);
        let names: Vec<&str> = fallback.map(|person| name_of(&self.setup, person)).collect();
        let zh = format!("暂不能记录,请电话 {}", names.join("、"));
        let en = format!("It cannot be recorded now: call {}", names.join(", "));
        self.say(Tone::Bad, &zh, &en)
    }

    /// The person may not, or it cannot be.
    pub(super) fn refused(&self, refusal: &Refusal) -> Face {
        match refusal {
            Refusal::NoSuchIncident(_) | Refusal::NoSuchSilence(_) => self.gone(),
            Refusal::OtherEpisode { .. } => self.say(
                Tone::Bad,
                "此按钮属于上一次事件,请用最近一条消息",
                "This button is of an earlier occurrence: use the latest message",
            ),
            _ if super::is_about_person(refusal) => self.say(
                Tone::Bad,
                "您不能执行此操作,没有任何改动",
                "You may not do this: nothing was changed",
            ),
            Refusal::OutOfBounds { .. } => {
                self.say(Tone::Bad, "时限已近,不能再推迟", "The deadline is too near for this")
            }
            _ => self.say(Tone::Bad, "按当前状态无法执行", "It cannot be done as it stands now"),
        }
    }

    /// What was done, and the card as it is after it.
    pub(super) fn done(&self, target: &LinkTarget, answer: &Answer, incidents: &[Incident]) -> Face {
        let state = self.state(answer);
        let tone = match answer.done.iter().any(|done| matches!(done, Done::HasOwner { .. })) {
            true => Tone::Plain,
            false => Tone::Good,
        };
        let said: Vec<String> = sorted(&answer.done).iter().map(|(done, n)| self.told(done, *n)).collect();
        let said = said.join(if self.zh { ";" } else { "; " });
        let say = match (answer.repeated, self.zh) {
            (false, _) => said,
            (true, true) => format!("已处理({} {}):{said}", self.name(), self.clock(answer.at)),
            (true, false) => format!("Done already ({} {}): {said}", self.name(), self.clock(answer.at)),
        };
        Face { tone, say, card: Some(self.card(target, state, incidents)) }
    }

    fn name(&self) -> &str {
        name_of(&self.setup, &self.person)
    }

    /// A local time; with its date when that is not today's (T6).
    fn clock(&self, at: Instant) -> String {
        let local = |at: Instant| at.to_timestamp().to_zoned(self.setup.zone.clone());
        let (at, now) = (local(at), local(self.now));
        at.strftime(if at.date() == now.date() { "%H:%M" } else { "%m-%d %H:%M" }).to_string()
    }

    /// What is said of something that was done, of one or of several.
    fn told(&self, done: &Done, n: usize) -> String {
        let of = |zh: &str, en: &str| match (n, self.zh) {
            (1, true) => zh.to_owned(),
            (1, false) => en.to_owned(),
            (n, true) => format!("{n}条{zh}"),
            (n, false) => format!("{n}: {en}"),
        };
        match done {
            Done::Acked { until: Some(until), .. } => of(
                &format!("已认领,请在{}前处理", self.clock(*until)),
                &format!("it is yours, work on it before {}", self.clock(*until)),
            ),
            Done::Acked { until: None, .. } => of("已认领", "it is yours"),
            Done::HasOwner { person, at, .. } => {
                let (name, at) = (name_of(&self.setup, person), self.clock(*at));
                of(&format!("已由{name}认领({at})"), &format!("{name} has it since {at}"))
            }
            Done::AlreadyResolved { .. } => of("已恢复", "it is over already"),
            Done::Snoozed { until, cut, .. } => {
                let until = self.clock(*until);
                match cut {
                    true => {
                        of(&format!("已推迟至{until}(已按时限缩短)"), &format!("put off until {until} (cut)"))
                    }
                    false => of(&format!("已推迟至{until}"), &format!("put off until {until}")),
                }
            }
            Done::Escalated { level, .. } => {
                of(&format!("已转上级(L{level})"), &format!("escalated to L{level}"))
            }
            Done::Resolved { .. } => of("已标记为解决", "marked as resolved"),
            Done::Released { .. } => of("已退回待认领", "open again"),
            Done::Silenced { .. } | Done::SilenceEnded { .. } => of("已处理", "done"),
        }
    }

    /// What the card says became of it.
    fn state(&self, answer: &Answer) -> String {
        let (name, at) = (self.name(), self.clock(answer.at));
        let all: Vec<String> = sorted(&answer.done)
            .iter()
            .map(|(done, n)| {
                let text = match (done, self.zh) {
                    (Done::Acked { .. }, true) => format!("已由{name}认领 {at}"),
                    (Done::Acked { .. }, false) => format!("{name} has it, {at}"),
                    (Done::HasOwner { person, at, .. }, true) => {
                        format!("已由{}认领 {}", name_of(&self.setup, person), self.clock(*at))
                    }
                    (Done::HasOwner { person, at, .. }, false) => {
                        format!("{} has it, {}", name_of(&self.setup, person), self.clock(*at))
                    }
                    (Done::Snoozed { until, .. }, true) => format!("{name}推迟至{}", self.clock(*until)),
                    (Done::Snoozed { until, .. }, false) => {
                        format!("put off by {name} until {}", self.clock(*until))
                    }
                    (Done::Escalated { .. }, true) => format!("{name}已转上级 {at}"),
                    (Done::Escalated { .. }, false) => format!("escalated by {name}, {at}"),
                    (Done::AlreadyResolved { .. }, true) => "已恢复".to_owned(),
                    (Done::AlreadyResolved { .. }, false) => "it is over".to_owned(),
                    (_, true) => format!("{name}已处理 {at}"),
                    (_, false) => format!("done by {name}, {at}"),
                };
                match (n, self.zh) {
                    (1, _) => text,
                    (n, true) => format!("{text}({n}条)"),
                    (n, false) => format!("{text} ({n})"),
                }
            })
            .collect();
        all.join(if self.zh { ";" } else { "; " })
    }

    fn card(&self, target: &LinkTarget, state: String, incidents: &[Incident]) -> Card {
        let what = match incidents {
            [one] => format!("#{} {}", one.id.short(), self.title(one)),
            all if self.zh => format!("{}条事件", all.len()),
            all => format!("{} incidents", all.len()),
        };
        let title = match self.zh {
            true => format!("【{}】{what}", self.setup.title),
            false => format!("[{}] {what}", self.setup.title),
        };
        let mut lines: Vec<String> = incidents.iter().take(SHOWN).map(|i| self.line(i)).collect();
        if incidents.len() > SHOWN {
            let n = incidents.len();
            lines.push(if self.zh { format!("…等{n}条") } else { format!("… {n} in all") });
        }
        Card { title, state, text: lines.join("\n"), links: self.links(target, incidents) }
    }

    fn title<'b>(&'b self, incident: &'b Incident) -> &'b str {
        let rule = self.setup.rules.get(&incident.rule).map(|rule| rule.title.as_str());
        rule.filter(|title| !title.is_empty()).unwrap_or(&incident.family)
    }

    fn line(&self, incident: &Incident) -> String {
        let (short, level, title) = (incident.id.short(), incident.level, self.title(incident));
        let subject: String = neutral(&incident.subject.id).chars().take(64).collect();
        let due = incident.due.map(|due| match self.zh {
            true => format!(",应于{}前完成", self.clock(due)),
            false => format!(", due {}", self.clock(due)),
        });
        let over = match (incident.status, self.zh) {
            (Status::Resolved, true) => ",已恢复",
            (Status::Resolved, false) => ", over",
            _ => "",
        };
        format!("#{short} L{level} {title} {subject}{}{over}", due.unwrap_or_default())
    }

    /// The links that are of use now: to look, and for one person's own card to say that it is done.
    fn links(&self, target: &LinkTarget, incidents: &[Incident]) -> Vec<Link> {
        let setup = &self.setup;
        let Some(maker) = LinkMaker::new(&self.shared.key, &setup.desk, &setup.config) else {
            return Vec::new();
        };
        let about: Id = match target {
            LinkTarget::Incident(id) => *id,
            LinkTarget::List { message, .. } => *message,
        };
        let members: Vec<&Incident> = incidents.iter().collect();
        let open = incidents.iter().any(|incident| !incident.is_resolved());
        let words = self.shared.words.get(if self.zh { &Language::Zh } else { &Language::En });
        let links = maker.links(about, &self.person, Purpose::Level, &members, self.now);
        links
            .into_iter()
            // What stands in a group acts in the name of one: there it only shows.
            .filter(|(purpose, _)| {
                *purpose == "view" || *purpose == "resolve" && open && self.class == ChannelClass::ChatApp
            })
            .map(|(purpose, url)| Link {
                label: words.map_or_else(|| purpose.to_owned(), |words| words.link(purpose)),
                purpose: purpose.to_owned(),
                url,
            })
            .collect()
    }
}

/// What was done by its kind, with how many of each, in the order in which they come.
fn sorted(all: &[Done]) -> Vec<(&Done, usize)> {
    let mut kinds: Vec<(&Done, usize)> = Vec::new();
    for done in all {
        let same = |(known, _): &&mut (&Done, usize)| match (*known, done) {
            (Done::HasOwner { person: one, .. }, Done::HasOwner { person: other, .. }) => one == other,
            (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
        };
        match kinds.iter_mut().find(same) {
            Some((_, n)) => *n += 1,
            None => kinds.push((done, 1)),
        }
    }
    kinds
}
