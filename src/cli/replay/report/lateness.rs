//! How good the alarms of parcels that will be late were: in a terminal and on the page.

use minijinja::context;
use minijinja::value::Value;

use super::Frame;
use super::show::{count, day, moment, plain, share, span_or_dash};
use super::table::{Align, Grid};
use super::words::Language;
use crate::cli::replay::evaluate::figures::{AHEAD_DAYS, Evaluation, RuleFigures};

/// Which of [`AHEAD_DAYS`] the picture shows: three days, time enough to ship anew.
const DRAWN: usize = 2;
/// The picture, in its own units.
const WIDE: u64 = 1000;
const HIGH: u64 = 360;

/// The tables for a terminal.
pub fn table(evaluation: &Evaluation, frame: &Frame, language: Language) -> String {
    let word = |key| language.word(key);
    let mut out = format!("\n{}\n", word("late_title"));
    out.push_str(&format!("  {}: {}  {}\n", word("late_truth"), plain(&evaluation.truth), word("late_note")));
    out.push_str(&format!("  {}\n", scored(evaluation, frame, language)));
    out.push_str(&rules(&evaluation.rules, language));
    out.push_str(&format!("  {}\n", word("late_ahead_note")));
    out.push_str(&leads(&evaluation.rules, language));
    if let Some(first) = evaluation.rules.first() {
        let reasons =
            first.reasons.iter().map(|(reason, n)| format!("{} {}", word(reason.word()), count(*n)));
        let reasons: Vec<_> = reasons.collect();
        out.push_str(&format!("  {}: {}\n", word("late_reasons"), reasons.join(" · ")));
    }
    if !evaluation.sweep.is_empty() {
        out.push_str(&format!("\n{}\n", word("late_sweep")));
        out.push_str(&rules(&evaluation.sweep, language));
    }
    if !evaluation.calibration.is_empty() {
        out.push_str(&format!("\n{}\n  {}\n", word("late_calibration"), word("late_calibration_note")));
        out.push_str(&calibration(evaluation, language));
    }
    if !evaluation.examples.is_empty() {
        out.push_str(&format!("\n{}\n", word("late_examples")));
        for e in &evaluation.examples {
            let text = match language {
                Language::Zh => &e.zh,
                Language::En => &e.en,
            };
            let came = word(if e.was_late { "late_was_late" } else { "late_was_not" });
            out.push_str(&format!("  {} {}: {text} ({came})\n", moment(e.at, &frame.zone), plain(&e.id)));
        }
    }
    out
}

/// The figures for the page.
pub fn view(evaluation: &Evaluation, frame: &Frame, language: Language) -> Value {
    let row = |r: &RuleFigures| {
        context! { name => name(r, language), cells => cells(r) }
    };
    let heads: Vec<String> = heads(language);
    // Rules that are several times as loud stand in the table only: they would press the rest into a corner.
    let near = |r: &&RuleFigures| {
        evaluation.rules.first().is_none_or(|ours| r.alarms_per_10000 <= 2 * ours.alarms_per_10000)
    };
    let drawn = evaluation.rules.iter().chain(&evaluation.sweep).filter(near);
    let most = drawn.map(|r| r.alarms_per_10000).max().unwrap_or(0).max(10);
    // A whole number of fifties of alarms per 1,000.
    let scale = most.div_ceil(500) * 500;
    let place = |r: &RuleFigures| {
        let up = u64::from(r.ahead_permille[DRAWN].unwrap_or(0));
        (r.alarms_per_10000 * WIDE / scale, HIGH - up * HIGH / 1000)
    };
    let dot = |r: &RuleFigures| {
        let (x, y) = place(r);
        let title = format!(
            "{}: {} {}, {} {}, {} {}",
            name(r, language),
            tenths(r.alarms_per_10000),
            language.word("late_alarms"),
            language.word("late_precision"),
            share(r.precision_permille),
            ahead(DRAWN, language),
            share(r.ahead_permille[DRAWN]),
        );
        // Our own label stands to the left of the line, those of the others to the right.
        let is_ours = evaluation.rules.first() == Some(r);
        let (text_x, text_y) = if is_ours { (x.saturating_sub(12), y + 5) } else { (x + 10, y + 5) };
        context! { x, y, title, label => name(r, language), is_ours, text_x, text_y }
    };
    let x_ticks = (0..=scale / 500).map(|n| context! { x => n * 500 * WIDE / scale, label => n * 50 });
    let y_ticks = (0..=4).map(|n| context! { y => HIGH - n * HIGH / 4, label => n * 25 });
    let line: Vec<String> =
        evaluation.sweep.iter().filter(near).map(place).map(|(x, y)| format!("{x},{y}")).collect();
    context! {
        scored => scored(evaluation, frame, language),
        heads,
        rows => evaluation.rules.iter().map(row).collect::<Vec<_>>(),
        sweep => evaluation.sweep.iter().map(row).collect::<Vec<_>>(),
        line => line.join(" "),
        dots => evaluation.sweep.iter().filter(near).map(dot).collect::<Vec<_>>(),
        marks => evaluation.rules.iter().filter(near).map(dot).collect::<Vec<_>>(),
        x_ticks => x_ticks.collect::<Vec<_>>(),
        y_ticks => y_ticks.collect::<Vec<_>>(),
        calibration => evaluation.calibration.iter().map(|c| context! {
            title => language.word("late_days_before").replace("{n}", &c.days.to_string()),
            parts => c.parts.iter().map(|p| context! {
                said => share(Some(p.chance_permille)),
                came => share(Some(p.late_permille)),
                n => count(p.parcels),
                said_width => format!("{}%", p.chance_permille / 10),
                came_width => format!("{}%", p.late_permille / 10),
            }).collect::<Vec<_>>(),
        }).collect::<Vec<_>>(),
        examples => evaluation.examples.iter().map(|e| context! {
            id => plain(&e.id),
            at => moment(e.at, &frame.zone),
            text => match language { Language::Zh => &e.zh, Language::En => &e.en },
            came => language.word(if e.was_late { "late_was_late" } else { "late_was_not" }),
        }).collect::<Vec<_>>(),
    }
}

