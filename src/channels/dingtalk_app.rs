//! A robot of an application of DingTalk (钉钉应用机器人, `apis/channels` 4) that writes to a person, under a token that runs out.
//! Whom it did not reach stands in lists beside a good status. What is most urgent can be sent as a DING besides.
//! With `callback` it sends a card (互动卡片) whose buttons are pressed there.

use std::path::Path;

use reqwest::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::channels::answers::{Answers, Said, line, word};
use crate::channels::callback::dingtalk::{DingtalkCallbackConfig, Ears};
use crate::channels::callback::{Card, Face, Hears, Place};
use crate::channels::chat::{Chat, Link};
use crate::channels::dingtalk_robot::{lines, paragraphs};
use crate::channels::provider::{
    Made, Provider, ReachConfig, Reply, Request, Token, bad_address, build, too_long, within,
};
use crate::channels::wecom_app::read_token;
use crate::channels::{Adapter, BuildFault, Making, Markup};
use crate::core::alerting::Claim;
use crate::core::ids::Secret;
use crate::core::model::OutcomeClass::{
    Accepted, Config, ContentPermanent, Credential, RecipientPermanent, RecipientThrottled, Throttled,
};
use crate::core::model::{ChannelCard, ChannelClass, Class, Outcome, ReplyPath};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};
use crate::wire::secret::SecretConfig;

/// The line of the table.
pub static ADAPTER: Adapter = Adapter {
    name: "dingtalk_app",
    about: "钉钉应用机器人 / a robot of an application of DingTalk, to a person",
    class: ChannelClass::ChatApp,
    markup: Markup::Markdown,
    chosen: |config| config.dingtalk_app.is_some(),
    check: |config, problems| config.dingtalk_app.iter().for_each(|app| app.check(problems)),
    build: |config, making| build(&ADAPTER, config, making, config.dingtalk_app.as_ref(), App::make),
};

const BASE: &str = "https://api.dingtalk.com";
/// What the content of a message may be long.
const PARAM: usize = 15_000;
/// What is left of that for the text.
const TEXT: usize = 10_000;

/// How the most urgent is sent besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DingtalkDing {
    /// Not at all.
    #[default]
    None,
    /// In the app.
    App,
    /// By a short message, as paid for.
    Sms,
    /// By a call, as paid for.
    Phone,
}

/// `[channels.NAME.dingtalk_app]`: a robot of an application of DingTalk (钉钉企业内部应用). A contact's address on it is a user
/// id (userId).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DingtalkAppConfig {
    /// The application (Client ID, AppKey), `ding…`.
    pub app_key: String,
    /// Its secret (Client Secret).
    pub secret: SecretConfig,
    /// Its robot (RobotCode); the application itself where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub robot_code: Option<String>,
    /// How the most urgent (p0) is sent as a DING besides: `none`, `app`, `sms` or `phone`. It wants an edition that has it.
    pub ding: DingtalkDing,
    /// Messages are cards whose buttons are pressed there; without it they are texts with links.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<DingtalkCallbackConfig>,
    /// How it is reached.
    pub http: ReachConfig,
}

impl DingtalkAppConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.secret.rebase(folder);
        self.callback.iter_mut().for_each(|callback| callback.rebase(folder));
        self.http.rebase(folder);
    }

    /// Notes everything that is wrong.
    pub fn check(&self, problems: &mut Problems) {
        if self.app_key.trim().is_empty() {
            problems.within("app_key", |p| p.error("is empty, expected the Client ID, ding…"));
        }
        problems.within("secret", |p| self.secret.check_given("", p));
        problems.within("callback", |p| self.callback.iter().for_each(|callback| callback.check(p)));
        self.http.check(problems);
    }
}

struct App {
    secret: Secret,
    base: String,
    robot: String,
    config: DingtalkAppConfig,
    ears: Option<Ears>,
}

impl App {
    fn make(
        config: &DingtalkAppConfig,
        card: ChannelCard,
        making: &Making<'_>,
    ) -> Result<Made<App>, BuildFault> {
        let secret = config.secret.need("secret.", making.env)?;
        let ears = config.callback.as_ref().map(|callback| callback.ears(making.env)).transpose()?;
        let secrets = [Some(secret.reveal().to_owned()), ears.as_ref().map(Ears::secret)];
        Ok(Made {
            card: ChannelCard {
                body_limit: Some(TEXT),
                reply: if ears.is_some() { ReplyPath::Button } else { card.reply },
                lane_caps: vec![within(20, Span::MINUTE, making)],
                account_caps: vec![within(20, Span::from_secs(1), making)],
                ..card
            },
            reach: config.http.clone(),
            secrets: secrets.into_iter().flatten().collect(),
            provider: App {
                ears,
                secret,
                base: config.http.base(BASE),
                robot: config.robot_code.clone().unwrap_or_else(|| config.app_key.clone()),
                config: config.clone(),
            },
        })
    }
}

