"""Base and tuned model of a run: two, told apart, and asked alike."""

import io
import json
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed")

from seedtune.errors import ConfigError, ModelError, RunError
from seedtune.records import Message
from seedtune.web.pair import Decoding, Ending, Pair, Piece, Side
from seedtune.web.terminal_chat import Manner, chat
from tuned_run import QUESTION, fully_tuned_run, teach, tuned_run, write_adapter

BASE, TUNED = "No, höchstens 反射.", "Yes: 64500."
ASKED = [Message(role="user", content=QUESTION)]
BOTH: dict[Side, list[Message]] = {"base": ASKED, "tuned": ASKED}


@pytest.fixture(scope="module")
def run(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose base knows one answer by heart, and its adapter another."""
    folder = tmp_path_factory.mktemp("taught")
    base, adapter = teach(tiny_llama, folder, BASE, TUNED)
    return tuned_run(folder / "runs", base, adapter=adapter)


@pytest.fixture(scope="module")
def pair(run: Path) -> Pair:
    return Pair(run)


def never() -> bool:
    return False


def written(pair: Pair, decoding: Decoding | None = None, stopped: Callable[[], bool] = never) -> dict[Side, Ending]:
    found = pair.answer(BOTH, decoding or Decoding(max_tokens=60), stopped)
    return {event.side: event for event in found if isinstance(event, Ending)}


def test_each_side_answers_as_itself(pair: Pair) -> None:
    """The fault to fear most: a base pane that is answered by the tuned model."""
    found = written(pair)
    assert found["base"].text == BASE
    assert found["tuned"].text == TUNED
    assert found["base"].ended


def test_a_side_alone_answers_as_beside_the_other(pair: Pair) -> None:
    for side, text in (("base", BASE), ("tuned", TUNED)):
        [ending] = [e for e in pair.answer({side: ASKED}, Decoding(max_tokens=60), never) if isinstance(e, Ending)]
        assert ending.text == text


def test_the_pieces_are_the_answer_and_come_in_turns(pair: Pair) -> None:
    """Characters of several tokens come whole, and neither side waits for the other's end."""
    events = list(pair.answer(BOTH, Decoding(max_tokens=60), never))
    for side, text in (("base", BASE), ("tuned", TUNED)):
        assert "".join(e.text for e in events if isinstance(e, Piece) and e.side == side) == text
    sides = [event.side for event in events if isinstance(event, Piece)]
    assert sides[:6] == ["base", "tuned"] * 3


def test_both_sides_draw_the_same_random_numbers(pair: Pair) -> None:
    """The same seed gives the same text, another seed another one."""
    hot = Decoding(temperature=3.0, max_tokens=40, seed=1)
    assert written(pair, hot)["base"].text == written(pair, hot)["base"].text
    assert written(pair, hot)["base"].text != written(pair, hot.model_copy(update={"seed": 2}))["base"].text


def test_a_stop_ends_both_with_what_there_is(pair: Pair) -> None:
    stopped = threading.Event()
    endings: dict[Side, Ending] = {}
    for event in pair.answer(BOTH, Decoding(max_tokens=60), stopped.is_set):
        stopped.set()
        if isinstance(event, Ending):
            endings[event.side] = event
    assert not endings["base"].ended
    assert BASE.startswith(endings["base"].text)
    assert len(endings["base"].text) < len(BASE)
    assert set(endings) == {"base", "tuned"}


def test_what_was_loaded_is_told(pair: Pair, run: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    digest = manifest["stages"]["train"]["outputs"]["train/adapter/adapter_model.safetensors"]
    assert pair.about.adapter_sha256 == digest
    assert pair.about.difference > 0


def test_a_conversation_that_is_too_long_is_refused(pair: Pair) -> None:
    long = [Message(role="user", content="peer " * 3000)]
    with pytest.raises(ModelError, match=r"context window of 2,048"):
        list(pair.answer({"base": long}, Decoding(), never))


def test_an_adapter_that_changes_nothing_is_refused(tiny_llama: Path, tmp_path: Path) -> None:
    write_adapter(tiny_llama, tmp_path / "idle", strength=0.0)
    run = tuned_run(tmp_path / "runs", tiny_llama, adapter=tmp_path / "idle")
    with pytest.raises(ModelError, match="the adapter changes nothing"):
        Pair(run)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_an_adapter_that_was_not_trained_here_is_refused(run: Path, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(run, tmp_path / "one")
    with (copy / "train" / "adapter" / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(RunError, match="this is not what 'seedtune train' wrote"):
        Pair(copy)


def test_an_adapter_of_another_model_is_refused(tiny_llama: Path, run: Path, tmp_path: Path) -> None:
    """Weights that the base has no place for would be passed over in silence."""
    from transformers import LlamaConfig, LlamaForCausalLM

    smaller = shutil.copytree(tiny_llama, tmp_path / "smaller")
    config = LlamaConfig.from_pretrained(tiny_llama)
    config.num_hidden_layers = 1
    LlamaForCausalLM(config).save_pretrained(smaller)
    other = tuned_run(tmp_path / "runs", smaller, adapter=run / "train" / "adapter")
    with pytest.raises(ModelError, match="does not fit"):
        Pair(other)


def test_a_model_trained_as_a_whole_stands_beside_its_base(tiny_llama: Path, tmp_path: Path) -> None:
    taught, _ = teach(tiny_llama, tmp_path, TUNED, BASE)
    found = written(Pair(fully_tuned_run(tmp_path / "runs", tiny_llama, taught)))
    assert found["tuned"].text == TUNED
    assert found["base"].text != TUNED


def test_a_run_without_a_tuned_model_says_what_to_do(runs_dir: Path) -> None:
    with pytest.raises(RunError, match="run 'seedtune train' first"):
        Pair(runs_dir / "one")
    with pytest.raises(RunError, match="no run is here"):
        Pair(runs_dir)


def test_the_terminal_shows_both_answers(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert chat(run, decoding=Decoding(max_tokens=60), source=io.StringIO(f"\n{QUESTION}\n/quit\nnever read\n")) == 0
    shown = capsys.readouterr().out
    assert f"[base]\n{BASE}\n[tuned]\n{TUNED}\n" in shown
    assert "adapter sha256 " in shown


def test_the_terminal_asks_one_side_alone(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chat(run, manner=Manner(("tuned",)), decoding=Decoding(max_tokens=60), source=io.StringIO(f"{QUESTION}\n"))
    shown = capsys.readouterr().out
    assert TUNED in shown
    assert BASE not in shown


def test_each_side_goes_on_from_its_own_answers_until_a_reset(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    whole = Pair.answer

    def spied(self: Pair, conversations: dict[Side, list[Message]], *rest: object) -> object:
        asked.extend([turn.content for turn in turns] for turns in conversations.values())
        return whole(self, conversations, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Pair, "answer", spied)
    chat(run, decoding=Decoding(max_tokens=60), source=io.StringIO(f"{QUESTION}\nAgain.\n/reset\nAnew.\n"))
    second = [[QUESTION, answer, "Again."] for answer in (BASE, TUNED)]
    assert asked == [[QUESTION]] * 2 + second + [["Anew."]] * 2
    assert "A new conversation." in capsys.readouterr().out


def test_ctrl_c_ends_an_answer_and_not_the_chat(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Pair.answer

    def interrupted(self: Pair, *arguments: object) -> object:
        for number, event in enumerate(whole(self, *arguments)):  # type: ignore[arg-type]
            if number == 2:
                signal.raise_signal(signal.SIGINT)
            yield event

    monkeypatch.setattr(Pair, "answer", interrupted)
    handler = signal.getsignal(signal.SIGINT)
    assert chat(run, manner=Manner(("base",)), source=io.StringIO(f"{QUESTION}\n/help\n")) == 0
    shown = capsys.readouterr().out
    assert "[stopped]" in shown
    assert shown.count("/reset begins anew") == 2
    assert signal.getsignal(signal.SIGINT) is handler


def votes(run: Path) -> list[dict[str, object]]:
    path = run / "chat" / "votes.jsonl"
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    path.unlink(missing_ok=True)
    return found


@pytest.mark.parametrize("turned", [0, 1])
def test_a_blind_chat_names_nobody_and_a_vote_means_who_stood_there(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, turned: int
) -> None:
    monkeypatch.setattr("secrets.randbelow", lambda bound: turned)
    said = f"/left\n{QUESTION}\n/left\n/reveal\n/tuned\n"
    chat(run, manner=Manner(blind=True, by="ada"), decoding=Decoding(max_tokens=60), source=io.StringIO(said))
    shown, complained = capsys.readouterr()
    first, second = (TUNED, BASE) if turned else (BASE, TUNED)
    left, right = ("tuned", "base") if turned else ("base", "tuned")
    assert f"[left]\n{first}\n[right]\n{second}\n" in shown
    assert f"left: {left}, right: {right}" in shown
    assert "there are no two answers to vote on" in complained
    kept = [{key: vote[key] for key in ("choice", "blind", "left", "by", "turn")} for vote in votes(run)]
    about = {"left": left, "by": "ada", "turn": 0}
    assert kept == [{"choice": left, "blind": True, **about}, {"choice": "tuned", "blind": False, **about}]


def test_an_open_chat_takes_votes_by_name(run: Path) -> None:
    chat(run, decoding=Decoding(max_tokens=60), source=io.StringIO(f"{QUESTION}\n/tuned\n/neither\n/left\n"))
    found = votes(run)
    assert [(vote["choice"], vote["blind"]) for vote in found] == [("tuned", False), ("neither", False)]
    assert found[0]["answers"] == {"base": BASE, "tuned": TUNED}


def test_one_side_alone_is_not_blind() -> None:
    with pytest.raises(ConfigError, match="--blind: both sides must answer"):
        Manner(("tuned",), blind=True)


def test_the_terminal_needs_no_web_server() -> None:
    """``seedtune chat`` is there without the extra 'web'."""
    import subprocess
    import sys

    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('starlette', 'uvicorn', 'torch', 'transformers'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import seedtune.web.terminal_chat\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
