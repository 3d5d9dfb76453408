# SPDX-License-Identifier: MIT
"""What a TLS listener speaks and what it does not, asked as a scanner would by `openssl s_client`: versions, suites,
groups, ALPN, OCSP, renegotiation, compression, and how a connection ends."""

import os
import re
import socket
import ssl
import subprocess

from certificates import RSA, Authority, openssl, openssl_client
from harness import Case, config, connect, eventually, main, run, PATIENCE

# Mozilla's intermediate suites without those of DHE, in the order in which a server prefers them.
SUITES = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"]
SUITES_RSA = [suite.replace("ECDSA", "RSA") for suite in SUITES]


class Protocols(Case):
    def setUp(self):
        self.folder = self.directory()
        self.authority = Authority(self.folder)
        self.pair = self.authority.issue("one", "DNS:one.example")
        self.proxy = self.spillway(self.settings())

    def settings(self, http2=True, **tls):
        return config(self.origin(), listeners=[{"address": "127.0.0.1:0", "http2": http2, "tls": {**self.pair.files(), **tls}}])

    def hello(self, *args, send="", proxy=None):
        return openssl_client((proxy or self.proxy).port, *args, send=send)

    def agreed(self, *args, proxy=None):
        """(version, suite), or nothing when the handshake was refused."""
        found = re.search(r"^New, (\S+), Cipher is (\S+)", self.hello(*args, proxy=proxy), re.M)
        return (found.group(1), found.group(2)) if found and found.group(2) != "(NONE)" else None

    def test_tls_1_2_and_1_3_are_spoken_and_nothing_older(self):
        loose = ("-cipher", "ALL:@SECLEVEL=0")
        self.assertIsNone(self.agreed("-tls1", *loose))
        self.assertIsNone(self.agreed("-tls1_1", *loose))
        self.assertEqual(self.agreed("-tls1_2")[0], "TLSv1.2")
        self.assertEqual(self.agreed("-tls1_3")[0], "TLSv1.3")
        self.assertEqual(self.agreed(), ("TLSv1.3", "TLS_AES_128_GCM_SHA256"))

    def test_ssl_3_is_refused(self):
        """openssl itself no longer speaks it: a hello by hand, which is answered by an alert or the end."""
        body = b"\x03\x00" + os.urandom(32) + b"\x00" + b"\x00\x04\x00\x2f\x00\x0a" + b"\x01\x00"
        handshake = b"\x01" + len(body).to_bytes(3, "big") + body
        with connect(self.proxy.port) as client:
            client.send(b"\x16\x03\x00" + len(handshake).to_bytes(2, "big") + handshake)
            try:
                answer = client.read_to_end()
            except ConnectionError:
                answer = b""
            self.assertNotEqual(answer[:1], b"\x16")

    def test_suites_of_tls_1_2_are_the_three_with_forward_secrecy_and_authentication(self):
        names = subprocess.run(["openssl", "ciphers", "-tls1_2", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"], check=True, capture_output=True, text=True).stdout.strip().split(":")
        names = [name for name in names if not name.startswith("TLS_")]
        self.assertGreater(len(names), 50)
        accepted = [name for name in names if self.agreed("-tls1_2", "-cipher", name + ":@SECLEVEL=0")]
        self.assertEqual(sorted(accepted), sorted(SUITES))

    def test_suites_of_an_rsa_certificate(self):
        key, certificate = os.path.join(self.folder, "rsa.key"), os.path.join(self.folder, "rsa.crt")
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", certificate, "-subj", "/CN=rsa")
        proxy = self.spillway(self.settings(certificate=certificate, key=key))
        for suite in SUITES_RSA:
            self.assertEqual(self.agreed("-tls1_2", "-cipher", suite, proxy=proxy), ("TLSv1.2", suite))
        for suite in ("AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256", "AES128-SHA", "ECDHE-RSA-AES128-SHA256"):
            self.assertIsNone(self.agreed("-tls1_2", "-cipher", suite + ":@SECLEVEL=0", proxy=proxy), suite)

    def test_the_server_prefers_and_lets_a_slow_client_have_chacha(self):
        for offered in (SUITES, SUITES[1::-1] + SUITES[2:]):
            self.assertEqual(self.agreed("-tls1_2", "-cipher", ":".join(offered))[1], SUITES[0])
        self.assertEqual(self.agreed("-tls1_2", "-cipher", ":".join(reversed(SUITES)))[1], SUITES[2])

    def test_groups_are_x25519_p256_and_p384(self):
        for group, good in (("X25519", True), ("P-256", True), ("P-384", True), ("P-521", False), ("X448", False)):
            self.assertEqual(self.agreed("-groups", group) is not None, good, group)

    def test_alpn_prefers_http2_and_refuses_what_is_neither(self):
        def chosen(offered, proxy=None):
            found = re.search(r"ALPN protocol: (\S+)", self.hello("-alpn", offered, proxy=proxy))
            return found and found.group(1)

        self.assertEqual(chosen("h2,http/1.1"), "h2")
        self.assertEqual(chosen("http/1.1,h2"), "h2")
        self.assertEqual(chosen("http/1.1"), "http/1.1")
        self.assertIn("no application protocol", self.hello("-alpn", "spdy/1"))
        self.assertIn("No ALPN negotiated", self.hello())
        self.assertEqual(chosen("h2,http/1.1", self.spillway(self.settings(http2=False))), "http/1.1")

    def test_no_compression_and_no_renegotiation(self):
        text = self.hello("-tls1_2", "-comp")
        self.assertIn("Compression: NONE", text)
        self.assertIn("Secure Renegotiation IS supported", text)  # said so that nobody can inject one
        text = self.hello("-tls1_2", send="R\n")
        self.assertIn("RENEGOTIATING", text)
        self.assertIn("no renegotiation", text)

    def test_a_client_without_a_name_or_with_an_unknown_one_gets_the_first_certificate(self):
        for args in (("-noservername",), ("-servername", "unknown.example")):
            done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.proxy.port}", *args], input=b"", capture_output=True, timeout=PATIENCE)
            self.assertIn(b"subject=CN = one", done.stdout)

    def test_an_end_is_told_by_close_notify(self):
        context = ssl.create_default_context(cafile=self.authority.certificate)
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF if hasattr(ssl, "OP_IGNORE_UNEXPECTED_EOF") else context.options
        raw = socket.create_connection(("127.0.0.1", self.proxy.port), PATIENCE)
        with context.wrap_socket(raw, server_hostname="one.example", suppress_ragged_eofs=False) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            while client.recv(65536):
                pass  # an end without close_notify would be an SSLEOFError

    def test_so_is_the_end_of_an_idle_connection(self):
        proxy = self.spillway({**self.settings(), "clients": {"timeouts": {"idle": "300ms"}}})
        for asks in (False, True):
            with self.subTest(asks=asks):
                context = ssl.create_default_context(cafile=self.authority.certificate)
                context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
                raw = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)
                with context.wrap_socket(raw, server_hostname="one.example", suppress_ragged_eofs=False) as client:
                    if asks:
                        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    while client.recv(65536):
                        pass


