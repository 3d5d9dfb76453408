# SPDX-License-Identifier: MIT
"""Figures, as text, as JSON, and between the markers of docs/performance.md."""

import json
import platform
import re
import statistics
import subprocess
import time
from dataclasses import dataclass

from harness import ROOT
from rows import ROWS, TARGETS
from servers import SERVERS, installed


@dataclass
class Result:
    """Of one proxy in one row of one round."""

    value: float  # CPU microseconds per request, or bytes per connection
    per_second: float = 0
    answer_bytes: float = 0


class Figures:
    def __init__(self, results):
        self.results = {name: {proxy: values for proxy, values in of.items() if values} for name, of in results.items()}

    def median(self, row, proxy):
        values = self.results.get(row, {}).get(proxy)
        return statistics.median(result.value for result in values) if values else None

    def ratios(self):
        """(target, with what, ratio or figure, allowed) of each target whose figures are there."""
        for target in TARGETS:
            ours = self.median(target.row, "spillway")
            if ours is None:
                continue
            if target.limit:
                yield target, "", ours, target.limit
                continue
            other = target.other or target.row
            theirs = {proxy: self.median(other, proxy) for proxy in target.proxies}
            if None in theirs.values():
                continue
            best = min(theirs, key=theirs.get)
            what = f"{best} (the better)" if len(theirs) > 1 else best
            if target.other:
                what = f"spillway's {other}"
            yield target, what, ours / theirs[best], target.times

    # text
    def text(self):
        lines = [f"{'':18}" + "".join(f"{name:>30}" for name in SERVERS)]
        for row, of in self.results.items():
            cells = ""
            for name in SERVERS:
                cell = ""
                if name in of:
                    cell = self.cell(row, name)
                    rate = statistics.median(result.per_second for result in of[name])
                    cell += f"; {rate:,.0f}/s" if rate else ""
                cells += f"{cell:>30}"
            lines.append(f"{row:18}{cells}")
        lines += ["", "CPU microseconds per request, or bytes per connection: median (lowest..highest); requests/s", ""]
        for target, what, ratio, allowed in self.ratios():
            lines.append(f"{target.row:18} {self.said(target, what, ratio, allowed)}")
        return "\n".join(lines)

    def cell(self, row, proxy):
        values = [result.value for result in self.results[row][proxy]]
        return f"{number(statistics.median(values))} ({number(min(values))}..{number(max(values))})"

    @staticmethod
    def said(target, what, ratio, allowed):
        met = "met" if ratio <= allowed else "MISSED"
        if target.limit:
            return f"{number(ratio)} bytes, at most {number(allowed)}: {met}"
        return f"{ratio:.2f} of {what}, at most {allowed:.2f}: {met}"

    # JSON
    def write_json(self, path):
        with open(path, "w") as out:
            json.dump({"versions": versions(), "rows": {
                row: {proxy: {"unit": ROWS[row].unit, "rounds": [vars(result) for result in values]} for proxy, values in of.items()}
                for row, of in self.results.items()},
                "ratios": [{"row": target.row, "to": what, "ratio": ratio, "at_most": allowed} for target, what, ratio, allowed in self.ratios()]},
                out, indent=1)
            out.write("\n")

    # docs/performance.md
    def write_document(self, path):
        """Lines of rows that were not measured now stay as they are; so each line says when it was taken."""
        with open(path) as file:
            text = file.read()
        taken = f"{time.strftime('%Y-%m-%d')} {commit()}"
        text = table(text, "rows", {row.name: f"| `{row.name}` | {row.says} |" for row in ROWS.values()}, list(ROWS))
        figures = {}
        for row in self.results:
            cells = " | ".join(self.cell(row, name) if name in self.results[row] else "" for name in SERVERS)
            rounds = max(len(values) for values in self.results[row].values())
            figures[row] = f"| `{row}` | {cells} | {rounds} | {taken} |"
        text = table(text, "figures", figures, list(ROWS))
        ratios = {}
        for target, what, ratio, allowed in self.ratios():
            value, limit = (f"{number(ratio)} bytes", f"{number(allowed)} bytes") if target.limit else (f"{ratio:.2f}", f"{allowed:.2f}")
            ratios[key(target)] = f"| `{target.row}` | {what} | {value} | {limit} | {'yes' if ratio <= allowed else 'no'} | {taken} |"
        text = table(text, "ratios", ratios, [key(target) for target in TARGETS], lambda line: line_key(line))
        text = between(text, "versions", "".join(f"- {line}\n" for line in versions()))
        with open(path, "w") as out:
            out.write(text)


def number(value):
    """Three digits that say something, or all of a large one."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def key(target):
    """Which line of the ratios a target has: by its row, and what it is compared with."""
    return f"{target.row} {target.other or ' '.join(target.proxies)}"


def line_key(line):
    """The same, read from a line."""
    row, what = [cell.strip() for cell in line.split("|")[1:3]]
    row = row.strip("`")
    if what.startswith("spillway's "):
        return f"{row} {what.split(' ', 1)[1]}"
    if what.endswith("(the better)"):
        return next(key(target) for target in TARGETS if target.row == row and len(target.proxies) > 1)
    return f"{row} {what}"


def table(text, name, lines, order, key_of=lambda line: line.split("`")[1]):
    """The table between the markers with these lines exchanged, and in this order."""
    before = re.search(rf"(?ms)^<!-- {name} -->\n(.*?)^<!-- end -->", text).group(1).splitlines()
    head = before[:2]
    kept = {key_of(line): line for line in before[2:]}
    kept.update(lines)
    return between(text, name, "\n".join(head + [kept[each] for each in order if each in kept]) + "\n")


def between(text, name, body):
    changed, count = re.subn(rf"(?ms)(^<!-- {name} -->\n).*?(^<!-- end -->)", lambda match: match.group(1) + body + match.group(2), text)
    assert count == 1, name
    return changed


def commit():
    done = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty=+"], capture_output=True, text=True)
    return done.stdout.strip() or "-"


def versions():
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())
    system = "Linux"
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        pass
    return [f"{model}, {system}, Linux {platform.release().split('-')[0]}"] + [
        server.version() for name, server in SERVERS.items() if installed(name)]
