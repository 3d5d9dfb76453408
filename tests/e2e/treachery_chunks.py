# SPDX-License-Identifier: MIT
"""Rows: chunks, their sizes, extensions and ends, and what comes behind them."""

from treachery import SMUGGLED, Row, broken, get, passed, post, saw, waits

CHUNK, EXTENSION, TRAILER = "RFC 9112 7.1", "RFC 9112 7.1.1", "RFC 9112 7.1.2"
FUNKY = "Weikop 2025: funky chunks"
TRAILING = "sebsrt 2025: trailing danger"  # trailers that are merged into the head
END = b"0\r\n\r\n"
REST = b"\r\nhello\r\n" + END  # what follows a size of five


def whole(name, source, body, head=b"", trailers=(), decoded=b"hello", fields=()):
    return passed(f"chunks: {name}", source, post(head + b"Transfer-Encoding: chunked\r\n", body),
                  saw("POST /a", *fields, "Transfer-Encoding: chunked", body=decoded, trailers=trailers))


def size(name, text, source=CHUNK):
    return broken(f"chunk size: {name}", source, text + REST)


SIZES = [
    size("none", b""),
    size("with a plus", b"+5"),
    size("with a minus", b"-5"),
    size("with 0x", b"0x5"),
    size("with 0X", b"0X5"),
    size("with an h", b"5h"),
    size("with an underscore", b"0_5", "a number to some languages only"),
    size("with a dot", b"5.0"),
    size("a letter beyond f", b"g"),
    size("a space before it", b" 5"),
    size("a tab before it", b"\t5"),
    size("a space behind it", b"5 "),
    size("a tab behind it", b"5\t"),
    size("a space in it", b"5 5"),
    size("a NUL behind it", b"5\0"),
    size("a vertical tab behind it", b"5\v"),
    size("a comma behind it", b"5,"),
    size("in quotes", b'"5"'),
    size("in full-width digits", "５".encode()),
    size("an empty line before it", b"\r\n5"),
    size("of 17 digits", b"fffffffffffffffff", "CVE-2013-2028: a size overflows"),
    size("2 to the 64th and five", b"10000000000000005", "overflow to 5"),
    size("of 17 digits, most of them zeros", b"00000000000000005"),
    size("zeros that do not end", b"0" * 400),
    waits("chunk size: 2 to the 64th less one", "overflow to a minus", post(b"Transfer-Encoding: chunked\r\n", b"ffffffffffffffff" + REST)),
    waits("chunk size: 2 to the 63rd", "overflow to a minus", post(b"Transfer-Encoding: chunked\r\n", b"8000000000000000" + REST)),
    waits("chunk size: 2 to the 32nd and five", "overflow to 5", post(b"Transfer-Encoding: chunked\r\n", b"100000005" + REST)),
    broken("chunk size: ends in LF", CHUNK, b"5\nhello\r\n" + END),
    broken("chunk size: ends in CR", CHUNK, b"5\rhello\r\n" + END),
    broken("chunk size: ends in CR CR LF", CHUNK, b"5\r\r\nhello\r\n" + END),
    broken("chunk size: ends in LF CR", CHUNK, b"5\n\rhello\r\n" + END),
    broken("chunk size: ends in nothing", CHUNK, b"5hello\r\n" + END),
    whole("a size of zeros and five", CHUNK, b"0000000000000005" + REST),
    whole("a size in upper case", CHUNK, b"A\r\nhellohello\r\n" + END, decoded=b"hellohello"),
    whole("a last size of many zeros", CHUNK, b"5\r\nhello\r\n0000\r\n\r\n"),
    whole("of a byte each", CHUNK, b"".join(b"1\r\n%c\r\n" % byte for byte in b"hello") + END),
    whole("none but the last", CHUNK, END, decoded=b""),
    whole("that hold what ends chunks", CHUNK, b"5\r\n0\r\n\r\n\r\n" + END, decoded=END),
]

