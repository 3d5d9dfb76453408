# SPDX-License-Identifier: MIT
"""Requests that no honest client sends. Each is refused, and the upstream never learns of it."""

from harness import Case, ask, config, connect, eventually, main

HOST = b"Host: a\r\n"

# name: (bytes, statuses that will do)
MALFORMED = {
    "length and chunked": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400,)),
    "chunked and length": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", (400,)),
    "two lengths": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", (400,)),
    "two equal lengths": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", (400,)),
    "length list": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5, 5\r\n\r\nhello", (400,)),
    "signed length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +5\r\n\r\nhello", (400,)),
    "negative length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", (400,)),
    "hex length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0x5\r\n\r\nhello", (400,)),
    "empty length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: \r\n\r\n", (400,)),
    "huge length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999999\r\n\r\n", (400, 413)),
    "chunked twice": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", (400, 501)),
    "chunked not last": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", (400, 501)),
    "unknown coding": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", (400, 501)),
    "xchunked": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", (400, 501)),
    "vertical tab before chunked": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", (400, 501)),
    "chunked in 1.0": (b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400,)),
    "space before colon": (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", (400,)),
    "space before colon of length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length : 5\r\n\r\nhello", (400,)),
    "folded field": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n", (400,)),
    "folded first field": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", (400,)),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", (400,)),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", (400,)),
    "two equal hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", (400,)),
    "bare CR in a value": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\rb\r\n\r\n", (400,)),
    "bare LF line ends": (b"GET / HTTP/1.1\nHost: a\n\n", (400,)),
    "NUL in a value": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n", (400,)),
    "control byte in a value": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x01b\r\n\r\n", (400,)),
    "empty field name": (b"GET / HTTP/1.1\r\n" + HOST + b": x\r\n\r\n", (400,)),
    "space in a field name": (b"GET / HTTP/1.1\r\n" + HOST + b"X Y: x\r\n\r\n", (400,)),
    "no colon": (b"GET / HTTP/1.1\r\n" + HOST + b"whatever\r\n\r\n", (400,)),
    "0.9": (b"GET /\r\n\r\n", (400, 505)),
    "2.0": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", (400, 505)),
    "1.2": (b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", (400, 505)),
    "the preface of 2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505)),
    "lower case version": (b"GET / http/1.1\r\n" + HOST + b"\r\n", (400, 505)),
    "space in the target": (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", (400, 505)),
    "tab in the request line": (b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    "8-bit target": (b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    "fragment": (b"GET /#x HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    "no slash": (b"GET x HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    "ftp": (b"GET ftp://a/ HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    "CONNECT": (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", (400, 405, 501)),
    "TLS on a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40 + b"\r\n\r\n", (400,)),
    "binary": (bytes(range(1, 256)) * 4 + b"\r\n\r\n", (400,)),
}

# Nonsense in a message whose end is beyond doubt: refused, and the connection may go on.
NONSENSE = {
    "host with a space": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", (400,)),
    "host with user information": (b"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", (400,)),
    "host with a path": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", (400,)),
    "encoded NUL in the path": (b"GET /%00 HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
}

# What is wrong only inside the body: the head may have been forwarded already, so the answer may be missing,
# but the request must never look complete to the upstream, and what follows must never be a request.
BROKEN_BODIES = {
    "signed chunk size": b"+5\r\nhello\r\n0\r\n\r\n",
    "0x chunk size": b"0x5\r\nhello\r\n0\r\n\r\n",
    "space in chunk size": b"5 5\r\nhello\r\n0\r\n\r\n",
    "overflowing chunk size": b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "no CRLF after data": b"5\r\nhelloXX0\r\n\r\n",
    "LF after size": b"5\nhello\r\n0\r\n\r\n",
    "LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "negative chunk size": b"-1\r\n\r\n",
    "empty chunk size": b"\r\nhello\r\n0\r\n\r\n",
    "folded trailer": b"0\r\nX: a\r\n b\r\n\r\n",
    "NUL in a trailer": b"0\r\nX: a\x00b\r\n\r\n",
}


class Malformed(Case):
    def setUp(self):
        self.server = self.origin()
        self.proxy = self.spillway(config(self.server))

    def test_each_is_refused_closed_and_unseen(self):
        for name, (data, statuses) in MALFORMED.items():
            with self.subTest(name):
                with connect(self.proxy.port) as client:
                    client.send(data + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
                    response = client.read_response()
                    self.assertIn(response.status, statuses)
                    self.assertEqual(response.get("connection", "").lower(), "close")
                    try:
                        self.assertEqual(client.read_to_end(), b"")
                    except ConnectionError:
                        pass  # bytes that nobody read turn the close into a reset
        self.assertEqual([request.path for request in self.server.requests], [])

    def test_nonsense_is_refused_and_unseen(self):
        for name, (data, statuses) in NONSENSE.items():
            with self.subTest(name):
                with connect(self.proxy.port) as client:
                    client.send(data)
                    self.assertIn(client.read_response().status, statuses)
        self.assertEqual(self.server.requests, [])

    def test_a_broken_body_is_never_completed(self):
        for name, body in BROKEN_BODIES.items():
            with self.subTest(name):
                with connect(self.proxy.port) as client:
                    client.send(b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body +
                                b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
                    try:
                        answer = client.read_to_end()
                    except ConnectionError:
                        answer = b""
                    self.assertNotIn(b" 200 ", answer)
        self.assertEqual(self.server.requests, [])

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


if __name__ == "__main__":
    main()
