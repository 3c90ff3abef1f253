"""Exit codes that whoever starts the members of a cluster understands.

Beside them: 0 done, 1 the loss was not finite, 2 a user's mistake, 128 + N
stopped by signal N.
"""

CRASHED = 70  # an error in the program; its traceback has been printed
FAILED = 74  # the machine does not let the run go on
LOST = 75  # somebody else is gone; start this process again
