"""The distillation trainer on a real recording: resume, measures, faults."""

import dataclasses
import json
import os
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from data import atari, atari_recorder
from sobolev_tf.distillation.objective import projected_policy_gradient
from sobolev_tf.networks.atari import (
  TeacherNetwork,
  frames_to_blocks,
  frames_to_input,
)
from tests import warm_python
from trainers import export
from trainers.distillation import examples as examples_lib
from trainers.distillation import jacobians, outcome
from trainers.distillation import train as distillation
from trainers.distillation.objective import Objective
from trainers.lifecycle import checkpoints, loop
from trainers.lifecycle.command_line import CommandError
from trainers.lifecycle.run import NotFinite
from trainers.teachers import files as teacher_files

GAME = "breakout"
NUM_FRAMES = 320
_RESULTS = ("metrics.csv", "finished.json")


@pytest.fixture(scope="module")
def material(tmp_path_factory):
  """A teacher that has opinions, and what it says about a few real games."""
  folder = tmp_path_factory.mktemp("material")
  game = atari.get_game(GAME)
  network = TeacherNetwork(game.num_actions, seed=5)
  network.policy.w.assign(300 * network.policy.w)
  (folder / "teachers").mkdir()
  path = str(folder / "teachers" / f"{GAME}.npz")
  scores = {way: {"episodes": [3.0, 5.0]} for way in ("greedy", "sampled")}
  card = {"game": GAME, "action_names": list(game.actions), "scores": scores}
  teacher_files.save_teacher(path, network, card)
  network, _ = teacher_files.load_teacher(path, GAME)

  def policy(frames):
    return network(frames_to_input(tf.constant(frames))).numpy()

  atari_recorder.write_recording(
    str(folder / "recordings" / GAME), game, policy, NUM_FRAMES
  )
  return folder


def config_of(material, **changes):
  return dataclasses.replace(
    distillation.PRESETS["smoke"],
    game=GAME,
    teachers=str(material / "teachers"),
    recordings=str(material / "recordings"),
    **changes,
  )


def arguments(material, workdir, *settings):
  return [
    "--preset=smoke",
    f"--game={GAME}",
    f"--teachers={material}/teachers",
    f"--recordings={material}/recordings",
    f"--workdir={workdir}",
    *settings,
  ]


def run_here(material, workdir, *settings):
  return distillation.main(
    ["distillation", *arguments(material, workdir, *settings)]
  )


def results(workdir):
  return {name: (workdir / name).read_bytes() for name in _RESULTS}


@pytest.mark.parametrize("gib", [0, 1])
def test_stopped_run_resumes_to_the_same_bytes(material, tmp_path, capsys, gib):
  whole, parts = tmp_path / "whole", tmp_path / "parts"
  settings = [f"--jacobian_gib={gib}"]
  run_here(material, whole, *settings)
  if gib:
    shutil.copytree(whole, parts)
  else:  # once, that the same command gives the same run
    run_here(material, parts, *settings)
  capsys.readouterr()
  # As a crash leaves it: a checkpoint of the middle, rows beyond it.
  newest = sorted(parts.glob("checkpoints/step_*"))[-1]
  assert newest.name.endswith("10")
  next(newest.glob("state.data*")).unlink()
  (parts / "finished.json").unlink()
  (parts / "student.npz").unlink()
  run_here(material, parts, *settings)
  assert "Resuming at step 5" in capsys.readouterr().out
  assert results(parts) == results(whole)
  networks = [
    teacher_files.load_network(str(folder / "student.npz"), "student", GAME)[0]
    for folder in (whole, parts)
  ]
  for a, b in zip(*(n.variables for n in networks), strict=True):
    np.testing.assert_array_equal(a, b)
  # Another teacher and its recording, in the same places.
  (whole / "teacher.json").write_text('{"sha256": "another"}')
  with pytest.raises(CommandError, match="a student of another teacher"):
    run_here(material, whole, *settings)


