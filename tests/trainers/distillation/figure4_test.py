"""Figure 4's runs: their folders and settings, which results are kept under."""

import collections
import dataclasses
import math

import pytest

from trainers.distillation import figure4
from trainers.distillation.search import MEASURES
from trainers.lifecycle import claims, run
from trainers.lifecycle.command_line import CommandError

DESK = figure4.PRESETS["desk"]
COLUMNS = (
  "game,method,percentage,num_steps,alpha,learning_rate,noise,weight_decay,"
  "chosen,chosen_by_error"
)
SEARCH = f"""{COLUMNS}
pong,regular,1.0,1000,0.1,0.001,0.03,0.01,yes,no
pong,regular,1.0,1000,0.1,0.0001,0.03,0.0,no,yes
pong,sobolev,1.0,1000,0.3,0.001,0.03,0.0,yes,yes
pong,sobolev,8.0,1000,3.0,0.0001,0.03,0.0,yes,yes
pong,noise,8.0,1000,0.1,0.001,0.01,0.0,yes,yes
"""


class Trials:
  """Made-up results by the settings of a trial, in place of training."""

  def __init__(self, measure):
    self.measure, self.made = measure, []

  def __call__(self, config, folder):
    self.made.append((config, folder))
    return dict(zip(MEASURES, self.measure(config), strict=True))


def lowest_at(rate, alpha):
  def measure(config):
    kl = math.log10(config.learning_rate / rate) ** 2
    if config.method == "sobolev":
      kl += math.log10(config.alpha / alpha) ** 2
    kl += config.weight_decay + 1 / config.num_steps
    return kl / 2, kl

  return measure


def test_every_method_has_as_many_trials_wherever_its_best_one_lies(tmp_path):
  config = dataclasses.replace(DESK, games=("pong",))
  trials = Trials(lowest_at(3e-3, 0.004))
  assert figure4.search(config, tmp_path, trials) == 0
  counts = collections.Counter()
  for one, folder in trials.made:
    counts[one.validation_share, one.method, one.num_steps] += 1
    assert one.seed == 100 and one.num_score_episodes == 0
    # No test episode takes part.
    assert one.percentage <= one.reserved_percentage
    assert folder.startswith(f"{tmp_path}/pong/validation_")
  kinds = [(0.9, "regular"), (0.9, "sobolev")]
  kinds += [(0.2, method) for method in ("regular", "sobolev", "noise")]
  assert counts == {
    **{(*kind, 250): 12 for kind in kinds},
    **{(*kind, 1_000): 5 for kind in kinds},
  }
  assert len({folder for _, folder in trials.made}) == len(trials.made)
  # The rate of the best trial is beyond the grid, for either method.
  for method in ("regular", "sobolev"):
    final = [
      c for c, _ in trials.made if (c.method, c.num_steps) == (method, 1000)
    ]
    best = min(final, key=lambda c: lowest_at(3e-3, 0.004)(c)[1])
    assert best.learning_rate == 3.1e-3


def test_a_trial_that_is_not_finite_counts_and_the_others_go_on(tmp_path):
  def measure(config):
    if config.learning_rate > 5e-4:
      raise run.NotFinite("the loss is not finite.")
    return lowest_at(3e-4, 0.3)(config)

  config = dataclasses.replace(DESK, games=("pong",), validation_shares=(0.9,))
  trials = Trials(measure)
  assert figure4.search(config, tmp_path, trials) == 1
  short = [c for c, _ in trials.made if c.num_steps == 250]
  assert len(short) == 3 * 12
  assert all(c.learning_rate < 5e-4 for c, _ in trials.made if c not in short)


