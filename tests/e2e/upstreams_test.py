# SPDX-License-Identifier: MIT
"""Upstreams that are down, slow, broken or several: the client always gets an answer, and it is the right one."""

import collections
import os
import resource
import threading
import time

from harness import Case, ask, config, connect, eventually, free_port, main, PATIENCE

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def named(name):
    return lambda request: (200, {}, name.encode())


class Broken(Case):
    def test_nobody_listening_is_502_at_once(self):
        holder, port = free_port()
        self.addCleanup(holder.close)
        proxy = self.spillway(config(port))
        before = time.monotonic()
        response = ask(proxy.port)
        self.assertIn(response.status, (502, 503))
        self.assertEqual(response.get("cache-control"), "no-store")
        self.assertLess(time.monotonic() - before, 5)

    def test_a_server_that_says_nothing_is_504_after_first_byte(self):
        server = self.raw_origin(lambda conversation, _: conversation.read_to_end())
        proxy = self.spillway(config(server, app={"timeouts": {"first_byte": "300ms"}}))
        before = time.monotonic()
        self.assertEqual(ask(proxy.port).status, 504)
        self.assertGreater(time.monotonic() - before, 0.25)

    def test_a_server_that_stops_in_the_middle_ends_the_response_short(self):
        def play(conversation, _):
            conversation.read_request()
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            conversation.read_to_end()

        server = self.raw_origin(play)
        proxy = self.spillway(config(server, app={"timeouts": {"idle": "300ms"}}))
        with connect(proxy.port) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(client.read_head().status, 200)
            try:
                rest = client.read_to_end()
            except ConnectionError:
                rest = b"half"
            self.assertEqual(rest, b"half")  # and the connection is over: a client can tell

    def test_a_chunked_body_that_breaks_off_never_looks_complete(self):
        def play(conversation, _):
            conversation.read_request()
            conversation.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")

        server = self.raw_origin(play)
        proxy = self.spillway(config(server))
        with connect(proxy.port) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            client.read_head()
            try:
                rest = client.read_to_end()
            except ConnectionError:
                rest = b""
            self.assertNotIn(b"\r\n0\r\n", rest)

    def test_what_is_not_http_is_502(self):
        for garbage in (b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\x00" * 100, b"HTTP/1.1 200 OK\r\nbroken\r\n\r\n",
                        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
                        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
                        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"):
            def play(conversation, _):
                conversation.read_request()
                conversation.send(garbage)

            server = self.raw_origin(play)
            proxy = self.spillway(config(server))
            self.assertEqual(ask(proxy.port).status, 502, garbage)

    def test_closing_without_a_word_is_502(self):
        server = self.raw_origin(lambda conversation, _: conversation.read_request())
        proxy = self.spillway(config(server, app={"retries": {"attempts": 0}}))
        self.assertEqual(ask(proxy.port).status, 502)

    def test_a_head_beyond_the_limit_is_502(self):
        def play(conversation, _):
            conversation.read_request()
            conversation.send(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000 + b"\r\n\r\n")

        server = self.raw_origin(play)
        proxy = self.spillway(config(server))
        self.assertEqual(ask(proxy.port).status, 502)

    def test_more_bytes_than_the_length_said_do_not_reach_the_next_client(self):
        def play(conversation, _):
            while True:
                conversation.read_request()
                conversation.send(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")

        server = self.raw_origin(play)
        proxy = self.spillway(config(server))
        for _ in range(10):
            self.assertEqual(ask(proxy.port).body, b"ok")

    def test_a_body_after_a_bodiless_answer_is_not_the_next_answer(self):
        def play(conversation, number):
            conversation.read_request()
            if number > 0:
                return conversation.send(OK)
            conversation.send(b"HTTP/1.1 304 Not Modified\r\n\r\n")
            asked.wait(PATIENCE)
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            late.set()
            conversation.read_request()

        asked, late = threading.Event(), threading.Event()
        server = self.raw_origin(play)
        proxy = self.spillway(config(server, workers=1))
        with connect(proxy.port) as client:
            self.assertEqual(client.ask().status, 304)
            # Stopped, it finds both when it goes on, and the request first.
            proxy.stop()
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            asked.set()
            self.assertTrue(late.wait(PATIENCE))
            proxy.go_on()
            self.assertEqual(client.read_response().body, b"ok")
        self.assertEqual(len(server.requests), 2)

    def test_a_server_is_not_charged_with_our_lack_of_descriptors(self):
        server = self.origin()
        proxy = self.spillway(config(server, workers=1, app={"ejection": {"consecutive_errors": 1}}, rules=[
            {"name": "ours", "match": {"path": "/ours"}, "action": {"respond": {"status": 200, "body": "ours"}}}]))
        with connect(proxy.port) as client:
            self.assertEqual(client.ask("GET", "/ours").body, b"ours")  # so it is accepted
            _, hard = resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE)
            taken = {int(name) for name in os.listdir(f"/proc/{proxy.pid}/fd")}
            free = next(number for number in range(len(taken) + 1) if number not in taken)
            resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (free, hard))
            self.assertEqual(client.ask("GET", "/1").status, 503)
            self.assertEqual(server.requests, [])
            resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (hard, hard))
            self.assertEqual(client.ask("GET", "/2").status, 200)
        self.assertEqual(proxy.metric("spillway_endpoint_errors_total"), 0)


