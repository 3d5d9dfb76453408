# SPDX-License-Identifier: MIT
"""HTTP/2: what ends a connection or a stream, by time, by drain, by reload, and what is still served then."""

import signal
import threading
import time

import h2.settings
from harness import PATIENCE, eventually, main
from http2_case import Http2, http2
from http2_client import GOAWAY, INTERNAL_ERROR, NO_ERROR, Client, Raw, client_context, frame
from tls_test import make_certificate


class Time(Http2):
    def timed(self, server, **timeouts):
        self.proxy = self.spillway(http2(server, clients={"timeouts": timeouts}))
        return self.client(self.proxy)

    def test_a_body_that_stalls_is_408(self):
        client = self.timed(self.origin(), body="300ms")
        stream = client.start("POST", "/", end=False)
        client.send(stream, b"some")
        client.wait(stream)
        self.assertEqual(stream.status, 408)
        self.assertEqual(client.ask().status, 200)

    def test_an_answer_that_is_not_read_is_reset(self):
        client = self.timed(self.origin(lambda _: (200, {}, b"x" * 1_000_000)), write="300ms")
        client.eager = False
        stream = client.start()
        client.wait(stream)
        self.assertEqual((len(stream.body), stream.reset), (65535, INTERNAL_ERROR))
        self.proxy.wait_record(lambda record: record["end"] == "client too slow")

    def test_an_own_answer_that_is_not_read_is_reset(self):
        server = self.origin()
        self.proxy = self.spillway(http2(server, clients={"timeouts": {"write": "300ms"}}, rules=[
            {"name": "r", "action": {"respond": {"body": "y" * 1000}}}]))
        client = self.client(self.proxy, eager=False, settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 10})
        stream = client.wait(client.start())
        self.assertEqual((stream.body, stream.reset), (b"y" * 10, INTERNAL_ERROR))

    def test_an_end_that_finds_no_window_does_not_wait_for_ever(self):
        server = self.scripted("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                               lambda _: threading.Event().wait(0.1), "0\r\n\r\n")
        self.proxy = self.spillway(http2(server, clients={"timeouts": {"write": "300ms", "idle": "300ms"}}))
        client = self.client(self.proxy, eager=False, settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 5})
        stream = client.wait(client.start())
        self.assertIn((stream.body, stream.reset or 0, stream.ended), ((b"hello", INTERNAL_ERROR, False), (b"hello", 0, True)))
        client.read_to_end()  # nothing is left that would keep the connection

    def test_an_idle_connection_is_told_and_closed(self):
        client = self.timed(self.origin(), idle="300ms")
        self.assertEqual(client.ask().status, 200)
        client.read_to_end()
        self.assertEqual([code for code, _ in client.goaways], [NO_ERROR])

    def test_a_connection_that_only_pings_is_idle(self):
        client = self.timed(self.origin(), idle="600ms")
        began = time.monotonic()
        self.assertEqual(client.ask().status, 200)
        while not client.ended and time.monotonic() - began < PATIENCE:
            client.h2.ping(b"12345678")
            try:
                client.flush()
            except OSError:
                break
            client.receive()
            threading.Event().wait(0.05)
        self.assertLess(time.monotonic() - began, PATIENCE)

    def test_a_connection_with_a_stream_is_not_idle(self):
        server = self.held()
        client = self.timed(server, idle="200ms")
        stream = client.start()
        threading.Event().wait(0.6)
        server.go.set()
        self.assertEqual(client.wait(stream).status, 200)

    def test_a_head_that_is_not_finished_ends_the_connection(self):
        self.timed(self.origin(), head="400ms")
        raw = self.keep(Raw(self.proxy.port))
        raw.head(1, flags=1)
        self.assertEqual(raw.wait_goaway(), 1)
        eventually(lambda: self.proxy.metric("spillway_client_timeouts_total") == 1, "the count")

    def test_continuations_do_not_wind_the_clock_up(self):
        self.timed(self.origin(), head="600ms")
        raw = self.keep(Raw(self.proxy.port))
        began = time.monotonic()
        raw.head(1, flags=1)
        for _ in range(6):
            threading.Event().wait(0.2)
            if not raw.send(frame(9, 0, 1)):
                break
        raw.read_to_end()
        self.assertLess(time.monotonic() - began, 4)

    def test_an_origin_that_is_silent_is_504(self):
        server = self.held()
        proxy = self.spillway(http2(server, app={"timeouts": {"first_byte": "300ms"}}))
        client = self.client(proxy)
        self.assertEqual(client.ask().status, 504)
        server.go.set()


