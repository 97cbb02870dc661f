"""What the processes of a run use, as /proc tells it from outside."""

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGES_PER_MB = (1 << 20) / os.sysconf("SC_PAGE_SIZE")


def usage(root: int, own: int) -> tuple[float, float]:
    """CPU seconds and resident megabytes of all processes below ``root``.

    Pages that processes share are counted in each. Where the kernel does not list a process's children, both are 0.

    Args:
        root: A process of seedtune's.
        own: How many generations from ``root`` on are seedtune's own: of these only the ended children count.
    """
    cpu = resident = 0.0
    for depth, process in _descendants(root):
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        ticks, ended_ticks, pages = map(int, fields[11:13]), map(int, fields[13:15]), int(fields[21])
        cpu += sum(ended_ticks) / _TICKS_PER_S
        if depth >= own:
            cpu += sum(ticks) / _TICKS_PER_S
            resident += pages / _PAGES_PER_MB
    return cpu, resident


def _descendants(root: int) -> Iterator[tuple[int, int]]:
    """Each process below ``root``, and itself, with its generation."""
    pending = [(0, root)]
    while pending:
        depth, process = pending.pop()
        yield depth, process
        try:
            for task in Path(f"/proc/{process}/task").iterdir():
                children = (task / "children").read_text()
                pending += [(depth + 1, int(child)) for child in children.split()]
        except OSError:  # it has ended
            continue


def tasks_of_this_user() -> int:
    """Processes and threads that count against this user's limit already."""
    user, count = os.geteuid(), 0
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.stat().st_uid == user:
                count += sum(1 for _ in (entry / "task").iterdir())
        except OSError:  # it has ended
            continue
    return count
