"""Reading a versioned JSON document that is not trusted."""

from collections.abc import Mapping
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line
from eightbit.models.spec import FrozenModel

DocumentT = TypeVar("DocumentT", bound=FrozenModel)
ValueT = TypeVar("ValueT")


def _sorted_by_key(mapping: Mapping[str, ValueT]) -> Mapping[str, ValueT]:
    return dict(sorted(mapping.items()))


MAX_KEYS: Final = 10_000

SortedMapping = Annotated[
    Mapping[str, ValueT], Field(max_length=MAX_KEYS), AfterValidator(_sorted_by_key)
]
"""A read-only mapping whose JSON object is sorted by key, and of bounded length."""


class _Envelope(BaseModel):
    """The one key that is read before the others: it says how to read them."""

    model_config = ConfigDict(strict=True, extra="ignore")

    format_version: int


def parse_versioned(
    document: type[DocumentT], content: bytes | str, *, where: str, newest: int
) -> DocumentT:
    """Validates a JSON document with a `format_version` key, strictly.

    Bytes are UTF-8. `where` begins every error message; `newest` is the highest `format_version`
    that can be read.

    Raises:
        InputError: The content is no JSON, of another version, or not a valid `document`.
    """
    try:
        version = _Envelope.model_validate_json(content).format_version
        if version > newest:
            raise InputError(
                f"{where}: expected format_version {newest} or lower, found {version}; "
                "a newer eightbit wrote it: upgrade eightbit"
            )
        return document.model_validate_json(content)
    except ValidationError as exc:
        raise InputError(f"{where}: {_first_problem(exc)}") from exc


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    others = error.error_count() - 1
    more = f" (and {others} more)" if others else ""
    told = _TOLD.get(first["type"]) or first["msg"].removeprefix("Value error, ")
    return one_line(f"{key}: {told}" if key else told) + more


# By pydantic's names of what is wrong.
_TOLD: Final = {
    "extra_forbidden": "expected no such key, found one; a newer eightbit may have written it",
    "missing": "expected this key, found none",
}
