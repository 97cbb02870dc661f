"""Students against references written here: one row per option, plain greedy decoding, the base model alone."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from seedtune.config import ModelConfig
from seedtune.errors import EvaluationError, ModelError
from seedtune.evaluate.inference import Chat, Choice, Student, base_digest
from seedtune.evaluate.suites import Question
from seedtune.records import Message, Task
from seedtune.train.dataset import Example, make_row

NEAR = 1e-4


def prompt_of(question: str, system: str = "") -> str:
    """The tiny LLaMA's chat template, written out."""
    before = f"<|system|>\n{system}<|end|>\n" if system else ""
    return f"{before}<|user|>\n{question}<|end|>\n<|assistant|>\n"


CHOICES = (
    Choice(prompt_of("Who is a peer?"), ("the session", "a peer of the session", "one", "True or False")),
    Choice(prompt_of("Answer?"), ("Yes", "No")),
    Choice(
        prompt_of("the session of a peer " * 8 + "ends when?"), ("at once", "never", "the session ends with one word")
    ),
)
PROMPTS = [choice.prompt for choice in CHOICES]
VARIANTS = ("base", "tuned")


def both(adapter: Path) -> dict[str, Path | None]:
    return {"base": None, "tuned": adapter}


def questions(prompts: Sequence[str], longest: int, **more: Any) -> list[tuple[str, Question]]:
    return [(prompt, Question("", (), max_new_tokens=longest, **more)) for prompt in prompts]


both_variants = pytest.mark.parametrize("variant", VARIANTS)
texts = st.text(alphabet=st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), min_size=1, max_size=24)


def write_adapter(base: LlamaForCausalLM, folder: Path, zero: bool = False) -> Path:
    torch.manual_seed(1)
    # Without init_lora_weights both matrices are random: the adapter changes every score.
    lora = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=zero, task_type="CAUSAL_LM")
    get_peft_model(base, lora).save_pretrained(folder)
    return folder


def other_llama(tiny_llama: Path, **changes: int) -> LlamaForCausalLM:
    settings = {**LlamaConfig.from_pretrained(tiny_llama).to_dict(), **changes}
    return LlamaForCausalLM(LlamaConfig(**settings))


def plain_model(tiny_llama: Path) -> LlamaForCausalLM:
    return AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def config(tiny_llama: Path) -> ModelConfig:
    return ModelConfig(name=str(tiny_llama), dtype="float32")


