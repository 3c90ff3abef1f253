"""Trains regression networks: `python -m trainers.regression`."""

from trainers.lifecycle.command_line import run_main
from trainers.regression.train import main

run_main(main)
