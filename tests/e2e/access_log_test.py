# SPDX-License-Identifier: MIT
"""The access log: a line for each exchange, in both formats, to standard output or a file, never in the way."""

import json
import os
import re
import signal

from harness import Case, Spillway, address, ask, config, connect, eventually, free_port, main


class Lines(Case):
    def test_json_says_what_happened(self):
        server = self.origin(lambda request: (201, {}, b"hello"))
        proxy = self.spillway(config(server))
        response = ask(proxy.port, "POST", "/a%20b?secret=1", body=b"abc",
                       headers={"User-Agent": "Agent/1", "Referer": "http://r.example/"}, source="127.0.0.5")
        record = proxy.wait_record(lambda record: True)
        expected = {"client": "127.0.0.5", "method": "POST", "host": "test.example", "status": 201, "bytes_in": 3,
                    "bytes_out": 5, "pool": "app", "upstream": f"127.0.0.1:{server.port}", "upstream_status": 201, "tries": 1,
                    "decision": "forward", "ua": "Agent/1", "referer": "http://r.example/", "protocol": "HTTP/1.1",
                    "scheme": "http", "generation": 1, "id": response.get("x-request-id")}
        self.assertEqual({key: record.get(key) for key in expected}, expected)
        self.assertRegex(record["ts"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertGreater(record["dur_ms"], 0)
        self.assertNotIn("secret", json.dumps(record))

    def test_refusals_name_their_rule_and_limit(self):
        server = self.origin()
        proxy = self.spillway(config(server, workers=1, limits={"l": {"key": "client.address", "rate": "1/h", "burst": 1}}, rules=[
            {"name": "no", "match": {"path": "/no"}, "action": "deny"}, {"name": "slow-down", "action": {"limit": "l"}}]))
        ask(proxy.port, target="/no")
        ask(proxy.port)
        ask(proxy.port)
        eventually(lambda: len(proxy.records()) == 3, "three lines")
        seen = [(record["decision"], record.get("rule"), record["status"]) for record in proxy.records()]
        self.assertEqual(seen, [("deny", "no", 403), ("forward", None, 200), ("limit", "slow-down", 429)])
        self.assertEqual(proxy.records()[2]["limit"], "l")

    def test_a_request_without_a_host_has_not_that_of_the_one_before(self):
        proxy = self.spillway(config(self.origin()))
        with connect(proxy.port) as client:
            client.ask()
            client.send("GET / HTTP/1.0\r\n\r\n")
            client.read_response()
        eventually(lambda: len(proxy.records()) == 2, "two lines")
        self.assertEqual([record.get("host", "") for record in proxy.records()], ["test.example", ""])

    def test_query_when_asked(self):
        server = self.origin()
        proxy = self.spillway(config(server, access_log={"format": "json", "path": "-", "query": True}))
        ask(proxy.port, target="/?a=b")
        self.assertEqual(proxy.wait_record(lambda record: True)["query"], "a=b")

    def test_combined_is_what_log_readers_know(self):
        server = self.origin(lambda request: (200, {}, b"hello"))
        proxy = self.spillway(config(server, access_log={"format": "combined", "path": "-"}))
        ask(proxy.port, target="/x", headers={"User-Agent": 'a "quoted" one'})
        line = proxy.access.wait(r"^127.*").group(0)
        match = re.fullmatch(r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET /x HTTP/1\.1" 200 5 "-" '
                             r'"a \\x22quoted\\x22 one"', line)
        self.assertTrue(match, line)

    def test_off_is_silent(self):
        server = self.origin()
        proxy = self.spillway(config(server, access_log="off"))
        ask(proxy.port)
        proxy.signal(signal.SIGTERM)
        proxy.wait()
        self.assertEqual(proxy.access.all(), [])

    def test_strangers_cannot_forge_lines(self):
        server = self.origin()
        proxy = self.spillway(config(server))
        ask(proxy.port, headers={"User-Agent": 'x","status":999,"y":"\t\\'})
        record = proxy.wait_record(lambda record: True)
        self.assertEqual((record["status"], record["ua"]), (200, 'x","status":999,"y":"\t\\'))

    def test_a_client_that_leaves_is_on_record(self):
        server = self.raw_origin(lambda conversation, _: (conversation.read_request(), conversation.at_end()))
        proxy = self.spillway(config(server))
        client = connect(proxy.port)
        client.send("GET /left HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: server.requests, "the request to arrive")
        client.abort()
        self.assertTrue(proxy.wait_record(lambda record: record["path"] == "/left").get("end"))

    def test_an_early_end_says_at_which_step(self):
        def play(conversation, _):
            conversation.read_request()
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

        holder, port = free_port()
        self.addCleanup(holder.close)
        silent = self.raw_origin(lambda conversation, _: conversation.read_request())
        proxy = self.spillway({**config(), "pools": {
            "app": {"servers": [address(self.origin())]}, "nobody": {"servers": [address(port)], "hold": "off"},
            "silent": {"servers": [address(silent)]}, "cut": {"servers": [address(self.raw_origin(play))]}}, "rules": [
                {"name": name, "match": {"path": "/" + name}, "action": {"pool": name}} for name in ("nobody", "silent", "cut")] + [
                {"name": "drop", "match": {"path": "/drop"}, "action": "drop"}]})
        steps = {"/": None, "/nobody": "connect", "/silent": "send", "/cut": "relay", "/drop": "decide", None: "read head"}
        for path in steps:
            with connect(proxy.port) as client:
                client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" if path else "GET\r\n\r\n")
                try:
                    client.read_to_end()
                except ConnectionError:
                    pass
        records = eventually(lambda: len(proxy.records()) == len(steps) and proxy.records(), "a line for each")
        self.assertEqual({record.get("path"): record.get("step") for record in records}, steps)
        self.assertEqual([record for record in records if ("end" in record) != ("step" in record)], [])

    def test_an_exchange_is_logged_once(self):
        server = self.origin()
        proxy = self.spillway(config(server))
        with connect(proxy.port) as client:
            for i in range(50):
                client.ask(target=f"/{i}")
        eventually(lambda: len(proxy.records()) >= 50, "fifty lines")
        self.assertEqual(sorted(record["path"] for record in proxy.records()), sorted(f"/{i}" for i in range(50)))


class Files(Case):
    def test_a_moved_file_is_opened_anew_on_hup(self):
        server, directory = self.origin(), self.directory()
        path = os.path.join(directory, "access.log")
        proxy = self.spillway(config(server, access_log={"format": "json", "path": path}))

        def paths(name):
            with open(name) as file:
                return [json.loads(line)["path"] for line in file if line.endswith("\n")]

        ask(proxy.port, target="/before")
        eventually(lambda: paths(path) == ["/before"], "the first line")
        os.rename(path, path + ".1")
        ask(proxy.port, target="/between")
        eventually(lambda: paths(path + ".1") == ["/before", "/between"], "a line in the moved file")
        proxy.signal(signal.SIGHUP)
        eventually(lambda: os.path.exists(path), "the new file")
        ask(proxy.port, target="/after")
        eventually(lambda: paths(path) == ["/after"], "a line in the new file")
        self.assertEqual(paths(path + ".1"), ["/before", "/between"])


class Blocked(Case):
    def test_a_reader_that_stopped_reading_blocks_nobody(self):
        """Standard output is a pipe that nobody reads. Requests go on; what does not fit is dropped and counted."""
        server = self.nginx('location / { return 200 "hi"; }')
        reader, writer = os.pipe()
        proxy = Spillway(config(server, workers=1), stdout=writer)
        os.close(writer)
        try:
            load = self.wrk(proxy.port, 100, connections=8, target="/" + "x" * 900)
            eventually(lambda: proxy.metric("spillway_access_log_dropped_total") > 0, "dropped lines to be counted")
            answered = proxy.metric("spillway_requests_total")
            eventually(lambda: proxy.metric("spillway_requests_total") > answered + 100, "requests to go on")
            self.assert_no_errors(load.stop())
        finally:
            proxy.kill()
            os.close(reader)


if __name__ == "__main__":
    main()
