"""What both drivers need: a receiver of webhooks, the program, and waiting for what is true in the end."""

import base64
import http.server
import json
import os
import subprocess
import threading
import time
import urllib.error
import urllib.request

WORK = os.environ["WORK"]
ROOT = os.environ["ROOT"]
SHIFTBELL = os.environ["SHIFTBELL"]


def fail(text):
    print(f"FAILED: {text}", flush=True)
    raise SystemExit(1)


def say(text):
    print(f"   {text}", flush=True)


def until(what, seconds, ask):
    """Waits for something to be true, a level and not an edge."""
    end = time.monotonic() + seconds
    while True:
        found = ask()
        if found:
            return found
        if time.monotonic() > end:
            fail(f"waited {seconds} s for {what}")
        time.sleep(0.2)


def call(url, body=None, user=None, method=None, token=None):
    headers = {"content-type": "application/json"}
    if user:
        headers["authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
    if token:
        headers["authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        fail(f"{url}: {error.code} {error.read()[:300]}")


class Receiver:
    """Every message that left, as it was sent."""

    def __init__(self):
        self.letters = []
        letters = self.letters

        class Hook(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                letters.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def item(self, rule, subject, purposes):
        """The first message of these purposes about a case."""
        for letter in list(self.letters):
            for item in letter["items"]:
                if item["rule"] == rule and item["subject"].endswith(subject) and letter["purpose"] in purposes:
                    return item
        return None

    def rung(self, rule, subject):
        return self.item(rule, subject, ("level", "prewarning"))

    def cleared(self, rule, subject):
        return self.item(rule, subject, ("cleared",))


# Everybody of the sample roster is reached by one hook.
PEOPLE = "".join(
    f"""
[people.{who}]
contact = [{{ channel = "hook" }}]
"""
    for who in ("xiaolin", "xiaochen", "amin", "zhou", "zhanzhang", "yunwei")
) + """
[channels.hook.webhook]
url = "http://127.0.0.1:@HOOK@/"

[alerting]
flap_window = "1s"
[alerting.group]
wait = { p0 = "0s", p1 = "200ms", p2 = "1s", p3 = "1s" }
most = 1
[alerting.storm]
count = 100000
[store.sqlite]
path = "@WORK@/data/shiftbell.db"
[server]
listen = "127.0.0.1:0"
"""


class Program:
    """shiftbell with a configuration that takes an example over as it is; only addresses are laid over it."""

    def __init__(self, text, receiver, env):
        text = text + PEOPLE.replace("@HOOK@", str(receiver.port)).replace("@WORK@", WORK)
        self.config = os.path.join(WORK, "shiftbell.toml")
        with open(self.config, "w") as file:
            file.write(text)
        self.env = {"PATH": os.environ["PATH"], **env}
        self.log = os.path.join(WORK, "shiftbell.log")
        self.process = None

    def verb(self, *arguments):
        done = subprocess.run([SHIFTBELL, *arguments], env=self.env, cwd=WORK, capture_output=True, text=True)
        if done.returncode != 0:
            fail(f"shiftbell {arguments[0]}: {done.stdout}{done.stderr}")
        return done.stdout

    def check(self, *flags, config=None):
        return self.verb("check", "--config", config or self.config, *flags)

    def start(self):
        say(self.check().splitlines()[-1])
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [SHIFTBELL, "run", "--config", self.config], env=self.env, cwd=WORK, stdout=log, stderr=log
            )

    def stop(self):
        self.process.terminate()
        if self.process.wait(30) != 0:
            fail("the program did not stop in good order")

    def never_wrote(self, secrets):
        """Nothing that it wrote has a secret in it."""
        for folder, _, files in os.walk(os.path.join(WORK, "data")):
            for name in files:
                with open(os.path.join(folder, name), "rb") as file:
                    content = file.read()
                for secret in secrets:
                    if secret.encode() in content:
                        fail(f"{name} holds a secret")
        with open(self.log) as file:
            content = file.read()
        for secret in secrets:
            if secret in content:
                fail("the log holds a secret")
