# SPDX-License-Identifier: MIT
"""Loads: each asks a proxy for a while, and says what came of it. A load counts only answers that are right: what is not
raises Wrong, and there is no figure."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from dataclasses import dataclass

from harness import Wrk

from servers import LOAD, SIZES, pinned

# What clients offer in TLS: one suite and one group, so that no server's taste decides about its cost.
OPENSSL_CONFIGURATION = """openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = clients
[clients]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_256_GCM_SHA384
Groups = X25519
"""


class Wrong(Exception):
    """A run that gave something else than was asked for."""


class Nothing(Wrong):
    """Nothing wrong, but not one answer was whole when the time was over."""


@dataclass
class Outcome:
    requests: int
    seconds: float
    bytes: int


class Files:
    """What load programs read, and where our own ones are."""

    def __init__(self, agents, programs):
        self.programs = programs
        self.directory = tempfile.mkdtemp(prefix="spillway-load-")
        for name, lines in agents.items():
            self.write(name, "\n".join(lines) + "\n")
        self.openssl = self.write("openssl.cnf", OPENSSL_CONFIGURATION)
        self.write("upload", "u" * 1024 * 1024)

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w") as out:
            out.write(text)
        return path

    def path(self, name):
        return os.path.join(self.directory, name)

    def close(self):
        shutil.rmtree(self.directory, ignore_errors=True)


AGENTS = """
requests, at = {{}}, 0
init = function(args)
  for line in io.lines("{path}") do
    local i = #requests
    local address = string.format("10.%d.%d.%d", math.floor(i / 40000), math.floor(i / 200) % 200, i % 200 + 1)
    requests[i + 1] = wrk.format("GET", "/", {{["User-Agent"] = line, ["Accept"] = "*/*", ["X-Forwarded-For"] = address}})
  end
end
request = function()
  at = at % #requests + 1
  return requests[at]
end
"""

# One request after the other, from `first` on; written by hand, as wrk.format costs more than all the rest.
ADDRESSES = """
local at, format, floor = {first} - 1, string.format, math.floor
local function one()
  at = (at + 1) % {count}
  return format("GET {target} HTTP/1.1\\r\\nHost: bench.example\\r\\nX-Forwarded-For: 10.%d.%d.%d\\r\\n\\r\\n",
    floor(at / 65536), floor(at / 256) % 256, at % 256)
end
request = function()
  local batch = {{}}
  for i = 1, {batch} do batch[i] = one() end
  return table.concat(batch)
