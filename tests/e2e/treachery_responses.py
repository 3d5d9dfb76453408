# SPDX-License-Identifier: MIT
"""Rows: responses of upstreams that are broken, or that somebody has talked into lying."""

from treachery import BAD, CUT, SPOILED, Reply

STATUS, FIELD, BARE, FOLD = "RFC 9112 4", "RFC 9112 5", "RFC 9112 2.2, bare CR and LF", "RFC 9112 5.2"
LENGTH, CODING, BOTH, CHUNK = "RFC 9112 6.2", "RFC 9112 6.1", "RFC 9112 6.3", "RFC 9112 7.1"
INTERIM, SPLITTING, DESYNC = "RFC 9110 15.2", "response splitting: Klein 2004", "Doyhenard 2021: response smuggling"
LIMIT = "pools.NAME.response_head"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
END = b"0\r\n\r\n"


def lines(*head, body=b"hello", length=5):
    return ("HTTP/1.1 200 OK", *head, *([f"Content-Length: {length}"] if length is not None else [])), body


HELLO = lines()
CHUNKED = lines("Transfer-Encoding: chunked", length=None)


def ok(fields, body=b"hello", start=b"HTTP/1.1 200 OK"):
    return start + b"\r\n" + fields + b"\r\n" + body


def bad(name, data, source=FIELD, **more):
    return Reply(f"response: {name}", source, data, BAD, **more)


def start(name, line, source=STATUS):
    return bad(f"status line: {name}", line + b"\r\nContent-Length: 5\r\n\r\nhello", source)


def field(name, line, source=FIELD):
    return bad(f"field: {name}", ok(b"Content-Length: 5\r\n" + line + b"\r\n"), source)


def good(name, data, got=HELLO, source=FIELD, kept=True, **more):
    return Reply(f"response: {name}", source, data, got, kept, **more)


def cut(name, data, source=CHUNK, **more):
    return Reply(f"response: {name}", source, data, CUT, **more)


def spoiled(name, data, source=CHUNK, **more):
    return Reply(f"response: {name}", source, data, SPOILED, **more)


