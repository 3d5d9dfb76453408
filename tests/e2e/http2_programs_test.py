# SPDX-License-Identifier: MIT
"""HTTP/2 as programs that were not written for it here speak it: curl, h2load and Chromium."""

import json
import os
import re
import subprocess

from harness import PATIENCE, Case, config, main
from tls_test import make_certificate


class Programs(Case):
    def setUp(self):
        certificate, key = make_certificate(self.directory(), "test.example")
        self.server = self.origin(lambda request: None if request.path.startswith("/echo") else
                                  (200, {"Content-Type": "text/html"}, "<title>here</title><p>" + "x" * 5000))
        self.proxy = self.spillway(config(self.server, listeners=[
            {"address": "127.0.0.1:0", "http2": True},
            {"address": "127.0.0.2:0", "tls": [{"certificate": certificate, "key": key}]}]))
        self.clear = f"http://127.0.0.1:{self.proxy.port_of(0)}"
        self.tls = f"https://127.0.0.2:{self.proxy.port_of(1)}"

    def run_program(self, *command, **more):
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE * 6, **more)
        self.assertEqual(done.returncode, 0, (done.stdout[-2000:], done.stderr[-2000:]))
        return done.stdout

    def curl(self, *args):
        return self.run_program("curl", "-sS", "-k", "--noproxy", "*", *args)


class Curl(Programs):
    def test_get_by_each_way_in(self):
        for how, url in (("--http2", self.tls), ("--http2-prior-knowledge", self.clear), ("--http1.1", self.tls), ("--http1.1", self.clear)):
            version = self.curl(how, "-o", "/dev/null", "-w", "%{http_version} %{http_code} %{size_download}", url)
            self.assertEqual(version.decode(), ("1.1" if how == "--http1.1" else "2") + " 200 5022", (how, url))

    def test_an_upgrade_from_http_1_is_not_taken(self):
        version = self.curl("--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", self.clear)
        self.assertEqual(version, b"1.1 200")

    def test_uploads(self):
        path = os.path.join(self.directory(), "upload")
        with open(path, "wb") as out:
            out.write(b"a" * 2_000_000)
        for more in ([], ["-H", "Expect: 100-continue"], ["-H", "Content-Length:", "-X", "PUT"]):
            echo = json.loads(self.curl("--http2", "--data-binary", "@" + path, *more, self.tls + "/echo"))
            self.assertEqual(len(echo["body"]), 2_000_000, more)

    def test_many_at_once(self):
        args = [part for i in range(50) for part in ("-o", "/dev/null", f"{self.tls}/{i}")]
        out = self.curl("--http2", "-Z", "--parallel-max", "50", "-w", "%{http_version} %{http_code}\\n", *args)
        self.assertEqual(out.split(b"\n")[:-1], [b"2 200"] * 50)

    def test_head_and_an_early_answer(self):
        self.assertIn(b"content-length: 5022", self.curl("--http2", "-I", self.tls))
        self.assertEqual(self.curl("--http2", "-o", "/dev/null", "-w", "%{http_code}", "-X", "BREW", "-d", "@/etc/services", self.tls),
                         b"501")


class Load(Programs):
    def test_h2load_gets_all_it_asks_for(self):
        for url in (self.clear, self.tls):
            out = self.run_program("h2load", "-n", "2000", "-c", "10", "-m", "20", url + "/").decode()
            self.assertRegex(out, r"2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout")
            self.assertRegex(out, r"status codes: 2000 2xx")

    def test_h2load_with_bodies(self):
        path = os.path.join(self.directory(), "upload")
        with open(path, "wb") as out:
            out.write(b"a" * 30_000)
        out = self.run_program("h2load", "-n", "500", "-c", "5", "-m", "20", "-d", path, self.tls + "/echo").decode()
        self.assertEqual(re.search(r"status codes: (\d+) 2xx", out).group(1), "500", out)


class Chromium(Programs):
    def test_a_page_comes_over_it(self):
        from browser import Browser
        browser = self.keep(Browser(more=("--ignore-certificate-errors",)))
        browser.open(self.tls + "/")
        browser.wait_for_title("here")
        protocols = browser.run("""
            const done = arguments[0];
            Promise.all([1, 2, 3, 4, 5].map(i => fetch('/echo/' + i, {method: 'POST', body: 'b'.repeat(100000)}).then(r => r.json())))
              .then(all => done([all.map(each => each.body.length),
                                 performance.getEntriesByType('navigation').concat(performance.getEntriesByType('resource'))
                                   .filter(e => !e.name.endsWith('.ico')).map(e => e.nextHopProtocol)]));""")
        self.assertEqual(protocols, [[100_000] * 5, ["h2"] * 6])
        self.assertEqual(self.server.requests[0].get("via"), "2.0 spillway")


if __name__ == "__main__":
    main()
