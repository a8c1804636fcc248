//! Short messages through a real gateway: Kannel with its fake operator, on free ports, ended with the test.

use std::fs::File;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::Uri;
use axum::routing::get;
use shiftbell::channels::Channel;
use shiftbell::core::model::{LinkRule, OutcomeClass, ReceiptPath};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::channels::{channel, claim};
use crate::exim::free_port;

const LONG: Duration = Duration::from_secs(20);
pub(crate) const PASSWORD: &str = "kann3l+pass word";
/// How long things may take that take a moment: in steps of 20 ms.
const PATIENCE: u32 = 1500;

const CONFIG: &str = r#"group = core
admin-port = @ADMIN@
admin-password = adm
smsbox-port = @BOX@
box-deny-ip = "*.*.*.*"
box-allow-ip = "127.0.0.1"
log-level = 1
dlr-storage = internal

group = smsc
smsc = fake
smsc-id = FAKE
port = @SMSC@
connect-allow-ip = 127.0.0.1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = @SEND@
log-level = 1

group = sendsms-user
username = shiftbell
password = "kann3l+pass word"
concatenation = true
max-messages = 3
"#;

/// A gateway of one test alone.
pub(crate) struct Kannel {
    boxes: Vec<Child>,
    operator: Option<Child>,
    folder: tempfile::TempDir,
    smsc: u16,
    pub(crate) send: u16,
}

