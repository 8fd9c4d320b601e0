"""What a later command changes in a report, and what it leaves as it was."""

import pytest
from tests.synthetic_reports.answers import accuracy, answers
from tests.synthetic_reports.costs import latencies
from tests.synthetic_reports.reports import ENVIRONMENT, evaluation, synthetic_report

from eightbit.benchmarks.accuracy.fidelity import ParityResult
from eightbit.benchmarks.accuracy.parity import ARTIFACT_PAIRS, ExecutionsSection
from eightbit.benchmarks.accuracy.tally import FINITE_CHECK
from eightbit.benchmarks.latency.sections import BenchmarkSection
from eightbit.benchmarks.report.checks import Check, VerificationSection
from eightbit.benchmarks.report.deployment import EdgeSection, SelfTestResult, self_test_check
from eightbit.benchmarks.report.document import FidelitySection, Report
from eightbit.benchmarks.report.images import CalibrationSection

MODEL, OTHER_MODEL = "ef" * 32, "12" * 32
OTHER_CPU = ENVIRONMENT.model_copy(update={"cpu": "Another CPU"})
NAN = Check(name=FINITE_CHECK, passed=False, detail="onnx 3")
INTEGERS = Check(name="same integers", passed=True, detail="all within one last bit")

ARTIFACTS, *_ = ARTIFACT_PAIRS


def pair(n: int = 64, max_lsb: int = 0) -> ParityResult:
    ones = dict.fromkeys(("identical_fraction", "within_one_lsb_fraction", "top1_agreement"), 1.0)
    return ParityResult(max_lsb=max_lsb, n=n, **ones)


def board(name: str = "onnx_aarch64", model_sha256: str = MODEL) -> SelfTestResult:
    return SelfTestResult(name=name, machine="aarch64", same_pixels=True, model_sha256=model_sha256)


def board_check(name: str = "onnx_aarch64", *, passed: bool = True) -> Check:
    return Check(name=self_test_check(name), passed=passed, detail="0", synthetic=True)


def report(**sections: object) -> Report:
    """One that a run has left: evaluated on 4,000 images, verified on 64."""
    calibration = CalibrationSection(
        source="photos", images=128, digests=("0" * 16,), also_in_evaluation=7
    )
    return synthetic_report(
        **{
            "parity": {ARTIFACTS: pair(4000), "onnx_vs_reference": pair()},
            "calibration": calibration,
            "environment": ENVIRONMENT,
            **sections,
        }
    )


def changed(before: Report, after: Report) -> set[str]:
    return {name for name in Report.model_fields if getattr(before, name) != getattr(after, name)}


def verified(*checks: Check, images: int = 64) -> VerificationSection:
    return VerificationSection.of(checks, images=images)


class TestEvaluation:
    SECTION = evaluation(
        "flat", images=12, labelled=False, environment=ENVIRONMENT, command="evaluate"
    )

    def evaluated(self, before: Report) -> Report:
        return before.with_evaluation(
            self.SECTION,
            accuracy=accuracy(answers()),
            fidelity=FidelitySection(),
            parity={ARTIFACTS: pair(12)},
            also_in_evaluation=2,
        )

    def test_it_takes_the_place_of_an_earlier_one(self):
        before = report(verification=verified(INTEGERS, NAN))
        after = self.evaluated(before)
        assert after.accuracy == accuracy(answers())
        assert after.fidelity == FidelitySection()
        assert after.parity == {ARTIFACTS: pair(12), "onnx_vs_reference": pair()}
        assert after.calibration.also_in_evaluation == 2
        assert after.verification == verified(INTEGERS)
        assert changed(before, after) == {
            *("accuracy", "fidelity", "parity", "calibration", "evaluation", "verification")
        }

    @pytest.mark.parametrize(("where", "said"), [(ENVIRONMENT, None), (OTHER_CPU, ENVIRONMENT)])
    def test_where_it_ran_is_said_where_that_is_not_the_reports_own(self, where, said):
        after = self.evaluated(report(environment=where)).evaluation
        assert after == self.SECTION.model_copy(update={"environment": said})

    def test_one_that_stopped_leaves_nothing_of_the_one_before(self):
        before = report(max_drop_pp=1.0)
        after = before.without_evaluation().with_checks((NAN,), images=0)
        assert after.accuracy is after.evaluation is after.fidelity is None
        assert after.parity == {"onnx_vs_reference": pair()}
        assert after.calibration.also_in_evaluation == 0
        assert after.verification == verified(INTEGERS, NAN)
        assert after.max_drop_pp == 1.0

    def test_what_the_verification_measured_stays_where_none_was_before(self):
        before = report(evaluation=None, accuracy=None, parity={ARTIFACTS: pair(64)})
        after = before.without_evaluation()
        assert (after.fidelity, after.parity) == (before.fidelity, before.parity)

    def test_pairs_of_more_images_than_the_earlier_evaluation_had_stay(self):
        before = report(parity={ARTIFACTS: pair(64)})
        assert before.without_evaluation().parity == before.parity

    def test_its_check_alone_is_a_verification(self):
        before = report(verification=None)
        failed = before.with_checks((NAN,), images=0)
        assert failed.verification == verified(NAN, images=0)
        assert failed.without_evaluation().verification is None


