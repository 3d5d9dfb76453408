# SPDX-License-Identifier: MIT
"""The examples do what their comments say: each is accepted, and the real files are run with other ports."""

import glob
import json
import os
import re
import signal
import subprocess
import sys

import yaml

from harness import BINARY, ROOT, Case, Command, ask, config, eventually, free_port, main, run

EXAMPLES = os.path.join(ROOT, "examples")
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def example(*path):
    with open(os.path.join(EXAMPLES, *path)) as file:
        return file.read()


class Examples(Case):
    def test_each_example_is_accepted(self):
        paths = sorted(glob.glob(os.path.join(EXAMPLES, "*.yaml")) + glob.glob(os.path.join(EXAMPLES, "demo", "*.yaml")))
        ours = []
        for path in paths:
            with open(path) as file:
                if re.search(r"^version: 1$", file.read(), re.M):
                    ours.append(path)
        self.assertGreaterEqual(len(ours), 3, paths)
        for path in ours:
            with self.subTest(os.path.relpath(path, ROOT)):
                with open(path) as file:
                    settings = yaml.safe_load(file)
                self.assertEqual("tests" in settings, "rules" in settings)
                for command in ("check", "test"):
                    done = run(command, path)
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                    self.assertNotIn("warning: the expression", done.stderr)

    def test_each_rule_set_of_the_library_and_each_stance_passes_its_tests_alone(self):
        paths = sorted(glob.glob(os.path.join(EXAMPLES, "rules.d", "**", "*.yaml"), recursive=True))
        self.assertGreaterEqual(len(paths), 13)
        for path in paths:
            with open(path) as file:
                self.assertIn("tests", yaml.safe_load(file), path)
        stances = sorted(glob.glob(os.path.join(EXAMPLES, "stances", "*.yaml")))
        self.assertEqual(len(stances), 3)
        for path in stances:
            with open(path) as file:
                self.assertEqual(list(yaml.safe_load(file)), ["include"], path)
        paths += stances
        directory = self.directory()
        for path in paths:
            with self.subTest(os.path.basename(path)):
                name = os.path.join(directory, "spillway.yaml")
                with open(name, "w") as out:
                    json.dump({"version": 1, "pools": {"app": {"servers": ["127.0.0.1:1"]}}, "include": path,
                               "toggles": {"challenge-phones": {}, "surge": {}}}, out)
                for command in ("check", "test"):
                    done = run(command, name)
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                    self.assertNotIn("warning: the expression", done.stderr)

    def test_the_rule_library_does_what_it_says(self):
        server = self.origin()
        proxy = self.spillway({"version": 1, "listeners": [{"address": "127.0.0.1:0"}], "admin": {"address": "127.0.0.1:0"},
                               "pools": {"app": {"servers": [f"127.0.0.1:{server.port}"]}},
                               "toggles": {"challenge-phones": {"default": "on"}},
                               "include": os.path.join(EXAMPLES, "rules.d", "*.yaml")})
        firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
        iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"

        def status(path="/", agent=firefox, method="GET"):
            return ask(proxy.port, method, path, headers={"User-Agent": agent, "Accept": "text/html", "Accept-Language": "en"}).status

        self.assertEqual(status(), 200)
        self.assertEqual(status("/products?q=chairs"), 200)
        for path in ("/.git/config", "/.env", "/wp-login.php", "/x/../.aws/credentials", "/%2egit/HEAD"):
            self.assertIn(status(path), (403, 404), path)
        for agent in ("Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)", "CCBot/2.0 (https://commoncrawl.org/faq/)"):
            self.assertEqual(status(agent=agent), 403, agent)
            self.assertEqual(status("/robots.txt", agent=agent), 200, agent)
        self.assertEqual(status(agent="sqlmap/1.8#stable (https://sqlmap.org)"), 403)
        self.assertNotEqual(status(agent=iphone), 200)          # challenged
        self.assertEqual(status("/feed.xml", agent="Feedly/1.0 (+http://www.feedly.com/fetcher.html; like FeedFetcher-Google)"), 200)

    def test_logins_are_slow_however_the_path_is_written(self):
        server = self.origin()
        proxy = self.spillway(config(server, include=os.path.join(EXAMPLES, "rules.d", "50-login.yaml")))
        self.assertIn(429, [ask(proxy.port, "POST", "/login").status for _ in range(30)])
        for path in ("/login/", "//login", "/%6cogin", "/login%2F", "/x/../login", "/login;x=1", "/signin", "/password/reset/"):
            self.assertEqual(ask(proxy.port, "POST", path).status, 429, path)
        for path in ("/", "/login-help", "/blog/login"):
            self.assertEqual(ask(proxy.port, "POST", path).status, 200, path)
        self.assertEqual(ask(proxy.port, "GET", "/login").status, 200)

    def test_kubernetes_and_unit_are_well_formed(self):
        with open(os.path.join(EXAMPLES, "kubernetes-sidecar.yaml")) as file:
            kinds = {document["kind"]: document for document in yaml.safe_load_all(file)}
        self.assertEqual({"ConfigMap", "Deployment", "Service"} - set(kinds), set())
        directory = self.directory()
        for name, text in kinds["ConfigMap"]["data"].items():
            with open(os.path.join(directory, name), "w") as out:
                out.write(text)
        done = run("check", os.path.join(directory, "spillway.yaml"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with open(os.path.join(EXAMPLES, "spillway.service")) as file:
            self.assertIn("ExecStart=", file.read())


class Surge(Case):
    """surge.yaml itself, with our servers, ports and files in the place of its own."""

    def setUp(self):
        self.server = self.origin()
        settings = yaml.safe_load(example("surge.yaml"))
        for pool in settings["pools"].values():
            pool["servers"] = [f"127.0.0.1:{self.server.port}"]
        settings["listeners"] = [{"address": "127.0.0.1:0"}]
        settings["admin"] = {"address": "127.0.0.1:0"}
        settings["shutdown"]["delay"] = "0s"
        del settings["state_file"]
        settings["include"] = os.path.join(EXAMPLES, settings["include"])
        self.proxy = self.spillway(settings)

    def visit(self, path="/", **headers):
        return ask(self.proxy.port, target=path, headers={"User-Agent": FIREFOX, "Accept": "text/html", "Accept-Language": "en",
                                                          "Sec-Fetch-Dest": "document", **headers})

    def surge(self):
        self.proxy.signal(signal.SIGUSR1)
        eventually(lambda: self.visit("/search").status == 503, "search to rest", every=0.1)  # as fast as per-client refills

    def test_first_visits_are_challenged_and_known_visitors_are_not(self):
        self.assertEqual(self.visit().status, 200)
        self.surge()
        self.assertIn(b"/.spillway/challenge", self.visit().body)
        self.assertEqual(self.visit(Cookie="session=1").status, 200)

    def test_feeds_pass_within_their_limit(self):
        self.surge()
        statuses = [self.visit("/feed.xml").status for _ in range(60)]
        self.assertEqual(statuses[:20], [200] * 20)
        self.assertIn(429, statuses)
        self.assertEqual(self.visit("/index/everything").status, 403)  # no feed
        self.assertEqual(self.visit("/everything.rss/else").status, 403)

    def test_search_rests_for_those_too_who_have_used_up_its_limit(self):
        self.assertIn(429, [self.visit("/search").status for _ in range(10)])
        self.surge()
        self.assertEqual({self.visit("/search").status for _ in range(3)}, {503})


class Compose(Case):
    def setUp(self):
        text = example("compose.yaml")
        self.plain = yaml.safe_load(text)["services"]
        self.ruled = yaml.safe_load(re.sub(r"(?m)^    # (?=\w+: \[)", "    ", text))["services"]

    def app(self):
        """The command of the example's app, with its port."""
        words = self.plain["app"]["command"].split()
        self.assertEqual(words[:3], ["python3", "-m", "http.server"])
        self.assertEqual(self.plain["spillway"]["environment"]["SPILLWAY_UPSTREAM"], f"app:{words[3]}")
        directory = self.directory()
        return self.keep(Command(sys.executable, "-u", "-c", "import http.server, sys; s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), "
                                 "http.server.SimpleHTTPRequestHandler); print(s.server_port, flush=True); s.serve_forever()", cwd=directory))

    def environment(self):
        return {"SPILLWAY_LISTEN": "127.0.0.1:0", "SPILLWAY_ADMIN": "127.0.0.1:0", "SPILLWAY_UPSTREAM": f"127.0.0.1:{self.app().port}"}

    def test_it_serves_by_its_variables(self):
        proxy = self.spillway(env=self.environment())
        self.assertEqual(ask(proxy.port).status, 200)

    def test_it_serves_with_the_rules_that_its_comments_mount(self):
        self.assertNotIn("command", self.plain["spillway"])
        spillway = self.ruled["spillway"]
        source, target, _ = spillway["volumes"][0].split(":")
        self.assertEqual(spillway["command"], ["run", "-c", target])
        with open(os.path.join(EXAMPLES, source)) as file:
            text = file.read()
        for word in ("health_check", "state_file", "include"):  # its app has no such path, its root is read-only, one file is mounted
            self.assertNotIn(word, yaml.safe_load(text), word)
        proxy = self.spillway(text, env=self.environment())
        for _ in range(3):
            self.assertEqual(ask(proxy.port).status, 200)
        proxy.ctl("toggle", "surge", "on", check=0)
        eventually(lambda: ask(proxy.port).status == 403, "newcomers to be challenged")


class Demo(Case):
    def test_with_a_port_that_is_taken_it_says_how_to_take_another(self):
        holder, port = free_port()
        holder.listen()
        self.addCleanup(holder.close)
        done = subprocess.run([sys.executable, os.path.join(EXAMPLES, "demo", "run.py"), "--binary", BINARY], capture_output=True, text=True,
                              timeout=60, env={**os.environ, "LISTEN": f"127.0.0.1:{port}", "ADMIN_PORT": "0"})
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr, r"PORT=\d+ ADMIN_PORT=\d+ scripts/demo")


if __name__ == "__main__":
    main()
