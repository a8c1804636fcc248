use super::samples::{CLASSES, NOW, PURPOSES, Stock, card, for_each_letter};
use super::*;
use crate::core::model::LinkRule;
use crate::core::time::Instant;

fn render(letter: &Letter<'_>) -> Body {
    Templates::default().render(letter).unwrap()
}

#[test]
fn every_template_of_the_program_renders_every_sample() {
    let templates = Templates::default();
    assert_eq!(templates.check(), []);
    let mut count = 0;
    for_each_letter(&mut |letter| {
        let body = templates.render(letter).unwrap();
        let name = format!("{:?} {:?} {:?} {body:?}", letter.card.class, letter.language, letter.purpose);
        assert!(!body.text.is_empty(), "{name}");
        // What is personal did not get through, and what people wrote gives no order to what shows it: a mail's plain
        // text and a webhook's data take none.
        let orders = match letter.card.class {
            ChannelClass::Email | ChannelClass::Webhook => &[][..],
            _ => &["@all", "<b>急"][..],
        };
        let personal = ["13812340000", "13912340000", "张三丰", "\r"];
        for bad in personal.iter().chain(orders) {
            assert!(
                !format!("{}{:?}{:?}", body.text, body.subject, body.data).contains(*bad),
                "{bad} in {name}"
            );
        }
        let html = body.html.as_deref().unwrap_or_default();
        assert!(!personal.iter().chain(&["<b>急"]).any(|bad| html.contains(bad)), "{name}");
        assert!(body.subject.iter().all(|s| !s.contains('\n')), "{name}");
        assert!(!body.text.contains("{{") && !body.text.contains("none"), "{name}");
        count += 1;
    });
    assert_eq!(count, CLASSES.len() * 2 * PURPOSES.len() * 6);
}

#[test]
fn both_languages_have_the_same_words() {
    let [zh, en] = ["zh-CN", "en"].map(Words::builtin);
    assert_eq!(zh.phrases(), en.phrases());
    for purpose in PURPOSES {
        for words in [&zh, &en] {
            assert_ne!(words.phrase(purpose.word(), "2"), purpose.word(), "{purpose:?} has a phrase");
        }
    }
}

