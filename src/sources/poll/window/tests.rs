//! The walks against a platform whose rows move while they are read: `platforms` 10.2 as a test.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const START: Instant = Instant::from_secs(1_767_600_000);

fn rules(walk: Walk) -> Rules {
    Rules {
        lag: Span::from_minutes(3),
        overlap: Span::from_minutes(5),
        longest: Span::from_minutes(30),
        history: Span::DAY.times(90),
        page_size: 100,
        first_page: 1,
        walk,
    }
}

fn at(s: i64) -> Instant {
    START + Span::from_secs(s)
}

/// A list that pages as badly as the real ones.
struct List {
    /// When each row was changed last.
    rows: BTreeMap<u32, Instant>,
    descending: bool,
}

impl List {
    fn page(&self, ask: Ask, first_page: u32) -> (Vec<u32>, Facts) {
        let mut found: Vec<(Instant, u32)> = self
            .rows
            .iter()
            .filter(|(_, at)| ask.from <= **at && **at <= ask.to)
            .map(|(id, at)| (*at, *id))
            .collect();
        found.sort_unstable();
        if self.descending {
            found.reverse();
        }
        let total = found.len() as u64;
        let skip = ((ask.page - first_page) * ask.size) as usize;
        let rows: Vec<_> = found.into_iter().skip(skip).take(ask.size as usize).collect();
        let last = rows.last().map(|(at, _)| *at);
        let facts = Facts { rows: rows.len() as u64, total: ask.count.then_some(total), last, more: None };
        (rows.into_iter().map(|(_, id)| id).collect(), facts)
    }
}

/// Reads one window while `moved` rows change between two pages. Answers what was never seen although it did not
/// change, and how many requests it took.
fn lost(walk: Walk, descending: bool, count: u32, spread: i64, moved: u32, seed: u64) -> (Vec<u32>, u32) {
    let rules = rules(walk);
    let mut dice = seed;
    let mut roll = move |n: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % n
    };
    let window = 20 * 60;
    let rows = (0..count).map(|id| (id, at(window - 1 - roll(spread as u64) as i64))).collect();
    let mut list = List { rows, descending };
    let mut cursor = Cursor::new(at(0) + rules.overlap);
    assert_eq!(cursor.open(&rules, at(window) + rules.lag), None);
    let (mut seen, mut touched, mut requests) = (BTreeSet::new(), BTreeSet::new(), 0);
    while let Some(ask) = cursor.ask(&rules) {
        let (ids, facts) = list.page(ask, rules.first_page);
        seen.extend(ids);
        requests += 1;
        assert!(requests < 1000, "it comes to an end");
        cursor = cursor.took(&rules, facts).unwrap();
        for _ in 0..moved {
            let id = roll(u64::from(count)) as u32;
            list.rows.insert(id, at(window + 300 + i64::from(requests)));
            touched.insert(id);
        }
    }
    assert_eq!(cursor.through(), at(window));
    ((0..count).filter(|id| !seen.contains(id) && !touched.contains(id)).collect(), requests)
}

