# SPDX-License-Identifier: MIT
"""What every end-to-end test stands on: the real binary, servers to put behind it, and a client that
shows every byte.

Nothing here uses a fixed port or sleeps for luck: servers listen on port 0 and say where, and whoever must
wait, waits for an event (a log line, a condition) with a deadline. Processes are ended by their id.
The binary is $SPILLWAY_BINARY. Run a file alone with: /usr/bin/python3 tests/e2e/limits_test.py [Class.test]
"""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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


# --- spillway itself ----------------------------------------------------------------------------------------


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


# --- servers to put behind it -----------------------------------------------------------------------------------


def listen(host="127.0.0.1", backlog=128):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, 0))
    listener.listen(backlog)
    return listener


def free_port():
    """A port that nobody listens on, and that the kernel won't hand out while the socket is held."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    return holder, holder.getsockname()[1]


class RawOrigin:
    """Calls play(connection, number) in a thread for each connection; it may send and read any bytes.
    `received` has what came over each connection, as far as Conversation.read took it."""

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
        self.conversations = []
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
            conversation = Conversation(connection)
            self.conversations.append(conversation)
            threading.Thread(target=self._run, args=(conversation, len(self.conversations) - 1), daemon=True).start()

    def _run(self, conversation, number):
        try:
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


class Nginx:
    """nginx with one server block of these directives, in the foreground, as whoever runs the tests."""

    def __init__(self, directives, workers=1, root=None, http="", main="", prefix=(), listen="", connections=4096):
        self.directory = tempfile.mkdtemp(prefix="spillway-nginx-")
        os.chmod(self.directory, 0o755)
        self.root = root or os.path.join(self.directory, "html")
        os.makedirs(self.root, exist_ok=True)
        # nginx cannot say which free port it got: reserve one, and try again if someone was faster.
        for _ in range(20):
            holder, self.port = free_port()
            holder.close()
            text = f"""
                daemon off; worker_processes {workers}; pid {self.directory}/pid; error_log {self.directory}/error warn;
                {'user root;' if os.geteuid() == 0 else ''}
                worker_rlimit_nofile {2 * connections}; {main}
                events {{ worker_connections {connections}; }}
                http {{
                  access_log off; keepalive_requests 1000000; default_type text/html; client_max_body_size 0;
                  client_body_temp_path {self.directory}/b; proxy_temp_path {self.directory}/p;
                  fastcgi_temp_path {self.directory}/f; uwsgi_temp_path {self.directory}/u; scgi_temp_path {self.directory}/s;
                  {http}
                  server {{ listen 127.0.0.1:{self.port} reuseport backlog=4096 {listen}; root {self.root};
                    {directives} }}
                }}"""
            with open(os.path.join(self.directory, "nginx.conf"), "w") as out:
                out.write(text)
            self.process = subprocess.Popen([*prefix, NGINX, "-c", os.path.join(self.directory, "nginx.conf"), "-p", self.directory],
                                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            if self._answers():
                return
        raise AssertionError("nginx did not start: " + self.process.stderr.read().decode())

    def _answers(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return True
            except OSError:
                threading.Event().wait(0.02)
        return False

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class Command:
    """Another program as a server; it prints its port as the first line."""

    def __init__(self, *command, **more):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, **more)
        self.lines = Lines(self.process.stdout)
        self.port = int(self.lines.wait(r"(\d+)\s*$").group(1))

    def close(self):
        self.process.kill()
        self.process.wait()
        self.lines.close()


# --- load ---------------------------------------------------------------------------------------------------

WRK_REPORT = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("REPORT {\\"requests\\":%d,\\"seconds\\":%.6f,\\"bytes\\":%d,\\"status\\":%d,\\"connect\\":%d," ..
    "\\"read\\":%d,\\"write\\":%d,\\"timeout\\":%d,\\"p99_ms\\":%.3f}\\n", summary.requests, summary.duration / 1e6,
    summary.bytes, e.status, e.connect, e.read, e.write, e.timeout, latency:percentile(99) / 1e3))
end
"""


class Wrk:
    """wrk in the background. result() waits for its end: requests, status (answers of 400 and above),
    connect, read, write, timeout."""

    def __init__(self, port, seconds, connections=16, threads=1, target="/", script="", prefix=(), headers=(), scheme="http"):
        self.directory = tempfile.mkdtemp(prefix="spillway-wrk-")
        path = os.path.join(self.directory, "wrk.lua")
        with open(path, "w") as out:
            out.write(script + WRK_REPORT)
        command = [*prefix, "wrk", "-t", str(threads), "-c", str(connections), "-d", f"{seconds}s", "--timeout", "10s",
                   "-s", path]
        for header in headers:
            command += ["-H", header]
        self.process = subprocess.Popen([*command, f"{scheme}://127.0.0.1:{port}{target}"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def running(self):
        return self.process.poll() is None

    def result(self):
        out, _ = self.process.communicate(timeout=120)
        shutil.rmtree(self.directory, ignore_errors=True)
        match = re.search(r"REPORT (\{.*\})", out)
        assert match, out
        return json.loads(match.group(1))

    def stop(self):
        """Ends it early; its report still comes."""
        if self.running():
            self.process.send_signal(signal.SIGINT)
        return self.result()

    def close(self):
        if self.running():
            self.process.kill()
        self.process.communicate()
        shutil.rmtree(self.directory, ignore_errors=True)


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
