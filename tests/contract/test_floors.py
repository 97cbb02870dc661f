"""The house of the design: imports only point down, and rooms on one floor do not import each other."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

SOURCE = ROOT / "src" / "seedtune"

FLOORS = {
    "__main__": 9,
    "cli": 8,
    "pipeline": 7,
    "doctor": 6,
    "publish": 6,
    "web": 6,
    "evaluate": 5,
    "generate": 5,
    "report": 5,
    "train": 5,
    "teachers": 4,
    "domains": 3,
    "models": 3,
    "review_decisions": 3,
    "runs": 3,
    "config": 2,
    "records": 2,
    "sandbox": 2,
    "similarity": 2,
    "console": 1,
    "yaml_tree": 1,
    "errors": 0,
    "__init__": 0,
}

HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "starlette", "uvicorn", "matplotlib")

# Where heavy libraries may be imported at module level: these modules are loaded only by a stage that needs them.
HEAVY_AT_HOME = {
    "teachers/decoding.py",
    "teachers/engine.py",
    "teachers/local.py",
    "teachers/packed_batch.py",
    "teachers/slot_batch.py",
    "evaluate/inference.py",
    "train/build.py",
    "train/progress.py",
    "train/steps.py",
    "train/trainer.py",
}


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(tree: ast.AST) -> set[str]:
    rooms: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "seedtune":
            rooms |= {alias.name if alias.name in FLOORS else "__init__" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("seedtune."):
            rooms.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("seedtune.")}
    return rooms


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if "template" not in path.parts)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_only_point_down(path: Path) -> None:
    room = room_of(path)
    for other in imported_rooms(ast.parse(path.read_text())) - {room}:
        assert FLOORS[other] < FLOORS[room], f"{room} (floor {FLOORS[room]}) imports {other} (floor {FLOORS[other]})"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_heavy_libraries_are_imported_only_when_needed(path: Path) -> None:
    place = str(path.relative_to(SOURCE))
    if place in HEAVY_AT_HOME or place.startswith(("train/fused/", "web/")):
        return
    for node in ast.parse(path.read_text()).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not [name for name in names if name.split(".")[0] in HEAVY], f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 500
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno <= 60, f"{path}:{node.lineno} {node.name}"


def test_every_room_has_a_floor() -> None:
    assert {room_of(path) for path in modules()} == set(FLOORS)


def test_what_runs_in_the_sandbox_needs_the_standard_library_alone() -> None:
    """Neither seedtune nor its dependencies can be read there."""
    for path in (SOURCE / "domains" / "bgp" / "sandboxed").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names, f"{path}:{node.lineno}"


def test_everything_but_training_works_without_torch() -> None:
    """The core install: generate with an API teacher, publish the dataset, lint a domain."""
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {HEAVY}: raise ImportError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import seedtune.cli, seedtune.pipeline, seedtune.doctor, seedtune.publish.push, seedtune.generate.stage\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
