# SPDX-License-Identifier: MIT
"""Rows: what comes before a request, its method, target and version."""

from treachery import SMUGGLED, get, passed, refused, saw

LINE, EMPTY_LINES, BARE = "RFC 9112 3", "RFC 9112 2.2", "RFC 9112 2.2, bare CR and LF"
VERSION, METHOD, TARGET, ABSOLUTE = "RFC 9112 2.3", "RFC 9110 9.1", "RFC 9112 3.2", "RFC 9112 3.2.2"
FUZZED = "T-Reqs, CCS 2021: mutated request lines"
OTHERS, HOPS = "another protocol on the port", "RFC 9110 7.6.2"


def line(text):
    return text + b"\r\nHost: a\r\n\r\n"


def target(name, text, source=TARGET, status=400):
    return refused(f"target: {name}", source, get(target=text), status)


def reaches(name, text):
    return passed(f"target: {name}", TARGET, get(target=text), saw(f"GET {text.decode()}"))


def absolute(name, text, path, host="other"):
    return passed(f"target: absolute, {name}", ABSOLUTE, get(target=text), saw(f"GET {path}", host=host))


BEFORE = [
    passed("one empty line before a request", EMPTY_LINES, b"\r\n" + get(), saw("GET /a")),
    refused("two empty lines before a request", EMPTY_LINES, b"\r\n\r\n" + get()),
    refused("many empty lines before a request", EMPTY_LINES, b"\r\n" * 100 + get()),
    refused("an empty line that is a bare LF", BARE, b"\n" + get()),
    refused("a CR before a request", BARE, b"\r" + get()),
    refused("two CR and a LF before a request", BARE, b"\r\r\n" + get()),
    refused("a space before a request", LINE, b" " + get()),
    refused("a tab before a request", LINE, b"\t" + get()),
    refused("a NUL before a request", LINE, b"\0" + get()),
    refused("a byte order mark before a request", LINE, b"\xef\xbb\xbf" + get()),
    refused("a line of a space before a request", LINE, b" \r\n" + get()),
    passed("an empty line between two requests", EMPTY_LINES, get() + b"\r\n" + get(target=b"/b"), saw("GET /a"), saw("GET /b")),
    refused("a CR between two requests", BARE, get() + b"\r" + get(target=b"/b"), after=[saw("GET /a")]),
    refused("a field line between two requests", LINE, get() + b"X: y\r\n" + get(target=b"/b"), 501, after=[saw("GET /a")]),
]

METHODS = [
    refused("method: lower case", METHOD, get(method=b"get"), 501),
    refused("method: mixed case", METHOD, get(method=b"Get"), 501),
    refused("method: unknown", METHOD, get(method=b"SMUGGLE"), 501),
    refused("method: a known one and more", METHOD, get(method=b"GETS"), 501),
    refused("method: a known one but for its end", METHOD, get(method=b"GE"), 501),
    refused("method: very long", METHOD, get(method=b"A" * 5000), 501),
    refused("method: none", LINE, line(b" /a HTTP/1.1")),
    refused("method: with a NUL", FUZZED, get(method=b"G\0T")),
    refused("method: a NUL after it", FUZZED, get(method=b"GET\0")),
    refused("method: in brackets", FUZZED, get(method=b"(GET)")),
    refused("method: with 8-bit bytes", FUZZED, get(method=b"G\xc3\x8aT")),
    refused("method: a colon after it", FUZZED, get(method=b"GET:")),
    refused("method: CONNECT", "RFC 9110 9.3.6", get(target=b"a:443", method=b"CONNECT"), 501),
    refused("method: CONNECT with a path", "RFC 9110 9.3.6", get(target=b"/a", method=b"CONNECT"), 501),
    refused("method: CONNECT with a request behind it", "RFC 9110 9.3.6", get(target=b"a:443", method=b"CONNECT") + SMUGGLED, 501),
    refused("method: PRI without its preface", "RFC 9113 3.4", get(target=b"*", method=b"PRI")),
    passed("method: TRACE", "RFC 9110 9.3.8", get(method=b"TRACE"), saw("TRACE /a")),
    passed("hops: one less", HOPS, get(b"Max-Forwards: 3\r\n", method=b"TRACE"), saw("TRACE /a", "Max-Forwards: 2")),
    passed("hops: as many as there may be", HOPS, get(b"Max-Forwards: 99999999999999999999\r\n", method=b"OPTIONS"),
           saw("OPTIONS /a", "Max-Forwards: 2147483646")),
    passed("hops: not to be dropped", HOPS, get(b"Max-Forwards: 3\r\nConnection: Max-Forwards\r\n", method=b"OPTIONS"),
           saw("OPTIONS /a", "Max-Forwards: 2")),
    passed("hops: of other methods", HOPS, get(b"Max-Forwards: 0\r\n"), saw("GET /a", "Max-Forwards: 0")),
    refused("hops: two numbers", HOPS, get(b"Max-Forwards: 3\r\nMax-Forwards: 3\r\n", method=b"TRACE")),
    refused("hops: a list", HOPS, get(b"Max-Forwards: 3, 0\r\n", method=b"OPTIONS")),
    refused("hops: no number", HOPS, get(b"Max-Forwards: x\r\n", method=b"OPTIONS")),
    refused("hops: a negative number", HOPS, get(b"Max-Forwards: -1\r\n", method=b"OPTIONS")),
]

