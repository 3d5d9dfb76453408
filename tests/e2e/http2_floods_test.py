# SPDX-License-Identifier: MIT
"""Clients that cost more than they ask: each is sent away or bounded, memory stays where it was, and others are answered
meanwhile."""

import struct
import threading
import time

from harness import PATIENCE, SANITIZED, SLOWNESS, Case, config, eventually, main
from http2_client import (CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, PING, PRIORITY,
                          RST_STREAM, SETTINGS, WINDOW_UPDATE, Client, Raw, frame, plain_block, request_fields, settings)

MOST_GROWTH = 20 << 20
GET = plain_block(request_fields())
POST = plain_block(request_fields("POST"))


def window(size, stream=0):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", size))


class Floods(Case):
    def setUp(self):
        self.server = self.origin(lambda request: (200, {}, b"x" * 1_000_000 if request.path == "/big" else b"small"))
        self.proxy = self.start(self.server)

    def start(self, server, **more):
        return self.spillway(config(server, workers=1, listeners=[{"address": "127.0.0.1:0", "http2": True}], **more))

    def flood(self, pieces, proxy=None, reads=True, pace=50):
        """Sends the pieces while another connection asks after every `pace` of them; the flooding one."""
        proxy = proxy or self.proxy
        with Client(proxy.port) as other:
            for _ in range(20):
                other.ask()
            before = proxy.rss()
            raw = self.keep(Raw(proxy.port))
            heard = threading.Thread(target=raw.read_to_end, daemon=True)
            if reads:
                heard.start()
            else:
                raw.socket.settimeout(3)
            slowest, peak = 0, before
            for i, piece in enumerate(pieces):
                try:
                    if not raw.send(piece):
                        break
                except TimeoutError:
                    break
                if i % pace == 0:
                    began = time.monotonic()
                    self.assertEqual(other.ask().status, 200)
                    slowest, peak = max(slowest, time.monotonic() - began), max(peak, proxy.rss())
            self.assertEqual(other.ask().status, 200)
            self.assertLess(slowest, 1 * SLOWNESS)
            if not SANITIZED:
                self.assertLess(max(peak, proxy.rss()) - before, MOST_GROWTH)
            raw.heard = heard
            return raw

    def assert_sent_away(self, raw):
        raw.heard.join(PATIENCE)
        self.assertFalse(raw.heard.is_alive(), "the connection lives")
        self.assertEqual(raw.goaways(), [ENHANCE_YOUR_CALM])

    def many(self, piece, count=200, each=100):
        """`count` writes of `each` pieces; a callable makes the i-th."""
        for i in range(count):
            yield b"".join(piece(i * each + j) for j in range(each)) if callable(piece) else piece * each

    def test_rapid_reset(self):
        """CVE-2023-44487: 10,000 requests, each reset at once."""
        raw = self.flood(self.many(lambda i: frame(HEADERS, 5, 2 * i + 1, GET) + frame(RST_STREAM, 0, 2 * i + 1, struct.pack(">I", CANCEL)),
                                   count=1000, each=10))
        self.assert_sent_away(raw)
        self.assertLess(len(self.server.requests), 600)

    def test_resets_that_the_client_makes_us_send(self):
        """CVE-2025-8671: each request is ended by an error of its own stream."""
        raw = self.flood(self.many(lambda i: frame(HEADERS, 4, 2 * i + 1, POST) + window((1 << 31) - 1, 2 * i + 1), count=1000, each=10),
                         pace=1)
        self.assert_sent_away(raw)

    def test_malformed_heads_without_end(self):
        block = plain_block(request_fields("GET", "/malformed", ("X", "y")))
        self.assert_sent_away(self.flood(self.many(lambda i: frame(HEADERS, 5, 2 * i + 1, block), count=1000, each=10), pace=1))
        self.assertEqual([request for request in self.server.requests if request.path == "/malformed"], [])

    def test_continuations_without_end(self):
        """CVE-2024-27983 and its like."""
        def pieces():
            yield frame(HEADERS, 0, 1, GET)
            yield from self.many(frame(CONTINUATION, 0, 1, plain_block([("x", "y" * 1000)])))
        self.assert_sent_away(self.flood(pieces()))

    def test_empty_continuations(self):
        def pieces():
            yield frame(HEADERS, 0, 1, GET)
            yield from self.many(frame(CONTINUATION, 0, 1, b""))
        self.assert_sent_away(self.flood(pieces()))

    def test_settings(self):
        self.assert_sent_away(self.flood(self.many(frame(SETTINGS))))

    def test_settings_with_many_entries(self):
        self.assert_sent_away(self.flood(self.many(frame(SETTINGS, 0, 0, settings(*[(4, 65535 + i % 2) for i in range(2000)])), each=2)))

    def test_settings_that_change_all_windows(self):
        streams = b"".join(frame(HEADERS, 4, 2 * i + 1, POST) for i in range(100))
        sizes = [frame(SETTINGS, 0, 0, settings(*[(4, (i + j) % 60000) for j in range(30)])) for i in range(10)]

        def pieces():
            yield streams
            yield from self.many(lambda i: sizes[i % 10])
        self.assert_sent_away(self.flood(pieces()))

    def test_settings_that_are_not_read(self):
        """CVE-2019-9515: the acknowledgements pile up with us."""
        raw = self.flood(self.many(frame(SETTINGS), count=2000), reads=False)
        raw.close()

    def test_pings(self):
        self.assert_sent_away(self.flood(self.many(frame(PING, 0, 0, b"12345678"))))

    def test_pings_that_are_not_read(self):
        raw = self.flood(self.many(frame(PING, 0, 0, b"12345678"), count=2000), reads=False)
        raw.close()

    def test_empty_data(self):
        """CVE-2019-9518."""
        def pieces():
            yield frame(HEADERS, 4, 1, POST)
            yield from self.many(frame(DATA, 0, 1))
        self.assert_sent_away(self.flood(pieces()))

    def test_empty_data_with_padding(self):
        def pieces():
            yield frame(HEADERS, 4, 1, POST)
            yield from self.many(frame(DATA, 8, 1, b"\x00"))
        self.assert_sent_away(self.flood(pieces()))

    def test_empty_heads(self):
        """CVE-2019-9516: fields of no length."""
        self.assert_sent_away(self.flood(self.many(lambda i: frame(HEADERS, 5, 2 * i + 1, b"\x10\0\0" * 100), count=1000, each=10)))

    def test_priorities(self):
        self.assert_sent_away(self.flood(self.many(lambda i: frame(PRIORITY, 0, 2 * i + 1, struct.pack(">IB", i % 50 * 2, 16)))))

    def test_window_updates(self):
        self.assert_sent_away(self.flood(self.many(window(1), count=2000)))

    def test_window_updates_of_a_fast_download_are_none(self):
        """A client that tells of every 4 KiB on stream and connection, for 20 MB."""
        with Raw(self.proxy.port, first=((4, 1 << 20),)) as raw:
            raw.send(window(1 << 24))
            for number in range(1, 41, 2):
                raw.head(number, request_fields("GET", "/big"))
                got = 0
                while got < 1_000_000:
                    data = raw.wait(lambda data: data.kind == DATA and data.stream == number, "data")
                    got += len(data.payload)
                    raw.send((window(4096) + window(4096, number)) * -(-len(data.payload) // 4096))
                    self.assertEqual(raw.goaways(), [])
                raw.frames.clear()

    def test_unknown_frames(self):
        """They are passed over, which costs next to nothing."""
        raw = self.flood(self.many(frame(0x42, 0, 0, b"x"), count=1000))
        raw.send(frame(HEADERS, 5, 1, GET) + frame(GOAWAY, payload=b"\0" * 8))
        raw.heard.join(PATIENCE)
        self.assertEqual([dict(got.fields)[":status"] for got in raw.frames if got.kind == HEADERS], ["200"])

    def test_resets_of_streams_that_are_over(self):
        def pieces():
            yield frame(HEADERS, 5, 1, GET)
            yield from self.many(frame(RST_STREAM, 0, 1, struct.pack(">I", CANCEL)))
        self.assert_sent_away(self.flood(pieces()))

    def test_heads_of_streams_that_are_over(self):
        def pieces():
            yield frame(HEADERS, 5, 99, GET)
            yield from self.many(lambda i: frame(HEADERS, 5, 2 * (i % 40) + 1, GET))
        raw = self.flood(pieces())
        raw.heard.join(PATIENCE)
        self.assertFalse(raw.heard.is_alive(), "the connection lives")
        self.assertLessEqual(len([r for r in self.server.requests]), 400)

    def test_streams_beyond_the_limit_that_are_refused_unread(self):
        """Without the SETTINGS' acknowledgement a client may know no limit: the refusals pile up with us."""
        go = threading.Event()
        self.addCleanup(go.set)
        server = self.origin(lambda _: (go.wait(PATIENCE * 3), (200, {}, b""))[1] if _.path == "/held" else (200, {}, b""))
        proxy = self.start(server)
        held = plain_block(request_fields("GET", "/held"))
        raw = self.flood(self.many(lambda i: frame(HEADERS, 5, 2 * i + 1, held), count=3000), proxy=proxy, reads=False)
        self.assertLessEqual(len([request for request in server.requests if request.path == "/held"]), 100)
        raw.close()
        go.set()

    def test_a_bomb_of_references(self):
        """CVE-2016-6581: a large field is put into the table once and named by one byte for ever after."""
        name, value = b"x-bomb", b"y" * 4000
        entry = b"\x40" + bytes([len(name)]) + name + b"\x7f\xa1\x1e" + value

        def pieces():
            yield frame(HEADERS, 5, 1, GET + entry)
            for i in range(1, 400):
                yield frame(HEADERS, 1, 2 * i + 1, GET + b"\xbe" * 16000) + b"".join(
                    frame(CONTINUATION, END_HEADERS if j == 6 else 0, 2 * i + 1, b"\xbe" * 16000) for j in range(7))
        self.assert_sent_away(self.flood(pieces()))

    def test_heads_that_are_a_little_too_large(self):
        """Answered with 431, and nothing of them is kept."""
        block = plain_block(request_fields("GET", "/", *[(f"x-{i}", "y" * 4000) for i in range(12)]))
        cut = [block[at:at + 16000] for at in range(0, len(block), 16000)]

        def piece(i):
            return frame(HEADERS, END_STREAM, 2 * i + 1, cut[0]) + b"".join(
                frame(CONTINUATION, END_HEADERS if part is cut[-1] else 0, 2 * i + 1, part) for part in cut[1:])
        raw = self.flood(self.many(piece, count=50, each=1))
        raw.send(frame(GOAWAY, payload=b"\0" * 8))
        raw.heard.join(PATIENCE)
        statuses = [dict(got.fields)[":status"] for got in raw.frames if got.kind == HEADERS]
        self.assertEqual(statuses, ["431"] * 50)

    def test_many_streams_that_are_not_read(self):
        """A window of 0 and a hundred answers of 1 MB on each of ten connections."""
        connections = []

        def stall():
            raw = self.keep(Raw(self.proxy.port, first=((4, 0),)))
            raw.send(b"".join(frame(HEADERS, 5, 2 * i + 1, plain_block(request_fields("GET", "/big"))) for i in range(100)))
            connections.append(raw)
            return raw

        with Client(self.proxy.port) as other:
            other.ask()
            stall().wait(lambda got: got.kind == HEADERS and got.stream == 199, "the last answer's head")
            before = self.proxy.rss()
            began = time.monotonic()
            stall().wait(lambda got: got.kind == HEADERS, "a head")
            self.assertEqual(other.ask().status, 200)
            self.assertLess(time.monotonic() - began, 3 * SLOWNESS)
            threading.Event().wait(1)
            if not SANITIZED:  # one read of each answer, here and in the parser's block
                self.assertLess(self.proxy.rss() - before, MOST_GROWTH)

    def test_a_connection_that_reads_nothing_is_closed(self):
        proxy = self.start(self.server, clients={"timeouts": {"write": "1s"}})
        raw = self.keep(Raw(proxy.port, receive_buffer=4096, first=((4, (1 << 31) - 1),)))
        raw.send(window((1 << 31) - 1 - 65535))
        for i in range(100):
            raw.head(2 * i + 1, request_fields("GET", "/big"))
        eventually(lambda: proxy.metric("spillway_connections_open") == 0, "the end", timeout=PATIENCE * 2)
        eventually(lambda: len(proxy.records()) == 100, "a hundred log lines")

    def test_connections_come_and_go_and_leave_nothing(self):
        def one():
            with Client(self.proxy.port) as client:
                streams = [client.start("POST", "/", end=i % 2 == 0) for i in range(20)]
                client.send(streams[1], b"x" * 1000)
                client.wait(streams[0])
                client.reset(streams[2]) if not streams[2].over else None

        for _ in range(50):
            one()
        before, descriptors = self.proxy.rss(), self.proxy.descriptors()
        for _ in range(150):
            one()
        eventually(lambda: self.proxy.metric("spillway_connections_open") == 0, "the end of all")
        if not SANITIZED:
            self.assertLess(self.proxy.rss() - before, MOST_GROWTH / 4)
        self.assertLess(self.proxy.descriptors(), descriptors + 20)
        eventually(lambda: len(self.proxy.records()) == self.proxy.metric("spillway_requests_total"), "a log line for each request")


if __name__ == "__main__":
    main()
