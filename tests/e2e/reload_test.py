# SPDX-License-Identifier: MIT
"""A new configuration while it runs: all of it or nothing, and no request lost on the way."""

import resource
import signal
import threading
import unittest

from harness import PATIENCE, SANITIZED, SLOWNESS, Case, ask, config, connect, eventually, free_port, main


def named(name):
    return lambda request: (200, {}, name.encode())


def with_rule(server, status, **more):
    return config(server, rules=[{"name": "gate", "match": {"path": "/gate"}, "action": {"deny": {"status": status}}}], **more)


class Swap(Case):
    def test_hup_puts_the_new_file_in_force(self):
        server = self.origin()
        proxy = self.spillway(with_rule(server, 403))
        self.assertEqual(ask(proxy.port, target="/gate").status, 403)
        proxy.configure(with_rule(server, 410))
        proxy.signal(signal.SIGHUP)
        eventually(lambda: ask(proxy.port, target="/gate").status == 410, "the new rule")

    def test_the_endpoint_and_ctl_do_the_same(self):
        server = self.origin()
        proxy = self.spillway(with_rule(server, 403))
        proxy.configure(with_rule(server, 410))
        proxy.must_reload()
        eventually(lambda: ask(proxy.port, target="/gate").status == 410, "the new rule")
        proxy.configure(with_rule(server, 451))
        proxy.ctl("reload", check=0)
        eventually(lambda: ask(proxy.port, target="/gate").status == 451, "the new rule")

    def test_a_broken_file_changes_nothing_and_says_why(self):
        server = self.origin()
        proxy = self.spillway(with_rule(server, 403))
        generation = proxy.api("/api/v1/config")["generation"]
        proxy.configure(with_rule(server, 410, nonsense=1))
        status, text = proxy.reload()
        self.assertGreaterEqual(status, 400)
        self.assertIn("nonsense", text)
        done = proxy.ctl("reload")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("nonsense", done.stdout + done.stderr)
        proxy.log.wait(r"nonsense")
        self.assertRegex(proxy.ctl("status").stdout, r"(?m)^last load  +REFUSED at .*\n +\S.*nonsense")
        self.assertEqual(proxy.metric("spillway_config_last_reload_successful"), 0)
        state = proxy.api("/api/v1/config")
        self.assertEqual(state["generation"], generation)
        self.assertIn("nonsense", str(state))
        self.assertEqual(ask(proxy.port, target="/gate").status, 403)
        proxy.configure(with_rule(server, 410))
        proxy.must_reload()
        self.assertEqual(proxy.metric("spillway_config_last_reload_successful"), 1)

    def test_what_check_warns_of_is_logged_at_the_start_and_at_each_reload(self):
        server = self.origin()
        large = {"name": "large", "match": {"path": {"regex": "^/(ab|cd){400}$"}}, "action": "deny"}
        settings = config(server, rules=[large])
        proxy = self.spillway(settings)
        warned = r"warning.*rules\[0\]\.match\.path\.regex: the expression .* is large"
        proxy.log.wait(warned)
        before = len(proxy.log.all())
        proxy.must_reload()
        proxy.log.wait(warned, since=before)

    def test_a_missing_file_changes_nothing(self):
        server = self.origin()
        proxy = self.spillway(with_rule(server, 403))
        import os
        os.rename(proxy.path("spillway.yaml"), proxy.path("gone"))
        self.assertGreaterEqual(proxy.reload()[0], 400)
        self.assertEqual(ask(proxy.port, target="/gate").status, 403)

    def test_a_changed_list_file_is_read_again(self):
        server = self.origin()
        settings = config(server, lists={"bots": {"file": "bots.txt"}},
                          rules=[{"name": "bots", "match": {"user_agent": {"contains": "$bots"}}, "action": "deny"}])
        proxy = self.spillway(settings, files={"bots.txt": "OneBot\n"})
        self.assertEqual(ask(proxy.port, headers={"User-Agent": "TwoBot"}).status, 200)
        proxy.write("bots.txt", "OneBot\nTwoBot\n")
        proxy.must_reload()
        eventually(lambda: ask(proxy.port, headers={"User-Agent": "TwoBot"}).status == 403, "the new line")

    def test_pools_may_change(self):
        a, b = self.origin(named("a")), self.origin(named("b"))
        proxy = self.spillway(config(a))
        self.assertEqual(ask(proxy.port).body, b"a")
        proxy.configure(config(b))
        proxy.must_reload()
        eventually(lambda: ask(proxy.port).body == b"b", "the new server")
        with connect(proxy.port) as client:
            for _ in range(10):
                self.assertEqual(client.ask().body, b"b")

    def test_listeners_may_come_and_go(self):
        server = self.origin()
        settings = config(server, listeners=[{"address": "127.0.0.1:0"}])
        proxy = self.spillway(settings)
        first = proxy.port
        # The same free port stays, another address is added.
        settings["listeners"] = [{"address": "127.0.0.1:0"}, {"address": "127.0.0.2:0"}]
        proxy.configure(settings)
        proxy.must_reload()
        eventually(lambda: any(text.startswith("127.0.0.2:") for text in proxy.listening()), "the added listener")
        self.assertEqual(ask(first).status, 200)

    def test_a_listener_that_cannot_be_had_fails_the_reload(self):
        server = self.origin()
        settings = config(server)
        proxy = self.spillway(settings)
        # One that no machine has, and one that another of ours has: the kernel would let them share it.
        for taken in ("192.0.2.1:9", f"127.0.0.1:{self.spillway(config(server)).port}"):
            with self.subTest(taken):
                settings["listeners"] = [{"address": "127.0.0.1:0"}, {"address": taken}]
                proxy.configure(settings)
                status, text = proxy.reload()
                self.assertGreaterEqual(status, 400)
                self.assertIn(f"cannot listen on {taken}", text)
                self.assertEqual(ask(proxy.port).status, 200)

    def test_a_listener_may_move_to_another_address_of_its_port(self):
        server = self.origin()
        # At every address of the machine: another's connection from that port would stand in the way.
        holder, port = free_port("0.0.0.0", shared=True)
        self.addCleanup(holder.close)
        proxy = self.spillway(config(server, listeners=[{"address": f"127.0.0.1:{port}"}]))
        proxy.configure(config(server, listeners=[{"address": f"0.0.0.0:{port}"}]))
        proxy.must_reload()
        eventually(lambda: f"0.0.0.0:{port}" in proxy.listening(), "the moved listener")
        self.assertEqual(ask(port).status, 200)

    @unittest.skipIf(SANITIZED, "a sanitizer needs its address space")
    def test_a_table_that_memory_does_not_allow_changes_nothing(self):
        server = self.origin()
        settings = config(server, limits={"l": {"key": "client.address", "rate": "1/h", "burst": 1}},
                          rules=[{"name": "l", "action": {"limit": "l"}}])
        proxy = self.spillway(settings)
        self.assertEqual([ask(proxy.port).status for _ in range(2)], [200, 429])
        resource.prlimit(proxy.pid, resource.RLIMIT_AS, (2 << 30, 2 << 30))
        settings["limits"]["l"]["keys"] = 268435456  # legal
        settings["rules"][0]["action"] = "deny"
        proxy.configure(settings)
        status, text = proxy.reload()
        self.assertEqual(status, 422)
        self.assertIn("limits.l needs 4353 MiB, which the system does not give", text)
        self.assertEqual(ask(proxy.port).status, 429)
        settings["limits"]["l"]["keys"] = 2048
        settings["rules"][0]["action"] = {"limit": "l"}
        proxy.configure(settings)
        proxy.must_reload()
        eventually(lambda: ask(proxy.port).status == 200, "the new table")

    def test_listeners_of_one_text_keep_their_own_settings_and_their_order(self):
        server = self.origin()
        plain, proxied = {"address": "127.0.0.1:0"}, {"address": "127.0.0.1:0", "proxy_protocol": True}
        settings = config(server, listeners=[plain, proxied])
        proxy = self.spillway(settings)
        ports = [proxy.port_of(0), proxy.port_of(1)]

        def wants_header(port):
            with connect(port) as client:
                client.send("PROXY TCP4 198.51.100.7 198.51.100.8 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
                return client.read_response().status == 200

        def refused(port):
            try:
                connect(port).close()
            except ConnectionRefusedError:
                return True
            return False

        self.assertEqual([wants_header(port) for port in ports], [False, True])
        self.assertEqual(ask(ports[0]).status, 200)
        settings["listeners"] = [plain, proxied, plain]
        proxy.configure(settings)
        proxy.must_reload()
        eventually(lambda: len(proxy.listening()) == 3, "the third listener to be told")
        ports.append(proxy.port_of(2))
        eventually(lambda: ask(ports[2]).status == 200, "the third listener")
        self.assertEqual([wants_header(port) for port in ports], [False, True, False])
        settings["listeners"] = [proxied, plain]
        proxy.configure(settings)
        proxy.must_reload()
        # Each worker changes over in its own time, after the reload's answer.
        eventually(lambda: wants_header(ports[0]), "the first to have the first's settings")
        eventually(lambda: not wants_header(ports[1]), "the second to have the second's settings")
        eventually(lambda: refused(ports[2]), "the third to be gone")

    def listeners(self, *hosts, **more):
        return [{"address": f"{host}:0", **more} for host in hosts]

    def test_listeners_that_go_serve_who_waited_in_their_backlog(self):
        server = self.origin()
        settings = config(server, workers=1, clients={"max_connections": 1},
                          listeners=self.listeners("127.0.0.1", "127.0.0.2", "127.0.0.3"))
        proxy = self.spillway(settings)
        ports = [proxy.port_of(index) for index in range(3)]
        held = self.connect(ports[1], host="127.0.0.2")
        self.assertEqual(held.ask().status, 200)
        with connect(ports[0]) as first, connect(ports[2], host="127.0.0.3") as last:
            settings["listeners"] = self.listeners("127.0.0.2")
            proxy.configure(settings)
            proxy.must_reload()
            for client in (first, last, held):
                self.assertEqual(client.ask().status, 200)

    def test_a_connection_keeps_to_what_its_listener_was(self):
        server = self.origin()
        settings = config(server, workers=1, listeners=self.listeners("127.0.0.1", "127.0.0.2", "127.0.0.3", proxy_protocol=True))
        proxy = self.spillway(settings)
        port = proxy.port_of(2)
        with connect(port, host="127.0.0.3") as client:
            client.send("PROXY TCP4 ")
            settings["listeners"] = self.listeners("127.0.0.1")
            proxy.configure(settings)
            proxy.must_reload()
            client.send("198.51.100.7 198.51.100.8 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(client.read_response().status, 200)
        self.assertEqual(server.requests[-1].get("x-forwarded-for"), "198.51.100.7")

    def test_a_higher_limit_lets_in_who_waits(self):
        server = self.origin()
        settings = config(server, workers=1, clients={"max_connections": 1})
        proxy = self.spillway(settings)
        held = self.connect(proxy.port)
        self.assertEqual(held.ask().status, 200)
        with connect(proxy.port) as waiting:
            settings["clients"]["max_connections"] = 2
            proxy.configure(settings)
            proxy.must_reload()
            self.assertEqual(waiting.ask().status, 200)

    def test_a_request_under_way_ends_under_the_rules_it_began_with(self):
        began, go = threading.Event(), threading.Event()
        self.addCleanup(go.set)

        def answer(request):
            if request.path == "/slow":
                began.set()
                go.wait(PATIENCE)
            return 200, {}, b"old server"

        old, new = self.origin(answer), self.origin(named("new"))
        proxy = self.spillway(config(old))
        with connect(proxy.port) as client:
            client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertTrue(began.wait(PATIENCE))
            proxy.configure(config(new, rules=[{"name": "no", "match": {"path": "/slow"}, "action": "deny"}]))
            proxy.must_reload()
            eventually(lambda: ask(proxy.port).body == b"new", "the new server")
            go.set()
            response = client.read_response()
            self.assertEqual((response.status, response.body), (200, b"old server"))
            self.assertEqual(client.ask().body, b"new")  # the next one on the same connection is under the new ones

    def test_counters_go_on(self):
        server = self.origin()
        proxy = self.spillway(with_rule(server, 403))
        for _ in range(3):
            ask(proxy.port, target="/gate")
        proxy.must_reload()
        ask(proxy.port, target="/gate")
        self.assertEqual(proxy.metric("spillway_rule_matches_total", rule="gate", mode="enforce"), 4)


class UnderLoad(Case):
    def test_200_reloads_every_tenth_broken_lose_no_request_and_no_bucket(self):
        server = self.nginx('location / { return 200 "hi"; }')
        reloads = 200 // SLOWNESS

        def settings(number):
            return config(server, access_log="off", limits={"once": {"key": "path", "rate": "1/h", "burst": 1}}, rules=[
                {"name": "once", "match": {"path": {"prefix": "/once"}}, "action": {"limit": "once"}},
                {"name": f"generation-{number}", "match": {"path": "/which"}, "action": {"respond": {"body": str(number)}}}])

        proxy = self.spillway(settings(0))
        self.assertEqual([ask(proxy.port, target="/once").status for _ in range(2)], [200, 429])
        load = self.wrk(proxy.port, 120, connections=16)
        broken = 0
        for number in range(1, reloads + 1):
            if number % 10 == 0:
                proxy.configure("version: 1\npools: { app: { servers: [] } }\nnope: 1\n")
                status, text = proxy.reload()
                self.assertGreaterEqual(status, 400)
                self.assertIn("nope", text)
                broken += 1
            else:
                proxy.configure(settings(number))
                proxy.must_reload()
            self.assertEqual(ask(proxy.port, target="/once").status, 429, number)
        self.assertTrue(load.running())
        self.assert_no_errors(load.stop())
        last = max(number for number in range(1, reloads + 1) if number % 10)
        self.assertEqual(ask(proxy.port, target="/which").text, str(last))
        self.assertEqual(proxy.metric("spillway_config_reloads_total", result="failure"), broken)
        self.assertEqual(proxy.metric("spillway_config_reloads_total", result="success"), reloads - broken)

    def test_reloads_leak_neither_memory_nor_descriptors(self):
        server = self.origin()
        proxy = self.spillway(with_rule(server, 403, access_log="off"))

        def some(number):
            for _ in range(number):
                proxy.must_reload()
                ask(proxy.port)

        some(20)
        descriptors, memory = proxy.descriptors(), proxy.rss()
        some(60)
        eventually(lambda: proxy.descriptors() <= descriptors + 3, "descriptors to be given back")
        if not SANITIZED:
            self.assertLess(proxy.rss() - memory, 8 << 20)


if __name__ == "__main__":
    main()
