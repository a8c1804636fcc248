//! What rows of Douyin Shop say of orders, after-sales and parcels.

use serde_json::{Map, Value};

use super::Douyin;
use crate::core::model::Value as Attribute;
use crate::core::time::{Instant, Span};
use crate::sources::loose::Fields;
use crate::sources::platform::{Item, Page, Want};
use crate::sources::poll::{Class, Facts, Failure};
use crate::sources::row::{Bad, Reading, mark, need};

/// A line of an order.
struct Line {
    waits: bool,
    ship_by: Option<Instant>,
    shipped: Option<Instant>,
    received: Option<Instant>,
    confirmed: Option<Instant>,
    aftersale: Option<i64>,
}

fn objects<'v>(row: &'v Map<String, Value>, name: &str) -> impl Iterator<Item = &'v Map<String, Value>> {
    row.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

impl Douyin {
    pub(super) fn order(&self, row: &Map<String, Value>) -> Result<Item, Bad> {
        let fields = Fields(row);
        let id = need("order_id", fields.id("order_id"))?;
        let modified = need("update_time", fields.time("update_time"))?;
        let code = need("order_status", fields.int("order_status"))?;
        let mut read = Reading::default();
        let time = |name: &'static str, read: &mut Reading| read.keep(name, fields.time(name));
        let (created, paid) = (time("create_time", &mut read), time("pay_time", &mut read));
        let (finished, exp_ship) = (time("finish_time", &mut read), time("exp_ship_time", &mut read));
        let (sent, booked) = (time("ship_time", &mut read), time("appointment_ship_time", &mut read));
        let deliver_by = time("latest_receipt_time", &mut read);
        let closes = created.and_then(|created| expires(fields, created));
        let lines: Vec<Line> =
            objects(row, "sku_order_list").map(|line| read_line(line, code, &mut read)).collect();
        let received = lines.iter().map(|line| line.received).collect::<Option<Vec<_>>>();
        let received = received.and_then(|all| all.into_iter().max());
        // `platforms` 1.7.
        let status = match code {
            1 => "unpaid",
            105 => "held",
            2 => "to_ship",
            101 => "part_shipped",
            3 if received.is_some() => "signed",
            3 => "shipped",
            4 => "closed",
            5 => "done",
            _ => "other",
        };
        let open = matches!(status, "to_ship" | "part_shipped" | "held");
        // The earliest of what waits (`platforms` 5.4); once nothing does, the latest of all.
        let waiting = lines.iter().filter(|line| line.waits).filter_map(|line| line.ship_by).min();
        let ship_by = waiting.or_else(|| lines.iter().filter_map(|line| line.ship_by).max()).or(exp_ship);
        let shipped = lines.iter().filter_map(|line| line.shipped).max().or(sent);
        let shipped = shipped.filter(|_| !open && status != "unpaid");
        let confirmed = lines.iter().filter_map(|line| line.confirmed).max();
        let signed = received.or(confirmed).or(finished.filter(|_| status == "done"));
        let mut seen = self.origin.observation("order", &id, modified);
        for (name, at) in [
            ("created", created),
            ("paid", paid),
            ("shipped", shipped),
            ("signed", signed),
            ("booked", booked),
            ("ship_by", ship_by),
            ("deliver_by", deliver_by),
            ("close_by", closes.filter(|_| status == "unpaid")),
        ] {
            seen.marks.extend(at.map(|at| mark(name, at)));
        }
        self.origin.attributes(&mut seen, status);
        seen.attributes.push(("order_status".into(), Attribute::Int(code)));
        let aftersale = lines.iter().find_map(|line| line.aftersale);
        seen.attributes.extend(aftersale.map(|code| ("after_sale_status".into(), Attribute::Int(code))));
        let parcel = objects(row, "logistics_info").next();
        let mut text = |name: &'static str| read.keep(name, Fields(parcel?).id(name));
        let (carrier, waybill) = (text("company"), text("tracking_no"));
        for (name, text) in [("carrier", carrier), ("waybill", waybill)] {
            seen.attributes.extend(text.map(|text| (name.into(), Attribute::Text(text.into()))));
        }
        Ok(read.item(id, modified, ship_by.filter(|_| open), None, vec![seen]))
    }

    /// An order alone, as it was asked for. Which wrapper it has is not published.
    pub(super) fn single_order(&self, want: &Want, row: &Map<String, Value>) -> Result<Item, Bad> {
        let inner = row.get("shop_order_detail").and_then(Value::as_object);
        let item = self.order(inner.unwrap_or(row))?;
        match want.ids.get(1) == Some(&item.id) {
            true => Ok(item),
            false => Err("order_id is not the one that was asked for".to_owned()),
        }
    }

