"""Repairs of one fault in many tasks. Pure functions: what a repair makes of a task."""

import re
from typing import Literal

from pydantic import BaseModel, Field, model_validator

Part = Literal["instruction", "input", "output"]
PARTS: tuple[Part, ...] = ("instruction", "input", "output")

_LABEL = re.compile(
    r"\s*(?:\d+[.)]\s*)?(?:[*_#]+\s*)?(?:instruction|task|question|input|output|answer|response|solution)"
    r"(?:[*_]+\s*:|\s*:\s*[*_]*)\s*",
    re.IGNORECASE,
)
_TRAILING = re.compile(r"[^\S\n]+$", re.MULTILINE)


class Repair(BaseModel):
    """What is wrong, and where."""

    kind: Literal["white_space", "label", "replace"]
    """White space at the end of lines and texts; a label such as "Output:" before a text; words for other words."""
    parts: tuple[Part, ...] = PARTS
    find: str = Field(default="", max_length=1_000)
    """For ``replace``: these characters, letter for letter."""
    put: str = Field(default="", max_length=1_000)

    @model_validator(mode="after")
    def _something_to_find(self) -> "Repair":
        if self.kind == "replace" and not self.find:
            raise ValueError("give the text that is to be replaced")
        return self

    def mend(self, task: dict[str, str]) -> dict[str, str] | None:
        """The task without the fault; None where it has none, or nothing would be left of a text that must be there."""
        mended: dict[str, str] = task | {part: self._mended(task[part]) for part in self.parts}
        if mended == task or not mended["instruction"].strip() or not mended["output"].strip():
            return None
        return mended

    def _mended(self, text: str) -> str:
        if self.kind == "replace":
            return text.replace(self.find, self.put)
        if self.kind == "white_space":
            return _TRAILING.sub("", text).rstrip()
        found = _LABEL.match(text)
        return text[found.end() :] if found else text
