# SPDX-License-Identifier: MIT
"""`spillway replay`: a log says of a rule set what a live run of the same requests says, and it says so quickly."""

import gzip
import json
import os
import pty
import random
import subprocess

from harness import BINARY, SANITIZED, Case, config, connect, eventually, main, run

AGENTS = ["Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile/15E148 Safari/604.1",
          "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
          "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "curl/8.5.0", "sqlmap/1.8", 'odd "quoted" \\ one', ""]
TARGETS = ["/", "/post/1", "/post/1?page=2", "/wp-login.php", "/x/../wp-admin/", "/%77p-content/", "/search?q=a%20b", "/search?q=", "/a%20b",
           "/login", "/caf%C3%A9", "/.git/config", "/static/app.js"]
# No bucket gets anything back within the test, so no outcome hangs on a moment.
LIMITS = {"client": {"key": "client.address", "rate": "1/h", "burst": 20}, "login": {"key": ["client.address", "path"], "rate": "1/h", "burst": 1},
          "agent": {"key": "user_agent", "rate": "1/h", "burst": 100}}
RULES = [
    {"name": "host", "match": {"host": "other.example"}, "action": {"redirect": {"to": "https://test.example", "status": 301}}},
    {"name": "scanners", "match": {"path": {"prefix": ["/wp-", "/.git"]}}, "action": "deny"},
    {"name": "tools", "match": {"user_agent": {"contains": ["sqlmap", "nikto"]}}, "action": {"deny": {"status": 404}}},
    {"name": "no-agent", "match": {"user_agent": {"absent": True}}, "action": {"tag": "bare"}},
    {"name": "try", "mode": "shadow", "match": {"user_agent": {"regex": r"\b(iPhone|Android.+Mobile)\b"}}, "action": {"limit": "agent"}},
    {"name": "search", "match": {"all": [{"path": "/search"}, {"query.q": {"present": True}}, {"not": {"query.q": ""}}]}, "action": "drop"},
    {"name": "login", "match": {"method": "POST", "path": "/login"}, "action": {"limit": "login"}},
    {"name": "from", "match": {"referer": {"host": "*.social.example"}}, "action": {"set_header": {"X-From": "social"}}},
    {"name": "office", "match": {"client.address": "10.0.0.0/28"}, "action": "allow"},
    {"name": "clients", "action": {"limit": "client"}},
    {"name": "rest", "match": {"scheme": "http", "protocol": "HTTP/1.1"}, "action": {"respond": {"status": 204}}},
]

# What the servers say, beside them: some is charged, and met by later requests.
ANSWERED = [
    {"name": "lost", "match": {"method": "GET"}, "action": {"limit": {"name": "misses", "charge": False}}},
    {"name": "miss", "when": "response", "match": {"response.status": 404}, "action": {"limit": "misses"}},
    {"name": "fault", "when": "response", "mode": "shadow", "match": {"response.status": "5xx", "method": "POST"}, "action": {"limit": "misses"}},
    {"name": "fine", "when": "response", "match": {"response.status": 200}, "action": {"tag": "fine"}},
]
LIMITS["misses"] = {"key": ["client.address", "path"], "rate": "1/h", "burst": 1}


def answer(request):
    """A 404 for what was never there, and now and then a fault."""
    return ({"/static/app.js": 404, "/a%20b": 503, "/caf%C3%A9": 404}.get(request.path, 200), {}, "as the server says")


def replay(*args, check=0, **more):
    done = run("replay", *args, **more)
    assert done.returncode == check, (done.returncode, done.stdout, done.stderr)
    return done


def result(*args, **more):
    return json.loads(replay(*args, "--json", **more).stdout)


class Equal(Case):
    COUNT = 3000

    def live(self, **log):
        """A proxy that has answered many requests of many clients; its log."""
        directory = self.directory()
        path = os.path.join(directory, "access.log")
        proxy = self.spillway(config(self.origin(answer), workers=2, clients={"trusted_proxies": ["127.0.0.0/8"]}, limits=LIMITS,
                                     rules=RULES[:8] + ANSWERED + RULES[8:], app={"errors": {"hide": [503]}},
                                     access_log={"path": path, "query": True, **log}))
        chance = random.Random(5)
        client, sent = None, 0
        while sent < self.COUNT:
            client = client or connect(proxy.port)
            headers = {"X-Forwarded-For": f"10.0.0.{chance.randrange(40)}"}
            agent = chance.choice(AGENTS)
            if agent:
                headers["User-Agent"] = agent
            if chance.random() < 0.3:
                headers["Referer"] = chance.choice(["https://www.social.example/x", "https://elsewhere.example/"])
            host = "other.example" if chance.random() < 0.03 else "test.example"
            sent += 1
            try:
                answered = client.ask(chance.choice(["GET", "GET", "POST"]), chance.choice(TARGETS), headers=headers, host=host)
                if (answered.get("connection") or "").lower() != "close":
                    continue
            except (ConnectionError, EOFError, AssertionError):
                pass  # dropped by rule
            client.close()
            client = None
        if client:
            client.close()

        def written():
            with open(path) as file:
                return sum(1 for _ in file) == self.COUNT
        eventually(written, "a line for each request")
        return proxy, path

    def counted(self, proxy):
        return {rule["name"]: rule for rule in proxy.api("/api/v1/rules")["rules"]}

    def test_a_replayed_log_counts_what_the_live_run_counted(self):
        proxy, path = self.live(format="json")
        told = result("-c", proxy.path("spillway.yaml"), path)
        self.assertEqual(told["requests"], self.COUNT)
        live = self.counted(proxy)
        self.assertEqual(sum(rule["undecided"] for rule in told["result"]["rules"]), 0)
        for rule in told["result"]["rules"]:
            seen = live[rule["name"]]
            with self.subTest(rule["name"]):
                self.assertEqual(rule["matched"], seen["shadow_matches" if rule["mode"] == "shadow" else "matches"])
                self.assertEqual(rule["over_limit"], seen.get("shadow_over_limit" if rule["mode"] == "shadow" else "over_limit", 0))
                self.assertGreater(rule["matched"], 0)
        with open(path) as file:
            decisions = [json.loads(line)["decision"] for line in file]
        for action, count in told["result"]["outcomes"].items():
            self.assertEqual(decisions.count(action), count, action)
        for rule in ("clients", "login", "try", "lost", "fault"):
            self.assertGreater(next(r for r in told["result"]["rules"] if r["name"] == rule)["over_limit"], 0, rule)

        # And a rule set does nothing else than itself.
        self.assertEqual(result("-c", proxy.path("spillway.yaml"), "--against", proxy.path("spillway.yaml"), path)["same"], self.COUNT)

    def test_the_combined_format_says_the_same_of_what_it_holds(self):
        proxy, path = self.live(format="combined")
        told = result("-c", proxy.path("spillway.yaml"), path)
        self.assertEqual(told["requests"], self.COUNT)
        rules = {rule["name"]: rule for rule in told["result"]["rules"]}
        live = self.counted(proxy)
        self.assertEqual(rules["host"]["not_logged"], {"host": self.COUNT})
        self.assertEqual(rules["host"]["matched"], 0)
        self.assertGreater(rules["rest"]["not_logged"]["scheme"], 0)
        self.assertEqual(told["result"]["behind_undecided"], self.COUNT)
        # What was redirected by the host was let through here: a few more than live.
        for name in ("scanners", "tools", "no-agent", "from"):
            self.assertGreaterEqual(rules[name]["matched"], live[name]["matches"], name)
            self.assertLess(rules[name]["matched"], live[name]["matches"] * 1.2, name)


class Reading(Case):
    SITE = json.dumps({"version": 1, "pools": {"app": {"servers": ["127.0.0.1:1"]}}, "rules": [
        {"name": "no", "match": {"path": {"prefix": "/no"}}, "action": "deny"}]})
    LOG = "".join(f'192.0.2.{i % 250} - - [01/Jul/2026:12:00:{i % 60:02} +0000] "GET /{"no" if i % 4 == 0 else "yes"}/{i} HTTP/1.1" 200 5 "-" "curl/8"\n'
                  for i in range(2000))

    def setUp(self):
        super().setUp()
        self.home = self.directory()
        self.site = self.file("site.yaml", self.SITE)

    def file(self, name, content):
        path = os.path.join(self.home, name)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return path

    def test_plain_packed_and_standard_input_are_the_same(self):
        plain = result("-c", self.site, self.file("a.log", self.LOG))
        self.assertEqual(plain["result"]["outcomes"]["deny"], 500)
        packed = result("-c", self.site, self.file("packed", gzip.compress(self.LOG.encode())))
        piped = result("-c", self.site, "-", input=self.LOG)
        self.assertEqual(plain["result"], packed["result"])
        self.assertEqual(plain["result"], piped["result"])

    def test_progress_is_shown_to_a_terminal_only(self):
        log = self.file("packed", gzip.compress(self.LOG.encode() * 20))
        self.assertEqual(replay("-c", self.site, log).stderr, "")
        ours, theirs = pty.openpty()
        try:
            done = subprocess.run([BINARY, "replay", "-c", self.site, log], stdout=subprocess.PIPE, stderr=theirs, timeout=60, check=True)
            shown = os.read(ours, 65536).decode()
        finally:
            os.close(ours)
            os.close(theirs)
        self.assertIn("replay: 100% of", shown)
        self.assertTrue(shown.endswith("\r\x1b[K"), shown)
        self.assertIn(b"10,000", done.stdout)

    def test_help_says_how(self):
        done = replay("--help")
        for word in ("--against", "--toggle", "--passes", "--json", "undecided"):
            self.assertIn(word, done.stdout)
        self.assertLessEqual(max(len(line) for line in done.stdout.split("Examples:")[1].splitlines()), 80)

    def test_a_million_lines_take_seconds(self):
        """A fifth of them, by CPU time and with room for a slow machine; memory in full."""
        chance = random.Random(1)
        agents = [agent + f" {i}" for agent in AGENTS for i in range(300)]
        # Line by line: what a program needs at most begins with what its parent had.
        log = os.path.join(self.home, "large.log")
        with open(log, "w") as file:
            for i in range(200_000):
                moment = f"2026-07-01T{i // 36000:02}:{i // 600 % 60:02}:{i // 10 % 60:02}.{i % 10}00Z"
                file.write(json.dumps({
                    "ts": moment, "id": f"{chance.getrandbits(128):032x}", "client": f"10.{chance.randrange(4)}.{chance.randrange(256)}.{i % 250}",
                    "peer": "10.9.0.1", "method": "GET", "scheme": "https", "host": "www.example.com", "path": f"/post/{chance.randrange(5000)}",
                    "protocol": "HTTP/2.0", "status": 200, "bytes_in": 0, "bytes_out": 12345, "dur_ms": 12.345, "ttfb_ms": 11.5, "pool": "app",
                    "upstream": "10.0.0.5:3000", "upstream_status": 200, "tries": 1, "decision": "forward", "ua": chance.choice(agents),
                    "generation": 1}, separators=(",", ":")) + "\n")
        site = self.file("large.yaml", json.dumps({"version": 1, "pools": {"app": {"servers": ["127.0.0.1:1"]}}, "limits": LIMITS, "rules": RULES}))
        with subprocess.Popen([BINARY, "replay", "-c", site, "--json", log], stdout=subprocess.PIPE) as process:
            told = json.loads(process.stdout.read())
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0)
        self.assertEqual(told["requests"], 200_000)
        if not SANITIZED:
            self.assertLess(usage.ru_utime + usage.ru_stime, 2.4)
            self.assertLess(usage.ru_maxrss, 200_000)  # KiB


if __name__ == "__main__":
    main()
