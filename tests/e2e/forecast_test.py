# SPDX-License-Identifier: MIT
"""What a toggle that is off is said to do, beside what it does when it is on and the same requests come again."""

import random

from harness import Case, ask, config, connect, eventually, main

LIMIT = {"per-client": {"key": "client.address", "rate": "1/h", "burst": 5}}
RULES = [{"name": "bots", "toggle": "surge", "match": {"user_agent": {"contains": "crawler"}}, "action": "deny"},
         {"name": "pages", "toggle": "surge", "match": {"path": {"prefix": "/page"}}, "action": {"limit": "per-client"}},
         {"name": "phones", "toggle": "surge", "match": {"path": "/phone"}, "action": {"challenge": {"kind": "cookie"}}}]
PATHS = ["/", "/page/1", "/page/2", "/phone", "/about"]
AGENTS = ["Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile/15E148 Safari/604.1",
          "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "crawler/1.0"]


def requests(count, clients):
    """The same ones each time: (client, path, agent, cookie)."""
    chance = random.Random(11)
    for _ in range(count):
        client = int(clients * chance.random() ** 2)  # some come far more often
        yield f"10.1.{client // 250}.{client % 250}", chance.choice(PATHS), AGENTS[client % 3], client % 2 == 0


class Forecasts(Case):
    def setUp(self):
        self.server = self.origin()

    def start(self, **more):
        return self.spillway(config(self.server, toggles={"surge": {}, "other": {}}, limits=LIMIT, rules=RULES, workers=2,
                                    clients={"trusted_proxies": ["127.0.0.0/8"], "max_requests": 1_000_000}, **more))

    def load(self, proxy, count=4000, clients=600):
        """What became of the requests: how many were refused, and whose they were."""
        refused, whose = 0, set()
        connections = [connect(proxy.port) for _ in range(8)]  # so that each worker has some
        for i, (client, path, agent, cookie) in enumerate(requests(count, clients)):
            connection = connections[i % len(connections)]
            head = f"GET {path} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\nUser-Agent: {agent}\r\n"
            connection.send((head + ("Cookie: sid=1\r\n" if cookie else "") + "\r\n").encode())
            if connection.read_response().status != 200:
                refused += 1
                whose.add(client)
        for connection in connections:
            connection.close()
        return refused, len(whose)

    def test_what_is_said_is_what_then_happens(self):
        proxy = self.start()
        self.assertEqual(self.load(proxy), (0, 0))
        forecast = proxy.api("/api/v1/toggles/surge")["forecast"]
        self.assertEqual(forecast["requests"], 4000)

        again = self.start()
        again.ctl("toggle", "surge", "on", check=0)
        eventually(lambda: ask(again.port, target="/", headers=[("User-Agent", "crawler")]).status == 403, "the toggle to be on")
        refused, clients = self.load(again)
        self.assertGreater(refused, 1000)
        self.assertGreater(clients, 200)
        self.assertAlmostEqual(forecast["refused"], refused, delta=refused * 0.05)
        self.assertAlmostEqual(forecast["clients"], clients, delta=clients * 0.05)
        self.assertIsNone(again.api("/api/v1/toggles/surge")["forecast"])

    def test_it_says_who_would_be_hit_and_ctl_prints_it(self):
        proxy = self.start()
        self.load(proxy)
        forecast = proxy.api("/api/v1/toggles/surge")["forecast"]
        self.assertAlmostEqual(forecast["share"], forecast["refused"] / 4000, delta=0.001)
        self.assertGreater(min(forecast[f"{kind}_per_second"] for kind in ("denied", "limited", "challenged")), 0)
        self.assertEqual(forecast["answered_per_second"], 0)
        self.assertTrue(0.3 < forecast["with_cookie"] < 0.7, forecast)
        self.assertLessEqual(len(forecast["agents"]), 3)
        self.assertEqual({path["name"] for path in forecast["paths"]} - set(PATHS), set())
        self.assertEqual(proxy.api("/api/v1/toggles/other")["forecast"]["refused"], 0)
        told = proxy.ctl("toggle", "surge", "--forecast", check=0).stdout
        self.assertIn(f"if surge were on: {forecast['refused']} of the 4000 requests", told)
        self.assertIn("paths", told)
        self.assertIn("refuses", proxy.ctl("toggles", check=0).stdout)

    def test_a_forecast_changes_nothing(self):
        proxy = self.start()
        statuses = {ask(proxy.port, target=path, headers=[("User-Agent", "crawler")]).status for path in PATHS * 5}
        self.assertEqual(statuses, {200})
        self.assertTrue(all(rule["matches"] == 0 for rule in proxy.api("/api/v1/rules")["rules"]))
        self.assertEqual(proxy.api("/api/v1/limits")["limits"][0]["entries"], 0)

    def test_ctl_wants_a_state_or_a_forecast(self):
        proxy = self.start()
        for arguments in (["surge"], ["surge", "on", "--forecast"]):
            self.assertEqual(proxy.ctl("toggle", *arguments).returncode, 2, arguments)


if __name__ == "__main__":
    main()
