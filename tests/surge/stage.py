# SPDX-License-Identifier: MIT
"""What a surge is played on (surge.py): a model server as a seed has it, a proxy before it, a crowd, and the figures that
come of it."""

import json
import os
import random
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))

ORDER, PAGE, BROCHURE, MAZE = "order:POST:/order/", "page:GET:/page/", "brochure:GET:/brochure/", "maze:GET:/maze/"
RULES = [{"name": "orders", "match": {"path": {"prefix": "/order/"}}, "action": {"class": "critical_plus", "protect": "15m"}},
         {"name": "brochure", "match": {"path": {"prefix": "/brochure/"}}, "action": {"class": "sheddable"}}]


class Origin:
    """surge_origin, and a conversation with it."""

    def __init__(self, programs, **options):
        words = [f"{name}={value}" for name, value in options.items()]
        self.process = subprocess.Popen([os.path.join(programs, "surge_origin"), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, (line, answer)
        return answer

    def close(self, kill=False):
        if kill:
            self.process.kill()
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Users:
    """surge_users at work; result() waits for its end."""

    def __init__(self, programs, port, classes, **options):
        words = [f"class={name}:{weight:.6f}" for name, weight in classes.items()]
        words += [f"window={low}:{high}" for low, high in options.pop("windows", ())]
        words += [f"{name}={value}" for name, value in options.items() if value is not None]
        self.began = time.monotonic()
        self.process = subprocess.Popen([os.path.join(programs, "surge_users"), f"port={port}", *words],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    def at(self, second):
        """Waits for a moment of its run: the world changes by the clock."""
        threading.Event().wait(max(0, self.began + second - time.monotonic()))

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def result(self):
        out, _ = self.process.communicate(timeout=300)
        assert self.process.returncode == 0, self.process.returncode
        return json.loads(out)


class Watch:
    """What the proxy says of its admission, twice a second."""

    def __init__(self, server):
        self.views, self.server, self.done = [], server, threading.Event()
        self.began = time.monotonic()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.done.wait(0.5):
            view = self.server.view()
            if view is not None:
                self.views.append((round(time.monotonic() - self.began, 1), view))

    def close(self):
        self.done.set()
        self.thread.join()


# --- what is drawn ----------------------------------------------------------------------------------------------


class World:
    """A server as a seed has it. `slow` stretches its times, for a machine that has little to give."""

    def __init__(self, seed, slow, low=100, high=800, collapse=False):
        chance = random.Random(seed)
        self.seed = seed
        while True:
            self.workers = round(4 * 8 ** chance.random())
            self.service = 20 * 5 ** chance.random()
            self.capacity = self.workers / self.service * 1000
            if low <= self.capacity <= high:
                break
        self.service, self.capacity = self.service * slow, self.capacity / slow
        self.law = chance.choice(["constant", "exponential", "lognormal"])
        self.knee = round(self.workers * chance.uniform(1.2, 2)) if collapse else 0
        self.slope = chance.uniform(0.5, 2) if collapse else 0
        self.database = round(self.workers * chance.uniform(2, 5)) + 2 if collapse else 0

    def options(self):
        return {"workers": self.workers, "service": round(self.service, 3), "law": self.law, "knee": self.knee,
                "slope": round(self.slope, 3), "database": self.database, "seed": self.seed}

    def __str__(self):
        breaks = f", slower from {self.knee}, errors from {self.database}" if self.knee else ""
        return f"{self.workers} workers x {self.service:.0f} ms {self.law} = {self.capacity:.0f}/s{breaks}"


class Stage:
    """A world, a proxy before it, and what the quiet day was like."""

    def __init__(self, how, world, **more):
        import servers  # by now it is known which binary is meant
        self.how, self.world, self.crowds = how, world, []
        self.origin = Origin(how.programs, **world.options())
        try:
            self.server = servers.start(how.server, self.origin.port, world, RULES, **more)
        except BaseException:
            self.origin.close()
            raise

    def quiet(self, classes, seconds=None):
        rate = 0.3 * self.world.capacity
        seconds = seconds or round(min(16 * self.how.slow ** 0.5, max(6, 800 / rate)), 1)
        self.quiet_day = self.users(classes, rate=rate, seconds=seconds, patience=30, windows=[(1, seconds)]).result()
        both = everyone(self.quiet_day["windows"][0], "p50", "p95")
        self.p50, self.p95 = both["p50"], both["p95"]

    def users(self, classes, **options):
        options.setdefault("seed", self.world.seed * 7 + 3)
        self.crowds.append(Users(self.how.programs, self.server.port, classes, **options))
        return self.crowds[-1]

    def surge(self, classes, **options):
        self.origin.say("mark")
        self.watch = Watch(self.server)
        return self.users(classes, **options, seed=self.world.seed * 7 + 5)

    def end(self, crowd):
        """The crowd's report and the origin's."""
        result = crowd.result()
        self.watch.close()
        return result, self.origin.say("report")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for crowd in self.crowds:
            crowd.close()
        self.server.close()
        self.origin.close()


def everyone(tally, *names):
    """Of all classes together, as far as the largest one speaks for them."""
    largest = max(tally["classes"].values(), key=lambda of: of["answers"])
    return {name: largest[name] for name in names}


def total(tally, name):
    return sum(of[name] for of in tally["classes"].values())


def goodput(tally, possible):
    return total(tally, "answers") / (tally["to"] - tally["from"]) / possible


def share(part, whole):
    return part / whole if whole else 1.0


def idle():
    """The share of the last half second in which the processors had nothing to do."""
    def read():
        with open("/proc/stat") as stat:
            fields = [int(field) for field in stat.readline().split()[1:]]
        return fields[3] + fields[4], sum(fields[:8])
    before = read()
    threading.Event().wait(0.5)
    after = read()
    return (after[0] - before[0]) / max(1, after[1] - before[1])


def wait_for_calm(seconds):
    """Waits until the machine has had little else to do for two seconds, at most for so long."""
    until, calm = time.monotonic() + seconds, 0
    while calm < 4 and time.monotonic() < until:
        calm = calm + 1 if idle() > 0.85 else 0


class Figures:
    def __init__(self, stage, crowd=None, origin=None):
        self.rows, self.stage = [], stage
        if crowd:
            self.notes = {"late_users_ms": round(crowd["late_p95_ms"], 1), "late_origin_ms": round(origin["late_p95_ms"], 1),
                          "asks_by_capacity": round(total(crowd["whole"], "asks") / (crowd["whole"]["to"] * stage.world.capacity), 1),
                          "reset": total(crowd["whole"], "reset"), "status": total(crowd["whole"], "status"),
                          "no_room": total(crowd["whole"], "no_room"), "stale": crowd["stale"], "origin_errors": origin["errors"],
                          "quiet_ms": [round(stage.p50), round(stage.p95)]}

    @property
    def spoilt(self):
        """The programs were late themselves: this measures the machine."""
        return max(self.notes["late_users_ms"], self.notes["late_origin_ms"]) > max(4, 0.1 * self.stage.world.service)

    def most(self, name, value, target):
        self.rows.append((name, value, target, True))

    def least(self, name, value, target):
        self.rows.append((name, value, target, False))
