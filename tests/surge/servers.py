# SPDX-License-Identifier: MIT
"""The proxies that surges are tried at. spillway is told which paths matter, and nothing of the server; the others are
set up by hand by someone who knows how many workers it has, what it can do, and how much of that orders will take:

  fixed     spillway with a limit of what the server has workers and one in sixteen
  nginx     limit_conn lets as many in as the server has workers and one in four; limit_req lets everyone else have what orders
            leave; nothing is tried again, and who leaves keeps the place that is being worked at
  HAProxy   maxconn is what the server has workers and one in sixteen; orders go first in the queue, and everyone else is
            refused while more than one in eight workers' worth wait
"""

import os
import shutil
import subprocess
import tempfile
import textwrap

from harness import NGINX, Nginx, Spillway, accepts, config, eventually, free_port


class SpillwayServer:
    @staticmethod
    def concurrency(world):
        return "adaptive"

    def __init__(self, origin, world, rules, people=0, app=None, **_):
        clients = {"trusted_proxies": ["127.0.0.0/8"]}
        if people:
            clients["max_connections"] = people + 1500
        self.server = Spillway(config(origin, rules=rules, clients=clients, access_log="off", 
                                      app={"concurrency": self.concurrency(world), **(app or {})}))
        self.port = self.server.port

    def view(self):
        try:
            return self.server.api("/api/v1/pools")["pools"][0]["admission"]
        except (OSError, AssertionError, KeyError):
            return None

    def close(self):
        self.server.close()


class FixedServer(SpillwayServer):
    @staticmethod
    def concurrency(world):
        return {"limit": world.workers + 1 + world.workers // 16}


class NginxServer:
    def __init__(self, origin, world, rules, orders=0, **_):
        places = round(world.workers * 1.25) + 1
        rate = max(1, round((0.95 - orders) * world.capacity))
        passed = """proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_next_upstream off;
                    proxy_ignore_client_abort on;"""
        self.server = Nginx(f"""
            limit_conn all {places};
            location / {{ limit_req zone=others burst={max(1, places // 4)} nodelay; {passed} }}
            location /order/ {{ {passed} }}""", workers=2, connections=18000, http=f"""
            upstream app {{ server 127.0.0.1:{origin}; keepalive {places}; }}
            limit_conn_zone $server_port zone=all:1m; limit_conn_log_level info;
            limit_req_zone $server_port zone=others:1m rate={rate}r/s; limit_req_log_level info;""")
        self.port = self.server.port

    def view(self):
        return None

    def close(self):
        self.server.close()


class HaproxyServer:
    def __init__(self, origin, world, rules, **_):
        self.directory = tempfile.mkdtemp(prefix="spillway-haproxy-")
        holder, self.port = free_port()
        holder.close()
        with open(os.path.join(self.directory, "haproxy.cfg"), "w") as out:
            out.write(textwrap.dedent(f"""
            global
              nbthread 2
              maxconn 9000
              no strict-limits
            defaults
              mode http
              timeout client 60s
              timeout server 60s
              timeout connect 5s
              timeout queue 5s
              retries 0
              option abortonclose
            frontend in
              bind 127.0.0.1:{self.port} backlog 4096
              acl order path_beg /order/
              http-request set-priority-class int(-10) if order
              http-request return status 503 content-type text/plain string "busy" hdr Retry-After 5 if !order {{ queue(app) gt {world.workers // 8 + 1} }}
              default_backend app
            backend app
              http-reuse always
              server app 127.0.0.1:{origin} maxconn {world.workers + 1 + world.workers // 16}
            """))
        self.process = subprocess.Popen(["haproxy", "-db", "-f", os.path.join(self.directory, "haproxy.cfg")],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(lambda: accepts(self.port), "HAProxy to listen")

    def view(self):
        return None

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


SERVERS = {"spillway": SpillwayServer, "fixed": FixedServer, "nginx": NginxServer, "haproxy": HaproxyServer}
PROGRAMS = {"nginx": NGINX, "haproxy": "haproxy"}


def installed(name):
    return name not in PROGRAMS or shutil.which(PROGRAMS[name]) is not None


def start(name, *args, **more):
    return SERVERS[name](*args, **more)
