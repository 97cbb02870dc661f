"""Keep spending within its limits: reserve the worst case of an attempt before it is sent, settle on what was used."""

from dataclasses import dataclass

from seedtune.config import LimitsConfig, Prices
from seedtune.records import Usage


@dataclass
class _Tokens:
    """Whole numbers, so that adding and taking away leaves no trace of rounding."""

    prompt: int = 0
    completion: int = 0

    def add(self, usage: Usage, sign: int = 1) -> None:
        self.prompt += sign * usage.prompt_tokens
        self.completion += sign * usage.completion_tokens

    @property
    def total(self) -> int:
        return self.prompt + self.completion


class _Book:
    """What is priced alike: the requests sent one by one, or those sent in batches."""

    def __init__(self) -> None:
        self.reserved = _Tokens()
        self.used = _Tokens()
        self.lost = _Tokens()


class Ledger:
    """Tokens and money of a run, over all its sessions.

    An attempt whose reply was lost (a timeout, a killed process) may have been paid for: it stays charged at its worst
    case for good.
    """

    def __init__(self, limits: LimitsConfig, prices: Prices | None) -> None:
        self._limits = limits
        self._prices = prices
        self._reserved: dict[int, tuple[Usage, bool]] = {}
        self._books = {False: _Book(), True: _Book()}

    def reserve(self, index: int, worst: Usage, batch: bool = False) -> None:
        """Set the worst case of an attempt aside. A second one for an index means that the first was lost.

        Args:
            index: Of the request.
            worst: The most tokens that the attempt can use.
            batch: It is priced as part of a batch.
        """
        self.lose(index)
        self._reserved[index] = (worst, batch)
        self._books[batch].reserved.add(worst)

    def settle(self, index: int, usage: Usage) -> None:
        """Replace a request's reservation by what it used."""
        self._books[self._free(index)].used.add(usage)

    def release(self, index: int) -> None:
        """Give a reservation back: the attempt was turned away, and nothing is paid for it."""
        self._free(index)

    def lose(self, index: int) -> None:
        """Charge a reservation for good: the attempt may have been paid for, and no reply will come."""
        if index in self._reserved:
            worst, batch = self._reserved[index]
            self._free(index)
            self._books[batch].lost.add(worst)

    def blocked_by(self, worst: Usage, batch: bool = False) -> str:
        """Which limit forbids another attempt of this worst case: ``cost``, ``tokens`` or none (empty)."""
        reserved = sum(book.reserved.total for book in self._books.values())
        if self._limits.max_tokens is not None and self.tokens + reserved + worst.total > self._limits.max_tokens:
            return "tokens"
        if self._limits.max_cost is not None and self._prices is not None:
            ahead = self._price(_Tokens(worst.prompt_tokens, worst.completion_tokens), batch)
            ahead += sum(self._price(book.reserved, kind) for kind, book in self._books.items())
            if (self.cost or 0.0) + ahead > self._limits.max_cost:
                return "cost"
        return ""

    @property
    def prompt_tokens(self) -> int:
        """Used, as far as is known."""
        return sum(book.used.prompt for book in self._books.values())

    @property
    def completion_tokens(self) -> int:
        """Used, as far as is known."""
        return sum(book.used.completion for book in self._books.values())

    @property
    def lost_tokens(self) -> int:
        """Reserved for attempts whose reply was lost."""
        return sum(book.lost.total for book in self._books.values())

    @property
    def tokens(self) -> int:
        """Tokens used, and those lost."""
        return self.prompt_tokens + self.completion_tokens + self.lost_tokens

    @property
    def cost(self) -> float | None:
        """Money spent, and what was lost at its worst; None where the prices are unknown."""
        if self._prices is None:
            return None
        return sum(self._price(book.used, kind) + self._price(book.lost, kind) for kind, book in self._books.items())

    def _free(self, index: int) -> bool:
        """Take a reservation away, if there is one. Returns whether it was part of a batch."""
        if index not in self._reserved:
            return False
        worst, batch = self._reserved.pop(index)
        self._books[batch].reserved.add(worst, -1)
        return batch

    def _price(self, tokens: _Tokens, batch: bool) -> float:
        if self._prices is None:
            return 0.0
        paid = tokens.prompt * self._prices.input_per_million + tokens.completion * self._prices.output_per_million
        # A run that once sent batches may have lost the factor since: then the whole price is counted.
        return paid * ((self._prices.batch_factor or 1.0) if batch else 1.0) / 1_000_000
