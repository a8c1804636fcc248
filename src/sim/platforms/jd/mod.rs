//! A simulated JD gateway, routerjson (`platforms` 3, 10.5).

#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use super::Asked;
use super::gateway::{Closed, Gateway, Issue, Mall, Manners, Said};
use super::shop::{AfterSale, Habits, Kind, Order, Shop, Stage};
use crate::core::ids::Secret;
use crate::core::time::{Instant, Span};
use crate::sources::loose::Fields;
use crate::sources::sign::{Body, Params, beijing, jd as sign, same};

/// The gateway and one shop.
#[derive(Debug)]
pub struct Jd {
    app_key: String,
    secret: Secret,
    /// The tokens that are given out.
    pub issue: Issue,
    /// What is behind it.
    pub shop: Shop,
    /// What it knows of those who ask.
    pub gateway: Gateway,
}

/// Ids of its orders lie above 2^53.
const FIRST_ID: u64 = 9_007_199_254_740_993;
/// How long a token is good.
const TOKEN: Span = Span::from_minutes(6 * 60);
/// The account that may read after-sales.
pub const PIN: &str = "sim-pin";

/// The number of an order.
pub fn order_id(number: u64) -> u64 {
    FIRST_ID + number
}

/// The id of an after-sale.
pub fn service_id(number: u64) -> u64 {
    900_000_000 + number
}

/// The state of an order (`platforms` 3.5).
fn state(order: &Order) -> &'static str {
    match order.word() {
        "closed" => "TRADE_CANCELED",
        "held" => "LOCKED",
        "done" => "FINISHED_L",
        "shipped" => "WAIT_GOODS_RECEIVE_CONFIRM",
        "to_ship" => "WAIT_SELLER_STOCK_OUT",
        _ => "UN_KNOWN",
    }
}

/// The status of an after-sale, by number and name. The numbers are made up: nobody has published them.
fn status(case: &AfterSale) -> (u32, &'static str) {
    match case.stage {
        Stage::Asked => (10001, "待审核"),
        Stage::Returned => (10005, "待商家处理"),
        Stage::Agreed => (10007, "退款中"),
        Stage::Refused | Stage::Disputed => (10002, "审核拒绝"),
        Stage::ReturnWanted => (10004, "待用户寄回"),
        Stage::Refunded => (10010, "完成"),
        Stage::Withdrawn => (10011, "取消"),
    }
}

impl Jd {
    /// A gateway for an app and its shop, at `now`, with nothing in it. In so many of a hundred changes a row is shown
    /// late.
    pub fn new(app_key: &str, secret: &str, seed: u64, late: u8, manners: Manners, now: Instant) -> Jd {
        Jd {
            app_key: app_key.to_owned(),
            secret: Secret::new(secret),
            issue: Issue::new(now, TOKEN),
            shop: Shop::new(seed, Habits { late, returns: true, ..Habits::default() }),
            gateway: Gateway::new(seed, manners),
        }
    }

    fn refuse(&mut self, code: u32, message: &str) -> Value {
        self.gateway.refused(code);
        json!({ "error_response": { "code": code.to_string(), "zh_desc": message, "en_desc": "no" } })
    }

    fn told(&mut self, asked: &Asked, now: Instant) -> Value {
        if asked.path == "/oauth2/refresh_token" {
            return self.renew(&asked.query, now);
        }
        let params = asked.form();
        if asked.method != "POST" || asked.path != "/routerjson" {
            return self.refuse(77, "协议错误");
        }
        let text = |name: &str| params.get(name).cloned().unwrap_or_default();
        let method = text("method");
        self.gateway.count(&method);
        if text("v") != "2.0" || params.contains_key("format") || params.contains_key("sign_method") {
            return self.refuse(6, "不支持的版本号");
        }
        if text("app_key") != self.app_key {
            return self.refuse(21, "无效app_key");
        }
        let mut unsigned = params.clone();
        unsigned.remove("sign");
        let Body::Form(right) = sign::sign(unsigned, &self.secret).body else {
            return self.refuse(12, "无效签名");
        };
        if !right.get("sign").is_some_and(|sign| same(sign, &text("sign"))) {
            return self.refuse(12, "无效签名");
        }
        // Six minutes, tighter than the others.
        let said = jiff::Timestamp::strptime("%Y-%m-%d %H:%M:%S%.f%z", text("timestamp")).ok();
        let off = said.map(|said| (said.as_second() - now.as_secs()).abs());
        if off.is_none_or(|off| off > 360) {
            return self.refuse(8, "无效时间戳");
        }
        if self.gateway.throttles(now) {
            return self.refuse(2, "限制时间内调用失败次数");
        }
        if !self.issue.admits(&text("access_token"), now) {
            return self.refuse(19, "无效access_token");
        }
        let Ok(Value::Object(business)) = serde_json::from_str(&text("360buy_param_json")) else {
            return self.refuse(60, "JSON 解析错误");
        };
        match self.gateway.closed(&method) {
            Some(Closed::Refused) => return self.refuse(24, "无权调用API"),
            Some(Closed::Broken) => return self.refuse(65, "后端超时"),
            None => {}
        }
        match method.as_str() {
            "jingdong.pop.order.get" => self.order(&business),
            "jingdong.asc.query.list" if business.contains_key("serviceId") => self.service(&business),
            "jingdong.pop.order.search" => self.order_list(&business, now),
            "jingdong.asc.query.list" => self.service_list(&business, now),
            _ => self.refuse(15, "不存在的方法名"),
        }
    }