/// 450 rows, 100 a page, 8 of them changed between two pages, 200 times each.
#[test]
fn the_walks_lose_nothing() {
    for seed in 0..200 {
        for (walk, descending) in
            [(Walk::LastToFirst, true), (Walk::LastToFirst, false), (Walk::Keyset, false)]
        {
            let (lost, requests) = lost(walk, descending, 450, 900, 8, seed);
            assert_eq!(lost, [0; 0], "{walk:?} descending {descending} seed {seed}");
            assert!(requests <= 6, "{requests}");
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_whatever_moves(
        (walk, descending) in prop::sample::select(vec![
            (Walk::LastToFirst, true), (Walk::LastToFirst, false), (Walk::Keyset, false),
        ]),
        count in 1u32..700,
        spread in 1i64..1190,
        moved in 0u32..40,
        seed: u64,
    ) {
        // Rows of one instant move from page to page under any walk by times; what is left of that, the overlap brings.
        let moved = if walk == Walk::Keyset && spread < 400 { 0 } else { moved };
        prop_assert_eq!(lost(walk, descending, count, spread, moved, seed).0, [0; 0]);
    }
}

/// Walks a quiet list to its end and answers the requests: (from, to, page, count) in seconds after the start.
fn walked(cursor: &mut Cursor, rules: &Rules, list: &List) -> Vec<(i64, i64, u32, bool)> {
    let secs = |at: Instant| at.as_secs() - START.as_secs();
    let mut asked = Vec::new();
    while let Some(ask) = cursor.ask(rules) {
        asked.push((secs(ask.from), secs(ask.to), ask.page, ask.count));
        *cursor = cursor.took(rules, list.page(ask, rules.first_page).1).unwrap();
    }
    asked
}

/// What is seen of a list with a change a second in two hours: what was missed, how long the latest waited since a window
/// might have shown it, how many requests that took, and how many windows overlapped in full.
struct Seen {
    missed: Vec<u32>,
    longest: Span,
    requests: u64,
    wide: u32,
}

/// One change in fifty is shown so many seconds late.
fn two_hours(walk: Walk, late: i64, mut cursor: Cursor) -> (Seen, Cursor) {
    let rules = rules(walk);
    let mut list = List { rows: BTreeMap::new(), descending: walk == Walk::LastToFirst };
    let mut kept: BTreeMap<u32, Instant> = BTreeMap::new();
    let mut seen = Seen { missed: Vec::new(), longest: Span::ZERO, requests: 0, wide: 0 };
    for minute in 10..130_i64 {
        let now = minute * 60;
        for s in (minute - 1) * 60..now {
            list.rows.extend((s % 50 != 0).then(|| (s as u32, at(s))));
            list.rows.extend(((s - late) % 50 == 0).then(|| ((s - late) as u32, at(s - late))));
        }
        cursor.open(&rules, at(now));
        let mut first = None;
        while let Some(ask) = cursor.ask(&rules) {
            first.get_or_insert(ask.from);
            let (ids, facts) = list.page(ask, rules.first_page);
            let is_late = |id: &&u32| !kept.contains_key(*id) && at(i64::from(**id)) < cursor.through();
            if let Some(oldest) = ids.iter().filter(is_late).min().filter(|id| **id >= 540) {
                cursor.shown_late(at(i64::from(*oldest)));
            }
            for id in ids {
                kept.entry(id).or_insert(at(now));
            }
            cursor = cursor.took(&rules, facts).unwrap();
            seen.requests += 1;
        }
        seen.wide += u32::from(at(now - 180).since(first.unwrap()) > Span::from_minutes(5));
    }
    for id in (540..6600).filter(|id| list.rows.contains_key(id)) {
        let shown = at(i64::from(id) + if id % 50 == 0 { late.max(180) } else { 180 });
        match kept.get(&id) {
            Some(kept) => seen.longest = seen.longest.max(kept.since(shown)),
            None => seen.missed.push(id),
        }
    }
    (seen, cursor)
}

/// A list with more rows than a page is read from where the last window ended; what was shown late is found in the window
/// that overlaps in full, which comes after two overlaps. Once it has shown rows late, it is read again every time by as
/// much as they were late, and nothing waits longer than a round.
#[test]
fn a_busy_list_is_read_again_as_far_back_as_it_shows_rows_late() {
    for walk in [Walk::LastToFirst, Walk::Keyset] {
        // Nothing is known of how late it is: the first two hours show that it is punctual.
        let (fresh, cursor) = two_hours(walk, 0, Cursor::new(at(0)));
        assert!(fresh.missed.is_empty() && fresh.wide > 20, "{walk:?}: {} wide", fresh.wide);
        let punctual = Cursor { late: None, ..Cursor::new(at(0)) };
        for (late, cursor) in [(0, punctual.clone()), (170, punctual.clone())] {
            let (seen, cursor) = two_hours(walk, late, cursor);
            assert_eq!(
                (seen.missed, cursor.late),
                (vec![], None),
                "{walk:?}: what is late within the lag, is not"
            );
            assert!((11..=17).contains(&seen.wide), "{walk:?}: {} in two hours", seen.wide);
            // 120 windows, 72 pages of changes.
            assert!(seen.requests * 10 <= 13 * (120 + 72), "{walk:?}: {} requests", seen.requests);
        }
        let (seen, late) = two_hours(walk, 300, punctual);
        assert_eq!(seen.missed, [0; 0], "{walk:?}");
        assert!(late.late.is_some_and(|late| late.most() <= Span::from_minutes(3)), "{late:?}");
        let (again, _) = two_hours(
            walk,
            300,
            Cursor {
                late: late.late.map(|late| Late { by: late.most(), since: at(0), seen: at(0), ..late }),
                ..Cursor::new(at(0))
            },
        );
        assert!(
            again.missed.is_empty() && again.longest <= Span::from_minutes(1),
            "{walk:?}: {}",
            again.longest
        );
        // Each round it reads four minutes and more of 60 changes: three pages, and one to begin.
        assert!(again.requests <= 120 * 5, "{walk:?}: {} requests", again.requests);
        // It is kept with the cursor, and an older one can still be read.
        let text = serde_json::to_string(&cursor).unwrap();
        assert_eq!(serde_json::from_str::<Cursor>(&text).unwrap(), cursor);
        let old: Cursor = serde_json::from_str(r#"{"through":"2026-01-05T08:00:00Z"}"#).unwrap();
        assert_eq!(old, Cursor { late: None, ..Cursor::new(at(0)) });
    }
}

/// Where the last page is known by how many rows came lately, no page is read twice; a wrong guess takes no more than none.
#[test]
fn the_last_page_is_guessed_and_a_wrong_guess_costs_nothing() {
    let rules = rules(Walk::LastToFirst);
    let list = |count: u32| List {
        rows: (0..count).map(|id| (id, at(1000 + i64::from(id) * 60 / i64::from(count)))).collect(),
        descending: true,
    };
    let known = |rows: u64| {
        let wide = Some(Wide { to: at(1000), busy: true });
        let rate = Some(Rate { rows, over: Span::from_secs(65) });
        Cursor { wide, rate, late: None, ..Cursor::new(at(1000)) }
    };
    // The rows of a window of 65 seconds, how many there were lately, and the pages that are asked for.
    for (count, lately, want) in [
        (250, 250, vec![3, 2, 1]),
        (250, 150, vec![2, 3, 2, 1]),
        (250, 350, vec![4, 3, 2, 1]),
        (90, 250, vec![3, 1]),
        (0, 250, vec![3]),
        (250, 90, vec![1, 3, 2, 1]),
    ] {
        let (mut cursor, list) = (known(lately), list(count));
        cursor.open(&Rules { overlap: NARROW, ..rules }, at(1240));
        let asked = walked(&mut cursor, &rules, &list);
        let pages: Vec<u32> = asked.iter().map(|ask| ask.2).collect();
        assert_eq!(
            (pages, cursor.rate.map(|rate| rate.rows)),
            (want, Some(u64::from(count))),
            "{count} after {lately}"
        );
        assert!(asked.iter().all(|ask| (ask.0, ask.1) == (995, 1060)), "{asked:?}");
    }
    // After a failure it counts first: who knows what a platform makes of a page beyond the last.
    let mut cursor = known(350);
    cursor.open(&Rules { overlap: NARROW, ..rules }, at(1240));
    cursor.count();
    let pages: Vec<u32> = walked(&mut cursor, &rules, &list(250)).iter().map(|ask| ask.2).collect();
    assert_eq!(pages, [1, 3, 2, 1]);
}

/// What nobody expects to be that late is read after what is, and does not make it wait.
#[test]
fn the_rest_of_the_overlap_follows_what_is_expected_late() {
    let (rules, minute) = (rules(Walk::LastToFirst), Span::from_minutes(1));
    let list = List { rows: (0..1500).map(|s| (s as u32, at(s))).collect(), descending: true };
    let known = Cursor {
        wide: Some(Wide { to: at(300), busy: true }),
        rate: Some(Rate { rows: 60, over: minute }),
        late: Some(Late {
            by: minute,
            since: at(0),
            before: Span::ZERO,
            count: 9,
            seen: at(1100),
            swept: at(1200),
        }),
        ..Cursor::new(at(1200))
    };
    let mut cursor = known.clone();
    cursor.open(&rules, at(1440));
    let asked = walked(&mut cursor, &rules, &list);
    assert_eq!(asked[..2], [(1080, 1260, 2, true), (1080, 1260, 1, true)]);
    assert!(asked.len() == 2 + 11 && asked[2..].iter().all(|ask| (ask.0, ask.1) == (0, 1080)), "{asked:?}");
    assert_eq!((cursor.through(), cursor.wide), (at(1260), Some(Wide { to: at(1260), busy: true })));
    // A row of the rest was as late as it is older than what had been read before this round.
    let mut cursor = known.clone();
    cursor.open(&rules, at(1440));
    while let Some(ask) = cursor.ask(&rules).filter(|ask| ask.to > at(1200)) {
        cursor = cursor.took(&rules, list.page(ask, 1).1).unwrap();
    }
    assert_eq!(serde_json::from_str::<Cursor>(&serde_json::to_string(&cursor).unwrap()).unwrap(), cursor);
    cursor.shown_late(at(1020));
    let (by, now) = (minute.times(3), at(1260));
    assert_eq!(
        cursor.late,
        Some(Late { by, since: at(0), before: Span::ZERO, count: 10, seen: now, swept: at(1200) })
    );
    // The more are late, the less later than the latest another one can be.
    let late = cursor.late.unwrap();
    for (count, more) in [(0, 60_000), (9, 60_000), (36, 30_000), (100, 18_000)] {
        assert_eq!(Late { count, ..late }.reach(), by + Span::from_millis(more), "{count}");
    }
    // It is remembered for a watch or two.
    assert_eq!(late.shown(minute, at(11_000), true).most(), by);
    assert_eq!(late.shown(minute, at(11_000), true).shown(minute, at(22_000), true).most(), minute);
    assert_eq!(late.shown(minute, at(21_600), true).most(), minute);
    // Where there are too few requests all of it is one window.
    let mut cursor = known;
    cursor.open_sparingly(&rules, at(1440));
    assert!(walked(&mut cursor, &rules, &list).iter().all(|ask| (ask.0, ask.1) == (0, 1260)));
}

#[test]
fn windows_are_closed_in_the_past_overlap_and_have_an_end() {
    let rules = rules(Walk::LastToFirst);
    let empty = List { rows: BTreeMap::new(), descending: true };
    let mut cursor = Cursor::new(at(0));
    // Nothing to read before the lag is over.
    assert_eq!((cursor.open(&rules, at(180)), cursor.is_walking()), (None, false));
    for (now, want) in [
        (240, (-300, 60, 1, true)),
        (300, (-240, 120, 1, true)),
        // After two hours: half an hour at once.
        (7500, (-180, 1620, 1, true)),
        (7500, (1320, 3120, 1, true)),
        (7500, (2820, 4620, 1, true)),
    ] {
        cursor.open(&rules, at(now));
        assert_eq!(walked(&mut cursor, &rules, &empty), [want], "one request for an empty window");
    }
}

#[test]
fn what_is_too_old_to_be_read_is_said() {
    let rules = Rules { history: Span::DAY, ..rules(Walk::LastToFirst) };
    let mut cursor = Cursor::new(at(0));
    let now = at(3 * 86_400);
    let gone = cursor.open(&rules, now);
    assert_eq!(gone, Some(Span::DAY.times(2) + SHORTEST));
    let ask = cursor.ask(&rules).unwrap();
    assert!(ask.from >= now - rules.history && ask.from < ask.to);
}

#[test]
fn an_overlap_as_long_as_a_window_does_not_stand_still() {
    let rules = Rules { longest: Span::from_minutes(5), ..rules(Walk::LastToFirst) };
    let mut cursor = Cursor::new(at(0));
    for round in 1..=4 {
        cursor.open(&rules, at(7200));
        walked(&mut cursor, &rules, &List { rows: BTreeMap::new(), descending: true });
        assert_eq!(cursor.through(), at(round * 300));
    }
}

#[test]
fn pages_are_read_from_the_last_to_the_first_and_the_first_once_more() {
    let rules = rules(Walk::LastToFirst);
    let rows = (0..250).map(|id| (id, at(id.into()))).collect();
    let mut cursor = Cursor::new(at(0));
    cursor.open(&rules, at(600));
    let asked = walked(&mut cursor, &rules, &List { rows, descending: true });
    let window = |page, count| (-300, 420, page, count);
    assert_eq!(asked, [window(1, true), window(3, false), window(2, false), window(1, true)]);
    // One page is one request.
    let rows = (0..100).map(|id| (id, at(500))).collect();
    cursor.open_sparingly(&rules, at(720));
    assert_eq!(walked(&mut cursor, &rules, &List { rows, descending: true }).len(), 1);
}

#[test]
fn rows_that_come_to_light_meanwhile_are_read() {
    let rules = rules(Walk::LastToFirst);
    let mut list = List { rows: (0..250).map(|id| (id, at(id.into()))).collect(), descending: true };
    let mut cursor = Cursor::new(at(0));
    cursor.open(&rules, at(600));
    let (mut seen, mut requests) = (BTreeSet::new(), 0);
    while let Some(ask) = cursor.ask(&rules) {
        let (ids, facts) = list.page(ask, 1);
        seen.extend(ids);
        requests += 1;
        cursor = cursor.took(&rules, facts).unwrap();
        if requests == 2 {
            list.rows.extend((1000..1060).map(|id| (id, at(3))));
        }
    }
    assert_eq!((seen.len(), requests), (310, 8));
}

#[test]
fn a_window_of_too_many_pages_is_halved() {
    let rules = rules(Walk::LastToFirst);
    let rows: BTreeMap<u32, Instant> = (0..12_000).map(|id| (id, at(i64::from(id) / 8))).collect();
    let list = List { rows, descending: true };
    let mut cursor = Cursor::new(at(0));
    cursor.open(&rules, at(1680));
    let (mut seen, mut asked) = (BTreeSet::new(), 0);
    while let Some(ask) = cursor.ask(&rules) {
        let (ids, facts) = list.page(ask, 1);
        seen.extend(ids);
        assert!(ask.page <= DEEPEST as u32);
        asked += 1;
        cursor = cursor.took(&rules, facts).unwrap();
    }
    assert_eq!((seen.len(), cursor.through()), (12_000, at(1500)));
    assert!(asked <= 130, "{asked}");
}

#[test]
fn a_page_full_of_one_instant_is_stepped_over() {
    let rules = rules(Walk::Keyset);
    let mut rows: BTreeMap<u32, Instant> = (0..350).map(|id| (id, at(10))).collect();
    rows.extend((350..450).map(|id| (id, at(i64::from(id)))));
    let list = List { rows, descending: false };
    let mut cursor = Cursor::new(at(0));
    cursor.open(&rules, at(900));
    let mut seen = BTreeSet::new();
    while let Some(ask) = cursor.ask(&rules) {
        let (ids, facts) = list.page(ask, 1);
        seen.extend(ids);
        cursor = cursor.took(&rules, facts).unwrap();
    }
    assert_eq!(seen.len(), 450);
}

#[test]
fn a_missing_count_is_a_fault_and_not_an_empty_page() {
    let rules = rules(Walk::LastToFirst);
    let mut cursor = Cursor::new(at(0));
    cursor.open(&rules, at(600));
    let told = cursor.took(&rules, Facts::default()).map_err(|f| f.to_string());
    assert_eq!(told, Err("malformed (no_total)".to_owned()));
}

#[test]
fn a_cursor_reads_back_in_the_middle_of_a_walk() {
    let rules = rules(Walk::LastToFirst);
    let mut cursor = Cursor::new(at(0));
    cursor.open(&rules, at(600));
    let facts = Facts { rows: 100, total: Some(250), ..Facts::default() };
    let cursor = cursor.took(&rules, facts).unwrap();
    let text = serde_json::to_string(&cursor).unwrap();
    assert_eq!(serde_json::from_str::<Cursor>(&text).unwrap(), cursor, "{text}");
}

fn forward(most: u32) -> Rules {
    Rules { page_size: 2, ..rules(Walk::Forward { most }) }
}

/// A list that gives its pages out by a cursor of its own: where the last row stood.
fn by_cursor(rows: &[u32], after: Option<&str>, size: usize) -> (Vec<u32>, Facts) {
    let from: u32 = after.map_or(0, |text| text.parse().unwrap());
    let mut left = rows.iter().copied().filter(|row| *row > from);
    let page: Vec<u32> = left.by_ref().take(size).collect();
    let more = match (left.next(), page.last()) {
        (Some(_), Some(last)) => More::After(last.to_string().into()),
        _ => More::Over,
    };
    (page.clone(), Facts { rows: page.len() as u64, more: Some(more), ..Facts::default() })
}

#[test]
fn a_cursor_of_the_platform_is_followed_to_its_end_and_over_a_crash() {
    let rules = forward(100);
    let mut cursor = Cursor::new(at(0));
    cursor.open(&rules, at(600));
    let (mut seen, mut asked) = (Vec::new(), Vec::new());
    while let Some(ask) = cursor.ask(&rules) {
        let (ids, facts) = by_cursor(&[1, 2, 3, 5, 8], cursor.after(), 2);
        asked.push((ask.page, cursor.after().map(str::to_owned)));
        seen.extend(ids);
        let next = cursor.took(&rules, facts).unwrap();
        // As it is read again from the store.
        cursor = serde_json::from_str(&serde_json::to_string(&next).unwrap()).unwrap();
        assert_eq!(cursor, next);
    }
    assert_eq!(seen, [1, 2, 3, 5, 8]);
    assert_eq!(asked, [(1, None), (2, Some("2".to_owned())), (3, Some("5".to_owned()))]);
    assert_eq!((cursor.through(), cursor.after()), (at(600) - rules.lag, None));
}

/// Without a word of what follows, pages are read up to one without rows: a platform that gives fewer rows a page than
/// it was asked for loses none.
#[test]
fn pages_are_read_up_to_an_empty_one() {
    let rules = Rules { page_size: 100, ..forward(100) };
    let mut cursor = Cursor::new(at(0));
    cursor.open(&rules, at(600));
    let mut pages = Vec::new();
    for rows in [40, 40, 3, 0] {
        pages.push(cursor.ask(&rules).unwrap().page);
        cursor = cursor.took(&rules, Facts { rows, ..Facts::default() }).unwrap();
    }
    assert_eq!((pages, cursor.ask(&rules)), (vec![1, 2, 3, 4], None));
}

#[test]
fn a_walk_that_goes_round_or_on_for_ever_is_none() {
    let rules = forward(3);
    let after = |text: &str| Facts { rows: 2, more: Some(More::After(text.into())), ..Facts::default() };
    let mut cursor = Cursor::new(at(0));
    cursor.open(&rules, at(600));
    let cursor = cursor.took(&rules, after("a")).unwrap();
    let told = |cursor: &Cursor, facts: Facts| cursor.took(&rules, facts).map_err(|f| f.to_string());
    assert_eq!(told(&cursor, after("a")), Err("malformed (same_cursor)".to_owned()));
    let cursor = cursor.took(&rules, after("b")).unwrap();
    assert_eq!(told(&cursor, after("c")), Err("malformed (too_many_pages)".to_owned()));
    let over = Facts { rows: 2, more: Some(More::Over), ..Facts::default() };
    assert_eq!(told(&cursor, over).map(|c| c.is_walking()), Ok(false), "the last page may be the most-th");
}

/// A platform that says itself whether there is more is believed, not the number of rows.
#[test]
fn what_is_said_of_more_counts_before_the_number_of_rows() {
    let rules = rules(Walk::Keyset);
    let mut cursor = Cursor::new(at(0));
    cursor.open(&rules, at(600));
    let few = Facts { rows: 3, last: Some(at(50)), more: Some(More::Page), ..Facts::default() };
    let next = cursor.took(&rules, few.clone()).unwrap();
    assert_eq!(next.ask(&rules).map(|ask| (ask.from, ask.page)), Some((at(50), 1)));
    assert!(!cursor.took(&rules, Facts { more: None, ..few }).unwrap().is_walking());
    let full = Facts { rows: 100, last: Some(at(50)), more: Some(More::Over), ..Facts::default() };
    assert!(!cursor.took(&rules, full).unwrap().is_walking());
}
