# SPDX-License-Identifier: MIT
"""The end: TERM loses nothing that was accepted, and exits 0."""

import signal
import threading
import time

from harness import PATIENCE, SLOWNESS, Case, ask, config, connect, eventually, main


class Drain(Case):
    def drain_while_it_waits(self, proxy, client, began):
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(began.wait(PATIENCE))
        proxy.signal(signal.SIGTERM)
        proxy.log.wait(r"(?i)drain")

    def test_a_request_under_way_is_answered_in_full(self):
        began, go = threading.Event(), threading.Event()

        def play(conversation, _):
            conversation.read_request()
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
            began.set()
            go.wait(PATIENCE)
            conversation.send("rest.")

        server = self.raw_origin(play)
        proxy = self.spillway(config(server))
        with connect(proxy.port) as client:
            self.drain_while_it_waits(proxy, client, began)
            go.set()
            self.assertEqual(client.read_response().body, b"firstrest.")
            self.assertTrue(client.at_end())
        self.assertEqual(proxy.wait(), 0)

    def test_the_answer_says_that_the_connection_closes(self):
        began, go = threading.Event(), threading.Event()

        def answer(request):
            began.set()
            go.wait(PATIENCE)
            return 200, {}, b"done"

        server = self.origin(answer)
        proxy = self.spillway(config(server))
        with connect(proxy.port) as client:
            self.drain_while_it_waits(proxy, client, began)
            go.set()
            response = client.read_response()
            self.assertEqual((response.status, response.get("connection")), (200, "close"))
        self.assertEqual(proxy.wait(), 0)

    def test_signals_until_the_very_end_change_nothing(self):
        """Whoever is impatient and asks again must not turn an orderly end into a death by signal."""
        server = self.origin()
        for _ in range(10):
            proxy = self.spillway(config(server, workers=8))
            self.assertEqual(ask(proxy.port).status, 200)
            while proxy.process.poll() is None:
                proxy.signal(signal.SIGTERM)
            self.assertEqual(proxy.wait(), 0)

    def test_idle_kept_connections_are_closed_at_once(self):
        server = self.origin()
        proxy = self.spillway(config(server))
        clients = [self.connect(proxy.port) for _ in range(20)]
        for client in clients:
            self.assertEqual(client.ask().status, 200)
        began = time.monotonic()
        proxy.signal(signal.SIGTERM)
        for client in clients:
            self.assertTrue(client.at_end())
        self.assertEqual(proxy.wait(), 0)
        self.assertLess(time.monotonic() - began, 5 * SLOWNESS)

    def test_readiness_fails_first_while_requests_are_still_served(self):
        server = self.origin()
        proxy = self.spillway(config(server, shutdown={"delay": f"{2 * SLOWNESS}s"}))
        self.assertEqual(proxy.admin("GET", "/readyz")[0], 200)
        proxy.signal(signal.SIGTERM)
        eventually(lambda: proxy.admin("GET", "/readyz")[0] == 503, "readiness to fail")
        self.assertEqual(ask(proxy.port).status, 200)
        self.assertEqual(proxy.wait(), 0)

    def test_what_does_not_end_is_cut_at_the_deadline(self):
        began = threading.Event()

        def play(conversation, _):
            conversation.read_request()
            began.set()
            conversation.read_to_end()

        server = self.raw_origin(play)
        proxy = self.spillway(config(server, shutdown={"timeout": "1s"}))
        client = self.connect(proxy.port)
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(began.wait(PATIENCE))
        proxy.signal(signal.SIGTERM)
        self.assertEqual(proxy.wait(), 0)

    def test_the_endpoint_drains_too(self):
        server = self.origin()
        proxy = self.spillway(config(server))
        self.assertIn(proxy.admin("POST", "/api/v1/drain")[0], (200, 202))
        self.assertEqual(proxy.wait(), 0)

    def test_int_ends_at_once(self):
        server = self.raw_origin(lambda conversation, _: conversation.read_to_end())
        proxy = self.spillway(config(server))
        client = self.connect(proxy.port)
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: server.connections, "the request to arrive")
        began = time.monotonic()
        proxy.signal(signal.SIGINT)
        self.assertEqual(proxy.wait(), 0)
        self.assertLess(time.monotonic() - began, 3 * SLOWNESS)

    def test_the_access_log_has_every_request(self):
        server = self.origin()
        proxy = self.spillway(config(server))
        for _ in range(200):
            ask(proxy.port)
        proxy.signal(signal.SIGTERM)
        self.assertEqual(proxy.wait(), 0)
        self.assertEqual(len(proxy.records()), 200)


class UnderLoad(Case):
    """Clients ask as fast as they can while TERM comes. A request that was sent on a connection before the proxy
    closed it must be answered; a connection closed before any byte of a request was answered may be tried again
    (RFC 9112 9.3.1: the client cannot know whether it was accepted; what was accepted shows up in the access log)."""

    def one_round(self):
        server = self.nginx('location / { return 200 "hi"; }')
        proxy = self.spillway(config(server))
        stop = threading.Event()
        answered, cut, lock = [], [], threading.Lock()

        def client(number):
            count = 0
            while not stop.is_set():
                try:
                    with connect(proxy.port) as connection:
                        while not stop.is_set():
                            count += 1
                            name = f"/{number}-{count}"
                            connection.send(f"GET {name} HTTP/1.1\r\nHost: a\r\n\r\n")
                            began = False
                            try:
                                response = connection.read_response()
                                began = True
                                with lock:
                                    answered.append((name, response.status))
                                if response.get("connection") == "close":
                                    break
                            except (EOFError, ConnectionError):
                                if connection.buffer or began:
                                    with lock:
                                        cut.append(name)
                                break
                except ConnectionRefusedError:
                    return
                except OSError:
                    return

        threads = [threading.Thread(target=client, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(answered) > 500, "some requests")
        proxy.signal(signal.SIGTERM)
        code = proxy.wait()
        stop.set()
        for thread in threads:
            thread.join()
        return code, answered, cut, proxy.records()

    def test_no_accepted_request_is_lost(self):
        for _ in range(3):
            code, answered, cut, records = self.one_round()
            self.assertEqual(code, 0)
            self.assertEqual(cut, [], "answers that broke off")
            self.assertEqual([entry for entry in answered if entry[1] != 200], [])
            # What spillway says it accepted is what clients saw answered.
            self.assertEqual({record["path"] for record in records} - {name for name, _ in answered}, set())
            self.assertEqual({record["status"] for record in records}, {200})


if __name__ == "__main__":
    main()