def test_what_another_process_makes_is_left_to_it(tmp_path):
  def measure(config):
    if config.method == "regular" and config.learning_rate == 1e-3:
      raise claims.Busy("another process works on it.")
    return lowest_at(3e-4, 0.3)(config)

  config = dataclasses.replace(DESK, games=("pong",), validation_shares=(0.9,))
  trials = Trials(measure)
  assert figure4.search(config, tmp_path, trials) == 0
  finished = collections.Counter(c.method for c, _ in trials.made)
  assert finished["sobolev"] == finished["noise"] == 12 + 5
  lengths = {c.num_steps for c, _ in trials.made if c.method == "regular"}
  assert lengths == {250}  # what depends on the others' trials has to wait


def test_a_signal_ends_the_search(tmp_path):
  def measure(config):
    raise run.Stopped("stopped.", 128 + 15)

  config = dataclasses.replace(DESK, games=("pong",))
  trials = Trials(measure)
  assert figure4.search(config, tmp_path, trials) == 128 + 15
  assert len(trials.made) == 1


def test_final_runs_take_what_was_chosen(tmp_path):
  (tmp_path / "search.csv").write_text(SEARCH)
  config = dataclasses.replace(
    DESK,
    stage="final",
    search=str(tmp_path / "search.csv"),
    games=("pong",),
    percentages=(1.0, 50.0),
    seeds=(7, 8),
  )
  found = {folder: one for one, folder in figure4.runs(config, "W")}
  assert list(found) == [
    f"W/pong/seed_{seed}/{rest}"
    for rests in (
      ("students/regular/1.0", "students/regular/50.0")
      + ("students/sobolev/1.0", "students/sobolev/50.0"),
      ("controls/noise", "controls/attention"),
    )
    for seed in (7, 8)
    for rest in rests
  ]
  for folder, one in found.items():
    is_first = "seed_7/students" in folder
    assert one.num_score_episodes == (30 if is_first else 0)
    assert one.validation_share == 0 and one.reserved_percentage == 10
  students = "W/pong/seed_7/students/sobolev"
  assert found[f"{students}/1.0"].alpha == 0.3
  assert found[f"{students}/50.0"].alpha == 3.0
  assert found["W/pong/seed_8/controls/noise"].noise == 0.01
  regular = "W/pong/seed_7/students/regular"
  assert found[f"{regular}/1.0"].weight_decay == 0.01
  assert found[f"{regular}/1.0"].learning_rate == 1e-3
  by_error = dataclasses.replace(config, choose_by="error")
  found = {folder: one for one, folder in figure4.runs(by_error, "W")}
  assert found[f"{regular}/1.0"].weight_decay == 0
  assert found[f"{regular}/1.0"].learning_rate == 1e-4
  assert found["W/pong/seed_8/controls/attention"].alpha == 3.0


def run_here(*settings):
  return figure4.main(["figure4", "--workdir=W", *settings])


def test_runs_are_listed(capsys):
  assert run_here("--preset=smoke", "--games=pong", "--list=true") == 0
  assert capsys.readouterr().out.split() == [
    "W/pong/validation_0.5/regular/updates_5/0.0001/0",
    "W/pong/validation_0.5/regular/updates_5/0.001/0",
    "W/pong/validation_0.5/sobolev/updates_5/0.0001/0.1",
    "W/pong/validation_0.5/sobolev/updates_5/0.001/0.1",
    "W/pong/validation_0.5/noise/updates_5/0.0001/0.03",
    "W/pong/validation_0.5/noise/updates_5/0.001/0.03",
  ]


def test_faults_are_one_sentence():
  for settings, phrase in {
    ("--stage=final",): "--search is missing",
    ("--search=a.csv",): "counts only with --stage=final",
    ("--stage=final", "--search=none.csv"): "is not the search.csv",
    ("--alphas=0.1,nan",): "give a finite number",
    ("--validation_shares=1",): "must be below 1",
    ("--choose_by=error",): "counts only with --stage=final",
    ("--rates=0.1,0.01",): "in ascending order",
    ("--alphas=0.1",): "as many values as each other",
    ("--num_trials=8",): "there are 9 pairs",
    ("--lengths=0.25,0.5",): "let it end with 1",
  }.items():
    with pytest.raises(CommandError, match=phrase):
      run_here(*settings)
