# SPDX-License-Identifier: MIT
"""What processes have used: CPU time of all their threads, and memory, from /proc."""

import os
import threading


def family(pid):
    """A process and its children."""
    pids = [pid]
    for each in pids:
        for task in os.listdir(f"/proc/{each}/task"):
            with open(f"/proc/{each}/task/{task}/children") as children:
                pids += [int(child) for child in children.read().split()]
    return pids


def cpu_seconds(pid):
    """User and system time so far. schedstat counts in nanoseconds what stat tells in hundredths of a second."""
    total = 0.0
    for each in family(pid):
        for task in os.listdir(f"/proc/{each}/task"):
            try:
                with open(f"/proc/{each}/task/{task}/schedstat") as stat:
                    total += int(stat.read().split()[0]) / 1e9
            except FileNotFoundError:  # a kernel without it
                with open(f"/proc/{each}/task/{task}/stat") as stat:
                    fields = stat.read().rsplit(")", 1)[1].split()
                total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def settled_cpu_seconds(pid, turns=25):
    """The same once nothing is under way any more: connections are still closed when the load has ended."""
    before = cpu_seconds(pid)
    for _ in range(turns):
        threading.Event().wait(0.02)
        now = cpu_seconds(pid)
        if now - before < 20e-6:  # what a timer of its own may use
            return now
        before = now
    return before


def memory_bytes(pid):
    """PSS: what the processes have in memory, shared pages divided among those that share them."""
    total = 0
    for each in family(pid):
        with open(f"/proc/{each}/smaps_rollup") as rollup:
            total += next(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Pss:"))
    return total
