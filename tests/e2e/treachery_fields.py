# SPDX-License-Identifier: MIT
"""Rows: header fields, what Host names, what Connection lists, who says to be somebody else, and expectations."""

from treachery import SMUGGLED, Row, get, passed, post, refused, saw

FIELD, FOLD, BARE = "RFC 9112 5", "RFC 9112 5.2", "RFC 9112 2.2, bare CR and LF"
HOST, TROUBLES, HOP = "RFC 9112 3.2", "Host of Troubles, CCS 2016", "RFC 9110 7.6.1"
ABUSED = "Davison 2019: abusing hop-by-hop fields"
STRANGER = "forwarding fields of a stranger"
UPGRADE, EXPECT = "RFC 9110 7.8", "RFC 9110 10.1.1"
MISREAD = "RFC 9110 7.8: what a server may read as h2c"
DOTS = "read as dashes by some, as underscores are"


def bad(name, lines, source=FIELD, status=400):
    return refused(f"field: {name}", source, get(lines + b"\r\n"), status)


def good(name, lines, *reached, source=FIELD):
    return passed(f"field: {name}", source, get(lines + b"\r\n"), saw("GET /a", *reached))


GRAMMAR = [
    bad("a space before the colon", b"X : y"),
    bad("a tab before the colon", b"X\t: y"),
    bad("a vertical tab before the colon", b"X\v: y"),
    bad("a NUL before the colon", b"X\0: y"),
    bad("a no-break space before the colon", b"X\xa0: y"),
    bad("a space in a name", b"X y: z"),
    bad("a CR in a name", b"X\ry: z"),
    bad("a LF in a name", b"X\ny: z"),
    bad("a quote in a name", b'X"y: z'),
    bad("brackets in a name", b"X(y): z"),
    bad("a slash in a name", b"X/y: z"),
    bad("an equals sign in a name", b"X=y: z"),
    bad("an 8-bit byte in a name", b"X\xc3\xa4: y"),
    bad("a letter in UTF-8 that is k in lower case", b"\xe2\x84\xaaeep-Alive: y"),
    bad("no name", b": y", "CVE-2023-25725: fields behind an empty name are lost"),
    bad("no name, with a field behind it", b": y\r\nContent-Length: 5", "CVE-2023-25725: fields behind an empty name are lost"),
    refused("field: no name, the first", FIELD, b"GET /a HTTP/1.1\r\n: y\r\nHost: a\r\n\r\n"),
    bad("a colon only", b":"),
    bad("no colon", b"Xyz"),
    bad("no colon, a space", b"X y"),
    bad("a request line among the fields", b"GET /smuggled HTTP/1.1"),
    bad("a NUL in a value", b"X: a\0b"),
    bad("a control byte in a value", b"X: a\x01b"),
    bad("an escape sequence in a value", b"X: \x1b[2J"),
    bad("DEL in a value", b"X: a\x7fb"),
    bad("a vertical tab in a value", b"X: a\vb"),
    bad("a bare CR in a value", b"X: a\rb", BARE),
    bad("a bare CR at a value's end", b"X: a\r", BARE),
    bad("a bare CR at a value's beginning", b"X: \ra", BARE),
    bad("a bare CR and a field behind it", b"X: a\rContent-Length: 5", BARE),
    bad("a bare LF in a value", b"X: a\nb", BARE),
    bad("a bare LF and a field behind it", b"X: a\nContent-Length: 5", BARE),
    bad("LF CR for a line end", b"X: a\n\rY: b", BARE),
    refused("head: ends in LF LF", BARE, b"GET /a HTTP/1.1\r\nHost: a\n\n"),
    refused("head: ends in CR LF LF", BARE, b"GET /a HTTP/1.1\r\nHost: a\r\n\n"),
    refused("head: ends in LF CR LF", BARE, b"GET /a HTTP/1.1\r\nHost: a\n\r\n"),
    refused("head: ends in CR CR", BARE, b"GET /a HTTP/1.1\r\nHost: a\r\r"),
    refused("head: ends in CR LF CR and a byte", BARE, b"GET /a HTTP/1.1\r\nHost: a\r\n\rX"),
    refused("head: ends in CR LF CR CR LF", BARE, b"GET /a HTTP/1.1\r\nHost: a\r\n\r\r\n"),
    refused("head: an empty line of a space", FOLD, b"GET /a HTTP/1.1\r\nHost: a\r\n \r\n\r\n"),
    bad("folded by a space", b"X: a\r\n b", FOLD),
    bad("folded by a tab", b"X: a\r\n\tb", FOLD),
    bad("folded, with nothing in its first line", b"X:\r\n b", FOLD),
    bad("folded, a field in the fold", b"X: a\r\n Content-Length: 5", FOLD),
    refused("field: folded, the first", FOLD, b"GET /a HTTP/1.1\r\n Host: a\r\n\r\n"),
    refused("field: the first begins with a space, a second Host", TROUBLES, b"GET /a HTTP/1.1\r\n Host: b\r\nHost: a\r\n\r\n"),
    good("an empty value", b"X:", "X: "),
    good("white space around a value", b"X: \t y \t ", "X: y"),
    good("no space behind the colon", b"X:y", "X: y"),
    good("a tab within a value", b"X: a\tb", "X: a\tb"),
    good("8-bit bytes in a value", b"X: \xc3\xa4\xff", "X: \xc3\xa4\xff"),
    good("a name of every odd character that is legal", b"!#$%&'*+.^`|~0: y", "!#$%&'*+.^`|~0: y"),
    good("a colon in a value", b"X: : y:", "X: : y:"),
    good("a value that is a request line", b"X: GET /smuggled HTTP/1.1", "X: GET /smuggled HTTP/1.1"),
    good("a name and 270 bytes more", b"Content-Length0" + b"a" * 255 + b": 5",
         "Content-Length0" + "a" * 255 + ": 5", source="CVE-2021-40346: a name's length overflows"),
    good("one name twice", b"X: 1\r\nX: 2", "X: 1", "X: 2"),
    good("underscores", b"Content_Length: 5\r\nTransfer_Encoding: chunked\r\nX_Forwarded_For: 10.0.0.1\r\nHost_: b\r\nX_Y: z",
         source="read as dashes by CGI, WSGI and PHP"),
    good("Host in other cases only once", b"hOsts: b", "hOsts: b", source=HOST),
    refused("fields: one too many", "clients.sizes.headers", get(b"X: y\r\n" * 20), 431),
    passed("fields: as many as may be", "clients.sizes.headers", get(b"X: y\r\n" * 19), saw("GET /a", *["X: y"] * 19)),
    refused("head: too large", "clients.sizes.head", get(b"X: " + b"y" * 8192 + b"\r\n"), 431),
    refused("head: a name that does not end", "clients.sizes.head", b"GET /a HTTP/1.1\r\n" + b"X" * 9000, 431),
    refused("head: a value that does not end", "clients.sizes.head", b"GET /a HTTP/1.1\r\nX: " + b"y" * 9000, 431),
    refused("head: of spaces that do not end", "clients.sizes.head", b"GET /a HTTP/1.1\r\nX:" + b" " * 9000, 431),
]


