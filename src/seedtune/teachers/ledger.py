"""Keep spending within its limits: reserve the worst case of an attempt before it is sent, settle on what was used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from seedtune.config import LimitsConfig, LocalTeacherConfig, Prices, TeacherConfig
from seedtune.errors import ConfigError
from seedtune.records import Usage

FREE = Prices(input_per_million=0, output_per_million=0, as_of="0001-01-01")
"""What runs on this machine charges nothing, and never has."""


def prices_of(config: TeacherConfig) -> Prices | None:
    """What a teacher charges; None is unknown."""
    return FREE if isinstance(config, LocalTeacherConfig) else config.prices


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


@dataclass
class _Book:
    """What is priced alike: one teacher's requests sent one by one, or those sent in batches."""

    prices: Prices | None
    batch: bool
    reserved: _Tokens = field(default_factory=_Tokens)
    used: _Tokens = field(default_factory=_Tokens)
    lost: _Tokens = field(default_factory=_Tokens)

    @property
    def is_empty(self) -> bool:
        return not (self.reserved.total or self.used.total or self.lost.total)

    def price(self, tokens: _Tokens) -> float:
        """Nothing where the prices are unknown."""
        if self.prices is None:
            return 0.0
        paid = tokens.prompt * self.prices.input_per_million + tokens.completion * self.prices.output_per_million
        # A run that once sent batches may have lost the factor since: then the whole price is counted.
        return paid * ((self.prices.batch_factor or 1.0) if self.batch else 1.0) / 1_000_000


@dataclass(frozen=True)
class Spent:
    """What teachers have used so far."""

    prompt_tokens: int
    """As far as is known."""
    completion_tokens: int
    """As far as is known."""
    lost_tokens: int
    """Reserved for attempts whose reply was lost."""
    cost: float | None
    """Money spent, and what was lost at its worst; None where something was used whose price is unknown."""

    @property
    def tokens(self) -> int:
        """Tokens used, and those lost."""
        return self.prompt_tokens + self.completion_tokens + self.lost_tokens


class Ledger:
    """Tokens and money of a run, over all its sessions and teachers.

    An attempt whose reply was lost (a timeout, a killed process) may have been paid for: it stays charged at its worst
    case for good.
    """

    def __init__(self, limits: LimitsConfig, prices: Mapping[str, Prices | None]) -> None:
        """Opens empty books.

        Args:
            limits: Of all teachers together.
            prices: Of each teacher, by the name it is charged under: ``{"teacher": prices_of(...), "judge": ...}``.

        Raises:
            ConfigError: they are in different currencies.
        """
        currencies = {name: known.currency for name, known in prices.items() if known is not None and known != FREE}
        if len(set(currencies.values())) > 1:
            found = ", ".join(f"{name} {currency}" for name, currency in currencies.items())
            raise ConfigError(f"prices in different currencies cannot be added up ({found}); give all in one")
        self._limits = limits
        self._reserved: dict[int, tuple[Usage, _Book]] = {}
        self._books = {(who, batch): _Book(known, batch) for who, known in prices.items() for batch in (False, True)}

    def reserve(self, index: int, worst: Usage, who: str = "teacher", batch: bool = False) -> None:
        """Set the worst case of an attempt aside. A second one for an index means that the first was lost.

        Args:
            index: Of the request.
            worst: The most tokens that the attempt can use.
            who: The teacher that it is charged to.
            batch: It is priced as part of a batch.
        """
        self.lose(index)
        book = self._books[who, batch]
        self._reserved[index] = (worst, book)
        book.reserved.add(worst)

    def settle(self, index: int, usage: Usage, who: str = "teacher") -> None:
        """Replace a request's reservation by what it used; one without reservation is charged to ``who``."""
        (self._free(index) or self._books[who, False]).used.add(usage)

    def release(self, index: int) -> None:
        """Give a reservation back: the attempt was turned away, and nothing is paid for it."""
        self._free(index)

    def lose(self, index: int) -> None:
        """Charge a reservation for good: the attempt may have been paid for, and no reply will come."""
        if index in self._reserved:
            worst, book = self._reserved[index]
            self._free(index)
            book.lost.add(worst)

    def blocked_by(self, worst: Usage, who: str = "teacher", batch: bool = False) -> str:
        """Which limit forbids another attempt of this worst case: ``cost``, ``tokens`` or none (empty)."""
        book, books, limits = self._books[who, batch], self._books.values(), self._limits
        reserved = sum(other.reserved.total for other in books)
        if limits.max_tokens is not None and self.tokens + reserved + worst.total > limits.max_tokens:
            return "tokens"
        if limits.max_cost is not None:
            ahead = book.price(_Tokens(worst.prompt_tokens, worst.completion_tokens))
            ahead += sum(other.price(other.reserved) for other in books)
            # A price that is not known cannot be kept within a budget.
            if book.prices is None or self.cost is None or self.cost + ahead > limits.max_cost:
                return "cost"
        return ""

    def of(self, who: str) -> Spent:
        """What one teacher has used."""
        return _spent([self._books[who, False], self._books[who, True]])

    @property
    def prompt_tokens(self) -> int:
        """Used by all teachers, as far as is known."""
        return self._all.prompt_tokens

    @property
    def completion_tokens(self) -> int:
        """Used by all teachers, as far as is known."""
        return self._all.completion_tokens

    @property
    def lost_tokens(self) -> int:
        """Reserved for attempts whose reply was lost."""
        return self._all.lost_tokens

    @property
    def tokens(self) -> int:
        """Tokens used, and those lost."""
        return self._all.tokens

    @property
    def cost(self) -> float | None:
        """Money spent, and what was lost at its worst; None where a teacher with unknown prices was used."""
        return self._all.cost

    @property
    def _all(self) -> Spent:
        return _spent(list(self._books.values()))

    def _free(self, index: int) -> _Book | None:
        """Take a reservation away, if there is one. Returns its book."""
        if index not in self._reserved:
            return None
        worst, book = self._reserved.pop(index)
        book.reserved.add(worst, -1)
        return book


def _spent(books: Sequence[_Book]) -> Spent:
    unknown = any(book.prices is None and not book.is_empty for book in books)
    return Spent(
        prompt_tokens=sum(book.used.prompt for book in books),
        completion_tokens=sum(book.used.completion for book in books),
        lost_tokens=sum(book.lost.total for book in books),
        cost=None if unknown else sum(book.price(book.used) + book.price(book.lost) for book in books),
    )
