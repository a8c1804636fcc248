//! `shiftbell demo` as a newcomer runs it: what arrives, an acknowledgement by its link, and that nothing is left.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::hostile::world::wait_for;

const LONG: Duration = Duration::from_secs(90);

struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_newcomer_sees_alerts_acknowledges_one_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = folder.path().join("told");
    let temporary = folder.path().join("tmp");
    std::fs::create_dir(&temporary).expect("it can be made");
    let errors = std::fs::File::create(folder.path().join("errors")).expect("it can be made");
    let mut command = Command::new(env!("CARGO_BIN_EXE_shiftbell"));
    command
        .args(["demo", "--speed", "60"])
        .current_dir(folder.path())
        .env("TMPDIR", &temporary)
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&told).expect("it can be made"))
        .stderr(errors);
    let mut demo = Demo(command.spawn().expect("it starts"));
    let log = || std::fs::read_to_string(folder.path().join("errors")).unwrap_or_default();

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let client = shiftbell::wire::http::client(
        &shiftbell::wire::http::ClientConfig { connections: 1, ..Default::default() },
        &shiftbell::wire::http::Limits { connect: LONG, total: LONG },
    )
    .expect("a client");
    let get = |url: String| -> Option<String> {
        runtime.block_on(async { client.get(url).send().await.ok()?.text().await.ok() })
    };
    let inbox = wait_for("the address of the inbox", LONG, || {
        let text = std::fs::read_to_string(&told).ok()?;
        let line = text.lines().find(|line| line.contains("inbox"))?;
        line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned)
    });
    let page = get(inbox.clone()).expect("the page");
    assert!(page.contains("演示收件箱") && page.contains("模拟"), "{page}");
    let messages = || -> Vec<Value> {
        let text = get(format!("{inbox}messages")).unwrap_or_default();
        let all: Value = serde_json::from_str(&text).unwrap_or_default();
        all["messages"].as_array().cloned().unwrap_or_default()
    };
    let of = |message: &Value, name: &str| message[name].as_str().unwrap_or_default().to_owned();
    // A ticket of the help desk that nobody answers, with what the handbook says is to be done.
    let ticket = wait_for(&format!("a late ticket: {}", log()), LONG, || {
        messages().into_iter().find(|m| {
            of(m, "text").contains("工单 20 分钟回复")
                && of(m, "text").contains("已超时")
                && m["ack"].is_string()
        })
    });
    assert!(of(&ticket, "text").contains("打开会话,先回复买家"), "{ticket}");
    // As its app shows it, and not as plain text.
    assert!(
        ["wecom_app", "feishu_app", "dingtalk_app", "dingtalk_robot"].contains(&&*of(&ticket, "app")),
        "{ticket}"
    );
    // An order of the simulated shop, read through the real connector.
    wait_for("an order of the shop", LONG, || {
        messages().into_iter().find(|m| of(m, "text").contains("订单 260105-"))
    });
    // Acknowledged as the page behind the link does it.
    let link = of(&ticket, "ack");
    let form = get(link.clone()).expect("the page of the link");
    let field = |name: &str| {
        let (_, rest) =
            form.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("{form}"));
        rest.split('"').next().unwrap_or_default().to_owned()
    };
    let fields = [("do", field("do")), ("once", field("once"))];
    let answer =
        runtime.block_on(async { client.post(link).form(&fields).send().await.expect("an answer").status() });
    assert!(answer.is_success() || answer.is_redirection(), "{answer}");

    let pid = demo.0.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill is there").success());
    let status = wait_for("the end", LONG, || demo.0.try_wait().expect("it is ours"));
    assert!(status.success(), "{status}: {}", log());
    let left: Vec<_> =
        std::fs::read_dir(&temporary).expect("it is there").flatten().map(|f| f.path()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!folder.path().join("shiftbell-data").exists());
}