end
"""

UPLOAD = """
wrk.method = "POST"
local file = io.open("{path}")
wrk.body = file:read("*a")
file:close()
"""


class WrkLoad:
    """wrk over kept connections; every answer must have this status, and this many bytes of body if it is 200."""

    def __init__(self, target="/", agents=None, upload=False, addresses=0, status=200, stragglers=0, connections=64, tls=False):
        self.target, self.agents, self.upload, self.addresses = target, agents, upload, addresses
        self.status, self.stragglers, self.connections, self.tls = status, stragglers, connections, tls
        self.asked = 0  # addresses come in turn over all runs

    def script(self, files):
        if self.agents:
            return AGENTS.format(path=files.path(self.agents))
        if self.upload:
            return UPLOAD.format(path=files.path("upload"))
        if self.addresses:
            return ADDRESSES.format(first=self.asked % self.addresses, count=self.addresses, target=self.target, batch=1)
        return ""

    def run(self, server, files, seconds):
        wrk = Wrk(server.port, max(1, round(seconds)), connections=self.connections, target=self.target, script=self.script(files),
                  prefix=self.prefix(files), scheme="https" if self.tls else "http", headers=("Host: bench.example",) if not self.agents else ())
        if seconds < 1:
            threading.Event().wait(seconds)
        report = wrk.stop() if seconds < 1 else wrk.result()
        refused = report["requests"] if self.status >= 400 else 0
        broken = [kind for kind in ("connect", "read", "write", "timeout") if report[kind]]
        if not report["requests"] and not broken:
            raise Nothing("wrk: no answer in time")
        if broken or not refused - self.stragglers <= report["status"] <= refused:
            raise Wrong(f"wrk: not {self.status} for each request: {report}")
        size = SIZES.get(self.target, 0) if not self.upload and self.status == 200 else 0
        if report["bytes"] < report["requests"] * size:
            raise Wrong(f"wrk: answers are shorter than {size} bytes: {report}")
        self.asked += report["requests"]
        return Outcome(report["requests"], report["seconds"], report["bytes"])

    def prefix(self, files):
        return (*pinned(LOAD), "env", f"OPENSSL_CONF={files.openssl}") if self.tls else pinned(LOAD)


class VisitorLoad:
    """A connection for each request (tests/bench/visitor.cc); `tls` is full or resumed."""

    def __init__(self, tls=None):
        self.tls = tls

    def run(self, server, files, seconds):
        words = {None: [], "full": ["tls"], "resumed": ["resumed"]}[self.tls]
        report = visitor(server, files, "visits", str(seconds), *words)
        if not report["visits"] and not report["wrong"]:
            raise Nothing("visitor: no answer in time")
        if report["wrong"] or report["resumed"] != (report["visits"] if self.tls == "resumed" else 0):
            raise Wrong(f"visitor: {report}")
        if self.tls and report["cipher"] != "TLS_AES_256_GCM_SHA384":
            raise Wrong(f"another cipher: {report}")
        return Outcome(report["visits"], report["seconds"], report["bytes"])


def visitor_command(server, files, *words):
    return [*pinned(LOAD), "env", f"OPENSSL_CONF={files.openssl}", os.path.join(files.programs, "bench_visitor"), words[0], str(server.port), *words[1:]]


def visitor(server, files, *words):
    done = subprocess.run(visitor_command(server, files, *words), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise Wrong(f"visitor: {done.stdout} {done.stderr}")
    return json.loads(done.stdout)


class H2Load:
    """h2load over TLS: `clients` connections, `streams` requests at once on each."""

    def __init__(self, clients=8, streams=10):
        self.clients, self.streams = clients, streams

    def run(self, server, files, seconds):
        done = subprocess.run([*pinned(LOAD), "env", f"OPENSSL_CONF={files.openssl}", "h2load", "-c", str(self.clients), "-m", str(self.streams),
                               "-D", f"{round(seconds * 1000)}ms", f"https://127.0.0.1:{server.port}/"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=120)
        counts = re.search(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", done.stdout)
        statuses = re.search(r"status codes: (\d+) 2xx", done.stdout)
        if not counts or "Application protocol: h2" not in done.stdout:
            raise Wrong(f"h2load: {done.stdout} {done.stderr}")
        finished, succeeded, *bad = map(int, counts.groups())
        if not finished and not any(bad):
            raise Nothing("h2load: no answer in time")
        if any(bad) or not finished == succeeded == int(statuses.group(1)):
            raise Wrong(f"h2load: {counts.group()}; {statuses.group()}")
        size = int(re.search(r"\((\d+)\) data", done.stdout).group(1))
        if size < finished * SIZES["/"]:
            raise Wrong(f"h2load: answers are shorter than {SIZES['/']} bytes: {done.stdout}")
        return Outcome(finished, seconds, size)


def fill(server, files, count, share=0.99, runs=60):
    """Requests of `count` clients in turn, which spillway answers by itself, until the limit's table holds nearly all of them.
    The table may drop some where many hashes meet."""
    asked = 0
    for _ in range(runs):
        script = ADDRESSES.format(first=asked % count, count=count, target="/fill", batch=20)
        report = Wrk(server.port, 1, connections=8, script=script, prefix=pinned(LOAD)).result()
        if report["status"] or not report["requests"]:
            raise Wrong(f"fill: {report}")
        asked += report["requests"]
        if asked >= count and server.server.api("/api/v1/limits")["limits"][0]["entries"] >= share * count:
            return
    raise Wrong(f"after {asked} requests of {count} clients: {server.server.api('/api/v1/limits')}")


class Held:
    """Connections that have had one answer each, and are idle."""

    def __init__(self, server, files, count, tls):
        self.process = subprocess.Popen(visitor_command(server, files, "hold", str(count), *(["tls"] if tls else [])), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        report = json.loads(self.process.stdout.readline() or "{}")
        if report.get("visits") != count or report["wrong"]:
            self.close()
            raise Wrong(f"held: {report}")

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()
