# SPDX-License-Identifier: MIT
"""What tests of HTTP/2 stand on: a proxy that speaks it in the clear, and origins that wait to be told."""

import threading

from harness import PATIENCE, Case, config
from http2_client import Client

CLEAR = [{"address": "127.0.0.1:0", "http2": True}]


def http2(*servers, **more):
    more.setdefault("listeners", CLEAR)
    return config(*servers, **more)


class Http2(Case):
    def client(self, proxy, *args, **more):
        return self.keep(Client(proxy.port, *args, **more))

    def held(self, answer=b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone", body=True):
        """An origin that answers when it is told to."""
        origin = self.raw_origin(lambda conversation, _: self._play(origin, conversation, answer, body))
        origin.go = threading.Event()
        return origin

    def _play(self, origin, conversation, answer, body):
        while True:
            conversation.read_request(body)
            origin.go.wait(PATIENCE)
            conversation.send(answer)

    def scripted(self, *parts):
        """An origin that reads a request and says these parts; a callable part is called."""
        def play(conversation, _):
            while True:
                conversation.read_request()
                for part in parts:
                    part(conversation) if callable(part) else conversation.send(part)
        return self.raw_origin(play)
