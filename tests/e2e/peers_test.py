# SPDX-License-Identifier: MIT
"""The programs people really use, against the servers people really run."""

import http.client
import os
import shutil
import subprocess
import unittest

from browser import Browser
from harness import PATIENCE, Case, Command, config, main

NODE_APP = r"""
const http = require('http');
const server = http.createServer((request, response) => {
  if (request.url === '/chunked') {
    response.setHeader('Trailer', 'X-Sum');
    response.write('a'.repeat(100000)); response.write('b'.repeat(100000));
    response.addTrailers({'X-Sum': '200000'}); return response.end();
  }
  if (request.url === '/cached') {
    if (request.headers['if-none-match'] === '"v1"') { response.writeHead(304, {ETag: '"v1"'}); return response.end(); }
    response.setHeader('ETag', '"v1"'); return response.end('fresh');
  }
  if (request.url === '/hints') { response.writeEarlyHints({link: '</a.css>; rel=preload'}); return response.end('hinted'); }
  let size = 0;
  request.on('data', piece => size += piece.length);
  request.on('end', () => { response.setHeader('Content-Type', 'text/html'); response.end(`<title>node</title>${request.method} ${size}`); });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
"""

NODE_CLIENT = r"""
const base = process.argv[1];
(async () => {
  const results = [];
  results.push((await (await fetch(base + '/')).text()).length > 0);
  results.push((await (await fetch(base + '/post', {method: 'POST', body: 'x'.repeat(300000)})).text()).includes('POST 300000'));
  const stream = new ReadableStream({start(c) { for (let i = 0; i < 10; i++) c.enqueue(new TextEncoder().encode('y'.repeat(1000))); c.close(); }});
  results.push((await (await fetch(base + '/post', {method: 'POST', body: stream, duplex: 'half'})).text()).includes('POST 10000'));
  results.push((await fetch(base + '/head', {method: 'HEAD'})).status === 200);
  results.push((await (await fetch(base + '/chunked')).text()).length === 200000);
  results.push((await Promise.all([...Array(50)].map(() => fetch(base + '/').then(r => r.text())))).length === 50);
  console.log(JSON.stringify(results));
})();
"""


class Peers(Case):
    """Each client against nginx and against a node app (or, without node, a Python one)."""

    def servers(self):
        nginx = self.nginx("""
            location / { root %s; }
            location /echo { return 200 "echo"; }
            location = /post { return 200 "posted"; }
            etag on;""" % self.pages())
        yield "nginx", nginx
        if shutil.which("node"):
            yield "node", self.keep(Command("node", "-e", NODE_APP))
        else:
            yield "python", self.origin()

    def pages(self):
        directory = self.directory()
        os.chmod(directory, 0o755)
        with open(os.path.join(directory, "index.html"), "w") as out:
            out.write("<title>nginx</title><h1>hello</h1>" + "x" * 5000)
        with open(os.path.join(directory, "big"), "wb") as out:
            out.truncate(20_000_000)
        return directory

    def proxied(self):
        for name, server in self.servers():
            with self.subTest(name):
                yield name, self.spillway(config(server)).port

    def curl(self, port, path, *args, code=200):
        done = subprocess.run(["curl", "-sS", "-o", "-", "-w", "\n%{http_code}", "--max-time", str(PATIENCE), *args,
                               f"http://127.0.0.1:{port}{path}"], capture_output=True, timeout=PATIENCE + 5)
        self.assertEqual(done.returncode, 0, done.stderr)
        body, status = done.stdout.rsplit(b"\n", 1)
        self.assertEqual(int(status), code, done.stdout[:500])
        return body

    def test_curl(self):
        for name, port in self.proxied():
            self.assertIn(b"<title>", self.curl(port, "/"))
            self.curl(port, "/", "-I")
            self.curl(port, "/", "--http1.0")
            self.curl(port, "/post", "-d", "a=b")
            if name == "nginx":
                headers = subprocess.run(["curl", "-sSI", f"http://127.0.0.1:{port}/"], capture_output=True, text=True).stdout
                etag = next(line.split(": ", 1)[1].strip() for line in headers.splitlines() if line.lower().startswith("etag"))
                self.assertEqual(self.curl(port, "/", "-H", f"If-None-Match: {etag}", code=304), b"")
                self.assertEqual(len(self.curl(port, "/big", "-r", "5-104", code=206)), 100)
                self.assertEqual(len(self.curl(port, "/big")), 20_000_000)
            if name == "node":
                self.assertEqual(self.curl(port, "/cached", "-H", 'If-None-Match: "v1"', code=304), b"")
                self.assertEqual(len(self.curl(port, "/chunked")), 200_000)
                self.assertIn(b"hinted", self.curl(port, "/hints"))
                big = os.path.join(self.directory(), "big")
                with open(big, "wb") as out:
                    out.truncate(5_000_000)
                # curl sends Expect: 100-continue by itself with a body of this size.
                self.assertIn(b"POST 5000000", self.curl(port, "/post", "--data-binary", f"@{big}"))
                self.assertIn(b"POST 5000000", self.curl(port, "/post", "--data-binary", f"@{big}", "-H", "Transfer-Encoding: chunked"))

    def test_python_http_client(self):
        for _, port in self.proxied():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            for _ in range(20):
                connection.request("GET", "/")
                response = connection.getresponse()
                self.assertEqual(response.status, 200)
                self.assertTrue(response.read())
            connection.request("HEAD", "/")
            self.assertEqual(connection.getresponse().read(), b"")
            connection.request("POST", "/post", body=iter([b"abc", b"def"]), headers={"Transfer-Encoding": "chunked"}, encode_chunked=True)
            self.assertEqual(connection.getresponse().status, 200)
            connection.close()

    @unittest.skipUnless(shutil.which("node"), "no node")
    def test_node_fetch(self):
        server = self.keep(Command("node", "-e", NODE_APP))
        proxy = self.spillway(config(server))
        done = subprocess.run(["node", "-e", NODE_CLIENT, f"http://127.0.0.1:{proxy.port}"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.stdout.strip(), "[true,true,true,true,true,true]", done.stderr)

    def test_wrk(self):
        for _, port in self.proxied():
            report = self.wrk(port, 2, connections=32).result()
            self.assert_no_errors(report)

    def test_ab(self):
        for _, port in self.proxied():
            for options in (["-k"], []):
                done = subprocess.run(["ab", "-q", "-n", "2000", "-c", "20", *options, f"http://127.0.0.1:{port}/"], capture_output=True, text=True, timeout=120)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertRegex(done.stdout, r"Failed requests:\s+0\n")
                self.assertRegex(done.stdout, r"Complete requests:\s+2000\n")
                self.assertNotIn("Non-2xx", done.stdout)

    def test_chromium(self):
        browser = self.keep(Browser())
        for name, port in self.proxied():
            browser.open(f"http://127.0.0.1:{port}/")
            self.assertEqual(browser.title(), name if name != "python" else "")


if __name__ == "__main__":
    main()
