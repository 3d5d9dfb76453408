# SPDX-License-Identifier: MIT
"""The command line and the configuration as a user meets them: check, kinds, the environment, the examples."""

import glob
import json
import os
import re

from harness import ROOT, Case, ask, main, run

EXAMPLES = os.path.join(ROOT, "examples")
REFERENCE = os.path.join(ROOT, "docs", "reference.md")


class Check(Case):
    def check(self, text, **files):
        directory = self.directory()
        for name, content in {"spillway.yaml": text, **files}.items():
            path = os.path.join(directory, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as out:
                out.write(content)
        done = run("check", "spillway.yaml", cwd=directory)
        return done.returncode, done.stdout + done.stderr

    def test_two_lines_are_enough(self):
        code, out = self.check('version: 1\npools: { app: { servers: ["127.0.0.1:3000"] } }\n')
        self.assertEqual(code, 0, out)

    def test_all_errors_come_at_once_each_with_its_place(self):
        code, out = self.check("""version: 1
pools:
  app: { servers: ["127.0.0.1:3000"], balanse: round_robin }
limits:
  l: { key: client.address, rate: 10, burst: 40 }
rules:
  - name: a
    match: { method: GTE, path: { prefx: /x } }
    action: denny
  - name: b
    match: { user_agent: { regex: '(' } }
    action: { limit: nobody }
""")
        self.assertEqual(code, 1)
        for place, words in (("3:39", ["balanse", "balance"]), ("5:35", ["10"]), ("8:22", ["GTE"]), ("8:35", ["prefx", "prefix"]),
                             ("9:13", ["denny", "deny"]), ("11:35", ["("]), ("12:22", ["nobody"])):
            line = next((line for line in out.splitlines() if line.startswith(f"spillway.yaml:{place}:")), None)
            self.assertIsNotNone(line, f"nothing at {place} in:\n{out}")
            for word in words:
                self.assertIn(word, line)

    def test_the_line_is_shown_with_a_marker(self):
        _, out = self.check("version: 1\npools: { app: { servers: [\"127.0.0.1:1\"] } }\nrules:\n  - match: { method: GTE }\n    action: deny\n")
        self.assertRegex(out, r"(?m)^ *4 \|   - match: \{ method: GTE \}\n +\| +\^")

    def test_unknown_and_duplicate_keys_are_errors(self):
        code, out = self.check('version: 1\npools: { app: { servers: ["127.0.0.1:1"] } }\nworker: 2\n')
        self.assertEqual(code, 1)
        self.assertIn("workers", out)
        code, out = self.check('version: 1\nworkers: 1\nworkers: 2\npools: { app: { servers: ["127.0.0.1:1"] } }\n')
        self.assertEqual(code, 1)
        self.assertIn("workers", out)

    def test_errors_of_included_files_name_those_files(self):
        code, out = self.check('version: 1\npools: { app: { servers: ["127.0.0.1:1"] } }\ninclude: rules.d/*.yaml\n',
                               **{"rules.d/a.yaml": "rules:\n  - action: nope\n"})
        self.assertEqual(code, 1)
        self.assertRegex(out, r"(?m)^\S*rules\.d/a\.yaml:2:\d+:")

    def test_what_is_not_yaml_is_an_error_not_a_crash(self):
        for text in ("", "]", "version: 1\n\tx: 1\n", "a: &x [*x]\n", "\0\1\2", "version: 1\npools: [", "- 1\n- 2\n", "!!binary x", "version: {{}}\n"):
            with self.subTest(text):
                code, out = self.check(text)
                self.assertEqual(code, 1, out)
                self.assertTrue(out.strip())

    def test_a_missing_file_says_so(self):
        done = run("check", "/nonexistent/spillway.yaml")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nonexistent/spillway.yaml", done.stderr + done.stdout)

    def test_run_refuses_what_check_refuses(self):
        directory = self.directory()
        path = os.path.join(directory, "spillway.yaml")
        with open(path, "w") as out:
            out.write("version: 1\nnonsense: 1\n")
        done = run("run", "-c", path)
        self.assertEqual(done.returncode, 1)
        self.assertIn("nonsense", done.stderr)


class CommandLine(Case):
    def test_version(self):
        done = run("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"\d+\.\d+\.\d+")

    def test_help_names_the_commands(self):
        out = run("--help").stdout
        for command in ("run", "check", "ctl", "healthcheck", "kinds"):
            self.assertIn(command, out)

    def test_nonsense_is_an_error(self):
        self.assertNotEqual(run("nonsense").returncode, 0)

    def test_two_variables_are_enough(self):
        server = self.origin()
        proxy = self.spillway(env={"SPILLWAY_LISTEN": "127.0.0.1:0", "SPILLWAY_UPSTREAM": f"127.0.0.1:{server.port}",
                                   "SPILLWAY_ADMIN": "127.0.0.1:0"})
        self.assertEqual(ask(proxy.port).status, 200)

    def test_nothing_at_all_says_what_is_missing(self):
        done = run("run")
        self.assertEqual(done.returncode, 1)
        self.assertIn("SPILLWAY_UPSTREAM", done.stderr)


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
                done = run("check", path)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_each_rule_set_of_the_library_is_accepted_alone(self):
        paths = sorted(glob.glob(os.path.join(EXAMPLES, "rules.d", "*.yaml")))
        self.assertGreaterEqual(len(paths), 5)
        directory = self.directory()
        for path in paths:
            with self.subTest(os.path.basename(path)):
                name = os.path.join(directory, "spillway.yaml")
                with open(name, "w") as out:
                    json.dump({"version": 1, "pools": {"app": {"servers": ["127.0.0.1:1"]}}, "include": path,
                               "toggles": {"challenge-phones": {}, "surge": {}}}, out)
                done = run("check", name)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

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
        self.assertIn(429, [status("/login", method="POST") for _ in range(30)])

    def test_kubernetes_compose_and_unit_are_well_formed(self):
        import yaml
        with open(os.path.join(EXAMPLES, "compose.yaml")) as file:
            self.assertIn("spillway", yaml.safe_load(file)["services"])
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


class Reference(Case):
    """docs/reference.md and `spillway kinds` say the same."""

    def test_every_kind_is_in_the_reference_with_its_type_and_default_and_nothing_else_is(self):
        done = run("kinds", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        with open(REFERENCE) as file:
            text = file.read()
        rows = {}
        for group, body in re.findall(r"(?ms)^<!-- kinds: (\w+)(?: [\w ]+)? -->\n(.*?)^<!-- end -->", text):
            for line in body.splitlines():
                cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
                if cells and cells[0].startswith("`"):
                    rows[(group, cells[0].strip("`"))] = [cell.replace("\\|", "|").strip("`") for cell in cells[1:]]
        missing = [f"{kind['group']} {kind['name']}" for kind in told if (kind["group"], kind["name"]) not in rows]
        self.assertEqual(missing, [], "not in docs/reference.md")
        extra = set(rows) - {(kind["group"], kind["name"]) for kind in told}
        self.assertEqual(extra, set(), "in docs/reference.md, but the binary does not know it")
        for kind in told:
            cells = rows[(kind["group"], kind["name"])]
            expected = [kind["type"], kind["default"]] if kind["group"] in ("key", "environment") else [kind["type"]]
            with self.subTest(kind["name"]):
                self.assertEqual(cells[:len(expected)], expected)


if __name__ == "__main__":
    main()
