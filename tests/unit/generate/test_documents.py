"""Documents cut into passages, and quotes held against them."""

import logging
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import _shared_folder, cpu_seconds
from seedtune.errors import DataError
from seedtune.generate.documents import Passage, digest, quote_fault, read_passages

Write = Callable[..., Path]


def sentence(n: int) -> str:
    """Ten words."""
    return f"Sentence {n} says that the timer of a peer fires."


def paragraph(n: int, sentences: int = 3) -> str:
    return " ".join(sentence(10 * n + k) for k in range(sentences))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a document below the folder and return the folder."""

    def write_document(text: str | bytes, name: str = "a.md") -> Path:
        path = tmp_path / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return tmp_path / "docs"

    return write_document


def texts(folder: Path, words: int = 60) -> list[str]:
    return [passage.text for passage in read_passages(folder, words)]


def test_passages_are_named_by_file_and_number_in_the_order_of_paths(write: Write) -> None:
    write(paragraph(1, 6) + "\n\n" + paragraph(2, 6), "b/deep/z.txt")
    write("Short.", "b.md")
    write("No document.", "c.rst")
    folder = write("# Kept\n\nBy any case.", "A.MD")
    assert [passage.id for passage in read_passages(folder, 60)] == [
        "A.MD#1",
        "b.md#1",
        "b/deep/z.txt#1",
        "b/deep/z.txt#2",
    ]


def test_files_are_cut_between_paragraphs(write: Write) -> None:
    paragraphs = [paragraph(n, 2) for n in range(6)]
    folder = write("\n\n".join(paragraphs))
    assert texts(folder) == ["\n\n".join(paragraphs[:3]), "\n\n".join(paragraphs[3:])]


def test_a_heading_stays_with_what_follows_it(write: Write) -> None:
    folder = write(f"{paragraph(1, 5)}\n\n# Timers\n\n## Hold timer\n\n{paragraph(2, 5)}")
    assert texts(folder)[1].startswith("# Timers\n\n## Hold timer\n\nSentence 20")


def test_headings_without_any_text_are_cut_too(write: Write) -> None:
    assert max(len(piece.split()) for piece in texts(write("# One of many\n\n" * 200))) <= 75


def test_a_numbered_heading_of_a_text_stays_with_what_follows_it(write: Write) -> None:
    folder = write(f"{paragraph(1, 5)}\n\n4.2.  OPEN Message Format\n\n   {paragraph(2, 5)}", "rfc.txt")
    assert texts(folder)[1].startswith("4.2.  OPEN Message Format\n\n   Sentence 20")


def test_a_giant_paragraph_is_cut_behind_sentences(write: Write) -> None:
    pieces = texts(write(paragraph(1, 25)))
    assert all(re.fullmatch(r"Sentence \d+ .*fires\.", piece) for piece in pieces)
    assert " ".join(pieces) == paragraph(1, 25)
    assert [len(piece.split()) for piece in pieces] == [60, 60, 60, 70]


def test_a_giant_table_is_cut_between_lines(write: Write) -> None:
    rows = "\n".join(f"| 192.0.2.{n} | up |" for n in range(50))
    assert all(line in rows.split("\n") for piece in texts(write(rows)) for line in piece.split("\n"))


def test_text_without_any_gap_is_cut_all_the_same(write: Write) -> None:
    pieces = texts(write("x" * 100_000 + "\n\n" + "漢" * 3000))
    assert max(map(len, pieces)) < 3500
    assert "".join(pieces).count("x") == 100_000
    assert "".join(pieces).count("漢") == 3000


@pytest.mark.parametrize("fence", ["```", "~~~~", "````"])
def test_a_code_fence_is_kept_whole(write: Write, fence: str) -> None:
    code = (
        f"{fence}text\n{paragraph(2, 3)}\n\n# a comment\n```\n{paragraph(3, 3)}\n{fence}"
        if fence != "```"
        else (f"{fence}python\n{paragraph(2, 3)}\n\n# a comment\n{paragraph(3, 3)}\n{fence}")
    )
    pieces = texts(write(f"{paragraph(1, 4)}\n\n{code}\n\n{paragraph(4, 4)}"))
    assert code in pieces


def test_a_code_fence_far_too_long_is_cut(write: Write) -> None:
    pieces = texts(write("```\n" + "\n".join(sentence(n) for n in range(40)) + "\n```"))
    assert max(len(piece.split()) for piece in pieces) <= 75


def test_a_fence_left_open_does_not_swallow_the_file(write: Write) -> None:
    pieces = texts(write("```\n" + "\n\n".join(paragraph(n) for n in range(8))), 70)
    assert len(pieces) == 4


def test_a_tiny_remainder_joins_the_passage_before_it(write: Write) -> None:
    assert texts(write(f"{paragraph(1, 6)}\n\nThe end.")) == [f"{paragraph(1, 6)}\n\nThe end."]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_marks_do_not_shape_the_passages(write: Write, end: str, mark: bytes) -> None:
    text = f"# Head  \n\n{paragraph(1, 6)}\n \t\n{paragraph(2, 6)}\n"
    assert texts(write(mark + text.replace("\n", end).encode())) == [f"# Head\n\n{paragraph(1, 6)}", paragraph(2, 6)]


def test_a_file_that_is_not_utf8_is_named_with_the_byte(write: Write) -> None:
    with pytest.raises(DataError, match=r"old\.txt: is not UTF-8 \(byte 5\)"):
        read_passages(write("A café".encode("latin-1"), "old.txt"), 60)


@pytest.mark.parametrize("name", ["a.md", "notes.rst", ".hidden.md", ".git/a.md"])
def test_a_folder_without_text_is_an_error_that_says_what_to_do(write: Write, name: str) -> None:
    with pytest.raises(DataError, match=r"no text in it; put the documents there as \.txt or \.md files"):
        read_passages(write("" if name == "a.md" else "Text.", name), 60)


def test_a_missing_folder_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: no such folder; generate\.documents\.folder"):
        read_passages(tmp_path / "nowhere", 60)


@pytest.mark.parametrize("name", [b"d\xe9j\xe0.md", b"d\xe9j\xe0/a.md"])
def test_a_document_whose_name_is_not_utf_8_is_named(write: Write, name: bytes) -> None:
    folder = write("A passage of a few words.", os.fsdecode(name))
    with pytest.raises(DataError, match=r"docs/d\\xe9j\\xe0.*: the name is not UTF-8; rename the file") as caught:
        read_passages(folder, 100)
    assert str(caught.value).isascii()


def test_links_that_lead_out_of_the_folder_are_skipped_with_a_word(
    write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = tmp_path / "secret" / "key.md"
    secret.parent.mkdir()
    secret.write_text("A key.")
    folder = write("Public.")
    (folder / "key.md").symlink_to(secret)
    (folder / "more").symlink_to(secret.parent)
    with caplog.at_level(logging.WARNING):
        assert texts(folder) == ["Public."]
    assert {"key.md", "more"} <= {Path(record.getMessage().partition(": ")[0]).name for record in caplog.records}


def test_a_file_that_cannot_be_read_is_named(write: Write) -> None:
    folder = write("Public.")
    (folder / "b.md").symlink_to(folder / "gone.md")
    with pytest.raises(DataError, match=r"b\.md: cannot be read: No such file"):
        read_passages(folder, 60)


def test_a_link_to_the_folder_itself_is_followed(write: Write, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(write("Public."))
    assert read_passages(tmp_path / "link", 60) == (Passage("a.md#1", "Public."),)


PARAGRAPHS = st.lists(
    st.text(alphabet=st.sampled_from("ab.# \n\t`|漢-1"), min_size=1, max_size=200), min_size=1, max_size=12
)


@settings(max_examples=100, deadline=None)
@given(PARAGRAPHS, st.integers(20, 60))
def test_nothing_is_lost_and_nothing_stands_twice(
    tmp_path_factory: pytest.TempPathFactory, paragraphs: list[str], words: int
) -> None:
    folder = tmp_path_factory.mktemp("docs")
    text = "x\n\n" + "\n\n".join(paragraphs)
    (folder / "a.md").write_text(text, encoding="utf-8")
    assert "".join("".join(texts(folder, words)).split()) == "".join(text.split())


@pytest.mark.parametrize(
    "text", ["```\n" * 60_000, "a\n\n" * 60_000, "a. B " * 40_000, " " * 200_000 + "a", "# a\n\n" * 60_000]
)
def test_documents_are_cut_in_linear_time(write: Write, text: str) -> None:
    folder = write(text)
    with cpu_seconds(3):
        read_passages(folder, 400)


RFC = """\
   A peer MUST send a KEEPALIVE message before the hold timer



