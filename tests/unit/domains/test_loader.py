"""Loading a domain: every fault names its place and what to do about it."""

import json
from pathlib import Path

import pytest

from seedtune.domains import load_domain, shipped_domains
from seedtune.errors import ConfigError, DomainError

SEED = {"instruction": "i", "input": "", "output": "o", "topic": "basics"}
CHOICE = {"question": "q", "options": ["Water", "Salt"], "answer": "Salt"}
STATEMENT = {"statement": "s", "answer": True}


def fault(folder: Path) -> str:
    """What the loader says about a broken domain."""
    with pytest.raises(DomainError) as caught:
        load_domain(str(folder))
    return str(caught.value)


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def replace_line(file: Path, number: int, line: object) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    lines[number - 1] = line if isinstance(line, str) else json.dumps(line)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


# Sound domains


def test_a_new_domain_loads_whole(domain_folder: Path) -> None:
    domain = load_domain(str(domain_folder))
    assert domain.name == "baking"
    assert [len(pack.seeds) for pack in domain.packs.values()] == [6]
    assert {name: len(suite.items) for name, suite in domain.suites.items()} == {"multiple_choice": 6, "true_false": 6}


@pytest.mark.parametrize("name", shipped_domains())
def test_every_shipped_domain_loads_under_its_name(name: str) -> None:
    assert load_domain(name).name == name


def test_the_template_is_no_shipped_domain() -> None:
    assert "template" not in shipped_domains()
    assert "bgp" in shipped_domains()


def test_a_relative_path_is_taken_from_here(domain_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(domain_folder.parent)
    assert load_domain("baking").name == "baking"


def test_a_path_below_home_is_expanded(domain_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(domain_folder.parent))
    assert load_domain("~/baking").name == "baking"


def test_a_statement_keeps_its_truth_as_a_choice(domain_folder: Path) -> None:
    suite = load_domain(str(domain_folder)).suites["true_false"]
    assert [(item.options, item.answer) for item in suite.items[:2]] == [
        (("True", "False"), "True"),
        (("True", "False"), "False"),
    ]


def test_identity_follows_prompt_seeds_and_filters(domain_folder: Path) -> None:
    def identity() -> str:
        domain = load_domain(str(domain_folder))
        return domain.content_id(domain.select_packs(None))

    seen = [identity()]
    for file, old, new in (
        ("prompts/knowledge.md", "bread", "cake"),
        ("seeds/knowledge.jsonl", "900 g", "901 g"),
        ("domain.yaml", "audio, draw", "draw"),
    ):
        replace(domain_folder / file, old, new)
        seen.append(identity())
    assert len(set(seen)) == 4


def test_identity_does_not_follow_the_questions(domain_folder: Path) -> None:
    domain = load_domain(str(domain_folder))
    replace(domain_folder / "evaluation/test/true_false.jsonl", "Cold dough", "Icy dough")
    again = load_domain(str(domain_folder))
    assert again.content_id(again.select_packs(None)) == domain.content_id(domain.select_packs(None))


# No such domain


def test_an_unknown_domain_is_told_what_is_shipped() -> None:
    with pytest.raises(DomainError, match=r"no domain 'bpg': give a shipped one \(.*bgp.*\) or the path"):
        load_domain("bpg")


def test_a_folder_without_a_description_is_told_how_to_make_one(tmp_path: Path) -> None:
    assert fault(tmp_path) == (
        f"{tmp_path}: no domain.yaml in this folder; 'seedtune domains new DIR' makes a domain that runs"
    )


def test_the_home_of_an_unknown_user_is_no_domain() -> None:
    with pytest.raises(DomainError):
        load_domain("~no-such-user-here/domain")


# domain.yaml


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("prompts/knowledge.md", "prompts/none.md", "packs.knowledge.prompt: there is no file prompts/none.md"),
        ("seeds/knowledge.jsonl", "seeds/none.jsonl", "packs.knowledge.seeds: there is no file seeds/none.jsonl"),
        ("seeds/knowledge.jsonl", "seeds", "packs.knowledge.seeds: there is no file seeds"),
        ("evaluation/test/true_false.jsonl", "x.jsonl", "suites.true_false.test: there is no file x.jsonl"),
        ("prompts/knowledge.md", "../other/p.md", "packs.knowledge.prompt: ../other/p.md lies outside"),
        ("seeds/knowledge.jsonl", "/etc/passwd", "packs.knowledge.seeds: /etc/passwd lies outside the domain folder"),
        ("type: true_false", "type: truefalse", "suites.true_false.type: input should be 'multiple_choice'"),
        ('name: "baking"', 'name: "Baking!"', "name: string should match pattern"),
        ("title:", "titel:", "title: field required"),
    ],
)
def test_a_fault_in_the_description_is_named_with_its_key(domain_folder: Path, old: str, new: str, words: str) -> None:
    replace(domain_folder / "domain.yaml", old, new)
    assert fault(domain_folder).startswith(f"{domain_folder / 'domain.yaml'}: ")
    assert words in fault(domain_folder)


