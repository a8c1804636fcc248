//! What people press, with a channel that does what a test tells it to: their languages, lists, slow stores, shared ids.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shiftbell::channels::Channel;
use shiftbell::channels::callback::{Answer, Face, Heard, Hears, Knock, Place, Press, Refusal, Text};
use shiftbell::core::alerting::{ButtonAct, ButtonToken, Claim, LinkKeys, LinkTarget, Told};
use shiftbell::core::duty::Person;
use shiftbell::core::model::{
    ChannelCard, ChannelClass, DuplicateKey, LinkRule, Outcome, OutcomeClass, ReceiptPath, ReplyPath, Status,
};
use shiftbell::core::time::{Instant, Span};

use super::{Console, Mode, Reply, id, incident, key, setup, start};

/// A chat: `who value event`, or `text who words`, in a body.
struct Chat {
    card: ChannelCard,
    waits: Duration,
    people: BTreeMap<String, String>,
    shown: Mutex<Vec<Face>>,
}

impl Hears for Chat {
    fn hear(&self, knock: &Knock<'_>) -> Result<Heard, Refusal> {
        let body = std::str::from_utf8(knock.body).map_err(|_| Refusal::Unreadable("it is no text"))?;
        let words: Vec<&str> = body.splitn(3, ' ').collect();
        match words[..] {
            ["text", who, text] => {
                let text = Text { from: who.to_owned(), text: text.to_owned(), event: body.to_owned() };
                Ok(Heard::Told { receipts: Vec::new(), texts: vec![text] })
            }
            [who, value, event] => Ok(Heard::Press(Press {
                ids: vec![who.to_owned()],
                value: value.to_owned(),
                event: event.to_owned(),
                place: Place::default(),
            })),
            _ => Err(Refusal::Signature),
        }
    }

    fn pressed(&self, _: &Press, face: &Face) -> Answer {
        let card = face.card.as_ref().map_or("", |card| &card.state);
        Answer::text(format!("{} | {card}", face.say))
    }

    fn thanks(&self, kept: bool, say: Option<&str>) -> Answer {
        if kept { Answer::text(say.unwrap_or("-").to_owned()) } else { Answer::again() }
    }

    fn waits(&self) -> Duration {
        self.waits
    }

    fn people(&self) -> Option<&BTreeMap<String, String>> {
        Some(&self.people)
    }
}

impl Channel for Chat {
    fn card(&self) -> &ChannelCard {
        &self.card
    }

    fn send<'a>(&'a self, _: &'a Claim) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>> {
        Box::pin(std::future::ready(Outcome::of(OutcomeClass::NotSent)))
    }

    fn hears(&self) -> Option<&dyn Hears> {
        Some(self)
    }

    fn amend<'a>(
        &'a self,
        _: &'a Place,
        face: &'a Face,
    ) -> Pin<Box<dyn Future<Output = Option<Outcome>> + Send + 'a>> {
        self.shown.lock().unwrap().push(face.clone());
        Box::pin(std::future::ready(Some(Outcome::of(OutcomeClass::Accepted))))
    }
}

/// A console whose channel `im` is such a chat: `l` is 小林, `j` Jo, `x` names nobody, `s` is shared.
async fn console() -> (Console, Arc<Chat>) {
    let console = Console::start().await;
    let mut setup = setup();
    let roster = Arc::make_mut(&mut setup.roster);
    for (person, addresses) in [("xiaolin", vec!["l", "s"]), ("jo", vec!["j"]), ("xiaochen", vec!["s"])] {
        let person: &mut Person = roster.people.get_mut(person).unwrap();
        person.contacts = addresses.into_iter().map(|address| ("im".into(), address.to_owned())).collect();
    }
    console.setup.send_replace(setup.into());
    let card = ChannelCard {
        name: "im".into(),
        adapter: "feishu_app".into(),
        class: ChannelClass::ChatApp,
        duplicate_key: DuplicateKey::None,
        receipts: ReceiptPath::None,
        reply: ReplyPath::Button,
        body_limit: None,
        links: LinkRule::Any,
        lane_caps: Vec::new(),
        account_caps: Vec::new(),
        max_inflight: 1,
    };
    let people = [("m".to_owned(), "xiaochen".to_owned()), ("x".to_owned(), "nobody".to_owned())].into();
    let waits = Duration::from_millis(500);
    let chat = Arc::new(Chat { card, waits, people, shown: Mutex::default() });
    let channel: Arc<dyn Channel> = chat.clone();
    console.channels.send_replace(Arc::new([("im".into(), channel)].into()));
    for n in 1..=3 {
        console.owner().incidents.insert(id(n), incident(n));
    }
    (console, chat)
}

