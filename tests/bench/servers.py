# SPDX-License-Identifier: MIT
"""The origin, and the proxies before it, each as well set up as it can be and doing the same: connections to the origin
are kept, nothing is logged, X-Forwarded-For, X-Forwarded-Proto and a request id are sent along, one worker is pinned to
one CPU. With TLS all have the same certificate, and their own tickets and nothing else for resumption.

A setup says what a proxy does besides:

  plain           nothing
  tls             it speaks TLS, and HTTP/2 to those who want it
  patterns-500    user agents that meet one of 500 patterns get 403, and each client address has a limit, which none reaches
  patterns-5000   the same with 5,000 patterns
  over-limit      each client address has a limit, which all requests but the first are over: 429
  one-address     each client address has a limit, with room for two million of them, and none reaches it
  addresses       the same; what a client has asked counts for an hour; /fill answers without the origin
"""

import os
import shutil
import subprocess
import tempfile
import textwrap

import agents
from harness import NGINX, PATIENCE, Nginx, Spillway, accepts, config, connect, eventually, free_port

PROXY, LOAD = "0", "1"  # the CPUs: the proxy has one for itself, load and origin share the other
CONNECTIONS = 12_000    # more than any row opens
KEPT = 256              # idle connections to the origin, more than any row needs

SIZES = {"/": 1024, "/100k": 100 * 1024, "/10m": 10 * 1024 * 1024}


def pinned(cpu):
    return ("taskset", "-c", cpu)


class Site:
    """What the proxies stand before, and what they share: the origin, a certificate, a directory."""

    def __init__(self, programs):
        self.programs = programs
        self.directory = tempfile.mkdtemp(prefix="spillway-bench-")
        os.chmod(self.directory, 0o755)
        for path, size in SIZES.items():
            if path != "/":
                with open(self.directory + path, "wb") as out:
                    out.write(os.urandom(size))
        self.certificate, self.key = os.path.join(self.directory, "site.crt"), os.path.join(self.directory, "site.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-keyout", self.key, "-out", self.certificate, "-subj", "/CN=bench.example",
                        "-addext", "subjectAltName=DNS:bench.example,DNS:localhost"], check=True, capture_output=True)
        with open(self.path("both.pem"), "w") as out:
            for part in (self.certificate, self.key):
                with open(part) as file:
                    out.write(file.read())
        # An upload is read to its end before it is answered: nginx does that only for another server, which is itself.
        self.origin = Nginx(f"""
            location = / {{ return 200 "{'x' * (SIZES['/'] - 1)}\\n"; }}
            location = /upload {{ proxy_pass http://self/; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Content-Length '';
              proxy_pass_request_body off; client_body_buffer_size 2m; proxy_method GET; }}
            """, root=self.directory, prefix=pinned(LOAD),
            http="sendfile on; tcp_nopush on; open_file_cache max=10; upstream self { server unix:%s; keepalive 64; } "
                 "server { listen unix:%s; return 200 'taken\\n'; }" % ((self.path("self.sock"),) * 2))

    def path(self, name):
        return os.path.join(self.directory, name)

    def close(self):
        self.origin.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class SpillwayServer:
    name = "spillway"

    def __init__(self, site, setup):
        more = {"workers": 1, "access_log": "off", "clients": {"max_requests": 1_000_000_000, "timeouts": {"idle": "1h"}},
                "app": {"keep_alive": {"connections": KEPT}}}
        if setup == "tls":
            more["listeners"] = [{"address": "127.0.0.1:0", "tls": {"certificate": site.certificate, "key": site.key}}]
        if setup in ("patterns-500", "patterns-5000", "one-address", "addresses"):
            more["clients"]["trusted_proxies"] = ["127.0.0.0/8"]
        clients = {"name": "clients", "action": {"limit": "per-client"}}
        if setup.startswith("patterns"):
            texts, expressions = agents.patterns(int(setup.split("-")[1]))
            more.update(lists={"texts": texts, "expressions": [f"(?i){each}" for each in expressions]},
                        limits={"per-client": {"key": "client.address", "rate": "1000000/s", "burst": 1000000}},
                        rules=[{"name": "bots", "match": {"any": [{"user_agent": {"contains": "$texts"}}, {"user_agent": {"regex": "$expressions"}}]},
                                "action": "deny"}, clients])
        if setup == "over-limit":
            more.update(limits={"per-client": {"key": "client.address", "rate": "1/h", "burst": 1}}, rules=[clients])
        if setup in ("one-address", "addresses"):
            # What one of a million has asked is not forgotten during the run; the one of all requests is not to be refused.
            rate = {"rate": "1/h", "burst": 8000} if setup == "addresses" else {"rate": "1000000/s", "burst": 1_000_000}
            more.update(limits={"per-client": {"key": "client.address", "keys": 2_097_152, **rate}},
                        rules=[clients, {"name": "fill", "match": {"path": "/fill"}, "action": {"respond": {"status": 200, "body": "ok"}}}])
        self.server = Spillway(config(site.origin.port, **more), prefix=pinned(PROXY))
        self.port, self.pid = self.server.port, self.server.pid

    def close(self):
        self.server.close()

    @staticmethod
    def version():
        from harness import BINARY
        return first_line(BINARY, "--version")


