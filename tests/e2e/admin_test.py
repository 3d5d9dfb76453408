# SPDX-License-Identifier: MIT
"""The admin listener: what it shows, what it changes, and whom it refuses."""

import json
import os
import re
import socket
import time

from harness import Case, Conversation, ask, config, connect, eventually, main, run


class Shows(Case):
    def setUp(self):
        self.server = self.origin()
        self.proxy = self.spillway(config(
            self.server, limits={"l": {"key": "client.address", "rate": "100/s", "burst": 100}}, toggles={"surge": {}},
            rules=[{"name": "no", "match": {"path": "/no"}, "action": "deny"}, {"name": "l", "action": {"limit": "l"}}]))

    def test_probes_answer(self):
        self.assertEqual(self.proxy.admin("GET", "/livez")[0], 200)
        self.assertEqual(self.proxy.admin("GET", "/readyz")[0], 200)

    def test_each_document_is_json_and_names_what_it_is_about(self):
        ask(self.proxy.port)
        for path, word in (("status", str(self.proxy.port)), ("config", "generation"), ("rules", "no"), ("toggles", "surge"),
                           ("limits", "client.address"), ("pools", str(self.server.port))):
            with self.subTest(path):
                self.assertIn(word, json.dumps(self.proxy.api(f"/api/v1/{path}")))

    def test_each_question_is_answered_by_a_clock_read_for_it(self):
        began = time.monotonic()
        first = self.proxy.api("/api/v1/status")["uptime_seconds"]
        eventually(lambda: self.proxy.api("/api/v1/status")["uptime_seconds"] >= first + 0.1, "the uptime to grow")
        self.assertLess(self.proxy.api("/api/v1/status")["uptime_seconds"], first + time.monotonic() - began + 0.1)

    def test_an_unknown_path_is_404(self):
        self.assertEqual(self.proxy.admin("GET", "/api/v1/nothing")[0], 404)

    def test_get_changes_nothing(self):
        for path in ("reload", "drain", "toggles/surge?on=true", "toggles/surge"):
            with self.subTest(path):
                status, _ = self.proxy.admin("GET", f"/api/v1/{path}")
                self.assertIn(status, (200, 405))
        self.assertEqual(self.proxy.admin("GET", "/readyz")[0], 200)
        self.assertEqual(self.proxy.metric("spillway_toggle_state", toggle="surge"), 0)
        self.assertEqual(self.proxy.metric("spillway_config_generation"), 1)

    def test_metrics_are_well_formed_and_count(self):
        for _ in range(3):
            ask(self.proxy.port)
        ask(self.proxy.port, target="/no")
        status, text = self.proxy.admin("GET", "/metrics")
        self.assertEqual(status, 200)
        types = {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                self.assertNotIn(name, types, "a family stands twice")
                types[name] = kind
            elif line.startswith("# HELP "):
                self.assertGreater(len(line.split(" ", 3)), 3, line)
            elif line:
                match = re.fullmatch(r'([a-z_][a-z0-9_]*)(\{[^{}]*\})? (-?[0-9.e+-]+|\+Inf|NaN)', line)
                self.assertTrue(match, line)
                family = re.sub(r"_(bucket|sum|count)$", "", match.group(1))
                self.assertTrue(match.group(1) in types or types.get(family) == "histogram", line)
                self.assertTrue(match.group(1).startswith("spillway_") or match.group(1).startswith("process_"), line)
        for name, kind in types.items():
            if kind == "counter":
                self.assertTrue(name.endswith("_total"), name)
        self.assertEqual(self.proxy.metric("spillway_requests_total", decision="forward"), 3)
        self.assertEqual(self.proxy.metric("spillway_requests_total", decision="deny"), 1)
        self.assertEqual(self.proxy.metric("spillway_rule_matches_total", rule="no", mode="enforce"), 1)

    def test_a_histogram_is_cumulative(self):
        for _ in range(5):
            ask(self.proxy.port)
        # A request is counted once its answer is out, so the last one may not be yet.
        samples = eventually(lambda: next((all_ for all_ in [self.proxy.metrics()] if all_["spillway_request_duration_seconds_count"] == 5), None),
                             "five requests to be counted")
        buckets = [value for name, value in samples.items() if name.startswith("spillway_request_duration_seconds_bucket")]
        self.assertEqual(buckets, sorted(buckets))
        self.assertEqual(buckets[-1], 5)

    def test_strangers_cannot_add_labels(self):
        before = len(self.proxy.metrics())
        for i in range(50):
            ask(self.proxy.port, target=f"/{i}", headers={"User-Agent": f"agent {i}", "Host": f"h{i}.example"})
        self.assertLessEqual(len(self.proxy.metrics()), before + 30)  # statuses seen for the first time, no more

    def test_ctl_shows_it_too(self):
        done = self.proxy.ctl("status", check=0)
        self.assertIn(str(self.proxy.port), done.stdout)

    def test_healthcheck_says_yes_and_no(self):
        yes = run("healthcheck", "--admin", self.proxy.admin_address)
        self.assertEqual(yes.returncode, 0, yes.stderr)
        holder = socket.socket()
        holder.bind(("127.0.0.1", 0))
        self.addCleanup(holder.close)
        self.assertNotEqual(run("healthcheck", "--admin", f"127.0.0.1:{holder.getsockname()[1]}").returncode, 0)


class Refuses(Case):
    def setUp(self):
        self.server = self.origin()

    def test_a_page_of_another_site_cannot_use_it(self):
        proxy = self.spillway(config(self.server, toggles={"surge": {}}))
        for method, path in (("POST", "/api/v1/toggles/surge"), ("POST", "/api/v1/reload"), ("POST", "/api/v1/drain"), ("GET", "/api/v1/status")):
            with self.subTest(path):
                status, _ = proxy.admin(method, path, body='{"on": true}' if method == "POST" else None,
                                        headers={"Origin": "https://evil.example"})
                self.assertEqual(status, 403)
        self.assertEqual(proxy.admin("GET", "/readyz")[0], 200)

    def test_a_name_of_another_site_that_leads_here_cannot_use_it(self):
        """DNS rebinding: the browser believes it talks to evil.example, whose address is loopback now."""
        proxy = self.spillway(config(self.server))
        status, _ = proxy.admin("GET", "/api/v1/status", headers={"Host": "evil.example"})
        self.assertIn(status, (400, 403))

    def test_a_token_is_asked_for_where_one_is_set(self):
        proxy = self.spillway(config(self.server, admin={"address": "127.0.0.1:0", "token_file": "admin.token"}),
                              files={"admin.token": "0123456789abcdef0123456789abcdef\n"})
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic 0123456789abcdef0123456789abcdef"},
                        {"Authorization": "Bearer "}, {"Authorization": "0123456789abcdef0123456789abcdef"}):
            with self.subTest(headers):
                self.assertEqual(proxy.admin("GET", "/api/v1/status", headers=headers)[0], 401)
        good = {"Authorization": "Bearer 0123456789abcdef0123456789abcdef"}
        self.assertEqual(proxy.admin("GET", "/api/v1/status", headers=good)[0], 200)
        self.assertEqual(proxy.admin("POST", "/api/v1/reload")[0], 401)
        self.assertEqual(proxy.admin("POST", "/api/v1/reload", headers=good)[0], 200)
        self.assertEqual(proxy.admin("GET", "/livez")[0], 200)  # a probe has no secret
        self.assertEqual(proxy.ctl("--token-file", proxy.path("admin.token"), "status").returncode, 0)

    def test_beyond_loopback_a_token_is_required(self):
        directory = self.directory()
        path = os.path.join(directory, "spillway.yaml")
        with open(path, "w") as out:
            json.dump(config(1, admin={"address": "0.0.0.0:0"}), out)
        done = run("check", path)
        self.assertEqual(done.returncode, 1)
        self.assertIn("token_file", done.stdout + done.stderr)

    def test_a_unix_socket_serves(self):
        directory = self.directory()
        path = os.path.join(directory, "admin.sock")
        proxy = self.spillway(config(self.server, admin={"address": f"unix:{path}"}))
        self.assertEqual(os.stat(path).st_mode & 0o007, 0, "others may not write to it")
        self.assertEqual(proxy.ctl("status").returncode, 0)
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(path)
        with Conversation(connection) as client:
            self.assertEqual(client.ask(target="/readyz", host="localhost").status, 200)

    def test_an_address_that_only_widens_says_what_it_needs(self):
        settings = config(self.server)
        proxy = self.spillway(settings, files={"admin.token": "correct horse battery staple\n"})
        settings["admin"] = {"address": f":{proxy.admin_port}", "token_file": "admin.token"}
        proxy.configure(settings)
        status, text = proxy.reload()
        self.assertEqual(status, 422)
        self.assertIn("in use", text)
        self.assertIn("another port, or a restart", text)
        self.assertEqual(proxy.admin("GET", "/livez")[0], 200)

    def test_off_means_off(self):
        proxy = self.spillway(config(self.server, admin="off"))
        self.assertEqual(ask(proxy.port).status, 200)
        self.assertFalse(any("admin on" in line for line in proxy.log.all()))

    def test_the_public_port_shows_nothing_of_it(self):
        proxy = self.spillway(config(self.server))
        for path in ("/metrics", "/livez", "/api/v1/status"):
            self.assertEqual(ask(proxy.port, target=path).json()["path"], path)  # the app's own

    def test_garbage_does_not_hurt_it(self):
        proxy = self.spillway(config(self.server, toggles={"surge": {}}))
        for data in (b"\0\1\2\r\n\r\n", b"POST /api/v1/toggles/surge HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n{[[[[",
                     b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"):
            with connect(proxy.admin_port) as client:
                try:
                    client.send(data)
                    client.socket.settimeout(1)
                    client.read_to_end()
                except OSError:
                    pass
        self.assertEqual(proxy.admin("GET", "/readyz")[0], 200)


if __name__ == "__main__":
    main()
