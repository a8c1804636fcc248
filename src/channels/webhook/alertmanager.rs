//! Our body as Alertmanager sends its own (version 4), for receivers that were written for it.

use serde_json::{Map, Value, json};

use crate::core::alerting::Claim;

/// What Alertmanager writes while an alert has no end.
const NO_END: &str = "0001-01-01T00:00:00Z";

/// The body `own` in Alertmanager's form. What is not there is left out; it never fails.
pub(super) fn convert(own: &str, claim: &Claim, receiver: &str, external_url: Option<&str>) -> Vec<u8> {
    let own: Value = serde_json::from_str(own).unwrap_or_default();
    let over = matches!(own["purpose"].as_str(), Some("cleared" | "corrected" | "storm_over"));
    let status = if over { "resolved" } else { "firing" };
    let made_at = text(&own["made_at"]);
    let view = own["links"]["view"].as_str().or(external_url).unwrap_or_default();
    let items: &[Value] = own["items"].as_array().map_or(&[], Vec::as_slice);
    let mut alerts: Vec<Value> = items.iter().map(|item| alert(item, status, &made_at, view, &own)).collect();
    if alerts.is_empty() {
        alerts.push(json!({
            "status": status,
            "labels": { "alertname": text(&own["purpose"]) },
            "annotations": { "summary": claim.body.subject, "description": claim.body.text },
            "startsAt": made_at,
            "endsAt": if over { made_at.as_str() } else { NO_END },
            "generatorURL": view,
            "fingerprint": claim.thread.to_string().to_lowercase(),
        }));
    }
    let total = own["total"].as_u64().unwrap_or(alerts.len() as u64);
    let group: Map<String, Value> = [("desk", &own["desk"]), ("team", &own["team"])]
        .into_iter()
        .filter(|(_, v)| v.is_string())
        .map(|(k, v)| (k.to_owned(), v.clone()))
        .collect();
    let body = json!({
        "version": "4",
        "groupKey": format!("{{}}:{{incident=\"{}\"}}", claim.thread),
        "truncatedAlerts": total.saturating_sub(alerts.len() as u64),
        "status": status,
        "receiver": receiver,
        "groupLabels": group,
        "commonLabels": common(&alerts, "labels"),
        "commonAnnotations": common(&alerts, "annotations"),
        "externalURL": external_url.unwrap_or_default(),
        "alerts": alerts,
    });
    body.to_string().into_bytes()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn alert(item: &Value, status: &str, made_at: &str, view: &str, own: &Value) -> Value {
    let mut labels = Map::new();
    let mut label = |name: &str, value: String| {
        if !value.is_empty() {
            labels.insert(label_name(name), Value::String(value));
        }
    };
    for (name, value) in item["dimensions"].as_object().into_iter().flatten() {
        label(name, text(value));
    }
    for name in ["family", "rule", "kind", "source", "subject", "level"] {
        label(name, text(&item[name]));
    }
    label("alertname", text(&item["rule"]));
    label("class", text(&own["class"]));
    label(
        "severity",
        match own["class"].as_str() {
            Some("p0" | "p1") => "critical",
            Some("p2") => "warning",
            _ => "info",
        }
        .to_owned(),
    );
    label("desk", text(&own["desk"]));
    let mut annotations = Map::new();
    let mut note = |name: &str, value: String| {
        if !value.is_empty() {
            annotations.insert(name.to_owned(), Value::String(value));
        }
    };
    for (name, value) in item["facts"].as_object().into_iter().flatten() {
        note(name, text(value));
    }
    note("summary", text(&item["title"]));
    note("description", text(&own["text"]));
    note("action", text(&item["action"]));
    note("due", text(&item["due"]));
    let since = text(&item["since"]);
    json!({
        "status": status,
        "labels": labels,
        "annotations": annotations,
        "startsAt": if since.is_empty() { made_at } else { &since },
        "endsAt": if status == "resolved" { made_at } else { NO_END },
        "generatorURL": view,
        "fingerprint": text(&item["id"]).to_lowercase(),
    })
}

/// A name as Prometheus allows it.
fn label_name(name: &str) -> String {
    let mut out: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, '_');
    }
    out
}

