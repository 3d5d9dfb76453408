# SPDX-License-Identifier: MIT
"""Certificates of clients: asked for, looked at, and known to the rules."""

import os
import ssl

from certificates import Authority
from harness import Case, config, connect, eventually, main, run


class ClientCertificates(Case):
    def setUp(self):
        self.folder = self.directory()
        self.authority = Authority(self.folder)
        self.pair = self.authority.issue("one", "DNS:one.example")
        self.alice = self.authority.issue("alice", subject="/O=Example/CN=alice")
        self.server = self.origin()

    def settings(self, rules=(), **more):
        clients = {"ca": self.authority.certificate, **more}
        return config(self.server, listeners=[{"address": "127.0.0.1:0", "tls": {**self.pair.files(), "client_certificates": clients}}],
                      rules=list(rules), log={"level": "debug"})

    def context(self, pair=None, version=None):
        context = ssl.create_default_context(cafile=self.authority.certificate)
        if pair:
            context.load_cert_chain(pair.certificate, pair.key)
        if version:
            context.maximum_version = version
        return context

    def status(self, proxy, pair=None, version=None):
        with connect(proxy.port, tls=self.context(pair, version), server_name="one.example") as client:
            return client.ask().status

    def refused(self, proxy, pair, fault):
        before = len(self.server.requests)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version):
                failed = proxy.metric("spillway_tls_handshakes_total", result="failed")
                since = len(proxy.log.all())
                with self.assertRaises((ssl.SSLError, ConnectionError, EOFError)):
                    self.status(proxy, pair, version)
                proxy.log.wait(rf"127\.0\.0\.1: TLS handshake failed: {fault}", since)
                self.assertEqual(proxy.metric("spillway_tls_handshakes_total", result="failed"), failed + 1)
        self.assertEqual(len(self.server.requests), before)

    def test_one_that_is_good_is_let_in(self):
        proxy = self.spillway(self.settings())
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.assertEqual(self.status(proxy, self.alice, version), 200)

    def test_one_that_is_not_shown_is_missed(self):
        self.refused(self.spillway(self.settings()), None, "peer did not return a certificate")

    def test_an_expired_one_is_refused(self):
        old = self.authority.issue("old", days=-1)
        self.refused(self.spillway(self.settings()), old, "certificate has expired")
        self.refused(self.spillway(self.settings(mode="optional")), old, "certificate has expired")

    def test_one_of_an_unknown_authority_is_refused(self):
        theirs = Authority(self.folder, "other").issue("mallory")
        self.refused(self.spillway(self.settings()), theirs, "unable to get local issuer certificate")
        self.refused(self.spillway(self.settings(mode="optional")), theirs, "unable to get local issuer certificate")

    def test_a_chain_may_be_as_long_as_depth_says(self):
        between = self.authority.issue("between", authority=True)
        leaf = Authority.__new__(Authority)
        leaf.__dict__.update(between.__dict__, directory=self.folder)
        bob = leaf.issue("bob")
        with open(bob.certificate, "a") as out, open(between.certificate) as chain:
            out.write(chain.read())
        self.assertEqual(self.status(self.spillway(self.settings()), bob), 200)
        self.refused(self.spillway(self.settings(depth=0)), bob, "certificate chain too long")

    def test_optional_lets_clients_come_without(self):
        rules = [{"name": "members", "match": {"path": {"prefix": "/members/"}, "tls.client_certificate": {"absent": True}}, "action": "deny"},
                 {"name": "alice", "match": {"tls.client_certificate": "CN=alice,O=Example"}, "action": {"set_header": {"X-User": "alice"}}}]
        proxy = self.spillway(self.settings(rules, mode="optional"))
        with connect(proxy.port, tls=self.context(), server_name="one.example") as client:
            self.assertEqual(client.ask(target="/members/").status, 403)
            self.assertEqual(client.ask(target="/").status, 200)
            self.assertIsNone(self.server.requests[-1].get("x-user"))
        with connect(proxy.port, tls=self.context(self.alice), server_name="one.example") as client:
            self.assertEqual(client.ask(target="/members/").status, 200)
            self.assertEqual(self.server.requests[-1].get("x-user"), "alice")

    def test_no_session_is_taken_up_again(self):
        proxy = self.spillway(self.settings())
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.context(self.alice, version)
            with connect(proxy.port, tls=context, server_name="one.example") as client:
                self.assertEqual(client.ask().status, 200)
                session = client.socket.session
            self.assertTrue(session is None or not session.has_ticket)

    def test_an_authority_that_is_removed_by_a_reload_lets_nobody_in(self):
        proxy = self.spillway(self.settings())
        self.assertEqual(self.status(proxy, self.alice), 200)
        other = Authority(self.folder, "other")
        proxy.configure(self.settings(ca=other.certificate))
        proxy.must_reload()

        def refused():
            try:
                return self.status(proxy, self.alice) != 200
            except (ssl.SSLError, ConnectionError, EOFError):
                return True

        eventually(refused, "the new authority")

    def test_mistakes_are_told_at_their_place(self):
        def check(clients):
            path = os.path.join(self.folder, "site.yaml")
            with open(path, "w") as out:
                out.write(f"version: 1\npools: {{ app: {{ servers: '127.0.0.1:1' }} }}\nlisteners:\n  - address: ':0'\n    tls:\n"
                          f"      certificate: {self.pair.certificate}\n      key: {self.pair.key}\n{clients}\n")
            done = run("check", path)
            self.assertNotEqual(done.returncode, 0, clients)
            return done.stdout + done.stderr

        self.assertRegex(check("      client_certificates: { ca: missing }"), r"site\.yaml:8:34: .*client_certificates\.ca: cannot read certificates")
        self.assertRegex(check("      client_certificates: { mode: optional }"), r"client_certificates\.ca: is missing")
        self.assertRegex(check(f"      session_tickets: true\n      client_certificates: {{ ca: {self.authority.certificate} }}"),
                         r"8:24: .*session_tickets: no tickets are made where client certificates are asked for")


if __name__ == "__main__":
    main()