class Retries(Case):
    def test_a_get_is_tried_again_on_another_server(self):
        breaker = self.raw_origin(lambda conversation, _: conversation.read_request())
        good = self.origin(named("good"))
        proxy = self.spillway(config(breaker, good, app={"balance": "round_robin", "retries": {"attempts": 1, "budget": "100%"},
                                                        "ejection": {"consecutive_errors": 0}}))
        for _ in range(10):
            self.assertEqual(ask(proxy.port).body, b"good")
        self.assertGreater(breaker.connections, 0)

    def test_a_post_that_was_sent_is_never_sent_twice(self):
        breaker = self.raw_origin(lambda conversation, _: conversation.read_request())
        proxy = self.spillway(config(breaker, app={"retries": {"attempts": 3}, "ejection": {"consecutive_errors": 0}}))
        self.assertEqual(ask(proxy.port, "POST", body=b"pay").status, 502)
        self.assertEqual(len(breaker.requests), 1)

    def test_a_post_that_could_not_be_sent_is_tried_elsewhere(self):
        holder, port = free_port()
        self.addCleanup(holder.close)
        good = self.origin(named("good"))
        proxy = self.spillway(config(port, good, app={"balance": "round_robin", "retries": {"attempts": 1, "budget": "100%"},
                                                     "ejection": {"consecutive_errors": 0}}))
        for _ in range(6):
            self.assertEqual(ask(proxy.port, "POST", body=b"pay").body, b"good")
        self.assertEqual([request.body for request in good.requests], [b"pay"] * 6)

    def test_a_kept_connection_that_the_upstream_closed_costs_no_request(self):
        def play(conversation, _):
            conversation.read_request()
            conversation.send(OK)  # says keep-alive, and hangs up

        server = self.raw_origin(play)
        proxy = self.spillway(config(server, app={"ejection": {"consecutive_errors": 0}}))
        for _ in range(30):
            self.assertEqual(ask(proxy.port).status, 200)

    def test_the_budget_bounds_the_retries(self):
        breaker = self.raw_origin(lambda conversation, _: conversation.read_request())
        proxy = self.spillway(config(breaker, app={"retries": {"attempts": 5, "budget": "10%"},
                                                  "ejection": {"consecutive_errors": 0}}))
        for _ in range(50):
            self.assertEqual(ask(proxy.port).status, 502)
        self.assertLessEqual(len(breaker.requests), 50 + 10)


