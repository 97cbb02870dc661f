"""Records, their ids, and JSON Lines on disk."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from conftest import write_jsonl
from seedtune.errors import DataError, DomainError
from seedtune.records import (
    Answer,
    Candidate,
    EvalItem,
    Message,
    Record,
    Reply,
    SeedTask,
    TrueFalseItem,
    Usage,
    Verdict,
    cut_torn_end,
    file_sha256,
    json_line,
    read_json_lines,
    read_records,
    write_atomic,
    write_records,
)

SURROGATE = "a\ud800b"
NO_TOKENS = Usage(prompt_tokens=0, completion_tokens=0)
VALID_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ANY_TEXT = st.text(st.characters() | st.sampled_from("\ud800\udfff\u2028\u2029\x85\r\n\x0b\x1c"), max_size=40)
BORDERS = settings(max_examples=100, deadline=None, database=None)


def candidate(instruction: str = "i", given: str = "", output: str = "o") -> Candidate:
    return Candidate(instruction=instruction, input=given, output=output, pack="p", request=0)


def item(**changes: Any) -> EvalItem:
    return EvalItem(**{"question": "q", "options": ("yes", "no"), "answer": "no", **changes})


# Ids


def test_id_is_the_documented_hash_of_the_content() -> None:
    expected = hashlib.sha256('["What is a prefix?","","Grüße"]'.encode()).hexdigest()[:16]
    assert SeedTask(instruction="What is a prefix?", output="Grüße").id == expected


def test_id_survives_writing_and_reading(tmp_path: Path) -> None:
    task = SeedTask(instruction="é\u2028", input='\\ "', output="\x00")
    write_records(tmp_path / "t.jsonl", [task])
    assert read_records(tmp_path / "t.jsonl", SeedTask)[0].id == task.id


@pytest.mark.parametrize("changed", [("x", "", "o"), ("i", "x", "o"), ("i", "", "x")])
def test_id_changes_with_each_part_of_the_content(changed: tuple[str, str, str]) -> None:
    assert candidate(*changed).id != candidate("i", "", "o").id


@given(first=st.tuples(VALID_TEXT, VALID_TEXT, VALID_TEXT), second=st.tuples(VALID_TEXT, VALID_TEXT, VALID_TEXT))
@BORDERS
def test_ids_are_equal_exactly_when_the_content_is(first: tuple[str, str, str], second: tuple[str, str, str]) -> None:
    assert (candidate(*first).id == candidate(*second).id) == (first == second)


@given(parts=st.tuples(VALID_TEXT, VALID_TEXT), cut=st.integers(0, 80))
@BORDERS
def test_moving_text_between_instruction_and_input_changes_the_id(parts: tuple[str, str], cut: int) -> None:
    whole = "".join(parts)
    moved = (whole[:cut], whole[cut:])
    assert (candidate(*moved).id == candidate(*parts).id) == (moved == parts)


def test_id_of_a_seed_does_not_depend_on_topic_and_citations() -> None:
    plain = SeedTask(instruction="i", output="o")
    assert SeedTask(instruction="i", output="o", topic="t", citations=("RFC 4271, Section 5",)).id == plain.id


def test_the_same_content_has_the_same_id_as_seed_and_as_candidate() -> None:
    assert SeedTask(instruction="i", output="o").id == candidate().id


def test_id_of_an_item_depends_on_the_order_of_its_options() -> None:
    assert item(options=("no", "yes")).id != item().id


def test_records_are_frozen() -> None:
    task = candidate()
    with pytest.raises(ValidationError):
        task.output = "other"


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError, match="outptu"):
        SeedTask.model_validate({"instruction": "i", "output": "o", "outptu": "o"})


def test_prompt_holds_the_input_only_where_there_is_one() -> None:
    assert (candidate("i", "x").prompt, candidate("i").prompt) == ("i\n\nx", "i")


# Text that is not valid Unicode


@pytest.mark.parametrize(
    "make",
    [
        lambda: candidate(SURROGATE, SURROGATE, SURROGATE),
        lambda: Message(role="user", content=SURROGATE),
        lambda: Reply(index=0, text=SURROGATE, error=SURROGATE, usage=NO_TOKENS),
        lambda: item(options=(SURROGATE, "b"), answer="b"),
        lambda: item(rationale=SURROGATE),
        lambda: Answer(key="k", item="x", suite="s", method="generate", model="base", text=SURROGATE),
        lambda: SeedTask(instruction=SURROGATE, output=SURROGATE),
        lambda: item(question=SURROGATE),
        lambda: SeedTask(instruction="i", output="o", topic=SURROGATE, citations=(SURROGATE,)),
        lambda: Reply(index=0, finish_reason=SURROGATE, usage=NO_TOKENS),
        lambda: Verdict(candidate=candidate(), kept=False, reason="r", detail=SURROGATE),
    ],
    ids=[
        "candidate",
        "message",
        "reply",
        "option",
        "rationale",
        "answer",
        "seed",
        "question",
        "topic",
        "finish",
        "detail",
    ],
)
def test_lone_surrogates_are_replaced_so_that_the_record_can_be_written(make: Callable[[], Record]) -> None:
    written = json_line(make().model_dump(mode="json")).encode()
    assert b"a?b" in written


@given(text=ANY_TEXT)
@BORDERS
def test_any_text_of_a_teacher_can_be_hashed_and_written(text: str) -> None:
    task = candidate(text, text, text)
    line = json_line(task.model_dump(mode="json"))
    assert line.encode().count(b"\n") == 1
    assert Candidate.model_validate(json.loads(line)).id == task.id


# Items


def test_item_refuses_an_answer_that_is_no_option() -> None:
    with pytest.raises(ValidationError, match="maybe"):
        item(answer="maybe")


def test_item_refuses_two_options_that_are_the_same() -> None:
    with pytest.raises(ValidationError, match="two options are the same"):
        item(options=("no", "no"))


def test_item_refuses_an_empty_option() -> None:
    with pytest.raises(ValidationError):
        item(options=("", "no"))


@pytest.mark.parametrize(("truth", "key"), [(True, 0), (False, 1)])
def test_a_statement_becomes_a_choice_with_the_right_key(truth: bool, key: int) -> None:
    choice = TrueFalseItem(statement="s", answer=truth, topic="t", level=2, citation="c", rationale="r").as_choice()
    assert (choice.key, choice.topic, choice.level, choice.citation, choice.rationale) == (key, "t", 2, "c", "r")


@pytest.mark.parametrize("answer", ["true", "True", 1, 0, None])
def test_a_statement_is_judged_by_a_boolean_only(answer: object) -> None:
    with pytest.raises(ValidationError):
        TrueFalseItem.model_validate({"statement": "s", "answer": answer})


def test_a_seed_of_white_space_alone_is_refused() -> None:
    with pytest.raises(ValidationError):
        SeedTask(instruction=" \n", output="o")


# JSON Lines


@given(tasks=st.lists(st.builds(candidate, VALID_TEXT, VALID_TEXT, VALID_TEXT), max_size=5))
@BORDERS
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, tasks: list[Candidate]) -> None:
    path = tmp_path_factory.getbasetemp() / "round-trip.jsonl"
    write_records(path, tasks)
    assert read_records(path, Candidate) == tasks


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e"])
def test_a_line_separator_inside_a_string_does_not_end_the_line(tmp_path: Path, separator: str) -> None:
    # As other writers have it: the character itself where JSON allows it, not an escape.
    text = json.dumps({"a": f"x{separator}y"}, ensure_ascii=False) + '\n{"a": 2}\n'
    (tmp_path / "t.jsonl").write_text(text, encoding="utf-8")
    assert list(read_json_lines(tmp_path / "t.jsonl")) == [(1, {"a": f"x{separator}y"}), (2, {"a": 2})]


def test_blank_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('\n{"a": 1}\n  \t\n\r\n{"a": 2}')
    assert list(read_json_lines(tmp_path / "t.jsonl")) == [(2, {"a": 1}), (5, {"a": 2})]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").touch()
    assert list(read_json_lines(tmp_path / "t.jsonl")) == []


def test_windows_line_ends_are_read(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(b'{"a": 1}\r\n{"a": 2}\r\n')
    assert [value["a"] for _, value in read_json_lines(tmp_path / "t.jsonl")] == [1, 2]


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\n')
    assert list(read_json_lines(tmp_path / "t.jsonl")) == [(1, {"a": 1})]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        '{"a": 1,}',
        "{'a': 1}",
        '{"a": 1} {"a": 2}',
        "[1]",
        '"a"',
        "null",
        "3",
        '{"a": ' + "1" * 5000 + "}",
        '{"a": ' + "[" * 100_000,
    ],
    ids=["cut", "comma", "quotes", "two", "list", "string", "null", "number", "huge number", "deep"],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(f'{{"a": 1}}\n\n{line}\n')
    with pytest.raises(DataError) as caught:
        list(read_json_lines(path))
    assert str(caught.value).startswith(f"{path}:3: ")


@pytest.mark.parametrize(
    ("record", "word"),
    [
        ({"instruction": "i"}, "output: field required"),
        ({"instruction": "i", "output": ""}, "output:"),
        ({"instruction": "i", "output": "o", "outptu": "o"}, "outptu:"),
        ({"instruction": 3, "output": "o"}, "instruction:"),
    ],
)
def test_a_record_that_does_not_fit_is_named_with_its_key(tmp_path: Path, record: dict[str, Any], word: str) -> None:
    path = write_jsonl(tmp_path / "t.jsonl", [{"instruction": "i", "output": "o"}, record])
    with pytest.raises(DataError) as caught:
        read_records(path, SeedTask)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert word in str(caught.value)


def test_a_message_quotes_the_file_letter_for_letter(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "t.jsonl", [{"question": "q", "options": ["Flour", "Salt"], "answer": "flour"}])
    with pytest.raises(DataError, match=r"'flour' is not among its options \['Flour', 'Salt'\]"):
        read_records(path, EvalItem)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl: cannot be read: No such file"):
        list(read_json_lines(tmp_path / "none.jsonl"))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        list(read_json_lines(tmp_path))


def test_a_file_that_is_not_utf8_is_named_with_the_byte(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(b'{"a": "\xe9"}')
    with pytest.raises(DataError, match=r"t\.jsonl: is not UTF-8 \(byte 7\)"):
        list(read_json_lines(tmp_path / "t.jsonl"))


def test_the_caller_chooses_the_class_of_the_error(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text("{}\n")
    with pytest.raises(DomainError):
        read_records(tmp_path / "t.jsonl", SeedTask, DomainError)


# Atomic writing


def entries(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_text_that_cannot_be_encoded_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    write_atomic(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomic(path, "new" * 100_000 + "\ud800")
    assert (path.read_text(), entries(tmp_path)) == ("old", {"t.txt"})


def test_records_that_fail_halfway_leave_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    write_records(path, [candidate()])
    before = path.read_bytes()

    def failing() -> Iterator[Candidate]:
        yield candidate("other")
        raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        write_records(path, failing())
    assert (path.read_bytes(), entries(tmp_path)) == (before, {"t.jsonl"})


def test_a_rename_that_fails_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    with pytest.raises(DataError, match=r"/t: cannot be written: Is a directory"):
        write_atomic(tmp_path / "t", "text")
    assert entries(tmp_path) == {"t"}


def test_a_reader_sees_the_old_or_the_new_file_never_a_part(tmp_path: Path) -> None:
    path, texts = tmp_path / "t.txt", ("a" * 300_000, "b" * 300_000)
    write_atomic(path, texts[0])
    stop, seen = threading.Event(), set[str]()

    def read() -> None:
        while not stop.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(30):
        write_atomic(path, texts[number % 2])
    stop.set()
    reader.join()
    assert seen <= set(texts)
    assert seen


def test_missing_folders_are_made(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a" / "b" / "t.txt", "text")
    assert (tmp_path / "a" / "b" / "t.txt").read_text() == "text"


def test_bytes_are_utf8_without_translated_line_ends(tmp_path: Path) -> None:
    write_atomic(tmp_path / "t.txt", "é\r\n\n")
    assert (tmp_path / "t.txt").read_bytes() == b"\xc3\xa9\r\n\n"


def test_others_may_read_what_is_written(tmp_path: Path) -> None:
    write_atomic(tmp_path / "t.txt", "text")
    assert (tmp_path / "t.txt").stat().st_mode & 0o777 == 0o644


def test_file_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc" * 100_000)
    assert file_sha256(tmp_path / "f") == hashlib.sha256(b"abc" * 100_000).hexdigest()


# A torn last line


def whole_lines(data: bytes) -> bytes:
    return data[: data.rfind(b"\n") + 1]


def test_a_file_torn_at_any_byte_keeps_its_whole_lines(tmp_path: Path) -> None:
    data = "".join(json_line({"event": n, "text": "é\u2028🙂" * n}) for n in range(4)).encode()
    path = tmp_path / "journal.jsonl"
    for position in range(len(data) + 1):
        path.write_bytes(data[:position])
        cut_torn_end(path)
        assert path.read_bytes() == whole_lines(data[:position]), position


@pytest.mark.parametrize("before", [0, 1, 65_536])
@pytest.mark.parametrize("torn", [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000])
def test_a_torn_line_longer_than_a_block_is_cut_whole(tmp_path: Path, before: int, torn: int) -> None:
    path = tmp_path / "journal.jsonl"
    whole = b"x" * (before - 1) + b"\n" if before else b""
    path.write_bytes(whole + b"y" * torn)
    cut_torn_end(path)
    assert path.read_bytes() == whole


@given(data=st.lists(st.sampled_from([b"\n", b"a", b"\xc3", b"\x00", b"\r"]), max_size=30).map(b"".join))
@BORDERS
def test_cutting_twice_is_cutting_once(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "torn"
    path.write_bytes(data)
    cut_torn_end(path)
    once = path.read_bytes()
    cut_torn_end(path)
    assert path.read_bytes() == once == whole_lines(data)


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").mkdir()
    with pytest.raises(DataError, match=r"journal\.jsonl: cannot be read and written: Is a directory"):
        cut_torn_end(tmp_path / "journal.jsonl")


def test_a_whole_file_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"a": 1}\n')
    before = path.stat().st_mtime_ns
    cut_torn_end(path)
    assert path.stat().st_mtime_ns == before