    pub(super) fn aftersale(&self, row: &Map<String, Value>) -> Result<Item, Bad> {
        let inner = |name: &str| row.get(name).and_then(Value::as_object);
        let info = inner("aftersale_info").ok_or("aftersale_info is missing")?;
        let fields = Fields(info);
        let id = need("aftersale_id", fields.id("aftersale_id"))?;
        let modified = need("update_time", fields.time("update_time"))?;
        let code = need("aftersale_status", fields.int("aftersale_status"))?;
        let mut read = Reading::default();
        let number = |name: &'static str, read: &mut Reading| read.keep(name, fields.int(name));
        let (refund, dispute) = (number("refund_status", &mut read), number("arbitrate_status", &mut read));
        let kind = number("aftersale_type", &mut read);
        let applied = read.keep("apply_time", fields.time("apply_time"));
        let deadline = read.keep("status_deadline", fields.time("status_deadline"));
        let line = read.keep("related_id", fields.id("related_id"));
        let order =
            inner("order_info").and_then(|info| read.keep("shop_order_id", Fields(info).id("shop_order_id")));
        let waybill = read.keep("return_logistics_code", fields.id("return_logistics_code"));
        let status = aftersale_word(code, refund, dispute);
        let deadline = deadline.filter(|_| is_ours(code));
        let mut seen = self.origin.observation("aftersale", &id, modified);
        seen.marks.extend(applied.map(|at| mark("return_requested", at)));
        seen.marks.extend(deadline.map(|at| mark("handle_by", at)));
        self.origin.attributes(&mut seen, status);
        for (name, text) in [("order", order.or(line.clone())), ("line", line), ("return_waybill", waybill)] {
            seen.attributes.extend(text.map(|text| (name.into(), Attribute::Text(text.into()))));
        }
        for (name, code) in [
            ("aftersale_status", Some(code)),
            ("aftersale_type", kind),
            ("refund_status", refund),
            ("arbitrate_status", dispute),
        ] {
            seen.attributes.extend(code.map(|code| (name.into(), Attribute::Int(code))));
        }
        let joined = dispute.is_some_and(|code| code != 0);
        seen.attributes.push(("platform_joined".into(), Attribute::Bool(joined)));
        let mut observations = vec![seen];
        let mut names: Vec<&'static str> = Vec::new();
        if is_reviewed(code) {
            names.push("return_reviewed");
        }
        if refund == Some(3) {
            names.push("refunded");
        }
        if !names.is_empty() {
            observations.push(self.origin.first_seen("aftersale", &id, modified, &names));
        }
        let asks = matches!(dispute, Some(1 | 4 | 5));
        let want = asks.then(|| Want { ids: vec!["aftersale".to_owned(), id.clone()], modified });
        Ok(read.item(id, modified, deadline, want, observations))
    }

    /// An after-sale alone: how it stands, and, where the platform arbitrates, until when the merchant must bring
    /// evidence.
    pub(super) fn single_aftersale(&self, want: &Want, row: &Map<String, Value>) -> Result<Item, Bad> {
        let process = row.get("process_info").and_then(Value::as_object).ok_or("process_info is missing")?;
        let inner = |name: &str| process.get(name).and_then(Value::as_object);
        let info = inner("after_sale_info").ok_or("after_sale_info is missing")?;
        let fields = Fields(info);
        // A number here, and a text in the list.
        let id = need("after_sale_id", fields.id("after_sale_id"))?;
        if want.ids.get(1) != Some(&id) {
            return Err("after_sale_id is not the one that was asked for".to_owned());
        }
        let mut read = Reading::default();
        let modified = read.keep("update_time", fields.time("update_time"));
        let modified = modified.unwrap_or(want.modified).max(want.modified);
        let arbitrate = inner("arbitrate_info").map(Fields);
        let evidence = arbitrate
            .and_then(|info| read.keep("arbitrate_status_deadline", info.time("arbitrate_status_deadline")));
        let dispute = arbitrate.and_then(|info| read.keep("arbitrate_status", info.int("arbitrate_status")));
        let code = read.keep("after_sale_status", fields.int("after_sale_status"));
        let refund = read.keep("refund_status", fields.int("refund_status"));
        let status_deadline = read.keep("status_deadline", fields.time("status_deadline"));
        let deadline = evidence.or(status_deadline.filter(|_| code.is_some_and(is_ours)));
        let mut seen = self.origin.observation("aftersale", &id, modified);
        seen.marks.extend(deadline.map(|at| mark("handle_by", at)));
        // Whether the money is back, and whether the platform has joined, stands in the list where it does not here.
        let status = code.filter(|code| *code != 12 || refund.is_some());
        let status = status.filter(|code| dispute.is_some() || !matches!(code, 27 | 29));
        if let Some(code) = status {
            self.origin.attributes(&mut seen, aftersale_word(code, refund, dispute));
            seen.attributes.push(("aftersale_status".into(), Attribute::Int(code)));
        }
        let mut observations = vec![seen];
        if code.is_some_and(is_reviewed) {
            observations.push(self.origin.first_seen("aftersale", &id, modified, &["return_reviewed"]));
        }
        Ok(read.item(id, modified, deadline, None, observations))
    }

