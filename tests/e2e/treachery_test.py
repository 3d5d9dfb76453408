# SPDX-License-Identifier: MIT
"""Requests and responses that want to be read in two ways, each with what must come of it, however it is cut.

The rows are in treachery_lines.py, _fields.py, _framing.py, _chunks.py, _paths.py and _responses.py, each with the rule or
the research it is from; treachery.py says what a row is, treachery_stage.py how it is played.
"""

import unittest

from harness import Case, config, connect, main
from treachery import BAD, CUT, NEXT, cuts, rounds, saw
from treachery_chunks import CHUNKS
from treachery_fields import FIELDS
from treachery_framing import FRAMING
from treachery_lines import LINES
from treachery_paths import PATHS
from treachery_responses import RESPONSES
from treachery_stage import Fault, Stage

REQUESTS = LINES + FIELDS + FRAMING + CHUNKS + PATHS


class Rows(Case):
    """Notes the first thing that is wrong with each row, and tells of it when all have been played."""

    def setUp(self):
        self.stage = Stage(self)
        self.wrong = {}

    def note(self, row, how, fault):
        if fault:
            self.wrong.setdefault(row.name, f"{how}: {fault}")

    def hear(self, client, row, how):
        if row.name in self.wrong:
            return  # waiting once in vain is enough
        try:
            self.note(row, how, self.hears(client, row))
        except (Fault, TimeoutError) as fault:
            self.note(row, how, f"{fault}; {client.buffer!r}")

    def tell(self, rows):
        for row in rows:
            with self.subTest(row.name, source=row.source):
                self.assertIsNone(self.wrong.get(row.name))
        self.assertEqual(self.stage.recorder.faults, [])


class Requests(Rows):
    def play(self, rows):
        stage, expected = self.stage, {}  # by the client's address: the row, how it was cut
        for some in rounds(cuts(rows, behind=NEXT)):
            clients = stage.clients(len(some))
            stage.send([client.say for client in clients], [pieces for _, pieces, _ in some])
            for client, (row, _, how) in zip(clients, some):
                expected[client.source] = row, how
                self.hear(client, row, how)
            stage.all_is_read()
            for client, (row, _, how) in zip(clients, some):
                if row.kept and not client.silent():
                    self.note(row, how, f"the connection ended, or more came: {client.buffer!r}")
                client.close()
        recorder = stage.recorder
        recorder.until(lambda: all(source in recorder.halves for source, (row, _) in expected.items() if row.waits))
        for source, (row, how) in expected.items():
            self.note(row, how, self.was_asked(source, row))
        self.assertLessEqual(set(recorder.asked), set(expected))
        self.tell(rows)

    def hears(self, client, row):
        """What is wrong with the answers of a row, if anything."""
        names = iter([*(request.name for request in row.seen), "GET /next"])
        for status in row.answers + ((200,) if row.serves_next else ()):
            name = next(names) if status == 200 else "GET"
            method = name.split(" ")[0]
            answer = client.answer(method)
            if not answer:
                return f"no answer to {name}; {client.buffer!r}"
            lines, body, _ = answer
            if not lines[0].startswith(f"HTTP/1.1 {status} "):
                return f"the answer to {name} is {lines[0]!r}, not {status}"
            if status == 200 and method != "HEAD" and body.decode("latin-1") != name:
                return f"the answer to {name} is that to {body!r}"
        if row.kept:
            return None
        if "Connection: close" not in lines:
            return f"the last answer does not say that it is: {lines}"
        return None if client.answer() is None and not client.buffer else f"more came: {client.buffer!r}"

    def was_asked(self, source, row):
        """What is wrong with what the origin got, if anything."""
        recorder = self.stage.recorder
        origin = f"127.0.0.1:{recorder.port}"
        wanted = [request._replace(head=tuple(line.replace("{origin}", origin) for line in request.head)) for request in row.seen]
        if row.serves_next:
            wanted.append(saw("GET /next", host="next"))
        got, halves = recorder.asked.get(source, []), recorder.halves.get(source, [])
        if got != wanted:
            return f"the origin got {got}, not {wanted}"
        if row.waits:
            return None if len(halves) == 1 else f"the origin got not half of one, but {halves}"
        return None if row.half or not halves else f"the origin got half of something: {halves}"

    def test_request_lines(self):
        self.play(LINES)

    def test_fields(self):
        self.play(FIELDS)

    def test_framing(self):
        self.play(FRAMING)

    def test_chunks(self):
        self.play(CHUNKS)

    def test_paths(self):
        self.play(PATHS)


