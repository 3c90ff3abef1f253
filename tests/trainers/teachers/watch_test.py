"""The film of policies that play side by side."""

import os

import av
import numpy as np
import pytest

from data import atari
from sobolev_tf.export.policies import save_policy
from sobolev_tf.networks.atari import StudentNetwork, TeacherNetwork
from trainers.lifecycle.command_line import CommandError
from trainers.teachers import watch

GAME = "breakout"


@pytest.fixture(scope="module")
def game():
  return atari.get_game(GAME)


@pytest.fixture(scope="module")
def policies(tmp_path_factory, game):
  """A teacher, and students of two methods, as the trainers leave them."""
  folder = tmp_path_factory.mktemp("policies")
  card = {"game": GAME, "action_names": list(game.actions)}
  save_policy(str(folder / "teacher.npz"), TeacherNetwork(4, seed=1), card)
  for method in ("sobolev", "regular"):
    for seed in (3, 2):
      run = folder / "runs" / f"{method}_{seed}"
      run.mkdir(parents=True)
      distilled = {"game": GAME, "method": method, "percentage": 10.0}
      save_policy(
        str(run / "student.npz"),
        StudentNetwork(4, seed=seed),
        {**card, "distilled": {**distilled, "seed": seed}},
      )
  return folder


def run_here(policies, workdir, *settings):
  return watch.main(
    [
      "watch",
      f"--game={GAME}",
      f"--teacher={policies}/teacher.npz",
      f"--students={policies}/runs",
      f"--workdir={workdir}",
      *settings,
    ]
  )


def test_a_film_shows_teacher_and_students(policies, tmp_path, capsys):
  run_here(policies, tmp_path, "--seconds=2")
  said = capsys.readouterr().out
  for name in ("teacher", "sobolev student, 10 %", "regular student, 10 %"):
    assert name in said
  assert os.listdir(tmp_path) == [f"{GAME}.mp4"]
  with av.open(str(tmp_path / f"{GAME}.mp4")) as container:
    assert container.streams.video[0].average_rate == 15
    frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
  assert len(frames) == 30
  assert frames[0].shape[1] % 3 == 0
  panels = np.split(frames[0].astype(int), 3, axis=1)
  # The same start everywhere; below it stand other names and probabilities.
  for panel in panels[1:]:
    assert np.abs(panel[:420] - panels[0][:420]).mean() < 2
  assert np.abs(frames[-1].astype(int) - frames[0]).max() > 100  # it moves


def test_a_player_sees_what_it_shows(game):
  network = StudentNetwork(game.num_actions, seed=1)
  player = watch.Player(network, game, seed=3, is_greedy=False)
  try:
    views = player.views()
    first = next(views)
    assert first.screen.shape == (210, 160, 3)
    assert len({tuple(pixel) for pixel in first.screen[60:90, 80]}) > 3
    np.testing.assert_allclose(first.probabilities.sum(), 1, rtol=1e-5)
    for view in views:
      if view.is_over:
        break
    assert next(views) is view  # it stays as it is
  finally:
    player.close()


def test_the_picture_holds_score_and_probabilities():
  screen = np.zeros([210, 160, 3], np.uint8)
  names = ("NOOP", "LEFT", "RIGHT")

  def picture(score, probabilities, seconds=0):
    view = watch.View(screen, np.array(probabilities), score, False)
    return watch.draw(["a", "b"], [view, view], names, seconds).astype(int)

  plain = picture(1, [1, 0, 0])
  assert plain.shape[0] % 2 == plain.shape[1] % 2 == 0
  for other in (picture(2, [1, 0, 0]), picture(1, [0.5, 0.5, 0])):
    rows = np.flatnonzero(np.abs(plain - other).max(axis=(1, 2)))
    assert len(rows) and rows.min() > 420

  later = np.abs(plain - picture(1, [1, 0, 0], 83)).max(axis=2)
  rows, columns = np.nonzero(later)
  # The clock is in the lower right corner.
  assert rows.min() > len(plain) - 40 and columns.min() > len(plain[0]) - 60


def test_students_in_a_file_are_one_sentence(tmp_path):
  (tmp_path / "m.keras").touch()
  config = watch.Config(game=GAME, students=str(tmp_path / "m.keras"))
  with pytest.raises(CommandError, match="m.keras is a file; name the folder"):
    watch.read_policies(config, None)


def test_a_fresh_clone_films_the_teacher_alone(policies, tmp_path, capsys):
  watch.main(
    [
      "watch",
      f"--game={GAME}",
      f"--teacher={policies}/teacher.npz",
      f"--students={tmp_path}/none",
      f"--workdir={tmp_path}",
      "--seconds=0.2",
    ]
  )
  said = capsys.readouterr().out
  assert "the teacher plays alone; ./scripts/reproduce_figure4.sh" in said
  with av.open(str(tmp_path / f"{GAME}.mp4")) as container:
    assert container.streams.video[0].width == 344


def test_the_student_of_the_smallest_seed_is_taken(policies):
  config = watch.Config(game=GAME, students=str(policies / "runs"))
  path = watch.find_student(config, "sobolev")
  assert path.endswith("sobolev_2/student.npz")


def test_a_mistake_is_one_sentence(policies, tmp_path):
  (tmp_path / "file").write_text("mine")
  cases = [
    (("--percentage=5",), "no sobolev student of breakout from 5 %"),
    (("--game=brakeout",), "did you mean breakout"),
    ((f"--policies={tmp_path}/none.npz",), "does not exist"),
    (
      ("--game=pong", f"--policies={policies}/teacher.npz"),
      "plays breakout, but pong is wanted",
    ),
    ((f"--workdir={tmp_path}/file/below",), "cannot be written"),
  ]
  for settings, phrase in cases:
    with pytest.raises(CommandError, match=phrase):
      run_here(policies, tmp_path / "out", *settings)
  assert not (tmp_path / "out").exists()
