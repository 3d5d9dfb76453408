# SPDX-License-Identifier: MIT
"""Rules on responses, from a server's answer to what the client's next request meets; and facts from beyond the request."""

import datetime
import threading

from harness import Case, ask, config, connect, eventually, main

LOGIN = [
    {"name": "tired", "match": {"path": "/login", "method": "POST"}, "action": {"limit": {"name": "failed-logins", "charge": False}}},
    {"name": "failed", "when": "response", "match": {"path": "/login", "method": "POST", "response.status": [401, 403]},
     "action": {"limit": "failed-logins", "tag": "failed-login"}},
]
LIMITS = {"failed-logins": {"key": "client.address", "rate": "1/h", "burst": 3}, "misses": {"key": "client.address", "rate": "1/h", "burst": 2}}


def by_path(request):
    """The status that the path's last digits say, or else 200."""
    digits = request.path[-3:]
    return (int(digits) if digits.isdigit() else 200, {}, "as the server says")


class ResponseRules(Case):
    def proxy(self, *rules, answer=None, **more):
        self.server = self.origin(answer)
        return self.spillway(config(self.server, rules=list(rules), limits=LIMITS, **more))

    def test_only_failed_logins_count_and_too_many_are_refused(self):
        status = [200]
        proxy = self.proxy(*LOGIN, answer=lambda request: (status[0], {}, "as the server says"))
        for _ in range(5):
            self.assertEqual(ask(proxy.port, "POST", "/login").status, 200)
        status[0] = 401
        for _ in range(3):  # what charges a limit does not change the answer
            answer = ask(proxy.port, "POST", "/login")
            self.assertEqual((answer.status, answer.body), (401, b"as the server says"))
        before = len(self.server.requests)
        refused = ask(proxy.port, "POST", "/login")
        self.assertEqual(refused.status, 429)
        self.assertTrue(refused.get("retry-after"))
        self.assertEqual(len(self.server.requests), before)
        self.assertEqual(ask(proxy.port, "GET", "/login").status, 401)
        record = proxy.wait_record(lambda one: "failed-login" in one.get("tags", []))
        self.assertEqual(record["status"], 401)
        self.assertEqual(proxy.metric("spillway_rule_matches_total", rule="failed", mode="enforce"), 3)

    def test_a_storm_of_404_is_charged_and_met_by_the_same_limit(self):
        proxy = self.proxy({"name": "in", "match": {"path": {"prefix": "/x"}}, "action": {"limit": {"name": "misses", "charge": False}}},
                           {"name": "storm", "when": "response", "match": {"response.status": 404}, "action": {"limit": "misses"}},
                           answer=by_path)
        with connect(proxy.port) as client:
            self.assertEqual([client.ask(target="/x-404").status for _ in range(4)], [404, 404, 429, 429])
        self.assertEqual(ask(proxy.port, target="/").status, 200)

    def test_an_answer_that_is_hidden_counts_as_the_server_gave_it(self):
        proxy = self.proxy({"name": "broken", "when": "response", "match": {"response.status": "5xx"}, "action": {"tag": "broken"}},
                           answer=by_path)
        ask(proxy.port, target="/x-503")
        record = proxy.wait_record(lambda one: one.get("tags") == ["broken"])
        self.assertEqual(record["upstream_status"], 503)

    def test_header_fields_of_the_answer_and_of_the_request(self):
        proxy = self.proxy({"name": "h", "when": "response", "match": {"response.header.x-kind": "slow", "header.x-me": "1"},
                            "action": {"tag": "both"}},
                           answer=lambda request: (200, {"X-Kind": "slow"}, ""))
        ask(proxy.port, target="/one", headers={"X-Me": "1"})
        ask(proxy.port, target="/two")
        self.assertEqual(proxy.wait_record(lambda one: one["path"] == "/one")["tags"], ["both"])
        self.assertFalse(proxy.wait_record(lambda one: one["path"] == "/two").get("tags"))


class Facts(Case):
    def test_the_time_is_the_wall_clocks(self):
        now = datetime.datetime.now(datetime.timezone.utc)
        today = now.strftime("%a").lower()
        tomorrow = (now + datetime.timedelta(days=1)).strftime("%a").lower()
        others = [day for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun") if day not in (today, tomorrow)]
        proxy = self.spillway(config(self.origin(), rules=[
            {"name": "today", "match": {"path": "/today", "time": {"days": [today, tomorrow]}}, "action": "deny"},  # midnight may pass
            {"name": "others", "match": {"path": "/others", "time": {"days": others}}, "action": "deny"}]))
        self.assertEqual(ask(proxy.port, target="/today").status, 403)
        self.assertEqual(ask(proxy.port, target="/others").status, 200)

    def test_a_crowd_at_the_servers_is_seen_by_every_worker(self):
        go_on = threading.Event()
        server = self.origin(lambda request: go_on.wait(20) and None if request.path == "/slow" else None)
        proxy = self.spillway(config(server, workers=2, rules=[
            {"name": "crowd", "match": {"path": "/extra", "pool.app.in_flight": {"above": 1}}, "action": {"deny": {"status": 503}}},
            {"name": "half", "match": {"path": "/half", "pool.app.servers_up": {"below": "100%"}}, "action": "deny"}]))
        self.assertEqual(ask(proxy.port, target="/extra").status, 200)
        slow = [connect(proxy.port) for _ in range(2)]
        try:
            for client in slow:
                client.send(b"GET /slow HTTP/1.1\r\nHost: test.example\r\n\r\n")
            eventually(lambda: ask(proxy.port, target="/extra").status == 503, "the crowd is seen")
            self.assertEqual(ask(proxy.port, target="/half").status, 200)
        finally:
            go_on.set()
            for client in slow:
                client.read_response()
                client.close()
        self.assertEqual(ask(proxy.port, target="/extra").status, 200)


if __name__ == "__main__":
    main()
