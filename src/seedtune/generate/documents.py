"""Documents to ground tasks in: passages of text files, and the check that a quote stands in its passage.

Not covered: PDF, HTML and office files (convert them to text or Markdown first), tables as tables, and whether a quote
that is there does support the answer: that is for the judge and for people.
"""

import logging
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

from seedtune.errors import DataError
from seedtune.records import content_id

logger = logging.getLogger(__name__)

_SUFFIXES = (".txt", ".md")
_TOLERANCE = 4
"""A paragraph longer than asked for by up to one part in so many is not cut; a last passage shorter than one such part
is joined to the one before."""

_Span = tuple[int, int]

_PARAGRAPH = re.compile(r"[^\n]+(?:\n[^\n]+)*")
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
_HEADING = re.compile(r"(?:#{1,6}[ \t]|\d{1,3}(?:\.\d{1,3}){0,5}\.?[ \t]{1,4}\S)[^\n]{0,200}")
_CUTS = (
    re.compile(r"(?:[.!?][\"')\]\u2019\u201d*_]{0,3}\s+(?=[^\sa-z])|[\u3002\uff01\uff1f])"),
    re.compile(r"\n"),
    re.compile(r"\S{1,40}\s*"),
)
"""Where a paragraph that is too long is cut: behind sentences; if these are too long, lines; if these are, words."""

_FOOTER = re.compile(r"\S[^\n]{0,100}\s\[Page [0-9ivxlc]{1,6}\]\s*")
_HEADER = re.compile(r"(?:RFC \d{1,5}|Internet[ -]Draft|INTERNET[ -]DRAFT)\s{2,}\S[^\n]{0,80}\s(?:19|20)\d\d\s*")
_BLANK_LINES = re.compile(r"\n{3,}")
_CONTENTS_LINE = re.compile(r"[^\n]{0,90}(?:\.{4,}|(?:\s\.){4,})\s*\d{1,4}\s*")
_GOES_ON = re.compile(r"[\w,(-]\s*\Z")

_INVISIBLE = re.compile("\u00ad\\s*|[\u200b-\u200d\u2060\ufeff]| \u0301")
_LINK = re.compile(r"!?\[([^\[\]\n]{1,500})\]\([^()\s]{0,500}\)")
_MARKUP = re.compile("[*_`~\\\\\"'\u2018-\u201f\u00ab\u00bb\u2032\u2033]")
_DASH = re.compile("[\u2014\u2015]|--+")
_HYPHEN = re.compile("[\u2010-\u2013\u2212]")
_WITHIN_WORD = re.compile(r"(?<=[^\W\d_])-\s*(?=\w)")
_WITHIN_RANGE = re.compile(r"(?<=\d)-\s+(?=\w)")
_LIST_MARK = re.compile("(?<!\\S)[-|#>\u2022]+(?!\\S)")
_GAP = re.compile(r"[\[(]?\s*(?:\.\s?){3,}[\])]?")
_RUNS_IN = re.compile(r"(?:[a-z0-9-]|\d[.,/])\Z")
_RUNS_ON = re.compile(r"[a-z0-9]|[-.,/]\d")
_EDGES = " .,;:!?()[]"
_MIN_WORDS = 4
_MIN_CHARACTERS = 20


@dataclass(frozen=True)
class Passage:
    """A piece of a document."""

    id: str
    """The file below the folder and the number of the passage in it, from 1: ``notes/timers.md#3``."""
    text: str


