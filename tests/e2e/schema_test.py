# SPDX-License-Identifier: MIT
"""`spillway schema` beside the binary, by a validator that others wrote: what is good is good to both, what is bad is bad to both, but
for what no schema can say. Files are read as YAML 1.2, in which `on` is a text and 0100 is a hundred, as editors read them."""

import glob
import json
import os
import re
import textwrap

import yaml
from jsonschema import Draft202012Validator

from harness import ROOT, Case, main, run

# Files of tests/config/bad in which a schema finds nothing wrong, and what is wrong with them. It is exact: what a schema has learned to
# refuse goes from here.
BEYOND_A_SCHEMA = {
    "duplicate-keys.yaml": "two keys of one name are one by the time a schema looks",
    "night-limit-names.yaml": "names that stand in other sections",
    "night-regex.yaml": "a dialect of expressions that schemas do not speak",
    "night-two-final-actions.yaml": "which of two actions is meant",
    "none-is-no-name.yaml": "the same",
    "admin-within-a-listener.yaml": "which addresses take others in",
    "host-bits.yaml": "arithmetic: bits beyond a prefix",
    "no-pools.yaml": "right where SPILLWAY_UPSTREAM is set",
    "null-pools.yaml": "the same",
    "tag.yaml": "tags are gone by the time a schema looks",
}

POOLS = 'version: 1\npools: { app: { servers: ["a:1"] } }\n'

# One fault each, where it is, and it is found there: by a schema and by the binary.
FAULTS = [
    ("workers: 0", "workers"),
    ("workers: many", "workers"),
    ("listner: []", ""),
    ("shutdown: { delay: 10 }", "shutdown.delay"),
    ("shutdown: { delai: 10s }", "shutdown"),
    ("log: { level: warn }", "log.level"),
    ("access_log: json", "access_log"),
    ("listeners: [{ proxy_protocol: on }]", "listeners[0]"),
    ("listeners: [{ address: localhost:80 }]", "listeners[0].address"),
    ("listeners: [{ address: ':80', tls: { certificate: a } }]", "listeners[0].tls"),
    ("clients: { ipv6_prefix: 129 }", "clients.ipv6_prefix"),
    ("clients: { trusted_proxies: [everyone] }", "clients.trusted_proxies"),
    ("clients: { sizes: { head: 4KB2 } }", "clients.sizes.head"),
    ("toggles: { a.b: {} }", "toggles"),
    ("toggles: { a: { signal: HUP } }", "toggles.a.signal"),
    ("toggles: { a: { default: maybe } }", "toggles.a.default"),
    ("challenge: { bits: 25 }", "challenge.bits"),
    ("limits: { a: { key: path } }", "limits.a"),
    ("limits: { a: { key: client, rate: 1/s } }", "limits.a.key"),
    ("limits: { a: { key: path, rate: 10 } }", "limits.a.rate"),
    ("lists: { a: { path: x } }", "lists.a"),
    ("include: { file: x }", "include"),
    ("rules: { action: deny }", "rules"),
    ("rules: [deny]", "rules[0]"),
    ("rules: [{ match: { path: / } }]", "rules[0]"),
    ("rules: [{ acton: deny }]", "rules[0]"),
    ("rules: [{ name: a b, action: deny }]", "rules[0].name"),
    ("rules: [{ mode: shadw, action: deny }]", "rules[0].mode"),
    ("rules: [{ match: {}, action: deny }]", "rules[0].match"),
    ("rules: [{ match: { method: GTE }, action: deny }]", "rules[0].match.method"),
    ("rules: [{ match: { path: admin }, action: deny }]", "rules[0].match.path"),
    ("rules: [{ match: { path: [] }, action: deny }]", "rules[0].match.path"),
    ("rules: [{ match: { path: { prefx: /a } }, action: deny }]", "rules[0].match.path"),
    ("rules: [{ match: { path: { present: true } }, action: deny }]", "rules[0].match.path"),
    ("rules: [{ match: { user_agent: { host: a } }, action: deny }]", "rules[0].match.user_agent"),
    ("rules: [{ match: { header.: a }, action: deny }]", "rules[0].match"),
    ("rules: [{ match: { any: { path: /a } }, action: deny }]", "rules[0].match.any"),
    ("rules: [{ match: { not: [{ path: /a }] }, action: deny }]", "rules[0].match.not"),
    ("rules: [{ match: { client.address: { prefix: '10.' } }, action: deny }]", "rules[0].match.client.address"),
    ("rules: [{ match: { client.address: office }, action: deny }]", "rules[0].match.client.address"),
    ("rules: [{ action: dney }]", "rules[0].action"),
    ("rules: [{ action: limit }]", "rules[0].action"),
    ("rules: [{ action: { deny: 404 } }]", "rules[0].action"),
    ("rules: [{ action: { deny: { status: 200 } } }]", "rules[0].action"),
    ("rules: [{ action: { challenge: puzzle } }]", "rules[0].action"),
    ("rules: [{ action: { redirect: { status: 301 } } }]", "rules[0].action"),
    ("rules: [{ action: { redirect: { to: /, status: 300 } } }]", "rules[0].action"),
    ("rules: [{ action: { respond: { headers: { 'a b': c } } } }]", "rules[0].action"),
    ("rules: [{ action: { allow: no } }]", "rules[0].action"),
    ("tests: { name: a }", "tests"),
    ("tests: [{ name: a }]", "tests[0]"),
    ("tests: [{ name: a, expect: { action: refuse } }]", "tests[0].expect.action"),
    ("tests: [{ name: a, expect: { action: deny, status: 100 } }]", "tests[0].expect.status"),
    ("tests: [{ name: a, repeat: 0, expect: { action: deny } }]", "tests[0].repeat"),
    ("tests: [{ name: a, toggles: [surge], expect: { action: deny } }]", "tests[0].toggles"),
    ("tests: [{ name: a, request: { methd: GET }, expect: { action: deny } }]", "tests[0].request"),
    ("tests: [{ name: a, request: { path: admin }, expect: { action: deny } }]", "tests[0].request.path"),
    ("tests: [{ name: a, request: { scheme: ftp }, expect: { action: deny } }]", "tests[0].request.scheme"),
    ("tests: [{ name: a, request: { header.x: { a: b } }, expect: { action: deny } }]", "tests[0].request.header.x"),
]

