# SPDX-License-Identifier: MIT
"""TLS to servers: whose certificates are accepted, as whom we come, what is said when it fails, and
that a request gets through it as it does in the clear."""

import os
import ssl
import time

from certificates import Authority, TlsOrigin, self_signed, server_context
from http2_origin import Origin as Http2Origin
from harness import Case, ask, config, connect, eventually, main, run


class TlsUpstream(Case):
    def setUp(self):
        self.folder = self.directory()
        self.authority = Authority(self.folder)
        self.good = self.authority.issue("good", "IP:127.0.0.1", "DNS:app.example")

    def tls_origin(self, pair=None, answer=lambda request: b"ok", **more):
        return self.keep(TlsOrigin(server_context(pair or self.good, **more), answer))

    def settings(self, origin, pool=None, **tls):
        tls.setdefault("ca", self.authority.certificate)
        tls = {key: value for key, value in tls.items() if value is not None}
        return config(origin, app={"tls": tls, "retries": {"attempts": 0}, **(pool or {})})

    def refused(self, proxy, end, fault):
        self.assertEqual(ask(proxy.port).status, 502)
        record = proxy.wait_record(lambda record: record["status"] == 502)
        self.assertEqual(record["end"], end)
        self.assertEqual(record["step"], "connect")
        if fault:
            proxy.log.wait(r"warning.*pool app: the certificate of 127\.0\.0\.1:\d+ is not accepted: " + fault)
        self.assertEqual(proxy.metric("spillway_upstream_errors_total", pool="app", kind="connect"), 1)

    def test_requests_and_large_bodies_pass_both_ways(self):
        body = os.urandom(3_000_000)
        origin = self.tls_origin(answer=lambda request: request.body or b"none")
        proxy = self.spillway(self.settings(origin))
        with connect(proxy.port) as client:
            for _ in range(3):
                self.assertEqual(client.ask("POST", body=body).body, body)
                self.assertEqual(client.ask().body, b"none")
        self.assertEqual(origin.connections, 1)  # kept between requests, as in the clear

    def test_http2_is_agreed_on_and_spoken(self):
        context = server_context(self.good)
        context.set_alpn_protocols(["h2", "http/1.1"])
        origin = self.keep(Http2Origin(lambda request: request.answer(body=bytes(request.body)), tls=context))
        check = {"path": "/health", "interval": "100ms", "timeout": "5s"}
        proxy = self.spillway(self.settings(origin, {"protocol": "h2", "health_check": check}))
        body = os.urandom(1_000_000)
        with connect(proxy.port) as client:
            for _ in range(3):
                self.assertEqual(client.ask("POST", body=body).body, body)
        eventually(lambda: any(request.path == "/health" for request in origin.requests), "a health check")
        self.assertEqual(ask(proxy.port).status, 200)

    def test_a_server_that_does_not_offer_http2_is_told_from_one_that_is_gone(self):
        proxy = self.spillway(self.settings(self.tls_origin(), {"protocol": "h2"}))
        self.assertEqual(ask(proxy.port).status, 502)
        self.assertEqual(proxy.metric("spillway_upstream_errors_total", pool="app", kind="connect"), 1)

    def test_http2_to_a_server_with_a_wrong_certificate_is_told_like_http1(self):
        stranger = self_signed(self.folder, "stranger", "IP:127.0.0.1")
        context = server_context(stranger)
        context.set_alpn_protocols(["h2"])
        origin = self.keep(Http2Origin(tls=context))
        self.refused(self.spillway(self.settings(origin, {"protocol": "h2"})), "upstream certificate refused", "")

    def test_a_slow_reader_gets_all_of_a_large_answer(self):
        body = os.urandom(8_000_000)
        origin = self.tls_origin(answer=lambda request: body)
        proxy = self.spillway(self.settings(origin))
        with connect(proxy.port) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            eventually(lambda: origin.requests, "the request")
            got = b""
            while not got.endswith(body[-100:]):
                got += client.socket.recv(3_000)  # small pieces: the server is always faster
        self.assertTrue(got.endswith(body))

    def test_the_host_of_the_address_is_asked_for_and_compared(self):
        pair = self.authority.issue("localhost", "DNS:localhost")
        origin = self.tls_origin(pair)
        proxy = self.spillway(self.settings(f"localhost:{origin.port}"))
        eventually(lambda: proxy.admin("GET", "/readyz")[0] == 200, "the name to resolve")
        self.assertEqual(ask(proxy.port).status, 200)
        self.assertEqual(origin.names, ["localhost"])

    def test_an_address_is_compared_but_not_asked_for(self):
        origin = self.tls_origin()
        proxy = self.spillway(self.settings(origin))
        self.assertEqual(ask(proxy.port).status, 200)
        self.assertEqual(origin.names, [None])

    def test_server_name_is_asked_for_and_compared(self):
        origin = self.tls_origin()
        proxy = self.spillway(self.settings(origin, server_name="app.example"))
        self.assertEqual(ask(proxy.port).status, 200)
        self.assertEqual(origin.names, ["app.example"])

    def test_another_name_is_refused(self):
        proxy = self.spillway(self.settings(self.tls_origin(), server_name="other.example"))
        self.refused(proxy, "upstream certificate refused", "hostname mismatch")

    def test_another_address_is_refused(self):
        proxy = self.spillway(self.settings(self.tls_origin(self.authority.issue("elsewhere", "IP:127.0.0.9"))))
        self.refused(proxy, "upstream certificate refused", "IP address mismatch")

    def test_an_expired_certificate_is_refused(self):
        proxy = self.spillway(self.settings(self.tls_origin(self.authority.issue("old", "IP:127.0.0.1", days=-1))))
        self.refused(proxy, "upstream certificate refused", "certificate has expired")

    def test_an_unknown_authority_is_refused(self):
        other = Authority(self.folder, "other")
        proxy = self.spillway(self.settings(self.tls_origin(other.issue("theirs", "IP:127.0.0.1"))))
        self.refused(proxy, "upstream certificate refused", "unable to get local issuer certificate")

    def test_without_ca_the_system_decides(self):
        proxy = self.spillway(self.settings(self.tls_origin(), ca=None))
        self.refused(proxy, "upstream certificate refused", "unable to get local issuer certificate")

    def test_a_self_signed_certificate_is_good_where_it_is_the_ca_file(self):
        pair = self_signed(self.folder, "self", "IP:127.0.0.1")
        origin = self.tls_origin(pair)
        proxy = self.spillway(self.settings(origin, ca=pair.certificate))
        self.assertEqual(ask(proxy.port).status, 200)
        proxy = self.spillway(self.settings(origin))
        self.refused(proxy, "upstream certificate refused", "self-signed certificate")

    def test_verify_false_takes_whoever_answers(self):
        pair = self_signed(self.folder, "self", "DNS:nobody.example")
        proxy = self.spillway(self.settings(self.tls_origin(pair), ca=None, verify=False))
        self.assertEqual(ask(proxy.port).status, 200)

    def test_a_server_that_speaks_no_tls(self):
        proxy = self.spillway(self.settings(self.raw_origin(lambda connection, _: connection.send("HTTP/1.1 400 no\r\n\r\n"))))
        self.refused(proxy, "upstream TLS failed", None)

    def test_a_server_that_closes_in_the_handshake(self):
        proxy = self.spillway(self.settings(self.raw_origin(lambda connection, _: connection.read(1))))
        self.refused(proxy, "upstream TLS failed", None)

    def test_a_handshake_that_does_not_end_is_within_the_connect_timeout(self):
        origin = self.raw_origin(lambda connection, _: connection.read_to_end())
        proxy = self.spillway(self.settings(origin, {"timeouts": {"connect": "300ms"}}))
        began = time.monotonic()
        self.assertEqual(ask(proxy.port).status, 504)
        self.assertLess(time.monotonic() - began, 3)
        self.assertEqual(proxy.wait_record(lambda record: record["status"] == 504)["end"], "upstream timeout")

    def test_a_failed_handshake_is_retried_at_another_server(self):
        bad, good = self.tls_origin(self.authority.issue("old", "IP:127.0.0.1", days=-1)), self.tls_origin()
        settings = self.settings(bad, {"retries": {"attempts": 1}, "balance": "round_robin"})
        settings["pools"]["app"]["servers"].append(f"127.0.0.1:{good.port}")
        proxy = self.spillway(settings)
        for _ in range(4):
            self.assertEqual(ask(proxy.port).status, 200)

    def test_a_server_below_min_version_is_refused(self):
        origin = self.tls_origin(maximum_version=ssl.TLSVersion.TLSv1_2)
        proxy = self.spillway(self.settings(origin))
        self.assertEqual(ask(proxy.port).status, 200)
        proxy = self.spillway(self.settings(origin, min_version="1.3"))
        self.refused(proxy, "upstream TLS failed", None)

    def test_what_is_too_old_is_not_spoken(self):
        origin = self.tls_origin()
        origin.context.minimum_version = ssl.TLSVersion.TLSv1
        origin.context.maximum_version = ssl.TLSVersion.TLSv1_1
        origin.context.set_ciphers("ALL:@SECLEVEL=0")
        self.refused(self.spillway(self.settings(origin)), "upstream TLS failed", None)

    def test_our_certificate_is_shown_to_servers_that_ask(self):
        ours = self.authority.issue("spillway")
        origin = self.tls_origin()
        origin.context.load_verify_locations(self.authority.certificate)
        origin.context.verify_mode = ssl.CERT_REQUIRED
        proxy = self.spillway(self.settings(origin, **ours.files()))
        self.assertEqual(ask(proxy.port).status, 200)
        self.assertEqual(origin.peers[0]["subject"], ((("commonName", "spillway"),),))
        proxy = self.spillway(self.settings(origin))
        self.assertEqual(ask(proxy.port).status, 502)

    def test_http11_is_offered(self):
        origin = self.tls_origin()
        origin.context.set_alpn_protocols(["h2", "http/1.1"])
        self.assertEqual(ask(self.spillway(self.settings(origin)).port).status, 200)
        self.assertEqual(origin.protocols, ["http/1.1"])

    def test_a_session_is_taken_up_again(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version):
                origin = self.tls_origin(maximum_version=version)
                settings = self.settings(origin, {"keep_alive": {"connections": 0}})
                proxy = self.spillway(settings)
                for _ in range(4):
                    self.assertEqual(ask(proxy.port).status, 200)
                self.assertEqual(origin.resumed, [False, True, True, True])

    def test_a_reload_verifies_again(self):
        origin = self.tls_origin()
        proxy = self.spillway(self.settings(origin, {"keep_alive": {"connections": 0}}))
        for _ in range(2):
            self.assertEqual(ask(proxy.port).status, 200)
        os.replace(Authority(self.folder, "other").certificate, self.authority.certificate)
        proxy.must_reload()
        self.assertTrue(eventually(lambda: ask(proxy.port).status == 502, "the new authority"))

    def test_a_pool_that_begins_to_speak_tls_uses_no_plain_connection(self):
        plain = self.origin()
        proxy = self.spillway(config(plain))
        self.assertEqual(ask(proxy.port).status, 200)  # one is kept
        settings = self.settings(plain)
        proxy.configure(settings)
        proxy.must_reload()
        self.assertTrue(eventually(lambda: ask(proxy.port).status == 502, "TLS"))
        self.assertEqual(proxy.wait_record(lambda record: record["status"] == 502)["end"], "upstream TLS failed")

    def test_health_checks_speak_tls(self):
        check = {"health_check": {"path": "/healthz", "interval": "100ms", "fall": 1, "rise": 1}}
        good = self.tls_origin()
        bad = self.tls_origin(self.authority.issue("old", "IP:127.0.0.1", days=-1))
        settings = self.settings(good, check)
        settings["pools"]["app"]["servers"].append(f"127.0.0.1:{bad.port}")
        proxy = self.spillway(settings)
        proxy.log.wait(rf"pool app: 127\.0\.0\.1:{bad.port} is unhealthy: TLS: certificate has expired")
        eventually(lambda: any(request.target == "/healthz" for request in good.requests), "a check")
        for _ in range(4):
            self.assertEqual(ask(proxy.port).status, 200)
        self.assertNotIn(f"{good.port} is unhealthy", "\n".join(proxy.log.all()))

    def test_a_tunnel_passes_both_ways(self):
        def play(conversation, _):
            conversation.socket = context.wrap_socket(conversation.socket, server_side=True)
            conversation.read_head()
            conversation.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello")
            while data := conversation.socket.recv(65536):
                conversation.send(data)

        context = server_context(self.good)
        proxy = self.spillway(self.settings(self.raw_origin(play)))
        data = os.urandom(500_000)
        with connect(proxy.port) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
            self.assertEqual(client.read_response().status, 101)
            self.assertEqual(client.read(5), b"hello")
            for begin in range(0, len(data), 50_000):
                client.send(data[begin:begin + 50_000])
                self.assertEqual(client.read(50_000), data[begin:begin + 50_000])

    def test_mistakes_are_told_at_their_place(self):
        def check(tls, server="127.0.0.1:1"):
            path = os.path.join(self.folder, "site.yaml")
            with open(path, "w") as out:
                out.write(f"version: 1\npools:\n  app:\n    servers: ['{server}']\n    tls: {tls}\n")
            done = run("check", path)
            self.assertNotEqual(done.returncode, 0, tls)
            return done.stdout + done.stderr

        self.assertRegex(check("{ ca: missing.crt }"), r"site\.yaml:5:16: pools\.app\.tls\.ca: cannot read certificates '.*missing\.crt': ")
        self.assertRegex(check(f"{{ certificate: {self.good.certificate}, key: {self.authority.key} }}"), r":5:\d+: pools\.app\.tls\.key: .*does not match")
        self.assertRegex(check(f"{{ certificate: {self.good.certificate} }}"), r"pools\.app\.tls\.key: is missing")
        self.assertRegex(check("{ server_name: 'a b' }"), r"pools\.app\.tls\.server_name: expected a host name")
        self.assertRegex(check("{ min_version: '1.1' }"), r"pools\.app\.tls\.min_version: ")
        self.assertRegex(check(f"{{ verify: false, ca: {self.authority.certificate} }}"), r"pools\.app\.tls\.ca: nothing is compared")
        self.assertRegex(check("{}", "unix:/tmp/x"), r"pools\.app\.tls: a server at a unix socket has no name")


if __name__ == "__main__":
    main()
