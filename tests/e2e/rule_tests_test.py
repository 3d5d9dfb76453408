# SPDX-License-Identifier: MIT
"""Rule tests as a user meets them: `spillway test`, a start that they end, a reload that they refuse; and `spillway explain`."""

import json
import os
import signal
import subprocess

from harness import BINARY, PATIENCE, Case, ask, config, eventually, main, run

GATE = {"name": "gate", "match": {"path": "/gate"}, "action": {"deny": {"status": 404}}}
CLOSED = {"name": "the gate is closed", "request": {"path": "/gate"}, "expect": {"action": "deny", "rule": "gate"}}
OPEN = {"name": "the gate is open", "request": {"path": "/gate"}, "expect": {"action": "forward"}}


class Files(Case):
    def file(self, settings, name="spillway.yaml", directory=None):
        path = os.path.join(directory or self.directory(), name)
        with open(path, "w") as out:
            out.write(settings if isinstance(settings, str) else json.dumps(settings, indent=1))
        return path


class Command(Files):
    def test_it_says_how_many_pass(self):
        path = self.file(config(1, rules=[GATE], tests=[CLOSED]))
        done = run("test", path)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, f"{path}: 1 test, all pass\n", ""))

    def test_the_file_may_stand_behind_c_as_of_every_command(self):
        path = self.file(config(1, rules=[GATE], tests=[CLOSED]))
        done = run("test", "-c", path)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, f"{path}: 1 test, all pass\n", ""))
        self.assertEqual(run("test", "-c", path, path).returncode, 2)

    def test_it_says_each_that_fails_with_its_place_and_ends_with_1(self):
        good = self.file(config(1, rules=[GATE], tests=[CLOSED]))
        bad = self.file("""version: 1
pools: { app: { servers: ["127.0.0.1:1"] } }
limits: { few: { key: client.address, rate: 1/s, burst: 40 } }
rules:
  - { name: gate, match: { path: /gate }, action: deny }
  - { name: clients, action: { limit: few } }
tests:
  - { name: open, request: { path: /gate }, expect: { action: forward } }
  - { name: few, repeat: 100, expect: { action: limit, after: 40, limit: few } }
  - { name: never limited, repeat: 100, expect: { action: forward } }
""")
        done = run("test", bad, good)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, f"{good}: 1 test, all pass\n")
        self.assertIn(f"{bad}:8:53: tests[0].expect: the test 'open' fails: expected forward; found deny with status 403 "
                      f"by rule 'gate' ({bad}:5)\n", done.stderr)
        self.assertIn(f"{bad}:10:49: tests[2].expect: the test 'never limited' fails: expected forward; found limit with status 429 "
                      f"by rule 'clients' ({bad}:6), limit 'few', for request 41 of 100\n", done.stderr)
        self.assertIn(f"{bad}: 3 tests, 2 failed\n", done.stderr)

    def test_a_file_that_is_wrong_is_told_as_by_check(self):
        path = self.file(config(1, rules=[GATE], tests=[dict(CLOSED, repeat=0)]))
        tested, checked = run("test", path), run("check", path)
        self.assertEqual((tested.returncode, tested.stderr), (1, checked.stderr))

    def test_check_counts_tests_and_does_not_run_them(self):
        done = run("check", self.file(config(1, rules=[GATE], tests=[OPEN])))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(", 1 test)", done.stdout)

    def test_without_tests_there_is_nothing_to_do(self):
        done = run("test", self.file(config(1)))
        self.assertEqual(done.returncode, 0)
        self.assertIn("0 tests, nothing to do", done.stdout)


