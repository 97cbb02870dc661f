"""A run that is evaluated by a student that answers at once; for tests of the stage and of what reads its files."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conftest import write_jsonl
from domain_on_disk import DomainOnDisk
from seedtune import runs
from seedtune.config import load_config
from seedtune.domains import load_domain
from seedtune.evaluate import inference
from seedtune.evaluate.stage import run_evaluate
from seedtune.evaluate.suites import Question
from seedtune.records import Message, Task

Line = dict[str, Any]

CLOZE = {"question": "Rye bread is raised with ____.", "answers": ["sourdough"], "topic": "basics", "citation": "p. 3"}
OPEN = {
    "question": "Why is dough left to rest?",
    "key_points": ["Gluten relaxes during the rest.", "Flour takes up the water."],
    "answer": "During the rest the gluten relaxes. The flour takes up the water.",
    "topic": "basics",
    "citation": "p. 4",
}


class FakeChat:
    """Renders turns so that a test can read them."""

    template_digest = "template"

    def __init__(self, *_: object) -> None:
        pass

    def prompt(self, turns: Sequence[Message]) -> str:
        return "\n---\n".join(f"{turn.role}: {turn.content}" for turn in turns)


class FakeStudent:
    """The base answers nothing and likes first options; the tuned one is told what to answer. Counts what is asked."""

    asked: list[tuple[str, str]]
    breaks_after: int | None
    says: dict[str, str]

    def __init__(self, *_: object) -> None:
        self.name = ""

    def check_adapters(self, prompt: str) -> None:
        pass

    @contextmanager
    def variant(self, name: str) -> Iterator[None]:
        self.name = name
        yield

    def option_scores(self, choices: Sequence[inference.Choice], family: str) -> list[list[float]]:
        self._count([choice.prompt for choice in choices])
        return [[-1.0 * place for place, _ in enumerate(choice.options)] for choice in choices]

    def answer(self, questions: Sequence[tuple[str, Question]], family: str) -> list[str]:
        prompts = [prompt for prompt, _ in questions]
        self._count(prompts)
        if self.name == "base":
            return ["" for _ in prompts]
        return [next((text for part, text in self.says.items() if part in prompt), "True") for prompt in prompts]

    def _count(self, prompts: Sequence[str]) -> None:
        if self.breaks_after is not None and len(FakeStudent.asked) >= self.breaks_after:
            raise KeyboardInterrupt
        FakeStudent.asked += [(self.name, prompt) for prompt in prompts]


class Bench:
    """A run of the template domain with the suites of all types, trained as if."""

    def __init__(self, folder: Path) -> None:
        self.domain = DomainOnDisk(folder / "baking")
        write_jsonl(self.domain.folder / "evaluation/cloze.jsonl", [CLOZE])
        write_jsonl(self.domain.folder / "evaluation/open.jsonl", [OPEN])
        suites = {
            **{name: {"type": name, **self.files(name)} for name in ("multiple_choice", "true_false")},
            **{name: {"type": name, "items": f"evaluation/{name}.jsonl"} for name in ("cloze", "open")},
        }
        self.domain.describe(suites=suites, showcase=["What is a crumb?"])
        self.run = folder / "runs" / "run"
        self.rows: list[Line] = []
        self.weights = b"adapter"
        self.is_trained = True

    @staticmethod
    def files(name: str) -> dict[str, str]:
        return {split: f"evaluation/{split}/{name}.jsonl" for split in ("test", "dev")}

    def learns(self, instruction: str, output: str = "An answer.") -> None:
        """One more training row."""
        self.rows.append({"instruction": instruction, "input": "", "output": output, "pack": "knowledge"})

    def evaluate(self, *overrides: str) -> Line:
        """Run the stage; the report."""
        config = load_config(None, [f"runs_dir={self.run.parent}", *overrides])
        with runs.open_run(config) as run:
            if self.is_trained:
                self._train(run)
            run_evaluate(run, load_domain(str(self.domain.folder)))
        return json.loads((self.run / "evaluate" / "report.json").read_text())

    def _train(self, run: runs.Run) -> None:
        adapter = run.folder("train") / "adapter"
        adapter.mkdir(exist_ok=True)
        write_jsonl(run.path / "generate" / "instructions.jsonl", self.rows)
        ids = [Task.model_validate({k: v for k, v in row.items() if k != "pack"}).id for row in self.rows]
        write_jsonl(run.path / "train" / "rows.jsonl", [{"id": key, "split": "train"} for key in ids])
        files = {"adapter_model.safetensors": self.weights, "adapter_config.json": b"{}"}
        if run.config.train.method == "full":
            files = {"config.json": b"{}", "model.safetensors": self.weights}
        for name, content in files.items():
            (adapter / name).write_bytes(content)
        with run.working("train", "any") as done:
            done([adapter / name for name in files], {})

    def lines(self, name: str, folder: str = "evaluate") -> list[Line]:
        return [json.loads(line) for line in (self.run / folder / name).read_text().splitlines()]
