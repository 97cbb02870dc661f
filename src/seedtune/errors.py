"""The one tree of errors. Each class is also the standard error it stands for.

SeedtuneError
├── ConfigError      (ValueError)        a config file, an option or the environment is wrong      exit 2
├── DataError        (ValueError)        a data file is broken; the message names file:line        exit 1
├── DomainError      (ValueError)        a domain folder is missing, malformed or unsound          exit 1
├── TeacherError     (RuntimeError)      the teacher cannot be reached or refuses                  exit 1
├── LimitReached     (RuntimeError)      a budget, token, request or stall limit; work is saved    exit 3
├── ModelError       (RuntimeError)      a model or tokenizer cannot be found or loaded            exit 1
├── TrainingError    (RuntimeError)      fine-tuning cannot start or go on                         exit 1
├── SandboxError     (RuntimeError)      this machine cannot run a program apart from itself       exit 1
├── EvaluationError  (RuntimeError)      an evaluation cannot start or go on                       exit 1
├── PublishError     (RuntimeError)      the hub cannot be reached or refuses                   exit 1
└── RunError         (RuntimeError)      a run folder is in use, or belongs to another config      exit 1

A message says what is wrong, where (``seeds.jsonl:17``, a record id) and what to do about it.
"""


class SeedtuneError(Exception):
    """Anything that a user can mend; the command line prints it without a traceback."""

    exit_code = 1


class ConfigError(SeedtuneError, ValueError):
    """A config file, a command-line option or an environment variable is wrong."""

    exit_code = 2


class DataError(SeedtuneError, ValueError):
    """A data file is broken."""


class DomainError(SeedtuneError, ValueError):
    """A domain folder is missing, malformed or unsound."""


class TeacherError(SeedtuneError, RuntimeError):
    """The teacher cannot be reached, refuses, or does not know the model."""


class LimitReached(SeedtuneError, RuntimeError):  # noqa: N818 (it is a planned stop, not a fault)
    """A limit stopped the work; everything done so far is saved.

    Attributes:
        cause: Short name of the limit, such as ``budget``, ``tokens``, ``requests``, ``stall``, ``size``.
    """

    exit_code = 3

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class ModelError(SeedtuneError, RuntimeError):
    """A model or its tokenizer cannot be found or loaded."""


class TrainingError(SeedtuneError, RuntimeError):
    """Fine-tuning cannot start or go on."""


class SandboxError(SeedtuneError, RuntimeError):
    """This machine cannot run a program apart from itself."""


class EvaluationError(SeedtuneError, RuntimeError):
    """An evaluation cannot start or go on."""


class PublishError(SeedtuneError, RuntimeError):
    """The hub cannot be reached, refuses, or holds something else under that name."""


class RunError(SeedtuneError, RuntimeError):
    """A run folder is in use by another process or was made with another config."""
