"""Replies by a JSON schema: how an endpoint is asked for them, and whether it gives them."""

import logging
from typing import Any, Literal

from seedtune.errors import TeacherError
from seedtune.records import Request
from seedtune.teachers.failures import Failure

logger = logging.getLogger(__name__)


class Structure:
    """Whether an endpoint gives replies by a schema, as far as is known."""

    def __init__(self, mode: Literal["auto", "on", "off"]) -> None:
        """Takes ``teacher.structured_output``."""
        self._mode = mode
        self._is_given = False
        self.offered = mode != "off"

    def admits(self, request: Request) -> bool:
        """Whether a request may be sent as it is."""
        return self.offered or request.reply_schema is None

    def given(self, request: Request) -> None:
        """A request was answered."""
        self._is_given = self._is_given or request.reply_schema is not None

    def give_up(self, failure: Failure, url: str) -> None:
        """The endpoint at ``url`` refused a schema: nothing more is to ask for one.

        Raises:
            TeacherError: the config insists on it.
        """
        said = f"the teacher at {url} gives no replies by a JSON schema ({failure.why}): {failure.message}"
        if self._mode == "on":
            raise TeacherError(f"{said}\nSet teacher.structured_output to auto or off")
        if self.offered:
            logger.warning("%s; going on in text", said)
            if self._is_given:
                logger.warning(
                    "other requests were answered by a schema before: which ones depends on time and on who answered. "
                    "For requests that are the same every time, begin a new run with teacher.structured_output=off"
                )
        self.offered = False


def is_unstructured(failure: Failure, request: Request) -> bool:
    """Whether a request failed only because it asked for a schema."""
    return failure.kind == "unstructured" and request.reply_schema is not None


def response_format(request: Request) -> dict[str, Any]:
    """The part of a request's body that asks for its schema; empty where it has none."""
    if request.reply_schema is None:
        return {}
    schema = {"name": request.step, "strict": True, "schema": request.reply_schema}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}
