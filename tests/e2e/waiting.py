# SPDX-License-Identifier: MIT
"""How tests wait, and where they listen: for events with a deadline, at ports that the kernel gives."""

import os
import re
import shutil
import socket
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("SPILLWAY_BINARY", os.path.join(ROOT, "build/release/proxy/spillway"))
SANITIZED = os.environ.get("SPILLWAY_SANITIZE", "")  # memory and speed are not measured under a sanitizer
SLOWNESS = 5 if SANITIZED else 1
PATIENCE = 10 * SLOWNESS  # seconds until a test gives up on an event
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
KEPT = bool(os.environ.get("SPILLWAY_KEEP"))  # keep the directories of a run, to look at
# These are for the tests. The binary refuses variables of this kind that it does not know.
for name in [name for name in os.environ if name.startswith("SPILLWAY_")]:
    del os.environ[name]


def eventually(condition, what="a condition", timeout=PATIENCE, every=0.01):
    """Polls until condition() is true and returns its value; fails the test after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain for {what}")
        threading.Event().wait(every)


class Lines:
    """The lines of a pipe, collected by a thread as they come."""

    def __init__(self, pipe):
        self._lines, self._changed, self._ended = [], threading.Condition(), False
        self._pipe = pipe
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in iter(self._pipe.readline, b""):
            with self._changed:
                self._lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def all(self):
        with self._changed:
            return list(self._lines)

    def wait(self, pattern, since=0, timeout=PATIENCE):
        """The first match of `pattern` in a line at or after index `since`."""
        deadline, seen = time.monotonic() + timeout, since
        with self._changed:
            while True:
                while seen < len(self._lines):
                    match = re.search(pattern, self._lines[seen])
                    if match:
                        return match
                    seen += 1
                left = deadline - time.monotonic()
                if left <= 0 or self._ended:
                    tail = "\n  ".join(self._lines[-20:])
                    raise AssertionError(f"no line matches {pattern!r}; the last ones:\n  {tail}")
                self._changed.wait(left)

    def close(self):
        self._thread.join(PATIENCE)
        self._pipe.close()


def listen(host="127.0.0.1", backlog=128):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, 0))
    listener.listen(backlog)
    return listener


def free_port(host="127.0.0.1", shared=False):
    """A port that nobody listens on, and that the kernel won't hand out while the socket is held. Only where it is
    `shared` may a program listen there meanwhile."""
    holder = socket.socket()
    if shared:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((host, 0))
    return holder, holder.getsockname()[1]


def says_something(connection):
    """Waits for the first byte of a connection, and leaves it there; False when it ends without one, as one does that
    only looks whether somebody listens."""
    return bool(connection.recv(1, socket.MSG_PEEK))
