# SPDX-License-Identifier: MIT
"""The step admit: limits on what a pool has at once, the queue before it, classes, and protected visitors."""

import threading
import time

from harness import Case, ask, config, eventually, main

CLASSES = [{"name": "orders", "match": {"path": {"prefix": "/order"}}, "action": {"class": "critical_plus", "protect": "15m"}},
           {"name": "brochure", "match": {"path": {"prefix": "/brochure"}}, "action": {"class": "sheddable"}}]


class Gate:
    """An origin that keeps every request until it is told to answer."""

    def __init__(self):
        self.lock, self.waiting, self.peak, self.paths = threading.Lock(), [], 0, []
        self.open = False  # answers at once

    def __call__(self, request):
        opened = threading.Event()
        with self.lock:
            if self.open:
                return 200, {"Content-Type": "text/plain"}, request.path
            self.waiting.append(opened)
            self.paths.append(request.path)
            self.peak = max(self.peak, len(self.waiting))
        opened.wait(60)
        headers = {"Content-Type": "text/plain"}
        if request.path.startswith("/end"):
            headers["Spillway-Protect"] = "end"
        if request.path.startswith("/pressed"):
            headers["Spillway-Pressure"] = "0.92"
        return 200, headers, request.path

    def answer(self, count=1):
        """Answers the requests that came first."""
        for _ in range(count):
            eventually(lambda: self.waiting, "a request at the origin")
            with self.lock:
                opened = self.waiting.pop(0)
            opened.set()

    def answer_all(self):
        with self.lock:
            while self.waiting:
                self.waiting.pop(0).set()

    close = answer_all


