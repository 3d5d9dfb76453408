# SPDX-License-Identifier: MIT
"""Rows: where a request's body ends. Lengths, codings, both at once, and bodies where few expect one."""

from treachery import NEXT, SMUGGLED, Row, get, passed, post, refused, saw, waits

LENGTH, CODING, BOTH = "RFC 9112 6.2", "RFC 9112 6.1", "RFC 9112 6.3"
WATCHFIRE = "Linhart et al. 2005: two lengths"
DESYNC = "Kettle 2019: TE.TE"
NUMBERS = "a number to some languages only"
END = b"0\r\n\r\n"
PREFIX = b"GET /smuggled HTTP/1.1\r\nX: "  # swallows the line of the next request


def length(name, value, source=LENGTH, status=400):
    return refused(f"length: {name}", source, post(b"Content-Length: " + value + b"\r\n", b"hello"), status)


def coding(name, fields, status=400, source=DESYNC):
    """What one reader takes for chunked and another does not, in front of bytes that each would take otherwise."""
    return refused(f"coding: {name}", source, post(fields + b"\r\n", END + SMUGGLED), status)


def measured(name, fields, *reached, source=LENGTH):
    return passed(f"length: {name}", source, post(fields, b"hello"), saw("POST /a", *reached, body=b"hello"))


LENGTHS = [
    length("with a plus", b"+5"),
    length("with a minus", b"-5"),
    length("minus nothing", b"-0"),
    length("hexadecimal", b"0x5", NUMBERS),
    length("hexadecimal without a sign of it", b"a"),
    length("octal", b"0o5", NUMBERS),
    length("binary", b"0b101", NUMBERS),
    length("with an underscore", b"0_5", NUMBERS),
    length("with a fraction", b"5.0", NUMBERS),
    length("with an exponent", b"5e0", NUMBERS),
    length("with a thousands separator", b"1,000", NUMBERS),
    length("with a letter behind it", b"5a"),
    length("with a space in it", b"5 5"),
    length("with a word behind it", b"5 bytes"),
    length("with a semicolon", b"5;"),
    length("in quotes", b'"5"'),
    length("in Arabic digits", "٥".encode(), NUMBERS),
    length("in full-width digits", "５".encode(), NUMBERS),
    length("a tab behind it", b"5\t", "legal, but nobody sends it"),
    length("empty", b""),
    length("of white space", b" \t "),
    length("with a NUL behind it", b"5\0"),
    length("with a vertical tab behind it", b"5\v"),
    length("with a form feed before it", b"\f5"),
    length("with a no-break space behind it", b"5\xa0"),
    length("with a CR behind it", b"5\r"),
    length("2 to the 64th", b"18446744073709551616"),
    length("2 to the 64th and five", b"18446744073709551621", "overflow to 5"),
    length("2 to the 32nd and five, of a larger body than may be", b"4294967301", "overflow to 5", 413),
    length("2 to the 63rd, of a larger body than may be", b"9223372036854775808", "overflow to a minus", 413),
    length("of a hundred digits", b"9" * 100),
    length("a list", b"5, 5"),
    length("a list that differs", b"5, 6", WATCHFIRE),
    length("a list with nothing in it", b"5,"),
    length("a list that begins with nothing", b", 5"),
    length("twice, equal", b"5\r\nContent-Length: 5", WATCHFIRE),
    length("twice, different", b"5\r\nContent-Length: 0", WATCHFIRE),
    length("twice, the other order", b"0\r\nContent-Length: 5", WATCHFIRE),
    length("twice, one empty", b"5\r\nContent-Length:", WATCHFIRE),
    length("twice, far apart and in other case", b"5\r\nX: y\r\nY: z\r\ncONTENT-lENGTH: 6", WATCHFIRE),
    length("folded", b"\r\n 5", "RFC 9112 5.2"),
    length("folded, more in the fold", b"5\r\n 5", "RFC 9112 5.2"),
    refused("length: a space before its colon", "RFC 9112 5.1", post(b"Content-Length : 5\r\n", b"hello")),
    refused("length: a space before its name", "RFC 9112 5.2", post(b" Content-Length: 5\r\n", b"hello")),
    refused("length: a NUL in its name", "Thatcher 2021: header smuggling", post(b"Content-\0Length: 5\r\n", b"hello")),
    refused("length: no colon", "RFC 9112 5", post(b"Content-Length 5\r\n", b"hello")),
    measured("with zeros before it", b"Content-Length: 0005\r\n", "Content-Length: 5"),
    measured("with white space before it and spaces behind it", b"Content-Length: \t5  \r\n", "Content-Length: 5"),
    measured("in other case", b"cONTENT-lENGTH:5\r\n", "Content-Length: 5"),
    measured("with another of underscores", b"Content_Length: 50\r\nContent-Length: 5\r\n", "Content-Length: 5",
             source="read as dashes by CGI, WSGI and PHP"),
    measured("with another of other words", b"Content-Length-: 50\r\nContentLength: 51\r\nContent-Length: 5\r\n",
             "Content-Length-: 50", "ContentLength: 51", "Content-Length: 5", source="T-Reqs, CCS 2021: mutated fields"),
    refused("length: shorter than the body", "CL.0", post(b"Content-Length: 4\r\n", b"hello"), 501,
            after=[saw("POST /a", "Content-Length: 4", body=b"hell")]),
    waits("length: longer than the body", "0.CL", post(b"Content-Length: 500\r\n", SMUGGLED)),
    waits("length: one byte more than what comes", "0.CL", post(b"Content-Length: %d\r\n" % (len(NEXT) + 1))),
    passed("length: just the next request", "0.CL", post(b"Content-Length: %d\r\n" % len(SMUGGLED), SMUGGLED),
           saw("POST /a", f"Content-Length: {len(SMUGGLED)}", body=SMUGGLED)),
]

