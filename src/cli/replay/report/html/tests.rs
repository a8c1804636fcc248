use crate::cli::replay::report::sample::{desk, frame, tally};
use crate::cli::replay::report::tests::with_document;
use crate::cli::replay::report::{Document, Report, rings::Rings, words::Language};
use crate::cli::replay::rows::Outcome;
use crate::core::clock::metrics::Lags;

use super::render;

#[test]
fn what_comes_from_outside_is_inert() {
    let frame = frame(10);
    let (mut rows, _) = desk(10, 0);
    let evil = r#"<script>alert("1")</script>'"><img src=x onerror=alert(1)>"#;
    for row in rows.iter_mut().filter(|row| row.outcome == Outcome::Missed) {
        row.id = evil.to_owned();
        row.shop = Some(evil.into());
        row.assignee = Some(evil.into());
        row.shift = Some(evil.into());
        row.clock = evil.into();
        row.source = evil.into();
    }
    let report = Report::build(&rows, Rings::default(), &Lags::default(), &frame);
    let history = tally(1);
    let document =
        Document { config: evil, history: &history, report: &report, comparison: None, evaluation: None };
    let page = render(&document, &frame, Language::Zh).expect("a page");
    assert!(page.contains("&lt;script&gt;"));
    for bad in ["<script", "<img", "onerror=alert(1)>\""] {
        assert!(!page.contains(bad), "{bad}");
    }
    assert!(page.contains("default-src &#x27;none&#x27;") || page.contains("default-src 'none'"));
}

#[test]
fn a_page_of_nothing_still_stands() {
    let frame = frame(1);
    let report = Report::build(&[], Rings::default(), &Lags::default(), &frame);
    let history = tally(0);
    let document =
        Document { config: "c", history: &history, report: &report, comparison: None, evaluation: None };
    for language in [Language::Zh, Language::En] {
        let page = render(&document, &frame, language).expect("a page");
        assert!(page.ends_with("</html>\n"));
    }
}

#[test]
fn the_page_is_complete_and_needs_nothing_else() {
    for days in [30, 730] {
        let page =
            with_document(days, |document, frame| render(document, frame, Language::Zh).expect("a page"));
        assert!(!page.contains("://"), "no address of elsewhere");
        assert!(page.contains("达成率") && page.contains("退货审核 24 小时"));
        let again =
            with_document(days, |document, frame| render(document, frame, Language::Zh).expect("a page"));
        assert!(page == again, "the same rows give the same bytes");
    }
}

/// Writes pages to look at: `cargo test --lib write_pages -- --ignored`, then `target/pages/*.html`.
#[test]
#[ignore = "writes pages to look at"]
fn write_pages() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/target/pages");
    std::fs::create_dir_all(dir).expect("a directory");
    for (days, language, name) in
        [(60, Language::Zh, "two-months"), (730, Language::Zh, "two-years"), (60, Language::En, "english")]
    {
        let page = with_document(days, |document, frame| render(document, frame, language).expect("a page"));
        std::fs::write(format!("{dir}/{name}.html"), page).expect("a file");
    }
}
