# SPDX-License-Identifier: MIT
"""Clients that take what others need: time, places, descriptors. Those who behave are served all the same."""

import os
import resource
import selectors
import socket
import threading
import time

from harness import PATIENCE, Case, ask, config, connect, eventually, main
from http2_client import Client as Http2Client

# Clients, and the descriptors that there are for them; CROWD=19000 for a tenfold crowd.
CLIENTS = int(os.environ.get("CROWD", 1900))
MANY = (CLIENTS, CLIENTS * 10 // 19)


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
            for i in range(100):
                client.send(f"X-{i}: y\r\n")
                if not client.quiet(0.1):
                    break
            self.assertEqual(client.read_response().status, 408)
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual(self.server.requests, [])

    def test_a_body_that_stops_ends_in_time(self):
        began = time.monotonic()
        with connect(self.proxy.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
            self.assertEqual(client.read_response().status, 408)
        self.assertLess(time.monotonic() - began, 5)

    def test_an_idle_connection_is_closed_quietly(self):
        with connect(self.proxy.port) as client:
            self.assertEqual(client.ask().status, 200)
            self.assertTrue(client.at_end())
            self.assertEqual(client.buffer, b"")

    def test_a_connection_that_says_nothing_is_closed(self):
        with connect(self.proxy.port) as client:
            self.assertEqual(client.read_to_end(), b"")

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

    def drip(self, client, data, until, every=0.05):
        """Sends data byte by byte, slowly, until the condition holds."""
        for byte in data:
            if until():
                return
            try:
                client.send(bytes([byte]))
            except ConnectionError:
                pass
            threading.Event().wait(every)
        self.fail("it could have gone on for ever")

    def test_a_body_in_drips_ends_in_time(self):
        """Each byte comes well within the silence that is allowed, but all of them too slowly."""
        slow = {"timeouts": {"body": "400ms"}, "min_rate": {"body": "1KiB"}}
        proxy = self.spillway(config(self.server, clients=slow))
        client = self.connect(proxy.port)
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n")
        self.drip(client, b"x" * 100, lambda: proxy.metric("spillway_client_timeouts_total") == 1)
        self.assertEqual(client.read_response().status, 408)

    def test_a_body_in_drips_over_http2_ends_in_time(self):
        slow = {"timeouts": {"body": "400ms"}, "min_rate": {"body": "1KiB"}}
        proxy = self.spillway(config(self.server, clients=slow, listeners=[{"address": "127.0.0.1:0", "http2": True}]))
        with Http2Client(proxy.port) as client:
            stream = client.start("POST", end=False)
            for _ in range(100):
                if proxy.metric("spillway_client_timeouts_total") == 1:
                    break
                client.send(stream, b"x")
                threading.Event().wait(0.05)
            else:
                self.fail("it could have gone on for ever")
            client.until(lambda: stream.status == 408, "the refusal")
            self.assertEqual(client.ask().status, 200)

    def test_a_body_at_the_least_rate_may_take_its_time(self):
        proxy = self.spillway(config(self.server, clients={"timeouts": {"body": "400ms"}, "min_rate": {"body": "1KiB"}}))
        with connect(proxy.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n")
            for _ in range(20):
                client.send(b"x" * 200)
                threading.Event().wait(0.1)
            self.assertEqual(client.read_response().status, 200)

    def test_a_client_that_takes_drips_is_let_go(self):
        big = self.origin(lambda request: (200, {}, b"x" * 50_000_000))
        proxy = self.spillway(config(big, clients={"timeouts": {"write": "1s"}, "min_rate": {"answer": "100KiB"}}))
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.keep(client)
        client.connect(("127.0.0.1", proxy.port))
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        gone = lambda: proxy.metric("spillway_connections_open") == 0
        for _ in range(600):
            if gone():
                break
            try:
                client.recv(1000)
            except ConnectionError:
                break
            threading.Event().wait(0.05)
        else:
            self.fail("it could have gone on for ever")
        eventually(gone, "the connection to be let go")

    def test_slow_clients_do_not_hold_up_others(self):
        slow = [self.connect(self.proxy.port) for _ in range(100)]
        for client in slow:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n")
        began = time.monotonic()
        for _ in range(20):
            self.assertEqual(ask(self.proxy.port).status, 200)
        self.assertLess(time.monotonic() - began, 3)


class Held:
    """An origin that answers when it is told to."""

    def __init__(self, case):
        self.go = threading.Event()
        case.addCleanup(self.go.set)
        self.server = case.origin(self.answer)

    def answer(self, request):
        if request.path == "/held":
            self.go.wait(PATIENCE)
        return 200, {}, b"ok"


class Many(Case):
    def test_a_connection_beyond_the_limit_waits_its_turn(self):
        held = Held(self)
        proxy = self.spillway(config(held.server, workers=1, clients={"max_connections": 3}))
        busy = [self.connect(proxy.port) for _ in range(3)]
        for client in busy:
            client.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: len(held.server.requests) == 3, "all to be busy")
        with connect(proxy.port) as client:
            client.send("GET /late HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertTrue(client.quiet(0.3))
            self.assertEqual(len(held.server.requests), 3)
            busy[1].close()
            self.assertEqual(client.read_response().status, 200)
        held.go.set()
        for client in (busy[0], busy[2]):
            self.assertEqual(client.read_response().status, 200)

    def test_the_limit_is_one_over_all_workers(self):
        held = Held(self)
        proxy = self.spillway(config(held.server, workers=8, clients={"max_connections": 2}))
        clients = [self.connect(proxy.port) for _ in range(12)]  # the kernel spreads them over the workers
        for client in clients:
            client.send("GET /held HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        eventually(lambda: len(held.server.requests) == 2, "two to be served")
        self.assertEqual(proxy.metric("spillway_connections_open"), 2)
        held.go.set()
        for client in clients:
            self.assertEqual(client.read_response().status, 200)

    def test_who_waited_longest_gives_way(self):
        """With no place left, the connection that has been idle for longest is closed; none that is at work."""
        held = Held(self)
        proxy = self.spillway(config(held.server, workers=1, clients={"max_connections": 4}))
        busy, *idle = [self.connect(proxy.port) for _ in range(4)]
        busy.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
        silent = idle.pop()  # never says anything; it connected after the others
        for client in idle:
            self.assertEqual(client.ask().status, 200)
        with connect(proxy.port) as one, connect(proxy.port) as another:
            self.assertEqual(one.ask().status, 200)
            self.assertEqual(silent.read_to_end(), b"")
            self.assertEqual(another.ask().status, 200)
            self.assertEqual(idle[0].read_to_end(), b"")
            self.assertEqual(idle[1].ask().status, 200)
        held.go.set()
        self.assertEqual(busy.read_response().status, 200)
        self.assertEqual(proxy.metric("spillway_connections_given_up_total"), 2)

    def test_a_place_may_come_from_another_worker(self):
        server = self.origin()
        proxy = self.spillway(config(server, workers=8, clients={"max_connections": 1, "timeouts": {"idle": "1h"}}))
        for _ in range(6):
            self.assertEqual(self.connect(proxy.port).ask().status, 200)  # and stays

    def test_who_has_not_finished_a_head_gives_way_too(self):
        server = self.origin()
        proxy = self.spillway(config(server, workers=1, clients={"max_connections": 2, "timeouts": {"head": "5m"}}))
        slow = [self.connect(proxy.port) for _ in range(2)]
        for client in slow:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n")
        self.assertEqual(ask(proxy.port).status, 200)
        self.assertEqual(slow[0].read_to_end(), b"")

    def test_an_idle_connection_of_http2_gives_way_with_a_word(self):
        server = self.origin()
        proxy = self.spillway(config(server, workers=1, clients={"max_connections": 1},
                                     listeners=[{"address": "127.0.0.1:0", "http2": True}]))
        with Http2Client(proxy.port) as first:
            self.assertEqual(first.ask().status, 200)
            self.assertEqual(ask(proxy.port).status, 200)
            first.until(lambda: first.goaways, "GOAWAY")
        self.assertEqual(proxy.metric("spillway_connections_given_up_total"), 1)

    def test_one_client_has_so_many_connections(self):
        server = self.origin()
        proxy = self.spillway(config(server, workers=4, listeners=[{"address": "127.0.0.1:0", "proxy_protocol": True}],
                                     clients={"connections_per_client": 2, "trusted_proxies": ["198.51.100.0/24"]}))

        def opened(address):
            client = self.connect(proxy.port)
            family = "TCP6" if ":" in address else "TCP4"
            other = "2001:db8::1" if ":" in address else "192.0.2.1"
            client.send(f"PROXY {family} {address} {other} 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
            try:
                return client if client.read_response().status == 200 else None
            except (ConnectionError, EOFError):
                return None

        first, second = opened("203.0.113.7"), opened("203.0.113.7")
        self.assertTrue(first and second)
        self.assertIsNone(opened("203.0.113.7"))
        self.assertTrue(opened("203.0.113.8"))
        first.close()
        eventually(lambda: opened("203.0.113.7"), "the place to be free")
        # One prefix of IPv6 is one client; a trusted proxy is many.
        self.assertTrue(opened("2001:db8:1::1") and opened("2001:db8:1::2"))
        self.assertIsNone(opened("2001:db8:1::3"))
        self.assertTrue(opened("2001:db8:1:1::3"))
        self.assertTrue(all(opened("198.51.100.9") for _ in range(5)))
        self.assertGreaterEqual(proxy.metric("spillway_connections_over_client_cap_total"), 2)

    def test_a_limit_that_the_descriptors_do_not_allow_is_told(self):
        server = self.origin()
        proxy = self.spillway(config(server, clients={"max_connections": 1000}), prefix=("prlimit", "--nofile=264:264"))
        proxy.log.wait(r"clients.max_connections: 1000 is more than 175, which the limit of 264 descriptors allows")


class Descriptors(Case):
    def offer(self, clients, descriptors):
        """So many clients who ask once and then stay, at a process that has fewer descriptors."""
        server = self.nginx("location / { return 200 ok; }")
        proxy = self.spillway(config(server, workers=2, clients={"timeouts": {"idle": "1h"}}),
                              prefix=("prlimit", f"--nofile={descriptors}:{descriptors}"))
        readiness = self.keep(selectors.DefaultSelector())
        waiting, refused = set(), 0

        def open_one(source):
            client = socket.socket()
            self.addCleanup(client.close)
            client.setblocking(False)
            client.bind((source, 0))
            client.connect_ex(("127.0.0.1", proxy.port))
            readiness.register(client, selectors.EVENT_WRITE)
            waiting.add(client)

        for index in range(clients):
            open_one(f"127.0.1.{index % 250 + 1}")  # no address may run out of ports
        deadline = time.monotonic() + 2 * PATIENCE
        while waiting:
            self.assertLess(time.monotonic(), deadline, f"{len(waiting)} of {clients} were not served")
            for key, events in readiness.select(1):
                client = key.fileobj
                if events & selectors.EVENT_WRITE:
                    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    readiness.modify(client, selectors.EVENT_READ)
                    continue
                answer = client.recv(65536)
                readiness.unregister(client)
                waiting.remove(client)
                self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)
        return proxy

    def at_rest(self, proxy):
        """Less than a fiftieth of a CPU, watched for a second."""
        before = proxy.cpu_seconds()
        threading.Event().wait(1)
        return proxy.cpu_seconds() - before < 0.02

    def test_more_clients_than_descriptors_are_served_in_turn(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        clients, descriptors = MANY
        if hard < clients + 1000:
            self.skipTest(f"a limit of {hard} descriptors")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        began = time.monotonic()
        proxy = self.offer(clients, descriptors)
        took = time.monotonic() - began
        self.assertEqual(proxy.admin("GET", "/readyz")[0], 200)
        eventually(lambda: self.at_rest(proxy), "spillway to be at rest")
        given_up = proxy.metric("spillway_connections_given_up_total")
        print(f"{clients} clients, {descriptors} descriptors: {took:.1f} s, {given_up:.0f} gave way", end=" ", flush=True)
        self.assertEqual(proxy.metric("spillway_accept_pauses_total"), 0, "descriptors ran out")
        self.assertEqual(ask(proxy.port).status, 200)


if __name__ == "__main__":
    main()
