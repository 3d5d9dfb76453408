# SPDX-License-Identifier: MIT
"""Bodies of a gigabyte both ways, and slow readers by the dozen: memory stays bounded."""

import hashlib
import os
import select
import threading
import time
import unittest

from harness import SANITIZED, Case, config, connect, eventually, main

MB = 1 << 20
SIZE = (64 if SANITIZED else 1024) * MB
BLOCK = os.urandom(MB)


class Memory:
    """The highest resident size of a process while it is watched."""

    def __init__(self, proxy):
        self.proxy, self.highest, self._stop = proxy, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self):
        while not self._stop.wait(0.02):
            try:
                self.highest = max(self.highest, self.proxy.rss())
            except (OSError, AttributeError):
                return

    def close(self):
        self._stop.set()
        self._thread.join()


def send_blocks(conversation, size):
    for _ in range(size // MB):
        conversation.socket.sendall(BLOCK)


def expected_digest(size):
    digest = hashlib.blake2b()
    for _ in range(size // MB):
        digest.update(BLOCK)
    return digest.hexdigest()


def receive(conversation, size):
    digest, left = hashlib.blake2b(conversation.buffer), size - len(conversation.buffer)
    conversation.buffer = b""
    buffer = bytearray(MB)
    while left > 0:
        count = conversation.socket.recv_into(buffer, min(MB, left))
        if count == 0:
            raise EOFError(f"{left} bytes short")
        digest.update(memoryview(buffer)[:count])
        left -= count
    return digest.hexdigest()


class Gigabyte(Case):
    def setUp(self):
        self.uploaded = []

        def play(conversation, _):
            while True:
                request = conversation.read_request(body=False)
                if request.method == "POST":
                    self.uploaded.append(receive(conversation, int(request.get("content-length"))))
                    conversation.send("HTTP/1.1 204 No Content\r\n\r\n")
                elif request.target == "/chunked":
                    conversation.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                    for _ in range(SIZE // MB):
                        conversation.socket.sendall(b"%x\r\n" % MB + BLOCK + b"\r\n")
                    conversation.send("0\r\n\r\n")
                else:
                    conversation.send(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n")
                    send_blocks(conversation, SIZE)

        self.server = self.raw_origin(play)
        self.proxy = self.spillway(config(self.server, access_log="off"))

    def watch(self):
        return self.keep(Memory(self.proxy))

    def assert_memory(self, memory, megabytes):
        print(f"{memory.highest / MB:.1f} MB", flush=True)
        if not SANITIZED:
            self.assertLess(memory.highest, megabytes * MB)

    def test_comes_down_whole_in_bounded_memory(self):
        memory = self.watch()
        with connect(self.proxy.port) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(client.read_head().get("content-length"), str(SIZE))
            self.assertEqual(receive(client, SIZE), expected_digest(SIZE))
        self.assert_memory(memory, 40)

    def test_goes_up_whole_in_bounded_memory(self):
        memory = self.watch()
        with connect(self.proxy.port) as client:
            client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n")
            send_blocks(client, SIZE)
            self.assertEqual(client.read_response().status, 204)
        self.assertEqual(self.uploaded, [expected_digest(SIZE)])
        self.assert_memory(memory, 40)

    def test_comes_down_in_chunks_in_bounded_memory(self):
        memory = self.watch()
        with connect(self.proxy.port) as client:
            client.send("GET /chunked HTTP/1.1\r\nHost: a\r\n\r\n")
            client.read_head()
            total = 0
            while True:
                size = int(client.read_line(), 16)
                total += size
                if size == 0:
                    break
                client.read(size + 2)
        self.assertEqual(total, SIZE)
        self.assert_memory(memory, 40)


@unittest.skipIf(SANITIZED, "memory is measured")
class Slow(Case):
    SECONDS = 6  # long enough to fill every buffer on the way many times over, were they not bounded

    def test_fifty_slow_readers_of_a_gigabyte(self):
        def play(conversation, _):
            conversation.socket.settimeout(60)
            conversation.read_request()
            conversation.send(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n")
            send_blocks(conversation, SIZE)

        server = self.raw_origin(play)
        proxy = self.spillway(config(server, access_log="off"))
        memory = self.keep(Memory(proxy))
        clients = []
        for _ in range(50):
            client = self.connect(proxy.port)
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            clients.append(client)
        sockets = {client.socket: 0 for client in clients}
        deadline, tick = time.monotonic() + self.SECONDS, 0.05
        while time.monotonic() < deadline:
            began = time.monotonic()
            readable, _, _ = select.select(list(sockets), [], [], 0)
            for each in readable:  # 100 KB/s
                sockets[each] += len(each.recv(int(100_000 * tick)))
            threading.Event().wait(max(0, began + tick - time.monotonic()))
        print(f"{memory.highest / MB:.1f} MB", flush=True)
        self.assertGreater(min(sockets.values()), 50_000)
        self.assertLess(memory.highest, 60 * MB)

    def test_a_slow_upstream_and_a_fast_upload(self):
        taken, stop = [0], threading.Event()
        self.addCleanup(stop.set)

        def play(conversation, _):
            conversation.read_request(body=False)
            while not stop.wait(0.05):
                taken[0] += len(conversation.socket.recv(5000))

        server = self.raw_origin(play)
        proxy = self.spillway(config(server, access_log="off"))
        memory = self.keep(Memory(proxy))
        client = self.connect(proxy.port)
        client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n")
        client.socket.setblocking(False)
        sent, deadline = 0, time.monotonic() + self.SECONDS
        while time.monotonic() < deadline:
            _, writable, _ = select.select([], [client.socket], [], 0.1)
            if writable:
                try:
                    sent += client.socket.send(BLOCK)
                except BlockingIOError:
                    pass
        print(f"{memory.highest / MB:.1f} MB; {sent / MB:.1f} MB sent, {taken[0] / MB:.1f} MB taken", flush=True)
        self.assertGreater(taken[0], 100_000)
        self.assertLess(sent, 40 * MB)  # the client was held back: kernel buffers and ours, no more
        self.assertLess(memory.highest, 60 * MB)

    def test_a_thousand_idle_connections_cost_little(self):
        server = self.origin()
        proxy = self.spillway(config(server, access_log="off"))
        with connect(proxy.port) as client:
            client.ask()
        before = proxy.rss()
        held = [self.connect(proxy.port) for _ in range(1000)]
        for client in held:
            self.assertEqual(client.ask().status, 200)
        eventually(lambda: proxy.metric("spillway_connections_open") >= 1000, "all of them to be open")
        each = (proxy.rss() - before) / 1000
        print(f"{each / 1024:.1f} KiB for each connection", flush=True)
        self.assertLess(each, 32 * 1024)

    @unittest.skipIf(SANITIZED, "a sanitizer keeps what was freed")
    def test_a_large_answer_or_head_leaves_nothing_behind_with_its_idle_client(self):
        proxy = self.spillway(config(self.origin(), access_log="off", clients={"sizes": {"head": "400KiB", "target": "64KiB"}}, rules=[
            {"name": "page", "match": {"path": "/page"}, "action": {"respond": {"status": 200, "body": "x" * 1_000_000}}}]))
        head = {f"X-{i}": "y" * 50_000 for i in range(5)}
        before = proxy.rss()
        held = [self.connect(proxy.port) for _ in range(200)]
        for client in held:
            self.assertEqual(len(client.ask(target="/page").body), 1_000_000)
        for client in held:
            self.assertEqual(client.ask(target="/" + "z" * 60_000, headers=head).status, 200)
        grown = (proxy.rss() - before) / MB
        print(f"{grown:.1f} MB more", flush=True)
        self.assertLess(grown, 25)


if __name__ == "__main__":
    main()
