#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a request costs spillway, nginx and HAProxy: CPU microseconds (user and system, of all the proxy's processes)
over completed requests. Each proxy has one worker pinned to CPU 0; load and origin share CPU 1. Rounds go from one
proxy to the next, so that whatever else the machine does falls on all alike; medians are told, and the spread.

  keep-alive   1 KB from the origin over kept connections on both sides
  500 rules    the same, with 500 user-agent patterns (none matches) and a per-client limit (none is over),
               20,000 user agents and as many client addresses in turn
  refusal      the same rules; every user agent meets a pattern and gets 403
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]

import agents  # noqa: E402
from harness import Nginx, Spillway, Wrk, config, connect, eventually, free_port  # noqa: E402

PROXY, LOAD = "0", "1"
ROWS = ("keep-alive", "500 rules", "refusal")


def pinned(cpu):
    return ("taskset", "-c", cpu)


def family(pid):
    """A process and its children."""
    pids = [pid]
    for each in pids:
        for task in os.listdir(f"/proc/{each}/task"):
            with open(f"/proc/{each}/task/{task}/children") as children:
                pids += [int(child) for child in children.read().split()]
    return pids


def cpu_seconds(pid):
    ticks = 0
    for each in family(pid):
        with open(f"/proc/{each}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


class SpillwayProxy:
    def __init__(self, origin, rules):
        more = {"workers": 1, "access_log": "off", "clients": {"max_requests": 1_000_000_000, "trusted_proxies": ["127.0.0.0/8"]}}
        if rules:
            more.update(lists={"bots": agents.patterns()}, limits={"per-client": {"key": "client.address", "rate": "1000000/s", "burst": 1000000}},
                        rules=[{"name": "bots", "match": {"user_agent": {"regex": "$bots"}}, "action": "deny"},
                               {"name": "clients", "action": {"limit": "per-client"}}])
        self.server = Spillway(config(origin, **more), prefix=pinned(PROXY))
        self.port, self.pid = self.server.port, self.server.pid

    def close(self):
        self.server.close()


class NginxProxy:
    def __init__(self, origin, rules):
        http = f"upstream app {{ server 127.0.0.1:{origin}; keepalive 256; keepalive_requests 1000000000; }}"
        directives = "proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $host; " \
                     "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme; " \
                     "proxy_set_header X-Request-Id $request_id;"
        if rules:
            entries = "".join(f'"~*{pattern}" 1;' for pattern in agents.patterns())
            http += f"""
                map $http_user_agent $bot {{ default 0; {entries} }}
                limit_req_zone $binary_remote_addr zone=clients:32m rate=1000000r/s;
                set_real_ip_from 127.0.0.0/8; real_ip_header X-Forwarded-For;"""
            directives = f"if ($bot) {{ return 403; }} limit_req zone=clients burst=1000000 nodelay; {directives}"
        self.server = Nginx(f"location / {{ {directives} }}", http=http, main="pcre_jit on;", prefix=pinned(PROXY))
        self.port, self.pid = self.server.port, self.server.process.pid

    def close(self):
        self.server.close()


class HaproxyProxy:
    def __init__(self, origin, rules):
        self.directory = tempfile.mkdtemp(prefix="spillway-haproxy-")
        holder, self.port = free_port()
        holder.close()
        checks = ""
        if rules:
            with open(os.path.join(self.directory, "patterns"), "w") as out:
                out.write("\n".join(agents.patterns()) + "\n")
            checks = f"""
              stick-table type ip size 1m expire 60s store http_req_rate(10s)
              acl bot req.hdr(user-agent) -m reg -i -f {self.directory}/patterns
              http-request deny deny_status 403 if bot
              http-request track-sc0 req.hdr_ip(x-forwarded-for)
              http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 10000000 }}"""
        with open(os.path.join(self.directory, "haproxy.cfg"), "w") as out:
            out.write(textwrap.dedent(f"""
            global
              nbthread 1
              maxconn 4096
            defaults
              mode http
              timeout client 60s
              timeout server 60s
              timeout connect 5s
              option forwardfor
            frontend in
              bind 127.0.0.1:{self.port}
              unique-id-format %{{+X}}o%ci%cp%Ts%rt%pid
              unique-id-header X-Request-Id
              http-request set-header X-Forwarded-Proto http{checks}
              default_backend app
            backend app
              http-reuse always
              server app 127.0.0.1:{origin}
            """))
        self.process = subprocess.Popen([*pinned(PROXY), "haproxy", "-db", "-f", os.path.join(self.directory, "haproxy.cfg")],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.pid = self.process.pid

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        shutil.rmtree(self.directory, ignore_errors=True)


PROXIES = {"spillway": SpillwayProxy, "nginx": NginxProxy, "HAProxy": HaproxyProxy}


def lua(user_agents):
    """Requests in turn, each with the next user agent and the next client address."""
    directory = tempfile.mkdtemp(prefix="spillway-agents-")
    path = os.path.join(directory, "agents")
    with open(path, "w") as out:
        out.write("\n".join(user_agents) + "\n")
    return directory, f"""
requests, at = {{}}, 0
init = function(args)
  for line in io.lines("{path}") do
    local i = #requests
    local address = string.format("10.%d.%d.%d", math.floor(i / 40000), math.floor(i / 200) % 200, i % 200 + 1)
    requests[i + 1] = wrk.format("GET", "/", {{["User-Agent"] = line, ["Accept"] = "text/html", ["X-Forwarded-For"] = address}})
  end
end
request = function()
  at = at % #requests + 1
  return requests[at]
end
"""


def answers(port):
    try:
        with connect(port, timeout=2) as client:
            return client.ask(headers={"User-Agent": "check", "X-Forwarded-For": "10.9.9.9"}).status == 200
    except (OSError, EOFError):
        return False


def measure(proxy, row, scripts, seconds, connections):
    before = cpu_seconds(proxy.pid)
    wrk = Wrk(proxy.port, seconds, connections=connections, script=scripts[row], prefix=pinned(LOAD))
    report = wrk.result()
    used = cpu_seconds(proxy.pid) - before
    refused = report["requests"] if row == "refusal" else 0
    wrong = [report[kind] for kind in ("connect", "read", "write", "timeout")]
    if any(wrong) or report["status"] != refused:
        raise SystemExit(f"{row}: not what was asked for: {report}")
    return used / report["requests"] * 1e6, report["requests"] / report["seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--proxies", default=",".join(PROXIES))
    parser.add_argument("--rows", default=",".join(ROWS))
    options = parser.parse_args()
    names, rows = options.proxies.split(","), options.rows.split(",")

    origin = Nginx('location / { return 200 "' + "x" * 1023 + '\\n"; }', prefix=pinned(LOAD))
    browsers, bots = lua(agents.browsers()), lua(agents.bots())
    scripts = {"keep-alive": "", "500 rules": browsers[1], "refusal": bots[1]}
    results = {(name, row): [] for name in names for row in rows}
    running = {}
    try:
        for name in names:
            for rules in {row != "keep-alive" for row in rows}:
                proxy = running[name, rules] = PROXIES[name](origin.port, rules)
                eventually(lambda: answers(proxy.port), f"{name} to answer")
        for turn in range(-1, options.rounds):  # the first one warms up
            for row in rows:
                for name in names:
                    result = measure(running[name, row != "keep-alive"], row, scripts, options.seconds if turn >= 0 else 1, options.connections)
                    if turn >= 0:
                        results[name, row].append(result)
            print(f"round {turn + 1} of {options.rounds}", file=sys.stderr, flush=True)
    finally:
        for proxy in running.values():
            proxy.close()
        origin.close()
        for directory in (browsers[0], bots[0]):
            shutil.rmtree(directory, ignore_errors=True)

    print(f"CPU microseconds per request, median (lowest..highest) of {options.rounds} rounds of {options.seconds} s; requests/s\n")
    print(f"| {'':10} |" + "".join(f" {name:>32} |" for name in names))
    print(f"|{'-' * 12}|" + f"{'-' * 33}:|" * len(names))
    for row in rows:
        cells = ""
        for name in names:
            costs, rates = zip(*results[name, row])
            cells += f" {f'{statistics.median(costs):.1f} ({min(costs):.1f}..{max(costs):.1f}); {statistics.median(rates):,.0f}/s':>32} |"
        print(f"| {row:10} |{cells}")
    if "spillway" in names and "nginx" in names:
        for row in rows:
            ratio = statistics.median(cost for cost, _ in results["spillway", row]) / statistics.median(cost for cost, _ in results["nginx", row])
            print(f"\n{row}: spillway uses {ratio:.2f} of nginx's CPU", end="")
        print()


if __name__ == "__main__":
    main()
