# SPDX-License-Identifier: MIT
"""What is measured: each row is a load on a setup of some proxies; a target compares spillway's figure with others of the
same run."""

from dataclasses import dataclass

from load import H2Load, VisitorLoad, WrkLoad

PEERS = ("nginx", "HAProxy")
ADDRESSES = 1_000_000


@dataclass(frozen=True)
class Row:
    name: str
    says: str
    setup: str
    load: object
    proxies: tuple
    unit: str = "µs"  # of CPU time per request


@dataclass(frozen=True)
class Idle:
    """Memory of idle connections: a fresh process each time, as memory that was used once tells nothing."""

    name: str
    says: str
    setup: str
    count: int
    proxies: tuple
    unit: str = "bytes"


@dataclass(frozen=True)
class Target:
    """spillway's figure in `row` is at most `times` that of `proxy` in `other` (or the same row), or of the best of
    several; or at most `limit`."""

    row: str
    times: float = 0
    proxies: tuple = ()
    other: str = ""
    limit: float = 0


ROWS = {row.name: row for row in (
    Row("keep-alive", "1 KB over kept connections; the request has a Host field and nothing else", "plain", WrkLoad(),
        ("spillway", *PEERS, "relay")),
    Row("browsers", "the same with the requests of the next row: 20,000 user agents and as many client addresses in turn", "plain",
        WrkLoad(agents="browsers"), ("spillway", *PEERS, "relay")),
    Row("500-patterns", "the same with 500 user-agent patterns (450 texts, 50 expressions, without case), of which none matches, and a limit "
        "for each client, which none is over", "patterns-500", WrkLoad(agents="browsers"), ("spillway", *PEERS)),
    Row("5000-patterns", "the same with 4,500 texts and 500 expressions", "patterns-5000", WrkLoad(agents="browsers"), ("spillway",)),
    Row("refusal-403", "every user agent (20,000 in turn) meets one of the 500 patterns", "patterns-500", WrkLoad(agents="bots", status=403),
        ("spillway", *PEERS)),
    # nginx's slowest rate lets one pass each minute.
    Row("refusal-429", "one client, over its limit", "over-limit", WrkLoad(status=429, stragglers=1), ("spillway", *PEERS)),
    Row("new-connections", "1 KB, a connection for each request", "plain", VisitorLoad(), ("spillway", *PEERS)),
    Row("100-KB", "bodies of 100 KB", "plain", WrkLoad("/100k", connections=16), ("spillway", *PEERS, "relay")),
    Row("10-MB", "bodies of 10 MB", "plain", WrkLoad("/10m", connections=4), ("spillway", *PEERS, "relay")),
    Row("uploads", "request bodies of 1 MB", "plain", WrkLoad("/upload", upload=True, connections=8), ("spillway", *PEERS, "relay")),
    Row("tls", "1 KB over kept connections with TLS", "tls", WrkLoad(tls=True), ("spillway", *PEERS)),
    Row("tls-new", "1 KB, a connection and a full handshake for each request", "tls", VisitorLoad(tls="full"), ("spillway", *PEERS)),
    Row("tls-resumed", "1 KB, a connection and a handshake by ticket for each request", "tls", VisitorLoad(tls="resumed"), ("spillway", *PEERS)),
    Row("h2", "1 KB over HTTP/2 with TLS: 8 connections, 10 streams on each", "tls", H2Load(), ("spillway", *PEERS, "nghttpx")),
    Row("one-address", "keep-alive with a limit; all requests by one client, named in X-Forwarded-For by a trusted proxy", "one-address",
        WrkLoad(addresses=1), ("spillway",)),
    Row("million-addresses", "the same with 1,000,000 clients in turn, which all have their entries in the limit's table", "addresses",
        WrkLoad(addresses=ADDRESSES), ("spillway",)),
    Idle("idle", "memory (PSS) of a connection that has had one answer and is kept, of 10,000", "plain", 10_000, ("spillway", *PEERS)),
    Idle("idle-tls", "the same with TLS, of 4,000", "tls", 4_000, ("spillway", *PEERS)),
)}

TARGETS = (
    Target("keep-alive", 1.2, ("relay",)),
    Target("keep-alive", 1.0, ("nginx",)),
    Target("keep-alive", 1.0, ("HAProxy",)),
    Target("500-patterns", 1.1, ("spillway",), other="keep-alive"),
    Target("500-patterns", 1.1, ("spillway",), other="browsers"),
    Target("500-patterns", 0.5, ("nginx",)),
    Target("500-patterns", 0.5, ("HAProxy",)),
    Target("5000-patterns", 1.1, ("spillway",), other="500-patterns"),
    Target("refusal-403", 0.9, ("nginx",)),
    Target("refusal-429", 0.9, ("nginx",)),
    Target("new-connections", 1.0, PEERS),
    Target("100-KB", 0.9, ("nginx",)),
    Target("10-MB", 1.0, ("nginx",)),
    Target("uploads", 1.0, ("nginx",)),
    Target("tls", 1.0, PEERS),
    Target("tls-new", 1.0, PEERS),
    Target("tls-resumed", 1.0, PEERS),
    Target("h2", 1.0, ("nghttpx", "HAProxy")),
    Target("million-addresses", 1.1, ("spillway",), other="keep-alive"),
    Target("million-addresses", 1.1, ("spillway",), other="one-address"),
    Target("idle", limit=600),
    Target("idle-tls", limit=12 * 1024),
)


def with_what_they_are_compared_with(names):
    """{row: proxies to measure in it}: a row's target may need spillway in another row of the same run."""
    chosen = {name: ROWS[name].proxies for name in ROWS if name in names}
    for target in TARGETS:
        if target.row in names and target.other and target.other not in chosen:
            chosen[target.other] = target.proxies
    return {name: chosen[name] for name in ROWS if name in chosen}
