//! The texts of messages (`delivery_semantics` §10.7): templates of the house, which a folder of the user's own overrides
//! file by file. What people wrote is escaped for its channel and masked; a text too long is cut at items; a template
//! that fails gives way to the minimal text, which cannot.

mod builtin;
mod check;
mod data;
mod minimal;
mod samples;
mod sandbox;
mod view;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use minijinja::Environment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::channels::{Markup, adapter};
use crate::core::alerting::{Letter, RenderFault, Renderer};
use crate::core::model::{Body, ChannelCard, ChannelClass, Language, Purpose};
use crate::core::problem::Problems;

pub use check::TemplateFault;
pub use samples::canary;
pub use words::Words;

use view::{Fit, View};

/// `[templates]`: the texts of messages (消息模板).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TemplatesConfig {
    /// A folder with files that take the place of those inside the program: `zh-CN/incident/chat.txt`. What is not there
    /// stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}

impl TemplatesConfig {
    /// Takes a relative folder as seen from `folder`, the one of the file that names it.
    pub fn rebase(&mut self, folder: &Path) {
        if let Some(own) = &mut self.folder {
            *own = folder.join(&*own).display().to_string();
        }
    }

    /// Renders every template with sample letters, and notes everything that is wrong, each with its file and line.
    pub fn check(&self, problems: &mut Problems) {
        // Those inside the program are checked by a test.
        let Some(folder) = &self.folder else { return };
        problems.within("folder", |problems| {
            let folder = Path::new(folder);
            if !folder.is_dir() {
                problems.error(format!("found no folder at {}", folder.display()));
                return;
            }
            for fault in Templates::load(Some(folder)).check() {
                if fault.refused {
                    problems.error(fault.to_string());
                } else {
                    problems.warn(fault.to_string());
                }
            }
        });
    }
}

/// All languages, in the order of their folders.
const LANGUAGES: [(Language, &str); 2] = [(Language::Zh, "zh-CN"), (Language::En, "en")];

/// The forms that a text has, by the class of the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Chat,
    Sms,
    Mail,
    Webhook,
}

impl Form {
    fn of(class: ChannelClass) -> Form {
        match class {
            ChannelClass::ChatApp | ChannelClass::ChatRobot => Form::Chat,
            ChannelClass::Sms | ChannelClass::Voice => Form::Sms,
            ChannelClass::Email => Form::Mail,
            ChannelClass::Webhook => Form::Webhook,
        }
    }

    fn file(self) -> &'static str {
        match self {
            Form::Chat => "chat.txt",
            Form::Sms => "sms.txt",
            Form::Mail => "mail.txt",
            Form::Webhook => "webhook.txt",
        }
    }

    fn markup(self, card: &ChannelCard) -> Markup {
        match self {
            Form::Sms => Markup::Sms,
            Form::Mail => Markup::Plain,
            // The table knows what each IM makes of a text; one that it does not know is taken for the worst.
            Form::Chat => adapter(&card.adapter).map_or(Markup::Markdown, |a| a.markup),
            Form::Webhook => Markup::Plain,
        }
    }
}

/// Which of the families of templates a letter is written with.
fn family(letter: &Letter<'_>) -> &'static str {
    match letter.purpose {
        Purpose::Canary => "canary",
        Purpose::SilenceEnding => "silence",
        Purpose::StormOpened | Purpose::StormUpdate | Purpose::StormOver if letter.storm.is_some() => "storm",
        _ if letter.total != 1 || letter.items.len() != 1 => "digest",
        Purpose::Digest => "digest",
        Purpose::Cleared | Purpose::Corrected => "over",
        _ => "incident",
    }
}

/// Texts longer than this are a mistake whatever the channel.
const LONGEST: usize = 256 * 1024;

/// The templates of every language, compiled.
pub struct Templates {
    languages: BTreeMap<&'static str, Set>,
    /// What was wrong with files of the folder; those of the program took their place.
    faults: Vec<TemplateFault>,
}

/// One language.
struct Set {
    environment: Environment<'static>,
    words: Words,
    /// The user's own files, by the names that they take the place of.
    own: BTreeMap<&'static str, String>,
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Templates").field("faults", &self.faults).finish_non_exhaustive()
    }
}

impl Default for Templates {
    fn default() -> Templates {
        Templates::load(None)
    }
}

impl Templates {
    /// The templates of the program, with those of `folder` over them. A file that cannot be used is told by
    /// [`Templates::check`], and the program's own takes its place.
    pub fn load(folder: Option<&Path>) -> Templates {
        let mut faults = Vec::new();
        let languages = LANGUAGES
            .into_iter()
            .map(|(_, name)| {
                let mut words = Words::builtin(name);
                let mut environment = sandbox::environment();
                let mut overridden = BTreeMap::new();
                for file in builtin::names() {
                    let own =
                        folder.and_then(|folder| check::read(&folder.join(name).join(file), &mut faults));
                    let accepted =
                        own.is_some_and(|(path, text)| match sandbox::add(&mut environment, file, text) {
                            Ok(()) => {
                                overridden.insert(file, path);
                                true
                            }
                            Err(fault) => {
                                faults.push(TemplateFault { file: path, ..fault });
                                false
                            }
                        });
                    if !accepted
                        && let Err(fault) = sandbox::add(&mut environment, file, builtin::text(name, file))
                    {
                        faults.push(fault);
                    }
                }
                if let Some((path, text)) =
                    folder.and_then(|f| check::read(&f.join(name).join("words.toml"), &mut faults))
                    && let Err((line, reason)) = words.overlay(&text)
                {
                    faults.push(TemplateFault { file: path, line, reason, refused: true });
                }
                (name, Set { environment, words, own: overridden })
            })
            .collect();
        if let Some(folder) = folder {
            check::strangers(folder, &mut faults);
        }
        Templates { languages, faults }
    }

