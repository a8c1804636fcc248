//! The verbs that speak to the running program over its socket (RS7): what is open, and what people do about it.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use crate::cli::run::{main_file, socket_of};
use crate::config::{check_settings, environment};
use crate::console::client::Client;
use crate::core::time::{Instant, Span};

/// Where the running program is.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Reach {
    /// Its configuration, which names its socket; without it ./shiftbell.toml, or the one inside the program.
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Its socket, instead of the one that the configuration names.
    #[arg(long, value_name = "SOCKET")]
    pub socket: Option<PathBuf>,
}

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Acting {
    /// In whose name: somebody of `[people]`.
    #[arg(long = "as", value_name = "PERSON", required = true)]
    pub person: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the help of its arguments is the help of the verb")]
    pub reach: Reach,
}

/// List the incidents that are not resolved, the most urgent first (未结事件).
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct IncidentsArgs {
    /// Show all of them, not the first 50.
    #[arg(long)]
    pub all: bool,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the help of its arguments is the help of the verb")]
    pub reach: Reach,
}

/// How lists are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for people.
    Table,
    /// JSON.
    Json,
}

/// Say that somebody works on incidents (认领): nothing escalates while the ack holds.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct AckArgs {
    /// Ids, or their first characters (4 or more).
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the help of its arguments is the help of the verb")]
    pub acting: Acting,
}

/// Put an incident off (稍后): never past its deadline or the end of the shift.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct SnoozeArgs {
    /// Its id, or the first characters of it.
    #[arg(value_name = "ID")]
    pub id: String,
    /// For how long, such as 30m.
    #[arg(value_name = "SPAN")]
    pub span: Span,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the help of its arguments is the help of the verb")]
    pub acting: Acting,
}

/// Say that an incident is done (已解决).
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ResolveArgs {
    /// Its id, or the first characters of it.
    #[arg(value_name = "ID")]
    pub id: String,
    /// Why one may say so.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the help of its arguments is the help of the verb")]
    pub acting: Acting,
}

/// Let the next level know at once (升级).
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct EscalateArgs {
    /// Its id, or the first characters of it.
    #[arg(value_name = "ID")]
    pub id: String,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the help of its arguments is the help of the verb")]
    pub acting: Acting,
}

/// Say nothing of what matches, for a time (静默).
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum SilenceCommand {
    /// Begin a silence; what it covers stays recorded, and comes back when it ends.
    Add(SilenceArgs),
    /// End a silence before its time.
    End {
        /// Its id, as `add` printed it.
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "the help of its arguments is the help of the verb")]
        acting: Acting,
    },
}

/// What a silence covers.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct SilenceArgs {
    /// What it matches: `carrier=yto`, `family=parcel.stalled`; several values with commas. All must match.
    #[arg(long = "match", required = true, value_name = "NAME=VALUE")]
    pub matchers: Vec<String>,
    /// For how long from now, such as 2h.
    #[arg(long = "for", value_name = "SPAN")]
    pub span: Span,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// VIP and legal ones, too.
    #[arg(long)]
    pub covers_vip: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the help of its arguments is the help of the verb")]
    pub acting: Acting,
}

/// Let the running program go by its configuration as it is now; a bad one changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ReloadArgs {
    /// Only say what would change.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the help of its arguments is the help of the verb")]
    pub reach: Reach,
}

impl Reach {
    fn client(&self) -> Client {
        let socket = self.socket.clone().unwrap_or_else(|| {
            let main = main_file(self.config.as_deref());
            let checked = check_settings(&main, &environment::process(), None);
            let beside = || PathBuf::from("shiftbell-data/control.sock");
            checked.whole.as_ref().map_or_else(beside, socket_of)
        });
        Client::new(socket)
    }
}

/// Waits for one exchange with the running program.
fn ask<T>(asked: impl Future<Output = Result<T, crate::console::client::ClientError>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(asked)?)
}