ENDS = [
    broken("chunk: longer than its size", CHUNK, b"4\r\nhello\r\n" + END),
    broken("chunk: shorter than its size", CHUNK, b"6\r\nhello\r\n" + END),
    broken("chunk: ends in LF", f"{FUNKY}, ONE.TWO", b"5\r\nhello\n" + END),
    broken("chunk: ends in CR", f"{FUNKY}, ONE.TWO", b"5\r\nhello\r" + END),
    broken("chunk: ends in CR and another byte", f"{FUNKY}, TWO.ONE", b"5\r\nhello\rX" + END),
    broken("chunk: ends in two other bytes", f"{FUNKY}, TERM.SPILL", b"5\r\nhelloXX" + END),
    broken("chunk: ends in LF LF", f"{FUNKY}, TWO.ONE", b"5\r\nhello\n\n" + END),
    broken("chunk: ends in LF CR", f"{FUNKY}, TWO.ONE", b"5\r\nhello\n\r" + END),
    broken("chunk: ends in nothing", f"{FUNKY}, ZERO.TWO", b"5\r\nhello" + END),
    broken("chunk: ends in nothing, a size that swallows", f"{FUNKY}, ZERO.TWO", b"5\r\nhello2d\r\n" + END),
    broken("chunk: ends in an empty line too many", f"{FUNKY}, TWO.ZERO", b"5\r\nhello\r\n\r\n" + END),
    broken("chunk: two bytes beyond its size, a size and a request", f"{FUNKY}, SPILL.TERM",
           b"5\r\nhelloAA\r\n2\r\nXX\r\n0\r\n\r\n" + SMUGGLED),
    broken("last chunk: ends in LF", CHUNK, b"5\r\nhello\r\n0\n\r\n"),
    broken("last chunk: ends in LF LF", CHUNK, b"5\r\nhello\r\n0\n\n"),
    broken("last chunk: ends in CR LF LF", CHUNK, b"5\r\nhello\r\n0\r\n\n"),
    broken("last chunk: ends in CR CR LF", CHUNK, b"5\r\nhello\r\n0\r\r\n\r\n"),
    broken("last chunk: ends in CR LF CR and a byte", CHUNK, b"5\r\nhello\r\n0\r\n\rX"),
    broken("last chunk: no empty line, then a request", CHUNK, b"5\r\nhello\r\n0\r\n" + SMUGGLED),
    broken("last chunk: minus nothing", CHUNK, b"5\r\nhello\r\n-0\r\n\r\n"),
    broken("last chunk: a space behind it", CHUNK, b"5\r\nhello\r\n0 \r\n\r\n"),
    broken("last chunk: 0x0", CHUNK, b"5\r\nhello\r\n0x0\r\n\r\n"),
    waits("last chunk: missing", CHUNK, post(b"Transfer-Encoding: chunked\r\n", b"1000\r\nhello\r\n")),
]

