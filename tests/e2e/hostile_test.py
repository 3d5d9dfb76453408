# SPDX-License-Identifier: MIT
"""What no honest client does: requests that are too large, too slow, too many. What is malformed: treachery_test.py."""

import select
import time

from harness import Case, ask, config, connect, eventually, main


class Malformed(Case):
    def setUp(self):
        self.server = self.origin()
        self.proxy = self.spillway(config(self.server))

    def test_good_requests_before_a_bad_one_are_answered(self):
        with connect(self.proxy.port) as client:
            client.send(b"GET /one HTTP/1.1\r\nHost: a\r\n\r\nGET /two HTTP/1.1\r\n\r\n")
            self.assertEqual(client.read_response().json()["path"], "/one")
            self.assertEqual(client.read_response().status, 400)
            self.assertTrue(client.at_end())

    def test_refusals_are_logged_and_counted(self):
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x00\x01\x02\r\n\r\n"):
            with connect(self.proxy.port) as client:
                client.send(data)
                client.read_response()
        eventually(lambda: self.proxy.metric("spillway_requests_total", decision="bad_request") == 2, "the count")


class Sizes(Case):
    def setUp(self):
        self.server = self.origin()
        self.proxy = self.spillway(config(self.server, clients={"sizes": {"head": "8KiB", "headers": 20, "target": "1KiB",
                                                                         "body": "10KiB"}}))

    def status(self, data):
        with connect(self.proxy.port) as client:
            try:
                client.send(data)
            except ConnectionError:
                pass
            return client.read_response().status

    def test_a_long_target_is_414(self):
        self.assertEqual(self.status(b"GET /" + b"a" * 2000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"), 414)

    def test_an_endless_target_is_414_too(self):
        self.assertIn(self.status(b"GET /" + b"a" * 30_000), (414, 431))

    def test_long_fields_are_431(self):
        self.assertEqual(self.status(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000 + b"\r\n\r\n"), 431)

    def test_an_endless_field_is_431_before_it_ends(self):
        self.assertEqual(self.status(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000), 431)

    def test_many_fields_are_431(self):
        self.assertEqual(self.status(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 30 + b"\r\n"), 431)

    def test_a_large_body_is_413(self):
        self.assertEqual(self.status(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n"), 413)
        self.assertEqual(self.server.requests, [])

    def test_a_large_chunked_body_is_cut(self):
        with connect(self.proxy.port) as client:
            try:
                client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"1000\r\n" + b"x" * 4096 + b"\r\n") * 8)
                self.assertEqual(client.read_response().status, 413)
            except ConnectionError:
                pass
        self.assertEqual(self.server.requests, [])

    def test_what_is_just_within_passes(self):
        self.assertEqual(self.status(b"GET /" + b"a" * 1000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"), 200)
        self.assertEqual(self.status(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 18 + b"\r\n"), 200)
        self.assertEqual(self.status(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10240\r\n\r\n" + b"x" * 10240), 200)


class Slowness(Case):
    def setUp(self):
        self.server = self.origin()
        self.proxy = self.spillway(config(self.server, clients={"timeouts": {
            "head": "400ms", "body": "400ms", "idle": "400ms", "write": "1s"}}))

    def test_a_head_in_drips_ends_in_time(self):
        """Slowloris: each byte comes soon after the one before; the head as a whole has its deadline."""
        began = time.monotonic()
        with connect(self.proxy.port) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n")
            try:
                for i in range(100):
                    client.send(f"X-{i}: y\r\n")
                    if not client.quiet(0.1):
                        break
                self.assertEqual(client.read_response().status, 408)
            except (ConnectionError, EOFError):
                pass
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual(self.server.requests, [])

    def test_a_body_that_stops_ends_in_time(self):
        began = time.monotonic()
        with connect(self.proxy.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
            try:
                self.assertEqual(client.read_response().status, 408)
            except (ConnectionError, EOFError):
                pass
        self.assertLess(time.monotonic() - began, 5)

    def test_an_idle_connection_is_closed_quietly(self):
        with connect(self.proxy.port) as client:
            self.assertEqual(client.ask().status, 200)
            self.assertTrue(client.at_end())
            self.assertEqual(client.buffer, b"")

    def test_a_connection_that_says_nothing_is_closed(self):
        with connect(self.proxy.port) as client:
            try:
                client.read_to_end()
            except ConnectionError:
                pass

    def test_a_new_connection_may_be_silent_for_as_long_as_a_kept_one(self):
        proxy = self.spillway(config(self.server, clients={"timeouts": {"head": "300ms", "idle": "30s"}}))
        with connect(proxy.port) as client:
            for _ in range(2):
                self.assertTrue(client.quiet(0.6))
                self.assertEqual(client.ask().status, 200)
            client.send("GET /")  # from here on it is a head
            self.assertEqual(client.read_response().status, 408)

    def test_a_client_that_takes_nothing_is_let_go(self):
        big = self.origin(lambda request: (200, {}, b"x" * 50_000_000))
        proxy = self.spillway(config(big, clients={"timeouts": {"write": "500ms"}}))
        client = self.connect(proxy.port)
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: proxy.metric("spillway_connections_open") == 0, "the connection to be let go", timeout=20)

    def test_slow_clients_do_not_hold_up_others(self):
        slow = [self.connect(self.proxy.port) for _ in range(100)]
        for client in slow:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n")
        began = time.monotonic()
        for _ in range(20):
            self.assertEqual(ask(self.proxy.port).status, 200)
        self.assertLess(time.monotonic() - began, 3)


class Many(Case):
    def test_a_connection_beyond_the_limit_waits_its_turn(self):
        server = self.origin()
        proxy = self.spillway(config(server, workers=1, clients={"max_connections": 10}))
        held = [self.connect(proxy.port) for _ in range(10)]
        for client in held:
            self.assertEqual(client.ask().status, 200)
        with connect(proxy.port) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            # Served or not, those that are in are answered at once.
            self.assertEqual(held[0].ask().status, 200)
            self.assertEqual(len(server.requests), 11)
            held[1].close()
            self.assertEqual(client.read_response().status, 200)

    def test_the_limit_is_one_over_all_workers(self):
        server = self.origin()
        proxy = self.spillway(config(server, workers=8, clients={"max_connections": 2}))
        clients = [self.connect(proxy.port) for _ in range(12)]  # the kernel spreads them over the workers
        for client in clients:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        waiting = list(clients)
        for round in range(6):
            served = lambda: select.select([client.socket for client in waiting], [], [], 0)[0]
            eventually(lambda: len(served()) == 2, "two more to be served")
            self.assertEqual(len(server.requests), 2 * (round + 1))
            self.assertEqual(proxy.metric("spillway_connections_open"), 2)
            for client in [client for client in waiting if client.socket in served()]:
                self.assertEqual(client.read_response().status, 200)
                waiting.remove(client)
                client.close()
        self.assertEqual(waiting, [])

    def test_a_limit_that_the_descriptors_do_not_allow_is_told(self):
        server = self.origin()
        proxy = self.spillway(config(server, clients={"max_connections": 1000}), prefix=("prlimit", "--nofile=264:264"))
        proxy.log.wait(r"clients.max_connections: 1000 is more than 100, which the limit of 264 descriptors allows")


if __name__ == "__main__":
    main()
