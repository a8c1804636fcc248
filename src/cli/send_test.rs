//! `shiftbell send-test`: does a channel work?

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};

use super::replay::settings;
use crate::channels::render::{Templates, canary};
use crate::channels::{Channel, Limits, Making, build_one};
use crate::config::environment;
use crate::core::alerting::{Claim, Renderer};
use crate::core::ids::{Id, mask_address};
use crate::core::model::{Class, Lane, Outcome, OutcomeClass, PersonId, Recipient};
use crate::core::time::Instant;
use crate::daemon::time::{SystemTime, TimeSource};

/// Send one test message by a channel, and tell what it answered.
///
/// It uses the configured texts, secrets and time limits, but no store: nothing is kept, nothing is tried again. Exit
/// code: 0 when the channel took the message, 1 when it did not.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct SendTestArgs {
    /// The channel, as it is configured: `[channels.NAME]`.
    #[arg(value_name = "CHANNEL")]
    pub channel: String,
    /// The address on it: a mailbox, a number, a url. Not needed where the channel has one of its own.
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    pub to: String,
    /// The main file, or `builtin:NAME` for one inside the program.
    #[arg(long, short, value_name = "FILE", default_value = "shiftbell.toml")]
    pub config: PathBuf,
}

/// Sends it.
///
/// # Errors
/// A configuration with errors, no such channel, a channel that cannot be made, `out` or `err` that cannot be written.
pub fn main(args: &SendTestArgs, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<ExitCode> {
    let env = environment::process();
    let now = wall();
    let settings = settings(&args.config, err)?.settings;
    let Some(config) = settings.channels.get(&args.channel) else {
        let names: Vec<_> = settings.channels.keys().map(String::as_str).collect();
        let known = if names.is_empty() { "none is configured".to_owned() } else { names.join(", ") };
        bail!("found no channel `{}`, expected one of: {known}", args.channel);
    };
    let limits = Limits::from(&settings.alerting.send);
    let making =
        Making { env: &env, limits, clock: Arc::new(wall), name: args.channel.as_str().into(), way: None };
    let channel = build_one(&args.channel, config, &making)?;
    let zone = jiff::tz::TimeZone::get(&settings.desk.zone).context("desk.zone")?;
    let person: PersonId = "test".into();
    let title = settings.desk.title.clone().unwrap_or_else(|| settings.desk.id.clone());
    let templates = Templates::load(settings.templates.folder.as_ref().map(std::path::Path::new));
    let letter = canary(channel.card(), settings.desk.language, &zone, &person, &title, now);
    let claim = Claim {
        message: letter.message,
        attempt: 1,
        key: letter.message.to_string(),
        to: Recipient {
            person: Arc::clone(&person),
            lane: Lane { channel: Arc::clone(&channel.card().name), address: Id::from_bytes([0; 16]) },
            class: channel.card().class,
        },
        address: args.to.clone(),
        priority: Class::P3,
        body: templates.render(&letter).context("the text of the test message")?,
        deadline: now + settings.alerting.send.timeout,
        thread: letter.message,
    };
    let outcome = send(&*channel, &claim, limits.total)?;
    tell(args, &outcome, out)
}

fn wall() -> Instant {
    SystemTime.read().wall
}

fn send(channel: &dyn Channel, claim: &Claim, limit: Duration) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(async {
        match tokio::time::timeout(limit, channel.send(claim)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::of(OutcomeClass::Unknown),
        }
    }))
}

fn tell(args: &SendTestArgs, outcome: &Outcome, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let to = if args.to.is_empty() { String::new() } else { format!(" → {}", mask_address(&args.to)) };
    write!(out, "{}{to}: {}", args.channel, outcome.class.word())?;
    for part in [&outcome.code, &outcome.detail].into_iter().flatten() {
        write!(out, ", {part}")?;
    }
    if let Some(wait) = outcome.wait {
        write!(out, ", asks to wait {wait}")?;
    }
    writeln!(out)?;
    if let Some(advice) = advice(outcome.class) {
        writeln!(out, "{advice}")?;
    }
    let taken = outcome.class == OutcomeClass::Accepted;
    Ok(if taken { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What to do next.
fn advice(class: OutcomeClass) -> Option<&'static str> {
    Some(match class {
        OutcomeClass::Accepted => return None,
        OutcomeClass::Throttled | OutcomeClass::RecipientThrottled => {
            "发送过快,请稍后再试 / too fast: wait, then try again"
        }
        OutcomeClass::Transient => {
            "暂时不可用,请检查网络和对方服务 / it cannot be reached now: check the network and the server"
        }
        OutcomeClass::Unknown => "可能已送达,请向收件人确认 / it may have arrived: ask the recipient",
        OutcomeClass::Credential => {
            "账号或密钥不被接受,请检查密码、授权码或令牌 / the login was refused: check password, code or token"
        }
        OutcomeClass::Config => {
            "通道配置有误,请按提示修改 / the channel is set up wrongly: change what is told above"
        }
        OutcomeClass::RecipientPermanent => "收件地址无效 / the address is not good",
        OutcomeClass::ContentPermanent => "内容被拒绝 / the text was refused",
        OutcomeClass::NotSent => "未发送 / nothing was sent",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_was_not_taken_has_advice() {
        for class in OutcomeClass::ALL {
            assert_eq!(advice(class).is_none(), class == OutcomeClass::Accepted, "{class:?}");
        }
    }

    #[test]
    fn the_address_is_masked_and_the_exit_code_tells() {
        let args =
            SendTestArgs { channel: "ops".into(), to: "lin@example.com".into(), config: PathBuf::from("x") };
        let mut out = Vec::new();
        let outcome = Outcome { code: Some("250".into()), ..Outcome::of(OutcomeClass::Accepted) };
        assert_eq!(tell(&args, &outcome, &mut out).unwrap(), ExitCode::SUCCESS);
        assert_eq!(String::from_utf8(out).unwrap(), "ops → l***@example.com: accepted, 250\n");
        let mut out = Vec::new();
        assert_eq!(tell(&args, &Outcome::of(OutcomeClass::Credential), &mut out).unwrap(), ExitCode::FAILURE);
        assert!(String::from_utf8(out).unwrap().contains("授权码"));
    }
}
