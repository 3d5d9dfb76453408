# SPDX-License-Identifier: MIT
"""A pool that says nothing of admission has an adaptive limit. What it must not do to apps that it knows nothing of: long polls, slow
readers and uploads, and crowds lose nothing beside quick pages."""

import threading
import time
import unittest

from harness import PATIENCE, SANITIZED, Case, ask, config, eventually, main
from http2_client import HEADERS, Raw, frame, plain_block, request_fields

POLLS = 120


class App:
    """Pages at once; /poll when something has happened, or after `patience` seconds; /slow after 50 ms, but for /slow/1000, which
    is not there; /big is large."""

    def __init__(self):
        self.happened, self.polling, self.patience, self.lock = threading.Event(), 0, 0.6, threading.Lock()

    def __call__(self, request):
        if request.path.startswith("/poll"):
            with self.lock:
                self.polling += 1
            self.happened.wait(self.patience)
        if request.path == "/slow/1000":
            return 404, {}, "none"
        if request.path.startswith("/slow"):
            time.sleep(0.05)
        return 200, {}, "x" * (8 << 20) if request.path == "/big" else request.path

    def close(self):
        self.happened.set()


class DefaultAdmission(Case):
    def start(self, **pool):
        self.app = self.keep(App())
        self.proxy = self.spillway(config(self.origin(self.app), app=pool))
        return self.proxy

    def view(self):
        return self.proxy.api("/api/v1/pools")["pools"][0]["admission"]

    def send(self, target, method="GET", extra="", source=None):
        client = self.connect(self.proxy.port, source=source)
        client.send(f"{method} {target} HTTP/1.1\r\nHost: a\r\n{extra}\r\n".encode())
        return client

    def statuses(self, targets):
        """All at once."""
        return [client.read_response().status for client in [self.send(target) for target in targets]]

    def test_a_pool_that_says_nothing_has_an_adaptive_limit(self):
        self.start()
        self.assertEqual(ask(self.proxy.port).status, 200)
        self.assertEqual(self.view()["limit"], 12)

    def test_off_counts_nobody(self):
        self.start(concurrency="off")
        self.assertEqual(ask(self.proxy.port).status, 200)
        self.assertFalse(self.proxy.api("/api/v1/pools")["pools"][0].get("admission"))

    def test_long_polls_take_no_place_once_some_were_answered(self):
        self.start()
        for many in (10, 20, 40, 80, 80):  # from then on as many as were answered while pages felt nothing
            for _ in range(30):
                self.assertEqual(ask(self.proxy.port, target="/page").status, 200)
            self.assertEqual(self.statuses("/poll" for _ in range(many)), [200] * many)
        self.app.patience, self.app.polling = 120, 0
        polls, refused = [self.send("/poll") for _ in range(POLLS)], []

        def pages():
            answer = ask(self.proxy.port, target="/page")
            refused.extend([answer.status] if answer.status != 200 else [])
            return self.app.polling == POLLS
        eventually(pages, "all polls at the app while pages are answered")
        self.assertEqual(refused, [])
        began = time.monotonic()
        self.assertEqual(ask(self.proxy.port, target="/page").status, 200)
        self.assertLess(time.monotonic() - began, 1)
        self.assertEqual(self.view()["in_flight"], 0)
        self.app.happened.set()
        self.assertEqual({client.read_response().status for client in polls}, {200})

    def test_a_crowd_out_of_nothing_is_served(self):
        self.start()
        self.assertEqual(set(self.statuses(f"/slow/{i}" for i in range(100))), {200})

    def test_who_reads_slowly_holds_no_place(self):
        self.start()
        readers = [self.send("/big") for _ in range(40)]
        for reader in readers:
            self.assertTrue(reader.socket.recv(1))
        eventually(lambda: self.view()["in_flight"] == 0, "the places of slow readers to be free")
        self.assertEqual(ask(self.proxy.port, target="/page").status, 200)

    @unittest.skipIf(SANITIZED, "memory is measured")
    def test_who_reads_slowly_costs_one_window(self):
        self.app = self.keep(App())
        self.proxy = self.spillway(config(self.origin(self.app), app={"concurrency": 1000}, clients={"timeouts": {"write": "5m"}}))
        self.assertEqual(ask(self.proxy.port, target="/page").status, 200)
        before = self.proxy.rss()
        readers = [self.send("/big") for _ in range(100)]
        for reader in readers:
            self.assertTrue(reader.socket.recv(1))
        eventually(lambda: self.view()["apart"] == 100, "all to be seen as slow readers", timeout=6 * PATIENCE)
        each = (self.proxy.rss() - before) / 100
        print(f"{each:.0f} bytes", end=" ", flush=True)
        self.assertLess(each, 90 * 1024)

    def test_a_stream_that_takes_nothing_holds_no_place_however_little_there_is_for_it(self):
        """The answer's beginning comes in one piece and waits for the client; the rest never comes."""
        done = threading.Event()
        self.addCleanup(done.set)

        def play(connection, _):
            while connection.read_request():
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n0123456789")
                done.wait()
        self.proxy = self.spillway(config(self.raw_origin(play), listeners=[{"address": "127.0.0.1:0", "http2": True}]))
        raw = self.keep(Raw(self.proxy.port, first=((4, 0),)))  # a window of 0
        raw.send(b"".join(frame(HEADERS, 5, 2 * i + 1, plain_block(request_fields("GET", "/big"))) for i in range(60)))
        heads = [raw.wait(lambda got: got.kind == HEADERS, "a head") for _ in range(60)]
        self.assertEqual({dict(head.fields)[":status"] for head in heads}, {"200"})

    def test_an_answer_that_goes_on_and_on_holds_no_place(self):
        """Of whatever type: from two seconds after its first byte."""
        done = threading.Event()
        self.addCleanup(done.set)

        def play(connection, _):
            while connection.read_request():
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
                while not done.wait(0.1):
                    connection.send(b"3\r\n{}\n\r\n")
        self.proxy = self.spillway(config(self.raw_origin(play)))
        for _ in range(10):
            self.send("/feed")
        eventually(lambda: self.view()["apart"] == 10, "the feeds to stand apart")
        self.assertEqual(self.view()["in_flight"], 0)
        self.assertEqual(self.proxy.metric("spillway_concurrency_apart", pool="app"), 10)

    def test_a_route_that_hangs_is_told_of_by_its_name(self):
        self.start()
        self.app.patience = 60
        hung = [self.send(f"/poll/{i}") for i in range(8)]

        def culprits():
            self.assertEqual(ask(self.proxy.port, target="/page").status, 200)
            return self.view()["culprits"]
        one = eventually(culprits, "the route to be found")[0]
        self.assertEqual((one["route"], one["in_flight"], one["reason"]), ("GET /poll/:id", 8, "hangs"))
        labels = {"pool": "app", "route": "GET /poll/:id", "reason": "hangs"}
        self.assertEqual(self.proxy.metric("spillway_culprit_in_flight", **labels), 8)
        self.assertIn("GET /poll/:id is held to", self.proxy.ctl("status").stdout)
        self.proxy.log.wait("pool app: GET /poll/:id is held to")
        self.app.happened.set()
        self.assertEqual({client.read_response().status for client in hung}, {200})

        def let_go():
            self.assertEqual(ask(self.proxy.port, target="/poll/9").status, 200)
            return not self.view()["culprits"]
        eventually(let_go, "the route to be let go")
        self.proxy.log.wait("pool app: GET /poll/:id is held back no more")

    def test_who_sends_slowly_holds_no_place(self):
        self.start()
        for _ in range(100):
            self.send("/upload", "POST", "Content-Length: 10\r\n")
        eventually(lambda: self.proxy.metric("spillway_connections_open") >= 100, "the uploads to be here")
        eventually(lambda: self.view()["in_flight"] == 0, "no place to be taken")
        self.assertEqual(ask(self.proxy.port, target="/page").status, 200)

    def test_how_long_pages_take_is_not_learnt_from_those_that_are_not_there(self):
        """A page that takes 50 ms cannot come in 20; by the mean of all answers it could."""
        self.start()
        for _ in range(15):
            self.assertEqual(ask(self.proxy.port, target="/slow/1").status, 200)
            self.assertEqual({ask(self.proxy.port, target="/slow/1000").status for _ in range(10)}, {404})
        refused = []
        for _ in range(20):
            page = self.send("/slow/2")  # its route's answers are believed while one of it is at the app
            refused.append(ask(self.proxy.port, target="/slow/3", headers=[("X-Request-Timeout", "20ms")]).status)
            self.assertEqual(page.read_response().status, 200)
        self.assertGreaterEqual(refused.count(503), 15, refused)

    def test_an_upload_beyond_those_that_may_come_is_refused_and_holds_no_place(self):
        self.start(concurrency=1)
        for here in range(1, 5):
            self.send("/upload", "POST", "Content-Length: 10\r\n", source=f"127.0.0.{10 + here}")
            eventually(lambda here=here: self.view()["apart"] == here, "the upload to be here")
        fifth = self.send("/upload", "POST", "Content-Length: 10\r\n")
        self.assertEqual(fifth.read_response().status, 503)
        self.assertTrue(fifth.at_end())
        self.assertEqual(self.proxy.wait_record(lambda record: record["status"] == 503)["end"], "shed: queue full")
        self.assertEqual(ask(self.proxy.port, target="/page").status, 200)
        eventually(lambda: self.view()["in_flight"] == 0, "no place to be taken")
        whole = b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok"
        with self.connect(self.proxy.port) as client:
            client.send(whole)
            self.assertEqual(client.read_response().status, 200)

    def test_of_an_upload_that_is_refused_the_app_hears_nothing(self):
        heads = []

        def play(conversation, _):
            heads.append(conversation.read_head().target)
            conversation.read_to_end()

        app = self.raw_origin(play)
        self.proxy = self.spillway(config(app, app={"concurrency": 1}))
        eventually(lambda: app.silent == 1, "the look whether the app is there")
        for here in range(1, 5):
            self.send(f"/upload/{here}", "POST", "Content-Length: 10\r\n", source=f"127.0.0.{10 + here}")
            eventually(lambda here=here: len(heads) == here, "the app to have its head")
        refused = self.send("/upload/5", "POST", "Content-Length: 10\r\n", source="127.0.0.15")
        self.assertEqual(refused.read_response().status, 503)
        self.assertTrue(refused.at_end())
        eventually(lambda: app.silent == 2, "the connection that was made for it to be closed")
        self.assertEqual(heads, [f"/upload/{number}" for number in range(1, 5)])

    def test_the_uploads_of_one_client_leave_room_for_anothers(self):
        self.start(concurrency=10)
        for here in range(1, 21):
            self.send("/upload", "POST", "Content-Length: 10\r\n")
            eventually(lambda here=here: self.view()["apart"] == here, "the upload to be here")
        self.assertEqual(self.send("/upload", "POST", "Content-Length: 10\r\n").read_response().status, 503)
        for source in range(9, 12):  # one of them may be taken for the one who has so many: of 64 kinds of clients
            self.send("/upload", "POST", "Content-Length: 10\r\n", source=f"127.0.0.{source}")
        eventually(lambda: self.view()["apart"] >= 22, "others' uploads to be here")

    def test_on_a_quiet_day_nobody_is_refused_or_kept_waiting(self):
        self.start()
        for i in range(200):
            self.assertEqual(ask(self.proxy.port, target=f"/page/{i}").status, 200)
        self.assertEqual(self.proxy.metric("spillway_queue_wait_seconds_count", pool="app"), 0)


if __name__ == "__main__":
    main()
