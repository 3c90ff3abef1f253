"""Distils policies: `python -m trainers.distillation`."""

from trainers.distillation.train import main
from trainers.lifecycle.command_line import run_main

run_main(main)
