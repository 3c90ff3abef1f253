"""Teachers for the Atari distillation (paper §4.2): asynchronous actor-critic.

    python -m trainers.teachers --preset=desk --game=breakout --workdir=DIR

Actor threads play several games each and update one set of variables at once,
without waiting for each other (Mnih et al. 2016, "A3C"). A step is one action
of one environment, four emulator frames.

The emulators cannot be saved: a resumed run goes on with the same weights,
statistics and learning rate, but with new games. With one thread and no
interruption a seed fixes the run.
"""

import concurrent.futures
import dataclasses
import time

import numpy as np

from data import atari
from trainers.lifecycle import command_line, loop, run
from trainers.lifecycle.command_line import CommandError, setting
from trainers.lifecycle.settings import amount, count, rate, swept
from trainers.teachers import actor
from trainers.teachers.actor_critic import ActorCritic
from trainers.teachers.scores import play_both_ways

COLUMNS = (
  "score",
  "games",
  "loss",
  "score_term",
  "value_error",
  "entropy",
  "gradient_norm",
  "learning_rate",
  "steps_per_second",
  *actor.TASKS,
)
_A3C = "Mnih et al. 2016"


@dataclasses.dataclass(frozen=True)
class Config:
  """Settings of one run; the defaults are the published ones."""

  game: str = swept("breakout", "game of ale-py, in snake case", "§4.2")
  seed: int = amount(
    0,
    "of initial weights, games and actions",
    maximum=20_000,  # times the stride of `actor`, in the emulator's 32 bits
    sweep=True,
  )
  num_steps: int = count(
    80_000_000, "actions in all environments together", "SM §3"
  )
  num_threads: int = count(16, "actor threads", _A3C, maximum=256)
  num_environments: int = count(1, "games per thread", _A3C, maximum=256)
  rollout_length: int = count(
    5, "steps per environment and update", _A3C, maximum=10_000
  )
  learning_rate: float = rate(
    7e-4, "falls linearly to zero over num_steps", _A3C
  )
  decay: float = amount(0.99, "of RMSProp's mean square", _A3C, below=1)
  epsilon: float = amount(0.1, "of RMSProp, inside the square root", _A3C)
  clip: float = setting(
    40.0, "largest norm of an update's gradient", _A3C, above=0
  )
  reduction: str = setting(
    "sum", "of the losses of a rollout", _A3C, choices=("sum", "mean")
  )
  discount: float = amount(0.99, "per step", _A3C, maximum=1)
  entropy_weight: float = amount(0.01, "of the policy's entropy", _A3C)
  value_weight: float = amount(0.5, "of the squared error of the value", _A3C)
  num_score_games: int = amount(
    30,
    "games of the final score, sampled and greedy; 0 for none",
    maximum=1_000,
  )
  log_every: int = count(20_000, "steps between two rows of metrics.csv")
  checkpoint_every: int = count(100_000, "steps between two checkpoints")


_DESK = Config(
  num_steps=3_000_000,
  num_threads=2,
  num_environments=8,
  # 1e-5 is customary outside the root. Inside, it dwarfs the mean squares of
  # these gradients (a norm of 0.2 over 1.7 million weights).
  epsilon=1e-10,
  clip=0.5,
  reduction="mean",
)
PRESETS = {
  "desk": _DESK,
  "paper": Config(),
  "smoke": dataclasses.replace(
    _DESK,
    num_steps=400,
    num_environments=2,
    num_score_games=1,
    log_every=100,
    checkpoint_every=200,
  ),
}


def train(config, workdir):
  """Runs one configuration, or resumes it.

  Args:
    config: a `Config`.
    workdir: folder of the run.

  Returns:
    dict of the final scores.

  Raises:
    CommandError: the folder or the game does not fit.
    run.Stopped: a signal arrived; the state is saved.
    run.NotFinite: a gradient was not finite; the weights before are saved.
  """
  try:
    game = atari.get_game(config.game)
  except ValueError as error:
    raise CommandError(str(error)) from error
  with run.open_run(workdir, config, COLUMNS) as this_run:
    if this_run.finished:
      this_run.say("This run is finished already.")
      return this_run.result
    learner = ActorCritic(config, game.num_actions)
    step = this_run.restore(learner.trackables())
    actors = build_actors(config, game, learner, step)
    try:
      # A run that was stopped during scoring has finished learning.
      if step < config.num_steps:
        with this_run.progress(config.num_steps, step) as progress:
          _play_and_learn(this_run, learner, actors, step, progress)
    finally:
      for one in actors:
        one.close()
    result = score(config, game, learner, this_run.raise_if_stopping)
    this_run.finish(result)
    return result


