"""What an evaluation asks: methods by type, examples from dev, what is primary."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seedtune.config import EvaluateConfig
from seedtune.domains import Domain, load_domain
from seedtune.errors import ConfigError, EvaluationError
from seedtune.evaluate.suites import Job, choose_suites, plan_jobs, showcase_questions


@pytest.fixture(scope="module")
def bgp() -> Domain:
    return load_domain("bgp")


def jobs_of(domain: Domain, **settings: Any) -> dict[str, Job]:
    config = EvaluateConfig(**settings)
    return {job.name: job for job in plan_jobs(choose_suites(domain, config), config, seed=3)}


def test_each_suite_has_one_primary_method(bgp: Domain) -> None:
    primary = [job for job in jobs_of(bgp).values() if job.primary]
    assert [job.suite for job in primary] == list(bgp.suites)
    with_options = {job.suite for job in primary if job.method == "loglikelihood"}
    assert with_options == {"multiple_choice", "true_false"}
    written = jobs_of(bgp, methods=("generate",))
    assert all(job.primary for job in written.values())
    assert len(written) == len(bgp.suites)


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
    jobs = jobs_of(bgp, max_new_tokens=5, exact_tokens=20, open_tokens=50, code_tokens=500)
    longest = {"open": 50, "exact": 20, "code": 500}
    for job in jobs.values():
        for question in job.questions:
            assert bool(question.options) == (job.method == "loglikelihood")
            written = longest.get(job.type, 5)
            assert question.max_new_tokens == (written if job.method == "generate" else 0)
            assert bool(question.order) == (job.name == "multiple_choice/generate")


def test_the_limit_is_one_of_each_suite(bgp: Domain) -> None:
    assert {len(job.items) for job in jobs_of(bgp, limit=7).values()} == {7}


def test_a_limit_by_suite_leaves_the_others_whole(bgp: Domain) -> None:
    asked = {job.suite: len(job.items) for job in jobs_of(bgp, limit={"code": 3, "cloze": 7}).values()}
    assert (asked["code"], asked["cloze"]) == (3, 7)
    assert asked["open"] == len(bgp.suites["open"].only("test").items)


def test_a_limit_of_an_unknown_suite_is_refused_with_the_nearest(bgp: Domain) -> None:
    with pytest.raises(ConfigError, match=r"evaluate\.limit: no suite 'coze'; did you mean 'cloze'"):
        jobs_of(bgp, limit={"coze": 3})


def test_an_unknown_suite_is_named_with_the_nearest(bgp: Domain) -> None:
    with pytest.raises(ConfigError, match="no suite 'multiple-choice'; did you mean 'multiple_choice'"):
        jobs_of(bgp, suites=("multiple-choice",))


def test_the_showcase_is_asked_as_it_stands(domain_folder: Path) -> None:
    domain = load_domain(str(domain_folder))
    assert [q.turns[0].content for q in showcase_questions(domain, 8)] == list(domain.file.showcase)


# Suites that are not the domain's


def test_own_suites_are_asked_whole_and_without_examples_whatever_the_split(bgp: Domain) -> None:
    own = replace(bgp.suites["true_false"].only("test"), name="mine")
    config = EvaluateConfig(suites=(), split="dev", shots=2, limit=1)
    jobs = plan_jobs(choose_suites(bgp, config, [own]), config, seed=3)
    assert {job.name for job in jobs} == {"mine/loglikelihood", "mine/generate"}
    assert all((job.part, len(job.items)) == ("own", len(own.items)) for job in jobs)
    assert all(len(question.turns) == 1 for job in jobs for question in job.questions)


def test_an_own_suite_with_a_name_of_the_domains_is_refused(bgp: Domain) -> None:
    with pytest.raises(EvaluationError, match="the domain has a suite cloze already; rename the file"):
        choose_suites(bgp, EvaluateConfig(), [bgp.suites["cloze"]])


def test_general_suites_are_named_after_their_domain_and_take_its_system_prompt(bgp: Domain) -> None:
    general = load_domain("general")
    general = replace(general, file=general.file.model_copy(update={"system_prompt": "Be brief."}))
    config = EvaluateConfig(suites=("cloze",), limit=2)
    jobs = plan_jobs(choose_suites(bgp, config, general=general), config, seed=3)
    assert {job.suite for job in jobs if job.part == "general"} == {f"general:{name}" for name in general.suites}
    for job in jobs:
        told = [turn.content for question in job.questions for turn in question.turns if turn.role == "system"]
        assert told == (["Be brief."] * len(job.questions) if job.part == "general" else [])


def test_several_samples_are_drawn_each_with_a_seed_of_its_own(bgp: Domain) -> None:
    [job] = jobs_of(bgp, suites=("code",), samples=3, temperature=0.7, limit=2).values()
    assert [question.sample for question in job.questions] == [0, 1, 2, 0, 1, 2]
    assert {question.temperature for question in job.questions} == {0.7}
    assert len({question.seed for question in job.questions}) == 6
    [greedy] = jobs_of(bgp, suites=("code",), limit=2).values()
    assert {(question.temperature, question.seed) for question in greedy.questions} == {(0.0, 0)}
