//! What happens outside of the process and to it: cases, people, weather, reloads, clocks, deaths.

use crate::core::alerting::{Act, Edge, Facts, Response, Signal, SilenceRequest};
use crate::core::ids::Id;
use crate::core::model::{Outcome, Statement, Subject};
use crate::core::time::Span;

use super::inboxes::Trouble;
use super::provider::Weather;
use super::source::{Case, Turn};
use super::trace::What;
use super::world::{Death, World};

/// Something that is going to happen.
#[derive(Clone, Debug)]
pub enum Happening {
    /// An attempt is over, of the process of this boot.
    Came { boot: u64, message: Id, attempt: u32, outcome: Outcome },
    /// A provider was asked, by the process of this boot.
    Told { boot: u64, message: Id, statement: Option<Statement> },
    /// A provider tells us something; it tries so often again when nobody takes it.
    Receipt { statement: Statement, tries: u32 },
    /// It is time to read a source.
    Poll(usize),
    /// A case is born.
    Ticket,
    /// Hundreds of parcels stall.
    Storm,
    /// Many buyers write within a minute.
    Rush,
    /// Something happens to a case.
    Case(usize, Case, Turn),
    /// Somebody does something.
    Person,
    /// Somebody sends what they sent before.
    Again(Box<Response>),
    /// A channel changes.
    Weather,
    /// A channel recovers.
    Fair(std::sync::Arc<str>),
    /// A source goes blind.
    Blind(usize),
    /// And can be read again.
    Seeing(usize),
    /// Another configuration.
    Reload,
    /// The process is going to die at its next commit.
    Die,
    /// It comes up.
    Up,
    /// The machine's clock jumps.
    Jump,
    /// And comes back.
    Back(i64),
    /// The end of trouble: fine weather, no more deaths.
    Calm,
}