def test_a_link_out_of_the_folder_is_refused(domain_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("secret")
    (domain_folder / "prompts/knowledge.md").unlink()
    (domain_folder / "prompts/knowledge.md").symlink_to(tmp_path / "secret.md")
    assert "lies outside the domain folder" in fault(domain_folder)


def test_a_folder_beside_it_with_the_same_beginning_lies_outside(domain_folder: Path) -> None:
    beside = domain_folder.with_name("baking-2")
    beside.mkdir()
    (beside / "p.md").write_text("prompt")
    replace(domain_folder / "domain.yaml", "prompts/knowledge.md", "../baking-2/p.md")
    assert "lies outside the domain folder" in fault(domain_folder)


def test_broken_yaml_is_named_with_its_line(domain_folder: Path) -> None:
    (domain_folder / "domain.yaml").write_text("name: a\ntitle: [b\npacks: c\n")
    assert fault(domain_folder).startswith(f"{domain_folder / 'domain.yaml'}:3: not valid YAML: ")


@pytest.mark.parametrize(
    "content",
    [
        b"name: \xff",
        b"name: 2020-13-45",
        b"name: \x01",
    ],
    ids=["not UTF-8", "impossible date", "control character"],
)
def test_a_description_that_cannot_be_read_is_named(domain_folder: Path, content: bytes) -> None:
    (domain_folder / "domain.yaml").write_bytes(content)
    assert str(domain_folder / "domain.yaml") in fault(domain_folder)


@pytest.mark.parametrize(
    ("right", "wrong"), [("showcase", "showcaes"), ("    prompt", "    promt"), ("  blocked_words", "  blokced_words")]
)
def test_an_unknown_key_is_named_with_line_and_nearest_key(domain_folder: Path, right: str, wrong: str) -> None:
    description = domain_folder / "domain.yaml"
    replace(description, f"{right}:", f"{wrong}:")
    lines = description.read_text().splitlines()
    [number] = [number for number, line in enumerate(lines, 1) if line.startswith(f"{wrong}:")]
    assert f"{description}:{number}: " in fault(domain_folder)
    assert f"did you mean '{right.strip()}'?" in fault(domain_folder)


@pytest.mark.parametrize(
    ("right", "wrong", "key"),
    [("showcase:", "showcaes:", "showcaes"), ("prompt:", "promt:", "packs.knowledge.promt")],
)
def test_an_unknown_key_is_named(domain_folder: Path, right: str, wrong: str, key: str) -> None:
    replace(domain_folder / "domain.yaml", right, wrong)
    assert key in fault(domain_folder)


def test_an_empty_description_is_told_without_names_of_classes(domain_folder: Path) -> None:
    (domain_folder / "domain.yaml").write_text("# nothing yet\n")
    assert "domainfile" not in fault(domain_folder).lower()


# Suites and their splits


def test_a_suite_has_its_test_items_before_those_of_dev(domain_folder: Path) -> None:
    suite = load_domain(str(domain_folder)).suites["multiple_choice"]
    assert {split: len(file.items) for split, file in suite.files.items()} == {"test": 4, "dev": 2}
    assert suite.items == suite.files["test"].items + suite.files["dev"].items
    assert suite.only("dev").items == suite.files["dev"].items
    assert suite.only("test").choices == suite.files["test"].items


@pytest.mark.parametrize("key", ["items", "test"])
def test_a_suite_of_one_file_is_all_test(domain_folder: Path, key: str) -> None:
    old = "    test: evaluation/test/true_false.jsonl\n    dev: evaluation/dev/true_false.jsonl\n"
    replace(domain_folder / "domain.yaml", old, f"    {key}: evaluation/test/true_false.jsonl\n")
    suite = load_domain(str(domain_folder)).suites["true_false"]
    assert (len(suite.only("test").items), suite.only("dev").items) == (4, ())


@pytest.mark.parametrize(
    "files",
    [
        "dev: evaluation/dev/true_false.jsonl",
        "items: evaluation/test/true_false.jsonl\n    test: evaluation/test/true_false.jsonl",
        "items: evaluation/test/true_false.jsonl\n    dev: evaluation/dev/true_false.jsonl",
        "reviews: evaluation/reviews.jsonl",
    ],
)
def test_a_suite_that_names_its_files_in_another_way_is_told_how(domain_folder: Path, files: str) -> None:
    old = "test: evaluation/test/true_false.jsonl\n    dev: evaluation/dev/true_false.jsonl"
    replace(domain_folder / "domain.yaml", old, files)
    how = "name its files as 'test: FILE' and 'dev: FILE', or one file as 'items: FILE'"
    assert fault(domain_folder) == f"{domain_folder / 'domain.yaml'}: suites.true_false: {how}"


def test_one_file_cannot_be_both_splits(domain_folder: Path) -> None:
    replace(domain_folder / "domain.yaml", "evaluation/dev/true_false.jsonl", "evaluation/test/true_false.jsonl")
    assert "suites.true_false: dev and test are the same file" in fault(domain_folder)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  dev_share", "  dev_shrae", "unknown key 'requirements.dev_shrae'; did you mean 'dev_share'?"),
        ("{knowledge: 6}", "{knowlege: 6}", "requirements.seeds: no pack 'knowlege'; did you mean 'knowledge'?"),
        ("true_false: 6}", "truefalse: 6}", "requirements.items: no suite 'truefalse'; did you mean 'true_false'?"),
        ("dev_share: 0.3", "dev_share: 30", "requirements.dev_share: input should be less than 1"),
        ("    dev: ev", "    dve: ev", "unknown key 'suites.multiple_choice.dve'; did you mean 'dev'?"),
    ],
)
def test_a_wrong_requirement_or_split_is_named(domain_folder: Path, old: str, new: str, words: str) -> None:
    replace(domain_folder / "domain.yaml", old, new)
    assert words in fault(domain_folder)


