"""The local PyBGPStream against recordings of the real one: files, filters, windows, csv files, errors and traps.

What the comparison is, the recordings themselves define: their ``verify.py`` is loaded and asked.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from conftest import ROOT, clean_environment

SANDBOXED = ROOT / "src" / "seedtune" / "domains" / "bgp" / "sandboxed"
GOLDENS = Path(os.environ.get("SEEDTUNE_GOLDEN_FIXTURES") or ROOT.parent / "shared" / "pybgpstream-golden")

SPOILED = ("pybgpstream._records.SpoiledElementError", "Copy type and fields at once")
ENDLESS = ("pybgpstream._stream.EndlessStreamError", "SEEDTUNE_BGP_REPLAY")
MISUSED = ("pybgpstream._stream.StreamUseError", "start")
NOT_SERVED = "pybgpstream._sources.SourceError"

OWN_WAYS: dict[str, tuple[list[str], tuple[str, str] | None]] = {
    "T01": ([], SPOILED),
    "T02": ([], SPOILED),
    "T03": ([], SPOILED),
    "T31": ([], (NOT_SERVED, "SEEDTUNE_BGP_ARCHIVE")),
    "T32": (["1000", "2000", "3000", "4000", "5000"], ENDLESS),
    "T33": ([], ENDLESS),
    "T36": ([], ("RuntimeError", "Could not get next record (is the stream started?)")),
    "T51": ([], SPOILED),
    "T52": (["update valid"], None),
    "T53": (["('update', 'valid', 1279830000.0)"], ("pybgpstream._records.SpoiledRecordError", "its turn")),
    "T61": ([], MISUSED),
    "T62": ([], MISUSED),
    "T63": ([], MISUSED),
    "T64": ([], (NOT_SERVED, "path,project,type,collector,filetime,timespan,timestamp")),
    "T65": ([], (NOT_SERVED, "6 fields instead of 7")),
    "T66": ([], (NOT_SERVED, "neither 'ribs' nor 'updates'")),
    "T68": ([], MISUSED),
    "T78": ([], ENDLESS),
    "T81": ([], (NOT_SERVED, "kafka")),
}
"""Standard output and error of the traps that are answered otherwise than by the real library."""


def _recorded(name: str, key: str, label: str) -> list[Any]:
    """Parameters are collected before fixtures exist; without recordings one is left to be skipped."""
    path = GOLDENS / name
    if not path.is_file():
        return [pytest.param({}, id="no recordings")]
    return [pytest.param(entry, id=entry[label]) for entry in json.loads(path.read_text())[key]]


@pytest.fixture(scope="module")
def verify(golden_fixtures: Path) -> Iterator[ModuleType]:
    """The recordings' own comparison, with the local module as ``pybgpstream`` for as long as it is used."""
    before = set(sys.modules)
    spec = importlib.util.spec_from_file_location("golden_verify", golden_fixtures / "verify.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(SANDBOXED))
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(SANDBOXED))
        for name in set(sys.modules) - before:
            if name.partition(".")[0] == "pybgpstream":
                del sys.modules[name]


@pytest.mark.parametrize("entry", _recorded("index.json", "files", "file"))
def test_every_file_gives_the_recorded_elements_and_records(
    entry: dict[str, Any], verify: ModuleType, mrt_fixtures: Path
) -> None:
    assert verify.check_file(entry, str(mrt_fixtures)) == []


@pytest.mark.parametrize("case", _recorded("filters.json", "cases", "id"))
def test_every_filter_window_and_error_is_as_recorded(
    case: dict[str, Any], verify: ModuleType, mrt_fixtures: Path
) -> None:
    assert verify.compare(verify.observe(case, str(mrt_fixtures)), case["expect"]) == []


def test_the_recordings_were_compared_with_the_local_module(verify: ModuleType) -> None:
    import pybgpstream  # pyright: ignore[reportMissingImports]

    assert pybgpstream.__backend__ == "seedtune"
    assert Path(pybgpstream.__file__).is_relative_to(SANDBOXED)


def run_snippet(code: str, mrt_folder: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = clean_environment(MRT_DIR=str(mrt_folder), PYTHONPATH=str(SANDBOXED), PYTHONHASHSEED="0")
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env={**environment, "TMPDIR": str(folder)},
        check=False,
    )


@pytest.mark.parametrize("trap", _recorded("traps.json", "traps", "id"))
def test_every_trap_is_sprung_as_recorded_or_refused_loudly(
    trap: dict[str, Any], golden_fixtures: Path, mrt_fixtures: Path, tmp_path: Path
) -> None:
    prelude = json.loads((golden_fixtures / "traps.json").read_text())["prelude"]
    done = run_snippet(prelude + trap["code"], mrt_fixtures, tmp_path)
    last_line = (done.stderr.splitlines() or [""])[-1].strip()
    if trap["id"] in OWN_WAYS:
        stdout, error = OWN_WAYS[trap["id"]]
        assert done.stdout.splitlines() == stdout
        assert done.returncode == (1 if error else 0), done.stderr
        if error:
            assert last_line.startswith(error[0] + ": ")
            assert error[1] in last_line
        return
    observed = trap["observed"]
    assert done.stdout.splitlines() == observed["stdout"]
    assert done.returncode == observed["exit"], done.stderr
    if "exception" in observed:
        wanted = observed["exception"]
        # Where the real library says nothing but the type, a reason is welcome.
        assert last_line == wanted or (wanted == "AssertionError" and last_line.startswith("AssertionError: "))


def test_only_traps_that_may_differ_do(golden_fixtures: Path) -> None:
    """A trap whose recording says "same" must not be excused by the table above."""
    traps = json.loads((golden_fixtures / "traps.json").read_text())["traps"]
    same = {trap["id"] for trap in traps if trap["ours"] == "same"}
    assert same.isdisjoint(OWN_WAYS)
    assert OWN_WAYS.keys() <= {trap["id"] for trap in traps}
