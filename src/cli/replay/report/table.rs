//! The report in a terminal.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::show::{age_label, change, count, last_day, moment, plain, share, span, span_or_dash};
use super::words::Language;
use super::{Document, Frame, Report};
use crate::cli::replay::report::compare::{Comparison, NamedChange};

/// How many files of the history are named.
const FILES_SHOWN: usize = 4;

/// How many of the worst cases fit a terminal.
const WORST_IN_TABLE: usize = 10;

/// The whole report as text, with a line end at its end.
pub fn render(document: &Document<'_>, frame: &Frame, language: Language) -> String {
    let report = document.report;
    let mut page = Page { out: String::new(), frame, language };
    page.head(document);
    page.clocks(report);
    page.times(report);
    page.groups(report);
    page.rings(report);
    page.ages(report);
    page.heat(report);
    page.worst(report);
    if let Some(comparison) = document.comparison {
        page.comparison(comparison);
    }
    if let Some(evaluation) = document.evaluation {
        page.out.push_str(&super::lateness::table(evaluation, frame, language));
    }
    page.rejects(document);
    page.out
}

struct Page<'a> {
    out: String,
    frame: &'a Frame,
    language: Language,
}

impl Page<'_> {
    fn word(&self, key: &'static str) -> &'static str {
        self.language.word(key)
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    fn heading(&mut self, key: &'static str) {
        let text = format!("\n{}", self.word(key));
        self.line(&text);
    }

    fn span(&self, secs: Option<i64>) -> String {
        span_or_dash(secs, self.language)
    }

    fn head(&mut self, document: &Document<'_>) {
        let (report, tally) = (document.report, document.history);
        let zone = &self.frame.zone;
        let title = format!(
            "{}  {} … {}  {}",
            self.word("title"),
            super::show::day(report.from, zone),
            last_day(report.to, zone),
            report.zone
        );
        self.line(&title);
        let told = format!("{}: {}", self.word("config"), plain(document.config));
        self.line(&told);
        let mut files: Vec<_> = tally.files.iter().take(FILES_SHOWN).map(|f| plain(&f.file)).collect();
        if tally.files.len() > FILES_SHOWN {
            files.push(format!("… ({})", count(tally.files.len() as u64)));
        }
        let told = format!(
            "{}: {} ({} {}, {} {})",
            self.word("history"),
            files.join(", "),
            count(tally.events),
            self.word("events"),
            count(tally.rejects.total()),
            self.word("rejected"),
        );
        self.line(&told);
        let total = &report.total;
        let told = format!(
            "{} {}   {} {}   {} {}   {} {}   {} {}",
            self.word("attainment"),
            share(total.attainment_permille),
            self.word("decided"),
            count(total.decided),
            self.word("breaches"),
            count(total.breaches()),
            self.word("still_overdue"),
            count(total.overdue),
            self.word("rings"),
            count(report.rings.total),
        );
        self.line(&told);
    }

    fn clocks(&mut self, report: &Report) {
        self.heading("by_clock");
        let has_goal = report.clocks.iter().any(|c| c.goal_permille.is_some());
        let mut columns = vec![(self.word("clock"), Align::Left), (self.word("attainment"), Align::Right)];
        columns.extend(has_goal.then_some((self.word("goal"), Align::Right)));
        columns.extend(
            ["cycles", "met", "missed", "overdue", "backlog", "at_risk", "not_counted"]
                .map(|key| (self.word(key), Align::Right)),
        );
        let mut grid = Grid::new(&columns);
        let row = |title: &str, goal: Option<u16>, c: &super::Counts| {
            let mut row = vec![plain(title), share(c.attainment_permille)];
            row.extend(has_goal.then(|| goal.map_or_else(String::new, |g| share(Some(g)))));
            row.extend(
                [
                    c.cycles,
                    c.met,
                    c.missed,
                    c.overdue,
                    c.backlog,
                    c.at_risk,
                    c.cancelled + c.superseded + c.excused + c.unreachable,
                ]
                .map(count),
            );
            row
        };
        let is_quiet = |c: &&super::ClockFigures| c.counts.cycles == 0 && c.counts.backlog == 0;
        let quiet = report.clocks.iter().filter(is_quiet).count();
        for c in report.clocks.iter().filter(|c| !is_quiet(c)) {
            // A title that two clocks share would not tell them apart.
            let title = report.title_of(&c.clock);
            let is_shared =
                report.clocks.iter().any(|d| d.clock != c.clock && report.title_of(&d.clock) == title);
            grid.row(row(if is_shared { &c.clock } else { title }, c.goal_permille, &c.counts));
        }
        if report.clocks.len() - quiet > 1 {
            grid.row(row(self.word("total"), None, &report.total));
        }
        if report.clocks.len() > quiet {
            self.out.push_str(&grid.text());
        }
        if quiet > 0 {
            let told = format!("  {} {}", count(quiet as u64), self.word("quiet_clocks"));
            self.line(&told);
        }
    }

    fn times(&mut self, report: &Report) {
        if report.clocks.iter().all(|c| c.finish_wall.n == 0 && c.overdue_wall.n == 0) {
            return;
        }
        self.heading("times");
        let mut grid = Grid::new(&[
            (self.word("clock"), Align::Left),
            ("n", Align::Right),
            ("p50", Align::Right),
            ("p90", Align::Right),
            ("p95", Align::Right),
            (self.word("mean"), Align::Right),
            (self.word("max"), Align::Right),
        ]);
        for c in report.clocks.iter().filter(|c| c.finish_wall.n > 0 || c.overdue_wall.n > 0) {
            let title = c.title.as_deref().map(|t| format!("  {}", plain(t))).unwrap_or_default();
            grid.heading(format!("{}{title}", plain(&c.clock)));
            for (what, s) in super::show::spreads(c, self.language) {
                grid.row(vec![
                    format!("  {what}"),
                    count(s.n),
                    self.span(s.p50_s),
                    self.span(s.p90_s),
                    self.span(s.p95_s),
                    self.span(s.mean_s),
                    self.span(s.max_s),
                ]);
            }
        }
        self.out.push_str(&grid.text());
    }

    fn groups(&mut self, report: &Report) {
        for (heading, name, groups) in
            [("by_shift", "shift", &report.shifts), ("by_shop", "shop", &report.shops)]
        {
            if groups.is_empty() {
                continue;
            }
            self.heading(heading);
            let mut grid = Grid::new(&[
                (self.word(name), Align::Left),
                (self.word("attainment"), Align::Right),
                (self.word("decided"), Align::Right),
                (self.word("breaches"), Align::Right),
            ]);
            for group in groups {
                grid.row(vec![
                    self.frame
                        .shift_title(name, group.name.as_deref())
                        .map_or_else(|| self.word("nobody").to_owned(), plain),
                    share(group.decided.attainment_permille),
                    count(group.decided.decided()),
                    count(group.decided.breaches()),
                ]);
            }
            self.out.push_str(&grid.text());
        }
    }

    fn rings(&mut self, report: &Report) {
        self.heading("rings_by_clock");
        if report.rings.total == 0 {
            self.line(self.word("no_rings"));
            return self.detection(report);
        }
        let mut grid = Grid::new(&[
            (self.word("clock"), Align::Left),
            (self.word("ring"), Align::Left),
            (self.word("count"), Align::Right),
        ]);
        let mut last = "";
        for r in &report.rings.by_ring {
            let name = if last == r.clock { String::new() } else { plain(&r.clock) };
            grid.row(vec![name, plain(&r.ring), count(r.count)]);
            last = &r.clock;
        }
        self.out.push_str(&grid.text());
        self.detection(report);
    }

    fn detection(&mut self, report: &Report) {
        let lag = &report.detection_lag;
        if lag.n == 0 {
            return;
        }
        let told = format!(
            "  {}: n {}  p50 {}  p99 {}  {} {}",
            self.word("detection_lag"),
            count(lag.n),
            self.span(lag.p50_s),
            self.span(lag.p99_s),
            self.word("max"),
            self.span(lag.max_s),
        );
        self.line(&told);
    }

    fn ages(&mut self, report: &Report) {
        if report.total.breaches() == 0 {
            return;
        }
        self.heading("ages");
        let most = report.overdue_ages.iter().map(|b| b.wall).max().unwrap_or(0).max(1);
        let mut grid = Grid::new(&[("", Align::Right), ("", Align::Right), ("", Align::Left)]);
        for bucket in &report.overdue_ages {
            grid.row(vec![
                age_label(bucket.below_s, self.language),
                count(bucket.wall),
                bar(bucket.wall, most, 40),
            ]);
        }
        self.out.push_str(&grid.text());
    }

    fn heat(&mut self, report: &Report) {
        let most = report.breaches_by_hour.iter().flatten().copied().max().unwrap_or(0);
        if most == 0 {
            return;
        }
        self.heading("by_hour");
        let hours: String = (0..24).step_by(3).map(|h| format!("{h:<6}")).collect();
        self.line(&format!("      {hours}"));
        for (day, name) in report.breaches_by_hour.iter().zip(self.language.weekdays()) {
            let cells: String = day
                .iter()
                .map(|n| match (n * 4).div_ceil(most) {
                    0 => " ·",
                    1 => "░░",
                    2 => "▒▒",
                    3 => "▓▓",
                    _ => "██",
                })
                .collect();
            let sum = count(day.iter().sum());
            self.line(&format!("{}  {cells}  {sum:>7}", pad(name, 4, Align::Left)));
        }
        let mut scale = "      · 0".to_owned();
        for (k, glyph) in (1u64..).zip(["░", "▒", "▓", "█"]) {
            let (low, high) = ((k - 1) * most / 4 + 1, k * most / 4);
            match low.cmp(&high) {
                std::cmp::Ordering::Less => {
                    scale.push_str(&format!("  {glyph} {}–{}", count(low), count(high)))
                }
                std::cmp::Ordering::Equal => scale.push_str(&format!("  {glyph} {}", count(low))),
                std::cmp::Ordering::Greater => {}
            }
        }
        self.line(&scale);
    }

    fn worst(&mut self, report: &Report) {
        if report.worst.is_empty() {
            return;
        }
        self.heading("worst");
        let has =
            |get: fn(&super::WorstCase) -> &Option<String>| report.worst.iter().any(|w| get(w).is_some());
        let sources = report.worst.iter().any(|w| {
            w.source != report.worst[0].source
                && report.worst.iter().any(|v| (&v.kind, &v.id) == (&w.kind, &w.id) && v.source != w.source)
        });
        let (shops, people) = (has(|w| &w.shop), has(|w| &w.assignee));
        let mut columns = vec![
            (self.word("overdue_by"), Align::Right),
            (self.word("clock"), Align::Left),
            (self.word("case"), Align::Left),
            (self.word("due"), Align::Left),
            (self.word("end"), Align::Left),
        ];
        columns.extend(shops.then_some((self.word("shop"), Align::Left)));
        columns.extend(people.then_some((self.word("assignee"), Align::Left)));
        let mut grid = Grid::new(&columns);
        for w in report.worst.iter().take(WORST_IN_TABLE) {
            let zone = &self.frame.zone;
            let mut row = vec![
                span(w.overdue_wall_s, self.language),
                plain(&w.clock),
                plain(&case_name(&w.source, &w.kind, &w.id, sources)),
                w.due.map(|at| moment(at, zone)).unwrap_or_default(),
                w.end.map_or_else(|| self.word("not_ended").to_owned(), |at| moment(at, zone)),
            ];
            row.extend(shops.then(|| plain(w.shop.as_deref().unwrap_or(""))));
            row.extend(people.then(|| plain(w.assignee.as_deref().unwrap_or(""))));
            grid.row(row);
        }
        self.out.push_str(&grid.text());
    }

    fn comparison(&mut self, comparison: &Comparison) {
        self.heading("comparison");
        for (word, side) in [("before", &comparison.before), ("after", &comparison.after)] {
            let told = format!("{}: {}", self.word(word), plain(side));
            self.line(&told);
        }
        let mut grid = Grid::new(&[
            (self.word("clock"), Align::Left),
            (self.word("both"), Align::Right),
            (self.word("only_before"), Align::Right),
            (self.word("only_after"), Align::Right),
            (self.word("earlier"), Align::Right),
            (self.word("later"), Align::Right),
            (self.word("became_overdue"), Align::Right),
            (self.word("no_longer_overdue"), Align::Right),
        ]);
        let moved = comparison.clocks.iter().filter(|c| c.moves.is_any());
        let all = [(self.word("total"), &comparison.total)];
        for (name, m) in moved.clone().map(|c| (c.clock.as_str(), &c.moves)).chain(all) {
            grid.row(vec![
                plain(name),
                count(m.both),
                count(m.only_before),
                count(m.only_after),
                count(m.earlier),
                count(m.later),
                count(m.became_overdue),
                count(m.no_longer_overdue),
            ]);
        }
        self.out.push_str(&grid.text());
        self.unchanged(comparison.clocks.len() - moved.count(), "unchanged_clocks");
        if !comparison.largest.is_empty() {
            self.heading("largest");
            let mut grid = Grid::new(&[
                (self.word("moved_by"), Align::Right),
                (self.word("clock"), Align::Left),
                (self.word("case"), Align::Left),
                (self.word("due_before"), Align::Left),
                (self.word("due_after"), Align::Left),
            ]);
            for m in &comparison.largest {
                grid.row(vec![
                    format!(
                        "{}{}",
                        if m.moved_by_s > 0 { "+" } else { "" },
                        span(m.moved_by_s, self.language)
                    ),
                    plain(&m.clock),
                    plain(&format!("{}/{}", m.kind, m.id)),
                    moment(m.due_before, &self.frame.zone),
                    moment(m.due_after, &self.frame.zone),
                ]);
            }
            self.out.push_str(&grid.text());
        }
        self.heading("who_rings");
        let mut grid = Grid::new(&[
            ("", Align::Left),
            ("", Align::Left),
            (self.word("before"), Align::Right),
            (self.word("after"), Align::Right),
            (self.word("change"), Align::Right),
        ]);
        let mut unchanged = 0;
        let mut row = |what: &str, name: &str, c: super::compare::Change| {
            grid.row(vec![plain(what), plain(name), count(c.before), count(c.after), change(c.delta())]);
        };
        row(self.word("total"), "", comparison.rings);
        for r in &comparison.by_ring {
            if r.change.delta() == 0 {
                unchanged += 1;
            } else {
                row(&r.clock, &r.ring, r.change);
            }
        }
        let groups: [(&'static str, &[NamedChange]); 3] = [
            ("desk", &comparison.by_desk),
            ("shift", &comparison.by_shift),
            ("assignee", &comparison.by_assignee),
        ];
        for (what, list) in groups {
            for n in list {
                let name = self.frame.shift_title(what, n.name.as_deref());
                row(self.word(what), name.unwrap_or(self.word("nobody")), n.change);
            }
        }
        self.out.push_str(&grid.text());
        self.unchanged(unchanged, "unchanged_rings");
    }

    /// Says how many rows were left out because nothing changes in them.
    fn unchanged(&mut self, n: usize, key: &'static str) {
        if n > 0 {
            let told = format!("  {} {}", count(n as u64), self.word(key));
            self.line(&told);
        }
    }

    fn rejects(&mut self, document: &Document<'_>) {
        let rejects = &document.history.rejects;
        if rejects.total() == 0 {
            return;
        }
        let heading = format!("\n{} ({})", self.word("rejects"), count(rejects.total()));
        self.line(&heading);
        for reject in rejects.first() {
            self.line(&format!("  {}:{}  {}", plain(&reject.file), reject.line, reject.reason));
        }
    }
}

/// A bar of `width` columns at most; never empty when there is something.
fn bar(n: u64, most: u64, width: u64) -> String {
    "█".repeat((n * width).div_ceil(most) as usize)
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// How wide a table may be; one that is wider loses the ends of its longest texts.
const WIDEST: usize = 100;

/// No text is cut to less than this.
const NARROWEST: usize = 10;

/// Columns as wide as their widest text, where a Chinese character takes two places.
pub(super) struct Grid {
    columns: Vec<(String, Align)>,
    rows: Vec<Row>,
}

enum Row {
    Cells(Vec<String>),
    /// One text over all columns.
    Heading(String),
}

impl Grid {
    pub fn new(columns: &[(&str, Align)]) -> Grid {
        Grid { columns: columns.iter().map(|(t, a)| ((*t).to_owned(), *a)).collect(), rows: Vec::new() }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(Row::Cells(cells));
    }

    fn heading(&mut self, text: String) {
        self.rows.push(Row::Heading(text));
    }

    fn cells(&self) -> impl Iterator<Item = &Vec<String>> {
        self.rows.iter().filter_map(|row| match row {
            Row::Cells(cells) => Some(cells),
            Row::Heading(_) => None,
        })
    }

    /// The widths of the columns; the widest texts give way until a row fits.
    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(i, (title, _))| {
                self.cells().map(|row| row[i].width()).max().unwrap_or(0).max(title.width())
            })
            .collect();
        loop {
            let over = widths.iter().map(|w| w + 2).sum::<usize>().saturating_sub(WIDEST);
            let texts = self.columns.iter().zip(&mut widths).filter(|((_, align), _)| *align == Align::Left);
            match texts.map(|(_, width)| width).max() {
                Some(width) if over > 0 && *width > NARROWEST => *width -= 1,
                _ => return widths,
            }
        }
    }

    pub fn text(&self) -> String {
        let widths = self.widths();
        let mut out = String::new();
        let line = |out: &mut String, cells: &mut dyn Iterator<Item = &str>| {
            let mut text = String::new();
            for ((cell, width), (_, align)) in cells.zip(&widths).zip(&self.columns) {
                text.push_str("  ");
                text.push_str(&pad(&fit(cell, *width), *width, *align));
            }
            out.push_str(text.trim_end());
            out.push('\n');
        };
        if self.columns.iter().any(|(title, _)| !title.is_empty()) {
            line(&mut out, &mut self.columns.iter().map(|(title, _)| title.as_str()));
        }
        for row in &self.rows {
            match row {
                Row::Cells(cells) => line(&mut out, &mut cells.iter().map(String::as_str)),
                Row::Heading(text) => out.push_str(&format!("  {}\n", fit(text, WIDEST - 2))),
            }
        }
        out
    }
}

/// A text of at most `width` columns; one that is cut ends in `…`.
fn fit(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let mut used = 1;
    let kept = text.chars().take_while(|c| {
        used += c.width().unwrap_or(0);
        used <= width
    });
    Cow::Owned(kept.chain(std::iter::once('…')).collect())
}

fn pad(text: &str, width: usize, align: Align) -> String {
    let room = " ".repeat(width.saturating_sub(text.width()));
    match align {
        Align::Left => format!("{text}{room}"),
        Align::Right => format!("{room}{text}"),
    }
}

/// As `explain` takes it: the source only where kind and id do not tell a case.
fn case_name(source: &str, kind: &str, id: &str, sources: bool) -> String {
    if sources { format!("{source}/{kind}/{id}") } else { format!("{kind}/{id}") }
}