class Several(Case):
    def counts(self, proxy, number=60, **more):
        return collections.Counter(ask(proxy.port, **more).body.decode() for _ in range(number))

    def test_round_robin_follows_the_weights(self):
        a, b = self.origin(named("a")), self.origin(named("b"))
        proxy = self.spillway({**config(workers=1), "pools": {"app": {"balance": "round_robin", "servers": [
            f"127.0.0.1:{a.port}", {"address": f"127.0.0.1:{b.port}", "weight": 2}]}}})
        self.assertEqual(self.counts(proxy), {"a": 20, "b": 40})

    def test_least_requests_avoids_the_busy_server(self):
        go = threading.Event()
        self.addCleanup(go.set)

        def slow(request):
            go.wait(20)
            return 200, {}, b"slow"

        busy, idle = self.origin(slow), self.origin(named("idle"))
        proxy = self.spillway(config(busy, idle, workers=1, app={"balance": "least_requests", "ejection": {"consecutive_errors": 0}}))
        held = []
        while not busy.requests:  # one request hangs at the busy one
            client = self.connect(proxy.port)
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            held.append(client)
            eventually(lambda: len(busy.requests) + len(idle.requests) >= len(held), "a request to arrive")
        self.assertEqual(self.counts(proxy, 30), {"idle": 30})

    def test_hash_sends_one_client_to_one_server_and_many_to_all(self):
        servers = [self.origin(named(name)) for name in "abc"]
        proxy = self.spillway(config(*servers, app={"balance": "hash", "hash_key": "header.X-User"}))
        homes = collections.defaultdict(set)
        for user in range(40):
            for _ in range(3):
                homes[user].add(ask(proxy.port, headers={"X-User": f"user-{user}"}).body)
        self.assertTrue(all(len(home) == 1 for home in homes.values()), homes)
        self.assertEqual(set().union(*homes.values()), {b"a", b"b", b"c"})

    def test_hash_keeps_most_clients_where_they_were_when_a_server_goes(self):
        servers = [self.origin(named(name)) for name in "abcd"]
        settings = config(*servers, app={"balance": "hash", "hash_key": "header.X-User"})
        proxy = self.spillway(settings)
        before = {user: ask(proxy.port, headers={"X-User": f"{user}"}).body for user in range(60)}
        settings["pools"]["app"]["servers"].pop()
        proxy.configure(settings)
        self.assertEqual(proxy.reload()[0], 200)
        after = {user: ask(proxy.port, headers={"X-User": f"{user}"}).body for user in range(60)}
        for user, home in before.items():
            if home != b"d":
                self.assertEqual(after[user], home)

    def test_backup_is_used_only_when_nothing_else_can_be(self):
        main_server, spare = self.origin(named("main")), self.origin(named("spare"))
        proxy = self.spillway({**config(), "pools": {"app": {
            "ejection": {"consecutive_errors": 1, "max_share": "100%"}, "retries": {"attempts": 1, "budget": "100%"},
            "servers": [f"127.0.0.1:{main_server.port}", {"address": f"127.0.0.1:{spare.port}", "backup": True}]}}})
        self.assertEqual(self.counts(proxy, 20), {"main": 20})
        main_server.close()
        eventually(lambda: ask(proxy.port).body == b"spare", "the spare to be used")
        self.assertEqual(self.counts(proxy, 10), {"spare": 10})

    def test_a_unix_socket_is_a_server_too(self):
        path = os.path.join(self.directory(), "app.sock")

        def play(conversation, _):
            while True:
                conversation.read_request()
                conversation.send(OK)

        server = self.raw_origin(play, unix=path)
        proxy = self.spillway(config(f"unix:{path}"))
        for _ in range(5):
            self.assertEqual(ask(proxy.port).body, b"ok")
        self.assertGreater(server.connections, 0)

    def test_a_name_is_resolved(self):
        server = self.origin(named("named"))
        proxy = self.spillway(config(f"localhost:{server.port}"))
        eventually(lambda: ask(proxy.port).body == b"named", "localhost to resolve")

    def test_a_name_that_does_not_exist_is_an_answer_not_a_hang(self):
        proxy = self.spillway(config("no-such-host.invalid:80"))
        response = ask(proxy.port)
        self.assertEqual(response.status, 503)
        self.assertIn("knows of no server", response.text)

    def test_servers_that_are_all_unwell_are_not_called_a_crowd(self):
        server = self.origin(lambda request: (500, {}, b""))
        proxy = self.spillway(config(server, app={"health_check": {"path": "/", "interval": "100ms", "fall": 1}}))
        eventually(lambda: ask(proxy.port).status == 503, "the server to be unhealthy")
        response = ask(proxy.port, headers={"Accept": "text/html"})
        self.assertEqual(response.status, 503)
        self.assertIn("None of the servers behind this address is well", response.text)
        self.assertNotIn("more requests", response.text)

    def test_pool_action_chooses_the_pool(self):
        a, b = self.origin(named("a")), self.origin(named("b"))
        proxy = self.spillway({**config(a), "pools": {"app": {"servers": [f"127.0.0.1:{a.port}"]},
                                                      "api": {"servers": [f"127.0.0.1:{b.port}"]}},
                               "rules": [{"name": "api", "match": {"path": {"prefix": "/api/"}}, "action": {"pool": "api"}}]})
        self.assertEqual(ask(proxy.port, target="/").body, b"a")
        self.assertEqual(ask(proxy.port, target="/api/x").body, b"b")

    def test_host_of_the_pool_replaces_the_clients(self):
        server = self.origin()
        proxy = self.spillway(config(server, app={"host": "inside.example"}))
        ask(proxy.port, host="outside.example")
        self.assertEqual(server.requests[-1].all("host"), ["inside.example"])
        self.assertEqual(server.requests[-1].all("x-forwarded-host"), ["outside.example"])


