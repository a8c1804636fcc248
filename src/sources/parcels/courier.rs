//! What an aggregator's file offers: requests out, answers and pushes in, all without I/O.

use crate::core::ids::Secret;
use crate::sources::http::{Answer, Request};
use crate::sources::parcels::{Number, Trace};
use crate::sources::poll::Failure;

/// A courier aggregator, as it is configured.
pub trait Courier: Send + Sync + 'static {
    /// The question for one parcel.
    fn query(&self, number: &Number) -> Request;

    /// What it says of the parcel.
    ///
    /// # Errors
    /// It was refused, or the answer is none.
    fn read_query(&self, number: &Number, answer: &Answer) -> Result<Trace, Trouble>;

    /// Asks to be told whenever something happens to the parcel.
    fn subscribe(&self, number: &Number, hook: &Hook) -> Request;

    /// What came of that.
    ///
    /// # Errors
    /// As [`Courier::read_query`].
    fn read_subscribe(&self, answer: &Answer) -> Result<Submitted, Trouble>;

    /// What a push says of the parcel, once its signature is right. `body` is the very body that came.
    ///
    /// # Errors
    /// Why it is not taken.
    fn read_push(&self, number: &Number, body: &[u8], salt: &Secret) -> Result<Pushed, Refusal>;

    /// The answer to a push that the vendor wants to see.
    fn thanks(&self, taken: Result<(), &str>) -> String;
}

/// Where pushes of one parcel are to arrive, and what they are signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The address.
    pub url: String,
    /// The salt.
    pub salt: Secret,
}

/// Why nothing came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What.
    pub failure: Failure,
    /// Whose.
    pub of: Whose,
}

/// Whose trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The account's, or the way's: no other number would fare better.
    Account,
    /// This number's alone: others are asked on.
    Number,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble { failure, of: Whose::Account }
    }
}

/// What came of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is tracked from now on.
    Taken,
    /// It was tracked already.
    Already,
}

/// What a push says.
#[derive(Clone, Debug, PartialEq)]
pub struct Pushed {
    /// All that is known of the parcel: a push repeats the whole list.
    pub trace: Trace,
    /// Whether more will come.
    pub on: On,
}

/// Whether more pushes will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// They will.
    Yes,
    /// The parcel arrived, and tracking ended.
    Shutdown,
    /// The vendor gave up: nothing was seen for days.
    Abort,
    /// The vendor gave up on this carrier, and goes on with another by itself.
    Corrected,
}

/// Why a push is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its signature is wrong, or there is none.
    Signature,
    /// It is of another parcel than its address.
    Other,
    /// It is no push.
    Malformed(&'static str),
}

impl Refusal {
    /// The status of the answer.
    pub fn status(self) -> u16 {
        match self {
            Refusal::Signature => 401,
            Refusal::Other | Refusal::Malformed(_) => 400,
        }
    }

    /// In words, for the vendor's log and ours.
    pub fn reason(self) -> &'static str {
        match self {
            Refusal::Signature => "the signature is wrong",
            Refusal::Other => "the number is not the one of this address",
            Refusal::Malformed(what) => what,
        }
    }
}
