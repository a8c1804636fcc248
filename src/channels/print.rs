//! Texts on standard output, to see alerts without any account.

use std::future::Future;
use std::os::fd::AsFd;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::channels::http::detail;
use crate::channels::{Adapter, BuildError, BuildFault, Channel, Clock, Limits, Making, Markup};
use crate::core::alerting::Claim;
use crate::core::ids::mask_address;
use crate::core::model::{
    ChannelCard, ChannelClass, DuplicateKey, LinkRule, Outcome, OutcomeClass, ReceiptPath, ReplyPath,
};

/// The line of the table.
pub static ADAPTER: Adapter = Adapter {
    name: "print",
    about: "屏幕 / texts on standard output, for a first look",
    class: ChannelClass::Webhook,
    markup: Markup::Plain,
    chosen: |config| config.print.is_some(),
    check: |_, _| {},
    build: |config, making| {
        let made = std::io::stdout().as_fd().try_clone_to_owned().map_err(|e| BuildError {
            name: Arc::clone(&making.name),
            fault: BuildFault::Setting(format!("standard output cannot be used: {e}")),
        })?;
        Ok(Arc::new(Print::new(std::fs::File::from(made), config.max_inflight, making)))
    },
};

/// `[channels.NAME.print]`: texts on standard output (屏幕), for a first look. It has no settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrintConfig {}

impl PrintConfig {
    /// It has no paths.
    pub(crate) fn rebase(&mut self, _: &Path) {}
}

/// Standard output as a channel.
struct Print {
    card: ChannelCard,
    /// One text at a time. Written by the runtime's threads for files, so that a reader who stands still holds up
    /// nothing but this channel.
    out: Mutex<File>,
    limits: Limits,
    clock: Clock,
}

impl Print {
    fn new(out: std::fs::File, max_inflight: u16, making: &Making<'_>) -> Print {
        Print {
            card: ChannelCard {
                name: Arc::clone(&making.name),
                adapter: ADAPTER.name.into(),
                class: ChannelClass::Webhook,
                duplicate_key: DuplicateKey::None,
                receipts: ReceiptPath::None,
                reply: ReplyPath::None,
                body_limit: None,
                links: LinkRule::Any,
                lane_caps: Vec::new(),
                account_caps: Vec::new(),
                max_inflight,
            },
            out: Mutex::new(out.into()),
            limits: making.limits,
            clock: Arc::clone(&making.clock),
        }
    }

    async fn print(&self, claim: &Claim) -> Outcome {
        let to = match claim.address.as_str() {
            "" => claim.to.person.to_string(),
            address => format!("{} <{}>", claim.to.person, mask_address(address)),
        };
        let subject = claim.body.subject.as_deref().unwrap_or_default();
        let text = format!("──── {} → {to} {subject}\n{}\n\n", self.card.name, claim.body.text.trim_end());
        let writing = async {
            let mut out = self.out.lock().await;
            out.write_all(text.as_bytes()).await?;
            out.flush().await
        };
        match timeout(self.limits.budget(claim, &self.clock), writing).await {
            Ok(Ok(())) => Outcome::of(OutcomeClass::Accepted),
            Ok(Err(e)) => {
                Outcome { detail: Some(detail(&e.to_string())), ..Outcome::of(OutcomeClass::Config) }
            }
            Err(_) => Outcome::of(OutcomeClass::Unknown),
        }
    }
}

impl Channel for Print {
    fn card(&self) -> &ChannelCard {
        &self.card
    }

    fn send<'a>(&'a self, claim: &'a Claim) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>> {
        Box::pin(self.print(claim))
    }
}
