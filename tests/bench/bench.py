#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a request costs spillway and its peers: CPU microseconds (user and system, of all the proxy's processes) over
completed requests, and the memory of idle connections. Each proxy has one worker pinned to CPU 0; load and origin share
CPU 1. Rounds go from one proxy to the next, so that whatever else the machine does falls on all alike; medians are told,
and the spread. The rows are in rows.py, docs/performance.md says more."""

import argparse
import os
import resource
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]

import agents  # noqa: E402
import cost  # noqa: E402
import load  # noqa: E402
import report  # noqa: E402
import servers  # noqa: E402
from harness import ROOT  # noqa: E402
from report import Result  # noqa: E402
from rows import ROWS, Idle, with_what_they_are_compared_with  # noqa: E402

DOCUMENT = os.path.join(ROOT, "docs", "performance.md")
IDLE_ROUNDS = 3  # memory hardly differs from one time to the next


def raise_descriptor_limit(wanted=40_000):
    """For this process and all that it starts; as far as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in ((max(wanted, hard),) * 2, (min(wanted, hard), hard)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            return
        except (ValueError, PermissionError):
            pass


class Bench:
    def __init__(self, chosen, programs, seconds, small):
        self.chosen, self.seconds, self.small = chosen, seconds, small
        self.results = {name: {proxy: [] for proxy in proxies} for name, proxies in chosen.items()}
        few = 200 if small else 20_000
        self.site = servers.Site(programs)
        self.files = load.Files({"browsers": agents.browsers(few), "bots": agents.bots(few)}, programs)
        self.running = {}

    def close(self):
        for thing in (*self.running.values(), self.site, self.files):
            thing.close()

    def start(self):
        for name, proxies in self.chosen.items():
            row = ROWS[name]
            if isinstance(row, Idle):
                continue
            for proxy in proxies:
                if (proxy, row.setup) not in self.running:
                    self.running[proxy, row.setup] = servers.start(proxy, self.site, row.setup)
            if name == "million-addresses":
                if self.small:
                    row.load.addresses = 20_000
                load.fill(self.running["spillway", row.setup], self.files, row.load.addresses)

    def round(self, kept=True):
        """Each row with each proxy; `kept` is false when it only warms up."""
        for name, proxies in self.chosen.items():
            for proxy in proxies:
                if isinstance(ROWS[name], Idle):
                    if kept and len(self.results[name][proxy]) < IDLE_ROUNDS:
                        self.results[name][proxy].append(Result(self.idle(ROWS[name], proxy)))
                    continue
                result = self.busy(ROWS[name], proxy, self.seconds if kept else 1)
                if kept:
                    self.results[name][proxy].append(result)

    def busy(self, row, proxy, seconds):
        server = self.running[proxy, row.setup]
        before = cost.settled_cpu_seconds(server.pid)
        try:
            outcome = row.load.run(server, self.files, seconds)
        except load.Nothing as nothing:
            if seconds > 16:
                raise SystemExit(f"{row.name}, {proxy}: {nothing}") from None
            return self.busy(row, proxy, 2 * seconds + 1)  # a busy machine, and large bodies
        except load.Wrong as wrong:
            raise SystemExit(f"{row.name}, {proxy}: {wrong}") from None
        used = cost.settled_cpu_seconds(server.pid) - before
        return Result(used / outcome.requests * 1e6, outcome.requests / outcome.seconds, outcome.bytes / outcome.requests)

    def idle(self, row, proxy):
        """Bytes for each connection."""
        count = row.count // 50 if self.small else row.count
        # A proxy may need two descriptors for each client.
        count = min(count, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - 1000)
        server = servers.start(proxy, self.site, row.setup)
        try:
            load.visitor(server, self.files, "visits", "0.2", *(["tls"] if row.setup == "tls" else []))
            cost.settled_cpu_seconds(server.pid)
            before = cost.memory_bytes(server.pid)
            held = load.Held(server, self.files, count, row.setup == "tls")
            try:
                cost.settled_cpu_seconds(server.pid)
                return (cost.memory_bytes(server.pid) - before) / count
            finally:
                held.close()
        except load.Wrong as wrong:
            raise SystemExit(f"{row.name}, {proxy}: {wrong}") from None
        finally:
            server.close()


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of load, for each proxy of each row in each round")
    parser.add_argument("--rows", default="all", help="some of: " + ",".join(ROWS))
    parser.add_argument("--proxies", default="all", help="some of: " + ",".join(servers.SERVERS))
    parser.add_argument("--write", action="store_true", help="put the figures into docs/performance.md")
    parser.add_argument("--json", metavar="FILE", help="put all figures there")
    parser.add_argument("--quick", action="store_true", help="every row once and small, to see that it works; its figures say nothing")
    parser.add_argument("--programs", default=os.path.join(ROOT, "build/release/tests"), help="where bench_relay and bench_visitor are")
    chosen = parser.parse_args()
    for given, known in ((chosen.rows, ROWS), (chosen.proxies, servers.SERVERS)):
        for name in given.split(","):
            if name != "all" and name not in known:
                parser.error(f"unknown '{name}'; expected some of {', '.join(known)}")
    if chosen.write and (chosen.quick or chosen.proxies != "all"):
        parser.error("--write is for whole rows of real length")
    return chosen


def main():
    chosen = options()
    proxies = [name for name in servers.SERVERS if chosen.proxies == "all" or name in chosen.proxies.split(",")]
    for name in proxies:
        if not servers.installed(name):
            print(f"{name} is not installed: left out", file=sys.stderr)
    rows = with_what_they_are_compared_with(set(ROWS) if chosen.rows == "all" else set(chosen.rows.split(",")))
    rows = {name: [proxy for proxy in of if proxy in proxies and servers.installed(proxy)] for name, of in rows.items()}

    raise_descriptor_limit()
    rounds = 1 if chosen.quick else chosen.rounds
    bench = Bench(rows, chosen.programs, 0.3 if chosen.quick else chosen.seconds, chosen.quick)
    try:
        bench.start()
        if not chosen.quick:
            bench.round(kept=False)
        for turn in range(rounds):
            bench.round()
            print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
    finally:
        bench.close()

    figures = report.Figures(bench.results)
    print(figures.text())
    if chosen.json:
        figures.write_json(chosen.json)
    if chosen.write:
        figures.write_document(DOCUMENT)
    if chosen.quick:  # that it could be written, too
        directory = tempfile.mkdtemp(prefix="spillway-bench-")
        figures.write_document(shutil.copy(DOCUMENT, directory))
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
