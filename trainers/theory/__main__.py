"""Measures and draws the theory: `python -m trainers.theory`."""

from trainers.lifecycle.command_line import run_main
from trainers.theory.report import main

run_main(main)
