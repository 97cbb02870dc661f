"""How long a user waits for ``seedtune --help``: best and median of N, beside Python itself and beside importing torch.

Usage: python benchmarks/bench_startup.py [N]. Prints one JSON line, in seconds.
"""

import json
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "seedtune_help": ["-m", "seedtune", "--help"],
    "python": ["-c", "pass"],
    "import_torch": ["-c", "import torch"],
}


def measure(arguments: list[str], rounds: int) -> dict[str, float]:
    times: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return {"best": round(min(times), 3), "median": round(statistics.median(times), 3)}


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(json.dumps({"rounds": count, **{name: measure(arguments, count) for name, arguments in COMMANDS.items()}}))
