"""What every record is."""

import hashlib
import json
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


def _writable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("string should have at least 1 character that is not white space")
    return text


Text = Annotated[str, AfterValidator(_writable)]
# Not min_length: with it, pydantic refuses a lone surrogate before _writable can replace it.
FilledText = Annotated[Text, AfterValidator(_not_blank)]


_CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def content_id(*parts: object) -> str:
    """First 16 hex digits of the SHA-256 over the canonical JSON of ``parts``."""
    return hashlib.sha256(_CANONICAL.encode(parts).encode()).hexdigest()[:16]


class Record(BaseModel):
    """A frozen record; unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
