"""How measurements become an outcome: only what was measured outside the program decides for it."""

import signal
from dataclasses import replace

import pytest

from seedtune.sandbox import Limits
from seedtune.sandbox.verdict import Observed, judge

LIMITS = Limits(wall_s=10.0, cpu_s=5.0, memory_mb=100)
PLAIN = Observed(
    stopped=None,
    status=0,
    stdout=b"",
    stderr=b"",
    truncated=False,
    wall_s=1.0,
    cpu_s=1.0,
    largest_mb=20.0,
    together_mb=30.0,
    full=False,
)


def outcome(exit_code: int = 0, killed_by: int = 0, **changes: object) -> str:
    return judge(replace(PLAIN, status=exit_code << 8 | killed_by, **changes), LIMITS, "landlock").outcome


def test_an_end_without_a_fault_is_finished() -> None:
    result = judge(PLAIN, LIMITS, "landlock")
    assert (result.outcome, result.ok, result.exit_code, result.signal, result.peak_mb) == (
        "finished",
        True,
        0,
        None,
        30.0,
    )


@pytest.mark.parametrize("stopped", ["timeout", "cpu", "memory", "output", "file-size"])
def test_a_stop_is_named_whatever_the_program_did(stopped: str) -> None:
    assert outcome(stopped=stopped) == outcome(exit_code=1, stopped=stopped, stderr=b"MemoryError") == stopped


def test_a_limit_that_was_passed_just_before_the_end_was_passed() -> None:
    assert outcome(cpu_s=5.1) == "cpu"
    assert outcome(wall_s=10.1) == "timeout"


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ("MemoryError", "memory"),
        ("MemoryError: block", "memory"),
        ("OSError: [Errno 12] Cannot allocate memory", "memory"),
        ("OSError: [Errno 27] File too large", "file-size"),
        ("OSError: [Errno 28] No space left on device: 'x'", "file-size"),
        ("BlockingIOError: [Errno 11] Resource temporarily unavailable", "processes"),
        ("RuntimeError: can't start new thread", "processes"),
        ("ValueError: MemoryError", "failed"),
        ("NotMemoryErrors", "failed"),
        ("", "failed"),
    ],
)
def test_last_words_explain_a_failure(last: str, expected: str) -> None:
    assert outcome(exit_code=1, stderr=f"Traceback\n{last}\n\n".encode()) == expected
    assert outcome(stderr=last.encode()) == "finished"


def test_words_before_the_last_explain_nothing_but_too_many_processes() -> None:
    assert outcome(exit_code=1, stderr=b"MemoryError\nValueError: x") == "failed"
    assert outcome(exit_code=1, stderr=b"RuntimeError: can't start new thread\nValueError: x") == "processes"


@pytest.mark.parametrize(
    "said",
    [
        "python: error while loading shared libraries: libc.so.6: failed to map segment from shared object",
        "python: error while loading shared libraries: libm.so.6: cannot allocate memory in static TLS block",
        "Fatal Python error: init_importlib_external: external importer setup failed\nno Python frame",
    ],
)
def test_a_python_that_could_not_start_was_short_of_memory(said: str) -> None:
    assert outcome(exit_code=127, stderr=said.encode()) == "memory"
    assert outcome(exit_code=127, stderr=b"bash: python: command not found") == "failed"


def test_a_full_work_folder_explains_a_failure() -> None:
    assert outcome(exit_code=1, full=True) == "file-size"
    assert outcome(full=True) == "finished"


def test_the_kernels_signals_are_believed_with_the_use_that_explains_them() -> None:
    assert outcome(killed_by=signal.SIGXCPU, cpu_s=4.9) == outcome(killed_by=signal.SIGKILL, cpu_s=4.9) == "cpu"
    assert outcome(killed_by=signal.SIGXCPU) == outcome(killed_by=signal.SIGKILL) == "signal"
    assert outcome(killed_by=signal.SIGKILL, largest_mb=95.0) == "memory"
    assert outcome(killed_by=signal.SIGKILL, together_mb=95.0) == "memory"
    assert outcome(killed_by=signal.SIGSEGV, largest_mb=95.0) == "signal"
    assert outcome(killed_by=signal.SIGXFSZ) == "file-size"


@pytest.mark.parametrize(("number", "name"), [(9, "SIGKILL"), (11, "SIGSEGV"), (40, "signal 40")])
def test_a_signal_is_named(number: int, name: str) -> None:
    result = judge(replace(PLAIN, status=number), LIMITS, "bubblewrap")
    assert (result.signal, result.exit_code) == (name, None)


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert judge(replace(PLAIN, stdout=b"a\xffb"), LIMITS, "unsafe").stdout == "a\ufffdb"
