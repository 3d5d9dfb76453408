# SPDX-License-Identifier: MIT
"""Who the client is: the peer, what a trusted proxy says, and what a PROXY header says."""

import ipaddress
import struct

from harness import Case, ask, config, connect, main

V2 = b"\r\n\r\n\0\r\nQUIT\n"


def v2(command, family, payload):
    return V2 + bytes([0x20 | command, family]) + struct.pack("!H", len(payload)) + payload


def v2_tcp4(source, extra=b""):
    return v2(1, 0x11, ipaddress.ip_address(source).packed + ipaddress.ip_address("192.0.2.1").packed +
              struct.pack("!HH", 1234, 80) + extra)


def v2_tcp6(source):
    return v2(1, 0x21, ipaddress.ip_address(source).packed + ipaddress.ip_address("2001:db8::1").packed +
              struct.pack("!HH", 1234, 80))


class Identity(Case):
    """The address that rules see is told by rules that answer with it: a deny for one range, nothing else."""

    def proxy_with(self, clients, wanted, **more):
        self.server = self.origin()
        return self.spillway(config(self.server, clients=clients, rules=[
            {"name": "wanted", "match": {"client.address": wanted}, "action": {"respond": {"status": 299, "body": "it is"}}}], **more))

    def test_a_stranger_cannot_say_who_it_is(self):
        proxy = self.proxy_with({}, ["203.0.113.0/24"])
        for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-Connecting-IP"):
            self.assertEqual(ask(proxy.port, headers={header: "203.0.113.7"}).status, 200, header)

    TRUST = {"trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8"]}

    # (lines of the field, the address it means)
    WALKS = [
        (["203.0.113.7"], True),
        (["198.51.100.1, 203.0.113.7"], True),            # the right one counts, the left is hearsay
        (["203.0.113.7, 198.51.100.1"], False),
        (["203.0.113.7, 10.1.2.3, 10.9.9.9"], True),       # trusted hops are walked over
        (["198.51.100.1", "203.0.113.7"], True),           # several lines are one list
        (["203.0.113.7, bogus, 10.1.2.3"], False),         # a malformed hop ends the walk
        (["bogus"], False), ([""], False), (["203.0.113.300"], False), (["203.0.113.7/24"], False),
        (["203.0.113.7:443"], True),
        (["203.0.113.7,10.1.2.3"], True), ([" 203.0.113.7 "], True),
        (["unknown, 203.0.113.7"], True),
        (["::ffff:203.0.113.7"], True),
    ]

    def test_x_forwarded_for_is_walked_from_the_right(self):
        proxy = self.proxy_with(self.TRUST, ["203.0.113.0/24"])
        for lines, wanted in self.WALKS:
            with self.subTest(lines=lines):
                status = ask(proxy.port, headers=[("X-Forwarded-For", line) for line in lines]).status
                self.assertEqual(status, 299 if wanted else 200)

    def test_an_untrusted_peer_is_not_believed_even_if_others_are(self):
        proxy = self.proxy_with({"trusted_proxies": ["127.0.0.7"]}, ["203.0.113.0/24"])
        self.assertEqual(ask(proxy.port, headers={"X-Forwarded-For": "203.0.113.7"}, source="127.0.0.7").status, 299)
        self.assertEqual(ask(proxy.port, headers={"X-Forwarded-For": "203.0.113.7"}, source="127.0.0.8").status, 200)

    def test_forwarded_is_read_when_chosen(self):
        proxy = self.proxy_with({**self.TRUST, "address_header": "forwarded"}, ["203.0.113.0/24", "2001:db8::/32"])
        for value, wanted in (("for=203.0.113.7", True), ('For="203.0.113.7:443";proto=https;by=10.0.0.1', True),
                              ('for="[2001:db8::7]:9"', True), ("for=198.51.100.1, for=203.0.113.7", True),
                              ("for=_hidden", False), ("for=unknown", False), ("203.0.113.7", False), ('for="203.0.113.7', False)):
            with self.subTest(value=value):
                self.assertEqual(ask(proxy.port, headers={"Forwarded": value}).status, 299 if wanted else 200)
        self.assertEqual(ask(proxy.port, headers={"X-Forwarded-For": "203.0.113.7"}).status, 200)

    def test_another_field_is_read_when_chosen(self):
        proxy = self.proxy_with({**self.TRUST, "address_header": "cf-connecting-ip"}, ["203.0.113.0/24"])
        self.assertEqual(ask(proxy.port, headers={"CF-Connecting-IP": "203.0.113.7"}).status, 299)
        self.assertEqual(ask(proxy.port, headers={"X-Forwarded-For": "203.0.113.7"}).status, 200)

    def test_the_upstream_sees_the_chain(self):
        proxy = self.proxy_with(self.TRUST, ["192.0.2.99"])
        ask(proxy.port, headers={"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"})
        request = self.server.requests[-1]
        self.assertEqual(request.get("x-forwarded-for").replace(" ", ""), "203.0.113.7,127.0.0.1")
        self.assertEqual(request.get("x-forwarded-proto"), "https")

    def test_the_log_has_both(self):
        proxy = self.proxy_with(self.TRUST, ["192.0.2.99"])
        ask(proxy.port, headers={"X-Forwarded-For": "203.0.113.7"})
        record = proxy.wait_record(lambda record: True)
        self.assertEqual(record["client"], "203.0.113.7")
        self.assertTrue(record["peer"].startswith("127.0.0.1"))

    def test_ipv6_clients_share_a_bucket_by_prefix(self):
        self.server = self.origin()
        proxy = self.spillway(config(self.server, clients={**self.TRUST, "ipv6_prefix": 64},
                                     limits={"l": {"key": "client.address", "rate": "1/h", "burst": 1}},
                                     rules=[{"name": "l", "action": {"limit": "l"}}]))
        statuses = [ask(proxy.port, headers={"X-Forwarded-For": address}).status
                    for address in ("2001:db8:1:1::1", "2001:db8:1:1::2", "2001:db8:1:2::1")]
        self.assertEqual(statuses, [200, 429, 200])


