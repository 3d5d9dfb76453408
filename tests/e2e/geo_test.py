# SPDX-License-Identifier: MIT
"""client.country and client.asn, from files made here to what a client sees."""

import os

from harness import Case, ask, config, main, run
from mmdb import countries, networks

RULES = [
    {"name": "far", "match": {"client.country": ["AQ", "de"]}, "action": {"deny": {"status": 451}}},
    {"name": "net", "match": {"client.asn": "AS64500"}, "action": {"deny": {"status": 404}}},
    {"name": "nowhere", "match": {"client.country": {"absent": True}, "path": "/known"}, "action": "deny"},
]
COUNTRIES = {"127.0.0.2/32": "DE", "127.0.0.3/32": "AT", "2001:db8::/32": "AQ"}


class Geo(Case):
    def proxy(self, **more):
        return self.spillway(config(self.origin(), geo={"country_file": "country.mmdb", "asn_file": "asn.mmdb"}, rules=RULES,
                                    clients={"trusted_proxies": ["127.0.0.9/32"]}, **more),
                             files={"country.mmdb": countries(COUNTRIES), "asn.mmdb": networks({"127.0.0.4/32": 64500, "198.51.100.0/24": 64501})})

    def test_countries_and_networks_are_known_by_address(self):
        proxy = self.proxy()
        self.assertEqual(ask(proxy.port, source="127.0.0.2").status, 451)
        self.assertEqual(ask(proxy.port, source="127.0.0.3").status, 200)
        self.assertEqual(ask(proxy.port, source="127.0.0.4").status, 404)
        self.assertEqual(ask(proxy.port, source="127.0.0.5").status, 200)
        self.assertEqual(ask(proxy.port, source="127.0.0.9", headers={"X-Forwarded-For": "2001:db8::7"}).status, 451)
        self.assertEqual(ask(proxy.port, source="127.0.0.9", headers={"X-Forwarded-For": "2001:db9::7"}).status, 200)

    def test_an_address_that_the_file_lacks_is_absent(self):
        proxy = self.proxy()
        self.assertEqual(ask(proxy.port, target="/known", source="127.0.0.5").status, 403)
        self.assertEqual(ask(proxy.port, target="/known", source="127.0.0.3").status, 200)

    def test_a_reload_takes_a_new_file_and_a_broken_one_changes_nothing(self):
        proxy = self.proxy()
        self.assertEqual(ask(proxy.port, source="127.0.0.3").status, 200)
        with open(proxy.path("next"), "wb") as file:
            file.write(countries({"127.0.0.3/32": "DE"}))
        os.rename(proxy.path("next"), proxy.path("country.mmdb"))
        proxy.reload()
        self.assertEqual(ask(proxy.port, source="127.0.0.3").status, 451)
        self.assertEqual(ask(proxy.port, source="127.0.0.2").status, 200)
        with open(proxy.path("next"), "wb") as file:
            file.write(b"not such a file")
        os.rename(proxy.path("next"), proxy.path("country.mmdb"))
        answer = proxy.admin("POST", "/api/v1/reload")
        self.assertIn("not a file of MaxMind's format", answer[1])
        self.assertEqual(ask(proxy.port, source="127.0.0.3").status, 451)


if __name__ == "__main__":
    main()