    /// Only in the last day, and never after the end.
    fn renew(&mut self, query: &Params, now: Instant) -> Value {
        let text = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
        let known = text("app_key") == self.app_key
            && text("app_secret") == self.secret.reveal()
            && text("grant_type") == "refresh_token";
        self.gateway.count("refresh_token");
        let until = self.issue.access.1;
        let in_time = now < until && until.since(now) <= Span::DAY;
        if !known || !in_time || !self.issue.renew(text("refresh_token"), now) {
            self.gateway.refused("renewal");
            return json!({ "code": 10400, "msg": "refresh_token 无效", "requestId": "sim" });
        }
        json!({ "access_token": self.issue.access.0, "refresh_token": self.issue.refresh,
                "expires_in": TOKEN.as_secs(), "scope": "snsapi_base", "xid": "o*sim" })
    }

    /// The window and the page of a list, or the refusal.
    fn window(
        &mut self,
        business: &Map<String, Value>,
        names: [&str; 4],
        now: Instant,
    ) -> Result<((Instant, Instant), usize, usize), Value> {
        let [from, to, page, size] = names;
        let fields = Fields(business);
        let time = |name| fields.time(name).ok().flatten();
        let (Some(from), Some(to)) = (time(from), time(to)) else {
            return Err(self.refuse(62, "缺少时间参数"));
        };
        let month = Span::DAY.times(31);
        if from > to || to.since(from) > month || now.since(from) > Span::DAY.times(90) {
            return Err(self.refuse(61, "时间参数错误"));
        }
        // Texts, not numbers.
        let number = |name| business.get(name).and_then(Value::as_str).and_then(|t| t.parse::<usize>().ok());
        match (number(page), number(size)) {
            (Some(page @ 1..), Some(size @ 1..=100)) => Ok(((from, to), (page - 1) * size, size)),
            _ => Err(self.refuse(61, "分页参数错误")),
        }
    }

    fn order_list(&mut self, business: &Map<String, Value>, now: Instant) -> Value {
        let text = |name: &str| business.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("optional_fields").is_empty() {
            return self.refuse(68, "可选字段校验失败");
        }
        if text("order_state").is_empty() || text("dateType") != "0" {
            return self.refuse(62, "缺少必填参数");
        }
        let descending = text("sortType") == "1";
        let states: Vec<String> = text("order_state").split(',').map(str::to_owned).collect();
        let (window, skip, size) =
            match self.window(business, ["start_date", "end_date", "page", "page_size"], now) {
                Ok(window) => window,
                Err(refusal) => return refusal,
            };
        // What is not paid is not shown at all.
        let is_asked =
            |n: &u64| self.shop.orders.get(n).is_some_and(|o| states.iter().any(|s| s == state(o)));
        let mut found: Vec<u64> = self.shop.changed(Kind::Order, window, now).filter(is_asked).collect();
        if descending {
            found.reverse();
        }
        let page = found.iter().skip(skip).take(size);
        let rows: Vec<Value> = page.filter_map(|n| Some(self.row(*n, self.shop.orders.get(n)?))).collect();
        // One of several forms of "yes".
        let success = if now.as_secs() % 2 == 0 { json!(true) } else { json!("true") };
        let mut result = json!({ "apiResult": { "success": success, "numberCode": 0, "chineseErrCode": "成功" },
                                 "orderTotal": found.len(), "orderInfoList": rows });
        if found.is_empty() && now.as_secs() % 3 == 0 {
            result["orderInfoList"] = Value::Null;
        }
        json!({ "jingdong_pop_order_search_responce": { "code": "0", "searchorderinfo_result": result } })
    }

    /// Its wrapper is not published: this is what integrators have seen.
    fn order(&mut self, business: &Map<String, Value>) -> Value {
        let text = |name: &str| business.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("optional_fields").is_empty() {
            return self.refuse(68, "可选字段校验失败");
        }
        let number = text("order_id").parse::<u64>().ok().and_then(|id| id.checked_sub(FIRST_ID));
        let result = match number.and_then(|number| Some((number, self.shop.orders.get(&number)?))) {
            Some((number, order)) => json!({ "apiResult": { "success": true, "numberCode": 0 },
                                             "orderInfo": self.row(number, order) }),
            None => json!({ "apiResult": { "success": false, "numberCode": "71" } }),
        };
        json!({ "jingdong_pop_order_get_responce": { "code": "0", "orderDetailInfo": result } })
    }

