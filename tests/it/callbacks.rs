//! The whole program and a provider that calls it back, all over sockets: what is pressed, told and written is kept before
//! it is answered, once, in the name of whom it is of; what is forged, late or too large is refused.

mod chats;
mod messengers;
mod provider;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use shiftbell::console::{LimitsConfig, Listeners, ServerConfig};
use shiftbell::core::model::{Incident, Mark, Observation, Table};
use shiftbell::core::time::{Instant, Span};
use shiftbell::daemon::handle::{Ask, ObserveAnswer, Which};
use shiftbell::daemon::time::{SystemTime, TimeSource as _};
use shiftbell::store::RowQuery;
use shiftbell::wire::form;
use tempfile::TempDir;

use crate::channels_kannel::PASSWORD;
use crate::couriers::{Rig, say, wait_for};
use provider::{Asked, Provider};

const LONG: Duration = Duration::from_secs(60);
const SECRET: &str = "s3cret-of-the-callback";
const AES: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const MOBILE: &str = "13812340000";

/// A running desk with one way to 小林, and a provider behind it.
struct Desk {
    rig: Rig,
    provider: Provider,
    _folder: TempDir,
}

fn now() -> Instant {
    SystemTime.read().wall
}

async fn listeners() -> Listeners {
    let server = ServerConfig { listen: "127.0.0.1:0".to_owned(), ..ServerConfig::default() };
    Listeners::open(&server).await.expect("a free port")
}

impl Desk {
    /// A desk whose channel `x` is this section. 小林 (`lin`) and 小陈 (`chen`, off shift) are reached by it; what fails for
    /// 小林 goes on as mail.
    async fn start(section: &str, lin: &str, chen: &str) -> Desk {
        Desk::start_with(section, lin, chen, "20m").await
    }

    /// The same where receipts are awaited for so long.
    async fn start_with(section: &str, lin: &str, chen: &str, window: &str) -> Desk {
        Desk::behind(listeners().await, section, lin, chen, window).await
    }

