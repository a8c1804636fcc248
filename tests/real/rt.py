"""Request Tracker 5: a ticket is left unanswered there, we are rung; it is answered there, and it clears. What RT says is
due, by its own reckoning of business hours, is what we say is due."""

import json
import os
import time
from datetime import datetime, timedelta, timezone

from bench import ROOT, WORK, Program, Receiver, call, fail, say, until

BASE = f"http://127.0.0.1:{os.environ['RT_PORT']}/REST/2.0/"
ROOT_USER, BUYER = "root:rootpw", "buyer:buyerpw1"
TODAY = datetime.now(timezone(timedelta(hours=8)))
day = lambda n: (TODAY + timedelta(days=n)).strftime("%Y-%m-%d")

# The same promises as in rt_site.pm. Two of them fall due while this runs.
LEVELS = {"office": "60m", "evening": "10h", "weekend": "45m", "holidays": "25h", "now": "1m", "hours": "1m"}
OPEN_NOW = ("now", "hours")
CLOCKS = "".join(
    f"""
[[clock]]
name     = "sla_{name}"
on       = "ticket"
when     = {{ sla = ["{name}"] }}
start    = "customer_message"
stop     = "agent_reply"
target   = "{target}"
calendar = "rt-{name}"
ring     = ["due"]
"""
    for name, target in LEVELS.items()
)
CONFIG = f"""
include = ["{ROOT}/config/examples/rt.toml"]
{CLOCKS}
[[clock]]
name   = "ticket_reply"
on     = "ticket"
when   = {{ sla = ["office"] }}
start  = "customer_message"
stop   = "agent_reply"
target = "5s"
ring   = ["due"]

[calendars.rt-office]
tz     = "Asia/Shanghai"
weekly = {{ mon-fri = [["09:00", "18:00"]] }}
[calendars.rt-evening]
tz     = "Asia/Shanghai"
weekly = {{ daily = [["13:00", "21:30"]] }}
[calendars.rt-weekend]
tz     = "Asia/Shanghai"
weekly = {{ sat-sun = [["10:00", "16:00"]] }}
[calendars.rt-holidays]
tz        = "Asia/Shanghai"
weekly    = {{ daily = [["08:30", "17:15"]] }}
overrides = {{ "{day(1)}" = [], "{day(2)}" = [] }}
[calendars.rt-now]
tz     = "Asia/Shanghai"
weekly = {{ daily = [["{int(os.environ['OPEN_FROM']):02}:00", "{int(os.environ['OPEN_TO']):02}:59"]] }}
[calendars.rt-hours]
tz     = "Asia/Shanghai"
weekly = {{ daily = [["00:00", "24:00"]] }}
"""

call(BASE + "queue/1", {"SLADisabled": "0"}, ROOT_USER, "PUT")
call(BASE + "user", {"Name": "buyer", "EmailAddress": "buyer@x.test", "Password": "buyerpw1", "Privileged": "1"}, ROOT_USER)
receiver = Receiver()
program = Program(
    CONFIG,
    receiver,
    {
        "RT_PASSWORD": "rootpw",
        "SHIFTBELL__SOURCES__RT__HTTP__BASE": BASE,
        "SHIFTBELL__SOURCES__RT__HTTP__AUTH__BASIC__USER": "root",
    },
)
program.start()


def opened(level, subject):
    """A buyer opens a ticket."""
    ticket = {"Queue": "General", "Subject": subject, "Requestor": "buyer@x.test", "Content": "我的包裹呢", "SLA": level}
    return str(call(BASE + "ticket", ticket, BUYER)["id"])


def shown(ticket):
    return call(BASE + f"ticket/{ticket}", user=ROOT_USER)


def asked(ticket):
    """When the buyer wrote first: what RT counts from, which may be a second after the ticket was made."""
    page = call(BASE + f"ticket/{ticket}/history?fields=Type,Created", user=ROOT_USER)
    return next(item["Created"] for item in page["items"] if item["Type"] == "Create")


began = time.monotonic()
tickets = {level: opened(level, f"没收到货 {level}") for level in LEVELS}
left = tickets["office"]
rung = until("the bell of a ticket that nobody answers", 90, lambda: receiver.rung("ticket_reply", left))
say(f"ticket {left} was opened there and left: rung after {time.monotonic() - began:.1f} s, {rung['title'] or rung['rule']}")
created = asked(left)
if rung["since"] != created:
    fail(f"it counts from {rung['since']}, the buyer wrote at {created}")

for level in OPEN_NOW:
    ours = until(f"the bell of {level}", 150, lambda: receiver.rung(f"sla_{level}", tickets[level]))
    theirs = shown(tickets[level])["Due"]
    if ours["due"] != theirs:
        fail(f"{level}: ticket {tickets[level]} is due at {ours['due']} by us, at {theirs} by RT")
    say(f"{level:9} ticket {tickets[level]}: rung, due at {theirs} by RT and by us")

# The others fall due in hours or days: what the same engine says of the same tickets in virtual time.
history, signals = os.path.join(WORK, "history.jsonl"), os.path.join(WORK, "signals.jsonl")
with open(history, "w") as file:
    for level, ticket in tickets.items():
        event = {"at": asked(ticket), "source": "rt", "kind": "ticket", "id": ticket,
                 "event": "customer_message", "ref": "1", "attrs": {"sla": level}}
        file.write(json.dumps(event) + "\n")
program.verb("replay", "-c", program.config, history, "--signals", signals, "--until", day(40) + "T00:00:00Z")
with open(signals) as file:
    rows = [json.loads(line) for line in file]
for level, ticket in tickets.items():
    due = {row["due"] for row in rows if row["clock"] == f"sla_{level}" and row["case"]["id"] == ticket}
    theirs = shown(ticket)["Due"]
    if due != {theirs}:
        fail(f"{level}: ticket {ticket} is due at {due} by us, at {theirs} by RT")
    say(f"{level:9} ticket {ticket}: asked at {asked(ticket)}, due at {theirs} by RT and by us")

# Another word of the buyer begins nothing anew; the answer of an agent ends it.
call(BASE + f"ticket/{left}/correspond", {"Content": "有人吗", "ContentType": "text/plain"}, BUYER)
call(BASE + f"ticket/{left}/correspond", {"Content": "查到了,明天送达", "ContentType": "text/plain"}, ROOT_USER)
answered = time.monotonic()
until("its end", 60, lambda: receiver.cleared("ticket_reply", left))
say(f"ticket {left} was answered there: cleared after {time.monotonic() - answered:.1f} s")
still = tickets["now"]
if receiver.cleared("sla_now", still):
    fail(f"ticket {still} was not answered, and is told as cleared")
# The buyer writes again: another promise, another bell.
before = len(receiver.letters)
call(BASE + f"ticket/{left}/correspond", {"Content": "还是没到", "ContentType": "text/plain"}, BUYER)


def again():
    for letter in receiver.letters[before:]:
        for item in letter["items"]:
            if item["rule"] == "ticket_reply" and item["subject"].endswith(left) and letter["purpose"] in ("level", "reopened"):
                return item
    return None


item = until("the bell of the second question", 90, again)
say(f"ticket {left}: the buyer wrote again, rung again (episode {item['episode']})")
call(BASE + f"ticket/{still}", {"Status": "resolved"}, ROOT_USER, "PUT")
program.stop()
program.never_wrote(["rootpw", "cm9vdDpyb290cHc"])
blind = [i for l in receiver.letters for i in l["items"] if i["rule"].startswith("source.")]
if blind:
    fail(f"the source was said to be blind: {blind[0]}")
say(f"{len(receiver.letters)} messages, no secret in log or store")
