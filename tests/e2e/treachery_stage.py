# SPDX-License-Identifier: MIT
"""The stage for treachery: an origin that takes down each request and forgives nothing, clients that are as strict, and
a proxy between them whose reading can be awaited.

Each client comes from a loopback address of its own, by which the origin's notes are told apart: a request that names
somebody else, or nobody, is a fault.
"""

import itertools
import re
import selectors
import socket
import threading

from harness import PATIENCE, Conversation, config, connect, eventually, listen
from treachery import Saw

SIZES = {"head": "8KiB", "headers": 20, "target": "1KiB", "body": "1MiB"}  # rows name these

# --- what both ends read, strictly --------------------------------------------------------------------------


class Fault(Exception):
    pass


REQUEST_LINE = re.compile(rb"[A-Z]+ (/[!-~]*|\*) HTTP/1\.1")
STATUS_LINE = re.compile(rb"HTTP/1\.1 [1-5][0-9][0-9] [\t\x20-\x7e\x80-\xff]*")
FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: (?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")
CHUNK = re.compile(rb"([0-9a-f]{1,16})\r\n")


def take_head(data, first):
    """(lines, bytes taken), or None as long as it is incomplete."""
    head, end, _ = data.partition(b"\r\n\r\n")
    if not end:
        return None
    lines = head.split(b"\r\n")
    if not first.fullmatch(lines[0]) or not all(FIELD.fullmatch(line) for line in lines[1:]):
        raise Fault(f"malformed: {head!r}")
    return [line.decode("latin-1") for line in lines], len(head) + 4


def values(lines, name):
    return [line.split(": ", 1)[1] for line in lines[1:] if line.split(":", 1)[0].lower() == name]


def one(lines, name):
    found = values(lines, name)
    if len(found) > 1:
        raise Fault(f"{name} {len(found)} times: {lines}")
    return found[0] if found else None


def take_body(lines, data):
    """(body, trailers, bytes taken), or None as long as it is incomplete. Without a word of it there is no body."""
    length, coding = one(lines, "content-length"), one(lines, "transfer-encoding")
    if length is not None and coding is not None:
        raise Fault(f"two framings: {lines}")
    if coding is None:
        if length is not None and not length.isdecimal():
            raise Fault(f"malformed length: {lines}")
        size = int(length or 0)
        return (data[:size], (), size) if len(data) >= size else None
    if coding != "chunked":
        raise Fault(f"a coding: {lines}")
    body, at = b"", 0
    while True:
        size = CHUNK.match(data, at)
        if not size:
            if b"\r\n" in data[at:]:
                raise Fault(f"malformed chunk: {data[at:]!r}")
            return None
        at, count = size.end(), int(size[1], 16)
        if count == 0:
            break
        if len(data) < at + count + 2:
            return None
        body += data[at:at + count]
        if data[at + count:at + count + 2] != b"\r\n":
            raise Fault(f"chunk without its end: {data!r}")
        at += count + 2
    if data[at:at + 2] == b"\r\n":
        return body, (), at + 2
    rest, end, _ = data[at:].partition(b"\r\n\r\n")
    if not end:
        return None
    trailers = rest.split(b"\r\n")
    if not all(FIELD.fullmatch(line) for line in trailers):
        raise Fault(f"malformed trailers: {rest!r}")
    return body, tuple(line.decode("latin-1") for line in trailers), at + len(rest) + 4


# --- the origin ---------------------------------------------------------------------------------------------


class Recorder:
    """Answers each request with its method and target, one thread for all connections. `asked` has what each client's
    address asked for, `halves` what was cut short. A request for /play/N is not answered but put into `held`."""

    class Link:
        def __init__(self, connection):
            self.socket, self.buffer, self.ended = connection, b"", False

        def say(self, data):
            try:
                self.socket.sendall(data)
            except OSError:
                pass  # the proxy has had enough

    def __init__(self):
        self._listener = listen(backlog=1024)
        self.port = self._listener.getsockname()[1]
        self.changed = threading.Condition()
        self.asked, self.halves, self.faults, self.held, self.links = {}, {}, [], {}, set()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def until(self, condition):
        with self.changed:
            return self.changed.wait_for(condition, PATIENCE)

    def _run(self):
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._woken:
                    return
                with self.changed:
                    if key.fileobj is self._listener:
                        link = self.Link(self._listener.accept()[0])
                        link.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        self.links.add(link)
                        self._selector.register(link.socket, selectors.EVENT_READ, link)
                    elif not key.data.ended:
                        self._read(key.data)
                    self.changed.notify_all()

    def _read(self, link):
        try:
            data = link.socket.recv(65536)
        except OSError:
            data = b""
        link.buffer += data
        try:
            while link.buffer and self._take(link):
                pass
        except Fault as fault:
            self.faults.append(str(fault))
            data = b""
        if not data:
            self._end(link)

    def _take(self, link):
        head = take_head(link.buffer, REQUEST_LINE)
        if not head:
            return False
        lines, at = head
        if any("_" in line.split(":")[0] for line in lines[1:]):
            raise Fault(f"an underscore: {lines}")
        who = self._check_own(lines)
        body = take_body(lines, link.buffer[at:])
        if not body:
            return False
        link.buffer = link.buffer[at + body[2]:]
        request = Saw(tuple(line for line in lines if not self._own(line)), body[0], body[1])
        self.asked.setdefault(who, []).append(request)
        if "smuggled" in request.name:
            self.faults.append(f"smuggled: {request}")
        play = re.fullmatch(r"/play/([0-9]+)", request.name.split(" ")[1])
        if play:
            self.held[int(play[1])] = link
            return True
        text = b"" if request.method == "HEAD" else request.name.encode("latin-1")
        link.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(request.name), text))
        return True

    OWN = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id")

    def _own(self, line):
        return line.split(":", 1)[0].lower() in self.OWN or line in ("Via: 1.1 spillway", "Via: 1.0 spillway")

    def _check_own(self, lines):
        """What the proxy says of itself and of the client, each once; the client's address."""
        who = one(lines, "x-forwarded-for") or ""
        good = (re.fullmatch(r"127\.[0-9.]+", who) and one(lines, "x-forwarded-proto") == "http" and one(lines, "host") and
                re.fullmatch("[0-9a-f]{32}", one(lines, "x-request-id") or "") and
                sum(line.startswith("Via: ") and line.endswith(" spillway") for line in lines) == 1)
        named = one(lines, "x-forwarded-host")
        if not good or named not in (None, one(lines, "host")):
            raise Fault(f"not the proxy's own words: {lines}")
        return who

    def _end(self, link):
        link.ended = True
        if link.buffer:
            who = re.search(rb"\r\nX-Forwarded-For: ([0-9.]+)\r\n", link.buffer)
            self.halves.setdefault(who[1].decode() if who else None, []).append(link.buffer)
        self._selector.unregister(link.socket)
        link.socket.close()
        self.links.discard(link)

    def end(self, link):
        with self.changed:
            if not link.ended:
                self._end(link)

    def hang_up(self):
        """Ends all its connections, so that those of the next round are new."""
        with self.changed:
            for link in list(self.links):
                link.buffer = b""
                self._end(link)
            self.held = {}

    def close(self):
        self._wake.send(b"x")
        self._thread.join(PATIENCE)
        self.hang_up()
        for each in (self._listener, self._wake, self._woken):
            each.close()
        self._selector.close()