class NginxServer:
    name = "nginx"

    def __init__(self, site, setup):
        http = f"""
            upstream app {{ server 127.0.0.1:{site.origin.port}; keepalive {KEPT}; keepalive_requests 1000000000; }}
            sendfile on; tcp_nopush on; keepalive_timeout 1h; reset_timedout_connection on;
            proxy_buffers 8 32k; proxy_buffer_size 8k; proxy_busy_buffers_size 64k; proxy_max_temp_file_size 0; proxy_request_buffering off;"""
        location = "proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $host; " \
                   "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme; " \
                   "proxy_set_header X-Request-Id $request_id;"
        server, listen = "", ""
        if setup == "tls":
            listen = "ssl http2"
            server = f"ssl_certificate {site.certificate}; ssl_certificate_key {site.key}; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache off;"
        if setup.startswith("patterns"):
            entries = "".join(f'"~*{expression}" 1;' for expression in agents.grouped(int(setup.split("-")[1])))
            http += f"""
                map $http_user_agent $bot {{ default 0; {entries} }}
                limit_req_zone $binary_remote_addr zone=clients:32m rate=1000000r/s;
                set_real_ip_from 127.0.0.0/8; real_ip_header X-Forwarded-For;"""
            location = f"if ($bot) {{ return 403; }} limit_req zone=clients burst=1000000 nodelay; {location}"
        if setup == "over-limit":
            http += "limit_req_zone $binary_remote_addr zone=clients:1m rate=1r/m; limit_req_log_level info;"
            location = f"limit_req zone=clients nodelay; limit_req_status 429; {location}"
        self.server = Nginx(f"{server} location / {{ {location} }}", http=http, main="pcre_jit on;", prefix=pinned(PROXY), listen=listen,
                            connections=CONNECTIONS)
        self.port, self.pid = self.server.port, self.server.process.pid

    def close(self):
        self.server.close()

    @staticmethod
    def version():
        return first_line(NGINX, "-v")