    /// The same behind these sockets.
    async fn behind(listeners: Listeners, section: &str, lin: &str, chen: &str, window: &str) -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let provider = Provider::start().await;
        let own = format!("http://{}", listeners.addresses()[0]);
        let section = section.replace("BASE", &provider.base).replace("OWN", &own);
        let text = format!(
            r#"
include = ["builtin:calendars/cn_holidays.toml", "builtin:calendars/desks.toml", "builtin:policies/handbook.toml"]
[desk]
id = "after-sales"
title = "售后组"
zone = "Asia/Shanghai"
[[desk.shift]]
name = "all"
from = "00:00"
to = "24:00"
[[clock]]
name = "ticket_reply"
title = "工单回复"
on = "ticket"
start = "customer_message"
stop = "agent_reply"
target = "20m"
ring = ["due"]
[people.lin]
name = "小林"
role = "handler"
shifts = ["all"]
contact = [{{ channel = "x", address = "{lin}" }}, {{ channel = "mail", address = "lin@example.com" }}]
[people.chen]
name = "小陈"
role = "handler"
contact = [{{ channel = "x", address = "{chen}" }}]
[people.zhou]
name = "周经理"
role = "manager"
shifts = ["all"]
contact = [{{ channel = "hook" }}]
[alerting]
base_url = "https://bell.example.com"
fallback = ["zhou"]
admins = ["zhou"]
[alerting.group]
wait = {{ p0 = "0s", p1 = "0s", p2 = "0s", p3 = "0s" }}
[alerting.send]
fallback_after = {{ p0 = "30m", p1 = "30m", p2 = "30m", p3 = "1d" }}
discharge_bound = {{ p0 = "60m", p1 = "60m", p2 = "60m", p3 = "2d" }}
receipt_window_sms = "{window}"
receipt_window_voice = "20m"
[channels.mail.maildir]
path = "mail"
[channels.hook.webhook]
url = "{base}/hook"
allow_private = true
[channels.x]
{section}
"#,
            base = provider.base,
        );
        let env = [("S", SECRET), ("AES", AES), ("KANNEL", PASSWORD)];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let limits = LimitsConfig::default();
        let rig = Rig::of(folder.path(), &text, env, Arc::new(SystemTime), listeners, limits).await;
        Desk { rig, provider, _folder: folder }
    }

    /// A ticket waits too long, and its incident is there.
    async fn rings(&self, id: &str) -> Incident {
        let at = now() - Span::from_minutes(30);
        let ticket = Observation {
            source: "tmall".into(),
            kind: "ticket".into(),
            id: id.to_owned().into(),
            as_of: at,
            revision: 1,
            marks: vec![Mark { name: "customer_message".into(), reference: None, at, removed: false }],
            attributes: Vec::new(),
        };
        let answers = self.rig.daemon.handle.ask(LONG, |to| Ask::Observe(vec![ticket], to)).await;
        let answers = answers.expect("the desk answers");
        assert!(matches!(answers[..], [ObserveAnswer::Kept(_)]), "{answers:?}");
        let of = |incident: &Incident| *incident.subject.id == *id;
        wait_for("an incident", async || self.incidents().await.into_iter().find(of)).await
    }

    async fn incidents(&self) -> Vec<Incident> {
        let ask = |to| Ask::Incidents(Which::Unresolved(100), to);
        self.rig.daemon.handle.ask(LONG, ask).await.expect("the desk answers")
    }

    async fn one(&self) -> Incident {
        self.incidents().await.into_iter().find(|i| &*i.subject.kind == "ticket").expect("an incident")
    }

    /// The first that the provider is asked with this in its address, and the `n`th of them.
    async fn asked(&self, part: &str, n: usize) -> Asked {
        wait_for(part, async || self.provider.asked(part).get(n).cloned()).await
    }

    async fn call(&self, call: &Call) -> (u16, String) {
        let headers: Vec<(&str, &str)> = call.headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
        say(self.rig.address, call.method, &call.path, &headers, call.body.as_bytes()).await
    }

    /// The messages by their states and the receipts in the audit.
    async fn states(&self) -> Vec<String> {
        let query =
            RowQuery { table: Table::Message, id_prefix: None, state: None, parent: None, limit: 100 };
        let rows = self.rig.store.rows(self.rig.daemon.handle.desk(), query).await.expect("rows");
        let state = |body: &[u8]| {
            let message: Value = serde_json::from_slice(body).expect("a message");
            let of =
                |pointer: &str| message.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned();
            format!("{} {}", of("/to/lane/channel"), of("/state"))
        };
        rows.iter().map(|row| state(&row.body)).collect()
    }

    /// How many messages went on as mail.
    async fn mails(&self) -> usize {
        self.states().await.iter().filter(|state| state.starts_with("mail ")).count()
    }

    async fn in_state(&self, state: &str) {
        wait_for(state, async || self.states().await.iter().any(|s| s == state).then_some(())).await;
    }

    /// Rings, and answers with our key of the message that left.
    async fn key(&self) -> String {
        let query =
            RowQuery { table: Table::Message, id_prefix: None, state: None, parent: None, limit: 100 };
        let rows = self.rig.store.rows(self.rig.daemon.handle.desk(), query).await.expect("rows");
        let of_x = |row: &&shiftbell::store::Stored| {
            String::from_utf8_lossy(&row.body).contains("\"channel\":\"x\"")
        };
        rows.iter().find(of_x).expect("a message by x").id.clone()
    }
}

/// A request of a provider.
#[derive(Clone, Debug)]
struct Call {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

fn post(path: &str, headers: &[(&'static str, &str)], body: &str) -> Call {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Call { method: "POST", path: path.to_owned(), headers, body: body.to_owned() }
}

const X: &str = "/v1/callbacks/x";

/// A form, or a document, as texts.
fn form_text(body: &str) -> String {
    match body.starts_with('{') {
        true => body.to_owned(),
        false => form::fields(body.as_bytes(), 64).into_iter().map(|(_, value)| value + "\n").collect(),
    }
}
