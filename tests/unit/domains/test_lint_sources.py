"""What the lint says of citations: their form, and whether what they cite exists."""

import json

import pytest

from domain_on_disk import CHOICES, DEV_CHOICES, SEEDS, STATEMENTS, DomainOnDisk

TABLE = {"RFC 4271": ["9", "9.1", "F.1"], "TS 23.501": ["5.2"]}


@pytest.fixture
def tabled(sound: DomainOnDisk) -> DomainOnDisk:
    """The domain with a table of sections."""
    sound.describe(citations="citations.json")
    (sound.folder / "citations.json").write_text(json.dumps(TABLE))
    return sound


@pytest.mark.parametrize(
    "citation",
    [
        "RFC 4271",
        "RFC 1997, Section 3.",
        "RFC 4271 section 3",
        "RFC 4271, sec. 3",
        "RFC 4271,Section 3",
        "RFC 4271, Section B",
        "FRR manual",
    ],
)
@pytest.mark.parametrize(("file", "number"), [(SEEDS, 1), (CHOICES, 2), (DEV_CHOICES, 1), (STATEMENTS, 2)])
def test_a_citation_that_cannot_be_followed_is_found(
    sound: DomainOnDisk, file: str, number: int, citation: str
) -> None:
    sound.change(
        file, number, **({"citations": ["A Book, 1999", citation]} if file == SEEDS else {"citation": citation})
    )
    [(place, message)] = sound.faults()
    assert place == f"{file}:{number}"
    assert message.startswith(f"citation '{citation}': write it as 'RFC 4271, Section 9.1.2.2'")


@pytest.mark.parametrize(
    "citation",
    [
        "RFC 4271, Section 9.1.2.2",
        "RFC 792, Section 3",
        "RFC 4271, Appendix F.1",
        "The Book, page 3",
        "3GPP TS 23.501, Clause 5.2.1",
        "J. Hamelman, Bread (2004)",
        "RIPE NCC, YouTube hijacking case study, 2008",
        "https://example.org/manual",
    ],
)
def test_a_citation_that_can_be_followed_is_taken(sound: DomainOnDisk, citation: str) -> None:
    sound.change(SEEDS, 1, citations=[citation])
    assert sound.lint() == []


@pytest.mark.parametrize(
    ("citation", "words"),
    [
        ("RFC 4271, Section 9.9", "RFC 4271 has no Section 9.9"),
        ("RFC 4271, Section 9.1.", "RFC 4271, Section 9.1.': write it as"),
        ("RFC 4271, Appendix A", "RFC 4271 has no Appendix A"),
        ("TS 23.501, Clause 5.3", "TS 23.501 has no Clause 5.3"),
        ("RFC 1, Section 1", "RFC 1 is not in the table of citations; add its sections to it"),
    ],
)
def test_a_section_that_does_not_exist_is_found(tabled: DomainOnDisk, citation: str, words: str) -> None:
    tabled.change(CHOICES, 2, citation=citation)
    [(place, message)] = tabled.faults()
    assert place == f"{CHOICES}:2"
    assert words in message


@pytest.mark.parametrize(
    "citation", ["RFC 4271, Section 9.1", "RFC 4271, Appendix F.1", "TS 23.501, Clause 5.2", "The Book, page 3"]
)
def test_a_section_that_exists_or_a_source_without_a_table_is_taken(tabled: DomainOnDisk, citation: str) -> None:
    tabled.change(CHOICES, 2, citation=citation)
    assert tabled.lint() == []


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "not valid JSON"), ("[]", "expected sources and their sections"), ('{"RFC 1": "1"}', "expected sources")],
)
def test_a_broken_table_is_a_finding(tabled: DomainOnDisk, text: str, words: str) -> None:
    (tabled.folder / "citations.json").write_text(text)
    [finding] = tabled.lint()
    assert (finding.check, finding.place) == ("citations", "citations.json")
    assert finding.message.startswith(words)


def test_a_missing_table_is_a_finding(sound: DomainOnDisk) -> None:
    sound.describe(citations="none.json")
    assert sound.faults() == [("domain.yaml", "citations: there is no file none.json")]


@pytest.mark.parametrize(("file", "number"), [(CHOICES, 3), (STATEMENTS, 3), (DEV_CHOICES, 2)])
def test_an_item_without_a_citation_among_others_that_have_one_is_a_warning(
    sound: DomainOnDisk, file: str, number: int
) -> None:
    sound.change(file, number, citation="")
    [finding] = sound.lint()
    assert (finding.level, finding.place, finding.message) == ("warning", f"{file}:{number}", "no citation")


def test_a_file_that_cites_nothing_is_its_authors_choice(sound: DomainOnDisk) -> None:
    for number in (1, 2):
        sound.change(DEV_CHOICES, number, citation="")
    assert sound.lint() == []
