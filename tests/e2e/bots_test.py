# SPDX-License-Identifier: MIT
"""client.verified_bot, from a name server made here to what a client sees; and limits by parts of the path and by country."""

import json
import socket
import struct
import threading
import time

from harness import Case, ask, config, eventually, main, run
from mmdb import countries, networks

GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
RULES = [
    {"name": "forged", "match": {"client.verified_bot": "forged"}, "action": {"deny": {"status": 403}}},
    {"name": "real", "match": {"client.verified_bot": "yes"}, "action": {"deny": {"status": 410}}},
    {"name": "unsure", "match": {"client.verified_bot": "unknown", "path": "/unsure"}, "action": {"deny": {"status": 404}}},
]
REAL, FORGED, ALIEN = "192.0.2.1", "192.0.2.2", "192.0.2.3"
NAMES = {
    "1.2.0.192.in-addr.arpa": ["crawl-1.googlebot.com"],
    "2.2.0.192.in-addr.arpa": ["crawl-1.googlebot.com"],  # whose address is another
    "3.2.0.192.in-addr.arpa": ["dsl-3.example.net"],
}
ADDRESSES = {"crawl-1.googlebot.com": REAL, "dsl-3.example.net": ALIEN}


class NameServer:
    """Answers A and PTR over UDP from NAMES and ADDRESSES; while `silent`, nothing at all."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.asked, self.silent = [], False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                packet, peer = self.socket.recvfrom(512)
            except OSError:
                return
            if len(packet) < 12:
                return
            labels, at = [], 12
            while packet[at]:
                labels.append(packet[at + 1:at + 1 + packet[at]].decode())
                at += packet[at] + 1
            name, kind = ".".join(labels).lower(), struct.unpack(">H", packet[at + 1:at + 3])[0]
            self.asked.append(name)
            if self.silent:
                continue
            answers = []
            if kind == 12:
                answers = [b"".join(bytes([len(label)]) + label.encode() for label in each.split(".")) + b"\0" for each in NAMES.get(name, [])]
            elif kind == 1 and name in ADDRESSES:
                answers = [socket.inet_aton(ADDRESSES[name])]
            code = 0 if name in NAMES or name in ADDRESSES else 3
            reply = packet[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(answers), 0, 0) + packet[12:at + 5]
            for data in answers:
                reply += struct.pack(">HHHIH", 0xC00C, kind, 1, 600, len(data)) + data
            self.socket.sendto(reply, peer)

    def close(self):
        self.socket.sendto(b"", self.socket.getsockname())
        self._thread.join(10)
        self.socket.close()


class Bots(Case):
    def setUp(self):
        self.names = self.keep(NameServer())

    def proxy(self, **more):
        return self.spillway(config(self.origin(), bots={"nameservers": [self.names.address]}, rules=RULES,
                                    clients={"trusted_proxies": ["127.0.0.0/8"]}, **more))

    def ask(self, proxy, client, agent=GOOGLEBOT, target="/"):
        return ask(proxy.port, target=target, headers={"X-Forwarded-For": client, "User-Agent": agent})

    def test_the_first_request_is_unknown_and_then_dns_has_answered(self):
        proxy = self.proxy()
        self.assertEqual(self.ask(proxy, REAL, target="/unsure").status, 404)
        eventually(lambda: self.ask(proxy, REAL).status == 410, "the robot to be known")
        for forged in (FORGED, ALIEN, "192.0.2.4"):
            self.assertEqual(self.ask(proxy, forged, target="/unsure").status, 404)
            eventually(lambda: self.ask(proxy, forged).status == 403, f"{forged} to be known")
        self.assertEqual(self.ask(proxy, REAL).status, 410)

    def test_dns_is_asked_once_for_a_client_and_never_for_a_browser(self):
        proxy = self.proxy()
        self.assertEqual(self.ask(proxy, REAL, agent="Mozilla/5.0 (X11; Linux x86_64)").status, 200)
        self.assertEqual(self.names.asked, [])
        eventually(lambda: self.ask(proxy, REAL).status == 410)
        for _ in range(20):
            self.assertEqual(self.ask(proxy, REAL).status, 410)
        self.assertEqual(sorted(self.names.asked), ["1.2.0.192.in-addr.arpa", "crawl-1.googlebot.com"])

    def test_a_silent_dns_holds_nobody_up(self):
        self.names.silent = True
        proxy = self.proxy()
        began = time.monotonic()
        for _ in range(3):
            self.assertEqual(self.ask(proxy, REAL).status, 200)
            self.assertEqual(self.ask(proxy, REAL, target="/unsure").status, 404)
        self.assertLess(time.monotonic() - began, 2)  # sooner than DNS is asked a second time
        eventually(lambda: self.names.asked, "DNS to be asked")

    def test_a_reload_to_another_name_server_asks_that_one(self):
        self.names.silent = True
        proxy = self.proxy()
        self.assertEqual(self.ask(proxy, REAL).status, 200)
        eventually(lambda: self.names.asked)
        other = self.keep(NameServer())
        with open(proxy.path("spillway.yaml")) as file:
            settings = json.load(file)
        settings["bots"]["nameservers"] = [other.address]
        proxy.configure(settings)
        proxy.reload()
        eventually(lambda: self.ask(proxy, REAL).status == 410, "the other one's answer")

    def test_metrics_and_receipts_tell(self):
        proxy = self.proxy()
        eventually(lambda: self.ask(proxy, FORGED).status == 403)
        answer = self.ask(proxy, FORGED)
        self.assertIn('spillway_bot_lookups_total{result="forged"} 1', proxy.admin("GET", "/metrics")[1])
        receipt = json.loads(proxy.admin("GET", "/api/v1/explain/" + answer.get("X-Request-Id"))[1])
        self.assertEqual(receipt["request"]["verified_bot"], "forged")
        self.assertEqual(receipt["rule"]["name"], "forged")

    def test_explain_and_tests_say_what_dns_would(self):
        path = self.directory() + "/spillway.yaml"
        with open(path, "w") as file:
            json.dump(config(1, rules=RULES, tests=[
                {"name": "forged", "request": {"user_agent": "Googlebot", "client.verified_bot": "forged"}, "expect": {"action": "deny", "rule": "forged"}},
                {"name": "plain", "request": {"user_agent": "curl"}, "expect": {"action": "forward"}}]), file)
        self.assertEqual(run("test", path).returncode, 0)
        told = run("explain", "-c", path, "-A", "Googlebot", "--verified-bot", "yes", "/")
        self.assertIn("by rule real", told.stdout)
        told = run("explain", "-c", path, "-A", "Googlebot", "/")
        self.assertIn("client.verified_bot", told.stdout)
        self.assertIn("no rule ended it", told.stdout)

    def test_replay_says_what_a_log_does_not_hold(self):
        directory = self.directory()
        with open(directory + "/spillway.yaml", "w") as file:
            json.dump(config(1, rules=RULES), file)
        line = '192.0.2.1 - - [01/Jan/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 1 "-" "%s"\n'
        with open(directory + "/access.log", "w") as file:
            file.write(line % GOOGLEBOT + line % "Mozilla/5.0 (X11)")
        told = run("replay", "-c", directory + "/spillway.yaml", "--json", directory + "/access.log")
        self.assertEqual(told.returncode, 0, told.stderr)
        rules = {rule["name"]: rule for rule in json.loads(told.stdout)["result"]["rules"]}
        self.assertEqual(rules["forged"]["undecided"], 1)
        self.assertIn("client.verified_bot", json.dumps(rules["forged"]))


class Keys(Case):
    def answers(self, proxy, *requests):
        return [ask(proxy.port, target=target, source=source).status for target, source in requests]

    def test_a_limit_counts_by_a_part_of_the_path(self):
        proxy = self.spillway(config(self.origin(), limits={"each": {"key": "path.1", "rate": "1/h", "burst": 2}},
                                     rules=[{"name": "r", "action": {"limit": "each"}}]))
        self.assertEqual(self.answers(proxy, ("/a/1", "127.0.0.1"), ("/a/2", "127.0.0.2"), ("/a", "127.0.0.3"), ("/b/1", "127.0.0.1")),
                         [200, 200, 429, 200])

    def test_a_limit_counts_by_country_and_network_and_who_is_nowhere_by_himself(self):
        proxy = self.spillway(config(self.origin(), geo={"country_file": "country.mmdb", "asn_file": "asn.mmdb"},
                                     limits={"land": {"key": "client.country", "rate": "1/h", "burst": 2},
                                             "net": {"key": "client.asn", "rate": "1/h", "burst": 1}},
                                     rules=[{"name": "land", "match": {"path": "/land"}, "action": {"limit": "land"}},
                                            {"name": "net", "match": {"path": "/net"}, "action": {"limit": "net"}}]),
                              files={"country.mmdb": countries({"127.0.0.2/32": "DE", "127.0.0.3/32": "DE", "127.0.0.4/32": "AT"}),
                                     "asn.mmdb": networks({"127.0.0.2/32": 64500, "127.0.0.3/32": 64500})})
        self.assertEqual(self.answers(proxy, *(("/land", f"127.0.0.{last}") for last in (2, 3, 2, 4, 5, 5, 6, 5))),
                         [200, 200, 429, 200, 200, 200, 200, 429])
        self.assertEqual(self.answers(proxy, *(("/net", f"127.0.0.{last}") for last in (2, 3, 5, 6))), [200, 429, 200, 200])


if __name__ == "__main__":
    main()
