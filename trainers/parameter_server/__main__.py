"""A member of a cluster: `python -m trainers.parameter_server`."""

from trainers.lifecycle.command_line import run_main
from trainers.parameter_server.lifeline import leave_with
from trainers.parameter_server.member import main

leave_with(lambda: run_main(main))
