"""Trains teachers: `python -m trainers.teachers`."""

from trainers.lifecycle.command_line import run_main
from trainers.teachers.train import main

run_main(main)
