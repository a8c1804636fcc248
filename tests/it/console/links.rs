//! The pages behind links (§12.1, S37).

use std::sync::Arc;

use shiftbell::core::alerting::{Act, AlertingConfig, LinkPurpose, LinkTarget, LinkToken, Setup};
use shiftbell::core::model::Status;
use shiftbell::core::time::{Instant, Span};

use super::{Console, Mode, Reply, id, incident, setup, start};

const ONE: LinkTarget = LinkTarget::Incident(shiftbell::core::ids::Id::from_bytes([1; 16]));

async fn console() -> Console {
    let console = Console::start().await;
    console.owner().incidents.insert(id(1), incident(1));
    console
}

/// What people call the incident.
fn short() -> String {
    format!("#{}", id(1).short())
}

/// The value of a hidden field of a page.
fn field<'a>(page: &'a Reply, name: &str) -> &'a str {
    let from = format!("name=\"{name}\" value=\"");
    let (_, rest) = page.body.split_once(&from).unwrap_or_else(|| panic!("no {name} in\n{}", page.body));
    rest.split('"').next().expect("it ends")
}

async fn post(console: &Console, token: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut all = vec![("Content-Type", "application/x-www-form-urlencoded")];
    all.extend_from_slice(headers);
    console.ask("POST", &format!("/a/{token}"), &all, body.as_bytes()).await
}

/// Opens the page and presses its button, with more fields.
async fn press(console: &Console, token: &str, more: &str) -> Reply {
    let page = console.get(&format!("/a/{token}")).await;
    let body = format!("once={}&do={}{more}", field(&page, "once"), field(&page, "do"));
    post(console, token, &[], &body).await
}

#[tokio::test]
async fn looking_changes_nothing_and_pressing_acks_once() {
    let console = console().await;
    let token = console.token(LinkPurpose::Ack, ONE, "xiaolin");
    let path = format!("/a/{token}");
    for method in ["GET", "HEAD", "GET"] {
        let page = console.ask(method, &path, &[("User-Agent", "LinkPreview/1.0")], b"").await;
        assert_eq!(page.status, 200);
    }
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        assert_eq!(console.ask(method, &path, &[], b"").await.status, 405, "{method}");
    }
    assert_eq!(console.owner().changes, 0, "I42");
    let page = console.get(&path).await;
    page.says(
        200,
        &[
            &short(),
            "平台工单 20 分钟回复",
            "14:20",
            "小林",
            "这不是我",
            "认领</button>",
            "先回复买家",
            "王**",
        ],
    );
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!page.body.contains("<script"));

    let body = format!("once={}&do=ack", field(&page, "once"));
    let done = post(&console, &token, &[("Origin", "https://bell.example.com")], &body).await;
    done.says(200, &["已认领", "14:30"]).says_not(&["已处理"]);
    console.wait(Span::MINUTE);
    let again = post(&console, &token, &[("Origin", "null")], &body).await;
    again.says(200, &["已处理(小林 14:20:40)"]);
    let owner = console.owner();
    assert_eq!(owner.incidents[&id(1)].acked_by.as_deref(), Some("xiaolin"));
    assert_eq!(owner.acts.len(), 2);
    assert_eq!(owner.acts[0].inbox, owner.acts[1].inbox, "I11");
    assert_eq!((&*owner.acts[0].person, &*owner.acts[0].via), ("xiaolin", "link"));
    let from = owner.acts[0].from.as_deref().expect("an origin for the audit");
    assert!(from.starts_with("127.0.0.* "), "{from}");
}

#[tokio::test]
async fn a_second_person_is_told_who_has_it() {
    let console = console().await;
    press(&console, &console.token(LinkPurpose::Ack, ONE, "xiaolin"), "").await.says(200, &["已认领"]);
    let other = console.token_of(LinkToken {
        nonce: [9; 8],
        person: "xiaochen".into(),
        ..token_of_one(&console, LinkPurpose::Ack)
    });
    press(&console, &other, "").await.says(200, &["已由小林认领"]);
}

