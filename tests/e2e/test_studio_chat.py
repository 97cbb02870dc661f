"""A chat in a real browser with real models: two panes, a blind vote, a program of the model in the sandbox."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed")

from seedtune.sandbox import best_level
from tuned_run import QUESTION, teach, tuned_run

if TYPE_CHECKING:
    from playwright.sync_api import Page

Studio = Callable[..., str]
Browse = Callable[..., "Page"]
Picture = Callable[["Page", str], None]

BASE = "<img src=http://stolen.example/a.png onerror=alert(1)> No."
PROGRAM = 'print(len(open("updates.mrt", "rb").read()) > 9, "<i>")'
COUNTING = """```python
import pybgpstream

stream = pybgpstream.BGPStream(data_interface="singlefile")
stream.set_data_interface_option("singlefile", "upd-file", "updates.mrt")
print(sum(elem.type == "W" for elem in stream), "withdrawals")
```"""
TUNED = f"Yes:\n```python\n{PROGRAM}\n```"


@pytest.fixture(scope="module")
def taught(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return teach(tiny_llama, tmp_path_factory.mktemp("taught"), BASE, TUNED)


@pytest.fixture
def chat(studio: Studio, browse: Browse, taught: tuple[Path, Path], tmp_path: Path) -> "Page":
    """The chat page with the models in memory."""
    base, adapter = taught
    tuned_run(tmp_path / "runs", base, adapter=adapter)
    return with_models(browse, studio(tmp_path / "runs"))


def with_models(browse: Browse, address: str) -> "Page":
    page = browse(f"{address}/runs/one/chat")
    page.get_by_role("button", name="Load the models").click()
    page.wait_for_selector("#talk:not([hidden])", timeout=60_000)
    return page


def ask(page: "Page", turns: int = 1) -> None:
    page.locator("#ask textarea[name=text]").fill(QUESTION)
    page.keyboard.press("Enter")
    page.locator(".ballot").nth(turns - 1).wait_for()


def texts(page: "Page") -> list[str]:
    return page.locator(".answer").all_inner_texts()


def test_a_turn_with_both_models(chat: "Page", tmp_path: Path) -> None:
    """Each pane has its own model's answer, and markup in it stays text (see the fixture ``browse``)."""
    ask(chat)
    assert chat.locator(".pane-name").all_inner_texts() == ["base", "tuned"]
    base, tuned = texts(chat)
    assert BASE in base
    assert PROGRAM in tuned
    assert chat.locator("#panes img").count() == 0
    assert chat.locator(".answer[aria-busy=true]").count() == 0
    digest = json.loads((tmp_path / "runs" / "one" / "manifest.json").read_text())["stages"]["train"]["outputs"]
    assert digest["train/adapter/adapter_model.safetensors"] in chat.locator("#models").inner_text()
    assert chat.locator("#command code").inner_text() == "seedtune chat runs/one"
    chat.get_by_role("button", name="Right is better").click()
    chat.get_by_text("Vote saved.").wait_for()
    [vote] = [json.loads(line) for line in (tmp_path / "runs/one/chat/votes.jsonl").read_text().splitlines()]
    assert (vote["choice"], vote["blind"], vote["by"]) == ("tuned", False, "ada")


def test_the_command_line_of_a_conversation_follows_its_form(chat: "Page") -> None:
    """What a shell makes of it is what stands in the form."""
    chat.locator("#ask summary").click()
    chat.locator("#blind").check()
    system = 'You\'re a "baker"; say $HOME\nand `x`'
    values = {"temperature": "0.7", "top_p": "0.9", "max_tokens": "20", "seed": "3", "system": system}
    for name, value in values.items():
        chat.locator(f"#ask [name={name}]").fill(value)
    chat.locator("#by").fill("bo o")
    chat.keyboard.press("Tab")
    words = shlex.split(chat.locator("#command code").inner_text())
    assert words[:4] == ["seedtune", "chat", "runs/one", "--blind"]
    given = dict(zip(words[4::2], words[5::2], strict=True))
    expected = {f"--{name.replace('_', '-')}": value for name, value in values.items()}
    assert given == {**expected, "--by": "bo o"}


def test_a_blind_turn_is_judged_before_it_is_known_who_is_who(chat: "Page", tmp_path: Path) -> None:
    chat.get_by_label("Blind").check()
    ask(chat)
    assert chat.locator(".pane-name").all_inner_texts() == ["left", "right"]
    better = "Left is better" if PROGRAM in texts(chat)[0] else "Right is better"
    chat.get_by_role("button", name=better).click()
    chat.get_by_text("Vote saved.").wait_for()
    chat.get_by_role("button", name="Reveal").click()
    chat.get_by_text("tuned", exact=True).wait_for()
    tuned = chat.locator(".pane-name").all_inner_texts().index("tuned")
    assert PROGRAM in texts(chat)[tuned]
    [vote] = [json.loads(line) for line in (tmp_path / "runs/one/chat/votes.jsonl").read_text().splitlines()]
    assert (vote["choice"], vote["blind"]) == ("tuned", True)
    chat.get_by_text("Blind votes: tuned 1, base 0, both 0, neither 0.").wait_for()


