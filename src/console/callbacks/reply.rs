//! Answers in words, by short message (`delivery_semantics` §12.1, RS5): a digit for what to do, and the short id where more
//! than one thing is open. Who is not understood is told how to answer, three times an hour at most.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::super::limit::Limit;
use super::super::{ANSWER_WITHIN, Shared};
use super::face::Faces;
use super::person::person_of;
use crate::channels::callback::{Hears, Text};
use crate::core::alerting::{ButtonAct, LinkTarget, Response as Asked, Told};
use crate::core::ids::Id;
use crate::core::model::{ChannelClass, Incident, Language, PersonId, Status};
use crate::daemon::handle::{Ask, AskError, Late};

/// So many messages are looked through for what an answer is about.
const LOOKED: usize = 50;
/// So often in an hour somebody is told how to answer (RS5).
const HINTS: NonZeroU32 = NonZeroU32::new(3).unwrap();
const HOUR: Duration = Duration::from_secs(3600);
/// So many people are remembered for that.
const PEOPLE: usize = 1024;
/// A longer text is no answer, in characters.
const LONGEST: usize = 40;

/// How often whom it was told lately.
#[derive(Debug, Default)]
pub(in crate::console) struct Replies(BTreeMap<PersonId, Limit>);

impl Replies {
    /// Whether this person may be told once more.
    fn may_hint(&mut self, person: &PersonId, now: Instant) -> bool {
        if self.0.len() >= PEOPLE {
            self.0.retain(|_, limit| !limit.is_full(now));
        }
        if self.0.len() >= PEOPLE && !self.0.contains_key(person) {
            return false;
        }
        let new = || Limit::new(HINTS, HOUR, HINTS.get());
        self.0.entry(person.clone()).or_insert_with(new).take(1, now).is_ok()
    }
}

/// What came of an answer.
pub(super) struct Taken {
    /// It was dealt with, and need not be said again.
    pub(super) kept: bool,
    /// What its writer is told, where that can be told.
    pub(super) say: Option<String>,
}

impl Taken {
    fn silent() -> Taken {
        Taken { kept: true, say: None }
    }
}

/// What somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wish {
    act: ButtonAct,
    /// The beginning of an incident's id, in capitals.
    short: Option<String>,
}

/// Reads an answer: `1`, `1 K7Q2`, `1K7Q2`, `K7Q2`, `认领`; `2` puts off, `3` escalates.
fn read(text: &str) -> Option<Wish> {
    if text.chars().count() > LONGEST {
        return None;
    }
    // Phones write full-width letters and digits, too.
    let narrow = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        c => c,
    };
    let text: String = text.chars().map(narrow).collect::<String>().to_uppercase();
    let is_word = |c: char| c.is_alphanumeric();
    let words: Vec<&str> = text.split(|c| !is_word(c)).filter(|word| !word.is_empty()).collect();
    let short = |word: &str| {
        let letters = word.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
        ((4..=26).contains(&word.len()) && letters).then(|| word.to_owned())
    };
    match words.as_slice() {
        [one] => match verb(one) {
            Some(act) => Some(Wish { act, short: None }),
            // A digit that is written together with the id: ids of four letters stand alone.
            None if one.is_ascii() && one.len() == 5 && verb(&one[..1]).is_some() => {
                Some(Wish { act: verb(&one[..1])?, short: Some(short(&one[1..])?) })
            }
            None => Some(Wish { act: ButtonAct::Ack, short: Some(short(one)?) }),
        },
        [first, second] => match (verb(first), verb(second)) {
            (Some(act), None) => Some(Wish { act, short: Some(short(second)?) }),
            (None, Some(act)) => Some(Wish { act, short: Some(short(first)?) }),
            _ => None,
        },
        _ => None,
    }
}

