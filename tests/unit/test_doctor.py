"""What the doctor finds, what it says to do about it, and its exit code. No network but loopback."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from conftest import FakeTeacher, seedtune
from seedtune.config import Config
from seedtune.doctor import Check, check_run, show_findings
from seedtune.sandbox import best_level

UNREACHABLE = "http://127.0.0.1:9/v1"  # the discard port: nothing listens there


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HF_TOKEN", "MY_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """What the doctor takes for a model: it looks for the config alone."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


Make = Callable[..., Config]


@pytest.fixture
def make(tmp_path: Path, domain_folder: Path, model_folder: Path) -> Make:
    """A config that lacks nothing but what a test takes away; keyword arguments are the teacher's."""

    def config(teacher: dict[str, Any] | None = None, **tree: Any) -> Config:
        return Config.model_validate(
            {
                "runs_dir": str(tmp_path / "runs"),
                "domain": str(domain_folder),
                "model": {"name": str(model_folder)},
                "generate": {"teacher": teacher or {"type": "local", "model": str(model_folder)}},
                **tree,
            }
        )

    return config


def openai(**settings: Any) -> dict[str, Any]:
    return {"type": "openai", "model": "fake", **settings}


def find(checks: list[Check], what: str) -> Check:
    [found] = [check for check in checks if check.what == what]
    return found


def missing(config: Config) -> list[Check]:
    return [check for check in check_run(config) if check.state == "missing"]


def endpoint_of(config: Config) -> Check:
    return find(check_run(config), "teacher endpoint")