    /// When the courier had the parcel: the first node of its trace.
    pub(super) fn trace(&self, want: &Want, data: &Map<String, Value>) -> Result<Page, Failure> {
        // Two underscores: the platform's own spelling.
        let nodes =
            ["route__node_list", "route_node_list"].into_iter().find_map(|name| data.get(name)?.as_array());
        let Some(id) = want.ids.get(1) else { return Err(Failure::new(Class::Malformed, "no_order")) };
        let time = |node: &Value| Fields(node.as_object()?).time("timestamp").ok().flatten();
        let first = nodes.into_iter().flatten().filter_map(time).min();
        let items = first.map(|at| {
            let mut seen = self.origin.observation("order", id, want.modified);
            seen.marks.push(mark("picked_up", at));
            Reading::default().item(id.clone(), want.modified, None, None, vec![seen])
        });
        Ok(Page { items: items.into_iter().collect(), rejects: Vec::new(), facts: Facts::default() })
    }
}

fn read_line(row: &Map<String, Value>, whole: i64, read: &mut Reading) -> Line {
    let fields = Fields(row);
    let mut time = |name: &'static str| read.keep(name, fields.time(name));
    let (ship_by, shipped) = (time("exp_ship_time"), time("ship_time"));
    let (received, confirmed) = (time("logistics_receipt_time"), time("confirm_receipt_time"));
    let status = read.keep("order_status", fields.int("order_status")).unwrap_or(whole);
    let info = row.get("after_sale_info").and_then(Value::as_object).map(Fields);
    let mut code = |name: &'static str| read.keep(name, info?.int(name));
    let (aftersale, refund) = (code("after_sale_status"), code("refund_status"));
    let aftersale = aftersale.filter(|code| *code != 0);
    // Paid back: the refund succeeded, or the after-sale did and says nothing of a refund.
    let paid_back = refund == Some(3) || matches!((aftersale, refund), (Some(12), None | Some(0)));
    let waits = shipped.is_none() && matches!(status, 2 | 101 | 105) && !paid_back;
    Line { waits, ship_by, shipped, received, confirmed, aftersale }
}

/// When an order that nobody pays is closed: an instant, or a span after it was made (`platforms` 5.10).
fn expires(fields: Fields<'_>, created: Instant) -> Option<Instant> {
    match fields.int("order_expire_time").ok().flatten()? {
        seconds @ 1..1_000_000_000 => Some(created + Span::from_secs(seconds)).filter(|at| at.is_plausible()),
        _ => fields.time("order_expire_time").ok().flatten(),
    }
}

/// The merchant must act (`platforms` 5.5).
fn is_ours(code: i64) -> bool {
    matches!(code, 6 | 8 | 11)
}

/// The merchant has decided once. A buyer who withdraws leaves 28; nobody has looked at 6.
fn is_reviewed(code: i64) -> bool {
    matches!(code, 3 | 7 | 8 | 11..=14 | 27 | 29)
}

/// `platforms` 5.5. A row says 3 for what a request calls 13.
fn aftersale_word(code: i64, refund: Option<i64>, dispute: Option<i64>) -> &'static str {
    match (code, dispute) {
        (28 | 51 | 53, _) => "closed",
        // The merchant must bring evidence.
        (_, Some(4)) => "to_handle",
        (_, Some(1)) => "arbitration",
        (6 | 8 | 11, _) => "to_handle",
        (3 | 7 | 13 | 27 | 29, _) => "waiting_buyer",
        (12, _) if matches!(refund, Some(1 | 2)) => "refunding",
        (12 | 14, _) => "closed",
        _ => "other",
    }
}
