"""Exit codes, for whatever starts a command, and the error of code 2.

Beside them: 0 done, 1 the loss was not finite, 2 a user's mistake, 128 + N
stopped by signal N.
"""

CRASHED = 70  # an error in the program; its traceback has been printed
FAILED = 74  # the machine does not let the run continue
LOST = 75  # another member is gone; restart this process


class CommandError(Exception):
  """A user's mistake: one sentence for the terminal, exit code 2."""