impl Drop for Kannel {
    fn drop(&mut self) {
        for mut child in self.boxes.drain(..).rev().chain(self.operator.take()) {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn program(name: &str) -> String {
    let found = ["/usr/sbin/", "/usr/bin/", "/usr/lib/kannel/test/"].map(|folder| format!("{folder}{name}"));
    found.into_iter().find(|path| Path::new(path).exists()).unwrap_or_else(|| {
        panic!(
            "{name} is missing; install it with: \
             sudo apt-get install -y --no-install-recommends kannel kannel-extras"
        )
    })
}

impl Kannel {
    async fn start() -> Kannel {
        Kannel::start_with("").await
    }

    /// The same with more groups in its configuration.
    pub(crate) async fn start_with(more: &str) -> Kannel {
        let folder = tempfile::tempdir().unwrap();
        let [admin, boxes, smsc, send] = [(); 4].map(|()| free_port());
        let text = [("@ADMIN@", admin), ("@BOX@", boxes), ("@SMSC@", smsc), ("@SEND@", send)]
            .iter()
            .fold(CONFIG.to_owned(), |text, (name, port)| text.replace(name, &port.to_string()));
        std::fs::write(folder.path().join("kannel.conf"), text + more).unwrap();
        let mut kannel = Kannel { boxes: Vec::new(), operator: None, folder, smsc, send };
        for (name, port) in [("bearerbox", boxes), ("smsbox", send)] {
            let child = kannel.run(name, &["kannel.conf"]);
            kannel.boxes.push(child);
            until("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
        }
        kannel
    }

    fn run(&self, name: &str, arguments: &[&str]) -> Child {
        let out = File::options().create(true).append(true).open(self.folder.path().join(name)).unwrap();
        Command::new(program(name))
            .args(arguments)
            .current_dir(self.folder.path())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// The operator takes messages from now on.
    pub(crate) fn operate(&mut self) {
        self.operate_with("123 345 text nop");
    }

    /// The same, and somebody writes this: from, to, kind and text.
    pub(crate) fn operate_with(&mut self, message: &str) {
        if let Some(mut operator) = self.operator.take() {
            operator.kill().unwrap();
            operator.wait().unwrap();
        }
        let port = self.smsc.to_string();
        let arguments = ["-H", "127.0.0.1", "-r", &port, "-i", "3600", message];
        self.operator = Some(self.run("fakesmsc", &arguments));
    }

    /// Everything that the operator has seen.
    fn seen(&self) -> String {
        let text = std::fs::read(self.folder.path().join("fakesmsc")).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    fn channel(&self, more: &str, password: &str) -> Arc<dyn Channel> {
        let url = format!("http://127.0.0.1:{}/cgi-bin/sendsms", self.send);
        let text = format!(
            "[sms_gateway]\nurl = {url:?}\nusername = \"shiftbell\"\npassword.env = \"P\"\nfrom = \"10690\"\n\
             http.allow_private = true\n{more}"
        );
        channel(&text, &[("P", password)], LONG)
    }
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..PATIENCE {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited in vain until {what}");
}

/// Keeps what the gateway reports.
async fn reports() -> (String, Arc<Mutex<Vec<String>>>, JoinSet<()>) {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&kept);
    let handler = move |uri: Uri| async move {
        told.lock().unwrap().push(uri.query().unwrap_or_default().to_owned());
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/report?key=KEY&st=%d", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        axum::serve(listener, Router::new().route("/report", get(handler))).await.unwrap();
    });
    (url, kept, tasks)
}

#[tokio::test]
async fn a_real_gateway_takes_messages_and_reports_them_through_an_outage() {
    let mut kannel = Kannel::start().await;
    let (url, reports, _tasks) = reports().await;
    let channel = kannel.channel(&format!("report_url = {url:?}\nreceipts = \"pushed\""), PASSWORD);
    assert_eq!(channel.card().receipts, ReceiptPath::Pushed);
    assert_eq!(channel.card().links, LinkRule::None);
    kannel.operate();
    let with_text = |n: u8, text: &str| {
        let mut claim = claim(n, "13812340000");
        claim.body.text = text.to_owned();
        claim
    };
    let told = |key: &str, state: &str| {
        let want = format!("key={key}&st={state}");
        reports.lock().unwrap().contains(&want)
    };
    // Two parts of Chinese, with what has a meaning in URLs.
    let text = format!("退款单1024超时 ~!*'()&=+% 请处理{}", "超".repeat(60));
    let outcome = channel.send(&with_text(1, &text)).await;
    assert_eq!(outcome.class, OutcomeClass::Accepted, "{outcome:?}");
    until("the operator has taken it", || told("key-1", "8")).await;
    until("it is delivered", || told("key-1", "1")).await;
    assert!(kannel.seen().contains("+8613812340000"), "{}", kannel.seen());
    // In one part of seven bits.
    let outcome = channel.send(&with_text(2, "Ticket 8821 ~!*'()&=+% over SLA")).await;
    assert_eq!(outcome.class, OutcomeClass::Accepted, "{outcome:?}");
    until("the operator has seen it", || {
        let seen = kannel.seen();
        seen.contains("Ticket 8821 ~!*'()&=+% over SLA")
            || seen.contains("Ticket+8821+%7E%21%2A%27%28%29%26%3D%2B%25+over+SLA")
    })
    .await;
    // The operator is away: the gateway takes messages and keeps them.
    let mut operator = kannel.operator.take().unwrap();
    operator.kill().unwrap();
    operator.wait().unwrap();
    let outcome = channel.send(&with_text(3, "Ticket 8822")).await;
    assert_eq!(outcome.class, OutcomeClass::Accepted, "{outcome:?}");
    assert!(!told("key-3", "1"), "taken is not delivered");
    kannel.operate();
    until("what was kept is delivered", || told("key-3", "1")).await;
}

#[tokio::test]
async fn a_real_gateway_says_what_is_wrong() {
    let kannel = Kannel::start().await;
    let refused = kannel.channel("", "wrong").send(&claim(1, "13812340000")).await;
    assert_eq!(refused.class, OutcomeClass::Credential, "{refused:?}");
    let channel = kannel.channel("", PASSWORD);
    let outcome = channel.send(&claim(1, "lin@example.com")).await;
    assert_eq!(outcome.class, OutcomeClass::RecipientPermanent, "{outcome:?}");
    let short = kannel.channel("max_parts = 1", PASSWORD);
    let mut long = claim(1, "13812340000");
    long.body.text = "超".repeat(71);
    assert_eq!(short.send(&long).await.class, OutcomeClass::ContentPermanent, "two parts");
}
