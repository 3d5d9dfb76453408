#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a server of HTTP/2 may do wrong, from a field that is malformed to frames without end: the client gets 502 or an
answer that is plainly cut, others are served meanwhile, and nothing grows."""

import struct
import threading

from harness import SANITIZED, Case, PATIENCE, ask, config, eventually, main
from h2.exceptions import ProtocolError
from hpack import Encoder
from http2_client import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PRIORITY, PUSH_PROMISE,
                          RST_STREAM, SETTINGS, WINDOW_UPDATE, Client, frame, plain_block, settings)
from http2_origin import raw_server

OK = (":status", "200")
WHOLE = END_HEADERS | END_STREAM


def head(stream, *fields, flags=END_HEADERS):
    return frame(HEADERS, flags, stream, plain_block(fields))


def data(stream, body=b"", flags=END_STREAM):
    return frame(DATA, flags, stream, body)


def window(size, stream=0):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", size))


def bomb(stream):
    """A field of 4000 bytes, named 12,000 times by one byte each."""
    block = Encoder().encode([(":status", "200"), ("x-a", "z" * 4000)], huffman=False) + b"\xbe" * 12000
    return frame(HEADERS, WHOLE, stream, block)


# What breaks one answer: name: frames on the stream of the request. The connection goes on.
STREAM = {
    "no :status": lambda s: head(s, ("x-a", "b"), flags=WHOLE),
    "two of :status": lambda s: head(s, OK, OK, flags=WHOLE),
    "a :status that is no number": lambda s: head(s, (":status", "abc"), flags=WHOLE),
    "a :status of two digits": lambda s: head(s, (":status", "20"), flags=WHOLE),
    "a :status of four digits": lambda s: head(s, (":status", "2000"), flags=WHOLE),
    "a :status with a sign": lambda s: head(s, (":status", "+20"), flags=WHOLE),
    "a :status below 100": lambda s: head(s, (":status", "099"), flags=WHOLE),
    "a :status of 600": lambda s: head(s, (":status", "600"), flags=WHOLE),
    "a 101": lambda s: head(s, (":status", "101")),
    "a name in upper case": lambda s: head(s, OK, ("X-Upper", "b"), flags=WHOLE),
    "a name with a space": lambda s: head(s, OK, ("x a", "b"), flags=WHOLE),
    "a name with a colon": lambda s: head(s, OK, ("x:a", "b"), flags=WHOLE),
    "an empty name": lambda s: head(s, OK, ("", "b"), flags=WHOLE),
    "a name with a line's end": lambda s: head(s, OK, ("x\r\ny", "b"), flags=WHOLE),
    "a value with NUL": lambda s: head(s, OK, ("x-a", "b\0c"), flags=WHOLE),
    "a value with a line's end": lambda s: head(s, OK, ("x-a", "b\r\nset-cookie: c=d"), flags=WHOLE),
    "a value with a bare LF": lambda s: head(s, OK, ("x-a", "b\nc"), flags=WHOLE),
    "connection": lambda s: head(s, OK, ("connection", "close"), flags=WHOLE),
    "keep-alive": lambda s: head(s, OK, ("keep-alive", "5"), flags=WHOLE),
    "proxy-connection": lambda s: head(s, OK, ("proxy-connection", "close"), flags=WHOLE),
    "transfer-encoding": lambda s: head(s, OK, ("transfer-encoding", "chunked")) + data(s, b"0\r\n\r\n"),
    "upgrade": lambda s: head(s, OK, ("upgrade", "h2c"), flags=WHOLE),
    "a pseudo field behind others": lambda s: head(s, ("x-a", "b"), OK, flags=WHOLE),
    "an unknown pseudo field": lambda s: head(s, OK, (":x", "b"), flags=WHOLE),
    "a request's pseudo field": lambda s: head(s, OK, (":path", "/"), flags=WHOLE),
    "a length that is no number": lambda s: head(s, OK, ("content-length", "3x")) + data(s, b"abc"),
    "a negative length": lambda s: head(s, OK, ("content-length", "-1")) + data(s, b""),
    "two lengths": lambda s: head(s, OK, ("content-length", "3"), ("content-length", "4")) + data(s, b"abc"),
    "two lengths in one": lambda s: head(s, OK, ("content-length", "3, 3")) + data(s, b"abc"),
    "a length and no body": lambda s: head(s, OK, ("content-length", "3"), flags=WHOLE),
    "an interim head that ends the answer": lambda s: head(s, (":status", "103"), flags=WHOLE),
    "interim heads without end": lambda s: head(s, (":status", "103")) * 40,
    "an interim head with a length": lambda s: head(s, (":status", "103"), ("content-length", "3")) + head(s, OK, flags=WHOLE),
    "a head that is too large": lambda s: head(s, OK, *[(f"x-{i}", "y" * 1000) for i in range(10)], flags=WHOLE),
    "a head that unpacks to far more": bomb,
    "a window beyond all measure": lambda s: window(0x7fffffff, s) + window(0x7fffffff, s),
    "a reset": lambda s: frame(RST_STREAM, 0, s, struct.pack(">I", 2)),
    "a reset that says all is well": lambda s: frame(RST_STREAM, 0, s, struct.pack(">I", 0)),
    "a reset with an unknown error": lambda s: frame(RST_STREAM, 0, s, struct.pack(">I", 0xdeadbeef)),
}

# What breaks an answer that has begun: the client must not take what it got for the whole.
CUT = {
    "a body longer than its length": lambda s: head(s, OK, ("content-length", "3")) + data(s, b"abcd"),
    "a body shorter than its length": lambda s: head(s, OK, ("content-length", "30")) + data(s, b"abcd"),
    "a body with 204": lambda s: head(s, (":status", "204")) + data(s, b"abc"),
    "a body with 304": lambda s: head(s, (":status", "304")) + data(s, b"abc"),
    "a third head": lambda s: head(s, OK) + data(s, b"abc", 0) + head(s, ("x-a", "b")),
    "a second final head": lambda s: head(s, OK) + head(s, OK, flags=WHOLE),
    "trailers with a pseudo field": lambda s: head(s, OK) + data(s, b"abc", 0) + head(s, ("x-a", "b"), OK, flags=WHOLE),
    "trailers with a malformed field": lambda s: head(s, OK) + data(s, b"abc", 0) + head(s, ("x-a", "b\nc"), flags=WHOLE),
    "trailers with connection": lambda s: head(s, OK) + data(s, b"abc", 0) + head(s, ("connection", "b"), flags=WHOLE),
    "a reset in the body": lambda s: head(s, OK) + data(s, b"abc", 0) + frame(RST_STREAM, 0, s, struct.pack(">I", 8)),
    "a reset in the body that says all is well": lambda s: head(s, OK) + data(s, b"abc", 0) + frame(RST_STREAM, 0, s, bytes(4)),
}

BLOCK = plain_block([OK])

# What breaks the connection: frames instead of an answer.
CONNECTION = {
    "not HTTP/2": lambda s: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "rubbish": lambda s: bytes(range(256)) * 4,
    "DATA before a head": lambda s: data(s, b"abc"),
    "DATA on stream 0": lambda s: data(0, b"abc"),
    "DATA on an idle stream": lambda s: data(s + 2, b"abc"),
    "HEADERS on stream 0": lambda s: frame(HEADERS, WHOLE, 0, BLOCK),
    "HEADERS on a stream of its own": lambda s: frame(HEADERS, WHOLE, 2, BLOCK),
    "HEADERS on an idle stream": lambda s: frame(HEADERS, WHOLE, s + 2, BLOCK),
    "a promise": lambda s: frame(PUSH_PROMISE, END_HEADERS, s, struct.pack(">I", 2) + plain_block(
        [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")])),
    "a frame larger than allowed": lambda s: head(s, OK) + data(s, b"x" * 20000),
    "a block that is not HPACK": lambda s: frame(HEADERS, WHOLE, s, b"\xff\xff\xff\xff\xff\xff"),
    "an index beyond the table": lambda s: frame(HEADERS, WHOLE, s, b"\xfe"),
    "a block cut short": lambda s: frame(HEADERS, WHOLE, s, BLOCK[:-2]),
    "a table larger than allowed": lambda s: frame(HEADERS, WHOLE, s, b"\x3f\xe1\xff\x03" + BLOCK),
    "CONTINUATION without a head": lambda s: frame(CONTINUATION, END_HEADERS, s, BLOCK),
    "a head with another frame in it": lambda s: frame(HEADERS, END_STREAM, s, BLOCK) + frame(PING, 0, 0, bytes(8)),
    "a head with another stream's in it": lambda s: frame(HEADERS, END_STREAM, s, BLOCK) + frame(CONTINUATION, 4, s + 2, BLOCK),
    "more padding than frame": lambda s: head(s, OK) + frame(DATA, PADDED, s, b"\x0a" + b"x" * 5),
    "SETTINGS on a stream": lambda s: frame(SETTINGS, 0, s),
    "SETTINGS of another length": lambda s: frame(SETTINGS, 0, 0, bytes(5)),
    "an ACK with a payload": lambda s: frame(SETTINGS, ACK, 0, settings((3, 1))),
    "ACKs too many": lambda s: frame(SETTINGS, ACK) * 3,
    "ENABLE_PUSH of a server": lambda s: frame(SETTINGS, 0, 0, settings((2, 1))),
    "INITIAL_WINDOW_SIZE too large": lambda s: frame(SETTINGS, 0, 0, settings((4, 1 << 31))),
    "MAX_FRAME_SIZE too small": lambda s: frame(SETTINGS, 0, 0, settings((5, 100))),
    "too many SETTINGS in one": lambda s: frame(SETTINGS, 0, 0, settings(*[(i, 1) for i in range(100, 200)])),
    "a connection's WINDOW_UPDATE of nothing": lambda s: window(0),
    "a connection's window beyond all measure": lambda s: window(0x7fffffff),
    "WINDOW_UPDATE of nothing": lambda s: window(0, s),
    "WINDOW_UPDATE of another length": lambda s: frame(WINDOW_UPDATE, 0, s, bytes(3)),
    "WINDOW_UPDATE on an idle stream": lambda s: window(1, s + 2),
    "PING of another length": lambda s: frame(PING, 0, 0, bytes(7)),
    "PING on a stream": lambda s: frame(PING, 0, s, bytes(8)),
    "RST_STREAM on an idle stream": lambda s: frame(RST_STREAM, 0, s + 2, bytes(4)),
    "RST_STREAM on stream 0": lambda s: frame(RST_STREAM, 0, 0, bytes(4)),
    "RST_STREAM of another length": lambda s: frame(RST_STREAM, 0, s, bytes(3)),
    "GOAWAY on a stream": lambda s: frame(GOAWAY, 0, s, bytes(8)),
    "GOAWAY of another length": lambda s: frame(GOAWAY, 0, 0, bytes(7)),
    "PRIORITY on stream 0": lambda s: frame(PRIORITY, 0, 0, bytes(5)),
    "CONTINUATION without end": lambda s: frame(HEADERS, 0, s, BLOCK) + frame(CONTINUATION, 0, s, b"") * 1000,
    "CONTINUATION full of fields": lambda s: frame(HEADERS, 0, s, BLOCK) + frame(CONTINUATION, 0, s, b"\x10\1a\1b" * 4000) * 100,
    "SETTINGS without end": lambda s: frame(SETTINGS, 0, 0, settings((3, 100))) * 5000,
    "PING without end": lambda s: frame(PING, 0, 0, bytes(8)) * 5000,
    "PRIORITY without end": lambda s: frame(PRIORITY, 0, s, bytes(5)) * 5000,
    "empty DATA without end": lambda s: head(s, OK) + data(s, b"", 0) * 5000,
    "DATA of nothing but padding without end": lambda s: head(s, OK) + frame(DATA, PADDED, s, b"\x05" + bytes(5)) * 5000,
    "WINDOW_UPDATE without end": lambda s: window(1, s) * 50000,
    "the end": lambda s: b"",
    "the end within a head": lambda s: frame(HEADERS, END_STREAM, s, BLOCK),
    "the end within a frame": lambda s: head(s, OK, flags=WHOLE)[:-3],
}


class Errors(Case):
    def behind(self, play, **app):
        self.server = self.keep(raw_server(play))
        return self.spillway(config(self.server, workers=1, listeners=[{"address": "127.0.0.1:0", "http2": True}], app={
            "protocol": "h2", "response_head": "8KiB", "retries": {"attempts": 0}, "ejection": {"consecutive_errors": 0},
            "timeouts": {"first_byte": "5s", "idle": "5s"}, **app}))

    def broken_server(self, wrong, ends=False):
        """Answers /bad with what is wrong, and all else well."""
        def play(server, number):
            while True:
                request = server.request()
                if dict(request.fields)[":path"] != "/bad":
                    server.answer(request.stream, [OK, ("x-number", str(number))])
                    continue
                server.send(wrong(request.stream))
                if ends:
                    return
        return play

    def outcome(self, port, first):
        """What a client of each version makes of the answer to /bad."""
        if first == "HTTP/2":
            with Client(port) as client:
                stream = client.wait(client.start(path="/bad"))
                return stream.status, stream.ended and stream.reset is None
        try:
            return ask(port, target="/bad").status, True
        except (EOFError, ConnectionError):
            return None, False

    def test_a_malformed_answer_is_502_and_the_connection_goes_on(self):
        for name, wrong in STREAM.items():
            with self.subTest(name):
                spillway = self.behind(self.broken_server(wrong))
                for version in ("HTTP/1", "HTTP/2"):
                    self.assertEqual(ask(spillway.port).get("x-number"), "0")
                    self.assertEqual(self.outcome(spillway.port, version), (502, True), version)
                self.assertEqual(ask(spillway.port).get("x-number"), "0")
                spillway.close()
                self.server.close()

    def test_an_answer_that_breaks_off_is_seen_to(self):
        for name, wrong in CUT.items():
            with self.subTest(name):
                spillway = self.behind(self.broken_server(wrong))
                for version in ("HTTP/1", "HTTP/2"):
                    status, whole = self.outcome(spillway.port, version)
                    self.assertTrue(status == 502 or not whole, (version, status, whole))
                self.assertEqual(ask(spillway.port).get("x-number"), "0")
                spillway.close()
                self.server.close()

    def test_an_answer_that_is_seen_to_be_bad_at_once_is_502(self):
        for name, wrong in CUT.items():
            if name.startswith("a reset"):
                continue  # what came before it was well, and has been passed on
            with self.subTest(name):
                spillway = self.behind(self.broken_server(wrong))
                for version in ("HTTP/1", "HTTP/2"):
                    self.assertEqual(ask(spillway.port).status, 200)  # so that the settings are out of the way
                    self.assertEqual(self.outcome(spillway.port, version), (502, True), version)
                spillway.close()
                self.server.close()

    def test_a_broken_connection_ends_and_the_next_request_has_another(self):
        for name, wrong in CONNECTION.items():
            with self.subTest(name):
                spillway = self.behind(self.broken_server(wrong, ends=name.startswith("the end")))
                for version in ("HTTP/1", "HTTP/2"):
                    self.assertEqual(ask(spillway.port).status, 200)
                    before = self.server.connections
                    status, whole = self.outcome(spillway.port, version)
                    self.assertTrue(status == 502 or not whole, (version, status, whole))
                    self.assertEqual(ask(spillway.port).get("x-number"), str(self.server.connections - 1))
                    self.assertGreater(self.server.connections, before)
                self.assertLess(spillway.rss(), (300 if SANITIZED else 100) << 20)
                spillway.close()
                self.server.close()

    def test_a_server_whose_first_frame_is_not_settings_is_refused(self):
        server = self.keep(raw_server(lambda server, number: None))
        server._play = lambda conversation, number: (conversation.read(24), conversation.send(frame(PING, 0, 0, bytes(8))),
                                                     conversation.read_to_end())
        spillway = self.spillway(config(server, app={"protocol": "h2", "retries": {"attempts": 0}}))
        self.assertEqual(ask(spillway.port).status, 502)

    def test_a_violation_of_one_stream_fails_no_other(self):
        gate = threading.Event()

        def play(server, number):
            streams = {}
            for _ in range(2):
                request = server.request()
                streams[dict(request.fields)[":path"]] = request.stream
            server.send(head(streams["/good"], OK) + head(streams["/bad"], OK, ("Upper", "x"), flags=WHOLE))
            gate.wait(PATIENCE)
            server.send(data(streams["/good"], b"well"))
            server.read_to_end()

        spillway = self.behind(play)
        with Client(spillway.port) as client:
            good, bad = client.start(path="/good"), client.start(path="/bad")
            self.assertEqual(client.wait(bad).status, 502)
            gate.set()
            self.assertEqual(bytes(client.wait(good).body), b"well")

    def test_a_violation_of_the_connection_fails_all_on_it_and_no_others(self):
        def play(server, number):
            streams = [server.request().stream for _ in range(3 if number == 0 else 1)]
            if number == 0:
                server.send(head(streams[0], OK, flags=WHOLE) + window(0))
                return server.read_to_end()  # an end with bytes unread would be a reset
            server.answer(streams[0])
            server.read_to_end()

        spillway = self.behind(play)
        with Client(spillway.port) as client:
            streams = [client.start() for _ in range(3)]
            self.assertEqual([client.wait(stream).status for stream in streams], [200, 502, 502])
            self.assertEqual(client.ask().status, 200)
        self.assertEqual(spillway.metric("spillway_upstream_errors_total", kind="protocol"), 2)

    def test_frames_of_an_unknown_type_are_passed_over(self):
        spillway = self.behind(self.broken_server(lambda s: frame(99, 255, s, b"x") * 5000 + head(s, OK, flags=WHOLE)))
        self.assertEqual(ask(spillway.port, target="/bad").status, 200)

    def test_a_server_that_sends_more_than_the_window_allows_is_refused(self):
        spillway = self.behind(self.broken_server(lambda s: head(s, OK) + data(s, b"x" * 16384, 0) * 200))
        with Client(spillway.port, eager=False) as client:
            stream = client.start(path="/bad")
            client.until(lambda: stream.over or len(stream.body) == 65535, "as much as the client takes")
            if not stream.over:
                client.grant(stream, 10 << 20)
            client.wait(stream)
            self.assertTrue(stream.reset is not None or stream.status == 502, stream)  # 502 where all of it came at once
            self.assertLess(len(stream.body), 200000)
        self.assertEqual(ask(spillway.port).status, 200)

    def test_a_server_that_reads_nothing_is_given_up(self):
        gate = threading.Event()
        self.addCleanup(gate.set)

        def play(server, number):
            if number == 0:
                server.request()
                server.send(window(1 << 30) + frame(SETTINGS, 0, 0, settings((4, 1 << 30))))
                gate.wait(PATIENCE * 2)
            server.answer(server.request().stream)

        spillway = self.behind(play, timeouts={"idle": "300ms", "first_byte": "300ms"})
        with Client(spillway.port) as client:
            stream = client.start("POST", end=False)
            try:
                client.send(stream, b"x" * (64 << 20))
            except (OSError, AssertionError, ProtocolError):
                pass  # it may be over before all is sent
            self.assertIn(client.wait(stream).status, (502, 504, None))
            self.assertLess(spillway.rss(), (300 if SANITIZED else 100) << 20)
            self.assertEqual(client.ask().status, 200)

    def test_the_log_names_what_was_wrong_without_the_server_s_bytes(self):
        spillway = self.behind(self.broken_server(STREAM["a value with a line's end"]))
        self.assertEqual(ask(spillway.port, target="/bad").status, 502)
        spillway.log.wait("malformed header field")
        eventually(lambda: spillway.metric("spillway_upstream_errors_total", kind="protocol") == 1, "the counter")


if __name__ == "__main__":
    main()
