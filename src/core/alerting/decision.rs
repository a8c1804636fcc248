//! Who is told, and why (`delivery_semantics` §7.2, §7.6): a pure function from a question to a choice. Question and
//! choice are kept together, so that "why me?" and "why not me?" are answered from the record alone, and asking the
//! kept question again gives the kept choice (I23).

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::duty::Role;
use crate::core::ids::Id;
use crate::core::model::{ChannelClass, Class, PersonId};
use crate::core::time::Instant;

/// What a choice depends on, nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The incident.
    pub incident: Id,
    /// The level that is announced.
    pub level: u8,
    /// When.
    pub at: Instant,
    /// The team of the case.
    pub team: Arc<str>,
    /// The team that helps out.
    pub sister: Option<Arc<str>>,
    /// Who works the case at the source.
    pub owner: Option<PersonId>,
    /// Two persons are told.
    pub pair: bool,
    /// How urgent.
    pub class: Class,
    /// The system's own trouble: the admins, the seniors and managers on duty.
    pub scope: Scope,
    /// Everybody who may come into question.
    pub candidates: Vec<Candidate>,
    /// The revision of the roster.
    pub roster_revision: u64,
    /// The revision of the configuration.
    pub config_revision: u64,
    /// They are named, and nobody is looked for: copies, who had it, who was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<Named>,
}

/// People who are told because of what they had to do with an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// As what, such as `former`.
    pub what: String,
    /// Who.
    pub people: Vec<PersonId>,
}

/// Whose trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// A case's: by level.
    Case,
    /// The system's own: the admins.
    System,
    /// The roster's own: who is senior or manager.
    Roster,
    /// A dead letter: the level and the admins.
    DeadLetter,
    /// Whoever is left: the fallback list (R6, R7 at level 3).
    Fallback,
}

/// Somebody who may be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Who.
    pub person: PersonId,
    /// Their role.
    pub role: Role,
    /// Their team.
    pub team: Arc<str>,
    /// They are on duty.
    pub on_duty: bool,
    /// The classes of the enabled channels they have a contact on; none: not reachable.
    pub classes: BTreeSet<ChannelClass>,
    /// Open incidents of level 1 that are theirs.
    pub load: usize,
    /// Settles ties: H(incident, person).
    pub tie: Id,
    /// Their place in the fallback list.
    pub fallback: Option<usize>,
    /// They are told of the system's own trouble.
    pub admin: bool,
}

/// Who is told, and why the others are not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Who is told.
    pub audience: Vec<PersonId>,
    /// The rule that chose them, such as `1b`.
    pub by: String,
    /// Who comes next, for the later waves.
    pub next: Vec<PersonId>,
    /// For and against each candidate.
    pub reasons: Vec<(PersonId, String)>,
}

/// One row of the table of §7.2.
type Step<'q> = (&'static str, Vec<&'q Candidate>);

impl Question {
    /// Answers it.
    pub fn choose(&self) -> Choice {
        if let Some(Named { what, people }) = &self.named {
            return Choice {
                audience: people.clone(),
                by: what.clone(),
                next: Vec::new(),
                reasons: people.iter().map(|p| (p.clone(), what.clone())).collect(),
            };
        }
        let steps = match self.scope {
            Scope::Case => self.case(self.level),
            Scope::System => vec![("admins", self.admins()), ("fallback", self.fallback())],
            Scope::Roster => {
                vec![("roster", self.leaders()), ("admins", self.admins()), ("fallback", self.fallback())]
            }
            Scope::DeadLetter => self.dead_letter(),
            Scope::Fallback => vec![("fallback", self.fallback())],
        };
        let everybody = matches!(self.scope, Scope::System | Scope::Roster | Scope::DeadLetter);
        let mut choice = Choice::default();
        for (name, people) in &steps {
            let reachable: Vec<&Candidate> =
                people.iter().copied().filter(|c| !c.classes.is_empty()).collect();
            if choice.audience.is_empty() && !reachable.is_empty() {
                let many = match () {
                    () if everybody => reachable.len(),
                    () if *name == "fallback" || self.pair => 2,
                    () => 1,
                };
                choice.by = (*name).to_owned();
                choice.audience = reachable.iter().take(many).map(|c| c.person.clone()).collect();
                choice.next = reachable.iter().skip(many).map(|c| c.person.clone()).collect();
                if self.pair && choice.audience.len() < 2 {
                    let second = steps.iter().flat_map(|(_, p)| p).find(|c| {
                        !c.classes.is_empty()
                            && c.role == Role::of_level(self.level)
                            && !choice.audience.contains(&c.person)
                    });
                    choice.audience.extend(second.map(|c| c.person.clone()));
                }
            } else if !everybody {
                let more = reachable.iter().map(|c| c.person.clone());
                let known: Vec<PersonId> = choice.audience.iter().chain(&choice.next).cloned().collect();
                choice.next.extend(more.filter(|p| !known.contains(p)));
            }
        }
        choice.reasons =
            self.candidates.iter().map(|c| (c.person.clone(), self.reason(c, &choice))).collect();
        choice
    }

