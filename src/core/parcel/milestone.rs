//! Where in its life a parcel is (`logistics` 1.1), and what somebody reported as wrong (`logistics` 1.2). Two axes: never
//! one column.

use serde::{Deserialize, Serialize};

/// Where in its life a parcel is (包裹阶段).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Milestone {
    /// The number is known to us, and the carrier says nothing of it (无轨迹).
    #[default]
    NoTrace,
    /// It is declared, and nobody has scanned it (已下单, 待揽收).
    Registered,
    /// The carrier has it (已揽收).
    PickedUp,
    /// On its way between cities (运输中).
    InTransit,
    /// In the city or depot of the recipient (到达目的地).
    AtDestination,
    /// A courier carries it (派送中).
    OutForDelivery,
    /// An attempt ended without handing it over (派送失败).
    DeliveryFailed,
    /// In a locker or station: the recipient does not have it (待取件).
    AtPickupPoint,
    /// On its way back (退回中).
    Returning,
    /// The recipient, or somebody for them, has it (已签收).
    Delivered,
    /// Back with the shipper (已退回).
    Returned,
    /// The number is void (已取消).
    Cancelled,
    /// Says nothing of where it is.
    Unknown,
}

impl Milestone {
    /// All of them.
    pub const ALL: [Milestone; 13] = [
        Milestone::NoTrace,
        Milestone::Registered,
        Milestone::PickedUp,
        Milestone::InTransit,
        Milestone::AtDestination,
        Milestone::OutForDelivery,
        Milestone::DeliveryFailed,
        Milestone::AtPickupPoint,
        Milestone::Returning,
        Milestone::Delivered,
        Milestone::Returned,
        Milestone::Cancelled,
        Milestone::Unknown,
    ];

    /// Its word: the attribute `status` of a parcel, and the mark of what happened.
    pub fn word(self) -> &'static str {
        match self {
            Milestone::NoTrace => "no_trace",
            Milestone::Registered => "registered",
            Milestone::PickedUp => "picked_up",
            Milestone::InTransit => "in_transit",
            Milestone::AtDestination => "at_destination",
            Milestone::OutForDelivery => "out_for_delivery",
            Milestone::DeliveryFailed => "delivery_failed",
            Milestone::AtPickupPoint => "at_pickup_point",
            Milestone::Returning => "returning",
            Milestone::Delivered => "delivered",
            Milestone::Returned => "returned",
            Milestone::Cancelled => "cancelled",
            Milestone::Unknown => "unknown",
        }
    }

    /// Its name in the tables of `logistics` 1.1, and in what `shiftbell parcel classify` prints as JSON.
    pub fn name(self) -> &'static str {
        match self {
            Milestone::NoTrace => "NoTrace",
            Milestone::Registered => "Registered",
            Milestone::PickedUp => "PickedUp",
            Milestone::InTransit => "InTransit",
            Milestone::AtDestination => "AtDestination",
            Milestone::OutForDelivery => "OutForDelivery",
            Milestone::DeliveryFailed => "DeliveryFailed",
            Milestone::AtPickupPoint => "AtPickupPoint",
            Milestone::Returning => "Returning",
            Milestone::Delivered => "Delivered",
            Milestone::Returned => "Returned",
            Milestone::Cancelled => "Cancelled",
            Milestone::Unknown => "Unknown",
        }
    }

    /// What people call it.
    pub fn chinese(self) -> &'static str {
        match self {
            Milestone::NoTrace => "无轨迹",
            Milestone::Registered => "待揽收",
            Milestone::PickedUp => "已揽收",
            Milestone::InTransit => "运输中",
            Milestone::AtDestination => "到达目的地",
            Milestone::OutForDelivery => "派送中",
            Milestone::DeliveryFailed => "派送失败",
            Milestone::AtPickupPoint => "待取件",
            Milestone::Returning => "退回中",
            Milestone::Delivered => "已签收",
            Milestone::Returned => "已退回",
            Milestone::Cancelled => "已取消",
            Milestone::Unknown => "未知",
        }
    }

    /// How far it is: of events at one instant the lower comes first (`logistics` 5, F2).
    pub fn rank(self) -> u8 {
        match self {
            Milestone::NoTrace | Milestone::Unknown => 0,
            Milestone::Registered => 1,
            Milestone::PickedUp => 2,
            Milestone::InTransit => 3,
            Milestone::AtDestination => 4,
            Milestone::OutForDelivery | Milestone::DeliveryFailed => 5,
            Milestone::AtPickupPoint => 6,
            Milestone::Returning => 7,
            Milestone::Delivered => 8,
            Milestone::Returned | Milestone::Cancelled => 9,
        }
    }

    /// Whether the parcel itself was in somebody's hands (`logistics` 5, F8).
    pub fn is_physical(self) -> bool {
        !matches!(
            self,
            Milestone::NoTrace | Milestone::Registered | Milestone::Cancelled | Milestone::Unknown
        )
    }
}

