"""A run's model for llama.cpp and Ollama: base and adapter merged into one GGUF file, with an Ollama Modelfile.

The conversion is llama.cpp's own (``convert_hf_to_gguf.py``), which knows how each architecture and tokenizer is
written; it is run as a command, from wherever it is installed. Not covered: quantising. ``llama-quantize`` and
``ollama create --quantize`` do that, from the file written here.
"""

import json
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from seedtune import models, runs
from seedtune.config import ModelConfig
from seedtune.domains import Domain
from seedtune.errors import PublishError
from seedtune.publish.merge import merge
from seedtune.records import write_atomic

logger = logging.getLogger(__name__)

CONVERTER = "convert_hf_to_gguf.py"
_LONGEST_CONTEXT = 8192
"""In tokens, of the Modelfile; Ollama sets aside memory for all of it."""

Chat = Sequence[tuple[str, str]]
"""Role and content of each turn."""


def export_gguf(
    run: runs.Run, domain: Domain, out: Path | None = None, converter: Path | None = None
) -> tuple[Path, Path]:
    """Merge, convert, and write a Modelfile beside the file; each of them whole or not at all.

    Args:
        run: The run; its training is done.
        domain: The run's domain: its system prompt becomes the Modelfile's.
        out: The GGUF file; None is ``export/<run>.gguf`` in the run folder.
        converter: llama.cpp's converter, or the folder it is in; None looks for the command.

    Returns:
        The GGUF file and the Modelfile.

    Raises:
        RunError: nothing is trained yet, or what was trained has changed since.
        PublishError: there is no converter or it failed, or the merged model is not the adapter's.
    """
    command = _find_converter(converter)
    path = out or run.path / "export" / f"{run.config.name}.gguf"
    if path.is_dir():
        raise PublishError(f"{path}: is a folder; name a file, such as {path / f'{run.config.name}.gguf'}")
    folder = _whole_model(run)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _convert(command, folder, path, run.config.name)
        modelfile = path.with_suffix(".Modelfile")
        write_atomic(modelfile, _modelfile(folder, path, domain.file.system_prompt))
    except OSError as problem:
        raise PublishError(f"{path}: cannot be written: {problem.strerror or problem}") from problem
    return path, modelfile


def _find_converter(given: Path | None) -> list[str]:
    if given is None:
        found = shutil.which(CONVERTER)
        if found is None:
            raise PublishError(
                f"--to gguf needs llama.cpp's converter, and there is no command {CONVERTER}: "
                "git clone --depth 1 https://github.com/ggml-org/llama.cpp, then add --converter llama.cpp"
            )
        return [found]
    path = given / CONVERTER if given.is_dir() else given
    if not path.is_file():
        raise PublishError(f"--converter {given}: there is no {path}; expected llama.cpp's {CONVERTER} or its folder")
    # A script of a source tree would otherwise take any Python, most of which have no torch.
    return [sys.executable, str(path)] if path.suffix == ".py" else [str(path)]


def _whole_model(run: runs.Run) -> Path:
    return merge(run)[0] if run.config.train.method == "lora" else run.tuned()


