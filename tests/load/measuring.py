"""What every figure of the bench is made of: one thing in several rounds, its CPU and its rate."""

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent
ROUNDS = int(os.environ.get("SIAGA_BENCH_ROUNDS", "7"))
SECONDS = "3"
CONCURRENCY = "16"
# By name: the kind of client, its target, its token, the processes whose CPU counts.
Rounds = dict[str, tuple[str, str, str, list[psutil.Process]]]


@dataclass
class Measured:
    """Of one thing in several rounds."""

    cpu_us: list[float]
    rate: list[float]

    @property
    def cost(self) -> float:
        return statistics.median(self.cpu_us)

    def row(self) -> str:
        rate = statistics.median(self.rate)
        return f"{self.cost:7.0f} ({min(self.cpu_us):.0f}-{max(self.cpu_us):.0f}) {rate:9.0f} ({min(self.rate):.0f}-{max(self.rate):.0f})"


def drive(kind: str, target: str, token: str = "") -> dict[str, Any]:
    arguments = [sys.executable, str(HERE / "client.py"), kind, target, SECONDS, CONCURRENCY, token]
    return json.loads(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)


def measure(rounds: Rounds) -> dict[str, Measured]:
    """Each in turn, round after round; the first one is not counted."""
    found = {name: Measured([], []) for name in rounds}
    for number in range(ROUNDS + 1):
        for name, (kind, target, token, processes) in rounds.items():
            before = sum(used(process) for process in processes)
            result = drive(kind, target, token)
            spent = sum(used(process) for process in processes) - before
            if result["failed"]:
                sys.exit(f"\n{name}: {len(result['failed'])} of {result['calls']} calls failed, the first by: {result['failed'][0]}")
            if number:
                found[name].cpu_us.append(spent / result["calls"] * 1e6)
                found[name].rate.append(result["calls"] / float(SECONDS))
            print(f"\r{name}: round {number} of {ROUNDS}   ", end="", file=sys.stderr, flush=True)
    print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    return found


def used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
