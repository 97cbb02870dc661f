"""``seedtune push``: show what would go to the hub, and with ``--yes`` send it."""

import json
from dataclasses import dataclass
from pathlib import Path

from seedtune import console, models, runs
from seedtune.domains import load_domain
from seedtune.errors import PublishError
from seedtune.publish import plan as plans
from seedtune.publish.hub import Hub, check_visibility
from seedtune.publish.merge import merge
from seedtune.publish.model_card import licence_of_base, published_card
from seedtune.publish.plan import Plan


@dataclass(frozen=True)
class Options:
    """What is pushed, and where to."""

    dataset: bool = False
    merged: bool = False
    """The adapter merged into its base, instead of the adapter."""
    repo: str | None = None
    """``owner/name``; None is the run's name below the token's owner."""
    base_model: str | None = None
    """Hub id of the base model, for one that was trained from a local folder."""
    public: bool = False
    yes: bool = False
    """Upload; else only show."""


def push(run: runs.Run, options: Options) -> int:
    """Show the files and what forbids their upload; then upload them if that was asked for.

    Returns:
        Exit code: 1 where a dry run found something that forbids the upload.

    Raises:
        DataError: what is to be pushed is not there.
        PublishError: nothing was uploaded, and why.
    """
    repo, private, problems = options.repo, not options.public, list[str]()
    hub: Hub | None = None
    state = "the hub was not asked"
    try:
        hub = Hub()
        repo = repo or f"{hub.user()}/{run.config.name}{'-merged' if options.merged else ''}"
        is_private = hub.is_private(repo, "dataset" if options.dataset else "model")
        state = "new" if is_private is None else "is there"
        check_visibility(repo, is_private, private)
    except PublishError as problem:
        problems.append(str(problem))
    if options.dataset:
        plan = plans.dataset_plan(run, load_domain(run.config.domain), repo)
    else:
        plan = _model(run, repo, options, hub)
    problems = plans.check(plan) + problems
    _show(plan, repo, private, state)
    if problems and options.yes:
        raise PublishError("nothing was uploaded:\n" + "\n".join(problems))
    for problem in problems:
        console.complain(problem)
    if problems:
        return 1
    if not options.yes or hub is None or repo is None:
        console.say("nothing was uploaded; add --yes to do it")
        return 0
    what = "dataset" if options.dataset else "merged model" if options.merged else "adapter"
    console.say(f"pushed: {hub.push(plan, repo, private, f'Push the {what} of run {run.config.name} with seedtune')}")
    return 0


def _model(run: runs.Run, repo: str | None, options: Options, hub: Hub | None) -> Plan:
    """The adapter, or a whole model: merged, or tuned as one. The base is named as others can find it."""
    name, folder = run.config.model.name, run.tuned()
    base = options.base_model or models.public_name(name)
    if options.base_model is None and Path(name).expanduser().is_dir():
        console.complain(
            f"the base model is a local folder: the card will name it '{base}', which others cannot load; "
            "--base-model OWNER/NAME names it on the hub"
        )
    licence = licence_of_base(name) or (hub.licence_of(base) if hub is not None else None)
    if run.config.train.method == "full":
        return plans.whole_plan(folder, published_card(run, repo, base, licence, None))
    if options.merged:
        merged, measured = merge(run)
        return plans.whole_plan(merged, published_card(run, repo, base, licence, measured))
    written = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    config = json.dumps({**written, "base_model_name_or_path": base}, indent=2) + "\n"
    return plans.adapter_plan(folder, published_card(run, repo, base, licence, None), config.encode())


def _show(plan: Plan, repo: str | None, private: bool, state: str) -> None:
    target = repo or "<owner>/<name>"
    url = f"datasets/{target}" if plan.kind == "dataset" else target
    console.show_table(
        f"{url} ({'private' if private else 'public'}, {state})",
        ["file", "size"],
        [[upload.name, _size(upload.size)] for upload in plan.uploads],
    )
    console.say(f"in all {_size(sum(upload.size for upload in plan.uploads))}, in one commit")
    if plan.stays:
        console.say(f"stays here: {', '.join(plan.stays)}")


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