    fn case(&self, level: u8) -> Vec<Step<'_>> {
        let sister = self.sister.as_deref();
        match level {
            0 | 1 => {
                let owner = self.owner.as_ref();
                let owner =
                    self.candidates.iter().filter(|c| Some(&c.person) == owner && c.on_duty).collect();
                vec![
                    ("1a", owner),
                    ("1b", self.ranked(Role::Handler, Some(&self.team))),
                    ("1c", sister.map(|s| self.ranked(Role::Handler, Some(s))).unwrap_or_default()),
                ]
            }
            2 => vec![
                ("2a", self.ranked(Role::Senior, Some(&self.team))),
                ("2b", sister.map(|s| self.ranked(Role::Senior, Some(s))).unwrap_or_default()),
            ],
            _ => vec![("3a", self.ranked(Role::Manager, None)), ("fallback", self.fallback())],
        }
    }

    /// The next level up, and the admins with it.
    fn dead_letter(&self) -> Vec<Step<'_>> {
        let mut people: Vec<&Candidate> = Vec::new();
        for level in self.level.max(2)..=3 {
            let steps = self.case(level);
            if let Some((_, found)) = steps.iter().find(|(_, p)| p.iter().any(|c| !c.classes.is_empty())) {
                people.extend(found.iter().copied().filter(|c| !c.classes.is_empty()).take(1));
                break;
            }
        }
        for admin in self.admins() {
            if !people.iter().any(|c| c.person == admin.person) {
                people.push(admin);
            }
        }
        vec![("dead_letter", people), ("fallback", self.fallback())]
    }

    /// Those on duty with a role, of a team where one is given: the case's own team first, then the least load.
    fn ranked(&self, role: Role, team: Option<&str>) -> Vec<&Candidate> {
        let fits = |c: &&Candidate| c.role == role && c.on_duty && team.is_none_or(|t| *c.team == *t);
        let mut people: Vec<&Candidate> = self.candidates.iter().filter(fits).collect();
        people.sort_by_key(|c| (c.team != self.team, c.load, c.tie));
        people
    }

    /// Seniors and managers on duty; where none is, those there are.
    fn leaders(&self) -> Vec<&Candidate> {
        let leads = |c: &&Candidate| match c.role {
            Role::Senior => c.team == self.team,
            Role::Manager => true,
            Role::Handler | Role::Admin => false,
        };
        let all: Vec<&Candidate> = self.candidates.iter().filter(leads).collect();
        let on_duty: Vec<&Candidate> = all.iter().copied().filter(|c| c.on_duty).collect();
        if on_duty.is_empty() { all } else { on_duty }
    }

    fn admins(&self) -> Vec<&Candidate> {
        self.candidates.iter().filter(|c| c.admin).collect()
    }

    fn fallback(&self) -> Vec<&Candidate> {
        let mut people: Vec<&Candidate> = self.candidates.iter().filter(|c| c.fallback.is_some()).collect();
        people.sort_by_key(|c| c.fallback);
        people
    }

    fn reason(&self, c: &Candidate, choice: &Choice) -> String {
        let chosen = choice.audience.contains(&c.person);
        if chosen {
            return format!("chosen by {}: load {}", choice.by, c.load);
        }
        if c.classes.is_empty() {
            return "no contact on an enabled channel".to_owned();
        }
        if !c.on_duty && c.fallback.is_none() && !c.admin {
            return "off duty".to_owned();
        }
        if choice.next.contains(&c.person) {
            return format!("next: load {}", c.load);
        }
        if self.scope == Scope::Case && c.role != Role::of_level(self.level) {
            return format!("{} is not asked at level {}", c.role.word(), self.level);
        }
        "not asked: somebody before was found".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &str, role: Role, team: &str) -> Candidate {
        Candidate {
            person: name.into(),
            role,
            team: team.into(),
            on_duty: true,
            classes: [ChannelClass::ChatApp].into(),
            load: 0,
            tie: Id::from_bytes([name.len() as u8; 16]),
            fallback: None,
            admin: false,
        }
    }

    fn question(level: u8) -> Question {
        let mut boss = candidate("zhanzhang", Role::Manager, "a");
        boss.on_duty = false;
        boss.fallback = Some(0);
        let mut admin = candidate("yunwei", Role::Admin, "a");
        admin.admin = true;
        Question {
            incident: Id::from_bytes([0; 16]),
            level,
            at: Instant::from_secs(0),
            team: "a".into(),
            sister: Some("b".into()),
            owner: None,
            pair: false,
            class: Class::P1,
            scope: Scope::Case,
            candidates: vec![
                candidate("lin", Role::Handler, "a"),
                candidate("chen1", Role::Handler, "a"),
                candidate("he1234", Role::Handler, "b"),
                candidate("min", Role::Senior, "a"),
                candidate("zhou", Role::Manager, "a"),
                boss,
                admin,
            ],
            roster_revision: 1,
            config_revision: 1,
            named: None,
        }
    }

    fn chosen(question: &Question) -> (String, String) {
        let choice = question.choose();
        (choice.by, choice.audience.join(","))
    }

    #[test]
    fn the_table_of_7_2_by_example() {
        let check = |what: &str, level: u8, change: &dyn Fn(&mut Question), by: &str, who: &str| {
            let mut question = question(level);
            change(&mut question);
            assert_eq!(chosen(&question), (by.to_owned(), who.to_owned()), "{what}");
        };
        let off = |q: &mut Question, names: &[&str]| {
            for c in &mut q.candidates {
                c.on_duty &= !names.contains(&&*c.person);
            }
        };
        check("the shorter tie", 1, &|_| {}, "1b", "lin");
        check("the owner", 1, &|q| q.owner = Some("chen1".into()), "1a", "chen1");
        check(
            "an owner off duty",
            1,
            &|q| {
                q.owner = Some("chen1".into());
                off(q, &["chen1"]);
            },
            "1b",
            "lin",
        );
        check("less load", 1, &|q| q.candidates[0].load = 1, "1b", "chen1");
        check("a pair", 1, &|q| q.pair = true, "1b", "lin,chen1");
        check(
            "a pair with the owner",
            1,
            &|q| {
                q.pair = true;
                q.owner = Some("chen1".into());
            },
            "1a",
            "chen1,lin",
        );
        check("a contact less", 1, &|q| q.candidates[0].classes.clear(), "1b", "chen1");
        check("the sister team", 1, &|q| off(q, &["lin", "chen1"]), "1c", "he1234");
        check("nobody", 1, &|q| off(q, &["lin", "chen1", "he1234"]), "", "");
        check("the senior", 2, &|_| {}, "2a", "min");
        check("no senior", 2, &|q| off(q, &["min"]), "", "");
        check("the manager", 3, &|_| {}, "3a", "zhou");
        check("the fallback list", 3, &|q| off(q, &["zhou"]), "fallback", "zhanzhang");
        check("a dead letter", 2, &|q| q.scope = Scope::DeadLetter, "dead_letter", "min,yunwei");
        check("the system", 1, &|q| q.scope = Scope::System, "admins", "yunwei");
        check("the roster", 1, &|q| q.scope = Scope::Roster, "roster", "min,zhou");
    }

    #[test]
    fn every_candidate_has_a_reason_and_the_record_answers_again() {
        let question = question(1);
        let choice = question.choose();
        assert_eq!(choice.reasons.len(), question.candidates.len());
        let kept = serde_json::to_string(&question).expect("plain data");
        let again: Question = serde_json::from_str(&kept).expect("what was kept");
        assert_eq!(again.choose(), choice);
    }

    use proptest::prelude::*;

    fn anybody() -> impl Strategy<Value = Candidate> {
        let role = proptest::sample::select(vec![Role::Handler, Role::Senior, Role::Manager, Role::Admin]);
        let class =
            proptest::option::of(proptest::sample::select(vec![ChannelClass::Email, ChannelClass::Sms]));
        (0_u8..8, role, any::<bool>(), any::<bool>(), class, proptest::option::of(0_usize..3), 0_usize..3)
            .prop_map(|(name, role, own, on_duty, class, fallback, load)| Candidate {
                person: format!("p{name}").into(),
                role,
                team: if own { "a" } else { "b" }.into(),
                on_duty,
                classes: class.into_iter().collect(),
                load,
                tie: Id::from_bytes([name; 16]),
                fallback,
                admin: role == Role::Admin,
            })
    }

    proptest! {
        /// I23: what is kept of a decision, asked again, is the decision; whoever stands where in the list.
        #[test]
        fn the_record_answers_as_it_did(
            people in proptest::collection::btree_map(0_u8..8, anybody(), 0..8),
            level in 0_u8..4,
            pair in any::<bool>(),
            scope in proptest::sample::select(vec![
                Scope::Case, Scope::System, Scope::Roster, Scope::DeadLetter, Scope::Fallback,
            ]),
            named in proptest::option::of(proptest::collection::vec("[a-z]{1,3}", 0..3)),
        ) {
            let named = named.map(|names| Named {
                what: "former".to_owned(),
                people: names.iter().map(|name| name.as_str().into()).collect(),
            });
            let mut asked =
                Question { pair, scope, named, candidates: people.into_values().collect(), ..question(level) };
            asked.candidates.sort_by(|a, b| a.person.cmp(&b.person));
            asked.candidates.dedup_by(|a, b| a.person == b.person);
            let choice = asked.choose();
            let kept = serde_json::to_vec(&(&asked, &choice)).expect("plain data");
            let (again, was): (Question, Choice) = serde_json::from_slice(&kept).expect("what was kept");
            prop_assert_eq!(&again.choose(), &was);
            prop_assert_eq!(&was, &choice);
            // Everybody who was told is accounted for.
            for person in &choice.audience {
                prop_assert!(choice.reasons.iter().any(|(p, _)| p == person));
            }
        }

        /// I19, I21: from every level on somebody is chosen, or nobody of the fallback list can be reached, which is
        /// when the local alarm speaks; and nobody off duty is, but those who are named.
        #[test]
        fn somebody_always_gets_it(
            people in proptest::collection::btree_map(0_u8..8, anybody(), 0..8),
            level in 1_u8..4,
            pair in any::<bool>(),
            sister in any::<bool>(),
        ) {
            let mut asked = Question { pair, candidates: people.into_values().collect(), ..question(level) };
            asked.candidates.sort_by(|a, b| a.person.cmp(&b.person));
            asked.candidates.dedup_by(|a, b| a.person == b.person);
            asked.sister = sister.then(|| "b".into());
            let chain: Vec<Choice> = (level..=3).map(|level| Question { level, ..asked.clone() }.choose()).collect();
            let reachable = |c: &&Candidate| !c.classes.is_empty();
            let fallback = asked.candidates.iter().filter(reachable).any(|c| c.fallback.is_some());
            prop_assert!(chain.iter().any(|choice| !choice.audience.is_empty()) || !fallback);
            for choice in &chain {
                for person in &choice.audience {
                    let chosen = asked.candidates.iter().find(|c| c.person == *person).expect("a candidate");
                    prop_assert!(!chosen.classes.is_empty());
                    prop_assert!(chosen.on_duty || chosen.fallback.is_some());
                }
            }
        }
    }
}
