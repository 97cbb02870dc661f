"""Programs of the BGP domain: run under the names they use, and tried on data that have what they look for."""

from pathlib import Path

import pytest

import mrt_writer as mrt
from conftest import ROOT
from seedtune.domains import load_domain
from seedtune.domains.bgp.mrt import read_mrt
from seedtune.domains.bgp.programs import misuse, run_program, trials
from seedtune.domains.bgp.trials.wanted import read_wanted
from seedtune.domains.programs import programs_of
from seedtune.domains.running import Data, within
from seedtune.sandbox import Limits

SINGLE = """
import pybgpstream
stream = pybgpstream.BGPStream(data_interface="singlefile")
stream.set_data_interface_option("singlefile", "{option}", {name})
for elem in stream:
    print(elem.type, elem.time, elem.peer_asn, elem.fields)
"""
BROKER = """
import pybgpstream
stream = pybgpstream.BGPStream(
    from_time="2016-11-01 06:00:00", until_time="2016-11-01 06:10:00",
    collectors=["rrc06"], record_type="{kind}", filter="prefix more 10.1.0.0/16",
)
for elem in stream:
    print(elem.collector, elem.type, elem.time, elem.fields["prefix"])
"""
LISTED = """
import sys
import pybgpstream
stream = pybgpstream.BGPStream(data_interface="csvfile", collectors=["rrc00"])
stream.set_data_interface_option("csvfile", "csv-file", "index.csv")
print(sum(elem.collector == "rrc00" for elem in stream))
"""
LIVE = """
import time
import pybgpstream
stream = pybgpstream.BGPStream(project="ris-live", filter="elemtype withdrawals")
stream.set_live_mode()
print("begun", int(time.time()))
for elem in stream:
    print(elem.type, int(elem.time - time.time()))
"""
CLOCK = "import time\nimport pybgpstream\nprint(time.time())\n"


def outputs(source: str, folder: Path) -> list[str]:
    results = [run_program(source, data, within(20)) for data in trials(source, folder)]
    assert all(result.ok for result in results), results[0].stderr
    return [result.stdout for result in results]


@pytest.mark.parametrize(
    "source",
    [
        SINGLE.format(option="upd-file", name='"updates.mrt"'),
        SINGLE.format(option="upd-file", name='"day/updates.20240301.0000.gz"'),
        SINGLE.format(option="rib-file", name='"dump.mrt"'),
        "import sys\n" + SINGLE.format(option="rib-file", name="sys.argv[1]"),
        'FILE = "mine.mrt"\n' + SINGLE.format(option="upd-file", name="FILE"),
        BROKER.format(kind="updates"),
        BROKER.format(kind="ribs"),
        LISTED,
        LIVE,
    ],
)
def test_a_program_finds_its_files_its_times_and_its_prefixes_and_no_two_sets_are_alike(
    source: str, tmp_path: Path
) -> None:
    first, second = outputs(source, tmp_path)
    assert all(output.strip() for output in (first, second))
    assert first != second


def test_who_only_looks_at_the_clock_sees_the_same(tmp_path: Path) -> None:
    first, second = outputs(CLOCK, tmp_path)
    assert first == second


def test_what_a_program_names_happens_in_both_sets(tmp_path: Path) -> None:
    source = SINGLE.format(option="upd-file", name='"u.mrt"') + 'WATCH = {"192.0.2.64/26": 64777, "64777:666": 0}\n'
    for output in outputs(source, tmp_path):
        assert "192.0.2.64/26" in output
        assert " 64777" in output
        assert "64777:666" in output


def test_the_sets_follow_from_the_programs_text(tmp_path: Path) -> None:
    one, other = (trials(LISTED, tmp_path / name) for name in ("one", "other"))
    assert [data.digest for data in one] == [data.digest for data in other]


def test_trial_data_are_read_whole_by_the_typed_reader(tmp_path: Path) -> None:
    source = SINGLE.format(option="upd-file", name='"u.mrt"') + SINGLE.format(option="rib-file", name='"rib.mrt"')
    for data in trials(source, tmp_path):
        for path in data.files.values():
            assert sum(1 for _ in read_mrt(path)) > 5


