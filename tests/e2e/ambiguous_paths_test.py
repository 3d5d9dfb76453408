# SPDX-License-Identifier: MIT
"""`clients.ambiguous_paths: refuse`: no path reaches a server that it could read otherwise than the rules did. Each row goes
over HTTP/1 and HTTP/2; what exactly is refused is a table of tests/unit/target_test.cc."""

from harness import Case, ask, config, connect, eventually, main
from http2_client import Client

# target: words of the sentence that the client is told
REFUSED = {
    "/x/..%2fadmin": "encoded slash",
    "/x%5c..%5cadmin": "backslash",
    "/x\\..\\admin": "backslash",
    "/x/../admin": "dot segment",
    "/x/%2e%2E/admin": "dot segment",
    "/x/..;/admin": "parameter",
    "/admin;x": "parameter",
    "/admin%3bx": "parameter",
    "//admin": "doubled slash",
    "/;x/admin": "parameter",
    "/%2561dmin": "encoded twice",
    "/%u0061dmin": "begins no encoded octet",
    "/admin%0a": "control character",
    "/admin%00": "NUL",
    "/.spillway//challenge": "doubled slash",
}
PASSED = ["/", "/a/b/?to=/x/../%2Fadmin//%", "/a%20b", "/caf%C3%A9", "/100%25", "/a..b/.well-known/..."]


class AmbiguousPaths(Case):
    def setUp(self):
        self.server = self.origin()

    def settings(self, **clients):
        return config(self.server, clients=clients, listeners=[{"address": "127.0.0.1:0", "http2": True}],
                      rules=[{"name": "admin", "match": {"path": "/admin"}, "action": "deny"}])

    def answers(self, proxy, target):
        """(status, sentence) over both versions."""
        one = ask(proxy.port, target=target)
        with Client(proxy.port) as client:
            two = client.ask(path=target)
        for answer in one, two:
            yield answer.status, answer.json().get("detail", "")

    def test_what_can_be_read_in_two_ways_is_400_and_goes_no_further(self):
        proxy = self.spillway(self.settings(ambiguous_paths="refuse"))
        for target, why in REFUSED.items():
            for version, (status, sentence) in enumerate(self.answers(proxy, target), 1):
                with self.subTest(target, version=version):
                    self.assertEqual(status, 400)
                    self.assertIn(why, sentence)
        self.assertEqual(self.server.requests, [])
        count = 2 * len(REFUSED)
        eventually(lambda: proxy.metric("spillway_requests_total", decision="bad_request") == count, "the count")

    def test_what_has_one_reading_arrives_as_it_came(self):
        proxy = self.spillway(self.settings(ambiguous_paths="refuse"))
        for target in PASSED:
            for version, (status, _) in enumerate(self.answers(proxy, target), 1):
                with self.subTest(target, version=version):
                    self.assertEqual(status, 200)
                    self.assertEqual(self.server.requests[-1].path, target)
        self.assertEqual(ask(proxy.port, "OPTIONS", "*").status, 200)
        with connect(proxy.port) as client:
            self.assertEqual(client.ask(target="http://a/b?c").status, 200)
            self.assertEqual(client.ask(target="http://a/b//c").status, 400)
            self.assertTrue(client.at_end())

    def test_without_it_rules_decide_by_the_normal_form_and_the_rest_passes(self):
        proxy = self.spillway(self.settings())
        for target, expected in (("/x/..%2fadmin", 403), ("/x/..;/admin", 200), ("/a\\b", 200)):
            for status, _ in self.answers(proxy, target):
                self.assertEqual(status, expected, target)
        self.assertEqual([request.path for request in self.server.requests], ["/x/..;/admin"] * 2 + ["/a\\b"] * 2)

    def test_a_reload_puts_it_in_force_for_open_connections_too(self):
        proxy = self.spillway(self.settings())
        with connect(proxy.port) as one, Client(proxy.port) as two:
            self.assertEqual((one.ask(target="//x").status, two.ask(path="//x").status), (200, 200))
            proxy.configure(self.settings(ambiguous_paths="refuse"))
            proxy.must_reload()
            self.assertEqual((one.ask(target="//x").status, two.ask(path="//x").status), (400, 400))
            self.assertEqual(two.ask(path="/x").status, 200)  # a stream of its own
        proxy.configure(self.settings(ambiguous_paths="pass"))
        proxy.must_reload()
        self.assertEqual(ask(proxy.port, target="//x").status, 200)


if __name__ == "__main__":
    main()