impl World {
    /// One thing happens.
    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Came { boot, message, attempt, outcome } => self.came(boot, message, attempt, outcome),
            Happening::Told { boot, message, statement } => self.told(boot, message, statement),
            Happening::Receipt { statement, tries } => self.receipt(statement, tries),
            Happening::Poll(source) => self.poll(source),
            Happening::Ticket => self.ticket(),
            Happening::Storm => self.storm(),
            Happening::Rush => self.rush(),
            Happening::Case(source, case, turn) => {
                let now = self.truth();
                self.said(format!("{} of {}: {turn:?}", case.id, self.sources[source].name));
                if let Some((after, turn)) = self.sources[source].turn(&mut self.dice, now, &case, turn) {
                    self.later(after, Happening::Case(source, case, turn));
                }
            }
            Happening::Person => {
                self.person();
                if !self.calm {
                    let after = self.dice.span(5, self.profile.people);
                    self.later(after, Happening::Person);
                }
            }
            Happening::Again(response) => self.respond(*response),
            Happening::Weather => self.weather(),
            Happening::Fair(channel) => {
                if let Some(provider) = self.providers.get_mut(&channel) {
                    provider.weather = Weather::Fine;
                }
                if let Some(phones) = &self.phones {
                    phones.trouble(&channel, Trouble::None);
                }
                self.said(format!("channel {channel}: fine"));
            }
            Happening::Blind(source) => self.blind(source),
            Happening::Seeing(source) => self.seeing(source),
            Happening::Reload => self.reload(),
            Happening::Die if self.calm => {}
            Happening::Die => {
                let places = [
                    Death::BeforeCommit,
                    Death::AfterCommit,
                    Death::WhileSending,
                    Death::AfterSending,
                    Death::Refused,
                ];
                self.death = self.dice.pick(&places).copied();
                let after = self.dice.span(20, self.profile.deaths);
                self.later(after, Happening::Die);
            }
            Happening::Up => self.up(),
            Happening::Jump => self.jump(),
            Happening::Back(by) => {
                self.offset -= by;
                self.note(What::Jumped(-by));
            }
            Happening::Calm => self.calm_down(),
        }
    }

    fn calm_down(&mut self) {
        self.calm = true;
        self.death = None;
        for (channel, provider) in &mut self.providers {
            provider.weather = Weather::Fine;
            if let Some(phones) = &self.phones {
                phones.trouble(channel, Trouble::None);
            }
        }
        for source in 0..self.sources.len() {
            self.seeing(source);
        }
        self.said("calm: fine weather, no more deaths".to_owned());
    }

    fn ticket(&mut self) {
        if self.calm {
            return;
        }
        let now = self.truth();
        let source = self.dice.below(self.sources.len());
        let (case, turns) = self.sources[source].ticket(&mut self.dice, now);
        for (after, turn) in turns {
            self.later(after, Happening::Case(source, case.clone(), turn));
        }
        let after = self.dice.span(1, self.profile.tickets);
        self.later(after, Happening::Ticket);
    }

    fn storm(&mut self) {
        if self.calm {
            return;
        }
        let now = self.truth();
        let source = self.dice.below(self.sources.len());
        let carrier = *self.dice.pick(&["yto", "zto", "sto"]).unwrap_or(&"yto");
        let one_lane = self.dice.chance(40);
        let many = self.dice.between(5, self.profile.storm);
        self.said(format!("{many} parcels of {carrier} stall"));
        for n in 0..many {
            let lane = if one_lane { "sh-bj".to_owned() } else { format!("l{}", n % 7) };
            let (case, turns) = self.sources[source].parcel(&mut self.dice, now, carrier, &lane);
            for (after, turn) in turns {
                self.later(after, Happening::Case(source, case.clone(), turn));
            }
        }
        let after = self.dice.span(600, 6000);
        self.later(after, Happening::Storm);
    }

    /// Many write within a minute, and most of them are not answered in time.
    fn rush(&mut self) {
        if self.calm {
            return;
        }
        let now = self.truth();
        let many = self.dice.between(10, 40);
        self.said(format!("{many} buyers write within a minute"));
        for _ in 0..many {
            let source = self.dice.below(self.sources.len());
            let (case, turns) = self.sources[source].ticket(&mut self.dice, now);
            for (after, turn) in turns {
                self.later(after, Happening::Case(source, case.clone(), turn));
            }
        }
        let after = self.dice.span(600, self.profile.rushes);
        self.later(after, Happening::Rush);
    }

    fn weather(&mut self) {
        if self.calm {
            return;
        }
        if let Some(phones) = &self.phones {
            // One at a time: with all of them gone nothing can be in time.
            let (names, troubles) =
                (phones.names().collect::<Vec<_>>(), [Trouble::Busy, Trouble::Silent, Trouble::Deaf]);
            let lasts = self.dice.span(60, 900);
            if let (Some(name), Some(trouble)) = (self.dice.pick(&names).cloned(), self.dice.pick(&troubles))
            {
                phones.trouble(&name, *trouble);
                self.said(format!("channel {name}: {trouble:?} for {lasts}"));
                self.later(lasts, Happening::Fair(name));
            }
            let after = lasts + self.dice.span(300, self.profile.weather);
            self.later(after, Happening::Weather);
            return;
        }
        let names: Vec<_> = self.providers.keys().cloned().collect();
        let how_many = if self.dice.chance(10) { names.len() } else { 1 };
        let weather = *self.dice.pick(&Weather::BAD).unwrap_or(&Weather::Down);
        let lasts = if self.dice.chance(70) { self.dice.span(5, 400) } else { self.dice.span(400, 3000) };
        for _ in 0..how_many {
            let Some(name) = self.dice.pick(&names).cloned() else { return };
            if let Some(provider) = self.providers.get_mut(&name) {
                provider.weather = weather;
            }
            self.said(format!("channel {name}: {weather:?} for {lasts}"));
            self.later(lasts, Happening::Fair(name));
        }
        let after = self.dice.span(10, self.profile.weather);
        self.later(after, Happening::Weather);
    }

    fn blindness(&mut self, source: usize, edge: Edge) {
        let name = self.sources[source].name;
        let generation = format!("blind-{}", self.blind_since[source].as_millis());
        let signal = Signal {
            family: "source.blind".into(),
            rule: "source.blind".into(),
            subject: Subject { kind: "source".into(), source: "shiftbell".into(), id: name.into() },
            generation: generation.as_str().into(),
            cycle: None,
            edge,
            at: self.now(),
            facts: Facts::default(),
        };
        self.signals.push(signal);
    }

    fn blind(&mut self, source: usize) {
        if self.calm || self.sources[source].blind {
            return;
        }
        self.sources[source].blind = true;
        self.blind_since[source] = self.now();
        self.said(format!("{} is blind", self.sources[source].name));
        self.blindness(source, Edge::Firing);
        let after = self.dice.span(60, 2400);
        self.later(after, Happening::Seeing(source));
    }

    fn seeing(&mut self, source: usize) {
        if !self.sources[source].blind {
            return;
        }
        self.sources[source].blind = false;
        self.said(format!("{} can be read again", self.sources[source].name));
        self.blindness(source, Edge::Clear);
        let after = self.dice.span(600, 9000);
        self.later(after, Happening::Blind(source));
    }

    fn jump(&mut self) {
        if self.calm {
            return;
        }
        // Short ones back are waited out; longer ones let the desk go back (T3).
        let far = self.dice.chance(40);
        let by =
            if far { self.dice.between(-5_400_000, 5_400_000) } else { self.dice.between(-290_000, 300_000) };
        self.offset += by;
        self.note(What::Jumped(by));
        match self.dice.below(3) {
            // Others say that it is right.
            0 => {
                self.truth_offset += by;
                self.dates();
            }
            // Others say that it is wrong; it is mended later.
            1 => {
                self.dates();
                let after = self.dice.span(5, 600);
                self.later(after, Happening::Back(by));
            }
            // Nobody can be asked: it is believed, and the world goes by it.
            _ => {
                self.evidence = Default::default();
                self.truth_offset += by;
            }
        }
        let after = self.dice.span(900, 9000);
        self.later(after, Happening::Jump);
    }

    /// What somebody wants next, of what they can see.
    fn person(&mut self) {
        let mut people: Vec<String> = self.land.people.keys().cloned().collect();
        people.push("ghost".to_owned());
        let Some(person) = self.dice.pick(&people).cloned() else { return };
        let open: Vec<Id> = self.kept.unresolved().map(|i| i.id).collect();
        let all: Vec<Id> = self.kept.incidents.keys().copied().collect();
        let of = if self.dice.chance(90) { &open } else { &all };
        let Some(incident) = self.dice.pick(of).copied() else { return };
        let Some(found) = self.kept.incidents.get(&incident).cloned() else { return };
        // Mostly somebody whom it concerns.
        let concerned: Vec<String> =
            found.audience.iter().chain(&found.owner).chain(&found.acked_by).map(|p| p.to_string()).collect();
        let person = match self.dice.chance(65) {
            true => self.dice.pick(&concerned).cloned().unwrap_or(person),
            false => person,
        };
        let act = match self.dice.below(20) {
            0..=8 => {
                let incidents = if self.dice.chance(25) { self.some_list(incident) } else { vec![incident] };
                Act::Ack { incidents }
            }
            9..=11 => Act::Snooze { incident, span: self.dice.span(30, 20_000) },
            12..=13 => Act::Resolve { incident, reason: "done".to_owned() },
            14..=15 => Act::Escalate { incident, reason: None },
            16..=17 => Act::Release { incident },
            18 if self.profile.silences => {
                let (name, value) = match self.dice.below(3) {
                    0 => ("family", found.family.clone()),
                    1 => ("carrier", "yto".into()),
                    _ => ("team", found.team.clone()),
                };
                Act::Silence(SilenceRequest {
                    matchers: [(name.into(), vec![value])].into(),
                    reason: "maintenance".to_owned(),
                    span: self.dice.span(60, 6000),
                    covers_vip: self.dice.chance(20),
                })
            }
            19 if self.profile.silences => {
                let on: Vec<Id> = self.kept.silences.keys().copied().collect();
                let Some(silence) = self.dice.pick(&on).copied() else { return };
                Act::EndSilence { silence }
            }
            _ => Act::Ack { incidents: vec![incident] },
        };
        self.answers += 1;
        let mut inbox = [0; 16];
        inbox[..8].copy_from_slice(&self.answers.to_be_bytes());
        let episode = match self.dice.below(4) {
            0 => Some(found.episode),
            1 if self.dice.chance(20) => Some(found.episode.saturating_sub(1).max(1)),
            _ => None,
        };
        let response = Response {
            inbox: Id::from_bytes(inbox),
            person: person.as_str().into(),
            via: "link".into(),
            act,
            episode,
            from: Some("10.0.*.*".to_owned()),
        };
        if self.dice.chance(12) {
            let again = Box::new(response.clone());
            let after = self.dice.span(0, 1200);
            self.later(after, Happening::Again(again));
        }
        self.respond(response);
    }

    /// The list of some message about it.
    fn some_list(&mut self, incident: Id) -> Vec<Id> {
        let lists = self.kept.messages.values().filter(|m| m.members.contains(&incident));
        let lists: Vec<&Vec<Id>> = lists.map(|m| &m.members).collect();
        self.dice.pick(&lists).map_or_else(|| vec![incident], |list| (*list).clone())
    }

    /// Waits, and then lets it happen.
    pub(super) fn later(&mut self, after: Span, happening: Happening) {
        self.order += 1;
        let at = self.elapsed + after.as_millis().max(0);
        self.queue.insert((at, self.order), happening);
    }
}
