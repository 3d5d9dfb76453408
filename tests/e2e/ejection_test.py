# SPDX-License-Identifier: MIT
"""Servers that hang, or answer errors as fast as they can, beside one that is well: visitors are answered by that."""

import threading
import time

from harness import SLOWNESS, Case, ask, config, connect, eventually, main


class Server:
    """What an origin answers: its name, but while it hangs nothing, and while it fails an error at once."""

    def __init__(self, name, takes=0.0):
        self.name, self.takes, self.fails = name, takes, False
        self.open = threading.Event()
        self.open.set()

    def __call__(self, request):
        if self.fails:
            return 500, {}, b"broken"
        self.open.wait(60)
        threading.Event().wait(self.takes)
        return 200, {}, self.name.encode()


class Ejection(Case):
    def start(self, **app):
        """Two servers; the first is the sick one. Both have answered already."""
        self.sick, self.well = Server("sick"), Server("well", 0.02)
        self.sick_origin, self.well_origin = self.origin(self.sick), self.origin(self.well)
        self.addCleanup(self.sick.open.set)
        settings = {"balance": "round_robin", **app}
        proxy = self.spillway(config(self.sick_origin, self.well_origin, workers=1, app=settings))
        for number in range(20):
            self.assertEqual(ask(proxy.port, target=f"/warm/{number}").status, 200)
        return proxy

    def crowd(self, proxy, visitors, times):
        """So many visitors who each ask so often; (status, body, seconds) of each request."""
        told = []

        def visit(visitor):
            for number in range(times):
                began = time.monotonic()
                answer = ask(proxy.port, target=f"/page/{visitor}/{number}")
                told.append((answer.status, answer.body, time.monotonic() - began))

        threads = [threading.Thread(target=visit, args=(visitor,)) for visitor in range(visitors)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return told

    def states(self, proxy):
        return [server["ejected_as"] for server in proxy.api("/api/v1/pools")["pools"][0]["servers"]]

    def post(self, proxy, target="/order"):
        client = connect(proxy.port)
        self.addCleanup(client.close)
        client.send(f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nbuy")
        return client

    def post_to_the_sick(self, proxy, count):
        clients = []
        while len([client for client in clients if client.quiet(0.2)]) < count:
            clients.append(self.post(proxy, f"/order/{len(clients)}"))
        return [client for client in clients if not client.buffer]


class Hangs(Ejection):
    def test_who_met_a_server_that_hangs_is_answered_by_another(self):
        proxy = self.start(ejection={"time": "1m"})
        self.sick.open.clear()
        told = self.crowd(proxy, 10, 20)
        self.assertEqual({(status, body) for status, body, _ in told}, {(200, b"well")})
        self.assertLess(max(took for _, _, took in told), 4 * SLOWNESS)
        self.assertTrue(proxy.log.wait(r"is ejected for 60s, as it hangs"))
        self.assertEqual(self.states(proxy), ["hangs", None])
        self.assertIn("hangs", proxy.ctl("pools", check=0).stdout)

    def test_those_that_wait_at_it_hold_no_place(self):
        proxy = self.start(ejection={"time": "1m"}, concurrency=4)
        self.sick.open.clear()
        self.post_to_the_sick(proxy, 3)
        proxy.log.wait(r"as it hangs")
        eventually(lambda: proxy.api("/api/v1/pools")["pools"][0]["admission"]["in_flight"] == 0, "the places to be free")
        self.assertEqual({(status, body) for status, body, _ in self.crowd(proxy, 4, 5)}, {(200, b"well")})

    def test_an_order_is_not_sent_twice(self):
        proxy = self.start(ejection={"time": "1m"})
        self.sick.open.clear()
        orders = self.post_to_the_sick(proxy, 3)
        proxy.log.wait(r"as it hangs")
        self.sick.open.set()
        self.assertEqual({order.read_response().body for order in orders}, {b"sick"})
        paths = [request.path for request in self.sick_origin.requests + self.well_origin.requests]
        self.assertEqual(len(paths), len(set(paths)))

    def test_its_answer_takes_it_back(self):
        proxy = self.start(ejection={"time": "1m"}, slow_start="0s")
        self.sick.open.clear()
        self.post_to_the_sick(proxy, 3)
        proxy.log.wait(r"as it hangs")
        self.sick.open.set()
        proxy.log.wait(r"answers again, and is taken back")
        self.assertEqual(self.states(proxy), [None, None])
        self.assertIn(b"sick", {body for _, body, _ in self.crowd(proxy, 1, 4)})

    def test_one_that_hangs_on_is_tried_by_one_request_at_a_time(self):
        proxy = self.start(ejection={"time": "1s"})
        self.sick.open.clear()
        self.crowd(proxy, 10, 5)
        proxy.log.wait(r"is ejected for 1s, as it hangs")
        before = len(self.sick_origin.requests)
        eventually(lambda: self.crowd(proxy, 4, 5) and "is ejected for 2s" in "\n".join(proxy.log.all()), "the second ejection")
        self.assertLessEqual(len(self.sick_origin.requests) - before, 3)

    def test_clients_that_leave_before_their_answer_tell_of_it_too(self):
        proxy = self.start(concurrency="off", ejection={"time": "1m"})
        self.sick.open.clear()

        def leave_in_vain(number):
            with connect(proxy.port) as client:
                client.send(f"GET /page/{number} HTTP/1.1\r\nHost: a\r\n\r\n")
                if client.quiet(0.2):  # so the next is the other server's turn
                    self.assertEqual(ask(proxy.port, target=f"/other/{number}").body, b"well")
                    client.quiet(1.5)

        for number in range(12):
            if "as it hangs" not in "\n".join(proxy.log.all()):
                leave_in_vain(number)
        self.assertEqual(self.states(proxy), ["hangs", None])

    def test_a_report_that_takes_long_ejects_no_server(self):
        proxy = self.start()
        slow = threading.Event()
        answer = self.sick_origin.answer

        def report(request):
            return (slow.wait(60), (200, {}, b"report"))[1] if request.path.startswith("/report") else answer(request)

        self.sick_origin.answer = report
        waiting = []
        while len(waiting) < 5:
            client = self.connect(proxy.port)
            client.send(f"GET /report/{len(waiting)} HTTP/1.1\r\nHost: a\r\n\r\n")
            if client.quiet(0.2):
                waiting.append(client)
        told = self.crowd(proxy, 2, 60)
        self.assertEqual({body for _, body, _ in told}, {b"sick", b"well"})
        slow.set()
        self.assertEqual({client.read_response().body for client in waiting}, {b"report"})
        self.assertNotIn("ejected", "\n".join(proxy.log.all()))

    def test_who_presses_reload_is_not_joined_to_a_request_at_a_server_that_hangs(self):
        proxy = self.start(balance="least_requests")
        self.sick.open.clear()
        asked, number = len(self.sick_origin.requests), 0
        while True:  # until one has met it
            number += 1
            first = connect(proxy.port)
            first.send(f"GET /page/{number} HTTP/1.1\r\nHost: a\r\n\r\n")
            if first.quiet(0.5):
                break
            first.close()
        self.assertEqual(len(self.sick_origin.requests), asked + 1)
        first.close()

        def reload():
            with connect(proxy.port) as client:
                client.send(f"GET /page/{number} HTTP/1.1\r\nHost: a\r\n\r\n")
                return not client.quiet(0.3)

        eventually(reload, "an answer of the other server", timeout=6 * SLOWNESS)


class Fails(Ejection):
    def test_a_server_that_answers_errors_at_once_does_not_draw_all_requests(self):
        proxy = self.start(balance="least_requests", concurrency="off", ejection={"time": "1m"})
        self.sick.fails = True
        before = len(self.sick_origin.requests)
        eventually(lambda: self.crowd(proxy, 6, 10) and self.states(proxy) == ["fails", None], "it to be ejected")
        self.assertLess(len(self.sick_origin.requests) - before, 250)
        self.assertEqual({body for _, body, _ in self.crowd(proxy, 4, 5)}, {b"well"})
        self.assertTrue(proxy.log.wait(r"is ejected for 60s, as it fails"))

    def test_a_page_that_fails_on_every_server_ejects_none(self):
        proxy = self.start()
        self.sick.fails = self.well.fails = True
        self.crowd(proxy, 6, 40)
        self.assertEqual(self.states(proxy), [None, None])


if __name__ == "__main__":
    main()
