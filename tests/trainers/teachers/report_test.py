"""From a run's checkpoint to a file that others load, and its report."""

import json
import shutil

import numpy as np
import pytest

from sobolev_tf.export import weights
from sobolev_tf.networks.atari import StudentNetwork, TeacherNetwork
from trainers.lifecycle import tables
from trainers.lifecycle.command_line import CommandError
from trainers.teachers import files as teacher_files
from trainers.teachers import report as teacher_report
from trainers.teachers import scores as game_scores
from trainers.teachers import train as a3c


@pytest.fixture(scope="module")
def runs(tmp_path_factory, short_games):
  """A short run of Breakout that is finished."""
  workdir = tmp_path_factory.mktemp("runs")
  code = a3c.main(
    [
      "a3c",
      "--preset=smoke",
      "--num_steps=60",
      "--num_score_games=2",
      f"--workdir={workdir / 'breakout'}",
    ]
  )
  assert code == 0
  return workdir


@pytest.fixture(scope="module")
def report(runs, tmp_path_factory, short_games):
  output = tmp_path_factory.mktemp("report")
  teacher_report.REPORT.write(str(runs), str(output))
  return output


@pytest.fixture
def undrawn(monkeypatch):
  """Leaves the curves out, which `report` has drawn."""
  monkeypatch.setattr(teacher_report.figures, "save_curves", lambda *_: None)


def report_again(runs, output):
  return teacher_report.main(
    ["teacher_report", f"--workdir={runs}", f"--output={output}"]
  )


def test_a_run_becomes_a_teacher_with_a_card(report, runs):
  network, card = teacher_files.load_teacher(str(report / "breakout.npz"))
  assert isinstance(network, TeacherNetwork) and network.num_actions == 4
  assert card["game"] == "breakout" and card["steps"] >= 60
  assert card["command"] == (
    "python -m trainers.teachers --preset=smoke --game=breakout --num_steps=60 "
    "--num_score_games=2 --workdir=DIR"
  )
  for way in ("sampled", "greedy"):
    scores = card["scores"][way]
    assert len(scores["episodes"]) == 2
    assert scores["mean"] == np.mean(scores["episodes"])
    assert scores["std"] == np.std(scores["episodes"])
  assert (report / "curves.png").stat().st_size > 5000
  assert str(runs) not in (report / "breakout.json").read_text()


def test_the_table_names_the_teacher(report):
  table = (report / "table.md").read_text()
  assert "| breakout | " in table
  assert "at 1M" not in table  # the run has not come so far


def test_an_unchanged_teacher_is_not_played_again(
  report, runs, monkeypatch, undrawn
):
  before = (report / "breakout.json").read_text()

  def refuse(*unused, **also_unused):
    raise AssertionError("it was played again")

  monkeypatch.setattr(game_scores, "play", refuse)
  assert report_again(runs, report) == 0
  assert (report / "breakout.json").read_text() == before
  card = json.loads(before)
  card["steps"] += 1  # another training
  (report / "breakout.json").write_text(json.dumps(weights.seal(card)))
  with pytest.raises(AssertionError, match="played again"):
    report_again(runs, report)
  (report / "breakout.json").write_text(before)


def test_a_score_that_is_not_finite_is_refused(runs, tmp_path, monkeypatch):
  def play(*unused, **also_unused):
    return np.array([1.0, np.nan])

  monkeypatch.setattr(game_scores, "play", play)
  with pytest.raises(CommandError, match="score of breakout is not finite"):
    report_again(runs, tmp_path)
  assert not list(tmp_path.glob("*.npz"))


def test_scores_stand_beside_the_reference():
  steps = np.array([0.91, 0.95, 1.0, 1.02, 2.0])
  scores = np.array([-21, -19, -18, 5, -9])
  learnt = {
    step: teacher_report.score_at(steps, scores, step) for step in (1, 1.5, 2)
  }
  assert learnt == {1: pytest.approx(-58 / 3), 1.5: None, 2: -9}
  empty = dict.fromkeys((*teacher_report._LEARNT, *teacher_report._PLAYED), "")
  row = {"game": "pong", "steps": "3000000", **empty}
  row |= {"score_at_1M": "-19.3333", "score_at_2M": "-9"}
  table = teacher_report.make_table([row])
  # At 3 million steps the reference lies between -16 and 14.
  line = (
    "| pong | 3,000,000 | -19.3 (-20.0) | -9.0 (-16.0) | - (-6.0) | - | - |"
  )
  assert line in table


