"""The models that an evaluation compares: the run's base and tuned model, and the rivals that its config names."""

from dataclasses import dataclass
from pathlib import Path

from seedtune import models, runs
from seedtune.config import EndpointRivalConfig, ModelConfig
from seedtune.errors import EvaluationError
from seedtune.records import content_id, file_sha256


@dataclass(frozen=True)
class Local:
    """A model that is run on this machine."""

    name: str
    model: ModelConfig
    adapter: Path | None = None

    @property
    def title(self) -> str:
        """The model as reports name it."""
        base = models.public_name(self.model.name)
        return base if self.adapter is None else f"{base} with an adapter"

    def digest(self, base: str) -> str:
        """Identity of model and adapter.

        Args:
            base: That of the model alone.

        Raises:
            EvaluationError: the adapter's folder has no adapter.
        """
        if self.adapter is None:
            return base
        files = [self.adapter / name for name in (runs.WEIGHTS, runs.SETTINGS)]
        if missing := [path for path in files if not path.is_file()]:
            raise EvaluationError(f"{missing[0]}: there is no such file; give the folder of a LoRA adapter")
        return content_id(base, [file_sha256(path) for path in files])


@dataclass(frozen=True)
class Endpoint:
    """A model behind an endpoint. What answers under its name there is not known: it is taken to be always the same."""

    name: str
    config: EndpointRivalConfig

    @property
    def title(self) -> str:
        """The model as reports name it."""
        return self.config.model

    @property
    def digest(self) -> str:
        """Identity of the model, as far as it shows."""
        own = [self.config.extra_body] if self.config.extra_body else []
        return content_id("endpoint", self.config.reached_at, self.config.model, *own)


Subject = Local | Endpoint


def subjects_of(run: runs.Run) -> list[Subject]:
    """Base, tuned model where the run has one, and rivals.

    Raises:
        EvaluationError: nothing is trained and there are no rivals either.
        RunError: what was trained has changed since.
    """
    config = run.config
    subjects: list[Subject] = [Local("base", config.model)]
    if run.stage("train").get("state") == "done":
        subjects.append(_tuned(run))
    elif not config.evaluate.models:
        raise EvaluationError(
            f"{run.path}: there is no tuned model yet: run 'seedtune train' first, or name rivals in evaluate.models"
        )
    elif config.evaluate.reference == "tuned":
        raise EvaluationError(f"{run.path}: evaluate.reference is tuned, and nothing is trained yet: set it to base")
    for name, rival in config.evaluate.models.items():
        if isinstance(rival, EndpointRivalConfig):
            subjects.append(Endpoint(name, rival))
        else:
            settings = rival.model_dump(exclude={"type", "model", "adapter"})
            subjects.append(Local(name, ModelConfig(name=rival.model, **settings), rival.adapter))
    return subjects


def _tuned(run: runs.Run) -> Local:
    folder, config = run.tuned(), run.config
    if config.train.method == "full":
        return Local("tuned", config.model.model_copy(update={"name": str(folder), "revision": None}))
    return Local("tuned", config.model, folder)
