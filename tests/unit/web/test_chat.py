"""Chat: the models in a process of their own, blind conversations, votes, and programs in the sandbox."""

import json
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed")

from seedtune.sandbox import best_level
from seedtune.web import talker as talking
from seedtune.web.children import process_start
from seedtune.web.conversations import ChatRoom, Conversation, Turn
from seedtune.web.folders import RunFolder
from seedtune.web.pair import Decoding
from seedtune.web.programs import file_names
from seedtune.web.talker import Talker
from studio_page import Page
from tuned_run import QUESTION, teach, tuned_run

BASE, TUNED = "No.", "Yes: 64500."


@pytest.fixture(scope="module")
def studio(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A studio with the models of the run ``one`` in memory."""
    folder = tmp_path_factory.mktemp("taught")
    base, adapter = teach(tiny_llama, folder, BASE, TUNED)
    tuned_run(folder / "runs", base, adapter=adapter)
    yield from with_models(folder / "runs")


@pytest.fixture
def endless(tiny_llama: Path, tmp_path: Path) -> Iterator[Page]:
    """A studio with models of random weights, whose answers come to no end of their own."""
    tuned_run(tmp_path / "runs", tiny_llama)
    yield from with_models(tmp_path / "runs")


def with_models(runs_dir: Path) -> Iterator[Page]:
    page = Page(runs_dir)
    page.post("/api/runs/one/chat/load", {})
    until(lambda: page.get("/chat")["state"] != "loading")
    assert page.get("/chat")["state"] == "ready", page.get("/chat")["fault"]
    yield page
    page.post("/api/runs/one/chat/unload", {})


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def room_of(page: Page) -> ChatRoom:
    room: ChatRoom = page.app._app.state.chat  # type: ignore[attr-defined]
    return room


def begin(page: Page, **options: Any) -> dict[str, Any]:
    made: dict[str, Any] = page.post("/api/runs/one/chat/begin", options)
    return made


def say(page: Page, conversation: str, text: str = QUESTION, **decoding: Any) -> list[dict[str, Any]]:
    body = {"conversation": conversation, "text": text, "decoding": {"max_tokens": 40, **decoding}}
    headers = {"X-Seedtune-CSRF": page.access.csrf}
    with page.client.stream("POST", "/api/runs/one/chat/say", json=body, headers=headers) as response:
        assert response.status_code == 200, response.read()
        return [json.loads(line) for line in response.iter_lines()]


def answers(events: list[dict[str, Any]]) -> dict[int, str]:
    return {event["pane"]: event["ending"]["text"] for event in events if "ending" in event}


def votes(page: Page) -> list[dict[str, Any]]:
    path = page.app._app.state.studio.runs.path / "one" / "chat" / "votes.jsonl"  # type: ignore[attr-defined]
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def test_both_panes_answer_as_they_are_named(studio: Page) -> None:
    made = begin(studio)
    assert made["panes"] == ["base", "tuned"]
    events = say(studio, made["conversation"])
    assert answers(events) == {0: BASE, 1: TUNED}
    for pane, text in ((0, BASE), (1, TUNED)):
        pieces = [event["text"] for event in events if event.get("pane") == pane and "text" in event]
        assert "".join(pieces) == text
    assert events[-1] == {"turn": 0}


def test_the_hash_of_the_adapter_and_the_process_are_told(studio: Page) -> None:
    found = studio.get("/chat")
    assert len(found["about"]["adapter_sha256"]) == 64
    record = json.loads((room_of(studio)._talker.run.path / "chat" / "process.json").read_text())  # type: ignore[union-attr]
    assert record["pid"] == found["pid"]
    assert record["started"] == process_start(found["pid"])


def test_each_side_is_asked_with_its_own_answers() -> None:
    conversation = Conversation("one", "Be brief.", ("base", "tuned"), False)
    conversation.turns.append(Turn("First?", Decoding(), {"base": "b", "tuned": "t"}))
    said = [(message.role, message.content) for message in conversation.messages("tuned", "Second?")]
    assert said == [("system", "Be brief."), ("user", "First?"), ("assistant", "t"), ("user", "Second?")]


def test_a_blind_conversation_does_not_say_who_is_who_until_asked(studio: Page) -> None:
    """Not in any answer of the server, and in both orders."""
    orders: set[tuple[str, ...]] = set()
    for _ in range(12):
        made = begin(studio, blind=True)
        assert made["panes"] is None
        events = say(studio, made["conversation"], max_tokens=2)
        assert not {"side", "base", "tuned"} & {key for event in events for key in event}
        panes = studio.post("/api/runs/one/chat/reveal", {"conversation": made["conversation"]})["panes"]
        orders.add(tuple(panes))
        if len(orders) == 2:
            break
    assert orders == {("base", "tuned"), ("tuned", "base")}


def test_a_vote_is_kept_with_who_when_and_what_was_meant(studio: Page) -> None:
    made = begin(studio, blind=True)
    texts = answers(say(studio, made["conversation"]))
    tuned = next(pane for pane, text in texts.items() if text == TUNED)
    vote = {"conversation": made["conversation"], "turn": 0, "choice": ("left", "right")[tuned], "by": "ada"}
    studio.post("/api/runs/one/chat/vote", vote)
    studio.post("/api/runs/one/chat/reveal", {"conversation": made["conversation"]})
    studio.post("/api/runs/one/chat/vote", {**vote, "choice": "neither", "by": "grace"})
    blind, seen = votes(studio)[-2:]
    assert (blind["choice"], blind["blind"], blind["by"]) == ("tuned", True, "ada")
    assert (seen["choice"], seen["blind"], seen["by"]) == ("neither", False, "grace")
    assert blind["answers"] == {"base": BASE, "tuned": TUNED}
    assert blind["question"] == QUESTION
    assert blind["adapter_sha256"] == studio.get("/chat")["about"]["adapter_sha256"]
    counts = studio.get("/chat/votes")
    assert counts["blind"]["tuned"] >= 1
    assert counts["open"]["neither"] >= 1


def test_a_second_vote_on_a_turn_takes_the_place_of_the_first(studio: Page) -> None:
    before = studio.get("/chat/votes")["open"]
    made = begin(studio)
    say(studio, made["conversation"], max_tokens=2)
    for choice in ("left", "both"):
        studio.post(
            "/api/runs/one/chat/vote",
            {"conversation": made["conversation"], "turn": 0, "choice": choice, "by": "ada"},
        )
    after = studio.get("/chat/votes")["open"]
    assert after.get("both", 0) == before.get("both", 0) + 1
    assert after.get("base", 0) == before.get("base", 0)


@pytest.mark.parametrize("turn", [1, -1])
def test_a_vote_on_nothing_is_refused(studio: Page, turn: int) -> None:
    made = begin(studio)
    say(studio, made["conversation"], max_tokens=2)
    body = {"conversation": made["conversation"], "turn": turn, "choice": "left", "by": "ada"}
    assert "no such answer" in studio.post("/api/runs/one/chat/vote", body, 409)["error"]


def answering(page: Page) -> tuple[str, Generator[dict[str, Any]]]:
    """A conversation, and the events of its first answer, which has begun."""
    made, room = begin(page), room_of(page)
    run: RunFolder = page.app._app.state.studio.runs.run("one")  # type: ignore[attr-defined]
    events = room.say(run, room.conversation(run, made["conversation"]), "Never end.", Decoding(max_tokens=1500))
    assert "text" in next(events)
    return made["conversation"], events


def test_a_stop_ends_the_answers_and_the_next_question_is_answered(endless: Page) -> None:
    conversation, events = answering(endless)
    assert endless.get("/chat")["state"] == "answering"
    refused = endless.post("/api/runs/one/chat/say", {"conversation": conversation, "text": "And this?"}, status=409)
    assert "answering already" in refused["error"]
    endless.post("/api/runs/one/chat/stop", {})
    endings = [event["ending"] for event in events if "ending" in event]
    assert [ending["ended"] for ending in endings] == [False, False]
    assert all(ending["tokens"] < 1500 for ending in endings)
    assert endless.get("/chat")["state"] == "ready"
    assert set(answers(say(endless, conversation, max_tokens=2))) == {0, 1}


def test_a_page_that_goes_away_stops_the_models(endless: Page) -> None:
    """What they had not said yet is not said to the next question."""
    _, events = answering(endless)
    events.close()
    assert endless.get("/chat")["state"] == "ready"
    first, second = (answers(say(endless, begin(endless)["conversation"])) for _ in range(2))
    assert first == second


def test_a_question_that_is_too_long_is_refused_and_leaves_no_trace(studio: Page) -> None:
    made = begin(studio)
    [event] = say(studio, made["conversation"], "peer " * 3000)
    assert "context window" in event["fault"]
    assert answers(say(studio, made["conversation"])) == {0: BASE, 1: TUNED}


def test_a_conversation_of_another_studio_is_not_known(studio: Page) -> None:
    body = {"conversation": "unknown", "text": "Are you there?"}
    assert "begin a new one" in studio.post("/api/runs/one/chat/say", body, 404)["error"]


@pytest.mark.parametrize("decoding", [{"temperature": -1}, {"top_p": 0}, {"max_tokens": 0}, {"stop": ["x"]}])
def test_sampling_that_cannot_be_is_refused(studio: Page, decoding: dict[str, Any]) -> None:
    body = {"conversation": begin(studio)["conversation"], "text": "?", "decoding": decoding}
    studio.post("/api/runs/one/chat/say", body, 422)


def test_a_process_that_is_killed_is_said_and_can_be_started_again(tiny_llama: Path, tmp_path: Path) -> None:
    tuned_run(tmp_path / "runs", tiny_llama)
    page = Page(tmp_path / "runs")
    pid = page.post("/api/runs/one/chat/load", {})["pid"]
    os.kill(pid, 9)
    until(lambda: page.get("/chat")["state"] == "ended" and bool(page.get("/chat")["fault"]))
    assert "signal 9" in page.get("/chat")["fault"]
    assert page.post("/api/runs/one/chat/load", {})["pid"] != pid
    page.post("/api/runs/one/chat/unload", {})
    assert page.get("/chat")["state"] == "off"


def test_models_that_nobody_asks_leave_memory(studio: Page, tiny_llama: Path, tmp_path: Path) -> None:
    talker = Talker(RunFolder(tuned_run(tmp_path / "runs", tiny_llama).resolve()), idle_s=0.1)
    until(lambda: talker.state == "ended")
    assert talker.fault == ""
    assert talker.about["base"]


def test_the_process_ends_with_whoever_started_it(tiny_llama: Path, tmp_path: Path) -> None:
    """Also while it loads: a killed studio leaves no model in a GPU's memory."""
    talker = Talker(RunFolder(tuned_run(tmp_path / "runs", tiny_llama).resolve()))
    begun = threading.Thread(target=talker.close)
    begun.start()
    begun.join(60)
    assert not begun.is_alive()
    assert process_start(talker.pid) is None


def test_why_a_run_cannot_be_loaded_is_said_before(runs_dir: Path, page: Page) -> None:
    assert "run 'seedtune train' first" in page.get("/chat")["fault"]
    assert "run 'seedtune train' first" in page.post("/api/runs/one/chat/load", {}, 409)["error"]
    assert not (runs_dir / "one" / "chat").exists()


def test_a_model_with_code_of_its_own_is_not_loaded_for_a_click(tiny_llama: Path, tmp_path: Path) -> None:
    run = tuned_run(tmp_path / "runs", tiny_llama)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("trust_remote_code: false", "trust_remote_code: true"))
    assert "trust_remote_code" in Page(tmp_path / "runs").post("/api/runs/one/chat/load", {}, 409)["error"]


