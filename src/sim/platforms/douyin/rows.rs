//! How the simulated Douyin gateway shows orders, after-sales and traces (`platforms` 5.4–5.6, 5.10).

use serde_json::{Value, json};

use super::{Douyin, aftersale_id, order_id};
use crate::core::time::{Instant, Span};
use crate::sim::platforms::shop::{AfterSale, Line, Order, Stage};

/// Seconds, 0 for what was not reached.
fn time(at: Option<Instant>) -> i64 {
    at.map_or(0, Instant::as_secs)
}

fn status(order: &Order) -> i64 {
    match order.word() {
        "unpaid" => 1,
        "held" => 105,
        "to_ship" => 2,
        "part_shipped" => 101,
        "closed" => 4,
        "done" => 5,
        _ => 3,
    }
}

/// Status, state of the refund, state of the arbitration.
fn codes(case: &AfterSale) -> (i64, i64, i64) {
    match case.stage {
        Stage::Asked => (6, 0, 0),
        Stage::ReturnWanted => (7, 0, 0),
        Stage::Returned => (11, 0, 0),
        Stage::Refused => (27, 0, 0),
        Stage::Disputed => (27, 0, 4),
        Stage::Agreed => (12, 1, 0),
        Stage::Refunded => (12, 3, 0),
        Stage::Withdrawn => (28, 1, 0),
    }
}

impl Douyin {
    pub(super) fn order_row(&self, number: u64) -> Option<Value> {
        let order = self.shop.orders.get(&number)?;
        let id = order_id(number).to_string();
        let line = |(place, line): (usize, &Line)| {
            let status = match status(order) {
                _ if line.refunded => 4,
                101 if line.shipped.is_some() => 3,
                101 => 2,
                whole => whole,
            };
            let (aftersale, refund) = if line.refunded { (12, 3) } else { (0, 0) };
            json!({
                "order_id": (order_id(number) * 2 + place as u64).to_string(), "parent_order_id": id,
                "order_status": status, "exp_ship_time": time(line.ship_by),
                "ship_time": time(line.shipped.map(|(at, _)| at)),
                "logistics_receipt_time": time(order.received), "confirm_receipt_time": time(order.received),
                "pre_sale_type": 0,
                "after_sale_info": { "after_sale_status": aftersale, "after_sale_type": 0, "refund_status": refund },
            })
        };
        let lines: Vec<Value> = order.lines.iter().enumerate().map(line).collect();
        let parcels = order.lines.iter().filter_map(|line| line.shipped);
        let parcels = parcels.filter_map(|(at, parcel)| {
            let waybill = &self.shop.parcels.get(&parcel)?.waybill;
            Some(json!({ "tracking_no": waybill, "company": "zhongtong", "company_name": "中通快递",
                         "ship_time": at.as_secs(), "delivery_id": parcel.to_string(), "product_info": [] }))
        });
        let parcels: Vec<Value> = parcels.collect();
        Some(json!({
            "order_id": id, "order_status": status(order), "main_status": status(order),
            "create_time": order.created.as_secs(), "pay_time": time(order.paid), "update_time": order.updated.as_secs(),
            "finish_time": time(order.received), "order_expire_time": 1800,
            // That of its first line, whatever became of it.
            "exp_ship_time": time(order.lines.first().and_then(|line| line.ship_by)),
            "ship_time": time(order.lines.iter().find_map(|line| line.shipped).map(|(at, _)| at)),
            "appointment_ship_time": 0, "promise_info": "{}", "doudian_open_id": "1@#syntheticOpenId==",
            "user_tag_ui": [{ "key": "user_profile_buy_frequency", "text": "样例标签" }],
            "logistics_info": parcels, "sku_order_list": lines,
            "mask_post_receiver": "张*", "encrypt_post_receiver": "#cipher#",
        }))
    }

    pub(super) fn aftersale_row(&self, number: u64) -> Option<Value> {
        let case = self.shop.aftersales.get(&number)?;
        let (status, refund, dispute) = codes(case);
        // The time that ends is somebody's in every state.
        let theirs = case.updated + Span::DAY.times(7);
        let deadline = case.expires().filter(|_| dispute == 0).unwrap_or(theirs);
        Some(json!({
            "aftersale_info": {
                "aftersale_id": aftersale_id(number).to_string(), "aftersale_type": i64::from(!case.with_goods),
                "aftersale_status": status, "related_id": (order_id(case.order) * 2).to_string(),
                "apply_time": case.created.as_secs(), "create_time": case.created.as_secs(),
                "update_time": case.updated.as_secs(), "status_deadline": deadline.as_secs(), "refund_amount": 5900,
                "refund_status": refund, "arbitrate_status": dispute, "return_logistics_code": "", "got_pkg": 0,
            },
            "order_info": { "shop_order_id": order_id(case.order).to_string(), "related_order_info": [] },
            "text_part": { "reason_text": "张三说不合适" },
        }))
    }

    /// The detail of an after-sale.
    pub(super) fn arbitration(&self, number: u64) -> Option<Value> {
        let case = self.shop.aftersales.get(&number)?;
        let (status, _, dispute) = codes(case);
        let until = case.expires().filter(|_| dispute == 4);
        Some(json!({ "process_info": {
            "after_sale_info": {
                "after_sale_id": aftersale_id(number), "after_sale_status": status, "after_sale_type": 0,
                "apply_time": case.created.as_secs(), "update_time": case.updated.as_secs(), "got_pkg": 0,
            },
            "arbitrate_info": { "arbitrate_status": dispute, "arbitrate_status_deadline": time(until).to_string() },
            "logistics_info": { "return": {}, "order": [] },
        }, "record_logs_list": [] }))
    }

    /// The trace of a parcel that has the platform's own waybill: every other one.
    pub(super) fn trace(&self, waybill: &str) -> Option<Value> {
        let (number, parcel) = self.shop.parcels.iter().find(|(_, parcel)| parcel.waybill == waybill)?;
        let parcel = Some(parcel).filter(|_| number % 2 == 1)?;
        let nodes =
            [(parcel.collected, "已揽收"), (parcel.signed, "已签收")].into_iter().filter_map(|(at, text)| {
                Some(json!({ "content": text, "timestamp": at?.as_secs().to_string(), "state": "0",
                         "state_description": text, "site_name": "杭州" }))
            });
        let nodes: Vec<Value> = nodes.collect();
        Some(
            json!({ "track_info": { "track_no": waybill, "express": "zhongtong" }, "route__node_list": nodes }),
        )
    }
}
