"""Atari games as the paper's experiment sees them (SM §3).

The emulator, its preprocessing and the parallel environments are ale-py's.
This file holds the settings, each with its reason, the actions of each game,
and one rule for what happens when a life or a game ends.
"""

import dataclasses
import difflib
import typing

import ale_py
import numpy as np
from ale_py import roms
from ale_py.vector_env import AtariVectorEnv

SIDE = 84
HISTORY = 4
ACTION_REPEAT = 4  # emulator frames per action
# The screen that people see.
_SCREEN = {
  "img_height": 210,
  "img_width": 160,
  "grayscale": False,
  "stack_num": 1,
}
# The customary half hour of play at 60 frames a second, to learn from.
MAX_EPISODE_FRAMES = 108_000

# Pong's minimal set has six actions, of which three are duplicates: FIRE does
# nothing but serve, and the paddle moves the same with and without it.
_CHOSEN = {"pong": ("NOOP", "RIGHT", "LEFT")}
_SETTINGS = {
  # The paper's input: grey, 84x84, the last four frames.
  "img_height": SIDE,
  "img_width": SIDE,
  "grayscale": True,
  "stack_num": HISTORY,
  "frameskip": ACTION_REPEAT,
  # Some games draw a sprite in every other frame only.
  "maxpool": True,
  # Random starts; without them a deterministic policy would play one game.
  "noop_max": 30,
  # No sticky actions: the teachers of 2016 and 2017 had none.
  "repeat_action_probability": 0.0,
  "full_action_space": False,
  # "episodic_life" would start a new game at each lost life; reporting it
  # lets the game go on while the learner ends its return.
  "episodic_life": False,
  "life_loss_info": True,
  # The score is wanted as it is; the learner clips what it learns from.
  "reward_clipping": False,
  # A game that waits for FIRE would otherwise wait for a random one.
  "use_fire_reset": True,
}


@dataclasses.dataclass(frozen=True)
class Game:
  """A game and the actions that a policy chooses from.

  Attributes:
    name: ale-py's name in snake case.
    actions: names of the actions, in the order of the policy's outputs.
    codes: index of each action in ale-py's minimal set.
  """

  name: str
  actions: tuple[str, ...]
  codes: tuple[int, ...]

  @property
  def num_actions(self):
    """Size of a policy."""
    return len(self.actions)


class Step(typing.NamedTuple):
  """The outcome of the last actions, in N environments side by side.

  Attributes:
    frames: uint8 `[N, 84, 84, 4]`, grey, oldest first: what to act on next.
    reward: float32 `[N]`, change of the score, not clipped.
    is_last: bool `[N]`, the game is over; frames are its last.
    is_terminal: bool `[N]`, it ended by its rules and not at the limit.
    life_lost: bool `[N]`, a life was lost and the game goes on.
    was_ignored: bool `[N]`, the last action had no effect of its own, because
      a new game began instead or FIRE was pressed after a lost life: it is
      not to be learned from.
    is_first: bool `[N]`, frames are the first of a game.
  """

  frames: np.ndarray
  reward: np.ndarray
  is_last: np.ndarray
  is_terminal: np.ndarray
  life_lost: np.ndarray
  was_ignored: np.ndarray
  is_first: np.ndarray


def get_game(name):
  """Looks a game up.

  Args:
    name: in snake case, such as "space_invaders".

  Returns:
    A `Game`.

  Raises:
    ValueError: there is no such game, or its ROM is not installed.
  """
  known = sorted(roms.get_all_rom_ids())
  if name not in known:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(close)}?" if close else "see ale-py's list"
    raise ValueError(f"there is no game {name!r} in ale-py; {hint}.")
  path = roms.get_rom_path(name)
  if path is None:
    raise ValueError(
      f"the ROM of {name} is not installed; pip install 'ale-py>=0.12.1', "
      "which brings it."
    )
  ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
  # Loading such a ROM would end the process.
  if not ale_py.ALEInterface.isSupportedROM(path):
    raise ValueError(
      f"ale-py brings the ROM of {name} but cannot play it; name another game."
    )
  emulator = ale_py.ALEInterface()
  emulator.loadROM(path)
  minimal = [action.name for action in emulator.getMinimalActionSet()]
  chosen = _CHOSEN.get(name, tuple(minimal))
  return Game(
    name,
    chosen,
    tuple(minimal.index(action) for action in chosen),
  )


