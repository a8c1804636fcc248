//! What rows of Taobao and Tmall say of orders, refunds and parcels.

use serde_json::{Map, Value};

use super::{Taobao, nested};
use crate::core::model::Value as Attribute;
use crate::core::time::{Instant, Span};
use crate::sources::loose::Fields;
use crate::sources::platform::{Item, Page, Want};
use crate::sources::poll::{Class, Facts, Failure};
use crate::sources::row::{Bad, Reading, mark, need};

/// Where a row stands.
#[derive(Clone, Copy)]
pub(super) enum From<'w> {
    /// In a list, which may leave out fields.
    List,
    /// Alone, as it was asked for.
    Single(&'w Want),
}

impl From<'_> {
    /// Whether it is the one that was asked for.
    fn fits(self, name: &str, id: &str) -> Result<(), Bad> {
        match self {
            From::Single(want) if want.ids.get(1).map(String::as_str) != Some(id) => {
                Err(format!("{name} is not the one that was asked for"))
            }
            _ => Ok(()),
        }
    }

    /// When the case was changed: never before what the list said of it.
    fn modified(self, modified: Instant) -> Instant {
        match self {
            From::List => modified,
            From::Single(want) => modified.max(want.modified),
        }
    }
}

/// A line of an order.
#[derive(Default)]
struct Line {
    waits: bool,
    shipped: Option<Instant>,
    ship_by: Option<Instant>,
    pickup_by: Option<Instant>,
    dispatch_by: Option<Instant>,
    deliver_by: Option<Instant>,
    refund: Option<String>,
    carrier: Option<String>,
    waybill: Option<String>,
}

impl Taobao {
    pub(super) fn order(&self, row: &Map<String, Value>, from: From<'_>) -> Result<Item, Bad> {
        let fields = Fields(row);
        let id = need("tid", fields.id("tid"))?;
        from.fits("tid", &id)?;
        let modified = from.modified(need("modified", fields.time("modified"))?);
        let code = need("status", fields.id("status"))?;
        let mut read = Reading::default();
        let time = |name: &'static str, read: &mut Reading| read.keep(name, fields.time(name));
        let (created, paid) = (time("created", &mut read), time("pay_time", &mut read));
        let (consigned, ended) = (time("consign_time", &mut read), time("end_time", &mut read));
        let closes = time("timeout_action_time", &mut read);
        let none: &[Value] = &[];
        let lines = nested(row, "orders", "order").unwrap_or(none).iter().filter_map(Value::as_object);
        let lines: Vec<Line> = lines.map(|line| read_line(line, &code, paid, &mut read)).collect();
        let status = order_word(&code);
        let open = matches!(status, "to_ship" | "part_shipped" | "held");
        let waiting = || lines.iter().filter(|line| line.waits);
        // The earliest of what waits; once nothing does, the latest of all.
        let by = |of: fn(&Line) -> Option<Instant>| {
            waiting().filter_map(of).min().or_else(|| lines.iter().filter_map(of).max())
        };
        let ship_by = by(|line| line.ship_by);
        let gone = !open && status != "unpaid";
        let shipped = lines.iter().filter_map(|line| line.shipped).max().or(consigned).filter(|_| gone);
        let mut seen = self.origin.observation("order", &id, modified);
        let mut put =
            |name: &'static str, at: Option<Instant>| seen.marks.extend(at.map(|at| mark(name, at)));
        put("created", created);
        put("paid", paid);
        put("shipped", shipped);
        put("signed", ended.filter(|_| status == "done"));
        put("ship_by", ship_by);
        put("pickup_by", by(|line| line.pickup_by));
        put("dispatch_by", by(|line| line.dispatch_by));
        put("deliver_by", by(|line| line.deliver_by));
        // The platform closes or ends the order by itself then.
        put("close_by", closes.filter(|_| matches!(status, "unpaid" | "shipped")));
        self.origin.attributes(&mut seen, status);
        let first = |of: fn(&Line) -> Option<&String>| lines.iter().find_map(of).cloned();
        for (name, text) in [
            ("trade_status", Some(code)),
            ("refund_status", first(|line| line.refund.as_ref())),
            ("carrier", first(|line| line.carrier.as_ref())),
            ("waybill", first(|line| line.waybill.as_ref())),
        ] {
            seen.attributes.extend(text.map(|text| (name.into(), Attribute::Text(text.into()))));
        }
        let mut observations = vec![seen];
        if status == "signed" {
            // Only cash on delivery has this state, and it has no time of its own.
            observations.push(self.origin.first_seen("order", &id, modified, &["signed"]));
        }
        let unknown = open && paid.is_some() && (lines.is_empty() || waiting().any(|l| l.ship_by.is_none()));
        let asks = matches!(from, From::List) && unknown;
        let want = asks.then(|| Want { ids: vec!["trade".to_owned(), id.clone()], modified });
        Ok(read.item(id, modified, ship_by.filter(|_| open), want, observations))
    }

