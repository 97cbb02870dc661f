"""What every section of the config has."""

from pathlib import Path
from typing import Annotated, Any, cast, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # "~somebody" whom this machine does not know is a path like any other.
        return path


UserPath = Annotated[Path, AfterValidator(_expanded)]


class Section(BaseModel):
    """Frozen; an unknown key is an error."""

    # Infinity is no sensible setting of ours, but may be one of trainer_args: written as it is, not as null.
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False, ser_json_inf_nan="constants"
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_section_is_default(cls, value: Any) -> Any:
        """YAML reads a section whose every line is commented out as null."""
        if not isinstance(value, dict):
            return value
        sections = {key for key, field in cls.model_fields.items() if isinstance(field.default, BaseModel)}
        tree = cast("dict[str, Any]", value)
        return {key: child for key, child in tree.items() if child is not None or key not in sections}

    @model_validator(mode="before")
    @classmethod
    def _switch_is_no_number(cls, value: Any) -> Any:
        """Pydantic reads true as 1; as a word it is refused at its place, like any other that is no number."""
        if not isinstance(value, dict):
            return value
        kinds = {key: {field.annotation, *get_args(field.annotation)} for key, field in cls.model_fields.items()}
        numbers = {key for key, of in kinds.items() if of & {int, float} and bool not in of}
        tree = cast("dict[str, Any]", value)
        return {
            key: str(child).lower() if isinstance(child, bool) and key in numbers else child
            for key, child in tree.items()
        }
