# SPDX-License-Identifier: MIT
"""HTTP/2: one stream's trouble stays its own, and nobody's window or memory is taken by a stream that stands still."""

import os
import threading
import unittest

import h2.settings
from harness import PATIENCE, SANITIZED, SLOWNESS, eventually, main
from http2_case import Http2, http2
from http2_client import DATA, INTERNAL_ERROR, NO_ERROR, Raw, Stream, frame, request_fields


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

    def test_chunks_that_the_origin_cuts_short_reset_the_stream(self):
        server = self.scripted("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", lambda c: c.close())
        answer = self.client(self.spillway(http2(server))).ask()
        self.assertEqual((answer.status, answer.reset, answer.ended), (200, INTERNAL_ERROR, False))

    def test_an_origin_that_is_not_there_is_503(self):
        client = self.client(self.spillway(http2("127.0.0.1:1")))
        self.assertEqual([client.ask().status for _ in range(3)], [503] * 3)

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

    def test_a_client_that_cancels_before_the_answer_leaves_the_origin_too(self):
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


if __name__ == "__main__":
    main()
