"""What an evaluation asks: methods by type, examples from dev, what is primary."""

from pathlib import Path
from typing import Any

import pytest

from seedtune.config import EvaluateConfig
from seedtune.domains import Domain, load_domain
from seedtune.errors import DomainError
from seedtune.evaluate.suites import Job, plan_jobs, showcase_questions


@pytest.fixture(scope="module")
def bgp() -> Domain:
    return load_domain("bgp")


def jobs_of(domain: Domain, **settings: Any) -> dict[str, Job]:
    return {job.name: job for job in plan_jobs(domain, EvaluateConfig(**settings), seed=3)}


def test_each_suite_has_one_primary_method(bgp: Domain) -> None:
    primary = [job.name for job in jobs_of(bgp).values() if job.primary]
    assert primary == ["multiple_choice/loglikelihood", "true_false/loglikelihood", "cloze/generate", "open/generate"]
    written = jobs_of(bgp, methods=("generate",))
    assert all(job.primary for job in written.values())
    assert len(written) == 4


def test_the_primary_method_is_the_same_in_whatever_order_the_methods_are_named(bgp: Domain) -> None:
    turned = jobs_of(bgp, methods=("generate", "loglikelihood"))
    assert [(name, job.primary) for name, job in turned.items()] == [(n, j.primary) for n, j in jobs_of(bgp).items()]


def test_an_item_is_never_shown_before_itself_and_each_has_as_many_examples(bgp: Domain) -> None:
    for job in jobs_of(bgp, split="dev", shots=4).values():
        for item, question in zip(job.items, job.questions, strict=True):
            assert len(question.turns) == 9
            assert not any(item.question in turn.content for turn in question.turns[:-1])
            assert item.question in question.turns[-1].content


def test_examples_are_answered_as_the_method_asks(bgp: Domain) -> None:
    jobs = jobs_of(bgp, suites=("multiple_choice",), shots=2)
    options = {option for item in bgp.suites["multiple_choice"].choices for option in item.options}
    by_likelihood, written = jobs["multiple_choice/loglikelihood"], jobs["multiple_choice/generate"]
    assert {by_likelihood.questions[0].turns[n].content for n in (1, 3)} <= options
    assert {written.questions[0].turns[n].content for n in (1, 3)} <= set("ABCD")


def test_examples_are_of_dev_alone(bgp: Domain) -> None:
    shown = [turn.content for job in jobs_of(bgp, shots=3).values() for q in job.questions for turn in q.turns[:-1]]
    assert not [item for suite in bgp.suites.values() for item in suite.only("test").items if item.question in shown]


def test_options_are_scored_or_listed_but_not_both(bgp: Domain) -> None:
    jobs = jobs_of(bgp, max_new_tokens=5, open_tokens=50)
    for job in jobs.values():
        for question in job.questions:
            assert bool(question.options) == (job.method == "loglikelihood")
            assert (
                question.max_new_tokens == {"loglikelihood": 0, "generate": 50 if job.type == "open" else 5}[job.method]
            )
            assert bool(question.order) == (job.name == "multiple_choice/generate")


def test_the_limit_is_one_of_each_suite(bgp: Domain) -> None:
    assert {len(job.items) for job in jobs_of(bgp, limit=7).values()} == {7}


def test_an_unknown_suite_is_named_with_the_nearest(bgp: Domain) -> None:
    with pytest.raises(DomainError, match="no suite 'multiple-choice'; did you mean 'multiple_choice'"):
        jobs_of(bgp, suites=("multiple-choice",))


def test_the_showcase_is_asked_as_it_stands(domain_folder: Path) -> None:
    domain = load_domain(str(domain_folder))
    assert [q.turns[0].content for q in showcase_questions(domain, 8)] == list(domain.file.showcase)
