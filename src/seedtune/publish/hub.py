"""Upload to the Hugging Face hub: the only module that sends anything.

All files of a push go up in **one commit** (``create_commit`` with the files named one by one), so that a repository
never holds a card without its data or half of a model; ``upload_folder`` of huggingface_hub 2 cuts a push into several
commits, and sends what a pattern matches. A push that broke off is taken up by the next one: before the commit, the hub
is asked which large files it has already (with hf_xet: which chunks), and files that have not changed are left out.
For the same reason a commit whose answer was lost can be sent again: nothing is committed twice.

Not covered: files of an earlier push that this one does not have stay in the repository.
"""

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from seedtune.errors import PublishError
from seedtune.publish.plan import Kind, Plan

_ATTEMPTS = 3
_AGAIN = (408, 409, 429, 500, 502, 503, 504)
_WAIT_S = 1.0


class Hub:
    """The hub as one user sees it. The token is taken from HF_TOKEN or from ``hf auth login``, and shown nowhere."""

    def __init__(self) -> None:
        """Nothing is sent yet.

        Raises:
            PublishError: huggingface_hub is not installed, or there is no token.
        """
        try:
            from huggingface_hub import HfApi, get_token
            from huggingface_hub.utils import logging
        except ImportError as problem:
            raise PublishError("pushing needs huggingface_hub: pip install 'seedtune[train]'") from problem
        if get_token() is None:
            raise PublishError(
                "no token of the Hugging Face hub: set HF_TOKEN, or run 'hf auth login' (a token that may write, "
                "from the hub's settings)"
            )
        logging.set_verbosity_error()
        self._api = HfApi()

    def user(self) -> str:
        """The name of the token's owner.

        Raises:
            PublishError: the token is not valid, or the hub cannot be reached.
        """
        with _explained("who the token belongs to"):
            return str(self._api.whoami()["name"])

    def is_private(self, repo: str, kind: Kind) -> bool | None:
        """Whether a repository is private; None where there is none.

        Raises:
            PublishError: the hub cannot be reached or refuses.
        """
        from huggingface_hub.errors import RepositoryNotFoundError

        with _explained(repo):
            try:
                return bool(self._api.repo_info(repo, repo_type=kind).private)
            except RepositoryNotFoundError:
                return None

    def licence_of(self, model: str) -> str | None:
        """The licence that a model's card names; None where it names none or the hub does not tell."""
        from huggingface_hub.errors import HTTPError  # pyright: ignore[reportPrivateImportUsage] (the client's own base)

        try:
            card: Any = self._api.model_info(model).card_data
        except (HTTPError, OSError, ValueError):
            return None
        return card.license if card and isinstance(card.license, str) else None

    def push(self, plan: Plan, repo: str, private: bool, message: str) -> str:
        """Make the repository if it is not there and upload everything in one commit.

        Returns:
            The commit's address.

        Raises:
            PublishError: the repository's visibility is another one, the hub refuses, or it cannot be reached.
        """
        with _explained(repo):
            if self.is_private(repo, plan.kind) is None:
                self._api.create_repo(repo, repo_type=plan.kind, private=private, exist_ok=True)
        # Also where it was just made: an organisation may not allow the other.
        check_visibility(repo, self.is_private(repo, plan.kind), private)
        with _explained(repo):
            return self._commit(plan, repo, message)

    def _commit(self, plan: Plan, repo: str, message: str) -> str:
        from huggingface_hub import CommitOperationAdd
        from huggingface_hub.errors import HfHubHTTPError, HTTPError  # pyright: ignore[reportPrivateImportUsage]

        attempt = 0
        while True:
            attempt += 1
            # Operations remember what became of them and are not to be used twice.
            additions = [CommitOperationAdd(upload.name, upload.content) for upload in plan.uploads]
            try:
                return self._api.create_commit(repo, additions, commit_message=message, repo_type=plan.kind).commit_url
            except HTTPError as problem:
                final = isinstance(problem, HfHubHTTPError) and problem.response.status_code not in _AGAIN
                if final or attempt == _ATTEMPTS:
                    raise
            time.sleep(_WAIT_S * 2**attempt)


def check_visibility(repo: str, is_private: bool | None, private: bool) -> None:
    """Refuse a repository that is there with another visibility than was asked for.

    Raises:
        PublishError: it is.
    """
    if is_private is None or is_private == private:
        return
    if private:
        raise PublishError(f"{repo}: this repository is public; push with --public, or make it private in its settings")
    raise PublishError(f"{repo}: this repository is private; push without --public, or make it public in its settings")


@contextmanager
def _explained(what: str) -> Generator[None]:
    """Turn the client's errors into one that says what to do."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        HTTPError,  # pyright: ignore[reportPrivateImportUsage]
        OfflineModeIsEnabled,
    )

    try:
        yield
    except PublishError:
        raise
    except OfflineModeIsEnabled as problem:
        raise PublishError("HF_HUB_OFFLINE is set: the hub is not asked; unset it") from problem
    except HFValidationError as problem:
        raise PublishError(f"{what}: is no name of a repository; expected owner/name") from problem
    except (HTTPError, OSError, RuntimeError) as problem:
        # The threads that upload wrap what stopped them.
        cause = problem.__cause__ if isinstance(problem, RuntimeError) and problem.__cause__ else problem
        if isinstance(cause, HfHubHTTPError):
            raise PublishError(_refusal(what, cause)) from problem
        raise PublishError(
            f"{constants.ENDPOINT}: the connection to the hub failed ({cause}); "
            "run the command again: what has arrived is not sent twice"
        ) from problem
    except ValueError as problem:
        raise PublishError(f"{what}: {problem}") from problem


def _refusal(what: str, problem: Any) -> str:
    status = problem.response.status_code
    said = problem.server_message or str(problem).splitlines()[0]
    source = "HF_TOKEN" if "HF_TOKEN" in os.environ else "'hf auth login'"
    advice = {
        401: f"the token of {source} is not valid: make a new one in the hub's settings",
        403: f"the token of {source} may not write there: it needs the write permission for this owner",
        404: "there is no such repository, or the token may not see it; is the owner's name right?",
        409: "something else is being done with it: try again in a minute",
        429: "too many requests: try again later",
    }.get(status, "try again later" if status >= 500 else "see the hub's words")
    return f"{what}: the hub refused ({status}: {said}); {advice}"