class Environments:
  """N games side by side, each starting anew when it is over.

  `send` hands over actions and returns at once; `receive` waits for their
  outcome, so that something else can be computed meanwhile. A new game begins
  with the action after its predecessor's last frame, which is ignored, as is
  the first one after a lost life where FIRE is an action: some games, such as
  Breakout, wait for it, and a policy that never presses it would stall.
  """

  def __init__(
    self,
    game,
    num_environments,
    seed=0,
    num_threads=1,
    is_screen=False,
    max_episode_frames=MAX_EPISODE_FRAMES,
  ):
    """Starts the emulators.

    Args:
      game: a `Game`.
      num_environments: N.
      seed: of the random starts; environment n has seed + n.
      num_threads: of the emulation.
      is_screen: whether frames are the screens in colour, uint8
        `[N, 210, 160, 3]`, instead of a network's input.
      max_episode_frames: of the emulator, after which a game is cut.
    """
    self.game = game
    self.num_environments = num_environments
    self._seed = seed
    self._environments = AtariVectorEnv(
      game.name,
      num_environments,
      num_threads=num_threads,
      max_num_frames_per_episode=max_episode_frames,
      **(_SETTINGS | _SCREEN if is_screen else _SETTINGS),
    )
    self._arrange = _without_history if is_screen else _channels_last
    self._codes = np.array(game.codes, np.int64)
    self._fire = None
    if "FIRE" in game.actions:
      self._fire = game.actions.index("FIRE")
    self._is_over = np.zeros(num_environments, bool)
    self._must_fire = np.zeros(num_environments, bool)
    self._was_ignored = np.zeros(num_environments, bool)

  def reset(self):
    """Begins a new game everywhere; returns frames `[N, 84, 84, 4]`."""
    frames, _ = self._environments.reset(seed=self._seed)
    self._is_over[:] = False
    self._must_fire[:] = False
    return self._arrange(frames)

  def send(self, actions):
    """Hands over actions `[N]`, indices into the game's actions.

    Returns:
      the actions that are really taken: FIRE after a lost life.
    """
    if self._fire is not None:
      actions = np.where(self._must_fire, self._fire, actions)
    self._was_ignored = self._is_over | self._must_fire
    self._environments.send(self._codes[actions])
    return actions

  def receive(self):
    """Waits for the environments; returns a `Step`."""
    frames, reward, ended, truncated, info = self._environments.recv()
    is_first = self._is_over.copy()
    ended = np.asarray(ended) & ~is_first
    # ale-py calls a lost life an end, too.
    life_lost = ended & (np.asarray(info["lives"]) > 0)
    is_terminal = ended & ~life_lost
    is_last = is_terminal | np.asarray(truncated)
    self._is_over = is_last
    if self._fire is not None:
      self._must_fire = life_lost & ~is_last
    return Step(
      self._arrange(frames),
      np.where(is_first, 0, reward).astype(np.float32),
      is_last,
      is_terminal,
      life_lost & ~is_last,
      self._was_ignored,
      is_first,
    )

  def step(self, actions):
    """`send` and `receive` in one."""
    self.send(actions)
    return self.receive()

  def close(self):
    """Stops the emulators."""
    self._environments.close()


def _without_history(screens):
  return np.array(screens[:, 0])


def _channels_last(frames):
  return np.ascontiguousarray(np.moveaxis(frames, 1, -1))
