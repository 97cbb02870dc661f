"""``docs/analyses.md`` promises that each analysis is tested on recordings of the lab and on a real file."""

import ast
from types import FunctionType

import pytest

from conftest import ROOT
from seedtune.domains.bgp import analyses

TESTS = ROOT / "tests/unit/domains/bgp/analyses"
ON_THE_LAB = ("test_lab_truth.py", "test_second_count.py")
ON_REAL_FILES = ("test_real_files.py", "test_second_count.py")
VALUES = {"make_route", "make_withdrawal", "parse_path", "parse_prefix", "parse_relationships"}
"""They make values from text and measure nothing."""
MEASURES = sorted(
    name for name in analyses.__all__ if isinstance(getattr(analyses, name), FunctionType) and name not in VALUES
)


def used(*files: str) -> set[str]:
    """The names that the code of some tests uses; to import one is not to use it."""
    trees = (ast.parse((TESTS / file).read_text()) for file in files)
    return {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}


@pytest.mark.parametrize("name", MEASURES)
def test_an_analysis_is_tested_on_the_lab_and_on_a_real_file(name: str) -> None:
    assert name in used(*ON_THE_LAB), f"{name} is not tested on recordings of the lab"
    assert name in used(*ON_REAL_FILES), f"{name} is not tested on a real file"


def test_there_are_analyses() -> None:
    assert len(MEASURES) > 40
