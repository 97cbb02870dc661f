"""When a run stops short of its goal, and what it says then."""

from collections.abc import Sequence

from seedtune.errors import LimitReached
from seedtune.generate.state import State
from seedtune.records import Request, Usage


def forbidding_limit(state: State, batch: Sequence[Request], worst: Usage, seconds: float) -> str:
    """The limit that forbids sending requests; empty for none.

    Args:
        state: Where the run stands.
        batch: The last of the requests. A batch is sent whole: what a local teacher decodes beyond a limit costs
            nothing more.
        worst: The most tokens that all of the requests can use.
        seconds: How long this session has worked.

    Returns:
        ``requests``, ``candidates``, ``wall_time``, ``stall``, ``budget`` or ``tokens``.
    """
    limits = state.config.limits
    if limits.max_requests is not None and batch[0].index >= limits.max_requests:
        return "requests"
    if limits.max_candidates is not None and state.candidates_with(batch[-1]) > limits.max_candidates:
        return "candidates"
    if limits.max_hours is not None and seconds >= limits.max_hours * 3600:
        return "wall_time"
    return "stall" if state.is_stalled else state.blocked_by(batch[0], worst)


def limit_reached(state: State, cause: str, worst: Usage) -> LimitReached:
    """What to tell the user.

    Args:
        state: Where the run stands.
        cause: See :func:`forbidding_limit`.
        worst: Tokens that the next batch may need.
    """
    limits, ledger = state.config.limits, state.ledger
    needs = f"the next request may need {worst.total:,} tokens (its prompt in bytes, and max_tokens)"
    spent = f"{ledger.tokens:,} tokens are used" + (
        f", {ledger.lost_tokens:,} of them lost" if ledger.lost_tokens else ""
    )
    rejected = (
        ", ".join(f"{count} {reason}" for reason, count in state.funnel.most_rejected(3)) or "no task was written"
    )
    what, mend = {
        "budget": (
            f"{state.cost or 0.0:.4f} of limits.max_cost = {limits.max_cost} is spent, and {needs}",
            "raise the limit to go on",
        ),
        "tokens": (
            f"{spent} of limits.max_tokens = {limits.max_tokens:,}, and {needs}" if limits.max_tokens else "",
            "raise the limit to go on",
        ),
        "requests": (f"limits.max_requests = {limits.max_requests} are sent", "raise the limit to go on"),
        "candidates": (
            f"another request could pass limits.max_candidates = {limits.max_candidates}",
            "raise the limit to go on",
        ),
        "wall_time": (f"limits.max_hours = {limits.max_hours} of this session are over", "run again to go on"),
        "stall": (
            f"the last {limits.stall_requests} requests added fewer than {limits.stall_accepted} "
            f"(limits.stall_requests, stall_accepted); rejected in all: {rejected}",
            "see generate/rejected.jsonl; ask for fewer, or mend prompt, seeds or sampling and begin a new run",
        ),
    }[cause]
    return LimitReached(cause, f"{cause}: {what}. {state.accepted} of {state.funnel.goal} accepted and saved; {mend}")
