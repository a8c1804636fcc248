//! What a lexicon file says. The tables are read from top to bottom: the first that matches counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::parcel::{Exception, Milestone};

/// A lexicon as it is written (`config/parcels/lexicon.toml`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LexiconConfig {
    /// Characters that are read as others.
    #[serde(default)]
    pub characters: CharactersConfig,
    /// Classes of words that phrases name as `{class}`.
    #[serde(default)]
    pub words: BTreeMap<String, Vec<String>>,
    /// What only sounds like something: nothing inside it is heard.
    #[serde(default)]
    pub harmless: Vec<HarmlessConfig>,
    /// What says that a problem is over.
    #[serde(default)]
    pub resolved: Vec<ResolvedConfig>,
    /// What is wrong, in this order.
    #[serde(default)]
    pub exception: Vec<ExceptionConfig>,
    /// Where the parcel is, in this order.
    #[serde(default)]
    pub milestone: Vec<MilestoneConfig>,
    /// Two ideas in one clause that together mean an exception.
    #[serde(default)]
    pub pair: Vec<PairConfig>,
    /// What is said beside the milestone.
    #[serde(default)]
    pub flag: Vec<FlagConfig>,
}

/// `[characters]`: two texts of one length; each character of the first is read as the one at its place in the second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CharactersConfig {
    /// Traditional characters (繁体).
    pub traditional: String,
    /// The simplified ones (简体).
    pub simplified: String,
}

/// How far what is harmless reaches beyond its phrase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// The phrase alone.
    #[default]
    Phrase,
    /// Up to the next comma, full stop or "but" (但).
    Clause,
    /// Up to the end of the sentence.
    Sentence,
}

/// What is not heard in something harmless.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mutes {
    /// Nothing is.
    #[default]
    All,
    /// It speaks of what is to come: where the parcel will be is not heard, what will go wrong is.
    Milestones,
    /// It is the name of a place: what is wrong is not heard, that it is a station is.
    Exceptions,
}

/// `[[harmless]]`: negations, conditions, forecasts, advertisements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HarmlessConfig {
    /// Its name in evidence.
    pub id: String,
    /// How far it reaches.
    #[serde(default)]
    pub to: Reach,
    /// What is not heard in it.
    #[serde(default)]
    pub mutes: Mutes,
    /// The phrases.
    pub phrases: Vec<String>,
}

/// `[[resolved]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolvedConfig {
    /// Its name in evidence.
    pub id: String,
    /// The phrases.
    pub phrases: Vec<String>,
}

/// `[[exception]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExceptionConfig {
    /// Its name in evidence: `X14`. One that was there before gets these phrases as well.
    pub id: String,
    /// What it means.
    pub is: Exception,
    /// It says that something is wrong and not what: a pair that says what goes before it.
    #[serde(default)]
    pub weak: bool,
    /// The phrases.
    pub phrases: Vec<String>,
}

/// `[[milestone]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MilestoneConfig {
    /// Its name in evidence: `M12`. One that was there before gets these phrases as well.
    pub id: String,
    /// What it means.
    pub is: Milestone,
    /// Its words stand in texts of other meanings too: pairs are looked at beside it.
    #[serde(default)]
    pub weak: bool,
    /// The phrases.
    pub phrases: Vec<String>,
}

/// `[[pair]]`: one word of each list in one clause, in any order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairConfig {
    /// Its name in evidence: `C09`. One that was there before gets these words as well.
    pub id: String,
    /// What it means.
    pub is: Exception,
    /// Words of the one idea.
    pub one: Vec<String>,
    /// Words of the other.
    pub other: Vec<String>,
}

/// What is said beside the milestone (`logistics` 1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// Called signed, though it only lies in a locker or station.
    ClaimedDelivered,
    /// The locker or station is the sender's.
    SenderSide,
}

impl Flag {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Flag::ClaimedDelivered => "claimed_delivered",
            Flag::SenderSide => "sender_side",
        }
    }
}

/// `[[flag]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagConfig {
    /// Its name in evidence.
    pub id: String,
    /// What it means.
    pub is: Flag,
    /// Only beside these milestones.
    pub at: Vec<Milestone>,
    /// The phrases.
    pub phrases: Vec<String>,
}
