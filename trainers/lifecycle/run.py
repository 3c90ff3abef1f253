"""A run and its folder: the one unit that every trainer reads and writes.

```
WORKDIR/
  config.json       the settings; another command must agree with them
  command.txt       the command line that started the run
  environment.json  versions, processor, devices
  metrics.csv       one row per evaluation; no clock times, so it reproduces
  tensorboard/      the same numbers, and pictures, for TensorBoard
  checkpoints/      the newest three
  finished.json     the result; present once the run is complete
  SHA256SUMS        digests of the finished run's files
  claims/           who has worked on it
```

The same command again resumes at the step where the run stopped.
"""

import contextlib
import csv
import dataclasses
import errno
import glob
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import tempfile
import time

import tensorflow as tf

from trainers.lifecycle import checkpoints, claims, files, sharing, sums
from trainers.lifecycle.command_line import CommandError, full_disk
from trainers.lifecycle.events import Events
from trainers.lifecycle.progress import Progress


class Stopped(Exception):
  """The run was asked to stop; what it had is saved. Exit code 128 + signal."""

  def __init__(self, message, code):
    super().__init__(message)
    self.code = code


class NotFinite(Exception):
  """The loss was not finite; the weights from before that step are saved."""


class Run:
  """One run's folder, opened by `open_run`.

  Attributes:
    workdir: path of the folder.
    config: the frozen dataclass of settings.
    result: what `finish` was given, or None while the run is unfinished.
  """

  def __init__(self, workdir, config, columns, series, claim):
    self.workdir = workdir
    self._claim = claim
    self.config = config
    self.result = _read_result(workdir)
    self._columns = ("step", *((series,) if series else ()), *columns)
    self._series = series
    self._metrics_path = os.path.join(workdir, "metrics.csv")
    self._events = Events(os.path.join(workdir, "tensorboard"), config)
    self._signal = None

  @property
  def finished(self):
    """Whether the run is complete."""
    return self.result is not None

  def restore(self, objects):
    """Restores the newest checkpoint and cuts the metrics back to it.

    Args:
      objects: dict of names to trackable objects, all variables created.

    Returns:
      The step to go on from; 0 for a new run.

    Raises:
      CommandError: metrics.csv is not what it was at that step.
    """
    step = checkpoints.restore(objects, self._checkpoint_folder, self.say)
    rows = self._read_metrics(step)
    self._write_metrics(rows)
    self._events.clear()
    self._events.page(self._command())
    for row in rows:
      self._log_scalars(row)
    if step:
      self.say(f"Resuming at step {step}.")
    return step

  def save(self, objects, step):
    """Saves a checkpoint of `objects` at `step`."""
    self._claim.check()
    with open(self._metrics_path, "a", encoding="utf-8") as file:
      os.fsync(file.fileno())
    notes = {"metrics": _fingerprint(self._read_bytes())}
    checkpoints.save(objects, self._checkpoint_folder, step, notes=notes)

  def log(self, step, values, series=None):
    """Appends a row to metrics.csv and its numbers to TensorBoard.

    Args:
      step: training step.
      values: dict from a column to a number.
      series: which curve this is, if the run logs several side by side.
    """
    self._claim.check()
    row = {"step": step, **values}
    if self._series:
      row[self._series] = series
    row = {name: _format(row[name]) for name in self._columns}
    with open(self._metrics_path, "a", encoding="utf-8", newline="") as file:
      csv.DictWriter(file, self._columns, lineterminator="\n").writerow(row)
    self._log_scalars(row)

  def log_image(self, name, image, step):
    """Shows an image `[H, W, 3]`, uint8, in TensorBoard."""
    self._events.image(name, image, step)

  def log_histogram(self, name, counts, step):
    """Shows how often each of the values 0, 1, 2, ... occurred, in TensorBoard.

    Args:
      name: of the histogram.
      counts: int array `[N]`.
      step: training step.
    """
    self._events.histogram(name, counts, step)

  def progress(self, total, first):
    """A progress report for steps `first` to `total`."""
    return Progress(total, first, self._describe())

  @property
  def is_stopping(self):
    """Whether SIGTERM or Ctrl-C has arrived."""
    return self._signal is not None

  def check_stop(self, objects, step):
    """Saves and raises `Stopped` if SIGTERM or Ctrl-C has arrived."""
    if self._signal is None:
      return
    self.save(objects, step)
    name = signal.Signals(self._signal).name
    raise Stopped(
      f"{name}: stopped at step {step} of {self.workdir}; the same command "
      "resumes there.",
      128 + self._signal,
    )

  def raise_if_stopping(self):
    """Raises `Stopped` if a signal has arrived; saves nothing.

    For the work after the last step, whose checkpoint exists.
    """
    if self._signal is not None:
      name = signal.Signals(self._signal).name
      raise Stopped(
        f"{name}: stopped after the last step of {self.workdir}; the same "
        "command finishes it.",
        128 + self._signal,
      )

  def finish(self, result):
    """Marks the run as complete.

    Args:
      result: dict of the final numbers; a list has one entry per series.
    """
    self._claim.check()
    self._events.result(result)
    self.result = result
    networks = glob.glob("*.npz", root_dir=self.workdir)
    content = files.as_json(result)
    sums.write(
      self.workdir,
      [*networks, *filter(self._has, ("config.json", "metrics.csv"))],
      **{"finished.json": content},
    )
    files.replace(os.path.join(self.workdir, "finished.json"), content)

  def say(self, sentence):
    """Prints a line that names the run."""
    print(f"[{self._describe()}] {sentence}", flush=True)

  def _has(self, name):
    return os.path.exists(os.path.join(self.workdir, name))

  def _describe(self):
    return os.path.relpath(self.workdir)

  @property
  def _checkpoint_folder(self):
    return os.path.join(self.workdir, "checkpoints")

  def _command(self):
    """For people to read; nothing depends on it."""
    path = os.path.join(self.workdir, "command.txt")
    try:
      with open(
        path, encoding="utf-8", errors="replace", opener=files.regular
      ) as file:
        return file.read().strip()
    except OSError:
      return "unknown"

  def _log_scalars(self, row):
    series = f"{self._series}_{row[self._series]}" if self._series else ""
    values = {
      name: float(row[name])
      for name in self._columns
      if name not in ("step", self._series) and row[name]
    }
    self._events.scalars(int(row["step"]), values, series)

  def _read_bytes(self):
    if not os.path.exists(self._metrics_path):
      return b""
    try:
      with open(self._metrics_path, "rb", opener=files.regular) as file:
        return file.read()
    except OSError as error:
      raise CommandError(
        f"{self._metrics_path} cannot be read ({error.strerror}); put the file "
        "back, or train anew in another --workdir."
      ) from error

  def _read_metrics(self, step):
    """The rows up to a step whose checkpoint was restored."""
    if not step:
      return []
    content = self._read_bytes()
    notes = checkpoints.notes_of(self._checkpoint_folder, step)
    if notes:
      # Later rows will be logged again.
      content = content[: notes["metrics"]["bytes"]]
      if _fingerprint(content) != notes["metrics"]:
        raise CommandError(
          f"{self._metrics_path} has been changed or cut since step {step}; "
          "put the file back, or train anew in another --workdir."
        )
    rows = csv.DictReader(content.decode().splitlines())
    return [row for row in rows if int(row["step"]) <= step]

  def _write_metrics(self, rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, self._columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.replace(self._metrics_path, text.getvalue().encode())

  def _on_signal(self, number, frame):
    del frame
    # A second Ctrl-C means now. SIGTERM may follow the first one: a script's
    # processes get both.
    if number == signal.SIGINT and self._signal == signal.SIGINT:
      raise KeyboardInterrupt
    self._signal = self._signal or number

  def _close(self):
    self._events.close()


@contextlib.contextmanager
def open_run(workdir, config, columns, series=None):
  """Opens a run's folder, or makes it.

  While it is open, SIGTERM, SIGHUP and Ctrl-C are kept until `check_stop` asks.

  Args:
    workdir: path of the folder.
    config: frozen dataclass of the run's settings.
    columns: names of the numbers in metrics.csv.
    series: name of a column that tells several curves apart, such as "seed";
      None for one curve.

  Yields:
    A `Run`.

  Raises:
    CommandError: the path is not a folder that can be written, or it holds a
      run with other settings.
    claims.Busy: another process works on it.
  """
  workdir = os.path.abspath(workdir)
  make_folder(workdir)
  # What is finished is only read.
  is_finished = sharing.is_finished(workdir)
  if not is_finished:
    _check_subfolders(workdir)
  with _nobody() if is_finished else claims.hold(workdir) as claim:
    _agree(workdir, config)
    run = Run(workdir, config, columns, series, claim)
    kept = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup leaves it
      kept.append(signal.SIGHUP)
    previous = {
      number: signal.signal(number, run._on_signal) for number in kept
    }
    try:
      yield run
      if run.is_stopping and run.finished:
        raise Stopped(f"stopped; {workdir} is finished.", 128 + run._signal)
    except Exception as error:
      if full_disk(error):  # TensorFlow's errors do not say where
        raise OSError(errno.ENOSPC, "No space left", workdir) from error
      raise
    finally:
      for number, handler in previous.items():
        signal.signal(number, handler)
      run._close()


def make_folder(path, flag="workdir"):
  """Makes a folder that can be written.

  Raises:
    CommandError: there is a file in its place, or it cannot be written.
  """
  try:
    os.makedirs(path, exist_ok=True)
    with tempfile.TemporaryFile(dir=path):
      pass
  except FileExistsError as error:
    raise CommandError(f"--{flag} {path} is a file; name a folder.") from error
  except OSError as error:
    raise CommandError(
      f"--{flag} {path or 'is empty and'} cannot be written "
      f"({error.strerror}); name another folder."
    ) from error


def _check_subfolders(workdir):
  """Refuses a run in which a file stands in the place of a folder."""
  for name in ("checkpoints", "claims", "tensorboard"):
    path = os.path.join(workdir, name)
    if os.path.lexists(path) and not os.path.isdir(path):
      raise CommandError(
        f"{path} is no folder, but a run keeps its {name} there; remove it, or "
        "use another --workdir."
      )


@contextlib.contextmanager
def _nobody():
  """In the place of a claim, where nothing will be written."""
  yield None


def _agree(workdir, config):
  """Writes the settings into a new folder, or compares them with an old one."""
  path = os.path.join(workdir, "config.json")
  wanted = json.loads(json.dumps(dataclasses.asdict(config)))
  found = files.read_json(path)
  if found is None:
    pattern = os.path.join(glob.escape(workdir), "*", "**", "config.json")
    if glob.glob(pattern, recursive=True):
      raise CommandError(
        f"--workdir {workdir} holds several runs in its subfolders; name "
        "another folder for this single run."
      )
    with open(os.path.join(workdir, "command.txt"), "w") as file:
      file.write(shlex.join(["python", *sys.orig_argv[1:]]) + "\n")
    files.replace(
      os.path.join(workdir, "environment.json"), files.as_json(_environment())
    )
    files.replace(path, files.as_json(wanted))
    return
  # A setting that is newer than the run had its default.
  defaults = {
    field.name: field.default
    for field in dataclasses.fields(config)
    if field.default is not dataclasses.MISSING
  }
  found = json.loads(json.dumps(defaults)) | found
  differences = [
    f"{name} is {wanted.get(name)!r} here and {found.get(name)!r} there"
    for name in {**found, **wanted}
    if found.get(name) != wanted.get(name)
  ]
  if differences:
    raise CommandError(
      f"--workdir {workdir} holds a run with other settings: "
      f"{'; '.join(differences)}. Use the same settings to resume it, or "
      "another --workdir."
    )


def _environment():
  packages = ("tensorflow", "keras", "dm-sonnet", "numpy", "tensorboard")
  commit = subprocess.run(
    ["git", "describe", "--always", "--dirty"],
    capture_output=True,
    text=True,
    check=False,
    cwd=os.path.dirname(os.path.abspath(__file__)),
  )
  return {
    "python": platform.python_version(),
    "system": platform.platform(),
    "processors": os.cpu_count(),
    "devices": [device.name for device in tf.config.list_logical_devices()],
    "packages": {name: importlib.metadata.version(name) for name in packages},
    "commit": commit.stdout.strip() or None,
    "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
  }


def _fingerprint(content):
  return {
    "bytes": len(content),
    "sha256": hashlib.sha256(content).hexdigest(),
  }


def _format(value):
  return format(value, ".9g") if isinstance(value, float) else str(value)


def _read_result(workdir):
  """The result of a run that is finished, or None.

  Raises:
    CommandError: a file has changed since the run was finished.
  """
  result = files.read_json(os.path.join(workdir, "finished.json"))
  change = None if result is None else sums.find_change(workdir)
  if change:
    raise CommandError(
      f"{workdir} is a finished run, but its {change}; put the file back, or "
      "train anew in another --workdir."
    )
  return result
