"""Log-likelihoods of options, ours beside lm-evaluation-harness's: the same numbers, and how long they take.

Usage: python benchmarks/bench_evaluate.py --harness PYTHON [--limit 60] [--batch-size 8] [--shots 5]
Prints one JSON line.

PYTHON is the interpreter of an environment of its own that has lm_eval, torch and transformers. Both run the embedded
model in float32 on one thread, on items of ``multiple_choice`` and ``true_false`` of the domain ``bgp`` as exported by
``seedtune export --to lm-eval``. The time is that of tokenizing and scoring, in CPU seconds, so that other work on
the machine counts little; imports and the loading of the model stay out of it.

- ``ratio``: our time over the harness's.
- ``difference``: the largest difference between the log-likelihoods of one option, in nats, where ours are asked for
  the harness's own split: it moves the white space that ends a prompt, here the template's last line break, to the
  beginning of each option.
- ``line_break``: the largest difference that this split makes. It is the same for all options of a question.
- ``shots``: our time with so many examples before each question, with the beginning that prompts share run once, over
  that without.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import torch

from seedtune import models
from seedtune.config import EvaluateConfig, ModelConfig
from seedtune.domains import load_domain
from seedtune.evaluate.asking import Ask, batches
from seedtune.evaluate.inference import Chat, Choice, Student
from seedtune.evaluate.suites import choose_suites, plan_jobs
from seedtune.publish.lm_eval import export_tasks

SUITES = ("multiple_choice", "true_false")

HARNESS = """
import json, os, sys, time
os.environ["OMP_NUM_THREADS"] = "1"
import torch
torch.set_num_threads(1)
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
model, tasks, batch, *names = sys.argv[1:]
lm = HFLM(pretrained=model, dtype="float32", device="cpu", batch_size=int(batch))
manager = TaskManager(include_path=tasks)
spent = [0.0]
scoring = lm.loglikelihood
def timed(*args, **kwargs):
    start = time.process_time()
    found = scoring(*args, **kwargs)
    spent[0] += time.process_time() - start
    return found
lm.loglikelihood = timed
done = simple_evaluate(lm, tasks=names, task_manager=manager, apply_chat_template=True, bootstrap_iters=0)
scores = {
    f"{name}/{line['doc']['id']}": [answer[0][0] for answer in line["resps"]]
    for name, lines in done["samples"].items() for line in lines
}
print("RESULT " + json.dumps({"seconds": spent[0], "scores": scores}))
"""


def harness_scores(python: str, model: str, limit: int, batch_size: int) -> tuple[float, dict[str, list[float]]]:
    """Seconds, and scores by task and item."""
    with tempfile.TemporaryDirectory() as folder:
        exported = export_tasks("bgp", Path(folder))
        names = [f"{exported.tag}_{suite}" for suite in SUITES]
        for name in names:
            # The harness's own limit takes the first items; these are spread over the file, as ours are.
            path = Path(folder) / f"{name}.jsonl"
            lines = path.read_text().splitlines(keepends=True)
            path.write_text("".join(lines[number * len(lines) // limit] for number in range(min(limit, len(lines)))))
        command = [python, "-c", HARNESS, model, folder, str(batch_size), *names]
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if result.returncode:
        raise SystemExit(f"the harness failed:\n{result.stderr[-3000:]}")
    found = json.loads(next(line for line in result.stdout.splitlines() if line.startswith("RESULT "))[7:])
    return found["seconds"], found["scores"]


def as_the_harness(choice: Choice) -> Choice:
    """The white space that ends the prompt goes to the options."""
    prompt = choice.prompt.rstrip()
    return Choice(prompt, tuple(choice.prompt[len(prompt) :] + option for option in choice.options))


def largest(one: dict[str, list[float]], other: dict[str, list[float]]) -> float:
    """Difference of the scores of one option."""
    assert one.keys() == other.keys()
    return max(abs(a - b) for key in one for a, b in zip(one[key], other[key], strict=True))


def own_scores(
    student: Student, chat: Chat, limit: int, batch_size: int, shots: int = 0, shared: bool = True, split: bool = False
) -> tuple[float, dict[str, list[float]]]:
    """Seconds, and scores by task and item."""
    config = EvaluateConfig(suites=SUITES, methods=("loglikelihood",), limit=limit, shots=shots)
    jobs = plan_jobs(choose_suites(load_domain("bgp"), config), config, seed=0)
    asks = [
        Ask("base", job.suite, job.method, question, chat.prompt(question.turns), question.item_id)
        for job in jobs
        for question in job.questions
    ]
    scores: dict[str, list[float]] = {}
    start = time.process_time()
    for batch in batches(asks, batch_size):
        choices = [Choice(ask.prompt, ask.question.options) for ask in batch]
        if split:
            choices = [as_the_harness(choice) for choice in choices]
        family = (batch[0].suite, shots, split) if shared else ""
        for ask, found in zip(batch, student.option_scores(choices, family), strict=True):
            scores[f"seedtune_bgp_{ask.suite}/{ask.question.item_id}"] = found
    return time.process_time() - start, scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--harness", required=True, metavar="PYTHON")
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--shots", type=int, default=5)
    arguments = parser.parse_args()
    limit, batch_size = arguments.limit, arguments.batch_size
    torch.set_num_threads(1)
    config = ModelConfig(dtype="float32")
    chat = Chat(config)
    student = Student(config, {"base": None}, chat)
    own_s, own = own_scores(student, chat, limit, batch_size)
    _, alike = own_scores(student, chat, limit, batch_size, split=True)
    few = max(8, limit // 4)
    with_s, with_shared = own_scores(student, chat, few, batch_size, arguments.shots)
    without_s, without = own_scores(student, chat, few, batch_size, arguments.shots, shared=False)
    harness_s, theirs = harness_scores(arguments.harness, models.model_source(config.name), limit, batch_size)
    result = {
        "items": len(own),
        "options": sum(map(len, own.values())),
        "batch_size": batch_size,
        "ours_s": round(own_s, 2),
        "harness_s": round(harness_s, 2),
        "ratio": round(own_s / harness_s, 3),
        "difference": largest(alike, theirs),
        "line_break": largest(own, alike),
        "shots": {
            "examples": arguments.shots,
            "items": len(without),
            "shared_s": round(with_s, 2),
            "not_shared_s": round(without_s, 2),
            "ratio": round(with_s / without_s, 3),
            "difference": largest(without, with_shared),
        },
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
