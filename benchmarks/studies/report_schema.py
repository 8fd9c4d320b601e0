"""The JSON Schema of `report.json`, made from the report itself.

    python -m eightbit.benchmarks.studies.report_schema --out docs/schema/report-1.json

writes the published file again; without `--out` it is printed. The draft is 2020-12.
"""

import argparse
import inspect
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import ModelSchema

from eightbit.benchmarks.report.document import REPORT_FORMAT_VERSION, Report

SCHEMA_ID: Final = f"urn:eightbit:report:{REPORT_FORMAT_VERSION}"

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_ATTRIBUTES: Final = "\n\nAttributes:\n"
# A name at the level of "Attributes:", and all that is indented deeper than it.
_ENTRY: Final = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


def report_schema() -> dict[str, Any]:
    """What a report may be, with a description of every part.

    A schema cannot say all that `read_report` checks, such as that verification passed exactly if
    every check did; what it refuses, `read_report` refuses too.
    """
    schema = Report.model_json_schema(schema_generator=_WithAttributes, mode="validation")
    # The reader asks for it first, to tell a report of a newer version from a damaged one.
    schema["required"] = ["format_version", *schema["required"]]
    schema["properties"]["format_version"].pop("default")
    return {
        "$schema": _DIALECT,
        "$id": SCHEMA_ID,
        **schema,
        "title": f"eightbit report, format {REPORT_FORMAT_VERSION}",
    }


def schema_text() -> str:
    """The schema as the published file has it."""
    return json.dumps(report_schema(), indent=2, ensure_ascii=False) + "\n"


class _WithAttributes(GenerateJsonSchema):
    """Moves what docstrings say of each attribute, those of base classes too, to the attribute."""

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        part = super().model_schema(schema)
        told: dict[str, str] = {}
        for kind in reversed(schema["cls"].__mro__):
            _, _, attributes = (inspect.getdoc(kind) or "").partition(_ATTRIBUTES)
            told |= {name: _in_one_line(text) for name, text in _ENTRY.findall(attributes)}
        part["description"] = _in_one_line(part["description"].partition(_ATTRIBUTES)[0])
        for name, field in part["properties"].items():
            field.pop("title", None)  # the name once more
            if name in told:
                field["description"] = told[name]
        return part


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the schema, or write it to a file."""
    parser = argparse.ArgumentParser(description="The JSON Schema of report.json.")
    parser.add_argument("--out", type=Path, metavar="FILE", help="written instead of printed")
    out: Path | None = parser.parse_args(arguments).out
    if out is None:
        sys.stdout.write(schema_text())
    else:
        out.write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
