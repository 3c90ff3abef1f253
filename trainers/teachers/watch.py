r"""Films policies that play the same game, side by side.

    python -m trainers.teachers.watch --game=breakout --workdir=DIR

Writes DIR/GAME.mp4: the teacher, and the Sobolev and the regular student that
were distilled from it if there are any, each with its score and the
probabilities of its actions, and a clock. All of them start from the same
screen. --policies films others.
"""

import dataclasses
import glob
import os
import sys
import typing

import av
import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

from data import atari
from sobolev_tf.export import weights
from sobolev_tf.networks.atari import frames_to_input
from trainers.lifecycle import command_line, settings
from trainers.lifecycle.command_line import CommandError, setting
from trainers.teachers import files as teacher_files
from trainers.teachers.files import Played

STEPS_PER_SECOND = 60 // atari.ACTION_REPEAT
_ZOOM = 2
_MARGIN, _LINE, _BAR = 12, 22, 14  # pixels
_INK, _PAPER, _FADED, _FILL = "#f2f2f2", "#16181d", "#8a8f98", "#3d7fd9"


@dataclasses.dataclass(frozen=True)
class Config(Played):
  """Settings of a film."""

  students: str = setting(
    "runs/figure4_desk/final",
    "folder with the runs of trainers.distillation, searched for students",
    "ours",
  )
  percentage: float = settings.percentage(
    10.0, "per cent of the frames that the students learnt from", "§4.2"
  )
  policies: str = setting(
    "", "PATH,... of the policies to film, instead of these three", "ours"
  )
  seconds: float = setting(
    60.0,
    "length at most; a film ends with the last game",
    minimum=0.1,
    maximum=3_600,
  )


class View(typing.NamedTuple):
  """One policy at one moment.

  Attributes:
    screen: uint8 `[210, 160, 3]`.
    probabilities: `[A]`.
    score: points so far.
    is_over: whether its game has ended; the view then stays as it is.
  """

  screen: np.ndarray
  probabilities: np.ndarray
  score: float
  is_over: bool


class Player:
  """A policy with its game: the frames it sees and the screens people see.

  Two emulators get the same actions: one gives the network's input, the other
  the whole picture in colour.
  """

  def __init__(self, network, game, seed, is_greedy):
    """Starts both emulators.

    Args:
      network: from inputs `[B, 84, 84, 4]` to logits `[B, A]`.
      game: an `atari.Game`.
      seed: of the start and of drawn actions.
      is_greedy: whether the most probable action is taken.
    """
    self._game, self._is_greedy = game, is_greedy
    self._rng = np.random.default_rng(seed)
    self._policy = tf.function(
      lambda frames: tf.nn.softmax(network(frames_to_input(frames)))[0],
      autograph=False,
    )
    self._seen = atari.Environments(game, 1, seed)
    self._shown = atari.Environments(game, 1, seed, is_screen=True)
    self._frames = self._seen.reset()
    self._view = self._look(self._shown.reset()[0], 0.0, False)

  def views(self):
    """Yields the `View` before every step, for ever."""
    while True:
      yield self._view
      if not self._view.is_over:
        self._step()

  def close(self):
    """Stops the emulators."""
    self._seen.close()
    self._shown.close()

  def _step(self):
    p = self._view.probabilities.astype(np.float64)
    best = int(np.argmax(p))
    action = (
      best if self._is_greedy else self._rng.choice(len(p), p=p / p.sum())
    )
    seen = self._seen.step(np.array([action]))
    shown = self._shown.step(np.array([action]))
    if seen.reward[0] != shown.reward[0] or seen.is_last[0] != shown.is_last[0]:
      raise RuntimeError("the two emulators of a player no longer agree.")
    self._frames = seen.frames
    self._view = self._look(
      shown.frames[0],
      self._view.score + float(seen.reward[0]),
      bool(seen.is_last[0]),
    )

  def _look(self, screen, score, is_over):
    probabilities = self._policy(tf.constant(self._frames)).numpy()
    return View(screen, probabilities, score, is_over)


def draw(names, views, action_names, seconds):
  """Draws the policies beside each other, with a clock below.

  Args:
    names: of the policies.
    views: a `View` of each.
    action_names: of the game.
    seconds: what the clock shows.

  Returns:
    uint8 `[H, W, 3]`, both even, as the film's encoding wants them.
  """
  height, width = (_ZOOM * side for side in views[0].screen.shape[:2])
  below = 3 * _LINE + len(action_names) * _LINE + _MARGIN
  panel = width + 2 * _MARGIN
  size = (panel * len(views), _MARGIN + height + below)
  picture = Image.new("RGB", [side + side % 2 for side in size], _PAPER)
  pen = ImageDraw.Draw(picture)
  font = ImageFont.load_default(15)
  for number, (name, view) in enumerate(zip(names, views, strict=True)):
    left, top = number * panel + _MARGIN, _MARGIN
    screen = Image.fromarray(view.screen).resize(
      (width, height), Image.Resampling.NEAREST
    )
    picture.paste(screen, (left, top))
    top += height + _MARGIN // 2
    pen.text((left, top), name, _INK, font)
    score = f"{view.score:g}" + (", game over" if view.is_over else "")
    pen.text((left + width, top), score, _INK, font, anchor="ra")
    top += _LINE + _MARGIN // 2
    for action, p in zip(action_names, view.probabilities, strict=True):
      _draw_bar(pen, font, (left, top, width), action, float(p))
      top += _LINE
  minutes, rest = divmod(int(seconds), 60)
  corner = size[0] - _MARGIN, size[1] - _MARGIN // 2
  pen.text(corner, f"{minutes}:{rest:02}", _INK, font, anchor="rd")
  return np.asarray(picture)


