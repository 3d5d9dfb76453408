#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A small shop with a database of four connections, so that too many people at once hurt it. Standard library only.

    python3 app.py [PORT]      prints the port it listens on (default: any free one), on loopback
"""

import html
import json
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PRODUCTS = {str(number): name for number, name in enumerate(
    ["Lamp", "Chair", "Table", "Shelf", "Carpet", "Mirror", "Clock", "Basket", "Vase", "Stool"], 1)}
DATABASE = threading.Semaphore(4)
QUERY = 0.02          # seconds that a query holds a connection
TOO_LONG = 0.5        # seconds that a request waits for one before the shop falls over

STYLE = ("body{font:17px/1.5 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem}"
         "a{color:#0b6}li{margin:.2rem 0}small{color:#888}")


def query(queries=1):
    for _ in range(queries):
        if not DATABASE.acquire(timeout=TOO_LONG):
            raise RuntimeError("FATAL: remaining connection slots are reserved (host=10.0.0.12 user=shop password=hunter2)")
        try:
            time.sleep(QUERY)
        finally:
            DATABASE.release()


class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        try:
            if url.path == "/":
                query()
                items = "".join(f'<li><a href="/product/{key}">{name}</a></li>' for key, name in PRODUCTS.items())
                self.page("The shop", f'<ul>{items}</ul><form action="/search"><input name="q"> <button>Search</button></form>')
            elif url.path.startswith("/product/") and url.path[9:] in PRODUCTS:
                query()
                name = PRODUCTS[url.path[9:]]
                self.page(name, f'<p>A fine {name.lower()}.</p><form method="post" action="/order">'
                                f'<input type="hidden" name="product" value="{url.path[9:]}"><button>Order</button></form>')
            elif url.path == "/search":
                query(5)  # the expensive page
                words = urllib.parse.parse_qs(url.query).get("q", [""])[0]
                found = [f'<li><a href="/product/{key}">{name}</a></li>' for key, name in PRODUCTS.items() if words.lower() in name.lower()]
                self.page(f"Found for {html.escape(words)}", f"<ul>{''.join(found)}</ul>")
            elif url.path == "/admin":
                self.page("The back office", "<p>Nobody but the office should see this.</p>")
            elif url.path == "/crash":
                raise RuntimeError("/srv/shop/models.py line 212: table users has no column e_mail")
            elif url.path == "/feed.xml":
                self.answer(200, "application/rss+xml", "<rss version='2.0'><channel><title>The shop</title></channel></rss>")
            elif url.path == "/whoami":
                self.answer(200, "application/json", json.dumps({name: value for name, value in self.headers.items()}, indent=1))
            elif url.path == "/healthz":
                self.answer(200, "text/plain", "ok\n")
            else:
                self.page("Not here", "<p><a href='/'>To the shop</a></p>", 404)
        except RuntimeError as error:
            self.page("Internal Server Error", f"<pre>Traceback (most recent call last):\n{html.escape(str(error))}</pre>", 500)

    do_HEAD = do_GET

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        try:
            query(3)
            product = PRODUCTS.get(urllib.parse.parse_qs(body).get("product", [""])[0], "thing")
            self.page("Thank you", f"<p>Your {html.escape(product.lower())} is on its way.</p><p><a href='/'>To the shop</a></p>")
        except RuntimeError as error:
            self.page("Internal Server Error", f"<pre>{html.escape(str(error))}</pre>", 500)

    def page(self, title, body, status=200):
        self.answer(status, "text/html; charset=utf-8",
                    f"<!doctype html><html lang=en><meta name=viewport content='width=device-width'><title>{title}</title>"
                    f"<style>{STYLE}</style><h1>{title}</h1>{body}")

    def answer(self, status, kind, text):
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        self.wfile.flush()

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request, client_address):
        pass  # someone left


if __name__ == "__main__":
    server = Server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Shop)
    print(server.server_address[1], flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
