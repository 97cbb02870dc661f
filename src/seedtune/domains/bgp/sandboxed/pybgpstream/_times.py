"""Date strings of ``from_time`` and ``until_time``, and the spans of ``add_recent_interval_filter``.

The real module leaves dates to dateutil, which guesses. Here are the forms that leave nothing to guess; like there, a
time zone in the text is ignored (the clock reading is taken as UTC) and a text of digits alone is seconds since the
epoch. What dateutil would complete from today's date (``20:16``, ``July 2010``) or decide by habit (``7/8/2010``) is
refused.
"""

import re
from calendar import timegm
from datetime import datetime

RIGHT_FORM = "write 'YYYY-MM-DD HH:MM:SS' (UTC) or seconds since the epoch"

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_MONTH_NUMBERS = {name: number for number, month in enumerate(_MONTHS, 1) for name in (month, month[:3])} | {"sept": 9}

_CLOCK = r"""
    (?: (?: [T ] | ,\s* | \s+at\s+ ) \s*
        (?P<hour>\d{1,2}) : (?P<minute>\d\d) (?: : (?P<second>\d\d) (?:[.,]\d+)? )?
        (?: \s* (?P<half>[ap])\.?m\.? )?
        (?: \s* (?: [+-]\d\d (?: :?\d\d )? | [a-z]{1,5} (?: [+-]\d{1,2} (?: :?\d\d )? )? ) )?
    )?
"""
_WEEKDAY = r"(?: (?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)? ,? \s+ )?"
_MONTH = r"(?P<name>[a-z]+)\.?"
_FORMS = [
    re.compile(form, re.ASCII | re.IGNORECASE | re.VERBOSE)
    for form in (
        r"(?P<year>\d{4}) (?P<separator>[-/.]) (?P<month>\d{1,2}) (?P=separator) (?P<day>\d{1,2})" + _CLOCK,
        _WEEKDAY + r"(?P<day>\d{1,2}) (?:st|nd|rd|th)? [-\s]\s* " + _MONTH + r"[-,\s]\s* (?P<year>\d{4})" + _CLOCK,
        _WEEKDAY + _MONTH + r"\s+ (?P<day>\d{1,2}) (?:st|nd|rd|th)? ,?\s+ (?P<year>\d{4})" + _CLOCK,
        _WEEKDAY
        + _MONTH
        + r"\s+ (?P<day>\d{1,2}) \s+ (?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d) \s+ (?P<year>\d{4})",
        r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d) [T ] (?P<hour>\d\d):?(?P<minute>\d\d)(?: :?(?P<second>\d\d))? Z?",
    )
]
_SPAN = re.compile(r"\s*(\d+)\s*([smhd])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_time(text: str) -> int:
    """Seconds since the epoch.

    Raises:
        ValueError: The text is no date, or in none of the forms understood here.
    """
    if text.isascii() and text.isdigit():
        return int(text)
    for form in _FORMS:
        match = form.fullmatch(text.strip())
        if match:
            return _seconds(text, match.groupdict())
    raise ValueError(f"Unknown string format: {text}: {RIGHT_FORM}")


def _seconds(text: str, parts: dict[str, str | None]) -> int:
    month = parts.get("month") or str(_MONTH_NUMBERS.get((parts.get("name") or "").lower(), 0))
    year, month, day = int(parts["year"] or 0), int(month), int(parts["day"] or 0)
    hour = int(parts.get("hour") or 0)
    half = (parts.get("half") or "").lower()
    if half:
        if not 1 <= hour <= 12:
            raise ValueError(f"No such hour in {text}: {RIGHT_FORM}")
        hour = hour % 12 + (12 if half == "p" else 0)
    try:
        moment = datetime(year, month, day, hour, int(parts.get("minute") or 0), int(parts.get("second") or 0))
    except ValueError as error:
        raise ValueError(f"{error} in {text}: {RIGHT_FORM}") from None
    return timegm(moment.timetuple())


def parse_span(text: str) -> int:
    """Seconds of a span such as ``5 m``: a number, then ``s``, ``m``, ``h`` or ``d``; what follows is ignored.

    Raises:
        ValueError: The text is no span.
    """
    match = _SPAN.match(text)
    if match is None:
        raise ValueError(f"Invalid interval: {text}: write a number and a unit of s, m, h or d, for example '5 m'")
    return int(match[1]) * _UNITS[match[2]]
