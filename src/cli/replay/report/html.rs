//! The report as one page that needs nothing else: no script, no font, no picture from elsewhere.
//!
//! Every place on the page is worked out here in whole numbers; `page.html` only writes it down. Texts come
//! from outside and are escaped by the template engine, and the page forbids scripts altogether.

mod pictures;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, context};

use self::pictures::{Calendar, Panel, calendar, levels, panels};
use super::compare::{Change, NamedChange};
use super::rings::NamedCount;
use super::show::{age_label, change, count, last_day, moment, plain, share, span, span_or_dash, spreads};
use super::words::Language;
use super::{ClockFigures, Detection, Document, Frame, GroupFigures, Report, Spread};

/// Days of a window from which on the page shows weeks.
const WEEKS_FROM_DAYS: usize = 120;

/// The whole page.
///
/// # Errors
/// Only a fault in the template itself.
pub fn render(
    document: &Document<'_>,
    frame: &Frame,
    language: Language,
) -> Result<String, minijinja::Error> {
    let report = document.report;
    let view = View { frame, language };
    let has_weeks = pictures::days_decided(report) > WEEKS_FROM_DAYS;
    let mut env = Environment::new();
    env.set_auto_escape_callback(|_| AutoEscape::Html);
    env.set_syntax(
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?,
    );
    env.add_template("page.html", include_str!("page.html"))?;
    env.get_template("page.html")?.render(context! {
        t => language.all(),
        lang => language.tag(),
        config => plain(document.config),
        from => super::show::day(report.from, &frame.zone),
        to => last_day(report.to, &frame.zone),
        zone => &report.zone,
        days => count(pictures::days_between(report.from, report.to, frame) as u64),
        tiles => view.tiles(report),
        clocks => report.clocks.iter().map(|c| view.clock(c)).collect::<Vec<_>>(),
        has_goal => report.clocks.iter().any(|c| c.goal_permille.is_some()),
        has_weeks,
        panels => view.panels(report, has_weeks),
        calendar => if has_weeks { view.calendar(report) } else { None },
        heat => view.heat(report),
        ages => view.ages(report),
        worst => view.worst(report),
        times => view.times(report),
        groups => view.groups(report),
        rings => view.rings(report),
        reasons => view.named(&report.rings.by_reason),
        lag => view.lag(&report.detection_lag),
        comparison => view.comparison(document),
        lateness => document.evaluation.map(|evaluation| super::lateness::view(evaluation, frame, language)),
        history => view.history(document),
    })
}

struct View<'a> {
    frame: &'a Frame,
    language: Language,
}

#[derive(Clone, Debug)]
struct Tile {
    label: &'static str,
    value: String,
    note: String,
    is_bad: bool,
}

/// Hands a record to the template, field by field.
macro_rules! shown {
    ($record:ty { $($field:ident),* }) => {
        impl From<$record> for minijinja::value::Value {
            fn from(record: $record) -> minijinja::value::Value {
                minijinja::context! { $($field => record.$field),* }
            }
        }
    };
}
use shown;

shown!(Tile { label, value, note, is_bad });