EXTENSIONS = [
    broken("extension: ends in LF", f"{FUNKY}, TERM.EXT", b"2;\nxx\r\n47\r\n0\r\n\r\n" + SMUGGLED),
    broken("extension: LF behind a name", f"{FUNKY}, TERM.EXT", b"5;a\nhello\r\n" + END),
    broken("extension: LF, then CR LF", f"{FUNKY}, EXT.TERM", b"5;a\nb" + REST),
    broken("extension: LF in a value", f"{FUNKY}, EXT.TERM", b"5;a=b\nc" + REST),
    broken("extension: CR in it", f"{FUNKY}, EXT.TERM", b"5;a\rb" + REST),
    broken("extension: CR CR LF", f"{FUNKY}, EXT.TERM", b"5;a\r" + REST),
    broken("extension: LF in quotes", f"{FUNKY}, EXT.TERM", b'5;a="b\nc"' + REST),
    broken("extension: CR LF in quotes", f"{FUNKY}, EXT.TERM", b'5;a="b\r\nc"' + REST),
    broken("extension: CR LF escaped in quotes", f"{FUNKY}, EXT.TERM", b'5;a="\\\r\n"' + REST),
    broken("extension: of the last chunk, ends in LF", f"{FUNKY}, TERM.EXT", b"5\r\nhello\r\n0;a\n\r\n"),
    broken("extension: NUL in it", EXTENSION, b"5;a\0b" + REST),
    broken("extension: no name", EXTENSION, b"5;" + REST),
    broken("extension: no name but a value", EXTENSION, b"5;=b" + REST),
    broken("extension: no value", EXTENSION, b"5;a=" + REST),
    broken("extension: two semicolons", EXTENSION, b"5;;a" + REST),
    broken("extension: an open quote", EXTENSION, b'5;a="b' + REST),
    broken("extension: more behind a quote", EXTENSION, b'5;a="b"c' + REST),
    broken("extension: a space before the semicolon", EXTENSION, b"5 ;a" + REST),
    broken("extension: a space behind the semicolon", EXTENSION, b"5; a" + REST),
    broken("extension: spaces around the equals sign", EXTENSION, b"5;a = b" + REST),
    broken("extension: in front of the size", EXTENSION, b";a5" + REST),
    broken("extensions: too many bytes of them", "CVE-2023-39326: work for nothing", b"5;" + b"a" * 17000 + REST),
    broken("extensions: too many bytes of them in all", "CVE-2023-39326: work for nothing", b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n" * 600),
    whole("extensions that are legal", EXTENSION, b'5;a;b=c;d="e;f\\"g"' + REST),
    whole("an extension of the last", EXTENSION, b"5\r\nhello\r\n0;a=b\r\n\r\n"),
]


def trailer(name, lines, source=TRAILER, status=400):
    return broken(f"trailer: {name}", source, b"5\r\nhello\r\n0\r\n" + lines + b"\r\n\r\n", status)


def dropped(name, lines, source=TRAILING):
    return whole(f"trailer {name} goes no further", source, b"5\r\nhello\r\n0\r\nX: y\r\n" + lines + b"\r\n\r\n", trailers=["X: y"])


TRAILERS = [
    trailer("a space before the colon", b"X : y"),
    trailer("no colon", b"Xyz"),
    trailer("no name", b": y"),
    trailer("folded", b"X: y\r\n z"),
    trailer("a space before the first", b" X: y"),
    trailer("ends in LF", b"X: y\nZ: a"),
    trailer("ends in CR", b"X: y\rZ: a"),
    trailer("NUL in a value", b"X: \0"),
    trailer("8-bit byte in a name", b"X\xe4: y"),
    trailer("Host", b"Host: other", "RFC 9110 6.5.1"),
    trailer("Content-Length", b"Content-Length: 5", "RFC 9110 6.5.1"),
    trailer("Transfer-Encoding", b"Transfer-Encoding: chunked", "RFC 9110 6.5.1"),
    trailer("too many", b"\r\n".join([b"X: y"] * 21), "clients.sizes.headers", 431),
    trailer("too large", b"X: " + b"y" * 9000, "clients.sizes.head", 431),
    whole("a trailer", TRAILER, b"5\r\nhello\r\n0\r\nX: \t y \r\nZ:\r\n\r\n", trailers=["X: y", "Z: "]),
    whole("a trailer that was announced", TRAILER, b"5\r\nhello\r\n0\r\nX: y\r\n\r\n", head=b"Trailer: X\r\n", trailers=["X: y"],
          fields=("Trailer: X",)),
    *(dropped(name, name.encode() + b": 10.0.0.1") for name in (
        "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Prefix", "Forwarded", "X-Real-IP", "X-Original-URL", "X-Rewrite-URL",
        "CF-Connecting-IP", "True-Client-IP", "Authorization", "Cookie", "Connection", "Upgrade", "Expect", "Content_Length",
        "X_Forwarded_For", "X_User", "Proxy")),
    *(dropped(name, name.encode() + b": admin") for name in (
        "X-Tenant", "x-TENANT", "X.Tenant", "X-Role", "X-Key", "X-Host", "Fastly-Client-IP", "User-Agent", "X.Forwarded.For")),
    passed("a trailer of what a rule sets goes no further", TRAILING,
           get(b"Transfer-Encoding: chunked\r\n", target=b"/tenant", method=b"POST") + b"5\r\nhello\r\n0\r\nX-Tenant: evil\r\nX-Other: y\r\n\r\n",
           saw("POST /tenant", "Transfer-Encoding: chunked", "X-Tenant: public", body=b"hello", trailers=["X-Other: y"])),
    Row("a trailer, and a request behind it", "RFC 9112 9.3.2", post(b"Connection: close\r\nTransfer-Encoding: chunked\r\n",
        b"5\r\nhello\r\n0\r\nX: y\r\n\r\n") + SMUGGLED, (200,),
        (saw("POST /a", "Transfer-Encoding: chunked", body=b"hello", trailers=["X: y"]),)),
]

CHUNKS = SIZES + ENDS + EXTENSIONS + TRAILERS