fn snapshot(
    class: ChannelClass,
    language: Language,
    purpose: Purpose,
    shape: impl FnOnce(&Stock, &mut Letter<'_>),
) -> Body {
    let stock = Stock::new();
    let card = card(class);
    // The stock outlives the letter; the closure only changes plain values and items of its own making.
    let mut letter = stock.letter(&card, language, purpose, vec![stock.full()]);
    shape(&stock, &mut letter);
    render(&letter)
}

fn shown(body: &Body) -> String {
    format!("{}\n────\n{}", body.subject.as_deref().unwrap_or("(no subject)"), body.text)
}

#[test]
fn what_people_read_in_a_mail() {
    let body = snapshot(ChannelClass::Email, Language::Zh, Purpose::Level, |_, _| {});
    insta::assert_snapshot!("mail_zh", shown(&body));
    insta::assert_snapshot!("mail_zh_html", body.html.unwrap());
    let body = snapshot(ChannelClass::Email, Language::En, Purpose::Level, |_, _| {});
    insta::assert_snapshot!("mail_en", shown(&body));
}

#[test]
fn what_people_read_in_a_short_message() {
    let body =
        snapshot(ChannelClass::Sms, Language::Zh, Purpose::Reminder(2), |_, letter| letter.marked = true);
    insta::assert_snapshot!("sms_zh", format!("{}\n{}", body.text, body.data.unwrap()));
}

#[test]
fn what_people_read_in_a_chat() {
    let body = snapshot(ChannelClass::ChatRobot, Language::Zh, Purpose::AckLapsed, |_, letter| {
        letter.unrecorded = true;
        letter.remark = Some("更正:买家 13812340000 已回复");
    });
    insta::assert_snapshot!("chat_zh", shown(&body));
}

#[test]
fn what_people_read_in_a_digest_and_a_storm() {
    let stock = Stock::new();
    let chat = card(ChannelClass::ChatRobot);
    let items = || (1..=4).map(|n| stock.bare(n)).collect::<Vec<_>>();
    let mut letter = stock.letter(&chat, Language::Zh, Purpose::Digest, items());
    letter.total = 37;
    letter.penalty_cents = 370_050;
    insta::assert_snapshot!("digest_zh", shown(&render(&letter)));
    for (name, purpose, first) in [
        ("storm_opened_zh", Purpose::StormOpened, true),
        ("storm_update_zh", Purpose::StormUpdate, false),
        ("storm_over_zh", Purpose::StormOver, false),
    ] {
        let mut letter = stock.letter(&chat, Language::Zh, purpose, items());
        letter.total = 998;
        letter.storm = Some(stock.storm(first));
        insta::assert_snapshot!(name, shown(&render(&letter)));
    }
    let letter = stock.letter(&chat, Language::Zh, Purpose::Cleared, vec![stock.full()]);
    insta::assert_snapshot!("cleared_zh", shown(&render(&letter)));
    let letter = stock.letter(&chat, Language::En, Purpose::Digest, items());
    insta::assert_snapshot!("digest_en", shown(&render(&letter)));
}

#[test]
fn what_a_webhook_sends() {
    let body =
        snapshot(ChannelClass::Webhook, Language::Zh, Purpose::Level, |_, letter| letter.marked = true);
    let data: serde_json::Value = serde_json::from_str(&body.data.unwrap()).unwrap();
    insta::assert_snapshot!("webhook_zh", serde_json::to_string_pretty(&data).unwrap());
}

#[test]
fn instants_are_absolute_and_local() {
    let zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap();
    let at = |text: &str| Instant::parse(text).unwrap();
    let now = at("2026-03-12T14:02:00+08:00");
    for (instant, want) in [
        ("2026-03-12T14:20:59+08:00", "14:20"),
        ("2026-03-12T00:00:00+08:00", "00:00"),
        ("2026-03-13T09:20:00+08:00", "03-13 09:20"),
        ("2026-03-11T23:59:59+08:00", "03-11 23:59"),
        ("2027-01-01T09:20:00+08:00", "2027-01-01 09:20"),
    ] {
        assert_eq!(view::local(at(instant), now, &zone), want, "{instant}");
    }
    assert_eq!(NOW, now, "the samples are of that day");
}

#[test]
fn what_is_unverified_says_as_of_when() {
    let stock = Stock::new();
    let chat = card(ChannelClass::ChatRobot);
    let mut item = stock.full();
    let text = |item| render(&stock.letter(&chat, Language::Zh, Purpose::Level, vec![item])).text;
    assert!(text(item.clone()).contains("截至 14:02 未能核实"));
    let mut facts = item.facts.clone();
    facts.insert("as_of".into(), "2026-03-12T13:58:00+08:00".to_owned());
    item.facts = &facts;
    let with = render(&Letter { ..stock.letter(&chat, Language::Zh, Purpose::Level, vec![item]) }).text;
    assert!(with.contains("数据截至 13:58,未能核实") && !with.contains("as_of"), "{with}");
}

#[test]
fn a_text_is_cut_at_items_and_never_inside_anything() {
    let stock = Stock::new();
    let templates = Templates::default();
    for class in CLASSES {
        for language in [Language::Zh, Language::En] {
            for purpose in PURPOSES {
                // The least possible still says what and where.
                for limit in [120, 200, 300, 500, 800, 1_200, 2_048, 4_096, 20_000] {
                    let mut card = card(class);
                    card.body_limit = Some(limit);
                    let mut letter =
                        stock.letter(&card, language, purpose, (1..=10).map(|n| stock.bare(n)).collect());
                    letter.items[0] = stock.full();
                    letter.total = 37;
                    let body = templates.render(&letter).unwrap();
                    let name = format!("{class:?} {purpose:?} {limit}: {}", body.text);
                    assert!(body.text.len() <= limit, "{name}");
                    assert!(body.html.as_ref().is_none_or(|html| html.len() <= limit), "{name}");
                    for link in body.text.split("https://").skip(1) {
                        let end = link.split_whitespace().next().unwrap();
                        assert!(end.ends_with("-k1_x9Zq"), "a whole link: {name}");
                    }
                    let listed = body.text.matches('#').count();
                    if purpose == Purpose::Digest && listed > 0 && class != ChannelClass::Webhook {
                        let sign = if language == Language::Zh { "…等37条" } else { "… 37 in all" };
                        assert!(body.text.contains(sign) || limit < 200, "{name}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_minimal_text_cannot_fail() {
    let stock = Stock::new();
    for class in CLASSES {
        for limit in [0, 1, 7, 30, 60, 100, 400, 4_000] {
            let mut card = card(class);
            card.body_limit = Some(limit);
            for items in [0, 1, 10] {
                let mut letter = stock.letter(
                    &card,
                    Language::Zh,
                    Purpose::Level,
                    (1..=items).map(|n| stock.bare(n)).collect(),
                );
                letter.minimal = true;
                letter.total = 37;
                let body = Templates::default().render(&letter).unwrap();
                assert!(body.text.len() <= limit, "{class:?} {limit} {items}: {}", body.text);
            }
        }
    }
    let chat = card(ChannelClass::ChatRobot);
    let mut letter = stock.letter(&chat, Language::Zh, Purpose::Level, vec![stock.full()]);
    letter.minimal = true;
    letter.marked = true;
    insta::assert_snapshot!("minimal_zh", render(&letter).text);
}

#[test]
fn a_channel_without_links_gets_none() {
    let stock = Stock::new();
    for class in CLASSES {
        let mut card = card(class);
        card.links = LinkRule::None;
        let mut letter = stock.letter(&card, Language::Zh, Purpose::Level, vec![stock.full()]);
        for minimal in [false, true] {
            letter.minimal = minimal;
            let body = render(&letter);
            let all = format!("{body:?}");
            assert!(!all.contains("https://"), "{class:?} {all}");
        }
    }
}

/// A folder with one file in it.
fn folder(file: &str, text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    folder
}

#[test]
fn a_folder_overrides_file_by_file() {
    let own = folder(
        "zh-CN/incident/chat.txt",
        "{{ first.short }}{% if first.facts %}:{{ first.facts[0].value }}{% endif %} {{ links[0].url }}",
    );
    let templates = Templates::load(Some(own.path()));
    assert_eq!(templates.check(), []);
    let stock = Stock::new();
    let chat = card(ChannelClass::ChatRobot);
    let letter = stock.letter(&chat, Language::Zh, Purpose::Level, vec![stock.full()]);
    let body = templates.render(&letter).unwrap();
    assert_eq!(
        body.text,
        format!("{}:张＊＊ https://sb.example.com/a/ack-k1_x9Zq", letter.items[0].id.short())
    );
    let own = folder("zh-CN/words.toml", "[phrase]\nlevel_late = \"超时啦\"");
    let templates = Templates::load(Some(own.path()));
    assert!(templates.render(&letter).unwrap().text.contains("超时啦"));
}

#[test]
fn mistakes_are_told_with_file_and_line() {
    for (file, text, line, reason) in [
        ("zh-CN/incident/chat.txt", "a\n{{ frist.short }}", 2, "undefined value"),
        ("zh-CN/incident/chat.txt", "a\n{{ first.shrt }}", 2, "undefined value"),
        ("en/digest/sms.txt", "{% for a in items %}\n{{ a.due.x }}{% endfor %}", 2, "undefined value"),
        ("zh-CN/incident/chat.txt", "\n\n{% if %}", 3, "syntax error"),
        ("zh-CN/incident/chat.txt", "{% set a = 1 %}", 1, "found the tag `set`"),
        ("zh-CN/parts/due.txt", "x\n\n{{ nothing }}", 3, "undefined value"),
        ("zh-CN/incident/chat.txt", "{% include \"parts/no.txt\" %}", 1, "template not found"),
        ("zh-CN/incident/chat.txt", "{% include \"incident/chat.txt\" %}", 1, "invalid operation"),
        ("zh-CN/words.toml", "[phrase]\nlevel = 3", 2, "invalid type"),
        ("zh-CN/words.toml", "[phrases]\n", 1, "unknown field"),
        ("zh-CN/incident/caht.txt", "", 0, "nobody reads this file"),
        ("fr/incident/chat.txt", "", 0, "nobody reads this file"),
    ] {
        let own = folder(file, text);
        let faults = Templates::load(Some(own.path())).check();
        let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
        let name = file.split('/').next_back().unwrap();
        let fault = faults.iter().find(|f| f.file.ends_with(name) || f.file.ends_with("fr"));
        let fault = fault.unwrap_or_else(|| panic!("{file} {text}: {told:?}"));
        assert_eq!(fault.line, line, "{file} {text}: {told:?}");
        assert!(fault.reason.contains(reason), "{file} {text}: {told:?}");
        assert!(fault.file.starts_with(&own.path().display().to_string()), "the user's own file: {told:?}");
        // Whatever is wrong, people are told in time: by the program's own text, or by the minimal one.
        let stock = Stock::new();
        let chat = card(ChannelClass::ChatRobot);
        let mut letter = stock.letter(&chat, Language::Zh, Purpose::Level, vec![stock.full()]);
        letter.minimal = true;
        assert!(Templates::load(Some(own.path())).render(&letter).is_ok());
    }
}

#[test]
fn a_bomb_does_not_go_off() {
    let stock = Stock::new();
    let chat = card(ChannelClass::ChatRobot);
    let letter = stock.letter(&chat, Language::Zh, Purpose::Level, (1..=10).map(|n| stock.bare(n)).collect());
    let mut loops = String::new();
    for n in 0..12 {
        loops += &format!("{{% for a{n} in items %}}");
    }
    let deep = format!("{loops}x{}", "{% endfor %}".repeat(12));
    let wide = format!("{loops}{}{}", "x".repeat(2_000), "{% endfor %}".repeat(12));
    let joined = "{{ [items|join,items|join,items|join,items|join,items|join,items|join,items|join]|join }}"
        .repeat(50);
    for bomb in [deep, wide, joined] {
        let own = folder("zh-CN/digest/chat.txt", &bomb);
        let templates = Templates::load(Some(own.path()));
        let fault = templates.render(&letter).unwrap_err();
        assert!(!templates.check().is_empty(), "{fault}");
        assert!(fault.template.starts_with("digest/chat.txt"), "{fault}");
    }
}