fn verb(word: &str) -> Option<ButtonAct> {
    Some(match word {
        "1" | "认领" | "收到" | "确认" | "ACK" => ButtonAct::Ack,
        "2" | "推迟" | "稍后" | "SNOOZE" => ButtonAct::Snooze,
        "3" | "转上级" | "转交" | "ESCALATE" => ButtonAct::Escalate,
        _ => return None,
    })
}

/// What an answer is about.
#[derive(Debug)]
enum About {
    /// These.
    These(Vec<Incident>),
    /// Nothing of it is open.
    Nothing,
    /// One of several: the id is needed.
    Several(Vec<Id>),
}

/// Finds what an answer is about among what its writer was told. Without an id it is about the newest message; where an
/// older one holds something else that waits, nobody knows.
fn about(told: &[Told], person: &PersonId, wish: &Wish) -> About {
    let mine = |i: &&Incident| i.status == Status::Acked && i.acked_by.as_ref() == Some(person);
    if let Some(short) = &wish.short {
        let mut found: Vec<&Incident> = told.iter().flat_map(|told| &told.open).collect();
        found.retain(|incident| incident.id.to_string().starts_with(short));
        found.sort_by_key(|incident| incident.id);
        found.dedup_by_key(|incident| incident.id);
        return match found.as_slice() {
            [] => About::Nothing,
            [one] => About::These(vec![(*one).clone()]),
            several => About::Several(several.iter().map(|incident| incident.id).collect()),
        };
    }
    let waits = |told: &Told| -> Vec<Incident> { told.open.iter().filter(|i| !mine(i)).cloned().collect() };
    let mut all = told.iter().map(waits).filter(|open| !open.is_empty());
    // Where nothing waits any more it is about what they have.
    let have = || told.first().map(|newest| newest.open.clone());
    let Some(newest) = all.next().or_else(have) else { return About::Nothing };
    let mut ids: Vec<Id> = newest.iter().map(|incident| incident.id).collect();
    let elsewhere =
        all.flatten().map(|incident| incident.id).filter(|id| !ids.contains(id)).collect::<Vec<_>>();
    match elsewhere.is_empty() && (wish.act == ButtonAct::Ack || newest.len() == 1) {
        true => About::These(newest),
        false => {
            ids.extend(elsewhere);
            About::Several(ids)
        }
    }
}

/// Takes an answer in.
pub(super) async fn take(shared: &Shared, hears: &dyn Hears, channel: &Arc<str>, text: &Text) -> Taken {
    let setup = shared.setup();
    let now = (shared.now)();
    let person = match person_of(&setup, hears, channel, std::slice::from_ref(&text.from), now) {
        Ok(person) => person,
        Err(unknown) => {
            // Strangers write to numbers: they are told nothing.
            tracing::info!(%channel, reason = %unknown, "nobody of the roster could be found for a reply");
            return Taken::silent();
        }
    };
    let zh =
        setup.roster.people.get(&person).and_then(|p| p.language).unwrap_or(setup.language) == Language::Zh;
    let hint = |many: &[Id]| {
        let mut replies = shared.calls.replies.lock().unwrap_or_else(PoisonError::into_inner);
        let may = replies.may_hint(&person, Instant::now());
        Taken { kept: true, say: may.then(|| how_to(zh, many)) }
    };
    let Some(wish) = read(&text.text) else { return hint(&[]) };
    let limit = hears.waits().min(ANSWER_WITHIN);
    let asked = |answer| Ask::Told(channel.clone(), person.clone(), LOOKED, answer);
    let told: Vec<Told> = match shared.handle.ask(limit, asked).await {
        Ok(told) => told,
        Err(error) => return unkept(channel, &error),
    };
    let faces = Faces::new(shared, &person, ChannelClass::Sms);
    let incidents = match about(&told, &person, &wish) {
        About::These(incidents) => incidents,
        About::Several(ids) => return hint(&ids),
        About::Nothing => return Taken { kept: true, say: Some(faces.gone().say) },
    };
    let ids: Vec<Id> = incidents.iter().map(|incident| incident.id).collect();
    let Some(act) = wish.act.act(ids.clone()) else { return hint(&ids) };
    let keys = shared.link_keys(&setup);
    let response = Asked {
        inbox: keys.event_inbox(channel, &text.event, &person),
        person: person.clone(),
        via: "sms".into(),
        act,
        episode: None,
        from: Some(channel.to_string()),
    };
    // What it was about is of no use to whoever reads it on a phone.
    let target = LinkTarget::Incident(ids[0]);
    match shared.handle.respond(limit, response).await {
        Ok(answer) => Taken { kept: true, say: Some(faces.done(&target, &answer, &incidents).say) },
        Err(Late::Failed(AskError::Refused(refusal))) => {
            Taken { kept: true, say: Some(faces.refused(&refusal).say) }
        }
        // The provider says it again, and hears what came of it then (I11).
        Err(Late::Coming(_)) => unkept(channel, &AskError::Slow),
        Err(Late::Failed(error)) => unkept(channel, &error),
    }
}

