"""A journal goes on only under the settings that shaped it, whatever version of seedtune goes on."""

from pathlib import Path
from typing import Any

import pytest

from seedtune.config import Config
from seedtune.domains import load_domain
from seedtune.errors import RunError
from seedtune.generate.settings import require_same, settings_of

JOURNAL = Path("journal.jsonl")


def settings(**generate: Any) -> dict[str, Any]:
    domain = load_domain("bgp")
    config = Config.model_validate({"generate": generate})
    return settings_of(config, domain, domain.select_packs(None), {"items": "1", "documents": "", "rubric": ""})


def test_the_same_settings_go_on() -> None:
    require_same(JOURNAL, settings(mode="classic", judge={}), settings(mode="classic", judge={}))


def test_a_setting_that_came_later_counts_as_its_default() -> None:
    old = settings()
    del old["generate"]["lookahead"], old["generate"]["teacher"]["sampling"]["presence_penalty"]
    require_same(JOURNAL, old, settings())
    with pytest.raises(RunError, match=r"generate\.lookahead: 32 -> 8"):
        require_same(JOURNAL, old, settings(lookahead=8))


def test_a_setting_that_is_no_more_counts_for_nothing() -> None:
    old = settings()
    old["generate"]["long_gone"] = 3
    require_same(JOURNAL, old, settings())


@pytest.mark.parametrize("section", ["judge", "minhash", "embedding"])
def test_a_section_switched_on_or_off_is_another_setting(section: str) -> None:
    for old, new in (({section: {}}, {}), ({}, {section: {}})):
        with pytest.raises(RunError, match=f"generate.{section}"):
            require_same(JOURNAL, settings(**old), settings(**new))


@pytest.mark.parametrize("change", [{"limits": {"max_requests": 5}}, {"num_instructions": 7}])
def test_limits_and_the_goal_may_change(change: dict[str, Any]) -> None:
    require_same(JOURNAL, settings(), settings(**change))


def test_how_an_endpoint_is_reached_may_change() -> None:
    def teacher(**given: Any) -> dict[str, Any]:
        return {"teacher": {"type": "openai", "model": "m", **given}}

    changed = teacher(base_url="http://127.0.0.1:9/v1", concurrency=2, rpm=7, timeout_s=5, structured_output="off")
    require_same(JOURNAL, settings(**teacher()), settings(**changed))
    with pytest.raises(RunError, match=r"generate\.teacher\.model: m -> n"):
        require_same(JOURNAL, settings(**teacher()), settings(teacher={"type": "openai", "model": "n"}))


@pytest.mark.parametrize("who", ["teacher", "judge"])
@pytest.mark.parametrize("body", [{"top_k": 20}, {"temperature": None}, {"a": {"b": None}}])
def test_another_body_is_another_setting(body: dict[str, Any], who: str) -> None:
    def of(**extra: Any) -> dict[str, Any]:
        teacher = {"type": "openai", "model": "m", **extra}
        return settings(**({"teacher": teacher} if who == "teacher" else {"judge": {"teacher": teacher}}))

    for old, new in ((of(), of(extra_body=body)), (of(extra_body=body), of())):
        with pytest.raises(RunError, match=r"teacher\.extra_body"):
            require_same(JOURNAL, old, new)
    require_same(JOURNAL, of(extra_body=body), of(extra_body=body))


def test_a_journal_from_before_there_was_an_extra_body_goes_on_without_one() -> None:
    endpoint = {"type": "openai", "model": "m"}
    old = settings(teacher=endpoint, judge={"teacher": endpoint})
    for teacher in (old["generate"]["teacher"], old["generate"]["judge"]["teacher"]):
        del teacher["extra_body"]
    require_same(JOURNAL, old, settings(teacher=endpoint, judge={"teacher": endpoint}))


def test_other_documents_are_named_in_words() -> None:
    with pytest.raises(RunError, match=r"\(the documents\)"):
        require_same(JOURNAL, settings(), settings() | {"documents": "2"})
