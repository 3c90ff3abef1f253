"""Progress of long work: a bar on a terminal, a line every 30 s elsewhere."""

import sys
import time

import tqdm


def time_left(seconds):
  """How long something will take, as a person would say it."""
  if seconds < 60:
    return "less than a minute"
  minutes = round(seconds / 60)
  hours, rest = divmod(minutes, 60)
  return f"about {hours} h {rest} min" if hours else f"about {minutes} min"


class Progress:
  """Counts steps and shows the rate and the time left.

  Use it as a context manager and call `advance_to` with each step reached.
  """

  def __init__(self, total, first=0, description="", interval=30.0):
    """Starts counting.

    Args:
      total: the last step.
      first: the step that the work starts at.
      description: what is being done.
      interval: seconds between two lines when there is no terminal.
    """
    self._total, self._first, self._step = total, first, first
    self._description, self._interval = description, interval
    self._start = self._printed = time.monotonic()
    self._bar = None
    if sys.stderr.isatty():
      self._bar = tqdm.tqdm(
        total=total, initial=first, desc=description, leave=False
      )

  def advance_to(self, step):
    """Records that `step` has been reached."""
    if self._bar is not None:
      self._bar.update(step - self._step)
    self._step = step
    now = time.monotonic()
    is_due = now - self._printed >= self._interval and step < self._total
    if self._bar is None and is_due:
      self._printed = now
      self._print(now)

  def _print(self, now):
    rate = (self._step - self._first) / (now - self._start)
    rest = ""
    if rate:
      left = time_left((self._total - self._step) / rate)
      rest = f", {rate:.1f} steps/s, {left} left"
    print(
      f"[{self._description}] step {self._step:,} of {self._total:,}{rest}",
      flush=True,
    )

  def __enter__(self):
    return self

  def __exit__(self, *unused):
    if self._bar is not None:
      self._bar.close()