class Admission(Case):
    def start(self, limit=1, queue=None, **more):
        self.gate = self.keep(Gate())
        self.server = self.origin(self.gate)
        return self.spillway(config(self.server, rules=CLASSES, app={
            "concurrency": limit if isinstance(limit, dict) else {"limit": limit}, "queue": queue or {}}, **more))

    def view(self, proxy):
        return proxy.api("/api/v1/pools")["pools"][0]["admission"]

    def send(self, proxy, target="/", headers=(), method="GET", source=None):
        client = self.connect(proxy.port, source=source)
        extra = "".join(f"{name}: {value}\r\n" for name, value in headers)
        client.send(f"{method} {target} HTTP/1.1\r\nHost: a\r\n{extra}\r\n".encode())
        return client

    def fill(self, proxy, count=1):
        """So many requests are at the origin."""
        clients = [self.send(proxy, f"/first{i}") for i in range(count)]
        eventually(lambda: len(self.gate.waiting) == count, "the places to be taken")
        return clients

    def queue(self, proxy, clients):
        """Waits until so many wait."""
        eventually(lambda: sum(self.view(proxy)["queued"].values()) == clients, f"{clients} in the queue")

    def test_no_more_than_the_limit_are_at_the_servers(self):
        proxy = self.start(limit=3)
        clients = [self.send(proxy, f"/{i}") for i in range(24)]
        eventually(lambda: len(self.gate.waiting) == 3, "three at the origin")
        self.queue(proxy, 21)
        self.assertEqual(self.view(proxy)["in_flight"], 3)
        self.gate.answer(24)
        self.assertEqual({client.read_response().status for client in clients}, {200})
        self.assertEqual(self.gate.peak, 3)
        eventually(lambda: self.view(proxy)["in_flight"] == 0, "all places to be free")
        self.assertGreaterEqual(proxy.metric("spillway_queue_wait_seconds_count", pool="app"), 21)

    def test_a_full_queue_refuses_at_once(self):
        proxy = self.start(queue={"max": 2})
        self.fill(proxy)
        for i in range(2):
            self.send(proxy, f"/second{i}")
        self.queue(proxy, 2)
        began = time.monotonic()
        answer = ask(proxy.port)
        self.assertLess(time.monotonic() - began, 1)
        self.assertEqual(answer.status, 503)
        self.assertGreaterEqual(int(answer.get("retry-after")), 1)
        self.assertIn("problem+json", answer.get("content-type"))
        record = proxy.wait_record(lambda it: it["decision"] == "shed", "a line of it")
        self.assertEqual((record["end"], record["class"], record["step"]), ("shed: queue full", "critical", "admit"))
        self.assertEqual(proxy.metric("spillway_shed_total", pool="app", **{"class": "critical", "reason": "queue_full"}), 1)
        told = proxy.ctl("explain", answer.get("x-request-id"), check=0).stdout
        self.assertIn("shed: queue full with status 503", told)
        self.assertIn("class critical, cohort ", told)
        shed = proxy.api("/api/v1/explain/" + answer.get("x-request-id"))["shed"]
        self.assertEqual((shed["reason"], shed["class"], shed["queued_ms"]), ("queue_full", "critical", 0))
        self.assertIn("critical queue_full", proxy.ctl("status", check=0).stdout)

    def test_waiting_has_an_end(self):
        proxy = self.start(queue={"timeout": "200ms"})
        self.fill(proxy)
        began = time.monotonic()
        self.assertEqual(ask(proxy.port).status, 503)
        self.assertLess(time.monotonic() - began, 5)
        proxy.wait_record(lambda it: it.get("end") == "shed: queue timeout")

    def test_those_who_waited_when_overload_began_are_served_as_soon_as_nobody_else_asks(self):
        proxy = self.start(queue={"timeout": "1m"})
        first = self.fill(proxy)
        clients = [self.send(proxy, f"/{i}") for i in range(130)]
        self.queue(proxy, 130)

        def pressed():
            ask(proxy.port, headers=[("X-Request-Timeout", "0.02")])
            return self.view(proxy)["pressed"]
        eventually(pressed, "the overload to be seen")
        began = time.monotonic()
        self.gate.open = True
        self.gate.answer_all()
        self.assertEqual({client.read_response().status for client in first + clients}, {200})
        self.assertLess(time.monotonic() - began, 10)

    def test_a_client_says_how_long_it_will_wait(self):
        proxy = self.start(queue={"timeout": "1m"})
        self.fill(proxy)
        self.assertEqual(ask(proxy.port, headers=[("X-Request-Timeout", "0.1")]).status, 503)
        proxy.wait_record(lambda it: it.get("end") == "shed: deadline")

    def test_what_matters_goes_first(self):
        proxy = self.start()
        self.fill(proxy)
        targets = ["/brochure", "/plain", "/order"]
        clients = []
        for count, target in enumerate(targets, 1):
            clients.append(self.send(proxy, target))
            self.queue(proxy, count)
        self.gate.answer(4)
        for client in clients:
            self.assertEqual(client.read_response().status, 200)
        self.assertEqual(self.gate.paths[1:], ["/order", "/plain", "/brochure"])

    def test_a_client_that_leaves_leaves_the_queue(self):
        proxy = self.start()
        self.fill(proxy)
        client = self.send(proxy, "/gone")
        self.queue(proxy, 1)
        client.close()
        self.queue(proxy, 0)
        self.gate.answer()
        eventually(lambda: self.view(proxy)["in_flight"] == 0, "the place to be free")
        self.assertNotIn("/gone", self.gate.paths)

    def test_a_client_that_leaves_keeps_its_place_until_the_server_is_done(self):
        proxy = self.start()
        client, = self.fill(proxy)
        waiting = self.send(proxy, "/next")
        self.queue(proxy, 1)
        client.close()
        proxy.wait_record(lambda it: it.get("end") == "client left")
        self.assertEqual(self.view(proxy)["in_flight"], 1)
        self.assertEqual(len(self.gate.paths), 1)
        self.gate.answer(2)
        self.assertEqual(waiting.read_response().text, "/next")
        self.assertEqual(self.gate.peak, 1)
        eventually(lambda: self.view(proxy)["in_flight"] == 0, "the place to be free")
        self.assertEqual(len(self.server.sockets), 1)  # the connection served again

    def abandon(self, proxy, target, headers=()):
        client = self.send(proxy, target, headers)
        eventually(lambda: self.gate.waiting, "a request at the origin")
        client.close()
        proxy.wait_record(lambda it: it.get("end") == "client left")

    def test_who_presses_reload_gets_what_was_asked_for_already(self):
        proxy = self.start(workers=1)
        self.abandon(proxy, "/page", [("Cookie", "a=1")])
        again = self.send(proxy, "/page", [("Cookie", "a=1"), ("Cache-Control", "max-age=0")])
        eventually(lambda: proxy.metrics()["spillway_upstream_taken_up_total{pool=\"app\"}"] == 1, "it to be taken up")
        self.assertEqual(self.view(proxy)["queued"]["critical"], 0)
        self.gate.answer()
        self.assertEqual(again.read_response().text, "/page")
        self.assertEqual(self.gate.paths, ["/page"])
        again.send(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        self.gate.answer()
        self.assertEqual(again.read_response().text, "/next")
        eventually(lambda: self.view(proxy)["in_flight"] == 0, "the place to be free")

    def test_what_one_visitor_asked_is_not_for_another(self):
        for headers, target, method in (([("Cookie", "a=2")], "/page", "GET"), ([("Cookie", "a=1")], "/page?x", "GET"),
                                        ([("Cookie", "a=1")], "/page", "HEAD"), ([("Cookie", "a=1"), ("Accept", "b")], "/page", "GET")):
            with self.subTest(headers=headers, target=target, method=method):
                proxy = self.start(workers=1)
                self.abandon(proxy, "/page", [("Cookie", "a=1")])
                client = self.send(proxy, target, headers, method)
                self.queue(proxy, 1)
                self.gate.answer(2)
                self.assertEqual(client.read_response(to=method).status, 200)
                self.assertEqual(len(self.gate.paths), 2)

    def test_what_a_trusted_proxy_asked_is_not_for_a_stranger_who_says_the_same(self):
        said = [("X-Forwarded-For", "127.0.0.8"), ("X-Forwarded-User", "alice")]  # as the proxy has found out
        proxy = self.start(workers=1, clients={"trusted_proxies": ["127.0.0.9"]})
        by_proxy = self.send(proxy, "/page", said, source="127.0.0.9")
        eventually(lambda: self.gate.waiting, "a request at the origin")
        by_proxy.close()
        proxy.wait_record(lambda it: it.get("end") == "client left")
        stranger = self.send(proxy, "/page", said, source="127.0.0.8")
        self.queue(proxy, 1)
        self.gate.answer(2)
        self.assertEqual(stranger.read_response().status, 200)
        self.assertEqual([request.get("X-Forwarded-User") for request in self.server.requests], ["alice", None])

    def test_one_who_takes_up_a_request_and_leaves_as_well_leaves_it_to_the_next(self):
        proxy = self.start(workers=1)
        self.abandon(proxy, "/page")
        for count in range(1, 4):
            client = self.send(proxy, "/page")
            eventually(lambda: proxy.metrics()["spillway_upstream_taken_up_total{pool=\"app\"}"] == count, "it to be taken up")
            if count < 3:
                client.close()
                eventually(lambda: len([it for it in proxy.records() if it.get("end") == "client left"]) == count + 1, "it to leave")
        self.gate.answer()
        self.assertEqual(client.read_response().text, "/page")
        self.assertEqual(self.gate.paths, ["/page"])

    def test_a_reload_changes_the_limit_and_loses_nobody(self):
        proxy = self.start()
        self.fill(proxy)
        clients = [self.send(proxy, f"/{i}") for i in range(5)]
        self.queue(proxy, 5)
        settings = config(self.server, rules=CLASSES, app={"concurrency": 4})
        proxy.configure(settings)
        proxy.ctl("reload", check=0)
        eventually(lambda: len(self.gate.waiting) == 4, "four at the origin")
        self.gate.answer(6)
        self.assertEqual({client.read_response().status for client in clients}, {200})

    def test_rules_ask_how_full_a_pool_is_and_how_it_does(self):
        self.gate = self.keep(Gate())
        self.server = self.origin(lambda request: self.gate(request) if request.path.startswith(("/first", "/wait")) else (200, {}, "x"))
        proxy = self.spillway(config(self.server, workers=1, app={"concurrency": 2, "apdex": "1m"}, rules=[
            {"name": "waits", "match": {"path": "/queue", "pool.app.queue": {"above": 0}}, "action": "deny"},
            {"name": "full", "match": {"path": "/full", "pool.app.utilisation": {"above": "99%"}}, "action": "deny"},
            {"name": "well", "match": {"path": "/well", "pool.app.apdex": {"above": "90%"}}, "action": "deny"}]))
        for path in ("/queue", "/full", "/well"):
            self.assertEqual(ask(proxy.port, target=path).status, 200)
        for _ in range(20):
            ask(proxy.port)
        self.assertEqual(ask(proxy.port, target="/well").status, 403)
        self.assertEqual(proxy.metric("spillway_upstream_apdex_ratio", pool="app"), 1)
        self.fill(proxy, 2)
        self.assertEqual(ask(proxy.port, target="/full").status, 403)
        self.send(proxy, "/wait")
        self.queue(proxy, 1)
        self.assertEqual(ask(proxy.port, target="/queue").status, 403)

    def test_what_the_app_says_of_its_load_stays_here(self):
        proxy = self.start(limit="adaptive")
        client = self.send(proxy, "/pressed")
        self.gate.answer()
        self.assertIsNone(client.read_response().get("spillway-pressure"))

    def test_a_protected_visitor_is_known_by_a_cookie(self):
        challenge = [{"name": "all", "match": {"path": {"prefix": "/shop"}}, "action": {"challenge": {"kind": "cookie"}}}]
        self.gate = self.keep(Gate())
        self.server = self.origin(self.gate)
        proxy = self.spillway(config(self.server, rules=CLASSES + challenge, app={"concurrency": 8}))
        client = self.send(proxy, "/order")
        self.gate.answer()
        cookie = client.read_response().get("set-cookie")
        self.assertTrue(cookie.startswith("spillway-protected="), cookie)
        self.assertIn("HttpOnly", cookie)
        pair = cookie.split(";")[0]

        self.assertNotEqual(ask(proxy.port, target="/shop").status, 200)  # who is not, is challenged
        for forged in ("spillway-protected=x.y", pair[:-3] + "AAA"):
            self.assertNotEqual(ask(proxy.port, target="/shop", headers=[("Cookie", forged)]).status, 200)
        client = self.send(proxy, "/shop", headers=[("Cookie", f"a=b; {pair}")])
        self.gate.answer()
        answer = client.read_response()
        self.assertEqual((answer.status, answer.get("set-cookie")), (200, None))
        self.assertTrue(proxy.wait_record(lambda record: record["path"] == "/shop" and record["status"] == 200)["protected"])
        self.assertNotIn("protected", proxy.wait_record(lambda record: record["path"] == "/order"))

        client = self.send(proxy, "/end", headers=[("Cookie", pair)])
        self.gate.answer()
        answer = client.read_response()
        self.assertIn("spillway-protected=; Max-Age=0", answer.get("set-cookie"))
        self.assertIsNone(answer.get("spillway-protect"))
        self.assertEqual(proxy.metric("spillway_protections_total"), 1)

    def test_places_come_back_however_a_request_ends(self):
        proxy = self.start(limit=2)
        for _ in range(3):
            clients = self.fill(proxy, 2)
            clients[0].abort()
            self.gate.answer_all()
            clients[1].read_response()
            eventually(lambda: self.view(proxy)["in_flight"] == 0, "all places to be free")
        self.server.close()
        self.assertEqual(ask(proxy.port).status, 503)
        eventually(lambda: self.view(proxy)["in_flight"] == 0, "all places to be free")


if __name__ == "__main__":
    main()
