# SPDX-License-Identifier: MIT
"""Descriptors run short. Who looks on is answered, what is refused is refused at once, and nothing spins; servers are not blamed."""

import os
import resource
import socket
import threading
import time

from harness import SLOWNESS, Case, ask, config, connect, eventually, main
from http2_client import Client as Http2Client


def stream_events(conversation, _):
    conversation.read_request()
    conversation.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hi\n\n")
    conversation.read_to_end()


def await_heads(streams):
    """The statuses of these (client, stream)."""
    for client, stream in streams:
        while stream.status is None:
            assert client.receive(), f"{client.goaways}"
    return [stream.status for _, stream in streams]


def control_cpu(proxy):
    """Seconds of CPU that the control thread has used."""
    with open(f"/proc/{proxy.pid}/task/{proxy.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Short:
    """While it lasts the process can open nothing."""

    def __init__(self, proxy):
        self.pid = proxy.pid

    def __enter__(self):
        _, self.hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        # What is open just now may be closed again, and leave a number that is free.
        eventually(lambda: self._lower() == self._lower(), "the descriptors to be all that there are", every=0.05)

    def _lower(self):
        taken = {int(name) for name in os.listdir(f"/proc/{self.pid}/fd")}
        free = next(number for number in range(len(taken) + 1) if number not in taken)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (free, self.hard))
        threading.Event().wait(0.02)
        return free

    def __exit__(self, *_):
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (self.hard, self.hard))


class Streams(Case):
    def test_streams_of_few_clients_leave_descriptors_for_the_others(self):
        """100 streams each, and each needs a connection of its own to the server."""
        server = self.raw_origin(stream_events)
        proxy = self.spillway(config(server, listeners=[{"address": "127.0.0.1:0", "http2": True}], app={"concurrency": "off"}),
                              prefix=("prlimit", "--nofile=256:256"))
        before = proxy.descriptors()
        clients = [self.keep(Http2Client(proxy.port)) for _ in range(4)]
        statuses = await_heads([(client, client.start()) for client in clients for _ in range(100)])
        self.assertEqual((statuses.count(200), statuses.count(503)), (96, 304))

        began, used = time.monotonic(), control_cpu(proxy)
        for _ in range(10):
            self.assertEqual(proxy.admin("GET", "/readyz")[0], 200)
        self.assertLess(time.monotonic() - began, 1 * SLOWNESS)
        others = [self.connect(proxy.port) for _ in range(40)]
        for other in others:
            refused = other.ask()
            self.assertEqual((refused.status, refused.get("retry-after") in ("1", "2")), (503, True), refused)
        proxy.must_reload()
        self.assertLess(control_cpu(proxy) - used, 0.5 * SLOWNESS)
        self.assertEqual(proxy.metric("spillway_accept_pauses_total"), 0)
        self.assertEqual(proxy.metric("spillway_endpoint_errors_total"), 0)

        for client in [*clients, *others]:
            client.close()
        eventually(lambda: proxy.descriptors() <= before + 4, "descriptors to be given back")
        with Http2Client(proxy.port) as client:
            self.assertEqual(await_heads([(client, client.start())]), [200])

    def test_what_is_not_for_clients_is_for_servers(self):
        server = self.raw_origin(stream_events)
        proxy = self.spillway(config(server, listeners=[{"address": "127.0.0.1:0", "http2": True}], app={"concurrency": "off"},
                                     clients={"max_connections": 10}), prefix=("prlimit", "--nofile=160:160"))
        with Http2Client(proxy.port) as client:
            statuses = await_heads([(client, client.start()) for _ in range(100)])
        self.assertEqual((statuses.count(200), statuses.count(503)), (86, 14))


class Nothing(Case):
    def test_the_admin_side_answers_one_at_a_time_and_does_not_spin(self):
        server = self.origin()
        directory = self.directory()
        proxy = self.spillway(config(server, workers=1, takeover_socket=f"{directory}/takeover"))
        self.assertEqual(proxy.admin("GET", "/readyz")[0], 200)
        with Short(proxy):
            began = time.monotonic()
            self.assertEqual(proxy.admin("GET", "/readyz")[0], 200)
            self.assertLess(time.monotonic() - began, 1 * SLOWNESS)
            # They wait: for the admin side, and for the listeners.
            first, second, heir = (self.keep(socket.socket()), self.keep(socket.socket()), self.keep(socket.socket(socket.AF_UNIX)))
            for client in (first, second):
                client.connect(("127.0.0.1", proxy.admin_port))
            heir.connect(f"{directory}/takeover")
            proxy.log.wait("admin: cannot accept: Too many open files")
            used = proxy.cpu_seconds()
            threading.Event().wait(1)
            self.assertLess(proxy.cpu_seconds() - used, 0.2 * SLOWNESS)
        for client in (first, second):
            client.settimeout(5 * SLOWNESS)
            client.sendall(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            self.assertTrue(client.recv(100).startswith(b"HTTP/1.1 200 "))
        self.assertEqual(ask(proxy.port).status, 200)

    def test_no_server_is_unwell_for_our_want_of_descriptors(self):
        server = self.origin()
        proxy = self.spillway(config(server, workers=1, app={
            "health_check": {"path": "/well", "interval": "100ms", "fall": 1, "rise": 1}}))
        eventually(lambda: server.requests, "the first check")
        with connect(proxy.port) as client:
            self.assertEqual(client.ask().status, 200)
            with Short(proxy):
                checks = len(server.requests)
                threading.Event().wait(0.5)  # some intervals
                self.assertLessEqual(len(server.requests), checks + 1)
                self.assertEqual(client.ask().status, 200)  # over a kept connection
            checks = len(server.requests)
            eventually(lambda: len(server.requests) > checks, "checks to go on")
        self.assertEqual([line for line in proxy.log.all() if "unhealthy" in line], [])


if __name__ == "__main__":
    main()
