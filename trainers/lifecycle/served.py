"""What an experiment shows a parameter-server run that trains its model."""

from trainers.lifecycle.command_line import setting


def main_updates_setting():
  """The field `main_updates` of an experiment's settings on a cluster."""
  return setting(
    "sync",
    "sync: the mean of a round's gradients is applied; async: every share's at "
    "once",
    "SM §4 names both",
    choices=("sync", "async"),
  )
