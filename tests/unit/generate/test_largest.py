"""What is held against a context window before anything is paid is no smaller than any request of the run."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fake_teacher import FakeTeacher
from generation import Configure, events, generate
from seedtune.config import Config
from seedtune.domains import Pack, load_domain
from seedtune.errors import TeacherError
from seedtune.generate.composing import Composer
from seedtune.generate.funnel import PENDING
from seedtune.generate.largest import check_windows
from seedtune.generate.sequence import FollowUp
from seedtune.generate.state import State
from seedtune.records import Candidate, Request, SeedTask, Verdict
from seedtune.teachers import ChatTeacher
from seedtune.teachers.protocol import prompt_bytes, sampling_of

ENDPOINT = {"type": "openai", "model": "fake", "base_url": "http://127.0.0.1:1/v1"}


class Noting:
    """Stands in for a teacher, and notes what it is checked with."""

    def __init__(self, structured: bool) -> None:
        self.structured = structured
        self.checked: list[Request] = []

    async def check(self, request: Request) -> None:
        self.checked.append(request)


def state_of(domain: Path, generate: dict[str, Any], packs: Sequence[Pack], seed: int = 0) -> State:
    """Of a run that shows these packs."""
    config = Config.model_validate({"seed": seed, "domain": str(domain), "generate": generate})
    loaded = load_domain(config.domain)
    state = State(config, loaded, loaded.select_packs(None))
    state.composer = Composer(config, packs)
    return state


def text_of(draw: random.Random, most: int) -> str:
    """Of up to ``most`` bytes, with what templates squeeze, escape or put another text for."""
    words = ("routes", "a", "\u00e9", "\u6f22\u5b57", '"\\', "\n\n", ":", "\U0001f600")
    text = "".join(f"{draw.choice(words)} " for _ in range(draw.randrange(most // 4 + 1)))
    return text.encode()[:most].decode(errors="ignore").strip()


def pack_of(draw: random.Random, name: str) -> Pack:
    most = draw.choice((20, 300, 3000))
    seeds = tuple(
        SeedTask(instruction=f"Say {n} {text_of(draw, most)}", input=text_of(draw, most), output=f"It {n} is.")
        for n in range(draw.randrange(1, 12))
    )
    return Pack(name, f"Write. {text_of(draw, most)}", seeds, Path(f"{name}.jsonl"))


def shared(draw: random.Random, most: int, parts: int) -> list[str]:
    """Texts of up to ``most`` bytes together."""
    texts: list[str] = []
    for _ in range(parts):
        texts.append(text_of(draw, draw.choice((0, most // parts, most))))
        most -= len(texts[-1].encode())
    return texts


def pending(pack: str, instruction: str, given: str = "", output: str = "") -> Verdict:
    candidate = Candidate(instruction=instruction, input=given, output=output, pack=pack, request=1)
    return Verdict(candidate=candidate, kept=False, reason=PENDING)


def follow_ups(draw: random.Random, state: State, begun: Request) -> list[FollowUp]:
    """What may come of a reply whose tokens have four bytes each."""
    sampling, pack = state.config.teacher.sampling, begun.pack
    most = 4 * sampling_of(begun, sampling).max_tokens
    if state.config.mode == "alpaca":
        n = draw.randint(1, state.composer.tasks_asked)
        parts = shared(draw, most, 3 * n)
        tasks = tuple(pending(pack, *parts[place : place + 3]) for place in range(0, 3 * n, 3))
        return [FollowUp("judgement", pack, tasks, begun.source)]
    instruction = text_of(draw, most)
    about = (pending(pack, instruction),)
    asked = [FollowUp("instances", pack, about, is_classification=labels) for labels in (False, True)]
    answer = 4 * sampling_of(state.composer.follow(1, asked[0], structured=False), sampling).max_tokens
    n = draw.randint(1, 5)
    parts = shared(draw, answer, 2 * n)
    tasks = tuple(pending(pack, instruction, *parts[place : place + 2]) for place in range(0, 2 * n, 2))
    return [FollowUp("classification", pack, about), *asked, FollowUp("judgement", pack, tasks)]


def requests_of(draw: random.Random, state: State, structured: dict[str, bool]) -> list[Request]:
    """What the run may compose, in either form where replies by a schema are offered."""
    composer, found = state.composer, list[Request]()
    for index in range(8):
        form = draw.random() < 0.5 and structured["teacher"]
        begun = composer.begin(index, index, [], form)
        most = 4 * sampling_of(begun, state.config.teacher.sampling).max_tokens
        written = [text_of(draw, draw.choice((40, most))) or "x" for _ in range(draw.randrange(4))]
        found += [begun, composer.begin(index, index, written, form)]
        for work in follow_ups(draw, state, begun):
            asked = "judge" if work.step == "judgement" and "judge" in state.teachers else "teacher"
            if work.step != "judgement" or state.config.judge is not None:
                found.append(composer.follow(index, work, draw.random() < 0.5 and structured[asked]))
    return found


@st.composite
def wishes(draw: st.DrawFn) -> dict[str, Any]:
    mode, fidelity = draw(st.sampled_from(["alpaca", "classic"])), draw(st.sampled_from(["fixed", "strict"]))
    judge = draw(st.sampled_from([None, {}, {"teacher": ENDPOINT}]))
    tokens = draw(st.sampled_from([16, 200, 2048]))
    documents = draw(st.sampled_from([None, ["knowledge"]])) if (mode, fidelity) == ("alpaca", "fixed") else None
    return {
        "mode": mode,
        "fidelity": fidelity,
        "judge": judge,
        "seeds_per_request": draw(st.integers(1, 4)),
        "tasks_per_request": draw(st.integers(1, 6)),
        "teacher": ENDPOINT | {"sampling": {"max_tokens": tokens}},
        "documents": documents and {"folder": "documents", "packs": documents, "passage_words": 40},
    }


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wishes(), st.integers(0, 9999), st.booleans(), st.booleans())
def test_no_request_of_a_run_is_larger_than_one_that_was_checked(
    domain_folder: Path,
    tmp_path: Path,
    wish: dict[str, Any],
    seed: int,
    teacher_structured: bool,
    judge_structured: bool,
) -> None:
    draw = random.Random(seed)
    if wish["documents"]:
        (tmp_path / "documents").mkdir(exist_ok=True)
        (tmp_path / "documents" / "a.md").write_text(text_of(draw, 4000) + " The dough rests.", encoding="utf-8")
        wish = wish | {"documents": wish["documents"] | {"folder": tmp_path / "documents"}}
    state = state_of(domain_folder, wish, [pack_of(draw, name) for name in ("knowledge", "other")], seed)
    structured = {"teacher": teacher_structured, "judge": judge_structured}
    teachers = {name: Noting(structured[name]) for name in state.teachers}
    asyncio.run(check_windows(state, cast("dict[str, ChatTeacher]", teachers)))
    checked = {
        name: [(prompt_bytes(request), state.worst_case(request).completion_tokens) for request in noting.checked]
        for name, noting in teachers.items()
    }
    for request in requests_of(draw, state, structured):
        size = prompt_bytes(request), state.worst_case(request).completion_tokens
        assert any(prompt >= size[0] and reply >= size[1] for prompt, reply in checked[state.asks(request)])


def test_the_longest_seed_tasks_are_what_is_checked_and_no_more(domain_folder: Path) -> None:
    seeds = tuple(SeedTask(instruction=f"Say {n}.", output="x" * 100 * n) for n in range(1, 9))
    pack = Pack("one", "Write.", seeds, Path("one.jsonl"))
    wish = {"seeds_per_request": 2, "teacher": ENDPOINT}
    state = state_of(domain_folder, wish, [pack])
    noting = Noting(structured=False)
    asyncio.run(check_windows(state, cast("dict[str, ChatTeacher]", {"teacher": noting})))
    (checked,) = noting.checked
    assert set(checked.parents) == {seeds[-1].id, seeds[-2].id}


def test_a_classic_run_whose_instances_do_not_fit_sends_nothing(configure: Configure, teacher: FakeTeacher) -> None:
    config = configure(teacher.url, 6, mode="classic", sampling={"max_tokens": 100})
    with pytest.raises(TeacherError, match="more than the context window of 400"):
        generate(with_window(config, 400))
    assert teacher.received == 0


def with_window(config: Config, window: int) -> Config:
    tree = config.model_dump(mode="json")
    tree["generate"]["teacher"]["context_window"] = window
    return Config.model_validate(tree)


def judged_by(teacher: FakeTeacher, window: int, max_tokens: int = 100) -> dict[str, Any]:
    sampling = {"max_tokens": max_tokens}
    return {"teacher": ENDPOINT | {"base_url": teacher.url, "context_window": window, "sampling": sampling}}


def test_a_judge_is_held_against_its_own_requests(
    configure: Configure, teacher: FakeTeacher, caplog: pytest.LogCaptureFixture
) -> None:
    """The teacher's requests show examples, and have replies of 2,048 tokens; the judge's window holds neither."""
    folder = generate(configure(teacher.url, 6, judge=judged_by(teacher, 1200)))
    assert len(events(folder, "committed")) > 0
    assert "generate.judge.teacher: if replies are as long as they may be: a request of this run has" in caplog.text


def test_a_judge_without_room_for_any_task_is_refused_and_named(configure: Configure, teacher: FakeTeacher) -> None:
    with pytest.raises(TeacherError, match=r"^generate\.judge\.teacher: .*more than the context window of 300"):
        generate(configure(teacher.url, 6, judge=judged_by(teacher, 300)))
    assert teacher.received == 0


def test_a_short_reply_bound_gives_no_warning(
    configure: Configure, teacher: FakeTeacher, caplog: pytest.LogCaptureFixture
) -> None:
    generate(configure(teacher.url, 6, judge=judged_by(teacher, 1200), sampling={"max_tokens": 200}))
    assert "context window" not in caplog.text
