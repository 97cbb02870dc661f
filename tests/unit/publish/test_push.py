"""Pushing to a hub on loopback: what leaves, what never does, and what becomes of faults."""

import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants

from conftest import seedtune, start_seedtune, write_jsonl
from fake_hub import TOKEN, FakeHub
from run_on_disk import ROWS, Row, evaluated, generated, row, trained
from seedtune.domains import load_domain
from seedtune.errors import DataError, PublishError, RunError
from seedtune.publish import write_dataset_card
from seedtune.publish.formats import export
from seedtune.publish.plan import Plan, Upload, check, front_matter
from seedtune.publish.push import Options, push
from seedtune.records import content_id
from seedtune.runs import Run

MakeRun = Callable[..., Run]
DATASET, ADAPTER = Options(dataset=True, yes=True), Options(yes=True)


@pytest.fixture
def run(make_run: MakeRun) -> Run:
    made = make_run()
    generated(made, ROWS)
    write_dataset_card(made, load_domain(made.config.domain))
    trained(made)
    return made


# What leaves


@pytest.mark.parametrize("options", [Options(dataset=True), Options()])
def test_without_yes_everything_is_shown_and_nothing_is_sent(
    options: Options, run: Run, hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert push(run, options) == 0
    shown = capsys.readouterr().out
    assert "ada/one (private, new)" in shown
    assert "README.md" in shown
    assert "add --yes" in shown
    assert not hub.repos
    assert set(hub.calls) <= {"whoami", "info"}


def test_the_dataset_is_its_rows_card_counts_and_pictures_in_one_private_commit(run: Run, hub: FakeHub) -> None:
    assert push(run, DATASET) == 0
    repo = hub.repos["dataset", "ada/one"]
    assert repo.private
    assert len(repo.commits) == 1
    assert set(repo.files) == {
        *("README.md", "instructions.jsonl", "funnel.json", "verbs.svg", "lengths.svg", "similarity.svg")
    }
    assert [json.loads(line) for line in repo.files["instructions.jsonl"].splitlines()] == ROWS
    assert b'load_dataset("ada/one", split="train")' in repo.files["README.md"]


def test_the_adapter_goes_with_its_tokenizer_and_without_states(run: Run, hub: FakeHub) -> None:
    assert push(run, ADAPTER) == 0
    repo = hub.repos["model", "ada/one"]
    assert set(repo.files) == {
        *("README.md", "adapter_model.safetensors", "adapter_config.json"),
        *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
    }
    assert json.loads(repo.files["adapter_config.json"]) == {"base_model_name_or_path": "tiny/base", "r": 4}


def test_the_model_card_has_the_measured_numbers_with_intervals_and_its_place(run: Run, hub: FakeHub) -> None:
    evaluated(run)
    push(run, Options(yes=True, repo="ada/baker"))
    card = hub.repos["model", "ada/baker"].files["README.md"].decode()
    assert "| mc/generate | 10 | 25% | 50.0% (23.7 to 76.3) | 90.0% (23.7 to 76.3) |" in card
    assert 'from_pretrained("ada/baker")' in card
    assert "report.json" not in card
    assert card.index("## Evaluation") < card.index("## Limits")
    matter = front_matter(card, "README.md")
    assert matter["base_model"] == "tiny/base"
    assert matter["license"] == "other"  # The hub does not know tiny/base.


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("license: llama3.1", {"license": "llama3.1"}),
        ("license: other\nlicense_name: theirs", {"license": "other", "license_name": "that-of-the-base-model"}),
    ],
)
def test_the_licence_is_that_of_the_base_models_card(
    card: str, expected: dict[str, str], run: Run, hub: FakeHub
) -> None:
    hub.repo("model", "tiny/base").files["README.md"] = f"---\n{card}\n---\n".encode()
    push(run, ADAPTER)
    matter = front_matter(hub.repos["model", "ada/one"].files["README.md"].decode(), "")
    assert expected.items() <= matter.items()
    assert ("license_link" in matter) == (expected["license"] == "other")


def test_numbers_of_another_adapter_are_not_published(run: Run, hub: FakeHub) -> None:
    evaluated(run)
    report = run.path / "evaluate" / "report.json"
    report.write_text(json.dumps({**json.loads(report.read_text()), "adapter_sha256": "0"}))
    with pytest.raises(DataError, match="another adapter"):
        push(run, ADAPTER)
    assert not hub.repos


