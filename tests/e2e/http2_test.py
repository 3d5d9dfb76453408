# SPDX-License-Identifier: MIT
"""HTTP/2 as clients live with it: what passes, what the origin sees of it, and how one stream's trouble stays its own."""

import base64
import hashlib
import os
import signal
import ssl
import threading
import time
import unittest

import h2.settings
from harness import PATIENCE, SANITIZED, SLOWNESS, Case, config, connect, eventually, main
from http2_client import (CANCEL, DATA, GOAWAY, INTERNAL_ERROR, NO_ERROR, PREFACE, RST_STREAM, SETTINGS, Client, Raw, Stream,
                          client_context, frame, request_fields)
from tls_test import make_certificate

CLEAR = [{"address": "127.0.0.1:0", "http2": True}]


def http2(*servers, **more):
    more.setdefault("listeners", CLEAR)
    return config(*servers, **more)


class Http2(Case):
    def client(self, proxy, *args, **more):
        return self.keep(Client(proxy.port, *args, **more))

    def held(self, answer=b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone", body=True):
        """An origin that answers when it is told to."""
        origin = self.raw_origin(lambda conversation, _: self._play(origin, conversation, answer, body))
        origin.go = threading.Event()
        return origin

    def _play(self, origin, conversation, answer, body):
        while True:
            conversation.read_request(body)
            origin.go.wait(PATIENCE)
            conversation.send(answer)

    def scripted(self, *parts):
        """An origin that reads a request and says these parts; a callable part is called."""
        def play(conversation, _):
            while True:
                conversation.read_request()
                for part in parts:
                    part(conversation) if callable(part) else conversation.send(part)
        return self.raw_origin(play)


class Negotiation(Http2):
    def setUp(self):
        self.server = self.origin()
        self.certificate, self.key = make_certificate(self.directory(), "test.example")

    def tls(self, **more):
        return http2(self.server, listeners=[{"address": "127.0.0.1:0", "tls": [{"certificate": self.certificate, "key": self.key}],
                                              **more}])

    def test_alpn_chooses_it_and_the_origin_is_told_https(self):
        proxy = self.spillway(self.tls())
        client = self.client(proxy, tls=client_context())
        self.assertEqual(client.socket.selected_alpn_protocol(), "h2")
        answer = client.ask("POST", "/a?b=c", body=b"x" * 100_000, scheme="https")
        self.assertEqual(answer.status, 200)
        self.assertEqual(len(answer.json()["body"]), 100_000)
        self.assertEqual(self.server.requests[0].get("x-forwarded-proto"), "https")

    def test_clients_that_offer_only_http_1_get_it(self):
        proxy = self.spillway(self.tls())
        for context in (client_context("http/1.1"), client_context("http/1.1", "h2")):
            with connect(proxy.port, tls=context) as client:
                if context.get_ciphers() and client.socket.selected_alpn_protocol() == "h2":
                    continue  # the server's order counts
                self.assertEqual(client.ask().status, 200)

    def test_a_client_without_alpn_speaks_http_1(self):
        proxy = self.spillway(self.tls())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with connect(proxy.port, tls=context) as client:
            self.assertEqual(client.socket.selected_alpn_protocol(), None)
            self.assertEqual(client.ask().status, 200)

    def test_a_listener_may_refuse_it(self):
        proxy = self.spillway(self.tls(http2=False))
        with connect(proxy.port, tls=client_context()) as client:
            self.assertEqual(client.socket.selected_alpn_protocol(), "http/1.1")
            self.assertEqual(client.ask().status, 200)

    def test_in_the_clear_it_is_off_unless_the_listener_says_so(self):
        proxy = self.spillway(config(self.server))
        with connect(proxy.port) as client:
            client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            self.assertIn(client.read_response().status, (400, 505))

    def test_both_versions_on_one_clear_listener(self):
        proxy = self.spillway(http2(self.server))
        self.assertEqual(self.client(proxy).ask().status, 200)
        with connect(proxy.port) as client:
            self.assertEqual(client.ask().status, 200)
            self.assertEqual(client.ask("POST", "/p", body=b"PRI * HTTP/2.0\r\n").status, 200)

    def test_a_preface_in_single_bytes_is_understood(self):
        proxy = self.spillway(http2(self.server))
        client = self.keep(Raw(proxy.port, greet=False))
        for byte in PREFACE + frame(SETTINGS):
            client.send(bytes([byte]))
        client.head(1)
        self.assertEqual(client.wait_status(1), 200)

    def test_methods_that_begin_like_the_preface_are_http_1(self):
        proxy = self.spillway(http2(self.server))
        for method in ("PUT", "POST", "PATCH"):
            with connect(proxy.port) as client:
                client.send(method[:1])
                client.send(method[1:] + " / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
                self.assertEqual(client.read_response().status, 200, method)

    def test_behind_a_proxy_header(self):
        proxy = self.spillway(http2(self.server, listeners=[{"address": "127.0.0.1:0", "http2": True, "proxy_protocol": True}]))
        client = self.keep(Raw(proxy.port, greet=False))
        client.send(b"PROXY TCP4 203.0.113.7 127.0.0.1 4000 80\r\n" + PREFACE + frame(SETTINGS))
        client.head(1)
        self.assertEqual(client.wait_status(1), 200)
        self.assertEqual(self.server.requests[0].get("x-forwarded-for"), "203.0.113.7")


class Messages(Http2):
    def setUp(self):
        self.server = self.origin()
        self.proxy = self.spillway(http2(self.server))
        self.http = self.client(self.proxy)

    def seen(self):
        return self.server.requests[-1]

    def test_get_and_post_on_one_connection(self):
        for i in range(20):
            answer = self.http.ask("GET", f"/{i}?q={i}")
            self.assertEqual((answer.status, answer.json()["path"]), (200, f"/{i}?q={i}"))
            answer = self.http.ask("POST", f"/{i}", body=b"body %d" % i)
            self.assertEqual((answer.status, answer.json()["body"]), (200, f"body {i}"))
        self.assertEqual(self.proxy.metric("spillway_connections_accepted_total"), 1)

    def test_a_head_has_the_length_and_no_body(self):
        answer = self.http.ask("HEAD", "/")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertGreater(int(answer.get("content-length")), 0)

    def test_other_methods(self):
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
            answer = self.http.ask(method, "/x", body=b"" if method == "PUT" else None)
            self.assertEqual((answer.status, answer.json()["method"]), (200, method))
        self.assertEqual(self.http.ask("OPTIONS", "*").json()["path"], "*")

    def test_a_method_that_nobody_knows_and_connect_are_501(self):
        self.assertEqual(self.http.ask("BREW", "/").status, 501)
        raw = self.keep(Raw(self.proxy.port))
        raw.head(1, [(":method", "CONNECT"), (":authority", "a:443")])
        self.assertEqual(raw.wait_status(1), 501)
        self.assertEqual(self.http.ask("GET", "/").status, 200)

    def test_what_the_origin_is_told(self):
        answer = self.http.ask("GET", "/", [("x-forwarded-for", "1.2.3.4"), ("x-real-ip", "1.2.3.4"), ("via", "2 other"),
                                            ("x-request-id", "mine"), ("user-agent", "test"), ("x-a", "1"), ("x-a", "2")])
        self.assertEqual(answer.status, 200)
        seen = self.seen()
        self.assertEqual(seen.get("host"), "test.example")
        self.assertEqual(seen.get("x-forwarded-for"), "127.0.0.1")
        self.assertEqual(seen.get("x-forwarded-proto"), "http")
        self.assertEqual(seen.get("x-forwarded-host"), "test.example")
        self.assertEqual(seen.get("x-real-ip"), None)
        self.assertEqual(seen.all("via"), ["2 other", "2.0 spillway"])
        self.assertNotEqual(seen.get("x-request-id"), "mine")
        self.assertEqual(seen.get("x-request-id"), answer.get("x-request-id"))
        self.assertEqual(seen.all("x-a"), ["1", "2"])
        self.assertEqual(seen.get("user-agent"), "test")
        self.assertFalse([name for name, _ in seen.headers if name.startswith(":")])

    def test_answers_have_no_fields_of_an_http_1_connection(self):
        server = self.scripted("HTTP/1.1 200 OK\r\nConnection: keep-alive, x-hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\n"
                               "Proxy-Connection: close\r\nX-Mixed-Case: Value\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
        answer = self.client(self.spillway(http2(server))).ask()
        self.assertEqual((answer.status, answer.body, answer.get("x-mixed-case")), (200, b"hi", "Value"))
        for name in ("connection", "keep-alive", "x-hop", "proxy-connection", "transfer-encoding"):
            self.assertEqual(answer.get(name), None, name)

    def test_cookie_crumbs_are_one_field_again(self):
        self.http.ask("GET", "/", [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")])
        self.assertEqual(self.seen().all("cookie"), ["a=1; b=2; c=3"])

    def test_several_set_cookie_fields_stay_several(self):
        server = self.origin(lambda _: (200, [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")], b""))
        self.assertEqual(self.client(self.spillway(http2(server))).ask().all("set-cookie"), ["a=1", "b=2"])

    def test_host_and_authority(self):
        self.assertEqual(self.http.ask(authority="one.example:8080").json()["headers"][0], ["Host", "one.example:8080"])
        self.assertEqual(self.http.ask(authority=None, headers=[("host", "two.example")]).status, 200)
        self.assertEqual(self.seen().all("host"), ["two.example"])
        self.assertEqual(self.http.ask(authority="same.example", headers=[("host", "same.example")]).status, 200)
        self.assertEqual(self.seen().all("host"), ["same.example"])
        count = len(self.server.requests)
        self.assertEqual(self.http.ask(authority="one.example", headers=[("host", "two.example")]).status, 400)
        self.assertEqual(self.http.ask(authority="user@one.example").status, 400)
        self.assertEqual(self.http.ask(authority="one example").over, True)
        self.assertEqual(len(self.server.requests), count)

    def test_a_refused_head_is_answered_without_a_body(self):
        answer = self.http.ask("HEAD", authority="one.example", headers=[("host", "two.example")])
        self.assertEqual((answer.status, answer.body), (400, b""))

    def test_204_and_304(self):
        server = self.origin(lambda request: (int(request.path[1:]), {"ETag": '"x"'}, b""))
        client = self.client(self.spillway(http2(server)))
        for status in (204, 304, 204):
            answer = client.ask("GET", f"/{status}")
            self.assertEqual((answer.status, answer.body, answer.get("etag"), answer.ended), (status, b"", '"x"', True))

    def test_an_empty_body_of_known_and_of_unknown_length(self):
        for head in ("Content-Length: 0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"):
            client = self.client(self.spillway(http2(self.scripted("HTTP/1.1 200 OK\r\n" + head))))
            for _ in range(3):
                answer = client.ask()
                self.assertEqual((answer.status, answer.body, answer.ended), (200, b"", True))

    def test_an_answer_that_ends_with_its_connection(self):
        server = self.scripted("HTTP/1.1 200 OK\r\n\r\nhello", lambda conversation: conversation.close())
        answer = self.client(self.spillway(http2(server))).ask()
        self.assertEqual((answer.status, answer.body, answer.ended), (200, b"hello", True))

    def test_large_bodies_both_ways(self):
        body = os.urandom(3_000_000)

        def answer(request):
            return 200, {"X-Sha": hashlib.sha256(request.body).hexdigest()}, request.body

        client = self.client(self.spillway(http2(self.origin(answer))))
        for _ in range(2):
            got = client.ask("POST", "/", body=body)
            self.assertEqual(got.get("x-sha"), hashlib.sha256(body).hexdigest())
            self.assertEqual(got.body, body)

    def test_a_body_with_a_length_has_it_at_the_origin_too(self):
        self.http.ask("POST", "/", [("content-length", "5")], body=b"hello")
        self.assertEqual((self.seen().get("content-length"), self.seen().get("transfer-encoding")), ("5", None))
        self.http.ask("POST", "/", body=b"hello")
        self.assertEqual((self.seen().get("content-length"), self.seen().get("transfer-encoding")), (None, "chunked"))
        self.http.ask("POST", "/", [("content-length", "0")], body=b"")
        self.assertEqual((self.seen().get("content-length"), self.seen().body), ("0", b""))

    def test_many_streams_at_once(self):
        streams = [self.http.start("POST", f"/{i}", end=False) for i in range(60)]
        for turn in range(3):
            for i, stream in enumerate(streams):
                self.http.send(stream, b"%d-%d;" % (i, turn), end=turn == 2)
        for i, stream in enumerate(streams):
            self.assertEqual(self.http.wait(stream).json()["body"], f"{i}-0;{i}-1;{i}-2;")

    def test_streams_beyond_the_limit_are_refused(self):
        server = self.held()
        proxy = self.spillway(http2(server, clients={"http2": {"streams": 3}}))
        client = self.client(proxy)
        client.until(lambda: client.h2.remote_settings.max_concurrent_streams == 3, "the limit")
        raw = self.keep(Raw(proxy.port))
        for number in (1, 3, 5, 7):
            raw.head(number)
        self.assertEqual(raw.wait(lambda got: got.kind in (RST_STREAM, GOAWAY), "a refusal").code in (7, 1), True)
        server.go.set()
        self.assertEqual([client.wait(client.start()).status for _ in range(5)], [200] * 5)


class Trailers(Http2):
    def test_of_an_answer(self):
        server = self.scripted("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\n"
                               "X-Sum: 5\r\nServer: other\r\n\r\n")
        client = self.client(self.spillway(http2(server)))
        for _ in range(3):
            answer = client.ask()
            self.assertEqual((answer.body, answer.trailers, answer.ended), (b"hello", [("x-sum", "5")], True))

    def test_of_an_answer_without_a_body(self):
        server = self.scripted("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nGrpc-Status: 0\r\n\r\n")
        answer = self.client(self.spillway(http2(server))).ask()
        self.assertEqual((answer.body, answer.trailers), (b"", [("grpc-status", "0")]))

    def test_of_a_request(self):
        server = self.scripted("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        client = self.client(self.spillway(http2(server)))
        for body in (b"hello", None):
            self.assertEqual(client.ask("POST", "/", [("te", "trailers")], body=body, trailers=[("x-sum", "5")]).status, 200)
            self.assertEqual((server.requests[-1].body, server.requests[-1].trailers), (body or b"", [("x-sum", "5")]))

    def test_of_a_request_that_are_too_large_are_431(self):
        server = self.scripted("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        proxy = self.spillway(http2(server, clients={"sizes": {"head": "2KiB", "target": "1KiB"}}))
        client = self.client(proxy)
        answer = client.ask("POST", "/", body=b"x", trailers=[(f"x-{i}", "y" * 100) for i in range(30)])
        self.assertEqual(answer.status, 431)
        self.assertEqual(client.ask("POST", "/", body=b"x").status, 200)


class Interim(Http2):
    def test_heads_are_passed_on_in_order(self):
        server = self.scripted("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n"
                               "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        answer = self.client(self.spillway(http2(server))).ask()
        self.assertEqual([dict(head)[":status"] for head in answer.interim], ["103", "103"])
        self.assertEqual([dict(head)["link"] for head in answer.interim], ["</a>", "</b>"])
        self.assertEqual((answer.status, answer.body), (200, b"ok"))

    def test_expect_100_continue(self):
        def play(conversation, _):
            request = conversation.read_request(body=False)
            self.assertEqual(request.get("expect"), "100-continue")
            conversation.send("HTTP/1.1 100 Continue\r\n\r\n")
            conversation.read(5)
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        client = self.client(self.spillway(http2(self.raw_origin(play))))
        stream = client.start("POST", "/", [("expect", "100-continue"), ("content-length", "5")], end=False)
        client.until(lambda: stream.interim, "100")
        self.assertEqual(dict(stream.interim[0])[":status"], "100")
        client.send(stream, b"hello", end=True)
        self.assertEqual(client.wait(stream).status, 200)

    def test_expect_that_the_origin_refuses(self):
        def play(conversation, _):
            conversation.read_request(body=False)
            conversation.send("HTTP/1.1 413 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")

        client = self.client(self.spillway(http2(self.raw_origin(play))))
        stream = client.start("POST", "/", [("expect", "100-continue"), ("content-length", "5")], end=False)
        client.wait(stream)
        self.assertEqual((stream.status, stream.body), (413, b"no"))
        client.until(lambda: stream.reset is not None or client.pings, "the reset")
        self.assertEqual(stream.reset, NO_ERROR)

    def test_expect_of_anything_else_is_417(self):
        server = self.origin()
        client = self.client(self.spillway(http2(server)))
        self.assertEqual(client.ask("POST", "/", [("expect", "200-ok")], body=b"x").status, 417)
        self.assertEqual(server.requests, [])


class Rules(Http2):
    def ask_all(self, rules, *asks, **more):
        self.server = self.origin()
        self.proxy = self.spillway(http2(self.server, rules=rules, **more))
        client = self.client(self.proxy)
        return [client.ask(*ask[:1], **ask[1]) if isinstance(ask, tuple) else client.ask("GET", ask) for ask in asks]

    def test_deny_redirect_respond_and_forward(self):
        answers = self.ask_all([
            {"name": "no", "match": {"path": "/no"}, "action": "deny"},
            {"name": "away", "match": {"path": "/away"}, "action": {"redirect": "https://other.example/"}},
            {"name": "robots", "match": {"path": "/robots.txt"}, "action": {"respond": {"body": "none", "headers": {"X-A": "b"}}}}],
            "/no", "/away", "/robots.txt", "/other")
        self.assertEqual([answer.status for answer in answers], [403, 302, 200, 200])
        self.assertEqual(answers[1].get("location"), "https://other.example/")
        self.assertEqual((answers[2].body, answers[2].get("x-a")), (b"none", "b"))
        self.assertEqual(answers[0].get("connection"), None)
        self.assertEqual(len(self.server.requests), 1)

    def test_conditions_see_names_in_any_case_and_the_version(self):
        answers = self.ask_all([
            {"name": "version", "match": {"protocol": "HTTP/2.0", "path": "/two"}, "action": {"deny": {"status": 410}}},
            {"name": "old", "match": {"protocol": "HTTP/1.1"}, "action": "deny"},
            {"name": "agent", "match": {"header.User-Agent": "bad"}, "action": {"deny": {"status": 451}}},
            {"name": "host", "match": {"host": "wrong.example"}, "action": {"deny": {"status": 421}}},
            {"name": "cookie", "match": {"cookie.b": "2"}, "action": {"deny": {"status": 418}}}],
            "/two", ("GET", {"headers": [("user-agent", "bad")]}), ("GET", {"authority": "WRONG.example:80"}),
            ("GET", {"headers": [("cookie", "a=1"), ("cookie", "b=2")]}), "/fine")
        self.assertEqual([answer.status for answer in answers], [410, 451, 421, 418, 200])

    def test_a_limit_and_its_fields(self):
        answers = self.ask_all([{"name": "few", "action": {"limit": "few"}}], "/", "/", "/",
                               limits={"few": {"key": "client.address", "rate": "1/m", "burst": 2}})
        self.assertEqual([answer.status for answer in answers], [200, 200, 429])
        self.assertTrue(int(answers[2].get("retry-after")) > 0)
        self.assertIn("r=0", answers[2].get("ratelimit"))

    def test_a_challenge_is_asked_and_solved_over_it(self):
        client_headers = [("accept", "text/html"), ("user-agent", "Mozilla/5.0"), ("sec-fetch-mode", "navigate"),
                          ("sec-fetch-dest", "document")]
        answers = self.ask_all([{"name": "prove", "action": {"challenge": "cookie"}}], ("GET", {"headers": client_headers}))
        first = answers[0]
        cookie = (first.get("set-cookie") or "").split(";")[0]
        self.assertTrue(cookie, first)
        client = self.client(self.proxy)
        for _ in range(5):  # by way of the page that the answer leads to
            location = first.get("location")
            if first.status == 200 and b'"path"' in first.body:
                break
            first = client.ask("GET", location or "/", headers=client_headers + [("cookie", cookie)])
            cookie = (first.get("set-cookie") or cookie).split(";")[0]
        self.assertEqual(first.json()["path"], "/")

    def test_tags_and_the_protocol_are_logged(self):
        self.ask_all([{"name": "mark", "action": {"tag": "seen"}}], "/logged?x=1")
        record = self.proxy.wait_record(lambda record: record.get("path") == "/logged")
        self.assertEqual((record["protocol"], record["tags"], record["status"], record["host"]),
                         ("HTTP/2.0", ["seen"], 200, "test.example"))

    def test_drop_resets_the_stream_only(self):
        answers = self.ask_all([{"name": "drop", "match": {"path": "/drop"}, "action": "drop"}], "/", "/drop", "/")
        self.assertEqual([answer.status for answer in answers], [200, None, 200])
        self.assertEqual(answers[1].reset, INTERNAL_ERROR)

    def test_errors_that_the_pool_hides(self):
        server = self.origin(lambda request: (500, {"X-Secret": "1"}, b"a stack trace"))
        proxy = self.spillway(http2(server, app={"errors": {"hide": [500]}}))
        answer = self.client(proxy).ask()
        self.assertEqual(answer.status, 500)
        self.assertNotIn(b"stack", answer.body)
        self.assertEqual(answer.get("x-secret"), None)

    def test_a_head_may_be_as_large_as_it_may_be_over_http_1(self):
        server = self.scripted("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        client = self.client(self.spillway(http2(server, clients={"sizes": {"head": "512KiB"}})))
        self.assertEqual(client.ask(headers=[(f"x-{i}", "v" * 5000) for i in range(90)]).status, 200)
        self.assertEqual(client.ask(headers=[(f"x-{i}", "v" * 6000) for i in range(90)]).status, 431)

    def test_heads_beyond_the_limits(self):
        server = self.origin()
        client = self.client(self.spillway(http2(server, clients={"sizes": {"head": "4KiB", "headers": 20, "target": "1KiB"}})))
        self.assertEqual(client.ask("GET", "/" + "x" * 2000).status, 414)
        self.assertEqual(client.ask("GET", "/", [("x-long", "y" * 4200)]).status, 431)
        self.assertEqual(client.ask("GET", "/", [(f"x-{i}", "y") for i in range(30)]).status, 431)
        self.assertEqual(client.ask("GET", "/", [("cookie", f"c{i}=1") for i in range(30)]).status, 431)
        self.assertEqual(client.ask("GET", "/", [(f"x-{i}", "y") for i in range(10)]).status, 200)
        self.assertEqual(len(server.requests), 1)

    def test_bodies_beyond_the_limit(self):
        server = self.origin()
        client = self.client(self.spillway(http2(server, clients={"sizes": {"body": "10KiB"}})))
        self.assertEqual(client.ask("POST", "/", [("content-length", "20000")], body=b"x" * 20000).status, 413)
        self.assertEqual(client.ask("POST", "/", body=b"x" * 20000).status, 413)
        self.assertEqual(client.ask("POST", "/", body=b"x" * 10000).status, 200)
        self.assertEqual(len([request for request in server.requests if len(request.body) == 10000]), 1)


class Trouble(Http2):
    def test_an_origin_that_dies_in_the_middle_resets_its_stream_only(self):
        go = threading.Event()

        def play(conversation, _):
            while True:
                request = conversation.read_request()
                if request.target == "/dies":
                    conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
                    go.wait(PATIENCE)
                    return conversation.abort()
                go.wait(PATIENCE)
                conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        client = self.client(self.spillway(http2(self.raw_origin(play))))
        lives, dies = client.start("GET", "/lives"), client.start("GET", "/dies")
        client.until(lambda: dies.body == b"half", "half of the answer")
        go.set()
        client.wait(dies)
        self.assertEqual((dies.status, dies.reset), (200, INTERNAL_ERROR))
        self.assertEqual((client.wait(lives).status, lives.body), (200, b"ok"))
        self.assertEqual(client.ask().status, 200)

    def test_an_origin_that_cuts_its_chunks_short(self):
        server = self.scripted("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", lambda c: c.close())
        answer = self.client(self.spillway(http2(server))).ask()
        self.assertEqual((answer.status, answer.reset, answer.ended), (200, INTERNAL_ERROR, False))

    def test_an_origin_that_is_not_there_is_502(self):
        client = self.client(self.spillway(http2("127.0.0.1:1")))
        self.assertEqual([client.ask().status for _ in range(3)], [502] * 3)

    def test_nonsense_from_the_origin_is_502(self):
        client = self.client(self.spillway(http2(self.scripted("nonsense\r\n\r\n"), app={"ejection": {"consecutive_errors": 0}})))
        self.assertEqual([client.ask().status for _ in range(3)], [502] * 3)

    def test_a_large_answer_head_passes(self):
        lines = "".join(f"X-{i}: {'y' * 1000}\r\n" for i in range(90))
        server = self.scripted(f"HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\nok")
        client = self.client(self.spillway(http2(server, app={"response_head": "256KiB"})))
        client.h2.decoder.max_header_list_size = 1 << 20
        answer = client.ask()
        self.assertEqual((answer.status, answer.body, len(answer.headers) >= 90), (200, b"ok", True))

    def test_a_client_that_cancels_ends_the_request_at_the_origin(self):
        left = threading.Event()

        def play(conversation, _):
            conversation.read_request()
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nfirst")
            if conversation.at_end():
                left.set()

        proxy = self.spillway(http2(self.raw_origin(play)))
        client = self.client(proxy)
        stream = client.start()
        client.until(lambda: stream.body == b"first", "the first bytes")
        client.reset(stream)
        self.assertTrue(left.wait(PATIENCE))
        record = proxy.wait_record(lambda record: record.get("path") == "/")
        self.assertEqual(record["end"], "client left")
        eventually(lambda: proxy.metric("spillway_client_aborts_total") == 1, "the count")

    def test_a_client_that_cancels_before_the_answer(self):
        left = threading.Event()

        def play(conversation, _):
            conversation.read_request()
            if conversation.at_end():
                left.set()

        server = self.raw_origin(play)
        proxy = self.spillway(http2(server, app={"concurrency": "off"}))
        client = self.client(proxy)
        stream = client.start()
        eventually(lambda: server.requests, "the request")
        client.reset(stream)
        self.assertTrue(left.wait(PATIENCE))
        proxy.wait_record(lambda record: record.get("end") == "client left")

    def test_a_client_that_goes_ends_all_its_requests(self):
        server = self.held()
        proxy = self.spillway(http2(server, workers=1))
        client = self.client(proxy)
        for i in range(10):
            client.start("GET", f"/{i}")
        eventually(lambda: len(server.requests) == 10, "ten requests")
        client.close()
        eventually(lambda: len([record for record in proxy.records() if record["end"] == "client left"]) == 10, "ten log lines")
        server.go.set()
        self.assertEqual(proxy.metric("spillway_connections_open"), 0)

    def test_an_early_answer_stops_the_upload(self):
        """RFC 9113 8.1: the answer in full, then RST_STREAM with NO_ERROR; the connection goes on."""
        server = self.origin()
        proxy = self.spillway(http2(server, rules=[{"name": "no", "match": {"path": "/no"}, "action": "deny"}]))
        client = self.client(proxy)
        for _ in range(3):
            stream = client.start("POST", "/no", end=False)
            client.send(stream, b"x" * 10_000)
            client.until(lambda: stream.reset is not None, "the reset")
            self.assertEqual((stream.status, stream.reset, stream.ended), (403, NO_ERROR, True))
            self.assertIn(b"403", stream.body)
        self.assertEqual(client.ask("POST", "/yes", body=b"x" * 200_000).status, 200)

    def test_uploads_that_nobody_reads_leak_no_window(self):
        """More than a connection's window of bytes for streams that are over: the connection stays usable."""
        proxy = self.spillway(http2(self.origin(), rules=[{"name": "no", "match": {"path": "/no"}, "action": "deny"}]))
        raw = self.keep(Raw(proxy.port))
        sent = 0
        for number in range(1, 81, 2):
            raw.head(number, request_fields("POST", "/no"), flags=4)
            for _ in range(3):
                raw.send(frame(DATA, 0, number, b"x" * 0x4000))
                sent += 0x4000
            raw.wait_ping()
        self.assertGreater(sent, 1_000_000)
        self.assertEqual(raw.goaways(), [])

    def test_finished_uploads_leak_no_window(self):
        client = self.client(self.spillway(http2(self.origin(lambda request: (200, {}, str(len(request.body)))))))
        for _ in range(30):
            self.assertEqual(client.ask("POST", "/", body=b"x" * 60_000).body, b"60000")


class Flow(Http2):
    def big(self, size=3_000_000):
        return self.origin(lambda request: (200, {}, b"x" * size if request.path == "/big" else b"small"))

    def test_a_stream_that_is_not_read_holds_up_no_other(self):
        proxy = self.spillway(http2(self.big(), workers=1))
        client = self.client(proxy, eager=False)
        client.h2.increment_flow_control_window(20_000_000)  # the connection's; the streams' is 64 KiB
        client.flush()
        slow = [client.start("GET", "/big") for _ in range(5)]
        client.until(lambda: all(len(stream.body) == 65535 for stream in slow), "full windows")
        for _ in range(20):
            self.assertEqual(client.ask("GET", "/small").body, b"small")
        for stream in slow:
            self.assertEqual((len(stream.body), stream.over), (65535, False))
            client.h2.increment_flow_control_window(3_000_000, stream.number)
            client.flush()
        for stream in slow:
            self.assertEqual(len(client.wait(stream).body), 3_000_000)

    @unittest.skipIf(SANITIZED, "memory is measured")
    def test_memory_is_bounded_while_nobody_reads(self):
        proxy = self.spillway(http2(self.big(8_000_000), workers=1))
        self.client(proxy).ask()
        before = proxy.rss()
        client = self.client(proxy, eager=False)
        streams = [client.start("GET", "/big") for _ in range(50)]
        client.until(lambda: sum(len(stream.body) for stream in streams) == 65535, "the connection's window")
        threading.Event().wait(0.5)
        self.assertLess(proxy.rss() - before, 30 << 20)
        self.assertEqual(self.client(proxy).ask("GET", "/small").body, b"small")

    def test_a_tiny_window_gets_every_byte(self):
        body = os.urandom(3000)
        server = self.origin(lambda _: (200, {}, body))
        client = self.client(self.spillway(http2(server)), settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 7})
        self.assertEqual(client.ask().body, body)

    def test_a_window_that_fits_exactly_still_ends(self):
        server = self.scripted("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                               lambda _: threading.Event().wait(0.1), "0\r\n\r\n")
        client = self.client(self.spillway(http2(server)), eager=False,
                             settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 5})
        stream = client.start()
        client.until(lambda: stream.body == b"hello", "the body")
        client.grant(stream, 1)
        self.assertTrue(client.wait(stream).ended)

    def test_a_slow_origin_closes_the_window(self):
        """What an origin does not take, the client is not asked for."""
        go = threading.Event()

        def play(conversation, _):
            conversation.read_head()
            go.wait(PATIENCE * 3)
            got = 0
            while got < 8_000_000:
                size = len(conversation.socket.recv(1 << 16)) if not conversation.buffer else len(conversation.buffer)
                conversation.buffer = b""
                self.assertTrue(size)
                got += size
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        proxy = self.spillway(http2(self.raw_origin(play), workers=1))
        client = self.client(proxy)
        stream = client.start("POST", "/", [("content-length", "8000000")], end=False)
        sent, rest = 0, 8_000_000
        client.socket.settimeout(1 * SLOWNESS)
        try:
            while rest:
                size = min(rest, client.h2.local_flow_control_window(stream.number), 16384)
                if size == 0:
                    client.h2.receive_data(client.socket.recv(65536))
                    continue
                client.h2.send_data(stream.number, b"x" * size, end_stream=size == rest)
                client.flush()
                sent, rest = sent + size, rest - size
            self.fail("all of it was taken")
        except TimeoutError:
            pass
        self.assertLess(sent, 7_500_000)  # the kernel's buffers, and one window
        client.socket.settimeout(PATIENCE)
        go.set()
        client.send(stream, b"x" * rest, end=True)
        self.assertEqual(client.wait(stream).status, 200)

    def test_priorities_do_not_starve_a_stream_to_death(self):
        """A stream that waits for others of its connection is not taken for one that its client does not read."""
        go = threading.Event()

        def play(conversation, _):
            request = conversation.read_request()
            if request.target == "/small":
                return conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + "s" * 100_000) or go.wait(PATIENCE)
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 40000000\r\n\r\n")
            try:
                for _ in range(400):
                    conversation.send(b"b" * 100_000)
            except OSError:
                pass

        proxy = self.spillway(http2(self.raw_origin(play), workers=1, clients={"timeouts": {"write": f"{SLOWNESS}s"}}))
        client = self.client(proxy, eager=False, receive_buffer=65536)
        client.h2.increment_flow_control_window(100_000_000)
        big = client.start("GET", "/big")
        client.h2.increment_flow_control_window(100_000_000, big.number)
        number = client.h2.get_next_available_stream_id()
        client.h2.send_headers(number, [(":method", "GET"), (":scheme", "http"), (":path", "/small"), (":authority", "a")],
                               end_stream=True, priority_depends_on=big.number, priority_exclusive=True)
        small = client.streams[number] = Stream(number)
        client.h2.increment_flow_control_window(1_000_000, number)
        client.flush()
        while not big.over and not client.ended:  # slower than it could, for longer than a write may take
            threading.Event().wait(0.004 * SLOWNESS)
            client.receive()
        self.assertEqual((len(big.body), big.reset), (40_000_000, None))
        client.wait(small)
        self.assertEqual((len(small.body), small.reset), (100_000, None))
        go.set()


class Time(Http2):
    def timed(self, server, **timeouts):
        self.proxy = self.spillway(http2(server, clients={"timeouts": timeouts}))
        return self.client(self.proxy)

    def test_a_body_that_stalls_is_408(self):
        client = self.timed(self.origin(), body="300ms")
        stream = client.start("POST", "/", end=False)
        client.send(stream, b"some")
        client.wait(stream)
        self.assertEqual(stream.status, 408)
        self.assertEqual(client.ask().status, 200)

    def test_an_answer_that_is_not_read_is_reset(self):
        client = self.timed(self.origin(lambda _: (200, {}, b"x" * 1_000_000)), write="300ms")
        client.eager = False
        stream = client.start()
        client.wait(stream)
        self.assertEqual((len(stream.body), stream.reset), (65535, INTERNAL_ERROR))
        self.proxy.wait_record(lambda record: record["end"] == "client too slow")

    def test_an_own_answer_that_is_not_read_is_reset(self):
        server = self.origin()
        self.proxy = self.spillway(http2(server, clients={"timeouts": {"write": "300ms"}}, rules=[
            {"name": "r", "action": {"respond": {"body": "y" * 1000}}}]))
        client = self.client(self.proxy, eager=False, settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 10})
        stream = client.wait(client.start())
        self.assertEqual((stream.body, stream.reset), (b"y" * 10, INTERNAL_ERROR))

    def test_an_end_that_finds_no_window_does_not_wait_for_ever(self):
        server = self.scripted("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                               lambda _: threading.Event().wait(0.1), "0\r\n\r\n")
        self.proxy = self.spillway(http2(server, clients={"timeouts": {"write": "300ms", "idle": "300ms"}}))
        client = self.client(self.proxy, eager=False, settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 5})
        stream = client.wait(client.start())
        self.assertIn((stream.body, stream.reset or 0, stream.ended), ((b"hello", INTERNAL_ERROR, False), (b"hello", 0, True)))
        client.read_to_end()  # nothing is left that would keep the connection

    def test_an_idle_connection_is_told_and_closed(self):
        client = self.timed(self.origin(), idle="300ms")
        self.assertEqual(client.ask().status, 200)
        client.read_to_end()
        self.assertEqual([code for code, _ in client.goaways], [NO_ERROR])

    def test_a_connection_that_only_pings_is_idle(self):
        client = self.timed(self.origin(), idle="600ms")
        began = time.monotonic()
        self.assertEqual(client.ask().status, 200)
        while not client.ended and time.monotonic() - began < PATIENCE:
            client.h2.ping(b"12345678")
            try:
                client.flush()
            except OSError:
                break
            client.receive()
            threading.Event().wait(0.05)
        self.assertLess(time.monotonic() - began, PATIENCE)

    def test_a_connection_with_a_stream_is_not_idle(self):
        server = self.held()
        client = self.timed(server, idle="200ms")
        stream = client.start()
        threading.Event().wait(0.6)
        server.go.set()
        self.assertEqual(client.wait(stream).status, 200)

    def test_a_head_that_is_not_finished_ends_the_connection(self):
        self.timed(self.origin(), head="400ms")
        raw = self.keep(Raw(self.proxy.port))
        raw.head(1, flags=1)
        self.assertEqual(raw.wait_goaway(), 1)
        eventually(lambda: self.proxy.metric("spillway_client_timeouts_total") == 1, "the count")

    def test_continuations_do_not_wind_the_clock_up(self):
        self.timed(self.origin(), head="600ms")
        raw = self.keep(Raw(self.proxy.port))
        began = time.monotonic()
        raw.head(1, flags=1)
        for _ in range(6):
            threading.Event().wait(0.2)
            if not raw.send(frame(9, 0, 1)):
                break
        raw.read_to_end()
        self.assertLess(time.monotonic() - began, 4)

    def test_an_origin_that_is_silent_is_504(self):
        server = self.held()
        proxy = self.spillway(http2(server, app={"timeouts": {"first_byte": "300ms"}}))
        client = self.client(proxy)
        self.assertEqual(client.ask().status, 504)
        server.go.set()


class Endings(Http2):
    def test_max_requests_sends_the_client_away_without_loss(self):
        proxy = self.spillway(http2(self.origin(), clients={"max_requests": 5}))
        client = self.client(proxy)
        self.assertEqual([client.ask().status for _ in range(5)], [200] * 5)
        client.read_to_end()
        self.assertEqual([code for code, _ in client.goaways], [NO_ERROR] * 2)
        self.assertEqual([last for _, last in client.goaways], [2**31 - 1, 9])

    def test_drain_finishes_what_is_under_way(self):
        server = self.held()
        proxy = self.spillway(http2(server))
        client = self.client(proxy)
        streams = [client.start("GET", f"/{i}") for i in range(10)]
        eventually(lambda: len(server.requests) == 10, "ten requests")
        proxy.signal(signal.SIGTERM)
        client.until(lambda: client.goaways, "GOAWAY")
        server.go.set()
        for stream in streams:
            self.assertEqual((client.wait(stream).status, stream.body), (200, b"done"))
        client.read_to_end()
        self.assertEqual(proxy.wait(), 0)

    def test_drain_under_load_fails_no_stream(self):
        server = self.origin(lambda _: (200, {}, b"fine"))
        proxy = self.spillway(http2(server))
        failed, done, stop = [], [0], threading.Event()

        def load():
            while not stop.is_set():
                try:
                    client = Client(proxy.port)
                except OSError:
                    return  # it listens no more
                try:
                    while not stop.is_set() and not client.ended and not client.goaways:
                        streams = [client.start("GET", "/") for _ in range(10)]
                        for stream in streams:
                            while not stream.over and not client.ended:
                                client.receive()
                            last = client.goaways[-1][1] if client.goaways else 2**31 - 1
                            if stream.number <= last and (stream.status, stream.body, stream.ended) != (200, b"fine", True):
                                failed.append((repr(stream), client.goaways, client.ended))
                            done[0] += 1
                except Exception as error:
                    if not client.goaways:
                        failed.append(repr(error))
                finally:
                    client.close()

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        eventually(lambda: done[0] > 200, "some load")
        proxy.signal(signal.SIGTERM)
        code = proxy.wait()
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual(failed[:3], [])
        self.assertEqual(code, 0)

    def test_streams_on_their_way_are_taken_after_the_first_notice(self):
        proxy = self.spillway(http2(self.origin(), clients={"max_requests": 2}))
        raw = self.keep(Raw(proxy.port))
        raw.head(1)
        raw.head(3)
        raw.wait(lambda got: got.kind == GOAWAY, "the notice")
        raw.head(5)
        self.assertEqual(raw.wait_status(5), 200)
        raw.read_to_end()
        self.assertEqual([got.last_stream for got in raw.frames if got.kind == GOAWAY], [2**31 - 1, 5])

    def test_an_early_answer_over_tls(self):
        certificate, key = make_certificate(self.directory(), "test.example")

        def play(conversation, _):
            conversation.read_request(body=False)
            conversation.send("HTTP/1.1 413 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")

        proxy = self.spillway(http2(self.raw_origin(play), listeners=[
            {"address": "127.0.0.1:0", "tls": [{"certificate": certificate, "key": key}]}]))
        client = self.client(proxy, tls=client_context())
        for _ in range(3):
            stream = client.start("POST", "/", [("content-length", "5")], end=False)
            client.until(lambda: stream.reset is not None, "the reset")
            self.assertEqual((stream.status, stream.body, stream.reset), (413, b"no", NO_ERROR))

    def test_a_reload_keeps_open_streams(self):
        server = self.held()
        settings = http2(server)
        proxy = self.spillway(settings)
        client = self.client(proxy)
        stream = client.start("POST", "/", end=False)
        client.send(stream, b"before ")
        settings["rules"] = [{"name": "no", "match": {"path": "/no"}, "action": "deny"}]
        proxy.configure(settings)
        self.assertEqual(proxy.reload()[0], 200)
        self.assertEqual(client.ask("GET", "/no").status, 403)
        client.send(stream, b"after", end=True)
        server.go.set()
        self.assertEqual((client.wait(stream).status, server.requests[0].body), (200, b"before after"))

    def test_a_client_that_says_goaway_gets_its_answers(self):
        server = self.held()
        proxy = self.spillway(http2(server))
        raw = self.keep(Raw(proxy.port))
        raw.head(1)
        eventually(lambda: server.requests, "the request")
        raw.send(frame(GOAWAY, payload=b"\0" * 8))
        server.go.set()
        self.assertEqual(raw.wait_status(1), 200)
        raw.read_to_end()


class WebSocket(Http2):
    """RFC 8441."""

    def echo(self, accept=True, closes=False):
        def play(conversation, _):
            request = conversation.read_request()
            self.seen = request
            key = request.get("sec-websocket-key")
            accepted = base64.b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
            conversation.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              f"Sec-WebSocket-Accept: {accepted}\r\nSec-WebSocket-Protocol: chat\r\n\r\nhello")
            while not closes:
                data = conversation.socket.recv(65536)
                if not data:
                    break
                conversation.send(data)
        return self.raw_origin(play)

    def open(self, proxy, **more):
        client = self.client(proxy, **more)
        client.until(lambda: client.h2.remote_settings.get(8) == 1, "the offer of extended CONNECT")
        return client, client.start("CONNECT", "/chat?a=b", [("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat"),
                                                             ("origin", "http://test.example")], end=False, protocol="websocket")

    def test_bytes_pass_both_ways_until_both_have_ended(self):
        proxy = self.spillway(http2(self.echo(), workers=1))
        for _ in range(3):
            client, stream = self.open(proxy)
            client.until(lambda: stream.body == b"hello", "what came with the 101")
            self.assertEqual((stream.status, stream.get("sec-websocket-protocol")), (200, "chat"))
            self.assertEqual((stream.get("sec-websocket-accept"), stream.get("upgrade"), stream.get("connection")), (None,) * 3)
            client.send(stream, b"one")
            client.until(lambda: stream.body == b"helloone", "the echo")
            client.send(stream, b"two", end=True)
            self.assertEqual((client.wait(stream).body, stream.ended), (b"helloonetwo", True))
            client.close()
        self.assertEqual((self.seen.method, self.seen.target, self.seen.get("upgrade"), self.seen.get("host")),
                         ("GET", "/chat?a=b", "websocket", "test.example"))
        self.assertEqual(self.seen.get("connection").lower(), "upgrade")
        self.assertEqual(len(base64.b64decode(self.seen.get("sec-websocket-key"))), 16)
        self.assertEqual([name for name, _ in self.seen.headers if name.startswith(":")], [])
        record = proxy.wait_record(lambda record: record.get("path") == "/chat")
        self.assertEqual((record["status"], record["protocol"]), (101, "HTTP/2.0"))

    def test_large_messages_come_back_whole(self):
        client, stream = self.open(self.spillway(http2(self.echo())))
        data = os.urandom(1_000_000)
        for at in range(0, len(data), 50_000):
            client.send(stream, data[at:at + 50_000])
        client.until(lambda: len(stream.body) == 1_000_005, "the echo")
        self.assertEqual(stream.body[5:], data)

    def test_other_streams_go_on_beside_it(self):
        server, echo = self.origin(), self.echo()
        proxy = self.spillway(http2(server, pools={"app": {"servers": [f"127.0.0.1:{server.port}"]},
                                                   "chat": {"servers": [f"127.0.0.1:{echo.port}"]}},
                                    rules=[{"name": "chat", "match": {"path": "/chat"}, "action": {"pool": "chat"}}]))
        client, stream = self.open(proxy)
        for i in range(10):
            self.assertEqual(client.ask("GET", f"/{i}").status, 200)
            client.send(stream, b"%d" % i)
        client.until(lambda: stream.body == b"hello0123456789", "the echo")

    def test_an_end_by_the_origin_ends_the_stream(self):
        client, stream = self.open(self.spillway(http2(self.echo(closes=True), clients={"timeouts": {"idle": "300ms"}})))
        client.wait(stream)
        self.assertEqual((stream.body, stream.ended), (b"hello", True))
        client.finish(stream)
        client.read_to_end()  # the stream is forgotten: the connection is idle, and ends

    def test_a_client_that_resets_a_half_ended_tunnel(self):
        for code in (NO_ERROR, CANCEL):
            proxy = self.spillway(http2(self.echo(closes=True), clients={"timeouts": {"idle": "300ms"}}))
            client, stream = self.open(proxy)
            client.wait(stream)
            client.reset(stream, code)
            client.read_to_end()
            proxy.wait_record(lambda record: record.get("path") == "/chat")

    def test_a_client_that_resets_it_closes_the_origins_connection(self):
        left = threading.Event()

        def play(conversation, _):
            conversation.read_request()
            conversation.send("HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            if conversation.at_end():
                left.set()

        client, stream = self.open(self.spillway(http2(self.raw_origin(play))))
        client.until(lambda: stream.status, "the tunnel")
        client.reset(stream)
        self.assertTrue(left.wait(PATIENCE))

    def test_a_key_of_the_clients_is_the_only_one(self):
        proxy = self.spillway(http2(self.echo()))
        client = self.client(proxy)
        stream = client.start("CONNECT", "/", [("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")], end=False, protocol="websocket")
        client.until(lambda: stream.body == b"hello", "the tunnel")
        self.assertEqual(self.seen.all("sec-websocket-key"), ["dGhlIHNhbXBsZSBub25jZQ=="])

    def test_an_upgrade_that_the_origin_refuses(self):
        server = self.scripted("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        client, stream = self.open(self.spillway(http2(server)))
        client.wait(stream)
        self.assertEqual((stream.status, stream.body), (403, b"no"))

    def test_a_plain_200_is_no_tunnel(self):
        server = self.scripted("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        client, stream = self.open(self.spillway(http2(server)))
        self.assertEqual(client.wait(stream).status, 502)

    def test_an_own_answer_is_no_tunnel(self):
        proxy = self.spillway(http2(self.origin(), rules=[{"name": "r", "action": {"respond": {"body": "x"}}}]))
        client, stream = self.open(proxy)
        self.assertEqual(client.wait(stream).status, 502)

    def test_a_rule_may_refuse_it(self):
        proxy = self.spillway(http2(self.echo(), rules=[{"name": "no", "match": {"path": "/chat"}, "action": "deny"}]))
        client, stream = self.open(proxy)
        self.assertEqual(client.wait(stream).status, 403)

    def test_another_protocol_is_501(self):
        client = self.client(self.spillway(http2(self.echo())))
        stream = client.start("CONNECT", "/", end=False, protocol="connect-udp")
        self.assertEqual(client.wait(stream).status, 501)

    def test_a_silent_tunnel_ends(self):
        proxy = self.spillway(http2(self.echo(), clients={"timeouts": {"tunnel": "1s"}}))
        client, stream = self.open(proxy)
        client.until(lambda: stream.body, "hello")
        client.wait(stream)
        proxy.wait_record(lambda record: record["end"] == "tunnel idle")
        self.assertEqual((stream.reset, client.ended), (CANCEL, False))

    def test_a_burst_and_its_end_reach_a_slow_origin(self):
        """The window's last byte and the end come while the origin takes nothing."""
        go, got = threading.Event(), []

        def play(conversation, _):
            conversation.read_request()
            conversation.send("HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            go.wait(PATIENCE)
            got.append(len(conversation.read_to_end()))

        client, stream = self.open(self.spillway(http2(self.raw_origin(play), workers=1)))
        client.until(lambda: stream.status, "the tunnel")
        client.socket.settimeout(0.5 * SLOWNESS)
        sent = 0
        try:
            while sent < 30_000_000:
                size = min(client.h2.local_flow_control_window(stream.number), 16384)
                if size == 0:
                    client.h2.receive_data(client.socket.recv(65536))
                    continue
                client.h2.send_data(stream.number, b"x" * size)
                client.flush()
                sent += size
        except TimeoutError:
            pass
        client.socket.settimeout(PATIENCE)
        client.finish(stream)
        client.h2.ping(b"12345678")
        client.flush()
        client.until(lambda: client.pings, "a PING")
        go.set()
        eventually(lambda: got == [sent], f"{sent} bytes, not {got}")


if __name__ == "__main__":
    main()
