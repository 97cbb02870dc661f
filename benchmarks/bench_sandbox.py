"""What a run in the sandbox costs beyond starting Python: median and best of N, beside the bare interpreter.

The bare interpreter is the same one without packages, doing the same nothing. Rounds take turns, so that a busy machine
slows all alike. Usage: python benchmarks/bench_sandbox.py [N]. Prints one JSON line, in milliseconds.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from seedtune.sandbox import Level, Program, best_level, run_code
from seedtune.sandbox.interpreter import base_interpreter
from seedtune.sandbox.levels import problem_with

LEVELS: tuple[Level, ...] = ("bubblewrap", "landlock", "unsafe")
NOTHING = Program("print('ok')")


def bare() -> None:
    python = str(base_interpreter().executable)
    subprocess.run([python, "-I", "-S", "-c", NOTHING.code], check=True, stdout=subprocess.DEVNULL)


def at(level: Level) -> Callable[[], None]:
    def run() -> None:
        result = run_code(NOTHING, level=level)
        if result.stdout != "ok\n":
            raise SystemExit(result.summary())

    return run


def measure(contestants: dict[str, Callable[[], None]], rounds: int) -> dict[str, dict[str, float]]:
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            times[name].append(1000 * (time.perf_counter() - start))
    return {
        name: {"median": round(statistics.median(values), 1), "best": round(min(values), 1)}
        for name, values in times.items()
    }


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    best_level()  # its probes are made once in a process
    here = [level for level in LEVELS if level == "unsafe" or problem_with(level) is None]
    figures = measure({"python": bare, **{level: at(level) for level in here}}, count)
    beyond = {level: round(figures[level]["median"] - figures["python"]["median"], 1) for level in here}
    print(json.dumps({"rounds": count, **figures, "beyond_python": beyond}))
