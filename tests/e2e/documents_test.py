# SPDX-License-Identifier: MIT
"""What the documents print works as printed: files, commands, tables, and where an installation puts things."""

import glob
import json
import os
import re
import shutil
import subprocess

import yaml

from harness import BINARY, ROOT, Case, ask, config, main, run

REFERENCE = os.path.join(ROOT, "docs", "reference.md")


def document(*path):
    with open(os.path.join(ROOT, *path)) as file:
        return file.read()


def blocks(text, language):
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", text)


class Endpoints(Case):
    """The reference's table of the admin side, walked row by row."""

    def rows(self):
        section = document("docs", "reference.md").split("\n## Admin\n")[1].split("\n## ")[0]
        for method, cell in re.findall(r"(?m)^\| (GET|POST) (.*?) \|", section):
            base = ""
            for path in re.findall(r"`([^`]+)`", cell):
                if not path.startswith("/"):  # `/api/v1/status` `config`: beside the first
                    path = base.rsplit("/", 1)[0] + "/" + path
                base = path
                yield method, path

    def test_each_answers_as_the_table_says(self):
        proxy = self.spillway(config(self.origin(), toggles={"surge": {}}, rules=[{"match": {"path": "/no"}, "action": "deny"}]))
        refused = ask(proxy.port, target="/no").get("X-Request-Id")
        rows = list(self.rows())
        self.assertGreaterEqual(len(rows), 15)
        for method, path in sorted(rows, key=lambda row: row[1].endswith("drain")):
            body = json.dumps({"on": True}) if method == "POST" and "NAME" in path else None
            with self.subTest(method=method, path=path):
                status, text = proxy.admin(method, path.replace("NAME", "surge").replace("ID", refused), body, {"Content-Type": "application/json"})
                self.assertEqual(status, 202 if path.endswith("drain") else 200, text)
                if path.startswith("/api/") or path == "/version":
                    json.loads(text)


class Snippets(Case):
    """Each YAML block of the README, and of what it leads to, goes into the README's complete file."""

    def check(self, settings):
        directory = self.directory()
        for name in set(re.findall(r"[\w./-]+\.(?:txt|html)\b", json.dumps(settings))):
            path = os.path.join(directory, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as out:
                out.write("<p>one line\n")
        with open(os.path.join(directory, "site.yaml"), "w") as out:
            out.write(settings if isinstance(settings, str) else json.dumps(settings))
        done = run("check", "site.yaml", cwd=directory)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def merged(self, base, text):
        both = {**base, **yaml.safe_load(text)}
        both["rules"] = base["rules"] + [rule for rule in both["rules"] if rule not in base["rules"]]
        toggles = {rule["toggle"] for rule in both["rules"] if "toggle" in rule}
        both["toggles"] = {**{name: {} for name in toggles}, **both.get("toggles", {})}
        return both

    def test_the_first_file_is_complete_and_each_snippet_goes_into_it(self):
        first, *others = blocks(document("README.md"), "yaml")
        self.check(first)
        self.assertGreaterEqual(len(others), 3)
        for text in others:
            with self.subTest(text):
                self.check(self.merged(yaml.safe_load(first), text))
        for path in ("rules/README.md", "docs/reference.md", "docs/challenge.md"):
            for text in blocks(document(path), "yaml"):
                with self.subTest(path):
                    self.check(self.merged(yaml.safe_load(first), text))

    def test_commands_that_are_printed_are_understood(self):
        for path in ("README.md", "docs/reference.md", "docs/challenge.md"):
            for line in "\n".join(blocks(document(path), "sh")).splitlines():
                for command in re.findall(r"\bspillway ((?:ctl )?[a-z]+)\b", line):
                    with self.subTest(line):
                        self.assertEqual(run(*command.split(), "--help").returncode, 0, command)

    def test_the_steps_of_a_request_are_those_of_the_code(self):
        told = re.findall(r"^### \d+\. (.+)$", document("ARCHITECTURE.md"), re.M)
        names = re.findall(r'case Step::k\w+:\s+return "([^"]+)"', document("proxy/exchange.cc"))
        self.assertEqual(told, ["accept", *names])

    def test_links_lead_somewhere(self):
        for path in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "docs/reference.md", "docs/challenge.md", "docs/performance.md", "rules/README.md"):
            for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document(path)):
                if "://" not in link:
                    self.assertTrue(os.path.exists(os.path.join(ROOT, os.path.dirname(path), link)), f"{path}: {link}")


