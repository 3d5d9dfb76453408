# SPDX-License-Identifier: MIT
"""The fingerprint of clients' TLS, computed here a second time from the bytes that they sent."""

import hashlib
import shutil
import socket
import ssl
import subprocess
import threading
import unittest

from certificates import Authority, openssl_client
from harness import Case, ask, config, connect, main, PATIENCE


class Tap:
    """Passes connections on, and keeps the first bytes that each client sent."""

    def __init__(self, port):
        self.to, self.hellos, self.sockets = port, [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.to))
            self.sockets += [client, server]
            for one, other, keep in ((client, server, True), (server, client, False)):
                threading.Thread(target=self.pump, args=(one, other, keep), daemon=True).start()

    def pump(self, one, other, keep):
        first = b""
        try:
            while data := one.recv(65536):
                if keep and first is not None:
                    first += data
                    if len(first) > 5 and len(first) >= 5 + int.from_bytes(first[3:5], "big"):
                        self.hellos.append(first[5:5 + int.from_bytes(first[3:5], "big")])
                        first = None
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        for each in (self.listener, *self.sockets):
            each.close()


def ja4(hello):
    """JA4 of a ClientHello, with its handshake header."""
    def numbers(data):
        values = [int.from_bytes(data[i:i + 2], "big") for i in range(0, len(data), 2)]
        return [value for value in values if value & 0x0f0f != 0x0a0a or value >> 8 != value & 0xff]

    def hashed(text):
        return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "0" * 12

    def written(values):
        return ",".join(f"{value:04x}" for value in values)

    assert hello[0] == 1
    at = 4 + 2 + 32
    at += 1 + hello[at]
    size = int.from_bytes(hello[at:at + 2], "big")
    suites = numbers(hello[at + 2:at + 2 + size])
    at += 2 + size
    at += 1 + hello[at]
    end = at + 2 + int.from_bytes(hello[at:at + 2], "big")
    at += 2
    extensions = {}
    while at < end:
        kind, size = int.from_bytes(hello[at:at + 2], "big"), int.from_bytes(hello[at + 2:at + 4], "big")
        extensions[kind] = hello[at + 4:at + 4 + size]
        at += 4 + size
    kinds = numbers(b"".join(kind.to_bytes(2, "big") for kind in extensions))
    versions = numbers(extensions[43][1:]) if 43 in extensions else [int.from_bytes(hello[4:6], "big")]
    version = {0x304: "13", 0x303: "12", 0x302: "11", 0x301: "10"}[max(versions)]
    alpn = "00"
    if 16 in extensions:
        first = extensions[16][3:3 + extensions[16][2]].decode()
        alpn = first[0] + first[-1]
    algorithms = numbers(extensions[13][2:]) if 13 in extensions else []
    rest = written(sorted(kind for kind in kinds if kind not in (0, 16)))
    if algorithms:
        rest += "_" + written(algorithms)
    name = "d" if 0 in extensions else "i"
    return f"t{version}{name}{min(len(suites), 99):02}{min(len(kinds), 99):02}{alpn}_{hashed(written(sorted(suites)))}_{hashed(rest)}"


