r"""AS path expressions: Cisco's ``_`` on top of POSIX extended regular expressions, translated to Python's ``re``.

As in libbgpstream's documentation of filters: ``_`` stands for the start or end of the path, a space, a brace, a comma
or an underscore; braces are ordinary characters; ``!`` in front negates. The rest is POSIX (IEEE Std 1003.1, chapter
9) with GNU's ``\w \W \s \S \b \B \< \> \` \'``, as glibc's regcomp reads it; so ``\d`` is the letter d, ``a+?`` an
optional ``a+``, and a bracket expression has no escapes.

Python's engine backtracks, so a nested repetition can take exponential time on a path that nearly matches. What keeps
that rare: a path without the literal text that every match contains is never searched, and callers remember decisions.
"""

import re

MAX_NESTING = 50
"""Parentheses inside each other; deeper ones are refused, where the real library has no limit."""

_BOUNDARY, _OPAQUE = "_", "\0"
_NO_LITERAL = re.compile(f"[{_BOUNDARY}{_OPAQUE}]")
_WHOLE_ASN = re.compile(r"(?<=[_ {},])\d{1,10}(?=[_ {},])", re.ASCII)
_UNDERSCORE = r"(?:[ {},_]|\A|\Z)"
_GNU_ESCAPES = {
    **{letter: "\\" + letter for letter in "wWsS"},
    "b": r"\b",
    "B": r"(?!\b)",
    "<": r"\b(?=\w)",
    ">": r"\b(?<=\w)",
    "`": r"\A",
    "'": r"\Z",
}
_ANCHORS = frozenset({"^", "$", *(r"\b", r"\B", r"\<", r"\>", r"\`", r"\'")})
_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\s",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}


class AsPathSyntaxError(ValueError):
    """No AS path expression; the text is the reason."""


class AsPathPattern:
    """One AS path expression.

    Attributes:
        text: The expression as written, with its ``!``.
        negated: Whether it begins with ``!``.
        asn: An AS number that every path which the expression without ``!`` matches contains; None if none is known.
    """

    __slots__ = ("_literal", "_search", "asn", "negated", "text")

    def __init__(self, text: str) -> None:
        """Translate an expression.

        Raises:
            AsPathSyntaxError: The expression is invalid.
        """
        self.text = text
        self.negated = text.startswith("!")
        pattern, marks = _Parser(text[self.negated :]).parse()
        self._search = re.compile(pattern, re.ASCII | re.DOTALL).search
        self._literal = max(_NO_LITERAL.split(marks), key=len)
        self.asn = max(map(int, _WHOLE_ASN.findall(marks)), default=None)

    def matches(self, path: str) -> bool:
        """Whether a path (``1 2 {3,4}``) satisfies the expression."""
        found = self._literal in path and self._search(path) is not None
        return found is not self.negated