/// `shiftbell incidents`
///
/// # Errors
/// The program does not answer, or `out` cannot be written.
pub fn incidents(args: &IncidentsArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let client = args.reach.client();
    let answer = match args.all {
        true => all(&client)?,
        false => ask(client.get("/v1/incidents?limit=50"))?,
    };
    if args.format == Format::Json {
        serde_json::to_writer_pretty(&mut *out, &answer)?;
        writeln!(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let list = answer.get("incidents").and_then(Value::as_array).or_else(|| answer.as_array());
    table(list.map(Vec::as_slice).unwrap_or_default(), out)?;
    Ok(ExitCode::SUCCESS)
}

/// Every open incident, page by page, the most urgent first.
fn all(client: &Client) -> anyhow::Result<Value> {
    const PAGE: usize = 1000;
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let answer = ask(client.get(&format!("/v1/incidents?limit={PAGE}&after={after}")))?;
        found.extend(answer.get("incidents").and_then(Value::as_array).cloned().unwrap_or_default());
        match answer.get("next").and_then(Value::as_str) {
            // Pages go by ids, which only rise.
            Some(next) if *next > *after => after = next.to_owned(),
            _ => break,
        }
    }
    let due = |i: &Value| i.get("due").and_then(Value::as_str).and_then(|due| Instant::parse(due).ok());
    found.sort_by_cached_key(|i| {
        let level = i.get("level").and_then(Value::as_u64).unwrap_or(0);
        (std::cmp::Reverse(level), due(i).unwrap_or(Instant::MAX))
    });
    Ok(serde_json::json!({ "incidents": found }))
}

fn table(list: &[Value], out: &mut impl Write) -> std::io::Result<()> {
    if list.is_empty() {
        return writeln!(out, "没有未结事件 / nothing is open");
    }
    let head = ["id", "L", "status", "family", "subject", "team", "due", "owner"].map(str::to_owned);
    let mut rows = vec![head.to_vec()];
    for incident in list {
        let text = |key: &str| incident.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        let subject = incident.get("subject");
        let of_subject = |key: &str| subject.and_then(|s| s.get(key)).and_then(Value::as_str).unwrap_or("");
        let marks = [("vip", "VIP"), ("unhandled", "!"), ("unverified", "?")];
        let marks = marks.iter().filter(|(key, _)| incident.get(key) == Some(&Value::Bool(true)));
        let marks: String = marks.map(|(_, mark)| format!(" {mark}")).collect();
        rows.push(vec![
            text("id").chars().take(6).collect(),
            incident.get("level").and_then(Value::as_u64).unwrap_or(0).to_string(),
            format!("{}{marks}", text("status")),
            text("family"),
            format!("{}/{}", of_subject("kind"), of_subject("id")),
            text("team"),
            Instant::parse(&text("due")).map_or_else(|_| String::new(), local),
            Some(text("acked_by")).filter(|who| !who.is_empty()).unwrap_or_else(|| text("owner")),
        ]);
    }
    let columns = rows[0].len();
    let widths: Vec<usize> =
        (0..columns).map(|c| rows.iter().map(|row| row[c].width()).max().unwrap_or(0)).collect();
    for row in &rows {
        let line: String = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell}{}  ", " ".repeat(width - cell.width())))
            .collect();
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn local(at: Instant) -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "what a person sees on their own terminal is in their own zone"
    )]
    let zone = TimeZone::system();
    at.to_timestamp().to_zoned(zone).strftime("%m-%d %H:%M:%S").to_string()
}

