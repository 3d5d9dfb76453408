#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Starts the demo shop with spillway in front, says what to try, and ends both on Ctrl-C. With --check it asks
a few of these things itself, on free ports, and ends with 0 when the answers are right."""

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))

TRY = """
  spillway serves the demo shop at {site}
  its admin side is at             {admin}  (metrics, /api/v1/status; loopback only)

  curl {site}                                      the shop
  curl -i {site}crash                              its stack trace, hidden
  curl -i {site}admin                              403: not from the office
  curl -i {site}.git/config                        404: a scanner's path
  curl -i -A 'GPTBot/1.2' {site}                   403: a crawler by its name
  for i in 1 2 3 4 5 6 7; do curl -so /dev/null -w '%{{http_code}} ' '{site}search?q=a'; done    429 after the fifth
  kill -USR1 {pid}; curl -i '{site}search?q=a'      search rests; once more and it works again
  {spillway} ctl --admin {admin_address} toggle challenge-phones on --for 10m
  curl -i -A 'iPhone' -H 'Accept: text/html' {site}     challenged; a browser solves it by itself

  Rules: examples/demo/demo.yaml. Ctrl-C ends it. The access log follows.
"""


def ask(url, agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"):
    request = urllib.request.Request(url, headers={"User-Agent": agent, "Accept-Language": "en"})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def check(site):
    wrong = []

    def expect(path, status, within="", without="", **more):
        got, text = ask(site + path, **more)
        if got != status or within not in text or (without and without in text):
            wrong.append(f"GET /{path}: {got}, expected {status}\n{text[:300]}")

    expect("", 200, within="Lamp")
    expect("product/2", 200, within="Chair")
    expect("crash", 500, without="Traceback")
    expect("admin", 403)
    expect(".git/config", 404)
    expect("", 403, agent="GPTBot/1.2")
    statuses = [ask(site + "search?q=a")[0] for _ in range(7)]
    if statuses != [200] * 5 + [429] * 2:
        wrong.append(f"seven searches: {statuses}")
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()

    app = subprocess.Popen([sys.executable, os.path.join(HERE, "app.py")], stdout=subprocess.PIPE, text=True)
    port = int(app.stdout.readline())
    listen = "127.0.0.1:0" if options.check else os.environ.get("LISTEN", f":{os.environ.get('PORT', '8080')}")
    environment = {**os.environ, "SPILLWAY_UPSTREAM": f"127.0.0.1:{port}", "SPILLWAY_LISTEN": listen,
                   "SPILLWAY_ADMIN": "127.0.0.1:0" if options.check else f"127.0.0.1:{os.environ.get('ADMIN_PORT', '9901')}"}
    spillway = subprocess.Popen([options.binary, "run", "-c", os.path.join(HERE, "demo.yaml")], env=environment,
                                stderr=subprocess.PIPE, stdout=subprocess.DEVNULL if options.check else None, text=True)

    def end(*_):
        if spillway.poll() is None:
            spillway.send_signal(signal.SIGTERM)

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    site = admin = None
    try:
        for line in spillway.stderr:
            sys.stderr.write(line)
            if match := re.search(r"\blistening on (\S+)", line):
                site = match.group(1).rsplit(":", 1)[1]
            if match := re.search(r"\badmin on (\S+)", line):
                admin = match.group(1)
            if site and admin:
                break
        if not (site and admin):
            return "spillway did not start; see above"
        follow = threading.Thread(target=lambda: [sys.stderr.write(line) for line in spillway.stderr], daemon=True)
        follow.start()
        url = f"http://127.0.0.1:{site}/"
        if options.check:
            wrong = check(url)
            end()
            code = spillway.wait(60)
            if wrong or code != 0:
                return "\n".join(wrong + ([f"spillway ended with {code}"] if code else []))
            print("the demo answers as it should")
            return 0
        print(TRY.format(site=url, admin=f"http://{admin}/", admin_address=admin, pid=spillway.pid, spillway=options.binary), flush=True)
        return spillway.wait()
    finally:
        end()
        app.terminate()
        app.wait()


if __name__ == "__main__":
    sys.exit(main())