fn button(act: ButtonAct, target: LinkTarget, at: Instant, nonce: u8) -> String {
    let episode = u32::from(matches!(target, LinkTarget::Incident(_)));
    let expires_at = at + Span::HOUR;
    let token = ButtonToken { act, target, episode, expires_at, nonce: [nonce; 6] };
    LinkKeys::new(&key(), &"after-sales".into(), 0).sign_button(&token)
}

async fn press(console: &Console, who: &str, value: &str, event: &str) -> Reply {
    let body = format!("{who} {value} {event}");
    console.ask("POST", "/v1/callbacks/im", &[], body.as_bytes()).await
}

const ONE: LinkTarget = LinkTarget::Incident(shiftbell::core::ids::Id::from_bytes([1; 16]));

#[tokio::test]
async fn everybody_is_answered_in_their_language() {
    let (console, _) = console().await;
    let ack = button(ButtonAct::Ack, ONE, start(), 1);
    press(&console, "l", &ack, "e1").await.says(200, &["已认领,请在14:30前处理 | 已由小林认领 14:20"]);
    press(&console, "j", &ack, "e2").await.says(200, &["小林 has it since 14:20"]);
    press(&console, "m", &ack, "e3").await.says(200, &["已由小林认领(14:20)"]);
    press(&console, "l", &ack, "e4").await.says(200, &["已处理(小林 14:20):已认领"]);
    let snooze = button(ButtonAct::Snooze, ONE, start(), 2);
    press(&console, "j", &snooze, "e5").await.says(200, &["put off until 14:50 | put off by Jo until 14:50"]);
    let owner = console.owner();
    assert_eq!(owner.acts.len(), 5);
    assert_eq!((&*owner.acts[0].via, owner.acts[0].episode), ("im", Some(1)));
    assert_eq!(owner.acts[0].inbox, owner.acts[3].inbox, "I11");
}

#[tokio::test]
async fn nobody_is_taken_for_somebody_else() {
    let (console, _) = console().await;
    let ack = button(ButtonAct::Ack, ONE, start(), 1);
    // Not in the roster; named, but gone; shared by two of whom none is on duty; a name instead of an id.
    for who in ["z", "x", "s", "小林", "xiaolin"] {
        press(&console, who, &ack, who).await.says(200, &["您不在值班名单中"]);
    }
    let late = button(ButtonAct::Ack, ONE, start() - Span::HOUR, 1);
    press(&console, "l", &late, "a").await.says(200, &["此按钮已过期"]);
    for value in ["", "AAAA", &ack[..ack.len() - 1]] {
        press(&console, "l", if value.is_empty() { "-" } else { value }, "b")
            .await
            .says(200, &["此按钮无效"]);
    }
    let gone = LinkTarget::Incident(id(99));
    press(&console, "l", &button(ButtonAct::Ack, gone, start(), 1), "c").await.says(200, &["事件已结束"]);
    assert_eq!(console.owner().changes, 0);
}

#[tokio::test]
async fn a_list_is_taken_as_it_was_told_and_nothing_else_is_done_to_it() {
    let (console, _) = console().await;
    console.owner().lists.insert(id(50), vec![id(1), id(2)]);
    let list = LinkTarget::List { message: id(50), revision: 0 };
    press(&console, "l", &button(ButtonAct::Snooze, list, start(), 1), "a").await.says(200, &["事件已结束"]);
    assert_eq!(console.owner().changes, 0);
    let reply = press(&console, "l", &button(ButtonAct::Ack, list, start(), 2), "b").await;
    reply.says(200, &["2条已认领", "已由小林认领 14:20(2条)"]);
    let owner = console.owner();
    let status = |n| owner.incidents[&id(n)].status;
    assert_eq!([status(1), status(2), status(3)], [Status::Acked, Status::Acked, Status::Open], "RS4");
}