Editor, et al.              Standards Track                     [Page 7]
\f
RFC 4271                         BGP-4                      January 2006


   expires.  Then all is well.



Editor, et al.              Standards Track                     [Page 8]
\f
RFC 4271                         BGP-4                      January 2006


   Another paragraph.
"""


def test_page_furniture_is_taken_off_and_torn_paragraphs_are_one_again(write: Write) -> None:
    assert texts(write(RFC, "rfc.txt")) == [
        "   A peer MUST send a KEEPALIVE message before the hold timer\n   expires.  Then all is well.\n\n"
        "   Another paragraph."
    ]


def test_the_page_numbers_of_a_table_of_contents_are_taken_off(write: Write) -> None:
    text = "Contents\n\n   1. Introduction ............4\n   2. Terms . . . . . . . 12\n\nFrom 0 ... 255 and 1..5\n"
    assert texts(write(text, "rfc.txt")) == ["Contents\n\nFrom 0 ... 255 and 1..5"]


def test_markdown_keeps_what_looks_like_page_furniture(write: Write) -> None:
    assert texts(write(RFC.replace("\f", ""), "rfc.md"))[0].count("[Page") == 2


@pytest.fixture(scope="module")
def rfcs() -> tuple[Passage, ...]:
    """Real RFCs, old with pages and new without, too large to commit."""
    return read_passages(_shared_folder("SEEDTUNE_RFC_FIXTURES", "rfc"), 400)


def test_no_page_furniture_is_left_in_real_rfcs(rfcs: tuple[Passage, ...]) -> None:
    furniture = re.compile(r"\[Page \d+\]|\f|^RFC \d{4} .* (?:19|20)\d\d$|\.{6,}\s*\d+$", re.MULTILINE)
    assert not [passage.id for passage in rfcs if furniture.search(passage.text)]


def test_passages_of_real_rfcs_have_about_the_length_asked_for(rfcs: tuple[Passage, ...]) -> None:
    lengths = [len(passage.text.split()) for passage in rfcs if passage.id.startswith("rfc")]
    assert len(lengths) > 1000
    assert max(lengths) <= 500
    assert sorted(lengths)[len(lengths) // 20] >= 150, "all but one in twenty"


@pytest.mark.parametrize(
    ("name", "quote"),
    [
        ("rfc4271.txt", "By applying rules to be discussed, routing information loops and some other anomalies may be"),
        ("rfc4271.txt", "BGP-4 provides a set of mechanisms for supporting Classless Inter-Domain Routing (CIDR)."),
        ("rfc4271.txt", "the MULTI_EXIT_DISC attribute received from a neighboring AS must not be propagated"),
        (
            "rfc9234.txt",
            "BGP Path Attribute, called “Only to Customer (OTC)” ... prevents ASes from creating leaks",
        ),
    ],
)
def test_words_of_a_real_rfc_are_found_in_one_of_its_passages(rfcs: tuple[Passage, ...], name: str, quote: str) -> None:
    found = [p.id for p in rfcs if p.id.startswith(f"{name}#") and not quote_fault(quote, p.text)]
    assert found


def test_the_digest_follows_from_names_texts_and_order() -> None:
    first, second = Passage("a.md#1", "x"), Passage("a.md#2", "y")
    assert digest([first, second]) == digest((Passage("a.md#1", "x"), second))
    others = [[second, first], [first], [Passage("a.md#1", "z"), second], [Passage("b.md#1", "x"), second]]
    assert len({digest(passages) for passages in [[first, second], *others]}) == 5


PASSAGE = """\
## Hold timer

