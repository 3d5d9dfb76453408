#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The rooms and their doors, read off the sources: who may include what, which file alone includes each foreign
library, what rules/ must not touch, and two words that are not used here."""

import glob
import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# A foreign library: how its includes begin, and the files that are its door.
DOORS = {
    "yaml-cpp": (r"yaml-cpp/", {"rules/yaml.cc"}),
    "re2": (r"re2/", {"rules/patterns.cc"}),
    "xxhash": (r"xxhash\.h", {"rules/hash.cc"}),
    "expected": (r"tl/", {"include/spillway/result.h"}),
    "llhttp": (r"llhttp\.h", {"proxy/http1.cc"}),
    # One session faces clients, the other upstream servers; the header is what both use of it.
    "nghttp2": (r"nghttp2/", {"proxy/http2_parts.h"}),
    # The loop has events; the admin listener has libevent's own HTTP server, which needs no speed.
    "libevent": (r"event2/|event\.h", {"proxy/loop.cc", "proxy/admin.cc"}),
    # TLS, and the MAC that challenges are signed with.
    "openssl": (r"openssl/", {"proxy/tls_library.h", "proxy/crypto.cc"}),
    "c-ares": (r"ares", {"proxy/resolver.cc"}),
    "libmaxminddb": (r"maxminddb", {"proxy/geo_file.cc"}),
    "spdlog": (r"spdlog/", {"proxy/log.cc"}),
    "nlohmann": (r"nlohmann/", {"proxy/json.h"}),
    "prometheus": (r"prometheus/", {"proxy/metrics.cc"}),
    "zlib": (r"zlib\.h", {"proxy/gzip.cc"}),
    "CLI11": (r"CLI/", {"proxy/cli.cc"}),
}

# What a decision must not do: each would make the same inputs give another answer, or wait.
IMPURE_HEADERS = {"thread", "mutex", "shared_mutex", "condition_variable", "future", "fstream", "iostream", "filesystem", "random",
                  "ctime", "cstdio", "time.h", "unistd.h", "fcntl.h", "dirent.h", "pthread.h", "stdio.h"}
IMPURE_WORDS = r"\b(clock_gettime|gettimeofday|getenv|fopen|printf|std::cout|std::cerr|random_device|thread_local|::now\(\)|localtime|time\(nullptr\)|rand\(\)|sigaction|raise\()"


def sources(*rooms):
    for room in rooms:
        for path in sorted(glob.glob(os.path.join(ROOT, room, "**", "*"), recursive=True)):
            if path.endswith((".cc", ".h")):
                with open(path) as file:
                    yield os.path.relpath(path, ROOT), file.read()


def includes(text):
    return re.findall(r'^[ \t]*#[ \t]*include[ \t]+([<"])([^>"]+)[>"]', text, re.M)


def without_comments(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)


class Doors(unittest.TestCase):
    def offenders(self, rooms, offends):
        return [f"{path}: {name}" for path, text in sources(*rooms) for kind, name in includes(text) if offends(path, kind, name)]

    def test_the_treaty_includes_only_itself_and_the_standard_library(self):
        self.assertEqual(self.offenders(["include"], lambda path, kind, name: (
            not name.startswith("spillway/") if kind == '"' else "." in name and name != "tl/expected.hpp")), [])

    def test_deciding_never_includes_doing(self):
        self.assertEqual(self.offenders(["rules"], lambda path, kind, name: kind == '"' and not name.startswith(("rules/", "spillway/"))), [])

    def test_doing_sees_deciding_only_through_the_treaty(self):
        self.assertEqual(self.offenders(["proxy"], lambda path, kind, name: kind == '"' and not name.startswith(("proxy/", "spillway/"))), [])

    def test_nothing_includes_tests_or_examples(self):
        self.assertEqual(self.offenders(["include", "rules", "proxy"], lambda path, kind, name: name.startswith(("tests/", "examples/"))), [])

    def test_each_library_has_one_door(self):
        for library, (pattern, doors) in DOORS.items():
            with self.subTest(library):
                self.assertEqual([entry for entry in self.offenders(
                    ["include", "rules", "proxy"], lambda path, kind, name: kind == "<" and re.match(pattern, name) and path not in doors)], [])

    def test_what_the_doors_of_nghttp2_share_is_theirs_alone(self):
        self.assertEqual({entry.split(":")[0] for entry in self.offenders(["proxy"], lambda path, kind, name: name == "proxy/http2_parts.h")},
                         {"proxy/http2.cc", "proxy/upstream_http2_session.cc"})

    def test_what_the_doors_of_openssl_share_is_theirs_alone(self):
        self.assertEqual([entry for entry in self.offenders(["proxy"], lambda path, kind, name: name == "proxy/tls_library.h")
                          if not entry.startswith("proxy/tls")], [])

    def test_every_foreign_include_has_a_door(self):
        """A new library is noticed here: give it a door above, and say in ARCHITECTURE.md what it is for."""
        known = [pattern for pattern, _ in DOORS.values()] + [r"fmt/", r"(sys|netinet|arpa|netdb|linux|net)/"]
        self.assertEqual(self.offenders(["include", "rules", "proxy"], lambda path, kind, name: (
            kind == "<" and "/" in name and not any(re.match(pattern, name) for pattern in known))), [])

    def test_deciding_is_pure(self):
        for path, text in sources("rules", "include"):
            with self.subTest(path):
                self.assertEqual([name for kind, name in includes(text) if kind == "<" and
                                  (name in IMPURE_HEADERS or name.startswith(("sys/", "netinet/", "arpa/", "fmt/")))], [])
                self.assertEqual(re.findall(IMPURE_WORDS, without_comments(text)), [])

    def test_only_the_loop_reads_the_clock(self):
        allowed = {"proxy/loop.cc", "proxy/ctl_client.cc"}  # the client of `ctl` is a program that waits, without a loop
        clock = r"\b(clock_gettime|gettimeofday|(steady|system|high_resolution)_clock::now)\b"
        self.assertEqual([path for path, text in sources("proxy") if re.search(clock, without_comments(text)) and path not in allowed], [])

    def test_the_sides_are_client_and_upstream(self):
        words = re.compile(r"back-?end|downstream", re.I)
        found = []
        for path, text in sources("include", "rules", "proxy", "tests"):
            found += [f"{path}:{number}" for number, line in enumerate(text.splitlines(), 1) if words.search(line)]
        self.assertEqual(found, [])

    def test_every_source_opens_with_its_licence_and_says_what_it_is(self):
        for path, text in sources("include", "rules", "proxy", "tests"):
            with self.subTest(path):
                lines = text.splitlines() + ["", ""]
                self.assertEqual(lines[0], "// SPDX-License-Identifier: MIT")
                self.assertTrue(lines[1].startswith(("//", "#include")), lines[1])

    def test_every_unit_test_is_built(self):
        """CMake lists them by name: a file that is forgotten there is never compiled, and never fails."""
        with open(os.path.join(ROOT, "tests", "CMakeLists.txt")) as file:
            listed = re.findall(r"\bunit/\w+_test\.cc\b", file.read())
        there = [os.path.relpath(path, os.path.join(ROOT, "tests")) for path in glob.glob(os.path.join(ROOT, "tests", "unit", "*_test.cc"))]
        self.assertEqual(sorted(listed), sorted(there))


class Map(unittest.TestCase):
    def test_architecture_names_no_file_that_is_not_there(self):
        with open(os.path.join(ROOT, "ARCHITECTURE.md")) as file:
            text = file.read()
        named = set(re.findall(r"\b(?:proxy|rules|include/spillway|tests|docs)/\w+\.(?:cc|h|py|md|svg)\b", text))
        named |= {f"proxy/{name}" for name in re.findall(r"`(\w+\.(?:cc|h))`", text)}  # in a row, the room stands with its first
        self.assertGreater(len(named), 50)
        self.assertEqual([name for name in sorted(named) if not os.path.exists(os.path.join(ROOT, name))], [])


class Steps(unittest.TestCase):
    """The life of a request has the same names, in the same order, in the text, in the picture and in the code."""

    def test_architecture_picture_and_code_name_the_same_steps(self):
        with open(os.path.join(ROOT, "proxy", "exchange.cc")) as file:
            body = re.search(r"StepName\(Step step\) \{(.*?)\n\}", file.read(), re.S).group(1)
        code = ["accept"] + re.findall(r'return "([a-z ]+)";', body)  # a connection is accepted before it has an exchange
        with open(os.path.join(ROOT, "ARCHITECTURE.md")) as file:
            self.assertEqual(re.findall(r"^### \d+\. ([a-z ]+)$", file.read(), re.M), code)
        for name in ("life-of-a-request-light.svg", "life-of-a-request-dark.svg"):
            with open(os.path.join(ROOT, "docs", name)) as file:
                picture = re.findall(r'class="step"[^>]*>([a-z ]+)<', file.read())
            self.assertEqual(sorted(picture), sorted(code), name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
