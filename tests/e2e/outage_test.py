# SPDX-License-Identifier: MIT
"""Outages: while no server answers, orders are held and everybody else has a page at once; once one is back, those held are let
out in a measured way."""

import asyncio
import json
import os
import signal
import socket
import threading
import time

from harness import SLOWNESS, Case, Conversation, address, ask, config, eventually, free_port, listen, main
from http2_client import Client
from http2_origin import Origin

CLASSES = [{"name": "orders", "match": {"path": {"prefix": "/order"}}, "action": {"class": "critical_plus"}}]


class Shop:
    """A server of so many places, which can be killed and come back at the same port; each request takes `takes` seconds."""

    def __init__(self, takes=0.01, places=10):
        self.takes, self.places = takes, places
        self.holder, self.port = None, 0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.count, self.peak, self.inside, self.bodies, self.connections = 0, 0, 0, [], set()
        self.thread.start()
        self.open()

    def open(self):
        if self.holder:
            self.holder.close()
        self.peak, self.inside = 0, 0
        self.server = self._do(self._begin())
        self.port = self.server.sockets[0].getsockname()[1]

    def kill(self):
        self._do(self._end())
        # Nobody else may have its port meanwhile.
        self.holder = socket.socket()
        self.holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.holder.bind(("127.0.0.1", self.port))

    def close(self):
        if self.server.is_serving():
            self._do(self._end())
        if self.holder:
            self.holder.close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    async def _begin(self):
        self.gate = asyncio.Semaphore(self.places)
        return await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1024, reuse_address=True)

    async def _end(self):
        self.server.close()
        for writer in list(self.connections):
            writer.transport.abort()

    async def _serve(self, reader, writer):
        self.connections.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = int(head.split("content-length:")[1].split("\r\n")[0]) if "content-length:" in head else 0
                body = await reader.readexactly(length)
                self.inside += 1
                self.peak = max(self.peak, self.inside)
                async with self.gate:
                    await asyncio.sleep(self.takes)
                self.inside -= 1
                self.count += 1
                if body:
                    self.bodies.append(body)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.connections.discard(writer)
            writer.close()


async def one(port, method, target, body=b"", began=0.0):
    """(when it was asked, how long it took, status), of one request on a connection of its own."""
    asked = time.monotonic()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        extra = f"Content-Length: {len(body)}\r\n" if body else ""
        writer.write(f"{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{extra}\r\n".encode() + body)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        writer.close()
        return asked - began, time.monotonic() - asked, int(head.split()[1])
    except (OSError, asyncio.IncompleteReadError):
        return asked - began, time.monotonic() - asked, 0


def crowd(port, seconds, orders, pages, at):
    """Asks so many a second of each, open loop; calls at[i][1]() at at[i][0] seconds. (orders, pages, when each of `at` was)."""

    async def run():
        loop, began = asyncio.get_running_loop(), time.monotonic()
        tasks = {"order": [], "page": []}

        async def offer(name, rate, ask_one):
            for i in range(int(rate * seconds)):
                await asyncio.sleep(max(0.0, began + i / rate - time.monotonic()))
                tasks[name].append(loop.create_task(ask_one(i)))

        async def act(when, what):
            await asyncio.sleep(began + when - time.monotonic())
            await loop.run_in_executor(None, what)
            return time.monotonic() - began

        acts = [loop.create_task(act(*each)) for each in at]
        await asyncio.gather(offer("order", orders, lambda i: one(port, "POST", "/order", b"order %d" % i, began)),
                             offer("page", pages, lambda i: one(port, "GET", f"/page/{i}", b"", began)))
        return (await asyncio.gather(*tasks["order"]), await asyncio.gather(*tasks["page"]), [await each for each in acts])

    return asyncio.run(run())


