"""Keep spending within its limits: reserve the worst case before sending, settle on what was used."""

from seedtune.config import LimitsConfig, Prices
from seedtune.records import Usage


class Ledger:
    """Tokens and money of a run, over all its sessions.

    What was sent but never answered (the process was killed) may have been paid for: it stays reserved at its worst
    case for good.
    """

    def __init__(self, limits: LimitsConfig, prices: Prices | None) -> None:
        self._limits = limits
        self._prices = prices
        self._reserved: dict[int, Usage] = {}
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.lost_tokens = 0
        """Reserved for requests whose reply was lost."""
        self._lost_cost = 0.0

    def reserve(self, index: int, worst: Usage) -> None:
        """Set the worst case of a request aside. A second reservation for an index means that the first was lost."""
        lost = self._reserved.get(index)
        if lost is not None:
            self.lost_tokens += lost.total
            self._lost_cost += self._price(lost) or 0.0
        self._reserved[index] = worst

    def settle(self, index: int, usage: Usage) -> None:
        """Replace a request's reservation by what it used."""
        self._reserved.pop(index, None)
        self.prompt_tokens += usage.prompt_tokens
        self.completion_tokens += usage.completion_tokens

    def release(self, index: int) -> None:
        """Give a reservation back: the request was turned away, and nothing is paid for it."""
        self._reserved.pop(index, None)

    def blocked_by(self, worst: Usage) -> str:
        """Which limit forbids another request of this worst case: ``cost``, ``tokens`` or none (empty)."""
        if (
            self._limits.max_tokens is not None
            and self.tokens + self._in_flight() + worst.total > self._limits.max_tokens
        ):
            return "tokens"
        if self._limits.max_cost is not None and self._prices is not None:
            ahead = sum(self._price(usage) or 0.0 for usage in [*self._reserved.values(), worst])
            if (self.cost or 0.0) + ahead > self._limits.max_cost:
                return "cost"
        return ""

    @property
    def tokens(self) -> int:
        """Tokens used, and those lost."""
        return self.prompt_tokens + self.completion_tokens + self.lost_tokens

    @property
    def cost(self) -> float | None:
        """Money spent, and what was lost at its worst; None where the prices are unknown."""
        used = self._price(Usage(prompt_tokens=self.prompt_tokens, completion_tokens=self.completion_tokens))
        return None if used is None else used + self._lost_cost

    def _in_flight(self) -> int:
        return sum(usage.total for usage in self._reserved.values())

    def _price(self, usage: Usage) -> float | None:
        if self._prices is None:
            return None
        paid = usage.prompt_tokens * self._prices.input_per_million
        return (paid + usage.completion_tokens * self._prices.output_per_million) / 1_000_000
