# SPDX-License-Identifier: MIT
"""Servers of HTTP/2 to put behind spillway: `Origin` stands on python3-h2 and keeps the rules; `RawServer` writes
frames by hand; NODE is a server that others wrote."""

import json
import socket
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from harness import Command, RawOrigin, says_something
from http2_client import ACK, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, Raw, frame, plain_block, settings


class Request:
    def __init__(self, connection, number, headers):
        self.connection, self.number, self.headers = connection, number, headers
        self.body, self.trailers, self.ended, self.reset = bytearray(), [], False, None
        self.unsent, self.then = b"", None  # what waits for the other's window, and what ends it

    def get(self, name, default=None):
        return next((value for key, value in self.headers if key == name), default)

    def all(self, name):
        return [value for key, value in self.headers if key == name]

    @property
    def path(self):
        return self.get(":path")

    @property
    def method(self):
        return self.get(":method")

    # an answer, all of it or in parts, from any thread
    def head(self, status=200, headers=(), end=False):
        self.connection.do(lambda h2: h2.send_headers(self.number, [(":status", str(status)), *headers], end_stream=end))

    def data(self, data, end=False):
        self.unsent += data
        if end:
            self.then = lambda h2: h2.end_stream(self.number)
        self.connection.do(self.push)

    def finish(self, trailers=None):
        if trailers:
            self.then = lambda h2: h2.send_headers(self.number, trailers, end_stream=True)
        else:
            self.then = lambda h2: h2.end_stream(self.number)
        self.connection.do(self.push)

    def push(self, h2):
        """Sends of the body what the other side's window allows."""
        while self.unsent:
            size = min(len(self.unsent), h2.local_flow_control_window(self.number), h2.max_outbound_frame_size)
            if size <= 0:
                return
            h2.send_data(self.number, self.unsent[:size])
            self.unsent = self.unsent[size:]
        if self.then:
            then, self.then = self.then, None
            then(h2)

    def refuse(self, code):
        self.connection.do(lambda h2: h2.reset_stream(self.number, code))

    def answer(self, status=200, headers=(), body=b"", trailers=None):
        self.head(status, headers, end=not body and not trailers)
        if body:
            self.data(body, end=not trailers)
        if trailers:
            self.finish(trailers)

    def echo(self):
        self.answer(200, [("content-type", "application/json")], json.dumps({
            "method": self.method, "path": self.path, "headers": self.headers, "body": self.body.decode("latin-1"),
            "trailers": self.trailers}).encode())


