# SPDX-License-Identifier: MIT
"""A client of HTTP/1.1 that shows every byte, and reads no more of a message than it is asked for."""

import json
import socket
import ssl

from waiting import PATIENCE


class Message:
    """A parsed request or response, with its bytes."""

    def __init__(self, head):
        self.raw_head = head
        lines = head.decode("latin-1").split("\r\n")
        self.start = lines[0]
        self.headers = [tuple(part.strip() if i else part for i, part in enumerate(line.split(":", 1)))
                        for line in lines[1:] if line]
        self.body = b""
        self.trailers = []
        self.interim = []   # responses only: the 1xx heads before it
        self.chunks = []    # sizes, when chunked

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def method(self):
        return self.start.split(" ")[0]

    @property
    def target(self):
        return self.start.split(" ")[1]

    @property
    def status(self):
        return int(self.start.split(" ")[1])

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.start!r} {self.headers} {self.body[:200]!r}>"


class Conversation:
    """One side of an HTTP connection over a plain or TLS socket, byte by byte when wanted."""

    def __init__(self, connection, timeout=PATIENCE):
        self.socket = connection
        connection.settimeout(timeout)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.requests = []

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("the other side closed")
        self.buffer += data

    def read(self, size):
        while len(self.buffer) < size:
            self._more()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def read_line(self):
        while b"\r\n" not in self.buffer:
            self._more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def read_head(self):
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        return Message(head)

    def read_to_end(self):
        """Everything until the other side closes."""
        try:
            while True:
                self._more()
        except EOFError:
            data, self.buffer = self.buffer, b""
            return data

    def _read_body(self, message, until_close):
        if (message.get("transfer-encoding") or "").lower().endswith("chunked"):
            while True:
                size = int(self.read_line().split(b";")[0], 16)
                message.chunks.append(size)
                if size == 0:
                    break
                message.body += self.read(size)
                assert self.read(2) == b"\r\n", "a chunk's data must be followed by CRLF"
            while True:
                line = self.read_line().decode("latin-1")
                if not line:
                    break
                name, value = line.split(":", 1)
                message.trailers.append((name, value.strip()))
        elif message.get("content-length") is not None:
            message.body = self.read(int(message.get("content-length")))
        elif until_close:
            message.body = self.read_to_end()

    def read_request(self, body=True):
        message = self.read_head()
        self.requests.append(message)
        if body:
            self._read_body(message, until_close=False)
        return message

    def read_response(self, to="GET"):
        interim = []
        while True:
            message = self.read_head()
            if 100 <= message.status < 200 and message.status != 101:
                interim.append(message)
                continue
            message.interim = interim
            if to != "HEAD" and message.status not in (101, 204, 304):
                self._read_body(message, until_close=True)
            return message

    def ask(self, method="GET", target="/", headers=(), body=None, version="1.1", host="test.example"):
        """Sends one request and reads its response."""
        lines = [f"{method} {target} HTTP/{version}"]
        headers = list(headers.items() if isinstance(headers, dict) else headers)
        if host is not None and not any(name.lower() == "host" for name, _ in headers):
            lines.append(f"Host: {host}")
        lines += [f"{name}: {value}" for name, value in headers]
        if body is not None and not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in headers):
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""))
        return self.read_response(to=method)

    def at_end(self):
        """True once the other side has closed (or reset) and nothing is left to read."""
        if self.buffer:
            return False
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            return True
        self.buffer += data
        return not data

    def quiet(self, seconds=0.2):
        """True when nothing comes for so long: for what must not happen."""
        if self.buffer:
            return False
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            self.buffer += self.socket.recv(65536)
            return False
        except (socket.timeout, ssl.SSLWantReadError):
            return True
        finally:
            self.socket.settimeout(before)

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def abort(self):
        """A reset rather than an orderly end."""
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        except OSError:
            pass
        self.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def connect(port, source=None, tls=None, server_name="test.example", timeout=PATIENCE, host="127.0.0.1"):
    """A client's connection; `source` is the loopback address to come from, `tls` an ssl.SSLContext."""
    connection = socket.socket(socket.AF_INET)
    connection.settimeout(timeout)
    try:
        if source:
            connection.bind((source, 0))
        connection.connect((host, port))
        if tls:
            connection = tls.wrap_socket(connection, server_hostname=server_name)
    except OSError:
        connection.close()
        raise
    return Conversation(connection, timeout)


def ask(port, method="GET", target="/", headers=(), body=None, source=None, **more):
    """One request on a connection of its own."""
    with connect(port, source=source) as client:
        return client.ask(method, target, headers=headers, body=body, **more)
