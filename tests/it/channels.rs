//! Channels against real servers: what the tests of each have in common, and the channels that need no server.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shiftbell::channels::{Channel, ChannelConfig, Limits, Making, build, build_one};
use shiftbell::core::alerting::Claim;
use shiftbell::core::ids::Id;
use shiftbell::core::model::{Body, ChannelClass, Class, DuplicateKey, Lane, OutcomeClass, Recipient};
use shiftbell::core::time::Instant;

/// Monday, 21 September 2026, 14:13:20 UTC.
pub(crate) const NOW: Instant = Instant::from_secs(1_790_000_000);

/// What channels are made with in tests.
pub(crate) fn making<'a>(env: &'a BTreeMap<String, String>, total: Duration) -> Making<'a> {
    Making {
        env,
        limits: Limits { connect: Duration::from_secs(3), total },
        clock: Arc::new(|| NOW),
        name: "test".into(),
        way: None,
    }
}

/// A channel of the configuration `text`, with the variables `env`.
pub(crate) fn channel(text: &str, env: &[(&str, &str)], total: Duration) -> Arc<dyn Channel> {
    let config: ChannelConfig = toml::from_str(text).unwrap();
    let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    build_one("test", &config, &making(&env, total)).unwrap()
}

/// A claim of message `n` to `address`.
pub(crate) fn claim(n: u8, address: &str) -> Claim {
    Claim {
        message: Id::from_bytes([n; 16]),
        attempt: 1,
        key: format!("key-{n}"),
        to: Recipient {
            person: "xiaolin".into(),
            lane: Lane { channel: "test".into(), address: Id::from_bytes([9; 16]) },
            class: ChannelClass::Email,
        },
        address: address.to_owned(),
        priority: Class::P1,
        body: Body {
            subject: Some("【售后客服组】工单 T-1001".to_owned()),
            text: "#K7Q2 L1 工单 20 分钟回复 已超时\n.请处理".to_owned(),
            html: Some("<p>已超时</p>".to_owned()),
            data: Some("{\"version\":1,\"text\":\"已超时\"}".to_owned()),
        },
        deadline: Instant::from_secs(NOW.as_secs() + 3_600),
        thread: Id::from_bytes([7; 16]),
    }
}

#[tokio::test]
async fn a_maildir_takes_whole_mails_and_each_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("desk");
    let channel =
        channel(&format!("[maildir]\npath = {:?}", path.display().to_string()), &[], Duration::from_secs(10));
    assert_eq!(channel.card().class, ChannelClass::Email);
    assert!(matches!(channel.card().duplicate_key, DuplicateKey::Strong { .. }));
    for _ in 0..2 {
        let outcome = channel.send(&claim(1, "xiaolin")).await;
        assert_eq!(outcome.class, OutcomeClass::Accepted, "{outcome:?}");
    }
    let mails: Vec<_> = std::fs::read_dir(path.join("new")).unwrap().flatten().collect();
    assert_eq!(mails.len(), 1, "the second copy took the place of the first");
    let mail = std::fs::read_to_string(mails[0].path()).unwrap();
    assert!(mail.contains("To: xiaolin@localhost") && mail.contains("multipart/alternative"), "{mail}");
    assert_eq!(std::fs::read_dir(path.join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_maildir_that_cannot_be_is_a_matter_of_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let channel =
        channel(&format!("[maildir]\npath = {:?}", file.display().to_string()), &[], Duration::from_secs(10));
    let outcome = channel.send(&claim(1, "xiaolin")).await;
    assert_eq!(outcome.class, OutcomeClass::Config, "{outcome:?}");
}

#[tokio::test]
async fn one_broken_channel_leaves_the_others() {
    let channels: BTreeMap<String, ChannelConfig> = toml::from_str(
        "[broken.webhook]\nurl_env = \"GONE\"\n[off]\nenabled = false\n[off.print]\n[screen.print]\n",
    )
    .unwrap();
    let env = BTreeMap::new();
    let (made, errors) = build(&channels, &making(&env, Duration::from_secs(10)));
    assert_eq!(made.keys().map(|k| &**k).collect::<Vec<_>>(), ["screen"]);
    let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["channel broken: url_env names the variable GONE, which is not set"]);
    let outcome = made["screen"].send(&claim(1, "")).await;
    assert_eq!(outcome.class, OutcomeClass::Accepted, "{outcome:?}");
}

const DESK: &str = r#"
include = ["builtin:calendars/cn_holidays.toml", "builtin:calendars/desks.toml", "builtin:policies/handbook.toml"]
[desk]
id = "demo"
title = "示例售后组"
zone = "Asia/Shanghai"
[[desk.shift]]
name = "early"
from = "08:00"
to = "16:00"
[people.lin]
name = "小林"
role = "manager"
shifts = ["early"]
contact = [{ channel = "desk-mailbox", address = "lin@example.com" }, { channel = "screen" }]
[alerting]
fallback = ["lin"]
admins = ["lin"]
[channels.desk-mailbox.maildir]
path = "mail"
[channels.screen.print]
[channels.hook.webhook]
url = "http://127.0.0.1:1/hook"
allow_private = true
[templates]
folder = "texts"
"#;

/// Runs the program in a folder with this configuration; answers its exit code and everything that it said.
fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let done =
        Command::new(env!("CARGO_BIN_EXE_shiftbell")).current_dir(folder).args(arguments).output().unwrap();
    let said = [done.stdout, done.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).join("");
    (done.status.code(), said)
}

#[test]
fn a_newcomer_sees_a_test_message_without_any_account() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("shiftbell.toml"), DESK).unwrap();
    let own = folder.path().join("texts/zh-CN/canary");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(own.join("webhook.txt"), "{{ state }},来自{{ desk }}").unwrap();
    let (code, said) = run(folder.path(), &["send-test", "screen"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("通道测试,来自示例售后组") && said.contains("screen: accepted"), "{said}");
    let (code, said) = run(folder.path(), &["send-test", "desk-mailbox", "--to", "lin@example.com"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("desk-mailbox → l***@example.com: accepted"), "{said}");
    assert_eq!(
        std::fs::read_dir(folder.path().join("mail/new")).unwrap().count(),
        1,
        "beside the file that names it"
    );
    let (code, said) = run(folder.path(), &["send-test", "hook"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("hook: transient"), "{said}");
    let (code, said) = run(folder.path(), &["send-test", "hok"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("found no channel `hok`, expected one of: desk-mailbox, hook, screen"), "{said}");
    // A mistake in a text is told by the check, with its line, and nothing is sent with it.
    std::fs::write(own.join("webhook.txt"), "好\n{{ sate }}").unwrap();
    for arguments in [["check", "--config", "shiftbell.toml"].as_slice(), &["send-test", "screen"]] {
        let (code, said) = run(folder.path(), arguments);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("texts/zh-CN/canary/webhook.txt:2: undefined value"), "{said}");
    }
}

/// Everything that is logged on this thread while it lives, down to the finest level.
pub(crate) struct Overheard {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Overheard {
    pub(crate) fn begin() -> Overheard {
        let text = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&text);
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || Ear(Arc::clone(&kept)))
            .finish();
        Overheard { text, _guard: tracing::subscriber::set_default(subscriber) }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }
}

struct Ear(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