/// What somebody reported as wrong (异常).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exception {
    /// 拒收.
    Refused,
    /// 地址或电话错误.
    AddressProblem,
    /// 联系不上.
    ContactFailed,
    /// 派送不成功.
    AttemptFailed,
    /// 客户改期.
    Rescheduled,
    /// 单位放假.
    BusinessClosed,
    /// 禁止进入.
    AccessRestricted,
    /// 到付, 代收货款.
    PaymentIssue,
    /// 超区.
    OutOfArea,
    /// 破损.
    Damaged,
    /// 丢失.
    Lost,
    /// 短少, 有单无货.
    ContentMismatch,
    /// 错分, 错发.
    Missort,
    /// 滞留.
    Stranded,
    /// 延误, 爆仓.
    CarrierDelay,
    /// 天气, 管制.
    ForceMajeure,
    /// 清关异常.
    CustomsHold,
    /// 违禁.
    Prohibited,
    /// 面单脱落.
    LabelProblem,
    /// 转寄, 改址.
    Forwarded,
    /// 拦截.
    Intercepted,
    /// 揽收失败.
    PickupFailed,
    /// 超时未取.
    PickupOverdue,
    /// 销单.
    Cancelled,
    /// 销毁, 弃件.
    Disposed,
    /// 疑难件: nobody said why.
    Unspecified,
}

impl Exception {
    /// All of them.
    pub const ALL: [Exception; 26] = [
        Exception::Refused,
        Exception::AddressProblem,
        Exception::ContactFailed,
        Exception::AttemptFailed,
        Exception::Rescheduled,
        Exception::BusinessClosed,
        Exception::AccessRestricted,
        Exception::PaymentIssue,
        Exception::OutOfArea,
        Exception::Damaged,
        Exception::Lost,
        Exception::ContentMismatch,
        Exception::Missort,
        Exception::Stranded,
        Exception::CarrierDelay,
        Exception::ForceMajeure,
        Exception::CustomsHold,
        Exception::Prohibited,
        Exception::LabelProblem,
        Exception::Forwarded,
        Exception::Intercepted,
        Exception::PickupFailed,
        Exception::PickupOverdue,
        Exception::Cancelled,
        Exception::Disposed,
        Exception::Unspecified,
    ];

