# SPDX-License-Identifier: MIT
"""Upgraded connections: a WebSocket through the proxy, and an upgrade that is refused."""

import asyncio
import threading

import websockets
from harness import Case, ask, config, connect, eventually, main


class EchoServer:
    """A WebSocket echo on a loop in a thread of its own."""

    def __init__(self):
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        self._ready.wait(10)

    async def _run(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()

        async def echo(socket, *_):
            async for message in socket:
                await socket.send(message)

        async with websockets.serve(echo, "127.0.0.1", 0, max_size=None) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._stop.wait()

    def close(self):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


class WebSocket(Case):
    def setUp(self):
        self.server = self.keep(EchoServer())
        self.proxy = self.spillway(config(self.server))

    def test_messages_come_back_in_order(self):
        async def talk():
            async with websockets.connect(f"ws://127.0.0.1:{self.proxy.port}/chat") as socket:
                for i in range(200):
                    await socket.send(f"message {i}")
                return [await socket.recv() for _ in range(200)]

        self.assertEqual(asyncio.run(talk()), [f"message {i}" for i in range(200)])

    def test_large_messages_come_back_whole(self):
        async def talk():
            async with websockets.connect(f"ws://127.0.0.1:{self.proxy.port}/", max_size=None) as socket:
                await socket.send(b"\x00\xff" * 2_000_000)
                return await socket.recv()

        self.assertEqual(asyncio.run(talk()), b"\x00\xff" * 2_000_000)

    def test_many_at_once(self):
        async def one(number):
            async with websockets.connect(f"ws://127.0.0.1:{self.proxy.port}/") as socket:
                await socket.send(str(number))
                return await socket.recv()

        async def talk():
            return await asyncio.gather(*(one(i) for i in range(50)))

        self.assertEqual(asyncio.run(talk()), [str(i) for i in range(50)])

    def test_an_open_socket_does_not_hold_up_other_requests(self):
        async def talk():
            async with websockets.connect(f"ws://127.0.0.1:{self.proxy.port}/") as socket:
                async with websockets.connect(f"ws://127.0.0.1:{self.proxy.port}/") as other:
                    await other.send("second")
                    second = await other.recv()
                await socket.send("first")
                return second, await socket.recv()

        self.assertEqual(asyncio.run(talk()), ("second", "first"))


class Upgrade(Case):
    def test_bytes_pass_both_ways_after_101_and_end_with_either_side(self):
        def play(conversation, _):
            request = conversation.read_request(body=False)
            assert request.get("upgrade") == "line" and "upgrade" in request.get("connection").lower(), request
            conversation.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: line\r\n\r\nhello\r\n")
            while True:
                conversation.send(b"you said " + conversation.read_line() + b"\r\n")

        server = self.raw_origin(play)
        proxy = self.spillway(config(server))
        client = self.connect(proxy.port)
        # The first line of the new protocol may come with the head.
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: line\r\n\r\nfirst\r\n")
        response = client.read_response()
        self.assertEqual((response.status, response.get("Upgrade"), response.get("Connection").lower()),
                         (101, "line", "upgrade"))
        self.assertEqual(client.read_line(), b"hello")
        self.assertEqual(client.read_line(), b"you said first")
        client.send("second\r\n")
        self.assertEqual(client.read_line(), b"you said second")
        client.close()
        eventually(lambda: server.conversations[0].socket.fileno() == -1, "the upstream's side to end")

    def test_the_upstream_may_refuse_to_upgrade(self):
        server = self.origin(lambda request: (426, {}, b"no"))
        proxy = self.spillway(config(server))
        with connect(proxy.port) as client:
            response = client.ask(headers={"Connection": "Upgrade", "Upgrade": "websocket"})
            self.assertEqual((response.status, response.body), (426, b"no"))
            self.assertEqual(client.ask().status, 426)

    def test_h2c_is_not_passed_on(self):
        server = self.origin()
        proxy = self.spillway(config(server))
        seen = ask(proxy.port, headers={"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c",
                                        "HTTP2-Settings": "AAMAAABk"}).json()
        names = [name.lower() for name, _ in seen["headers"]]
        self.assertNotIn("upgrade", names)
        self.assertNotIn("http2-settings", names)

    def test_a_101_that_nobody_asked_for_is_an_upstream_error(self):
        def play(conversation, _):
            conversation.read_request()
            conversation.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
            conversation.read_to_end()

        server = self.raw_origin(play)
        proxy = self.spillway(config(server))
        self.assertEqual(ask(proxy.port).status, 502)


if __name__ == "__main__":
    main()
