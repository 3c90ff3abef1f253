"""The asynchronous actor-critic: equalities, masks, resume, faults."""

import csv
import dataclasses
import os
import signal

import numpy as np
import pytest
import tensorflow as tf

from data import atari
from trainers.lifecycle import checkpoints, loop, run
from trainers.lifecycle.command_line import CommandError
from trainers.teachers import actor
from trainers.teachers import scores as game_scores
from trainers.teachers import train as a3c
from trainers.teachers.actor_critic import ActorCritic, Rollout

SMOKE = dataclasses.replace(
  a3c.PRESETS["smoke"], num_threads=1, num_score_games=0
)


def config_of(**changes):
  return dataclasses.replace(SMOKE, **changes)


def run_here(workdir, *settings):
  return a3c.main(
    [
      "a3c",
      "--preset=smoke",
      "--num_threads=1",
      "--num_score_games=0",
      f"--workdir={workdir}",
      *settings,
    ]
  )


@pytest.fixture(scope="module")
def restored():
  """A function that reads a run's newest checkpoint; all share one learner."""
  learner = ActorCritic(SMOKE, 4)

  def restore(workdir):
    folder = workdir / "checkpoints"
    return checkpoints.restore(learner.trackables(), folder), learner

  return restore


def read_rows(workdir):
  with open(workdir / "metrics.csv", encoding="utf-8", newline="") as file:
    return list(csv.DictReader(file))


def state(learner):
  variables = [*learner.network.variables, *learner.optimizer.variables]
  return [v.numpy() for v in variables]


def assert_same(one, other):
  for a, b in zip(one, other, strict=True):
    np.testing.assert_array_equal(a, b)


def synchronous(config, game, num_updates):
  """The same algorithm in one plain loop, without threads or overlap."""
  learner = ActorCritic(config, game.num_actions)
  games = atari.Environments(game, config.num_environments, 0)
  frames, draw = games.reset(), 0

  def act():
    actions, values = learner.act(
      tf.constant(frames), tf.constant([0, draw], tf.int32)
    )
    return actions.numpy(), values.numpy()

  actions, values = act()
  for update in range(num_updates):
    seen = []
    for _ in range(config.rollout_length):
      step = games.step(actions)
      seen.append((frames, actions, step))
      frames, draw = step.frames, draw + 1
      actions, values = act()
    following, returns = values, []
    for _, _, step in reversed(seen):
      following = np.clip(step.reward, -1, 1) + config.discount * np.where(
        step.is_last | step.life_lost, 0, following
      )
      returns.insert(0, following)
    rollout = Rollout(
      np.array([f for f, _, _ in seen]),
      np.array([a for _, a, _ in seen]),
      np.array(returns, np.float32),
      np.array([~s.was_ignored for _, _, s in seen], np.float32),
    )
    steps = (update + 1) * rollout.actions.size
    # The rate of the moment at which the actor learns: it has claimed the next
    # rollout's steps by then, unless there is none.
    claimed = min(steps + rollout.actions.size, config.num_steps)
    learner.learn(
      rollout, config.learning_rate * (1 - claimed / config.num_steps)
    )
  games.close()
  return learner


def test_one_thread_equals_the_synchronous_algorithm_bit_for_bit():
  # Long enough for lost lives in most of the games.
  config = config_of(num_steps=240, num_environments=4)
  game = atari.get_game(config.game)
  learner = ActorCritic(config, game.num_actions)
  (only,) = a3c.build_actors(config, game, learner, 0)
  only.counter.limit = config.num_steps
  only.run()
  only.close()
  assert only.counter.value == 240
  plain = synchronous(config, game, 12)
  assert plain.optimizer.iterations.numpy() == 12
  assert_same(state(learner), state(plain))


class Script:
  """Environments that answer what a test wrote down."""

  def __init__(self, steps):
    self._steps = iter(steps)

  def reset(self):
    return np.zeros([2, 84, 84, 4], np.uint8)

  def send(self, actions):
    pass

  def receive(self):
    return next(self._steps)