/// `shiftbell ack`
///
/// # Errors
/// The program does not answer, or says no; ids before that one are acked.
pub fn ack(args: &AckArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    for id in &args.ids {
        act(id, "ack", &json!({ "person": args.acting.person }), &args.acting, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `shiftbell snooze`
///
/// # Errors
/// The program does not answer, or says no.
pub fn snooze(args: &SnoozeArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let body = json!({ "person": args.acting.person, "span": args.span });
    act(&args.id, "snooze", &body, &args.acting, out)
}

/// `shiftbell resolve`
///
/// # Errors
/// The program does not answer, or says no.
pub fn resolve(args: &ResolveArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let body = json!({ "person": args.acting.person, "reason": args.reason });
    act(&args.id, "resolve", &body, &args.acting, out)
}

/// `shiftbell escalate`
///
/// # Errors
/// The program does not answer, or says no.
pub fn escalate(args: &EscalateArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let body = json!({ "person": args.acting.person, "reason": args.reason });
    act(&args.id, "escalate", &body, &args.acting, out)
}

fn act(id: &str, act: &str, body: &Value, acting: &Acting, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        bail!("found `{id}`, expected an incident's id, or 4 or more of its first characters");
    }
    let client = acting.reach.client();
    let answer = ask(client.post(&format!("/v1/incidents/{id}/{act}"), body))?;
    told(&answer, out)?;
    Ok(ExitCode::SUCCESS)
}

/// `shiftbell silence`
///
/// # Errors
/// The program does not answer, or says no.
pub fn silence(command: &SilenceCommand, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let answer = match command {
        SilenceCommand::Add(args) => {
            let mut matchers = serde_json::Map::new();
            for matcher in &args.matchers {
                let (name, values) = matcher
                    .split_once('=')
                    .with_context(|| format!("found `{matcher}`, expected NAME=VALUE such as carrier=yto"))?;
                matchers.insert(name.to_owned(), values.split(',').map(Value::from).collect());
            }
            let body = json!({
                "person": args.acting.person,
                "matchers": matchers,
                "reason": args.reason,
                "span": args.span,
                "covers_vip": args.covers_vip,
            });
            let client = args.acting.reach.client();
            ask(client.post("/v1/silences", &body))?
        }
        SilenceCommand::End { id, acting } => {
            let person = escaped(&acting.person);
            let client = acting.reach.client();
            ask(client.delete(&format!("/v1/silences/{}?person={person}", escaped(id))))?
        }
    };
    told(&answer, out)?;
    Ok(ExitCode::SUCCESS)
}

/// `shiftbell reload`
///
/// # Errors
/// The program does not answer, or the configuration is refused: then the old one stays.
pub fn reload(args: &ReloadArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let client = args.reach.client();
    let answer = ask(client.post("/v1/reload", &json!({ "dry_run": args.dry_run })))?;
    for line in answer.get("report").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    {
        writeln!(out, "{line}")?;
    }
    let revision = answer.get("revision").and_then(Value::as_u64).unwrap_or(0);
    match args.dry_run {
        true => writeln!(out, "试算,未生效 / only tried: revision {revision} stays in use")?,
        false => writeln!(out, "已生效 / in use: revision {revision}")?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What was done, a line each.
fn told(answer: &Value, out: &mut impl Write) -> std::io::Result<()> {
    if let Some(pending) = answer.get("pending").and_then(Value::as_str) {
        return writeln!(out, "{pending}");
    }
    if answer.get("repeated") == Some(&Value::Bool(true)) {
        writeln!(out, "已处理过 / answered before")?;
    }
    for done in answer.get("done").and_then(Value::as_array).into_iter().flatten() {
        let Some((what, details)) = done.as_object().and_then(|o| o.iter().next()) else { continue };
        let detail = |key: &str| details.get(key).and_then(Value::as_str).unwrap_or("");
        let id: String = match detail("incident") {
            "" => detail("silence").to_owned(),
            id => id.chars().take(6).collect(),
        };
        let at = |key: &str| Instant::parse(detail(key)).map_or_else(|_| String::new(), local);
        match what.as_str() {
            "acked" => writeln!(out, "{id} 已认领,至 {} / acked until then", at("until"))?,
            "has_owner" => {
                writeln!(out, "{id} 已由 {} 认领 / {} has it", detail("person"), detail("person"))?
            }
            "already_resolved" => writeln!(out, "{id} 已恢复 / resolved already")?,
            "snoozed" => writeln!(out, "{id} 已推迟至 {} / put off until then", at("until"))?,
            "resolved" => writeln!(out, "{id} 已解决 / resolved")?,
            "escalated" => writeln!(out, "{id} 已升级 / escalated to level {}", details["level"])?,
            "released" => writeln!(out, "{id} 已放回 / open again")?,
            "silenced" => writeln!(
                out,
                "{id} 静默至 {},覆盖 {} 个 / silent until then, covers {} now",
                at("until"),
                details["covers"],
                details["covers"]
            )?,
            "silence_ended" => writeln!(out, "{id} 静默结束 / the silence is over")?,
            other => writeln!(out, "{id} {other}")?,
        }
    }
    Ok(())
}

/// A text inside a query.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, b| {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.') {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_lines_up_whatever_its_letters_are() {
        let list = json!([
            { "id": "K7Q2ABCDEF", "level": 2, "status": "open", "family": "ticket.reply", "vip": true,
              "subject": { "kind": "ticket", "id": "T1" }, "team": "售后组", "owner": "xiaolin" },
            { "id": "0000000000", "level": 1, "status": "acked", "family": "parcel", "acked_by": "amin",
              "subject": { "kind": "parcel", "id": "P10001" }, "team": "a", "owner": "xiaolin" },
        ]);
        let mut out = Vec::new();
        table(list.as_array().unwrap(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].starts_with("K7Q2AB  2  open VIP  ticket.reply  ticket/T1"), "{text}");
        assert!(lines[2].contains("amin") && !lines[2].contains("xiaolin"), "{text}");
        let mut out = Vec::new();
        table(&[], &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("nothing is open"));
    }

    #[test]
    fn what_was_done_is_told() {
        for (done, want) in [
            (
                json!({ "acked": { "incident": "K7Q2ABCD", "until": "2026-03-02T10:00:00Z" } }),
                "K7Q2AB 已认领",
            ),
            (json!({ "has_owner": { "incident": "K7Q2ABCD", "person": "amin" } }), "amin has it"),
            (json!({ "escalated": { "incident": "K7Q2ABCD", "level": 3 } }), "level 3"),
            (json!({ "silenced": { "silence": "S1", "covers": 4 } }), "covers 4 now"),
        ] {
            let mut out = Vec::new();
            told(&json!({ "done": [done], "repeated": false }), &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(text.contains(want), "{text}");
        }
    }

    #[test]
    fn a_query_is_escaped() {
        assert_eq!(escaped("阿 b&c"), "%E9%98%BF%20b%26c");
    }
}