    pub(super) fn refund(&self, row: &Map<String, Value>, from: From<'_>) -> Result<Item, Bad> {
        let fields = Fields(row);
        let id = need("refund_id", fields.id("refund_id"))?;
        from.fits("refund_id", &id)?;
        let order = need("tid", fields.id("tid"))?;
        let code = need("status", fields.id("status"))?;
        let modified = from.modified(need("modified", fields.time("modified"))?);
        let mut read = Reading::default();
        let created = read.keep("created", fields.time("created"));
        let text = |name: &'static str, read: &mut Reading| read.keep(name, fields.id(name));
        let (line, goods) = (text("oid", &mut read), text("good_status", &mut read));
        let (phase, waybill) = (text("refund_phase", &mut read), text("sid", &mut read));
        let carrier = text("company_name", &mut read);
        let returns = read.keep("has_good_return", fields.flag("has_good_return"));
        let status = refund_word(&code);
        let deadline = row.get("refund_remind_timeout").and_then(Value::as_object).map(Fields);
        let deadline = deadline.filter(|told| matches!(told.flag("exist_timeout"), Ok(Some(true))));
        let deadline = deadline.and_then(|told| read.keep("refund_remind_timeout", told.time("timeout")));
        // In the other states it is the buyer's time that ends.
        let deadline = deadline.filter(|_| status == "to_handle");
        let mut seen = self.origin.observation("aftersale", &id, modified);
        seen.marks.extend(created.map(|at| mark("return_requested", at)));
        seen.marks.extend(deadline.map(|at| mark("handle_by", at)));
        self.origin.attributes(&mut seen, status);
        for (name, text) in [
            ("order", Some(order)),
            ("line", line),
            ("refund_status", Some(code.clone())),
            ("good_status", goods),
            ("refund_phase", phase),
            ("return_carrier", carrier),
            ("return_waybill", waybill),
        ] {
            seen.attributes.extend(text.map(|text| (name.into(), Attribute::Text(text.into()))));
        }
        seen.attributes.extend(returns.map(|yes| ("with_goods".into(), Attribute::Bool(yes))));
        let mut observations = vec![seen];
        let names: &[&'static str] = match code.as_str() {
            "SUCCESS" => &["refunded", "return_reviewed"],
            "WAIT_BUYER_RETURN_GOODS" | "WAIT_SELLER_CONFIRM_GOODS" | "SELLER_REFUSE_BUYER" => {
                &["return_reviewed"]
            }
            _ => &[],
        };
        if !names.is_empty() {
            observations.push(self.origin.first_seen("aftersale", &id, modified, names));
        }
        let asks = matches!(from, From::List) && status == "to_handle" && deadline.is_none();
        let want = asks.then(|| Want { ids: vec!["refund".to_owned(), id.clone()], modified });
        Ok(read.item(id, modified, deadline, want, observations))
    }