VERSIONS = [
    refused("version: none", "HTTP/0.9", line(b"GET /a"), 505),
    refused("version: none, and nothing behind it", "HTTP/0.9", b"GET /a\r\n", 505),
    refused("version: none but a space", "HTTP/0.9", line(b"GET /a ")),
    refused("version: on a line of its own", FUZZED, line(b"GET /a\r\n HTTP/1.1"), 505),
    refused("version: 0.9", VERSION, get(version=b"HTTP/0.9"), 505),
    refused("version: 0.0", VERSION, get(version=b"HTTP/0.0"), 505),
    refused("version: 1.2", VERSION, get(version=b"HTTP/1.2"), 505),
    refused("version: 1.9", VERSION, get(version=b"HTTP/1.9"), 505),
    refused("version: 2.0", VERSION, get(version=b"HTTP/2.0"), 505),
    refused("version: 2", VERSION, get(version=b"HTTP/2"), 505),
    refused("version: 3.0", VERSION, get(version=b"HTTP/3.0"), 505),
    refused("version: 1.10", VERSION, get(version=b"HTTP/1.10")),
    refused("version: 1.01", VERSION, get(version=b"HTTP/1.01")),
    refused("version: 01.1", VERSION, get(version=b"HTTP/01.1"), 505),
    refused("version: 1.", VERSION, get(version=b"HTTP/1.")),
    refused("version: 1", VERSION, get(version=b"HTTP/1")),
    refused("version: 11", VERSION, get(version=b"HTTP/11")),
    refused("version: 1,1", VERSION, get(version=b"HTTP/1,1")),
    refused("version: +1.1", FUZZED, get(version=b"HTTP/+1.1"), 505),
    refused("version: -1.1", FUZZED, get(version=b"HTTP/-1.1"), 505),
    refused("version: 1.1 and a letter", FUZZED, get(version=b"HTTP/1.1x")),
    refused("version: in lower case", VERSION, get(version=b"http/1.1")),
    refused("version: in mixed case", VERSION, get(version=b"Http/1.1")),
    refused("version: of HTTPS", FUZZED, get(version=b"HTTPS/1.1")),
    refused("version: without a slash", FUZZED, get(version=b"HTTP1.1")),
    refused("version: a space before the slash", FUZZED, get(version=b"HTTP /1.1")),
    refused("version: a space behind the slash", FUZZED, get(version=b"HTTP/ 1.1"), 505),
    refused("version: twice", FUZZED, get(version=b"HTTP/1.1 HTTP/1.1")),
    refused("version: a NUL behind it", FUZZED, get(version=b"HTTP/1.1\0")),
    refused("version: of RTSP", OTHERS, get(version=b"RTSP/1.0")),
    refused("version: of ICE", OTHERS, b"SOURCE /a ICE/1.0\r\nHost: a\r\n\r\n"),
    refused("a method of RTSP", OTHERS, get(method=b"DESCRIBE")),
    passed("version: 1.0 and no word of keeping it", "RFC 9112 9.3", get(version=b"HTTP/1.0"), saw("GET /a"), kept=False),
    passed("version: 1.0, kept", "RFC 9112 9.3", get(b"Connection: keep-alive\r\n", version=b"HTTP/1.0"), saw("GET /a")),
    passed("version: 1.0 without a Host", "RFC 9112 3.2", b"GET /a HTTP/1.0\r\n\r\n", saw("GET /a", host="{origin}"), kept=False),
]

