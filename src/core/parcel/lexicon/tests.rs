//! Texts of scans, each with what it says.

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::core::parcel::{Exception, Milestone};

/// The lexicon of the program.
fn lexicon() -> &'static Lexicon {
    static LEXICON: std::sync::OnceLock<Lexicon> = std::sync::OnceLock::new();
    LEXICON.get_or_init(|| {
        let text = include_str!("../../../../config/parcels/lexicon.toml");
        let config: LexiconConfig = toml::from_str(text).unwrap();
        let mut problems = Problems::new();
        let lexicon = Lexicon::compile(&config, &mut problems);
        lexicon.unwrap_or_else(|| panic!("{:?}", problems.into_vec()))
    })
}

/// What a text says, as the tables name it.
fn told(reading: &Reading) -> (String, String, String) {
    let flags: Vec<&str> = reading.flags.iter().map(|f| f.word()).collect();
    (
        reading.milestone.name().to_owned(),
        reading.exception.map_or("-", Exception::word).to_owned(),
        flags.join(","),
    )
}

/// Texts with their labels, as the published sample has them.
fn are_read_as_labelled(file: &str, count: usize) {
    #[derive(Deserialize)]
    struct Sample {
        messages: Vec<Message>,
    }
    #[derive(Deserialize)]
    struct Message {
        id: String,
        text: String,
        milestone: String,
        exception: Option<String>,
        flags: Vec<String>,
    }
    let sample: Sample = serde_json::from_str(file).unwrap();
    assert_eq!(sample.messages.len(), count);
    let mut wrong = Vec::new();
    for message in sample.messages {
        let want = (message.milestone, message.exception.unwrap_or("-".to_owned()), message.flags.join(","));
        let reading = lexicon().read(&message.text);
        let got = told(&reading);
        if got != want {
            wrong.push(format!(
                "{} {}: {got:?}, not {want:?}: {:?}",
                message.id, message.text, reading.evidence
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `logistics` 4.6: every text of the sample, negated and conditional ones too.
#[test]
fn the_published_sample_is_read_as_it_is_labelled() {
    are_read_as_labelled(include_str!("../../../../tests/fixtures/parcels/scan_messages.json"), 179);
}

/// Texts that were labelled before the lexicon had read them.
#[test]
fn texts_of_other_wordings_are_read_as_they_are_labelled() {
    are_read_as_labelled(include_str!("../../../../tests/fixtures/parcels/scan_wordings.json"), 516);
}

/// Texts in our own words: `text|milestone|exception|flags`.
#[test]
fn texts_of_all_carriers_are_read_as_they_are_labelled() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in include_str!("../../../../tests/fixtures/parcels/scan_texts.txt").lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        count += 1;
        let mut columns = line.split('|');
        let mut next = || columns.next().unwrap_or_default();
        let (text, milestone, exception, flags) = (next(), next(), next(), next());
        let reading = lexicon().read(text);
        let (got, is, also) = told(&reading);
        if (got.as_str(), is.as_str(), also.as_str()) != (milestone, exception, flags) {
            wrong.push(format!("{text}: {got} {is} {also}, {:?}", reading.evidence));
        }
    }
    assert!(count >= 540, "{count}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What only sounds like an exception is none (`logistics` 4.1, steps 2 and 3).
#[test]
fn what_only_sounds_like_an_exception_is_none() {
    for text in [
        "包裹未破损，继续运输",
        "外包装完好，无破损、无丢失、无异味",
        "未发现破损、丢失等异常情况，已发往武汉",
        "如有破损请当面拒收",
        "若收件人拒收，将按原路退回",
        "异常已解除，已发出",
        "拦截失败，派送中",
        "为防止丢失，请及时取件",
        "【江苏如皋】已发出",
        "前次派送失败，现正在重新派送",
        "No damage reported, departed hub",
        "If the parcel is damaged, refuse it. Out for delivery",
        "The shipment was not lost; arrived at hub",
    ] {
        let reading = lexicon().read(text);
        assert_eq!(reading.exception, None, "{text} {:?}", reading.evidence);
    }
    for (text, exception) in [
        ("外包装完好无破损但内件短少", Exception::ContentMismatch),
        ("未丢失，但外箱破损", Exception::Damaged),
        ("预计延误两天送达", Exception::CarrierDelay),
        ("如有疑问请致电。客户拒收", Exception::Refused),
        ("（如有破损请拒收）客户电话关机", Exception::ContactFailed),
    ] {
        assert_eq!(lexicon().read(text).exception, Some(exception), "{text}");
    }
}

#[test]
fn evidence_says_by_which_words_and_shows_nobody() {
    let reading = lexicon().read("张三13800000000的电话138打不通，张三不在家");
    let phrases: Vec<&str> = reading.evidence.iter().map(|e| e.phrase.as_str()).collect();
    assert_eq!(phrases, ["电话…打不通"]);
    assert_eq!((reading.evidence[0].of, reading.evidence[0].by), (Of::Exception, By::Lexicon));
    let reading = lexicon().read("外观有点凹进去");
    assert_eq!((reading.evidence[0].by, reading.exception), (By::Pair, Some(Exception::Damaged)));
    assert_eq!(reading.evidence[0].phrase, "外观 + 凹");
}

#[test]
fn writing_does_not_matter() {
    for text in ["派送失败", "派 送 失 败", "派送失敗", "　派送失败　", "派\u{200b}送失败"]
    {
        assert_eq!(lexicon().read(text).milestone, Milestone::DeliveryFailed, "{text}");
    }
    for text in
        ["OUT FOR DELIVERY", "Out-for-Delivery", "ｏｕｔ　ｆｏｒ　ｄｅｌｉｖｅｒｙ", "out  for\tdelivery"]
    {
        assert_eq!(lexicon().read(text).milestone, Milestone::OutForDelivery, "{text}");
    }
    // Words are whole.
    assert_eq!(lexicon().read("undamageds").exception, None);
}

/// The worst that anybody can send takes a moment, not minutes: every word begins phrases that never end.
#[test]
fn huge_texts_are_read_in_time() {
    for part in [
        "电话",
        "未",
        "如有",
        "客户要求",
        "签收人",
        "(",
        "【",
        "not delivered ",
        "a",
        "预计",
        "已",
        "电话…",
        "。",
    ] {
        let text = part.repeat(100_000 / part.len());
        let reading = lexicon().read(&text);
        assert!(reading.evidence.len() <= 8, "{part}");
    }
    let all: String = include_str!("../../../../tests/fixtures/parcels/scan_texts.txt").repeat(8);
    assert!(all.len() > 100_000);
    _ = lexicon().read(&all);
}

proptest! {
    #[test]
    fn any_text_is_read(text in "\\PC{0,200}") {
        let reading = lexicon().read(&text);
        prop_assert!(reading.evidence.len() <= 8);
    }

    /// Words of the trade in any order, with any signs between them.
    #[test]
    fn any_words_are_read_and_the_same_twice(
        words in prop::collection::vec(prop::sample::select(vec![
            "客户", "电话", "未", "已", "签收", "派送", "如有", "破损", "(", ")", "【", "】", "，", "。", "退回", "not ", "delivered ",
            "if ", "预计", "到达", "驿站", "\u{2}", "\u{3}", "…", "|", "^", "$", "\u{0}", "🚚", "ﷺ", "İ", "ß",
        ]), 0..60),
    ) {
        let text = words.concat();
        prop_assert_eq!(lexicon().read(&text), lexicon().read(&text));
    }

    /// Whatever somebody writes into a lexicon is taken or told.
    #[test]
    fn any_phrase_is_taken_or_told(phrase in "[a-z签收(){}|…^$? ]{0,24}", other in "\\PC{0,12}") {
        let config = LexiconConfig {
            words: [("a".to_owned(), vec!["x".to_owned(), other.clone()])].into(),
            exception: vec![config::ExceptionConfig {
                id: "X".to_owned(), is: Exception::Lost, weak: false, phrases: vec![phrase, other],
            }],
            ..LexiconConfig::default()
        };
        let mut problems = Problems::new();
        let lexicon = Lexicon::compile(&config, &mut problems);
        prop_assert_eq!(lexicon.is_none(), problems.has_errors());
        if let Some(lexicon) = lexicon {
            _ = lexicon.read("签收 x lost (a|b) 签收收");
        }
    }
}
