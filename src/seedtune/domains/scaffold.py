"""Make a new domain folder that runs, to be filled by its owner."""

import re
import shutil
import uuid
from pathlib import Path

from seedtune.domains.canary import canary_sentence
from seedtune.errors import DomainError

_TEMPLATE = Path(__file__).parent / "template"


def create_domain(folder: Path) -> list[Path]:
    """Copy the template domain to a folder that does not exist or is empty, named after it, with a canary of its own.

    Returns:
        The files written.

    Raises:
        DomainError: the folder has something in it, or its name cannot be a domain's.
    """
    name = re.sub(r"[^a-z0-9_-]+", "-", folder.resolve().name.lower()).strip("-_")
    if not name:
        raise DomainError(f"{folder}: name the folder with letters or digits; the domain takes its name")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DomainError(f"{folder}: is there already and not empty; give a new folder")
    canary = canary_sentence(name, str(uuid.uuid4()))
    try:
        shutil.copytree(_TEMPLATE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
        for path, placeholder, text in (
            (folder / "domain.yaml", "DOMAIN_NAME", name),
            *((path, "CANARY", canary) for path in folder.glob("evaluation/test/*.jsonl")),
        ):
            path.write_text(path.read_text(encoding="utf-8").replace(placeholder, text), encoding="utf-8")
    except OSError as problem:
        raise DomainError(f"{folder}: cannot be written: {problem.strerror}") from problem
    return sorted(path for path in folder.rglob("*") if path.is_file())
