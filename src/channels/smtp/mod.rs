//! Mail by a relay (`apis/channels` §19): lettre speaks SMTP, command by command, because what an interrupted attempt
//! means depends on how far it came: before the final dot nothing was taken, after it nobody can know.

mod answer;
mod config;
pub(crate) mod login;
mod session;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use lettre::message::Mailbox;

use crate::channels::mail::{MailFault, mail, mailbox};
use crate::channels::{
    Adapter, BuildError, BuildFault, Channel, ChannelConfig, Clock, Limits, Making, Markup,
};
use crate::core::alerting::Claim;
use crate::core::model::{
    ChannelCard, ChannelClass, DuplicateKey, LinkRule, Outcome, OutcomeClass, ReceiptPath, ReplyPath,
};

pub use config::{Security, SmtpConfig};

use session::Relay;

/// The line of the table.
pub static ADAPTER: Adapter = Adapter {
    name: "smtp",
    about: "邮件 / mail by an SMTP relay, over TLS",
    class: ChannelClass::Email,
    markup: Markup::Plain,
    chosen: |config| config.smtp.is_some(),
    check: |config, problems| config.smtp.iter().for_each(|smtp| smtp.check(problems)),
    build: |config, making| {
        let smtp = config.smtp.clone().unwrap_or_default();
        match Smtp::new(&smtp, config, making) {
            Ok(smtp) => Ok(Arc::new(smtp)),
            Err(fault) => Err(BuildError { name: Arc::clone(&making.name), fault }),
        }
    },
};

/// Mails are cut here: alerts stay small (§19).
const BODY_LIMIT: usize = 65_536;

/// A configured relay.
pub struct Smtp {
    card: ChannelCard,
    from: Mailbox,
    domain: String,
    relay: Relay,
    limits: Limits,
    clock: Clock,
}

impl Smtp {
    fn new(smtp: &SmtpConfig, config: &ChannelConfig, making: &Making<'_>) -> Result<Smtp, BuildFault> {
        let from = mailbox(&smtp.from).map_err(|e| BuildFault::Setting(format!("from: {e}")))?;
        let domain = smtp.message_domain(&from);
        Ok(Smtp {
            card: ChannelCard {
                name: Arc::clone(&making.name),
                adapter: ADAPTER.name.into(),
                class: ChannelClass::Email,
                // A stable Message-ID helps the client only (§10.3).
                duplicate_key: DuplicateKey::None,
                receipts: ReceiptPath::None,
                reply: ReplyPath::None,
                body_limit: Some(BODY_LIMIT),
                links: LinkRule::Any,
                lane_caps: Vec::new(),
                account_caps: Vec::new(),
                max_inflight: config.max_inflight,
            },
            relay: Relay::new(smtp, &domain, making)?,
            from,
            domain,
            limits: making.limits,
            clock: Arc::clone(&making.clock),
        })
    }

    async fn deliver(&self, claim: &Claim) -> Outcome {
        let mail = match mail(claim, &self.from, &self.domain, (self.clock)()) {
            Ok(mail) => mail,
            Err(fault) => {
                let class = match fault {
                    MailFault::Address => OutcomeClass::RecipientPermanent,
                    MailFault::Build(_) => OutcomeClass::ContentPermanent,
                };
                return Outcome { detail: Some(fault.to_string()), ..Outcome::of(class) };
            }
        };
        let Some(to) = mail.envelope().to().first().cloned() else {
            return Outcome::of(OutcomeClass::RecipientPermanent);
        };
        let budget = self.limits.budget(claim, &self.clock);
        self.relay.deliver(&self.from.email, &to, &mail.formatted(), claim.attempt, budget).await
    }
}

impl Channel for Smtp {
    fn card(&self) -> &ChannelCard {
        &self.card
    }

    fn send<'a>(&'a self, claim: &'a Claim) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>> {
        Box::pin(self.deliver(claim))
    }

    fn probe(&self) -> Option<Pin<Box<dyn Future<Output = Outcome> + Send + '_>>> {
        Some(Box::pin(self.relay.knock(self.limits.total)))
    }
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Smtp").field("card", &self.card).field("relay", &self.relay).finish_non_exhaustive()
    }
}
