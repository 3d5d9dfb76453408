#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Servers that are spoken to in HTTP/2: what they get, what comes back, and what becomes of a request when they
go, refuse or are slow. What a server may do wrong is in upstream_http2_errors_test.py."""

import threading
import time
import unittest

import h2.settings
from harness import PATIENCE, SANITIZED, Case, ask, config, connect, eventually, free_port, main
from http2_client import CANCEL, DATA, END_STREAM, GOAWAY, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, RST_STREAM, Client, frame
from http2_origin import Origin, Request, node, raw_server

MB = 1 << 20


class Http2Case(Case):
    def behind(self, *origins, app=None, **more):
        settings = {"protocol": "h2", **(app or {})}
        more.setdefault("listeners", [{"address": "127.0.0.1:0", "http2": True}])
        return self.spillway(config(*origins, app=settings, **more))

    def origin2(self, *args, **more):
        return self.keep(Origin(*args, **more))

    def raw2(self, play):
        return self.keep(raw_server(play))

    def client(self, spillway, **more):
        return self.keep(Client(spillway.port, **more))


class Forwarding(Http2Case):
    def test_a_request_of_http1_arrives_whole(self):
        origin = self.origin2()
        spillway = self.behind(origin)
        answer = ask(spillway.port, "POST", "/a/b?c=d", headers=[
            ("Cookie", "a=1"), ("X-Mine", "Yes"), ("Connection", "x-hop, keep-alive"), ("X-Hop", "1"), ("Keep-Alive", "5"),
            ("Proxy-Connection", "keep-alive"), ("TE", "trailers, deflate"), ("Host", "shop.example")], body=b"abc")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.all("Via"), ["2.0 spillway"])
        seen = answer.json()
        self.assertEqual(seen["body"], "abc")
        fields = dict(seen["headers"])
        self.assertEqual([fields[":method"], fields[":path"], fields[":authority"], fields[":scheme"]],
                         ["POST", "/a/b?c=d", "shop.example", "http"])
        self.assertEqual([fields["cookie"], fields["x-mine"], fields["content-length"], fields["via"], fields["x-forwarded-for"]],
                         ["a=1", "Yes", "3", "1.1 spillway", "127.0.0.1"])
        self.assertEqual(fields["te"], "trailers")
        for gone in ("connection", "x-hop", "keep-alive", "proxy-connection", "host", "transfer-encoding"):
            self.assertNotIn(gone, fields)
        names = [name for name, _ in seen["headers"]]
        self.assertEqual(names, [name.lower() for name in names])
        self.assertTrue(all(name.startswith(":") for name in names[:4]), names)

    def test_a_request_of_http2_arrives_whole(self):
        origin = self.origin2()
        answer = self.client(self.behind(origin)).ask("PUT", "/x", [("te", "trailers"), ("x-a", "1")], body=b"abc",
                                                      trailers=[("x-sum", "9"), ("x-request-id", "5")])
        seen = answer.json()
        self.assertEqual([seen["method"], seen["body"], seen["trailers"]], ["PUT", "abc", [["x-sum", "9"]]])
        self.assertEqual(dict(seen["headers"])["te"], "trailers")

    def test_no_trailer_that_rules_look_at_or_set_reaches_it(self):
        origin = self.origin2()
        proxy = self.behind(origin, rules=[{"name": "role", "match": {"header.X-Role": "admin"}, "action": "deny"},
                                           {"name": "tenant", "action": {"set_header": {"X-Tenant": "public"}}}])
        answer = self.client(proxy).ask("PUT", "/x", body=b"abc", trailers=[
            ("x-tenant", "evil"), ("x.tenant", "evil"), ("x-role", "admin"), ("x-host", "evil"), ("x-sum", "9")])
        seen = answer.json()
        self.assertEqual((dict(seen["headers"])["x-tenant"], seen["trailers"]), ("public", [["x-sum", "9"]]))

    def test_te_goes_only_as_trailers(self):
        origin = self.origin2()
        spillway = self.behind(origin)
        for sent, arrives in ((None, None), ("gzip", None), ("gzip;q=0.5, trailers", "trailers")):
            with self.subTest(sent):
                headers = [("TE", sent)] if sent else []
                self.assertEqual(dict(ask(spillway.port, headers=headers).json()["headers"]).get("te"), arrives)

    def test_the_host_of_the_pool_is_the_authority(self):
        origin = self.origin2()
        spillway = self.behind(origin, app={"host": "inner.example"})
        self.assertEqual(dict(ask(spillway.port).json()["headers"])[":authority"], "inner.example")
        spillway = self.behind(origin, rules=[{"name": "h", "action": {"set_header": {"X-Y": "1", "cookie": "mine"}}}])
        fields = ask(spillway.port, headers=[("Cookie", "theirs"), ("x-y", "2")]).json()["headers"]
        self.assertEqual([value for name, value in fields if name in (":authority", "x-y", "cookie")], ["test.example", "1", "mine"])

    def test_trailers_reach_both_kinds_of_client(self):
        origin = self.origin2(lambda request: request.answer(body=b"x", trailers=[("x-sum", "5"), ("x-request-id", "no")]))
        spillway = self.behind(origin)
        self.assertEqual(ask(spillway.port).trailers, [("x-sum", "5")])
        answer = self.client(spillway).ask()
        self.assertEqual([answer.trailers, bytes(answer.body)], [[("x-sum", "5")], b"x"])

    def test_a_head_alone_is_a_whole_answer(self):
        """As it came: to gRPC an answer without a body is another thing than one that is cut."""
        spillway = self.behind(self.origin2(lambda request: request.answer(200, [("grpc-status", "12")])))
        answer = ask(spillway.port)
        self.assertEqual([answer.status, answer.get("content-length"), answer.body], [200, "0", b""])
        client = self.client(spillway)
        seen = []
        hear = client._hear
        client._hear = lambda event: (seen.append(type(event).__name__), hear(event))
        answer = client.ask()
        self.assertEqual([answer.status, answer.get("grpc-status"), answer.get("content-length")], [200, "12", None])
        self.assertNotIn("DataReceived", seen)

    def test_answers_without_a_body(self):
        def answer(request):
            if request.method == "HEAD":
                return request.answer(200, [("content-length", "1234")])
            request.answer(int(request.path[1:]), [("etag", '"a"')])

        spillway = self.behind(self.origin2(answer), workers=1)
        with connect(spillway.port) as client:
            self.assertEqual(client.ask("HEAD").get("content-length"), "1234")
            for status in (204, 304):
                got = client.ask("GET", f"/{status}")
                self.assertEqual([got.status, got.body, got.get("transfer-encoding")], [status, b"", None])
            self.assertEqual(client.ask("GET", "/200").status, 200)  # and the connection goes on
        client = self.client(spillway)
        self.assertEqual(client.ask("HEAD").get("content-length"), "1234")
        self.assertEqual([client.ask(path="/204").status, client.ask(path="/304").status], [204, 304])
        self.assertEqual(spillway.metric("spillway_upstream_connects_total"), 1)

    def test_interim_heads_pass_first(self):
        def early(request):
            request.connection.do(lambda h2: h2.send_headers(request.number, [(":status", "103"), ("link", "</a>")]))
            request.answer(body=b"late")

        spillway = self.behind(self.origin2(early))
        answer = ask(spillway.port)
        self.assertEqual([[head.status for head in answer.interim], answer.text], [[103], "late"])
        self.assertEqual([dict(head)[":status"] for head in self.client(spillway).ask().interim], ["103"])

    def test_a_client_that_waits_for_100_is_told(self):
        def on_head(request):
            if request.get("expect"):
                request.connection.do(lambda h2: h2.send_headers(request.number, [(":status", "100")]))

        spillway = self.behind(self.origin2(on_head=on_head))
        with connect(spillway.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
            self.assertEqual(client.read_head().status, 100)
            client.send("abc")
            self.assertEqual(client.read_response().json()["body"], "abc")

    def test_websockets_are_refused_and_other_upgrades_passed_over(self):
        spillway = self.behind(self.origin2())
        head = [("Connection", "upgrade"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")]
        self.assertEqual(ask(spillway.port, headers=[("Upgrade", "websocket"), *head]).status, 501)
        answer = ask(spillway.port, headers=[("Upgrade", "chat/2"), ("Connection", "upgrade")])
        self.assertEqual(answer.status, 200)
        self.assertNotIn("upgrade", dict(answer.json()["headers"]))
        with Client(spillway.port) as client:
            client.until(lambda: client.h2.remote_settings.enable_connect_protocol, "SETTINGS")
            self.assertEqual(client.wait(client.start("CONNECT", "/", protocol="websocket", end=False)).status, 501)

    def test_another_implementation_understands_it(self):
        spillway = self.behind(self.keep(node()))
        answer = ask(spillway.port, target="/early")
        self.assertEqual([answer.text, answer.get("x-seen"), answer.trailers, [head.status for head in answer.interim]],
                         ["hello", "GET test.example", [("x-sum", "7")], [103]])
        client = self.client(spillway)
        self.assertEqual(bytes(client.ask("POST", "/echo", body=b"y" * 300000).body), b"y" * 300000)
        self.assertEqual(bytes(client.ask("POST", "/count", body=b"y" * 300000).body), b"300000")
        self.assertEqual(len(client.ask(path="/size?n=1000000").body), 1000000)

    def test_error_pages_are_hidden_and_the_connection_goes_on(self):
        origin = self.origin2(lambda request: request.answer(500 if request.path == "/bad" else 200, body=b"secret" * 20000))
        spillway = self.behind(origin, app={"errors": {"hide": [500]}})
        with connect(spillway.port) as client:
            for _ in range(5):
                answer = client.ask(target="/bad")
                self.assertEqual(answer.status, 500)
                self.assertNotIn("secret", answer.text)
            self.assertEqual(len(client.ask().body), 120000)
        self.assertEqual(len(origin.connections), 1)


class Connections(Http2Case):
    def test_many_requests_share_one_connection(self):
        gate = threading.Event()

        def answer(request):
            threading.Thread(target=lambda: (gate.wait(PATIENCE), request.echo()), daemon=True).start()

        origin = self.origin2(answer)
        spillway = self.behind(origin, workers=1, app={"concurrency": "off"})
        client = self.client(spillway)
        streams = [client.start(path=f"/{i}") for i in range(50)]
        eventually(lambda: len(origin.requests) == 50, "all requests at the server")
        gate.set()
        self.assertEqual([client.wait(stream).json()["path"] for stream in streams], [f"/{i}" for i in range(50)])
        self.assertEqual(len(origin.connections), 1)
        self.assertEqual(spillway.metric("spillway_upstream_connects_total"), 1)
        self.assertEqual(spillway.metric("spillway_upstream_reuses_total"), 49)
        self.assertEqual(spillway.metric("spillway_upstream_kept_connections"), 1)
        self.assertEqual(spillway.metric("spillway_upstream_requests_total", pool="app"), 50)

    def test_no_more_streams_at_once_than_the_server_allows(self):
        gate = threading.Event()

        def answer(request):
            threading.Thread(target=lambda: (gate.wait(PATIENCE), request.echo()), daemon=True).start()

        origin = self.origin2(answer, settings={h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 3})
        spillway = self.behind(origin, workers=1)
        client = self.client(spillway)
        gate.set()
        client.ask()  # so that the server's SETTINGS are known
        gate.clear()
        streams = []
        for i in range(10):  # one by one: each finds the connections before it known
            streams.append(client.start())
            eventually(lambda: len(origin.requests) == i + 2, "the request at the server")
            eventually(lambda: origin.connections[-1].acknowledged, "the server's SETTINGS to be known")
        gate.set()
        self.assertEqual({client.wait(stream).status for stream in streams}, {200})
        self.assertEqual(len(origin.connections), 4)
        for connection in origin.connections:
            self.assertLessEqual(len(connection.requests), 4)

    def test_a_connection_that_is_full_waits_for_no_other(self):
        """Beyond the bound of connections we answer ourselves, and hold nothing."""
        origin = self.origin2(answer=None, settings={h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        spillway = self.behind(origin, workers=1, app={"concurrency": "off"})
        client = self.client(spillway)
        streams = []
        for i in range(64):  # one by one: each finds the connections before it full
            streams.append(client.start())
            eventually(lambda: len(origin.requests) == i + 1, "the request at the server")
            eventually(lambda: origin.connections[-1].acknowledged, "the server's SETTINGS to be known")
        answer = ask(spillway.port)
        self.assertEqual(answer.status, 503)
        self.assertTrue(answer.get("retry-after"))
        self.assertEqual(spillway.wait_record(lambda record: record["status"] == 503)["end"], "out of streams")
        for stream in streams:
            client.reset(stream)
        self.assertEqual(len(origin.connections), 64)

    def test_an_idle_connection_is_closed_after_its_time(self):
        origin = self.origin2()
        spillway = self.behind(origin, app={"keep_alive": {"idle": "100ms"}})
        self.assertEqual(ask(spillway.port).status, 200)
        eventually(lambda: origin.connections[0].ended, "the connection's end")
        self.assertFalse(hasattr(origin.connections[0], "error"))
        eventually(lambda: spillway.metric("spillway_upstream_kept_connections") == 0, "the gauge")
        self.assertEqual(ask(spillway.port).status, 200)

    def test_no_idle_connection_is_kept_when_none_may_be(self):
        origin = self.origin2()
        spillway = self.behind(origin, app={"keep_alive": {"connections": 0}})
        for i in range(3):
            self.assertEqual(ask(spillway.port).status, 200)
            eventually(lambda: all(connection.ended for connection in origin.connections), "the connection's end")
        self.assertEqual(len(origin.connections), 3)

    def test_a_server_that_closes_idle_connections_fails_no_request(self):
        origin = self.origin2()
        spillway = self.behind(origin, workers=1)
        for _ in range(20):
            self.assertEqual(ask(spillway.port, "POST", body=b"a").status, 200)
            for connection in origin.connections:
                try:
                    connection.socket.shutdown(2)
                except OSError:
                    pass  # it has been closed
        self.assertEqual(spillway.metric("spillway_upstream_errors_total", pool="app"), 0)

    def test_goaway_sends_new_requests_elsewhere_and_lets_old_ones_end(self):
        held, gate = [], threading.Event()

        def play(server, number):
            first = server.request()
            if number == 0:
                server.send(frame(GOAWAY, 0, 0, (first.stream).to_bytes(4, "big") + bytes(4)))
                held.append(first)
                gate.wait(PATIENCE)
            server.answer(first.stream, [(":status", "200"), ("x-number", str(number))])
            server.read_to_end()

        spillway = self.behind(self.raw2(play), workers=1)
        client = self.client(spillway)
        old = client.start()
        eventually(lambda: held, "the first request")
        self.assertEqual(client.ask().get("x-number"), "1")
        gate.set()
        self.assertEqual(client.wait(old).get("x-number"), "0")
        self.assertEqual(spillway.metric("spillway_upstream_errors_total", pool="app"), 0)

    def test_what_a_goaway_leaves_out_is_tried_again_whatever_the_method(self):
        def play(server, number):
            first = server.request()
            if number == 0:
                server.answer(first.stream)
                server.request()
                server.send(frame(GOAWAY, 0, 0, (first.stream).to_bytes(4, "big") + bytes(4)))
            else:
                server.answer(first.stream, [(":status", "200"), ("x-number", str(number))])
            server.read_to_end()

        spillway = self.behind(self.raw2(play), workers=1)
        self.assertEqual(ask(spillway.port).status, 200)
        answer = ask(spillway.port, "DELETE", "/", headers=[("x-a", "b")])
        self.assertEqual([answer.status, answer.get("x-number")], [200, "1"])

    def test_a_refused_stream_is_tried_again_whatever_the_method(self):
        refused = []

        def on_head(request):
            if len(refused) < 1:
                refused.append(request)
                request.refuse(REFUSED_STREAM)

        origin = self.origin2(lambda request: request not in refused and request.echo(), on_head=on_head)
        spillway = self.behind(origin, workers=1)
        self.assertEqual(ask(spillway.port, "PATCH").status, 200)
        self.assertEqual(len(origin.requests), 2)

    def test_a_stream_that_is_reset_is_an_error_and_the_connection_goes_on(self):
        def on_head(request):
            if request.path == "/bad":
                request.refuse(INTERNAL_ERROR)

        origin = self.origin2(lambda request: request.path != "/bad" and request.echo(), on_head=on_head)
        spillway = self.behind(origin, workers=1, app={"retries": {"attempts": 0}, "ejection": {"consecutive_errors": 0}})
        for _ in range(10):
            self.assertEqual(ask(spillway.port, target="/bad").status, 502)
            self.assertEqual(ask(spillway.port).status, 200)
        self.assertEqual(len(origin.connections), 1)
        self.assertEqual(spillway.metric("spillway_upstream_errors_total", pool="app", kind="reset"), 10)

    def test_another_server_is_tried_when_one_refuses_connections(self):
        holder, port = free_port()
        self.addCleanup(holder.close)
        origin = self.origin2()
        spillway = self.behind(port, origin, app={"balance": "round_robin"})
        for _ in range(3):  # so many retries are always granted
            self.assertEqual(ask(spillway.port).status, 200)

    def test_a_server_that_never_answers_a_connect_is_given_up(self):
        holder, port = free_port()
        self.addCleanup(holder.close)
        spillway = self.behind(port, app={"retries": {"attempts": 0}, "hold": "off"})
        self.assertEqual(ask(spillway.port).status, 502)
        eventually(lambda: spillway.metric("spillway_upstream_errors_total", pool="app", kind="connect") == 1, "the counter")

    def test_a_server_that_is_silent_is_given_up_and_its_connection_with_it(self):
        def play(server, number):
            if number == 0:
                server.request()
                return server.read_to_end()
            while True:
                server.answer(server.request().stream)

        origin = self.raw2(play)
        spillway = self.behind(origin, workers=1, app={"timeouts": {"first_byte": "200ms"}, "retries": {"attempts": 0},
                                                       "ejection": {"consecutive_errors": 0}})
        self.assertEqual(ask(spillway.port).status, 504)
        self.assertEqual(ask(spillway.port).status, 200)
        self.assertEqual(origin.connections, 2)

    def test_settings_that_change_hold_at_once(self):
        origin = self.origin2()
        spillway = self.behind(origin, workers=1)
        self.assertEqual(ask(spillway.port, "POST", body=b"x" * 100000).status, 200)
        codes = h2.settings.SettingCodes
        for changed in ({codes.INITIAL_WINDOW_SIZE: 100}, {codes.MAX_FRAME_SIZE: 100000}, {codes.HEADER_TABLE_SIZE: 0},
                        {codes.INITIAL_WINDOW_SIZE: 1 << 20}, {codes.MAX_CONCURRENT_STREAMS: 1}):
            with self.subTest(changed):
                origin.connections[0].do(lambda h2_: h2_.update_settings(changed))
                self.assertEqual(len(ask(spillway.port, "POST", body=b"x" * 100000).json()["body"]), 100000)
        self.assertEqual(len(origin.connections), 1)

    def test_health_checks_speak_http2(self):
        well = [True]
        origin = self.origin2(lambda request: request.answer(200 if well[0] else 503))
        spillway = self.behind(origin, app={"health_check": {"path": "/healthz", "interval": "100ms", "rise": 1, "fall": 1}})
        eventually(lambda: any(request.path == "/healthz" for request in origin.requests), "a check")
        check = next(request for request in origin.requests if request.path == "/healthz")
        self.assertEqual([check.method, check.get("user-agent"), check.get(":authority")],
                         ["GET", "spillway-health-check", f"127.0.0.1:{origin.port}"])
        well[0] = False
        spillway.log.wait("is unhealthy: status 503")
        self.assertEqual(ask(spillway.port).status, 503)
        well[0] = True
        spillway.log.wait("is healthy again")
        self.assertEqual(ask(spillway.port).status, 200)

    def test_health_checks_notice_a_server_of_http1(self):
        spillway = self.behind(self.origin(), app={"health_check": {"path": "/", "interval": "100ms", "fall": 1}})
        spillway.log.wait("is unhealthy: not HTTP/2")

    def test_a_reload_changes_the_protocol(self):
        old, new = self.origin(), self.origin2()
        spillway = self.spillway(config(old))
        self.assertEqual(ask(spillway.port).status, 200)
        spillway.configure(config(new, app={"protocol": "h2"}))
        spillway.must_reload()
        eventually(lambda: ask(spillway.port).get("via") == "2.0 spillway", "the new server")


class Bodies(Http2Case):
    def test_a_client_that_leaves_cancels_its_stream_and_no_other(self):
        origin = self.origin2(answer=None)
        spillway = self.behind(origin, workers=1)
        client = self.client(spillway)
        stays = client.start(path="/stays")
        leaves = client.start(path="/leaves")
        with connect(spillway.port) as other:
            other.send("GET /gone HTTP/1.1\r\nHost: a\r\n\r\n")
            eventually(lambda: len(origin.requests) == 3, "all requests")
        client.reset(leaves)
        by_path = {request.path: request for request in origin.requests}
        eventually(lambda: by_path["/leaves"].reset == CANCEL and by_path["/gone"].reset == CANCEL, "the resets")
        by_path["/stays"].answer(body=b"here")
        self.assertEqual(bytes(client.wait(stays).body), b"here")
        self.assertEqual(len(origin.connections), 1)

    def test_an_early_answer_ends_the_upload(self):
        """RST_STREAM with NO_ERROR behind a whole response: it is passed on, and no error."""
        def play(server, number):
            while True:
                head = server.request()
                server.answer(head.stream, [(":status", "413"), ("content-length", "3")], 4)
                server.send(frame(DATA, END_STREAM, head.stream, b"too") +
                            frame(RST_STREAM, 0, head.stream, NO_ERROR.to_bytes(4, "big")))

        spillway = self.behind(self.raw2(play), workers=1)
        with connect(spillway.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n" + "x" * 1000)
            answer = client.read_response()
            self.assertEqual([answer.status, answer.text], [413, "too"])
        client = self.client(spillway)
        stream = client.start("POST", end=False)
        self.assertEqual(client.wait(stream).status, 413)
        self.assertIn(stream.reset, (None, NO_ERROR))
        self.assertEqual(spillway.metric("spillway_upstream_errors_total", pool="app"), 0)
        self.assertEqual(spillway.metric("spillway_upstream_connects_total"), 1)

    def test_both_ways_at_once(self):
        def on_head(request):
            request.head()

        origin = self.origin2(answer=lambda request: request.finish([("x-end", "1")]), on_head=on_head)
        spillway = self.behind(origin, workers=1)
        client = self.client(spillway)
        stream = client.start("POST", end=False)
        client.until(lambda: stream.status == 200, "the head before the request's end")
        for i in range(5):
            client.send(stream, b"ping%d" % i)
            eventually(lambda: bytes(origin.requests[0].body).endswith(b"ping%d" % i), "the piece at the server")
            origin.requests[0].data(b"pong%d" % i)
            client.until(lambda: bytes(stream.body).endswith(b"pong%d" % i), "the answer to it")
        client.finish(stream)
        self.assertEqual(client.wait(stream).trailers, [("x-end", "1")])

    def test_a_client_that_listens_may_be_silent_while_it_hears(self):
        """Its request goes on, but it is the server's turn to speak."""
        over = threading.Event()

        def speak(request):
            for _ in range(10):
                if over.wait(0.1):
                    return
                request.data(b"tick")

        def on_head(request):
            request.head()
            if request.path == "/speaks":
                threading.Thread(target=speak, args=(request,), daemon=True).start()

        self.addCleanup(over.set)
        spillway = self.behind(self.origin2(on_head=on_head, answer=Request.finish), workers=1,
                               clients={"timeouts": {"body": "500ms"}})
        client = self.client(spillway)
        speaks, silent = client.start("POST", "/speaks", end=False), client.start("POST", "/silent", end=False)
        self.assertIsNotNone(client.wait(silent).reset)
        client.until(lambda: len(speaks.body) == 40, "all that the server says")
        client.finish(speaks)
        self.assertTrue(client.wait(speaks).ended)

    def test_a_slow_client_holds_up_no_other(self):
        spillway = self.behind(self.keep(node()), workers=1)
        with connect(spillway.port) as slow:
            slow.send("GET /size?n=100000000 HTTP/1.1\r\nHost: a\r\n\r\n")
            slow.read_head()
            for _ in range(20):
                self.assertEqual(len(ask(spillway.port, target="/size?n=1000000").body), 1000000)
        self.assertEqual(spillway.metric("spillway_upstream_connects_total"), 1)

    def test_no_more_is_read_from_a_client_than_the_server_takes(self):
        origin = self.origin2(answer=None, eager=False)
        spillway = self.behind(origin, workers=1)
        with connect(spillway.port, timeout=1) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
            sent = 0
            client.socket.settimeout(1)
            try:
                while sent < 100 * MB:
                    sent += client.socket.send(b"x" * MB)
            except TimeoutError:
                pass
            self.assertLess(sent, 20 * MB)  # what the kernel holds on the way
            self.assertLessEqual(len(origin.requests[0].body), 65535)

    @unittest.skipIf(SANITIZED, "memory is not measured under a sanitizer")
    def test_a_hundred_megabytes_each_way_in_bounded_memory(self):
        spillway = self.behind(self.keep(node()), workers=1)
        size, piece = 100 * MB, b"0123456789abcdef" * 4096
        ask(spillway.port)
        before, most = spillway.rss(), 0
        with connect(spillway.port, timeout=60) as client:
            def send():
                client.send(f"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")
                for _ in range(size // len(piece)):
                    client.send(piece)

            sender = threading.Thread(target=send, daemon=True)
            sender.start()
            head = client.read_head()
            self.assertEqual(head.status, 200)
            came, turn = 0, 0
            while came < size:
                length = int(client.read_line(), 16)
                data = client.read(length)
                self.assertEqual(data[:16], (piece[came % 16:] + piece)[:16][:len(data)])
                came += length
                client.read(2)
                turn += 1
                if turn % 50 == 0:
                    most = max(most, spillway.rss())
            self.assertEqual(client.read_line(), b"0")
            sender.join(PATIENCE)
        self.assertEqual(came, size)
        self.assertLess(most - before, 12 * MB, (before, most))

    @unittest.skipIf(SANITIZED, "memory is not measured under a sanitizer")
    def test_slow_clients_cost_one_window_each(self):
        spillway = self.behind(self.keep(node()), workers=1)
        ask(spillway.port)
        before = spillway.rss()
        clients = []
        for _ in range(90):
            client = self.keep(connect(spillway.port))
            client.socket.setsockopt(1, 8, 4096)  # SO_RCVBUF
            client.send("GET /size?n=100000000 HTTP/1.1\r\nHost: a\r\n\r\n")
            clients.append(client)
        for client in clients:
            client.read_head()
        last = [0]

        def settled():
            now, then = spillway.rss(), last[0]
            last[0] = now
            time.sleep(0.2)  # two measures apart: there is no event for "no more comes"
            return now == then

        eventually(settled, "memory to settle")
        self.assertLess(spillway.rss() - before, 90 * 256 * 1024 + 8 * MB)


if __name__ == "__main__":
    main()