def host(name, value, source=HOST):
    return refused(f"Host: {name}", source, get(host=b"Host: " + value + b"\r\n"))


def named(name, value, reached=None, source=HOST):
    reached = value.decode("latin-1").strip() if reached is None else reached
    return passed(f"Host: {name}", source, get(host=b"Host: " + value + b"\r\n"), saw("GET /a", host=reached))


HOSTS = [
    refused("Host: none", HOST, get(host=b"")),
    refused("Host: two", HOST, get(b"Host: b\r\n")),
    refused("Host: two that are equal", HOST, get(b"Host: a\r\n")),
    refused("Host: two, in different case", TROUBLES, get(b"hOST: b\r\n")),
    refused("Host: two, in 1.0", HOST, get(b"Host: b\r\n", version=b"HTTP/1.0")),
    refused("Host: two, one empty", TROUBLES, get(b"Host:\r\n")),
    refused("Host: a space before its colon", TROUBLES, get(host=b"Host : a\r\n")),
    refused("Host: folded", FOLD, get(host=b"Host:\r\n a\r\n")),
    host("a list", b"a, b"),
    host("two names", b"a b"),
    host("a tab in it", b"a\tb"),
    host("with user information", b"user@a"),
    host("with user and password", b"user:password@a"),
    host("with an at sign last", b"a@"),
    host("with a path", b"a/b"),
    host("with a query", b"a?b"),
    host("with a fragment", b"a#b"),
    host("with a backslash", b"a\\b"),
    host("that is a URL", b"http://a"),
    host("with a quote", b'a"b'),
    host("with markup", b"<script>"),
    host("with an encoded letter", b"%61"),
    host("with an 8-bit byte", b"\xc3\xa4"),
    host("a port that is none", b"a:b"),
    host("a port beyond 65535", b"a:65616"),
    host("a port of many digits", b"a:000080"),
    host("a port with a sign", b"a:+80"),
    host("two ports", b"a:80:81"),
    host("only a port", b":80"),
    host("only a dot", b"."),
    host("with an empty label", b"a..b"),
    host("with a dot first", b".a"),
    host("an IPv6 address without brackets", b"::1"),
    host("an IPv6 address with one bracket", b"[::1"),
    host("an IPv6 address and more", b"[::1]a"),
    host("an IPv6 address with a zone", b"[::1%25lo]"),
    host("an IPv4 address in brackets", b"[127.0.0.1]"),
    host("empty brackets", b"[]"),
    host("longer than a name may be", b"a" * 256),
    named("empty", b"", "{origin}"),
    named("with a port", b"a:80"),
    named("with a colon and no port", b"a:"),
    named("with a dot last", b"a."),
    named("with an underscore", b"a_b"),
    named("in upper case", b"EXAMPLE"),
    named("an IPv6 address", b"[::1]:80"),
]