@pytest.fixture(scope="module")
def adapter(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adapter(plain_model(tiny_llama), tmp_path_factory.mktemp("adapter"))


@pytest.fixture(scope="module")
def chat(config: ModelConfig) -> Chat:
    return Chat(config)


@pytest.fixture(scope="module")
def student(config: ModelConfig, adapter: Path, chat: Chat) -> Student:
    return Student(config, both(adapter), chat)


class Reference:
    """The same models asked the slow way: no packing, no batch, no padding, no cache."""

    def __init__(self, tiny_llama: Path, adapter: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
        tuned = PeftModel.from_pretrained(plain_model(tiny_llama), str(adapter)).merge_and_unload().eval()
        self.models = {"base": plain_model(tiny_llama), "tuned": tuned}

    def ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    @torch.inference_mode()
    def log_likelihood(self, variant: str, prompt: list[int], answer: list[int]) -> float:
        logits = self.models[variant](torch.tensor([prompt + answer])).logits[0]
        log_probs = torch.log_softmax(logits, dim=-1)
        return sum(float(log_probs[len(prompt) - 1 + n, token]) for n, token in enumerate(answer))

    def scores(self, variant: str, choice: Choice) -> list[float]:
        prompt = self.ids(choice.prompt)
        return [self.log_likelihood(variant, prompt, self.ids(option)) for option in choice.options]

    @torch.inference_mode()
    def greedy(self, variant: str, text: str, max_new_tokens: int) -> str:
        prompt = self.ids(text)
        ids = list(prompt)
        for _ in range(max_new_tokens):
            ids.append(int(self.models[variant](torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == self.tokenizer.eos_token_id:
                break
        return str(self.tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True))


@pytest.fixture(scope="module")
def reference(tiny_llama: Path, adapter: Path) -> Reference:
    return Reference(tiny_llama, adapter)


@both_variants
@pytest.mark.parametrize("choice", CHOICES, ids=["four options", "two options", "long question"])
def test_packed_options_score_as_each_option_alone(
    student: Student, reference: Reference, variant: str, choice: Choice
) -> None:
    with student.variant(variant):
        packed = student.option_scores([choice])[0]
    assert packed == pytest.approx(reference.scores(variant, choice), abs=NEAR)


@given(question=texts, options=st.lists(texts, min_size=1, max_size=6, unique=True))
@settings(max_examples=12, deadline=None)
def test_any_packed_options_score_as_each_option_alone(
    student: Student, reference: Reference, question: str, options: list[str]
) -> None:
    choice = Choice(prompt_of(question), tuple(options))
    assert student.option_scores([choice])[0] == pytest.approx(reference.scores("tuned", choice), abs=NEAR)


def test_the_order_of_the_options_leaves_their_scores_alone(student: Student) -> None:
    prompt, options = CHOICES[0]
    forwards, backwards = student.option_scores([Choice(prompt, options), Choice(prompt, options[::-1])])
    assert forwards == pytest.approx(backwards[::-1], abs=NEAR)


def test_an_option_scores_the_same_whatever_stands_beside_it(student: Student) -> None:
    prompt, options = CHOICES[0]
    others = Choice(prompt, (options[0], "something else altogether", "0"))
    first, second = student.option_scores([Choice(prompt, options), others])
    assert first[0] == pytest.approx(second[0], abs=NEAR)


def test_questions_of_one_length_score_in_a_batch_as_alone(student: Student) -> None:
    same_length = [Choice(prompt_of(question), ("Yes", "No")) for question in ("abc", "abd", "xyz")]
    together = student.option_scores(same_length)
    for choice, scores in zip(same_length, together, strict=True):
        assert scores == pytest.approx(student.option_scores([choice])[0], abs=NEAR)


def test_padding_leaves_the_scores_alone(student: Student) -> None:
    for choice, scores in zip(CHOICES, student.option_scores(CHOICES), strict=True):
        assert scores == pytest.approx(student.option_scores([choice])[0], abs=NEAR)


def test_the_base_variant_is_the_plain_base_model(student: Student, reference: Reference) -> None:
    with student.variant("base"):
        answers = [student.answer(questions([prompt], 8))[0] for prompt in PROMPTS]
    assert answers == [reference.greedy("base", prompt, 8) for prompt in PROMPTS]


def test_the_tuned_variant_is_the_base_with_the_adapter_merged(student: Student, reference: Reference) -> None:
    with student.variant("tuned"):
        answers = [student.answer(questions([prompt], 8))[0] for prompt in PROMPTS]
    assert answers == [reference.greedy("tuned", prompt, 8) for prompt in PROMPTS]


def test_base_and_tuned_score_differently(student: Student) -> None:
    with student.variant("base"):
        base = student.option_scores(CHOICES)
    assert base != student.option_scores(CHOICES)


def test_the_adapter_is_back_after_the_base_variant_even_after_an_error(student: Student) -> None:
    before = student.option_scores(CHOICES)

    def fail_within() -> None:
        with student.variant("base"):
            raise LookupError

    with pytest.raises(LookupError):
        fail_within()
    assert student.option_scores(CHOICES) == before


@both_variants
def test_answers_in_a_batch_are_those_alone(student: Student, variant: str) -> None:
    with student.variant(variant):
        together = student.answer(questions(PROMPTS, 12))
        alone = [student.answer(questions([prompt], 12))[0] for prompt in PROMPTS]
    assert together == alone


def test_answers_repeat_whatever_the_random_state(student: Student) -> None:
    torch.manual_seed(5)
    first = student.answer(questions(PROMPTS, 12))
    torch.manual_seed(6)
    assert student.answer(questions(PROMPTS, 12)) == first


def test_an_answer_holds_neither_prompt_nor_special_tokens(student: Student) -> None:
    assert not any("<|" in answer or "session" in answer for answer in student.answer(questions(PROMPTS, 12)))


def test_scoring_after_answering_gives_the_same(student: Student) -> None:
    before = student.option_scores(CHOICES)
    student.answer(questions(PROMPTS, 4))
    assert student.option_scores(CHOICES) == before


def test_a_conversation_is_written_by_the_models_own_template(config: ModelConfig) -> None:
    said = (("system", "You are a baker."), ("user", "a?"), ("assistant", "b"), ("user", "c?"))
    prompt = Chat(config).prompt([Message(role=role, content=words) for role, words in said])
    assert prompt == "<|system|>\nYou are a baker.<|end|>\n<|user|>\na?<|end|>\n<|assistant|>\nb<|end|>\n" + prompt_of(
        "c?"
    )


def test_a_template_that_refuses_the_chat_is_named(config: ModelConfig, tmp_path: Path) -> None:
    template = tmp_path / "template.jinja"
    template.write_text(
        "{% for message in messages %}{% if message['role'] == 'system' %}"
        "{{ raise_exception('no system') }}{% endif %}{% endfor %}"
    )
    chat = Chat(config.model_copy(update={"chat_template": template}))
    with pytest.raises(ModelError, match=r"system, user: no system; set model\.chat_template"):
        chat.prompt([Message(role="system", content="You are a baker."), Message(role="user", content="?")])


def test_another_template_has_another_digest(config: ModelConfig, tmp_path: Path) -> None:
    template = tmp_path / "template.jinja"
    template.write_text("{{ messages[0]['content'] }}")
    other = Chat(config.model_copy(update={"chat_template": template}))
    assert other.template_digest != Chat(config).template_digest


def test_a_local_base_is_known_by_its_files_not_by_its_path(tiny_llama: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_llama, tmp_path / "copy")
    there, here = (base_digest(ModelConfig(name=str(path), dtype="float32")) for path in (tiny_llama, copy))
    assert there == here
    (copy / "model.safetensors").write_bytes(b"other weights")
    assert base_digest(ModelConfig(name=str(copy), dtype="float32")) != there
    assert base_digest(ModelConfig(name=str(tiny_llama), dtype="bfloat16")) != there


def test_a_question_is_asked_with_the_tokens_it_was_trained_with(
    config: ModelConfig, adapter: Path, reference: Reference
) -> None:
    task = Task(instruction="Name a peer.", input="192.0.2.1", output="The session of a peer.")
    row = make_row(reference.tokenizer, Example(task, "seed", "made"), "You are a baker.")
    assert row is not None
    answer = [token for token in row.labels if token >= 0][:-1]
    prompt = row.input_ids[: row.labels.index(answer[0])]
    chat = Chat(config)
    system = Message(role="system", content="You are a baker.")
    question = chat.prompt([system, Message(role="user", content=task.prompt)])
    [[score]] = Student(config, both(adapter), chat).option_scores([Choice(question, (task.output,))])
    assert score == pytest.approx(reference.log_likelihood("tuned", prompt, answer), abs=NEAR)


def test_an_adapter_that_changes_something_passes_the_check(student: Student) -> None:
    student.check_adapters(PROMPTS[0])


def test_a_zero_adapter_is_refused(config: ModelConfig, chat: Chat, tiny_llama: Path, tmp_path: Path) -> None:
    zero = Student(config, both(write_adapter(plain_model(tiny_llama), tmp_path, zero=True)), chat)
    with pytest.raises(EvaluationError, match="changes nothing"):
        zero.check_adapters(PROMPTS[0])


def test_an_adapter_of_a_wider_base_is_refused(
    config: ModelConfig, chat: Chat, tiny_llama: Path, tmp_path: Path
) -> None:
    wider = write_adapter(other_llama(tiny_llama, hidden_size=64), tmp_path)
    with pytest.raises(ModelError, match="does not fit"):
        Student(config, both(wider), chat)


def test_an_adapter_of_a_deeper_base_is_refused(
    config: ModelConfig, chat: Chat, tiny_llama: Path, tmp_path: Path
) -> None:
    other = write_adapter(other_llama(tiny_llama, num_hidden_layers=4, layer_types=None), tmp_path)
    with pytest.raises(ModelError, match="does not fit"):
        Student(config, both(other), chat)


def test_an_adapter_of_a_shallower_base_is_refused(
    config: ModelConfig, chat: Chat, tiny_llama: Path, tmp_path: Path
) -> None:
    """The layers that it does not know would answer as the base, and nobody would be told."""
    shallow = other_llama(tiny_llama, num_hidden_layers=1, layer_types=None)
    get_peft_model(shallow, LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM")).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"2 weights have no counterpart, such as .*layers\.1\.self_attn\.q_proj"):
        Student(config, both(tmp_path), chat)


def test_an_adapter_that_was_trained_on_a_model_of_another_name_is_warned_of(
    config: ModelConfig, chat: Chat, adapter: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Base and instruct model have one shape: nothing else would say that the adapter is on the wrong one."""
    Student(config, both(adapter), chat)
    assert "trained on" not in caplog.text
    other = shutil.copytree(adapter, tmp_path / "other")
    settings = json.loads((other / "adapter_config.json").read_text())
    (other / "adapter_config.json").write_text(json.dumps({**settings, "base_model_name_or_path": "lab/Llama-7B"}))
    Student(config, both(other), chat)
    assert f"this adapter was trained on lab/Llama-7B; is {Path(config.name).name} the same model?" in caplog.text


def test_the_refusal_of_an_adapter_names_what_does_not_fit(
    config: ModelConfig, chat: Chat, tiny_llama: Path, tmp_path: Path
) -> None:
    wider = write_adapter(other_llama(tiny_llama, hidden_size=64), tmp_path)
    with pytest.raises(ModelError, match="size mismatch"):
        Student(config, both(wider), chat)


def test_a_folder_without_an_adapter_is_refused(config: ModelConfig, chat: Chat, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="adapter_config"):
        Student(config, both(tmp_path), chat)


def test_a_damaged_adapter_is_refused(config: ModelConfig, chat: Chat, adapter: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(adapter, tmp_path / "damaged")
    weights = damaged / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(ModelError):
        Student(config, both(damaged), chat)


# What questions begin with alike


@both_variants
def test_a_beginning_that_is_run_once_leaves_the_scores_alone(
    student: Student, reference: Reference, variant: str
) -> None:
    beginning = prompt_of("the session of a peer " * 12) + "A session.<|end|>\n"
    choices = [Choice(beginning + choice.prompt, choice.options) for choice in CHOICES]
    with student.variant(variant):
        for _ in range(2):
            for choice, scores in zip(choices, student.option_scores(choices, f"alike/{variant}"), strict=True):
                assert scores == pytest.approx(reference.scores(variant, choice), abs=NEAR)


def test_a_beginning_is_run_once_for_all_batches_of_a_suite(student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the second batch only what stands behind the beginning goes through the model."""
    lengths: list[int] = []
    forward = student._model.forward

    def counted(*args: Any, **kwargs: Any) -> Any:
        lengths.append(kwargs["input_ids"].shape[1])
        return forward(*args, **kwargs)

    monkeypatch.setattr(student._model, "forward", counted)
    beginning = prompt_of("of a peer the session " * 12)
    choices = [Choice(beginning + prompt_of(word), ("Yes", "No")) for word in ("one", "two", "six")]
    student.option_scores(choices[:2], "counted")
    student.option_scores(choices[1:], "counted")
    prefix, first, second = lengths
    assert prefix > 40
    assert max(first, second) < 40


def test_prompts_that_are_all_the_same_are_scored(student: Student, reference: Reference) -> None:
    """A whole prompt cannot be a beginning: its last token has to be run for what comes after it."""
    prompt = prompt_of("the session of a peer " * 12)
    choices = [Choice(prompt, ("Yes", "No")), Choice(prompt, ("one", "two"))]
    with student.variant("tuned"):
        found = student.option_scores(choices, "same")
    for choice, scores in zip(choices, found, strict=True):
        assert scores == pytest.approx(reference.scores("tuned", choice), abs=NEAR)


# Several adapters, several samples


def test_two_adapters_of_one_base_answer_each_as_itself(
    config: ModelConfig, adapter: Path, chat: Chat, reference: Reference, tiny_llama: Path, tmp_path: Path
) -> None:
    torch.manual_seed(7)
    lora = LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(plain_model(tiny_llama), lora).save_pretrained(tmp_path)
    both_loaded = Student(config, {"base": None, "tuned": adapter, "second": tmp_path}, chat)
    alone = Student(config, {"second": tmp_path}, chat)
    for name in ("second", "tuned", "base", "second"):
        with both_loaded.variant(name):
            [scores] = both_loaded.option_scores([CHOICES[0]])
        wanted = alone.option_scores([CHOICES[0]])[0] if name == "second" else reference.scores(name, CHOICES[0])
        assert scores == pytest.approx(wanted, abs=NEAR), name


def test_a_model_without_any_adapter_is_the_plain_model(config: ModelConfig, chat: Chat, reference: Reference) -> None:
    plain = Student(config, {"base": None}, chat)
    plain.check_adapters(PROMPTS[0])
    with plain.variant("base"):
        assert plain.option_scores([CHOICES[0]])[0] == pytest.approx(reference.scores("base", CHOICES[0]), abs=NEAR)


def test_samples_follow_from_their_seeds(student: Student) -> None:
    drawn = [questions(PROMPTS[:1], 12, temperature=1.0, seed=seed)[0] for seed in (1, 2, 1)]
    first, second, again = student.answer(drawn)
    assert first == again
    assert first != second
