//! How the simulated TOP gateway shows orders, refunds and traces (`platforms` 2.4, 2.7).

use serde_json::{Value, json};

use super::{Taobao, refund_id, tid};
use crate::core::time::Instant;
use crate::sim::platforms::shop::{AfterSale, Order, Stage};
use crate::sources::sign::beijing;

/// The status of an order.
fn status(order: &Order) -> &'static str {
    match (order.word(), order.paid) {
        ("closed", None) => "TRADE_CLOSED_BY_TAOBAO",
        ("closed", _) => "TRADE_CLOSED",
        ("unpaid", _) => "WAIT_BUYER_PAY",
        ("held", _) => "PAID_FORBID_CONSIGN",
        ("done", _) => "TRADE_FINISHED",
        ("part_shipped", _) => "SELLER_CONSIGNED_PART",
        ("to_ship", _) => "WAIT_SELLER_SEND_GOODS",
        _ => "WAIT_BUYER_CONFIRM_GOODS",
    }
}

/// The status of a refund. Who agrees to pay back has paid back.
fn refund_status(case: &AfterSale) -> &'static str {
    match case.stage {
        Stage::Asked => "WAIT_SELLER_AGREE",
        Stage::Returned => "WAIT_SELLER_CONFIRM_GOODS",
        Stage::ReturnWanted => "WAIT_BUYER_RETURN_GOODS",
        Stage::Refused | Stage::Disputed => "SELLER_REFUSE_BUYER",
        Stage::Withdrawn => "CLOSED",
        Stage::Agreed | Stage::Refunded => "SUCCESS",
    }
}

impl Taobao {
    /// An order; `thin` leaves out what its lines promise.
    pub(super) fn order_row(&self, number: u64, thin: bool) -> Option<Value> {
        let order = self.shop.orders.get(&number)?;
        let whole = status(order);
        let lines: Vec<Value> =
            (0..order.lines.len()).map(|line| self.line(number, order, line, thin)).collect();
        let mut row = json!({
            "tid": tid(number), "status": whole, "created": beijing(order.created), "modified": beijing(order.updated),
            "seller_nick": "样品店", "buyer_nick": "张**", "receiver_name": "张*", "receiver_mobile": "139****5678",
            "orders": { "order": lines },
        });
        // What was not reached is not there.
        let mut put = |name: &str, at: Option<Instant>| {
            if let Some(at) = at {
                row[name] = beijing(at).into();
            }
        };
        put("pay_time", order.paid);
        put("consign_time", order.lines.iter().filter_map(|line| line.shipped).map(|(at, _)| at).min());
        put("end_time", order.received.or(order.cancelled));
        Some(row)
    }

    fn line(&self, number: u64, order: &Order, place: usize, thin: bool) -> Value {
        let Some(line) = order.lines.get(place) else { return Value::Null };
        let (own, refund) = match status(order) {
            "PAID_FORBID_CONSIGN" | "WAIT_BUYER_PAY" | "TRADE_CLOSED" | "TRADE_CLOSED_BY_TAOBAO" => {
                (status(order), "NO_REFUND")
            }
            _ if line.refunded => ("TRADE_CLOSED", "SUCCESS"),
            "TRADE_FINISHED" => ("TRADE_FINISHED", "NO_REFUND"),
            _ if line.shipped.is_some() => ("WAIT_BUYER_CONFIRM_GOODS", "NO_REFUND"),
            _ => ("WAIT_SELLER_SEND_GOODS", "NO_REFUND"),
        };
        let oid = tid(number) * 2 + place as u64;
        let mut row = json!({ "oid": oid, "oid_str": oid.to_string(), "status": own, "refund_status": refund,
                              "title": "样品", "timing_promise": "tmallPromise" });
        if let Some((at, parcel)) = line.shipped {
            row["consign_time"] = beijing(at).into();
            row["logistics_company"] = "中通快递".into();
            row["invoice_no"] = self.shop.parcels.get(&parcel).map(|p| p.waybill.clone()).into();
        }
        if let (Some(by), false) = (line.ship_by, thin) {
            // The promise is written in three ways.
            match number % 3 {
                0 => row["consign_due_time"] = format!("1_{}", beijing(by)).into(),
                _ => row["delivery_time"] = beijing(by).into(),
            }
            row["promise_collect_time"] = beijing(by + crate::core::time::Span::DAY).into();
            row["sign_time"] = order.deliver_by().map(beijing).into();
        }
        row
    }

    /// A refund; in a list it has no deadline.
    pub(super) fn refund_row(&self, number: u64, listed: bool) -> Option<Value> {
        let case = self.shop.aftersales.get(&number)?;
        let id = refund_id(number);
        let goods = if case.with_goods { "BUYER_RETURNED_GOODS" } else { "BUYER_RECEIVED" };
        let mut row = json!({
            // A number and a text are both seen.
            "refund_id": if number.is_multiple_of(2) { Value::from(id) } else { Value::from(id.to_string()) },
            "tid": tid(case.order), "oid": tid(case.order) * 2, "status": refund_status(case),
            "order_status": "WAIT_BUYER_CONFIRM_GOODS", "good_status": goods, "has_good_return": case.with_goods,
            "refund_phase": "onsale", "refund_fee": "59.00", "reason": "7天无理由", "desc": "张三说不合适",
            "created": beijing(case.created), "modified": beijing(case.updated),
        });
        if !listed {
            row["refund_version"] = case.updated.as_millis().into();
            // The buyer's own time ends in the other states.
            let theirs = case.updated + crate::core::time::Span::DAY.times(7);
            row["refund_remind_timeout"] = match case.expires() {
                Some(at) => json!({ "exist_timeout": true, "remind_type": 1, "timeout": beijing(at) }),
                None if case.stage == Stage::ReturnWanted => {
                    json!({ "exist_timeout": "true", "remind_type": 2, "timeout": beijing(theirs) })
                }
                None => json!({ "exist_timeout": false }),
            };
        }
        Some(row)
    }

    /// The trace of an order's first parcel.
    pub(super) fn trace(&self, number: u64) -> Option<Value> {
        let parcel = self.shop.parcels.values().find(|parcel| parcel.order == number)?;
        let nodes: Vec<Value> = [(parcel.collected, "【杭州】已揽收"), (parcel.signed, "已签收,签收人:张三")]
            .into_iter()
            .filter_map(|(at, text)| Some(json!({ "status_time": beijing(at?), "status_desc": text })))
            .collect();
        Some(json!({ "tid": tid(number), "company_name": "中通快递", "out_sid": parcel.waybill,
                     "status": "物流公司揽收成功", "trace_list": { "transit_step_info": nodes } }))
    }
}
