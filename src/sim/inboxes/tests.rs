//! Every real adapter against its simulated provider: what is right is shown, what is wrong is refused, what is too much is
//! punished, and the adapter knows each of these for what it is.

use std::sync::Arc;
use std::time::Duration;

use super::here::Here;
use super::{FORBIDDEN, KINDS, Kind, Strike};
use crate::channels::{Channel, Limits};
use crate::core::alerting::Claim;
use crate::core::ids::Id;
use crate::core::model::{Body, ChannelClass, Class, Lane, Outcome, OutcomeClass, Recipient};
use crate::core::time::{Instant, Span};

const NOW: Instant = Instant::from_secs(1_790_000_000);
const LIMITS: Limits = Limits { connect: Duration::from_secs(3), total: Duration::from_secs(10) };

struct Desk {
    here: Arc<Here>,
    channel: Arc<dyn Channel>,
    kind: &'static Kind,
    sent: u64,
}

impl Desk {
    fn new(kind: &'static Kind) -> Desk {
        let here = Here::new(&[("it", kind)]);
        let channel = here.right("it", LIMITS).unwrap();
        Desk { here, channel, kind, sent: 0 }
    }

    /// A message of its own to the nth person.
    fn claim(&mut self, address: &str, words: &str, at: Instant) -> Claim {
        self.sent += 1;
        let id = format!("K{:03}", self.sent);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.sent.to_be_bytes());
        let is_sms = matches!(self.channel.card().class, ChannelClass::Sms | ChannelClass::Voice);
        let url = format!("https://desk.example/a/{id}");
        let data = match is_sms {
            true => {
                serde_json::json!({ "form": "full", "id": format!("{id}{words}"), "count": format!("1{words}") })
            }
            false => serde_json::json!({ "links": [{ "label": "认领", "purpose": "ack", "url": url }] }),
        };
        let link = if is_sms { String::new() } else { format!("\n认领:{url}") };
        Claim {
            message: Id::from_bytes(bytes),
            attempt: 1,
            key: format!("key-{id}"),
            to: Recipient {
                person: "lin".into(),
                lane: Lane { channel: "it".into(), address: Id::from_bytes([9; 16]) },
                class: self.channel.card().class,
            },
            address: address.to_owned(),
            priority: Class::P1,
            body: Body {
                subject: Some("【售后】工单超时".to_owned()),
                text: format!("#{id} 工单20分钟未回复 {words}{link}"),
                html: None,
                data: Some(data.to_string()),
            },
            deadline: at + Span::from_secs(10),
            thread: Id::from_bytes([7; 16]),
        }
    }

    async fn send(&mut self, address: &str, words: &str, at: Instant) -> Outcome {
        let claim = self.claim(address, words, at);
        self.hand(&claim, at).await
    }

    async fn hand(&self, claim: &Claim, at: Instant) -> Outcome {
        self.here.at(at, at);
        self.channel.send(claim).await
    }

    fn seen(&self) -> usize {
        self.here.of("it").unwrap().seen.len()
    }

    fn struck(&self, strike: Strike) -> usize {
        self.here.of("it").unwrap().struck(strike)
    }
}

#[tokio::test]
async fn what_a_channel_sends_is_shown_with_its_words_and_its_link() {
    for kind in KINDS {
        let mut desk = Desk::new(kind);
        let outcome = desk.send(&kind.address(1), "", NOW).await;
        assert_eq!(outcome.class, OutcomeClass::Accepted, "{}: {outcome:?}", kind.name);
        let service = desk.here.of("it").unwrap();
        assert_eq!(service.seen.len(), 1, "{}", kind.name);
        let shown = &service.seen[0].shown;
        assert!(shown.text.contains("K001") || shown.text.contains("1条"), "{}: {shown:?}", kind.name);
        let is_sms = matches!(desk.channel.card().class, ChannelClass::Sms | ChannelClass::Voice);
        let link = "https://desk.example/a/K001";
        let linked = shown.text.contains(link) || shown.text.contains("desk.example%2Fa%2FK001");
        let linked = linked || shown.buttons.iter().any(|button| button.url.contains(link));
        assert!(is_sms || linked, "{}: {shown:?}", kind.name);
        assert_eq!(service.receipts.len(), usize::from(is_sms), "{}", kind.name);
    }
}

#[tokio::test]
async fn a_wrong_secret_opens_nothing() {
    for kind in KINDS {
        let here = Here::new(&[("it", kind)]);
        let mut desk = Desk { channel: here.channel("it", "SECwr0ng", LIMITS).unwrap(), here, kind, sent: 0 };
        // A robot of WeCom, a webhook of Slack and a flow of Teams have no secret but their URL.
        if matches!(kind.name, "wecom_robot" | "slack" | "teams") {
            continue;
        }
        let outcome = desk.send(&kind.address(1), "", NOW).await;
        let is = matches!(outcome.class, OutcomeClass::Credential | OutcomeClass::Config);
        assert!(is && desk.seen() == 0, "{}: {outcome:?}", kind.name);
    }
}

#[tokio::test]
async fn a_clock_that_is_off_is_no_signature() {
    for name in ["dingtalk_robot", "feishu_robot", "aliyun_sms", "aliyun_voice", "tencent_sms", "huawei_sms"]
    {
        let mut desk = Desk::new(super::kind(name).unwrap());
        let claim = desk.claim(&desk.kind.address(1), "", NOW);
        desk.here.at(NOW, NOW + Span::from_minutes(61));
        let outcome = desk.channel.send(&claim).await;
        let is = matches!(outcome.class, OutcomeClass::Credential | OutcomeClass::Config);
        assert!(is && desk.seen() == 0, "{name}: {outcome:?}");
    }
}

