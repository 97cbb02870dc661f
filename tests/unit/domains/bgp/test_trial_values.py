"""Where instruction and program are plain, what is printed is held against a reference analysis."""

from pathlib import Path

import pytest

from seedtune.domains.bgp.analyses import events_of, withdrawals
from seedtune.domains.bgp.mrt import read_mrt
from seedtune.domains.bgp.programs import run_program, trials, wrong_value
from seedtune.domains.running import within
from seedtune.sandbox import best_level

PROGRAM = """
import pybgpstream

stream = pybgpstream.BGPStream(data_interface="singlefile")
stream.set_data_interface_option("singlefile", "upd-file", "updates.mrt")
{set_up}
found = {start}
for elem in stream:
    {body}
print({shown})
"""
WITHDRAWALS = PROGRAM.format(set_up="", start="0", body="found += elem.type == 'W'", shown="'withdrawals:', found")
ANNOUNCED = PROGRAM.format(set_up="", start="0", body="found += elem.type == 'A'", shown="found")
PREFIXES = PROGRAM.format(
    set_up="", start="set()", body="found |= {elem.fields['prefix']} if elem.type == 'A' else set()", shown="len(found)"
)
FILTERED = WITHDRAWALS.replace("\nfound = 0", "\nstream.add_filter('ipversion', '4')\nfound = 0")


def judged(prompt: str, source: str, folder: Path) -> str:
    if best_level()[0] is None:
        pytest.skip("nothing here can shut a program in")
    data = trials(source, folder)
    runs = [run_program(source, each, within(10)) for each in data]
    assert all(run.ok for run in runs), runs[0].stderr
    return wrong_value(prompt, source, data, [run.stdout for run in runs])


@pytest.mark.parametrize(
    ("prompt", "source"),
    [
        ("Count the withdrawals in the file updates.mrt.", WITHDRAWALS),
        ("How many announcements are in updates.mrt? Write a program.", ANNOUNCED),
        ("Print the number of distinct prefixes in updates.mrt.", PREFIXES),
        (
            "Count the withdrawals in updates.mrt.",
            WITHDRAWALS.replace("'withdrawals:', found", "f'Withdrawals:{found}'"),
        ),
        ("Count the withdrawals in updates.mrt.", WITHDRAWALS.replace("'withdrawals:', found", "'{\"n\":%d}' % found")),
        (
            "Count the withdrawals in updates.mrt.",
            WITHDRAWALS.replace("'withdrawals:', found", "f'withdrawals={found}'"),
        ),
    ],
)
def test_a_right_total_passes(prompt: str, source: str, tmp_path: Path) -> None:
    assert judged(prompt, source, tmp_path) == ""


@pytest.mark.parametrize(
    ("prompt", "source"),
    [
        ("Count the withdrawals in the file updates.mrt.", ANNOUNCED),
        ("Write a program that prints the number of announcements in updates.mrt.", WITHDRAWALS),
        ("Print the number of unique prefixes in updates.mrt.", ANNOUNCED),
        ("Count the withdrawals in the file.\n\nupdates.mrt", ANNOUNCED),
        (
            "With PyBGPStream, count the withdrawals in updates.mrt, and print the number of withdrawals as JSON.",
            ANNOUNCED,
        ),
        (
            "Write a short Python script that uses PyBGPStream's singlefile interface to count the unique prefixes in "
            "the local MRT file `updates.mrt`, then print the result on one line.",
            ANNOUNCED,
        ),
    ],
)
def test_a_total_of_something_else_does_not(prompt: str, source: str, tmp_path: Path) -> None:
    assert judged(prompt, source, tmp_path).startswith("the reference analysis gives ")


def test_what_was_to_be_printed_is_named(tmp_path: Path) -> None:
    data = trials(WITHDRAWALS, tmp_path)
    right = sum(1 for _ in withdrawals(events_of(read_mrt(data[0].files["updates.mrt"]))))
    said = wrong_value("Count the withdrawals in updates.mrt.", WITHDRAWALS, data, ["none", "none"])
    assert said == f"the reference analysis gives {right}"


@pytest.mark.parametrize(
    ("prompt", "source"),
    [
        ("Count the withdrawals of each peer in updates.mrt.", WITHDRAWALS),
        ("Count the withdrawals of 203.0.113.0/24.", WITHDRAWALS),
        ("Count the withdrawals before 10:00.", WITHDRAWALS),
        ("Count the announcements and count the withdrawals.", WITHDRAWALS),
        ("Describe the withdrawals in updates.mrt.", WITHDRAWALS),
        ("Count the withdrawals in updates.mrt.", FILTERED),
        ("Count the withdrawals from peer 64497 in updates.mrt.", WITHDRAWALS),
        ("Write a script to count the announcements tagged NO_EXPORT in updates.mrt.", WITHDRAWALS),
        ("Count the unique prefixes originated from AS_SETs in updates.mrt.", WITHDRAWALS),
        ("Count the BGP announcements in updates.mrt of documentation prefixes.", WITHDRAWALS),
        ("Count the announcements and stop at a state change in updates.mrt.", WITHDRAWALS),
        ("Count the withdrawals in updates.mrt.\n\nOnly those of peer AS 64497.", WITHDRAWALS),
        ("Count the withdrawals in other.mrt.", WITHDRAWALS),
        ("Count the announcements in rib.mrt.", WITHDRAWALS.replace("upd-file", "rib-file").replace("updates", "rib")),
    ],
)
def test_what_is_not_plain_is_not_judged(prompt: str, source: str, tmp_path: Path) -> None:
    data = trials(source, tmp_path)
    assert wrong_value(prompt, source, data, ["nothing"] * len(data)) == ""


@pytest.mark.parametrize(
    "shape",
    [
        "64500:{}",
        "12:30:{}",
        "12:{}",
        "2001:db8::a:{}",
        "192.0.2.{}",
        "192.0.2.1:{}",
        "[2001:db8::1]:{}",
        "10.0.0.0/{}",
        "T00:{}",
    ],
)
def test_a_part_of_a_time_an_address_or_a_community_is_no_total(shape: str, tmp_path: Path) -> None:
    data = trials(WITHDRAWALS, tmp_path)
    totals = [sum(1 for _ in withdrawals(events_of(read_mrt(each.files["updates.mrt"])))) for each in data]
    printed = [shape.format(total) for total in totals]
    assert wrong_value("Count the withdrawals in updates.mrt.", WITHDRAWALS, data, printed)
