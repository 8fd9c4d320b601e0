"""Runs command lines of eightbit in a process of its own, one after the other.

A line of JSON says the arguments and the folder; a line of JSON answers with what it came to.
Usage: python -m tests.hostile.inputs.server
"""

import json
import os
import resource
import sys
import tempfile
import traceback
import warnings

MOST_BYTES = 2**30


def run(arguments: list[str], folder: str) -> dict[str, object]:
    from eightbit.quantize.cli import entry

    os.chdir(folder)
    sys.argv = ["eightbit", *arguments]
    with (
        tempfile.TemporaryFile(dir="/dev/shm") as out,
        tempfile.TemporaryFile(dir="/dev/shm") as err,
    ):
        kept = [os.dup(1), os.dup(2)]
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        trace = ""
        code: object = None
        try:
            code = entry.main(arguments)
        except SystemExit as exc:
            code = exc.code
        except BaseException:
            trace = traceback.format_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        for descriptor in kept:
            os.close(descriptor)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read(2**20).decode("utf-8", "backslashreplace"))
    return {"code": code, "out": texts[0], "err": texts[1], "trace": trace}


def main() -> None:
    # As the program does in its process.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    os.environ["TORCH_CPP_LOG_LEVEL"] = "ERROR"
    warnings.simplefilter("default")
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))
    with os.fdopen(os.dup(0), "r") as inbox, os.fdopen(os.dup(1), "w") as outbox:
        for line in inbox:
            job = json.loads(line)
            outbox.write(json.dumps(run(job["arguments"], job["folder"])) + "\n")
            outbox.flush()


if __name__ == "__main__":
    main()