fn token_of_one(console: &Console, purpose: LinkPurpose) -> LinkToken {
    LinkToken {
        purpose,
        target: ONE,
        episode: 1,
        level: 1,
        person: "xiaolin".into(),
        expires_at: Instant::from_secs((console.now() + Span::DAY).as_secs()),
        nonce: [1; 8],
    }
}

#[tokio::test]
async fn a_form_needs_the_page_it_came_from() {
    let console = console().await;
    let token = console.token(LinkPurpose::Ack, ONE, "xiaolin");
    let page = console.get(&format!("/a/{token}")).await;
    let good = format!("once={}&do=ack", field(&page, "once"));
    for (name, body) in [
        ("nothing", String::new()),
        ("no value", "do=ack".to_owned()),
        ("another's value", {
            let other =
                console.get(&format!("/a/{}", console.token(LinkPurpose::Snooze, ONE, "xiaolin"))).await;
            format!("once={}&do=ack", field(&other, "once"))
        }),
        ("an invented value", "once=AAAAAAAAAAAAAAAAAAAAAA&do=ack".to_owned()),
        ("garbage", "%%%=&&&=\u{1}".to_owned()),
    ] {
        post(&console, &token, &[], &body).await.says(422, &["请再按一次", "name=\"once\""]);
        assert_eq!(console.owner().changes, 0, "{name}");
    }
    for (name, headers) in [
        ("another site", vec![("Origin", "https://evil.example")]),
        ("another site behind null", vec![("Origin", "null"), ("Sec-Fetch-Site", "cross-site")]),
        ("a site beside", vec![("Sec-Fetch-Site", "same-site")]),
    ] {
        assert_eq!(post(&console, &token, &headers, &good).await.status, 403, "{name}");
        assert_eq!(console.owner().changes, 0, "{name}");
    }
    // A page lies open for a while, not for ever.
    console.wait(Span::from_minutes(61));
    post(&console, &token, &[], &good).await.says(422, &["页面已过时"]);
    assert_eq!(console.owner().changes, 0);
    let page = console.get(&format!("/a/{token}")).await;
    console.wait(Span::from_minutes(29));
    let body = format!("once={}&do=ack", field(&page, "once"));
    post(&console, &token, &[("Sec-Fetch-Site", "same-origin")], &body).await.says(200, &["已认领"]);
    let large = "x".repeat(20 << 10);
    assert_eq!(post(&console, &token, &[], &large).await.status, 413);
}

#[tokio::test]
async fn a_link_serves_its_own_purpose_only() {
    let console = console().await;
    let ack = console.token(LinkPurpose::Ack, ONE, "xiaolin");
    let page = console.get(&format!("/a/{ack}")).await;
    let once = field(&page, "once");
    for (what, more) in [("snooze", "&minutes=60"), ("resolve", "&reason=x"), ("view", ""), ("", "")] {
        post(&console, &ack, &[], &format!("once={once}&do={what}{more}"))
            .await
            .says(422, &["不能用于该操作"]);
    }
    let view = console.token(LinkPurpose::View, ONE, "xiaolin");
    let looking = console.get(&format!("/a/{view}")).await;
    looking.says(200, &[&short()]).says_not(&["<button", "<form"]);
    // Even with a value that fits, as a leaked one would.
    let keys = shiftbell::core::alerting::LinkKeys::new(&super::key(), &"after-sales".into(), 0);
    let bucket = console.now().as_millis() / Span::from_minutes(30).as_millis();
    let fits = keys.page_value(&view, bucket);
    post(&console, &view, &[], &format!("once={fits}&do=view")).await.says(422, &["只供查看"]);
    let handover = console.token(LinkPurpose::AcceptHandover, ONE, "xiaolin");
    assert_eq!(console.get(&format!("/a/{handover}")).await.status, 410);
    assert_eq!(console.owner().changes, 0);
}

