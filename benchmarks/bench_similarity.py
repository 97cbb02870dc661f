"""How fast ROUGE-L finds near-duplicates, beside the ways a user would take instead.

Usage: python benchmarks/bench_similarity.py [CANDIDATES]. Prints one JSON line. Needs the package rouge-score.

- ``pool``: candidates against a pool of 5,000 by ours, by rouge-score in a ``multiprocessing.Pool`` opened for each
  candidate (as Self-Instruct and Alpaca do it), and by rapidfuzz's ``process.cdist``. The same scores are demanded.
- ``greedy``: 50,000 instructions one after the other; each joins the pool unless one there is above the threshold.
- ``memory``: growth of this process by 100,000 instructions with ids of 16 digits.
- ``minhash``, ``guard``: a question to the other filters.

Instructions have 18 words on average, drawn from the seed tasks of the BGP domain as often as they stand there, and a
third is another one with a few words changed. Seconds are of the CPU, children's included, so that other work on the
machine counts little.
"""

import functools
import json
import multiprocessing
import os
import random
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import LCSseq
from rouge_score import rouge_scorer

from seedtune.domains import Domain, load_domain
from seedtune.domains.contamination import ItemGuard
from seedtune.generate.filters.minhash import MinHashIndex
from seedtune.records import Task
from seedtune.similarity import RougeIndex, tokenize_ascii

POOL, GREEDY, ACCEPTED = 5_000, 50_000, 100_000
THRESHOLD = 0.7

SCORER = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def timed(work: Callable[[], list[NDArray[np.float64]]]) -> tuple[float, list[NDArray[np.float64]]]:
    start = cpu_seconds()
    found = work()
    return cpu_seconds() - start, found


def instructions(domain: Domain, seed: int) -> Iterator[str]:
    """Without end, the same for the same seed."""
    words = [word for pack in domain.packs.values() for task in pack.seeds for word in task.instruction.split()]
    draw = random.Random(seed)
    recent: list[list[str]] = []
    while True:
        if recent and draw.random() < 1 / 3:
            text = [draw.choice(words) if draw.random() < 0.15 else word for word in draw.choice(recent)]
        else:
            text = draw.choices(words, k=max(4, round(draw.gauss(18, 6))))
            recent = [*recent[-999:], text]
        yield " ".join(text)


def some(count: int, domain: Domain, seed: int) -> list[str]:
    source = instructions(domain, seed)
    return [next(source) for _ in range(count)]


def rouge_l(candidate: list[str], other: list[str]) -> float:
    return float(rouge_scorer._score_lcs(other, candidate).fmeasure)


def originals(pool: list[str], candidates: list[str]) -> list[NDArray[np.float64]]:
    """A process pool for each candidate; the tokens of the pool are kept, as Alpaca does."""
    tokens = [SCORER._tokenizer.tokenize(text) for text in pool]
    found: list[NDArray[np.float64]] = []
    for text in candidates:
        with multiprocessing.Pool() as workers:
            compare = functools.partial(rouge_l, SCORER._tokenizer.tokenize(text))
            found.append(np.array(workers.map(compare, tokens)))
    return found


def with_rapidfuzz(pool: list[str], candidates: list[str]) -> list[NDArray[np.float64]]:
    """Each distinct token becomes a character, and cdist gives the longest common subsequence."""
    codes: dict[str, str] = {}

    def encode(text: str) -> str:
        return "".join(codes.setdefault(token, chr(len(codes) + 1)) for token in tokenize_ascii(text))

    encoded = [encode(text) for text in pool]
    lengths = np.array([len(text) for text in encoded])
    found: list[NDArray[np.float64]] = []
    for text in candidates:
        query = encode(text)
        common = process.cdist([query], encoded, scorer=LCSseq.similarity, dtype=np.int32)[0]
        precision, recall = common / lengths, common / len(query)
        with np.errstate(invalid="ignore"):
            found.append(np.where(common > 0, 2 * precision * recall / (precision + recall), 0.0))
    return found


def against_a_pool(domain: Domain, count: int) -> dict[str, float]:
    """Ours answers with the scores of the whole pool, as the others do."""
    pool, candidates = some(POOL, domain, 1), some(max(count, 1), domain, 2)
    index = RougeIndex(tokenize_ascii)
    for number, text in enumerate(pool):
        index.add(str(number), text)
    many = candidates * (200 // len(candidates) + 1)
    ours_s, ours = timed(lambda: [index.scores(text) for text in many])
    theirs_s, theirs = timed(lambda: originals(pool, candidates))
    fuzz_s, fuzz = timed(lambda: with_rapidfuzz(pool, many))
    for mine, other in (*zip(ours, theirs, strict=False), *zip(ours, fuzz, strict=True)):
        if not np.array_equal(mine, other):
            raise SystemExit("the scores differ")
    each = ours_s / len(many)
    return {
        "ours_us": round(1e6 * each),
        "million_pairs_per_s": round(POOL / each / 1e6, 1),
        "rouge_score_ratio": round(theirs_s / len(candidates) / each),
        "rapidfuzz_ratio": round(fuzz_s / len(many) / each, 2),
    }


def greedily(domain: Domain) -> dict[str, float]:
    texts = some(GREEDY, domain, 3)
    index = RougeIndex()
    start = cpu_seconds()
    for number, text in enumerate(texts):
        if index.neighbours(text).score <= THRESHOLD:
            index.add(str(number), text)
    return {"instructions": GREEDY, "kept": len(index), "cpu_s": round(cpu_seconds() - start, 1)}


def memory(domain: Domain) -> dict[str, float]:
    index, source = RougeIndex(), instructions(domain, 4)
    before = resident_mb()
    for number in range(ACCEPTED):
        index.add(f"{number:016x}", next(source))
    return {"instructions": ACCEPTED, "mb": round(resident_mb() - before, 1)}


def other_filters(domain: Domain) -> dict[str, float]:
    """Microseconds of CPU a question; the tasks are the seeds, and MinHash has 100,000 to compare with."""
    tasks = [task for pack in domain.packs.values() for task in pack.seeds]
    guard, index = ItemGuard(domain.suites.values()), MinHashIndex(0.8)
    source = instructions(domain, 5)
    for _ in range(ACCEPTED):
        index.add(Task(instruction=next(source), output="x"))
    found: dict[str, float] = {}
    for name, ask in (("guard_us", guard.hit), ("minhash_us", index.nearest)):
        start = cpu_seconds()
        for task in tasks:
            ask(task)
        found[name] = round(1e6 * (cpu_seconds() - start) / len(tasks))
    return found


if __name__ == "__main__":
    bgp = load_domain("bgp")
    results = {
        "memory": memory(bgp),
        "pool": against_a_pool(bgp, int(sys.argv[1]) if len(sys.argv) > 1 else 10),
        "greedy": greedily(bgp),
        "other_filters": other_filters(bgp),
    }
    print(json.dumps(results))
