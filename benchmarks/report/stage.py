"""The stages of a run, by the names that `timings_s` and the progress have of them."""

from enum import StrEnum


class Stage(StrEnum):
    """One stage; where there are several of a kind, their names begin with it."""

    LOAD_WEIGHTS = "load weights"
    JOIN_CLUSTER = "join cluster"
    FUSE = "fuse"
    OBSERVE = "observe"
    CALIBRATE = "calibrate"
    TRY_EQUALIZATION = "try equalisation"
    TRY_RANGES = "try ranges"
    CHOOSE_PARAMETERS = "choose parameters"
    ROUND_WEIGHTS = "round weights"
    CORRECT_BIASES = "correct biases"
    TRY_ROUNDINGS = "try roundings"
    RANK_OPERATIONS = "rank operations"
    TRY = "try"
    EXPORT = "export"
    AUDIT = "audit"
    LOAD_ARTEFACTS = "load artefacts"
    LOAD_IMAGES = "load images"
    LOAD_MODELS = "load models"
    VERIFY = "verify"
    CONTINUE = "continue"
    EVALUATE = "evaluate"
    TRY_ALTERNATIVES = "try alternatives"
    DIAGNOSE = "diagnose"
    LATENCY = "latency"
    THROUGHPUT = "throughput"