SPACES = [
    refused("request line: two spaces before the target", LINE, line(b"GET  /a HTTP/1.1")),
    refused("request line: two spaces before the version", LINE, line(b"GET /a  HTTP/1.1")),
    refused("request line: a space at its end", LINE, line(b"GET /a HTTP/1.1 ")),
    refused("request line: a tab at its end", LINE, line(b"GET /a HTTP/1.1\t")),
    refused("request line: tabs for spaces", LINE, line(b"GET\t/a\tHTTP/1.1")),
    refused("request line: vertical tabs for spaces", LINE, line(b"GET\v/a\vHTTP/1.1")),
    refused("request line: form feeds for spaces", LINE, line(b"GET\f/a\fHTTP/1.1")),
    refused("request line: CR for spaces", LINE, line(b"GET\r/a\rHTTP/1.1")),
    refused("request line: no-break spaces for spaces", LINE, line(b"GET\xa0/a\xa0HTTP/1.1")),
    refused("request line: no space before the target", LINE, line(b"GET/a HTTP/1.1")),
    refused("request line: no space before the version", LINE, line(b"GET /aHTTP/1.1"), 505),
    refused("request line: ends in LF", BARE, b"GET /a HTTP/1.1\nHost: a\r\n\r\n"),
    refused("request line: ends in CR", BARE, b"GET /a HTTP/1.1\rHost: a\r\n\r\n"),
    refused("request line: ends in CR CR LF", BARE, b"GET /a HTTP/1.1\r\r\nHost: a\r\n\r\n"),
    refused("request line: ends in LF CR", BARE, b"GET /a HTTP/1.1\n\rHost: a\r\n\r\n"),
    refused("all lines end in LF", BARE, b"GET /a HTTP/1.1\nHost: a\n\n"),
    refused("all lines end in CR", BARE, b"GET /a HTTP/1.1\rHost: a\r\r"),
    refused("a request line within another", FUZZED, line(b"GET /a HTTP/1.1 GET /smuggled HTTP/1.1")),
]

TARGETS = [
    target("with a space", b"/a b"),
    target("with a tab", b"/a\tb"),
    target("with a NUL", b"/a\0b"),
    target("with DEL", b"/a\x7fb"),
    target("with a unit separator", b"/a\x1fb"),
    target("with a vertical tab", b"/a\vb"),
    target("in latin-1", b"/\xe4"),
    target("in UTF-8", b"/\xc3\xa4"),
    target("with full-width slashes in UTF-8", b"/a\xef\xbc\x8fb"),
    target("with an 8-bit byte in its query", b"/a?\xff"),
    target("with a fragment", b"/a#b"),
    target("that is a fragment", b"#b"),
    target("with a fragment in its query", b"/a?b#c"),
    target("with a bare CR", b"/a\rb"),
    target("with a bare LF", b"/a\nb"),
    target("with a line end in it", b"/a\r\nX: y", status=505),
    target("none", b""),
    target("without a slash", b"a"),
    target("that is a query", b"?a"),
    target("with a dot first", b"./a"),
    target("with a backslash first", b"\\a"),
    target("with a percent sign first", b"%2fa"),
    target("of the authority form", b"a:80", "RFC 9112 3.2.3"),
    target("* without OPTIONS", b"*", "RFC 9112 3.2.4"),
    passed("target: * with OPTIONS", "RFC 9112 3.2.4", get(target=b"*", method=b"OPTIONS"), saw("OPTIONS *")),
    refused("target: * and more, with OPTIONS", "RFC 9112 3.2.4", get(target=b"*/a", method=b"OPTIONS")),
    target("with an encoded NUL in its path", b"/a%00b", "text ends at NUL for some servers"),
    reaches("with an encoded NUL in its query", b"/a?b=%00"),
    reaches("with an encoded line end", b"/a%0d%0aX:%20y"),
    reaches("with an encoded line end in its query", b"/a?%0d%0aX:%20y"),
    reaches("with two slashes first", b"//other/a"),
    reaches("with a URL in its path", b"/http://other/a"),
    reaches("with dot segments above the root", b"/../../a"),
    reaches("with backslashes", b"/a\\..\\b"),
    reaches("with a percent sign that encodes nothing", b"/%zz%"),
    reaches("with what a URL should encode", b"/a|b{c}<d>\"e\"^`f`?g=[h]|i"),
    reaches("with a second question mark", b"/a?b?c"),
    reaches("with an at sign", b"/@other/a"),
]

