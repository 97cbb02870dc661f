"""Keys are found before they leave, and ordinary text is not taken for one."""

import pytest

from seedtune.publish.leaks import keys_in


@pytest.mark.parametrize(
    "text",
    [
        "sk-proj-" + "a1B2" * 8,
        "hf_" + "aB3" * 12,
        "AKIA" + "ABCD" * 4,
        "ghp_" + "a1B2" * 9,
        "AIza" + "a1B2-" * 7,
        "xoxb-123456789012-abc",
        "eyJ" + "a" * 20 + ".eyJ" + "b" * 20 + "." + "c" * 30,
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----",
    ],
)
def test_a_key_is_found_with_its_line_in_the_middle_of_text(text: str) -> None:
    found = list(keys_in(iter(["harmless", f'{{"output": "export KEY={text}"}}', "harmless"])))
    assert [number for number, _ in found] == [2]
    assert text not in found[0][1]


def test_the_value_of_a_variable_that_holds_a_secret_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_GATEWAY_KEY", "correct-horse-battery")
    monkeypatch.setenv("SHORT_KEY", "bgp")
    lines = iter(["bgp", "the correct-horse-battery of it"])
    assert list(keys_in(lines)) == [(2, "the value of MY_GATEWAY_KEY")]


@pytest.mark.parametrize(
    "text",
    [
        "risk-based-routing-of-prefixes-in-a-network",
        "task-" + "a" * 30,
        "hf_hub_download",
        "BEGIN PUBLIC KEY",
        "a" * 64,
    ],
)
def test_ordinary_text_is_no_key(text: str) -> None:
    assert list(keys_in(iter([text]))) == []