class Reference(Case):
    """docs/reference.md and `spillway kinds` say the same."""

    def test_every_kind_is_in_the_reference_with_its_type_and_default_and_nothing_else_is(self):
        done = run("kinds", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        text = document("docs", "reference.md")
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
            expected = [kind["type"], kind["default"]] if kind["group"] in ("key", "environment", "action", "condition_key") else [kind["type"]]
            with self.subTest(kind["name"]):
                self.assertEqual(cells[:len(expected)], expected)

    def test_the_curl_lines_of_the_admin_section_work_as_they_stand(self):
        section = re.search(r"(?ms)^## Admin$(.*?)^## ", document("docs", "reference.md")).group(1)
        lines = blocks(section, "sh")[0].splitlines()
        self.assertGreaterEqual(len(lines), 4)
        proxy = self.spillway(config(self.origin(), toggles={"surge": {}}))
        for line in lines:
            command = line.replace("127.0.0.1:9901", proxy.admin_address)
            self.assertNotEqual(command, line)
            done = subprocess.run(["bash", "-c", 'curl() { command curl -sS -w "\\n%{http_code}" "$@"; }; ' + command], capture_output=True,
                                  text=True, timeout=30)
            self.assertEqual(done.stdout.splitlines()[-1:], ["200"], f"{line}\n{done.stdout}{done.stderr}")
        proxy.log.wait(r"surge is now on .*launch")
        proxy.log.wait(r"surge is now off .*it is over")


class Scripts(Case):
    def test_help_only_helps(self):
        for path in sorted(glob.glob(os.path.join(ROOT, "scripts", "*"))):
            if path.endswith(".sh"):
                continue
            with self.subTest(os.path.basename(path)):
                done = subprocess.run([path, "--help"], capture_output=True, text=True, timeout=20)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn(f"scripts/{os.path.basename(path)}", done.stdout)
                self.assertNotIn("set -e", done.stdout)


class Installation(Case):
    def install(self, prefix, destination=""):
        """As the README says it; the component (there is one) keeps it from the list of what was really installed."""
        build = os.path.dirname(os.path.dirname(os.path.abspath(BINARY)))
        if not os.path.exists(os.path.join(build, "cmake_install.cmake")):
            self.skipTest("the binary is not in a build directory")
        done = subprocess.run(["cmake", "--install", build, "--component", "Unspecified", "--prefix", prefix], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "DESTDIR": destination})
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_everything_comes_to_its_place(self):
        root = self.directory()
        self.install("/usr", root)
        for path in ("bin/spillway", "lib/systemd/system/spillway.service", "share/doc/spillway/reference.md",
                     "share/doc/spillway/challenge.md", "share/doc/spillway/examples/surge.yaml"):
            self.assertTrue(os.path.exists(os.path.join(root, "usr", path)), path)
        with open(os.path.join(root, "usr/lib/systemd/system/spillway.service")) as file:
            self.assertIn("ExecStart=/usr/bin/spillway run -c /etc/spillway/spillway.yaml", file.read())
        documents = os.path.join(root, "usr/share/doc/spillway")
        done = run("check", os.path.join(documents, "examples/surge.yaml"))
        self.assertEqual(done.returncode, 0, done.stderr)
        for path in glob.glob(os.path.join(documents, "*.md")):
            with open(path) as file:
                for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", file.read()):
                    self.assertTrue("://" in link or os.path.exists(os.path.join(documents, link)), f"{path}: {link}")

    def test_the_unit_names_what_was_installed(self):
        prefix = self.directory()
        self.install(prefix)
        unit = os.path.join(prefix, "lib/systemd/system/spillway.service")
        with open(unit) as file:
            for path in re.findall(r"(?m)^Exec\w+=(\S+)", file.read()):
                self.assertTrue(os.access(path, os.X_OK), path)
        if shutil.which("systemd-analyze"):
            done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    main()