def _draw_bar(pen, font, place, action, probability):
  left, top, width = place
  start, end = left + width * 0.45, left + width
  pen.text((left, top), action, _FADED, font)
  pen.rectangle((start, top + 2, end, top + _BAR), outline=_FADED)
  filled = start + (end - start) * probability
  pen.rectangle((start, top + 2, filled, top + _BAR), fill=_FILL)


def film(path, players, action_names, num_steps):
  """Films until the last game is over.

  Args:
    path: of the .mp4; it is there whole or not at all.
    players: dict from a name to a `Player`.
    action_names: of the game.
    num_steps: length at most.

  Returns:
    (scores, steps): the score of each, and how many steps were filmed.
  """
  partial = path + ".partial"
  with av.open(partial, "w", format="mp4") as container:
    stream = container.add_stream("libx264", rate=STEPS_PER_SECOND)
    stream.pix_fmt = "yuv420p"
    moments = zip(*(player.views() for player in players.values()), strict=True)
    for step, views in enumerate(moments, 1):
      seconds = (step - 1) / STEPS_PER_SECOND
      picture = draw(list(players), views, action_names, seconds)
      if step == 1:
        stream.height, stream.width = picture.shape[:2]
      frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
      container.mux(stream.encode(frame))
      if step >= num_steps or all(view.is_over for view in views):
        break
    container.mux(stream.encode())
  os.replace(partial, path)
  scores = [view.score for view in views]
  return dict(zip(players, scores, strict=True)), step


def read_policies(config, game):
  """Reads the policies to film: dict from a name to a network.

  Raises:
    CommandError: one is missing or plays another game.
  """
  if config.policies:
    paths = config.policies.split(",")
  else:
    teacher = config.teacher or teacher_files.default_teacher(config.game)
    paths = [teacher, *_students(config)]
  networks = {}
  for path in paths:
    network, card = teacher_files.load_network(path, game=game.name)
    name = _name(card)
    while name in networks:
      name += "'"
    networks[name] = network
  return networks


def _students(config):
  """Paths of both students; none, with a word, where none were trained yet."""
  if os.path.isdir(config.students):
    return [find_student(config, method) for method in ("sobolev", "regular")]
  if os.path.lexists(config.students):
    raise CommandError(
      f"--students {config.students} is a file; name the folder of their runs."
    )
  print(
    f"There is no {config.students} yet, so the teacher plays alone; "
    "./scripts/reproduce_figure4.sh trains its students."
  )
  return []


def _name(card):
  lesson = _lesson(card)
  if lesson is None:
    return card["kind"]
  return f"{lesson['method']} student, {lesson['percentage']:g} %"


def _lesson(card):
  """What a student's card says of its training; None if it says nothing."""
  found = card.get("distilled")
  wanted = {
    "game": str,
    "method": str,
    "percentage": (int, float),
    "seed": int,
  }
  is_whole = isinstance(found, dict) and all(
    isinstance(found.get(name), kind) for name, kind in wanted.items()
  )
  return found if is_whole else None


def find_student(config, method):
  """Path of the student of a method with the smallest seed.

  Raises:
    CommandError: there is none.
  """
  found = []
  pattern = os.path.join(glob.escape(config.students), "**", "student.npz")
  for path in sorted(glob.glob(pattern, recursive=True)):
    try:
      lesson = _lesson(weights.load_card(path))
    except (ValueError, OSError) as error:
      print(f"Passed over: {error}", file=sys.stderr)
      continue
    wanted = (config.game, method, config.percentage)
    if lesson and wanted == tuple(
      lesson[name] for name in ("game", "method", "percentage")
    ):
      found.append((lesson["seed"], path))
  if not found:
    raise CommandError(
      f"there is no {method} student of {config.game} from "
      f"{config.percentage:g} % of the frames below {config.students}; train "
      "it with ./scripts/reproduce_figure4.sh, or name files with --policies."
    )
  return min(found)[1]


def main(argv):
  """Makes the film that the command line names."""
  command = command_line.parse(argv, Config, {"default": Config()}, __doc__)
  (config,) = command.configs
  try:
    game = atari.get_game(config.game)
  except ValueError as error:
    raise CommandError(str(error)) from error
  networks = read_policies(config, game)
  path = os.path.join(command.workdir, f"{game.name}.mp4")
  players = {}
  try:
    os.makedirs(command.workdir, exist_ok=True)
    for name, network in networks.items():
      players[name] = Player(
        network, game, config.seed, config.actions == "best"
      )
    scores, steps = film(
      path,
      players,
      game.actions,
      max(round(config.seconds * STEPS_PER_SECOND), 1),
    )
  except OSError as error:
    raise CommandError(
      f"{path} cannot be written ({error.strerror or error}); name another "
      "--workdir."
    ) from error
  finally:
    for player in players.values():
      player.close()
  listed = ", ".join(f"{name} {score:g}" for name, score in scores.items())
  print(f"{path}: {steps / STEPS_PER_SECOND:.0f} s; {listed}.")


if __name__ == "__main__":
  command_line.run_main(main)
