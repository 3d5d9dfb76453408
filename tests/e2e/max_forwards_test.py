# SPDX-License-Identifier: MIT
"""Max-Forwards of OPTIONS and TRACE (RFC 9110 7.6.2), over HTTP/1 and HTTP/2: counted down, and answered here when it is 0."""

from harness import Case, config, connect, main
from http2_client import Client

SECRET = {"Cookie": "session=secret", "Authorization": "Bearer secret"}


class MaxForwards(Case):
    def setUp(self):
        self.came = []  # in order, over all connections

        def play(conversation, _):
            while True:
                self.came.append(conversation.read_request())
                conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nserver")

        self.proxy = self.spillway(config(self.raw_origin(play), listeners=[{"address": "127.0.0.1:0", "http2": True}], rules=[
            {"name": "no", "match": {"path": "/no"}, "action": "deny"}]))

    def answers(self, method, hops, target="/a", more=()):
        """The same over both versions; each connection must live on."""
        headers = {"Max-Forwards": hops, **dict(more)}
        with connect(self.proxy.port) as client:
            yield client.ask(method, target, headers=headers)
            self.assertEqual(client.ask(target="/next").body, b"server")
        with Client(self.proxy.port) as client:
            yield client.ask(method, target, {name.lower(): value for name, value in headers.items()})
            self.assertEqual(client.ask(path="/next").body, b"server")

    def seen(self):
        return [request for request in self.came if request.target != "/next"]

    def test_options_with_0_is_answered_here_without_a_body(self):
        for target in "/a", "*":
            for answer in self.answers("OPTIONS", "0", target):
                self.assertEqual((answer.status, answer.get("content-length"), bytes(answer.body)), (200, "0", b""))
                self.assertIsNone(answer.get("allow"))
                self.assertEqual(len(answer.all("x-request-id")), 1)
        self.assertEqual(self.seen(), [])
        self.assertEqual(self.proxy.metric("spillway_requests_total", decision="internal"), 4)

    def test_trace_with_0_is_501_and_shows_nothing_of_the_request(self):
        for answer in self.answers("TRACE", "0", more=SECRET):
            self.assertEqual(answer.status, 501)
            self.assertNotIn(b"secret", bytes(answer.body))
        self.assertEqual(self.seen(), [])

    def test_a_larger_number_goes_on_as_one_less(self):
        for method in "OPTIONS", "TRACE":
            for hops, left in (("1", "0"), ("10", "9")):
                for answer in self.answers(method, hops):
                    self.assertEqual(bytes(answer.body), b"server")
                    self.assertEqual(self.seen()[-1].all("max-forwards"), [left])

    def test_other_methods_do_not_count(self):
        for answer in self.answers("GET", "0"):
            self.assertEqual(bytes(answer.body), b"server")
            self.assertEqual(self.seen()[-1].all("max-forwards"), ["0"])

    def test_rules_come_first(self):
        for answer in self.answers("OPTIONS", "0", "/no"):
            self.assertEqual(answer.status, 403)

    def test_what_is_no_number_is_400(self):
        with connect(self.proxy.port) as client:
            self.assertEqual(client.ask("OPTIONS", headers={"Max-Forwards": "x"}).status, 400)
            self.assertTrue(client.at_end())
        with Client(self.proxy.port) as client:
            self.assertEqual(client.ask("OPTIONS", "/", [("max-forwards", "1"), ("max-forwards", "1")]).status, 400)
            self.assertEqual(client.ask().status, 200)
        self.assertEqual(self.seen()[:-1], [])


if __name__ == "__main__":
    main()
