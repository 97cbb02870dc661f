"""Failed requests are told apart by what was said of them, and by nothing that is of one request alone."""

from seedtune.generate.funnel import Failures


def told(*errors: str) -> list[tuple[str, int]]:
    failures = Failures()
    for error in errors:
        failures.add(error)
    return failures.most_common()


def test_ids_and_numbers_make_no_kinds_of_their_own() -> None:
    said = [
        f"request req_{n:x}f{n} was refused: {n} of {n + 4:,} tokens at 2026-11-01T00:{n:02}:00Z" for n in range(74)
    ]
    assert told(*said) == [(f"{said[0]} (ids and numbers differ)", 74)]


def test_what_was_always_the_same_is_shown_word_for_word() -> None:
    assert told("scripted 400", "scripted 400") == [("scripted 400", 2)]


def test_a_status_tells_failures_apart() -> None:
    said = ["given up after 3 attempts: 500", "given up after 3 attempts: 503"]
    assert told(*said) == [(said[0], 1), (said[1], 1)]


def test_however_many_words_an_endpoint_has_the_kinds_stay_few() -> None:
    words = [chr(97 + n // 26) + chr(97 + n % 26) for n in range(400)]
    found = told(*words)
    assert len(found) == 21
    assert sum(count for _, count in found) == 400
    assert found[0] == ("other errors", 380)


def test_a_long_complaint_is_cut() -> None:
    assert len(told("no " * 5000)[0][0]) < 600