class Gate(Files):
    def test_a_start_ends_with_what_failed(self):
        path = self.file(config(1, rules=[GATE], tests=[CLOSED, OPEN]))
        done = run("run", path)
        self.assertEqual(done.returncode, 1)
        self.assertIn("the test 'the gate is open' fails: expected forward; found deny with status 404", done.stderr)
        self.assertNotIn("listening", done.stderr)

    def refused(self, reload):
        server = self.origin()
        proxy = self.spillway(config(server, rules=[GATE], tests=[CLOSED]))
        generation = proxy.api("/api/v1/config")["generation"]
        proxy.configure(config(server, rules=[dict(GATE, action="allow")], tests=[CLOSED]))
        reload(proxy)
        proxy.log.wait(r"refused, nothing is changed")
        proxy.log.wait(r"the test 'the gate is closed' fails: expected deny by rule 'gate'; found forward by rule 'gate'")
        self.assertEqual(ask(proxy.port, target="/gate").status, 404)
        state = proxy.api("/api/v1/config")
        self.assertEqual(state["generation"], generation)
        self.assertIn("the gate is closed", str(state))
        self.assertEqual(proxy.metric("spillway_config_last_reload_successful"), 0)
        # What mends the test is put in force.
        proxy.configure(config(server, rules=[dict(GATE, action={"deny": {"status": 410}})], tests=[CLOSED]))
        proxy.must_reload()
        eventually(lambda: ask(proxy.port, target="/gate").status == 410, "the new rule")

    def test_a_reload_is_refused_whose_answers_no_longer_charge(self):
        server = self.origin(lambda request: (401, {}, "no"))
        limits = {"failures": {"key": "client.address", "rate": "1/h", "burst": 5}}
        closed = {"name": "closed", "match": {"path": "/login"}, "action": {"limit": {"name": "failures", "charge": False}}}
        failed = {"name": "failed", "when": "response", "match": {"path": "/login", "response.status": [401, 403]}, "action": {"limit": "failures"}}
        five = {"name": "five failed logins", "request": {"method": "POST", "path": "/login"}, "answer": 401, "repeat": 8,
                "expect": {"action": "limit", "rule": "closed", "status": 429, "after": 5}}
        proxy = self.spillway(config(server, limits=limits, rules=[closed, failed], tests=[five]))
        # What the test says is what comes.
        self.assertEqual([ask(proxy.port, "POST", "/login").status for _ in range(7)], [401] * 5 + [429] * 2)
        failed = dict(failed, match={"path": "/login", "response.status": 403})
        proxy.configure(config(server, limits=limits, rules=[closed, failed], tests=[five]))
        status, text = proxy.reload()
        self.assertEqual(status, 422)
        self.assertIn("the test 'five failed logins' fails: expected limit with status 429 by rule 'closed' after 5; found forward by no rule, "
                      "for request 6 of 8", text)
        proxy.log.wait(r"refused, nothing is changed")
        self.assertEqual(ask(proxy.port, "POST", "/login").status, 429)

    def test_a_reload_by_signal_is_refused(self):
        self.refused(lambda proxy: proxy.signal(signal.SIGHUP))

    def test_a_reload_by_the_endpoint_is_refused_with_the_words_of_the_test(self):
        def reload(proxy):
            status, text = proxy.reload()
            self.assertGreaterEqual(status, 400)
            self.assertIn("the gate is closed", text)
            done = proxy.ctl("check")
            self.assertEqual(done.returncode, 1)
            self.assertIn("the gate is closed", done.stdout + done.stderr)
        self.refused(reload)

    def test_tests_leave_the_buckets_in_force_alone(self):
        server = self.origin()
        limited = {"name": "forty", "repeat": 1000, "expect": {"action": "limit", "after": 3}}
        settings = config(server, limits={"few": {"key": "client.address", "rate": "1/h", "burst": 3}},
                          rules=[{"name": "clients", "action": {"limit": "few"}}], tests=[limited])
        settings["tests"].append(dict(limited, name="as this client", request={"client.address": "127.0.0.1"}))
        proxy = self.spillway(settings)
        self.assertEqual(ask(proxy.port).status, 200)
        proxy.must_reload()
        self.assertEqual([ask(proxy.port).status for _ in range(3)], [200, 200, 429])


class Explain(Files):
    def explain(self, *args, **more):
        path = self.file(config(1, rules=[GATE, {"name": "bots", "match": {"user_agent": {"contains": "bot"}}, "action": "drop"}]))
        done = run("explain", "-c", path, *args, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_it_tells_of_each_rule_and_of_the_end(self):
        said = self.explain("-A", "Robot", "-H", "Accept: text/html", "https://example.com/a?b=c").splitlines()
        self.assertEqual(said[0], "GET https://example.com/a?b=c from 198.51.100.1; path /a")
        self.assertRegex(said[1], r"^  no   gate \(.*:\d+\): path: /gate does not hold: path is '/a'$")
        self.assertRegex(said[2], r"^  yes  bots \(.*:\d+\): ends it: drop$")
        self.assertRegex(said[3], r"^drop by rule bots \(.*\)$")

    def test_a_whole_request_comes_on_the_standard_input(self):
        self.assertIn("deny with status 404 by rule gate", self.explain(input="GET /x/../gate HTTP/1.1\r\nHost: a\r\n\r\n"))
        self.assertIn("answered before any rule with 400, since ", self.explain(input="GET / HTTP/1.1\r\nHost : a\r\n\r\n"))

    def test_lines_are_answered_as_they_come(self):
        path = self.file(config(1, rules=[GATE]))
        with subprocess.Popen([BINARY, "explain", "--jsonl", "-c", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as judge:
            for number, target, action in ((1, "/gate", "deny"), (2, "/", "forward"), (3, "/a/%2e%2e/gate", "deny")):
                judge.stdin.write(json.dumps({"id": number, "method": "GET", "path": target, "host": "a", "client_ip": "192.0.2.1",
                                              "headers": {"User-Agent": "x"}}) + "\n")
                judge.stdin.flush()
                told = json.loads(judge.stdout.readline())
                self.assertEqual(told, {"id": number, "action": action, "rule": "gate" if action == "deny" else None})
            judge.stdin.close()
            self.assertEqual(judge.wait(PATIENCE), 0)

    def test_what_is_typed_wrongly_is_usage(self):
        path = self.file(config(1))
        self.assertEqual(run("explain", "-c", path, "--client-address", "me", "/").returncode, 2)
        self.assertEqual(run("explain", "-c", path, stdin=subprocess.DEVNULL).returncode, 2)
        self.assertEqual(run("explain", "-c", self.file("nonsense"), "/").returncode, 1)


if __name__ == "__main__":
    main()