# --- a client -----------------------------------------------------------------------------------------------


class Client(Conversation):
    def __init__(self, port, source):
        super().__init__(connect(port, source=source).socket)
        self.source, self.ended = source, False

    def say(self, data):
        try:
            self.send(data)
        except OSError:
            pass  # it was refused and is gone; what it said is still to be read

    def _more(self):
        try:
            super()._more()
        except (EOFError, ConnectionError):
            self.ended = True
            raise EOFError("the other side closed") from None

    def answer(self, method="GET", until_end=False):
        """(head's lines, body, trailers) of the next answer, or None when the connection ended before it was whole."""
        try:
            while True:
                head = take_head(self.buffer, STATUS_LINE)
                if head:
                    lines, at = head
                    status = lines[0][9:12]
                    empty = method == "HEAD" or status in ("204", "304") or status[0] == "1"
                    body = (b"", (), 0) if empty else take_body(lines, self.buffer[at:])
                    if until_end and "Connection: close" in lines:
                        body = self.read_to_end()[at:], (), 0
                    if body:
                        self.buffer = self.buffer[at + body[2]:]
                        return lines, body[0], body[1]
                self._more()
        except EOFError:
            return None

    def silent(self):
        """Nothing has come, and the connection is open."""
        try:
            self.socket.setblocking(False)
            self.buffer += self.socket.recv(65536)
            return False
        except BlockingIOError:
            return not self.buffer
        except ConnectionError:
            return False
        finally:
            self.socket.settimeout(PATIENCE)


# --- the proxy between them -----------------------------------------------------------------------------------


class Stage:
    """A proxy with one worker, so that the order of what it reads is known: when it has answered the prompter twice, it
    has read all that was sent to it before. Once would not do: the prompter may be the first of all that epoll tells of
    at once. But then it is behind all others when it asks again."""

    def __init__(self, case):
        self.recorder = case.keep(Recorder())
        # A loaded machine is no slow client, and no slow server either.
        patient = {"head": "5m", "body": "5m", "idle": "5m"}
        app = {"timeouts": {"connect": "5m", "first_byte": "5m", "idle": "5m"}, "ejection": {"consecutive_errors": 0},
               "retries": {"attempts": 0}, "keep_alive": {"connections": 1000}, "response_head": "8KiB", "concurrency": "off"}
        self.proxy = case.spillway(config(
            self.recorder, workers=1, access_log="off", clients={"sizes": SIZES, "timeouts": patient}, app=app,
            limits={"keyed": {"key": "header.X-Key", "rate": "1/s", "burst": 1000000}},
            rules=[{"name": "prompter", "match": {"path": "/prompter"}, "action": {"respond": {"status": 200, "body": "go"}}},
                   {"name": "admin", "match": {"any": [{"path": "/admin"}, {"path": {"prefix": "/admin/"}}]}, "action": "deny"},
                   {"name": "role", "match": {"header.X-Role": "admin"}, "action": "deny"},
                   {"name": "keyed", "match": {"path": "/keyed"}, "action": {"limit": "keyed"}},
                   {"name": "tenant", "match": {"path": "/tenant"}, "action": {"set_header": {"X-Tenant": "public"}}}]))
        self.port = self.proxy.port
        self.prompter = case.connect(self.port)
        # 127.1.0.1 to 127.254.255.254
        self.sources = (f"127.{a}.{b}.{c}" for a, b, c in itertools.product(range(1, 255), range(256), range(1, 255)))

    def all_is_read(self):
        for _ in range(2):
            assert self.prompter.ask(target="/prompter").body == b"go"

    def clients(self, count):
        made = [Client(self.port, next(self.sources)) for _ in range(count)]
        eventually(lambda: self.proxy.metric("spillway_connections_open") == count + 1, "all to be accepted", every=0.002)
        return made

    def send(self, ends, pieces):
        """Each end's pieces, each when all pieces before it have been read."""
        for step in range(max(map(len, pieces))):
            for say, mine in zip(ends, pieces):
                if step < len(mine):
                    say(mine[step])
            self.all_is_read()