@contextmanager
def answering(status: int, body: str, kind: str = "application/json", key: str = "") -> Iterator[str]:
    """An endpoint that gives one answer to everything; with a key, 401 to whoever sends another."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            wrong = bool(key) and self.headers["Authorization"] != f"Bearer {key}"
            self.send_response(401 if wrong else status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


# The whole


def test_a_run_that_lacks_nothing_is_ready(make: Make) -> None:
    assert missing(make()) == []


def test_an_endpoint_is_asked_only_for_a_teacher_behind_one(make: Make) -> None:
    assert "teacher endpoint" not in {check.what for check in check_run(make())}


def test_looking_makes_no_folder(make: Make) -> None:
    config = make()
    check_run(config)
    assert not config.runs_dir.exists()


def test_everything_missing_is_told_at_once_each_with_a_mend(make: Make, tmp_path: Path) -> None:
    config = make(openai(), domain=str(tmp_path / "none"), model={"name": str(tmp_path / "none")})
    checks = missing(config)
    assert {check.what for check in checks} == {"domain", f"model {tmp_path / 'none'}", "teacher endpoint"}
    assert all(check.mend for check in checks)


# The endpoint


def test_neither_key_nor_address_is_missing_and_the_variables_are_named(make: Make) -> None:
    check = endpoint_of(make(openai()))
    assert (check.state, check.detail) == ("missing", "no key and no address")
    assert "export OPENAI_API_KEY=..." in check.mend
    assert "OPENAI_BASE_URL" in check.mend


def test_the_variable_named_in_the_config_is_the_one_asked_for(make: Make) -> None:
    assert "export MY_KEY=..." in endpoint_of(make(openai(api_key_env="MY_KEY"))).mend


def test_an_empty_key_is_no_key(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    assert endpoint_of(make(openai())).detail == "no key and no address"


def test_an_endpoint_of_ones_own_needs_no_key(make: Make, teacher: FakeTeacher) -> None:
    check = endpoint_of(make(openai(base_url=teacher.url)))
    assert (check.state, check.mend) == ("ok", "")
    assert check.detail.startswith(teacher.url)


def test_the_address_of_the_environment_is_taken(
    make: Make, teacher: FakeTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", teacher.url)
    assert endpoint_of(make(openai())).state == "ok"


def test_the_address_of_the_config_wins_over_the_environment(
    make: Make, teacher: FakeTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", UNREACHABLE)
    assert endpoint_of(make(openai(base_url=teacher.url))).state == "ok"


def test_looking_costs_no_request_to_the_model(make: Make, teacher: FakeTeacher) -> None:
    endpoint_of(make(openai(base_url=teacher.url)))
    assert teacher.received == 0


def test_a_model_that_the_endpoint_does_not_list_is_missing(make: Make, teacher: FakeTeacher) -> None:
    check = endpoint_of(make(openai(base_url=teacher.url, model="gpt-none")))
    assert (check.state, check.mend) == ("missing", "set teacher.model")
    assert "does not list the model 'gpt-none'" in check.detail


def test_an_endpoint_that_is_not_there_is_missing(make: Make) -> None:
    check = endpoint_of(make(openai(base_url=UNREACHABLE)))
    assert (check.state, check.mend) == ("missing", "set teacher.base_url or OPENAI_BASE_URL")
    assert check.detail.startswith(f"{UNREACHABLE}/ cannot be reached")


@pytest.mark.parametrize("url", ["localhost:9/v1", "http://[", "http://127.0.0.1:99999/v1", "nonsense"])
def test_an_address_that_is_none_is_missing(make: Make, url: str) -> None:
    assert endpoint_of(make(openai(base_url=url))).state == "missing"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_missing_and_its_variable_named(make: Make, status: int) -> None:
    with answering(status, "{}") as url:
        check = endpoint_of(make(openai(base_url=url, api_key_env="MY_KEY")))
    assert (check.state, check.mend) == ("missing", "set MY_KEY")
    assert f"refuses the key ({status})" in check.detail


def test_the_key_of_the_variable_named_in_the_config_is_sent(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    monkeypatch.setenv("MY_KEY", "sk-mine")
    with answering(200, '{"data": [{"id": "fake"}]}', key="sk-mine") as url:
        assert endpoint_of(make(openai(base_url=url, api_key_env="MY_KEY"))).state == "ok"


@pytest.mark.parametrize("status", [404, 405, 500])
def test_an_endpoint_that_lists_no_models_does_not_stop_the_run(make: Make, status: int) -> None:
    with answering(status, "{}") as url:
        check = endpoint_of(make(openai(base_url=url)))
    assert (check.state, "lists no models" in check.detail) == ("note", True)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("not json", "application/json"),
        ("<html>hello</html>", "text/html"),
        ('{"object": "list", "data": null}', "application/json"),
        ("{}", "application/json"),
        ("[]", "application/json"),
        ('{"data": ["fake"]}', "application/json"),
    ],
)
def test_an_answer_in_no_known_form_is_a_finding(make: Make, body: str, kind: str) -> None:
    with answering(200, body, kind) as url:
        assert endpoint_of(make(openai(base_url=url))).state in ("missing", "note")


def test_an_endpoint_that_lists_nothing_does_not_stop_the_run(make: Make) -> None:
    with answering(200, '{"object": "list", "data": []}') as url:
        assert endpoint_of(make(openai(base_url=url))).state != "missing"


@pytest.mark.parametrize("status", [200, 401, 500])
def test_a_key_is_never_shown(make: Make, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-zebra")
    with answering(status, '{"data": [], "error": {"message": "wrong key: sk-zebra"}}') as url:
        assert "zebra" not in repr(check_run(make(openai(base_url=url))))


@pytest.mark.parametrize("key", ["sk-ze\nbra", "sk-zébra"])
def test_a_key_that_cannot_be_sent_is_missing_and_never_shown(
    make: Make, teacher: FakeTeacher, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    check = endpoint_of(make(openai(base_url=teacher.url)))
    assert check.state == "missing"
    assert "bra" not in repr(check)


@pytest.mark.parametrize("key", ["sk-ze\nbra", "sk-zébra"])
def test_a_key_that_cannot_be_sent_is_blamed_itself(
    make: Make, teacher: FakeTeacher, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    assert "OPENAI_API_KEY" in endpoint_of(make(openai(base_url=teacher.url))).mend


def test_white_space_around_a_key_is_taken_off_as_the_teacher_does(
    make: Make, teacher: FakeTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-zebra\r\n")
    assert endpoint_of(make(openai(base_url=teacher.url))).state == "ok"


def test_a_password_in_the_address_is_not_shown(make: Make) -> None:
    assert "zebra" not in repr(endpoint_of(make(openai(base_url="http://me:zebra@127.0.0.1:9/v1"))))


# Models


def test_a_model_folder_is_found(make: Make, model_folder: Path) -> None:
    check = find(check_run(make()), f"model {model_folder}")
    assert (check.state, check.detail) == ("ok", "a local folder")


def test_a_missing_model_folder_is_missing(make: Make, tmp_path: Path) -> None:
    [check] = missing(make(model={"name": str(tmp_path / "none")}))
    assert check.what == f"model {tmp_path / 'none'}"
    assert check.detail == f"{tmp_path / 'none'}: there is no such folder"
    assert check.mend == "set model.name to a hub id or a folder"


def test_a_folder_without_a_model_is_missing(make: Make, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    [check] = missing(make(model={"name": str(tmp_path / "empty")}))
    assert "no config.json in this folder" in check.detail


def test_a_local_teacher_is_looked_for_beside_the_student(make: Make, tmp_path: Path) -> None:
    [check] = missing(make({"type": "local", "model": str(tmp_path / "none")}))
    assert check.what == f"model {tmp_path / 'none'}"


def test_the_mend_of_a_teacher_names_the_teachers_setting(make: Make, tmp_path: Path) -> None:
    [check] = missing(make({"type": "local", "model": str(tmp_path / "none")}))
    assert "teacher.model" in check.mend


@pytest.mark.parametrize("name", ["not a model!", "-llama", "a--b"])
def test_a_name_that_can_be_no_model_is_missing(make: Make, name: str) -> None:
    assert [check.what for check in missing(make(model={"name": name}))] == [f"model {name}"]


# Domain and data


def test_a_split_that_no_suite_has_is_missing(make: Make, domain_folder: Path) -> None:
    description = domain_folder / "domain.yaml"
    description.write_text(re.sub(r"\n    dev: .*", "", description.read_text()))
    [check] = missing(make(evaluate={"split": "dev"}))
    assert (check.what, "has a dev file" in check.detail) == ("domain", True)


def test_a_missing_domain_is_missing(make: Make) -> None:
    [check] = missing(make(domain="bpg"))
    assert (check.what, "no domain 'bpg'" in check.detail) == ("domain", True)


@pytest.mark.parametrize("section", ["generate", "evaluate"])
def test_a_pack_or_suite_that_the_domain_lacks_is_missing(make: Make, section: str, model_folder: Path) -> None:
    tree: dict[str, Any] = {
        "generate": {"packs": ["knowlege"], "teacher": {"type": "local", "model": str(model_folder)}},
        "evaluate": {"suites": ["true-false"]},
    }
    [check] = missing(make(**{section: tree[section]}))
    assert (check.what, "did you mean '" in check.detail) == ("domain", True)


def test_faults_of_a_domain_do_not_stop_the_run(make: Make, domain_folder: Path) -> None:
    seeds = domain_folder / "seeds" / "knowledge.jsonl"
    seeds.write_text(seeds.read_text().replace('"practice"', '"sailing"', 2))
    check = find(check_run(make()), "domain")
    assert (check.state, check.detail) == ("note", "baking: 2 faults")
    assert check.mend == f"seedtune domains lint {domain_folder}"


@pytest.mark.parametrize("setting", [{"train": {"data": ["/no/such.jsonl"]}}, {"model": {"chat_template": "/no/such"}}])
def test_a_file_that_the_config_names_is_looked_for(make: Make, model_folder: Path, setting: dict[str, Any]) -> None:
    if "model" in setting:
        setting = {"model": {"name": str(model_folder), **setting["model"]}}
    assert len(missing(make(**setting))) == 1


# The sandbox


def test_the_level_of_the_sandbox_is_told_with_its_reason(make: Make) -> None:
    level, why = best_level()
    check = find(check_run(make()), "sandbox")
    assert check.detail.endswith(f": {why}")
    assert check.detail.startswith(level or "programs cannot be run safely")
    assert (check.state == "ok") == (level == "bubblewrap") == (not check.mend)


@pytest.mark.parametrize("level", ["landlock", None])
def test_less_than_the_best_level_does_not_stop_a_run_but_is_to_be_mended(
    make: Make, monkeypatch: pytest.MonkeyPatch, level: str | None
) -> None:
    monkeypatch.setattr("seedtune.sandbox.best_level", lambda: (level, "bubblewrap: not installed"))
    check = find(check_run(make()), "sandbox")
    assert (check.state, "bubblewrap: not installed" in check.detail) == ("note", True)
    assert "apt install bubblewrap" in check.mend


# The disk


def test_a_disk_that_is_full_is_missing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 100 * 1024**2

    monkeypatch.setattr("seedtune.doctor.shutil.disk_usage", lambda _: Usage)
    [check] = missing(make())
    assert (check.what, "0.1 GiB free" in check.detail) == ("disk", True)
    assert check.mend == "free some space, or set runs_dir to another disk"


# What is printed, and the exit code

OK = Check("python", "ok", "3.11.7")
NOTE = Check("device", "note", "no GPU")
MISSING = Check("domain", "missing", "no domain '[bold]bpg'", "seedtune domains lint bpg")


@pytest.mark.parametrize(("checks", "code"), [([], 0), ([OK], 0), ([OK, NOTE], 0), ([OK, NOTE, MISSING], 1)])
@pytest.mark.parametrize("as_json", [False, True])
def test_only_what_is_missing_fails(checks: list[Check], code: int, as_json: bool) -> None:
    assert show_findings(checks, as_json) == code


def test_findings_are_listed_with_their_mends(capsys: pytest.CaptureFixture[str]) -> None:
    show_findings([OK, NOTE, MISSING], as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "ok    python: 3.11.7",
        "note  device: no GPU",
        "MISS  domain: no domain '[bold]bpg'",
        "      -> seedtune domains lint bpg",
        "1 missing",
    ]


def test_nothing_missing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    show_findings([OK], as_json=False)
    assert capsys.readouterr().out.splitlines()[-1] == "ready"


def test_json_holds_every_finding(capsys: pytest.CaptureFixture[str]) -> None:
    show_findings([OK, MISSING], as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "ready": False,
        "checks": [
            {"what": "python", "state": "ok", "detail": "3.11.7", "mend": ""},
            {
                "what": "domain",
                "state": "missing",
                "detail": "no domain '[bold]bpg'",
                "mend": "seedtune domains lint bpg",
            },
        ],
    }


# The command


def test_the_command_prints_json_alone_and_no_gap_of_the_machine_fails_it(tmp_path: Path, teacher: FakeTeacher) -> None:
    result = seedtune("doctor", "--json", cwd=tmp_path, OPENAI_BASE_URL=teacher.url, HF_HOME=str(tmp_path))
    report = json.loads(result.stdout)
    states = {check["what"]: check["state"] for check in report["checks"]}
    assert (result.returncode, report["ready"]) == (0, True)
    assert (states["teacher endpoint"], states["hub token"]) == ("ok", "note")
    assert states.keys() >= {"python", "extra train", "extra web", "sandbox", "embedded model", "disk"}


def test_a_dry_run_fails_with_what_is_missing(tmp_path: Path, make: Make, write_config: Callable[..., Path]) -> None:
    tree = make(openai(), domain=str(tmp_path / "none")).model_dump(mode="json")
    result = seedtune("run", write_config(**tree), "--dry-run")
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == "2 missing"
    assert not (tmp_path / "runs").exists()
