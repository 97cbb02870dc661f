"""Ask models that are run on this machine."""

from collections.abc import Sequence

from seedtune.config import ModelConfig
from seedtune.evaluate.asking import Ask, Keep, batches
from seedtune.evaluate.inference import Chat, Choice, Student, free_memory
from seedtune.evaluate.subjects import Local


def ask_locals(
    subjects: Sequence[Local], asks: Sequence[Ask], chats: dict[ModelConfig, Chat], size: int, keep: Keep
) -> None:
    """Ask, one model after the other; a base and its adapters are loaded once.

    Args:
        subjects: The models.
        asks: What is left to ask of them.
        chats: Each model's tokenizer.
        size: Questions run together.
        keep: Gets the answers.

    Raises:
        ModelError: a model cannot be loaded.
        EvaluationError: an adapter does not fit its model, or changes nothing.
    """
    for model in dict.fromkeys(subject.model for subject in subjects):
        adapters = {subject.name: subject.adapter for subject in subjects if subject.model == model}
        wanted = [ask for ask in asks if ask.subject in adapters]
        if wanted:
            _ask(Student(model, adapters, chats[model]), wanted, size, keep)
            free_memory()


def _ask(student: Student, asks: Sequence[Ask], size: int, keep: Keep) -> None:
    student.check_adapters(asks[0].prompt)
    for batch in batches(asks, size):
        first = batch[0]
        with student.variant(first.subject):
            if first.method == "loglikelihood":
                choices = [Choice(ask.prompt, ask.question.options) for ask in batch]
                scores = student.option_scores(choices, first.suite)
                keep([ask.answer(scores=found) for ask, found in zip(batch, scores, strict=True)])
            else:
                texts = student.answer([(ask.prompt, ask.question) for ask in batch], first.suite)
                keep([ask.answer(text) for ask, text in zip(batch, texts, strict=True)])