If the **hold timer** expires, the local system sends a NOTIFICATION message with the Error Code `Hold Timer
Expired`; it MUST wait — at least — 1.5 seconds, or 90 in all.

- The inter-
  domain peer doesn't answer, and the re\u00adsult is a "silent" session.
- See the [table of timers](https://example.net/t?a=1) for AS\\_PATH and 64512–65534.
"""


@pytest.mark.parametrize(
    "quote",
    [
        "the local system sends a NOTIFICATION message",
        "  THE LOCAL system\nsends\ta notification MESSAGE.",
        '"If the hold timer expires, the local system sends"',
        "“If the hold timer expires, the local system sends…”",
        "If the **hold timer** expires",
        "with the Error Code Hold Timer Expired; it MUST wait",
        "it must wait - at least - 1.5 seconds",
        "it MUST wait—at least—1.5 seconds",
        "The inter-domain peer doesn’t answer",
        "The inter- domain peer doesn't answer",
        "the interdomain peer doesn't answer, and the result is a silent session",
        "and the re-sult is a ‘silent’ session",
        "a silent session. See the table of timers for AS_PATH",
        "See the [table of timers](https://example.net/t?a=1) for AS_PATH",
        "for AS_PATH and 64512-65534",
        "If the hold timer expires ... sends a NOTIFICATION message",
        "If the hold timer expires, […] sends a NOTIFICATION message",
        "... the local system sends a NOTIFICATION (...) the inter-domain peer doesn't answer ...",
    ],
)
def test_a_faithful_quote_is_found(quote: str) -> None:
    assert quote_fault(quote, PASSAGE) == ""


@pytest.mark.parametrize(
    ("quote", "fault"),
    [
        ("", "empty"),
        ('"..."', "empty"),
        ("hold timer expires", "too short: hold timer expires"),
        ("If the hold timer expires ... the ... sends a NOTIFICATION message", "too short: the"),
        ("the remote system sends a NOTIFICATION message", "not in the passage: the remote system"),
        ("sends a NOTIFICATION message ... If the hold timer expires", "not in the passage: if the hold timer expires"),
        ("it MUST wait at least 1 ", "not in the passage"),
        ("5 seconds, or 90 in all", "not in the passage"),
        ("seconds, or 9", "too short"),
        ("1.5 seconds, or 9", "not in the passage"),
        ("65534", "too short"),
        ("it MUST not wait at least 1.5 seconds", "not in the passage"),
        ("he hold timer expires, the local", "not in the passage"),
    ],
)
def test_words_that_are_not_there_or_prove_nothing_are_a_fault(quote: str, fault: str) -> None:
    assert quote_fault(quote, PASSAGE).startswith(fault)


def test_an_ellipsis_of_the_passage_itself_may_be_quoted() -> None:
    assert quote_fault("from 0 ... to 255 inclusive", "The code runs from 0 ... to 255 inclusive.") == ""


def test_four_words_or_twenty_characters_are_enough() -> None:
    assert quote_fault("a b c d", "so a b c d it is") == ""
    assert quote_fault("a b c", "so a b c it is") == "too short: a b c"
    assert quote_fault("保持時間が過ぎると切断する", "保持時間が過ぎると切断する。") == ""


WORDS = st.lists(
    st.sampled_from(["the", "hold-timer", "*MUST*", "(expire)", "1.5", "—", "“so”", "é", "AS_PATH", "..."])
)


@settings(max_examples=100, deadline=None)
@given(WORDS, WORDS, WORDS)
def test_every_run_of_words_of_a_passage_is_found_in_it(before: list[str], quote: list[str], after: list[str]) -> None:
    within = ["words", "that", "are", "there", *quote, "to", "the", "very", "end"]
    assert quote_fault(" ".join(within), "\n ".join([*before, *within, *after])) == ""


@settings(max_examples=100, deadline=None)
@given(st.text(), st.text())
def test_no_text_makes_the_check_raise(quote: str, passage: str) -> None:
    quote_fault(quote, passage)


@pytest.mark.parametrize(
    "quote", ["a" * 50_000 + "b", "a " * 40_000 + "b", "[" * 50_000, "." * 50_000, "- " * 25_000, "a-" * 25_000]
)
def test_a_quote_without_an_end_does_not_hang_the_check(quote: str) -> None:
    with cpu_seconds(2):
        quote_fault(quote, "a" * 50_000 + " a" * 50_000)
