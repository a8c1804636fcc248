//! Mails as files in a Maildir, to see alerts without any account: any mail program reads it.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use lettre::message::Mailbox;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::channels::http::detail;
use crate::channels::mail::{mail, mailbox};
use crate::channels::{Adapter, BuildError, BuildFault, Channel, Clock, Limits, Making, Markup};
use crate::core::alerting::Claim;
use crate::core::model::{
    ChannelCard, ChannelClass, DuplicateKey, LinkRule, Outcome, OutcomeClass, ReceiptPath, ReplyPath,
};
use crate::core::problem::Problems;
use crate::core::time::Span;

/// The line of the table.
pub static ADAPTER: Adapter = Adapter {
    name: "maildir",
    about: "本机邮箱文件夹 / mails as files in a folder, for a first look",
    class: ChannelClass::Email,
    markup: Markup::Plain,
    chosen: |config| config.maildir.is_some(),
    check: |config, problems| config.maildir.iter().for_each(|maildir| maildir.check(problems)),
    build: |config, making| {
        let maildir = config.maildir.clone().unwrap_or_default();
        match Maildir::new(&maildir, config.max_inflight, making) {
            Ok(maildir) => Ok(Arc::new(maildir)),
            Err(fault) => Err(BuildError { name: Arc::clone(&making.name), fault }),
        }
    },
};

/// `[channels.NAME.maildir]`: mails as files, for a first look (本机邮箱).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaildirConfig {
    /// The folder; it is made, with `new`, `cur` and `tmp` in it.
    pub path: String,
    /// Who the mails are from.
    #[serde(default = "from")]
    pub from: String,
}

fn from() -> String {
    "shiftbell <shiftbell@localhost>".to_owned()
}

impl MaildirConfig {
    /// Takes a relative path as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.path = folder.join(&self.path).display().to_string();
    }

    /// Notes everything that is wrong.
    pub fn check(&self, problems: &mut Problems) {
        if self.path.trim().is_empty() {
            problems.within("path", |p| p.error("is empty, expected a folder"));
        } else if Path::new(&self.path).is_file() {
            problems
                .within("path", |p| p.error(format!("found a file at `{}`, expected a folder", self.path)));
        }
        if mailbox(&self.from).is_err() {
            problems.within("from", |p| {
                p.error(format!(
                    "found `{}`, expected a mailbox such as `shiftbell <a@example.com>`",
                    self.from
                ));
            });
        }
    }
}

/// A configured Maildir.
#[derive(Debug)]
struct Maildir {
    card: ChannelCard,
    folder: PathBuf,
    from: Mailbox,
    limits: Limits,
    clock: DebugClock,
}

/// A clock, in something that has to be printable.
struct DebugClock(Clock);

impl std::fmt::Debug for DebugClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl Maildir {
    fn new(config: &MaildirConfig, max_inflight: u16, making: &Making<'_>) -> Result<Maildir, BuildFault> {
        Ok(Maildir {
            card: ChannelCard {
                name: Arc::clone(&making.name),
                adapter: ADAPTER.name.into(),
                class: ChannelClass::Email,
                // A second copy has the name of the first and takes its place.
                duplicate_key: DuplicateKey::Strong { horizon: Span::DAY },
                receipts: ReceiptPath::None,
                reply: ReplyPath::None,
                body_limit: None,
                links: LinkRule::Any,
                lane_caps: Vec::new(),
                account_caps: Vec::new(),
                max_inflight,
            },
            folder: PathBuf::from(&config.path),
            from: mailbox(&config.from).map_err(|e| BuildFault::Setting(format!("from: {e}")))?,
            limits: making.limits,
            clock: DebugClock(Arc::clone(&making.clock)),
        })
    }

    async fn deliver(&self, claim: &Claim) -> Outcome {
        let claim = &with_mailbox(claim);
        let mail = match mail(claim, &self.from, self.from.email.domain(), (self.clock.0)()) {
            Ok(mail) => mail.formatted(),
            Err(fault) => {
                return Outcome {
                    detail: Some(fault.to_string()),
                    ..Outcome::of(OutcomeClass::RecipientPermanent)
                };
            }
        };
        let name = format!("{}.shiftbell", claim.message);
        let budget = self.limits.budget(claim, &self.clock.0);
        match timeout(budget, write(&self.folder, &name, &mail)).await {
            Ok(Ok(())) => Outcome { provider_id: Some(name), ..Outcome::of(OutcomeClass::Accepted) },
            Ok(Err(error)) => failed(&error),
            Err(_) => Outcome::of(OutcomeClass::Unknown),
        }
    }
}

/// An address that is no mailbox is a name on this machine.
fn with_mailbox(claim: &Claim) -> Claim {
    let mut claim = claim.clone();
    if !claim.address.contains('@') {
        let local: String = claim.address.chars().filter(char::is_ascii_alphanumeric).collect();
        claim.address = format!("{}@localhost", if local.is_empty() { "desk" } else { &local });
    }
    claim
}

fn failed(error: &io::Error) -> Outcome {
    let class = match error.kind() {
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::NotFound
        | io::ErrorKind::AlreadyExists => OutcomeClass::Config,
        _ => OutcomeClass::Transient,
    };
    Outcome { detail: Some(detail(&error.to_string())), ..Outcome::of(class) }
}

/// Writes aside, syncs, and moves it to its place: whoever looks sees a whole mail or none.
async fn write(folder: &Path, name: &str, mail: &[u8]) -> io::Result<()> {
    for part in ["tmp", "new", "cur"] {
        fs::create_dir_all(folder.join(part)).await?;
    }
    let (aside, place) = (folder.join("tmp").join(name), folder.join("new").join(name));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside).await?;
    file.write_all(mail).await?;
    file.sync_all().await?;
    fs::rename(&aside, &place).await?;
    File::open(folder.join("new")).await?.sync_all().await
}

impl Channel for Maildir {
    fn card(&self) -> &ChannelCard {
        &self.card
    }

    fn send<'a>(&'a self, claim: &'a Claim) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>> {
        Box::pin(self.deliver(claim))
    }
}