# What looks odd, and is legal.
LEGAL = """
workers: "4"
toggles:
toggles: { a: , b: { default: on }, c: { default: 'no' }, "1": { description: 2026, signal: RTMIN+3 } }
limits:
lists: { a: one, b: [], c: [1, true, 2.5] }
rules:
include:
clients: { trusted_proxies: , sizes: { body: 100 } }
clients: { max_requests: "7", trusted_proxies: 10.0.0.0/8 }
admin: off
access_log: off
access_log: { query: yes, path: 5 }
listeners: [{ address: ":0", http2: off }]
limits: { a: { key: global, rate: 1/s }, b: { key: [header.X-A, query.q], rate: 5/10s, burst: "3" } }
rules: [{ name: 404, action: { tag: [404, x], deny: , set_header: { X-A: 5, x-b: "" } } }]
rules: [{ match: { query.page: 1, header.x: [true, 1.5, ""] }, action: allow }]
rules: [{ match: { method: $m, client.address: [$a, 192.0.2.0/24], path: [/, "*"], header.y: [$m, $$x] }, action: deny }]
rules: [{ match: { client.address: { not: 192.0.2.1 }, path: { prefix: /a, not: { regex: x, not: /b } } }, action: deny }]
rules: [{ match: { all: [{ any: [{ not: { host: "*.a.example" } }] }], referer: { host: a, absent: off } }, action: drop }]
rules: [{ action: { challenge: } }, { action: { challenge: refresh } }, { action: { challenge: { bits: 1 } } }, { action: challenge }]
rules: [{ action: { redirect: /a } }, { action: { redirect: { to: "https://a", status: "301", keep_path: on } } }, { action: { allow: true } }]
tests:
tests: [{ name: 5, expect: { action: forward } }, { name: it is so, request: { }, toggles: { }, pass: yes, every: 1s, expect: { action: drop } }]
tests: [{ name: a, repeat: "7", rate: 10/s, request: { path: "/a?b=c", host: "", header.x-a: [1, two], cookie.b: c, query.d: 1.5, client.address: "::1" }, expect: { action: limit, after: 5 } }]
rules: [{ action: { respond: { status: 200, body: 5, headers: { a: b } } } }, { action: { respond: {} } }, { action: { pool: app, drop: true } }]
"""
LISTS = 'lists: { m: [GET, POST], a: [10.0.0.0/8] }\n'


class Core(yaml.SafeLoader):
    """The core schema of YAML 1.2; keys are texts, as they are in JSON."""

    yaml_implicit_resolvers = {}

    def construct_mapping(self, node, deep=False):
        if not isinstance(node, yaml.MappingNode) or not all(isinstance(key, yaml.ScalarNode) for key, _ in node.value):
            raise yaml.constructor.ConstructorError(None, None, "a key that is no text", node.start_mark)
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}


for name, pattern, first in (("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
                             ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
                             ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
                             ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
                              list("-+0123456789."))):
    Core.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(rf"^(?:{pattern})$"), first)
Core.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value, 10 if node.value.lstrip("+-").isdigit() else 0))