class Line(Case):
    """What is promised, at a small scale: a server is killed under load for three seconds."""

    def outage(self, **app):
        shop = self.keep(Shop(takes=0.02, places=8))  # 400/s
        proxy = self.spillway(config(shop, rules=CLASSES, app=app))
        orders, pages, (down, up) = crowd(proxy.port, 6, orders=40, pages=80, at=[(1, shop.kill), (4, shop.open)])
        meanwhile = [each for each in orders if down + 0.05 < each[0] < up]
        self.assertGreater(len(meanwhile), 60)
        served = [each for each in meanwhile if each[2] == 200]
        self.assertGreaterEqual(len(served), 0.95 * len(meanwhile), [each for each in meanwhile if each[2] != 200])
        others = [each for each in pages if down + 0.05 < each[0] < up - 0.05]
        self.assertEqual({each[2] for each in others}, {503})
        waits = sorted(each[1] for each in others)
        self.assertLess(waits[int(len(waits) * 0.95)], 0.05 * SLOWNESS)
        first = min(each[0] + each[1] for each in orders if each[2] == 200 and each[0] + each[1] > up)
        self.assertLess(first - up, 0.1 * SLOWNESS + shop.takes)
        # What was held is not let out at once.
        self.assertLess(shop.peak, 40)
        # Once, each of them.
        self.assertEqual(len(set(shop.bodies)), len(shop.bodies))
        self.assertLessEqual({200}, {each[2] for each in pages if each[0] > up + 0.5})
        return proxy

    def test_orders_made_in_an_outage_are_saved_and_others_have_a_page_at_once(self):
        proxy = self.outage()
        self.assertEqual(proxy.metric("spillway_pool_outages_total", pool="app"), 1)
        self.assertEqual(proxy.metric("spillway_held_given_up_total", pool="app"), 0)
        self.assertGreater(proxy.metric("spillway_held_total", pool="app"), 60)

    def test_orders_made_in_an_outage_are_saved_where_the_pool_has_a_limit_too(self):
        self.outage(concurrency=12)