def hop(name, lines, *reached, source=HOP, kept=True):
    return passed(f"connection: {name}", source, get(lines), saw("GET /a", *reached), kept=kept)


HOPS = [
    hop("close", b"Connection: close\r\n", kept=False),
    hop("close, in upper case", b"Connection: CLOSE\r\n", kept=False),
    hop("close, in a list with empty items", b"Connection: ,, close ,\r\n", kept=False),
    hop("keep-alive and close", b"Connection: keep-alive, close\r\n", kept=False),
    hop("close in a second field", b"Connection: keep-alive\r\nConnection: close\r\n", kept=False),
    hop("close with a parameter is no close", b"Connection: close;q=0\r\n"),
    hop("Proxy-Connection does not close", b"Proxy-Connection: close\r\n"),
    hop("lists a field that is unknown", b"Connection: X-Secret\r\nX-Secret: y\r\n"),
    hop("lists a field in other case", b"Connection: x-SECRET\r\nX-Secret: y\r\n"),
    hop("lists Host", b"Connection: Host\r\n", source=ABUSED),
    hop("lists Cookie", b"Connection: Cookie\r\nCookie: y\r\n", "Cookie: y", source=ABUSED),
    hop("lists Authorization", b"Connection: Authorization\r\nAuthorization: y\r\n", "Authorization: y", source=ABUSED),
    hop("lists what the proxy adds", b"Connection: X-Forwarded-For, X-Forwarded-Proto, Via, X-Request-Id\r\n", source=ABUSED),
    passed("connection: lists Content-Length", "Doyhenard 2021: response smuggling",
           post(b"Connection: Content-Length\r\nContent-Length: %d\r\n" % len(SMUGGLED), SMUGGLED),
           saw("POST /a", f"Content-Length: {len(SMUGGLED)}", body=SMUGGLED)),
    passed("connection: lists Transfer-Encoding", "Doyhenard 2021: response smuggling",
           post(b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
           saw("POST /a", "Transfer-Encoding: chunked", body=b"hello")),
    bad("Connection with more names than may be", b"Connection: " + b"a," * 33, HOP),
    hop("Keep-Alive, TE and Proxy-Authorization stay here",
        b"Keep-Alive: timeout=9\r\nTE: trailers, chunked\r\nProxy-Authorization: Basic eA==\r\n"),
    hop("HTTP2-Settings stays here", b"Connection: HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"),
    hop("an upgrade to h2c is not passed on", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        source="Miller 2020: h2c smuggling"),
    hop("an upgrade to h2c without HTTP2-Settings", b"Connection: Upgrade\r\nUpgrade: H2C\r\n", source="Miller 2020: h2c smuggling"),
    hop("an upgrade to h2c behind another", b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n", source="Miller 2020: h2c smuggling"),
    hop("an upgrade to HTTP/2.0", b"Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n", source="Miller 2020: h2c smuggling"),
    hop("an upgrade to TLS", b"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n", source="RFC 2817"),
    *(hop(f"an upgrade to {protocol.decode('latin-1')}", b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n", source=MISREAD) for protocol in (
        b"web socket/", b"h2c foo", b'"h2c"', b"h2c;q=1", b"websocket\th2c", b"/h2c", b"h2c-16", b"h2-14", b"http2", b"TLS-1.2", b",",
        b"websocket/", b"websocket, h2c-14", b"websocket;a, h2c", b"HTTPS", b"h3")),
    hop("an upgrade to several that are whole", b"Connection: Upgrade\r\nUpgrade: websocket/13 ,foo\r\n",
        "Connection: upgrade", "Upgrade: websocket/13 ,foo", source=UPGRADE),
    hop("an upgrade that Connection does not list", b"Upgrade: websocket\r\n", source=UPGRADE),
    hop("two upgrades", b"Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n", source=UPGRADE),
    passed("connection: an upgrade in 1.0", UPGRADE,
           get(b"Connection: Upgrade, keep-alive\r\nUpgrade: websocket\r\n", version=b"HTTP/1.0"), saw("GET /a")),
    hop("an upgrade that the origin does not take is no tunnel", b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
        "Connection: upgrade", "Upgrade: websocket", source="Egorov 2019: WebSocket smuggling"),
    passed("connection: an upgrade of a POST", UPGRADE, post(b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n", b"hello"),
           saw("POST /a", "Content-Length: 5", body=b"hello")),
    passed("connection: an upgrade of a GET with a body", UPGRADE,
           get(b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n") + b"hello",
           saw("GET /a", "Content-Length: 5", body=b"hello")),
]

CLAIMED = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server",
           "Forwarded", "X-Real-IP", "X-Original-URL", "X-Rewrite-URL", "CF-Connecting-IP", "True-Client-IP", "Client-IP",
           "X-Client-IP", "X-Cluster-Client-IP", "X-Request-Id", "X-Forwarded", "Forwarded-For", "X-Original-Host", "X-Host",
           "X-HTTP-Host-Override", "Fastly-Client-IP", "X-Azure-ClientIP", "X-Envoy-External-Address", "X-Remote-IP", "X-Remote-Addr",
           "X-Originating-IP", "X.Forwarded.For", "X-Forwarded.For", "X.Real.IP", "X.Host", "X.Request.Id")
IDENTITY = [
    *(passed(f"identity: {name} is no stranger's to say", STRANGER, get(name.encode() + b": 10.0.0.1\r\n"), saw("GET /a"))
      for name in CLAIMED),
    passed("identity: X-Forwarded-For in many lines", STRANGER, get(b"X-Forwarded-For: 10.0.0.1\r\n" * 5), saw("GET /a")),
    passed("identity: X-Forwarded-For in other case", STRANGER, get(b"x-FORWARDED-for: 10.0.0.1\r\n"), saw("GET /a")),
    passed("identity: dots in names that are known", DOTS,
           get(b"Transfer.Encoding: chunked\r\nContent.Length: 5\r\nX.Tenant: evil\r\nX.Role: admin\r\nX.Y: z\r\n"), saw("GET /a", "X.Y: z")),
    passed("identity: what a rule sets is its to say", STRANGER, get(b"X-Tenant: evil\r\n", target=b"/tenant"),
           saw("GET /tenant", "X-Tenant: public")),
    Row("identity: what a rule denies", STRANGER, get(b"X-Role: admin\r\n"), (403,), kept=True),
    passed("identity: Proxy is nobody's to say", "httpoxy, 2016", get(b"Proxy: http://other/\r\n"), saw("GET /a")),
    passed("identity: Via of a stranger stays", "RFC 9110 7.6.3", get(b"Via: 1.0 fred\r\n"), saw("GET /a", "Via: 1.0 fred")),
]

EXPECTATIONS = [
    passed("expect: 100-continue without a body", EXPECT, get(b"Expect: 100-continue\r\n"), saw("GET /a", "Expect: 100-continue")),
    passed("expect: 100-continue, and the body at once", EXPECT, post(b"Expect: 100-Continue\r\nContent-Length: 5\r\n", b"hello"),
           saw("POST /a", "Expect: 100-continue", "Content-Length: 5", body=b"hello")),
    passed("expect: 100-continue of a GET with a request for its body", "Kettle 2025: 0.CL by Expect",
           get(b"Expect: 100-continue\r\nContent-Length: %d\r\n" % len(SMUGGLED)) + SMUGGLED,
           saw("GET /a", "Expect: 100-continue", f"Content-Length: {len(SMUGGLED)}", body=SMUGGLED)),
    passed("expect: 100-continue twice is once", EXPECT, get(b"Expect: 100-continue\r\nExpect: 100-continue\r\n"),
           saw("GET /a", "Expect: 100-continue")),
    passed("expect: anything in 1.0 is passed over", EXPECT, get(b"Expect: x\r\n", version=b"HTTP/1.0"), saw("GET /a"), kept=False),
    bad("Expect of something else", b"Expect: 200-ok", EXPECT, 417),
    bad("Expect of nothing", b"Expect:", EXPECT, 417),
    bad("Expect as a list", b"Expect: 100-continue, 100-continue", EXPECT, 417),
    bad("Expect with a word before it", b"Expect: y 100-continue", "Kettle 2025: obfuscated Expect", 417),
    bad("Expect in two fields that differ", b"Expect: 100-continue\r\nExpect: y", EXPECT, 417),
    bad("Expect in quotes", b'Expect: "100-continue"', EXPECT, 417),
    bad("Expect with a parameter", b"Expect: 100-continue;q=1", EXPECT, 417),
    bad("Expect with a line end", b"Expect:\r\n 100-continue", "Kettle 2025: obfuscated Expect"),
]

FIELDS = GRAMMAR + HOSTS + HOPS + IDENTITY + EXPECTATIONS