def read_passages(folder: Path, words: int) -> tuple[Passage, ...]:
    """Cut every .txt and .md file below a folder into passages; files and folders that begin with a dot are left out.

    A passage ends between paragraphs. A heading stays with what follows it, a code fence is kept whole up to twice the
    length asked for, a longer paragraph is cut behind sentences, and a tiny remainder joins the passage before it.
    In .txt files the headers, footers and tables of contents of printed pages (RFCs) are taken off.

    Args:
        folder: Where the files are. Links that lead out of it are not followed.
        words: About how many words a passage has.

    Returns:
        Sorted by path, in the order of each file. The same files and ``words`` give the same ids and texts.

    Raises:
        DataError: no such folder, nothing to read in it, or a file that cannot be read or is not UTF-8, by its text or
            its name.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; generate.documents.folder names one with .txt and .md files")
    passages: list[Passage] = []
    for name, path in sorted(_files(folder)):
        text = _read(path)
        spans = _pack(text, _atoms(text, words), words)
        passages += [Passage(f"{name}#{n}", text[a:b].rstrip()) for n, (a, b) in enumerate(spans, 1)]
    if not passages:
        raise DataError(f"{folder}: no text in it; put the documents there as .txt or .md files")
    return tuple(passages)


def digest(passages: Sequence[Passage]) -> str:
    """Content hash of passages with their ids and order: 16 hex digits."""
    return content_id(*[(passage.id, passage.text) for passage in passages])


def quote_fault(quote: str, passage: str) -> str:
    """Why a quote does not stand in a passage; empty where it does.

    White space, case, quotation marks, dashes, hyphens (those of line breaks too), list marks and Markdown emphasis do
    not count. "..." may stand for words left out: then each piece must be there, in this order, and long enough that it
    is not found by chance.

    Args:
        quote: What the teacher says the passage says.
        passage: The text it was shown.
    """
    whole, text = _plain(quote), _plain(passage)
    # A quote may hold "..." because the passage does.
    return _missing([whole], text) and _missing(_GAP.split(whole), text)


def _missing(pieces: Iterable[str], text: str) -> str:
    """What is wrong with the first piece that does not stand in the text behind those before; or nothing."""
    place = 0
    for piece in filter(None, (piece.strip(_EDGES) for piece in pieces)):
        if len(piece.split()) < _MIN_WORDS and _width(piece) < _MIN_CHARACTERS:
            return f"too short: {piece}"
        place = _end_of(piece, text, place)
        if not place:
            return f"not in the passage: {piece[:80]}"
    return "" if place else "empty"


def _end_of(piece: str, text: str, place: int) -> int:
    """Where a piece ends that stands in the text at ``place`` or later; 0 where it does not.

    A word does not stand in a longer one, nor a number in another, such as 1 in 1.5.
    """
    start = text.find(piece, place)
    while start >= 0:
        end = start + len(piece)
        if not _RUNS_IN.search(text[max(0, start - 2) : start]) and not _RUNS_ON.match(text, end):
            return end
        start = text.find(piece, start + 1)
    return 0


def _plain(text: str) -> str:
    """A text without what may differ between a passage and a faithful quote of it."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    text = _MARKUP.sub("", _LINK.sub(r"\1", text))
    text = _HYPHEN.sub("-", _DASH.sub(" ", text))
    text = _WITHIN_RANGE.sub("-", _WITHIN_WORD.sub("", text))
    return " ".join(_LIST_MARK.sub("", text).casefold().split())