# The canary


def test_the_canary_is_no_item_and_lines_count_it(domain_folder: Path) -> None:
    file = load_domain(str(domain_folder)).suites["true_false"].files["test"]
    assert file.canary is not None
    assert file.lines == (2, 3, 4, 5)
    assert len(file.items) == 4


def test_a_file_without_a_canary_is_read_from_its_first_line(domain_folder: Path) -> None:
    file = load_domain(str(domain_folder)).suites["true_false"].files["dev"]
    assert (file.canary, file.lines) == (None, (1, 2))


@pytest.mark.parametrize(
    ("file", "number", "line"),
    [
        ("evaluation/test/true_false.jsonl", 3, {"canary": "again"}),
        ("evaluation/dev/true_false.jsonl", 2, {"canary": "again"}),
        ("evaluation/test/true_false.jsonl", 1, {"canary": "first", **STATEMENT}),
        ("evaluation/test/true_false.jsonl", 1, {"canary": 1}),
    ],
)
def test_a_canary_anywhere_else_is_an_error(domain_folder: Path, file: str, number: int, line: object) -> None:
    replace_line(domain_folder / file, number, line)
    where = f"{domain_folder / file}:{number}"
    assert fault(domain_folder) == f'{where}: a canary is the first line of its file: {{"canary": "..."}} alone'


def test_a_canary_among_the_seeds_is_an_error(domain_folder: Path) -> None:
    replace_line(domain_folder / "seeds/knowledge.jsonl", 1, {"canary": "first"})
    assert fault(domain_folder).startswith(f"{domain_folder / 'seeds/knowledge.jsonl'}:1: ")


def test_a_file_of_nothing_but_a_canary_has_no_item(domain_folder: Path) -> None:
    (domain_folder / "evaluation/test/true_false.jsonl").write_text('{"canary": "first"}\n')
    assert "no item in this suite" in fault(domain_folder)


# Prompts


@pytest.mark.parametrize("content", ["", " \n\t\n"])
def test_an_empty_prompt_is_named_with_what_to_write(domain_folder: Path, content: str) -> None:
    (domain_folder / "prompts/knowledge.md").write_text(content)
    assert fault(domain_folder) == (
        f"{domain_folder / 'prompts/knowledge.md'}: the prompt is empty; "
        "say who the teacher is and what its tasks are about"
    )


def test_a_prompt_that_is_not_utf8_is_named(domain_folder: Path) -> None:
    (domain_folder / "prompts/knowledge.md").write_bytes("Bäckerei".encode("latin-1"))
    assert str(domain_folder / "prompts/knowledge.md") in fault(domain_folder)


# Seeds and items


