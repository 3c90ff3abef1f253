"""The trainers' commands, as functions that a fork can run."""

import glob
import os

from data import atari_recordings
from trainers.distillation import train as distillation
from trainers.lifecycle.command_line import CommandError, run_main
from trainers.regression import report as regression_report
from trainers.regression import train as regression
from trainers.synthetic_gradients import train as synthetic_gradients
from trainers.teachers import files, record
from trainers.teachers import train as teachers

TRAINERS = {
  "regression": regression,
  "distillation": distillation,
  "synthetic_gradients": synthetic_gradients,
  "teachers": teachers,
}
GAME = "pong"
_SMALL = {
  "regression": ("--function=booth", "--num_train=20"),
  "distillation": (f"--game={GAME}", "--percentage=50"),
  "synthetic_gradients": ("--num_modules=1",),
  "teachers": (f"--game={GAME}", "--num_steps=200", "--num_threads=2"),
}


class Material:
  """A folder with a recording of a shipped teacher, which some cases need."""

  def __init__(self, folder):
    """Takes the folder; `make` fills it, in a fork."""
    self.folder = folder
    self.recordings = os.path.join(folder, "recordings")
    self.teachers = os.path.join(_repository(), "results", "teachers")

  def make(self):
    """Records the teacher."""
    os.makedirs(self.recordings)
    record.main(
      [
        "record",
        f"--game={GAME}",
        "--num_frames=400",
        f"--workdir={os.path.join(self.recordings, GAME)}",
      ]
    )

  def command(self, trainer, workdir, *flags):
    """A function that runs a trainer's smoke preset, made smaller."""
    argv = [trainer, "--preset=smoke", *_SMALL[trainer]]
    if trainer == "distillation":
      argv += [f"--recordings={self.recordings}", f"--teachers={self.teachers}"]
    argv += [f"--workdir={workdir}", *flags]
    return lambda: run_main(TRAINERS[trainer].main, argv)


def report(workdir, output):
  """A function that writes the regression report."""
  argv = ["report", f"--workdir={workdir}", f"--output={output}"]
  return lambda: run_main(regression_report.main, argv)


def open_recording(folder):
  """A function that reads a recording."""
  return _told(lambda: atari_recordings.Recording(folder))


def open_policy(path):
  """A function that reads a policy and looks its game up."""
  return _told(lambda: files.load_network(path))


def _told(function):
  """What is promised is an error of one sentence."""

  def call():
    try:
      function()
    except (ValueError, CommandError) as error:
      print(f"error: {error}")
      raise SystemExit(2 if len(str(error).splitlines()) == 1 else 70) from None

  return call


def read(folder, *names):
  """Contents of the files of these names below a folder, by path."""
  found = {}
  for name in names:
    pattern = os.path.join(glob.escape(folder), "**", name)
    for path in glob.glob(pattern, recursive=True):
      with open(path, "rb") as file:
        found[os.path.relpath(path, folder)] = file.read()
  return found


def _repository():
  return os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
