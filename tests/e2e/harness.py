# SPDX-License-Identifier: MIT
"""What every end-to-end test stands on: the real binary, servers to put behind it, and a client that
shows every byte.

Nothing here uses a fixed port or sleeps for luck: servers listen on port 0 and say where, and whoever must
wait, waits for an event (a log line, a condition) with a deadline. Processes are ended by their id.
How to wait and where to listen stands in waiting.py, the client in conversation.py, other people's
programs in programs.py; tests have all of it from here.

The binary is $SPILLWAY_BINARY. Run a file alone with: /usr/bin/python3 tests/e2e/limits_test.py [Class.test]
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from conversation import Conversation, Message, ask, connect
from programs import NGINX, Command, Nginx, Wrk, accepts
from waiting import BINARY, KEPT, PATIENCE, ROOT, SANITIZED, SLOWNESS, Lines, eventually, free_port, listen, says_something

__all__ = ["BINARY", "KEPT", "NGINX", "PATIENCE", "ROOT", "SANITIZED", "SLOWNESS", "Case", "Command", "Conversation", "HttpOrigin",
           "Lines", "Message", "Nginx", "RawOrigin", "Spillway", "Wrk", "accepts", "address", "ask", "config", "connect", "eventually",
           "free_port", "listen", "main", "run", "says_something"]


def config(*servers, **more):
    """A configuration as a dictionary: one pool `app` of these servers, listening on free ports."""
    base = {
        "version": 1,
        "workers": 2,
        "listeners": [{"address": "127.0.0.1:0"}],
        "admin": {"address": "127.0.0.1:0"},
    }
    if servers:
        base["pools"] = {"app": {"servers": [address(server) for server in servers]}}
    for key, value in more.items():
        if key == "app":  # further settings of the pool
            base["pools"]["app"].update(value)
        else:
            base[key] = value
    return base


def address(server):
    if isinstance(server, int):
        return f"127.0.0.1:{server}"
    return f"127.0.0.1:{server.port}" if hasattr(server, "port") else server


class Spillway:
    """A running spillway. `settings` is a dictionary (written as JSON, which is YAML) or the text of a file."""

    def __init__(self, settings=None, files=None, env=None, args=None, directory=None, stdout=None, prefix=(), pass_fds=()):
        self.directory = directory or tempfile.mkdtemp(prefix="spillway-test-")
        self._owns_directory = directory is None
        for name, text in (files or {}).items():
            self.write(name, text)
        command = [*prefix, BINARY, "run"]
        if settings is not None:
            self.configure(settings)
            command += ["-c", self.path("spillway.yaml")]
        command += args or []
        environment = dict(os.environ)
        environment.update(env or {})
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout or subprocess.PIPE,
                                        stderr=subprocess.PIPE, cwd=self.directory, env=environment, pass_fds=pass_fds)
        self.pid = self.process.pid
        self.log = Lines(self.process.stderr)
        self.access = Lines(self.process.stdout) if stdout is None else None
        self._clean = True
        try:
            count = 1
            if isinstance(settings, dict):
                count = len(settings.get("listeners", [0]))
            self.log.wait(r"\blistening on ")
            eventually(lambda: len(self.listening()) >= count, "all listeners")
            if not (isinstance(settings, dict) and settings.get("admin") in ("off", False)):
                self.log.wait(r"\badmin on ")
        except AssertionError as error:
            self.kill()
            log = "\n  ".join(self.log.all())
            raise AssertionError(f"spillway did not start: {error}\n  {log}") from None

    # files
    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, content):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        # As an editor or a mounted volume does it: there is never half a file.
        with open(path + ".new", "wb") as out:
            out.write(content if isinstance(content, bytes) else content.encode())
        os.replace(path + ".new", path)
        return path

    def configure(self, settings):
        self.write("spillway.yaml", settings if isinstance(settings, str) else json.dumps(settings, indent=1))

    # where it is
    def listening(self):
        """Addresses in the order in which they were first told; a reload tells them again."""
        matches = (re.search(r"\blistening on (\S+)", line) for line in self.log.all())
        return list(dict.fromkeys(match.group(1) for match in matches if match))

    @property
    def port(self):
        return self.port_of(0)

    def port_of(self, index):
        return int(self.listening()[index].rsplit(":", 1)[1])

    @property
    def admin_address(self):
        return self.log.wait(r"\badmin on (\S+)").group(1)

    @property
    def admin_port(self):
        return int(self.admin_address.rsplit(":", 1)[1])

    # what it says
    def admin(self, method, path, body=None, headers=None):
        """Asks the admin listener; (status, body as text)."""
        connection = HTTPConnection("127.0.0.1", self.admin_port, timeout=PATIENCE)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def api(self, path):
        status, body = self.admin("GET", path)
        assert status == 200, (path, status, body)
        return json.loads(body)

    def metrics(self):
        """All samples: {'name{label="x"}': value}."""
        status, body = self.admin("GET", "/metrics")
        assert status == 200, (status, body)
        samples = {}
        for line in body.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                samples[name] = float(value)
        return samples

    def metric(self, name, **labels):
        """The sum of all samples of `name` whose labels include these."""
        total, found = 0.0, False
        for key, value in self.metrics().items():
            if key.split("{", 1)[0] == name and all(f'{label}="{text}"' in key for label, text in labels.items()):
                total, found = total + value, True
        assert found, f"no metric {name} {labels}"
        return total

    def records(self):
        """The access log's lines (JSON) so far."""
        return [json.loads(line) for line in self.access.all() if line.startswith("{")]

    def wait_record(self, condition, what="an access log line"):
        return eventually(lambda: next((record for record in self.records() if condition(record)), None), what)

    def ctl(self, *args, check=None, **more):
        done = subprocess.run([BINARY, "ctl", "--admin", self.admin_address, *args], capture_output=True,
                              text=True, timeout=PATIENCE, **more)
        if check is not None:
            assert done.returncode == check, (done.returncode, done.stdout, done.stderr)
        return done

    def reload(self):
        """Reloads by the admin endpoint; (status, text)."""
        return self.admin("POST", "/api/v1/reload")

    def must_reload(self):
        """Reloads, and fails the test with what was said if that is refused."""
        status, text = self.reload()
        if status != 200:
            raise AssertionError(f"the reload was refused with {status}: {text}")

    def rss(self):
        """Resident memory in bytes, now."""
        with open(f"/proc/{self.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1)) * 1024

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    # its end
    def signal(self, number):
        os.kill(self.pid, number)

    def stop(self):
        """Holds it as it is: what comes meanwhile is found all at once by go_on()."""
        def stopped(task):
            with open(f"/proc/{self.pid}/task/{task}/stat") as stat:
                return stat.read().rsplit(")", 1)[1].split()[0] == "T"

        self.signal(signal.SIGSTOP)
        eventually(lambda: all(stopped(task) for task in os.listdir(f"/proc/{self.pid}/task")), "all its threads to stop")

    def go_on(self):
        self.signal(signal.SIGCONT)

    def wait(self, timeout=PATIENCE + 30):
        code = self.process.wait(timeout)
        self.log.close()
        if self.access:
            self.access.close()
        return code

    def kill(self):
        self._clean = False
        if self.process.poll() is None:
            self.process.kill()
        self.wait()

    def close(self):
        """Ends it as an operator would; it must end well, and no sanitizer may have spoken."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("spillway did not end on SIGINT") from None
        log = "\n".join(self.log.all())
        if self._owns_directory and not KEPT:
            shutil.rmtree(self.directory, ignore_errors=True)
        if self._clean:
            for word in ("Sanitizer", "runtime error:", "terminate called", "Assertion"):
                assert word not in log, log
            assert self.process.returncode in (0, -signal.SIGKILL), (self.process.returncode, log[-3000:])


def run(*args, **more):
    """Runs a spillway command to its end."""
    more.setdefault("timeout", PATIENCE)
    return subprocess.run([BINARY, *args], capture_output=True, text=True, **more)


class RawOrigin:
    """Calls play(connection, number) in a thread for each connection that says something; it may send and read any bytes.
    `received` has what came over each connection, as far as Conversation.read took it; `silent` counts the connections
    that ended without a byte, as the first one does that looks whether somebody is here."""

    def __init__(self, play, unix=None, port=None):
        if unix:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(unix)
            self._listener.listen(128)
            self.port = None
        else:
            self._listener = socket.socket()
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(("127.0.0.1", port or 0))
            self._listener.listen(128)
            self.port = self._listener.getsockname()[1]
        self.unix = unix
        self.conversations, self.silent = [], 0
        self._counting = threading.Lock()
        self._play = play
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def connections(self):
        return len(self.conversations)

    @property
    def requests(self):
        return [request for conversation in list(self.conversations) for request in conversation.requests]

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self._closed:
                connection.close()
                return
            threading.Thread(target=self._run, args=(Conversation(connection),), daemon=True).start()

    def _run(self, conversation):
        try:
            says = says_something(conversation.socket)
            with self._counting:
                if not says:
                    self.silent += 1
                    return
                self.conversations.append(conversation)
                number = len(self.conversations) - 1
            self._play(conversation, number)
        except (OSError, EOFError):
            pass
        finally:
            conversation.close()

    def close(self):
        self._closed = True
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        for conversation in list(self.conversations):
            conversation.abort()


class HttpOrigin:
    """A threaded HTTP/1.1 server. `answer(request)` gives (status, headers, body) or None for the echo:
    a JSON document that says what arrived. Every request is kept in `requests`."""

    class Request:
        def __init__(self, method, path, headers, body, peer):
            self.method, self.path, self.headers, self.body, self.peer = method, path, headers, body, peer

        def get(self, name, default=None):
            values = self.all(name)
            return values[0] if values else default

        def all(self, name):
            return [value for key, value in self.headers if key.lower() == name.lower()]

    def __init__(self, answer=None, port=0):
        origin = self
        self.requests = []
        self.answer = answer
        self.sockets = set()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1  # the head and the body in one segment

            def setup(self):
                super().setup()
                origin.sockets.add(self.connection)

            def finish(self):
                try:
                    super().finish()
                finally:
                    origin.sockets.discard(self.connection)

            def handle(self):
                try:
                    super().handle()
                except OSError:
                    pass

            def serve(self):
                if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
                    body = b""
                    while True:
                        size = int(self.rfile.readline().split(b";")[0], 16)
                        body += self.rfile.read(size)
                        self.rfile.readline() if size else None
                        if size == 0:
                            while self.rfile.readline().strip():
                                pass
                            break
                else:
                    body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = HttpOrigin.Request(self.command, self.path, list(self.headers.items()), body,
                                             self.client_address)
                origin.requests.append(request)
                result = origin.answer(request) if origin.answer else None
                if result is None:
                    echo = {"method": self.command, "path": self.path, "headers": request.headers,
                            "body": body.decode("latin-1")}
                    result = (200, {"Content-Type": "application/json"}, json.dumps(echo).encode())
                status, headers, data = result
                if isinstance(data, str):
                    data = data.encode()
                self.send_response(status)
                for name, value in (headers.items() if isinstance(headers, dict) else headers):
                    self.send_header(name, value)
                if status not in (204, 304) and status >= 200:
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD" and status not in (204, 304):
                    self.wfile.write(data)
                self.wfile.flush()

            do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = serve

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 512

            def handle_error(self, request, client_address):
                pass  # a client that leaves is no error here

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self.sockets):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Case(unittest.TestCase):
    """A test that starts things and never has to end them."""

    maxDiff = 4000

    def keep(self, thing):
        self.addCleanup(thing.close)
        return thing

    def spillway(self, *args, **more):
        return self.keep(Spillway(*args, **more))

    def origin(self, answer=None, **more):
        return self.keep(HttpOrigin(answer, **more))

    def raw_origin(self, play, **more):
        return self.keep(RawOrigin(play, **more))

    def nginx(self, directives, **more):
        return self.keep(Nginx(directives, **more))

    def wrk(self, *args, **more):
        return self.keep(Wrk(*args, **more))

    def connect(self, *args, **more):
        return self.keep(connect(*args, **more))

    def directory(self):
        path = tempfile.mkdtemp(prefix="spillway-test-")
        self.addCleanup(shutil.rmtree, path, ignore_errors=True)
        return path

    def assert_no_errors(self, report):
        """No request of a wrk run failed in any way."""
        failed = {key: report[key] for key in ("status", "connect", "read", "write", "timeout") if report[key]}
        self.assertFalse(failed, report)
        self.assertGreater(report["requests"], 0, report)


def main():
    unittest.main(verbosity=2)
