"""Checks of a verification, and which of them stand when some are made again."""

from collections.abc import Collection, Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from eightbit.models.spec import Count, FrozenModel


class Check(FrozenModel):
    """One thing that was verified.

    Attributes:
        name: Name of the check.
        passed: Whether it is so.
        detail: Expected and found.
        synthetic: Whether only synthetic images were looked at.
    """

    name: str
    passed: bool
    detail: str
    synthetic: bool = False

    def replaces(self, old: "Check | None") -> bool:
        """Whether this check takes the place of an earlier one of its name.

        What real images showed stands: synthetic ones can only add a failure.
        """
        return (
            old is None or old.synthetic or not self.synthetic or (old.passed and not self.passed)
        )


class VerificationSection(FrozenModel):
    """Whether the artefacts are what the recipe says.

    Attributes:
        images: How many were used.
        passed: Whether every check passed.
        checks: The checks.
    """

    images: Count
    passed: bool
    checks: Annotated[tuple[Check, ...], Field(min_length=1)]

    @classmethod
    def of(cls, checks: Sequence[Check], *, images: int) -> Self:
        """The verdict of some checks, at least one."""
        passed = all(check.passed for check in checks)
        return cls(images=images, passed=passed, checks=tuple(checks))

    def merged_with(self, checks: Sequence[Check]) -> Self:
        """With other checks, each in place of one of its name; see `Check.replaces`."""
        known = {check.name: check for check in self.checks}
        new = {check.name: check for check in checks if check.replaces(known.get(check.name))}
        kept = (check for name, check in known.items() if name not in new)
        return self.of((*kept, *new.values()), images=self.images)

    def without(self, names: Collection[str]) -> Self | None:
        """Without the checks of these names; None where no check is left."""
        checks = [check for check in self.checks if check.name not in names]
        return self.of(checks, images=self.images) if checks else None

    @model_validator(mode="after")
    def _passed_means_every_check(self) -> Self:
        if self.passed != all(check.passed for check in self.checks):
            raise ValueError("passed: expected true exactly if every check passed")
        return self
