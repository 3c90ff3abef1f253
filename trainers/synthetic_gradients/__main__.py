"""Trains Table 1's classifiers: `python -m trainers.synthetic_gradients`."""

from trainers.lifecycle.command_line import run_main
from trainers.synthetic_gradients.train import main

run_main(main)
