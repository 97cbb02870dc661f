"""The domain that the tests of the lint change."""

from pathlib import Path

import pytest

from domain_on_disk import DomainOnDisk


@pytest.fixture
def sound(tmp_path: Path) -> DomainOnDisk:
    """A domain without a single finding."""
    return DomainOnDisk(tmp_path / "sound")