class HaproxyServer:
    name = "HAProxy"

    def __init__(self, site, setup):
        self.directory = tempfile.mkdtemp(prefix="spillway-haproxy-")
        holder, self.port = free_port()
        holder.close()
        bind, checks = f"bind 127.0.0.1:{self.port} backlog 4096", ""
        if setup == "tls":
            bind += f" ssl crt {site.path('both.pem')} alpn h2,http/1.1"
        if setup.startswith("patterns"):
            with open(os.path.join(self.directory, "patterns"), "w") as out:  # in place of -m sub for the texts, which costs more
                out.write("\n".join(agents.grouped(int(setup.split("-")[1]))) + "\n")
            checks = f"""
              stick-table type ip size 1m expire 60s store http_req_rate(10s)
              acl bot req.hdr(user-agent) -m reg -i -f {self.directory}/patterns
              http-request deny deny_status 403 if bot
              http-request track-sc0 req.hdr_ip(x-forwarded-for)
              http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 10000000 }}"""
        if setup == "over-limit":
            checks = """
              stick-table type ip size 1m expire 60m store http_req_rate(60m)
              http-request track-sc0 src
              http-request deny deny_status 429 if { sc_http_req_rate(0) gt 1 }"""
        with open(os.path.join(self.directory, "haproxy.cfg"), "w") as out:
            out.write(textwrap.dedent(f"""
            global
              nbthread 1
              maxconn {CONNECTIONS}
              no strict-limits
              tune.ssl.cachesize 0
              ssl-default-bind-options ssl-min-ver TLSv1.2
            defaults
              mode http
              timeout client 1h
              timeout server 60s
              timeout connect 5s
              timeout http-keep-alive 1h
              option forwardfor
              option splice-auto
            frontend in
              {bind}
              unique-id-format %{{+X}}o%ci%cp%Ts%rt%pid
              unique-id-header X-Request-Id
              http-request set-header X-Forwarded-Proto {'https' if setup == 'tls' else 'http'}{checks}
              default_backend app
            backend app
              http-reuse always
              server app 127.0.0.1:{site.origin.port} pool-max-conn {KEPT}
            """))
        self.process = subprocess.Popen([*pinned(PROXY), "haproxy", "-db", "-f", os.path.join(self.directory, "haproxy.cfg")],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pid = self.process.pid

    def close(self):
        end(self.process)
        shutil.rmtree(self.directory, ignore_errors=True)

    @staticmethod
    def version():
        return first_line("haproxy", "-v")


class NghttpxServer:
    name = "nghttpx"

    def __init__(self, site, setup):
        holder, self.port = free_port()
        holder.close()
        self.process = subprocess.Popen([
            *pinned(PROXY), "nghttpx", "--conf=/dev/null", "--workers=1", f"--frontend=127.0.0.1,{self.port}", f"--backend=127.0.0.1,{site.origin.port}",
            "--add-x-forwarded-for", "--no-ocsp", "--errorlog-file=/dev/null", f"--backend-connections-per-host={KEPT}",
            site.key, site.certificate], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pid = self.process.pid

    def close(self):
        end(self.process, gently=True)  # its first process ends the other one

    @staticmethod
    def version():
        return first_line("nghttpx", "--version")


class RelayServer:
    """tests/bench/relay.cc: no proxy, but the floor."""

    name = "relay"

    def __init__(self, site, setup):
        self.process = subprocess.Popen([*pinned(PROXY), os.path.join(site.programs, "bench_relay"), str(site.origin.port)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.port, self.pid = int(self.process.stdout.readline()), self.process.pid

    def close(self):
        end(self.process)
        self.process.stdout.close()

    @staticmethod
    def version():
        return "epoll relay (tests/bench/relay.cc)"


SERVERS = {server.name: server for server in (SpillwayServer, NginxServer, HaproxyServer, NghttpxServer, RelayServer)}
PROGRAMS = {"nginx": NGINX, "HAProxy": "haproxy", "nghttpx": "nghttpx"}  # of others: who lacks one does without


def installed(name):
    return name not in PROGRAMS or shutil.which(PROGRAMS[name]) is not None


def start(name, site, setup):
    """A proxy that answers."""
    server = SERVERS[name](site, setup)
    try:
        eventually(lambda: accepts(server.port), f"{name} ({setup}) to listen")
        if setup != "tls":
            expected = (200, 429) if setup == "over-limit" else (200,)
            for status in expected:  # the first request is within its limit
                eventually(lambda: status_of(server.port) in (status, expected[-1]), f"{name} ({setup}) to answer {status}")
    except AssertionError:
        server.close()
        raise
    return server


def status_of(port):
    try:
        with connect(port, timeout=2) as client:
            return client.ask(headers={"User-Agent": "check", "X-Forwarded-For": "10.255.9.9"}).status
    except (OSError, EOFError):
        return None


def end(process, gently=False):
    (process.terminate if gently else process.kill)()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def first_line(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    return ((done.stdout or done.stderr).splitlines() or [""])[0]