class Schema(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.validators = {}
        for what, arguments in (("file", []), ("included", ["--included"])):
            done = run("schema", *arguments)
            assert (done.returncode, done.stderr) == (0, ""), done.stderr
            cls.validators[what] = Draft202012Validator(json.loads(done.stdout))

    def faults(self, text, what="file"):
        """The paths at which the schema finds something, as the binary writes them; None: nothing can be read at all."""
        try:
            document = yaml.load(text, Core)
        except (yaml.YAMLError, UnicodeDecodeError):
            return None
        return ["".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path).lstrip(".")
                for error in self.validators[what].iter_errors(document)]

    def faults_of(self, path, what="file"):
        with open(path, "rb") as file:
            return self.faults(file.read(), what)

    def checked(self, text):
        directory = self.directory()
        with open(os.path.join(directory, "site.yaml"), "w") as out:
            out.write(text)
        return run("check", "site.yaml", cwd=directory)

    def test_the_schemas_are_schemas(self):
        for validator in self.validators.values():
            Draft202012Validator.check_schema(validator.schema)

    def test_the_reader_reads_as_yaml_1_2_has_it(self):
        self.assertEqual(yaml.load("[on, no, 0100, 0x10, 1.5, 1e3, 1:30, 2026-01-01, ~, '', '1', true]", Core),
                         ["on", "no", 100, 16, 1.5, 1000.0, "1:30", "2026-01-01", None, "", "1", True])

    def test_good_files_and_examples_are_good(self):
        whole, included = 0, 0
        paths = glob.glob(os.path.join(ROOT, "tests/config/good/**/*.yaml"), recursive=True)
        paths += glob.glob(os.path.join(ROOT, "examples/**/*.yaml"), recursive=True)
        for path in sorted(paths):
            with open(path) as file:
                text = file.read()
            if re.search(r"^(apiVersion|services):", text, re.M):  # Kubernetes' and compose's own
                continue
            what = "file" if re.search(r"^version:", text, re.M) else "included"
            whole, included = whole + (what == "file"), included + (what == "included")
            with self.subTest(os.path.relpath(path, ROOT)):
                # An included file may be all comments; for editors there is nothing to look at then.
                if yaml.load(text, Core) is not None:
                    self.assertEqual(self.faults(text, what), [])
        self.assertGreaterEqual(whole, 9)
        self.assertGreaterEqual(included, 8)

    def test_files_in_documents_and_manifests_are_good(self):
        with open(os.path.join(ROOT, "README.md")) as file:
            complete = re.search(r"(?ms)^```yaml\n(version: 1\n.*?)^```", file.read()).group(1)
        with open(os.path.join(ROOT, "examples/kubernetes-sidecar.yaml")) as file:
            manifest = re.search(r"(?m)^  spillway\.yaml: \|\n((?:    .*\n)+)", file.read()).group(1)
        for text in (complete, textwrap.dedent(manifest)):
            self.assertEqual(self.faults(text), [])

    def test_bad_files_are_bad_but_for_those_that_are_beyond_a_schema(self):
        paths = sorted(glob.glob(os.path.join(ROOT, "tests/config/bad/*.yaml")))
        self.assertGreaterEqual(len(paths), 50)
        passed = {}
        for path in paths:
            name = os.path.basename(path)
            with self.subTest(name):
                self.assertEqual(run("check", name, cwd=os.path.dirname(path), errors="replace").returncode, 1)
                if self.faults_of(path) == []:
                    passed[name] = BEYOND_A_SCHEMA.get(name, "a schema should say what is wrong")
        self.assertEqual(passed, BEYOND_A_SCHEMA)

    def test_each_of_many_faults_is_found_by_both_where_it_is(self):
        for text, place in FAULTS:
            with self.subTest(text):
                found = self.faults(POOLS + text + "\n")
                self.assertTrue(found)
                self.assertEqual([other for other in found if not other.startswith(place)], [])
                done = self.checked(POOLS + text + "\n")
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertRegex(done.stderr, r"site\.yaml:\d+:\d+: " + re.escape(place))

    def test_what_is_odd_but_legal_is_legal_to_both(self):
        lines = LEGAL.strip().splitlines()
        for line in lines:
            with self.subTest(line):
                text = POOLS + ("" if line.startswith("lists") else LISTS) + line + "\n"
                done = self.checked(text)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(self.faults(text), [])

    def test_an_included_file_holds_no_more_than_it_may(self):
        self.assertEqual(self.faults("rules: [{ action: deny }]\n", "included"), [])
        self.assertEqual(self.faults("pools: { app: { servers: ['a:1'] } }\n", "included"), [""])
        self.assertEqual(len(self.faults("rules: [{ action: dney }]\n", "included")), 1)


if __name__ == "__main__":
    main()
