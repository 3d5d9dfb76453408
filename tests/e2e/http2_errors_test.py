# SPDX-License-Identifier: MIT
"""What RFC 9113 forbids, section by section: a stream is reset, or the connection ends with GOAWAY, or it is passed over;
the origin learns nothing of it, and others are served meanwhile."""

import socket
import struct

from harness import Case, config, eventually, main
from http2_client import (ACK, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM,
                          FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY, HAS_PRIORITY, HEADERS, NO_ERROR, PADDED, PING, PREFACE,
                          PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE, RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE, Client, Raw,
                          frame, plain_block, request_fields, settings)

GET = plain_block(request_fields())
POST = plain_block(request_fields("POST"))


def head(stream=1, block=GET, flags=END_HEADERS | END_STREAM, **more):
    return frame(HEADERS, flags, stream, block, **more)


def window(size, stream=0):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", size))


OPEN = head(1, POST, END_HEADERS)  # its body is still to come

# name: (frames after the preface, the errors that will do). The connection must end.
CONNECTION = {
    "3.4 SETTINGS is not the first frame": (None, (PROTOCOL_ERROR,)),
    "4.2 a frame larger than allowed": (frame(DATA, 0, 1, b"x" * 20000), (FRAME_SIZE_ERROR,)),
    "4.2 HEADERS larger than allowed": (frame(HEADERS, 4, 1, b"x" * 17000), (FRAME_SIZE_ERROR,)),
    "4.3 a block that is not HPACK": (frame(HEADERS, 5, 1, b"\xff\xff\xff\xff\xff\xff"), (COMPRESSION_ERROR,)),
    "4.3 an index beyond the table": (frame(HEADERS, 5, 1, b"\xfe"), (COMPRESSION_ERROR,)),
    "4.3 a table larger than allowed": (frame(HEADERS, 5, 1, b"\x3f\xe1\xff\x03" + GET), (COMPRESSION_ERROR,)),
    "4.3 a block cut short": (frame(HEADERS, 5, 1, GET[:-3]), (COMPRESSION_ERROR,)),
    "5.1 DATA on an idle stream": (frame(DATA, 0, 1, b"x"), (PROTOCOL_ERROR, STREAM_CLOSED)),
    "5.1 RST_STREAM on an idle stream": (frame(RST_STREAM, 0, 1, b"\0\0\0\x08"), (PROTOCOL_ERROR,)),
    "5.1 WINDOW_UPDATE on an idle stream": (window(1, 1), (PROTOCOL_ERROR,)),
    "5.1 CONTINUATION on an idle stream": (frame(CONTINUATION, 4, 1, GET), (PROTOCOL_ERROR,)),
    "5.1 DATA on a half-closed stream": (head(1) + frame(DATA, END_STREAM, 1, b"x"), (STREAM_CLOSED,)),
    "5.1 HEADERS on a half-closed stream": (head(1) + head(1), (STREAM_CLOSED, PROTOCOL_ERROR)),
    "5.3.1 HEADERS that depend on themselves": (head(1, b"\0\0\0\1\x10" + GET, 5 | HAS_PRIORITY), (PROTOCOL_ERROR,)),
    "5.1.1 an even stream": (head(2), (PROTOCOL_ERROR,)),
    "6.1 DATA on stream 0": (frame(DATA, 0, 0, b"x"), (PROTOCOL_ERROR,)),
    "6.1 DATA with more padding than frame": (OPEN + frame(DATA, PADDED, 1, b"\x0a" + b"x" * 5), (PROTOCOL_ERROR,)),
    "6.1 padded DATA without a length": (OPEN + frame(DATA, PADDED, 1, b""), (PROTOCOL_ERROR, FRAME_SIZE_ERROR)),
    "6.2 HEADERS on stream 0": (frame(HEADERS, 5, 0, GET), (PROTOCOL_ERROR,)),
    "6.2 HEADERS with more padding than frame": (frame(HEADERS, 5 | PADDED, 1, b"\xff" + GET), (PROTOCOL_ERROR,)),
    "6.2 HEADERS shorter than its priority": (frame(HEADERS, 5 | HAS_PRIORITY, 1, b"\0\0"), (FRAME_SIZE_ERROR, PROTOCOL_ERROR)),
    "6.3 PRIORITY on stream 0": (frame(PRIORITY, 0, 0, b"\0\0\0\1\0"), (PROTOCOL_ERROR,)),
    "6.4 RST_STREAM on stream 0": (frame(RST_STREAM, 0, 0, b"\0\0\0\x08"), (PROTOCOL_ERROR,)),
    "6.4 RST_STREAM of another length": (OPEN + frame(RST_STREAM, 0, 1, b"\0\0\0"), (FRAME_SIZE_ERROR,)),
    "6.5 SETTINGS on a stream": (frame(SETTINGS, 0, 1), (PROTOCOL_ERROR,)),
    "6.5 SETTINGS of another length": (frame(SETTINGS, 0, 0, b"\0\0\0"), (FRAME_SIZE_ERROR,)),
    "6.5 an ACK with a payload": (frame(SETTINGS, ACK, 0, settings((3, 1))), (FRAME_SIZE_ERROR,)),
    "6.5 an ACK too many": (frame(SETTINGS, ACK) * 2, (PROTOCOL_ERROR,)),
    "6.5.2 ENABLE_PUSH of 2": (frame(SETTINGS, 0, 0, settings((2, 2))), (PROTOCOL_ERROR,)),
    "6.5.2 INITIAL_WINDOW_SIZE too large": (frame(SETTINGS, 0, 0, settings((4, 1 << 31))), (FLOW_CONTROL_ERROR,)),
    "6.5.2 MAX_FRAME_SIZE too small": (frame(SETTINGS, 0, 0, settings((5, 16383))), (PROTOCOL_ERROR,)),
    "6.5.2 MAX_FRAME_SIZE too large": (frame(SETTINGS, 0, 0, settings((5, 1 << 24))), (PROTOCOL_ERROR,)),
    "6.6 PUSH_PROMISE from a client": (head(1) + frame(PUSH_PROMISE, 4, 1, b"\0\0\0\2" + GET), (PROTOCOL_ERROR,)),
    "6.7 PING of another length": (frame(PING, 0, 0, b"1234567"), (FRAME_SIZE_ERROR,)),
    "6.7 PING on a stream": (frame(PING, 0, 1, b"12345678"), (PROTOCOL_ERROR,)),
    "6.8 GOAWAY on a stream": (frame(GOAWAY, 0, 1, b"\0" * 8), (PROTOCOL_ERROR,)),
    "6.8 GOAWAY of another length": (frame(GOAWAY, 0, 0, b"\0" * 7), (FRAME_SIZE_ERROR,)),
    "6.9 WINDOW_UPDATE of 0": (window(0), (PROTOCOL_ERROR,)),
    "6.9 WINDOW_UPDATE of 0 on a stream": (OPEN + window(0, 1), (PROTOCOL_ERROR,)),
    "6.9 WINDOW_UPDATE of another length": (frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"), (FRAME_SIZE_ERROR,)),
    "6.9.1 the connection's window beyond its most": (window((1 << 31) - 1), (FLOW_CONTROL_ERROR,)),
    "6.10 CONTINUATION without HEADERS": (OPEN + frame(CONTINUATION, 4, 1, GET), (PROTOCOL_ERROR,)),
    "6.10 CONTINUATION after the end": (head(1) + frame(CONTINUATION, 4, 1, b""), (PROTOCOL_ERROR, STREAM_CLOSED)),
    "6.10 another frame inside a head": (head(1, GET, END_STREAM) + frame(PING, 0, 0, b"12345678"), (PROTOCOL_ERROR,)),
    "6.10 another stream inside a head": (head(1, GET, END_STREAM) + head(3), (PROTOCOL_ERROR,)),
    "6.10 CONTINUATION of another stream": (head(1, GET[:5], END_STREAM) + frame(CONTINUATION, 4, 3, GET[5:]), (PROTOCOL_ERROR,)),
    "6.10 an unknown frame inside a head": (head(1, GET, END_STREAM) + frame(0x42, 0, 0, b"x"), (PROTOCOL_ERROR,)),
}

# name: (frames, the errors of stream 1 that will do). The connection lives on.
STREAM = {
    "6.9.1 the stream's window beyond its most": (OPEN + window((1 << 31) - 1, 1), (FLOW_CONTROL_ERROR,)),
    "8.1 trailers that do not end the stream": (OPEN + frame(HEADERS, 4, 1, plain_block([("x", "y")])), (PROTOCOL_ERROR,)),
    "8.1.1 a content-length beyond the body": (
        head(1, plain_block(request_fields("POST", "/", ("content-length", "5"))), 4) + frame(DATA, 1, 1, b"1234"), (PROTOCOL_ERROR,)),
    "8.1.1 a body beyond content-length": (
        head(1, plain_block(request_fields("POST", "/", ("content-length", "5"))), 4) + frame(DATA, 1, 1, b"123456"), (PROTOCOL_ERROR,)),
    "8.1.1 a content-length and no body": (head(1, plain_block(request_fields("POST", "/", ("content-length", "5")))), (PROTOCOL_ERROR,)),
}

# name: fields of a request; the stream is reset with PROTOCOL_ERROR or refused with 400.
PSEUDO = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")]
MALFORMED = {
    "8.2 a name in upper case": request_fields("GET", "/", ("X-Upper", "y")),
    "8.2.1 a name with a space": request_fields("GET", "/", ("x y", "z")),
    "8.2.1 a name with a colon": request_fields("GET", "/", ("x:y", "z")),
    "8.2.1 a name with a control byte": request_fields("GET", "/", ("x\x01", "z")),
    "8.2.1 a name with a byte beyond ASCII": request_fields("GET", "/", ("x\xff", "z")),
    "8.2.1 an empty name": request_fields("GET", "/", ("", "z")),
    "8.2.1 NUL in a value": request_fields("GET", "/", ("x", "a\0b")),
    "8.2.1 CR in a value": request_fields("GET", "/", ("x", "a\rb")),
    "8.2.1 LF in a value": request_fields("GET", "/", ("x", "a\nb")),
    "8.2.1 another head in a value": request_fields("GET", "/", ("x", "a\r\nHost: evil\r\n\r\nGET /evil HTTP/1.1\r\n")),
    "8.2.1 a space before a value": request_fields("GET", "/", ("x", " a")),
    "8.2.1 a space behind a value": request_fields("GET", "/", ("x", "a ")),
    "8.2.1 a tab before a value": request_fields("GET", "/", ("x", "\ta")),
    "8.2.2 connection": request_fields("GET", "/", ("connection", "close")),
    "8.2.2 keep-alive": request_fields("GET", "/", ("keep-alive", "timeout=5")),
    "8.2.2 proxy-connection": request_fields("GET", "/", ("proxy-connection", "close")),
    "8.2.2 transfer-encoding": request_fields("POST", "/", ("transfer-encoding", "chunked")),
    "8.2.2 upgrade": request_fields("GET", "/", ("upgrade", "websocket")),
    "8.2.2 te other than trailers": request_fields("GET", "/", ("te", "gzip")),
    "8.3 a pseudo field behind a regular one": [*PSEUDO[:3], ("x", "y"), PSEUDO[3]],
    "8.3 an unknown pseudo field": [*PSEUDO, (":unknown", "x")],
    "8.3 a pseudo field of answers": [*PSEUDO, (":status", "200")],
    "8.3 two :method": [*PSEUDO, PSEUDO[0]],
    "8.3 two :path": [*PSEUDO, (":path", "/other")],
    "8.3 two :authority": [*PSEUDO, (":authority", "b")],
    "8.3 two :scheme": [*PSEUDO, (":scheme", "https")],
    "8.3.1 no :method": PSEUDO[1:],
    "8.3.1 no :scheme": PSEUDO[:1] + PSEUDO[2:],
    "8.3.1 no :path": PSEUDO[:2] + PSEUDO[3:],
    "8.3.1 an empty :path": request_fields("GET", ""),
    "8.3.1 an empty :method": request_fields(""),
    "8.3.1 a :path without a slash": request_fields("GET", "x"),
    "8.3.1 a :path with an authority": request_fields("GET", "http://evil.example/"),
    "8.3.1 the same with a scheme of its own": request_fields("GET", "http://evil.example/", scheme="x"),
    "8.3.1 a :scheme that is not HTTP's": request_fields("GET", "/", scheme="ftp"),
    "8.3.1 a :scheme with a URL in it": request_fields("GET", "/", scheme="http://evil.example/?"),
    "8.3.1 a :path of * without OPTIONS": request_fields("GET", "*"),
    "8.3.1 a :path with a space": request_fields("GET", "/a b"),
    "8.3.1 a :path with another request": request_fields("GET", "/ HTTP/1.1\r\nHost: evil\r\n\r\n"),
    "8.3.1 a :path with a fragment": request_fields("GET", "/#x"),
    "8.3.1 a :path with a byte beyond ASCII": request_fields("GET", "/\xff"),
    "8.3.1 a :method with a space": request_fields("GET /evil HTTP/1.1"),
    "8.3.1 an :authority with a user": request_fields(authority="user@a"),
    "8.3.1 an :authority with a slash": request_fields(authority="a/b"),
    "8.3.1 an :authority with CR and LF": request_fields(authority="a\r\nX: y"),
    "8.3.1 another host": request_fields("GET", "/", ("host", "other.example")),
    "8.3.1 two hosts": [*PSEUDO[:3], ("host", "a"), ("host", "b")],
    "8.3.1 neither :authority nor host": PSEUDO[:3],
    "8.5 CONNECT with a path": [(":method", "CONNECT"), (":path", "/"), (":authority", "a:443")],
    "8441 :protocol without CONNECT": [*PSEUDO, (":protocol", "websocket")],
    "9110 8.6 a content-length that is no number": request_fields("POST", "/", ("content-length", "x")),
    "9110 8.6 a signed content-length": request_fields("POST", "/", ("content-length", "+0")),
    "9110 8.6 two content-lengths": request_fields("POST", "/", ("content-length", "0"), ("content-length", "0")),
    "9110 8.6 a list of content-lengths": request_fields("POST", "/", ("content-length", "0, 0")),
    "9110 8.6 a content-length beyond 64 bits": request_fields("POST", "/", ("content-length", "99999999999999999999")),
}

# name: frames that have no effect at all.
PASSED_OVER = {
    "4.1 an unknown frame": frame(0x42, 0xff, 0, b"whatever"),
    "4.1 an unknown frame on an idle stream": frame(0x42, 0, 99, b""),
    "4.1 unknown flags": frame(PING, 0xfe, 0, b"12345678"),
    "4.1 the reserved bit": struct.pack(">I", 8)[1:] + bytes([PING, 0]) + b"\x80\0\0\0" + b"12345678",
    "5.3.2 PRIORITY on an idle stream": frame(PRIORITY, 0, 9, b"\0\0\0\3\x10"),
    "6.5.2 an unknown setting": frame(SETTINGS, 0, 0, settings((0x99, 77))),
    "6.5.3 empty SETTINGS": frame(SETTINGS),
    "6.7 an answer to no PING": frame(PING, ACK, 0, b"87654321"),
    "6.9 the largest window": window((1 << 31) - 1 - 65535),
    "7838 ALTSVC from a client": frame(0x0a, 0, 0, b"\0\1a" + b"h2"),
    "9218 PRIORITY_UPDATE": frame(0x10, 0, 0, b"\0\0\0\5u=1"),
}


def cut(*fields):
    """A head in frames of the largest size."""
    block = plain_block(request_fields("GET", "/", *fields))
    parts = [block[at:at + 16384] for at in range(0, len(block), 16384)]
    return head(1, parts[0], END_STREAM) + continued(parts[1:])


def continued(parts):
    return b"".join(frame(CONTINUATION, 0, 1, part) for part in parts[:-1]) + frame(CONTINUATION, END_HEADERS, 1, parts[-1])


# name: (frames within a bound of docs/reference.md, frames beyond it, the error that ends the connection)
BOUNDS = {
    "CONTINUATION frames": (head(1, GET, END_STREAM) + continued([b""] * 8), head(1, GET, END_STREAM) + continued([b""] * 9),
                            ENHANCE_YOUR_CALM),
    "four times sizes.head": (cut(*[("x", "y" * 995)] * 130), cut(*[("x", "y" * 995)] * 132), ENHANCE_YOUR_CALM),
    "a value": (cut(("x", "y" * 65536)), cut(("x", "y" * 65537)), COMPRESSION_ERROR),
    "a name": (cut(("x" * 65536, "y")), cut(("x" * 65537, "y")), COMPRESSION_ERROR),
    "settings": (frame(SETTINGS, 0, 0, settings((0x99, 1)) * 32), frame(SETTINGS, 0, 0, settings((0x99, 1)) * 33), ENHANCE_YOUR_CALM),
}


class Errors(Case):
    @classmethod
    def setUpClass(cls):
        cls.holder = Case()
        cls.server = cls.holder.origin()
        cls.proxy = cls.holder.spillway(config(cls.server, listeners=[{"address": "127.0.0.1:0", "http2": True}]))

    @classmethod
    def tearDownClass(cls):
        cls.holder.doCleanups()

    def test_errors_of_the_connection(self):
        for name, (frames, codes) in CONNECTION.items():
            with self.subTest(name):
                before = len(self.server.requests)
                with Raw(self.proxy.port, greet=frames is not None) as raw:
                    raw.send(PREFACE + frame(PING, 0, 0, b"12345678") if frames is None else frames)
                    self.assertIn(raw.wait_goaway(), codes)
                with Client(self.proxy.port) as client:
                    self.assertEqual(client.ask("GET", "/alive").status, 200)
                eventually(lambda: self.proxy.metric("spillway_connections_open") == 0, "the end of both")
                # A request that was whole before the error may have been seen; nothing else.
                self.assertLessEqual({request.path for request in self.server.requests[before:]}, {"/alive", "/"})

    def test_bounds_beyond_which_the_connection_ends(self):
        for name, (within, beyond, code) in BOUNDS.items():
            with self.subTest(name):
                with Raw(self.proxy.port) as raw:
                    raw.send(within)
                    raw.head(3)
                    self.assertEqual(raw.wait_status(3), 200)
                    self.assertEqual(raw.goaways(), [])
                with Raw(self.proxy.port) as raw:
                    raw.send(beyond)
                    self.assertEqual(raw.wait_goaway(), code)

    def test_errors_of_a_stream(self):
        for name, (frames, codes) in STREAM.items():
            with self.subTest(name):
                with Raw(self.proxy.port) as raw:
                    raw.send(frames)
                    self.assertIn(raw.wait_reset(1), codes)
                    raw.head(3)
                    self.assertEqual(raw.wait_status(3), 200)
                    raw.wait_ping()
                    self.assertEqual([got for got in raw.frames if got.kind == RST_STREAM and got.stream == 1][1:], [])
                    self.assertEqual(raw.goaways(), [])

    def test_malformed_heads(self):
        for name, fields in MALFORMED.items():
            with self.subTest(name):
                before = len(self.server.requests)
                with Raw(self.proxy.port) as raw:
                    raw.send(head(1, plain_block(fields)))
                    raw.wait(lambda got: got.stream == 1 and got.kind in (RST_STREAM, HEADERS), "a refusal")
                    self.assertIn(self.outcome(raw, 1), (PROTOCOL_ERROR, 400, 501))
                    raw.head(3, request_fields("GET", "/after"))
                    self.assertEqual(raw.wait_status(3), 200)
                    self.assertEqual(raw.goaways(), [])
                    self.assertEqual(len([got for got in raw.frames if got.kind == RST_STREAM and got.code != NO_ERROR]) <= 1, True)
                self.assertEqual([request.path for request in self.server.requests[before:]], ["/after"])

    def test_malformed_heads_with_a_body_to_come(self):
        """The same, where the body follows: it goes nowhere, and the connection's window comes back."""
        for name, fields in MALFORMED.items():
            if "content-length" in name:
                continue
            with self.subTest(name):
                before = len(self.server.requests)
                with Raw(self.proxy.port) as raw:
                    raw.send(head(1, plain_block(fields), END_HEADERS) + frame(DATA, 0, 1, b"x" * 16000) + frame(DATA, END_STREAM, 1, b"y" * 16000))
                    raw.wait(lambda got: got.stream == 1 and got.kind in (RST_STREAM, HEADERS), "a refusal")
                    raw.head(3, request_fields("GET", "/after"))
                    self.assertEqual(raw.wait_status(3), 200)
                    self.assertEqual(raw.goaways(), [])
                self.assertEqual([request.path for request in self.server.requests[before:]], ["/after"])

    def outcome(self, raw, stream):
        for got in raw.frames:
            if got.stream == stream and got.kind == RST_STREAM:
                return got.code
            if got.stream == stream and got.kind == HEADERS:
                return int(dict(got.fields)[":status"])
        return None

    def test_what_is_passed_over(self):
        for name, frames in PASSED_OVER.items():
            with self.subTest(name):
                with Raw(self.proxy.port) as raw:
                    raw.send(frames)
                    raw.head(1)
                    self.assertEqual(raw.wait_status(1), 200)
                    raw.wait_ping(b"the last")
                    self.assertEqual((raw.goaways(), raw.resets()), ([], {}))

    def test_malformed_trailers(self):
        cases = {"a pseudo field": [(":path", "/evil")], "upper case": [("X", "y")], "connection": [("connection", "close")],
                 "LF": [("x", "a\nb")], "a status": [(":status", "200")]}
        for name, fields in cases.items():
            with self.subTest(name):
                before = len(self.server.requests)
                with Raw(self.proxy.port) as raw:
                    raw.send(head(1, POST, END_HEADERS) + frame(DATA, 0, 1, b"body") + head(1, plain_block(fields)))
                    self.assertEqual(raw.wait_reset(1), PROTOCOL_ERROR)
                    raw.head(3, request_fields("GET", "/after"))
                    self.assertEqual(raw.wait_status(3), 200)
                self.assertEqual([request.path for request in self.server.requests[before:]], ["/after"])

    def test_trailers_that_an_origin_would_misread_stay_behind(self):
        def play(conversation, _):
            while True:
                conversation.read_request()
                conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        server = self.raw_origin(play)
        proxy = self.spillway(config(server, listeners=[{"address": "127.0.0.1:0", "http2": True}], rules=[
            {"name": "role", "match": {"header.X-Role": "admin"}, "action": "deny"},
            {"name": "tenant", "action": {"set_header": {"X-Tenant": "public"}}}]))
        with Raw(proxy.port) as raw:
            raw.send(head(1, POST, END_HEADERS) + frame(DATA, 0, 1, b"body") +
                     head(1, plain_block([("content-length", "4"), ("host", "evil"), ("x-forwarded-for", "1.2.3.4"), ("x-tenant", "evil"),
                                          ("x.tenant", "evil"), ("x-role", "admin"), ("x-sum", "5")])))
            self.assertEqual(raw.wait_status(1), 200)
        seen = server.requests[0]
        self.assertEqual((seen.body, seen.get("X-Tenant"), seen.trailers), (b"body", "public", [("x-sum", "5")]))

    def test_a_bad_preface_ends_it(self):
        for bytes_ in (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n\0\0\0\0\0\0\0\0\0", b"PRI * HTTP/2.0\r\nHost: a\r\n\r\n"):
            with self.subTest(bytes_), Raw(self.proxy.port, greet=False) as raw:
                raw.send(bytes_)
                raw.read_to_end()

    def test_stream_numbers_only_grow(self):
        """5.1.1: a lower number than one that was used is a stream that is closed."""
        before = len(self.server.requests)
        with Raw(self.proxy.port) as raw:
            raw.head(5, request_fields("GET", "/five"))
            self.assertEqual(raw.wait_status(5), 200)
            raw.head(3, request_fields("GET", "/three"))
            raw.send(frame(PING, 0, 0, b"12345678"))
            got = raw.wait(lambda got: got.kind == GOAWAY or (got.kind == PING and got.flags == ACK), "an end, or nothing")
            self.assertIn(got.code if got.kind == GOAWAY else STREAM_CLOSED, (PROTOCOL_ERROR, STREAM_CLOSED))
        self.check_alive_and_unseen_but(before, ["/five"])

    def test_frames_for_a_stream_that_is_over(self):
        """What a client sent before it heard of the end is passed over; new heads there are none."""
        before = len(self.server.requests)
        for name, frames in {"DATA": frame(DATA, 0, 1, b"x"), "WINDOW_UPDATE": window(1, 1), "RST_STREAM": frame(RST_STREAM, 0, 1, b"\0\0\0\x08"),
                             "PRIORITY": frame(PRIORITY, 0, 1, b"\0\0\0\0\x10")}.items():
            with self.subTest(name), Raw(self.proxy.port) as raw:
                raw.head(1, request_fields("GET", "/done"))
                raw.wait(lambda got: got.stream == 1 and got.flags & END_STREAM, "the end")
                raw.send(frames)
                raw.wait_ping()
                self.assertIn(raw.goaways(), ([], [STREAM_CLOSED]))
        self.check_alive_and_unseen_but(before, ["/done"] * 4)

    def test_priority_on_itself_has_no_effect_on_others(self):
        """5.3.1: a stream error, or of the connection where the stream is idle."""
        with Raw(self.proxy.port) as raw:
            raw.send(OPEN + frame(PRIORITY, 0, 1, b"\0\0\0\1\x10") + frame(PING, 0, 0, b"12345678"))
            raw.wait(lambda got: got.kind in (RST_STREAM, GOAWAY, PING), "anything")
        with Client(self.proxy.port) as client:
            self.assertEqual(client.ask().status, 200)

    def check_alive_and_unseen_but(self, before, paths):
        with Client(self.proxy.port) as client:
            self.assertEqual(client.ask("GET", "/alive").status, 200)
        self.assertEqual([request.path for request in self.server.requests[before:]], paths + ["/alive"])

    def test_windows_are_kept(self):
        """6.9.1: what nobody takes is not asked for, and a client that sends it all the same is sent away."""
        full = socket.socket()  # connections to it stay on their way
        self.addCleanup(full.close)
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            filler = socket.socket()
            self.addCleanup(filler.close)
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        proxy = self.spillway(config(full.getsockname()[1], listeners=[{"address": "127.0.0.1:0", "http2": True}],
                                     app={"timeouts": {"connect": "30s"}}))
        with Raw(proxy.port) as raw:  # a stream's window to its last byte, and one more
            raw.send(OPEN + frame(DATA, 0, 1, b"x" * 16384) * 4)
            raw.wait_ping()
            self.assertEqual((raw.resets(), raw.goaways()), ({}, []))
            raw.send(frame(DATA, 0, 1, b"x"))
            got = raw.wait(lambda got: got.kind in (RST_STREAM, GOAWAY), "an error")
            self.assertEqual(got.code, FLOW_CONTROL_ERROR)
        with Raw(proxy.port) as raw:  # the connection's
            for number in (1, 3, 5, 7):
                raw.send(head(number, POST, END_HEADERS))
                for _ in range(4):
                    raw.send(frame(DATA, 0, number, b"x" * 16384))
            raw.wait_ping()
            self.assertEqual((raw.resets(), raw.goaways()), ({}, []))
            raw.send(head(9, POST, END_HEADERS) + frame(DATA, 0, 9, b"x"))
            self.assertEqual(raw.wait_goaway(), FLOW_CONTROL_ERROR)

    def test_padding_is_no_body_and_costs_no_window(self):
        with Raw(self.proxy.port) as raw:
            raw.send(head(1, plain_block(request_fields("POST", "/", ("content-length", "3000"))), END_HEADERS))
            for i in range(3000):
                raw.send(frame(DATA, PADDED | (END_STREAM if i == 2999 else 0), 1, b"\xff" + b"x" + b"\0" * 255))
                if i % 100 == 99:
                    raw.wait_ping()
            self.assertEqual(raw.wait_status(1), 200)
        self.assertEqual(self.server.requests[-1].body, b"x" * 3000)

    def test_padded_heads_with_a_priority(self):
        with Raw(self.proxy.port) as raw:
            raw.send(head(1, b"\x05" + b"\0\0\0\0\x10" + GET + b"\0" * 5, 5 | PADDED | HAS_PRIORITY))
            self.assertEqual(raw.wait_status(1), 200)

    def test_a_head_in_continuations_is_one_head(self):
        block = plain_block(request_fields("GET", "/pieces", ("x-long", "y" * 3000)))
        with Raw(self.proxy.port) as raw:
            cut = [block[at:at + 500] for at in range(0, len(block), 500)]
            self.assertLess(len(cut), 9)
            raw.send(frame(HEADERS, END_STREAM, 1, cut[0]) + b"".join(frame(CONTINUATION, 0, 1, piece) for piece in cut[1:-1]) +
                     frame(CONTINUATION, END_HEADERS, 1, cut[-1]))
            self.assertEqual(raw.wait_status(1), 200)
        self.assertEqual((self.server.requests[-1].path, self.server.requests[-1].get("x-long")), ("/pieces", "y" * 3000))

    def test_heads_from_the_dynamic_table(self):
        with Raw(self.proxy.port) as raw:
            for i in range(5):
                raw.send(head(2 * i + 1, raw.encoder.encode(request_fields("GET", f"/{i}", ("x-same", "z" * 1000), ("x-new", str(i))))))
                self.assertEqual(raw.wait_status(2 * i + 1), 200)
                self.assertEqual((self.server.requests[-1].path, self.server.requests[-1].get("x-same")), (f"/{i}", "z" * 1000))

    def test_te_trailers_is_allowed(self):
        with Raw(self.proxy.port) as raw:
            raw.head(1, request_fields("GET", "/", ("te", "trailers")))
            self.assertEqual(raw.wait_status(1), 200)

    def test_values_of_every_byte_that_may_stand_in_them(self):
        value = "".join(chr(byte) for byte in range(0x21, 0x100) if byte != 0x7f) + "\t \x80"
        with Raw(self.proxy.port) as raw:
            raw.head(1, request_fields("GET", "/", ("x-all", value)))
            self.assertEqual(raw.wait_status(1), 200)
        self.assertEqual(self.server.requests[-1].get("x-all").encode("latin-1").strip(), value.encode("latin-1").strip())


if __name__ == "__main__":
    main()
