# SPDX-License-Identifier: MIT
"""WebSocket over HTTP/2 (RFC 8441), to an origin of HTTP/1.1."""

import base64
import hashlib
import os
import threading

from harness import PATIENCE, SLOWNESS, eventually, main
from http2_case import Http2, http2
from http2_client import CANCEL, NO_ERROR


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

    def test_a_half_ended_tunnel_that_the_client_resets_is_over(self):
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

    def test_a_refused_upgrade_is_answered_as_the_origin_says(self):
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