def build_actors(config, game, learner, step):
  """The actors of a run that begins at `step`, with games of their own."""
  counter = actor.StepCounter(step, config.num_steps)
  return [
    actor.Actor(config, game, learner, counter, index)
    for index in range(config.num_threads)
  ]


def _play_and_learn(this_run, learner, actors, step, progress):
  """Lets the actors run up to the next thing to do, until all is done."""
  config = this_run.config
  counter = actors[0].counter
  objects = learner.trackables()
  begun, logged = time.monotonic(), step
  with concurrent.futures.ThreadPoolExecutor(len(actors)) as threads:
    while step < config.num_steps:
      counter.limit = loop.next_stop(
        step,
        config.log_every,
        config.num_steps,
        config.log_every,
        config.checkpoint_every,
      )
      before = step
      futures = [threads.submit(one.run) for one in actors]
      for future in futures:
        future.result()
      step = counter.value
      progress.advance_to(min(step, config.num_steps))
      if not all(one.is_finite for one in actors):
        advice = "Lower --learning_rate in another --workdir."
        loop.stop_at(this_run, objects, step, advice)
      if _is_due(before, step, config.log_every, config.num_steps):
        rate = (step - logged) / (time.monotonic() - begun)
        _log(this_run, actors, step, rate)
        begun, logged = time.monotonic(), step
      if _is_due(before, step, config.checkpoint_every, config.num_steps):
        this_run.save(objects, step)
      this_run.check_stop(objects, step)
  _tell_times(this_run, actors)


def _is_due(before, step, every, num_steps):
  # The counter moves by whole rollouts, so it may jump over a multiple.
  return before // every < step // every or step >= num_steps


def _log(this_run, actors, step, rate):
  scores = [score for one in actors for score in one.take_scores()]
  parts = np.mean([one.take_parts() for one in actors], axis=0)
  score_term, error, entropy, _ = parts
  config = this_run.config
  loss = (
    config.value_weight * error - score_term - config.entropy_weight * entropy
  )
  times = np.sum([one.take_seconds() for one in actors], axis=0)
  shares = times / max(times.sum(), 1e-9)
  values = [loss, *parts, actors[0].learning_rate(), rate, *shares]
  row = dict(zip(COLUMNS[2:], map(float, values), strict=True))
  row["score"] = float(np.mean(scores)) if scores else ""
  row["games"] = len(scores)
  this_run.log(step, row)


def _tell_times(this_run, actors):
  times = np.sum([one.seconds for one in actors], axis=0)
  shares = times / max(times.sum(), 1e-9)
  this_run.say(
    "Of the actors' time, "
    + ", ".join(
      f"{share:.0%} {name.removeprefix('time_')}"
      for name, share in zip(actor.TASKS, shares, strict=True)
    )
    + "."
  )


def score(config, game, learner, check=lambda: None):
  """Scores of the network over whole games, sampled and greedy.

  `check` is called at every step and may raise, to stop.

  Returns:
    dict with mean, deviation and number of games of each, empty without games.
  """
  found = play_both_ways(
    learner.network, game, config.num_score_games, config.seed, check
  )
  measures = {"mean": np.mean, "std": np.std}
  return {
    f"{way}_{name}": float(measure(scores))
    for way, scores in found.items()
    for name, measure in measures.items()
  }


def main(argv):
  """Trains every configuration that the command line names."""
  command = command_line.parse(argv, Config, PRESETS, __doc__)
  return loop.run_all(command, train, _describe)


def _describe(config, result):
  scores = ", ".join(f"{name} {value:.1f}" for name, value in result.items())
  return f"{config.game} seed {config.seed}: {scores or 'trained'}"
