"""What of a verification stands when some of it is verified again."""

import pytest

from eightbit.benchmarks.report.checks import Check, VerificationSection


def check(name: str, passed: bool = True, **more: object) -> Check:
    return Check(name=name, passed=passed, detail="found", **more)


def section(*checks: Check) -> VerificationSection:
    return VerificationSection.of(checks, images=64)


def test_the_verdict_is_that_of_all_checks():
    assert section(check("a"), check("b")).passed
    assert not section(check("a"), check("b", passed=False)).passed


def test_a_check_takes_the_place_of_one_of_its_name_and_the_others_stay():
    before = section(check("a", passed=False), check("b"))
    after = before.merged_with((check("a"), check("c")))
    assert after == section(check("b"), check("a"), check("c"))
    assert (after.passed, after.images) == (True, 64)


@pytest.mark.parametrize(
    ("old", "new", "replaced"),
    [
        (check("a", passed=False), check("a", synthetic=True), False),
        (check("a"), check("a", synthetic=True), False),
        (check("a"), check("a", passed=False, synthetic=True), True),
        (check("a", passed=False, synthetic=True), check("a", synthetic=True), True),
        (check("a", synthetic=True), check("a", passed=False), True),
        (check("a", passed=False), check("a"), True),
    ],
)
def test_synthetic_images_can_only_add_a_failure_to_what_photos_showed(old, new, replaced):
    assert section(old).merged_with((new,)) == section(new if replaced else old)


def test_without_a_failed_check_the_others_decide():
    before = section(check("a"), check("b", passed=False))
    assert before.without({"b"}) == section(check("a"))
    assert before.without({"c"}) == before
    assert before.without({"a", "b"}) is None