def _convert(command: Sequence[str], folder: Path, path: Path, name: str) -> None:
    temporary = path.with_name(f".{path.stem}.part.gguf")
    logger.info("export: %s converts %s", Path(command[-1]).name, folder)
    arguments = [str(folder.resolve()), "--outfile", str(temporary.resolve()), "--model-name", name]
    try:
        ended = subprocess.run(
            [*command, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if ended.returncode != 0:
            last = "\n".join((ended.stderr.strip() or ended.stdout.strip()).splitlines()[-5:])
            missing = re.search(r"No module named '(\w+)'", last)
            advice = f"\nit needs a package: pip install {missing[1]}" if missing else ""
            raise PublishError(f"{command[-1]}: ended with code {ended.returncode}:\n{last}{advice}")
        if not _is_gguf(temporary):
            raise PublishError(f"{command[-1]}: wrote no GGUF file; is it llama.cpp's {CONVERTER}?")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _is_gguf(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"GGUF"


def _modelfile(folder: Path, gguf: Path, system: str | None) -> str:
    """What ``ollama create`` reads: where the model is, how a chat becomes a prompt, and where an answer ends."""
    tokenizer = models.load_tokenizer(ModelConfig(name=str(folder)))
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    frame = Frame.of(_renderer(tokenizer))
    lines = [f"# ollama create {gguf.stem} -f {gguf.stem}.Modelfile", f"FROM ./{gguf.name}"]
    stops = [str(tokenizer.eos_token)]
    if frame is None:
        logger.warning("export: the chat template has no like in an Ollama Modelfile: Ollama will guess one")
        lines.append("# No TEMPLATE: the model's chat template cannot be told in Ollama's terms.")
    else:
        lines.append(f"TEMPLATE {_quoted(frame.without(_added_beginning(tokenizer)).go())}")
        stops += [end] if (end := frame.after_answer.strip()) else []
    if system:
        lines.append(f"SYSTEM {_quoted(system)}")
    lines += [f"PARAMETER stop {json.dumps(stop, ensure_ascii=False)}" for stop in dict.fromkeys(stops)]
    context = min(int(settings.get("max_position_embeddings", _LONGEST_CONTEXT)), _LONGEST_CONTEXT)
    # As the evaluation asks it.
    lines += [f"PARAMETER num_ctx {context}", "PARAMETER temperature 0"]
    return "\n".join(lines) + "\n"


def _added_beginning(tokenizer: Any) -> str:
    """The token that llama.cpp puts before every prompt: one that the tokenizer adds to a text by itself."""
    first = tokenizer("text")["input_ids"][0]
    return str(tokenizer.bos_token) if first == tokenizer.bos_token_id else ""


def _quoted(text: str) -> str:
    if '"""' in text:
        raise PublishError('a Modelfile cannot hold """, and the system prompt or the chat template does')
    return f'"""{text}"""'


def _renderer(tokenizer: Any) -> Callable[[Chat], str]:
    def render(chat: Chat) -> str:
        messages = [{"role": role, "content": content} for role, content in chat]
        begun = chat[-1][0] == "user"
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=begun))

    return render


_SYSTEM, _USER, _NEXT = ("system", "SYSTEMTEXT"), ("user", "USERTEXT"), ("user", "NEXTTEXT")
_ANSWER = ("assistant", "ANSWERTEXT")
_CHATS: tuple[Chat, ...] = (
    (_USER,),
    (_USER, _ANSWER),
    (_SYSTEM, _USER),
    (_USER, _ANSWER, _NEXT),
    (_SYSTEM, _USER, _ANSWER, _NEXT),
)


@dataclass(frozen=True)
class Frame:
    """The words that a chat template puts around the turns, for templates that treat every turn alike."""

    before_system: str
    after_system: str
    without_system: str
    """What a chat without a system turn begins with: nothing, or a default system turn."""
    before_user: str
    after_user: str
    """Up to where the answer begins."""
    after_answer: str

    @classmethod
    def of(cls, render: Callable[[Chat], str]) -> "Frame | None":
        """Find the words by rendering chats, and check that they give all of them.

        Args:
            render: The chat template, with the beginning of an answer behind a chat that ends with a user turn.

        Returns:
            None where the template is of another kind, such as one that puts the system prompt into the first user
            turn, or takes none.
        """
        try:
            rendered = [render(chat) for chat in _CHATS]
            without_system, _ = rendered[0].split(_USER[1])
            _, after_answer = rendered[1].split(_ANSWER[1])
            before_system, rest = rendered[-1].split(_SYSTEM[1])
            after_system, rest = rest.split(_USER[1])
            after_user, rest = rest.split(_ANSWER[1])
            before_user = rest.split(_NEXT[1])[0].removeprefix(after_answer)
        except (TemplateError, ValueError):
            return None
        after_system, without_system = after_system.removesuffix(before_user), without_system.removesuffix(before_user)
        found = cls(before_system, after_system, without_system, before_user, after_user, after_answer)
        return found if [found.render(chat) for chat in _CHATS] == rendered else None

    def render(self, chat: Chat) -> str:
        """The prompt of a chat."""
        system = next((content for role, content in chat if role == "system"), None)
        head = self.without_system if system is None else f"{self.before_system}{system}{self.after_system}"
        turns = {"user": (self.before_user, self.after_user), "assistant": ("", self.after_answer)}
        return head + "".join(
            f"{turns[role][0]}{content}{turns[role][1]}" for role, content in chat if role != "system"
        )

    def without(self, beginning: str) -> "Frame":
        """Without a token that is there already when the template is applied."""
        return Frame(
            self.before_system.removeprefix(beginning),
            self.after_system,
            self.without_system.removeprefix(beginning),
            self.before_user,
            self.after_user,
            self.after_answer,
        )

    def go(self) -> str:
        """As a template of Ollama, in Go's language."""

        def plain(text: str) -> str:
            return text.replace("{{", '{{ "{{" }}')

        return (
            f"{{{{ if .System }}}}{plain(self.before_system)}{{{{ .System }}}}{plain(self.after_system)}"
            f"{{{{ else }}}}{plain(self.without_system)}{{{{ end }}}}"
            f'{{{{ range .Messages }}}}{{{{ if eq .Role "user" }}}}'
            f"{plain(self.before_user)}{{{{ .Content }}}}{plain(self.after_user)}"
            f'{{{{ else if eq .Role "assistant" }}}}{{{{ .Content }}}}{plain(self.after_answer)}'
            f"{{{{ end }}}}{{{{ end }}}}"
        )