class Recorder:
  """A learner that keeps the rollouts; frames' first pixel is the value."""

  def __init__(self):
    self.rollouts, self.rates = [], []

  def act(self, frames, draw):
    values = tf.cast(frames[:, 0, 0, 0], tf.float32)
    return tf.fill([2], draw[1] % 4), values

  def learn(self, rollout, rate):
    self.rollouts.append(rollout)
    self.rates.append(rate)
    return True, np.zeros(4)


def scripted_step(number, reward, over=(), lost=(), ignored=()):
  frames = np.full([2, 84, 84, 4], number, np.uint8)

  def flags(which):
    return np.isin(np.arange(2), which)

  return atari.Step(
    frames,
    np.array(reward, np.float32),
    flags(over),
    flags(over),
    flags(lost),
    flags(ignored),
    flags(()),
  )


def test_rollouts_hold_returns_masks_and_scores(monkeypatch):
  steps = [
    scripted_step(1, [7, 0]),
    scripted_step(2, [0, -3], lost=[0]),
    scripted_step(3, [2, 0], ignored=[0], over=[1]),
    scripted_step(4, [1, 0], ignored=[1]),
  ]
  monkeypatch.setattr(actor.atari, "Environments", lambda *a: Script(steps))
  config = config_of(
    rollout_length=2, num_steps=8, discount=0.5, learning_rate=1.0
  )
  recorder = Recorder()
  one = actor.Actor(
    config,
    atari.get_game("breakout"),
    recorder,
    actor.StepCounter(0, config.num_steps),
    0,
  )
  one.counter.limit = 8
  one.run()
  first, second = recorder.rollouts
  # Rewards are clipped to 1; a lost life ends a return, values bootstrap it.
  np.testing.assert_array_equal(first.returns, [[1, -0.5 + 0.25 * 2], [0, 0]])
  np.testing.assert_array_equal(first.weights, [[1, 1], [1, 1]])
  np.testing.assert_array_equal(
    second.returns, [[1 + 0.5 * 1 + 0.25 * 4, 0], [1 + 0.5 * 4, 0.5 * 4]]
  )
  np.testing.assert_array_equal(second.weights, [[0, 1], [1, 0]])
  # Each action stands beside the frame it was chosen for.
  np.testing.assert_array_equal(first.frames[:, 0, 0, 0, 0], [0, 1])
  np.testing.assert_array_equal(first.actions[:, 0], [0, 1])
  np.testing.assert_array_equal(second.frames[:, 0, 0, 0, 0], [2, 3])
  np.testing.assert_array_equal(second.actions[:, 0], [2, 3])
  # The score is not clipped, and only whole games count.
  assert one.take_scores() == [-3.0]
  assert one.take_scores() == []
  np.testing.assert_allclose(recorder.rates, [0.0, 0.0])


def test_learning_rate_falls_linearly_to_zero():
  config = config_of(learning_rate=0.5)
  counter = actor.StepCounter(0, 1000)
  one = actor.Actor.__new__(actor.Actor)
  one.counter, one._config = counter, config
  rates = []
  for counter.value in (0, 250, 1000, 1010):
    rates.append(one.learning_rate())
  np.testing.assert_allclose(rates, [0.5, 0.375, 0, 0])


def test_a_seed_fixes_a_run_of_one_thread(tmp_path, restored):
  rows, weights = [], []
  for name in ("a", "b"):
    workdir = tmp_path / name
    assert run_here(workdir, "--num_steps=120", "--log_every=60") == 0
    weights.append(state(restored(workdir)[1]))
    rows.append(read_rows(workdir))
    for row in rows[-1]:
      for name in ("steps_per_second", *actor.TASKS):
        row.pop(name)
  assert_same(*weights)
  assert rows[0] == rows[1]
  assert [row["step"] for row in rows[0]] == ["60", "120"]


def test_threads_share_the_steps_and_the_variables(
  tmp_path, restored, short_games
):
  config = config_of(num_threads=3, num_steps=200, num_score_games=1)
  result = a3c.train(config, tmp_path)
  assert set(result) == {
    *("sampled_mean", "sampled_std", "greedy_mean", "greedy_std")
  }
  step, learner = restored(tmp_path)
  assert 200 <= step < 230  # whole rollouts of each thread
  updates = learner.optimizer.iterations.numpy()
  assert updates == step // 10
  assert loop.is_finite(learner.network.variables)
  row = read_rows(tmp_path)[-1]
  assert float(row["entropy"]) == pytest.approx(np.log(4), abs=0.01)
  assert float(row["learning_rate"]) == 0.0
  assert float(row["loss"]) == pytest.approx(
    config.value_weight * float(row["value_error"])
    - float(row["score_term"])
    - config.entropy_weight * float(row["entropy"])
  )
  assert sum(float(row[name]) for name in actor.TASKS) == pytest.approx(1)


