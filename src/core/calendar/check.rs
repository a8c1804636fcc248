//! What only shows when a calendar is read against the present day (`sla_semantics` §2.5).

use crate::core::calendar::civil::{date_of, day_number, local};
use crate::core::calendar::{Calendar, DayKind};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};

/// How far ahead a calendar is looked at.
const AHEAD: Span = Span::from_millis(400 * 86_400_000);
/// A closed stretch of this length is worth a question.
const LONG_CLOSED: Span = Span::from_millis(14 * 86_400_000);
/// The days' notice given before a holiday set runs out.
const NOTICE_DAYS: i32 = 60;

impl Calendar {
    /// Notes what §2.5 refuses or warns of when seen from `now`: no open time ahead; a long closed
    /// stretch; a holiday set about to end; a make-up day without hours.
    pub fn check(&self, now: Instant, problems: &mut Problems) {
        self.check_open_time(now, problems);
        let today = day_number(local(self.zone(), now).date());
        for (i, (name, _, last)) in self.rules.sets.iter().enumerate() {
            if last - today < NOTICE_DAYS {
                problems.within("holidays", |problems| {
                    problems.within(i, |problems| {
                        problems.warn(format!(
                            "the holiday set `{name}` ends on {}; after it the weekly hours apply, so add the \
                             next year's days off and make-up days",
                            date_of(*last)
                        ));
                    });
                });
            }
        }
        let idle = self.rules.special.range(today..).find_map(|(day, special)| match &special.kind {
            DayKind::MakeUp { name } if special.hours.is_empty() => Some((*day, name)),
            _ => None,
        });
        if let Some((day, name)) = idle {
            problems.within("makeup_hours", |problems| {
                problems.warn(format!(
                    "the make-up workday {} ({name}) has no hours; give `makeup_hours` a weekday that has \
                     some, or a list of intervals",
                    date_of(day)
                ));
            });
        }
    }

    fn check_open_time(&self, now: Instant, problems: &mut Problems) {
        let end = now + AHEAD;
        let mut closed_from = now;
        let mut longest: Option<(Instant, Instant)> = None;
        let mut any = false;
        for (from, to) in self.open_between(now, end).chain([(end, end)]) {
            any |= from < to;
            let longer = longest.is_none_or(|(a, b)| from.since(closed_from) > b.since(a));
            if from.since(closed_from) >= LONG_CLOSED && longer {
                longest = Some((closed_from, from));
            }
            closed_from = to;
        }
        if !any {
            problems.error("no open time in the next 400 days; give `weekly` some hours");
        } else if let Some((from, to)) = longest {
            let date = |t| local(self.zone(), t).date();
            problems.warn(format!(
                "closed without a break from {} to {}: promises that start then wait that long",
                date(from),
                date(to)
            ));
        }
    }
}
