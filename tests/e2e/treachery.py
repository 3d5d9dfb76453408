# SPDX-License-Identifier: MIT
"""Rows: messages that want to be read in two ways, each with what must come of it.

A row is sent whole, and a short one also cut in two at every byte, and byte by byte. Behind each request comes NEXT on
the same connection, so that every row also shows where the proxy believes that the message ends.
"""

import itertools
import re
from typing import NamedTuple

NEXT = b"GET /next HTTP/1.1\r\nHost: next\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
SHORT = 300    # rows up to this size are also cut at every byte
TOGETHER = 250  # connections at a time


class Saw(NamedTuple):
    """A request as the origin must have got it: every line of its head but the proxy's own, and its body."""

    head: tuple
    body: bytes = b""
    trailers: tuple = ()

    @property
    def method(self):
        return self.head[0].split(" ")[0]

    @property
    def name(self):
        return self.head[0].rsplit(" ", 1)[0]


class Row(NamedTuple):
    """A request, or several. `answers`: the statuses that come back. `seen`: what the origin got of it, whole.
    `kept`: NEXT is answered too; otherwise it is not seen, and the connection ends. `half`: the origin may have got the
    beginning of one more that never became whole."""

    name: str
    source: str
    data: bytes
    answers: tuple
    seen: tuple = ()
    kept: bool = False
    half: bool = False

    @property
    def waits(self):
        """It is not over: NEXT is taken for a part of it."""
        return self.half and self.kept

    @property
    def serves_next(self):
        return self.kept and not self.half


def saw(what, *fields, host="a", body=b"", trailers=()):
    return Saw((what + " HTTP/1.1", f"Host: {host}", *fields), body, tuple(trailers))


def refused(name, source, data, status=400, after=()):
    """What is refused, after some that were not: the connection ends, and nothing behind it is served."""
    return Row(name, source, data, (200,) * len(after) + (status,), tuple(after))


def passed(name, source, data, *seen, kept=True):
    return Row(name, source, data, (200,) * len(seen), seen, kept)


def broken(name, source, body, status=400):
    """A chunked body with a fault in it: its request never becomes whole."""
    return Row(name, source, post(b"Transfer-Encoding: chunked\r\n", body), (status,), half=True)


def waits(name, source, data):
    """A message that is not over, whatever looks like the next one: no answer comes, and it never becomes whole."""
    return Row(name, source, data, (), half=True, kept=True)


class Reply(NamedTuple):
    """A response, or several. `got`: the lines of the head that the client gets, but the proxy's own, and the body; BAD: a 502
    of the proxy's own; CUT: an end before its answer is whole; SPOILED: the one or the other. `kept`: the upstream's connection is used again. `interim`:
    the statuses that come before. `ends`: the upstream closes behind it."""

    name: str
    source: str
    data: bytes
    got: object
    kept: bool = False
    method: str = "GET"
    interim: tuple = ()
    ends: bool = False
    version: str = "HTTP/1.1"
    fields: str = ""

    def outcomes(self, pieces):
        """What may come of it in these pieces. What is spoiled is seen in one reading with the head's end, before the client
        was told anything, or behind it."""
        if self.got != SPOILED:
            return [self.got]
        heads = [empty_line.end() for empty_line in re.finditer(b"\r\n\r\n", self.data)]
        head, first = heads[len(self.interim)], len(pieces[0])
        if first < head:
            return [BAD] if len(pieces) == 2 else [CUT]  # that is byte by byte
        return [BAD] if len(pieces) == 1 else [CUT] if first == head else [BAD, CUT]


BAD, CUT, SPOILED = "502", "cut", "spoiled"


def get(fields=b"", target=b"/a", method=b"GET", version=b"HTTP/1.1", host=b"Host: a\r\n"):
    return method + b" " + target + b" " + version + b"\r\n" + host + fields + b"\r\n"


def post(fields, body=b"", method=b"POST", version=b"HTTP/1.1"):
    return get(fields, method=method, version=version) + body


def cuts(rows, behind=b""):
    """(row, its bytes in pieces, what of them): whole; for short ones also in two at every byte, and byte by byte."""
    for row in rows:
        data = row.data
        yield row, [data + behind], "whole"
        if len(data) <= SHORT:
            for at in range(1, len(data) + 1):
                yield row, [data[:at], data[at:] + behind], f"cut at {at}"
    for row in rows:
        if 0 < len(row.data) <= SHORT:
            yield row, [*(row.data[at:at + 1] for at in range(len(row.data))), behind], "byte by byte"


def rounds(things, size=TOGETHER):
    things = iter(things)
    while True:
        some = list(itertools.islice(things, size))
        if not some:
            return
        yield some