def test_an_adapter_of_a_local_folder_names_its_base_as_told(
    make_run: MakeRun, hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "secret-place").mkdir()
    run = make_run(model={"name": str(tmp_path / "secret-place")})
    trained(run)
    assert push(run, Options(yes=True, repo="ada/first")) == 0
    assert "--base-model" in capsys.readouterr().err
    assert push(run, Options(yes=True, repo="ada/second", base_model="meta/base")) == 0
    files = hub.repos["model", "ada/second"].files
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == "meta/base"
    assert front_matter(files["README.md"].decode(), "")["base_model"] == "meta/base"
    for repo in hub.repos.values():
        assert str(tmp_path).encode() not in b"".join(repo.files.values())


# What people decided


def reviewed(run: Run) -> Row:
    """Of three rows the second is rejected and the third corrected; one that a filter rejected comes in."""
    folder = run.path / "generate"
    task = {"instruction": "Name the bogons.", "input": "", "output": "Many.", "pack": "knowledge", "request": 3}
    write_jsonl(folder / "rejected.jsonl", [{"candidate": task, "kept": False, "reason": "similar"}])
    better: Row = {"instruction": "What is a route reflector?", "input": "", "output": "A speaker that reflects."}
    words = [
        {"id": ROWS[1]["id"], "decision": "reject"},
        {"id": ROWS[2]["id"], "decision": "accept", "edited": better},
        {"id": content_id("Name the bogons.", "", "Many."), "decision": "accept"},
    ]
    write_jsonl(folder / "review.jsonl", words)
    return better


def test_what_people_rejected_never_leaves_whatever_the_card_was_written_from(run: Run, hub: FakeHub) -> None:
    """The card and the picture of ``run`` were made before anybody decided anything."""
    better = reviewed(run)
    assert push(run, DATASET) == 0
    files = hub.repos["dataset", "ada/one"].files
    rows = [json.loads(line) for line in files["instructions.jsonl"].splitlines()]
    assert [line["instruction"] for line in rows] == [ROWS[0]["instruction"], better["instruction"], "Name the bogons."]
    assert rows[1]["output"] == better["output"]
    for content in files.values():
        assert b"drops bogons" not in content
        assert b"A router; it" not in content


def test_the_pushed_card_counts_and_shows_the_rows_that_are_pushed(run: Run, hub: FakeHub) -> None:
    write_jsonl(run.path / "generate" / "review.jsonl", [{"id": row["id"], "decision": "reject"} for row in ROWS[:2]])
    assert push(run, DATASET) == 0
    files = hub.repos["dataset", "ada/one"].files
    card = files["README.md"].decode()
    assert "1 tasks for instruction tuning" in card
    assert "| removed by people | 2 |" in card
    assert "### 2" not in card
    counts = json.loads(files["funnel.json"])
    assert (counts["accepted"], counts["reviewed"]["removed"]) == (3, 2)


def test_push_and_every_export_hold_the_same_rows(run: Run, hub: FakeHub) -> None:
    reviewed(run)
    push(run, DATASET)
    pushed = [json.loads(line) for line in hub.repos["dataset", "ada/one"].files["instructions.jsonl"].splitlines()]
    path = export(run, load_domain(run.config.domain), "alpaca")
    assert json.loads(path.read_text()) == [
        {part: line[part] for part in ("instruction", "input", "output")} for line in pushed
    ]


