# SPDX-License-Identifier: MIT
"""Sessions that are taken up again by tickets: in both versions, on every worker, over a reload, and
with keys from files that several instances share."""

import os
import socket
import ssl

from certificates import Authority
from harness import Case, Conversation, config, eventually, main, run, PATIENCE

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


class Resumption(Case):
    def setUp(self):
        self.folder = self.directory()
        self.authority = Authority(self.folder)
        self.pair = self.authority.issue("one", "DNS:one.example")
        self.server = self.origin()

    def settings(self, **tls):
        return config(self.server, listeners=[{"address": "127.0.0.1:0", "tls": {**self.pair.files(), **tls}}])

    def key_file(self, name):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as out:
            out.write(os.urandom(80))
        return path

    def context(self, version):
        context = ssl.create_default_context(cafile=self.authority.certificate)
        context.minimum_version = context.maximum_version = version
        return context

    def visit(self, proxy, context, session=None):
        """(whether a session was taken up again, the session for the next time)"""
        raw = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)
        with Conversation(context.wrap_socket(raw, server_hostname="one.example", session=session)) as client:
            self.assertEqual(client.ask().status, 200)  # tickets of TLS 1.3 come with the answer
            return client.socket.session_reused, client.socket.session

    def test_a_session_is_taken_up_again_by_every_worker(self):
        proxy = self.spillway(self.settings())
        for version in VERSIONS:
            with self.subTest(version):
                context = self.context(version)
                reused, session = self.visit(proxy, context)
                self.assertFalse(reused)
                for _ in range(20):
                    reused, session = self.visit(proxy, context, session)
                    self.assertTrue(reused)
        self.assertEqual(proxy.metric("spillway_tls_handshakes_total", result="resumed"), 40)
        self.assertEqual(proxy.metric("spillway_tls_handshakes_total", result="full"), 2)

    def test_a_reload_keeps_the_keys(self):
        proxy = self.spillway(self.settings())
        for version in VERSIONS:
            with self.subTest(version):
                context = self.context(version)
                _, session = self.visit(proxy, context)
                proxy.must_reload()
                for _ in range(10):
                    reused, session = self.visit(proxy, context, session)
                    self.assertTrue(reused)

    def test_a_changed_certificate_ends_no_session(self):
        proxy = self.spillway(self.settings())
        context = self.context(ssl.TLSVersion.TLSv1_3)
        _, session = self.visit(proxy, context)
        self.authority.issue("one", "DNS:one.example")
        proxy.must_reload()
        self.assertTrue(self.visit(proxy, context, session)[0])

    def test_another_process_has_other_keys(self):
        context = self.context(ssl.TLSVersion.TLSv1_3)
        _, session = self.visit(self.spillway(self.settings()), context)
        self.assertFalse(self.visit(self.spillway(self.settings()), context, session)[0])

    def test_processes_with_the_same_file_know_each_others_sessions(self):
        key = self.key_file("tickets")
        one, two = self.spillway(self.settings(ticket_keys=key)), self.spillway(self.settings(ticket_keys=key))
        for version in VERSIONS:
            with self.subTest(version):
                context = self.context(version)
                _, session = self.visit(one, context)
                self.assertTrue(self.visit(two, context, session)[0])

    def test_keys_change_by_a_reload_and_the_old_one_still_decrypts(self):
        old, new = self.key_file("old"), self.key_file("new")
        for version in VERSIONS:
            with self.subTest(version):
                proxy = self.spillway(self.settings(ticket_keys=old))
                context = self.context(version)
                _, session = self.visit(proxy, context)
                proxy.configure(self.settings(ticket_keys=[new, old]))
                proxy.must_reload()
                reused, renewed = self.visit(proxy, context, session)
                self.assertTrue(reused)
                proxy.configure(self.settings(ticket_keys=[new]))
                proxy.must_reload()
                eventually(lambda: not self.visit(proxy, context, session)[0], "the old key to be forgotten")
                # What the old one brought was renewed under the new one.
                self.assertTrue(self.visit(proxy, context, renewed)[0])

    def test_session_tickets_false_gives_no_ticket(self):
        proxy = self.spillway(self.settings(session_tickets=False))
        for version in VERSIONS:
            with self.subTest(version):
                context = self.context(version)
                _, session = self.visit(proxy, context)
                if session is not None:
                    self.assertFalse(session.has_ticket)
                    self.assertFalse(self.visit(proxy, context, session)[0])

    def test_early_data_is_not_taken(self):
        proxy = self.spillway(self.settings())
        context = self.context(ssl.TLSVersion.TLSv1_3)
        _, session = self.visit(proxy, context)
        self.assertTrue(session.has_ticket)
        from certificates import openssl_client
        path = os.path.join(self.folder, "session.pem")
        # It stays until it has the answer, and so the ticket.
        openssl_client(proxy.port, "-sess_out", path, "-tls1_3", "-ign_eof", send="GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        early = os.path.join(self.folder, "early")
        with open(early, "w") as out:
            out.write("GET /early HTTP/1.1\r\nHost: a\r\n\r\n")
        text = openssl_client(proxy.port, "-sess_in", path, "-early_data", early, "-tls1_3")
        self.assertIn("Reused", text)
        self.assertNotIn("Early data was accepted", text)
        self.assertNotIn("/early", [request.path for request in self.server.requests])

    def test_a_key_of_another_size_is_told_at_its_line(self):
        short = self.key_file("short")
        with open(short, "wb") as out:
            out.write(os.urandom(48))
        path = os.path.join(self.folder, "site.yaml")
        with open(path, "w") as out:
            out.write(f"version: 1\npools: {{ app: {{ servers: '127.0.0.1:1' }} }}\nlisteners:\n  - address: ':0'\n    tls:\n"
                      f"      certificate: {self.pair.certificate}\n      key: {self.pair.key}\n      ticket_keys: {short}\n")
        done = run("check", path)
        self.assertRegex(done.stdout + done.stderr, r"site\.yaml:8:20: listeners\[0\]\.tls\.ticket_keys: the ticket key in '.*short' has 48 bytes; expected 80")
        self.assertNotEqual(done.returncode, 0)


if __name__ == "__main__":
    main()