@pytest.mark.parametrize("name", ["../../out.mrt", "/tmp/out.mrt", "a\\0b", "x" * 300, ".", "u.mrt/inner.mrt", ""])
def test_no_name_of_a_program_leads_out_of_the_folder_or_cannot_be_one(name: str, tmp_path: Path) -> None:
    first, second = SINGLE.format(option="upd-file", name='"u.mrt"'), SINGLE.format(option="rib-file", name=f'"{name}"')
    folder = tmp_path / "deep" / "deeper"
    for data in trials(first + second, folder):
        assert set(data.files) == {"u.mrt"}
        assert run_program(first, data, Limits()).ok
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"u.mrt"}


@pytest.mark.parametrize(
    "source",
    [
        "total = 0",
        "stream.add_filter('prefix', '10.0.0.0/8')",
        "for elem in stream:\n    print(elem.time)",
        "def origins(path):\n    return path.split()[-1]",
    ],
)
def test_a_fragment_is_not_tried(source: str, tmp_path: Path) -> None:
    assert trials(source, tmp_path) == ()


@pytest.mark.parametrize(
    "source",
    [
        "print('MOAS: 3')",
        "import mrtparse\nprint(mrtparse.Reader('updates.mrt'))",
        "p = __import__('pybgpstream')\np.No()",
    ],
)
def test_a_whole_program_is_tried_whatever_it_imports(source: str, tmp_path: Path) -> None:
    first, second = trials(source, tmp_path)
    assert set(first.files) >= {"updates.mrt"}
    assert first.digest != second.digest


@pytest.mark.parametrize(("name", "opened"), [("u.mrt", "open"), ("u.mrt.gz", "gzip.open"), ("u.mrt.bz2", "bz2.open")])
def test_a_program_that_reads_the_bytes_itself_finds_them_packed_as_the_name_says(
    name: str, opened: str, tmp_path: Path
) -> None:
    source = f"""
import bz2, gzip, struct
total = 0
with {opened}("{name}", "rb") as file:
    while header := file.read(12):
        total += 1
        file.read(struct.unpack(">IHHI", header)[3])
print(total)
"""
    records = [sum(1 for _ in read_mrt(data.files[name])) for data in trials(source, tmp_path)]
    assert outputs(source, tmp_path) == [f"{count}\n" for count in records]


def test_files_below_the_archive_answer_the_broker(tmp_path: Path) -> None:
    path = mrt.write_mrt(tmp_path / "any.mrt", [mrt.withdrawal(1_477_980_000, "10.1.2.0/24")])
    data = Data({"bgp-archive/ris/rrc06/updates.20161101.0600.gz": path})
    assert run_program(BROKER.format(kind="updates"), data, Limits()).stdout == "rrc06 W 1477980000.0 10.1.2.0/24\n"


@pytest.mark.parametrize(
    ("code", "is_misuse"),
    [
        ("pybgpstream.BGPReader()", True),
        ("pybgpstream.BGPStream(start=1)", True),
        ("pybgpstream.BGPStream().bogus", True),
        ("pybgpstream.BGPStream(data_interface='csv')", True),
        ("from pybgpstream import BGPReader", True),
        ("{}['med']", False),
        ("int('x')", False),
        ("None.origin", False),
        ("raise SystemExit('TypeError: BGPStream')", False),
    ],
)
def test_what_the_library_turns_down_is_misuse(code: str, is_misuse: bool) -> None:
    result = run_program(f"import pybgpstream\n{code}\n", Data(), Limits())
    assert result.outcome == "failed"
    assert bool(misuse(result.stderr)) == is_misuse


def test_the_seeds_hold_as_many_programs_and_fragments_as_the_guide_says() -> None:
    packs = load_domain("bgp").packs
    seeds = [*packs["pybgpstream"].seeds, *packs["realtime"].seeds]
    wanted = [read_wanted(source) for seed in seeds for source in programs_of(seed.output)]
    programs = len(wanted) - wanted.count(None)
    said = f"Of the {len(wanted)} blocks among the answers of the seeds {programs} are programs"
    guide = (ROOT / "docs" / "generate.md").read_text(encoding="utf-8")
    assert said in " ".join(guide.split())


def test_programs_of_the_seeds_stand_the_trial(tmp_path: Path) -> None:
    """A sample of them: a right program must not be rejected because the data lack what it looks for."""
    packs = load_domain("bgp").packs
    seeds = [*packs["pybgpstream"].seeds[::12], *packs["realtime"].seeds[::8]]
    found = [source for seed in seeds for source in programs_of(seed.output) if "print(" in source]
    tried = [source for source in found if trials(source, tmp_path)]
    assert len(tried) >= 8
    for source in tried:
        first, second = outputs(source, tmp_path)
        assert first != second, source
