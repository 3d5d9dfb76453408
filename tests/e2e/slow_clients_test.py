# SPDX-License-Identifier: MIT
"""slowhttptest's four attacks, each with thousands of connections, and what becomes of those who ask beside them."""

import os
import resource
import shutil
import subprocess
import threading
import time
import unittest

from harness import SANITIZED, SLOWNESS, Case, config, connect, main

# Each holds a descriptor of the attacker's, and two of spillway's, which gives clients half of them unless told otherwise.
ATTACKERS = int(os.environ.get("ATTACKERS", 5000 if not SANITIZED else 1000))
CONNECTIONS = min(ATTACKERS, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 500) // 2)
NORMAL, EVERY = 100, 0.2
OTHER = "127.0.0.2"  # the attackers are one client, and who asks beside them another
WITHIN = 1.0 * SLOWNESS
LONGEST = 60 * SLOWNESS  # seconds


class Normal(threading.Thread):
    """Who wants one page."""

    def __init__(self, port):
        super().__init__()
        self.port, self.status, self.took = port, None, None
        self.start()

    def run(self):
        began = time.monotonic()
        try:
            with connect(self.port, source=OTHER) as client:
                self.status = client.ask(target="/page").status
        except (OSError, EOFError, AssertionError) as error:
            self.status = repr(error)
        self.took = time.monotonic() - began


@unittest.skipUnless(shutil.which("slowhttptest"), "slowhttptest is not installed")
class SlowClients(Case):
    def setUp(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if CONNECTIONS < ATTACKERS:
            self.skipTest(f"a limit of {hard} descriptors")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        # It reads a body before it answers; slow readers are to leave it connections for others.
        unix = os.path.join(self.directory(), "self.sock")
        self.server = self.nginx(f"location /upload {{ proxy_pass http://unix:{unix}; }}", connections=CONNECTIONS + 2000,
                                 http=f"server {{ listen unix:{unix}; return 200 taken; }}")
        os.chmod(os.path.dirname(unix), 0o755)
        for name, size in (("page", 500), ("large", 1_000_000)):
            with open(os.path.join(self.server.root, name), "wb") as page:
                page.write(b"x" * size)
        self.proxy = self.spillway(config(self.server))

    def attack(self, *options, target):
        command = ["slowhttptest", *options, "-c", str(CONNECTIONS), "-r", str(CONNECTIONS // 10), "-l", str(LONGEST), "-v", "0",
                   "-u", f"http://127.0.0.1:{self.proxy.port}{target}"]
        attacker = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def end():
            attacker.kill()
            attacker.wait()
        self.addCleanup(end)

    def assert_others_are_answered(self, *options, target):
        """Normal requests, one every 200 ms: while the attackers come, which takes them ten seconds, and for long after that."""
        self.attack(*options, target=target)
        normal, pause, deadline = [], threading.Event(), time.monotonic() + LONGEST
        came = lambda: self.proxy.metric("spillway_connections_accepted_total") - len(normal)
        while len(normal) < NORMAL or came() < CONNECTIONS:
            self.assertLess(time.monotonic(), deadline, "the attackers did not come")
            normal.append(Normal(self.proxy.port))
            pause.wait(EVERY)
        for one in normal:
            one.join()
        took = sorted(one.took for one in normal)
        print(f"{came():.0f} attackers; {len(normal)} others: median {took[len(took) // 2] * 1e3:.0f} ms, longest {took[-1] * 1e3:.0f} ms",
              end=" ", flush=True)
        refused = [(record["end"], record["queued_ms"]) for record in self.proxy.records() if record["client"] == OTHER and record["status"] != 200]
        self.assertEqual({one.status for one in normal}, {200}, f"{refused} {self.proxy.ctl('pools').stdout}")
        self.assertLess(took[-1], WITHIN)

    def test_beside_slow_heads_others_are_answered(self):
        self.assert_others_are_answered("-H", "-i", "5", "-x", "24", target="/page")

    def test_beside_slow_bodies_others_are_answered(self):
        self.assert_others_are_answered("-B", "-i", "5", "-s", "8192", "-x", "10", target="/upload")

    def test_beside_heaps_of_ranges_others_are_answered(self):
        self.assert_others_are_answered("-R", "-a", "10", "-b", "3000", target="/large")

    def test_beside_slow_readers_others_are_answered(self):
        self.assert_others_are_answered("-X", "-w", "10", "-y", "20", "-n", "5", "-z", "32", "-k", "3", target="/large")


if __name__ == "__main__":
    main()