    /// What people call it.
    pub fn chinese(self) -> &'static str {
        match self {
            Exception::Refused => "拒收",
            Exception::AddressProblem => "地址或电话错误",
            Exception::ContactFailed => "联系不上",
            Exception::AttemptFailed => "派送不成功",
            Exception::Rescheduled => "客户改期",
            Exception::BusinessClosed => "单位放假",
            Exception::AccessRestricted => "禁止进入",
            Exception::PaymentIssue => "到付或货款",
            Exception::OutOfArea => "超区",
            Exception::Damaged => "破损",
            Exception::Lost => "丢失",
            Exception::ContentMismatch => "短少或不符",
            Exception::Missort => "错分",
            Exception::Stranded => "滞留",
            Exception::CarrierDelay => "延误",
            Exception::ForceMajeure => "不可抗力",
            Exception::CustomsHold => "清关异常",
            Exception::Prohibited => "违禁",
            Exception::LabelProblem => "面单问题",
            Exception::Forwarded => "转寄",
            Exception::Intercepted => "拦截",
            Exception::PickupFailed => "揽收失败",
            Exception::PickupOverdue => "超时未取",
            Exception::Cancelled => "销单",
            Exception::Disposed => "销毁弃件",
            Exception::Unspecified => "疑难件",
        }
    }

    /// Its word: the attribute `exception` of a parcel.
    pub fn word(self) -> &'static str {
        match self {
            Exception::Refused => "refused",
            Exception::AddressProblem => "address_problem",
            Exception::ContactFailed => "contact_failed",
            Exception::AttemptFailed => "attempt_failed",
            Exception::Rescheduled => "rescheduled",
            Exception::BusinessClosed => "business_closed",
            Exception::AccessRestricted => "access_restricted",
            Exception::PaymentIssue => "payment_issue",
            Exception::OutOfArea => "out_of_area",
            Exception::Damaged => "damaged",
            Exception::Lost => "lost",
            Exception::ContentMismatch => "content_mismatch",
            Exception::Missort => "missort",
            Exception::Stranded => "stranded",
            Exception::CarrierDelay => "carrier_delay",
            Exception::ForceMajeure => "force_majeure",
            Exception::CustomsHold => "customs_hold",
            Exception::Prohibited => "prohibited",
            Exception::LabelProblem => "label_problem",
            Exception::Forwarded => "forwarded",
            Exception::Intercepted => "intercepted",
            Exception::PickupFailed => "pickup_failed",
            Exception::PickupOverdue => "pickup_overdue",
            Exception::Cancelled => "cancelled",
            Exception::Disposed => "disposed",
            Exception::Unspecified => "unspecified",
        }
    }

    /// Whether a later event of this milestone says that it is over (`logistics` 1.2). What only a person can close is
    /// never over here.
    pub fn is_over_at(self, milestone: Milestone) -> bool {
        use Milestone as M;
        let moved = milestone.is_physical();
        match self {
            Exception::Refused => matches!(milestone, M::Returning | M::Returned | M::Delivered),
            Exception::AddressProblem | Exception::AccessRestricted => {
                matches!(milestone, M::OutForDelivery | M::AtPickupPoint | M::Delivered)
            }
            Exception::ContactFailed
            | Exception::AttemptFailed
            | Exception::Rescheduled
            | Exception::BusinessClosed => {
                matches!(milestone, M::OutForDelivery | M::AtPickupPoint | M::Delivered)
            }
            Exception::OutOfArea => matches!(milestone, M::AtPickupPoint | M::Delivered),
            Exception::Missort => matches!(milestone, M::AtDestination | M::OutForDelivery | M::Delivered),
            Exception::Lost
            | Exception::Stranded
            | Exception::CarrierDelay
            | Exception::ForceMajeure
            | Exception::LabelProblem
            | Exception::Forwarded
            | Exception::PaymentIssue
            | Exception::CustomsHold
            | Exception::Unspecified => moved,
            Exception::Intercepted => milestone == M::Returned,
            Exception::PickupFailed => milestone == M::PickedUp,
            Exception::PickupOverdue => matches!(milestone, M::Delivered | M::Returning),
            Exception::Damaged
            | Exception::ContentMismatch
            | Exception::Prohibited
            | Exception::Cancelled
            | Exception::Disposed => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_milestone_has_a_word_of_its_own_that_reads_back() {
        let words: std::collections::BTreeSet<_> = Milestone::ALL.map(Milestone::word).into();
        assert_eq!(words.len(), Milestone::ALL.len());
        for milestone in Milestone::ALL {
            let text = format!("\"{}\"", milestone.word());
            assert_eq!(serde_json::from_str::<Milestone>(&text).ok(), Some(milestone), "{text}");
        }
    }

    #[test]
    fn every_exception_has_words_of_its_own_that_read_back() {
        let words: std::collections::BTreeSet<_> = Exception::ALL.map(Exception::word).into();
        let names: std::collections::BTreeSet<_> = Exception::ALL.map(Exception::chinese).into();
        assert_eq!((words.len(), names.len()), (Exception::ALL.len(), Exception::ALL.len()));
        for exception in Exception::ALL {
            let text = format!("\"{}\"", exception.word());
            assert_eq!(serde_json::from_str::<Exception>(&text).ok(), Some(exception), "{text}");
        }
    }

    #[test]
    fn an_exception_is_over_where_the_table_says_so() {
        use Exception as E;
        use Milestone as M;
        for (exception, milestone, over) in [
            (E::Refused, M::OutForDelivery, false),
            (E::Refused, M::Returning, true),
            (E::ContactFailed, M::OutForDelivery, true),
            (E::ContactFailed, M::InTransit, false),
            (E::Stranded, M::InTransit, true),
            (E::Stranded, M::Registered, false),
            (E::Damaged, M::Delivered, false),
            (E::PickupOverdue, M::Delivered, true),
        ] {
            assert_eq!(exception.is_over_at(milestone), over, "{exception:?} {milestone:?}");
        }
    }
}