BOTHS = [
    refused("both: CL.TE", "Kettle 2019: CL.TE", post(b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", END + b"G")),
    refused("both: CL.TE with a whole request", "Kettle 2019: CL.TE",
            post(b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % len(END + PREFIX), END + PREFIX)),
    refused("both: TE.CL", "Kettle 2019: TE.CL",
            post(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", b"%x\r\n%s\r\n%s" % (len(SMUGGLED), SMUGGLED, END))),
    refused("both: and they agree", BOTH, post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", END)),
    refused("both: a length of 0", "TE.0", post(b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", END)),
    refused("both: a coding that is unknown", BOTH, post(b"Content-Length: 5\r\nTransfer-Encoding: xchunked\r\n", b"hello")),
    refused("both: a coding that is empty", BOTH, post(b"Content-Length: 5\r\nTransfer-Encoding:\r\n", b"hello")),
    refused("both: a coding of identity", BOTH, post(b"Content-Length: 5\r\nTransfer-Encoding: identity\r\n", b"hello")),
    refused("both: a length that is none", BOTH, post(b"Content-Length: x\r\nTransfer-Encoding: chunked\r\n", END)),
    refused("both: in 1.0", BOTH, post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", END, version=b"HTTP/1.0")),
    refused("both: of a GET", BOTH, get(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + END),
    passed("both: a coding in underscores", "read as dashes by CGI, WSGI and PHP",
           post(b"Content-Length: 5\r\nTransfer_Encoding: chunked\r\n", END), saw("POST /a", "Content-Length: 5", body=END)),
    passed("both: a length in underscores", "read as dashes by CGI, WSGI and PHP",
           post(b"Content_Length: 3\r\nTransfer-Encoding: chunked\r\n", b"5\r\nhello\r\n" + END),
           saw("POST /a", "Transfer-Encoding: chunked", body=b"hello")),
    passed("both: chunked is only the content's coding", "RFC 9110 8.4",
           post(b"Content-Encoding: chunked\r\nContent-Length: 5\r\n", END),
           saw("POST /a", "Content-Encoding: chunked", "Content-Length: 5", body=END)),
    passed("both: chunked is only what TE names", "RFC 9110 10.1.4", post(b"TE: chunked\r\nContent-Length: 5\r\n", END),
           saw("POST /a", "Content-Length: 5", body=END)),
]

CODINGS = [
    refused("coding: in 1.0", CODING, post(b"Transfer-Encoding: chunked\r\n", END, version=b"HTTP/1.0")),
    coding("xchunked", b"Transfer-Encoding: xchunked", 501),
    coding("chunked and a letter", b"Transfer-Encoding: chunkedx", 501),
    coding("chunked but for a letter", b"Transfer-Encoding: chunke", 501),
    coding("x-chunked", b"Transfer-Encoding: x-chunked", 501),
    coding("cow", b"Transfer-Encoding: cow", 501),
    coding("identity", b"Transfer-Encoding: identity", 501, CODING),
    coding("gzip", b"Transfer-Encoding: gzip", 501, CODING),
    coding("gzip and chunked", b"Transfer-Encoding: gzip, chunked", 501, CODING),
    coding("chunked and gzip", b"Transfer-Encoding: chunked, gzip", 400, CODING),
    coding("identity and chunked", b"Transfer-Encoding: identity, chunked", 501),
    coding("chunked and identity", b"Transfer-Encoding: chunked, identity"),
    coding("chunked and cow", b"Transfer-Encoding: chunked, cow"),
    coding("chunked and chunked", b"Transfer-Encoding: chunked, chunked", 400, CODING),
    coding("chunked and a comma", b"Transfer-Encoding: chunked,"),
    coding("a comma and chunked", b"Transfer-Encoding: ,chunked"),
    coding("chunked and a semicolon", b"Transfer-Encoding: chunked;"),
    coding("chunked with a parameter", b"Transfer-Encoding: chunked;q=1"),
    coding("chunked and a word", b"Transfer-Encoding: chunked identity"),
    coding("a word and chunked", b"Transfer-Encoding: x chunked"),
    coding("in quotes", b'Transfer-Encoding: "chunked"'),
    coding("in single quotes", b"Transfer-Encoding: 'chunked'", 501),
    coding("in brackets", b"Transfer-Encoding: (chunked)"),
    coding("a colon before it", b"Transfer-Encoding: :chunked"),
    coding("with a space in it", b"Transfer-Encoding: chu nked"),
    coding("with an underscore", b"Transfer-Encoding: chun_ked", 501),
    coding("empty", b"Transfer-Encoding:"),
    coding("of white space", b"Transfer-Encoding: \t "),
    coding("a vertical tab before it", b"Transfer-Encoding:\vchunked"),
    coding("a form feed before it", b"Transfer-Encoding: \fchunked"),
    coding("a NUL before it", b"Transfer-Encoding: \0chunked"),
    coding("a NUL behind it", b"Transfer-Encoding: chunked\0"),
    coding("a vertical tab behind it", b"Transfer-Encoding: chunked\v"),
    coding("a no-break space before it", b"Transfer-Encoding: \xa0chunked"),
    coding("a next-line character behind it", b"Transfer-Encoding: chunked\x85"),
    coding("with a letter in UTF-8 that is k in lower case", "Transfer-Encoding: chun\u212aed".encode()),
    coding("a CR behind it", b"Transfer-Encoding: chunked\r"),
    coding("a CR before it", b"Transfer-Encoding:\rchunked"),
    coding("twice", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    coding("twice, cow last", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow"),
    coding("twice, cow first", b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked"),
    coding("twice, identity last", b"Transfer-Encoding: chunked\r\nTransfer-encoding: identity"),
    coding("twice, one empty", b"Transfer-Encoding: chunked\r\nTransfer-Encoding:"),
    coding("a space before its colon", b"Transfer-Encoding : chunked"),
    coding("a tab before its colon", b"Transfer-Encoding\t: chunked"),
    coding("a space before its name", b" Transfer-Encoding: chunked"),
    coding("a tab before its name", b"\tTransfer-Encoding: chunked"),
    coding("a vertical tab before its name", b"\vTransfer-Encoding: chunked"),
    coding("a NUL in its name", b"Transfer\0-Encoding: chunked"),
    coding("a space in its name", b"Transfer Encoding: chunked"),
    coding("a space behind the dash of its name", b"Transfer- Encoding: chunked"),
    coding("a line end in its name", b"Transfer-\r\nEncoding: chunked"),
    coding("a LF before its colon", b"Transfer-Encoding\n: chunked"),
    coding("a LF before it", b"Transfer-Encoding:\n chunked"),
    coding("no colon", b"Transfer-Encoding chunked"),
    coding("an equals sign for the colon", b"Transfer-Encoding= chunked"),
    coding("folded", b"Transfer-Encoding:\r\n chunked"),
    coding("folded by a tab", b"Transfer-Encoding:\r\n\tchunked"),
    coding("folded, identity in the fold", b"Transfer-Encoding: chunked\r\n , identity"),
    coding("behind a LF", b"X: y\nTransfer-Encoding: chunked"),
    coding("behind a CR", b"X: y\rTransfer-Encoding: chunked"),
    coding("behind a field without a name", b": y\r\nTransfer-Encoding: chunked", 400, "CVE-2023-25725"),
]


def chunked(name, field, source=CODING, method=b"POST", reached=()):
    return passed(f"coding: {name}", source, get(field + b"\r\n", method=method) + b"5\r\nhello\r\n" + END,
                  saw(f"{method.decode()} /a", *reached, "Transfer-Encoding: chunked", body=b"hello"))


LEGAL = [
    chunked("chunked", b"Transfer-Encoding: chunked"),
    chunked("in upper case", b"TRANSFER-ENCODING: CHUNKED"),
    chunked("white space around it", b"Transfer-Encoding: \t chunked \t"),
    chunked("no space behind the colon", b"Transfer-Encoding:chunked"),
    chunked("a name like it", b"Transfer-Encoding-: gzip\r\nTransferEncoding: gzip\r\nTransfer-Encoding: chunked",
            reached=("Transfer-Encoding-: gzip", "TransferEncoding: gzip")),
    chunked("of a GET", b"Transfer-Encoding: chunked", "TE.0", b"GET"),
    chunked("of a HEAD", b"Transfer-Encoding: chunked", "TE.0", b"HEAD"),
    chunked("of a DELETE", b"Transfer-Encoding: chunked", "TE.0", b"DELETE"),
    chunked("of an OPTIONS", b"Transfer-Encoding: chunked", "TE.0", b"OPTIONS"),
    passed("coding: chunked, a request in its chunk", "TE.0", post(b"Transfer-Encoding: chunked\r\n",
           b"%x\r\n%s\r\n%s" % (len(SMUGGLED), SMUGGLED, END)), saw("POST /a", "Transfer-Encoding: chunked", body=SMUGGLED)),
]


def bodied(method):
    return passed(f"body: a {method} with a request in it", "Kettle 2022: CL.0",
                  get(b"Content-Length: %d\r\n" % len(SMUGGLED), method=method.encode()) + SMUGGLED,
                  saw(f"{method} /a", f"Content-Length: {len(SMUGGLED)}", body=SMUGGLED))


BODIES = [
    *map(bodied, ("GET", "HEAD", "DELETE", "OPTIONS", "PUT", "PATCH", "PROPFIND", "TRACE")),
    passed("body: a GET that says it has none", LENGTH, get(b"Content-Length: 0\r\n"), saw("GET /a", "Content-Length: 0")),
    passed("body: a POST without a word of one", BOTH, post(b""), saw("POST /a")),
    passed("body: a POST without a word of one, and 1.0", BOTH, post(b"", version=b"HTTP/1.0"), saw("POST /a"), kept=False),
    passed("body: an empty line behind it", "RFC 9112 2.2", post(b"Content-Length: 5\r\n", b"hello\r\n"),
           saw("POST /a", "Content-Length: 5", body=b"hello")),
    refused("body: two empty lines behind it", "RFC 9112 2.2", post(b"Content-Length: 5\r\n", b"hello\r\n\r\n"),
            after=[saw("POST /a", "Content-Length: 5", body=b"hello")]),
    refused("body: a field line behind it", "Kettle 2022: client-side desync", post(b"Content-Length: 5\r\n", b"helloX: y\r\n\r\n"), 501,
            after=[saw("POST /a", "Content-Length: 5", body=b"hello")]),
    Row("body: close, and a request behind it", "RFC 9112 9.6", post(b"Connection: close\r\nContent-Length: 5\r\n", b"hello") + SMUGGLED,
        (200,), (saw("POST /a", "Content-Length: 5", body=b"hello"),)),
    Row("body: 1.0, and a request behind it", "RFC 9112 9.3", post(b"Content-Length: 5\r\n", b"hello", version=b"HTTP/1.0") + SMUGGLED,
        (200,), (saw("POST /a", "Content-Length: 5", body=b"hello"),)),
    passed("pipeline: HEAD and others", "RFC 9112 9.3.2", get(method=b"HEAD") + post(b"Content-Length: 5\r\n", b"hello") + get(),
           saw("HEAD /a"), saw("POST /a", "Content-Length: 5", body=b"hello"), saw("GET /a")),
    refused("pipeline: two good ones and one without a Host", "RFC 9112 9.3.2", get() + get(target=b"/b") + get(host=b""),
            after=[saw("GET /a"), saw("GET /b")]),
    refused("pipeline: a good one and a CL.TE", "Kettle 2019: CL.TE",
            get() + post(b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", END + b"G"), after=[saw("GET /a")]),
    refused("pipeline: a good one and one in 2.0", "RFC 9112 2.3", get() + get(version=b"HTTP/2.0"), 505, after=[saw("GET /a")]),
    refused("pipeline: a good one and TLS", "another protocol on the port", get() + b"\x16\x03\x01\x02\x00\x01\x00", after=[saw("GET /a")]),
]

FRAMING = LENGTHS + BOTHS + CODINGS + LEGAL + BODIES
