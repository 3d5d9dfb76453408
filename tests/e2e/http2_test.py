# SPDX-License-Identifier: MIT
"""HTTP/2 as clients live with it: how it is chosen, what passes, what the origin sees of it, and what rules make of it."""

import hashlib
import os
import ssl

from harness import config, connect, main
from http2_case import Http2, http2
from http2_client import GOAWAY, INTERNAL_ERROR, NO_ERROR, PREFACE, RST_STREAM, SETTINGS, Raw, client_context, frame
from tls_test import make_certificate


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


if __name__ == "__main__":
    main()