/// What all alerts have in common.
fn common(alerts: &[Value], key: &str) -> Map<String, Value> {
    let Some((first, rest)) = alerts.split_first() else { return Map::new() };
    let mut common = first[key].as_object().cloned().unwrap_or_default();
    common.retain(|name, value| rest.iter().all(|alert| alert[key][name.as_str()] == *value));
    common
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::mail::tests::claim_to;
    use crate::core::model::Body;

    #[test]
    fn a_receiver_of_alertmanager_understands_it() {
        let own = json!({
            "purpose": "level", "class": "p1", "desk": "售后组", "team": "a", "total": 3, "text": "全文",
            "made_at": "2026-03-12T06:20:00Z", "links": { "view": "https://sb.example/v/x" },
            "items": [
                { "id": "5C8RT9", "family": "ticket.reply", "rule": "ticket_reply", "title": "工单 20 分钟回复",
                  "kind": "ticket", "source": "taobao", "subject": "T-1", "level": 1, "since": "2026-03-12T06:00:00Z",
                  "due": "2026-03-12T06:20:00Z", "dimensions": { "shop": "flag", "carrier+lane": "sf:x" },
                  "facts": { "buyer": "张**" } },
                { "id": "6C8RT9", "family": "ticket.reply", "rule": "ticket_reply", "kind": "ticket",
                  "subject": "T-2", "level": 2, "dimensions": { "shop": "flag" } },
            ],
        });
        let claim = claim_to("", Body::default());
        let body: Value = serde_json::from_slice(&convert(&own.to_string(), &claim, "hook", None)).unwrap();
        assert_eq!(body["version"], "4");
        assert_eq!(body["status"], "firing");
        assert_eq!(body["receiver"], "hook");
        assert_eq!(body["truncatedAlerts"], 1);
        assert_eq!(body["groupLabels"], json!({ "desk": "售后组", "team": "a" }));
        assert_eq!(
            body["commonLabels"],
            json!({ "alertname": "ticket_reply", "class": "p1", "desk": "售后组", "family": "ticket.reply",
                    "kind": "ticket", "rule": "ticket_reply", "severity": "critical", "shop": "flag" })
        );
        let first = &body["alerts"][0];
        assert_eq!(first["startsAt"], "2026-03-12T06:00:00Z");
        assert_eq!(first["endsAt"], NO_END);
        assert_eq!(first["labels"]["carrier_lane"], "sf:x");
        assert_eq!(first["annotations"]["buyer"], "张**");
        assert_eq!(first["fingerprint"], "5c8rt9");
        assert_eq!(first["generatorURL"], "https://sb.example/v/x");
        assert_eq!(body["alerts"][1]["startsAt"], "2026-03-12T06:20:00Z", "no better instant is known");
    }

    #[test]
    fn what_is_over_is_resolved_and_nothing_makes_it_fail() {
        let claim = claim_to("", Body { text: "已恢复".to_owned(), ..Body::default() });
        let own = json!({ "purpose": "cleared", "made_at": "2026-03-12T06:20:00Z" }).to_string();
        let body: Value = serde_json::from_slice(&convert(&own, &claim, "hook", Some("https://sb"))).unwrap();
        assert_eq!(body["status"], "resolved");
        assert_eq!(body["alerts"][0]["endsAt"], "2026-03-12T06:20:00Z");
        assert_eq!(body["alerts"][0]["annotations"]["description"], "已恢复");
        for own in ["", "[]", "{\"items\":3}"] {
            let body: Value = serde_json::from_slice(&convert(own, &claim, "hook", None)).unwrap();
            assert_eq!(body["alerts"].as_array().unwrap().len(), 1, "{own}");
        }
    }
}
