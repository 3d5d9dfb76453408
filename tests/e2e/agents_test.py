# SPDX-License-Identifier: MIT
"""What the shipped rule sets make of real user agents: lists of browsers and of crawlers that people keep, fetched by npm (not run without it)."""

import json
import os
import shutil
import subprocess
import tarfile

import yaml

from harness import ROOT, Case, main, run

RULES = os.path.join(ROOT, "examples", "rules.d")

# A rule set, its rules that stop a crawler, and the crawlers that it claims: by what the list says they are, or all.
CLAIMS = [("45-robots.yaml", {"robots"}, None), ("30-ai-crawlers.yaml", {"ai-trainers", "ai-answerers"}, "ai-crawler")]

# What the shares below were found with: a list that grows must not fail a test of what did not change.
CRAWLERS = ("crawler-user-agents@1.60.0", "crawler-user-agents.json")
BROWSERS = ("user-agents@2.1.198", "dist/user-agents.json")


def fetched(package, member):
    """A file of an npm package of one version, kept beside the build; None where it can't be had."""
    kept = os.path.join(ROOT, "build", "npm")
    path = os.path.join(kept, package, member)
    if not os.path.exists(path):
        if shutil.which("npm") is None:
            return None
        os.makedirs(os.path.dirname(path), exist_ok=True)
        done = subprocess.run(["npm", "pack", "--silent", package], cwd=kept, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            return None
        with tarfile.open(os.path.join(kept, done.stdout.split()[-1])) as archive:
            with archive.extractfile("package/" + member) as file, open(path + ".part", "wb") as out:
                out.write(file.read())
        os.replace(path + ".part", path)
    with open(path) as file:
        return json.load(file)


class Agents(Case):
    def judged(self, rules, names, agents):
        """Which of the agents a rule of these names holds for, whatever it then does."""
        with open(os.path.join(RULES, rules)) as file:
            library = yaml.safe_load(file)
        settings = {"version": 1, "pools": {"app": {"servers": ["127.0.0.1:1"]}}, "lists": library["lists"],
                    "rules": [{"name": rule["name"], "match": rule["match"], "action": "deny"}
                              for rule in library["rules"] if rule["name"] in names]}
        self.assertEqual({rule["name"] for rule in settings["rules"]}, names)
        path = os.path.join(self.directory(), "spillway.yaml")
        with open(path, "w") as out:
            json.dump(settings, out)
        lines = "".join(json.dumps({"id": agent, "path": "/", "headers": {"User-Agent": agent}}) + "\n" for agent in agents)
        done = run("explain", "-c", path, "--jsonl", input=lines)
        self.assertEqual(done.returncode, 0, done.stderr)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([answer["id"] for answer in answers], agents)
        return {answer["id"] for answer in answers if answer["action"] == "deny"}

    def test_the_bot_rules_catch_the_crawlers_that_they_claim_and_hardly_a_browser(self):
        crawlers = fetched(*CRAWLERS)
        browsers = fetched(*BROWSERS)
        if crawlers is None or browsers is None:
            self.skipTest("npm is not here, or gets nothing")
        people = [browser["userAgent"] for browser in browsers]
        self.assertGreaterEqual(len(people), 10_000)
        print(f"\n{'rule set':24} {'claimed':>8} {'caught':>8} {'':>7} {'browsers':>9} {'caught':>7} {'':>7}")
        for rules, names, tag in CLAIMS:
            claimed = sorted({agent for crawler in crawlers if tag is None or tag in crawler["tags"] for agent in crawler["instances"]})
            self.assertGreater(len(claimed), 50)
            caught = self.judged(rules, names, claimed)
            wrong = self.judged(rules, names, sorted(set(people)))
            hit = sum(person in wrong for person in people)
            print(f"{rules:24} {len(claimed):8} {len(caught):8} {len(caught) / len(claimed):7.1%} {len(people):9} {hit:7} {hit / len(people):7.2%}")
            self.assertGreaterEqual(len(caught), 0.98 * len(claimed), sorted(set(claimed) - caught)[:50])
            self.assertLessEqual(hit, 0.001 * len(people), sorted(wrong)[:20])

    def test_no_browser_is_longer_than_the_largest_user_agent_by_default(self):
        browsers = fetched(*BROWSERS)
        if browsers is None:
            self.skipTest("npm is not here, or gets nothing")
        self.assertLess(max(len(browser["userAgent"]) for browser in browsers), 1024 // 2)


if __name__ == "__main__":
    main()
