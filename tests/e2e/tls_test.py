# SPDX-License-Identifier: MIT
"""HTTPS: certificates by name, versions, a changed certificate, and the same streaming as in the clear."""

import hashlib
import os
import socket
import ssl
import subprocess
import time

from harness import Case, config, connect, eventually, main, PATIENCE


def make_certificate(directory, name, *names):
    """A self-signed certificate for these names; (certificate, key) files."""
    certificate, key = os.path.join(directory, f"{name}.crt"), os.path.join(directory, f"{name}.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-keyout", key + ".new", "-out", certificate + ".new", "-subj", f"/CN={name}",
                    "-addext", "subjectAltName=" + ",".join(f"DNS:{entry}" for entry in names or (name,))],
                   check=True, capture_output=True)
    os.replace(key + ".new", key)
    os.replace(certificate + ".new", certificate)
    return certificate, key


def fingerprint(path):
    with open(path) as file:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read())).hexdigest()


class Tls(Case):
    def setUp(self):
        self.folder = self.directory()
        self.one = make_certificate(self.folder, "one.example")
        self.wild = make_certificate(self.folder, "wild", "*.wild.example", "wild.example")
        self.server = self.origin()

    def settings(self, **tls):
        return config(self.server, listeners=[{"address": "127.0.0.1:0", "tls": [
            {"certificate": self.one[0], "key": self.one[1], **tls}, {"certificate": self.wild[0], "key": self.wild[1]}]}])

    def context(self, **more):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for key, value in more.items():
            setattr(context, key, value)
        return context

    def shown(self, proxy, name, context=None):
        with connect(proxy.port, tls=context or self.context(), server_name=name) as client:
            return hashlib.sha256(client.socket.getpeercert(True)).hexdigest()

    def test_requests_pass_and_the_upstream_is_told_https(self):
        proxy = self.spillway(self.settings())
        with connect(proxy.port, tls=self.context()) as client:
            for i in range(5):
                self.assertEqual(client.ask("POST", f"/{i}", body=b"x" * 100_000).status, 200)
        self.assertEqual(self.server.requests[-1].get("x-forwarded-proto"), "https")
        self.assertEqual(len(self.server.requests[-1].body), 100_000)

    def test_the_name_chooses_the_certificate(self):
        proxy = self.spillway(self.settings())
        one, wild = fingerprint(self.one[0]), fingerprint(self.wild[0])
        for name, expected in (("one.example", one), ("a.wild.example", wild), ("A.Wild.Example", wild), ("wild.example", wild),
                               ("a.b.wild.example", one), ("unknown.example", one), (None, one)):
            with self.subTest(name):
                self.assertEqual(self.shown(proxy, name), expected)

    def test_a_changed_certificate_is_shown_after_a_reload_and_old_connections_live_on(self):
        proxy = self.spillway(self.settings())
        with connect(proxy.port, tls=self.context()) as client:
            self.assertEqual(client.ask().status, 200)
            before = fingerprint(self.one[0])
            make_certificate(self.folder, "one.example")
            self.assertEqual(self.shown(proxy, "one.example"), before)
            proxy.must_reload()
            eventually(lambda: self.shown(proxy, "one.example") == fingerprint(self.one[0]) != before, "the new certificate")
            self.assertEqual(client.ask().status, 200)

    def test_a_key_that_does_not_fit_fails_the_reload(self):
        proxy = self.spillway(self.settings())
        os.replace(self.wild[1], self.one[1])
        status, text = proxy.reload()
        self.assertGreaterEqual(status, 400)
        self.assertIn("one.example", text)
        self.assertEqual(self.shown(proxy, "unknown.example"), fingerprint(self.one[0]))

    def test_old_versions_are_refused(self):
        proxy = self.spillway(self.settings())
        context = self.context()
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            self.shown(proxy, "one.example", context)
        context = self.context(maximum_version=ssl.TLSVersion.TLSv1_2)
        self.assertTrue(self.shown(proxy, "one.example", context))

    def test_min_version_1_3(self):
        proxy = self.spillway(self.settings(min_version="1.3"))
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            self.shown(proxy, "one.example", self.context(maximum_version=ssl.TLSVersion.TLSv1_2))
        self.assertTrue(self.shown(proxy, "one.example"))

    def test_plain_http_on_the_tls_port_is_turned_away(self):
        proxy = self.spillway(self.settings())
        with connect(proxy.port) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            try:
                self.assertNotIn(b" 200 ", client.read_to_end())
            except ConnectionError:
                pass
        self.assertEqual(self.server.requests, [])

    def test_a_handshake_that_does_not_come_is_not_waited_for_forever(self):
        settings = self.settings()
        settings["clients"] = {"timeouts": {"handshake": "500ms"}}
        proxy = self.spillway(settings)
        with connect(proxy.port) as client:
            client.send(b"\x16\x03\x01")
            try:
                client.read_to_end()
            except ConnectionError:
                pass

    def test_after_the_handshake_a_client_may_think(self):
        settings = self.settings()
        settings["clients"] = {"timeouts": {"handshake": "1s", "head": "500ms"}}
        proxy = self.spillway(settings)
        with connect(proxy.port, tls=self.context()) as client:
            self.assertTrue(client.quiet(1.5))
            self.assertEqual(client.ask().status, 200)

    def test_the_proxy_header_and_the_handshake_share_one_limit(self):
        settings = self.settings()
        settings["listeners"][0]["proxy_protocol"] = True
        settings["clients"] = {"timeouts": {"handshake": "1s"}}
        proxy = self.spillway(settings)
        began = time.monotonic()
        with connect(proxy.port) as client:
            self.assertTrue(client.quiet(0.7))
            client.send(b"PROXY TCP4 203.0.113.7 192.0.2.1 1234 80\r\n")
            self.assertTrue(client.at_end())
        self.assertLess(time.monotonic() - began, 1.5)

    def test_a_large_body_comes_whole_both_ways(self):
        body = os.urandom(3_000_000)
        server = self.origin(lambda request: (200, {}, request.body))
        settings = self.settings()
        settings["pools"]["app"]["servers"] = [f"127.0.0.1:{server.port}"]
        proxy = self.spillway(settings)
        with connect(proxy.port, tls=self.context()) as client:
            for _ in range(3):
                self.assertEqual(client.ask("POST", body=body).body, body)

    def test_a_head_in_many_records_that_come_at_once_is_read_whole(self):
        server = self.origin(lambda request: (200, {}, b"ok"))
        settings = self.settings()
        settings["pools"]["app"]["servers"] = [f"127.0.0.1:{server.port}"]
        proxy = self.spillway(settings)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context().wrap_bio(incoming, outgoing, server_hostname="one.example")
        with socket.create_connection(("127.0.0.1", proxy.port), PATIENCE) as raw:
            def until(done):
                while True:
                    try:
                        return done()
                    except ssl.SSLWantReadError:
                        raw.sendall(outgoing.read())
                        incoming.write(raw.recv(65536))

            until(tls.do_handshake)
            for number in range(3):
                head = f"GET /{number} HTTP/1.1\r\nHost: a\r\nX-Padding: {'x' * 24_000}\r\n\r\n".encode()
                # Seven records, and one of which only a part fits where the eighth read of a turn puts it.
                places = [*range(0, 16_000, 2_000), len(head)]
                for begin, end in zip(places, places[1:]):
                    tls.write(head[begin:end])
                raw.sendall(outgoing.read())
                answer = b""
                while not answer.endswith(b"\r\n\r\nok"):
                    answer += until(lambda: tls.read(65536))
        self.assertEqual([request.path for request in server.requests], ["/0", "/1", "/2"])

    def test_the_peer_may_leave_in_the_middle_of_a_handshake(self):
        proxy = self.spillway(self.settings())
        for _ in range(50):
            raw = socket.create_connection(("127.0.0.1", proxy.port))
            raw.send(b"\x16\x03\x01\x02\x00\x01\x00")
            raw.close()
        with connect(proxy.port, tls=self.context()) as client:
            self.assertEqual(client.ask().status, 200)


if __name__ == "__main__":
    main()
