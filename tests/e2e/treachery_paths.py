# SPDX-License-Identifier: MIT
"""Rows: spellings of a path that a rule denies (/admin, and all below /admin/). What a rule sees is the normal form of
docs/reference.md; what the origin gets is the target as it came. Spellings that are another path in that form pass:
what they mean is the server's to say, and `regex` is there for a server with other ideas."""

from treachery import Row, get, passed, refused, saw

NORMAL, ENCODED = "RFC 3986 6.2", "RFC 3986 2.1"
SEGMENTS = "Orange Tsai 2018: breaking parser logic"


def denied(target, source=NORMAL):
    return Row(f"path: {target.decode()} is denied", source, get(target=target), (403,), kept=True)


def other(target, why, source=NORMAL):
    return passed(f"path: {target.decode()} is {why}", source, get(target=target), saw(f"GET {target.decode()}"))


DENIED = [
    denied(b"/admin"),
    denied(b"/admin?x=/"),
    denied(b"/admin/"),
    denied(b"/admin/x"),
    denied(b"//admin"),
    denied(b"///admin//"),
    denied(b"/./admin"),
    denied(b"/admin/."),
    denied(b"/admin/x/.."),
    denied(b"/../admin"),
    denied(b"/../../../admin"),
    denied(b"/x/../admin"),
    denied(b"/x/..//admin"),
    denied(b"/x/y/../../admin"),
    denied(b"/x//../admin"),
    denied(b"/admin/../admin"),
    denied(b"/%61dmin", ENCODED),
    denied(b"/%61%64%6d%69%6e", ENCODED),
    denied(b"/admi%6E", ENCODED),
    denied(b"/%2e/admin", ENCODED),
    denied(b"/x/%2e%2e/admin", ENCODED),
    denied(b"/x/.%2E/admin", ENCODED),
    denied(b"/%2fadmin", ENCODED),
    denied(b"/%2F%2fadmin", ENCODED),
    denied(b"/admin%2f", ENCODED),
    denied(b"/admin%2Fx", ENCODED),
    denied(b"/x%2f..%2fadmin", ENCODED),
    denied(b"/x%2f%2e%2e%2f%61dmin", ENCODED),
    denied(b"/\\admin", SEGMENTS),
    denied(b"/x\\..\\admin", SEGMENTS),
    denied(b"/admin\\x", SEGMENTS),
    denied(b"/%5cadmin", SEGMENTS),
    denied(b"/x%5c..%5cadmin", SEGMENTS),
    denied(b"http://a/admin", "RFC 9112 3.2.2"),
    denied(b"http://other//x/%2e%2e/admin", "RFC 9112 3.2.2"),
    denied(b"HTTPS://other:81/admin?x", "RFC 9112 3.2.2"),
]

REFUSED = [
    refused("path: with an encoded NUL behind it", "text ends at NUL for some servers", get(target=b"/admin%00")),
    refused("path: with an encoded NUL and a suffix", "text ends at NUL for some servers", get(target=b"/admin%00.html")),
    refused("path: with a fragment behind it", "RFC 9112 3.2", get(target=b"/admin#x")),
    refused("path: with a backslash for its slash", SEGMENTS, get(target=b"\\admin")),
    refused("path: behind a host and a backslash", SEGMENTS, get(target=b"http://a\\admin")),
    refused("path: without its slash", "RFC 9112 3.2", get(target=b"admin")),
]

OTHERS = [
    other(b"/admin/../x", "/x"),
    other(b"/admin%2f..", "/", ENCODED),
    other(b"/admin%2f..%2fx", "/x", ENCODED),
    other(b"/x/admin", "no other's"),
    other(b"/adminx", "longer"),
    other(b"/ADMIN", "in another case"),
    other(b"/admin;x=1", "with parameters", SEGMENTS),
    other(b"/admin;/x", "with empty parameters", SEGMENTS),
    other(b"/;/admin", "below parameters", SEGMENTS),
    other(b"/x/..;/admin", "below a segment that only looks like dots", SEGMENTS),
    other(b"/x/..%3b/admin", "the same, encoded", SEGMENTS),
    other(b"/admin.", "with a dot", SEGMENTS),
    other(b"/admin%2e", "with a dot, encoded", SEGMENTS),
    other(b"/admin%20", "with a space", ENCODED),
    other(b"/admin%09", "with a tab", ENCODED),
    other(b"/admin%0a", "with a line end", ENCODED),
    other(b"/admin%3fx", "with a question mark in its path", ENCODED),
    other(b"/admin%23x", "with a number sign in its path", ENCODED),
    other(b"/.../admin", "below three dots"),
    other(b"/%2561dmin", "encoded twice: decoded once", "double encoding"),
    other(b"/%252e%252e/admin", "encoded twice, with dots", "double encoding"),
    other(b"/%25%36%31dmin", "encoded twice, in pieces", "double encoding"),
    other(b"/%u0061dmin", "encoded as IIS did", "double encoding"),
    other(b"/%c0%afadmin", "of an overlong slash", "overlong UTF-8"),
    other(b"/x/%c0%ae%c0%ae/admin", "of overlong dots", "overlong UTF-8"),
    other(b"/%c1%a1dmin", "of an overlong letter", "overlong UTF-8"),
    other(b"/%e0%80%afadmin", "of a slash in three bytes", "overlong UTF-8"),
    other(b"/%ef%bc%8fadmin", "of a full-width slash", "Unicode look-alikes"),
    other(b"/%ef%bd%81dmin", "of a full-width letter", "Unicode look-alikes"),
    other(b"/%6", "half encoded", ENCODED),
    other(b"/?/../admin", "a query", NORMAL),
]

PATHS = DENIED + REFUSED + OTHERS
