# SPDX-License-Identifier: MIT
"""The command line and the configuration as a user meets them: check, the environment."""

import os

from harness import Case, ask, main, run


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

    def test_check_and_run_refuse_the_same_files_in_the_same_words(self):
        directory = self.directory()
        path = os.path.join(directory, "spillway.yaml")
        with open(path, "w") as out:
            out.write('version: 1\npools: { app: { servers: ["127.0.0.1:1"] } }\nadmin: { address: "127.0.0.1:0", token_file: none }\n'
                      'listeners: [{ address: "127.0.0.1:0", tls: { certificate: a.crt, key: a.key } }]\n'
                      'access_log: { path: logs/access.log }\nchallenge: { key_file: none.key }\n')
        checked, ran = run("check", path), run("run", path)
        self.assertEqual((checked.returncode, ran.returncode), (1, 1))
        self.assertEqual(checked.stderr, ran.stderr)
        for place in ("3:46: admin.token_file", "4:59: listeners[0].tls.certificate", "4:71: listeners[0].tls.key",
                      "5:21: access_log.path", "6:24: challenge.key_file"):
            self.assertIn(f"{path}:{place}: ", checked.stderr)

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
        for command in ("run", "check", "ctl", "healthcheck", "kinds", "schema"):
            self.assertIn(command, out)

    def test_nonsense_is_an_error(self):
        self.assertNotEqual(run("nonsense").returncode, 0)

    def test_two_variables_are_enough(self):
        server = self.origin()
        proxy = self.spillway(env={"SPILLWAY_LISTEN": "127.0.0.1:0", "SPILLWAY_UPSTREAM": f"127.0.0.1:{server.port}",
                                   "SPILLWAY_ADMIN": "127.0.0.1:0"})
        self.assertEqual(ask(proxy.port).status, 200)

    def test_a_second_one_does_not_take_half_of_the_visitors(self):
        # The kernel would let two that open their port for several workers share it.
        proxy = self.spillway(env={"SPILLWAY_LISTEN": "127.0.0.1:0", "SPILLWAY_UPSTREAM": f"127.0.0.1:{self.origin().port}",
                                   "SPILLWAY_ADMIN": "127.0.0.1:0"})
        for host in ("127.0.0.1", "", "[::]"):
            with self.subTest(host):
                done = run("run", env={**os.environ, "SPILLWAY_LISTEN": f"{host}:{proxy.port}", "SPILLWAY_UPSTREAM": "127.0.0.1:1",
                                       "SPILLWAY_ADMIN": "127.0.0.1:0"})
                self.assertEqual(done.returncode, 1)
                self.assertIn(f":{proxy.port}: Address already in use (another spillway may be running", done.stderr)

    def test_nothing_at_all_says_what_is_missing(self):
        done = run("run")
        self.assertEqual(done.returncode, 1)
        self.assertIn("SPILLWAY_UPSTREAM", done.stderr)


if __name__ == "__main__":
    main()