@pytest.mark.parametrize(
    ("file", "line", "words"),
    [
        ("seeds/knowledge.jsonl", "{", "not valid JSON at column 2"),
        ("seeds/knowledge.jsonl", "[]", 'expected one JSON object a line, such as {"instruction": ...}'),
        ("seeds/knowledge.jsonl", {**SEED, "outptu": "o"}, "outptu: extra inputs are not permitted"),
        ("seeds/knowledge.jsonl", {"instruction": "i"}, "output: field required"),
        ("seeds/knowledge.jsonl", {**SEED, "output": ""}, "output: string should have at least 1 character"),
        ("seeds/knowledge.jsonl", {**SEED, "citations": "RFC 4271"}, "citations: input should be a valid tuple"),
        ("evaluation/test/multiple_choice.jsonl", {**CHOICE, "answer": "Sand"}, "is not among its options"),
        ("evaluation/test/multiple_choice.jsonl", {**CHOICE, "answer": "salt"}, "is not among its options"),
        ("evaluation/test/multiple_choice.jsonl", {**CHOICE, "answer": 1}, "answer: input should be a valid string"),
        ("evaluation/test/multiple_choice.jsonl", {**CHOICE, "options": ["Salt"]}, "options: "),
        ("evaluation/test/multiple_choice.jsonl", {**CHOICE, "options": ["Salt", "Salt"]}, "two options are the same"),
        ("evaluation/test/multiple_choice.jsonl", {**CHOICE, "level": 4}, "level: "),
        ("evaluation/test/multiple_choice.jsonl", {**CHOICE, "explanation": ""}, "explanation: extra inputs"),
        ("evaluation/test/multiple_choice.jsonl", STATEMENT, "question: field required"),
        (
            "evaluation/test/true_false.jsonl",
            {**STATEMENT, "answer": "true"},
            "answer: input should be a valid boolean",
        ),
        ("evaluation/test/true_false.jsonl", {**STATEMENT, "answer": 1}, "answer: input should be a valid boolean"),
        ("evaluation/test/true_false.jsonl", {**STATEMENT, "statement": ""}, "statement: "),
    ],
)
def test_a_broken_line_is_named_with_file_and_line(domain_folder: Path, file: str, line: object, words: str) -> None:
    replace_line(domain_folder / file, 3, line)
    said = fault(domain_folder)
    assert said.startswith(f"{domain_folder / file}:3: ")
    assert words in said


def test_all_broken_lines_of_a_file_are_named_at_once(domain_folder: Path) -> None:
    path = domain_folder / "seeds/knowledge.jsonl"
    for number in (2, 5):
        replace_line(path, number, {"instruction": "i"})
    assert [line.partition(": ")[0] for line in fault(domain_folder).splitlines()] == [f"{path}:2", f"{path}:5"]


def test_seeds_that_are_all_blank_are_told_the_form_of_one(domain_folder: Path) -> None:
    (domain_folder / "seeds/knowledge.jsonl").write_text("\n\n")
    assert fault(domain_folder) == (
        f"{domain_folder / 'seeds/knowledge.jsonl'}: no seed task; "
        'write some lines of {"instruction", "input", "output"}'
    )


def test_a_suite_without_items_is_told_the_two_ways_out(domain_folder: Path) -> None:
    (domain_folder / "evaluation/test/true_false.jsonl").write_text("")
    assert "no item in this suite; write some or take the suite out of domain.yaml" in fault(domain_folder)


def test_seeds_that_are_not_utf8_are_named(domain_folder: Path) -> None:
    (domain_folder / "seeds/knowledge.jsonl").write_bytes(b'{"instruction": "\xe4"}\n')
    assert f"{domain_folder / 'seeds/knowledge.jsonl'}: is not UTF-8 (byte 17)" in fault(domain_folder)


# Packs and suites by name


def test_packs_come_in_the_order_asked_for() -> None:
    names = ("realtime", "knowledge")
    assert tuple(pack.name for pack in load_domain("bgp").select_packs(names)) == names


def test_no_names_are_all_packs_in_the_order_of_the_file() -> None:
    assert [pack.name for pack in load_domain("bgp").select_packs(None)] == ["knowledge", "pybgpstream", "realtime"]


@pytest.mark.parametrize(
    ("asked", "hint"),
    [("knowlege", "did you mean 'knowledge'?"), ("zzz", "there are: knowledge, pybgpstream, realtime")],
)
def test_an_unknown_pack_is_told_the_nearest(asked: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_domain("bgp").select_packs(("realtime", asked))
    assert f"no pack '{asked}'; {hint}" in str(caught.value)


def test_an_unknown_suite_is_told_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no suite 'truefalse'; did you mean 'true_false'\?"):
        load_domain("bgp").select_suites(("truefalse",))


def test_an_unknown_suite_of_a_domain_without_any_is_told_so(domain_folder: Path) -> None:
    description = domain_folder / "domain.yaml"
    text = description.read_text()
    description.write_text(text[: text.index("suites:")])
    with pytest.raises(ConfigError, match="no suite 'x'; there are: none"):
        load_domain(str(domain_folder)).select_suites(("x",))