ABSOLUTES = [
    absolute("of another host than Host", b"http://other/b?c", "/b?c"),
    absolute("with a port", b"http://other:81/b", "/b", "other:81"),
    absolute("with no path", b"http://other", "/"),
    absolute("a query and no path", b"http://other?c", "/?c"),
    absolute("in upper case", b"HTTP://OTHER/B", "/B", "OTHER"),
    absolute("of https on a plain port", b"https://other/b", "/b"),
    absolute("of an IPv6 address", b"http://[::1]:80/b", "/b", "[::1]:80"),
    absolute("within an absolute one", b"http://other/http://third/b", "/http://third/b"),
    passed("target: absolute, in 1.0 without a Host", ABSOLUTE, b"GET http://other/b HTTP/1.0\r\n\r\n",
           saw("GET /b", host="other"), kept=False),
    refused("target: absolute, in 1.1 without a Host", "RFC 9112 3.2", b"GET http://other/b HTTP/1.1\r\n\r\n"),
    refused("target: absolute, with two Hosts", "Host of Troubles, CCS 2016",
            b"GET http://other/b HTTP/1.1\r\nHost: other\r\nHost: third\r\n\r\n"),
    target("absolute, of no host", b"http:///b", ABSOLUTE),
    target("absolute, nothing behind the scheme", b"http://", ABSOLUTE),
    target("absolute, one slash", b"http:/other/b", ABSOLUTE),
    target("absolute, no slash", b"http:other", ABSOLUTE),
    target("absolute, with user information", b"http://a@other/b", "RFC 9110 4.2.4"),
    target("absolute, with user and password", b"http://a:b@other/b", "RFC 9110 4.2.4"),
    target("absolute, with an encoded at sign", b"http://a%40other/b", ABSOLUTE),
    target("absolute, with an encoded host", b"http://%6fther/b", ABSOLUTE),
    target("absolute, with a backslash before the path", b"http://other\\b", "a host ends at it for some, not for others"),
    target("absolute, with a backslash and an at sign", b"http://other\\@third/b", "Host of Troubles, CCS 2016"),
    target("absolute, of a port that is none", b"http://other:x/b", ABSOLUTE),
    target("absolute, of a port beyond 65535", b"http://other:65616/b", ABSOLUTE),
    target("absolute, of two ports", b"http://other:80:81/b", ABSOLUTE),
    target("absolute, of an address with one bracket", b"http://[::1/b", ABSOLUTE),
    target("absolute, with a fragment", b"http://other/b#c", ABSOLUTE),
    target("absolute, of ftp", b"ftp://other/b", ABSOLUTE),
    target("absolute, of file", b"file:///etc/passwd", ABSOLUTE),
    target("absolute, of ws", b"ws://other/b", ABSOLUTE),
    target("absolute, of javascript", b"javascript://other/b", ABSOLUTE),
    target("absolute, of http+unix", b"http+unix://other/b", ABSOLUTE),
]

PROTOCOLS = [
    refused("a TLS handshake", OTHERS, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40 + b"\r\n\r\n"),
    refused("the preface of HTTP/2", OTHERS, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    refused("a PROXY header where none is wanted", OTHERS, b"PROXY TCP4 10.0.0.1 10.0.0.2 1234 80\r\n" + get(), 501),
    refused("a PROXY header of version 2 where none is wanted", OTHERS,
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\0\0\1\x0a\0\0\2\x04\xd2\0\x50" + get()),
    refused("SMTP", OTHERS, b"EHLO a\r\nMAIL FROM:<a@b>\r\n", 501),
    refused("SSH", OTHERS, b"SSH-2.0-OpenSSH_9.2\r\n", 501),
    refused("Redis", OTHERS, b"*1\r\n$4\r\nPING\r\n", 501),
    refused("FastCGI", OTHERS, b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"),
    refused("every byte but NUL", OTHERS, bytes(range(1, 256)) * 4 + b"\r\n\r\n"),
    refused("a response", OTHERS, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 501),
]

LONG = [
    passed("target: as long as may be", "clients.sizes.target", get(target=b"/" + b"a" * 1023), saw("GET /" + "a" * 1023)),
    refused("target: one byte too long", "clients.sizes.target", get(target=b"/" + b"a" * 1024), 414),
    refused("target: that does not end", "clients.sizes.target", b"GET /" + b"a" * 9000, 414),
    refused("target: absolute, too long", "clients.sizes.target", get(target=b"http://" + b"a" * 1020 + b"/b"), 414),
]

LINES = BEFORE + METHODS + VERSIONS + SPACES + TARGETS + ABSOLUTES + PROTOCOLS + LONG
