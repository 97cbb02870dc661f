"""What is handed to llama.cpp's converter is a whole model, and Ollama asks with the prompt that training saw."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
import yaml
from jinja2 import Environment
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from conftest import CHAT_TEMPLATE, seedtune
from run_on_disk import ROWS, generated, trained
from seedtune.domains import load_domain
from seedtune.errors import PublishError, RunError
from seedtune.publish.gguf import Chat, Frame, export_gguf
from seedtune.publish.merge import merge
from seedtune.runs import Run

CONVERTER = """
import argparse, json
from pathlib import Path
from transformers import AutoModelForCausalLM, AutoTokenizer

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("--outfile", type=Path)
parser.add_argument("--model-name")
given = parser.parse_args()
model, kept = AutoModelForCausalLM.from_pretrained(given.model, output_loading_info=True)
tokenizer = AutoTokenizer.from_pretrained(given.model)
seen = {"name": given.model_name, "template": bool(tokenizer.chat_template)}
seen |= {kind: sorted(kept[kind + "_keys"]) for kind in ("missing", "unexpected")}
given.outfile.write_bytes(b"GGUF" + json.dumps(seen).encode())
"""


@pytest.fixture
def run(make_run: Callable[..., Run], tiny_llama: Path) -> Run:
    """A run with an adapter of the tiny LLaMA."""
    made = make_run(model={"name": str(tiny_llama)})
    generated(made, ROWS)
    torch.manual_seed(0)
    settings = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    model: Any = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_llama), settings)
    model.save_pretrained(made.path / "weights")
    trained(made, (made.path / "weights" / "adapter_model.safetensors").read_bytes())
    adapter = made.path / "train" / "adapter"
    (adapter / "adapter_config.json").write_bytes((made.path / "weights" / "adapter_config.json").read_bytes())
    AutoTokenizer.from_pretrained(tiny_llama).save_pretrained(adapter)
    return made


def script(folder: Path, text: str) -> Path:
    path = folder / "convert_hf_to_gguf.py"
    path.write_text(text)
    return path


# The converter


def test_the_converter_is_given_a_whole_model_and_its_file_stands_beside_a_modelfile(run: Run, tmp_path: Path) -> None:
    script(tmp_path, CONVERTER)
    result = seedtune("export", run.path, "--to", "gguf", "--converter", tmp_path, cwd=run.path)
    assert result.returncode == 0, result.stderr
    assert "export/one.gguf" in result.stdout
    assert "ollama create one -f export/one.Modelfile" in result.stdout
    written = (run.path / "export" / "one.gguf").read_bytes()
    assert json.loads(written.removeprefix(b"GGUF")) == {
        "name": "one",
        "missing": [],
        "unexpected": [],
        "template": True,
    }
    assert {path.name for path in (run.path / "export").iterdir()} == {"one.gguf", "one.Modelfile"}


def test_the_merged_tensors_are_those_that_llama_cpp_knows_of_a_llama(run: Run, tiny_llama: Path) -> None:
    folder, _ = merge(run)
    layers = json.loads((folder / "config.json").read_text())["num_hidden_layers"]
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, layers)
    found = {
        names.get_name(name, try_suffixes=(".weight", ".bias")) for name in load_file(folder / "model.safetensors")
    }
    assert None not in found
    parts = ("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down")
    needed = {f"blk.{layer}.{part}.weight" for layer in range(layers) for part in parts}
    assert found == needed | {"token_embd.weight", "output_norm.weight", "output.weight"}


def test_a_converter_on_the_path_is_found(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = script(tmp_path, '#!/bin/sh\nwhile [ "$1" != --outfile ]; do shift; done\nprintf GGUF > "$2"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    path, _ = export_gguf(run, load_domain(run.config.domain), tmp_path / "made" / "x.gguf")
    assert path.read_bytes() == b"GGUF"


def test_without_a_converter_it_is_said_how_to_get_one_before_anything_is_merged(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PublishError, match=r"git clone .*llama\.cpp, then add --converter llama\.cpp"):
        export_gguf(run, load_domain(run.config.domain))
    with pytest.raises(PublishError, match="expected llama"):
        export_gguf(run, load_domain(run.config.domain), converter=tmp_path)
    assert not (run.path / "train" / "merged").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import no_such_module", "pip install no_such_module"),
        ("raise SystemExit('BPE pre-tokenizer was not recognized')", "not recognized"),
        ("", "wrote no GGUF file"),
        ("import sys; open(sys.argv[3], 'w').write('what')", "wrote no GGUF file"),
    ],
)
def test_a_converter_that_fails_is_quoted_and_leaves_what_was_there(
    run: Run, tmp_path: Path, text: str, words: str
) -> None:
    out = tmp_path / "made" / "x.gguf"
    out.parent.mkdir()
    out.write_bytes(b"GGUF of before")
    with pytest.raises(PublishError, match=words):
        export_gguf(run, load_domain(run.config.domain), out, script(tmp_path, text))
    assert [path.name for path in out.parent.iterdir()] == ["x.gguf"]
    assert out.read_bytes() == b"GGUF of before"


def test_nothing_trained_is_nothing_to_convert(make_run: Callable[..., Run], tmp_path: Path) -> None:
    run = make_run()
    with pytest.raises(RunError, match="seedtune train"):
        export_gguf(run, load_domain(run.config.domain), converter=script(tmp_path, CONVERTER))


@pytest.mark.parametrize(
    "arguments", [["--to", "gguf", "--with-seeds"], ["--to", "alpaca", "--converter", "llama.cpp"]]
)
def test_options_of_the_other_kind_are_wrong_use(run: Run, arguments: list[str]) -> None:
    result = seedtune("export", run.path, *arguments)
    assert result.returncode == 2
    assert "has no meaning" in result.stderr


# The Modelfile


CHATML = (
    "{% for message in messages %}{% if loop.first and message.role != 'system' %}<|im_start|>system\nBe kind."
    "<|im_end|>\n{% endif %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA_3 = (
    "<|begin|>{% for message in messages %}<|head|>{{ message.role }}<|/head|>\n\n{{ message.content | trim }}<|eot|>"
    "{% endfor %}{% if add_generation_prompt %}<|head|>assistant<|/head|>\n\n{% endif %}"
)
BRACES = CHAT_TEMPLATE.replace("<|user|>", "{% raw %}{{user}}{% endraw %}").replace("<|end|>", "{{ '{{' }}end}}")
IN_THE_FIRST_TURN = (
    "{% set system = messages[0].content if messages[0].role == 'system' else '' %}"
    "{% for message in messages if message.role != 'system' %}{% if message.role == 'user' %}"
    "[INST] {% if loop.first and system %}<<SYS>>{{ system }}<</SYS>>{% endif %}{{ message.content }} [/INST]"
    "{% else %}{{ message.content }}</s>{% endif %}{% endfor %}"
)
LAST_QUESTION_ONLY = "{{ messages[-1].content }}"
CHATS: list[Chat] = [
    [("user", "Why?")],
    [("system", "Be brief."), ("user", "Why?")],
    [("user", "Why?"), ("assistant", "So."), ("user", "And?"), ("assistant", "No."), ("user", "{{ Oh }}")],
    [("system", "S"), ("user", "Why?"), ("assistant", "So."), ("user", "And?")],
]


def renderer(template: str) -> Callable[[Chat], str]:
    compiled = Environment().from_string(template)

    def render(chat: Chat) -> str:
        messages = [{"role": role, "content": content} for role, content in chat]
        return compiled.render(messages=messages, add_generation_prompt=chat[-1][0] == "user")

    return render


def as_ollama(template: str, chat: Chat) -> str:
    """The few words of Go's templates that a Modelfile of ours uses, in Jinja's."""
    actions = {
        "if .System": "{% if system %}",
        ".System": "{{ system }}",
        "else": "{% else %}",
        "end": None,
        "range .Messages": "{% for m in messages %}",
        'if eq .Role "user"': "{% if m.role == 'user' %}",
        'else if eq .Role "assistant"': "{% elif m.role == 'assistant' %}",
        ".Content": "{{ m.content }}",
        '"{{"': "{{ '{{' }}",
    }
    opened: list[str] = []

    def action(found: re.Match[str]) -> str:
        word = found[1]
        if word.startswith(("if", "range")):
            opened.append("{% endif %}" if word.startswith("if") else "{% endfor %}")
        return opened.pop() if word == "end" else str(actions[word])

    jinja = re.sub(r"\{\{ (\"\{\{\"|[^{}]*?) \}\}", action, template)
    system = next((content for role, content in chat if role == "system"), "")
    messages = [{"role": role, "content": content} for role, content in chat]
    return Environment(keep_trailing_newline=True).from_string(jinja).render(system=system, messages=messages)


@pytest.mark.parametrize(
    "template", [CHATML, LLAMA_3, CHAT_TEMPLATE, BRACES], ids=["chatml", "llama3", "ours", "braces"]
)
@pytest.mark.parametrize("chat", CHATS)
def test_ollama_asks_with_the_prompt_of_the_chat_template(template: str, chat: Chat) -> None:
    render = renderer(template)
    frame = Frame.of(render)
    assert frame is not None
    assert frame.render(chat) == render(chat)
    assert as_ollama(frame.go(), chat) == render(chat)


@pytest.mark.parametrize("template", [IN_THE_FIRST_TURN, LAST_QUESTION_ONLY])
def test_a_template_that_cannot_be_told_in_turns_is_left_to_ollama(template: str) -> None:
    assert Frame.of(renderer(template)) is None


def set_system_prompt(domain: Path, text: str) -> None:
    path = domain / "domain.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "system_prompt": text}))


def modelfile(run: Run, tmp_path: Path) -> str:
    convert = script(tmp_path, "import sys; open(sys.argv[3], 'w').write('GGUF')")
    return export_gguf(run, load_domain(run.config.domain), converter=convert)[1].read_text()


def test_the_modelfile_names_the_file_the_prompt_the_end_and_the_system_prompt(
    run: Run, domain_folder: Path, tmp_path: Path
) -> None:
    set_system_prompt(domain_folder, "You bake.\nBriefly.")
    text = modelfile(run, tmp_path)
    assert "\nFROM ./one.gguf\n" in text
    assert 'SYSTEM """You bake.\nBriefly."""' in text
    assert text.count('PARAMETER stop "<|end|>"') == text.count("PARAMETER stop") == 1
    assert "PARAMETER num_ctx 2048" in text
    template = re.search(r'TEMPLATE """(.*?)"""', text, re.DOTALL)
    assert template is not None
    assert as_ollama(template[1], CHATS[3]) == renderer(CHAT_TEMPLATE)(CHATS[3])


@pytest.mark.parametrize("added", [True, False])
def test_a_beginning_stands_in_the_template_unless_llama_cpp_adds_it(run: Run, tmp_path: Path, added: bool) -> None:
    """SmolLM2 begins each turn with its beginning-of-sequence token, and none is added to it."""
    from tokenizers.processors import TemplateProcessing

    adapter = run.path / "train" / "adapter"
    tokenizer = AutoTokenizer.from_pretrained(adapter)
    tokenizer.bos_token = "<|system|>"
    tokenizer.chat_template = f"<|system|>{CHAT_TEMPLATE}"
    if added:
        special = [("<|system|>", tokenizer.bos_token_id)]
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing("<|system|> $A", None, special)
    tokenizer.save_pretrained(adapter)
    text = modelfile(run, tmp_path)
    beginning = "" if added else "<|system|>"
    assert f"{{{{ if .System }}}}{beginning}<|system|>\n{{{{ .System }}}}" in text


def test_a_system_prompt_that_a_modelfile_cannot_hold_is_refused(run: Run, domain_folder: Path, tmp_path: Path) -> None:
    set_system_prompt(domain_folder, 'Say """.')
    with pytest.raises(PublishError, match='cannot hold """'):
        modelfile(run, tmp_path)