def test_reviewed_rows_load_as_a_dataset(run: Run, hub: FakeHub, tmp_path: Path) -> None:
    """None where a measure of the old text was, and rows of two files."""
    from datasets import load_dataset

    near = [{"id": "ab", "similarity": 0.3}]
    generated(run, [line | {"neighbours": near, "mean_similarity": 0.1, "scores": {"judge": 4.0}} for line in ROWS])
    reviewed(run)
    push(run, DATASET)
    for name, content in hub.repos["dataset", "ada/one"].files.items():
        (tmp_path / name).write_bytes(content)
    loaded = load_dataset(str(tmp_path), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded["similarity"] == [0.31, None, 0.0]
    assert len(loaded) == 3


def test_a_push_changes_nothing_that_the_stage_wrote(run: Run, hub: FakeHub) -> None:
    reviewed(run)
    before = {path.name: path.read_bytes() for path in (run.path / "generate").iterdir()}
    assert push(run, DATASET) == 0
    assert {path.name: path.read_bytes() for path in (run.path / "generate").iterdir()} == before


def test_a_broken_decision_leaves_nothing_half_written(run: Run, hub: FakeHub) -> None:
    (run.path / "generate" / "review.jsonl").write_text('{"id": "a"}\n{"id": "b"}\n')
    with pytest.raises(DataError, match=r"review.jsonl:1"):
        push(run, DATASET)
    assert not hub.repos
    assert not [*(run.path / "export").glob("*")]


# What never leaves


def test_a_key_in_a_file_is_named_with_its_line_and_nothing_is_sent(run: Run, hub: FakeHub) -> None:
    generated(run, [*ROWS, row("Use the key.", output="export OPENAI_API_KEY=sk-" + "aB3" * 12)])
    with pytest.raises(PublishError, match=r"instructions.jsonl:4: looks like an OpenAI") as caught:
        push(run, DATASET)
    assert "aB3" not in str(caught.value)
    assert not hub.repos


def test_a_dry_run_that_found_a_key_fails(run: Run, hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    (run.path / "train" / "adapter" / "chat_template.jinja").write_text(f"{{{{ x }}}}\n{{# {TOKEN} #}}\n")
    assert push(run, Options()) == 1
    shown = capsys.readouterr()
    assert "chat_template.jinja:2" in shown.err
    assert TOKEN not in shown.out + shown.err


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ("# no front matter", "does not begin with front matter"),
        ("---\nlicense: [\n---\n", "not valid YAML"),
        ("---\nlicense: mit\n---\n", "lacks 'configs'"),
        ("---\nlicense: mit\nconfigs: [{data_files: [{path: gone.jsonl}]}]\n---\n", "gone.jsonl"),
    ],
)
def test_a_card_that_the_hub_would_misread_is_a_fault(card: str, words: str) -> None:
    [fault] = check(Plan("dataset", (Upload("README.md", card.encode()),), ()))
    assert words in fault


def test_a_run_without_a_card_of_its_own_is_pushed_with_one(make_run: MakeRun, hub: FakeHub) -> None:
    run = make_run()
    generated(run, ROWS)
    assert push(run, DATASET) == 0
    assert b"3 tasks for instruction tuning" in hub.repos["dataset", "ada/one"].files["README.md"]


def test_a_repository_with_another_visibility_is_left_alone(run: Run, hub: FakeHub) -> None:
    repo = hub.repo("dataset", "ada/one", private=False)
    with pytest.raises(PublishError, match="is public; push with --public"):
        push(run, DATASET)
    repo.private = True
    with pytest.raises(PublishError, match="is private; push without --public"):
        push(run, Options(dataset=True, yes=True, public=True))
    assert not repo.commits


def test_public_is_public(run: Run, hub: FakeHub) -> None:
    assert push(run, Options(dataset=True, yes=True, public=True)) == 0
    assert not hub.repos["dataset", "ada/one"].private


@pytest.mark.parametrize("options", [DATASET, ADAPTER, Options(merged=True, yes=True)])
def test_what_is_not_made_yet_is_said(options: Options, make_run: MakeRun, hub: FakeHub) -> None:
    with pytest.raises((DataError, RunError), match=r"seedtune (generate|train)"):
        push(make_run(), options)


# Faults