class Ocsp(Case):
    def setUp(self):
        self.folder = self.directory()
        self.authority = Authority(self.folder)
        self.pair = self.authority.issue("one", "DNS:one.example")
        self.other = self.authority.issue("other", "DNS:other.example")
        self.good = self.response("good", self.pair)

    def path(self, name):
        return os.path.join(self.folder, name)

    def response(self, name, pair, *more, status="V"):
        """A response of the authority about this certificate, as a file in DER."""
        with open(pair.certificate) as file:
            serial = openssl("x509", "-noout", "-serial", input=file.read().encode()).stdout.decode().strip().split("=")[1]
        revoked = "261101000000Z" if status == "R" else ""
        with open(self.path("index"), "w") as out:
            out.write(f"{status}\t491231235959Z\t{revoked}\t{serial}\tunknown\t/CN=x\n")
        openssl("ocsp", "-issuer", self.authority.certificate, "-cert", pair.certificate, "-no_nonce", "-reqout", self.path("request"))
        openssl("ocsp", "-index", self.path("index"), "-CA", self.authority.certificate, "-rsigner", self.authority.certificate,
                "-rkey", self.authority.key, "-reqin", self.path("request"), "-respout", self.path(name), *(more or ("-ndays", "2")))
        return self.path(name)

    def settings(self, **tls):
        return config(self.origin(), listeners=[{"address": "127.0.0.1:0", "tls": [{**self.pair.files(), **tls}, self.other.files()]}])

    def shown(self, proxy, *args, **more):
        return openssl_client(proxy.port, "-status", "-CAfile", self.authority.certificate, *args, **more)

    def test_a_response_is_shown_with_its_certificate(self):
        proxy = self.spillway(self.settings(ocsp=self.good))
        for version in ("-tls1_2", "-tls1_3"):
            self.assertIn("Cert Status: good", self.shown(proxy, version))
        self.assertIn("OCSP response: no response sent", self.shown(proxy, name="other.example"))

    def test_none_is_shown_without_one(self):
        self.assertIn("OCSP response: no response sent", self.shown(self.spillway(self.settings())))

    def test_a_reload_reads_it_again(self):
        proxy = self.spillway(self.settings(ocsp=self.good))
        self.assertIn("Cert Status: good", self.shown(proxy))
        before = re.search(r"Next Update: (.*)", self.shown(proxy)).group(1)
        os.replace(self.response("newer", self.pair, "-ndays", "5"), self.good)
        proxy.must_reload()
        eventually(lambda: re.search(r"Next Update: (.*)", self.shown(proxy)).group(1) != before, "the new response")

    def test_one_that_is_over_is_a_warning_and_is_not_shown(self):
        over = self.path("over")
        with open(self.good, "rb") as good, open(over, "wb") as out:
            # openssl makes none that is over; the signature no longer fits, but that is for clients to see.
            out.write(re.sub(rb"20\d\d(\d{10}Z)", rb"2019\1", good.read()))
        proxy = self.spillway(self.settings(ocsp=over))
        proxy.log.wait(r"the OCSP response in '.*over' is over, or not in force yet; it is not shown")
        self.assertIn("OCSP response: no response sent", self.shown(proxy))

    def test_mistakes_are_told_at_their_line(self):
        def check(path):
            site = self.path("site.yaml")
            with open(site, "w") as out:
                out.write(f"version: 1\npools: {{ app: {{ servers: '127.0.0.1:1' }} }}\nlisteners:\n  - address: ':0'\n    tls:\n"
                          f"      certificate: {self.pair.certificate}\n      key: {self.pair.key}\n      ocsp: {path}\n")
            done = run("check", site)
            self.assertNotEqual(done.returncode, 0)
            return done.stdout + done.stderr

        self.assertRegex(check(self.path("missing")), r"site\.yaml:8:13: listeners\[0\]\.tls\.ocsp: cannot read '.*missing': No such file")
        self.assertRegex(check(self.pair.key), r"8:13: .* is not an OCSP response in DER")
        self.assertRegex(check(self.response("theirs", self.other)), r"8:13: .* is not about this certificate")
        self.assertRegex(check(self.response("revoked", self.pair, status="R")), r"8:13: .* says that the certificate is revoked")

    def test_of_two_kinds_of_keys_each_certificate_has_its_own(self):
        rsa = self.authority.issue("rsa", "DNS:one.example", key=RSA)
        numbers = {}
        for name, pair in (("ecdsa", self.pair), ("rsa", rsa)):
            with open(pair.certificate) as file:
                numbers[name] = openssl("x509", "-noout", "-serial", input=file.read().encode()).stdout.decode().strip().split("=")[1]
        tls = [{**self.pair.files(), "ocsp": self.good}, {**rsa.files(), "ocsp": self.response("of-rsa", rsa)}]
        proxy = self.spillway(config(self.origin(), listeners=[{"address": "127.0.0.1:0", "tls": tls}]))
        for kind, algorithm in (("ecdsa", "ecdsa_secp256r1_sha256"), ("rsa", "rsa_pss_rsae_sha256")):
            for version in ("-tls1_2", "-tls1_3"):
                said = self.shown(proxy, version, "-sigalgs", algorithm)
                self.assertRegex(said, rf"Serial Number: {numbers[kind]}\s+Cert Status: good")
                self.assertIn(f"0 s:CN = {'one' if kind == 'ecdsa' else 'rsa'}", said)


