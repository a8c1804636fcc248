//! `shiftbell demo`: the whole of it without an account: simulated shops, the real daemon with its real channels, and
//! simulated providers whose messages are drawn as their apps would, in a time that runs fast.

mod inbox;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tracing::error;

use crate::cli::run::{Job, work};
use crate::config::environment;
use crate::core::time::{Instant, Span};
use crate::daemon::time::{FastTime, SystemTime, TimeSource};
use crate::sim::inboxes::{HOOK, SECRET, kind};
use crate::sim::stand::{Stand, Trade};

use inbox::Inbox;

/// See it work: simulated shops, the real daemon, an inbox page with every message. No account, no server, nothing left
/// behind. Time runs fast: a shift of eight hours takes eight minutes.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(
    after_long_help = "What is shown is simulated: shops, buyers and people are made up, platforms are imitated from \
their published documents. The daemon, its rules and its messages are the real ones."
)]
pub struct DemoArgs {
    /// How many times as fast as in truth, 1 to 120.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=120))]
    speed: u32,
    /// The seed of the simulated world: the same seed, the same day.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Where everything of a demo lies, until it ends.
struct Folder(PathBuf);

impl Folder {
    fn make() -> anyhow::Result<Folder> {
        let path = std::env::temp_dir().join(format!("shiftbell-demo-{}", std::process::id()));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("failed to make the folder {}", path.display()))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing is left behind; what cannot be removed lies where the system cleans up.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// The demo begins on this day, at twenty to nine: platforms assess replies from nine on.
fn beginning(today: Instant) -> Instant {
    let china = jiff::tz::TimeZone::fixed(jiff::tz::offset(8));
    let day = today.to_timestamp().to_zoned(china.clone()).date();
    let zoned = day.at(8, 40, 0, 0).to_zoned(china);
    zoned.map_or(today, |zoned| Instant::from_timestamp(zoned.timestamp()))
}

/// Runs the verb.
///
/// # Errors
/// It cannot be started.
pub fn main(args: &DemoArgs, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<ExitCode> {
    let begin = beginning(SystemTime.read().wall);
    let time: Arc<dyn TimeSource> = Arc::new(FastTime::new(begin, args.speed));
    let folder = Folder::make()?;
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let asked_every = Span::from_secs(240);
    let trade = Trade {
        seed: args.seed,
        orders: 300,
        asked_every,
        days: 7,
        trouble: 5,
        outages: [None; 2],
        parcels: true,
    };
    let stand = Stand::open(here, 0, trade, begin).context("failed to open the simulated platforms")?;
    stand.write(&folder.0)?;
    let door = TcpListener::bind((here, 0)).context("failed to open the inbox")?;
    door.set_nonblocking(true)?;
    let inbox_at = door.local_addr()?;
    let main = folder.0.join("shiftbell.toml");
    std::fs::write(&main, settings(&format!("http://{inbox_at}/at")))?;

    let shops: Vec<_> =
        stand.addresses()?.into_iter().map(|(_, title, at)| format!("{title} http://{at}")).collect();
    let clock = Arc::clone(&time);
    let (theirs, pages): (crate::sim::stand::Clock, _) =
        (Arc::new(move || clock.read().wall), Inbox::new(Arc::clone(&time)));
    let job = Job {
        main,
        env: secrets(environment::whole()),
        time,
        own_address: true,
        greet: Box::new(|out, _, _, link| greet(out, args.speed, &inbox_at.to_string(), link, &shops)),
        begin: Box::new(move |daemon, _| {
            daemon.supervisor.start("inbox", Duration::from_secs(1), |stop| async move {
                if let Err(e) = pages.serve(door, stop).await {
                    error!(error = %e, "the inbox is gone");
                }
            });
            daemon.supervisor.start("platforms", Duration::from_secs(1), |stop| async move {
                if let Err(e) = stand.run(theirs, stop).await {
                    error!(error = %e, "the simulated platforms are gone");
                }
            });
        }),
    };
    let done = work(job, out, err);
    writeln!(out, "演示结束 / the demo is over: 未留下任何文件 / nothing is left behind")?;
    drop(folder);
    done
}

/// The channels of a demo, and the providers that are simulated behind them.
const CHANNELS: &[(&str, &str)] = &[
    ("group", "dingtalk_robot"),
    ("dingtalk", "dingtalk_app"),
    ("wecom", "wecom_app"),
    ("feishu", "feishu_app"),
    ("sms", "aliyun_sms"),
    ("voice", "aliyun_voice"),
];

/// The main file of a demo: what is inside the program, the simulated shops, and the way to the simulated providers.
fn settings(providers: &str) -> String {
    let section = |(channel, name): &(&str, &str)| {
        let text = kind(name).map(|kind| kind.section(channel, &format!("{providers}/{name}")));
        // Nobody pushes receipts here.
        text.unwrap_or_default().replace("receipts = \"pushed\"", "receipts = \"none\"")
    };
    let channels: Vec<String> = CHANNELS.iter().map(section).collect();
    format!(
        "include = [\"builtin:examples/demo.toml\", \"sources.toml\"]\n\n{}\n\
         [server]\nlisten = \"127.0.0.1:8460\"\n\n[store.sqlite]\npath = \"shiftbell.db\"\n",
        channels.join("\n"),
    )
}

/// What the simulated providers want to see: public, and good for nothing else.
fn secrets(mut env: BTreeMap<String, String>) -> BTreeMap<String, String> {
    env.insert("SIM_SECRET".to_owned(), SECRET.to_owned());
    env.insert("SIM_HOOK".to_owned(), HOOK.to_owned());
    env
}

fn greet(out: &mut dyn Write, speed: u32, inbox: &str, link: &str, shops: &[String]) -> std::io::Result<()> {
    writeln!(
        out,
        "值班铃 shiftbell 演示 / demo: 模拟世界 / a simulated world, {speed} 倍速 / times as fast"
    )?;
    writeln!(out, "  收件箱 / inbox     http://{inbox}/   ← 请打开 / open this")?;
    writeln!(out, "  服务 / daemon      {link}, 指标 / metrics {link}/metrics")?;
    for shop in shops {
        writeln!(out, "  模拟 / simulated   {shop}")?;
    }
    writeln!(out, "  停止 / stop        Ctrl-C, 不留文件 / nothing is left behind")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_settings;

    #[test]
    fn it_begins_in_the_morning_of_the_same_day() {
        for now in ["2026-03-12T16:30:00Z", "2026-03-13T15:59:59Z"] {
            assert_eq!(
                beginning(now.parse().unwrap()),
                "2026-03-13T08:40:00+08:00".parse().unwrap(),
                "{now}"
            );
        }
    }

    #[test]
    fn what_it_runs_is_a_good_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let now = "2026-03-13T08:40:00+08:00".parse().unwrap();
        let asked_every = Span::from_secs(60);
        let trade = Trade {
            seed: 1,
            orders: 10,
            asked_every,
            days: 1,
            trouble: 0,
            outages: [None; 2],
            parcels: true,
        };
        let stand = Stand::open(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, trade, now).unwrap();
        stand.write(folder.path()).unwrap();
        let main = folder.path().join("shiftbell.toml");
        std::fs::write(&main, settings("http://127.0.0.1:9/at")).unwrap();
        let env = secrets(environment::whole());
        let ready = load_settings(&main, &env, Some(now)).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(ready.settings.channels.len(), CHANNELS.len(), "every channel is one that there is");
        assert!(ready.settings.sources.contains_key("pdd-flagship"), "{:?}", ready.settings.sources.keys());
        let made = ready.settings.sources["pdd-flagship"].platform("pdd-flagship", &environment::whole());
        assert!(made.is_ok(), "{:?}", made.err());
    }

    #[test]
    fn its_folder_is_gone_when_it_ends() {
        let folder = Folder::make().unwrap();
        let path = folder.0.clone();
        std::fs::write(path.join("a"), "b").unwrap();
        drop(folder);
        assert!(!path.exists());
    }
}