class Holding(Case):
    def start(self, servers=1, rules=CLASSES, hold=None, **app):
        self.shops = [self.keep(Shop()) for _ in range(servers)]
        if hold is not None:
            app["hold"] = hold
        return self.spillway(config(*self.shops, rules=rules, app=app))

    def send(self, proxy, target="/order", headers=(), method="POST", body=b"1"):
        client = self.connect(proxy.port)
        extra = "".join(f"{name}: {value}\r\n" for name, value in headers)
        if body is not None:
            extra += f"Content-Length: {len(body)}\r\n"
        client.send(f"{method} {target} HTTP/1.1\r\nHost: a\r\n{extra}\r\n".encode() + (body or b""))
        return client

    def settings(self, proxy):
        with open(proxy.path("spillway.yaml")) as file:
            return json.load(file)

    def view(self, proxy):
        return proxy.api("/api/v1/pools")["pools"][0]["hold"]

    def held(self, proxy, count):
        eventually(lambda: sum(self.view(proxy)["held"].values()) == count, f"{count} to be held")

    def test_a_post_is_held_and_sent_once_a_server_is_back(self):
        proxy = self.start()
        self.shops[0].kill()
        client = self.send(proxy, body=b"three shirts")
        self.held(proxy, 1)
        self.assertEqual(self.view(proxy)["state"], "down")
        self.assertRegex(proxy.ctl("status", check=0).stdout, r"pool app +servers down for ")
        self.assertIn("held: critical_plus 1; since the start outages 1, held 1,", proxy.ctl("status", check=0).stdout)
        self.assertRegex(proxy.ctl("pools", check=0).stdout, r"app +\S+ +refuses connections(?s:.)*servers down for ")
        self.assertEqual(proxy.metric("spillway_pool_down", pool="app"), 1)
        self.shops[0].open()
        self.assertEqual(client.read_response().status, 200)
        self.assertEqual(self.shops[0].bodies, [b"three shirts"])
        record = proxy.wait_record(lambda it: it["path"] == "/order")
        self.assertGreater(record["held_ms"], 0)
        self.assertGreaterEqual(record["tries"], 2)
        eventually(lambda: self.view(proxy)["state"] == "up", "the outage to be over")
        self.assertEqual(self.view(proxy)["released"], 1)

    def test_the_time_that_it_was_held_is_not_of_the_queue(self):
        proxy = self.start(concurrency=1)
        shop = self.shops[0]
        shop.takes = 0.2
        shop.kill()
        orders = []
        for _ in range(8):
            orders.append(self.send(proxy))
            self.held(proxy, len(orders))
        self.assertTrue(orders[0].quiet(0.5))
        shop.open()
        for order in orders:
            self.assertEqual(order.read_response().status, 200)
        records = eventually(lambda: len(proxy.records()) == 8 and proxy.records(), "eight lines")
        queued = [record for record in records if record.get("queue_ms", 0) > 10]
        self.assertTrue(queued, records)
        for record in queued:
            self.assertLess(record["queue_ms"] + record["held_ms"], record["dur_ms"] + 5, record)

    def test_a_page_that_an_outage_refuses_says_its_class_and_is_explained(self):
        proxy = self.start()
        self.shops[0].kill()
        eventually(lambda: ask(proxy.port).status == 503 and self.view(proxy)["state"] == "down", "the outage")
        answer = ask(proxy.port, target="/page")
        record = proxy.wait_record(lambda it: it["path"] == "/page")
        self.assertEqual((record["status"], record["class"], record["decision"]), (503, "critical", "upstream_error"))
        told = proxy.ctl("explain", answer.get("X-Request-Id"), check=0).stdout
        self.assertIn("no server answered: status 503", told)

    def test_a_request_of_http2_is_held_too(self):
        shop = self.keep(Shop())
        proxy = self.spillway(config(shop, rules=CLASSES, listeners=[{"address": "127.0.0.1:0", "http2": True}]))
        shop.kill()
        client = self.keep(Client(proxy.port))
        stream = client.start("POST", "/order", [("content-length", "5")], end=False)
        client.send(stream, b"shirt", end=True)
        self.held(proxy, 1)
        shop.open()
        self.assertEqual(client.wait(stream).status, 200)
        self.assertEqual(shop.bodies, [b"shirt"])

    def test_servers_of_http2_are_waited_for_too(self):
        holder, port = free_port()
        proxy = self.spillway(config(port, rules=CLASSES, app={"protocol": "h2"}))
        client = self.send(proxy)
        self.held(proxy, 1)
        holder.close()
        self.keep(Origin(lambda request: request.answer(200, body=b"ok"), port=port))
        self.assertEqual(client.read_response().status, 200)

    def test_the_first_who_finds_nobody_is_held_as_well(self):
        proxy = self.start(retries={"attempts": 0})
        self.shops[0].kill()
        clients = [self.send(proxy) for _ in range(5)]
        self.held(proxy, 5)
        self.shops[0].open()
        self.assertEqual({client.read_response().status for client in clients}, {200})

    def test_a_server_that_is_not_there_from_the_start_is_told_of_before_anybody_asks(self):
        shop = self.keep(Shop())
        shop.kill()
        proxy = self.spillway(config(shop, rules=CLASSES))
        proxy.log.wait(rf"warning.*pool app: 127\.0\.0\.1:{shop.port} takes no connection: Connection refused")
        eventually(lambda: self.view(proxy)["state"] == "down", "the outage to be seen")
        client = self.send(proxy)
        self.held(proxy, 1)
        shop.open()
        self.assertEqual(client.read_response().status, 200)
        # One that is added by a reload, too.
        missing, other = free_port()
        self.addCleanup(missing.close)
        settings = self.settings(proxy)
        settings["pools"]["app"]["servers"].append(address(other))
        proxy.configure(settings)
        proxy.must_reload()
        proxy.log.wait(rf"warning.*pool app: 127\.0\.0\.1:{other} takes no connection")
        self.assertEqual(self.view(proxy)["state"], "up")

    def test_a_server_that_never_answers_a_connect_is_waited_for_too(self):
        listener = listen(backlog=0)
        self.addCleanup(listener.close)
        port, waiting = listener.getsockname()[1], []
        while True:  # the kernel drops what comes when the backlog is full
            waiting.append(socket.socket())
            self.addCleanup(waiting[-1].close)
            waiting[-1].settimeout(0.2)
            try:
                waiting[-1].connect(("127.0.0.1", port))
            except TimeoutError:
                break
        proxy = self.spillway(config(port, rules=CLASSES, app={"timeouts": {"connect": "100ms"}}))
        client = self.send(proxy)
        self.held(proxy, 1)
        eventually(lambda: self.view(proxy)["state"] == "down", "the outage to be seen")
        began = time.monotonic()
        self.assertEqual(ask(proxy.port).status, 503)
        self.assertLess(time.monotonic() - began, 0.1 * SLOWNESS)

        def serve():
            while True:
                try:
                    with Conversation(listener.accept()[0]) as conversation:
                        conversation.read_request()
                        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
                except EOFError:
                    pass
                except OSError:
                    if listener.fileno() < 0:
                        return

        for each in waiting:
            each.close()
        threading.Thread(target=serve, daemon=True).start()
        self.assertEqual(client.read_response().status, 200)

    def test_a_post_that_was_sent_is_not_sent_again(self):
        server = self.raw_origin(lambda conversation, _: (conversation.read_request(), conversation.abort()))
        proxy = self.spillway(config(server, rules=CLASSES))
        self.assertEqual(ask(proxy.port, "POST", "/order", body=b"1").status, 502)
        self.assertEqual(len(server.requests), 1)

    def test_a_request_that_makes_its_server_break_is_not_tried_for_as_long_as_it_is_held(self):
        server = self.raw_origin(lambda conversation, _: (conversation.read_request(), conversation.abort()))
        proxy = self.spillway(config(server, rules=CLASSES))
        self.assertEqual(ask(proxy.port, "GET", "/order/1").status, 502)
        self.assertLessEqual(len(server.requests), 4)

    def test_others_are_told_at_once_when_to_come_back(self):
        proxy = self.start()
        self.shops[0].kill()
        ask(proxy.port)
        before = proxy.metric("spillway_endpoint_requests_total", pool="app")
        for accept, kind in (("text/html", "text/html"), ("application/json", "application/problem+json")):
            answer = ask(proxy.port, headers={"Accept": accept})
            self.assertEqual(answer.status, 503)
            self.assertIn(kind, answer.get("content-type"))
            self.assertGreaterEqual(int(answer.get("retry-after")), 1)
        self.assertEqual(proxy.metric("spillway_endpoint_requests_total", pool="app"), before)  # nobody tried
        self.assertGreaterEqual(proxy.metric("spillway_turned_away_total", pool="app"), 2)
        proxy.wait_record(lambda it: it.get("end") == "no server answers")
        self.shops[0].open()
        eventually(lambda: ask(proxy.port).status == 200, "the server to be found")

    def test_a_client_that_leaves_is_let_go(self):
        proxy = self.start()
        self.shops[0].kill()
        client, stays = self.send(proxy), self.send(proxy, body=b"2")
        self.held(proxy, 2)
        client.close()
        self.held(proxy, 1)
        self.shops[0].open()
        self.assertEqual(stays.read_response().status, 200)
        self.assertEqual(self.shops[0].bodies, [b"2"])

    def test_nobody_is_held_for_longer_than_was_said(self):
        proxy = self.start(hold={"for": "300ms"})
        self.shops[0].kill()
        began = time.monotonic()
        answer = ask(proxy.port, "POST", "/order", body=b"1")
        self.assertEqual(answer.status, 503)
        self.assertGreaterEqual(int(answer.get("retry-after")), 1)
        self.assertGreater(time.monotonic() - began, 0.3)
        self.assertLess(time.monotonic() - began, 3 * SLOWNESS)
        proxy.wait_record(lambda it: it.get("end") == "held in vain")
        self.assertEqual(self.view(proxy)["given_up"], 1)

    def test_who_was_held_without_an_outage_is_not_told_to_stay_away_for_minutes(self):
        def play(conversation, _):  # takes connections, and is not well, which nobody has decided yet
            if conversation.read_request().target == "/well":
                conversation.send("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n")

        check = {"path": "/well", "interval": "1h", "fall": 100}
        proxy = self.spillway(config(self.raw_origin(play), rules=CLASSES,
                                     app={"hold": {"for": "300ms"}, "retries": {"attempts": 0}, "health_check": check}))
        answer = ask(proxy.port, "GET", "/order/1")
        self.assertEqual(answer.status, 503)
        self.assertLessEqual(int(answer.get("retry-after")), 2)

    def test_nobody_is_held_for_longer_than_its_client_will_wait(self):
        proxy = self.start()
        self.shops[0].kill()
        began = time.monotonic()
        self.assertEqual(ask(proxy.port, "POST", "/order", [("X-Request-Timeout", "0.2")], b"1").status, 503)
        self.assertLess(time.monotonic() - began, 3 * SLOWNESS)

    def test_no_more_are_held_than_was_said(self):
        proxy = self.start(hold={"max": 2})
        self.shops[0].kill()
        clients = [self.send(proxy) for _ in range(2)]
        self.held(proxy, 2)
        self.assertEqual(ask(proxy.port, "POST", "/order", body=b"1").status, 503)
        self.shops[0].open()
        self.assertEqual({client.read_response().status for client in clients}, {200})

    def test_no_more_bytes_are_held_than_was_said(self):
        proxy = self.start(hold={"bytes": "64KiB"})
        self.shops[0].kill()
        client = self.send(proxy, body=b"x" * 40000)
        self.held(proxy, 1)
        self.assertEqual(ask(proxy.port, "POST", "/order", body=b"y" * 30000).status, 503)
        self.shops[0].open()
        self.assertEqual(client.read_response().status, 200)
        self.assertEqual(len(self.shops[0].bodies[0]), 40000)

    def test_off_holds_nobody_and_everybody_tries(self):
        proxy = self.start(hold="off")
        self.shops[0].kill()
        self.assertEqual([ask(proxy.port, "POST", "/order", body=b"1").status for _ in range(3)], [502] * 3)
        self.assertIsNone(self.view(proxy))

    def test_other_classes_can_be_held(self):
        proxy = self.start(hold={"from": "critical"})
        self.shops[0].kill()
        client = self.send(proxy, "/anything", method="GET", body=None)
        self.held(proxy, 1)
        self.shops[0].open()
        self.assertEqual(client.read_response().status, 200)

    def test_one_server_of_two_is_no_outage(self):
        proxy = self.start(servers=2, retries={"attempts": 0, "budget": "0%"})
        self.shops[0].kill()
        self.assertEqual({ask(proxy.port, "POST", "/order", body=b"%d" % i).status for i in range(40)}, {200})
        self.assertEqual(self.view(proxy)["outages"], 0)

    def test_a_health_check_is_made_as_soon_as_a_server_takes_connections(self):
        proxy = self.start(health_check={"path": "/", "interval": "1h", "timeout": "1s", "rise": 10, "fall": 1})
        self.shops[0].kill()
        client = self.send(proxy)
        self.held(proxy, 1)
        began = time.monotonic()
        self.shops[0].open()
        self.assertEqual(client.read_response().status, 200)
        self.assertLess(time.monotonic() - began, 2 * SLOWNESS)

    def test_a_server_that_is_not_well_yet_is_not_given_what_is_held(self):
        holder, port = free_port()
        well = threading.Event()

        def play(conversation, _):
            while True:
                request = conversation.read_request()
                bad = request.target == "/well" and not well.is_set()
                conversation.send(f"HTTP/1.1 {503 if bad else 200} X\r\nContent-Length: 2\r\n\r\nok")

        proxy = self.spillway(config(port, rules=CLASSES, app={"health_check": {"path": "/well", "interval": "1h", "fall": 1}}))
        client = self.send(proxy)
        self.held(proxy, 1)
        holder.close()
        server = self.raw_origin(play, port=port)
        eventually(lambda: len([it for it in server.requests if it.target == "/well"]) >= 2, "two checks")
        self.held(proxy, 1)
        well.set()
        self.assertEqual(client.read_response().status, 200)

    def test_a_reload_moves_those_held_to_the_new_servers(self):
        proxy = self.start()
        self.shops[0].kill()
        client = self.send(proxy, body=b"moves")
        self.held(proxy, 1)
        new = self.keep(Shop())
        settings = self.settings(proxy)
        settings["pools"]["app"]["servers"] = [address(new)]
        proxy.configure(settings)
        proxy.must_reload()
        self.assertEqual(client.read_response().status, 200)
        self.assertEqual(new.bodies, [b"moves"])

    def test_a_reload_that_holds_nobody_gives_them_up(self):
        proxy = self.start()
        self.shops[0].kill()
        client = self.send(proxy)
        self.held(proxy, 1)
        settings = self.settings(proxy)
        settings["pools"]["app"]["hold"] = "off"
        proxy.configure(settings)
        proxy.must_reload()
        self.assertEqual(client.read_response().status, 503)

    def between_two(self, **change):
        """An order is at a server; then another configuration, and the server breaks and is gone. (proxy, the order)"""
        holder, port = free_port()
        holder.close()
        server = self.raw_origin(lambda conversation, _: (conversation.read_request(), conversation.read(1)), port=port)
        proxy = self.spillway(config(port, rules=CLASSES, app={"hold": {"for": "2s"}}))
        client = self.send(proxy, "/order/1", method="GET", body=None)
        eventually(lambda: len(server.requests) == 1, "the order to be at the server")
        settings = self.settings(proxy)
        settings["pools"]["app"].update(change)
        proxy.configure(settings)
        proxy.must_reload()
        server.close()
        return proxy, client

    def test_a_request_of_before_a_reload_that_holds_nobody_is_not_held_for_ever(self):
        _, client = self.between_two(hold="off")
        self.assertIn(client.read_response().status, (502, 503))

    def test_servers_of_before_a_reload_that_are_gone_are_no_outage_of_those_of_now(self):
        new = self.keep(Shop())
        proxy, client = self.between_two(servers=[address(new)])
        self.assertEqual(client.read_response().status, 200)
        self.assertEqual(ask(proxy.port).status, 200)
        self.assertEqual(self.view(proxy)["outages"], 0)

    def test_those_who_send_slowly_do_not_keep_others_from_being_let_out(self):
        proxy = self.start(concurrency=4)
        self.shops[0].kill()
        for _ in range(8):
            self.connect(proxy.port).send("POST /order HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
        self.held(proxy, 8)
        clients = [self.send(proxy) for _ in range(10)]
        self.held(proxy, 18)
        self.shops[0].open()
        self.assertEqual({client.read_response().status for client in clients}, {200})

    def test_a_drain_waits_for_those_held(self):
        proxy = self.start()
        self.shops[0].kill()
        client = self.send(proxy)
        self.held(proxy, 1)
        os.kill(proxy.pid, signal.SIGTERM)
        proxy.log.wait("drain")
        self.shops[0].open()
        self.assertEqual(client.read_response().status, 200)
        self.assertEqual(proxy.wait(), 0)


if __name__ == "__main__":
    main()