fn unkept(channel: &Arc<str>, error: &AskError) -> Taken {
    tracing::warn!(%channel, %error, "a reply could not be kept in time: it will be said again");
    Taken { kept: false, say: None }
}

/// The valid forms (RS5), and what is open where that is not one thing.
fn how_to(zh: bool, open: &[Id]) -> String {
    let ids: Vec<String> = open.iter().take(5).map(Id::short).collect();
    match (zh, ids.first()) {
        (true, None) => "未能识别。请回复 1 认领,2 推迟30分钟,3 转上级".to_owned(),
        (true, Some(first)) => {
            format!("有{}件待处理:{}。请回复 1 加编号认领,如 1 {first}", open.len(), ids.join(" "))
        }
        (false, None) => {
            "Not understood. Reply 1 to acknowledge, 2 to snooze 30 min, 3 to escalate".to_owned()
        }
        (false, Some(first)) => {
            format!("{} are open: {}. Reply 1 and its id, such as 1 {first}", open.len(), ids.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_people_write_them() {
        use ButtonAct::{Ack, Escalate, Snooze};
        for (text, want) in [
            ("1", Some((Ack, None))),
            (" 1。 ", Some((Ack, None))),
            ("１", Some((Ack, None))),
            ("认领", Some((Ack, None))),
            ("收到!", Some((Ack, None))),
            ("2", Some((Snooze, None))),
            ("3", Some((Escalate, None))),
            ("1 k7q2", Some((Ack, Some("K7Q2")))),
            ("#K7Q2 1", Some((Ack, Some("K7Q2")))),
            ("1K7Q2", Some((Ack, Some("K7Q2")))),
            ("2,#K7Q2", Some((Snooze, Some("K7Q2")))),
            // An id may begin with a digit that means something.
            ("1K7Q", Some((Ack, Some("1K7Q")))),
            ("1 1K7Q", Some((Ack, Some("1K7Q")))),
            ("K7Q2", Some((Ack, Some("K7Q2")))),
            ("4", None),
            ("11", None),
            ("1 2", None),
            ("你好", None),
            ("我这就去处理", None),
            ("1 K7Q2 谢谢", None),
            ("", None),
            ("1 K7Q2 K7Q2 K7Q2 K7Q2 K7Q2 K7Q2 K7Q2 K7Q2 K7Q2", None),
        ] {
            let want =
                want.map(|(act, short): (_, Option<&str>)| Wish { act, short: short.map(str::to_owned) });
            assert_eq!(read(text), want, "{text}");
        }
    }

    #[test]
    fn nobody_is_told_how_to_answer_more_than_three_times_an_hour() {
        let (mut replies, person, start) = (Replies::default(), PersonId::from("lin"), Instant::now());
        assert!((0..3).all(|_| replies.may_hint(&person, start)));
        assert!(!replies.may_hint(&person, start));
        assert!(replies.may_hint(&"chen".into(), start));
        assert!(replies.may_hint(&person, start + Duration::from_secs(1200)));
    }
}