class Endings(Http2):
    def test_max_requests_sends_the_client_away_without_loss(self):
        proxy = self.spillway(http2(self.origin(), clients={"max_requests": 5}))
        client = self.client(proxy)
        self.assertEqual([client.ask().status for _ in range(5)], [200] * 5)
        client.read_to_end()
        self.assertEqual([code for code, _ in client.goaways], [NO_ERROR] * 2)
        self.assertEqual([last for _, last in client.goaways], [2**31 - 1, 9])

    def test_drain_finishes_what_is_under_way(self):
        server = self.held()
        proxy = self.spillway(http2(server))
        client = self.client(proxy)
        streams = [client.start("GET", f"/{i}") for i in range(10)]
        eventually(lambda: len(server.requests) == 10, "ten requests")
        proxy.signal(signal.SIGTERM)
        client.until(lambda: client.goaways, "GOAWAY")
        server.go.set()
        for stream in streams:
            self.assertEqual((client.wait(stream).status, stream.body), (200, b"done"))
        client.read_to_end()
        self.assertEqual(proxy.wait(), 0)

    def test_drain_under_load_fails_no_stream(self):
        server = self.origin(lambda _: (200, {}, b"fine"))
        proxy = self.spillway(http2(server))
        failed, done, stop = [], [0], threading.Event()

        def load():
            while not stop.is_set():
                try:
                    client = Client(proxy.port)
                except OSError:
                    return  # it listens no more
                try:
                    while not stop.is_set() and not client.ended and not client.goaways:
                        streams = [client.start("GET", "/") for _ in range(10)]
                        for stream in streams:
                            while not stream.over and not client.ended:
                                client.receive()
                            last = client.goaways[-1][1] if client.goaways else 2**31 - 1
                            if stream.number <= last and (stream.status, stream.body, stream.ended) != (200, b"fine", True):
                                failed.append((repr(stream), client.goaways, client.ended))
                            done[0] += 1
                except Exception as error:
                    if not client.goaways:
                        failed.append(repr(error))
                finally:
                    client.close()

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        eventually(lambda: done[0] > 200, "some load")
        proxy.signal(signal.SIGTERM)
        code = proxy.wait()
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual(failed[:3], [])
        self.assertEqual(code, 0)

    def test_streams_on_their_way_are_taken_after_the_first_notice(self):
        proxy = self.spillway(http2(self.origin(), clients={"max_requests": 2}))
        raw = self.keep(Raw(proxy.port))
        raw.head(1)
        raw.head(3)
        raw.wait(lambda got: got.kind == GOAWAY, "the notice")
        raw.head(5)
        self.assertEqual(raw.wait_status(5), 200)
        raw.read_to_end()
        self.assertEqual([got.last_stream for got in raw.frames if got.kind == GOAWAY], [2**31 - 1, 5])

    def test_an_answer_before_the_requests_end_is_whole_over_tls_too(self):
        certificate, key = make_certificate(self.directory(), "test.example")

        def play(conversation, _):
            conversation.read_request(body=False)
            conversation.send("HTTP/1.1 413 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")

        proxy = self.spillway(http2(self.raw_origin(play), listeners=[
            {"address": "127.0.0.1:0", "tls": [{"certificate": certificate, "key": key}]}]))
        client = self.client(proxy, tls=client_context())
        for _ in range(3):
            stream = client.start("POST", "/", [("content-length", "5")], end=False)
            client.until(lambda: stream.reset is not None, "the reset")
            self.assertEqual((stream.status, stream.body, stream.reset), (413, b"no", NO_ERROR))

    def test_a_reload_keeps_open_streams(self):
        server = self.held()
        settings = http2(server)
        proxy = self.spillway(settings)
        client = self.client(proxy)
        stream = client.start("POST", "/", end=False)
        client.send(stream, b"before ")
        settings["rules"] = [{"name": "no", "match": {"path": "/no"}, "action": "deny"}]
        proxy.configure(settings)
        proxy.must_reload()
        self.assertEqual(client.ask("GET", "/no").status, 403)
        client.send(stream, b"after", end=True)
        server.go.set()
        self.assertEqual((client.wait(stream).status, server.requests[0].body), (200, b"before after"))

    def test_a_client_that_says_goaway_gets_its_answers(self):
        server = self.held()
        proxy = self.spillway(http2(server))
        raw = self.keep(Raw(proxy.port))
        raw.head(1)
        eventually(lambda: server.requests, "the request")
        raw.send(frame(GOAWAY, payload=b"\0" * 8))
        server.go.set()
        self.assertEqual(raw.wait_status(1), 200)
        raw.read_to_end()


if __name__ == "__main__":
    main()
