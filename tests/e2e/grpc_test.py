#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""gRPC from end to end, by an implementation that others wrote on both sides: all four kinds of calls, statuses,
metadata, deadlines and cancellation."""

import threading
import unittest
from concurrent import futures

import grpc
from harness import PATIENCE, SANITIZED, Case, config, eventually, main


class Service(grpc.GenericRpcHandler):
    """Echoes of bytes; nothing is generated from a description."""

    def __init__(self):
        self.cancelled, self.calls = threading.Event(), []

    def service(self, details):
        self.calls.append(details)
        name = details.method.rsplit("/", 1)[1]
        makers = {"unary": grpc.unary_unary_rpc_method_handler, "client": grpc.stream_unary_rpc_method_handler,
                  "server": grpc.unary_stream_rpc_method_handler, "bidi": grpc.stream_stream_rpc_method_handler}
        method = getattr(self, name, None)
        return makers[name.split("_")[0]](method) if method else None

    def unary_echo(self, request, context):
        metadata = dict(context.invocation_metadata())
        context.send_initial_metadata((("x-first", metadata.get("x-mine", "")),))
        context.set_trailing_metadata((("x-last", "end"), ("x-last-bin", b"\0\xff")))
        return request

    def unary_fail(self, request, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today: \u00e4")

    def unary_wait(self, request, context):
        context.add_callback(self.cancelled.set)
        self.cancelled.wait(PATIENCE)
        return b""

    def client_join(self, requests, context):
        return b"+".join(requests)

    def client_count(self, requests, context):
        return str(sum(len(request) for request in requests)).encode()

    def server_count(self, request, context):
        for i in range(int(request)):
            yield b"%d" % i

    def server_large(self, request, context):
        for _ in range(int(request)):
            yield b"x" * 65536

    def server_break(self, request, context):
        yield b"one"
        context.abort(grpc.StatusCode.DATA_LOSS, "lost")

    def server_forever(self, request, context):
        context.add_callback(self.cancelled.set)
        while not self.cancelled.is_set():
            yield b"more"
            self.cancelled.wait(0.01)

    def bidi_echo(self, requests, context):
        for request in requests:
            yield b"e" + request


class Grpc(Case):
    def setUp(self):
        self.service = Service()
        self.server = grpc.server(futures.ThreadPoolExecutor(16))
        self.server.add_generic_rpc_handlers((self.service,))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()
        self.addCleanup(lambda: self.server.stop(0).wait())
        self.front = self.spillway(config(self.port, listeners=[{"address": "127.0.0.1:0", "http2": True}], app={"protocol": "h2"}))
        self.channel = self.keep(grpc.insecure_channel(f"127.0.0.1:{self.front.port}"))

    def call(self, name):
        kinds = {"unary": self.channel.unary_unary, "client": self.channel.stream_unary, "server": self.channel.unary_stream,
                 "bidi": self.channel.stream_stream}
        return kinds[name.split("_")[0]](f"/echo.Echo/{name}")

    def test_a_call_passes_with_its_metadata_both_ways(self):
        answer, call = self.call("unary_echo").with_call(b"hi", metadata=(("x-mine", "yes"),), timeout=PATIENCE)
        self.assertEqual(answer, b"hi")
        self.assertEqual(call.code(), grpc.StatusCode.OK)
        self.assertEqual(dict(call.initial_metadata())["x-first"], "yes")
        trailing = dict(call.trailing_metadata())
        self.assertEqual([trailing["x-last"], trailing["x-last-bin"]], ["end", b"\0\xff"])
        record = self.front.wait_record(lambda record: record["path"] == "/echo.Echo/unary_echo")
        self.assertEqual([record["status"], record["protocol"], record["method"]], [200, "HTTP/2.0", "POST"])

    def test_an_empty_message_and_a_large_one(self):
        for size in (0, 1, 16384, 1000000, 4000000):
            with self.subTest(size):
                self.assertEqual(self.call("unary_echo")(b"x" * size, timeout=PATIENCE), b"x" * size)

    def test_client_streaming(self):
        self.assertEqual(self.call("client_join")(iter([b"a", b"b", b"c"]), timeout=PATIENCE), b"a+b+c")
        self.assertEqual(self.call("client_count")((b"x" * 65536 for _ in range(200)), timeout=60), b"%d" % (200 * 65536))

    def test_server_streaming(self):
        self.assertEqual(list(self.call("server_count")(b"1000", timeout=PATIENCE)), [b"%d" % i for i in range(1000)])
        self.assertEqual(sum(len(piece) for piece in self.call("server_large")(b"200", timeout=60)), 200 * 65536)

    def test_both_streaming_in_turns(self):
        """Each message is answered before the next is sent: nothing on the way waits for more."""
        turn, said = threading.Semaphore(1), []

        def messages():
            for i in range(50):
                self.assertTrue(turn.acquire(timeout=PATIENCE))
                yield b"%d" % i

        for answer in self.call("bidi_echo")(messages(), timeout=PATIENCE):
            said.append(answer)
            turn.release()
        self.assertEqual(said, [b"e%d" % i for i in range(50)])

    def test_a_status_in_trailers_alone(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.call("unary_fail")(b"", timeout=PATIENCE)
        self.assertEqual([caught.exception.code(), caught.exception.details()],
                         [grpc.StatusCode.FAILED_PRECONDITION, "not today: \u00e4"])

    def test_a_method_that_is_not_there(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.call("unary_nothing")(b"", timeout=PATIENCE)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNIMPLEMENTED)

    def test_a_status_behind_messages(self):
        seen = []
        with self.assertRaises(grpc.RpcError) as caught:
            for message in self.call("server_break")(b"", timeout=PATIENCE):
                seen.append(message)
        self.assertEqual([seen, caught.exception.code(), caught.exception.details()], [[b"one"], grpc.StatusCode.DATA_LOSS, "lost"])

    def test_a_deadline_reaches_the_server(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.call("unary_wait")(b"", timeout=0.3)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertTrue(self.service.cancelled.wait(PATIENCE))

    def test_a_cancelled_call_is_cancelled_at_the_server(self):
        call = self.call("server_forever")(b"")
        self.assertEqual(next(call), b"more")
        call.cancel()
        self.assertTrue(self.service.cancelled.wait(PATIENCE))
        self.assertEqual(self.call("unary_echo")(b"on", timeout=PATIENCE), b"on")

    def test_many_calls_share_connections(self):
        pending = [self.call("unary_echo").future(b"%d" % i, timeout=PATIENCE) for i in range(300)]
        self.assertEqual([each.result() for each in pending], [b"%d" % i for i in range(300)])
        self.assertLessEqual(self.front.metric("spillway_upstream_connects_total"), 8)

    def test_a_server_that_is_gone_is_unavailable(self):
        self.assertEqual(self.call("unary_echo")(b"a", timeout=PATIENCE), b"a")
        self.server.stop(0).wait()
        with self.assertRaises(grpc.RpcError) as caught:
            self.call("unary_echo")(b"b", timeout=PATIENCE)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)

    def test_a_graceful_end_of_the_server_fails_no_call(self):
        """It says GOAWAY; the next call goes to the other one."""
        other = grpc.server(futures.ThreadPoolExecutor(4))
        other.add_generic_rpc_handlers((self.service,))
        port = other.add_insecure_port("127.0.0.1:0")
        other.start()
        self.addCleanup(lambda: other.stop(0).wait())
        front = self.spillway(config(self.port, port, workers=1, listeners=[{"address": "127.0.0.1:0", "http2": True}],
                                     app={"protocol": "h2", "balance": "round_robin", "ejection": {"consecutive_errors": 2}}))
        channel = self.keep(grpc.insecure_channel(f"127.0.0.1:{front.port}"))
        echo = channel.unary_unary("/echo.Echo/unary_echo")
        for i in range(4):
            self.assertEqual(echo(b"%d" % i, timeout=PATIENCE), b"%d" % i)
        self.server.stop(PATIENCE).wait()
        for i in range(20):
            self.assertEqual(echo(b"%d" % i, timeout=PATIENCE), b"%d" % i)

    def test_rules_hold_for_calls(self):
        front = self.spillway(config(self.port, listeners=[{"address": "127.0.0.1:0", "http2": True}], app={"protocol": "h2"}, rules=[
            {"name": "no", "match": {"path": {"prefix": "/echo.Echo/client_"}}, "action": "deny"}]))
        channel = self.keep(grpc.insecure_channel(f"127.0.0.1:{front.port}"))
        with self.assertRaises(grpc.RpcError) as caught:
            channel.stream_unary("/echo.Echo/client_join")(iter([b"a"]), timeout=PATIENCE)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.PERMISSION_DENIED)
        self.assertEqual(channel.unary_unary("/echo.Echo/unary_echo")(b"a", timeout=PATIENCE), b"a")

    @unittest.skipIf(SANITIZED, "memory is not measured under a sanitizer")
    def test_a_reader_that_is_slow_holds_the_server_back(self):
        before = self.front.rss()
        call = self.call("server_large")(b"2000")
        next(call)
        eventually(lambda: self.front.rss() - before < 20 << 20, "memory to stay")
        call.cancel()


if __name__ == "__main__":
    main()