#[tokio::test]
async fn snooze_and_resolve_ask_for_what_they_need() {
    let console = console().await;
    let snooze = console.token(LinkPurpose::Snooze, ONE, "xiaolin");
    console
        .get(&format!("/a/{snooze}"))
        .await
        .says(200, &["15 分钟", "30 分钟", "1 小时", "2 小时", "推迟提醒"]);
    for more in ["", "&minutes=", "&minutes=7", "&minutes=-15", "&minutes=99999999999999999999"] {
        press(&console, &snooze, more).await.says(422, &["请选择推迟多久"]);
    }
    assert_eq!(console.owner().changes, 0);
    press(&console, &snooze, "&minutes=120").await.says(200, &["已推迟至15:05", "已按时限缩短"]);
    assert!(
        matches!(console.owner().acts[0].act, Act::Snooze { span, .. } if span == Span::from_minutes(120))
    );

    let resolve = console.token(LinkPurpose::Resolve, ONE, "xiaolin");
    console.get(&format!("/a/{resolve}")).await.says(200, &["<textarea", "标记为已解决"]);
    press(&console, &resolve, "&reason=+%0A+").await.says(422, &["请写明原因"]);
    let reason = format!("&reason=%E5%B7%B2%E9%80%80%E6%AC%BE%07{}", "x".repeat(2000));
    press(&console, &resolve, &reason).await.says(200, &["已标记为解决"]);
    let owner = console.owner();
    let Act::Resolve { reason, .. } = &owner.acts[1].act else { panic!("{:?}", owner.acts[1]) };
    assert!(reason.starts_with("已退款 x") && reason.chars().count() == 500, "{reason}");
}

#[tokio::test]
async fn a_list_acks_what_it_listed() {
    let console = console().await;
    {
        let mut owner = console.owner();
        for n in 2..=4 {
            owner.incidents.insert(id(n), incident(n));
        }
        if let Some(over) = owner.incidents.get_mut(&id(3)) {
            over.status = Status::Resolved;
            over.resolved_at = Some(start());
        }
        owner.lists.insert(id(50), vec![id(1), id(2), id(3)]);
    }
    let list = LinkTarget::List { message: id(50), revision: 0 };
    let token = console.token(LinkPurpose::Ack, list, "xiaolin");
    console.get(&format!("/a/{token}")).await.says(200, &["认领以上 3 条"]);
    press(&console, &token, "").await.says(200, &["已认领", "已恢复"]);
    {
        let owner = console.owner();
        assert_eq!(owner.acts[0].act, Act::Ack { incidents: vec![id(1), id(2), id(3)] });
        assert_eq!(owner.acts[0].episode, None);
        assert_eq!(owner.incidents[&id(4)].status, Status::Open, "RS4");
    }
    let snooze = console.token(LinkPurpose::Snooze, list, "xiaolin");
    press(&console, &snooze, "&minutes=15").await.says(422, &["只能一起认领"]);
    let lost = console.token(LinkPurpose::Ack, LinkTarget::List { message: id(51), revision: 0 }, "xiaolin");
    console.get(&format!("/a/{lost}")).await.says(410, &["已不在记录中"]);
}

#[tokio::test]
async fn a_link_of_another_time_is_refused_with_the_state_shown() {
    let console = console().await;
    let token = console.token(LinkPurpose::Ack, ONE, "xiaolin");
    let page = console.get(&format!("/a/{token}")).await;
    let body = format!("once={}&do=ack", field(&page, "once"));
    // L1's link after L2: still an ack.
    if let Some(i) = console.owner().incidents.get_mut(&id(1)) {
        i.level = 2;
    }
    console.get(&format!("/a/{token}")).await.says(200, &["L2", "认领</button>"]);
    // Another episode.
    if let Some(i) = console.owner().incidents.get_mut(&id(1)) {
        i.episode = 2;
    }
    for reply in [console.get(&format!("/a/{token}")).await, post(&console, &token, &[], &body).await] {
        reply.says(410, &["上一次事件", "当前状态", &short()]).says_not(&["<button"]);
    }
    // Resolved: harmless for two hours, then over.
    if let Some(i) = console.owner().incidents.get_mut(&id(1)) {
        i.episode = 1;
        i.status = Status::Resolved;
        i.resolved_at = Some(start());
    }
    console.wait(Span::from_minutes(119));
    press(&console, &token, "").await.says(200, &["已恢复"]);
    console.wait(Span::from_minutes(1));
    console.get(&format!("/a/{token}")).await.says(410, &["链接已过期", "已恢复"]);
    // A day after it was made, whatever became of it.
    if let Some(i) = console.owner().incidents.get_mut(&id(1)) {
        i.status = Status::Open;
    }
    console.wait(Span::DAY);
    for reply in [console.get(&format!("/a/{token}")).await, post(&console, &token, &[], &body).await] {
        reply.says(410, &["链接已过期", "待认领"]).says_not(&["<button"]);
    }
    assert_eq!(console.owner().acts.len(), 1);
    console.owner().incidents.clear();
    let fresh = console.token(LinkPurpose::Ack, ONE, "xiaolin");
    console.get(&format!("/a/{fresh}")).await.says(410, &["已不在记录中"]);
}

