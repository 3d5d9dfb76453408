# SPDX-License-Identifier: MIT
"""An answer whose body is bad: whoever has been told nothing of it yet is told 502, like one whose head is bad, and so is
whoever asks the log, the counters, the limits and the admission."""

import threading

from harness import PATIENCE, ask, connect, main
from http2_case import Http2, http2

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-From: upstream\r\n\r\n"
BAD = HEAD + b"-2\r\nok\r\n0\r\n\r\n"
LATE = HEAD + b"5\r\nhello\r\n" + b"1\r\nx\r\n" * 20 + b"5\r\nhelloXX0\r\n\r\n"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
OWN = "application/problem+json"


class Bad(Http2):
    def behind(self, answer, **more):
        def play(conversation, _):
            while True:
                conversation.send(answer if conversation.read_request().target == "/bad" else GOOD)

        self.server = self.raw_origin(play)
        return self.spillway(http2(self.server, workers=1, **more))

    def test_a_client_that_has_been_told_nothing_gets_502_and_its_connection_goes_on(self):
        for answer in (BAD, LATE):
            proxy = self.behind(answer)
            with self.subTest(answer[:90]), connect(proxy.port) as client:
                response = client.ask(target="/bad")
                self.assertEqual((response.status, response.get("Content-Type"), response.get("X-From")), (502, OWN, None))
                self.assertNotIn(b"hello", response.body)
                self.assertEqual(client.ask(target="/good").body, b"ok")
            with self.subTest(answer[:90], version="HTTP/1.0"), connect(proxy.port) as client:
                client.send("GET /bad HTTP/1.0\r\n\r\n")
                response = client.read_response()
                self.assertEqual((response.status, response.get("Content-Type")), (502, OWN))
            with self.subTest(answer[:90], version="HTTP/2"):
                client = self.client(proxy)
                stream = client.ask(path="/bad")
                self.assertEqual((stream.status, stream.get("content-type"), stream.get("x-from")), (502, OWN, None))
                self.assertEqual((stream.ended, stream.reset), (True, None))
                self.assertEqual(bytes(client.ask(path="/good").body), b"ok")

    def test_a_post_is_answered_and_not_repeated(self):
        proxy = self.behind(BAD)
        self.assertEqual(ask(proxy.port, "POST", "/bad", body=b"once").status, 502)
        self.assertEqual(ask(proxy.port, "GET", "/bad").status, 502)
        self.assertEqual([request.method for request in self.server.requests], ["POST", "GET"])

    def test_the_log_and_the_counters_say_so(self):
        proxy = self.behind(BAD, access_log={"format": "json", "path": "-"})
        body = ask(proxy.port, target="/bad").body
        record = proxy.wait_record(lambda it: it["path"] == "/bad")
        self.assertEqual((record["status"], record["decision"], record["end"], record["bytes_out"]),
                         (502, "upstream_error", "upstream failed", len(body)))
        self.assertEqual(proxy.metric("spillway_upstream_errors_total", kind="protocol"), 1)
        self.assertEqual(proxy.metric("spillway_upstream_responses_total", **{"class": "2xx"}), 0)

    def test_it_gives_its_place_at_the_servers_back(self):
        proxy = self.behind(BAD, app={"concurrency": 1, "ejection": {"consecutive_errors": 0}})
        for _ in range(3):
            self.assertEqual(ask(proxy.port, target="/bad").status, 502)
        self.assertEqual(ask(proxy.port, target="/good").body, b"ok")

    def test_rules_on_responses_do_not_judge_what_no_client_got(self):
        proxy = self.behind(BAD, limits={"well": {"key": "global", "rate": "1/h", "burst": 1}}, rules=[
            {"name": "over", "action": {"limit": {"name": "well", "charge": False}}},
            {"name": "count", "when": "response", "match": {"response.status": 200}, "action": {"limit": "well"}}])
        self.assertEqual([ask(proxy.port, target=target).status for target in ("/bad", "/bad", "/good", "/good")], [502, 502, 200, 429])

    def test_a_client_that_has_the_head_is_cut_off(self):
        def play(conversation, _):
            conversation.read_request()
            conversation.send(HEAD + b"5\r\nhello\r\n")
            seen.wait(PATIENCE)
            conversation.send(b"-2\r\nok\r\n0\r\n\r\n")
            conversation.read_to_end()

        seen = threading.Event()
        proxy = self.spillway(http2(self.raw_origin(play), workers=1))
        client = self.client(proxy)
        stream = client.start()
        client.until(lambda: stream.body == b"hello", "the first part")
        seen.set()
        self.assertIsNotNone(client.wait(stream).reset)
        self.assertEqual(stream.status, 200)


if __name__ == "__main__":
    main()
