"""Request Tracker 5: a ticket is left unanswered there, we are rung; it is answered there, and it clears. What RT says is
due, by its own reckoning of business hours, is what we say is due."""

import os
import time
from datetime import datetime, timedelta, timezone

from bench import ROOT, WORK, Program, Receiver, call, fail, say, until

BASE = f"http://127.0.0.1:{os.environ['RT_PORT']}/REST/2.0/"
ROOT_USER, BUYER = "root:rootpw", "buyer:buyerpw1"
TODAY = datetime.now(timezone(timedelta(hours=8)))
day = lambda n: (TODAY + timedelta(days=n)).strftime("%Y-%m-%d")

# The same promises as in rt_site.pm. They ring at once, because the ring lies before everything; what is looked at is due.
LEVELS = {"office": "60m", "evening": "10h", "weekend": "45m", "holidays": "25h", "hours": "90m"}
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
ring     = ["{target} before"]
"""
    for name, target in LEVELS.items()
)
CONFIG = f"""
include = ["{ROOT}/config/examples/rt.toml"]
{CLOCKS}
[[clock]]
name   = "ticket_reply"
on     = "ticket"
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


began = time.monotonic()
tickets = {level: opened(level, f"没收到货 {level}") for level in LEVELS}
left = tickets["office"]
rung = until("the bell of a ticket that nobody answers", 90, lambda: receiver.rung("ticket_reply", left))
say(f"ticket {left} was opened there and left: rung after {time.monotonic() - began:.1f} s, {rung['title'] or rung['rule']}")
created = shown(left)["Created"]
if rung["since"] != created:
    fail(f"it counts from {rung['since']}, the buyer wrote at {created}")

for level, ticket in tickets.items():
    ours = until(f"the bell of {level}", 60, lambda: receiver.rung(f"sla_{level}", ticket))
    theirs = shown(ticket)["Due"]
    if ours["due"] != theirs:
        fail(f"{level}: ticket {ticket} is due at {ours['due']} by us, at {theirs} by RT")
    say(f"{level:9} ticket {ticket}: due at {theirs} by RT and by us")

# Another word of the buyer begins nothing anew; the answer of an agent ends it.
call(BASE + f"ticket/{left}/correspond", {"Content": "有人吗", "ContentType": "text/plain"}, BUYER)
call(BASE + f"ticket/{left}/correspond", {"Content": "查到了,明天送达", "ContentType": "text/plain"}, ROOT_USER)
answered = time.monotonic()
until("its end", 60, lambda: receiver.cleared("ticket_reply", left))
say(f"ticket {left} was answered there: cleared after {time.monotonic() - answered:.1f} s")
still = tickets["evening"]
if receiver.cleared("ticket_reply", still):
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
