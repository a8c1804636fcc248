//! What a failed request means, whatever the platform calls it (`platforms` 1.4), and what follows from it.

use std::fmt;

use crate::core::time::Span;

const ANSWERED: &str = "answered";

/// The classes of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Too many requests for a moment.
    Throttled,
    /// Too many for today.
    Quota,
    /// The token ran out.
    TokenExpired,
    /// The token is missing, or of another app or shop.
    TokenWrong,
    /// The merchant took the authorisation back.
    Revoked,
    /// The signature is wrong: the secret was changed, or the code is.
    Signature,
    /// Our time differs too much from theirs.
    Clock,
    /// The app may not do this.
    Permission,
    /// Our address is not on their list.
    IpList,
    /// The app is switched off.
    Disabled,
    /// A parameter is wrong.
    Parameter,
    /// There is no such method any more.
    Gone,
    /// Trouble of theirs, or of the way there.
    Transient,
    /// The answer is not what it should be.
    Malformed,
    /// A code that nobody has seen.
    Unseen,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Ask again, later and later.
    Again,
    /// Ask again a few times, then let the operator look.
    FewTimes,
    /// Ask less often.
    SlowDown,
    /// Get another token, then ask again.
    Refresh,
    /// Ask again with their time.
    SetClock,
    /// The merchant has to authorise again.
    Merchant,
    /// Whoever runs this has to change something.
    Operator,
}

impl Class {
    /// What requests end in, in metrics: an answer, or the class of what went wrong.
    pub const RESULTS: &[&str] = &{
        let mut words = [ANSWERED; Class::ALL.len() + 1];
        let mut place = 0;
        while place < Class::ALL.len() {
            words[place + 1] = Class::ALL[place].word();
            place += 1;
        }
        words
    };

    /// What a request ended in.
    pub fn result(failure: Option<&Failure>) -> &'static str {
        failure.map_or(ANSWERED, |failure| failure.class.word())
    }

    /// All of them.
    pub const ALL: [Class; 15] = [
        Class::Throttled,
        Class::Quota,
        Class::TokenExpired,
        Class::TokenWrong,
        Class::Revoked,
        Class::Signature,
        Class::Clock,
        Class::Permission,
        Class::IpList,
        Class::Disabled,
        Class::Parameter,
        Class::Gone,
        Class::Transient,
        Class::Malformed,
        Class::Unseen,
    ];

    /// Its word in metrics, logs and messages.
    pub const fn word(self) -> &'static str {
        match self {
            Class::Throttled => "throttled",
            Class::Quota => "quota",
            Class::TokenExpired => "token_expired",
            Class::TokenWrong => "token_wrong",
            Class::Revoked => "revoked",
            Class::Signature => "signature",
            Class::Clock => "clock",
            Class::Permission => "permission",
            Class::IpList => "ip_list",
            Class::Disabled => "disabled",
            Class::Parameter => "parameter",
            Class::Gone => "gone",
            Class::Transient => "transient",
            Class::Malformed => "malformed",
            Class::Unseen => "unseen",
        }
    }

    /// What follows.
    pub fn reaction(self) -> Reaction {
        match self {
            Class::Throttled => Reaction::SlowDown,
            Class::TokenExpired => Reaction::Refresh,
            Class::Clock => Reaction::SetClock,
            Class::Transient => Reaction::Again,
            Class::Malformed | Class::Unseen => Reaction::FewTimes,
            Class::TokenWrong | Class::Revoked => Reaction::Merchant,
            Class::Quota
            | Class::Signature
            | Class::Permission
            | Class::IpList
            | Class::Disabled
            | Class::Parameter
            | Class::Gone => Reaction::Operator,
        }
    }

    /// What has to be done, for people (`source.blind`).
    pub fn remedy(self) -> &'static str {
        match self {
            Class::TokenExpired | Class::TokenWrong | Class::Revoked => {
                "授权失效,请商家重新授权 / the merchant has to authorise again"
            }
            Class::Quota => "调用额度用尽 / the quota of the app is used up",
            Class::Signature => "签名被拒,检查密钥 / the signature is refused: check the secret",
            Class::Clock => "时间相差过大,检查时钟 / the clocks differ too much: check ours",
            Class::Permission => "应用无此接口权限 / the app may not call this",
            Class::IpList => "出口 IP 不在白名单 / our address is not on the platform's list",
            Class::Disabled => "应用被停用 / the app is switched off",
            Class::Parameter | Class::Gone => {
                "请求被拒,检查配置或升级 / the request is refused: check the configuration, or upgrade shiftbell"
            }
            Class::Malformed => "返回内容无法识别 / the answers cannot be read",
            Class::Throttled => "被限流 / the platform throttles us",
            Class::Transient | Class::Unseen => "接口不可用 / the interface cannot be reached",
        }
    }
}

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its class.
    pub class: Class,
    /// The platform's own code, or ours: a word without anything personal or secret.
    pub code: String,
    /// How long the platform asked us to wait.
    pub wait: Option<Span>,
}

impl Failure {
    /// A failure without a wish about when to come back. Of the code only letters that codes have are kept.
    pub fn new(class: Class, code: impl AsRef<str>) -> Failure {
        let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
        Failure { class, code: code.as_ref().chars().filter(fits).take(64).collect(), wait: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.class.word(), self.code)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_word_and_no_more() {
        let told = Failure::new(Class::Unseen, "isv.x\n张三 <b>").to_string();
        assert_eq!(told, "unseen (isv.xb)");
        assert_eq!(Failure::new(Class::Gone, "x".repeat(500)).code.len(), 64);
    }

    #[test]
    fn every_class_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<_> = Class::ALL.map(Class::word).into();
        assert_eq!(words.len(), Class::ALL.len());
    }
}
