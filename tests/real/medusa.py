"""Medusa 2: an order and a return become cases with their marks; what is late rings, what is done clears."""

import json
import os
import subprocess
from datetime import datetime, timedelta

from bench import ROOT, WORK, Program, Receiver, call, fail, say, until

BASE = f"http://127.0.0.1:{os.environ['MEDUSA_PORT']}"
PASSWORD = os.environ["MEDUSA_PASSWORD"]
CONFIG = f"""
include = ["{ROOT}/config/examples/medusa.toml"]

[[clock]]
name   = "order_ship"
on     = "order"
start  = "created"
stop   = "shipped"
target = "5s"
ring   = ["due"]

[[clock]]
name   = "return_check"
on     = "aftersale"
start  = "return_requested"
stop   = "return_signed"
target = "5s"
ring   = ["due"]
"""
state = {}


def merchant(*steps):
    env = {**os.environ, "BASE": BASE, "STATE": json.dumps(state)}
    done = subprocess.run(["node", f"{ROOT}/tests/real/medusa.mjs", *steps], env=env, capture_output=True, text=True)
    if done.returncode != 0:
        fail(f"{steps}: {done.stderr[-600:]}")
    state.update(json.loads(done.stdout))


def later(text, seconds):
    at = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ") + timedelta(seconds=seconds)
    text = at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    return (text[:-4] if text.endswith(".000") else text) + "Z"


merchant("setup")
receiver = Receiver()
body = json.dumps({"email": "admin@x.test", "password": "{{ secret }}"})
program = Program(
    CONFIG,
    receiver,
    {
        "MEDUSA_PASSWORD": PASSWORD,
        "SHIFTBELL__SOURCES__MEDUSA__HTTP__BASE": BASE + "/",
        "SHIFTBELL__SOURCES__MEDUSA__HTTP__AUTH__LOGIN__REQUEST__BODY": body,
    },
)
program.start()
token = call(BASE + "/auth/user/emailpass", {"email": "admin@x.test", "password": PASSWORD})["token"]

merchant("order")
order = state["order"]
order_of = lambda: call(BASE + f"/admin/orders?id={order}&fields=id,display_id,status,payment_status,fulfillment_status,created_at,updated_at,canceled_at,*fulfillments", token=token)
rung = until("the bell of an order that is not shipped", 90, lambda: receiver.rung("order_ship", order))
created = order_of()["orders"][0]["created_at"]
if rung["due"] != later(created, 5):
    fail(f"due at {rung['due']}, made at {created}")
say(f"order {order}: made at {created}, due five seconds later, rung")
merchant("ship")
until("its end", 90, lambda: receiver.cleared("order_ship", order))
say("it was shipped there: cleared")
merchant("deliver", "return")
back = state["return"]
return_of = lambda: call(BASE + f"/admin/returns?id={back}", token=token)
rung = until("the bell of a return that nobody looks at", 90, lambda: receiver.rung("return_check", back))
requested = return_of()["returns"][0]["requested_at"]
if rung["due"] != later(requested, 5):
    fail(f"due at {rung['due']}, asked for at {requested}")
say(f"return {back}: asked for at {requested}, due five seconds later, rung")
merchant("receive")
until("its end", 90, lambda: receiver.cleared("return_check", back))
say("it was received there: cleared")
program.stop()

# All marks, by what the real server answers as a sample.
files = {}
for name, answer in (("orders", order_of()), ("returns", return_of())):
    files[name] = os.path.join(WORK, f"{name}.json")
    with open(files[name], "w") as file:
        json.dump(answer, file)
samples = os.path.join(WORK, "samples.toml")
with open(program.config) as file, open(samples, "w") as out:
    out.write(file.read())
    for name, path in files.items():
        out.write(f'\n[sources.medusa.http.lists.{name}]\nsample = "{path}"\n')
lines = program.check("--samples", config=samples).splitlines()
whole = lambda text: text.replace(".000Z", "Z")
full, gone = order_of()["orders"][0], return_of()["returns"][0]
parcel = full["fulfillments"][0]
for line, wants in (
    (f"order {order} ", [f"created={whole(full['created_at'])}", f"shipped[{parcel['id']}]={whole(parcel['shipped_at'])}",
                         f"delivered[{parcel['id']}]={whole(parcel['delivered_at'])}"]),
    (f"aftersale {back} ", [f"return_requested={whole(gone['requested_at'])}", f"return_signed={whole(gone['received_at'])}",
                            f'order="{order}"', 'status="received"']),
):
    found = next((l for l in lines if line in l), "")
    for want in wants:
        if want not in found.split():
            fail(f"expected {want} in: {found}")
    say(found)
program.never_wrote([PASSWORD, token])
say(f"{len(receiver.letters)} messages, no secret in log or store")
