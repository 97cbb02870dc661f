"""Read a config: YAML with ``section.key=value`` overrides, and every fault with its place."""

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from seedtune.config.teacher import LocalTeacherConfig, OpenAITeacherConfig
from seedtune.config.tree import Config
from seedtune.errors import ConfigError
from seedtune.yaml_tree import Place, hint, line_of, read_yaml


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML config and apply overrides such as ``train.lora.r=32``.

    Without ``name``, a run takes the file's stem. Without a file, defaults alone.

    Raises:
        ConfigError: no such file, broken YAML, an unknown key, a value out of range; each with its place.
    """
    text = ""
    if path is not None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8"
            raise ConfigError(f"{path}: the config cannot be read: {reason}") from problem
    tree, lines = read_yaml(text, str(path or "config"), ConfigError, "domain: bgp")
    if path is not None:
        tree.setdefault("name", re.sub(r"[^A-Za-z0-9._-]", "-", path.stem).lstrip("._-") or "run")
    for override in overrides:
        _apply(tree, override)
    try:
        return Config.model_validate(tree)
    except ValidationError as problem:
        raise ConfigError(_explain(problem, tree, lines, str(path or "config"), overrides)) from problem


_TEXTS: tuple[object, ...] = (str, str | None, Path, str | tuple[str, ...] | None)


def _apply(tree: dict[str, Any], override: str) -> None:
    """Set one ``a.b=value``; the value is read as YAML, and where the schema has a text, ``7`` and ``no`` are words."""
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"--set {override}: expected section.key=value, such as --set train.lora.r=32")
    node = tree
    for part in parts[:-1]:
        if node.get(part) is None:
            node[part] = {}
        if not isinstance(node[part], dict):
            raise ConfigError(f"--set {override}: {part} is a value, not a section")
        node = cast("dict[str, Any]", node[part])
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise ConfigError(f"--set {override}: the value is not valid YAML") from problem
    field = _fields_at(tuple(parts[:-1]), tree).get(parts[-1])
    is_text = field is not None and field.annotation in _TEXTS
    node[parts[-1]] = text.strip() if is_text and isinstance(value, bool | int | float | date) else value


def _explain(
    problem: ValidationError,
    tree: dict[str, Any],
    lines: dict[Place, int],
    source: str,
    overrides: Sequence[str],
) -> str:
    """One line for each finding: place, what is wrong, and the nearest right key."""
    findings: list[str] = []
    for found in problem.errors(include_url=False):
        # A union adds its tag to the location (teacher, openai, model): keep what stands in the file.
        place = _in_file(tuple(str(part) for part in found["loc"]), tree)
        dotted = ".".join(place) or "config"
        line = line_of(place, lines)
        option = _option_of(place, lines, overrides)
        where = f"--set {option}" if option else f"{source}:{line}" if line else source
        if found["type"] == "extra_forbidden":
            findings.append(f"{where}: unknown key '{dotted}'; {hint(place[-1], _fields_at(place[:-1], tree))}")
        elif found["type"] == "union_tag_not_found":
            findings.append(f"{where}: {dotted}: needs a type: openai or local")
        elif found["type"] == "model_type":
            findings.append(f"{where}: {dotted}: expected a section; {{}} is one with its defaults")
        else:
            findings.append(f"{where}: {dotted}: {found['msg'].removeprefix('Value error, ')}")
    return "\n".join(findings)


def _option_of(place: Place, lines: dict[Place, int], overrides: Sequence[str]) -> str | None:
    """The key of the last override that set this place, a section around it, or something in a section it made."""
    for override in reversed(overrides):
        key = override.partition("=")[0].strip()
        parts = tuple(key.split("."))
        inside, around = place[: len(parts)] == parts, parts[: len(place)] == place
        if inside or (around and place not in lines):
            return key
    return None


def _in_file(place: Place, tree: object) -> Place:
    kept: list[str] = []
    for index, part in enumerate(place):
        last = index == len(place) - 1
        if isinstance(tree, dict) and part in tree:
            tree = cast("dict[str, Any]", tree)[part]
            kept.append(part)
        elif last:
            kept.append(part)
    return tuple(kept)


def _fields_at(place: Place, tree: dict[str, Any]) -> dict[str, FieldInfo]:
    """The fields that the schema knows at a place of the tree; none where it has no section."""
    section: type[BaseModel] = Config
    node: Any = tree
    for part in place:
        node = node.get(part, {}) if isinstance(node, dict) else {}
        if part == "teacher":
            kind = cast("dict[str, Any]", node).get("type", "local") if isinstance(node, dict) else "local"
            section = OpenAITeacherConfig if kind == "openai" else LocalTeacherConfig
            continue
        annotation = section.model_fields[part].annotation if part in section.model_fields else None
        options = [annotation, *getattr(annotation, "__args__", ())]
        found = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)
        if found is None:
            return {}
        section = found
    return section.model_fields