class Kinds(Case):
    """Certificates for one name with keys of two kinds, and some that nobody can be shown."""

    def setUp(self):
        self.folder = self.directory()
        self.authority = Authority(self.folder)
        self.ecdsa = self.authority.issue("ecdsa", "DNS:one.example", "DNS:www.one.example")
        self.rsa = self.authority.issue("rsa", "DNS:one.example", "DNS:www.one.example", key=RSA)

    def subject(self, proxy, *args, name="one.example"):
        said = openssl_client(proxy.port, *args, "-CAfile", self.authority.certificate, "-verify_return_error", name=name)
        found = re.search(r"0 s:CN = (\S+)", said)
        return found.group(1) if found else said

    def start(self, *pairs):
        return self.spillway(config(self.origin(), listeners=[{"address": "127.0.0.1:0", "tls": [pair.files() for pair in pairs]}]))

    def test_a_client_is_shown_the_one_that_it_can_use(self):
        other = self.authority.issue("other", "DNS:other.example")
        for order in ((self.ecdsa, self.rsa, other), (self.rsa, self.ecdsa, other), (other, self.ecdsa, self.rsa)):
            proxy = self.start(*order)
            with self.subTest([os.path.basename(pair.certificate) for pair in order]):
                for name in ("one.example", "WWW.one.example"):
                    self.assertEqual(self.subject(proxy, name=name), "ecdsa")
                    self.assertEqual(self.subject(proxy, "-sigalgs", "rsa_pss_rsae_sha256", name=name), "rsa")
                    self.assertEqual(self.subject(proxy, "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256", name=name), "rsa")
                    self.assertEqual(self.subject(proxy, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256", name=name), "ecdsa")
                self.assertEqual(self.subject(proxy, name="other.example"), "other")
                if order[0] is not other:  # who answers unknown names does so with both keys
                    self.assertEqual(self.subject(proxy, "-sigalgs", "rsa_pss_rsae_sha256", name="unknown.example"), "rsa")
                    self.assertEqual(self.subject(proxy, name="unknown.example"), "ecdsa")

    def test_a_name_that_only_one_of_them_has_is_not_answered_with_the_other(self):
        more = self.authority.issue("more", "DNS:one.example", "DNS:more.example", key=RSA)
        proxy = self.start(self.ecdsa, more)
        self.assertEqual(self.subject(proxy, "-sigalgs", "rsa_pss_rsae_sha256"), "more")
        self.assertEqual(self.subject(proxy), "ecdsa")
        both = "rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256"
        self.assertEqual(self.subject(proxy, "-sigalgs", both, name="more.example"), "more")
        self.assertIn("handshake failure", self.subject(proxy, "-sigalgs", "rsa_pss_rsae_sha256", name="www.one.example"))

    def test_those_who_vouch_come_with_each(self):
        middle = self.authority.issue("middle", authority=True)
        under = Authority.__new__(Authority)
        under.directory, under.certificate, under.key = self.folder, middle.certificate, middle.key
        deep = under.issue("deep", "DNS:one.example", key=RSA)
        with open(deep.certificate, "a") as out, open(middle.certificate) as vouching:
            out.write(vouching.read())
        proxy = self.start(self.ecdsa, deep)
        self.assertEqual(self.subject(proxy, "-sigalgs", "rsa_pss_rsae_sha256"), "deep")
        self.assertEqual(self.subject(proxy), "ecdsa")

    def test_one_that_nobody_is_shown_is_a_warning_at_its_line(self):
        late = self.authority.issue("late", "DNS:WWW.one.example")
        nameless = self.authority.issue("nameless")
        half = self.authority.issue("half", "DNS:one.example", "DNS:half.example")
        site = os.path.join(self.folder, "site.yaml")
        with open(site, "w") as out:
            out.write("version: 1\npools: { app: { servers: '127.0.0.1:1' } }\nlisteners:\n  - address: '127.0.0.1:0'\n    tls:\n")
            for pair in (nameless, self.ecdsa, self.rsa, half, late, nameless):
                out.write(f"      - {{ certificate: {pair.certificate}, key: {pair.key} }}\n")
        done = run("check", site)
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, 0, said)
        self.assertEqual(said.count("never shown"), 2, said)
        self.assertRegex(said, r"site\.yaml:10:24: .*warning: certificate '.*late\.crt' is never shown: those before it have all its names")
        self.assertRegex(said, r"site\.yaml:11:24: .*warning: certificate '.*nameless\.crt' is never shown: it has no DNS name")


if __name__ == "__main__":
    main()
