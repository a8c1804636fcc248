//! The words of the reports, in Chinese and English.

use std::collections::BTreeMap;

use crate::cli::replay::rows::Outcome;

pub use crate::core::model::Language;

impl Language {
    /// The tag for HTML.
    pub const fn tag(self) -> &'static str {
        match self {
            Language::Zh => "zh-CN",
            Language::En => "en",
        }
    }

    /// The word for `key`. A key that nobody wrote down shows as itself, which a test keeps from happening.
    pub fn word(self, key: &'static str) -> &'static str {
        WORDS.iter().find(|(k, ..)| *k == key).map_or(key, |(_, zh, en)| self.pick(zh, en))
    }

    /// All words, for the page.
    pub(super) fn all(self) -> BTreeMap<&'static str, &'static str> {
        WORDS.iter().map(|(key, zh, en)| (*key, self.pick(zh, en))).collect()
    }

    fn pick(self, zh: &'static str, en: &'static str) -> &'static str {
        match self {
            Language::Zh => zh,
            Language::En => en,
        }
    }

    /// How an outcome is called.
    pub fn outcome(self, outcome: Outcome) -> &'static str {
        self.word(outcome.word())
    }

    /// Monday to Sunday.
    pub const fn weekdays(self) -> [&'static str; 7] {
        match self {
            Language::Zh => ["周一", "周二", "周三", "周四", "周五", "周六", "周日"],
            Language::En => ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
        }
    }
}

