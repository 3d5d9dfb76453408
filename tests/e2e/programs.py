# SPDX-License-Identifier: MIT
"""Other people's programs that tests run: servers, and what makes load."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from conversation import connect
from waiting import NGINX, PATIENCE, Lines, free_port


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


def accepts(port):
    try:
        connect(port, timeout=2).close()
        return True
    except OSError:
        return False
