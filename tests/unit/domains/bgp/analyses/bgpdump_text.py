"""What ``bgpdump -m`` says of a file: the second opinion of the analyses."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def piped(pipeline: str, file: Path) -> list[str]:
    """The lines of a pipeline behind ``bgpdump -m FILE``; skips the test without bgpdump, or fails it if required."""
    if shutil.which("bgpdump") is None:
        reason = "bgpdump is not installed (Debian: apt-get install bgpdump)"
        if os.environ.get("SEEDTUNE_REQUIRE_FIXTURES"):
            pytest.fail(reason)
        pytest.skip(reason)
    command = f'bgpdump -m "$1" 2>/dev/null | {pipeline}'
    result = subprocess.run(
        ["sh", "-c", command, "sh", str(file)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    return result.stdout.splitlines()


def bgpdump(file: Path) -> list[str]:
    """The lines of a file."""
    return piped("cat", file)
