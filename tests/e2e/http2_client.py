# SPDX-License-Identifier: MIT
"""Two clients of HTTP/2: `Client` stands on python3-h2, which judges what it is sent as another implementation
would; `Raw` writes frames by hand and keeps no rule that it is not told to keep."""

import json
import socket
import ssl
import struct
import time

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
from hpack import Decoder, Encoder
from hpack.hpack import encode_integer
from harness import PATIENCE

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, HAS_PRIORITY = 1, 1, 4, 8, 32

(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM,
 CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM) = range(12)


def client_context(*protocols):
    """TLS without looking at the certificate, offering these by ALPN."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(list(protocols or ("h2", "http/1.1")))
    return context


def open_socket(port, tls=None, source=None, receive_buffer=None):
    connection = socket.socket()
    connection.settimeout(PATIENCE)
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if source:
        connection.bind((source, 0))
    try:
        connection.connect(("127.0.0.1", port))
    except OSError:
        connection.close()
        raise
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls:
        connection = tls.wrap_socket(connection, server_hostname="test.example")
    return connection


class Stream:
    def __init__(self, number):
        self.number = number
        self.status, self.headers, self.trailers, self.interim, self.body = None, [], [], [], bytearray()
        self.ended, self.reset = False, None

    def get(self, name, default=None):
        return next((value for key, value in self.headers if key == name), default)

    def all(self, name):
        return [value for key, value in self.headers if key == name]

    def json(self):
        return json.loads(self.body)

    @property
    def over(self):
        return self.ended or self.reset is not None

    def __repr__(self):
        return f"<stream {self.number}: {self.status} {self.headers} {len(self.body)} bytes, ended {self.ended}, reset {self.reset}>"


class Client:
    """A connection that keeps the rules. Everything waits in the caller's thread; nothing is read in between.
    `eager`: gives room for more as soon as data has come."""

    def __init__(self, port, tls=None, eager=True, settings=None, **more):
        self.socket = open_socket(port, tls, **more)
        self.eager = eager
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="latin-1", validate_outbound_headers=False, normalize_outbound_headers=False))
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings(settings)
        self.streams, self.ended, self.pings, self.came = {}, False, 0, b""
        self.goaways = []  # (error, last stream)
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.socket.sendall(data)

    # ask
    def start(self, method="GET", path="/", headers=(), end=True, authority="test.example", scheme="http", protocol=None):
        """Sends a head; the stream."""
        number = self.h2.get_next_available_stream_id()
        fields = [(":method", method), (":scheme", scheme)] + ([(":path", path)] if path is not None else [])
        fields += [(":authority", authority)] if authority is not None else []
        fields += [(":protocol", protocol)] if protocol else []
        fields += list(headers.items() if isinstance(headers, dict) else headers)
        self.h2.send_headers(number, fields, end_stream=end)
        self.flush()
        self.streams[number] = Stream(number)
        return self.streams[number]

    def send(self, stream, data, end=False):
        """Sends a part of a body, as the windows allow."""
        data = memoryview(data)
        while True:
            size = min(len(data), self.h2.local_flow_control_window(stream.number), self.h2.max_outbound_frame_size)
            if size == 0 and len(data) > 0:
                if stream.over:
                    return
                self.receive()
                continue
            self.h2.send_data(stream.number, bytes(data[:size]), end_stream=end and size == len(data))
            self.flush()
            data = data[size:]
            if len(data) == 0:
                return

    def finish(self, stream, trailers=None):
        if trailers:
            self.h2.send_headers(stream.number, trailers, end_stream=True)
        else:
            self.h2.end_stream(stream.number)
        self.flush()

    def ask(self, method="GET", path="/", headers=(), body=None, trailers=None, **more):
        """One request and its answer."""
        stream = self.start(method, path, headers, end=body is None and trailers is None, **more)
        if body is not None:
            self.send(stream, body, end=trailers is None)
        if trailers is not None:
            self.finish(stream, trailers)
        return self.wait(stream)

    def reset(self, stream, code=CANCEL):
        self.h2.reset_stream(stream.number, code)
        self.flush()

    def grant(self, stream, size):
        """Room for so much more, on the stream and the connection."""
        self.h2.increment_flow_control_window(size, stream.number)
        self.h2.increment_flow_control_window(size)
        self.flush()

    # hear
    def receive(self):
        """What comes next; False at the end."""
        try:
            data = self.socket.recv(65536)
        except (ConnectionError, ssl.SSLError):
            data = b""
        if not data:
            self.ended = True
            return False
        for event in self.h2.receive_data(self._without_goaway(data)):
            self._hear(event)
        try:
            self.flush()
        except OSError:
            pass
        return True

    def _without_goaway(self, data):
        """Whole frames of what came. python3-h2 takes GOAWAY for the end, though streams go on after it."""
        self.came += data
        whole = b""
        while len(self.came) >= 9 and len(self.came) >= (size := 9 + int.from_bytes(self.came[:3], "big")):
            if self.came[3] == GOAWAY:
                last, code = struct.unpack(">II", self.came[9:17])
                self.goaways.append((code, last))
            else:
                whole += self.came[:size]
            self.came = self.came[size:]
        return whole

    def _hear(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.PingAckReceived):
            self.pings += 1
        elif stream is None:
            return
        elif isinstance(event, h2.events.InformationalResponseReceived):
            stream.interim.append(list(event.headers))
        elif isinstance(event, h2.events.ResponseReceived):
            stream.headers = list(event.headers)
            stream.status = int(stream.get(":status"))
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data
            if self.eager and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            stream.trailers = list(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset):
            stream.reset = event.error_code

    def until(self, condition, what):
        """Receives until condition() is true."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert not self.ended, f"the connection ended ({self.goaways}) while waiting for {what}"
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            self.receive()

    def wait(self, stream):
        self.until(lambda: stream.over, stream)
        return stream

    def read_to_end(self):
        deadline = time.monotonic() + PATIENCE
        while self.receive():
            assert time.monotonic() < deadline, "the connection does not end"