impl Provider for App {
    fn token(&self) -> Option<Request> {
        let body = json!({ "appKey": self.config.app_key, "appSecret": self.secret.reveal() });
        Some(Request::json(format!("{}/v1.0/oauth2/accessToken", self.base), &body))
    }

    fn read_token(&self, reply: &Reply) -> Result<Token, Outcome> {
        let refused = problem(reply).map(|said| ANSWERS.judge(reply, Some(said)));
        match refused {
            // What is wrong with a request for a token is the application or its secret.
            Some(outcome) if outcome.class == Config => Err(Outcome { class: Credential, ..outcome }),
            Some(outcome) => Err(outcome),
            None => read_token(reply, "accessToken", "expireIn"),
        }
    }

    fn request(&self, claim: &Claim, token: &str, _: Instant) -> Result<Request, Outcome> {
        let user = claim.address.trim();
        if user.is_empty() {
            return Err(bad_address("the user id of a person"));
        }
        let chat = Chat::of(claim);
        if let Some(callback) = self.config.callback.as_ref().filter(|_| !chat.buttons.is_empty()) {
            return Ok(api(&self.base, DELIVER, token, &card(callback, user, &claim.key, &chat)));
        }
        let links: Vec<String> = chat.links.iter().map(|l| format!("[{}]({})", l.label, l.url)).collect();
        let text = lines(chat.title, &chat.text, &links.join(" | "));
        let body = to_person(&self.robot, &[user], chat.title, &text);
        match body["msgParam"].as_str().map_or(0, str::len) {
            long if long > PARAM => Err(too_long(long, PARAM)),
            _ => Ok(api(&self.base, TO_PERSON, token, &body)),
        }
    }

    fn read(&self, claim: &Claim, reply: &Reply) -> Outcome {
        if let Some(said) = problem(reply) {
            return ANSWERS.judge(reply, Some(said));
        }
        let document = reply.json();
        if let Some(result) = document.as_ref().and_then(|d| d.get("result")?.get("outTrackId")) {
            return delivered(reply, word(result), document.as_ref());
        }
        let id = document.as_ref().and_then(|d| d.get("processQueryKey")?.as_str().map(str::to_owned));
        let said = id.as_ref().map(|_| Said { code: "ok".to_owned(), text: String::new() });
        let outcome = ANSWERS.judge(reply, said);
        let listed = |name: &str| {
            let list = document.as_ref().and_then(|d| d.get(name)?.as_array());
            list.is_some_and(|list| list.iter().any(|user| user == claim.address.trim()))
        };
        if outcome.class == Accepted && listed("invalidStaffIdList") {
            let detail = Some("the person is in its list invalidStaffIdList".to_owned());
            return Outcome { detail, class: RecipientPermanent, ..outcome };
        }
        if outcome.class == Accepted && listed("flowControlledStaffIdList") {
            let detail = Some("the person is in its list flowControlledStaffIdList".to_owned());
            return Outcome { detail, class: RecipientThrottled, wait: Some(Span::MINUTE), ..outcome };
        }
        Outcome { provider_id: id.filter(|_| outcome.class == Accepted), ..outcome }
    }

    fn hears(&self) -> Option<&dyn Hears> {
        self.ears.as_ref().map(|ears| ears as &dyn Hears)
    }

    fn amend(&self, place: &Place, face: &Face, token: &str) -> Option<Request> {
        let card = face.card.as_ref().filter(|_| !place.card.is_empty())?;
        let body = json!({
            "outTrackId": place.card,
            "cardData": { "cardParamMap": answered(card) },
            "cardUpdateOptions": { "updateCardDataByKey": true },
        });
        Some(Request { method: Method::PUT, ..api(&self.base, CARD, token, &body) })
    }

    fn amended(&self, reply: &Reply) -> Outcome {
        let good = reply.is_good().then(|| Said { code: "ok".to_owned(), text: String::new() });
        ANSWERS.judge(reply, problem(reply).or(good))
    }

    fn after(&self, claim: &Claim, _: &Outcome, token: &str) -> Option<Request> {
        let kind = match self.config.ding {
            DingtalkDing::None => return None,
            DingtalkDing::App => 1,
            DingtalkDing::Sms => 2,
            DingtalkDing::Phone => 3,
        };
        if claim.priority != Class::P0 {
            return None;
        }
        let chat = Chat::of(claim);
        Some(api(&self.base, DING, token, &ding(&self.robot, &[claim.address.trim()], kind, chat.title)))
    }
}