def test_a_chat_folder_that_leads_elsewhere_is_not_followed(tiny_llama: Path, tmp_path: Path) -> None:
    run = tuned_run(tmp_path / "runs", tiny_llama)
    (tmp_path / "elsewhere").mkdir()
    (run / talking.FOLDER).symlink_to(tmp_path / "elsewhere")
    assert "leads out" in Page(tmp_path / "runs").post("/api/runs/one/chat/load", {}, 409)["error"]
    assert not list((tmp_path / "elsewhere").iterdir())


# Programs of a model.

COUNT = """
import pybgpstream
stream = pybgpstream.BGPStream(data_interface="singlefile")
stream.set_data_interface_option("singlefile", "upd-file", "updates.mrt")
print(sum(1 for _ in stream), "elements <script>")
"""


@pytest.fixture
def bench(tiny_llama: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Run a program as if the tuned model had written it."""
    run = tuned_run(tmp_path / "runs", tiny_llama)
    (run / "data").mkdir()
    (tmp_path / "secret.mrt").write_bytes(b"secret")
    (run / "data" / "link.mrt").symlink_to(tmp_path / "secret.mrt")
    page = Page(tmp_path / "runs")

    def ask(source: str, file: str = "made", status: int = 200, **more: Any) -> dict[str, Any]:
        room = room_of(page)
        conversation = room.begin(RunFolder(run), "", blind=False)
        answers: Any = {"base": "No.", "tuned": f"Here:\n```python\n{source}\n```"}
        conversation.turns.append(Turn("?", Decoding(), answers))
        body = {"conversation": conversation.id, "turn": 0, "pane": 1, "program": 0, "file": file, **more}
        found: dict[str, Any] = page.post("/api/runs/one/chat/program", body, status)
        return found

    ask.page = page  # type: ignore[attr-defined]
    return ask


needs_sandbox = pytest.mark.skipif(best_level()[0] is None, reason="no sandbox on this machine")


@needs_sandbox
def test_a_program_runs_on_data_that_the_domain_makes(bench: Callable[..., dict[str, Any]]) -> None:
    found = bench(COUNT)
    assert found["ok"], found
    assert int(found["stdout"].split()[0]) > 100
    assert found["names"] == ["updates.mrt"]


@needs_sandbox
def test_a_program_runs_on_a_recording_under_the_name_that_it_opens(bench: Callable[..., dict[str, Any]]) -> None:
    files = {file["name"] for file in bench.page.get("/chat/files")["files"]}  # type: ignore[attr-defined]
    recording = next(name for name in sorted(files) if name.endswith("frr-updates.mrt.gz"))
    assert recording.startswith("domain/recordings/")
    found = bench(COUNT, recording)
    assert found["ok"], found
    assert int(found["stdout"].split()[0]) > 0
    assert found["command"].endswith("updates.mrt && seedtune bgp run program.py --mrt updates.mrt -- updates.mrt")


@needs_sandbox
def test_output_without_end_is_cut(bench: Callable[..., dict[str, Any]]) -> None:
    found = bench("import sys\nwhile True: sys.stdout.write('x' * 1000)", any_file(bench))
    assert not found["ok"]
    assert found["truncated"]
    assert len(found["stdout"]) <= 64 * 1024


def any_file(bench: Callable[..., dict[str, Any]]) -> str:
    name: str = bench.page.get("/chat/files")["files"][0]["name"]  # type: ignore[attr-defined]
    return name


@needs_sandbox
def test_what_the_lint_says_stands_beside_the_output(bench: Callable[..., dict[str, Any]]) -> None:
    found = bench(COUNT.replace("upd-file", "updates-file"))
    assert any(finding.startswith("error") for finding in found["findings"])


@pytest.mark.parametrize(
    "file",
    [
        "../../../etc/passwd",
        "/etc/passwd",
        "run/../secret.mrt",
        "run/data/link.mrt",
        "domain/domain.yaml",
        "data/x",
        "",
    ],
)
def test_no_file_is_read_that_is_not_offered(bench: Callable[..., dict[str, Any]], file: str) -> None:
    assert "no file that the studio offers" in bench("print(1)", file, 409)["error"]


@pytest.mark.parametrize("more", [{"program": 1}, {"turn": 5}, {"pane": 0}])
def test_a_program_that_is_not_there_is_not_run(bench: Callable[..., dict[str, Any]], more: dict[str, Any]) -> None:
    assert "no such program" in bench("print(1)", status=409, **more)["error"]


def test_code_of_a_domain_in_the_runs_folder_is_not_run(tiny_llama: Path, tmp_path: Path, domain_folder: Path) -> None:
    """A run that somebody gave away may bring its domain."""
    run = tuned_run(tmp_path / "runs", tiny_llama)
    shipped = tmp_path / "runs" / "one" / "baking"
    domain_folder.rename(shipped)
    (shipped / "programs.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("domain: bgp", f"domain: {shipped}"))
    assert "lies in the runs folder" in Page(tmp_path / "runs").get("/chat/files")["fault"]
    assert not (tmp_path / "ran").exists()


def test_a_domain_without_programs_offers_none(tiny_llama: Path, tmp_path: Path, domain_folder: Path) -> None:
    run = tuned_run(tmp_path / "runs", tiny_llama)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("domain: bgp", f"domain: {domain_folder}"))
    assert "runs no programs" in Page(tmp_path / "runs").get("/chat/files")["fault"]


def test_names_of_files_are_found_in_a_program() -> None:
    source = (
        "a = open('updates.20240301.0000.gz')\nb = 'rib/table.mrt'\nc = '192.0.2.0/24'\nd = 'https://x.example/a.gz'\n"
        "e = '../secret.mrt'\nf = '/etc/x.gz'\ng = 'updates.20240301.0000.gz'\nh = 'two words.mrt'\n"
    )
    assert file_names(source) == ["updates.20240301.0000.gz", "rib/table.mrt"]
    assert file_names("def broken(:") == []
