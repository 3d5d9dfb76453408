# SPDX-License-Identifier: MIT
"""HTTP/1 between a client and an upstream: what must arrive as it was sent, and what must not pass."""

import socket
import threading

from harness import Case, ask, config, connect, eventually, main


def serve(*responses):
    """Plays these raw responses, one for each request, whatever connection it comes over."""
    lock, left = threading.Lock(), list(responses)

    def play(conversation, _):
        while True:
            conversation.read_request()
            with lock:
                response = left.pop(0) if len(left) > 1 else left[0]
            conversation.send(response)

    return play


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Requests(Case):
    def setUp(self):
        self.server = self.origin()
        self.proxy = self.spillway(config(self.server))

    def test_get_arrives_with_its_target_and_fields(self):
        seen = ask(self.proxy.port, target="/a/../b%2F;x=1?q=%20&r", headers={"X-One": "1", "Accept": "*/*"}).json()
        self.assertEqual(seen["method"], "GET")
        self.assertEqual(seen["path"], "/a/../b%2F;x=1?q=%20&r")
        self.assertIn(["X-One", "1"], seen["headers"])
        self.assertIn(["Host", "test.example"], seen["headers"])

    def test_post_bodies_arrive_whole(self):
        for size in (0, 1, 4095, 65536, 1_000_003):
            body = bytes(i % 251 for i in range(size))
            ask(self.proxy.port, "POST", body=body)
            self.assertEqual(self.server.requests[-1].body, body)
            self.assertEqual(self.server.requests[-1].get("content-length"), str(size))

    def test_chunked_request_arrives_whole(self):
        with connect(self.proxy.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "5;ext=1\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n")
            self.assertEqual(client.read_response().json()["body"], "hello world")
        self.assertEqual(self.server.requests[-1].get("transfer-encoding"), "chunked")
        self.assertIsNone(self.server.requests[-1].get("content-length"))

    def test_all_usual_methods_pass(self):
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            self.assertEqual(ask(self.proxy.port, method).json()["method"], method)

    def test_absolute_form_is_sent_on_in_origin_form_with_its_host(self):
        seen = ask(self.proxy.port, target="http://other.example/p?q", host="ignored.example").json()
        self.assertEqual(seen["path"], "/p?q")
        self.assertIn(["Host", "other.example"], seen["headers"])

    def test_hop_by_hop_fields_stay_on_their_hop(self):
        seen = ask(self.proxy.port, headers=[
            ("Connection", "keep-alive, X-Private"), ("X-Private", "secret"), ("Keep-Alive", "timeout=5"),
            ("Proxy-Connection", "keep-alive"), ("TE", "gzip"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAAA"),
            ("Proxy-Authorization", "Basic eA==")]).json()
        names = [name.lower() for name, _ in seen["headers"]]
        for gone in ("x-private", "keep-alive", "proxy-connection", "upgrade", "http2-settings", "te"):
            self.assertNotIn(gone, names)

    def test_connection_cannot_remove_what_the_proxy_relies_on(self):
        seen = ask(self.proxy.port, headers=[("Connection", "close, Host, X-Forwarded-For, Content-Length")],
                   method="POST", body=b"abc").json()
        names = [name.lower() for name, _ in seen["headers"]]
        self.assertIn("host", names)
        self.assertIn("x-forwarded-for", names)
        self.assertEqual(seen["body"], "abc")

    def test_upstream_learns_who_asked_and_how(self):
        ask(self.proxy.port, source="127.0.0.9")
        request = self.server.requests[-1]
        self.assertEqual(request.all("x-forwarded-for"), ["127.0.0.9"])
        self.assertEqual(request.all("x-forwarded-proto"), ["http"])
        self.assertEqual(request.all("x-forwarded-host"), ["test.example"])
        self.assertIn("spillway", request.get("via").lower())
        self.assertTrue(request.get("via").startswith("1.1 "))

    def test_forwarding_fields_of_a_stranger_are_replaced(self):
        ask(self.proxy.port, headers=[("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "https"),
                                      ("X-Forwarded-Host", "evil.example"), ("Forwarded", "for=203.0.113.7"),
                                      ("X-Real-IP", "203.0.113.7"), ("CF-Connecting-IP", "203.0.113.7"),
                                      ("X-Original-URL", "http://evil.example/"), ("X-Forwarded-Prefix", "evil.example")])
        request = self.server.requests[-1]
        self.assertNotIn("203.0.113.7", str(request.headers))
        self.assertNotIn("evil.example", str(request.headers))
        self.assertEqual(request.all("x-forwarded-proto"), ["http"])

    def test_names_with_underscores_are_not_passed_on(self):
        ask(self.proxy.port, headers=[("X_Forwarded_Prefix", "evil"), ("X_User", "evil"), ("Content_Length", "5"), ("X-User", "good")])
        request = self.server.requests[-1]
        self.assertNotIn("evil", str(request.headers))
        self.assertEqual(request.all("x-user"), ["good"])
        self.assertNotIn("_", "".join(name for name, _ in request.headers))

    def test_each_request_has_an_id_of_its_own_over_all_workers(self):
        ids = set()
        for _ in range(100):
            response = ask(self.proxy.port)
            self.assertEqual(self.server.requests[-1].get("x-request-id"), response.get("x-request-id"))
            ids.add(self.server.requests[-1].get("x-request-id"))
        self.assertEqual(len(ids), 100)
        self.assertNotIn(None, ids)

    def test_one_connection_carries_many_requests(self):
        with connect(self.proxy.port) as client:
            for i in range(50):
                self.assertEqual(client.ask(target=f"/{i}").json()["path"], f"/{i}")

    def test_pipelined_requests_are_answered_in_order(self):
        with connect(self.proxy.port) as client:
            client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i for i in range(50)))
            self.assertEqual([client.read_response().json()["path"] for _ in range(50)], [f"/{i}" for i in range(50)])

    def test_pipelined_posts_keep_their_bodies(self):
        with connect(self.proxy.port) as client:
            client.send(b"".join(b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n%03d" % (i, i) for i in range(30)))
            self.assertEqual([client.read_response().json()["body"] for _ in range(30)], [f"{i:03}" for i in range(30)])

    def test_request_in_single_bytes_is_understood(self):
        with connect(self.proxy.port) as client:
            for byte in b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello":
                client.send(bytes([byte]))
            self.assertEqual(client.read_response().json()["body"], "hello")

    def test_connection_close_is_honoured(self):
        with connect(self.proxy.port) as client:
            response = client.ask(headers={"Connection": "close"})
            self.assertEqual(response.get("connection").lower(), "close")
            self.assertTrue(client.at_end())

    def test_http_1_0_closes_unless_asked_to_keep(self):
        with connect(self.proxy.port) as client:
            self.assertEqual(client.ask(version="1.0").status, 200)
            self.assertTrue(client.at_end())
        with connect(self.proxy.port) as client:
            for _ in range(3):
                response = client.ask(version="1.0", headers={"Connection": "keep-alive"})
                self.assertEqual(response.get("connection").lower(), "keep-alive")

    def test_http_1_0_without_a_host_is_served(self):
        self.assertEqual(ask(self.proxy.port, version="1.0", host=None).status, 200)

    def test_an_empty_line_before_a_request_is_ignored(self):
        with connect(self.proxy.port) as client:
            client.send("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(client.read_response().status, 200)

    def test_the_upstream_connection_is_kept(self):
        for _ in range(20):
            ask(self.proxy.port)
        peers = {request.peer for request in self.server.requests}
        self.assertLessEqual(len(peers), 4)  # one for each worker, with room for a race


class Responses(Case):
    def through(self, response, method="GET", **more):
        server = self.raw_origin(serve(response))
        proxy = self.spillway(config(server))
        return ask(proxy.port, method, **more)

    def test_status_reason_and_fields_pass(self):
        response = self.through(b"HTTP/1.1 418 I'm a teapot\r\nX-A: 1\r\nX-A: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
                                b"Content-Length: 0\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nServer: me\r\n\r\n")
        self.assertEqual(response.status, 418)
        self.assertEqual(response.all("X-A"), ["1", "2"])
        self.assertEqual(response.all("Set-Cookie"), ["a=1", "b=2"])
        self.assertEqual(response.get("Date"), "Thu, 01 Jan 2026 00:00:00 GMT")
        self.assertEqual(response.get("Server"), "me")

    def test_hop_by_hop_fields_of_the_upstream_stay_there(self):
        response = self.through(b"HTTP/1.1 200 OK\r\nConnection: X-Secret\r\nX-Secret: 1\r\nKeep-Alive: timeout=9\r\n"
                                b"Content-Length: 2\r\n\r\nok")
        self.assertIsNone(response.get("X-Secret"))
        self.assertIsNone(response.get("Keep-Alive"))
        self.assertEqual(response.body, b"ok")

    def test_head_has_the_length_and_no_body(self):
        server = self.raw_origin(serve(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"))
        proxy = self.spillway(config(server))
        with connect(proxy.port) as client:
            for _ in range(3):
                response = client.ask("HEAD")
                self.assertEqual(response.get("Content-Length"), "1234")
            self.assertEqual(client.buffer, b"")

    def test_head_of_a_chunked_resource_leaves_the_connection_usable(self):
        server = self.raw_origin(serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
        proxy = self.spillway(config(server))
        with connect(proxy.port) as client:
            for _ in range(3):
                self.assertEqual(client.ask("HEAD").status, 200)

    def test_204_and_304_have_no_body_and_keep_the_connection(self):
        server = self.raw_origin(serve(b"HTTP/1.1 204 No Content\r\n\r\n",
                                       b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 50\r\n\r\n", OK))
        proxy = self.spillway(config(server))
        with connect(proxy.port) as client:
            self.assertEqual(client.ask().status, 204)
            response = client.ask(headers={"If-None-Match": '"x"'})
            self.assertEqual((response.status, response.get("ETag")), (304, '"x"'))
            self.assertEqual(client.ask().body, b"ok")
        self.assertEqual(server.requests[1].get("If-None-Match"), '"x"')

    def test_chunked_body_and_trailers_pass(self):
        response = self.through(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                                b"6\r\nhello \r\n5\r\nworld\r\n0\r\nX-Sum: 42\r\n\r\n", headers={"TE": "trailers"})
        self.assertEqual(response.body, b"hello world")
        self.assertEqual(response.trailers, [("X-Sum", "42")])

    def test_a_response_whose_trailers_would_frame_it_anew_never_looks_complete(self):
        for trailer in (b"Content-Length: 5", b"Transfer-Encoding: gzip", b"Host: evil"):
            with self.subTest(trailer):
                server = self.raw_origin(serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + trailer + b"\r\n\r\n"))
                proxy = self.spillway(config(server))
                with connect(proxy.port) as client:
                    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    try:
                        came = client.read_to_end()
                    except ConnectionError:
                        came = b""
                    self.assertNotIn(b"\r\n0\r\n", came)
                    self.assertNotIn(trailer, came)

    def test_trailers_that_belong_in_a_head_are_left_out(self):
        response = self.through(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
                                b"Authorization: x\r\nConnection: close\r\nX-Fine: 1\r\n\r\n", headers={"TE": "trailers"})
        self.assertEqual(response.trailers, [("X-Fine", "1")])

    def test_body_until_close_reaches_a_1_1_client_whole(self):
        def play(conversation, _):
            conversation.read_request()
            conversation.send(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 100_000)

        server = self.raw_origin(play)
        proxy = self.spillway(config(server))
        self.assertEqual(len(ask(proxy.port).body), 100_000)

    def test_chunked_body_reaches_a_1_0_client_without_chunks(self):
        server = self.raw_origin(serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
        proxy = self.spillway(config(server))
        with connect(proxy.port) as client:
            client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            response = client.read_response()
            self.assertIsNone(response.get("Transfer-Encoding"))
            self.assertEqual(response.body, b"hello")
            self.assertTrue(client.at_end())

    def test_informational_responses_pass_in_order(self):
        response = self.through(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
                                b"HTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\n\r\n" + OK)
        self.assertEqual([(head.status, head.get("Link")) for head in response.interim],
                         [(103, "</a.css>; rel=preload"), (103, "</b.css>; rel=preload")])
        self.assertEqual(response.body, b"ok")

    def test_informational_responses_are_kept_from_1_0_clients(self):
        response = self.through(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + OK, version="1.0")
        self.assertEqual(response.interim, [])
        self.assertEqual(response.body, b"ok")

    def test_response_in_single_bytes_is_understood(self):
        def play(conversation, _):
            conversation.read_request()
            for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
                conversation.send(bytes([byte]))

        server = self.raw_origin(play)
        proxy = self.spillway(config(server))
        self.assertEqual(ask(proxy.port).body, b"abc")

    def test_bytes_reach_the_client_as_they_come(self):
        go = threading.Event()

        def play(conversation, _):
            conversation.read_request()
            conversation.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            go.wait(10)
            conversation.send("6\r\nsecond\r\n0\r\n\r\n")

        server = self.raw_origin(play)
        proxy = self.spillway(config(server))
        with connect(proxy.port) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            head = client.read_head()
            self.assertEqual(head.status, 200)
            self.assertEqual(client.read_line(), b"5")
            self.assertEqual(client.read(7), b"first\r\n")  # before the upstream went on
            go.set()
            self.assertEqual(client.read_line(), b"6")


class Expectation(Case):
    HEAD = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

    def test_100_continue_comes_from_the_upstream_before_the_body_goes(self):
        def play(conversation, _):
            request = conversation.read_request(body=False)
            assert request.get("expect") == "100-continue", request
            assert conversation.quiet(0.1), "the body came before it was asked for"
            conversation.send("HTTP/1.1 100 Continue\r\n\r\n")
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + conversation.read(5))

        server = self.raw_origin(play)
        proxy = self.spillway(config(server))
        with connect(proxy.port) as client:
            client.send(self.HEAD)
            self.assertEqual(client.read_head().status, 100)
            client.send("hello")
            self.assertEqual(client.read_response().body, b"hello")

    def test_an_answer_instead_of_100_reaches_the_client(self):
        def play(conversation, _):
            conversation.read_request(body=False)
            conversation.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno")

        server = self.raw_origin(play)
        proxy = self.spillway(config(server))
        with connect(proxy.port) as client:
            client.send(self.HEAD)
            response = client.read_response()
            self.assertEqual((response.status, response.body), (417, b"no"))

    def test_a_client_that_does_not_wait_is_served_too(self):
        server = self.origin()
        proxy = self.spillway(config(server))
        with connect(proxy.port) as client:
            client.send(self.HEAD + "hello")
            self.assertEqual(client.read_response().json()["body"], "hello")

    def test_refusal_comes_before_the_body(self):
        server = self.origin()
        proxy = self.spillway(config(server, rules=[{"match": {"method": "POST"}, "action": "deny", "name": "no"}]))
        with connect(proxy.port) as client:
            client.send(self.HEAD)
            self.assertEqual(client.read_response().status, 403)
        self.assertEqual(server.requests, [])


class EarlyAnswer(Case):
    def test_an_answer_before_the_body_was_sent_reaches_the_client(self):
        def play(conversation, _):
            conversation.read_request(body=False)
            conversation.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")

        server = self.raw_origin(play)
        proxy = self.spillway(config(server))
        with connect(proxy.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
            client.send(b"x" * 10000)
            response = client.read_response()
            self.assertEqual((response.status, response.body), (413, b"big"))

    def test_the_connection_is_not_reused_after_half_a_body(self):
        def play(conversation, _):
            conversation.read_request(body=False)
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
            conversation.read_to_end()

        server = self.raw_origin(play)
        proxy = self.spillway(config(server))
        with connect(proxy.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc")
            self.assertEqual(client.read_response().body, b"early")
            # What follows is still the first request's body, never a request.
            try:
                client.send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
                client.read_to_end()
            except OSError:
                pass
        self.assertNotIn("/smuggled", [request.target for request in server.requests])


class ClientLeaves(Case):
    def test_the_upstream_request_ends_with_the_client(self):
        began, ended = threading.Event(), threading.Event()

        def play(conversation, _):
            conversation.read_request()
            began.set()
            if conversation.at_end():
                ended.set()

        server = self.raw_origin(play)
        proxy = self.spillway(config(server, app={"concurrency": "off"}))  # or it would be let finish
        client = connect(proxy.port)
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(began.wait(10))
        client.abort()
        self.assertTrue(ended.wait(10))

    def test_a_client_that_ends_its_side_is_gone(self):
        """As for nginx: nobody who still reads does so, and an upstream is not kept busy for nobody."""
        ended = threading.Event()

        def play(conversation, _):
            conversation.read_request()
            if conversation.at_end():
                ended.set()

        server = self.raw_origin(play)
        proxy = self.spillway(config(server, app={"concurrency": "off"}))  # or it would be let finish
        with connect(proxy.port) as client:
            client.send("GET /half HTTP/1.1\r\nHost: a\r\n\r\n")
            eventually(lambda: server.requests, "the request to arrive")
            client.socket.shutdown(socket.SHUT_WR)
            self.assertTrue(ended.wait(10))


if __name__ == "__main__":
    main()
