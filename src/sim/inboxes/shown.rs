//! What a person sees of a message in the app of its provider.

use serde::Serialize;

use crate::core::time::Instant;

/// How an app draws it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A bubble with a text.
    Text,
    /// A bubble with headings, quotes and links.
    Markdown,
    /// A card with a head and buttons.
    Card,
    /// A short message.
    Sms,
    /// A call: what is spoken.
    Call,
    /// A ring besides a message: no text of its own.
    Ring,
}

/// A button of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Button {
    /// What it says.
    pub label: String,
    /// Where it leads; empty where it calls back.
    pub url: String,
    /// What it sends back to us, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// A message as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The provider's own id of it; the same for a message that changes what it shows.
    pub id: String,
    /// The group, person, room or number it is shown to.
    pub to: String,
    /// How it is drawn.
    pub form: Form,
    /// Its title, where it has one.
    pub title: String,
    /// Its text.
    pub text: String,
    /// The colour of its head, as its app names it.
    pub colour: String,
    /// Its buttons.
    pub buttons: Vec<Button>,
    /// Whom it calls.
    pub calls: Vec<String>,
}

impl Shown {
    pub(super) fn new(id: String, to: &str, form: Form, title: &str, text: &str) -> Shown {
        Shown {
            id,
            to: to.to_owned(),
            form,
            title: title.to_owned(),
            text: text.to_owned(),
            colour: String::new(),
            buttons: Vec::new(),
            calls: Vec::new(),
        }
    }
}

/// A message that was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Counted from one.
    pub n: u64,
    /// When.
    pub at: Instant,
    /// In which app: the name of its adapter.
    pub app: &'static str,
    /// What.
    #[serde(flatten)]
    pub shown: Shown,
}
