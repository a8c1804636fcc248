//! What a platform's file offers: requests out, answers in, both without I/O.

use serde::{Deserialize, Serialize};

use crate::core::engine::OpenCase;
use crate::core::ids::Secret;
use crate::core::model::Observation;
use crate::core::time::{Instant, Span};
use crate::sources::http::{Answer, Request};
use crate::sources::poll::{Ask, Facts, Failure, Rules};

/// A platform for one shop, as it is configured.
pub trait Platform: Send + Sync + 'static {
    /// The lists that it is asked for.
    fn feeds(&self) -> &[Feed];

    /// The request for a page of a list, signed at their time `at`.
    fn page(&self, feed: &Feed, ask: Ask, tokens: &Tokens, at: Instant) -> Request;

    /// The request for the page behind one that said `after` ([`More::After`](crate::sources::poll::More)): a cursor, or a
    /// link.
    fn page_after(&self, feed: &Feed, ask: Ask, after: &str, tokens: &Tokens, at: Instant) -> Request {
        let _ = after;
        self.page(feed, ask, tokens, at)
    }

    /// What a page says. Rows that cannot be used are counted in it; they are no failure.
    ///
    /// # Errors
    /// The platform refused, or the answer is no page.
    fn read_page(&self, feed: &Feed, ask: Ask, answer: &Answer) -> Result<Page, Failure>;

    /// The request for one case by its id.
    fn detail(&self, want: &Want, tokens: &Tokens, at: Instant) -> Request;

    /// What it says of the case.
    ///
    /// # Errors
    /// As [`Platform::read_page`].
    fn read_detail(&self, want: &Want, answer: &Answer) -> Result<Page, Failure>;

    /// What a case that is known is asked for with, to see how it stands now: nothing where the platform has no such
    /// method.
    fn looks(&self, case: &OpenCase) -> Vec<Want> {
        let _ = case;
        Vec::new()
    }

    /// What the platform calls the method that is asked for a case by such a word ([`Want::method`]).
    fn method(&self, word: &str) -> String {
        word.to_owned()
    }

    /// The request for other tokens; `None` where these cannot be renewed.
    fn renew(&self, tokens: &Tokens, at: Instant) -> Option<Request>;

    /// Other tokens are asked for so long before these end.
    fn renew_before(&self) -> Span {
        REFRESH_BEFORE
    }

    /// The tokens that came back.
    ///
    /// # Errors
    /// As [`Platform::read_page`].
    fn read_tokens(&self, answer: &Answer, at: Instant) -> Result<Tokens, Failure>;
}

/// A list of a platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Its name in cursors, logs and metrics: `orders`, `aftersale-2`.
    pub name: String,
    /// How it is read.
    pub rules: Rules,
    /// The lower, the sooner, where several are due (`platforms` 10.1, 9).
    pub rank: u8,
    /// It is read in every so many rounds.
    pub rounds: u32,
}

/// What an answer holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The cases.
    pub items: Vec<Item>,
    /// Rows that could not be used.
    pub rejects: Vec<Reject>,
    /// What the walk needs to know.
    pub facts: Facts,
}

/// A case as a platform shows it now.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What is known of it: one observation, or two where marks are of another revision.
    pub observations: Vec<Observation<'static>>,
    /// The list's own id of it.
    pub id: String,
    /// A digest of everything that matters here: the same again is no news (`platforms` 10.1, 5).
    pub digest: u64,
    /// When it was changed.
    pub modified: Instant,
    /// The next deadline of it, while somebody has to act.
    pub deadline: Option<Instant>,
    /// What is worth asking for by its id.
    pub want: Option<Want>,
    /// Fields that were there and could not be read; they are left out.
    pub odd: Vec<&'static str>,
}

/// A case to ask for by its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// What the platform needs to find it: the first is its own word for the method.
    pub ids: Vec<String>,
    /// When the case was changed: what is asked now says no less.
    pub modified: Instant,
}

impl Want {
    /// The word of the method that it is asked with.
    pub fn method(&self) -> &str {
        self.ids.first().map_or("", String::as_str)
    }
}

/// A row that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// A digest of the row (5.8): its text is not kept.
    pub digest: String,
    /// Why, as a lower-case fragment without anything of the row's own.
    pub reason: String,
}

/// What a platform is asked with in a shop's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// The token of each request.
    pub access: Secret,
    /// What gets another.
    pub refresh: Option<Secret>,
    /// Until when the one is good, where that is known.
    pub access_until: Option<Instant>,
    /// Until when the other is: then the merchant has to authorise again.
    pub refresh_until: Option<Instant>,
}

/// Another token is asked for so long before the old one ends.
pub const REFRESH_BEFORE: Span = Span::from_minutes(40);