def test_the_figure_is_handed_every_game_and_score(tmp_path, monkeypatch):
  names = ("steps", *teacher_report._LEARNT, *teacher_report._PLAYED)
  rows = [
    {"game": game, "seed": 0, **dict.fromkeys(names, ""), "steps": steps}
    for game, steps in (("alien", 400_000), ("pong", 3_000_000))
  ]
  tables.write_csv(tmp_path / "results.csv", rows)
  (tmp_path / "curves.csv").write_text(
    "game,seed,step,score\n"
    "pong,0,1000000,-20\npong,0,2000000,-5.5\nalien,0,200000,7\n"
  )
  drawn = {}
  monkeypatch.setattr(
    teacher_report.figures,
    "save_curves",
    lambda _, panels, *texts: drawn.update(panels),
  )
  teacher_report.REPORT.redraw(tmp_path)
  assert list(drawn) == ["alien", "pong"]
  steps, scores, reference = drawn["pong"]
  assert list(steps) == [1, 2] and list(scores) == [-20, -5.5]
  # As far as our 3 million steps go, and one point more.
  assert reference == ((1, 2, 5), (-20.0, -16.0, 14.0))
  steps, scores, reference = drawn["alien"]
  assert list(steps) == [0.2] and list(scores) == [7] and reference is None


def test_the_command_starts_from_the_nearest_preset():
  for name, config in a3c.PRESETS.items():
    assert teacher_report.command_of(config) == (
      f"python -m trainers.teachers --preset={name} --game=breakout "
      "--workdir=DIR"
    )


def test_wrong_folders_give_one_sentence(runs, tmp_path):
  with pytest.raises(CommandError, match="no finished run"):
    report_again(tmp_path, tmp_path / "out")
  copy = tmp_path / "again"
  copy.mkdir()
  for name in ("config.json", "finished.json", "metrics.csv"):
    (copy / name).write_text((runs / "breakout" / name).read_text())
  (tmp_path / "breakout").symlink_to(runs / "breakout")
  with pytest.raises(CommandError, match="same experiment"):
    report_again(tmp_path, tmp_path / "out")


def test_a_run_that_is_not_finished_is_no_teacher_yet(
  runs, tmp_path, capsys, undrawn
):
  half = tmp_path / "runs" / "pong"
  shutil.copytree(runs / "breakout", half)
  (half / "finished.json").unlink()
  with pytest.raises(CommandError, match="no finished run"):
    report_again(tmp_path / "runs", tmp_path / "out")
  shutil.copytree(runs / "breakout", tmp_path / "runs" / "breakout")
  assert report_again(tmp_path / "runs", tmp_path / "out") == 0
  assert "pong is not finished and left out" in capsys.readouterr().err
  assert not (tmp_path / "out" / "pong.npz").exists()


def test_a_damaged_last_checkpoint_is_not_shipped(runs, tmp_path):
  shutil.copytree(runs / "breakout", tmp_path / "runs")
  for folder in (tmp_path / "runs" / "checkpoints").iterdir():
    shutil.rmtree(folder)
  with pytest.raises(CommandError, match="of the last step is damaged"):
    report_again(tmp_path / "runs", tmp_path / "out")
  assert not list((tmp_path / "out").glob("*.npz"))


def test_teachers_of_other_games_and_actions_are_refused(report, tmp_path):
  path = str(report / "breakout.npz")
  with pytest.raises(CommandError, match="plays breakout, but pong is wanted"):
    teacher_files.load_teacher(path, "pong")
  with pytest.raises(CommandError, match="holds a teacher, but a student"):
    teacher_files.load_network(path, "student")
  with pytest.raises(CommandError, match="does not exist"):
    teacher_files.load_teacher(str(report / "pong.npz"))
  for game, names, phrase in (
    ("pong", list("ABCD"), "chooses from A, B, C, D, but pong has NOOP"),
    ("pongo", list("ABCD"), "no game 'pongo'"),
  ):
    other = str(tmp_path / f"{game}.npz")
    card = {"game": game, "action_names": names}
    teacher_files.save_network(other, StudentNetwork(4), card)
    with pytest.raises(CommandError, match=phrase) as error:
      teacher_files.load_network(other)
    assert "\n" not in str(error.value)


def test_a_nan_or_a_wrong_folder_is_one_sentence_when_saving(tmp_path):
  card = {"game": "breakout", "action_names": list("ABCD")}
  network = StudentNetwork(4)
  with pytest.raises(CommandError, match="cannot be written"):
    teacher_files.save_network(str(tmp_path / "no" / "x.npz"), network, card)
  network.policy.b.assign([np.nan, 0, 0, 0])
  with pytest.raises(CommandError, match="not finite"):
    teacher_files.save_network(str(tmp_path / "x.npz"), network, card)
  assert not list(tmp_path.iterdir())
  assert weights.card_path("a/x.npz") == "a/x.json"
