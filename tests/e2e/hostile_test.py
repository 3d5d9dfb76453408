# SPDX-License-Identifier: MIT
"""What no honest client does: requests that are malformed, seen from outside, and those that are too large. Readings of
malformed ones: treachery_test.py; who is too slow or too many: crowding_test.py."""

from harness import Case, config, connect, eventually, main


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
        self.assertEqual(self.status(b"GET /" + b"a" * 30_000), 414)

    def test_long_fields_are_431(self):
        self.assertEqual(self.status(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000 + b"\r\n\r\n"), 431)

    def test_an_endless_field_is_431_before_it_ends(self):
        self.assertEqual(self.status(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000), 431)

    def test_many_fields_are_431(self):
        self.assertEqual(self.status(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 30 + b"\r\n"), 431)

    def test_a_long_user_agent_is_431_however_many_there_are(self):
        fits, long = b"User-Agent: " + b"a" * 1024 + b"\r\n", b"User-Agent: " + b"a" * 1025 + b"\r\n"
        for agents, status in ((fits, 200), (long, 431), (fits + long, 431)):
            self.assertEqual(self.status(b"GET / HTTP/1.1\r\nHost: a\r\n" + agents + b"\r\n"), status)

    def test_a_large_body_is_413(self):
        self.assertEqual(self.status(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n"), 413)
        self.assertEqual(self.server.requests, [])

    def test_a_large_chunked_body_is_413(self):
        with connect(self.proxy.port) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"1000\r\n" + b"x" * 4096 + b"\r\n") * 8)
            self.assertEqual(client.read_response().status, 413)
        self.assertEqual(self.server.requests, [])

    def test_trailers_that_are_too_large_are_431(self):
        for trailers in (b"X: " + b"y" * 9000 + b"\r\n", b"X: y\r\n" * 21):
            head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            self.assertEqual(self.status(head + b"1\r\nx\r\n0\r\n" + trailers + b"\r\n"), 431)
        self.assertEqual(self.server.requests, [])

    def test_trailers_that_are_too_large_end_an_answer_that_has_begun(self):
        def play(conversation, _):
            conversation.read_head()
            conversation.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            conversation.read_to_end()

        proxy = self.spillway(config(self.raw_origin(play), clients={"sizes": {"head": "8KiB"}}))
        with connect(proxy.port) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
            while b"hello" not in client.buffer:
                client._more()
            client.send(b"0\r\nX: " + b"y" * 9000 + b"\r\n\r\n")
            try:
                rest = client.read_to_end()
            except ConnectionError:
                rest = client.buffer
        self.assertNotIn(b"0\r\n\r\n", rest)
        self.assertEqual(rest.count(b"HTTP/1.1 "), 1, rest)  # no other answer behind it

    def test_what_is_just_within_passes(self):
        self.assertEqual(self.status(b"GET /" + b"a" * 1000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"), 200)
        self.assertEqual(self.status(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 18 + b"\r\n"), 200)
        self.assertEqual(self.status(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10240\r\n\r\n" + b"x" * 10240), 200)


if __name__ == "__main__":
    main()