#[tokio::test]
async fn what_is_not_recorded_is_not_promised() {
    let console = console().await;
    let token = console.token(LinkPurpose::Ack, ONE, "xiaolin");
    let page = console.get(&format!("/a/{token}")).await;
    let body = format!("once={}&do=ack", field(&page, "once"));
    console.owner().mode = Mode::Storage;
    post(&console, &token, &[], &body).await.says(503, &["暂不能记录,请电话", "阿敏"]).says_not(&["已认领"]);
    // The owner answers what it knows and then falls silent: nobody is told that it was done.
    console.owner().mode = Mode::Silent;
    post(&console, &token, &[], &body).await.says(503, &["暂不能记录"]).says_not(&["已认领"]);
    // It knows what is asked, and does not come to do it in time (S43).
    console.owner().mode = Mode::Late;
    post(&console, &token, &[], &body).await.says(202, &["处理中", "尚未确认"]).says_not(&["已认领"]);
    assert_eq!(console.owner().acts.len(), 0);
    console.owner().mode = Mode::Well;
    post(&console, &token, &[], &body).await.says(200, &["已认领"]);
}

/// Keeps whatever is logged.
#[derive(Clone, Default)]
struct Kept(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panics with it").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_token_reaches_a_log_or_a_figure() {
    let kept = Kept::default();
    let writer = kept.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone());
    let _logging = tracing::subscriber::set_default(subscriber.finish());
    let console = console().await;
    let token = console.token(LinkPurpose::Ack, ONE, "xiaolin");
    press(&console, &token, "").await.says(200, &["已认领"]);
    console.owner().mode = Mode::Storage;
    press(&console, &token, "").await.says(503, &[]);
    for _ in 0..120 {
        console.get(&format!("/a/x{token}")).await;
    }
    let bearer = format!("Bearer {}", super::ERP);
    let body = br#"[{"at":"2026-09-21T14:00:00Z","source":"s","kind":"k","id":"1","event":"e"}]"#;
    console.ask("POST", "/v1/observations", &[("Authorization", &*bearer)], body).await.says(503, &[]);
    console.ask("POST", "/v1/observations", &[("Authorization", &format!("{bearer}x"))], body).await;
    let log = String::from_utf8_lossy(&kept.0.lock().expect("nobody panics")).into_owned();
    assert!(log.contains("console.request") && log.contains("/a/{token}"), "it does log: {log}");
    assert!(log.contains("system.code_guessing"), "and tells of guessing");
    for page in [&log, &console.metrics.text().expect("a page")] {
        // Not even a piece of it.
        for piece in [&token[..12], &token[40..52], super::ERP, &super::ERP[4..]] {
            assert!(!page.contains(piece), "{piece} is in\n{page}");
        }
    }
}

#[tokio::test]
async fn what_buyers_write_stays_text() {
    let console = console().await;
    let hostile = "<script>alert(1)</script>\"'><img src=x onerror=y>{{ 7*7 }}{% raw %}\u{202e}\u{0}";
    if let Some(i) = console.owner().incidents.get_mut(&id(1)) {
        i.subject.id = hostile.into();
        i.facts = [("last_message".into(), hostile.to_owned()), (hostile.into(), "x".repeat(100_000))].into();
    }
    let page = console.get(&format!("/a/{}", console.token(LinkPurpose::Ack, ONE, "xiaolin"))).await;
    page.says(200, &["&lt;script&gt;", "{{ 7*7 }}"])
        .says_not(&["<script", "<img", "\u{202e}", "\u{0}", "49"]);
    assert!(page.body.len() < 20_000, "{} bytes", page.body.len());
}