impl View<'_> {
    fn word(&self, key: &'static str) -> &'static str {
        self.language.word(key)
    }

    fn tiles(&self, report: &Report) -> Vec<Tile> {
        let total = &report.total;
        let days = pictures::days_between(report.from, report.to, self.frame).max(1) as u64;
        let tile = |label, value, note, is_bad| Tile { label, value, note, is_bad };
        vec![
            tile(
                self.word("attainment"),
                share(total.attainment_permille),
                format!("{} {}", count(total.decided), self.word("of_decided")),
                false,
            ),
            tile(
                self.word("breaches"),
                count(total.breaches()),
                self.word("breaches_note").to_owned(),
                total.breaches() > 0,
            ),
            tile(
                self.word("still_overdue"),
                count(total.overdue),
                self.word("still_overdue_note").to_owned(),
                total.overdue > 0,
            ),
            tile(self.word("at_risk"), count(total.at_risk), self.word("at_risk_note").to_owned(), false),
            tile(self.word("backlog"), count(total.backlog), self.word("backlog_note").to_owned(), false),
            tile(
                self.word("rings"),
                count(report.rings.total),
                self.word("per_day").replace("{n}", &count((report.rings.total + days / 2) / days)),
                false,
            ),
        ]
    }

    fn clock(&self, c: &ClockFigures) -> Value {
        let n = c.counts.decided.max(1);
        let part = |k: u64| width(k * 1000 / n);
        // Whatever rounding leaves goes to what was met.
        let (missed, overdue) = (c.counts.missed * 1000 / n, c.counts.overdue * 1000 / n);
        let is_below = matches!((c.counts.attainment_permille, c.goal_permille), (Some(a), Some(g)) if a < g);
        context! {
            name => plain(&c.clock),
            title => plain(c.title.as_deref().unwrap_or(&c.clock)),
            has_title => c.title.is_some(),
            share => share(c.counts.attainment_permille),
            is_below,
            is_decided => c.counts.decided > 0,
            met_width => width(1000 - missed - overdue),
            missed_width => part(c.counts.missed),
            overdue_width => part(c.counts.overdue),
            goal => c.goal_permille.map(|g| width(u64::from(g))),
            goal_share => c.goal_permille.map(|g| share(Some(g))),
            decided => count(c.counts.decided),
            met => count(c.counts.met),
            missed => count(c.counts.missed),
            overdue => count(c.counts.overdue),
            open_cycles => count(c.counts.running + c.counts.paused),
            backlog => count(c.counts.backlog),
            not_counted => count(c.counts.cancelled + c.counts.superseded + c.counts.excused + c.counts.unreachable),
        }
    }

    fn panels(&self, report: &Report, has_weeks: bool) -> Vec<Panel> {
        panels(report, self.frame, has_weeks)
    }

    fn calendar(&self, report: &Report) -> Option<Calendar> {
        calendar(report, self.frame, self.language)
    }

    fn heat(&self, report: &Report) -> Option<Value> {
        let most = report.breaches_by_hour.iter().flatten().copied().max().filter(|most| *most > 0)?;
        let rows: Vec<Value> = report
            .breaches_by_hour
            .iter()
            .zip(self.language.weekdays())
            .map(|(day, name)| {
                let cells: Vec<Value> = day
                    .iter()
                    .zip(0..)
                    .map(|(n, hour)| {
                        let title = format!("{name} {hour:02}:00–{:02}:00  {}", hour + 1, count(*n));
                        context! { level => pictures::level(*n, most), n => count(*n), is_zero => *n == 0, title }
                    })
                    .collect();
                context! { name, cells, total => count(day.iter().sum()) }
            })
            .collect();
        Some(context! { rows, hours => (0..24).collect::<Vec<u8>>(), scale => levels(most) })
    }

    fn ages(&self, report: &Report) -> Option<Vec<Value>> {
        let most = report.overdue_ages.iter().map(|b| b.wall).max().filter(|most| *most > 0)?;
        let all: u64 = report.overdue_ages.iter().map(|b| b.wall).sum();
        let bucket = |b: &super::AgeBucket| {
            context! {
                label => age_label(b.below_s, self.language),
                n => count(b.wall),
                share => share(crate::core::clock::metrics::attainment(b.wall, all)),
                height => width(b.wall * 1000 / most),
                is_some => b.wall > 0,
            }
        };
        Some(report.overdue_ages.iter().map(bucket).collect())
    }

    fn worst(&self, report: &Report) -> Option<Value> {
        if report.worst.is_empty() {
            return None;
        }
        let zone = &self.frame.zone;
        let most = report.worst.iter().map(|w| w.overdue_wall_s).max().unwrap_or(1).max(1);
        let rows: Vec<Value> = report
            .worst
            .iter()
            .map(|w| {
                context! {
                    id => plain(&w.id),
                    kind => plain(&w.kind),
                    source => plain(&w.source),
                    clock => plain(report.title_of(&w.clock)),
                    late => span(w.overdue_wall_s, self.language),
                    open => span(w.overdue_open_s, self.language),
                    bar => width((w.overdue_wall_s.max(0) * 1000 / most).unsigned_abs()),
                    due => w.due.map(|at| moment(at, zone)),
                    end => w.end.map(|at| moment(at, zone)),
                    shop => w.shop.as_deref().map(plain),
                    assignee => w.assignee.as_deref().map(plain),
                    shift => self.frame.shift_title("shift", w.shift.as_deref()).map(plain),
                }
            })
            .collect();
        Some(context! {
            rows,
            has_shop => report.worst.iter().any(|w| w.shop.is_some()),
            has_assignee => report.worst.iter().any(|w| w.assignee.is_some()),
        })
    }

    fn times(&self, report: &Report) -> Vec<Value> {
        let spread = |(label, s): (String, &Spread)| {
            let show = |secs| span_or_dash(secs, self.language);
            context! { label, n => count(s.n), p50 => show(s.p50_s), p90 => show(s.p90_s), p95 => show(s.p95_s), mean => show(s.mean_s), max => show(s.max_s) }
        };
        let clock = |c: &ClockFigures| {
            let rows: Vec<Value> = spreads(c, self.language).into_iter().map(spread).collect();
            context! { title => plain(c.title.as_deref().unwrap_or(&c.clock)), rows }
        };
        let has_times = |c: &&ClockFigures| c.finish_wall.n > 0 || c.overdue_wall.n > 0;
        report.clocks.iter().filter(has_times).map(clock).collect()
    }

    fn groups(&self, report: &Report) -> Vec<Value> {
        let group = |what: &str, g: &GroupFigures| {
            let name = self.frame.shift_title(what, g.name.as_deref());
            context! {
                name => plain(name.unwrap_or(self.word("nobody"))),
                share => share(g.decided.attainment_permille),
                width => width(u64::from(g.decided.attainment_permille.unwrap_or(0))),
                decided => count(g.decided.decided()),
                breaches => count(g.decided.breaches()),
            }
        };
        [("by_shift", "shift", &report.shifts), ("by_shop", "shop", &report.shops)]
            .into_iter()
            .filter(|(.., groups)| !groups.is_empty())
            .map(|(title, what, groups)| {
                let rows: Vec<Value> = groups.iter().map(|g| group(what, g)).collect();
                context! { title => self.word(title), what => self.word(what), rows, is_shift => what == "shift" }
            })
            .collect()
    }

    fn rings(&self, report: &Report) -> Vec<Value> {
        let most = report.rings.by_ring.iter().map(|r| r.count).max().unwrap_or(1).max(1);
        let mut clocks: Vec<(&str, Vec<Value>, u64)> = Vec::new();
        for r in &report.rings.by_ring {
            if clocks.last().is_none_or(|(name, ..)| *name != r.clock) {
                clocks.push((&r.clock, Vec::new(), 0));
            }
            if let Some((_, rows, sum)) = clocks.last_mut() {
                *sum += r.count;
                rows.push(context! { ring => plain(&r.ring), n => count(r.count), width => width(r.count * 1000 / most) });
            }
        }
        clocks
            .into_iter()
            .map(|(name, rows, sum)| context! { title => plain(report.title_of(name)), rows, total => count(sum) })
            .collect()
    }

    fn lag(&self, lag: &Detection) -> Option<Value> {
        let show = |secs| span_or_dash(secs, self.language);
        (lag.n > 0).then(|| {
            context! { n => count(lag.n), p50 => show(lag.p50_s), p99 => show(lag.p99_s), max => show(lag.max_s) }
        })
    }

    fn named(&self, list: &[NamedCount]) -> Vec<Value> {
        list.iter()
            .map(|n| context! { name => plain(n.name.as_deref().unwrap_or(self.word("nobody"))), n => count(n.count) })
            .collect()
    }

    fn comparison(&self, document: &Document<'_>) -> Option<Value> {
        let c = document.comparison?;
        let zone = &self.frame.zone;
        let title = |clock: &str| plain(document.report.title_of(clock));
        let row = |name: String, m: &super::compare::Moves| {
            let cells = [
                m.both,
                m.only_before,
                m.only_after,
                m.earlier,
                m.later,
                m.became_overdue,
                m.no_longer_overdue,
            ];
            context! { name, cells => cells.map(count) }
        };
        let mut clocks: Vec<Value> =
            c.clocks.iter().filter(|m| m.moves.is_any()).map(|m| row(title(&m.clock), &m.moves)).collect();
        let unchanged = c.clocks.len() - clocks.len();
        if clocks.len() != 1 {
            clocks.push(row(self.word("total").to_owned(), &c.total));
        }
        let largest: Vec<Value> = c
            .largest
            .iter()
            .map(|m| {
                context! {
                    id => plain(&m.id),
                    kind => plain(&m.kind),
                    clock => title(&m.clock),
                    by => span(m.moved_by_s.saturating_abs(), self.language),
                    way => self.word(if m.moved_by_s < 0 { "earlier" } else { "later" }),
                    before => moment(m.due_before, zone),
                    after => moment(m.due_after, zone),
                }
            })
            .collect();
        let mut tables = Vec::new();
        let ring_rows: Vec<(String, Change)> = c
            .by_ring
            .iter()
            .filter(|r| r.change.delta() != 0)
            .map(|r| (format!("{} · {}", title(&r.clock), plain(&r.ring)), r.change))
            .collect();
        tables.push(self.changes("ring", &ring_rows));
        for (what, list) in [("desk", &c.by_desk), ("shift", &c.by_shift), ("assignee", &c.by_assignee)] {
            let rows: Vec<(String, Change)> =
                list.iter().map(|n| (self.name_of(what, n), n.change)).collect();
            if !rows.is_empty() {
                tables.push(self.changes(what, &rows));
            }
        }
        Some(context! {
            before => plain(&c.before),
            after => plain(&c.after),
            heads => ["both", "only_before", "only_after", "earlier", "later", "became_overdue", "no_longer_overdue"].map(|k| self.word(k)),
            clocks,
            unchanged => (unchanged > 0).then(|| format!("{} {}", count(unchanged as u64), self.word("unchanged_clocks"))),
            largest,
            tables,
            rings_before => count(c.rings.before),
            rings_after => count(c.rings.after),
            rings_change => change(c.rings.delta()),
            moved => count(c.total.earlier + c.total.later),
            both => count(c.total.both),
            became => count(c.total.became_overdue),
            no_longer => count(c.total.no_longer_overdue),
        })
    }

    fn name_of(&self, what: &str, n: &NamedChange) -> String {
        plain(self.frame.shift_title(what, n.name.as_deref()).unwrap_or(self.word("nobody")))
    }

    /// Bars that grow from the middle: to the left fewer rings, to the right more.
    fn changes(&self, what: &'static str, rows: &[(String, Change)]) -> Value {
        let most = rows.iter().map(|(_, c)| c.delta().unsigned_abs()).max().unwrap_or(1).max(1);
        let rows: Vec<Value> = rows
            .iter()
            .map(|(name, c)| {
                context! {
                    name,
                    before => count(c.before),
                    after => count(c.after),
                    change => change(c.delta()),
                    is_more => c.delta() > 0,
                    width => width(c.delta().unsigned_abs() * 500 / most),
                }
            })
            .collect();
        context! { title => self.word(what), rows }
    }

    fn history(&self, document: &Document<'_>) -> Value {
        let tally = document.history;
        let files: Vec<Value> = tally
            .files
            .iter()
            .map(|f| context! { name => plain(&f.file), packing => f.packing.name(), lines => count(f.lines), good => count(f.good) })
            .collect();
        let rejects: Vec<Value> = tally
            .rejects
            .first()
            .iter()
            .map(|r| context! { file => plain(&r.file), line => r.line, reason => r.reason.as_str() })
            .collect();
        context! {
            files,
            rejects,
            events => count(tally.events),
            rejected => count(tally.rejects.total()),
            has_rejects => tally.rejects.total() > 0,
            first => tally.first_at.map(|at| moment(at, &self.frame.zone)),
            last => tally.last_at.map(|at| moment(at, &self.frame.zone)),
        }
    }
}

/// Thousandths as a CSS percentage.
fn width(thousandths: u64) -> String {
    format!("{}.{}%", thousandths / 10, thousandths % 10)
}

#[cfg(test)]
mod tests;
