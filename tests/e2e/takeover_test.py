# SPDX-License-Identifier: MIT
"""A new process goes on where the old one stops: with the same sockets, and not one failed request."""

import json
import os
import signal
import socket
import subprocess
import threading

from harness import BINARY, PATIENCE, Case, ask, config, eventually, main


class Takeover(Case):
    def settings(self, *servers, **more):
        return config(*servers, takeover_socket="takeover.sock", **more)

    def successor(self, proxy, settings=None, **more):
        """Another process with the same file, in the same directory."""
        if settings is not None:
            proxy.configure(settings)
        with open(proxy.path("spillway.yaml")) as file:
            text = file.read()
        return self.spillway(json.loads(text), directory=proxy.directory, **more)

    def heir(self, proxy, **more):
        """A successor that has taken over."""
        heir = self.successor(proxy, **more)
        heir.log.wait(rf"taking over from process {proxy.pid}")
        proxy.log.wait(rf"process {heir.pid} serves now")
        self.assertEqual(heir.listening(), proxy.listening())
        self.assertEqual(heir.admin_port, proxy.admin_port)
        return heir

    def test_the_new_one_serves_and_the_old_one_ends(self):
        server = self.origin()
        proxy = self.spillway(self.settings(server))
        idle = self.connect(proxy.port)
        self.assertEqual(idle.ask().status, 200)
        heir = self.heir(proxy)
        self.assertEqual(proxy.wait(), 0)
        self.assertEqual(idle.read_to_end(), b"")
        self.assertEqual(ask(heir.port).status, 200)
        self.assertEqual(heir.admin("GET", "/readyz")[0], 200)
        self.assertEqual(ask(self.heir(heir).port).status, 200)  # and so on

    def test_no_request_fails_under_load(self):
        server = self.nginx("location / { return 200 ok; }")
        proxy = self.spillway(self.settings(server, access_log="off"))
        kept = self.wrk(proxy.port, 8, connections=8)
        fresh = self.wrk(proxy.port, 8, connections=8, headers=("Connection: close",))
        processes = [proxy]
        for _ in range(3):
            eventually(lambda: processes[-1].metric("spillway_requests_total") > 500, "requests to come")
            processes.append(self.heir(processes[-1]))
        for report in (kept.result(), fresh.result()):
            self.assert_no_errors(report)
        for old in processes[:-1]:
            self.assertEqual(old.wait(), 0)

    def test_a_download_goes_on_in_the_old_process(self):
        size, chunk = 1 << 30, bytes(1 << 20)
        go = threading.Event()

        def play(conversation, _):
            conversation.read_request()
            conversation.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")
            conversation.send(chunk)
            go.wait(PATIENCE)
            for _ in range(size // len(chunk) - 1):
                conversation.send(chunk)

        server = self.raw_origin(play)
        proxy = self.spillway(self.settings(server, shutdown={"timeout": "10m"}))
        client = self.connect(proxy.port)
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        head = client.read_head()
        self.assertEqual(head.status, 200)
        heir = self.heir(proxy)
        self.assertIsNone(proxy.process.poll())
        go.set()
        got = len(client.buffer)
        into = bytearray(1 << 20)
        while got < size:
            more = client.socket.recv_into(into)
            self.assertGreater(more, 0, f"cut after {got} bytes")
            got += more
        client.close()
        self.assertEqual(proxy.wait(), 0)
        self.assertIsNone(heir.process.poll())

    def test_more_and_fewer_workers_take_what_there_is(self):
        server = self.origin()
        proxy = self.spillway(self.settings(server, workers=3))
        for workers in (1, 5, 2):
            proxy = self.heir(proxy, settings=self.settings(server, workers=workers))
            # Every socket of before has somebody who listens: the kernel spreads clients over all of them.
            for _ in range(40):
                self.assertEqual(ask(proxy.port).status, 200)

    def test_a_successor_that_cannot_start_changes_nothing(self):
        server = self.origin()
        proxy = self.spillway(self.settings(server))
        good = self.settings(server)
        for wrong in ({"nonsense": 1}, {"listeners": [{"address": "127.0.0.1:0"}, {"address": "192.0.2.1:9"}]},
                      {"access_log": {"path": "missing/log"}}):
            proxy.configure({**good, **wrong})
            failed = subprocess.run([BINARY, "run", "-c", proxy.path("spillway.yaml")], capture_output=True, timeout=PATIENCE)
            self.assertEqual(failed.returncode, 1, failed.stderr)
            self.assertEqual(ask(proxy.port).status, 200)
            self.assertEqual(proxy.admin("GET", "/readyz")[0], 200)
        self.heir(proxy, settings=good)
        self.assertEqual(proxy.wait(), 0)

    def test_toggles_are_as_they_were(self):
        server = self.origin()
        settings = self.settings(server, toggles={"surge": {"signal": "USR1"}},
                                 rules=[{"name": "closed", "toggle": "surge", "action": "deny"}])
        proxy = self.spillway(settings)
        proxy.signal(signal.SIGUSR1)
        eventually(lambda: ask(proxy.port).status == 403, "the toggle")
        heir = self.heir(proxy)
        self.assertEqual(ask(heir.port).status, 403)
        self.assertEqual(proxy.wait(), 0)

    def test_unix_sockets_pass_too_and_their_paths_stay(self):
        server = self.origin()
        directory = self.directory()
        admin = {"address": f"unix:{directory}/admin.sock"}
        settings = self.settings(server, listeners=[{"address": f"unix:{directory}/site.sock"}], admin=admin)
        proxy = self.spillway(settings, directory=directory)

        def answers(proxy, name):
            result = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", proxy.path(name),
                                     "http://localhost/" if name == "site.sock" else "http://localhost/readyz"],
                                    capture_output=True, text=True, timeout=PATIENCE)
            return result.stdout == "200"

        heir = self.successor(proxy)
        heir.log.wait("taking over from process")
        self.assertEqual(proxy.wait(), 0)
        self.assertTrue(answers(heir, "site.sock") and answers(heir, "admin.sock"))
        heir.signal(signal.SIGTERM)
        self.assertEqual(heir.wait(), 0)
        self.assertEqual([name for name in os.listdir(proxy.directory) if name.endswith(".sock")], [])

    def test_strangers_who_ask_and_leave_change_nothing(self):
        server = self.origin()
        proxy = self.spillway(self.settings(server))
        eventually(lambda: os.path.exists(proxy.path("takeover.sock")), "the socket")
        left = lambda: sum("nothing is changed" in line for line in proxy.log.all())
        for count, words in enumerate((b"", b"no\n", b"servinG\n"), 1):
            with socket.socket(socket.AF_UNIX) as asker:
                asker.connect(proxy.path("takeover.sock"))
                text, passed, _, _ = socket.recv_fds(asker, 65536, 64)
                self.assertTrue(text.startswith(b"spillway 1 "))
                for one in passed:
                    os.close(one)
                asker.sendall(words)
            eventually(lambda: left() == count, "the asker's going to be noticed")
        with socket.socket(socket.AF_UNIX) as asker:
            asker.connect(proxy.path("takeover.sock"))
            with socket.socket(socket.AF_UNIX) as another:  # one at a time
                another.connect(proxy.path("takeover.sock"))
                self.assertEqual(another.recv(10), b"")
        self.heir(proxy)

    def test_who_listens_there_and_is_none_of_ours_is_told(self):
        directory = self.directory()
        path = os.path.join(directory, "takeover.sock")
        for words, told in ((b"", "does not hand over"), (b"hello\n" + b"x" * 100, "not what a spillway says"),
                            (b"spillway 1 7\n{\"a\":1}", "not what a spillway says"),
                            (b"spillway 1 99999999\n" + b"x" * 100, "not what a spillway says")):
            with self.subTest(words), socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path)
                listener.listen(1)
                settings = self.settings(1)
                with open(os.path.join(directory, "spillway.yaml"), "w") as file:
                    json.dump(settings, file)
                process = subprocess.Popen([BINARY, "run", "-c", os.path.join(directory, "spillway.yaml")],
                                           stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
                peer, _ = listener.accept()
                with peer:
                    peer.sendall(words)
                    peer.shutdown(socket.SHUT_WR)
                    _, error = process.communicate(timeout=PATIENCE)
                self.assertEqual(process.returncode, 1)
                self.assertIn(told, error)
                os.unlink(path)


class ServiceManager(Case):
    """systemd's ways, without systemd."""

    def test_sockets_that_are_passed_are_used(self):
        server = self.origin()
        with socket.socket() as listener, socket.socket() as other:
            listener.bind(("127.0.0.1", 0))
            listener.listen(100)
            other.bind(("127.0.0.1", 0))
            other.listen(1)
            port, unused = listener.getsockname()[1], other.getsockname()[1]
            early = self.connect(port)  # before anybody accepts
            early.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            # As systemd does it: from descriptor 3 on, with the pid of the process itself.
            passing = ("/usr/bin/python3", "-c", f"""if True:
                import os, sys
                os.dup2({listener.fileno()}, 93); os.dup2({other.fileno()}, 94)
                os.dup2(93, 3); os.dup2(94, 4)
                os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2")
                os.execv(sys.argv[1], sys.argv[1:])""")
            proxy = self.spillway(config(server, workers=3, listeners=[{"address": f"127.0.0.1:{port}"}]), prefix=passing,
                                  pass_fds=(listener.fileno(), other.fileno()))
            self.assertEqual(early.read_response().status, 200)
            proxy.log.wait(f"127.0.0.1:{unused} was passed to this process, but no listener has this address")
            for _ in range(20):
                self.assertEqual(ask(port).status, 200)

    def test_the_manager_hears_of_readiness_and_of_the_end(self):
        server = self.origin()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            path = os.path.join(self.directory(), "notify")
            manager.bind(path)
            manager.settimeout(PATIENCE)
            proxy = self.spillway(config(server), env={"NOTIFY_SOCKET": path})
            self.assertEqual(manager.recv(1000).decode(), f"READY=1\nMAINPID={proxy.pid}")
            proxy.signal(signal.SIGTERM)
            self.assertEqual(manager.recv(1000), b"STOPPING=1")
            self.assertEqual(proxy.wait(), 0)


if __name__ == "__main__":
    main()
