"""The trainers' commands, as functions that a fork can run."""

import glob
import hashlib
import io
import os

import tensorflow as tf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from data import atari_recordings
from trainers.distillation import train as distillation
from trainers.lifecycle.command_line import CommandError, run_main
from trainers.regression import report as regression_report
from trainers.regression import train as regression
from trainers.synthetic_gradients import train as synthetic_gradients
from trainers.teachers import files, record
from trainers.teachers import train as teachers
from trainers.theory import report as theory

TRAINERS = {
  "regression": regression,
  "distillation": distillation,
  "synthetic_gradients": synthetic_gradients,
  "teachers": teachers,
}
GAME = "pong"
REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
_FEW = ("--num_steps=8", "--evaluate_every=2", "--checkpoint_every=2")
_SMALL = {
  "regression": (
    *("--function=booth", "--num_train=20", "--num_test=20"),
    *("--hidden_sizes=4", *_FEW),
  ),
  "distillation": (f"--game={GAME}", "--percentage=50", *_FEW),
  "synthetic_gradients": ("--num_modules=1", *_FEW),
  "teachers": (
    *(f"--game={GAME}", "--num_threads=2", "--num_score_games=0"),
    *("--num_steps=80", "--log_every=20", "--checkpoint_every=20"),
  ),
}


class Material:
  """A folder with a recording of a shipped teacher, which some cases need."""

  def __init__(self, folder):
    """Takes the folder; `make` fills it, in a fork."""
    self.folder = folder
    self.recordings = os.path.join(folder, "recordings")
    self.teachers = os.path.join(REPOSITORY, "results", "teachers")

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
    return _cheaply(lambda: run_main(TRAINERS[trainer].main, argv))


def report(workdir, output):
  """A function that writes the regression report."""
  argv = ["report", f"--workdir={workdir}", f"--output={output}"]
  return _cheaply(lambda: run_main(regression_report.main, argv))


def redraw(output):
  """A function that makes the regression report again from its files."""
  argv = ["report", "--redraw", f"--output={output}"]
  return _cheaply(lambda: run_main(regression_report.main, argv))


def redraw_theory(output):
  """A function that makes the theory's page again from its files."""
  argv = ["theory", "--redraw", f"--output={output}"]
  return _cheaply(lambda: run_main(theory.main, argv))


def _cheaply(function):
  """A function without what takes longest and touches no file of a run.

  Tracing and drawing are nine tenths of a small run. Steps are made eagerly
  here, and pictures stay white.
  """

  def call():
    tf.config.run_functions_eagerly(True)
    FigureCanvasAgg.draw = lambda canvas: canvas.get_renderer()
    Figure.savefig = _save_white
    function()

  return call


def _save_white(figure, path, **settings):
  del figure, settings
  if isinstance(path, io.BytesIO):
    Image.new("RGB", (8, 8), "white").save(path, "PNG")
  else:
    with open(path, "wb") as file:
      file.write(b"%PDF-1.4\n")


def open_recording(folder):
  """A function that reads a recording."""

  def read():
    recording = atari_recordings.Recording(folder)
    frames = recording.histories(range(recording.num_frames))
    return [frames, recording.logits, recording.actions, recording.rewards]

  return _told(read)


def open_policy(path):
  """A function that reads a policy and looks its game up."""

  def read():
    network, card = files.load_network(path)
    return [*(v.numpy() for v in network.variables), repr(sorted(card.items()))]

  return _told(read)


def _told(function):
  """What is promised is an error of one sentence, or a digest of the parts."""

  def call():
    try:
      digest = hashlib.sha256()
      for part in function():
        digest.update(
          part.encode() if isinstance(part, str) else part.tobytes()
        )
      print("read:", digest.hexdigest())
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