class Ja4(Case):
    def setUp(self):
        self.folder = self.directory()
        self.authority = Authority(self.folder)
        self.pair = self.authority.issue("one", "DNS:one.example", "DNS:localhost", "IP:127.0.0.1")

    def start(self, *rules, **more):
        settings = config(self.origin(), listeners=[{"address": "127.0.0.1:0", "tls": self.pair.files()}, {"address": "127.0.0.1:0"}], rules=list(rules), **more)
        proxy = self.spillway(settings)
        return proxy, self.keep(Tap(proxy.port))

    def context(self, **more):
        context = ssl.create_default_context(cafile=self.authority.certificate)
        for key, value in more.items():
            setattr(context, key, value)
        return context

    def logged(self, proxy, path):
        return proxy.wait_record(lambda record: record.get("path") == path).get("ja4")

    def test_the_helper_knows_the_published_example(self):
        def piece(data, size):
            return len(data).to_bytes(size, "big") + data

        def extension(kind, data=b"x"):
            return kind.to_bytes(2, "big") + piece(data, 2)

        suites = bytes.fromhex("1301130213 03c02bc02fc02cc030cca9cca8c013c014009c009d002f0035".replace(" ", ""))
        extensions = b"".join([extension(0), extension(16, piece(b"\x02h2", 2)), extension(43, b"\x04\x03\x04\x03\x03"),
                               extension(13, piece(bytes.fromhex("04030804040105030805050108060601"), 2)),
                               *(extension(kind) for kind in (5, 10, 11, 18, 21, 23, 27, 35, 45, 51, 0x4469, 0xff01))])
        body = b"\x03\x03" + bytes(32) + piece(b"", 1) + piece(b"\x0a\x0a" + suites, 2) + b"\x01\x00" + piece(extensions, 2)
        self.assertEqual(ja4(b"\x01" + piece(body, 3)), "t13d1516h2_8daaf6152771_e5627efa2ab1")

    def test_clients_of_all_kinds(self):
        proxy, tap = self.start()

        def python(path, context, name="one.example"):
            with connect(tap.port, tls=context, server_name=name) as client:
                self.assertEqual(client.ask(target=path).status, 200)

        http11 = self.context()
        http11.set_alpn_protocols(["http/1.1"])
        unnamed = self.context(check_hostname=False)
        old = self.context(maximum_version=ssl.TLSVersion.TLSv1_2)
        asks = {
            "/python": lambda path: python(path, self.context()),
            "/python-alpn": lambda path: python(path, http11),
            "/python-unnamed": lambda path: python(path, unnamed, None),
            "/python-1.2": lambda path: python(path, old),
            "/openssl": lambda path: openssl_client(tap.port, "-quiet", "-no_ign_eof", send=f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            "/curl-http2": lambda path: subprocess.run(["curl", "-sSk", "--noproxy", "*", "--http2", "-o", "/dev/null", f"https://localhost:{tap.port}{path}"], check=True, timeout=PATIENCE),
            "/curl-http1": lambda path: subprocess.run(["curl", "-sSk", "--noproxy", "*", "--http1.1", "-o", "/dev/null", f"https://localhost:{tap.port}{path}"], check=True, timeout=PATIENCE),
        }
        seen = {}
        for path, visit in asks.items():
            with self.subTest(path):
                count = len(tap.hellos)
                visit(path)
                self.assertEqual(len(tap.hellos), count + 1)
                seen[path] = self.logged(proxy, path)
                self.assertEqual(seen[path], ja4(tap.hellos[-1]))
        self.assertEqual(seen["/python-unnamed"][3], "i")
        self.assertEqual(seen["/python-1.2"][1:3], "12")
        self.assertEqual(seen["/curl-http2"][8:10], "h2")
        self.assertEqual(seen["/curl-http1"][8:10], "h1")

    @unittest.skipUnless(shutil.which("chromium") and shutil.which("chromedriver"), "no Chromium here")
    def test_chromium(self):
        from browser import Browser
        proxy, tap = self.start()
        browser = self.keep(Browser(more=["--ignore-certificate-errors"]))
        browser.open(f"https://localhost:{tap.port}/browser")
        self.assertIn(self.logged(proxy, "/browser"), [ja4(hello) for hello in tap.hellos])
        self.assertEqual(self.logged(proxy, "/browser")[8:10], "h2")

    def test_a_hello_in_many_records_and_segments(self):
        proxy, _ = self.start()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context().wrap_bio(incoming, outgoing, server_hostname="one.example")
        with self.assertRaises(ssl.SSLWantReadError):
            tls.do_handshake()
        hello = outgoing.read()[5:]
        with connect(proxy.port) as client:
            for begin in range(0, len(hello), 100):
                part = hello[begin:begin + 100]
                client.send(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part)
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    client.send(outgoing.read() or b"")
                    incoming.write(client.socket.recv(65536))
            tls.write(b"GET /pieces HTTP/1.1\r\nHost: a\r\n\r\n")
            client.send(outgoing.read())
            self.assertEqual(self.logged(proxy, "/pieces"), ja4(hello))

    def test_rules_know_it_and_a_connection_in_the_clear_has_none(self):
        proxy, tap = self.start()
        with connect(tap.port, tls=self.context(), server_name="one.example") as client:
            client.ask()
        mine = ja4(tap.hellos[-1])
        proxy, tap = self.start(
            {"name": "mine", "match": {"path": "/exact", "tls.ja4": mine}, "action": "deny"},
            {"name": "family", "match": {"path": "/prefix", "tls.ja4": {"prefix": mine[:10] + "_"}}, "action": "deny"},
            {"name": "list", "match": {"path": "/list", "tls.ja4": "$programs"}, "action": "deny"},
            {"name": "clear", "match": {"path": "/absent", "tls.ja4": {"absent": True}}, "action": "deny"},
            {"name": "each", "match": {"path": "/limit"}, "action": {"limit": "program"}},
            lists={"programs": ["t13d1516h2_8daaf6152771_e5627efa2ab1", mine]}, limits={"program": {"key": "tls.ja4", "rate": "1/h", "burst": 1}})
        other = self.context(maximum_version=ssl.TLSVersion.TLSv1_2)
        for path in ("/exact", "/prefix", "/list"):
            with connect(proxy.port, tls=self.context(), server_name="one.example") as client:
                self.assertEqual(client.ask(target=path).status, 403, path)
            with connect(proxy.port, tls=other, server_name="one.example") as client:
                self.assertEqual(client.ask(target=path).status, 200, path)
            self.assertEqual(ask(proxy.port_of(1), target=path).status, 200, path)
        with connect(proxy.port, tls=self.context(), server_name="one.example") as client:
            self.assertEqual(client.ask(target="/absent").status, 200)
            self.assertEqual([client.ask(target="/limit").status for _ in range(2)], [200, 429])
        with connect(proxy.port, tls=other, server_name="one.example") as client:
            self.assertEqual(client.ask(target="/limit").status, 200)
        self.assertEqual(ask(proxy.port_of(1), target="/absent").status, 403)
        self.assertNotIn("ja4", proxy.wait_record(lambda record: record["scheme"] == "http"))


if __name__ == "__main__":
    main()
