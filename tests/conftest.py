"""What the tests share: a tiny random LLaMA, a tiny domain, and a way to run the command line in a child process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers with more threads than there are cores wait for each other at every product. Before torch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from fake_teacher import FakeTeacher

ROOT = Path(__file__).parent.parent

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaMA of two layers with random weights and a byte-level tokenizer trained on a few sentences."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-llama")
    special = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the session of a peer", "Answer with one word, True or False."], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<|pad|>", eos_token="<|end|>")
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def _shared_folder(variable: str, name: str) -> Path:
    """A folder of test data beside the checkout; its absence skips a test, or fails it where fixtures are required."""
    folder = Path(os.environ.get(variable) or ROOT.parent / "shared" / name)
    if not folder.is_dir():
        reason = f"no folder {folder}: set {variable}"
        if os.environ.get("SEEDTUNE_REQUIRE_FIXTURES"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def mrt_fixtures() -> Path:
    """Real MRT files, too large to commit."""
    return _shared_folder("SEEDTUNE_MRT_FIXTURES", "mrt")


@pytest.fixture(scope="session")
def golden_fixtures() -> Path:
    """What the real PyBGPStream gave for the files of ``mrt_fixtures``."""
    return _shared_folder("SEEDTUNE_GOLDEN_FIXTURES", "pybgpstream-golden")


@pytest.fixture
def domain_folder(tmp_path: Path) -> Path:
    """The template domain, as 'seedtune domains new' makes it."""
    from seedtune.domains import create_domain

    create_domain(tmp_path / "baking")
    return tmp_path / "baking"


@pytest.fixture
def teacher() -> Iterator[FakeTeacher]:
    """A fake teacher without faults."""
    with FakeTeacher() as server:
        yield server


def write_jsonl(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[..., Path]:
    """Write a config file; keyword arguments are its top-level keys."""

    def write(**tree: Any) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump({"runs_dir": str(tmp_path / "runs"), **tree}))
        return path

    return write


@contextmanager
def cpu_seconds(limit: float) -> Iterator[None]:
    """Break off after so much time of this process alone: only what would run for minutes ever does."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"still busy after {limit} s of CPU")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


CLI = (sys.executable, "-m", "seedtune")


def clean_environment(**extra: str) -> dict[str, str]:
    """The environment without keys and addresses of the person who runs the tests."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "HF_", "WANDB_"))}
    return {**keep, "HF_HUB_OFFLINE": "1", "NO_COLOR": "1", **extra}


def seedtune(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run(
        [*CLI, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=cwd,
        env=clean_environment(**environment),
        check=False,
    )


def start_seedtune(*arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    """Start the command line; the caller ends it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts what it puts into the background so, and a child would inherit it: Ctrl-C would do nothing.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen(
        [*CLI, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=clean_environment(**environment),
    )


def small_run(domain: Path, llama: Path, url: str, goal: int = 12) -> dict[str, Any]:
    """A config for the whole road in seconds: tiny LLaMA, fake teacher."""
    return {
        "name": "small",
        "domain": str(domain),
        "model": {"name": str(llama)},
        "generate": {
            "num_instructions": goal,
            "seeds_per_request": 2,
            "tasks_per_request": 2,
            "teacher": {"type": "openai", "model": "fake", "base_url": url, "concurrency": 4, "max_retries": 1},
        },
        "train": {"epochs": 2, "max_length": 256, "learning_rate": 1e-3},
        "evaluate": {"max_new_tokens": 4, "showcase_tokens": 8},
    }
