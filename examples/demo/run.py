#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Starts the demo shop with spillway in front, says what to try, and ends both on Ctrl-C. With --check it tries
all that itself, on free ports: the very lines it prints, in their order. It ends with 0 when each does what is said."""

import argparse
import os
import re
import signal
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))

# What to type, what is said of it, and what its output holds (an expression).
STEPS = [
    ("curl {site}", "the shop", r">Lamp<"),
    ("curl -i {site}crash", "500, without the stack trace", r"(?s)\AHTTP/1.1 500 (?!.*Traceback)"),
    ("curl -i {site}admin", "403: not from the office", r"\AHTTP/1.1 403 "),
    ("curl -i {site}.git/config", "404: a scanner's path", r"\AHTTP/1.1 404 "),
    ("curl -i -A 'GPTBot/1.2' {site}", "403: a crawler by its name", r"\AHTTP/1.1 403 "),
    ("for i in 1 2 3 4 5 6 7; do curl -so /dev/null -w '%{{http_code}} ' '{site}search?q=a'; done", "429 after the fifth",
     r"\A200 200 200 200 200 429 429 \Z"),
    ("kill -USR1 {pid}; sleep 1; curl -i '{site}search?q=a'", "503: search rests for everybody",
     r"(?s)\AHTTP/1.1 503 .*Search takes a rest"),
    ("kill -USR1 {pid}; sleep 5; curl -i '{site}search?q=a'", "200: it works again, once in 5 s for you",
     r"(?s)\AHTTP/1.1 200 .*Found for"),
    ("{spillway} ctl --admin {admin} toggle challenge-phones on --for 10m", "all that says it is a phone is challenged", r""),
    ("curl -i -A 'iPhone' -H 'Accept: text/html' {site}", "403, and a page; a browser goes on by itself",
     r"(?s)\AHTTP/1.1 403 .*/\.spillway/challenge"),
]

ABOUT = """
  spillway serves the demo shop at {site}
  its admin side is at             http://{admin}/  (metrics, /api/v1/status; loopback only)

  To try, one after the other:
"""


def steps(facts):
    """Each step's command with the ports of this run, what it shows, and the expression."""
    return [(command.format(**facts), says, holds) for command, says, holds in STEPS]


def invitation(facts):
    lines = [ABOUT.format(**facts)]
    lines += [f"  # {says}\n  {command}\n" for command, says, _ in steps(facts)]
    return "".join(lines) + "\n  Rules: examples/demo/demo.yaml. Ctrl-C ends it. The access log follows.\n"


def check(facts):
    """What went otherwise than said."""
    wrong = []
    for command, says, holds in steps(facts):
        done = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
        print(f"  {'as said' if done.returncode == 0 and re.search(holds, done.stdout) else 'NOT as said'}: {says}", flush=True)
        if done.returncode != 0 or not re.search(holds, done.stdout):
            wrong.append(f"{command}\n  should give: {says}\n  gave ({done.returncode}): {done.stdout[:500]}{done.stderr[-300:]}")
    return wrong


def addresses(checks):
    """Where to listen: any free port when it is a check, else as the environment says."""
    if checks:
        return "127.0.0.1:0", "127.0.0.1:0"
    return (os.environ.get("LISTEN", f":{os.environ.get('PORT', '8080')}"), f"127.0.0.1:{os.environ.get('ADMIN_PORT', '9901')}")


def started(spillway):
    """Passes on what it says until it serves; its port and its admin address, or None."""
    port = admin = None
    said = ""
    for line in spillway.stderr:
        sys.stderr.write(line)
        said += line
        if match := re.search(r"\blistening on (\S+)", line):
            port = match.group(1).rsplit(":", 1)[1]
        if match := re.search(r"\badmin on (\S+)", line):
            admin = match.group(1)
        if port and admin:
            return port, admin
    if "in use" in said:
        print("another program has that port; take others:  PORT=9000 ADMIN_PORT=9902 scripts/demo", file=sys.stderr)
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()

    app = subprocess.Popen([sys.executable, os.path.join(HERE, "app.py")], stdout=subprocess.PIPE, text=True)
    listen, admin = addresses(options.check)
    environment = {**os.environ, "SPILLWAY_UPSTREAM": f"127.0.0.1:{int(app.stdout.readline())}",
                   "SPILLWAY_LISTEN": listen, "SPILLWAY_ADMIN": admin}
    spillway = subprocess.Popen([options.binary, "run", "-c", os.path.join(HERE, "demo.yaml")], env=environment,
                                stderr=subprocess.PIPE, stdout=subprocess.DEVNULL if options.check else None, text=True)

    def end(*_):
        if spillway.poll() is None:
            spillway.send_signal(signal.SIGTERM)

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    try:
        where = started(spillway)
        if not where:
            return "spillway did not start; see above"
        threading.Thread(target=lambda: [sys.stderr.write(line) for line in spillway.stderr], daemon=True).start()
        facts = {"site": f"http://127.0.0.1:{where[0]}/", "admin": where[1], "pid": spillway.pid, "spillway": os.path.abspath(options.binary)}
        if not options.check:
            print(invitation(facts), flush=True)
            return spillway.wait()
        wrong = check(facts)
        end()
        code = spillway.wait(60)
        if wrong or code != 0:
            return "\n".join(wrong + ([f"spillway ended with {code}"] if code else []))
        print("the demo answers as it should")
        return 0
    finally:
        end()
        app.terminate()
        app.wait()


if __name__ == "__main__":
    sys.exit(main())