class Responses(Rows):
    def test_responses(self):
        stage, recorder = self.stage, self.stage.recorder
        for some in rounds(cuts(RESPONSES)):
            clients = stage.clients(len(some))
            self.outcomes = {client: row.outcomes(pieces) for client, (row, pieces, _) in zip(clients, some)}
            for number, (client, (row, _, _)) in enumerate(zip(clients, some)):
                keep = "Connection: keep-alive\r\n" if row.version == "HTTP/1.0" else ""
                client.say(f"{row.method} /play/{number} {row.version}\r\nHost: a\r\n{keep}{row.fields}\r\n")
            self.assertTrue(recorder.until(lambda: len(recorder.held) == len(some)), "not all requests arrived")
            links = [recorder.held[number] for number in range(len(some))]
            stage.send([link.say for link in links], [pieces for _, pieces, _ in some])
            for link, (row, _, _) in zip(links, some):
                if row.ends:
                    recorder.end(link)
            for client, (row, _, how) in zip(clients, some):
                self.hear(client, row, how)
            stage.all_is_read()
            self.go_on(clients, links, some)
            for client in clients:
                client.close()
            recorder.hang_up()
        self.tell(RESPONSES)

    def go_on(self, clients, links, some):
        """The next request of each client: what is left in a connection that is used again would now be somebody's answer."""
        for number, client in enumerate(clients):
            client.say(f"GET /next/{number} HTTP/1.1\r\nHost: a\r\n\r\n")
        for number, (client, link, (row, _, how)) in enumerate(zip(clients, links, some)):
            if row.name in self.wrong:
                continue
            answer = client.answer()
            got = self.outcomes[client][0]
            closes = got == CUT or (got != BAD and "Connection: close" in got[0])
            if (answer and answer[1]) != (None if closes else b"GET /next/%d" % number):
                self.note(row, how, f"the next answer is {answer}")
            elif row.kept and link.ended:
                self.note(row, how, "the upstream's connection is not kept")
            elif not row.kept and not self.stage.recorder.until(lambda: link.ended):
                self.note(row, how, "the upstream's connection is kept")

    def hears(self, client, row):
        """What is wrong with what the client got, if anything."""
        for status in row.interim:
            answer = client.answer()
            if not answer or not answer[0][0].startswith(f"HTTP/1.1 {status} "):
                return f"{answer} for {status}"
        answer = client.answer(row.method, until_end=row.version == "HTTP/1.0")
        outcomes = self.outcomes[client]
        if outcomes == [BAD, CUT]:
            outcomes[:] = [BAD] if answer else [CUT]
        if outcomes == [CUT]:
            return f"got {answer}" if answer else None
        if not answer:
            return "no answer"
        lines, body, trailers = answer
        if outcomes == [BAD]:
            own = lines[0] == "HTTP/1.1 502 Bad Gateway" and "Content-Type: application/problem+json" in lines and b"evil" not in body
            return None if own else f"got {answer}"
        own = [line for line in lines if line.split(":")[0] in ("Date", "X-Request-Id", "Via")]
        if len(own) != 3 or "X-Request-Id: evil" in own:
            return f"not the proxy's own words: {own}"
        got = tuple(line for line in lines if line not in own), body, *([trailers] if trailers else [])
        return None if got == row.got else f"got {got}, not {row.got}"


class Unasked(Case):
    def test_what_a_server_says_unasked_is_nobodys_answer(self):
        """It comes over a kept connection, at the same instant as the request that would use that connection."""

        def play(conversation, _):
            links.append(conversation)
            while True:
                target = conversation.read_request().target
                conversation.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(target)}\r\n\r\n{target}")

        links = []
        proxy = self.spillway(config(self.raw_origin(play), workers=1))
        with connect(proxy.port) as client:
            for _ in range(10):
                self.assertEqual(client.ask(target="/one").body, b"/one")
                proxy.stop()
                client.send("GET /two HTTP/1.1\r\nHost: a\r\n\r\n")
                links[-1].send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
                proxy.go_on()
                self.assertEqual(client.read_response().body, b"/two")


class Table(unittest.TestCase):
    def test_there_are_many_rows_and_no_two_are_the_same(self):
        rows = REQUESTS + RESPONSES
        self.assertGreaterEqual(len(rows), 850)
        self.assertEqual(len({row.name for row in rows}), len(rows))
        self.assertEqual(len({row.data for row in REQUESTS}), len(REQUESTS))
        self.assertEqual(len({row[2:] for row in RESPONSES}), len(RESPONSES))
        self.assertTrue(all(row.source for row in rows))


if __name__ == "__main__":
    main()