class Connection:
    def __init__(self, origin, socket_):
        self.origin, self.socket, self.requests, self.lock = origin, socket_, {}, threading.Lock()
        self.ended, self.acknowledged = False, False
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding="latin-1", validate_outbound_headers=False, normalize_outbound_headers=False))

    def do(self, what):
        with self.lock:
            what(self.h2)
            self.socket.sendall(self.h2.data_to_send())

    def run(self):
        def begin(h2_):
            h2_.initiate_connection()
            if self.origin.settings:
                h2_.update_settings(self.origin.settings)

        self.do(begin)
        while True:
            data = self.socket.recv(65536)
            if not data:
                break
            with self.lock:
                events = self.h2.receive_data(data)
                self.socket.sendall(self.h2.data_to_send())
            for event in events:
                self.hear(event)

    def hear(self, event):
        request = self.requests.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.RequestReceived):
            request = self.requests[event.stream_id] = Request(self, event.stream_id, list(event.headers))
            self.origin.requests.append(request)
            if self.origin.on_head:
                self.origin.on_head(request)
        elif isinstance(event, h2.events.DataReceived):
            request.body += event.data
            if self.origin.eager and event.flow_controlled_length:
                self.do(lambda h2_: h2_.acknowledge_received_data(event.flow_controlled_length, event.stream_id))
        elif isinstance(event, h2.events.TrailersReceived):
            request.trailers = list(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            request.ended = True
            if self.origin.answer:
                self.origin.answer(request)
        elif isinstance(event, h2.events.StreamReset) and request:
            request.reset = event.error_code
        elif isinstance(event, h2.events.SettingsAcknowledged):
            self.acknowledged = True
        elif isinstance(event, (h2.events.WindowUpdated, h2.events.RemoteSettingsChanged)):
            for each in list(self.requests.values()):
                if each.unsent and each.reset is None:
                    self.do(each.push)


class Origin:
    """`answer(request)` is called at a request's end, and echoes unless told otherwise; `on_head(request)` at its head.
    `eager`: gives room for more as soon as data has come. `tls`: a context, to speak over TLS."""

    def __init__(self, answer=Request.echo, on_head=None, settings=None, eager=True, tls=None, port=0):
        self.tls = tls
        self.answer, self.on_head, self.settings, self.eager = answer, on_head, settings, eager
        self.requests, self.connections, self._closed = [], [], False
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", port))
        self._listener.listen(128)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._run, args=(Connection(self, accepted),), daemon=True).start()

    def _run(self, connection):
        try:
            if not says_something(connection.socket):
                return
            self.connections.append(connection)
            if self.tls:
                connection.socket = self.tls.wrap_socket(connection.socket, server_side=True)
            connection.run()
        except (OSError, h2.exceptions.ProtocolError) as error:
            connection.error = error
        finally:
            connection.ended = True
            connection.socket.close()

    def close(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        for connection in list(self.connections):
            try:
                connection.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class RawServer(Raw):
    """A server's side of one connection, frame by frame. `greet`: sends SETTINGS and acknowledges the other's."""

    def __init__(self, conversation, greet=True, first=()):
        super().__init__(None, connected=conversation.socket)
        self.buffer = conversation.buffer
        while len(self.buffer) < len(PREFACE):
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            self.buffer += data
        assert self.buffer.startswith(PREFACE), self.buffer
        self.buffer = self.buffer[len(PREFACE):]
        if greet:
            self.send(frame(SETTINGS, payload=settings(*first)) + frame(SETTINGS, ACK))

    def request(self):
        """The next request's head."""
        while True:
            got = self.read()
            if got is None:
                raise EOFError
            if got.kind == HEADERS:
                return got

    def answer(self, stream, fields=((":status", "200"),), flags=END_HEADERS | END_STREAM):
        return self.send(frame(HEADERS, flags, stream, plain_block(fields)))


def raw_server(play):
    """play(server, number) for each connection."""
    return RawOrigin(lambda conversation, number: play(RawServer(conversation), number))


NODE = r"""
const http2 = require('http2');
const server = http2.createServer();
server.on('stream', (stream, headers) => {
  stream.on('error', () => {});
  const url = new URL(headers[':path'], 'http://x');
  if (url.pathname == '/echo') {
    stream.respond({':status': 200, 'content-type': 'application/octet-stream'});
    stream.pipe(stream);
  } else if (url.pathname == '/size') {
    let left = Number(url.searchParams.get('n'));
    const piece = Buffer.alloc(65536, 'x');
    stream.respond({':status': 200, 'content-length': left});
    const go = () => {
      while (left > 0) {
        const part = left < piece.length ? piece.subarray(0, left) : piece;
        left -= part.length;
        if (!stream.write(part)) return stream.once('drain', go);
      }
      stream.end();
    };
    go();
  } else if (url.pathname == '/count') {
    let size = 0;
    stream.on('data', (data) => { size += data.length; });
    stream.on('end', () => { stream.respond({':status': 200}); stream.end(String(size)); });
  } else {
    const interim = {':status': 103, 'link': '</a.css>; rel=preload'};
    if (url.pathname == '/early') stream.additionalHeaders(interim);
    stream.respond({':status': 200, 'x-seen': headers[':method'] + ' ' + headers[':authority']}, {waitForTrailers: true});
    stream.on('wantTrailers', () => stream.sendTrailers({'x-sum': '7'}));
    stream.end('hello');
  }
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
"""


def node():
    return Command("node", "-e", NODE)
