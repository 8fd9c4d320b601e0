"""What the tables about accuracy show, and what they leave out."""

import numpy as np
import pytest

from eightbit.benchmarks.accuracy.confidence import ConfidenceMeter
from eightbit.benchmarks.accuracy.per_class import ClassDrop
from eightbit.benchmarks.report.tables.accuracy import accuracy_tables, worst_classes


def class_drop(index, drop_pp, p_value=1.0, p_adjusted=1.0):
    return ClassDrop(
        index=index,
        n=100,
        top1_fp32=0.5,
        drop_pp=drop_pp,
        broke=10,
        fixed=5,
        p_value=p_value,
        p_adjusted=p_adjusted,
    )


@pytest.fixture
def accuracy(full_report):
    return full_report.accuracy


WORST = "Classes that lose"


def tables_of(accuracy, labels=None):
    return {table.title: table for table in accuracy_tables(accuracy, labels)}


def with_onnx(accuracy, **changes):
    return accuracy.model_copy(update={"onnx": accuracy.onnx.model_copy(update=changes)})


def test_the_first_table_has_every_model_and_the_verdicts(accuracy):
    table = tables_of(accuracy)["Accuracy on 4,000 images"]
    assert table.rows == (
        ("float", "81.15 %", "91.95 %", "-", "-", "-"),
        ("ONNX", "81.05 %", "92.12 %", "0.10 pp [-0.28, 0.48]", "0.69", "66 (-30 +26)"),
        ("TorchScript", "81.00 %", "92.07 %", "0.15 pp [-0.23, 0.54]", "0.51", "68 (-32 +26)"),
    )
    assert table.note.startswith(
        "ONNX and TorchScript: indistinguishable from zero on 4,000 images. To see a drop of 0.1 "
        "points takes about 110,000 images. drop: "
    )


def test_two_artefacts_that_do_the_same_are_told_once(accuracy):
    alike = accuracy.model_copy(update={"torchscript": accuracy.onnx})
    tables = tables_of(alike)
    assert tables["Accuracy on 4,000 images"].note.startswith("ONNX and TorchScript: indist")
    assert f"{WORST} (ONNX and TorchScript)" in tables
    assert len(tables) == 3


def test_confidence_is_shown_beside_accuracy(accuracy):
    # Of 4,000 a quarter at 55 %, half of those right; the rest at 95 %, 2,744 of 3,000 right: 0.95
    # is 0.0353 too sure, 0.55 by 0.05.
    meter = ConfidenceMeter()
    meter.update(np.full(1000, 0.55), np.arange(1000) < 500)
    meter.update(np.full(3000, 0.95), np.arange(3000) < 2744)
    fp32 = accuracy.fp32.model_copy(update={"confidence": meter.result()})
    table = tables_of(accuracy.model_copy(update={"fp32": fp32}))["Confidence"]
    assert table.rows[0] == ("float", "81.15 %", "85.00 %", "3.90 %")
    assert [row[0] for row in table.rows] == ["float", "ONNX", "TorchScript"]


def test_the_worst_classes_come_first_by_name(accuracy):
    labels = ("cat", "dog", "bird", "fish", "horse", "frog", "ship")
    table = tables_of(accuracy, labels)[f"{WORST} (TorchScript)"]
    assert table.rows[0] == ("fish", "571", "80.04 %", "1.75 pp", "-10 +0", "0.002", "0.014")
    assert table.note.startswith(
        "Least likely by chance first. 7 classes looked at, 1 with a drop that chance does not"
    )
    assert len(table.rows) == 3


@pytest.mark.parametrize("labels", [None, ("cat", "dog")])
def test_a_class_without_a_name_has_its_number(labels, accuracy):
    assert tables_of(accuracy, labels)[f"{WORST} (ONNX)"].rows[0][0] == "3"


def test_classes_are_worst_for_which_chance_explains_the_drop_least():
    classes = (
        class_drop(0, 1.0, p_value=0.5),
        class_drop(1, 2.0, p_value=0.2),
        class_drop(2, 9.0, p_value=0.5),
        class_drop(3, -9.0, p_value=0.001, p_adjusted=0.01),
        class_drop(4, 3.0, p_value=0.01, p_adjusted=0.04),
        class_drop(5, 0.0),
    )
    assert [entry.index for entry in worst_classes(classes)] == [4, 1, 2, 0]


def test_gains_are_not_counted_as_drops(accuracy):
    classes = (
        class_drop(0, 1.0),
        class_drop(1, -9.0, p_value=0.001, p_adjusted=0.002),
    )
    note = tables_of(with_onnx(accuracy, classes=classes))[f"{WORST} (ONNX)"].note
    assert note.startswith(
        "Least likely by chance first. 2 classes looked at, 0 with a drop that chance does not"
    )


@pytest.mark.parametrize("classes", [(), (class_drop(0, 0.0),), (class_drop(0, -1.0),)])
def test_where_no_class_loses_there_is_no_table_of_them(classes, accuracy):
    assert f"{WORST} (ONNX)" not in tables_of(with_onnx(accuracy, classes=classes))


def test_without_labels_there_is_agreement_only(accuracy):
    unknown = {"top1": None, "top5": None, "confidence": None}
    onnx = accuracy.onnx.model_copy(
        update={
            **unknown,
            **dict.fromkeys(("drop_pp", "drop_ci95_pp", "broke", "fixed", "mcnemar_p")),
            "classes": (),
        }
    )
    fp32 = accuracy.fp32.model_copy(update=unknown)
    unlabelled = accuracy.model_copy(update={"fp32": fp32, "onnx": onnx, "torchscript": None})
    (table,) = tables_of(unlabelled).values()
    assert table.title == "Agreement with float on 4,000 images without labels"
    assert table.rows == (("ONNX", "98.35 %", "66"),)


def test_a_float_model_alone_is_shown(accuracy):
    alone = accuracy.model_copy(update={"torchscript": None, "onnx": None})
    tables = tables_of(alone)
    assert list(tables) == ["Accuracy on 4,000 images", "Confidence"]
    assert len(tables["Accuracy on 4,000 images"].rows) == 1