class Health(Case):
    def test_a_server_that_fails_its_checks_gets_no_requests_until_it_recovers(self):
        well = threading.Event()

        def sick(request):
            if request.path == "/healthz":
                return (200 if well.is_set() else 500), {}, b""
            return 200, {}, b"sick"

        a, b = self.origin(sick), self.origin(named("well"))
        proxy = self.spillway(config(a, b, app={"balance": "round_robin", "health_check": {
            "path": "/healthz", "interval": "100ms", "timeout": "500ms", "rise": 2, "fall": 2}}))

        def bodies():
            return {ask(proxy.port).body for _ in range(10)}

        eventually(lambda: bodies() == {b"well"}, "the failing server to be left out")
        well.set()
        eventually(lambda: bodies() == {b"well", b"sick"}, "the recovered server to be used again")

    def test_a_server_that_errs_in_a_row_is_ejected_and_comes_back(self):
        failing = threading.Event()
        failing.set()
        a = self.origin(lambda request: (503, {}, b"") if failing.is_set() else (200, {}, b"back"))
        b = self.origin(named("b"))
        proxy = self.spillway(config(a, b, workers=1, app={"balance": "round_robin", "ejection": {
            "consecutive_errors": 3, "time": "1s", "max_share": "50%"}}))
        for _ in range(10):
            ask(proxy.port)
        reached = len(a.requests)
        self.assertLessEqual(reached, 5)
        failing.clear()
        eventually(lambda: ask(proxy.port).body == b"back", "the ejected server to return", timeout=20)

    def test_the_last_server_is_never_ejected(self):
        server = self.origin(lambda request: (503, {}, b"no"))
        proxy = self.spillway(config(server, app={"ejection": {"consecutive_errors": 1, "max_share": "50%"}}))
        for _ in range(20):
            ask(proxy.port)
        self.assertEqual(len(server.requests), 20)


class Hidden(Case):
    LEAK = b"Traceback: /srv/app/models.py table users password=hunter2"

    def test_an_error_body_never_reaches_the_client(self):
        server = self.origin(lambda request: (500, {"Content-Type": "text/html", "X-Debug": "hunter2"}, self.LEAK))
        proxy = self.spillway(config(server, app={"errors": {"hide": [500, 502, 503, 504]}}))
        for headers in ({}, {"Accept": "text/html", "Sec-Fetch-Dest": "document"}):
            response = ask(proxy.port, headers=headers)
            self.assertEqual(response.status, 500)
            self.assertNotIn(b"hunter2", response.raw_head + response.body)

    def test_a_page_of_our_own_takes_its_place(self):
        server = self.origin(lambda request: (503, {}, self.LEAK))
        proxy = self.spillway(config(server, app={"errors": {"hide": [503], "page": "sorry.html"}}),
                              files={"sorry.html": "<h1>Back in a moment</h1>"})
        response = ask(proxy.port, headers={"Accept": "text/html", "Sec-Fetch-Dest": "document"})
        self.assertEqual((response.status, response.body), (503, b"<h1>Back in a moment</h1>"))

    def test_other_statuses_pass_as_they_are(self):
        server = self.origin(lambda request: (404, {}, b"the app's own page"))
        proxy = self.spillway(config(server, app={"errors": {"hide": [500]}}))
        self.assertEqual(ask(proxy.port).body, b"the app's own page")

    def test_a_large_hidden_body_does_not_disturb_what_follows(self):
        server = self.origin(lambda request: (500, {}, b"x" * 3_000_000) if request.path == "/bad" else (200, {}, b"good"))
        proxy = self.spillway(config(server, app={"errors": {"hide": [500]}}))
        with connect(proxy.port) as client:
            for _ in range(3):
                self.assertEqual(client.ask(target="/bad").status, 500)
                self.assertEqual(client.ask(target="/good").body, b"good")


if __name__ == "__main__":
    main()