    fn service(&mut self, business: &Map<String, Value>) -> Value {
        let text = |name: &str| business.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("operatePin") != PIN || text("operateNick").is_empty() {
            return self.refuse(62, "缺少必填参数");
        }
        let number = text("serviceId").parse::<u64>().ok().and_then(|id| id.checked_sub(service_id(0)));
        let found = number.and_then(|number| Some((number, self.shop.aftersales.get(&number)?)));
        let rows: Vec<Value> = found.iter().map(|(number, case)| service(*number, case)).collect();
        json!({ "jingdong_asc_query_list_responce": {
            "code": "0", "pageResult": { "totalCount": rows.len(), "data": rows } } })
    }

    fn row(&self, number: u64, order: &Order) -> Value {
        let time = |at: Option<Instant>| at.map(beijing).unwrap_or_default();
        let parcel = order.lines.iter().find_map(|line| line.shipped);
        let parcel = parcel.and_then(|(_, parcel)| self.shop.parcels.get(&parcel));
        // Now and then a number, now and then a text.
        let id = if number.is_multiple_of(2) {
            json!(order_id(number))
        } else {
            json!(order_id(number).to_string())
        };
        json!({
            "orderId": id, "venderId": "10000001", "orderState": state(order), "orderStateRemark": "",
            "orderStartTime": beijing(order.created), "paymentConfirmTime": time(order.paid),
            "modified": beijing(order.updated), "orderEndTime": time(order.received.or(order.cancelled)),
            "waybill": parcel.map_or("", |p| p.waybill.as_str()), "logisticsId": if parcel.is_some() { "463" } else { "" },
            "orderPayment": "129.00", "parentOrderId": "0", "open_id_buyer": "sim-buyer",
            "consigneeInfo": { "fullname": "张三", "mobile": "13812345678", "fullAddress": "上海市" },
            "itemInfoList": [{ "skuId": "100001", "skuName": "样品", "itemTotal": "1" }],
        })
    }

    fn service_list(&mut self, business: &Map<String, Value>, now: Instant) -> Value {
        let text = |name: &str| business.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("operatePin") != PIN || text("operateNick").is_empty() {
            return self.refuse(62, "缺少必填参数");
        }
        let names = ["updateTimeBegin", "updateTimeEnd", "pageNumber", "pageSize"];
        let (window, skip, size) = match self.window(business, names, now) {
            Ok(window) => window,
            Err(refusal) => return refusal,
        };
        // The order is not documented: the latest change first, which is the worse one.
        let found: Vec<u64> = self.shop.changed(Kind::AfterSale, window, now).rev().collect();
        let page = found.iter().skip(skip).take(size);
        let rows: Vec<Value> = page.filter_map(|n| Some(service(*n, self.shop.aftersales.get(n)?))).collect();
        json!({ "jingdong_asc_query_list_responce": {
            "code": "0", "pageResult": { "totalCount": found.len(), "data": rows } } })
    }
}

fn service(number: u64, case: &AfterSale) -> Value {
    let (code, name) = status(case);
    let time = |at: Option<Instant>| at.map(beijing);
    json!({
        "serviceId": service_id(number), "applyId": service_id(number) + 1_000_000, "orderId": order_id(case.order),
        "applyTime": beijing(case.created), "customerExpect": 10, "customerExpectName": "退货",
        "serviceStatus": code, "serviceStatusName": name, "customerGrade": 56, "skuId": 100_001, "wareName": "样品",
        "approveTime": time(case.reviewed), "approveResult": null, "approvePin": "张三",
        "processTime": time(case.refunded), "processResult": case.refunded.map(|_| 40),
        "pickwareAddress": "上海市浦东新区",
    })
}

impl Mall for Jd {
    fn shop(&mut self) -> &mut Shop {
        &mut self.shop
    }

    fn gateway(&mut self) -> &mut Gateway {
        &mut self.gateway
    }

    fn call(&mut self, asked: &Asked, now: Instant) -> Said {
        self.told(asked, now).into()
    }

    fn busy(&mut self) -> Said {
        // Each of the three layers may say so.
        match self.gateway.refusals.values().sum::<u64>() % 3 {
            0 => self.refuse(65, "后端超时").into(),
            1 => {
                self.gateway.refused(66);
                json!({ "jingdong_pop_order_search_responce": { "code": "66" },
                        "jingdong_asc_query_list_responce": { "code": "66" } })
                .into()
            }
            _ => {
                self.gateway.refused(67);
                let result = json!({ "apiResult": { "success": "false", "numberCode": "67" } });
                json!({ "jingdong_pop_order_search_responce": { "code": "0", "searchorderinfo_result": result },
                        "jingdong_asc_query_list_responce": { "code": "0", "pageResult": result } })
                .into()
            }
        }
    }
}