    /// When the courier had the parcel: the first node of its trace. That it was signed is not believed: orders that were
    /// shipped outside of the platform are shown as signed at once (`platforms` 2.6).
    pub(super) fn trace(&self, want: &Want, body: &Map<String, Value>) -> Result<Page, Failure> {
        let malformed = |code: &str| Failure::new(Class::Malformed, code);
        let id = Fields(body).id("tid").ok().flatten().ok_or_else(|| malformed("no_tid"))?;
        if want.ids.get(1) != Some(&id) {
            return Err(malformed("another_tid"));
        }
        let none: &[Value] = &[];
        let nodes = nested(body, "trace_list", "transit_step_info").unwrap_or(none);
        let times =
            nodes.iter().filter_map(|node| Fields(node.as_object()?).time("status_time").ok().flatten());
        let mut seen = self.origin.observation("order", &id, want.modified);
        seen.marks.extend(times.min().map(|at| mark("picked_up", at)));
        let items = match seen.marks.is_empty() {
            true => Vec::new(),
            false => vec![Reading::default().item(id, want.modified, None, None, vec![seen])],
        };
        Ok(Page { items, rejects: Vec::new(), facts: Facts::default() })
    }
}

fn read_line(row: &Map<String, Value>, trade: &str, paid: Option<Instant>, read: &mut Reading) -> Line {
    let fields = Fields(row);
    let mut time = |name: &'static str| read.keep(name, fields.time(name));
    let (shipped, delivery) = (time("consign_time"), time("delivery_time"));
    let pickup_by = [time("collect_time"), time("promise_collect_time")].into_iter().flatten().min();
    let (dispatch_by, deliver_by) = (time("dispatch_time"), time("sign_time"));
    // Expected, not promised: a text that may say anything.
    let expected = fields.time("estimate_con_time").ok().flatten();
    let mut text = |name: &'static str| read.keep(name, fields.id(name));
    let status = text("status");
    let refund = text("refund_status").filter(|code| refund_word(code) != "other");
    let (carrier, waybill, due) = (text("logistics_company"), text("invoice_no"), text("consign_due_time"));
    let ship_by = delivery.or_else(|| consign_due(&due?, paid)).or(expected);
    let status = status.as_deref().unwrap_or(trade);
    let paid_back = refund.as_deref() == Some("SUCCESS");
    let waits =
        matches!(status, "WAIT_SELLER_SEND_GOODS" | "PAID_FORBID_CONSIGN") && shipped.is_none() && !paid_back;
    Line { waits, shipped, ship_by, pickup_by, dispatch_by, deliver_by, refund, carrier, waybill }
}

/// `1_` and an instant, or `2_` and days after the payment (`platforms` 2.4).
fn consign_due(text: &str, paid: Option<Instant>) -> Option<Instant> {
    let (form, value) = text.split_once('_')?;
    match form {
        "1" => {
            let row = Map::from_iter([("at".to_owned(), Value::from(value))]);
            Fields(&row).time("at").ok().flatten()
        }
        "2" => {
            let days: i64 = value.trim().parse().ok().filter(|days| (0..=365).contains(days))?;
            paid.map(|at| at + Span::DAY.times(days))
        }
        _ => None,
    }
}

/// `platforms` 1.7.
fn order_word(code: &str) -> &'static str {
    match code {
        "WAIT_BUYER_PAY" | "TRADE_NO_CREATE_PAY" | "PAY_PENDING" | "WAIT_PRE_AUTH_CONFIRM" => "unpaid",
        "PAID_FORBID_CONSIGN" => "held",
        "WAIT_SELLER_SEND_GOODS" => "to_ship",
        "SELLER_CONSIGNED_PART" => "part_shipped",
        "WAIT_BUYER_CONFIRM_GOODS" => "shipped",
        "TRADE_BUYER_SIGNED" => "signed",
        "TRADE_FINISHED" => "done",
        "TRADE_CLOSED" | "TRADE_CLOSED_BY_TAOBAO" => "closed",
        _ => "other",
    }
}

/// `platforms` 2.4.
fn refund_word(code: &str) -> &'static str {
    match code {
        "WAIT_SELLER_AGREE" | "WAIT_SELLER_CONFIRM_GOODS" => "to_handle",
        "WAIT_BUYER_RETURN_GOODS" | "SELLER_REFUSE_BUYER" => "waiting_buyer",
        "CLOSED" | "SUCCESS" => "closed",
        _ => "other",
    }
}
