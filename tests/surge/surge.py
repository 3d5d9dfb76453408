#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Surges, end to end: a crowd (surge_users) that comes whether or not it is answered, the real binary, and a model
application server (surge_origin) whose capacity, pace and breaking points are drawn at random. The proxy is told which
paths matter more, and no figure of the server's.

    tests/surge/surge.py --scenario L1 --runs 10 --seed 1         one scenario, with its targets
    tests/surge/surge.py --list                                   what there is
    tests/surge/surge.py --smoke                                  a short one with loose bounds, for ctest
    tests/surge/surge.py --scenario L1 --server haproxy           the same at another proxy, set up knowing the capacity
    tests/surge/surge.py --compare                                some at all of them, as a table

Each run has a quiet phase first, with 30 % of what the server can do; what a surge does to times is judged by it. Times
count from when a user meant to ask. Goodput is good answers by what the server could have given in that time, with the
work that its requests really were. `late` says how late both programs ran themselves: a machine that is busy with other
things makes figures worse, and shows there.
"""

import argparse
import json
import os
import signal
import sys
import time

from stage import BROCHURE, MAZE, ORDER, PAGE, ROOT, Figures, Origin, Stage, World, goodput, share, total, wait_for_calm

# --- scenarios --------------------------------------------------------------------------------------------------


def jabbing(how, seed, seconds=20):
    """L1 and L7: ten times what can be answered, jabbing at refresh, a server that collapses, and a buyer in the middle
    of it. A tenth of the first tries are orders; first tries are six times the capacity, so that orders alone are 60 %
    of it, and jabbing makes it ten times."""
    world = World(seed, how.slow, high=400, collapse=True)
    mix = {ORDER: 0.1, PAGE: 0.6, BROCHURE: 0.3}
    with Stage(how, world, orders=0.6) as stage:
        stage.quiet(mix)
        crowd = stage.surge(mix, rate=6 * world.capacity, seconds=seconds, patience=4, jab=0.5, jabs=8, jab_after=1,
                            walk=200, walk_every=round(seconds / 210, 4), windows=[(2, seconds)])
        result, origin = stage.end(crowd)
    figures = Figures(stage, result, origin)
    order, walker = result["whole"]["classes"]["order"], result["whole"]["classes"]["walker"]
    possible = world.workers / origin["service_ms"] * 1000
    figures.least("L1 orders answered", share(order["good"], order["came"]), 1)
    figures.most("L1 orders p95 x quiet", order["p95"] / stage.p95, 1.6)
    figures.least("L1 goodput", goodput(result["windows"][0], possible), 0.95)
    figures.most("L1 leaked pages", total(result["whole"], "leaked"), 0)
    figures.most("L1 peak in flight / workers", max(origin["peaks"][1:seconds]) / world.workers, 1.5)
    figures.least("L7 answers of 200", share(walker["good"], walker["came"]), 1)
    figures.most("(L7 p95 x quiet)", walker["p95"] / stage.p95, 2)
    figures.notes["orders"] = {name: order[name] for name in ("came", "good", "refused", "left", "reset", "status")}
    figures.notes["walker"] = {name: walker[name] for name in ("came", "good", "refused", "left", "reset", "status")}
    figures.notes["peaks"] = origin["peaks"]
    return figures


def plain(how, seed, seconds=20):
    """L2: four times what can be answered, and nothing special."""
    world = World(seed, how.slow)
    mix = {PAGE: 1}
    with Stage(how, world) as stage:
        stage.quiet(mix)
        result, origin = stage.end(stage.surge(mix, rate=4 * world.capacity, seconds=seconds, windows=[(2, seconds)]))
    figures = Figures(stage, result, origin)
    page = result["windows"][0]["classes"]["page"]
    figures.most("L2 p50 x quiet", page["p50"] / stage.p50, 1.15)
    figures.most("L2 p95 x quiet", page["p95"] / stage.p95, 1.5)
    figures.least("L2 goodput", goodput(result["windows"][0], world.workers / origin["service_ms"] * 1000), 0.95)
    figures.most("L2 refusals' p95, ms", page["refusal_p95"], 5)
    figures.notes["refusals_ms"] = [round(page[f"refusal_p{part}"], 1) for part in (50, 95, 99, 100)]
    figures.notes["peaks"] = origin["peaks"]
    return figures


def changing(how, seed, seconds=30, world=None, line="L3"):
    """L3: in one surge the capacity falls to a third, and then grows ninefold."""
    world = world or World(seed, how.slow)
    mix = {PAGE: 1}
    third = seconds / 3
    settled = [(third - 5, third), (third + 5, 2 * third), (2 * third + 5, seconds)]
    phases = [world.workers, max(1, round(world.workers / 3)), max(1, round(world.workers / 3)) * 9]
    with Stage(how, world) as stage:
        stage.quiet(mix)
        crowd = stage.surge(mix, rate=5 * world.capacity, seconds=seconds, windows=settled)
        for number in (1, 2):
            crowd.at(number * third)
            stage.origin.say(f"workers {phases[number]}")
        result, origin = stage.end(crowd)
    figures = Figures(stage, result, origin)
    for name, tally, workers in zip(("before", "a third", "ninefold"), result["windows"], phases):
        possible = min(workers / origin["service_ms"] * 1000, 5 * world.capacity)
        figures.most(f"{line} {name}: p50 x quiet", tally["classes"]["page"]["p50"] / stage.p50, 1.3)
        figures.least(f"{line} {name}: goodput", goodput(tally, possible), 0.9)
    figures.notes["good_by_second"] = [second["good"] for second in result["seconds"]]
    figures.notes["p50_by_second"] = [round(second["p50"]) for second in result["seconds"]]
    return figures


def few(how, seed, seconds=30):
    """L3b: the same where few workers are left, one to five, and some fifty answers in a second."""
    return changing(how, seed, seconds, World(seed, how.slow, low=120, high=260), "L3b")


def instant(how, seed, people=30000):
    """L4: thirty thousand in one instant, each with a connection, and a newcomer ten seconds later. Two programs bring
    them: one has too few descriptors. Those who can be answered are as many as the server can answer in the 5 s that
    the queue lets one wait."""
    world = World(seed, how.slow)
    mix = {PAGE: 1}
    with Stage(how, world, people=people) as stage:
        stage.quiet(mix)
        options = {"burst": people // 2, "own": 1, "sources": 32, "seconds": 1, "patience": 20}
        crowd = stage.surge(mix, **options)
        more = stage.users(mix, **options, seed=seed * 7 + 6)
        crowd.at(10)
        newcomer = stage.users(mix, burst=1, seconds=1, patience=5).result()
        others = more.result()["whole"]["classes"]["page"]
        result, origin = stage.end(crowd)
    figures = Figures(stage, result, origin)
    page, late = result["whole"]["classes"]["page"], newcomer["whole"]["classes"]["page"]
    count = {name: page[name] + others[name] for name in ("came", "good", "refused", "left", "reset", "status", "no_room")}
    capacity = world.workers / origin["service_ms"] * 1000
    figures.least("L4 served, of what could be", count["good"] / min(people, capacity * 5), 0.9)
    figures.most("L4 refusals' worst, ms", max(page["refusal_p100"], others["refusal_p100"]), 3000)
    figures.most("L4 reset or without a page", count["reset"] + count["status"] + count["left"] + count["no_room"], 0)
    figures.least("L4 newcomer served", late["good"], 1)
    figures.most("L4 newcomer, ms", late["p100"] if late["good"] else 9999, 1000)
    figures.notes["refusals_ms"] = [[round(of[f"refusal_p{part}"]) for part in (50, 95, 99, 100)] for of in (page, others)]
    figures.notes["served_ms"] = [[round(of[f"p{part}"]) for part in (50, 95, 99, 100)] for of in (page, others)]
    figures.notes["people"] = count
    return figures


def hanging(how, seed, seconds=30):
    """L5: every twentieth request goes to a path that hangs for 20 s, at 60 % load."""
    world = World(seed, how.slow)
    mix = {ORDER: 0.15, PAGE: 0.8, MAZE: 0.05}
    with Stage(how, world) as stage:
        stage.quiet({ORDER: 0.15, PAGE: 0.85})
        stage.origin.say("hang /maze/ 1 20")
        result, origin = stage.end(stage.surge(mix, rate=0.6 * world.capacity, seconds=seconds, windows=[(2, seconds)]))
    figures = Figures(stage, result, origin)
    whole = result["whole"]["classes"]
    good, came = (whole["order"][name] + whole["page"][name] for name in ("good", "came"))
    figures.least("L5 other paths answered", share(good, came), 0.99)
    figures.most("L5 other paths' p95 x quiet", result["windows"][0]["classes"]["page"]["p95"] / stage.p95, 1.3)
    figures.notes["pages"] = {name: whole["page"][name] for name in ("came", "good", "refused", "left", "reset", "status")}
    figures.notes["maze"] = {name: whole["maze"][name] for name in ("came", "good", "refused", "left", "reset", "status")}
    figures.notes["p50_by_second"] = [round(second["p50"]) for second in result["seconds"]]
    return figures


def stuck(how, seed, seconds=25):
    """L5b: a quarter of the workers hang for 20 s, on whatever they do, at 90 % load."""
    world = World(seed, how.slow)
    mix = {ORDER: 0.2, PAGE: 0.5, BROCHURE: 0.3}
    with Stage(how, world) as stage:
        stage.quiet(mix)
        crowd = stage.surge(mix, rate=0.9 * world.capacity, seconds=seconds, patience=25, windows=[(3, 22)])
        crowd.at(3)
        hung = max(1, world.workers // 4)
        stage.origin.say(f"stick {hung} 20")
        result, origin = stage.end(crowd)
    figures = Figures(stage, result, origin)
    order = result["whole"]["classes"]["order"]
    figures.least("L5b orders answered", share(order["good"], order["came"]), 0.99)
    figures.most("L5b orders' p95 x quiet", result["windows"][0]["classes"]["order"]["p95"] / stage.p95, 1.3)
    figures.notes["hung"] = hung
    figures.notes["orders"] = {name: order[name] for name in ("came", "good", "refused", "left", "reset", "status")}
    return figures


def killed(how, seed, seconds=26):
    """L6: the server is killed for ten seconds under load, and comes back; those who order have time, and the queue lets them
    wait for a quarter of a minute."""
    world = World(seed, how.slow, high=400)
    mix = {ORDER: 0.15, PAGE: 0.85}
    with Stage(how, world, app={"queue": {"timeout": "15s"}}) as stage:
        stage.quiet(mix)
        crowd = stage.surge(mix, rate=2 * world.capacity, seconds=seconds, patience=30, windows=[(8.05, 17.95), (20, seconds)])
        crowd.at(8)
        stage.origin.close(kill=True)
        crowd.at(18)
        port = stage.origin.port
        stage.origin = Origin(how.programs, port=port, **world.options())
        returned = time.monotonic() - crowd.began
        result, origin = stage.end(crowd)
    figures = Figures(stage, result, origin)
    down, after = result["windows"]
    order, page = down["classes"]["order"], down["classes"]["page"]
    figures.least("L6 orders made meanwhile that succeed", share(order["good"], order["came"]), 0.95)
    figures.most("L6 others' p95 to a page, ms", page["refusal_p95"], 50)
    figures.least("L6 others with a page", share(page["came"] - page["reset"] - page["left"] - page["no_room"], page["came"]), 1)
    ends = [end for begin, end in result["gaps"] if begin < 18 <= end]
    first = max(0, 1000 * (ends[0] - returned)) if ends else 0  # no gap: somebody was served all the time
    figures.most("L6 first success after return, ms", first, 100)
    # A wave comes at once, or when the first who were let in are answered; later it is a surge like any other (L2).
    figures.most("L6 peak in flight, 3 s on return / workers", max(origin["peaks"][:3]) / world.workers, 1.5)
    figures.least("L6 goodput after", goodput(after, world.workers / origin["service_ms"] * 1000), 0.9)
    figures.notes.update(returned=round(returned, 2), gaps=result["gaps"], good_by_second=[second["good"] for second in result["seconds"]],
                         orders={name: order[name] for name in ("came", "good", "refused", "left", "reset", "status")},
                         pages={name: page[name] for name in ("came", "good", "refused", "left", "reset", "status")})
    return figures


SCENARIOS = {"L1": jabbing, "L2": plain, "L3": changing, "L3b": few, "L4": instant, "L5": hanging, "L5b": stuck, "L6": killed}


# --- telling ----------------------------------------------------------------------------------------------------


def median(values):
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def table(runs):
    """One row for each figure: median and worst of the runs, and the target."""
    rows = []
    for number, (name, _, target, at_most) in enumerate(runs[0].rows):
        values = [run.rows[number][1] for run in runs]
        middle, worst = median(values), (max if at_most else min)(values)
        met = worst <= target if at_most else worst >= target
        rows.append({"figure": name, "median": middle, "worst": worst, "target": target, "at_most": at_most, "met": met,
                     "median_met": middle <= target if at_most else middle >= target, "values": [round(v, 4) for v in values]})
    return rows


def show(name, server, rows):
    print(f"\n{name} at {server}, {len(rows[0]['values'])} runs")
    print(f"  {'':44} {'median':>10} {'worst':>10} {'target':>10}")
    for row in rows:
        word = "met" if row["met"] else "median met" if row["median_met"] else "MISSED"
        print(f"  {row['figure']:44} {row['median']:10.3f} {row['worst']:10.3f} {'<=' if row['at_most'] else '>='}{row['target']:8.2f}  {word}")


def brief(view):
    """A view in a line: what is not zero."""
    parts = []
    for name, value in view.items():
        if name == "shed":
            value = {f"{kind} {reason}": count for kind, reasons in value.items() for reason, count in reasons.items() if count}
        elif isinstance(value, dict):
            value = {kind: count for kind, count in value.items() if count}
        elif isinstance(value, float):
            value = round(value, 3)
        parts.append(f"{name} {value}")
    return ", ".join(parts)


def play(how, name):
    runs = []
    for number in range(how.runs):
        seed = how.seed + number
        for _ in range(4):
            wait_for_calm(how.calm)
            figures = SCENARIOS[name](how, seed, **({"seconds": how.seconds} if how.seconds and name != "L4" else {}))
            if not how.calm or not figures.spoilt:
                break
            print(f"# {name} seed {seed}: the machine was busy, once more {figures.notes['late_users_ms']} {figures.notes['late_origin_ms']}")
        runs.append(figures)
        if not how.brief:
            print(f"# {name} seed {seed}: {figures.stage.world}")
            print("#   " + "; ".join(f"{row[0]} {row[1]:.3f}" for row in figures.rows))
            print(f"#   {json.dumps(figures.notes)}")
            if how.views:
                for at, view in figures.stage.watch.views:
                    print(f"#   {at:5.1f} {brief(view)}")
            sys.stdout.flush()
    rows = table(runs)
    show(name, how.server, rows)
    sys.stdout.flush()
    return rows


def compare(how, names):
    """The same surges at all proxies that are installed: a table in Markdown."""
    import servers
    found = [name for name in servers.SERVERS if servers.installed(name)]
    columns = {}
    for how.server in found:
        columns[how.server] = [row for name in names for row in play(how, name)]
    print(f"\n| | target | {' | '.join(found)} |\n|{' --- |' * (len(found) + 2)}")
    for number, row in enumerate(columns[found[0]]):
        cells = (f"{columns[name][number]['median']:.3g} ({columns[name][number]['worst']:.3g})" for name in found)
        print(f"| {row['figure']} | {'≤' if row['at_most'] else '≥'} {row['target']:g} | {' | '.join(cells)} |")
    return columns


# Loose: what a build must do on any machine. One that was busy with other things is asked for less.
SMOKE = {"L1 orders answered": 0.97, "L1 goodput": 0.5, "L1 leaked pages": 0, "L7 answers of 200": 0.97}


def smoke(how):
    how.runs, how.seconds, how.slow, how.calm = 1, how.seconds or 8, 2, 0
    figures = jabbing(how, how.seed, how.seconds)
    show("L1", how.server, table([figures]))
    print(json.dumps(figures.notes))
    wrong = []
    for name, value, _, at_most in figures.rows:
        bound = SMOKE.get(name)
        if bound is None or (figures.spoilt and not at_most):
            continue
        if value > bound if at_most else value < bound:
            wrong.append(f"{name}: {value:.3f}, {'at most' if at_most else 'at least'} {bound} is asked for")
    print("\n".join(wrong) or ("the machine was too busy to tell" if figures.spoilt else "as it should be"))
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", action="append", help="as --list tells them; default: all")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, help="of the surge, in place of the scenario's own")
    parser.add_argument("--binary", help="the spillway; default: $SPILLWAY_BINARY, or that of the release build")
    parser.add_argument("--programs", default=os.path.join(ROOT, "build/release/tests"), help="where surge_origin and surge_users are")
    parser.add_argument("--server", default="spillway", help="spillway, fixed, nginx or haproxy: see servers.py")
    parser.add_argument("--slow", type=float, default=1, help="stretch the server's times, and have so many fewer requests")
    parser.add_argument("--calm", type=float, default=0, metavar="SECONDS", help="wait so long for a machine with nothing else to do, and repeat runs "
                        "that it spoilt all the same, thrice at most")
    parser.add_argument("--json", help="where to write all figures")
    parser.add_argument("--views", action="store_true", help="print what the proxy said of its admission meanwhile")
    parser.add_argument("--compare", action="store_true", help="at all servers that are installed, one after the other")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--smoke", action="store_true")
    how = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    how.brief = False
    if how.binary:
        os.environ["SPILLWAY_BINARY"] = os.path.abspath(how.binary)
    if how.list:
        for name, scenario in SCENARIOS.items():
            print(f"{name:4} {' '.join(scenario.__doc__.split())}")
        return 0
    if how.smoke:
        return smoke(how)
    if how.compare:
        compare(how, how.scenario or ["L1", "L2", "L3", "L5"])
        return 0
    results = {name: play(how, name) for name in how.scenario or SCENARIOS}
    if how.json:
        with open(how.json, "w") as out:
            json.dump({"server": how.server, "seed": how.seed, "runs": how.runs, "results": results}, out, indent=1)
    return 0 if all(row["median_met"] for rows in results.values() for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
