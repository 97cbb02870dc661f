"""The loop: draw, send, record, judge in request order, until N instructions are accepted.

What makes the result the same however the work is cut up: a request depends on the run's seed, its index, and what
requests a fixed way behind it brought; replies are recorded as they come and judged strictly in the order of their
indices; the dataset is the first N accepted. After a crash, recorded replies are judged from where the verdicts end,
and only requests without a recorded reply are sent. When N is reached, replies still in flight are awaited and
recorded: they are paid for.
"""

import asyncio
import logging
import signal
from pathlib import Path
from typing import Any

from seedtune import console, runs
from seedtune.config import GenerateConfig, LocalTeacherConfig, OpenAITeacherConfig
from seedtune.domains import Domain
from seedtune.domains.contamination import seeds_among_items
from seedtune.errors import ConfigError, DataError, DomainError, LimitReached, SandboxError, TeacherError
from seedtune.generate.flight import Flight
from seedtune.generate.journal import Journal
from seedtune.generate.largest import check_windows
from seedtune.generate.settings import settings_of
from seedtune.generate.state import State
from seedtune.generate.views import count_accepted, write_views
from seedtune.teachers import make_teacher

logger = logging.getLogger(__name__)

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, ``systemctl stop`` and the like, and a terminal that went away."""


def run_generate(run: runs.Run, domain: Domain) -> None:
    """Do the stage, or what is left of it; nothing if it is done.

    Raises:
        LimitReached: a limit of ``generate.limits`` stopped it; everything is saved.
        TeacherError: a teacher cannot be had.
        SandboxError: programs are to be verified, and none can be run here.
        ConfigError: settings that do not go together, or fewer instructions asked for than there are.
        DomainError: evaluation items are seed tasks.
        RunError: the journal was begun with other settings.
        KeyboardInterrupt: after Ctrl-C, once the requests in flight have ended and are saved.
    """
    config = run.config
    packs = domain.select_packs(config.generate.packs)
    state = State(config, domain, packs)
    settings = settings_of(config, domain, packs, state.contents)
    goal = config.generate.num_instructions
    fingerprint = runs.fingerprint(settings, goal)
    if run.is_done("generate", fingerprint):
        logger.info("generate: done before, %d instructions", goal)
        return
    folder = run.folder("generate")
    _refuse(config.generate, domain, count_accepted(folder))
    begun = state.replay(folder / "journal.jsonl", settings)
    if begun:
        logger.info("generate: going on from %d accepted, %d requests judged", state.accepted, state.committed)
    with run.working("generate", fingerprint) as done:
        stopped: BaseException | None = None
        if not state.funnel.is_full:
            with Journal(folder / "journal.jsonl") as journal:
                if not begun:
                    journal.append("start", [{"settings": settings}], durable=True)
                try:
                    asyncio.run(_collect(state, journal, folder))
                except (LimitReached, TeacherError, SandboxError, KeyboardInterrupt, DataError) as problem:
                    stopped = problem
        outputs = write_views(folder, state.funnel)
        _say_how_it_ended(state, outputs[0])
        if stopped is not None:
            raise stopped
        done(outputs, _spent(state))


def _say_how_it_ended(state: State, dataset: Path) -> None:
    spent = _spent(state)
    used, lost = spent["prompt_tokens"] + spent["completion_tokens"], spent["lost_tokens"]
    accepted = f"{state.accepted}" if state.funnel.is_full else f"stopped with {state.accepted} of {state.funnel.goal}"
    parts = [
        f"{accepted} accepted, of {state.candidates} candidates",
        f"{state.committed} requests",
        f"{used:,} tokens" + (f" (and up to {lost:,} of lost replies)" if lost else ""),
    ]
    if spent["cost"] is not None:
        parts.append(f"cost {spent['cost']:.4f} {spent['currency']}")
    logger.info("generate: %s: %s", ", ".join(parts), console.relative(dataset))


def _refuse(config: GenerateConfig, domain: Domain, there: int) -> None:
    """Stop before anything is paid where the result could not be what the user wants."""
    if config.num_instructions < there:
        raise ConfigError(
            f"generate.num_instructions is {config.num_instructions}, but this run has {there} already. "
            "Ask for as many or more, or give the run another name (--set name=...)"
        )
    if config.documents is not None and (config.mode, config.fidelity) != ("alpaca", "fixed"):
        raise ConfigError("generate.documents needs mode: alpaca and fidelity: fixed; the originals show no documents")
    if config.decontaminate and (same := seeds_among_items(domain)):
        raise DomainError(
            "\n".join(same[:10])
            + "\nThe teacher is shown the seeds and the student is trained on them: take these out "
            "of the seeds or out of the evaluation, or set generate.decontaminate=false"
        )


async def _collect(state: State, journal: Journal, folder: Path) -> None:
    """Send, record and judge until the goal or a stop."""
    teachers = {name: make_teacher(teacher, state.seed) for name, teacher in state.teachers.items()}
    flight = Flight(state, journal, teachers, folder)
    events = asyncio.get_running_loop()

    def on_interrupt() -> None:
        if flight.interrupted:
            flight.give_up()
        else:
            console.complain("interrupted: waiting for the requests in flight (Ctrl-C again: give them up)")
            flight.interrupt()
            for teacher in teachers.values():
                teacher.interrupt()

    # Who runs under nohup asked not to be told of a lost terminal.
    signals = [number for number in _ENDINGS if signal.getsignal(number) != signal.SIG_IGN]
    for number in signals:
        events.add_signal_handler(number, on_interrupt)
    try:
        await asyncio.to_thread(state.prepare)
        await check_windows(state, teachers)
        with console.progress("generate", state.funnel.goal) as advance:
            await flight.run(advance)
    finally:
        flight.give_up()
        try:
            await flight.settle()
        finally:
            for teacher in teachers.values():
                await teacher.close()
            await asyncio.to_thread(state.close)
            for number in signals:
                events.remove_signal_handler(number)
    if flight.interrupted and not state.funnel.is_full:
        journal.append("stopped", [{"cause": "interrupt"}], durable=True)
        raise KeyboardInterrupt


def _spent(state: State) -> dict[str, Any]:
    """Requests, tokens and money of all sessions, those beyond the goal included."""
    ledger, teacher = state.ledger, state.config.teacher
    prices = state.prices
    judge = state.teachers.get("judge")
    return {
        "teacher": _name(teacher),
        "judge": _name(judge or teacher) if state.config.judge is not None else None,
        "requests": state.committed,
        "prompt_tokens": ledger.prompt_tokens,
        "completion_tokens": ledger.completion_tokens,
        "lost_tokens": ledger.lost_tokens,
        "cost": state.cost,
        "currency": prices[0].currency if prices else None,
        "prices_as_of": prices[0].as_of if prices else None,
    }


def _name(teacher: OpenAITeacherConfig | LocalTeacherConfig) -> str:
    return Path(teacher.model).name if isinstance(teacher, LocalTeacherConfig) else teacher.model