#[rustfmt::skip]
const WORDS: &[(&str, &str, &str)] = &[
    ("title", "回放报告", "Replay report"),
    ("subtitle", "用这份配置重放历史：承诺守住了多少，会提醒谁，什么时候。", "This configuration over recorded history: which promises held, who would be rung, and when."),
    ("config", "配置", "Configuration"),
    ("history", "历史", "History"),
    ("window", "时间范围", "Window"),
    ("zone", "时区", "Zone"),
    ("events", "条事件", "events"),
    ("rejected", "行被拒", "refused"),
    ("lines", "行", "lines"),
    ("used", "采用", "used"),
    ("attainment", "达成率", "Attainment"),
    ("of_decided", "项已判定承诺", "promises decided"),
    ("decided", "已判定", "Decided"),
    ("breaches", "超时", "Breaches"),
    ("breaches_note", "超时完成 + 超时未完成", "missed + still overdue"),
    ("still_overdue", "超时未完成", "Still overdue"),
    ("still_overdue_note", "回放结束时仍未处理", "at the end of the replay"),
    ("rings", "提醒", "Rings"),
    ("rings_note", "会发出的提醒", "that would have gone out"),
    ("at_risk", "有风险", "At risk"),
    ("at_risk_note", "已过首个提醒点，尚未到期", "first ring crossed, not yet due"),
    ("per_day", "平均每天 {n} 次", "{n} a day on average"),
    ("clock", "时钟", "Clock"),
    ("cycles", "承诺数", "Cycles"),
    ("met", "达成", "met"),
    ("missed", "超时完成", "missed"),
    ("overdue", "超时未完成", "overdue"),
    ("running", "进行中", "running"),
    ("paused", "暂停", "paused"),
    ("cancelled", "已取消", "cancelled"),
    ("superseded", "被取代", "superseded"),
    ("excused", "已豁免", "excused"),
    ("unreachable", "不可达", "unreachable"),
    ("open_cycles", "未结", "Open"),
    ("not_counted", "不计入", "Excluded"),
    ("backlog", "积压", "Backlog"),
    ("backlog_note", "回放结束时已开始、未结束", "begun and not ended at the end of the replay"),
    ("detection_lag", "发现延迟", "Detection lag"),
    ("detection_note", "从越过提醒点到记录下来，包括没有响的。", "From crossing a ring to recording it, rung or not."),
    ("goal", "目标", "goal"),
    ("by_clock", "各时钟达成率", "Attainment by clock"),
    ("by_clock_note", "达成 ÷（达成 + 超时完成 + 超时未完成）；进行中与不计入的承诺除外。", "met ÷ (met + missed + overdue); running and excluded cycles are left out."),
    ("goal_note", "竖线是目标。", "The upright line is the goal."),
    ("by_day", "达成率走势", "Attainment over time"),
    ("by_day_note", "按天；达成记在完成日，超时记在到期日。", "By day: a met promise counts on the day it was done, a broken one on the day it was due."),
    ("by_week_note", "按周（周一起）；达成记在完成日，超时记在到期日。", "By week from Monday: a met promise counts when it was done, a broken one when it was due."),
    ("breaches_below", "下方柱：超时数", "Bars below: breaches"),
    ("most", "最多", "most"),
    ("calendar", "每天的超时", "Breaches day by day"),
    ("calendar_note", "一格一天，颜色越深超时越多。", "One cell a day; the deeper the colour, the more breaches."),
    ("by_hour", "什么时候超时", "When promises break"),
    ("by_hour_note", "按到期时刻的星期与小时。", "By weekday and hour of the due time."),
    ("ages", "超时多久", "How late they were"),
    ("ages_note", "从到期到完成（或回放结束）的自然时间。", "Wall time from due to done, or to the end of the replay."),
    ("times", "处理用时", "Time to finish"),
    ("times_note", "最近秩百分位；工时只计营业时间，自然时间照墙钟。", "Nearest-rank percentiles; open time counts business hours only, wall time counts all."),
    ("open_time", "工时", "Open time"),
    ("wall_time", "自然时间", "Wall time"),
    ("first_reply", "首次响应", "First reply"),
    ("next_reply", "后续响应", "Next reply"),
    ("waited", "买家等待 · 工时", "Buyer waited · Open time"),
    ("doubtful", "存疑暂停 · 工时", "Doubtful pause · Open time"),
    ("overdue_by", "超时时长", "Overdue by"),
    ("mean", "平均", "mean"),
    ("max", "最长", "max"),
    ("worst", "最严重的个案", "Worst cases"),
    ("worst_note", "按超时的自然时间排序。", "By wall time past due."),
    ("case", "个案", "Case"),
    ("due", "到期", "Due"),
    ("end", "完成", "Done"),
    ("not_ended", "未完成", "not done"),
    ("shop", "店铺", "Shop"),
    ("assignee", "负责人", "Assignee"),
    ("shift", "班次", "Shift"),
    ("desk", "客服组", "Desk"),
    ("by_shift", "按班次", "By shift"),
    ("by_shift_note", "归到期那一刻的班次。", "The shift on duty at the due time."),
    ("by_shop", "按店铺", "By shop"),
    ("nobody", "（无）", "(none)"),
    ("rings_by_clock", "会发出的提醒", "What would ring"),
    ("rings_by_clock_note", "各时钟的各个提醒点。", "Each ring of each clock."),
    ("ring", "提醒点", "Ring"),
    ("count", "次数", "Count"),
    ("by_reason", "附注", "Reason"),
    ("rejects", "被拒的行", "Lines refused"),
    ("rejects_note", "只列前十行。", "The first ten."),
    ("no_rejects", "每一行都读懂了。", "Every line was understood."),
    ("file", "文件", "File"),
    ("line", "行号", "Line"),
    ("reason", "原因", "Reason"),
    ("source_data", "读了什么", "What was read"),
    ("nothing_decided", "这段时间没有已判定的承诺。", "No promise was decided in this window."),
    ("no_breaches", "没有超时。", "No promise was broken."),
    ("no_rings", "没有提醒。", "Nothing would have rung."),
    ("less", "少", "fewer"),
    ("more", "多", "more"),
    ("comparison", "配置对比", "Compared"),
    ("comparison_note", "同一段历史，两份配置：之前 → 之后。", "Two configurations over the same history, before → after:"),
    ("before", "之前", "Before"),
    ("after", "之后", "After"),
    ("both", "共有", "Both"),
    ("only_before", "仅之前", "Gone"),
    ("only_after", "仅之后", "New"),
    ("earlier", "提前", "Earlier"),
    ("later", "推后", "Later"),
    ("due_came_or_went", "有无变化", "Due came or went"),
    ("became_overdue", "变为超时", "Breaks now"),
    ("no_longer_overdue", "不再超时", "Holds now"),
    ("moved_due", "变动的到期时间", "Due times moved"),
    ("largest", "变动最大的到期时间", "Largest moves"),
    ("moved_by", "变动", "Moved by"),
    ("due_before", "原到期", "Due before"),
    ("due_after", "新到期", "Due after"),
    ("who_rings", "谁会被多提醒、少提醒", "Who would be rung more or less"),
    ("change", "变化", "Change"),
    ("made_by", "由 shiftbell replay 生成", "Made by shiftbell replay"),
    ("total", "合计", "Total"),
    ("quiet_clocks", "个时钟没有承诺开始计时，未列出。", "more clocks never started; they are not listed."),
    ("unchanged_clocks", "个时钟没有变化，未列出。", "more clocks are unchanged; they are not listed."),
    ("unchanged_rings", "个提醒点没有变化，未列出。", "more rings are unchanged; they are not listed."),
    ("late_title", "预计超时：预警准不准", "Parcels that will be late: how good the alarms are"),
    ("late_note", "边回放边学习，只用此前已知的事实；按真实结果打分。", "Learned while the history ran, from nothing later than the moment; scored by what really happened."),
    ("late_truth", "真实结果", "Truth"),
    ("late_scored", "计分包裹（下单于 {from} 起）", "parcels scored, ordered from {from} on"),
    ("late_late", "超时", "late"),
    ("late_never", "从未送达", "never delivered"),
    ("late_by_day", "按日计超时", "late by the day"),
    ("late_undecided", "承诺晚于历史结束，未计分", "not scored, promised after the end of the history"),
    ("late_rule", "规则", "Rule"),
    ("late_level", "阈值", "level"),
    ("late_alarms", "每千件预警", "per 1,000"),
    ("late_precision", "准确率", "Precision"),
    ("late_recall", "召回率", "Recall"),
    ("late_precision_by_day", "按日", "by day"),
    ("late_ahead", "≥{n} 天", "≥ {n}d"),
    ("late_lead", "距承诺 中位/四分位", "to promise p50/p25"),
    ("late_before_delivery", "距送达 中位/四分位", "to delivery p50/p25"),
    ("late_ahead_note", "≥n 天：超时包裹中，至少在承诺前 n 天预警的占比。承诺时刻之后的预警不计。", "≥ nd: of the late parcels, those named n days before the promise or earlier. Alarms after the promised instant do not count."),
    ("lateness", "学习的概率", "learned chance"),
    ("chance_alone", "仅看概率", "chance alone"),
    ("countdown_3d", "承诺前 3 天", "countdown of 3 days"),
    ("age_10d", "在途满 10 天", "age 10 days"),
    ("age_14d", "在途满 14 天", "age 14 days"),
    ("lane_p90", "超过线路 p90 时长", "lane p90 age"),
    ("lane_p95", "超过线路 p95 时长", "lane p95 age"),
    ("late_reasons", "预警由来", "Why they rang"),
    ("early", "提前确信", "nearly sure"),
    ("likely", "到判定时刻已达阈值", "likely when decided"),
    ("last_call", "最后提醒", "last call"),
    ("countdown", "尚无数据，倒计时", "countdown, nothing learned yet"),
    ("late_sweep", "阈值取舍", "The trade-off of the level"),
    ("late_sweep_note", "横轴：每千件预警；纵轴：提前 ≥3 天点名的超时包裹占比。每点一个阈值，右上更早、更吵。", "Across: alarms per 1,000 parcels. Up: late parcels named 3 days ahead or more. A dot a level; further right is louder."),
    ("late_calibration", "概率准不准", "How the chances were met"),
    ("late_calibration_note", "说 70% 会超时的包裹，确有七成超时才算准。", "Of the parcels given a chance of 70 %, seven of ten should be late."),
    ("late_days_before", "承诺前 {n} 天", "{n}d before"),
    ("late_chance", "预计", "said"),
    ("late_came", "实际", "came"),
    ("late_parcels", "包裹", "Parcels"),
    ("late_examples", "预警原文示例", "What an alarm says"),
    ("late_was_late", "后来超时", "was late"),
    ("late_was_not", "后来准时", "was in time"),
    ("heat_scale", "超时数", "breaches"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_there_once() {
        let mut keys: Vec<_> = WORDS.iter().map(|(key, ..)| *key).collect();
        keys.sort_unstable();
        let all = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), all);
        assert_eq!(Language::Zh.outcome(Outcome::Met), "达成");
        assert_eq!(Language::En.outcome(Outcome::Unreachable), "unreachable");
    }
}