class ProxyHeader(Case):
    GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

    def setUp(self):
        self.server = self.origin()
        self.proxy = self.spillway(config(
            self.server, listeners=[{"address": "127.0.0.1:0", "proxy_protocol": True}, {"address": "127.0.0.2:0"}],
            clients={"timeouts": {"handshake": "500ms"}},
            rules=[{"name": "wanted", "match": {"client.address": ["203.0.113.0/24", "2001:db8::/32"]},
                    "action": {"respond": {"status": 299, "body": "it is"}}}]))
        self.port, self.plain = self.proxy.port_of(0), self.proxy.port_of(1)

    def status(self, header):
        with connect(self.port) as client:
            client.send(header + self.GET)
            return client.read_response().status

    def test_version_1(self):
        self.assertEqual(self.status(b"PROXY TCP4 203.0.113.7 192.0.2.1 1234 80\r\n"), 299)
        self.assertEqual(self.status(b"PROXY TCP4 198.51.100.7 192.0.2.1 1234 80\r\n"), 200)
        self.assertEqual(self.status(b"PROXY TCP6 2001:db8::7 2001:db8::1 1234 80\r\n"), 299)
        self.assertEqual(self.status(b"PROXY UNKNOWN\r\n"), 200)

    def test_version_2(self):
        self.assertEqual(self.status(v2_tcp4("203.0.113.7")), 299)
        self.assertEqual(self.status(v2_tcp4("203.0.113.7", b"\x04\x00\x04abcd")), 299)
        self.assertEqual(self.status(v2_tcp4("198.51.100.7")), 200)
        self.assertEqual(self.status(v2_tcp6("2001:db8::7")), 299)
        self.assertEqual(self.status(v2(0, 0, b"")), 200)  # LOCAL: a health check of the balancer

    def test_a_header_in_single_bytes_is_understood(self):
        with connect(self.port) as client:
            for byte in v2_tcp4("203.0.113.7") + self.GET:
                client.send(bytes([byte]))
            self.assertEqual(client.read_response().status, 299)

    def test_without_a_good_header_the_connection_is_closed(self):
        for start in (self.GET, b"PROXY TCP4 203.0.113.7\r\n" + self.GET, b"PROXY TCP4 1 2 3 4\r\n" + self.GET,
                      b"PROXY " + b"x" * 200 + b"\r\n", V2 + b"\x31\x11\x00\x0c" + b"\0" * 12, V2 + b"\x21\x11\x00\x02ab" + self.GET):
            with self.subTest(start=start[:40]):
                with connect(self.port) as client:
                    client.send(start)
                    try:
                        self.assertEqual(client.read_to_end(), b"")
                    except ConnectionError:
                        pass
        self.assertEqual(self.server.requests, [])

    def test_a_header_that_does_not_come_is_not_waited_for_forever(self):
        with connect(self.port) as client:
            client.send("PROXY TCP4 ")
            self.assertTrue(client.at_end())

    def test_after_the_header_a_client_may_think(self):
        """The limit of the handshake is not that of the first request."""
        with connect(self.port) as client:
            client.send(b"PROXY TCP4 203.0.113.7 192.0.2.1 1234 80\r\n")
            self.assertTrue(client.quiet(0.8))
            client.send(self.GET)
            self.assertEqual(client.read_response().status, 299)

    def test_a_plain_listener_takes_no_header(self):
        with connect(self.plain, host="127.0.0.2") as client:
            client.send(b"PROXY TCP4 203.0.113.7 192.0.2.1 1234 80\r\n" + self.GET)
            self.assertEqual(client.read_response().status, 501)  # no such method
        self.assertEqual(self.server.requests, [])


if __name__ == "__main__":
    main()
