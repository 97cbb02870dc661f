"""The names of the public collectors."""

import pytest

from seedtune.domains.bgp.collectors import COLLECTORS, LIVE_PROJECTS, PROJECTS, nearest_collector


def test_every_collector_belongs_to_a_project() -> None:
    assert set(COLLECTORS.values()) == set(PROJECTS)
    assert not set(PROJECTS) & set(LIVE_PROJECTS)


def test_both_projects_are_listed_with_their_names() -> None:
    ris = sorted(name for name, project in COLLECTORS.items() if project == "ris")
    assert (ris[0], ris[-1], len(ris)) == ("rrc00", "rrc26", 26)
    assert {COLLECTORS[name] for name in ("route-views2", "route-views.sg", "decix.jhb", "pacwave.lax")} == {
        "routeviews"
    }


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("rrc00", "rrc00"),
        ("RRC01", "rrc01"),
        ("rrc1", "rrc01"),
        ("rrc99", None),
        ("routeviews2", "route-views2"),
        ("route_views.sg", "route-views.sg"),
        ("route-views.amsix.routeviews.org", "route-views.amsix"),
        ("linx", "route-views.linx"),
        ("route-views.singapore", "route-views.sg"),
        ("route-views.fortalesa", "route-views.fortaleza"),
        ("route-views.oregon", "route-views2"),
        ("rrc²", None),
        ("newix.lhr", None),
        ("", None),
    ],
)
def test_the_collector_that_was_meant(wrong: str, meant: str | None) -> None:
    assert nearest_collector(wrong) == meant
