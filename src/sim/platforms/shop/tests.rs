//! What a seed makes of a shop.

use super::*;

const START: Instant = Instant::from_secs(1_767_571_200);

fn day(habits: Habits) -> Shop {
    let mut shop = Shop::new(9, habits);
    shop.populate(2000, START, Span::DAY);
    shop.advance(START + Span::DAY.times(3));
    shop
}

/// What a test reads is there: every state, several lines, moved deadlines, second decisions.
#[test]
fn a_day_has_everything_in_it() {
    let mut shop = Shop::new(9, Habits { lines: true, returns: true, disputes: true, late: 5 });
    shop.populate(2000, START, Span::DAY);
    let mut words: BTreeSet<&str> = BTreeSet::new();
    for hour in 0..60 {
        shop.advance(START + Span::HOUR.times(hour));
        words.extend(shop.orders.values().map(Order::word));
        words.extend(shop.aftersales.values().map(|a| a.stage.word()));
    }
    let all = ["closed", "done", "held", "part_shipped", "refunding", "shipped", "to_handle", "to_ship"];
    assert_eq!(words, all.into_iter().chain(["unpaid", "waiting_buyer"]).collect());
    assert_eq!(shop.orders.len(), 2000);
    assert!(shop.aftersales.len() > 60 && shop.changes.len() > 6000, "{}", shop.changes.len());
    let moved = |order: &&Order| order.lines[0].ship_by != order.paid.map(|at| at + SHIP);
    assert!(shop.orders.values().filter(moved).count() > 10);
    assert!(shop.aftersales.values().any(|a| a.turns.len() == 2 && a.with_goods));
    assert!(shop.changes.iter().any(|c| c.kind == Kind::AfterSale));
    assert!(shop.orders.values().any(|o| o.lines.iter().any(|line| line.refunded)));
    assert!(shop.parcels.values().all(|p| p.collected.is_some()));
    assert!(shop.changes.iter().any(|c| c.visible > c.updated));
    assert!(shop.changes.is_sorted_by_key(|c| c.updated));
}

/// Nobody who reads it changes it, and a plain shop has neither lines nor second decisions.
#[test]
fn the_same_seed_is_the_same_shop() {
    let (one, other) = (day(Habits::default()), day(Habits::default()));
    assert_eq!((&one.orders, &one.aftersales), (&other.orders, &other.aftersales));
    assert!(one.orders.values().all(|order| order.lines.len() == 1));
    assert!(one.aftersales.values().all(|case| case.turns.len() == 1));
    assert!(one.changes.iter().all(|change| change.visible == change.updated));
}

#[test]
fn what_changed_is_shown_once_and_only_when_it_is_visible() {
    let mut shop = Shop::new(1, Habits { late: 100, ..Habits::default() });
    shop.place(1, START, START);
    let all = (START, START + Span::DAY);
    let visible = shop.orders[&1].visible;
    assert_eq!(shop.changed(Kind::Order, all, visible - Span::from_secs(1)).count(), 0);
    assert_eq!(shop.changed(Kind::Order, all, visible).collect::<Vec<_>>(), [1]);
    shop.ship(1, START + Span::HOUR);
    assert_eq!(shop.changed(Kind::Order, all, START + Span::DAY).collect::<Vec<_>>(), [1]);
    assert_eq!(shop.changed(Kind::Order, (START, START + Span::from_secs(1)), START + Span::DAY).count(), 0);
    assert_eq!((shop.orders[&1].word(), shop.orders[&1].shipped()), ("shipped", Some(START + Span::HOUR)));
    let case = shop.complain(1, START + Span::HOUR);
    assert_eq!(shop.aftersales[&case].expires(), Some(START + Span::HOUR + DECIDE));
}