/// S43: the answer says that it is being worked on, and the card follows the commit.
#[tokio::test]
async fn s43_a_card_follows_a_commit_that_took_long() {
    let (console, chat) = console().await;
    let ack = button(ButtonAct::Ack, ONE, start(), 1);
    console.owner().mode = Mode::Late;
    press(&console, "l", &ack, "e1").await.says(200, &["处理中 | "]).says_not(&["已认领", "已由"]);
    assert!(chat.shown.lock().unwrap().is_empty(), "nothing is committed");
    // The store works again: whatever is asked next finds what waited.
    {
        let mut owner = console.owner();
        (owner.mode, owner.released) = (Mode::Well, true);
    }
    console.get(&format!("/a/{}", console.token(super::LinkPurpose::View, ONE, "xiaolin"))).await;
    let face = loop {
        let shown = chat.shown.lock().unwrap().pop();
        match shown {
            Some(face) => break face,
            None => tokio::task::yield_now().await,
        }
    };
    let card = face.card.expect("it is committed");
    assert_eq!(card.state, "已由小林认领 14:20");
    assert!(card.title.contains("平台工单 20 分钟回复") && card.text.contains("应于14:20前完成"), "{card:?}");
    assert!(card.links.iter().all(|link| link.purpose != "ack"), "{card:?}");
    // The platform repeats it.
    press(&console, "l", &ack, "e1").await.says(200, &["已处理"]);
    let owner = console.owner();
    assert_eq!(owner.acts.len(), 2);
    assert_eq!(owner.acts[0].inbox, owner.acts[1].inbox);
}

#[tokio::test]
async fn what_is_not_recorded_is_not_said_to_be() {
    let (console, chat) = console().await;
    console.owner().mode = Mode::Storage;
    let ack = button(ButtonAct::Ack, ONE, start(), 1);
    press(&console, "l", &ack, "a").await.says(200, &["暂不能记录,请电话 阿敏 | "]);
    console.owner().told.insert(("im".into(), "xiaolin".into()), vec![told(&[1])]);
    let reply = console.ask("POST", "/v1/callbacks/im", &[], b"text l 1").await;
    assert_eq!(reply.status, 503, "the provider says it again");
    assert!(chat.shown.lock().unwrap().iter().all(|face| face.card.is_none()));
}

fn told(all: &[u8]) -> Told {
    Told { message: id(60), open: all.iter().map(|n| incident(*n)).collect() }
}

#[tokio::test]
async fn an_answer_in_words_is_about_what_was_told_last() {
    let (console, _) = console().await;
    let write = async |text: &str| {
        let body = format!("text l {text}");
        console.ask("POST", "/v1/callbacks/im", &[], body.as_bytes()).await
    };
    let tell = |lists: &[&[u8]]| {
        let lists = lists.iter().map(|list| told(list)).collect();
        console.owner().told.insert(("im".into(), "xiaolin".into()), lists);
    };
    write("1").await.says(200, &["事件已结束"]);
    // The older message says again what the newest says: that is one thing.
    tell(&[&[1, 2], &[2]]);
    write("2").await.says(200, &["有2件待处理"]);
    write("1").await.says(200, &["2条已认领"]);
    // Something else waits in the older one: the id is needed.
    tell(&[&[1], &[3]]);
    write("认领").await.says(200, &["有2件待处理:", &id(1).short(), "0C1G"]);
    assert_eq!(console.owner().incidents[&id(3)].status, Status::Open);
    write("1 0c1g").await.says(200, &["已认领"]);
    assert_eq!(console.owner().incidents[&id(3)].status, Status::Acked);
    write("1 zzzz").await.says(200, &["事件已结束"]);
    // Three times an hour they are told how to answer (RS5).
    write("什么?").await.says(200, &["请回复 1 认领"]);
    write("什么??").await.says(200, &["-"]);
}

#[tokio::test]
async fn a_callback_is_bounded_in_size_and_number() {
    let (console, _) = console().await;
    let large = vec![b'x'; (256 << 10) + 1];
    assert_eq!(console.ask("POST", "/v1/callbacks/im", &[], &large).await.status, 413);
    for (path, status) in
        [("/v1/callbacks/other", 404), ("/v1/callbacks/im/a/b", 404), ("/v1/callbacks", 404)]
    {
        assert_eq!(console.ask("POST", path, &[], b"a b c").await.status, status, "{path}");
    }
    // Wrong ones are counted by address, as guesses are.
    let mut last = 0;
    for _ in 0..11 {
        last = console.ask("POST", "/v1/callbacks/im", &[], b"forged").await.status;
    }
    assert_eq!(last, 429);
    assert_eq!(console.metric("shiftbell_http_refused_total{reason=\"token\"}"), "11");
    let good = press(&console, "l", &button(ButtonAct::Ack, ONE, start(), 1), "e").await;
    good.says(200, &["已认领"]);
}