/// Where messages to people go.
pub(super) const TO_PERSON: &str = "/v1.0/robot/oToMessages/batchSend";
/// Where cards are made and shown to people, and where they are changed.
const DELIVER: &str = "/v1.0/card/instances/createAndDeliver";
const CARD: &str = "/v1.0/card/instances";
/// Where DINGs go.
pub(super) const DING: &str = "/v1.0/robot/ding/send";

/// `apis/channels` 4.
static ANSWERS: Answers = Answers {
    name: "",
    good: "ok",
    lines: &[
        line("InvalidAuthentication", Credential),
        line("invalidParameter.msgParam*", ContentPermanent),
        line("invalidParameter.msgKey*", ContentPermanent),
        line("invalidParameter.robotCode*", Config),
        line("invalid.openConversationId", Config),
        line("resource.unavailable", Config),
        line("Throttling*", Throttled).wait(10),
        line("Forbidden*", Config),
    ],
};

/// What it says that is wrong.
fn problem(reply: &Reply) -> Option<Said> {
    let document = reply.json()?;
    let code = word(document.get("code")?)?;
    Some(Said { code, text: document.get("message").and_then(word).unwrap_or_default() })
}

/// What became of a card: it is there only where it was shown to the person.
fn delivered(reply: &Reply, id: Option<String>, document: Option<&Value>) -> Outcome {
    let results = document.and_then(|d| d.pointer("/result/deliverResults")?.as_array());
    let failed = results.into_iter().flatten().find(|result| result["success"] != true);
    if let Some(failed) = failed {
        let detail = failed.get("errorMsg").and_then(word);
        return Outcome { detail, ..Outcome::of(RecipientPermanent) };
    }
    let said = Said { code: "ok".to_owned(), text: String::new() };
    let outcome = ANSWERS.judge(reply, Some(said));
    Outcome { provider_id: id.filter(|_| outcome.class == Accepted), ..outcome }
}

/// A card for a person; `docs/channels.md` says what its template makes of it. All values are texts.
fn card(callback: &DingtalkCallbackConfig, user: &str, id: &str, chat: &Chat<'_>) -> Value {
    let value = |purpose: &str| {
        let button = chat.buttons.iter().find(|button| button.purpose == purpose);
        button.map_or_else(String::new, |button| button.value.clone())
    };
    let mut params = json!({
        "title": chat.title,
        "text": paragraphs(chat.text.lines()),
        "state": "",
        "said": "",
        "open": "true",
        "ack": value("ack"),
        "snooze": value("snooze"),
        "escalate": value("escalate"),
    });
    add_links(&mut params, &chat.links);
    json!({
        "cardTemplateId": callback.template,
        "outTrackId": id,
        "callbackType": "HTTP",
        "callbackRouteKey": callback.route_key,
        "userIdType": 1,
        "cardData": { "cardParamMap": params },
        "openSpaceId": format!("dtv1.card//IM_ROBOT.{user}"),
        "imRobotOpenSpaceModel": { "supportForward": false },
        "imRobotOpenDeliverModel": { "spaceType": "IM_ROBOT" },
    })
}

/// What a card says that somebody answered.
pub(super) fn answered(card: &Card) -> Value {
    let mut params = json!({
        "title": card.title,
        "text": paragraphs(card.text.lines()),
        "state": card.state,
        "open": "false",
        "ack": "",
        "snooze": "",
        "escalate": "",
    });
    add_links(&mut params, &card.links);
    params
}

fn add_links(params: &mut Value, links: &[Link]) {
    for purpose in ["resolve", "view"] {
        let link = links.iter().find(|link| link.purpose == purpose);
        params[purpose] = json!(link.map_or("", |link| &link.url));
    }
}

/// A call of its API.
pub(super) fn api(base: &str, path: &str, token: &str, body: &Value) -> Request {
    let request = Request::json(format!("{base}{path}"), body);
    Request { method: Method::POST, ..request }.with("x-acs-dingtalk-access-token", token.to_owned())
}

/// A message to people; its content is a document in a text.
pub(super) fn to_person(robot: &str, users: &[&str], title: &str, text: &str) -> Value {
    let content = json!({ "title": title, "text": text }).to_string();
    json!({ "robotCode": robot, "userIds": users, "msgKey": "sampleMarkdown", "msgParam": content })
}

/// A DING to people: 1 in the app, 2 by a short message, 3 by a call.
pub(super) fn ding(robot: &str, users: &[&str], kind: u8, content: &str) -> Value {
    json!({ "robotCode": robot, "receiverUserIdList": users, "remindType": kind, "content": content })
}
