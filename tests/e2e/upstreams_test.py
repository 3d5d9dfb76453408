# SPDX-License-Identifier: MIT
"""Upstreams that are down, slow, broken or several: the client always gets an answer, and it is the right one."""

import collections
import os
import resource
import socket
import threading
import time

from harness import Case, ask, config, connect, eventually, free_port, main, PATIENCE

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def named(name):
    return lambda request: (200, {}, name.encode())


def reset(conversation):
    """A reset alone: abort() says an orderly end before it."""
    conversation.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    conversation.socket.close()


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
            refused = client.ask("GET", "/1")
            self.assertEqual((refused.status, refused.get("retry-after") in ("1", "2")), (503, True), refused)
            self.assertEqual(server.requests, [])
            resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (hard, hard))
            self.assertEqual(client.ask("GET", "/2").status, 200)
        self.assertEqual(proxy.metric("spillway_endpoint_errors_total"), 0)


class Blame(Case):
    """What goes wrong is charged to the side that did it."""

    UPGRADE = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: line\r\n\r\n"
    SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: line\r\n\r\n"

    def errors(self, proxy):
        kinds = ("connect", "timeout", "reset", "protocol", "no_server")
        counts = {kind: proxy.metric("spillway_upstream_errors_total", kind=kind) for kind in kinds}
        return {kind: count for kind, count in counts.items() if count}

    def ended(self, client):
        try:
            return client.read_to_end()
        except ConnectionError:
            return b""

    def test_clients_that_stall_in_a_body_eject_no_server(self):
        def play(conversation, _):
            conversation.read_request(body=False)
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
            conversation.read_to_end()

        servers = [self.raw_origin(play), self.raw_origin(play)]
        proxy = self.spillway(config(*servers, workers=1, clients={"timeouts": {"body": "300ms"}},
                                     app={"ejection": {"consecutive_errors": 2}}))
        clients = [self.connect(proxy.port) for _ in range(12)]
        for client in clients:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
        for client in clients:
            self.ended(client)
        eventually(lambda: len(proxy.records()) == 12, "twelve lines")
        self.assertEqual(proxy.metric("spillway_client_timeouts_total"), 12)
        self.assertEqual(self.errors(proxy), {})
        self.assertEqual(proxy.metric("spillway_endpoint_errors_total"), 0)
        self.assertEqual(proxy.metric("spillway_endpoint_up"), 2)
        self.assertEqual({record.get("end") for record in proxy.records()}, {"the request body stalled"})

    def test_a_server_that_falls_silent_in_its_answer_is_a_timeout(self):
        def play(conversation, _):
            conversation.read_request()
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            conversation.read_to_end()

        proxy = self.spillway(config(self.raw_origin(play), app={"timeouts": {"idle": "300ms"}}))
        with connect(proxy.port) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.ended(client)
        self.assertEqual(proxy.wait_record(lambda record: True)["end"], "upstream idle")
        self.assertEqual(self.errors(proxy), {"timeout": 1})
        self.assertEqual(proxy.metric("spillway_endpoint_errors_total"), 1)

    def test_a_server_that_breaks_a_tunnel_is_told_from_a_client_that_leaves(self):
        def play(conversation, _):
            conversation.read_request()
            conversation.send(self.SWITCH)
            conversation.read_line()
            reset(conversation)

        proxy = self.spillway(config(self.raw_origin(play)))
        client = self.connect(proxy.port)
        client.send(self.UPGRADE)
        self.assertEqual(client.read_response().status, 101)
        client.send("break\r\n")
        self.ended(client)
        self.assertEqual(proxy.wait_record(lambda record: True)["end"], "upstream reset")
        self.assertEqual(self.errors(proxy), {"reset": 1})
        self.assertEqual(proxy.metric("spillway_client_aborts_total"), 0)

    def test_a_client_that_breaks_a_tunnel_has_left(self):
        def play(conversation, _):
            conversation.read_request()
            conversation.send(self.SWITCH)
            conversation.read_to_end()

        proxy = self.spillway(config(self.raw_origin(play)))
        client = self.connect(proxy.port)
        client.send(self.UPGRADE)
        self.assertEqual(client.read_response().status, 101)
        reset(client)
        self.assertEqual(proxy.wait_record(lambda record: True)["end"], "client left")
        self.assertEqual(self.errors(proxy), {})
        self.assertEqual(proxy.metric("spillway_client_aborts_total"), 1)

    def test_a_close_that_crosses_with_the_clients_last_words_is_nobodys_fault(self):
        def play(conversation, _):
            conversation.read_request()
            conversation.send(self.SWITCH + "bye\r\n")

        server = self.raw_origin(play)
        proxy = self.spillway(config(server))
        client = self.connect(proxy.port)
        client.send(self.UPGRADE)
        self.assertEqual(client.read_response().status, 101)
        self.assertEqual(self.ended(client), b"bye\r\n")

        def over():
            try:
                client.send("what did you say?\r\n")
            except OSError:
                pass
            return proxy.records()

        self.assertNotIn("end", eventually(over, "the tunnel to end", every=0.05)[0])
        self.assertEqual(self.errors(proxy), {})

    def test_a_client_whose_leaving_shows_in_a_write_is_counted(self):
        server = self.origin(lambda request: (200, {}, b"x" * 50_000_000))
        proxy = self.spillway(config(server))
        client = self.connect(proxy.port)
        # So much behind the first request that no more is read: what tells of the reset is a write.
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 4000)
        client.read_head()
        reset(client)
        self.assertEqual(proxy.wait_record(lambda record: True)["end"], "client left")
        self.assertEqual(proxy.metric("spillway_client_aborts_total"), 1)