#[tokio::test]
async fn people_who_are_gone_and_words_that_are_forbidden_are_refused_as_what_they_are() {
    for kind in KINDS {
        let mut desk = Desk::new(kind);
        let gone = match kind.address(1) {
            number if number.starts_with("1380013") => "13800130404".to_owned(),
            room if room.starts_with('!') => "!gone:localhost".to_owned(),
            // A chat's number.
            chat if chat.starts_with("471") => "404".to_owned(),
            user => format!("{user}gone"),
        };
        // Robots speak to a group, webhooks and flows too.
        let to_person =
            !matches!(kind.name, "dingtalk_robot" | "wecom_robot" | "feishu_robot" | "slack" | "teams");
        if to_person {
            let outcome = desk.send(&gone, "", NOW).await;
            let mut want = vec![OutcomeClass::RecipientPermanent];
            if matches!(kind.name, "matrix" | "slack_bot") {
                want.push(OutcomeClass::Config);
            }
            // Which code says it is not published.
            if kind.name == "huawei_sms" {
                want.push(OutcomeClass::Transient);
            }
            assert!(want.contains(&outcome.class), "{}: {outcome:?}", kind.name);
        }
        // A gateway of one's own reads nothing, and what Twilio's carriers filter it tells later.
        if matches!(kind.name, "sms_gateway" | "twilio_sms" | "twilio_voice") {
            continue;
        }
        let outcome = desk.send(&kind.address(1), FORBIDDEN, NOW + Span::from_minutes(2)).await;
        assert_ne!(outcome.class, OutcomeClass::Accepted, "{}", kind.name);
        assert_eq!(desk.seen(), 0, "{}", kind.name);
    }
}

/// A key that a provider knows shows a message once; where there is none, a second copy is seen.
#[tokio::test]
async fn a_second_copy_is_told_by_its_key_where_there_is_one() {
    for (name, seen) in [
        ("dingtalk_robot", 1),
        ("wecom_app", 1),
        ("feishu_app", 1),
        ("matrix", 1),
        ("wecom_robot", 2),
        ("feishu_robot", 2),
        ("telegram", 2),
        ("teams", 2),
        ("slack", 2),
    ] {
        let mut desk = Desk::new(super::kind(name).unwrap());
        let mut claim = desk.claim(&desk.kind.address(1), "", NOW);
        for attempt in 1..=2 {
            claim.attempt = attempt;
            claim.deadline = NOW + Span::from_secs(30);
            let outcome = desk.hand(&claim, NOW + Span::from_secs(10 * i64::from(attempt))).await;
            assert_eq!(outcome.class, OutcomeClass::Accepted, "{name}: {outcome:?}");
        }
        assert_eq!((desk.seen(), desk.struck(Strike::Known)), (seen, 2 - seen), "{name}");
    }
}

/// So many at one instant, each another message to one person: which is the first that is too much, what it is answered,
/// and what was done to us.
#[tokio::test]
async fn too_much_is_punished_as_each_of_them_does() {
    use OutcomeClass::{Accepted, RecipientThrottled, Throttled, Transient};
    for (name, first, class, strike) in [
        ("dingtalk_robot", 21, Throttled, Strike::Muted),
        ("dingtalk_app", 31, RecipientThrottled, Strike::OverCap),
        ("wecom_robot", 21, Throttled, Strike::TooFast),
        // Accepted, they say.
        ("wecom_app", 31, Accepted, Strike::Dropped),
        ("feishu_robot", 6, Throttled, Strike::TooFast),
        ("feishu_app", 6, Throttled, Strike::TooFast),
        ("slack", 11, Throttled, Strike::TooFast),
        ("slack_bot", 11, Throttled, Strike::TooFast),
        ("telegram", 2, Throttled, Strike::TooFast),
        ("teams", 5, Throttled, Strike::TooFast),
        ("matrix", 11, Throttled, Strike::TooFast),
        ("aliyun_sms", 51, RecipientThrottled, Strike::OverCap),
        ("aliyun_voice", 2, RecipientThrottled, Strike::OverCap),
        ("tencent_sms", 31, RecipientThrottled, Strike::OverCap),
        // Which code says it is not published.
        ("huawei_sms", 16, Transient, Strike::OverCap),
    ] {
        let mut desk = Desk::new(super::kind(name).unwrap());
        for n in 1..=first {
            let outcome = desk.send(&desk.kind.address(1), "", NOW).await;
            let (want, struck) = if n < first { (Accepted, 0) } else { (class, 1) };
            assert_eq!(outcome.class, want, "{name} number {n}: {outcome:?}");
            assert_eq!(desk.struck(strike), struck, "{name} number {n}");
        }
        assert_eq!(desk.seen(), first - 1, "{name}");
    }
}

#[tokio::test]
async fn a_muted_robot_is_mute_for_ten_minutes() {
    let mut desk = Desk::new(super::kind("dingtalk_robot").unwrap());
    for _ in 0..21 {
        desk.send("", "", NOW).await;
    }
    for (after, class) in
        [(61, OutcomeClass::Throttled), (599, OutcomeClass::Throttled), (600, OutcomeClass::Accepted)]
    {
        let outcome = desk.send("", "", NOW + Span::from_secs(after)).await;
        assert_eq!(outcome.class, class, "{after}: {outcome:?}");
    }
}