def _width(text: str) -> int:
    """Characters; one of Chinese, Japanese or Korean counts as two."""
    return sum(1 + (unicodedata.east_asian_width(character) == "W") for character in text)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Path below the folder, with slashes on every system, and path, of each document."""

    def fail(problem: OSError) -> None:
        raise DataError(f"{problem.filename}: cannot be read: {problem.strerror}") from problem

    root = folder.resolve()
    for place, folders, files in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for link in (Path(place, name) for name in folders):
            if link.is_symlink():
                logger.warning("%s: a link to a folder is not followed; put the folder itself there", link)
        for name in files:
            path = Path(place, name)
            if name.startswith(".") or path.suffix.lower() not in _SUFFIXES:
                continue
            if not path.resolve().is_relative_to(root):
                logger.warning("%s: a link that leads out of the folder of documents is skipped", path)
                continue
            yield _name(path, folder), path


def _name(path: Path, folder: Path) -> str:
    """A path below a folder, with slashes on every system. Records name passages by it, and are UTF-8."""
    name = path.relative_to(folder).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError as problem:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise DataError(f"{shown}: the name is not UTF-8; rename the file, or the folder it is in") from problem
    return name


def _read(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as problem:
        raise DataError(f"{path}: cannot be read: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise DataError(f"{path}: is not UTF-8 (byte {problem.start}); save it as UTF-8") from problem
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if path.suffix.lower() == ".txt":
        return _without_page_furniture(text)
    return "\n".join(line.rstrip() for line in text.split("\n"))


def _without_page_furniture(text: str) -> str:
    """Text without the headers, footers and page numbers of its pages; what a page break tore apart is one again."""
    kept: list[str] = []
    broken = False
    for line in text.replace("\f", "\n\f\n").split("\n"):
        if line == "\f" or _FOOTER.fullmatch(line) or _HEADER.fullmatch(line):
            broken = True
        elif _CONTENTS_LINE.fullmatch(line):
            continue
        elif not broken or line.strip():
            if broken:
                _close_gap(kept, line)
                broken = False
            kept.append(line.rstrip())
    return _BLANK_LINES.sub("\n\n", "\n".join(kept))


def _close_gap(kept: list[str], following: str) -> None:
    """Take off the blank lines above a page break, all but one where a paragraph seems to have ended there."""
    while kept and not kept[-1].strip():
        kept.pop()
    if not kept:
        return
    last = kept[-1]
    same_indent = len(last) - len(last.lstrip()) == len(following) - len(following.lstrip())
    if not (same_indent and _GOES_ON.search(last)):
        kept.append("")


def _atoms(text: str, words: int) -> Iterator[_Span]:
    """The spans that passages are made of, none much longer than ``words``."""
    heading: int | None = None
    for start, end, code in chain(_paragraphs(text), [(len(text), len(text), False)]):
        if not code and _HEADING.fullmatch(text, start, end):
            heading = start if heading is None else heading
            continue
        begin, heading = (start if heading is None else heading), None
        if _size(text[begin:end]) <= (2 * words if code else words + words // _TOLERANCE):
            yield begin, end
        else:
            yield from _cut(text, (begin, end), words)


def _paragraphs(text: str) -> Iterator[tuple[int, int, bool]]:
    """Start and end of runs of lines without a blank one between, and of whole code fences, which are marked."""
    place = 0
    for start, end in (*_fences(text), (len(text), len(text))):
        yield from ((*found.span(), False) for found in _PARAGRAPH.finditer(text, place, start))
        if end > start:
            yield start, end, True
        place = end


def _fences(text: str) -> Iterator[_Span]:
    """Closed code fences; one that is never closed is none."""
    place, opened, mark = 0, 0, ""
    for line in text.split("\n"):
        fence = _FENCE.match(line)
        if fence and not mark:
            opened, mark = place, fence[1]
        elif fence and fence[1].startswith(mark) and line.strip() == fence[1]:
            yield opened, place + len(line)
            mark = ""
        place += len(line) + 1


def _cut(text: str, span: _Span, words: int, finer: int = 0) -> list[_Span]:
    """Pieces of a span, each of at most about ``words``; the span's text is all in them."""
    start, end = span
    edges = [start, *(found.end() for found in _CUTS[finer].finditer(text, start, end)), end]
    pieces: list[_Span] = []
    for piece in pairwise(edges):
        if finer + 1 < len(_CUTS) and _size(text[slice(*piece)]) > words:
            pieces += _cut(text, piece, words, finer + 1)
        else:
            pieces.append(piece)
    return _pack(text, pieces, words)


def _pack(text: str, pieces: Iterable[_Span], words: int) -> list[_Span]:
    """Join neighbours as long as they have at most ``words`` together, and a tiny last one to the one before."""
    packed: list[_Span] = []
    sizes: list[int] = []
    for start, end in pieces:
        size = _size(text[start:end])
        if packed and sizes[-1] + size <= words:
            packed[-1] = (packed[-1][0], end)
            sizes[-1] += size
        elif size:
            packed.append((start, end))
            sizes.append(size)
    if len(packed) > 1 and sizes[-1] * _TOLERANCE < words:
        end = packed.pop()[1]
        packed[-1] = (packed[-1][0], end)
    return packed


def _size(text: str) -> int:
    """Words; a run of many characters without a space, such as a hash or a line of Chinese, counts as several."""
    wide = 0 if text.isascii() else sum(unicodedata.east_asian_width(character) == "W" for character in text)
    return sum(1 + len(word) // 40 for word in text.split()) + wide // 2