@pytest.mark.skipif(best_level()[0] is None, reason="no sandbox on this machine")
def test_a_program_of_the_model_runs_in_the_sandbox(chat: "Page") -> None:
    ask(chat)
    bench = chat.locator(".answer").nth(1).locator(".bench")
    assert chat.locator(".answer").nth(0).locator(".bench").count() == 0
    bench.get_by_role("button", name="Run the program on").wait_for()
    recording = next(
        option for option in bench.locator("option").all_inner_texts() if "updates.mrt.gz" in option
    ).split(" (")[0]
    bench.locator("select").select_option(recording)
    bench.get_by_role("button", name="Run the program on").click()
    bench.locator("pre").wait_for()
    assert bench.locator("pre").inner_text().strip() == "True <i>"
    assert "finished" in bench.inner_text()


def test_answers_are_stopped(studio: Studio, browse: Browse, tiny_llama: Path, tmp_path: Path) -> None:
    """Models of random weights come to no end of their own."""
    tuned_run(tmp_path / "runs", tiny_llama)
    page = with_models(browse, studio(tmp_path / "runs"))
    page.locator("#ask summary").click()
    page.get_by_label("Longest answer").fill("1900")
    page.locator("#ask textarea[name=text]").fill("Never end.")
    page.keyboard.press("Enter")
    page.locator(".answer .prose:not(:empty)").first.wait_for()
    page.get_by_role("button", name="Stop", exact=True).click()
    page.locator(".ballot").wait_for()
    assert all("not ended by itself" in text and "1,900 tokens" not in text for text in texts(page))


def test_a_question_waits_for_its_conversation(chat: "Page") -> None:
    """One that is asked while a new conversation is on its way is asked in that one, and stays on the page."""
    slow = iter([True])
    chat.route("**/begin", lambda route: (next(slow, False) and chat.wait_for_timeout(500), route.continue_()))
    chat.get_by_label("Blind").check()
    ask(chat)
    chat.wait_for_timeout(600)
    assert len(texts(chat)) == 2
    assert chat.locator(".pane-name").all_inner_texts() == ["left", "right"]
    chat.get_by_role("button", name="Reveal").click()
    chat.get_by_text("tuned", exact=True).wait_for()


def test_files_that_cannot_be_listed_are_asked_for_again(chat: "Page") -> None:
    chat.route("**/files", lambda route: route.abort())
    ask(chat)
    chat.wait_for_selector("#status.fault")
    assert chat.locator(".bench").count() == 0
    chat.unroute("**/files")
    chat.get_by_role("button", name="New conversation").click()
    ask(chat)
    chat.locator(".bench").wait_for()


def test_a_question_that_cannot_be_answered_can_be_put_again(chat: "Page") -> None:
    chat.locator("#ask summary").click()
    chat.get_by_label("Longest answer").fill("8000")
    chat.locator("#ask textarea[name=text]").fill(QUESTION)
    chat.keyboard.press("Enter")
    chat.get_by_text("more than the context window").wait_for()
    assert chat.locator(".turn").count() == 0
    assert chat.locator("#ask textarea[name=text]").input_value() == QUESTION
    chat.get_by_label("Longest answer").fill("100")
    ask(chat)
    assert BASE in texts(chat)[0]


def test_the_page_at_both_widths(
    studio: Studio, browse: Browse, tiny_llama: Path, tmp_path: Path, picture: Picture
) -> None:
    """Nothing is wider than the screen, in either colours; these are the pictures of the documentation."""
    base, adapter = teach(tiny_llama, tmp_path, "You can use a script that reads the file.", COUNTING)
    tuned_run(tmp_path / "runs", base, adapter=adapter)
    page = with_models(browse, studio(tmp_path / "runs"))
    ask(page)
    if best_level()[0] is not None:
        page.get_by_role("button", name="Run the program on").click()
        page.locator(".bench pre").first.wait_for()
    for width, scheme in ((1280, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        page.locator(".question.turn").scroll_into_view_if_needed()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
        picture(page, f"studio-chat-{width}.png")


def test_a_run_that_is_not_trained_says_what_to_do(
    studio: Studio, browse: Browse, tmp_path: Path, taught: tuple[Path, Path]
) -> None:
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "config.yaml").write_text("domain: bgp\nname: one\n")
    page = browse(f"{studio(tmp_path / 'runs')}/runs/one/chat")
    page.get_by_text("run 'seedtune train' first").wait_for()
    assert page.get_by_role("button", name="Load the models").count() == 0
