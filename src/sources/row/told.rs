//! What the tests of all platforms share: answers as they arrive, and what was read of them as a line of text.

use std::fmt::Write as _;

use crate::core::model::{Observation, Value};
use crate::sources::http::Answer;
use crate::sources::platform::{Feed, Platform};

/// An answer with this body.
pub fn answer(body: impl Into<Vec<u8>>) -> Answer {
    Answer {
        status: 200,
        content_type: "application/json".to_owned(),
        body: body.into(),
        ..Answer::default()
    }
}

/// The list of this name.
pub fn feed_of(platform: &impl Platform, name: &str) -> Feed {
    platform.feeds().iter().find(|feed| feed.name == name).unwrap().clone()
}

/// What an observation says: its case, its marks and its attributes.
pub fn told(observation: &Observation<'_>) -> String {
    let mut text = format!("{} {} {}", observation.kind, observation.id, observation.as_of);
    for mark in &observation.marks {
        _ = write!(text, " {}={}", mark.name, mark.at);
    }
    for (name, value) in &observation.attributes {
        match value {
            Value::Text(value) => _ = write!(text, " {name}={value}"),
            Value::Int(value) => _ = write!(text, " {name}={value}"),
            other => _ = write!(text, " {name}={other:?}"),
        }
    }
    text
}