def test_stopped_run_goes_on_from_its_checkpoint(
  tmp_path, monkeypatch, capsys, restored
):
  settings = ("--num_steps=120", "--log_every=40", "--checkpoint_every=80")
  log = run.Run.log

  def log_and_stop(self, step, values):
    log(self, step, values)
    os.kill(os.getpid(), signal.SIGTERM)

  monkeypatch.setattr(run.Run, "log", log_and_stop)
  assert run_here(tmp_path, *settings) == 128 + signal.SIGTERM
  assert "SIGTERM: stopped at step 40" in capsys.readouterr().err
  monkeypatch.setattr(run.Run, "log", log)
  assert run_here(tmp_path, *settings) == 0
  assert "Resuming at step 40." in capsys.readouterr().out
  assert [r["step"] for r in read_rows(tmp_path)] == ["40", "80", "120"]
  _, learner = restored(tmp_path)
  assert learner.optimizer.iterations.numpy() == 12  # none lost, none twice
  assert run_here(tmp_path, *settings) == 0
  assert "finished already" in capsys.readouterr().out


def test_a_stop_during_the_last_games_is_heard(tmp_path, monkeypatch, capsys):
  settings = ("--num_steps=20", "--num_score_games=1")
  play = game_scores.play

  def stop_and_play(*arguments, **named):
    os.kill(os.getpid(), signal.SIGTERM)
    return play(*arguments, **named)

  monkeypatch.setattr(game_scores, "play", stop_and_play)
  assert run_here(tmp_path, *settings) == 128 + signal.SIGTERM
  assert "stopped after the last step" in capsys.readouterr().err
  assert not (tmp_path / "finished.json").exists()
  monkeypatch.setattr(game_scores, "play", lambda *_, **named: np.ones(1))
  capsys.readouterr()
  assert run_here(tmp_path, *settings) == 0
  assert "actors' time" not in capsys.readouterr().out  # nobody acted


def test_a_resumed_run_plays_other_games():
  config = config_of()
  game = atari.get_game(config.game)
  learner = ActorCritic(config, game.num_actions)
  frames = []
  for step in (0, 100):
    (one,) = a3c.build_actors(config, game, learner, step)
    one.counter.limit = step + 100
    one.run()
    frames.append(one._frames)
    one.close()
  assert np.any(frames[0] != frames[1])


def test_a_gradient_that_is_not_finite_stops_and_keeps_the_weights(
  tmp_path, restored
):
  config = config_of(learning_rate=1e30, reduction="sum", clip=1e30)
  with pytest.raises(run.NotFinite, match="not finite at step") as error:
    a3c.train(config, tmp_path)
  assert "Lower --learning_rate" in str(error.value)
  step, learner = restored(tmp_path)
  assert step
  assert loop.is_finite(learner.network.variables)
  assert not (tmp_path / "finished.json").exists()


def test_faults_give_one_sentence_and_leave_no_folder(tmp_path):
  cases = {
    "--game=brekout": "did you mean breakout",
    "--num_threads=0": "must be 1 or more",
    "--decay=2": "must be below 1",
    "--discount=2": "must be 1 or less",
    "--seed=99999": "must be 20000 or less",
    "--reduction=median": "must be one of sum, mean",
  }
  for flag, phrase in cases.items():
    with pytest.raises(CommandError, match=phrase) as error:
      run_here(tmp_path / "run", flag)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists(), flag


def test_paper_preset_has_the_published_settings():
  paper = dataclasses.asdict(a3c.PRESETS["paper"])
  published = {
    "num_steps": 80_000_000,
    "num_threads": 16,
    "rollout_length": 5,
    "epsilon": 0.1,
    "decay": 0.99,
    "clip": 40.0,
    "reduction": "sum",
    "discount": 0.99,
    "entropy_weight": 0.01,
  }
  assert paper.items() >= published.items()
