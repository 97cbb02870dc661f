"""What a big run needs: the memory of the loop at work, and of taking up a journal with 100,000 accepted instructions.

At work, the loop has a teacher in its own process that answers at once, so that judging is what it waits for. The
journal that is taken up is made here, as the loop would have written it: five tasks a reply, three of them kept. Each
is measured in a process of its own: the peak of its memory, beside that of the same process before it began, and the
seconds to replay the journal and to write the views. Prints one JSON line; the ratio is the larger memory to the 2 GB
that 100,000 may take. Usage: python benchmarks/bench_scale.py [ACCEPTED] [ACCEPTED AT WORK]
"""

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_generate import ManyAtOnce

from seedtune import runs
from seedtune.config import Config
from seedtune.domains import load_domain
from seedtune.generate import stage
from seedtune.generate.journal import Journal
from seedtune.generate.settings import settings_of
from seedtune.generate.state import State
from seedtune.generate.views import write_views
from seedtune.records import Candidate, Reply, Usage, Verdict

TASKS, KEPT, ALLOWED_MB = 5, 3, 2000


def config_of(accepted: int) -> Config:
    return Config.model_validate({"generate": {"num_instructions": accepted, "lookahead": 1}})


def state_of(accepted: int) -> tuple[State, dict[str, object]]:
    config = config_of(accepted)
    domain = load_domain(config.domain)
    packs = domain.select_packs(None)
    state = State(config, domain, packs)
    return state, settings_of(config, domain, packs, state.contents)


def write_journal(path: Path, accepted: int) -> None:
    """As the loop would have, with instructions of 18 words on average out of the seeds' own."""
    state, settings = state_of(accepted)
    packs = load_domain("bgp").packs.values()
    words = sorted({word for pack in packs for seed in pack.seeds for word in seed.instruction.split()})
    draw = random.Random(0)
    with Journal(path) as journal:
        journal.append("start", [{"settings": settings}])
        for index in range(-(-accepted // KEPT)):
            request = state.composer.begin(index, index, [], structured=False)
            verdicts = [_verdict(draw, words, index, kept=number < KEPT) for number in range(TASKS)]
            blocks = (f"Instruction: {v.candidate.instruction}\nOutput: {v.candidate.output}" for v in verdicts)
            reply = Reply(index=index, text="\n".join(blocks), usage=Usage(prompt_tokens=900, completion_tokens=900))
            journal.append("sent", [{"request": request.model_dump(mode="json", exclude_defaults=True)}])
            journal.append("reply", [{"reply": reply.model_dump(mode="json")}])
            lines = [verdict.model_dump(mode="json", exclude_defaults=True) for verdict in verdicts]
            journal.append("committed", [{"index": index, "verdicts": lines}])


def _verdict(draw: random.Random, words: list[str], request: int, kept: bool) -> Verdict:
    instruction = " ".join(draw.choices(words, k=draw.randint(8, 28)))
    candidate = Candidate(
        instruction=instruction, output=" ".join(draw.choices(words, k=120)), pack="knowledge", request=request
    )
    near = tuple((f"{draw.getrandbits(64):016x}", 0.4) for _ in range(10))
    return Verdict(
        candidate=candidate, kept=kept, reason="" if kept else "similar", nearest=near[0][0], neighbours=near
    )


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def take_up(folder: Path, accepted: int) -> dict[str, float]:
    state, settings = state_of(accepted)
    before, start = peak_mb(), time.perf_counter()
    state.replay(folder / "journal.jsonl", settings)
    replayed = time.perf_counter()
    assert state.accepted == accepted
    write_views(folder, state.funnel)
    return {
        "before_mb": round(before),
        "peak_mb": round(peak_mb()),
        "replay_s": round(replayed - start, 1),
        "views_s": round(time.perf_counter() - replayed, 1),
    }


def at_work(folder: Path, accepted: int) -> dict[str, float]:
    stage.make_teacher = ManyAtOnce
    teacher = {"type": "openai", "model": "fake", "base_url": "http://127.0.0.1:1/v1", "structured_output": "off"}
    generate = {
        "num_instructions": accepted,
        "tasks_per_request": ManyAtOnce.tasks,
        "teacher": teacher,
        "limits": {"stall_requests": None},
    }
    config = Config.model_validate({"runs_dir": folder, "generate": generate})
    domain = load_domain(config.domain)
    before, start = peak_mb(), time.perf_counter()
    with runs.open_run(config) as run:
        stage.run_generate(run, domain)
    return {"before_mb": round(before), "peak_mb": round(peak_mb()), "s": round(time.perf_counter() - start, 1)}


def measured(part: str, folder: Path, accepted: int) -> dict[str, float]:
    """In a process of its own."""
    child = [sys.executable, __file__, part, str(folder), str(accepted)]
    return json.loads(subprocess.run(child, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main(accepted: int, working: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_journal(folder / "journal.jsonl", accepted)
        found = measured("--take-up", folder, accepted)
        live = {"accepted": working, **measured("--at-work", folder / "runs", working)}
        journal_mb = round((folder / "journal.jsonl").stat().st_size / 1e6)
    ratio = round(max(found["peak_mb"], live["peak_mb"]) / ALLOWED_MB, 3)
    print(json.dumps({"accepted": accepted, "journal_mb": journal_mb, **found, "at_work": live, "ratio": ratio}))


if __name__ == "__main__":
    if sys.argv[1:2] in (["--take-up"], ["--at-work"]):
        part = take_up if sys.argv[1] == "--take-up" else at_work
        print(json.dumps(part(Path(sys.argv[2]), int(sys.argv[3]))))
    else:
        accepted, working, *_ = [*map(int, sys.argv[1:]), 100_000, 100_000]
        main(accepted, working)
