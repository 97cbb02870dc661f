"""Each filter triggered and not triggered, their order, and what they must leave alone."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import cpu_seconds
from seedtune.domains import load_domain, shipped_domains
from seedtune.generate.filters.form import (
    REASONS,
    FilterRules,
    Rejection,
    instance_fault,
    instruction_fault,
    similarity_fault,
)
from seedtune.records import Candidate

RULES = FilterRules(min_words=4, max_words=12, rouge_threshold=0.7, blocked_words=("image", "Draw"))
PROSE = (
    "The hold timer ends a session that has been silent for too long. Each keepalive or update starts it again; when "
    "it runs out, the speaker sends a notification, closes the connection and withdraws every route of the peer."
)


def candidate(
    instruction: str = "Explain the hold timer.", given_input: str = "", output: str = "It ends a session."
) -> Candidate:
    return Candidate(instruction=instruction, input=given_input, output=output, pack="knowledge", request=0)


def fault_of(task: Candidate, rules: FilterRules = RULES) -> Rejection | None:
    return instruction_fault(task, rules) or instance_fault(task, rules)


TRIGGERED = [
    ("too_short", candidate("Explain hold timers."), "3 words"),
    ("too_short", candidate(""), "0 words"),
    ("too_short", candidate("   \n "), "0 words"),
    ("too_long", candidate(" ".join(["word"] * 13)), "13 words"),
    ("too_long", candidate("What is this: " + "x" * 1000), "1014 characters"),
    ("blocked_word", candidate("Describe the image of a router."), "image"),
    ("blocked_word", candidate("Describe the IMAGE, then stop."), "image"),
    ("blocked_word", candidate("Please draw the topology here."), "Draw"),
    ("bad_start", candidate("* Explain the hold timer."), "*"),
    ("bad_start", candidate("… explain the hold timer"), "…"),
    ("bad_start", candidate(": explain the hold timer"), ":"),
    ("no_output", candidate(output=""), "empty"),
    ("no_output", candidate(output="---\n***"), "empty"),
    ("no_output", candidate(output="<noinput>"), "empty"),
    ("no_output", candidate(output="[noinput]"), "empty"),
    ("no_output", candidate(output="**(No output)**."), "empty"),
    ("no_output", candidate(output="`< no_input >`\n"), "empty"),
    ("no_output", candidate(output="noinput"), "empty"),
    ("cut_off", candidate(output="The steps are:"), "ends with a colon"),
    ("cut_off", candidate(output="The steps are: \n"), "ends with a colon"),
    ("cut_off", candidate(given_input="The routes are:"), "ends with a colon"),
    ("cut_off", candidate(output="Run\n```python\nprint(1)"), "unclosed code fence"),
    ("echo", candidate(output=" explain the HOLD timer.\n"), "the output is the instruction"),
    ("echo", candidate(given_input="192.0.2.0/24", output="192.0.2.0/24"), "the output is the input"),
    ("leftover_label", candidate(output="It ends.\n3. Output: more"), "3. Output:"),
    ("leftover_label", candidate(output="**Instruction:** Explain"), "**Instruction:"),
    ("leftover_label", candidate("Input: explain the timer"), "Input:"),
    ("loops", candidate(output="the route is the route " * 40), "the output repeats itself"),
    ("loops", candidate(given_input="0" * 400), "the input repeats itself"),
]

NOT_TRIGGERED = [
    ("too_short", candidate("Explain hold timers briefly.")),
    ("too_long", candidate(" ".join(["word"] * 12))),
    ("blocked_word", candidate("List imageries and withdrawals now.")),
    ("blocked_word", candidate("Describe the map file format.")),
    ("blocked_word", candidate(given_input="image", output="image and drawing")),
    ("bad_start", candidate("`show ip bgp` prints what?")),
    ("bad_start", candidate('"Valley-free" means what here?')),
    ("bad_start", candidate("[AS64500] announces which prefixes?")),
    ("bad_start", candidate("10.0.0.0/8 is announced by whom?")),
    ("bad_start", candidate("Что такое таймер удержания?")),
    ("bad_start", candidate("什么 是 路由 泄漏 ?")),
    ("no_output", candidate(output="7")),
    ("no_output", candidate(output="是")),
    ("no_output", candidate(output="None.")),
    ("no_output", candidate(output="[None]")),
    ("no_output", candidate(output="No input reaches the session: it is down.")),
    ("no_output", candidate(output="Write <noinput> there.")),
    ("cut_off", candidate(output="Note: it ends.")),
    ("cut_off", candidate(given_input="hold: 90", output="```\nhold\n```")),
    ("echo", candidate(output="Explain the hold timer. It ends a session.")),
    ("echo", candidate(given_input="", output="It ends.")),
    ("leftover_label", candidate(output="The input: a prefix; the output: a list.")),
    ("leftover_label", candidate(output="Inputs: two\noutputs 3")),
    ("loops", candidate(output="no no no no no no")),
    ("loops", candidate(output=PROSE)),
]


BY_OTHERS = {
    "write_program",
    *("no_quote", "quote_not_found", "similar", "minhash", "embedding", "contaminated"),
    *("program_lint", "program_missing", "program_crash", "program_timeout"),
    *("program_silent", "program_same_output", "program_unstable", "program_wrong_value"),
    *("no_instance", "judged_low", "judge_unreadable"),
}


@pytest.mark.parametrize(("reason", "task", "detail"), TRIGGERED)
def test_the_filter_rejects_and_says_why(reason: str, task: Candidate, detail: str) -> None:
    assert fault_of(task) == (reason, detail)


@pytest.mark.parametrize(("reason", "task"), NOT_TRIGGERED)
def test_the_filter_leaves_a_near_miss_alone(reason: str, task: Candidate) -> None:
    assert fault_of(task) is None


def test_every_reason_is_tested_both_ways_here_or_belongs_to_another_module() -> None:
    listed = {reason for reason, *_ in TRIGGERED}
    assert listed == set(REASONS) - BY_OTHERS == {reason for reason, _ in NOT_TRIGGERED}


ORDER = [
    ("too_short", candidate("* draw", "", "::")),
    ("blocked_word", candidate("* draw the topology here", "", "::")),
    ("bad_start", candidate("* show the topology here\nOutput: it", "", "::")),
    ("leftover_label", candidate("Output: show the topology here", "", "::")),
    ("no_output", candidate("Now show the topology here", "", "::")),
    ("cut_off", candidate("Now show the topology here", "Output: a:", "Output: a:")),
    ("echo", candidate("Now show the topology here", "Output: a", "Output: a")),
    ("leftover_label", candidate("Now show the topology here", "a" * 400, "Output: so")),
    ("loops", candidate("Now show the topology here", "a" * 400, "It is so.")),
]


@pytest.mark.parametrize(("reason", "task"), ORDER)
def test_the_first_filter_in_order_decides(reason: str, task: Candidate) -> None:
    fault = fault_of(task)
    assert fault is not None
    assert fault.reason == reason


def test_too_long_comes_before_blocked_words() -> None:
    assert fault_of(candidate("* draw " + "word " * 12)) == ("too_long", "14 words")


def test_the_reasons_are_listed_in_the_order_of_the_filters() -> None:
    tested = list(dict.fromkeys(reason for reason, _ in ORDER))
    assert [reason for reason in REASONS if reason not in BY_OTHERS | {"too_long"}] == tested


def test_an_instruction_can_be_judged_before_it_has_an_output() -> None:
    bare = candidate("Explain the hold timer.", "", "")
    assert instruction_fault(bare, RULES) is None
    assert instance_fault(bare, RULES) == ("no_output", "empty")


def test_an_instance_is_judged_without_its_instruction() -> None:
    assert instance_fault(candidate("* draw"), RULES) is None


@pytest.mark.parametrize("score", [0.0, 0.5, 0.7])
def test_a_score_up_to_the_threshold_is_not_similar(score: float) -> None:
    assert similarity_fault(score, "seed0", RULES) is None


def test_a_similar_instruction_names_its_neighbour() -> None:
    assert similarity_fault(0.7000001, "seed1", RULES) == ("similar", "ROUGE-L 0.70 with seed1")


def test_write_a_program_is_an_instruction_like_any_other() -> None:
    assert fault_of(candidate("Write a program that lists origins.")) is None


def test_words_are_blocked_by_the_domain_alone() -> None:
    rules = FilterRules(min_words=4, max_words=150, rouge_threshold=0.7, blocked_words=())
    assert fault_of(candidate("Draw the image graph, plot a map file."), rules) is None


@pytest.mark.parametrize("word", ["map", "file", "graph", "table", "program"])
def test_the_bgp_domain_does_not_block_its_own_trade(word: str) -> None:
    assert word not in load_domain("bgp").file.filters.blocked_words


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=80))
def test_any_candidate_is_judged_by_a_known_reason_with_its_cause(
    instruction: str, given_input: str, output: str
) -> None:
    rules = FilterRules(min_words=1, max_words=12, rouge_threshold=0.7, blocked_words=("image",))
    fault = fault_of(candidate(instruction, given_input, output), rules)
    assert fault is None or (fault.reason in REASONS and fault.detail)


def test_every_shipped_seed_passes_the_filters_of_its_domain() -> None:
    found: list[str] = []
    for domain in map(load_domain, shipped_domains()):
        rules = FilterRules(4, 150, 0.7, domain.file.filters.blocked_words)
        for seed in (seed for pack in domain.packs.values() for seed in pack.seeds):
            fault = fault_of(candidate(seed.instruction, seed.input, seed.output), rules)
            found += [f"{fault}: {seed.instruction}"] if fault else []
    assert found == []


@pytest.mark.parametrize("word", ["power point", "e-mail"])
def test_a_blocked_term_of_two_words_blocks(word: str) -> None:
    rules = FilterRules(min_words=4, max_words=150, rouge_threshold=0.7, blocked_words=(word,))
    assert fault_of(candidate(f"Make a {word} for the NOC."), rules) == ("blocked_word", word)


@pytest.mark.parametrize(
    "instruction", ["“Valley-free” means what here?", "¿Qué es una fuga de rutas?", "«Hold time» means what here?"]
)
def test_an_instruction_may_open_with_its_languages_own_marks(instruction: str) -> None:
    assert fault_of(candidate(instruction)) is None


def test_an_instruction_without_spaces_is_not_too_short() -> None:
    assert fault_of(candidate("请解释什么是路由泄漏以及运营商如何防止它。")) is None


@pytest.mark.parametrize("kind", ["elems", "log"])
def test_machine_made_records_are_no_loop(kind: str) -> None:
    draw = random.Random(0)
    lines = {
        "elems": [
            json.dumps(
                {
                    "type": "A",
                    "collector": "rrc00",
                    "peer_asn": 64500,
                    "peer_address": "192.0.2.1",
                    "time": 1700000000 + n,
                }
                | {
                    "fields": {
                        "prefix": f"10.{draw.randrange(256)}.0.0/16",
                        "as-path": "64500 64501",
                        "communities": [],
                    }
                }
            )
            for n in range(12)
        ],
        "log": [f"2026-01-01T10:{n:02d}:00Z peer 192.0.2.1 state Established received KEEPALIVE" for n in range(30)],
    }[kind]
    assert fault_of(candidate(given_input="\n".join(lines))) is None


def test_an_output_of_bare_lines_does_not_hang_the_filters() -> None:
    with cpu_seconds(0.5):
        assert fault_of(candidate(output="a\n" + "|\n" * 50_000)) is not None