def test_result_holds_measures_baselines_and_scores(
  material, tmp_path, short_games
):
  config = config_of(material, method="regular", num_score_episodes=2)
  result = distillation.train(config, tmp_path)
  examples = examples_lib.TeacherExamples(config)
  logits = examples.recording.logits[examples.held_out]
  best = np.argmax(examples.recording.logits, axis=1)
  majority = np.bincount(best[examples.train]).argmax()
  assert result["majority_error"] == np.mean(
    best[examples.held_out] != majority
  )
  p = tf.nn.softmax(logits).numpy()
  entropy = -np.mean(np.sum(p * np.log(p), axis=1))
  np.testing.assert_allclose(result["teacher_entropy"], entropy, rtol=1e-4)
  assert len(result["score_greedy"]) == len(result["score_sampled"]) == 2
  assert result["teacher_score_greedy"] == [3.0, 5.0]
  # The student in the file is the one that was measured.
  student, card = teacher_files.load_network(str(tmp_path / "student.npz"))
  frames, logits = examples.frames(examples.held_out)
  found = np.argmax(student(frames_to_input(tf.constant(frames))), axis=1)
  assert result["test_error"] == np.mean(found != np.argmax(logits, axis=1))
  assert card["result"] == result and card["distilled"]["method"] == "regular"
  export.export_run(str(tmp_path), str(tmp_path / "model"))
  loaded = tf.saved_model.load(str(tmp_path / "model"))
  served = loaded.serve(tf.constant(frames[:2]))
  np.testing.assert_array_equal(served["action"], found[:2])
  rows = np.genfromtxt(tmp_path / "metrics.csv", delimiter=",", names=True)
  assert list(rows["step"]) == [5, 10]
  np.testing.assert_allclose(rows["test_kl"][-1], result["test_kl"], rtol=0.05)
  assert np.all(np.isnan(rows["train_gradient_distance"]))


def test_distillation_learns(material, tmp_path):
  result = distillation.train(
    config_of(material, num_steps=40, learning_rate=1e-3), tmp_path
  )
  rows = np.genfromtxt(tmp_path / "metrics.csv", delimiter=",", names=True)
  assert result["test_kl"] < 0.7 * rows["test_kl"][0]
  assert np.all(rows["train_gradient_distance"] > 0)


def test_a_search_is_measured_on_training_episodes(material, tmp_path):
  config = config_of(material, validation_share=0.4)
  examples = examples_lib.TeacherExamples(config)
  test = examples_lib.TeacherExamples(config_of(material)).held_out
  everything = examples_lib.TeacherExamples(config_of(material, num_test=10**6))
  assert not set(examples.held_out) & set(everything.held_out)
  assert not set(examples.held_out) & set(examples.train)
  assert max(examples.held_out) < min(test)
  result = distillation.train(config, tmp_path)
  assert "validation_kl" in result and "test_kl" not in result


def test_batches_are_functions_of_seed_and_step(material):
  one, same, other = (
    examples_lib.TeacherExamples(config_of(material, seed=seed))
    for seed in (1, 1, 2)
  )
  np.testing.assert_array_equal(
    one.training_batch(3)[0], same.training_batch(3)[0]
  )
  for batch in (one.training_batch(4), other.training_batch(3)):
    assert np.any(batch[0] != one.training_batch(3)[0])
  assert one.training_batch(3)[0].shape == (16, 84, 84, 4)
  np.testing.assert_array_equal(one.held_out, same.held_out)


@pytest.mark.parametrize(
  "changes",
  [{"num_projections": 3}, {"directions": "argmax"}, {"method": "attention"}],
)
def test_jacobians_hold_what_the_teacher_would_say(material, changes):
  config = config_of(material, jacobian_gib=1.0, **changes)
  examples = examples_lib.TeacherExamples(config)
  batches = distillation.training_batches(config, examples, 4, 6)
  for step, (frames, logits, seed, projection) in enumerate(batches, 4):
    expected, labels = examples.training_batch(step)
    np.testing.assert_array_equal(frames, expected)
    np.testing.assert_array_equal(logits, labels)
    np.testing.assert_array_equal(seed, [config.seed, step])
    v, gradient = projection
    expected = Objective.of(config).draw_directions(logits, seed)
    np.testing.assert_array_equal(v, expected)
    _, wanted = projected_policy_gradient(
      examples.teacher.from_blocks, frames_to_blocks(frames), v
    )
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(gradient, wanted, atol=1e-5 * scale)


def test_jacobians_change_no_more_than_rounding(material, tmp_path):
  results = [
    distillation.train(
      config_of(material, num_steps=5, jacobian_gib=gib), tmp_path / str(gib)
    )
    for gib in (0.0, 1.0)
  ]
  for name in ("test_kl", "gradient_distance", "gradient_cosine"):
    values = [result[name] for result in results]
    np.testing.assert_allclose(*values, rtol=1e-3)


