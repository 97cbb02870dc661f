"""``docs/analyses.md`` names every function and nothing else, and its example runs."""

import re
from pathlib import Path
from types import FunctionType

import pytest

import mrt_writer as w
from conftest import ROOT
from seedtune.domains.bgp import analyses

PAGE = (ROOT / "docs" / "analyses.md").read_text()
INPUT = {"during", "parse_prefix", "parse_relationships", "peer_of", "prefix_of", "withdrawals"}
"""Functions that only prepare the input; the page names the most common ones."""


def test_the_page_names_every_measure() -> None:
    functions = {name for name in analyses.__all__ if isinstance(getattr(analyses, name), FunctionType)}
    named = set(re.findall(r"`([A-Za-z_]+)\b", PAGE))
    assert functions - INPUT <= named


def test_the_table_names_nothing_that_does_not_exist() -> None:
    rows = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    names = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(names) > 40
    assert names <= set(analyses.__all__)


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def attributes(asn: int) -> list[bytes]:
        return [w.origin(), w.as_path(64496, asn), w.next_hop("192.0.2.1")]

    rib = [w.peer_index(1, [w.PEER]), w.rib(1, "10.0.0.0/8", [w.RibEntry(0, attributes(64500))])]
    w.write_mrt(tmp_path / "rib.gz", rib, "gzip")
    other = w.Peer(64497, "192.0.2.2")
    w.write_mrt(tmp_path / "updates.gz", [w.update(2, other, ["10.0.0.0/8"], attributes=attributes(64501))], "gzip")
    monkeypatch.chdir(tmp_path)
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out == "10.0.0.0/8 [64500, 64501] 2.0 None\n2 routes a minute later\n"
