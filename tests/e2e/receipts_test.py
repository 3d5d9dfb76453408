# SPDX-License-Identifier: MIT
"""A refusal explained by the id that its answer tells: in its header, its page and its problem document."""

import json
import re

from harness import Case, ask, config, connect, eventually, main

SHORT = re.compile(r"request ([0-9a-f]{10})\b")  # as a page tells it
PAGE = [("Accept", "text/html"), ("Sec-Fetch-Dest", "document"), ("Sec-Fetch-Mode", "navigate")]
RULES = [{"name": "surge-only", "toggle": "surge", "match": {"path": "/"}, "action": "deny"},
         {"name": "secret", "match": {"header.x-secret": "yes"}, "action": "deny"},
         {"name": "bots", "match": {"user_agent": {"contains": "crawler"}}, "action": "deny"},
         {"name": "humans", "match": {"path": "/humans"}, "action": {"challenge": {"kind": "pow", "bits": 1}}},
         {"name": "gone", "match": {"path": "/gone"}, "action": "drop"},
         {"name": "moved", "match": {"path": "/moved"}, "action": {"redirect": "/new"}},
         {"name": "clients", "action": {"limit": "few"}}]
LIMIT = {"few": {"key": "client.address", "rate": "1/h", "burst": 2}}


class Receipts(Case):
    def start(self, rules=RULES, **more):
        self.settings = config(self.origin(), rules=rules, limits=LIMIT, toggles={"surge": {}}, **more)
        return self.spillway(self.settings)

    def refused(self, proxy, status, **request):
        answer = ask(proxy.port, **request)
        self.assertEqual(answer.status, status)
        return answer

    def explained(self, proxy, answer):
        return proxy.api(f"/api/v1/explain/{answer.get('X-Request-Id')}")

    def test_a_denial_is_explained_by_the_id_of_its_header_and_of_its_page(self):
        proxy = self.start()
        answer = self.refused(proxy, 403, target="/a%2e?b=c", headers=[("User-Agent", "crawler/1"), ("Referer", "http://r/"), *PAGE])
        told = self.explained(proxy, answer)
        short = SHORT.search(answer.text).group(1)
        self.assertEqual(told["id"], answer.get("X-Request-Id"))
        self.assertEqual(told["id"][:10], short)
        by_short = proxy.api(f"/api/v1/explain/{short}")
        self.assertEqual((by_short["alike"], told["alike"]), (1, 0))
        self.assertEqual(by_short | {"alike": 0}, told)
        self.assertNotIn("the newest of", proxy.ctl("explain", short, check=0).stdout)
        self.assertEqual((told["decision"], told["status"], told["rule"]["name"]), ("deny", 403, "bots"))
        self.assertRegex(told["rule"]["place"], r"spillway\.yaml:\d+")
        request = told["request"]
        self.assertEqual([request[key] for key in ("client", "method", "scheme", "host", "path", "query", "user_agent", "referer")],
                         ["127.0.0.1", "GET", "http", "test.example", "/a.", "b=c", "crawler/1", "http://r/"])
        self.assertIsNone(request["accept_language"])
        self.assertEqual(told["pass"], "not asked")
        says = {rule["rule"]: rule for rule in told["trace"]}
        self.assertEqual([rule["says"] for rule in told["trace"]], ["off", "no", "yes"])
        self.assertIn("header.x-secret is not kept", says["secret"]["why"])
        self.assertEqual((told["not_tried"], told["toggles_on"], told["note"]), (4, [], None))

    def test_a_limit_is_explained_with_its_state(self):
        proxy = self.start()
        for _ in range(2):
            self.assertEqual(ask(proxy.port).status, 200)
        answer = self.refused(proxy, 429)
        self.assertIn(answer.get("X-Request-Id"), answer.text)
        told = self.explained(proxy, answer)
        self.assertEqual((told["decision"], told["status"], told["rule"]["name"]), ("limit", 429, "clients"))
        limit, = told["limits"]
        self.assertEqual((limit["name"], limit["key"], limit["burst"], limit["allowed"], limit["remaining"]), ("few", "client.address", 2, False, 0))
        self.assertTrue(3500 < limit["retry_after_seconds"] <= 3600, limit)
        printed = proxy.ctl("explain", told["id"], check=0).stdout
        self.assertIn("limit few by client.address: used up", printed)
        self.assertRegex(printed, r"\n  yes  clients \(\S+:\d+\): ends it: limit; limit few is used up\n")
        self.assertRegex(printed, r"\nlimit with status 429 by rule clients \(")
        self.assertEqual(json.loads(proxy.ctl("--json", "explain", told["id"], check=0).stdout), told)

    def test_a_challenge_is_explained_by_the_id_of_its_page(self):
        proxy = self.start()
        for headers in ([], PAGE):
            answer = self.refused(proxy, 403, target="/humans", headers=headers)
            self.assertIn(answer.get("X-Request-Id")[:10 if headers else 32], answer.text)
            told = self.explained(proxy, answer)
            self.assertEqual((told["decision"], told["rule"]["name"], told["pass"], told["status"]), ("challenge", "humans", "none", 403))

    def test_toggles_are_told_as_they_were(self):
        proxy = self.start()
        proxy.ctl("toggle", "surge", "on", check=0)
        answer = self.refused(proxy, 403)
        proxy.ctl("toggle", "surge", "off", check=0)
        told = self.explained(proxy, answer)
        self.assertEqual((told["toggles_on"], told["rule"]["name"], told["trace"][0]["says"]), (["surge"], "surge-only", "yes"))

    def test_every_worker_is_asked(self):
        proxy = self.start(workers=4)
        ids = {}
        connections = [connect(proxy.port) for _ in range(32)]
        for i, connection in enumerate(connections):
            answer = connection.ask(target=f"/{i}", headers=[("User-Agent", "crawler")])
            ids[answer.get("X-Request-Id")] = f"/{i}"
        for connection in connections:
            connection.close()
        self.assertEqual(len(ids), 32)
        for each, path in ids.items():
            self.assertEqual(proxy.api(f"/api/v1/explain/{each}")["request"]["path"], path)

    def test_after_a_reload_the_decision_is_told_and_that_the_rules_are_gone(self):
        proxy = self.start()
        answer = self.refused(proxy, 403, headers=[("User-Agent", "crawler")])
        self.settings["rules"] = RULES[3:]
        proxy.configure(self.settings)
        proxy.must_reload()
        told = eventually(lambda: (lambda told: told["trace"] is None and told)(self.explained(proxy, answer)), "the old rules to be gone")
        self.assertEqual((told["generation"], told["generation_now"], told["rule"]["name"], told["status"]), (1, 2, "bots", 403))
        self.assertIn("the rules of generation 1 are gone", told["note"])
        self.assertIn("are gone", proxy.ctl("explain", told["id"], check=0).stdout)

    def test_after_a_reload_that_changes_nothing_all_is_told_as_before(self):
        proxy = self.start()
        answer = self.refused(proxy, 403, headers=[("User-Agent", "crawler")])
        before = self.explained(proxy, answer)
        proxy.must_reload()
        self.assertEqual(self.explained(proxy, answer), before | {"generation_now": 2})

    def test_after_a_reload_the_trace_is_by_the_rules_that_judged_while_they_are_there(self):
        held = self.raw_origin(lambda conversation, _: (conversation.read_request(), conversation.read_to_end()))
        self.settings = config(held, rules=RULES, limits=LIMIT, toggles={"surge": {}})
        proxy = self.spillway(self.settings)
        with connect(proxy.port) as waiting:  # goes by the first generation for as long as it takes
            waiting.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            eventually(lambda: held.requests, "the request to be under way")
            answer = self.refused(proxy, 403, headers=[("User-Agent", "crawler")])
            self.settings["rules"] = RULES[3:]
            proxy.configure(self.settings)
            proxy.must_reload()
            told = self.explained(proxy, answer)
            self.assertEqual([rule["rule"] for rule in told["trace"]], ["surge-only", "secret", "bots"])
            self.assertIn("told by the rules of generation 1; generation 2 is in force", told["note"])

    def test_of_several_ids_that_begin_alike_the_newest_is_told_and_that_there_are_more(self):
        proxy = self.start(clients={"trusted_proxies": ["127.0.0.0/8"]}, workers=2)
        for number in range(12):
            self.refused(proxy, 403, target=f"/{number}", headers=[("User-Agent", "crawler"), ("X-Request-Id", f"edge-frankfurt-{number:02}")])
        told = proxy.api("/api/v1/explain/edge-frankfurt")
        self.assertEqual((told["id"], told["request"]["path"], told["alike"]), ("edge-frankfurt-11", "/11", 12))
        self.assertEqual(proxy.api("/api/v1/explain/edge-frankfurt-0")["id"], "edge-frankfurt-09")
        self.assertIn("the newest of 12 whose ids begin so; this one's is edge-frankfurt-11", proxy.ctl("explain", "edge-frankfurt", check=0).stdout)
        status, body = proxy.admin("GET", "/api/v1/explain/edge-")
        self.assertEqual(status, 404)
        self.assertIn("6 characters are needed", body)

    def test_an_id_that_is_not_known_is_answered_with_404(self):
        proxy = self.start()
        known = self.refused(proxy, 403, headers=[("User-Agent", "crawler")]).get("X-Request-Id")
        passed = ask(proxy.port)
        moved = ask(proxy.port, target="/moved")
        self.assertEqual((passed.status, moved.status), (200, 302))
        others = [passed.get("X-Request-Id"), moved.get("X-Request-Id"), known.upper() + "x", known[1:], known + "0", "x" * 500, "%00", "a%2Fb"]
        for each in [other for other in others if other]:
            status, body = proxy.admin("GET", f"/api/v1/explain/{each}")
            self.assertEqual(status, 404, each)
            self.assertIn("no refusal with the id", json.loads(body)["error"])
        refused = proxy.ctl("explain", "nobody", check=1)
        self.assertIn("no refusal with the id 'nobody' is remembered", refused.stderr)
        self.assertEqual(proxy.ctl("explain").returncode, 2)
        self.assertEqual(proxy.admin("POST", f"/api/v1/explain/{known}")[0], 405)

    def test_what_was_dropped_is_explained_by_the_id_in_the_access_log(self):
        proxy = self.start()
        with connect(proxy.port) as connection:
            connection.send(b"GET /gone HTTP/1.1\r\nHost: a\r\n\r\n")
            record = proxy.wait_record(lambda record: record["decision"] == "drop")
        told = proxy.api(f"/api/v1/explain/{record['id']}")
        self.assertEqual((told["decision"], told["status"], told["rule"]["name"]), ("drop", 0, "gone"))

    def test_an_id_that_a_trusted_proxy_set_is_looked_for_as_it_is(self):
        proxy = self.start(clients={"trusted_proxies": ["127.0.0.0/8"]})
        self.refused(proxy, 403, headers=[("User-Agent", "crawler"), ("X-Request-Id", "edge/7:a+b=c@d"), ("X-Forwarded-For", "203.0.113.9")])
        told = json.loads(proxy.ctl("--json", "explain", "edge/7:a+b=c@d", check=0).stdout)
        self.assertEqual((told["id"], told["request"]["client"]), ("edge/7:a+b=c@d", "203.0.113.9"))

    def test_receipts_are_forgotten_when_there_are_too_many(self):
        proxy = self.start(workers=1)
        first = self.refused(proxy, 403, headers=[("User-Agent", "crawler")])
        self.explained(proxy, first)
        with connect(proxy.port) as connection:
            for _ in range(8):
                connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: crawler\r\n\r\n" * 511)
                for _ in range(511):
                    last = connection.read_response()
        connection = connect(proxy.port)
        status = proxy.admin("GET", f"/api/v1/explain/{first.get('X-Request-Id')}")[0]
        self.assertEqual(status, 200)  # 4,089 are there
        for _ in range(8):
            last = connection.ask(headers=[("User-Agent", "crawler")])
        connection.close()
        self.assertEqual(proxy.admin("GET", f"/api/v1/explain/{first.get('X-Request-Id')}")[0], 404)
        self.explained(proxy, last)


if __name__ == "__main__":
    main()