STARTS = [
    start("of HTTP/2.0", b"HTTP/2.0 200 OK"),
    start("of HTTP/2", b"HTTP/2 200"),
    start("of HTTP/0.9", b"HTTP/0.9 200 OK"),
    start("of HTTP/1.2", b"HTTP/1.2 200 OK"),
    start("of HTTP/1.10", b"HTTP/1.10 200 OK"),
    start("of lower case", b"http/1.1 200 OK"),
    start("of another protocol", b"ICY 200 OK"),
    start("of RTSP", b"RTSP/1.0 200 OK"),
    start("a space first", b" HTTP/1.1 200 OK"),
    start("an empty line first", b"\r\nHTTP/1.1 200 OK"),
    start("a LF first", b"\nHTTP/1.1 200 OK"),
    start("a byte order mark first", b"\xef\xbb\xbfHTTP/1.1 200 OK"),
    start("two spaces before the status", b"HTTP/1.1  200 OK"),
    start("a tab before the status", b"HTTP/1.1\t200 OK"),
    start("a tab behind the status", b"HTTP/1.1 200\tOK"),
    start("no status", b"HTTP/1.1 OK"),
    start("nothing but the version", b"HTTP/1.1"),
    start("a status of two digits", b"HTTP/1.1 20 OK"),
    start("a status of four digits", b"HTTP/1.1 2000 OK"),
    start("a status with a sign", b"HTTP/1.1 +20 OK"),
    start("a status with a minus", b"HTTP/1.1 -20 OK"),
    start("a status with a letter", b"HTTP/1.1 20x OK"),
    start("status 0", b"HTTP/1.1 000 OK"),
    start("status 099", b"HTTP/1.1 099 OK"),
    start("status 600", b"HTTP/1.1 600 OK"),
    start("status 999", b"HTTP/1.1 999 OK"),
    start("a NUL in the reason", b"HTTP/1.1 200 O\0K"),
    start("a CR in the reason", b"HTTP/1.1 200 O\rK"),
    start("an escape sequence in the reason", b"HTTP/1.1 200 \x1b[2J"),
    start("DEL in the reason", b"HTTP/1.1 200 O\x7fK"),
    bad("status line: ends in LF", b"HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\nhello", BARE),
    bad("status line: ends in CR CR LF", b"HTTP/1.1 200 OK\r\r\nContent-Length: 5\r\n\r\nhello", BARE),
    bad("all lines end in LF", b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", BARE),
    bad("a body without a head", b"<html>hello</html>", "HTTP/0.9", ends=True),
    bad("a request", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", STATUS),
    bad("of SSH", b"SSH-2.0-OpenSSH_9.2\r\n", "another protocol on the port"),
    bad("of TLS", b"\x15\x03\x01\x00\x02\x02\x46", "another protocol on the port"),
    good("status line: no reason", ok(b"Content-Length: 5\r\n", start=b"HTTP/1.1 200 "), (("HTTP/1.1 200 ", "Content-Length: 5"), b"hello"), STATUS),
    good("status line: no reason and no space", ok(b"Content-Length: 5\r\n", start=b"HTTP/1.1 200"),
         (("HTTP/1.1 200 ", "Content-Length: 5"), b"hello"), STATUS),
    good("status line: 8-bit bytes in the reason", ok(b"Content-Length: 5\r\n", start=b"HTTP/1.1 200 \xc3\xa4"),
         (("HTTP/1.1 200 \xc3\xa4", "Content-Length: 5"), b"hello"), STATUS),
    good("status line: another status in the reason", ok(b"Content-Length: 5\r\n", start=b"HTTP/1.1 200 404 Not Found"),
         (("HTTP/1.1 200 404 Not Found", "Content-Length: 5"), b"hello"), STATUS),
    good("status 299", ok(b"Content-Length: 5\r\n", start=b"HTTP/1.1 299 Odd"), (("HTTP/1.1 299 Odd", "Content-Length: 5"), b"hello"), STATUS),
    good("status 599", ok(b"Content-Length: 5\r\n", start=b"HTTP/1.1 599 Odd"), (("HTTP/1.1 599 Odd", "Content-Length: 5"), b"hello"), STATUS),
]

FIELDS = [
    field("a space before the colon", b"X : y"),
    field("a tab before the colon", b"X\t: y"),
    field("a space in a name", b"X y: z"),
    field("an 8-bit byte in a name", b"X\xc3\xa4: y"),
    field("a NUL in a name", b"X\0: y"),
    field("no name", b": y"),
    field("no colon", b"Xyz"),
    field("folded", b"X: a\r\n b", FOLD),
    field("folded by a tab", b"X: a\r\n\tb", FOLD),
    field("a NUL in a value", b"X: a\0b"),
    field("a control byte in a value", b"X: a\x01b"),
    field("a bare CR in a value", b"X: a\rb", BARE),
    field("a bare CR at a value's end", b"X: a\r", BARE),
    field("a bare LF in a value", b"X: a\nSet-Cookie: b=c", SPLITTING),
    field("a bare CR and a field behind it", b"X: a\rSet-Cookie: b=c", SPLITTING),
    bad("field: the first begins with a space", ok(b" X: y\r\nContent-Length: 5\r\n"), FOLD),
    bad("head: ends in LF", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\nhello", BARE),
    bad("head: ends in CR CR LF", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\r\nhello", BARE),
    bad("head: does not end", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", ends=True),
    bad("head: nothing at all", b"", STATUS, ends=True),
    bad("head: too large", ok(b"Content-Length: 5\r\nX: " + b"y" * 9000 + b"\r\n"), LIMIT),
    bad("head: a reason that does not end", b"HTTP/1.1 200 " + b"r" * 9000, LIMIT),
    bad("head: a name that does not end", b"HTTP/1.1 200 OK\r\n" + b"X" * 9000, LIMIT),
    bad("head: more fields than may be", ok(b"Content-Length: 5\r\n" + b"X:\r\n" * 1000), LIMIT),
    good("field: many cookies", ok(b"Content-Length: 5\r\n" + b"Set-Cookie: a=b\r\n" * 100), lines(*["Set-Cookie: a=b"] * 100)),
    good("field: an empty value", ok(b"X:\r\nContent-Length: 5\r\n"), lines("X: ")),
    good("field: white space around a value", ok(b"X: \t y \t\r\nContent-Length: 5\r\n"), lines("X: y")),
    good("field: 8-bit bytes in a value", ok(b"X: \xc3\xa4\r\nContent-Length: 5\r\n"), lines("X: \xc3\xa4")),
    good("field: an underscore", ok(b"X_Y: z\r\nContent_Length: 50\r\nTransfer_Encoding: chunked\r\nContent-Length: 5\r\n"),
         source="read as dashes by some", got=(("HTTP/1.1 200 OK", "X_Y: z", "Content-Length: 5"), b"hello")),
    good("connection: lists a field that is unknown", ok(b"Connection: X-Secret\r\nX-Secret: y\r\nContent-Length: 5\r\n"), source="RFC 9110 7.6.1"),
    good("connection: lists Set-Cookie, which is then for this hop", ok(b"Connection: Set-Cookie\r\nSet-Cookie: a=b\r\nContent-Length: 5\r\n"),
         source="RFC 9110 7.6.1"),
    good("connection: lists Content-Length", ok(b"Connection: Content-Length\r\nContent-Length: 5\r\n"), source=DESYNC),
    good("connection: Keep-Alive and Proxy-Authenticate stay here",
         ok(b"Keep-Alive: timeout=9\r\nProxy-Authenticate: Basic\r\nProxy-Connection: close\r\nContent-Length: 5\r\n"), source="RFC 9110 7.6.1"),
    good("connection: an upgrade that is offered stays here", ok(b"Connection: Upgrade\r\nUpgrade: h2,h2c\r\nContent-Length: 5\r\n"),
         source="RFC 9110 7.8"),
    good("connection: close", ok(b"Connection: close\r\nContent-Length: 5\r\n"), kept=False, source="RFC 9112 9.6"),
    good("connection: close in a list", ok(b"Connection: X, CLOSE\r\nContent-Length: 5\r\n"), kept=False, source="RFC 9112 9.6"),
    good("identity: a request id of its own", ok(b"X-Request-Id: evil\r\nContent-Length: 5\r\n"), source="one number for each request"),
    good("1.0, no word of keeping it", ok(b"Content-Length: 5\r\n", start=b"HTTP/1.0 200 OK"), kept=False, source="RFC 9112 9.3"),
    good("1.0, kept", ok(b"Connection: keep-alive\r\nContent-Length: 5\r\n", start=b"HTTP/1.0 200 OK"), source="RFC 9112 9.3"),
    good("1.0, kept, but with no length", ok(b"Connection: keep-alive\r\n", start=b"HTTP/1.0 200 OK"), CHUNKED, BOTH, kept=False, ends=True),
]


def length(name, value, source=LENGTH):
    return bad(f"length: {name}", ok(b"Content-Length: " + value + b"\r\n"), source)


def coding(name, lines, source=CODING):
    return bad(f"coding: {name}", ok(lines + b"\r\n", b"5\r\nhello\r\n" + END), source)


FRAMING = [
    length("with a plus", b"+5"),
    length("with a minus", b"-5"),
    length("hexadecimal", b"0x5"),
    length("with a letter", b"5a"),
    length("with a space in it", b"5 5"),
    length("with a fraction", b"5.0"),
    length("empty", b""),
    length("2 to the 64th and five", b"18446744073709551621", "overflow to 5"),
    length("a list", b"5, 5"),
    length("a list that differs", b"5, 6"),
    length("twice, equal", b"5\r\nContent-Length: 5"),
    length("twice, different", b"5\r\nContent-Length: 6"),
    length("folded", b"\r\n 5", FOLD),
    coding("and a length", b"Content-Length: 5\r\nTransfer-Encoding: chunked", BOTH),
    coding("and a length behind it", b"Transfer-Encoding: chunked\r\nContent-Length: 5", BOTH),
    coding("unknown", b"Transfer-Encoding: xchunked"),
    coding("gzip and chunked", b"Transfer-Encoding: gzip, chunked"),
    coding("chunked and gzip", b"Transfer-Encoding: chunked, gzip"),
    coding("identity", b"Transfer-Encoding: identity"),
    coding("gzip", b"Transfer-Encoding: gzip"),
    coding("chunked twice", b"Transfer-Encoding: chunked, chunked"),
    coding("in two fields", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    coding("empty", b"Transfer-Encoding:"),
    coding("a space before its colon", b"Transfer-Encoding : chunked"),
    coding("a vertical tab before it", b"Transfer-Encoding: \vchunked"),
    coding("folded", b"Transfer-Encoding:\r\n chunked"),
    coding("behind a LF", b"X: y\nTransfer-Encoding: chunked", BARE),
    bad("coding: in 1.0", ok(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n" + END, b"HTTP/1.0 200 OK"), CODING),
    good("length: with zeros before it", ok(b"Content-Length: 0005\r\n"), source=LENGTH),
    good("length: none, until the end", ok(b"X: y\r\n"), lines("X: y", "Transfer-Encoding: chunked", length=None), BOTH, kept=False, ends=True),
    good("length: none, until the end, to a client of 1.0", ok(b"X: y\r\n"), lines("X: y", "Connection: close", length=None), BOTH,
         kept=False, ends=True, version="HTTP/1.0"),
    good("length: none, a response in the body", ok(b"", EVIL), lines("Transfer-Encoding: chunked", length=None, body=EVIL), SPLITTING,
         kept=False, ends=True),
    good("coding: chunked, to a client of 1.0", ok(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n" + END),
         lines("Connection: close", length=None), CODING, version="HTTP/1.0"),
    good("chunks: legal", ok(b"Transfer-Encoding: chunked\r\n", b'3;a="b;c"\r\nhel\r\n02\r\nlo\r\n' + END), CHUNKED, CHUNK),
    good("chunks: with a trailer", ok(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\nX: y\r\nSet_Cookie: z\r\nConnection: a\r\n\r\n"),
         (*CHUNKED, ("X: y", "Set_Cookie: z")), "RFC 9112 7.1.2"),
]


def chunk(name, body, source=CHUNK, **more):
    return spoiled(f"chunks: {name}", ok(b"Transfer-Encoding: chunked\r\n", body), source, **more)


def unfinished(name, body):
    return cut(f"chunks: {name}", ok(b"Transfer-Encoding: chunked\r\n", body), ends=True)


CHUNKS = [
    chunk("a size with 0x", b"0x5\r\nhello\r\n" + END),
    chunk("a size with a plus", b"+5\r\nhello\r\n" + END),
    chunk("a size with a space behind it", b"5 \r\nhello\r\n" + END),
    chunk("a size with a space before it", b" 5\r\nhello\r\n" + END),
    chunk("no size", b"\r\nhello\r\n" + END),
    chunk("a size of 17 digits", b"10000000000000005\r\nhello\r\n" + END),
    chunk("a size that ends in LF", b"5\nhello\r\n" + END),
    chunk("a size that ends in CR", b"5\rhello\r\n" + END),
    chunk("a body without chunks", b"hello"),
    chunk("one longer than its size", b"4\r\nhello\r\n" + END),
    chunk("one that ends in LF", b"5\r\nhello\n" + END),
    chunk("one that ends in nothing", b"5\r\nhello" + END),
    chunk("LF in an extension", b"5;a\nb\r\nhello\r\n" + END, "Weikop 2025: funky chunks"),
    chunk("an extension without a name", b"5;\r\nhello\r\n" + END, "Weikop 2025: funky chunks"),
    chunk("the last ends in LF", b"5\r\nhello\r\n0\n\r\n"),
    chunk("a trailer that is folded", b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n"),
    chunk("a trailer without a colon", b"5\r\nhello\r\n0\r\nXyz\r\n\r\n"),
    chunk("a length for a trailer", b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n"),
    chunk("no end of the trailers, then a response", b"5\r\nhello\r\n0\r\n" + EVIL, SPLITTING),
    chunk("a size with a minus", b"-2\r\nok\r\n" + END),
    spoiled("chunks: a size with a minus, of 404", ok(b"Transfer-Encoding: chunked\r\n", b"-2\r\nok\r\n" + END, b"HTTP/1.1 404 Not Found")),
    spoiled("chunks: bad behind 103", b"HTTP/1.1 103 Odd\r\nX: y\r\n\r\n" + ok(b"Transfer-Encoding: chunked\r\n", b"hello"), interim=(103,)),
    unfinished("an end within a size", b"5"),
    unfinished("an end within a chunk", b"5\r\nhel"),
    unfinished("an end behind a chunk", b"5\r\nhello"),
    unfinished("an end before the last", b"5\r\nhello\r\n"),
    unfinished("an end within the last", b"5\r\nhello\r\n0\r\n"),
    cut("length: an end before it is reached", ok(b"Content-Length: 6\r\n"), BOTH, ends=True),
    cut("length: an end before the body", ok(b"Content-Length: 6\r\n", b""), BOTH, ends=True),
]

BEHIND = [
    good("and another behind it", OK + EVIL, source=DESYNC, kept=False),
    good("and a byte behind it", OK + b"!", source=DESYNC, kept=False),
    good("and an empty line behind it", OK + b"\r\n", source=DESYNC, kept=False),
    good("and an interim one behind it", OK + b"HTTP/1.1 100 Continue\r\n\r\n", source=DESYNC, kept=False),
    good("and an upgrade behind it", OK + b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", source=DESYNC, kept=False),
    good("chunked, and another behind it", ok(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n" + END + EVIL), CHUNKED, DESYNC, kept=False),
    good("of no body, and one behind it", ok(b"Content-Length: 0\r\n", b"hello"), lines(length=0, body=b""), DESYNC, kept=False),
    good("204", b"HTTP/1.1 204 No Content\r\n\r\n", (("HTTP/1.1 204 No Content",), b""), "RFC 9110 15.3.5"),
    good("204 with a body", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", (("HTTP/1.1 204 No Content",), b""),
         "RFC 9110 15.3.5", kept=False),
    good("204 with a body that nobody announced", b"HTTP/1.1 204 No Content\r\n\r\nhello", (("HTTP/1.1 204 No Content",), b""),
         "RFC 9110 15.3.5", kept=False),
    good("204 with chunks", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n" + END, (("HTTP/1.1 204 No Content",), b""),
         "RFC 9110 15.3.5", kept=False),
    good("204 and another behind it", b"HTTP/1.1 204 No Content\r\n\r\n" + EVIL, (("HTTP/1.1 204 No Content",), b""), DESYNC, kept=False),
    good("304 with a length", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
         (("HTTP/1.1 304 Not Modified", "Content-Length: 5"), b""), "RFC 9110 15.4.5"),
    good("304 with a body", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello",
         (("HTTP/1.1 304 Not Modified", "Content-Length: 5"), b""), "RFC 9110 15.4.5", kept=False),
    good("304 and another behind it", b"HTTP/1.1 304 Not Modified\r\n\r\n" + EVIL, (("HTTP/1.1 304 Not Modified",), b""), DESYNC, kept=False),
    good("205 with a body", ok(b"Content-Length: 5\r\n", start=b"HTTP/1.1 205 Reset Content"),
         (("HTTP/1.1 205 Reset Content", "Content-Length: 5"), b"hello"), "RFC 9110 15.3.6"),
    good("to HEAD, a length", ok(b"Content-Length: 5\r\n", b""), lines(body=b""), "RFC 9110 9.3.2", kept=False, method="HEAD"),
    good("to HEAD, with a body", OK, lines(body=b""), "RFC 9110 9.3.2", kept=False, method="HEAD"),
    good("to HEAD, with chunks", ok(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n" + END), lines(length=None, body=b""), "RFC 9110 9.3.2",
         kept=False, method="HEAD"),
    good("to HEAD, and another behind it", ok(b"Content-Length: 5\r\n", EVIL), lines(body=b""), DESYNC, kept=False, method="HEAD"),
    good("to HEAD, an end before the body", ok(b"Content-Length: 5\r\n", b""), lines(body=b""), "RFC 9110 9.3.2", kept=False, method="HEAD",
         ends=True),
]

INTERIMS = [
    good("behind 100", b"HTTP/1.1 100 Continue\r\n\r\n" + OK, source=INTERIM, interim=(100,)),
    good("behind 102, 103 and 199", b"".join(b"HTTP/1.1 %d Odd\r\n\r\n" % status for status in (102, 103, 199)) + OK, source=INTERIM,
         interim=(102, 103, 199)),
    good("behind as many as may be", b"HTTP/1.1 102 Odd\r\n\r\n" * 16 + OK, source=INTERIM, interim=(102,) * 16),
    bad("behind one more than may be", b"HTTP/1.1 102 Odd\r\n\r\n" * 17 + OK, INTERIM, interim=(102,) * 16),
    bad("behind 100 of 1.0", b"HTTP/1.0 100 Continue\r\n\r\n" + OK, INTERIM),
    bad("behind 103 with a body", b"HTTP/1.1 103 Odd\r\nContent-Length: 5\r\n\r\nhello" + OK, INTERIM),
    bad("behind 103 with chunks", b"HTTP/1.1 103 Odd\r\nTransfer-Encoding: chunked\r\n\r\n" + END + OK, INTERIM),
    bad("behind 103 and an end", b"HTTP/1.1 103 Odd\r\n\r\n", INTERIM, interim=(103,), ends=True),
    bad("behind 103 and nonsense", b"HTTP/1.1 103 Odd\r\n\r\nhello", INTERIM, interim=(103,)),
    bad("101 that nobody asked for", b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" + EVIL, "RFC 9110 15.2.2"),
    bad("101 without Upgrade", b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\n\r\n", "RFC 9110 15.2.2"),
    bad("101 to h2c that was not passed on", b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" + EVIL,
        "Miller 2020: h2c smuggling", fields="Connection: Upgrade\r\nUpgrade: h2c\r\n"),
    *(bad(f"101 to {name}", b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\n" + lines + b"\r\n" + EVIL, "RFC 9110 15.2.2",
          fields="Connection: Upgrade\r\nUpgrade: websocket, foo/1\r\n") for name, lines in (
              ("h2c where websocket was offered", b"Upgrade: h2c\r\n"),
              ("another version than was offered", b"Upgrade: foo/2\r\n"),
              ("one that was offered and another", b"Upgrade: websocket, h2c\r\n"),
              ("one that was offered and another in a second field", b"Upgrade: websocket\r\nUpgrade: h2c\r\n"),
              ("one that was offered, twice", b"Upgrade: websocket\r\nUpgrade: websocket\r\n"),
              ("nothing", b"Upgrade:\r\n"),
              ("a comma", b"Upgrade: ,\r\n"))),
    bad("101 behind 100, unasked", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "RFC 9110 15.2.2", interim=(100,)),
    good("426 to an upgrade is no tunnel", ok(b"Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 5\r\n", start=b"HTTP/1.1 426 Odd"),
         (("HTTP/1.1 426 Odd", "Content-Length: 5"), b"hello"), "Egorov 2019: WebSocket smuggling",
         fields="Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    bad("101 without Upgrade to one who asked", b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\n\r\n" + EVIL, "RFC 9110 15.2.2",
        fields="Connection: Upgrade\r\nUpgrade: websocket\r\n"),
]

RESPONSES = STARTS + FIELDS + FRAMING + CHUNKS + BEHIND + INTERIMS
