"""The config: defaults, messages, overrides, and what survives writing and reading."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from conftest import ROOT
from seedtune.config import Config, LocalTeacherConfig, OpenAITeacherConfig, load_config
from seedtune.errors import ConfigError
from seedtune.runs import dump_config

CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


def complaint(path: Path | None, text: str = "", *overrides: str) -> str:
    """What ``load_config`` says about a text that it must refuse."""
    if path is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return str(caught.value)


def loaded(path: Path, text: str, *overrides: str) -> Config:
    path.write_text(text, encoding="utf-8")
    return load_config(path, overrides)


# Defaults


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lora.r", 64),
        ("lora.alpha", 16),
        ("lora.dropout", 0.1),
        ("learning_rate", 1e-4),
        ("max_grad_norm", 0.3),
        ("warmup", 0.05),
        ("batch_size", 4),
    ],
)
def test_training_defaults_are_those_asked_for(field: str, value: float) -> None:
    node: Any = load_config().train
    for part in field.split("."):
        node = getattr(node, part)
    assert node == value


def test_a_run_without_a_name_takes_the_files_stem(path: Path) -> None:
    assert loaded(path, "seed: 1\n").name == "mine"


def test_a_name_in_the_file_wins_over_the_stem(path: Path) -> None:
    assert loaded(path, "name: other\n").name == "other"


def test_an_empty_file_gives_the_defaults(path: Path) -> None:
    assert loaded(path, "# nothing\n", "name=run") == load_config()


@pytest.mark.parametrize("stem", ["my run", "a+b"])
def test_a_stem_that_is_no_name_is_turned_into_one(tmp_path: Path, stem: str) -> None:
    assert loaded(tmp_path / f"{stem}.yaml", "").name.replace("-", "") == stem.replace(" ", "").replace("+", "")


@pytest.mark.parametrize("stem", ["_draft", "-x", "配置"])
def test_any_stem_gives_a_name(tmp_path: Path, stem: str) -> None:
    assert loaded(tmp_path / f"{stem}.yaml", "").name


def test_the_config_is_frozen() -> None:
    with pytest.raises(ValidationError):
        load_config().seed = 3


def test_run_dir_is_the_name_below_runs_dir() -> None:
    assert load_config(None, ["runs_dir=/somewhere", "name=one"]).run_dir == Path("/somewhere/one")


# Guards


@pytest.mark.parametrize(
    "key",
    ["seed", "generate.num_instructions", "generate.limits.max_requests", "generate.limits.max_hours", "train.lora.r"],
)
@pytest.mark.parametrize("switch", ["true", "false", "yes"])
def test_a_switch_is_no_number(key: str, switch: str) -> None:
    assert f"{key}: Input should be a valid" in complaint(None, "", f"{key}={switch}")


@pytest.mark.parametrize("alpha", [32, 32.0, 64, 1e9])
def test_a_large_alpha_is_refused_and_the_way_out_is_named(alpha: float) -> None:
    said = complaint(None, "", f"train.lora.alpha={alpha}")
    assert f"alpha is {alpha:g}" in said
    assert "train.lora.allow_large_alpha=true" in said


@pytest.mark.parametrize("alpha", [0.5, 16, 31.99])
def test_a_smaller_alpha_is_taken(alpha: float) -> None:
    assert load_config(None, [f"train.lora.alpha={alpha}"]).train.lora.alpha == alpha


def test_a_large_alpha_is_taken_when_it_is_allowed() -> None:
    config = load_config(None, ["train.lora.alpha=128", "train.lora.allow_large_alpha=true"])
    assert config.train.lora.alpha == 128


OPENAI = "generate:\n  teacher:\n    type: openai\n    model: m\n"
PRICES = "    prices: {input_per_million: 1, output_per_million: 2, as_of: '2026-11-01'}\n"


@pytest.mark.parametrize("teacher", ["generate:\n", OPENAI], ids=["local", "openai"])
def test_a_budget_without_prices_is_refused(path: Path, teacher: str) -> None:
    said = complaint(path, f"{teacher}  limits:\n    max_cost: 5\n")
    assert said.startswith(f"{path}:1: generate: limits.max_cost needs teacher.prices")


def test_a_budget_with_prices_is_taken(path: Path) -> None:
    assert loaded(path, f"{OPENAI}{PRICES}  limits:\n    max_cost: 5\n").generate.limits.max_cost == 5


def test_the_day_of_a_price_can_be_written_as_documented(path: Path) -> None:
    config = loaded(path, OPENAI + PRICES.replace("'", ""))
    assert isinstance(config.generate.teacher, OpenAITeacherConfig)
    assert config.generate.teacher.prices is not None
    assert config.generate.teacher.prices.as_of == "2026-11-01"


@pytest.mark.parametrize("day", ["''", "soon", "2026-11", "20261101", "'2026-13-01'", "2026-11-01 10:00:00", "7"])
def test_the_day_of_a_price_is_a_day(path: Path, day: str) -> None:
    assert "expected the day you read the price" in complaint(path, OPENAI + PRICES.replace("'2026-11-01'", day))


@pytest.mark.parametrize(
    "setting", ["train.learning_rate=.inf", "train.epochs=.inf", "train.max_grad_norm=.inf", "train.epochs=.nan"]
)
def test_numbers_are_finite(setting: str) -> None:
    complaint(None, "", setting)


def test_a_seed_that_training_cannot_use_is_refused_at_once() -> None:
    complaint(None, "", f"seed={2**32}")


def test_bounds_that_nothing_can_meet_are_refused() -> None:
    complaint(None, "", "generate.min_words=10", "generate.max_words=5")


def test_a_home_folder_is_expanded_in_runs_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_config(None, ["runs_dir=~/runs"]).run_dir == tmp_path / "runs" / "run"


@pytest.mark.parametrize("name", ["", ".hidden", "../up", "a/b", "a b", "-x", "a\n"])
def test_a_name_that_could_leave_the_runs_folder_is_refused(path: Path, name: str) -> None:
    said = complaint(path, yaml.safe_dump({"name": name}))
    assert said.startswith(f"{path}:1: name: ")


# Unknown keys


@pytest.mark.parametrize(
    ("text", "line", "key", "nearest"),
    [
        ("seed: 1\ndomian: bgp\n", 2, "domian", "domain"),
        ("train:\n  epochs: 1\n  learning_rte: 1\n", 3, "train.learning_rte", "learning_rate"),
        ("train:\n\n  lora:\n    alhpa: 1\n", 4, "train.lora.alhpa", "alpha"),
        ("generate:\n  limits: {max_tokes: 1}\n", 2, "generate.limits.max_tokes", "max_tokens"),
        ("generate:\n  teacher:\n    type: local\n    bach_size: 1\n", 4, "generate.teacher.bach_size", "batch_size"),
        (f"{OPENAI}    concurency: 1\n", 5, "generate.teacher.concurency", "concurrency"),
        (
            f"{OPENAI}    sampling:\n      temprature: 1\n",
            6,
            "generate.teacher.sampling.temprature",
            "temperature",
        ),
        (
            OPENAI + PRICES.replace("input_per", "inptu_per"),
            5,
            "generate.teacher.prices.inptu_per_million",
            "input_per_million",
        ),
    ],
)
def test_an_unknown_key_is_named_with_line_and_nearest_key(
    path: Path, text: str, line: int, key: str, nearest: str
) -> None:
    assert f"{path}:{line}: unknown key '{key}'; did you mean '{nearest}'?" in complaint(path, text).splitlines()


def test_a_key_of_the_other_teacher_is_unknown(path: Path) -> None:
    assert f"{path}:5: unknown key 'generate.teacher.batch_size'" in complaint(path, f"{OPENAI}    batch_size: 4\n")


def test_an_unknown_key_like_no_other_lists_what_is_known(path: Path) -> None:
    said = complaint(path, "train:\n  lora:\n    zzz: 1\n")
    assert "there are: r, alpha, rslora, dora, dropout, target_modules, allow_large_alpha" in said


def test_every_finding_is_named_at_once(path: Path) -> None:
    said = complaint(path, "sede: 1\ntrain:\n  epochs: 0\n  lora: {rr: 1}\n")
    assert [line.split(": ")[0] for line in sorted(said.splitlines())] == [f"{path}:{n}" for n in (1, 3, 4)]


def test_unknown_keys_of_trainer_args_pass_through(path: Path) -> None:
    assert loaded(path, "train:\n  trainer_args: {neftune_noise_alpha: 5}\n").train.trainer_args == {
        "neftune_noise_alpha": 5
    }


def test_an_unknown_key_in_an_override_names_the_option() -> None:
    assert (
        complaint(None, "", "train.lora.rr=3") == "--set train.lora.rr: unknown key 'train.lora.rr'; did you mean 'r'?"
    )


def test_an_unknown_section_in_an_override_names_the_option(path: Path) -> None:
    assert complaint(path, "seed: 1\n", "trian.epochs=1").startswith("--set trian.epochs")


def test_a_wrong_value_inside_an_overridden_section_names_the_option(path: Path) -> None:
    said = complaint(path, "train:\n  lora:\n    r: 8\n", "train.lora={r: 0}")
    assert said.startswith("--set train.lora")


# Values


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("train:\n  epochs: many\n", 2, "train.epochs"),
        ("train:\n  epochs: 0\n", 2, "train.epochs"),
        ("train:\n  lora:\n    dropout: 1\n", 3, "train.lora.dropout"),
        ("seed: -1\n", 1, "seed"),
        ("seed: 1.5\n", 1, "seed"),
        ("generate:\n  packs: knowledge\n", 2, "generate.packs"),
        ("evaluate:\n  methods: [loglikelihood, guess]\n", 2, "evaluate.methods.1"),
        ("train: 3\n", 1, "train"),
        ("name: x\ngenerate:\n  teacher: {type: opnai}\n", 3, "generate.teacher"),
        ("domain: ' '\n", 1, "domain"),
        ("generate:\n  teacher: {type: openai}\n", 2, "generate.teacher.model"),
    ],
)
def test_a_wrong_value_is_named_with_line_and_key(path: Path, text: str, line: int, key: str) -> None:
    assert complaint(path, text).startswith(f"{path}:{line}: {key}: ")


def test_a_teacher_without_a_type_is_told_the_types(path: Path) -> None:
    said = complaint(path, "generate:\n  teacher:\n    model: m\n")
    assert "openai" in said
    assert "local" in said


def test_a_section_without_content_is_the_default(path: Path) -> None:
    assert loaded(path, "train:\n#  epochs: 1\n").train == load_config().train


@pytest.mark.parametrize("text", ["- a\n", "just words\n", "3\n"])
def test_a_file_without_keys_is_refused(path: Path, text: str) -> None:
    assert complaint(path, text).startswith(f"{path}:1: expected keys and values")


@pytest.mark.parametrize(
    ("text", "line"), [("seed: [1\nname: x\n", 2), ("seed: 1\n  name: x\n", 2), ("a: 'x\n\n", 3), ("\tseed: 1\n", 1)]
)
def test_broken_yaml_is_named_with_its_line(path: Path, text: str, line: int) -> None:
    assert complaint(path, text).startswith(f"{path}:{line}: not valid YAML")


@pytest.mark.parametrize(
    "text",
    [
        'name: "\x01"\n',
        "name: 2020-13-45\n",
        "model: &a\n  name: *a\n",
    ],
    ids=["control character", "impossible date", "recursive"],
)
def test_yaml_that_cannot_be_built_is_a_config_error(path: Path, text: str) -> None:
    assert str(path) in complaint(path, text)


def test_a_key_that_stands_twice_is_refused(path: Path) -> None:
    assert complaint(path, "seed: 2\nseed: 3\n").startswith(f"{path}:2: ")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: the config cannot be read: No such file"):
        load_config(tmp_path / "none.yaml")


def test_a_folder_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the config cannot be read: Is a directory"):
        load_config(tmp_path)


def test_a_file_that_is_not_utf8_is_named(path: Path) -> None:
    path.write_bytes(b"name: \xe9\n")
    with pytest.raises(ConfigError, match="it is not UTF-8"):
        load_config(path)


# Overrides


def test_an_override_wins_over_the_file(path: Path) -> None:
    assert loaded(path, "train:\n  lora:\n    r: 8\n    alpha: 4\n", "train.lora.r=32").train.lora.r == 32


def test_an_override_leaves_its_neighbours(path: Path) -> None:
    assert loaded(path, "train:\n  lora:\n    r: 8\n    alpha: 4\n", "train.lora.r=32").train.lora.alpha == 4


def test_the_last_of_two_overrides_wins() -> None:
    assert load_config(None, ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("evaluate.suites=[a, b]", ("a", "b")),
        ("evaluate.suites=null", None),
        ("evaluate.suites=", None),
    ],
)
def test_the_value_of_an_override_is_yaml(override: str, value: object) -> None:
    assert load_config(None, [override]).evaluate.suites == value


def test_an_override_may_hold_an_equals_sign() -> None:
    assert load_config(None, ["domain=/data/a=b"]).domain == "/data/a=b"


def test_overrides_can_change_the_kind_of_teacher() -> None:
    teacher = load_config(None, ["generate.teacher.type=openai", "generate.teacher.model=m"]).generate.teacher
    assert teacher == OpenAITeacherConfig(model="m")


@pytest.mark.parametrize("override", ["seed", "=1", "train..r=1", ".seed=1", ""])
def test_an_override_in_another_form_shows_the_right_one(override: str) -> None:
    assert "such as --set train.lora.r=32" in complaint(None, "", override)


def test_an_override_below_a_value_is_refused(path: Path) -> None:
    assert complaint(path, "seed: 1\n", "seed.x=1") == "--set seed.x=1: seed is a value, not a section"


def test_a_wrong_value_in_an_override_names_the_option(path: Path) -> None:
    assert complaint(path, "train:\n  epochs: 2\n", "train.epochs=0").startswith("--set train.epochs: train.epochs: ")


@pytest.mark.parametrize(
    "override",
    [
        "seed=[1",
        "name=2020-13-45",
    ],
)
def test_an_override_that_is_no_yaml_is_refused(override: str) -> None:
    assert complaint(None, "", override).startswith(f"--set {override}: ")


@pytest.mark.parametrize("name", ["7", "2026-11-22", "1e3", "no"])
def test_a_run_can_be_named_on_the_command_line_by_any_word(name: str) -> None:
    assert load_config(None, [f"name={name}"]).name == name


# Writing and reading


# Without the one character that PyYAML writes and reads as another.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x85"), min_size=1, max_size=30)
SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
JSON = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))
FINITE = st.floats(min_value=1e-12, max_value=1.0, exclude_max=True)


@st.composite
def configs(draw: st.DrawFn) -> Config:
    teacher = draw(
        st.builds(LocalTeacherConfig, model=TEXT, batch_size=st.integers(1, 64))
        | st.builds(OpenAITeacherConfig, model=TEXT, base_url=st.none() | TEXT, timeout_s=FINITE)
    )
    return Config.model_validate(
        {
            "name": draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)),
            "domain": draw(TEXT.filter(str.strip)),
            "seed": draw(st.integers(0, 2**32 - 1)),
            "runs_dir": draw(TEXT.filter(lambda text: "\0" not in text)),
            "generate": {"packs": draw(st.none() | st.lists(TEXT, max_size=3)), "teacher": teacher.model_dump()},
            "train": {
                "learning_rate": draw(FINITE),
                "report_to": draw(st.lists(TEXT, max_size=2)),
                "lora": {"alpha": draw(st.floats(1e-6, 31)), "target_modules": draw(TEXT | st.lists(TEXT, max_size=2))},
                "trainer_args": draw(st.dictionaries(TEXT, JSON, max_size=3)),
            },
        }
    )


@given(config=configs())
@settings(max_examples=100, deadline=None, database=None)
def test_a_config_written_and_read_is_the_same(tmp_path_factory: pytest.TempPathFactory, config: Config) -> None:
    path = tmp_path_factory.getbasetemp() / "config.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    assert load_config(path) == config


def test_an_infinite_trainer_argument_survives_writing(tmp_path: Path) -> None:
    config = load_config(None, ["train.trainer_args={max_grad_norm: .inf}"])
    (tmp_path / "run.yaml").write_text(dump_config(config), encoding="utf-8")
    assert load_config(tmp_path / "run.yaml") == config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_parses_and_survives_writing(tmp_path: Path, path: Path) -> None:
    config = load_config(path)
    (tmp_path / "config.yaml").write_text(dump_config(config), encoding="utf-8")
    assert load_config(tmp_path / "config.yaml") == config


def test_there_are_shipped_configs() -> None:
    assert CONFIGS