    /// What things are called in messages of a language, the folder's own words included.
    pub fn words(&self, language: Language) -> Words {
        self.set(language).map(|set| set.words.clone()).unwrap_or_default()
    }

    fn set(&self, language: Language) -> Option<&Set> {
        let (_, name) = LANGUAGES.iter().find(|(l, _)| *l == language)?;
        self.languages.get(name)
    }

    /// The text with as many items as fit, each with everything; or with one item and as much of it as fits.
    fn fitting(&self, set: &Set, letter: &Letter<'_>, limit: usize) -> Result<Option<Body>, RenderFault> {
        let make = |fit: Fit| -> Result<Body, RenderFault> {
            Ok(with_data(self.attempt(set, letter, fit)?, letter, Some(set), fit))
        };
        let mut body = make(Fit::whole(letter.items.len().max(1)))?;
        if size(&body) <= limit {
            return Ok(Some(body));
        }
        // A text grows evenly with its items: each look lands near the last item that fits. One item less at a time, a
        // digest of hundreds took seconds.
        let (mut best, mut fits, mut over) = (None, (0, 0), (letter.items.len().max(1), size(&body)));
        for look in 0.. {
            let between = over.0 - fits.0;
            if between <= 1 {
                break;
            }
            // Where items differ much, halves come to an end.
            let share = match look {
                0..6 => between.saturating_mul(limit - fits.1) / (over.1 - fits.1).max(1),
                _ => between / 2,
            };
            let items = (fits.0 + share).clamp(fits.0 + 1, over.0 - 1);
            body = make(Fit::whole(items))?;
            match size(&body) {
                size if size <= limit => {
                    fits = (items, size);
                    best = Some(body);
                }
                size => over = (items, size),
            }
        }
        if best.is_some() {
            return Ok(best);
        }
        for fit in Fit::STEPS {
            body = make(fit)?;
            if size(&body) <= limit {
                return Ok(Some(body));
            }
        }
        Ok(None)
    }

    fn attempt(&self, set: &Set, letter: &Letter<'_>, fit: Fit) -> Result<Body, RenderFault> {
        let family = family(letter);
        let form = Form::of(letter.card.class);
        let names = View::new(letter, &set.words, fit).names();
        let make = |file: &str, markup: Markup| {
            let name = format!("{family}/{file}");
            sandbox::render(&set.environment, &name, &names, markup, LONGEST).map_err(|fault| RenderFault {
                template: format!("{}:{}", fault.file, fault.line),
                reason: fault.reason,
            })
        };
        let markup = form.markup(letter.card);
        let one_line = |text: String| text.split('\n').map(str::trim).collect::<Vec<_>>().join(" ");
        Ok(Body {
            subject: match form {
                Form::Sms => None,
                _ => Some(one_line(lines(&make("subject.txt", Markup::Plain)?))),
            },
            text: lines(&make(form.file(), markup)?),
            html: match form {
                Form::Mail => Some(make("mail.html", Markup::Html)?),
                _ => None,
            },
            data: None,
        })
    }
}

/// Each line without the space around it, and without empty lines: the tags of a template leave such.
fn lines(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The structured form, for the channels that send data.
fn with_data(mut body: Body, letter: &Letter<'_>, set: Option<&Set>, fit: Fit) -> Body {
    body.data = match Form::of(letter.card.class) {
        Form::Webhook => Some(data::document(letter, &body, fit)),
        Form::Sms => Some(data::variables(letter, set.map(|s| &s.words))),
        Form::Chat => data::buttons(letter, set.map(|s| &s.words)),
        Form::Mail => None,
    };
    body
}

fn size(body: &Body) -> usize {
    let part = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    body.text.len().max(part(&body.html)).max(part(&body.data))
}

impl Renderer for Templates {
    fn render(&self, letter: &Letter<'_>) -> Result<Body, RenderFault> {
        let set = self.set(letter.language);
        let limit = letter.card.body_limit.unwrap_or(LONGEST).min(LONGEST);
        if let Some(set) = set.filter(|_| !letter.minimal)
            && let Some(body) = self.fitting(set, letter, limit)?
        {
            return Ok(body);
        }
        // Too long for every way of cutting it at items, or asked for: the minimal text.
        let text = minimal::text(letter, set.map(|s| &s.words), limit);
        let subject = match Form::of(letter.card.class) {
            Form::Sms => None,
            _ => Some(minimal::subject(letter, set.map(|s| &s.words))),
        };
        Ok(with_data(Body { subject, text, html: None, data: None }, letter, set, Fit::LEAST))
    }
}

#[cfg(test)]
mod tests;