def test_jacobians_are_kept_for_the_next_run_and_within_their_limit(material):
  config = config_of(material)
  examples = examples_lib.TeacherExamples(config)
  needed = jacobians.size(len(examples.train), examples.game.num_actions)
  assert needed == len(examples.train) * 4 * 84 * 84 * 4 * 4 / 2**30
  cache = jacobians.Cache()
  assert cache.get(examples, 0.99 * needed) is None
  held = cache.get(examples, needed)
  again = examples_lib.TeacherExamples(dataclasses.replace(config, seed=8))
  assert cache.get(again, needed) is held
  fewer = dataclasses.replace(config, percentage=30.0)
  other = cache.get(examples_lib.TeacherExamples(fewer), needed)
  assert other is not held


def test_infinite_loss_stops_and_keeps_the_weights(material, tmp_path):
  config = config_of(material, learning_rate=1e30)
  with pytest.raises(NotFinite, match="not finite at step") as error:
    distillation.train(config, tmp_path)
  learner = distillation.build_learner(
    config, examples_lib.TeacherExamples(config)
  )
  step = checkpoints.restore(learner.trackables(), tmp_path / "checkpoints")
  assert f"weights of step {step} are kept" in str(error.value)
  assert loop.is_finite(learner.variables)
  assert not (tmp_path / "finished.json").exists()


def break_recording_of_another_game(material):
  os.rename(material / "recordings" / GAME, material / "recordings" / "pong")
  card = json.loads((material / "teachers" / f"{GAME}.json").read_text())
  card.update(game="pong", action_names=["NOOP", "RIGHT", "LEFT"])
  network = TeacherNetwork(3)
  teacher_files.save_teacher(
    str(material / "teachers" / "pong.npz"), network, card
  )
  return ["--game=pong"]


def break_recording_of_another_teacher(material):
  path = str(material / "teachers" / f"{GAME}.npz")
  network, card = teacher_files.load_teacher(path, GAME)
  network.policy.w.assign(-network.policy.w)
  teacher_files.save_teacher(path, network, card)
  return []


def break_nothing(*settings):
  return lambda material: settings


@pytest.mark.parametrize(
  "damage, phrase",
  [
    (break_recording_of_another_game, "is a recording of breakout"),
    (break_recording_of_another_teacher, "recorded from another teacher"),
    (break_nothing("--game=pung"), "did you mean pong"),
    (break_nothing("--game=freeway"), "freeway"),
    (break_nothing("--percentage=99.9"), "no whole episode to test on"),
    (break_nothing("--percentage=0.1"), "is less than one frame"),
    (break_nothing("--percentage=100"), "below 100"),
    (break_nothing("--validation_share=1"), "below 1"),
    (
      break_nothing("--percentage=10", "--validation_share=0.001"),
      "too few to keep",
    ),
    (break_nothing("--search=none.csv"), "is not the search.csv"),
    (break_nothing("--search=a.csv", "--alpha=1"), "are both given"),
    (break_nothing("--method=regular", "--norm=squared"), "=sobolev; leave it"),
    (break_nothing("--percentage=nan"), "give a finite number"),
  ],
)
def test_faults_are_one_sentence_and_leave_no_folder(
  material, tmp_path, damage, phrase
):
  copy = tmp_path / "material"
  shutil.copytree(material, copy)
  settings = damage(copy)
  with pytest.raises(CommandError, match=phrase) as error:
    run_here(copy, tmp_path / "run", *settings)
  assert "\n" not in str(error.value)
  assert not (tmp_path / "run").exists()


def test_a_score_that_is_not_finite_is_refused_and_nothing_is_lost(
  material, tmp_path, monkeypatch
):
  monkeypatch.setattr(
    outcome.game_scores, "play", lambda *_: np.array([1.0, np.nan])
  )
  with pytest.raises(CommandError, match="is not finite"):
    distillation.train(config_of(material, num_score_episodes=2), tmp_path)
  monkeypatch.undo()
  assert sorted(tmp_path.glob("checkpoints/step_*"))[-1].name.endswith("10")
  assert not (tmp_path / "finished.json").exists()


def test_a_fault_ends_the_command_with_code_two(material, tmp_path):
  result = subprocess.run(
    [
      warm_python.command(),
      "-m",
      "trainers.distillation",
      *arguments(material, tmp_path / "run", "--percentage=99.9"),
    ],
    env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert result.returncode == 2
  lines = [x for x in result.stderr.splitlines() if x.startswith("error:")]
  assert len(lines) == 1 and "Traceback" not in result.stderr
