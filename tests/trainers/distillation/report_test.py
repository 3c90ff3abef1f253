"""Tables, claims, figures and the search's choice from made-up runs."""

import csv
import dataclasses
import json
import pathlib

import numpy as np
import pytest

from trainers.distillation import config as distillation_config
from trainers.distillation import report as distillation_report
from trainers.distillation import search as distillation_search
from trainers.distillation import search_report
from trainers.lifecycle.command_line import CommandError

SMOKE = distillation_config.PRESETS["smoke"]
GAMES = ("breakout", "pong")
SEARCHED = SMOKE.percentage * (1 - 0.2)


def write_run(folder, error, kl, played=None, **changes):
  """Writes what the trainer leaves behind; error None: unfinished."""
  config = dataclasses.replace(SMOKE, **changes)
  folder.mkdir(parents=True)
  (folder / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
  if error is None:
    return
  names = distillation_config.measures(config)
  with open(folder / "metrics.csv", "w", newline="") as file:
    columns = ("step", *distillation_config.columns(config))
    writer = csv.DictWriter(file, columns, restval=0.5, lineterminator="\n")
    writer.writeheader()
    for step, factor in ((config.num_steps // 2, 2), (config.num_steps, 1)):
      row = dict(zip(names, (factor * error, factor * kl), strict=True))
      writer.writerow({"step": step, **row})
  result = {
    **dict(zip(names, (error, kl), strict=True)),
    "gradient_distance": 0.25,
    "gradient_cosine": 0.5,
    "teacher_gradient_norm": 0.75,
    "majority_error": 0.6,
    "teacher_entropy": 1.2,
    "num_train": 100,
    "num_held_out": 1000,
    **(played or {}),
  }
  (folder / "finished.json").write_text(json.dumps(result))


@pytest.fixture
def undrawn(monkeypatch):
  """What the figures would be drawn from: arguments by the file's name."""
  drawn = {}

  def keep(path, *arguments):
    drawn[pathlib.Path(path).name] = arguments

  monkeypatch.setattr(distillation_report.figures, "save_curves", keep)
  return drawn


@pytest.fixture
def runs(tmp_path):
  """Sobolev: 4 times less KL at 1 % on Breakout, less elsewhere."""
  gains = {("breakout", 1.0): 4, ("breakout", 50.0): 2}
  for game in GAMES:
    for percentage in (1.0, 50.0):
      for seed, spread in enumerate((1.0, 1.02, 0.97)):
        for method in ("regular", "sobolev"):
          gain = 1.0
          if method == "sobolev":
            gain = gains.get((game, percentage), 1.01 if seed else 0.98)
            gain *= (1.0, 1.05, 1 / 1.05)[seed]
          write_run(
            tmp_path / game / f"{percentage}_{method}_{seed}",
            # No error at all in one run: its logarithm must not matter.
            0.2 * spread / gain if (game, seed) != ("pong", 1) else 0.0,
            0.1 * spread**2 / gain,
            {"score_greedy": [10.0, 14.0], "teacher_score_greedy": [20.0]}
            if seed == 0
            else None,
            game=game,
            percentage=percentage,
            method=method,
            seed=seed,
          )
  for method, kl in (("noise", 0.07), ("attention", 0.3)):
    write_run(
      tmp_path / method, 0.1, kl, game="pong", percentage=1.0, method=method
    )
  lost = {"game": "pong", "percentage": 1.0, "method": "sobolev", "seed": 3}
  write_run(tmp_path / "lost", None, None, **lost)
  return tmp_path


def cells(text, *start):
  """The cells of the first table row that begins with `start`."""
  for line in text.splitlines():
    row = [cell.strip() for cell in line.strip("|").split("|")]
    if row[: len(start)] == list(start):
      return row
  raise AssertionError(f"no row {start} in {text}")


def test_report_compares_the_methods_in_every_scenario(runs, tmp_path, undrawn):
  output = tmp_path / "output"
  text, _ = distillation_report.REPORT.write(runs, output)
  assert (output / "table.md").read_text() == text
  row = cells(text, "breakout", "1")
  assert row[2] == "19.93 ± 0.50" and row[6] == "4 (3.54 to 4.52)"
  assert row[8].startswith("shown (p = ") and row[9].startswith("shown (p = ")
  assert row[10:] == ["60.0", "1.200"]
  assert "not settled" in cells(text, "pong", "50")[9]


def test_report_answers_each_sentence_of_the_paper(runs, tmp_path, undrawn):
  text, _ = distillation_report.REPORT.write(runs, tmp_path / "output")
  assert (
    '"In all scenarios", KL: Sobolev is better in 2 of 4 scenarios (shown in '
    "2, contradicted in 0); a Sobolev student is better than a regular one "
    "with probability 0."
  ) in text
  assert "breakout: the gain is larger there; regular KL is 4.00 times" in text
  assert "methods are closest on Pong (their mean ratio: pong 1.00" in text


@pytest.mark.parametrize("pong, word", [(1.5, "are closest"), (3, "are NOT")])
def test_a_large_loss_is_no_small_gap(tmp_path, undrawn, pong, word):
  for game, ratio in (("pong", pong), ("breakout", 0.5)):
    for method, kl in (("regular", 0.1 * ratio), ("sobolev", 0.1)):
      write_run(
        tmp_path / game / method, 0.1, kl, game=game, method=method, seed=0
      )
  text, _ = distillation_report.REPORT.write(tmp_path, tmp_path / "output")
  assert f"{word} " in text and f"pong {pong:.2f}, breakout 0.50" in text


def test_a_loss_in_low_data_is_not_called_a_gain(tmp_path, undrawn):
  for percentage, kl in ((1.0, 0.2), (50.0, 0.3)):
    for seed in (0, 1):
      for method in ("regular", "sobolev"):
        write_run(
          tmp_path / f"{percentage}_{method}_{seed}",
          0.1,
          kl if method == "sobolev" else 0.1,
          game="breakout",
          percentage=percentage,
          method=method,
          seed=seed,
        )
  text, _ = distillation_report.REPORT.write(tmp_path, tmp_path / "output")
  assert "there is NO gain there; regular KL is 0.50 times" in text


def test_report_lists_controls_scores_and_unfinished_runs(
  runs, tmp_path, undrawn
):
  text, _ = distillation_report.REPORT.write(runs, tmp_path / "output")
  row = cells(text, "breakout", "1", "sobolev")
  assert row[7:10] == [
    "0.25 ± 0.00 (0.75)",
    "0.500 ± 0.000",
    "12.0 ± 2.8 (20.0)",
  ]
  assert cells(text, "pong", "1", "sobolev")[11:] == ["3", "1"]
  assert cells(text, "pong", "1", "noise")[3:7] == [
    "-",
    "0.00032",
    "10.00",
    "0.0700",
  ]
  # The games stand in the paper's order.
  assert text.index("| pong |") < text.index("| breakout |")
  with open(tmp_path / "output" / "results.csv") as file:
    lines = list(csv.DictReader(file))
  assert len(lines) == 2 * 2 * 2 * 3 + 3
  (lost,) = [line for line in lines if not line["test_kl"]]
  assert (lost["method"], lost["seed"]) == ("sobolev", "3")
  assert set(undrawn) == {"figure4.png", "controls.png"}


def test_the_figures_are_handed_every_curve(runs, tmp_path, undrawn):
  distillation_report.REPORT.write(runs, tmp_path / "output")
  lines, compared, _ = undrawn["figure4.png"]
  assert list(lines) == [
    (game, measure, percentage)
    for game in ("pong", "breakout")
    for measure in ("test_error", "test_kl")
    for percentage in (1.0, 50.0)
  ]
  assert {tuple(methods) for methods in lines.values()} == {
    ("regular", "sobolev")
  }
  # Each panel has the error of the most frequent action, or the entropy.
  assert set(compared) == set(lines)
  steps, kls = lines["breakout", "test_kl", 1.0]["regular"]
  assert steps == [5, 10]
  spreads = np.array([1.0, 1.02, 0.97])[:, np.newaxis]
  np.testing.assert_allclose(kls, spreads**2 * [0.2, 0.1], rtol=1e-5)
  _, errors = lines["breakout", "test_error", 50.0]["sobolev"]
  gains = 2 * np.array([1, 1.05, 1 / 1.05])[:, np.newaxis]
  np.testing.assert_allclose(errors, spreads / gains * [0.4, 0.2], rtol=1e-5)
  # The controls stand beside both methods, and only where there are any.
  controls, *_ = undrawn["controls.png"]
  assert {key[::2] for key in controls} == {("pong", 1.0)}
  for methods in controls.values():
    assert list(methods) == ["regular", "sobolev", "noise", "attention"]


def test_redrawing_needs_no_runs_and_changes_nothing(tmp_path):
  for method in ("regular", "sobolev", "noise"):
    folder = tmp_path / "runs" / method
    write_run(folder, 0.1, 0.2, game="pong", method=method)
  output = tmp_path / "output"
  text, _ = distillation_report.REPORT.write(tmp_path / "runs", output)
  before = {path: path.read_bytes() for path in output.iterdir()}
  assert len(before) == 8
  for name in ("figure4.png", "controls.png"):
    assert before[output / name].startswith(b"\x89PNG")
  for name in ("table.md", "figure4.png", "controls.png"):
    (output / name).unlink()
  assert distillation_report.REPORT.redraw(output) == text
  assert {path: path.read_bytes() for path in output.iterdir()} == before


def test_a_missing_file_of_curves_leaves_the_picture(
  runs, tmp_path, capsys, undrawn
):
  output = tmp_path / "output"
  distillation_report.REPORT.write(runs, output)
  (output / "curves.csv").unlink()
  undrawn.clear()
  distillation_report.REPORT.redraw(output)
  assert "figure4.png" not in undrawn
  assert "curves.csv is missing, so its figures stay" in capsys.readouterr().err


def test_variants_make_rows_of_their_own(runs, tmp_path, undrawn):
  write_run(
    runs / "variant",
    0.1,
    0.05,
    game="pong",
    percentage=1.0,
    directions="argmax",
    unit_norm=True,
  )
  text, _ = distillation_report.REPORT.write(runs, tmp_path / "output")
  name = "sobolev directions=argmax unit_norm=True"
  assert cells(text, "pong", "1", name)[6] == "0.0500"


def test_runs_that_do_not_belong_together_are_refused(runs, tmp_path):
  settings = {"game": "pong", "percentage": 1.0, "method": "regular"}
  write_run(runs / "again", 0.1, 0.1, **settings, seed=0)
  with pytest.raises(CommandError, match="are the same experiment"):
    distillation_report.REPORT.write(runs, tmp_path / "output")
  write_run(runs / "longer", 0.1, 0.1, **settings, seed=9, num_steps=99)
  with pytest.raises(CommandError, match=r"differ in num_steps \(10 and 99\)"):
    distillation_report.REPORT.write(runs, tmp_path / "output")
  with pytest.raises(CommandError, match="no finished run"):
    distillation_report.REPORT.write(tmp_path / "none", tmp_path / "output")


@pytest.fixture
def search(tmp_path):
  """The best of the trials: 3e-4 by KL, which is not the best by error."""
  trials = {1e-4: (0.1, 0.5), 3e-4: (0.3, 0.2), 1e-3: (None, None)}
  for rate, (error, kl) in trials.items():
    write_run(
      tmp_path / "search" / str(rate),
      error,
      kl,
      game="pong",
      alpha=0.7,
      learning_rate=rate,
      validation_share=0.2,
    )
  return tmp_path / "search"


def test_search_chooses_the_lowest_validation_kl(search, tmp_path):
  # Runs on test episodes have no say in it.
  write_run(search / "final", 0.0, 0.0, game="pong", learning_rate=5e-4)
  text, _ = search_report.REPORT.write(search, tmp_path)
  assert (
    f"pong sobolev at {SEARCHED:g} %, best of 3 trials: alpha 0.7, "
    "learning_rate 0.0003"
  ) in text
  by_kl, by_error = text.splitlines()
  assert "at the edge" not in by_kl  # 3e-4 lies in between
  assert by_error.startswith("  by error: alpha 0.7, learning_rate 0.0001 (at ")
  assert "noise" not in text  # which is another method's
  with open(tmp_path / "search.csv") as file:
    rows = list(csv.DictReader(file))
  assert [row["chosen"] for row in rows] == ["no", "yes", "no"]
  assert [row["chosen_by_error"] for row in rows] == ["yes", "no", "no"]
  assert rows[2]["validation_kl"] == ""  # not finished


def test_a_choice_at_the_edge_of_what_was_tried_is_named(search, tmp_path):
  write_run(
    search / "lower",
    0.1,
    0.1,
    game="pong",
    alpha=0.7,
    learning_rate=1e-5,
    validation_share=0.2,
  )
  text, _ = search_report.REPORT.write(search, tmp_path)
  (line,) = text.splitlines()  # the same by error
  assert line.endswith("(at the edge of the values tried: learning_rate)")


def test_chosen_settings_reach_the_runs_and_their_controls(search, tmp_path):
  search_report.REPORT.write(search, tmp_path)
  chosen = distillation_search.read_choice(tmp_path / "search.csv")
  for method in ("sobolev", "attention"):
    config = dataclasses.replace(SMOKE, game="pong", method=method)
    config = distillation_search.apply_choice(config, chosen)
    assert (config.alpha, config.learning_rate) == (0.7, 3e-4)
  with pytest.raises(CommandError, match="no trial of regular on pong"):
    config = dataclasses.replace(SMOKE, game="pong", method="regular")
    distillation_search.apply_choice(config, chosen)


def test_the_nearest_searched_percentage_counts():
  chosen = {
    ("pong", "sobolev", percentage): {"alpha": alpha, "learning_rate": 1e-3}
    for percentage, alpha in ((1.0, 3.0), (8.0, 0.03))
  }
  found = [
    distillation_search.apply_choice(
      dataclasses.replace(SMOKE, game="pong", percentage=percentage), chosen
    ).alpha
    # 4 lies nearer to 1 by difference and nearer to 8 by ratio; the ratios to
    # both are equal at the root of 8, 2.83.
    for percentage in (0.5, 1.0, 2.8, 2.9, 4.0, 8.0, 50.0)
  ]
  assert found == [3.0, 3.0, 3.0, 0.03, 0.03, 0.03, 0.03]


def test_a_search_in_which_everything_diverged_says_so(search, tmp_path):
  for folder in search.iterdir():
    (folder / "finished.json").unlink(missing_ok=True)
  with pytest.raises(CommandError, match="no finished run"):
    search_report.REPORT.write(search, tmp_path)
  with pytest.raises(CommandError, match="search lower learning rates"):
    distillation_search.choose({(1000, 0.1): None})


def test_short_trials_are_listed_and_nothing_is_chosen_by_them(tmp_path):
  found = {
    (250, 0.1, 1e-3, 0.0, 0.0): (0.1, 0.1),
    (1000, 0.1, 1e-3, 0.0, 0.0): (0.4, 0.2),
    (1000, 0.3, 1e-3, 0.0, 0.0): (0.2, 0.4),
  }
  path = tmp_path / "search.csv"
  distillation_search.write_csv(path, {("pong", "sobolev", 8.0): found})
  chosen = {
    criterion: distillation_search.read_choice(path, criterion)
    for criterion in ("kl", "error")
  }
  assert [c["pong", "sobolev", 8.0]["alpha"] for c in chosen.values()] == [
    0.1,
    0.3,
  ]
  text = search_report.REPORT.redraw(tmp_path)
  assert text.splitlines() == [
    "pong sobolev at 8 %, best of 2 trials: alpha 0.1, learning_rate 0.001 (at "
    "the edge of the values tried: alpha)",
    "  by error: alpha 0.3, learning_rate 0.001 (at the edge of the values "
    "tried: alpha)",
  ]


def test_a_file_that_is_no_search_is_refused(tmp_path):
  other = tmp_path / "other.csv"
  other.write_text("step,loss\n1,2\n")
  for path in (other, tmp_path / "none.csv"):
    with pytest.raises(CommandError, match="is not the search.csv") as error:
      distillation_search.read_choice(path)
    assert "\n" not in str(error.value)