fn scored(evaluation: &Evaluation, frame: &Frame, language: Language) -> String {
    let word = |key| language.word(key);
    let from = word("late_scored").replace("{from}", &day(evaluation.from, &frame.zone));
    let mut parts = vec![
        format!("{} {from}", count(evaluation.parcels)),
        format!("{} {}", count(evaluation.late), word("late_late")),
        format!("{} {}", count(evaluation.never), word("late_never")),
        format!("{} {}", count(evaluation.late_by_day), word("late_by_day")),
    ];
    if evaluation.undecided > 0 {
        parts.push(format!("{} {}", count(evaluation.undecided), word("late_undecided")));
    }
    parts.join(" · ")
}

fn heads(language: Language) -> Vec<String> {
    let words = ["late_alarms", "late_precision", "late_recall", "late_precision_by_day"];
    let words = words.map(|key| language.word(key).to_owned());
    words.into_iter().chain((0..AHEAD_DAYS.len()).map(|n| ahead(n, language))).collect()
}

fn ahead(n: usize, language: Language) -> String {
    language.word("late_ahead").replace("{n}", &AHEAD_DAYS[n].to_string())
}

fn cells(r: &RuleFigures) -> Vec<String> {
    let shares = [r.precision_permille, r.recall_permille, r.precision_by_day_permille];
    let shares = shares.into_iter().chain(r.ahead_permille).map(share);
    std::iter::once(tenths(r.alarms_per_10000)).chain(shares).collect()
}

fn rules(rules: &[RuleFigures], language: Language) -> String {
    let heads = heads(language);
    let mut columns = vec![(language.word("late_rule"), Align::Left)];
    columns.extend(heads.iter().map(|head| (head.as_str(), Align::Right)));
    let mut grid = Grid::new(&columns);
    for r in rules {
        grid.row(std::iter::once(name(r, language)).chain(cells(r)).collect());
    }
    grid.text()
}

fn leads(rules: &[RuleFigures], language: Language) -> String {
    let columns = [
        (language.word("late_rule"), Align::Left),
        (language.word("late_lead"), Align::Right),
        (language.word("late_before_delivery"), Align::Right),
    ];
    let mut grid = Grid::new(&columns);
    let pair = |a, b| format!("{} / {}", span_or_dash(a, language), span_or_dash(b, language));
    for r in rules {
        grid.row(vec![
            name(r, language),
            pair(r.lead_p50_s, r.lead_p25_s),
            pair(r.before_delivery_p50_s, r.before_delivery_p25_s),
        ]);
    }
    grid.text()
}

fn calibration(evaluation: &Evaluation, language: Language) -> String {
    let mut grid = Grid::new(&[
        ("", Align::Left),
        (language.word("late_chance"), Align::Right),
        (language.word("late_came"), Align::Right),
        (language.word("late_parcels"), Align::Right),
    ]);
    for c in &evaluation.calibration {
        let mut title = language.word("late_days_before").replace("{n}", &c.days.to_string());
        for p in &c.parts {
            let title = std::mem::take(&mut title);
            grid.row(vec![
                title,
                share(Some(p.chance_permille)),
                share(Some(p.late_permille)),
                count(p.parcels),
            ]);
        }
    }
    grid.text()
}

fn name(r: &RuleFigures, language: Language) -> String {
    let word = language.word(r.name);
    r.level.map_or_else(|| word.to_owned(), |level| format!("{word} {level}%"))
}

/// `152.5` of 1,525 in 10,000.
fn tenths(per_10000: u64) -> String {
    format!("{}.{}", per_10000 / 10, per_10000 % 10)
}
