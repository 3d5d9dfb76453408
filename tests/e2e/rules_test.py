# SPDX-License-Identifier: MIT
"""Each action and each condition, from a file to what a client sees."""

import json

from harness import Case, ask, config, connect, eventually, main

BROWSER = {"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate",
           "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}


class Rules(Case):
    def proxy_with(self, *rules, **more):
        self.server = self.origin()
        return self.spillway(config(self.server, rules=list(rules), **more))


class Actions(Rules):
    def test_nothing_matched_is_forwarded(self):
        proxy = self.proxy_with({"name": "no", "match": {"path": "/never"}, "action": "deny"})
        self.assertEqual(ask(proxy.port).status, 200)

    def test_deny_is_403_and_never_reaches_the_upstream(self):
        proxy = self.proxy_with({"name": "no", "match": {"path": "/secret"}, "action": "deny"})
        response = ask(proxy.port, target="/secret")
        self.assertEqual(response.status, 403)
        self.assertEqual(response.get("cache-control"), "no-store")
        self.assertEqual(self.server.requests, [])

    def test_deny_takes_a_status(self):
        proxy = self.proxy_with({"name": "gone", "match": {"path": "/old"}, "action": {"deny": {"status": 410}}})
        self.assertEqual(ask(proxy.port, target="/old").status, 410)

    def test_a_refusal_speaks_the_clients_language(self):
        proxy = self.proxy_with({"name": "no", "action": "deny"})
        page = ask(proxy.port, headers=BROWSER)
        self.assertTrue(page.get("content-type").startswith("text/html"))
        self.assertIn(b"<html", page.body.lower())
        problem = ask(proxy.port, headers={"Accept": "application/json"})
        self.assertTrue(problem.get("content-type").startswith("application/problem+json"))
        self.assertEqual(problem.json()["status"], 403)
        head = ask(proxy.port, "HEAD")
        self.assertEqual((head.status, head.body), (403, b""))

    def test_a_refusal_keeps_the_connection(self):
        proxy = self.proxy_with({"name": "no", "match": {"path": "/no"}, "action": "deny"})
        with connect(proxy.port) as client:
            self.assertEqual(client.ask(target="/no").status, 403)
            self.assertEqual(client.ask(target="/yes").status, 200)
            self.assertEqual(client.ask("POST", "/no", body=b"x" * 100).status, 403)
            self.assertEqual(client.ask(target="/yes").status, 200)

    def test_allow_skips_the_rest(self):
        proxy = self.proxy_with({"name": "probes", "match": {"path": "/healthz"}, "action": "allow"},
                                {"name": "no", "action": "deny"})
        self.assertEqual(ask(proxy.port, target="/healthz").status, 200)
        self.assertEqual(ask(proxy.port, target="/").status, 403)

    def test_redirect_goes_where_it_says(self):
        proxy = self.proxy_with(
            {"name": "a", "match": {"path": "/a"}, "action": {"redirect": "https://other.example/"}},
            {"name": "b", "match": {"path": "/b"}, "action": {"redirect": {"to": "/c", "status": 308}}},
            {"name": "d", "match": {"path": "/d"}, "action": {"redirect": {"to": "https://new.example", "status": 301,
                                                                         "keep_path": True}}})
        response = ask(proxy.port, target="/a")
        self.assertEqual((response.status, response.get("location")), (302, "https://other.example/"))
        response = ask(proxy.port, target="/b")
        self.assertEqual((response.status, response.get("location")), (308, "/c"))
        response = ask(proxy.port, target="/d?x=1")
        self.assertEqual((response.status, response.get("location")), (301, "https://new.example/d?x=1"))

    def test_respond_says_what_it_is_told(self):
        proxy = self.proxy_with({"name": "robots", "match": {"path": "/robots.txt"}, "action": {"respond": {
            "status": 200, "content_type": "text/plain", "body": "User-agent: *\nDisallow: /\n",
            "headers": {"X-Robots-Tag": "noindex"}}}})
        response = ask(proxy.port, target="/robots.txt")
        self.assertEqual((response.status, response.text, response.get("content-type"), response.get("x-robots-tag")),
                         (200, "User-agent: *\nDisallow: /\n", "text/plain", "noindex"))

    def test_respond_shows_a_page_from_a_file_with_the_requests_id(self):
        self.server = self.origin()
        proxy = self.spillway(config(self.server, rules=[{"name": "maintenance", "match": {"not": {"path": "/up"}}, "action": {
            "respond": {"status": 503, "page": "pages/maintenance.html", "headers": {"Retry-After": "600"}}}}]),
            files={"pages/maintenance.html": "<h1>Back at noon</h1>\n"})
        response = ask(proxy.port)
        self.assertEqual((response.status, response.text, response.get("content-type"), response.get("retry-after")),
                         (503, "<h1>Back at noon</h1>\n", "text/html; charset=utf-8", "600"))
        self.assertEqual(response.get("x-request-id"), eventually(proxy.records, "a line of the access log")[0]["id"])
        self.assertEqual(ask(proxy.port, target="/up").status, 200)
        proxy.write("pages/maintenance.html", "<h1>Back at one</h1>\n")  # read when loaded, not when asked for
        self.assertEqual(ask(proxy.port).text, "<h1>Back at noon</h1>\n")
        proxy.ctl("reload")
        self.assertEqual(ask(proxy.port).text, "<h1>Back at one</h1>\n")

    def test_a_refusal_with_404_does_not_tell_itself_from_nothing(self):
        proxy = self.proxy_with({"name": "scanners-paths", "match": {"path": "/.env"}, "action": {"deny": {"status": 404}}},
                                {"name": "bots", "match": {"path": "/bot"}, "action": "deny"})
        for accept in ("application/json", "text/html"):
            hidden = ask(proxy.port, target="/.env", headers={"Accept": accept})
            self.assertEqual(hidden.status, 404)
            for word in ("scanners-paths", "rule", "refuse"):
                self.assertNotIn(word, hidden.text)
            self.assertIn("bots", ask(proxy.port, target="/bot", headers={"Accept": accept}).text)

    def test_drop_closes_without_a_word(self):
        proxy = self.proxy_with({"name": "drop", "match": {"path": "/drop"}, "action": "drop"})
        with connect(proxy.port) as client:
            client.send("GET /drop HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertTrue(client.at_end())
            self.assertEqual(client.buffer, b"")

    def test_set_header_is_seen_by_the_upstream_alone_and_replaces(self):
        proxy = self.proxy_with({"name": "mark", "action": {"set_header": {"X-Risk": "high"}}})
        response = ask(proxy.port, headers={"X-Risk": "none"})
        self.assertEqual(self.server.requests[-1].all("x-risk"), ["high"])
        self.assertIsNone(response.get("x-risk"))

    def test_actions_that_go_on_do_go_on(self):
        proxy = self.proxy_with({"name": "mark", "action": {"set_header": {"X-A": "1"}, "tag": "seen"}},
                                {"name": "more", "match": {"path": "/b"}, "action": {"tag": ["b", "c"]}},
                                {"name": "no", "match": {"path": "/c"}, "action": "deny"})
        ask(proxy.port, target="/b")
        self.assertEqual(self.server.requests[-1].all("x-a"), ["1"])
        record = proxy.wait_record(lambda record: record["path"] == "/b")
        self.assertEqual(record["tags"], ["seen", "b", "c"])
        self.assertEqual(ask(proxy.port, target="/c").status, 403)

    def test_shadow_counts_and_does_nothing(self):
        proxy = self.proxy_with({"name": "idea", "mode": "shadow", "match": {"path": "/x"}, "action": "deny"},
                                {"name": "off", "mode": "off", "match": {"path": "/x"}, "action": "deny"})
        for _ in range(3):
            self.assertEqual(ask(proxy.port, target="/x").status, 200)
        self.assertEqual(proxy.metric("spillway_rule_matches_total", rule="idea", mode="shadow"), 3)
        self.assertEqual(proxy.metric("spillway_rule_matches_total", rule="idea", mode="enforce"), 0)


class Conditions(Rules):
    """(conditions, requests that match, requests that do not); a request is (method, target, headers[, more])."""

    TABLE = [
        ({"method": "POST"}, [("POST", "/", {})], [("GET", "/", {}), ("PUT", "/", {})]),
        ({"method": ["PUT", "DELETE"]}, [("PUT", "/", {}), ("DELETE", "/", {})], [("POST", "/", {})]),
        ({"path": "/a"}, [("GET", "/a", {}), ("GET", "/a?q", {}), ("GET", "/x/../a", {}), ("GET", "/%61", {}), ("GET", "//a", {})],
         [("GET", "/a/", {}), ("GET", "/A", {}), ("GET", "/", {})]),
        ({"path": {"prefix": "/admin"}},
         [("GET", "/admin/x", {}), ("GET", "/./admin", {}), ("GET", "/x/..%2fadmin", {}), ("GET", "/%2e/admin", {})],
         [("GET", "/adm", {}), ("GET", "/x/admin", {})]),
        ({"path": {"suffix": [".php", ".asp"]}}, [("GET", "/x.php", {}), ("GET", "/y.asp?z", {})], [("GET", "/x.php/", {})]),
        ({"path": {"contains": "wp-"}}, [("GET", "/a/wp-login", {})], [("GET", "/wordpress", {})]),
        ({"path": {"glob": "/user/*/edit"}}, [("GET", "/user/7/edit", {})], [("GET", "/user/7/8/edit", {}), ("GET", "/user/7", {})]),
        ({"path": {"glob": "/files/**"}}, [("GET", "/files/a/b", {})], [("GET", "/file", {})]),
        ({"path": {"regex": "^/post/[0-9]+$"}}, [("GET", "/post/12", {})], [("GET", "/post/x", {})]),
        ({"host": "a.example"}, [("GET", "/", {"Host": "A.example:8080"})], [("GET", "/", {"Host": "b.example"})]),
        ({"host": "*.example.com"}, [("GET", "/", {"Host": "x.y.example.com"})],
         [("GET", "/", {"Host": "example.com"}), ("GET", "/", {"Host": "badexample.com"})]),
        ({"query.page": "7"}, [("GET", "/?page=7", {}), ("GET", "/?a=1&page=%37", {})], [("GET", "/?page=8", {}), ("GET", "/", {})]),
        ({"query.debug": {"present": True}}, [("GET", "/?debug", {}), ("GET", "/?debug=", {})], [("GET", "/?debugger", {})]),
        ({"header.x-key": "k"}, [("GET", "/", {"X-Key": "k"})], [("GET", "/", {"X-Key": "K"}), ("GET", "/", {})]),
        ({"header.accept-language": {"absent": True}}, [("GET", "/", {})], [("GET", "/", {"Accept-Language": "en"})]),
        ({"cookie.session": {"present": True}}, [("GET", "/", {"Cookie": "a=1; session=x"})],
         [("GET", "/", {"Cookie": "a=session"}), ("GET", "/", {})]),
        ({"user_agent": {"contains": ["curl/", "python"]}}, [("GET", "/", {"User-Agent": "Curl/8"}), ("GET", "/", {"User-Agent": "x PYTHON-y"})],
         [("GET", "/", {"User-Agent": "Firefox"}), ("GET", "/", {})]),
        ({"user_agent": {"regex": r"\b(iPhone|Android.+Mobile)\b"}},
         [("GET", "/", {"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0)"}), ("GET", "/", {"User-Agent": "X (Android 15; Mobile) Y"})],
         [("GET", "/", {"User-Agent": "Mozilla/5.0 (X11)"})]),
        ({"user_agent": {"absent": True}}, [("GET", "/", {})], [("GET", "/", {"User-Agent": "x"})]),
        ({"referer": {"host": "*.example.com"}}, [("GET", "/", {"Referer": "https://www.example.com/x"})],
         [("GET", "/", {"Referer": "https://example.org/?www.example.com"}), ("GET", "/", {})]),
        ({"client.address": ["127.0.0.8/30"]}, [("GET", "/", {}, {"source": "127.0.0.9"})], [("GET", "/", {}, {"source": "127.0.0.1"})]),
        ({"scheme": "http"}, [("GET", "/", {})], []),
        ({"protocol": "HTTP/1.0"}, [("GET", "/", {}, {"version": "1.0"})], [("GET", "/", {})]),
        ({"all": [{"method": "GET"}, {"not": {"path": "/ok"}}]}, [("GET", "/no", {})], [("GET", "/ok", {}), ("POST", "/no", {})]),
        ({"any": [{"path": "/a"}, {"all": [{"path": "/b"}, {"query.x": "1"}]}]},
         [("GET", "/a", {}), ("GET", "/b?x=1", {})], [("GET", "/b", {}), ("GET", "/c", {})]),
        ({"method": "GET", "path": "/both"}, [("GET", "/both", {})], [("POST", "/both", {}), ("GET", "/", {})]),
        ({"path": {"prefix": "/a", "not": {"suffix": ".css"}}}, [("GET", "/a.js", {})], [("GET", "/a.css", {}), ("GET", "/b.js", {})]),
    ]

    def test_every_row_of_the_table(self):
        # One rule set for the whole table: each row's rule answers on a port number of its own kind, a header.
        rules = []
        for index, (match, _, _) in enumerate(self.TABLE):
            rules.append({"name": f"row-{index}", "match": {"all": [{"header.x-row": str(index)}, match]},
                          "action": {"deny": {"status": 418}}})
        proxy = self.proxy_with(*rules)

        def status(row, method, target, headers, more=None):
            return ask(proxy.port, method, target, headers={**headers, "X-Row": str(row)}, **(more or {})).status

        for index, (match, yes, no) in enumerate(self.TABLE):
            for request in yes:
                with self.subTest(match=match, request=request):
                    self.assertEqual(status(index, *request), 418)
            for request in no:
                with self.subTest(match=match, unlike=request):
                    self.assertEqual(status(index, *request), 200)


class Lists(Rules):
    def test_lists_serve_conditions(self):
        proxy = self.proxy_with(
            {"name": "office", "match": {"client.address": "$office"}, "action": "allow"},
            {"name": "bots", "match": {"user_agent": {"contains": "$bots"}}, "action": "deny"},
            lists={"office": ["127.0.0.32/28"], "bots": ["EvilBot", "BadBot"]})
        self.assertEqual(ask(proxy.port, headers={"User-Agent": "a badbot b"}).status, 403)
        self.assertEqual(ask(proxy.port, headers={"User-Agent": "a badbot b"}, source="127.0.0.33").status, 200)
        self.assertEqual(ask(proxy.port, headers={"User-Agent": "a good one"}).status, 200)

    def test_a_list_may_be_a_file(self):
        self.server = self.origin()
        proxy = self.spillway(config(self.server, lists={"bots": {"file": "lists/bots.txt"}},
                                     rules=[{"name": "bots", "match": {"user_agent": {"contains": "$bots"}}, "action": "deny"}]),
                              files={"lists/bots.txt": "# the worst\n\nEvilBot\nBadBot\n"})
        self.assertEqual(ask(proxy.port, headers={"User-Agent": "badbot"}).status, 403)
        self.assertEqual(ask(proxy.port, headers={"User-Agent": "# the worst"}).status, 200)

    def test_included_rules_come_in_file_name_order(self):
        self.server = self.origin()
        proxy = self.spillway(config(self.server, include="rules.d/*.yaml"), files={
            "rules.d/20-second.yaml": json.dumps({"rules": [{"name": "second", "match": {"path": "/x"}, "action": {"deny": {"status": 410}}}]}),
            "rules.d/10-first.yaml": json.dumps({"rules": [{"name": "first", "match": {"path": "/x"}, "action": {"deny": {"status": 404}}}]})})
        self.assertEqual(ask(proxy.port, target="/x").status, 404)


if __name__ == "__main__":
    main()
