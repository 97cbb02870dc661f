"""Teachers: models that write the new tasks, behind one protocol."""

from seedtune.config import LocalTeacherConfig, TeacherConfig
from seedtune.teachers.protocol import ChatTeacher, Forbidden, NotStructured, block_of, worst_case

__all__ = ["ChatTeacher", "Forbidden", "NotStructured", "block_of", "make_teacher", "worst_case"]


def make_teacher(config: TeacherConfig, seed: int) -> ChatTeacher:
    """The teacher that a config names. Its library is imported here, not before.

    Raises:
        TeacherError: a key or an address is missing or none.
        ModelError: a local model cannot be loaded.
    """
    if isinstance(config, LocalTeacherConfig):
        from seedtune.teachers.local import LocalTeacher

        return LocalTeacher(config, seed)
    from seedtune.teachers.openai_compatible import OpenAITeacher

    return OpenAITeacher(config, seed)
