//! The desk that the benches of the whole program run: its configuration, and events for it.

use super::live::rfc3339;

/// The configuration. `PORT` is where it listens; `HOOK` where messages go; `{CLOCKS}` and `{MORE}` are of each bench.
const CONFIG: &str = r#"
[desk]
id   = "bench"
zone = "Asia/Shanghai"

[[desk.shift]]
name = "all"
from = "00:00"
to   = "24:00"

[kinds.ticket]
closed = { status = ["closed"] }

{CLOCKS}

[people.lin]
name    = "林"
role    = "handler"
shifts  = ["all"]
contact = [{ channel = "hook" }, { channel = "mailbox", address = "lin@example.com" }]

[people.min]
name    = "敏"
role    = "senior"
shifts  = ["all"]
contact = [{ channel = "hook" }, { channel = "mailbox", address = "min@example.com" }]

[people.zhou]
name    = "周"
role    = "manager"
shifts  = ["all"]
contact = [{ channel = "hook" }, { channel = "mailbox", address = "zhou@example.com" }]

[channels.hook]
max_inflight = {INFLIGHT}
[channels.hook.webhook]
url = "http://127.0.0.1:{HOOK}/hook"
allow_private = true

[channels.mailbox.maildir]
path = "./mail"

[store.sqlite]
path = "./data/shiftbell.db"
backup_every = "0s"

[server]
listen = "127.0.0.1:PORT"
[server.limits]
connections_per_address = 1024
[server.tokens.bench]
token_file = "./token"
rate       = "10000000/s"

[server.tokens.ops]
token_file = "./ops"
role       = "operator"

[log]
level = "warn"

{ALERTING}
"#;

/// Who is told at the end, and of the system's own trouble.
pub const PEOPLE: &str = "[alerting]\nfallback = [\"zhou\"]\nadmins = [\"zhou\"]\n";

/// Each its own message: nothing waits for others, nothing shares a message, there are no storms.
pub const EACH_ALONE: &str = "[alerting.group]\nmost = 1\nwait = { p0 = \"0s\", p1 = \"0s\", p2 = \"0s\", p3 = \"60s\" }\n\
     [alerting.storm]\ncount = 0\n";

/// Levels that are out of reach, so that only the first is told.
pub const ONE_LEVEL: &str = "[alerting.family.ticket]\nlevels = [\"0s\", \"9h\", \"10h\"]\n";

/// A promise of so long for an answer, told when it is due.
pub fn reply(target: &str) -> String {
    format!(
        "[[clock]]\nname = \"ticket_reply\"\non = \"ticket\"\nstart = \"customer_message\"\nstop = \"agent_reply\"\n\
         target = \"{target}\"\nring = [\"due\"]\n"
    )
}

/// Two promises, as a desk has them: an answer, and a solution. Nothing of them is due for two days.
pub const TWO_PROMISES: &str = r#"
[[clock]]
name   = "ticket_reply"
on     = "ticket"
start  = "customer_message"
stop   = "agent_reply"
target = "48h"
ring   = ["50%", "5m before", "due", "10m after"]

[[clock]]
name   = "ticket_solved"
on     = "ticket"
start  = "opened"
stop   = "resolved"
pause  = { status = ["waiting_buyer"] }
target = "96h"
ring   = ["75%", "due"]
"#;

/// A configuration.
pub fn config(clocks: &str, alerting: &str, hook: u16, inflight: u16) -> String {
    CONFIG
        .replace("{CLOCKS}", clocks)
        .replace("{ALERTING}", alerting)
        .replace("{HOOK}", &hook.to_string())
        .replace("{INFLIGHT}", &inflight.to_string())
}

/// Ticket `n` asks something at `ms`.
pub fn asked(n: u64, ms: i64) -> String {
    let at = rfc3339(ms);
    format!(
        "{{\"at\":\"{at}\",\"source\":\"shop\",\"kind\":\"ticket\",\"id\":\"T{n:012}\",\"event\":\"customer_message\",\"ref\":\"m{n}\"}}\n"
    )
}

/// Ticket `n` of an important customer asks something at `ms`.
pub fn asked_by_vip(n: u64, ms: i64) -> String {
    let line = asked(n, ms);
    format!("{},\"attrs\":{{\"vip\":true}}}}\n", line.trim_end().trim_end_matches('}'))
}

/// Ticket `n` as a platform shows it: opened with a first message, four attributes.
pub fn snapshot(n: u64, opened_ms: i64, seen_ms: i64) -> String {
    let (opened, seen) = (rfc3339(opened_ms), rfc3339(seen_ms));
    format!(
        "{{\"at\":\"{seen}\",\"source\":\"tmall-flagship\",\"kind\":\"ticket\",\"id\":\"T{n:012}\",\
         \"marks\":[{{\"name\":\"opened\",\"at\":\"{opened}\"}},{{\"name\":\"customer_message\",\"ref\":\"m{n:010}\",\"at\":\"{opened}\"}}],\
         \"attrs\":{{\"status\":\"open\",\"shop\":\"flagship\",\"priority\":\"normal\",\"assignee\":\"kf{:03}\"}}}}\n",
        n % 200
    )
}