#[tokio::test]
async fn pages_call_things_as_messages_do_and_hide_what_is_personal() {
    let console = console().await;
    if let Some(i) = console.owner().incidents.get_mut(&id(1)) {
        let fact = |key: &str, text: &str| (key.into(), text.to_owned());
        i.facts = [
            fact("receiver_phone", "13812345678"),
            fact("receiver_name", "欧阳小明"),
            fact("last_scan", "已到北京,联系电话 13912340000"),
        ]
        .into();
    }
    let link = format!("/a/{}", console.token(LinkPurpose::View, ONE, "xiaolin"));
    console
        .get(&link)
        .await
        .says(200, &["工单 T1", "收件电话", "138****5678", "欧**", "最近轨迹"])
        .says_not(&["13812345678", "小明", "13912340000", "last_scan"]);
    console
        .ask("GET", &link, &[("Accept-Language", "en")], b"")
        .await
        .says(200, &["ticket T1", "138****5678"]);
}

#[tokio::test]
async fn pages_speak_the_language_of_the_person() {
    let console = console().await;
    let jo = console.token(LinkPurpose::Ack, ONE, "jo");
    let lin = console.token(LinkPurpose::Ack, ONE, "xiaolin");
    let english = [("Accept-Language", "en-GB,en;q=0.9")];
    console.get(&format!("/a/{jo}")).await.says(200, &["lang=\"en\"", "Acknowledge", "This is not me"]);
    console.get(&format!("/a/{lin}")).await.says(200, &["lang=\"zh-CN\""]);
    console.ask("GET", &format!("/a/{lin}"), &english, b"").await.says(200, &["lang=\"en\""]);
    console.ask("GET", "/a/nonsense", &english, b"").await.says(404, &["This link is not valid"]);
}

#[tokio::test]
async fn guessing_leads_nowhere_and_is_slowed() {
    let console = console().await;
    let good = console.token(LinkPurpose::Ack, ONE, "xiaolin");
    let mut seen = Vec::new();
    for n in 0..30_usize {
        let guess = match n % 5 {
            0 => format!("{n}"),
            1 => good[..good.len() - 1 - n].to_owned(),
            2 => good.replacen(&good[20..21], if &good[20..21] == "A" { "B" } else { "A" }, 1),
            3 => "A".repeat(good.len()),
            _ => "%00%ff%2e%2e".to_owned(),
        };
        let reply = console.get(&format!("/a/{guess}")).await;
        seen.push((reply.status, reply.body));
    }
    // All wrong ones look the same, whatever is wrong with them.
    let (first, _) = seen.split_at(4);
    assert!(first.iter().all(|(status, body)| *status == 404 && *body == first[0].1), "{first:?}");
    assert!(seen.iter().all(|(status, _)| [400, 404, 429].contains(status)));
    assert!(seen.iter().filter(|(status, _)| *status == 429).count() >= 10, "it is slowed");
    assert_eq!(console.owner().changes, 0);
    // Those with a link of their own are not held to it.
    press(&console, &good, "").await.says(200, &["已认领"]);
}

#[tokio::test]
async fn a_rotation_keeps_links_of_the_key_before() {
    let console = console().await;
    let token = console.token(LinkPurpose::Ack, ONE, "xiaolin");
    let at = |link_revision| {
        let config = AlertingConfig { link_revision, ..setup().config.as_ref().clone() };
        Arc::new(Setup { config: Arc::new(config), ..setup() })
    };
    console.setup.send_replace(at(1));
    assert_eq!(console.get(&format!("/a/{token}")).await.status, 200);
    console.setup.send_replace(at(2));
    assert_eq!(console.get(&format!("/a/{token}")).await.status, 404);
}