class Frame:
    def __init__(self, kind, flags, stream, payload):
        self.kind, self.flags, self.stream, self.payload = kind, flags, stream, payload

    @property
    def code(self):
        """The error of RST_STREAM and GOAWAY."""
        return struct.unpack(">I", self.payload[4:8] if self.kind == GOAWAY else self.payload[:4])[0]

    @property
    def last_stream(self):
        return struct.unpack(">I", self.payload[:4])[0]

    def __repr__(self):
        names = "DATA HEADERS PRIORITY RST_STREAM SETTINGS PUSH_PROMISE PING GOAWAY WINDOW_UPDATE CONTINUATION".split()
        name = names[self.kind] if self.kind < len(names) else f"type {self.kind}"
        return f"<{name} {self.flags:#x} of {self.stream}: {self.payload[:40]!r}>"


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    """A frame's bytes; `length` may lie."""
    return struct.pack(">I", len(payload) if length is None else length)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(*pairs):
    return b"".join(struct.pack(">HI", key, value) for key, value in pairs)


def request_fields(method="GET", path="/", *more, scheme="http", authority="test.example"):
    return [(":method", method), (":scheme", scheme), (":path", path), (":authority", authority), *more]


def plain_block(fields):
    """HPACK without a dynamic table: literals, never indexed. Blocks of it can come in any order and number."""
    block = b""
    for field in fields:
        block += b"\x10"
        for text in field:
            raw = text if isinstance(text, bytes) else text.encode("latin-1")
            block += bytes(encode_integer(len(raw), 7)) + raw
    return block


class Raw:
    """Frames by hand. `greet`: sends the preface and empty SETTINGS, and acknowledges the server's.
    `connected`: a socket to use as it is."""

    def __init__(self, port, tls=None, greet=True, first=(), connected=None, **more):
        self.socket = connected or open_socket(port, tls, **more)
        self.buffer = b""
        self.decoder, self.encoder = Decoder(), Encoder()
        self.decoder.max_header_list_size = 1 << 24
        self.frames = []
        if greet and not connected:
            self.send(PREFACE + frame(SETTINGS, payload=settings(*first)) + frame(SETTINGS, ACK))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        """False when the other side has gone."""
        try:
            self.socket.sendall(data)
            return True
        except (ConnectionError, ssl.SSLError):
            return False

    def head(self, stream, fields=None, flags=END_HEADERS | END_STREAM):
        self.send(frame(HEADERS, flags, stream, plain_block(fields or request_fields())))

    def read(self):
        """The next frame; None at the end."""
        while True:
            if len(self.buffer) >= 9:
                size = struct.unpack(">I", b"\0" + self.buffer[:3])[0]
                if len(self.buffer) >= 9 + size:
                    kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
                    got = Frame(kind, flags, stream, self.buffer[9:9 + size])
                    self.buffer = self.buffer[9 + size:]
                    self.frames.append(got)
                    if kind == HEADERS:
                        got.fields = self.decoder.decode(got.payload)
                    return got
            try:
                data = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLError):
                data = b""
            except OSError:
                if self.socket.fileno() >= 0:
                    raise
                data = b""  # closed by us while another thread read
            if not data:
                return None
            self.buffer += data

    def wait(self, condition, what):
        """The first frame that will do, among those that have not been read."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            got = self.read()
            assert got is not None, f"the connection ended while waiting for {what}; it said {self.frames}"
            if condition(got):
                return got
        raise AssertionError(f"waited in vain for {what}; there was {self.frames}")

    def wait_reset(self, stream):
        return self.wait(lambda got: got.kind == RST_STREAM and got.stream == stream, f"RST_STREAM of {stream}").code

    def wait_goaway(self):
        """The error; the connection must end after it."""
        code = self.wait(lambda got: got.kind == GOAWAY and got.code != NO_ERROR, "GOAWAY").code
        self.read_to_end()
        return code

    def wait_status(self, stream):
        got = self.wait(lambda got: got.kind == HEADERS and got.stream == stream, f"an answer on {stream}")
        return int(dict(got.fields)[":status"])

    def wait_ping(self, payload=b"12345678"):
        """All that was sent before has been seen when it is answered."""
        self.send(frame(PING, 0, 0, payload))
        self.wait(lambda got: got.kind == PING and got.flags == ACK and got.payload == payload, "the PING's answer")

    def read_to_end(self):
        deadline = time.monotonic() + PATIENCE
        while self.read() is not None:
            assert time.monotonic() < deadline, "the connection does not end"
        return self.frames

    def resets(self):
        return {got.stream: got.code for got in self.frames if got.kind == RST_STREAM}

    def goaways(self):
        return [got.code for got in self.frames if got.kind == GOAWAY]
