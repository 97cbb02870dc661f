"""Verb and object of an instruction by rules."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtune.publish.verbs import QUESTION, Root, root_of


@pytest.mark.parametrize(
    ("instruction", "verb", "noun"),
    [
        ("Write a function that parses MRT files.", "write", "function"),
        ("Describe the BGP best path algorithm in three steps.", "describe", "algorithm"),
        ("List the well-known attributes.", "list", "attribute"),
        ("Explain how the hold timer works.", "explain", "how"),
        ("Please explain the policies", "explain", "policy"),
        ("Briefly, describe two new features of it", "describe", "feature"),
        ("Clearly state the addresses.", "state", "address"),
        ("Tally by peer.", "tally", "peer"),
        ("Apply the filter to it", "apply", "filter"),
        ("Can you list three reasons?", "list", "reason"),
        ("Given the following prefix, find its origin.", "find", "origin"),
        ("When a session flaps, list possible causes.", "list", "cause"),
        ("The session flaps every hour. Find the cause.", "find", "cause"),
        ("Tell a newcomer how peering differs from transit.", "tell", "newcomer"),
        ("Summarize", "summarize", ""),
    ],
)
def test_an_order_has_its_verb_and_object(instruction: str, verb: str, noun: str) -> None:
    assert root_of(instruction) == Root(verb, noun)


@pytest.mark.parametrize(
    ("instruction", "word"),
    [
        ("What is a route reflector?", "what"),
        ("When is a route suppressed?", "when"),
        ("Which path wins, and why?", "which"),
        ("Into which four kinds do attributes fall?", "which"),
        ("Is this prefix valid?", "yes or no"),
        ("Two peers agree on 180 s. How often do they send a KEEPALIVE?", "how"),
    ],
)
def test_a_question_is_a_class_of_its_own(instruction: str, word: str) -> None:
    assert root_of(instruction) == Root(QUESTION, word)


@pytest.mark.parametrize("instruction", ["", "   ", "The peer is down.", "你好,写一首诗", "1234 5678", "?!", "#"])
def test_what_begins_with_neither_has_no_root(instruction: str) -> None:
    assert root_of(instruction) is None


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None, database=None)
def test_any_text_is_read(text: str) -> None:
    root = root_of(text)
    assert root is None or root.verb
