"""Python imports this as it starts: the command times each model in one short launch.

`tests/quantize/test_pipeline.py` runs it with everything that it measures.
"""

import sys
from pathlib import Path

if [Path(word).name for word in sys.orig_argv[1:2]] == ["eightbit"]:
    from eightbit.benchmarks.latency import launches
    from eightbit.quantize.measure import latency

    launches._WARM_UP_SECONDS = 0.0
    for name, least in {"launches": 1, "rounds": 1, "seconds": 0.05, "limits": 1}.items():
        object.__setattr__(latency.BRIEF, name, least)
