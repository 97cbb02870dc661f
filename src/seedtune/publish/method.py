"""How a dataset was made, in a table's words: what the requests of the run's mode show, ask for and are decoded with.

Of the modes, only alpaca mode with fixed fidelity takes all of it from the config; the others have constants of their
own. A test holds this against what was sent.
"""

import json
from collections.abc import Mapping, Sequence

from seedtune.config import GenerateConfig, SamplingConfig
from seedtune.domains import Pack
from seedtune.generate.composing import decoding_of, tasks_asked
from seedtune.generate.sampling import usable_packs
from seedtune.generate.wording import classic, strict
from seedtune.records import Step

_STEPS: Mapping[str, tuple[Step, ...]] = {
    "alpaca": ("tasks",),
    "classic": ("instructions", "classification", "instances"),
}


def method_of(config: GenerateConfig, packs: Sequence[Pack]) -> dict[str, str]:
    """What shaped the data, without addresses and folders.

    Args:
        config: The run's.
        packs: The packs in use.

    Returns:
        The rows of a table, in order.
    """
    is_strict = config.fidelity == "strict"
    rows = {"method": f"Self-Instruct, {config.mode} mode ({config.fidelity})", **_requests(config, packs)}
    for step in _STEPS[config.mode]:
        rows[f"decoding of {step}"] = _decoding(config, step, config.teacher.sampling)
    if config.judge is not None:
        judge = config.judge.teacher or config.teacher
        rows["decoding of judgements"] = _decoding(config, "judgement", judge.sampling)
    rules = strict.RULES[config.mode]
    shortest, longest = (rules.min_words, rules.max_words) if is_strict else (config.min_words, config.max_words)
    alike = rules.rouge_threshold if is_strict else config.rouge_threshold
    rows["length of an instruction"] = f"{shortest} to {longest} words"
    rows["rejected as a duplicate"] = f"ROUGE-L F above {alike:g} with any other instruction"
    if config.minhash is not None:
        rows["near-duplicates of whole tasks"] = f"MinHash, Jaccard above {config.minhash.threshold:g}"
    if config.embedding is not None:
        rows["the same in other words"] = f"embeddings, cosine above {config.embedding.threshold:g}"
    return rows


def _requests(config: GenerateConfig, packs: Sequence[Pack]) -> dict[str, str]:
    """What a request shows, and how much it asks for."""
    is_strict = config.fidelity == "strict"
    fewest = min((len(pack.seeds) for pack in usable_packs(packs, config.max_example_words)), default=0)

    def shown(count: int, what: str) -> str:
        return f"{'up to ' if fewest < count else ''}{count} {what}"

    if config.mode == "alpaca":
        seeds = strict.SEEDS if is_strict else config.seeds_per_request
        return {
            "shown in each request": shown(seeds, "seed tasks"),
            "asked for in each request": f"{tasks_asked(config)} tasks",
        }
    own = "examples that are the same for every domain"
    more = "" if is_strict else f", and {shown(config.seeds_per_request, 'seed tasks')} unless it is a classification"
    most = f"at most {classic.MACHINE_SHARE} of them written by the teacher"
    return {
        "shown to ask for instructions": f"{shown(classic.SHOWN, 'instructions')}, {most}",
        "instructions asked for in each request": str(tasks_asked(config)),
        "shown to ask for instances": own + more,
    }


def _decoding(config: GenerateConfig, step: Step, sampling: SamplingConfig) -> str:
    own = decoding_of(config, step)
    sent = sampling.model_dump() | (own.model_dump(exclude_none=True) if own else {})
    parts = [f"temperature {sent['temperature']:g}", f"top-p {sent['top_p']:g}"]
    if sent["presence_penalty"] is not None:
        parts.append(f"presence penalty {sent['presence_penalty']:g}")
    parts.append(f"at most {sent['max_tokens']} tokens")
    if stops := sent.get("stop"):
        # A line's end is shown as an escape: this stands in one row of a table.
        parts.append("ends before " + " or ".join(json.dumps(stop) for stop in stops))
    return ", ".join(parts)