class _Parser:
    """Recursive descent over an expression; each method returns Python's form of what it read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._depth = 0
        self._groups = 0
        self._closed: set[int] = set()

    def parse(self) -> tuple[str, str]:
        """Python's pattern, and its marks: what every match contains in this order.

        A mark is a literal character, ``_`` for a boundary of AS numbers, or a NUL for anything else.
        """
        return self._alternatives()

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _next(self) -> str:
        character = self._peek()
        self._position += 1
        return character

    def _alternatives(self) -> tuple[str, str]:
        closed_before = frozenset(self._closed)
        branches = [self._branch()]
        closed = set(self._closed)
        while self._peek() == "|":
            self._next()
            self._closed = set(closed_before)
            branches.append(self._branch())
            closed |= self._closed
        self._closed = closed
        return "|".join(pattern for pattern, _ in branches), branches[0][1] if len(branches) == 1 else _OPAQUE

    def _branch(self) -> tuple[str, str]:
        """Pieces up to ``|``, the group's ``)`` or the end, and their marks."""
        pieces: list[str] = []
        marks = ""
        while (character := self._peek()) and character != "|" and not (character == ")" and self._depth):
            atom, mark, is_anchor = self._atom()
            operator = ""
            while not is_anchor and self._peek() and self._peek() in "*+?":
                atom = f"(?:{atom})" if operator else atom
                operator = self._next()
                atom += operator
            pieces.append(atom)
            marks += _OPAQUE if operator else mark
        return "".join(pieces), marks

    def _atom(self) -> tuple[str, str, bool]:
        """Python's form, the mark, and whether it is an anchor, which takes no repetition."""
        character = self._next()
        if character in "*+?":
            raise AsPathSyntaxError("Invalid preceding regular expression")
        if character == "(":
            return self._group(), _OPAQUE, False
        if character == "[":
            return self._bracket(), _OPAQUE, False
        if character == "\\":
            return self._escape()
        if character in "^$":
            return {"^": r"\A", "$": r"\Z"}[character], _BOUNDARY, True
        if character == "_":
            return _UNDERSCORE, _BOUNDARY, False
        if character == ".":
            return ".", _OPAQUE, False
        return re.escape(character), character, False

    def _group(self) -> str:
        self._groups += 1
        number = self._groups
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise AsPathSyntaxError(f"more than {MAX_NESTING} parentheses inside each other")
        pattern, _ = self._alternatives()
        if self._next() != ")":
            raise AsPathSyntaxError("Unmatched ( or \\(")
        self._depth -= 1
        self._closed.add(number)
        return f"({pattern})"

    def _escape(self) -> tuple[str, str, bool]:
        character = self._next()
        if not character:
            raise AsPathSyntaxError("Trailing backslash")
        if character in "123456789":
            if int(character) not in self._closed:
                raise AsPathSyntaxError("bad backreference in regex")
            return f"(?:\\{character})", _OPAQUE, False
        if character in _GNU_ESCAPES:
            return _GNU_ESCAPES[character], _OPAQUE, "\\" + character in _ANCHORS
        return re.escape(character), character if character != _BOUNDARY else _OPAQUE, False

    def _bracket(self) -> str:
        negated = self._peek() == "^"
        if negated:
            self._next()
        first = True
        members: list[str] = []
        while first or self._peek() != "]":
            members.append(self._member(first))
            first = False
        self._next()
        return f"[{'^' if negated else ''}{''.join(members)}]"

    def _member(self, first: bool) -> str:
        """One character, class or range of a bracket expression."""
        if self._peek() == "-" and not first and self._text[self._position + 1 : self._position + 2] != "]":
            raise AsPathSyntaxError("Invalid range end")
        start = self._element()
        rest = self._text[self._position : self._position + 2]
        if rest[:1] != "-" or rest in ("-", "-]"):
            return _CLASSES[start] if len(start) > 1 else _escaped(start)
        self._next()
        end = self._element()
        if len(start) > 1 or len(end) > 1 or start > end:
            raise AsPathSyntaxError("Invalid range end")
        return f"{_escaped(start)}-{_escaped(end)}"

    def _element(self) -> str:
        """A character, or the name of a class."""
        character = self._next()
        if not character:
            raise AsPathSyntaxError("Unmatched [, [^, [:, [., or [=")
        kind = self._peek()
        if character != "[" or not kind or kind not in ":.=":
            return character
        self._next()
        end = self._text.find(kind + "]", self._position)
        if end < 0:
            raise AsPathSyntaxError("Unmatched [, [^, [:, [., or [=")
        name = self._text[self._position : end]
        self._position = end + 2
        if kind == ":" and name not in _CLASSES:
            raise AsPathSyntaxError("Invalid character class name")
        if kind != ":" and len(name) != 1:
            raise AsPathSyntaxError("Invalid collation character")
        return name


def _escaped(character: str) -> str:
    return "\\" + character if character in r"\]^-[&~|" else character