def test_no_token_says_how_to_get_one(
    run: Run, hub: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(PublishError, match="set HF_TOKEN, or run 'hf auth login'"):
        push(run, DATASET)
    assert push(run, Options(dataset=True)) == 1
    assert "<owner>/<name> (private, the hub was not asked)" in capsys.readouterr().out
    assert not hub.calls


@pytest.mark.parametrize(
    ("endpoint", "fault", "words"),
    [
        ("whoami", "401", "HF_TOKEN is not valid"),
        ("create", "403", "write permission"),
        ("commit", "403", "write permission"),
        ("preupload", "404", "no such repository"),
        ("validate", "400", "README.md"),
    ],
)
def test_a_refusal_is_final_and_says_what_to_do(
    endpoint: str, fault: str, words: str, run: Run, hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.faults[endpoint] = [fault] * 9
    with pytest.raises(PublishError) as caught:
        push(run, DATASET)
    assert words in str(caught.value)
    assert TOKEN not in str(caught.value) + "".join(capsys.readouterr())
    assert hub.calls[endpoint] <= 2
    assert not [repo for repo in hub.repos.values() if repo.commits]


def test_the_owner_of_another_name_is_not_the_user(run: Run, hub: FakeHub) -> None:
    with pytest.raises(PublishError, match=r"403.*write permission"):
        push(run, Options(dataset=True, yes=True, repo="grace/one"))
    assert not hub.repos


@pytest.mark.parametrize("name", ["a/b/c", "a b/c", "-a/b"])
def test_a_name_that_is_none_is_said(name: str, run: Run, hub: FakeHub) -> None:
    with pytest.raises(PublishError, match="owner/name"):
        push(run, Options(dataset=True, yes=True, repo=name))


@pytest.mark.parametrize(
    ("endpoint", "fault"),
    [("preupload", "500"), ("batch", "500"), ("upload", "500"), ("upload", "reset"), ("commit", "500")],
)
def test_what_fails_once_is_done_again(endpoint: str, fault: str, run: Run, hub: FakeHub) -> None:
    hub.faults[endpoint] = [fault]
    assert push(run, ADAPTER) == 0
    assert len(hub.repos["model", "ada/one"].commits) == 1


@pytest.mark.parametrize("fault", ["409", "lost"])
def test_a_commit_in_doubt_is_made_once(fault: str, run: Run, hub: FakeHub) -> None:
    hub.faults["commit"] = [fault]
    assert push(run, ADAPTER) == 0
    repo = hub.repos["model", "ada/one"]
    assert len(repo.commits) == 1
    assert sum(hub.sent.values()) == 200_000


def test_pushing_the_same_again_commits_nothing_and_a_change_only_itself(run: Run, hub: FakeHub) -> None:
    push(run, ADAPTER)
    push(run, ADAPTER)
    repo = hub.repos["model", "ada/one"]
    assert len(repo.commits) == 1
    (run.path / "train" / "adapter" / "tokenizer_config.json").write_text('{"a": 1}')
    push(run, ADAPTER)
    assert repo.commits[1:] == [["tokenizer_config.json"]]
    assert sum(hub.sent.values()) == 200_000


def test_an_upload_that_breaks_off_for_good_is_taken_up_by_the_next_push(run: Run, hub: FakeHub) -> None:
    hub.faults["upload"] = ["reset"] * 6
    with pytest.raises(PublishError, match="run the command again"):
        push(run, ADAPTER)
    assert not hub.repos["model", "ada/one"].commits
    assert push(run, ADAPTER) == 0


def test_a_push_that_was_killed_does_not_send_whole_files_again(run: Run, hub: FakeHub) -> None:
    """Of two large files one has arrived and the other is half there when the process dies."""
    (run.path / "train" / "adapter" / "tokenizer.json").write_bytes(b'{"x": "' + b"y" * 300_000 + b'"}')
    hub.faults["upload"] = ["", "hang"]
    child = start_seedtune("push", run.path, "--yes", **hub.environment())
    try:
        assert hub.arrived.wait(60)
        while not hub.objects:
            assert child.poll() is None
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(timeout=60)
        hub.released.set()
    [first] = hub.objects
    before = hub.sent[first]
    result = seedtune("push", run.path, "--yes", **hub.environment())
    assert result.returncode == 0, result.stderr
    assert hub.sent[first] == before
    assert len(hub.objects) == 2
    assert len(hub.repos["model", "ada/one"].commits) == 1


def test_a_hub_that_is_not_there_is_said(run: Run, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    with pytest.raises(PublishError, match="connection to the hub failed"):
        push(run, DATASET)


def test_offline_is_said(run: Run, hub: FakeHub) -> None:
    environment = {**hub.environment(), "HF_HUB_OFFLINE": "1"}
    result = seedtune("push", run.path, "--dataset", **environment)
    assert result.returncode == 1
    assert "HF_HUB_OFFLINE" in result.stderr
    assert "instructions.jsonl" in result.stdout
    assert not hub.calls
