"""Sections of a report that have a key for every format."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from pydantic import create_model

from eightbit.benchmarks.artifact.formats import FORMATS, preferred
from eightbit.models.spec import FrozenModel

ResultT = TypeVar("ResultT")
SectionT = TypeVar("SectionT", bound=FrozenModel)


def for_every_format(result: type[FrozenModel]) -> Callable[[type[SectionT]], type[SectionT]]:
    """Gives a section one more key for every format: a result, or None by default."""

    def with_keys(section: type[SectionT]) -> type[SectionT]:
        keys: dict[str, Any] = dict.fromkeys(FORMATS, (result | None, None))
        return create_model(
            section.__name__,
            __base__=section,
            __doc__=section.__doc__,
            __module__=section.__module__,
            **keys,
        )

    return with_keys


class ByFormat(FrozenModel, Generic[ResultT]):
    """A section with a key for every format."""

    @property
    def by_key(self) -> dict[str, ResultT]:
        """The measured results, by the key of their format."""
        found = {format.key: getattr(self, format.key) for format in preferred()}
        return {key: result for key, result in found.items() if result is not None}

    @property
    def candidates(self) -> dict[str, ResultT]:
        """The measured results, by the name of their format."""
        return {FORMATS[key].name: result for key, result in self.by_key.items()}
