# SPDX-License-Identifier: MIT
"""Certificates made while a test runs, by openssl: nothing secret is stored, and what is to be expired is."""

import os
import ssl
import subprocess
import threading

from harness import RawOrigin

CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
RSA = ["-newkey", "rsa:2048", "-nodes"]


def openssl(*args, **more):
    return subprocess.run(["openssl", *args], check=True, capture_output=True, **more)


class Pair:
    """A certificate (with those that vouch for it) and its key, as files."""

    def __init__(self, directory, name):
        self.certificate = os.path.join(directory, name + ".crt")
        self.key = os.path.join(directory, name + ".key")

    def files(self):
        return {"certificate": self.certificate, "key": self.key}


class Authority(Pair):
    """Who vouches for others."""

    def __init__(self, directory, name="authority"):
        super().__init__(directory, name)
        self.directory = directory
        openssl("req", "-x509", *CURVE, "-days", "2", "-keyout", self.key, "-out", self.certificate, "-subj", f"/CN={name}",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, name, *alternatives, days=2, subject=None, authority=False, key=None):
        """A certificate for these alternative names ("DNS:a", "IP:127.0.0.1"); `days` of -1: expired."""
        pair = Pair(self.directory, name)
        request, extensions = pair.key + ".csr", pair.key + ".ext"
        openssl("req", "-new", *(key or CURVE), "-keyout", pair.key, "-out", request, "-subj", subject or f"/CN={name}")
        with open(extensions, "w") as out:
            if alternatives:
                out.write("subjectAltName=" + ",".join(alternatives) + "\n")
            out.write("basicConstraints=critical,CA:" + ("TRUE" if authority else "FALSE") + "\n")
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days", str(days),
                "-out", pair.certificate, "-extfile", extensions)
        return pair


def self_signed(directory, name, *alternatives):
    pair = Pair(directory, name)
    openssl("req", "-x509", *CURVE, "-days", "2", "-keyout", pair.key, "-out", pair.certificate, "-subj", f"/CN={name}",
            "-addext", "subjectAltName=" + ",".join(alternatives))
    return pair


def server_context(pair, **more):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    for key, value in more.items():
        setattr(context, key, value)
    return context


class TlsOrigin(RawOrigin):
    """A server over TLS that answers each request with `answer(request)`, a body. `resumed` says for each
    connection whether a session was taken up again, `names` what SNI asked for, `protocols` what ALPN chose."""

    def __init__(self, context, answer=lambda request: b"ok", **more):
        self.context, self.answer = context, answer
        self.resumed, self.names, self.protocols, self.faults, self.peers = [], [], [], [], []
        self.lock = threading.Lock()
        context.sni_callback = lambda _, name, __: self.names.append(name)
        super().__init__(self._play_tls, **more)

    def _play_tls(self, conversation, _):
        try:
            conversation.socket = self.context.wrap_socket(conversation.socket, server_side=True)
        except (ssl.SSLError, OSError) as error:
            self.faults.append(str(error))
            raise
        with self.lock:
            self.resumed.append(conversation.socket.session_reused)
            self.protocols.append(conversation.socket.selected_alpn_protocol())
            self.peers.append(conversation.socket.getpeercert())
        while True:
            request = conversation.read_request()
            body = self.answer(request)
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def openssl_client(port, *args, send="", name="one.example", timeout=30):
    """What `openssl s_client` says of a connection; its input ends after `send`."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name, *args],
                          input=send.encode(), capture_output=True, timeout=timeout)
    return (done.stdout + done.stderr).decode("utf-8", "replace")