class TestExecutions:
    SECTION = ExecutionsSection(source="photos", images=8, environment=OTHER_CPU, command="verify")

    def test_pairs_of_this_machine_are_replaced_and_those_of_others_stay(self):
        edge = EdgeSection(elsewhere=(board(),))
        before = report(
            edge=edge, parity={"onnx_vs_reference": pair(), "onnx_aarch64_vs_onnx": pair()}
        )
        new = Check(name="every execution", passed=False, detail="2")
        after = before.with_executions(self.SECTION, {"onnx_vs_onnx_haswell": pair(8)}, (new,))
        assert after.parity == {"onnx_aarch64_vs_onnx": pair(), "onnx_vs_onnx_haswell": pair(8)}
        assert after.executions == self.SECTION
        assert after.verification == verified(INTEGERS, new)
        assert changed(before, after) == {"parity", "executions", "verification"}

    def test_a_report_without_a_verification_gets_one_of_its_images(self):
        after = report(verification=None).with_executions(self.SECTION, {}, (INTEGERS,))
        assert after.verification == verified(INTEGERS, images=8)


class TestOtherMachines:
    def test_a_self_test_takes_the_place_of_an_earlier_one_of_its_name(self):
        first, again = board(), board().model_copy(update={"processor": "cortex-a72"})
        before = report()
        failed, passed = board_check(passed=False), board_check()
        known = before.with_self_test(
            first, {"onnx_aarch64_vs_onnx": pair(3, 9)}, failed, images=3
        ).with_self_test(board("onnx_riscv64"), {}, board_check("onnx_riscv64"), images=3)
        after = known.with_self_test(again, {"onnx_aarch64_vs_onnx": pair(3)}, passed, images=3)
        assert after.edge == EdgeSection(elsewhere=(board("onnx_riscv64"), again))
        assert after.parity == {**before.parity, "onnx_aarch64_vs_onnx": pair(3)}
        assert after.verification == verified(INTEGERS, board_check("onnx_riscv64"), passed)

    def test_a_new_archive_keeps_what_other_machines_answered(self):
        archive = EdgeSection(model_sha256=MODEL, bundle_bytes=9, environment=ENVIRONMENT)
        before = report(edge=EdgeSection(bundle_bytes=8, elsewhere=(board(),)))
        after = before.with_archive(archive)
        assert after.edge == EdgeSection(model_sha256=MODEL, bundle_bytes=9, elsewhere=(board(),))
        assert changed(before, after) == {"edge"}


class TestStale:
    def known(self, archive_of: str | None = MODEL) -> Report:
        names = ("onnx_aarch64_vs_onnx", "onnx_old_vs_onnx", "onnx_old_vs_reference")
        parity = {**dict.fromkeys(names, pair(3)), "onnx_vs_reference": pair()}
        machines = (board(), board("onnx_old", OTHER_MODEL))
        return report(
            edge=EdgeSection(model_sha256=archive_of, bundle_bytes=9, elsewhere=machines),
            parity=parity,
            verification=verified(INTEGERS, board_check(), board_check("onnx_old", passed=False)),
        )

    @pytest.mark.parametrize("archive_of", [MODEL, None])
    def test_what_another_model_answered_is_forgotten(self, archive_of):
        after = self.known(archive_of).without_stale(MODEL)
        assert after.edge == EdgeSection(
            model_sha256=archive_of, bundle_bytes=9, elsewhere=(board(),)
        )
        assert set(after.parity) == {"onnx_aarch64_vs_onnx", "onnx_vs_reference"}
        assert after.verification == verified(INTEGERS, board_check())

    def test_the_archive_of_another_model_is_forgotten(self):
        after = self.known(OTHER_MODEL).without_stale(MODEL)
        assert after.edge == EdgeSection(elsewhere=(board(),))

    def test_without_the_model_nothing_is_left_of_it(self):
        after = self.known().without_stale(None)
        assert after.edge is None
        assert set(after.parity) == {"onnx_vs_reference"}
        assert after.verification == verified(INTEGERS)

    def test_what_is_of_the_model_stays(self):
        before = report(edge=EdgeSection(model_sha256=MODEL, elsewhere=(board(),)))
        assert before.without_stale(MODEL) == before
        assert report().without_stale(None) == report()


def test_a_benchmark_replaces_latency_alone():
    before = report(latency=latencies(2.0))
    section = BenchmarkSection(
        products_per_image=9, launches=5, rounds=3, environment=ENVIRONMENT, command="benchmark"
    )
    after = before.with_latency(latencies(3.0), section)
    assert after.latency == latencies(3.0)
    assert after.benchmark == section.model_copy(update={"environment": None})
    assert changed(before, after) == {"latency", "benchmark"}
    assert before.with_latency((), None).benchmark is None
