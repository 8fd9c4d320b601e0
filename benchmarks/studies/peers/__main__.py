"""Runs the study; `study` says how."""

import typer

from eightbit.benchmarks.studies.peers.study import main

if __name__ == "__main__":
    typer.run(main)