class Clocks(Case):
    """Each wait has its limit, and it is that of the side that is waited for."""

    def test_interim_heads_that_fill_the_way_do_not_stop_the_clock(self):
        def play(conversation, _):
            conversation.read_request()
            for _ in range(15):
                conversation.send(b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 800_000 + b"\r\n\r\n")
            sent.set()
            conversation.read_to_end()

        sent = threading.Event()
        proxy = self.spillway(config(self.raw_origin(play), app={"timeouts": {"first_byte": "1s"}, "response_head": "1MiB"}))
        with connect(proxy.port) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            sent.wait(0.5)  # the client reads late, but it reads everything
            response = client.read_response()
            self.assertEqual((len(response.interim), response.status), (15, 504))

    def test_an_upload_that_goes_on_is_not_the_servers_silence(self):
        def play(conversation, _):
            request = conversation.read_request(body=False)
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
            conversation.read(int(request.get("content-length")))
            conversation.send("done")

        proxy = self.spillway(config(self.raw_origin(play), app={"timeouts": {"idle": "300ms"}}))
        with connect(proxy.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
            head = client.read_head()
            for _ in range(10):
                self.assertTrue(client.quiet(0.1))
                client.send("x")
            self.assertEqual((head.status, client.read(4)), (200, b"done"))

    def test_the_body_has_no_clock_while_the_client_waits_for_100(self):
        def play(conversation, _):
            conversation.read_request(body=False)
            conversation.quiet(1)
            conversation.send("HTTP/1.1 100 Continue\r\n\r\n")
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + conversation.read(5))

        proxy = self.spillway(config(self.raw_origin(play), clients={"timeouts": {"body": "300ms"}}))
        with connect(proxy.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            self.assertEqual(client.read_head().status, 100)
            client.send("hello")
            self.assertEqual(client.read_response().body, b"hello")

    def test_from_100_on_the_body_has_its_clock(self):
        def play(conversation, _):
            conversation.read_request(body=False)
            conversation.send("HTTP/1.1 100 Continue\r\n\r\n")
            conversation.read_to_end()

        proxy = self.spillway(config(self.raw_origin(play), clients={"timeouts": {"body": "300ms"}}))
        with connect(proxy.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            response = client.read_response()
            self.assertEqual(([head.status for head in response.interim], response.status), ([100], 408))

    def test_a_server_that_never_says_100_is_504_after_first_byte(self):
        proxy = self.spillway(config(self.raw_origin(lambda conversation, _: conversation.read_to_end()),
                                     app={"timeouts": {"first_byte": "300ms"}}))
        with connect(proxy.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            self.assertEqual(client.read_response().status, 504)

    def test_the_first_byte_is_measured_from_the_requests_end(self):
        server = self.origin()
        proxy = self.spillway(config(server))
        with connect(proxy.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
            self.assertTrue(client.quiet(1))
            client.send("hello")
            self.assertEqual(client.read_response().status, 200)
        self.assertLess(proxy.metric("spillway_upstream_first_byte_seconds_sum"), 0.5)
        self.assertEqual(proxy.metric("spillway_upstream_first_byte_seconds_count"), 1)


class Retries(Case):
    def test_a_get_is_tried_again_on_another_server(self):
        breaker = self.raw_origin(lambda conversation, _: conversation.read_request())
        good = self.origin(named("good"))
        proxy = self.spillway(config(breaker, good, app={"balance": "round_robin", "retries": {"attempts": 1, "budget": "100%"},
                                                        "ejection": {"consecutive_errors": 0}}))
        for _ in range(10):
            self.assertEqual(ask(proxy.port).body, b"good")
        self.assertGreater(breaker.connections, 0)

    def test_a_body_of_no_chunks_is_ended_at_the_other_server_too(self):
        def play(conversation, number):
            conversation.read_request()
            if number > 0:
                conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        server = self.raw_origin(play)
        proxy = self.spillway(config(server, app={"retries": {"attempts": 1}, "timeouts": {"first_byte": "5s"}}))
        client = self.connect(proxy.port)
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        self.assertEqual(client.read_response().status, 200)

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

    def test_the_cookie_that_hash_goes_by_is_found_in_any_line(self):
        servers = [self.origin(named(name)) for name in "abc"]
        proxy = self.spillway(config(*servers, app={"balance": "hash", "hash_key": "cookie.sid"}))
        homes = collections.defaultdict(set)
        for user in range(40):
            for first in ("theme=dark", "sid-old=1", "lang=de; x=y"):
                homes[user].add(ask(proxy.port, headers=[("Cookie", first), ("Cookie", f"a=b; sid={user}")]).body)
        self.assertTrue(all(len(home) == 1 for home in homes.values()), homes)
        self.assertEqual(set().union(*homes.values()), {b"a", b"b", b"c"})

    def test_without_the_cookie_hash_goes_by_the_clients_address(self):
        servers = [self.origin(named(name)) for name in "abc"]
        proxy = self.spillway(config(*servers, app={"balance": "hash", "hash_key": "cookie.sid"}))
        homes = {i: {ask(proxy.port, source=f"127.0.0.{i}").body for _ in range(3)} for i in range(2, 42)}
        self.assertTrue(all(len(home) == 1 for home in homes.values()), homes)
        self.assertEqual(set().union(*homes.values()), {b"a", b"b", b"c"})

    def test_where_a_key_goes_cannot_be_known_from_outside(self):
        servers = [self.origin(named(name)) for name in "ab"]
        settings = config(*servers, app={"balance": "hash", "hash_key": "header.X-User"})

        def homes():
            proxy = self.spillway(settings)
            return [ask(proxy.port, headers={"X-User": f"user-{user}"}).body for user in range(40)]

        self.assertNotEqual(homes(), homes())  # alike by chance: once in 2^40

    def test_hash_keeps_most_clients_where_they_were_when_a_server_goes(self):
        servers = [self.origin(named(name)) for name in "abcd"]
        settings = config(*servers, app={"balance": "hash", "hash_key": "header.X-User"})
        proxy = self.spillway(settings)
        before = {user: ask(proxy.port, headers={"X-User": f"{user}"}).body for user in range(60)}
        settings["pools"]["app"]["servers"].pop()
        proxy.configure(settings)
        proxy.must_reload()
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
        self.assertIn(response.get("retry-after"), ("1", "2"))
        self.assertIn("knows of no server", response.text)

    def test_servers_that_are_all_unwell_are_not_called_a_crowd(self):
        server = self.origin(lambda request: (500, {}, b""))
        proxy = self.spillway(config(server, app={"health_check": {"path": "/", "interval": "100ms", "fall": 1}}))
        eventually(lambda: ask(proxy.port).status == 503, "the server to be unhealthy")
        response = ask(proxy.port, headers={"Accept": "text/html"})
        self.assertEqual(response.status, 503)
        self.assertIn(response.get("retry-after"), ("1", "2"))
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
