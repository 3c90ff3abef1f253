"""Figure 4's runs: their folders and settings, which results are kept under."""

import collections
import dataclasses

import pytest

from trainers.distillation import figure4
from trainers.lifecycle.command_line import CommandError

DESK = figure4.PRESETS["desk"]
SEARCH = """game,method,percentage,alpha,learning_rate,noise,chosen
pong,regular,1.0,0.1,0.001,0.03,yes
pong,sobolev,1.0,0.3,0.001,0.03,yes
pong,sobolev,8.0,3.0,0.0001,0.03,yes
pong,noise,8.0,0.1,0.001,0.01,yes
"""


def folders(config):
  return [folder for _, folder in figure4.runs(config, "W")]


def test_a_search_has_the_folders_it_always_had():
  found = folders(dataclasses.replace(DESK, games=("pong",)))
  rates = ("3.2e-05", "0.0001", "0.00032", "0.001")
  alphas = ("0.003", "0.03", "0.3", "3.0")
  wanted = []
  for share in ("0.9", "0.2"):
    parent = f"W/pong/validation_{share}"
    wanted += [f"{parent}/regular/{rate}" for rate in rates]
    wanted += [f"{parent}/sobolev/{alpha}" for alpha in alphas]
  noises = ("0.001", "0.003", "0.01", "0.03")
  wanted += [f"W/pong/validation_0.2/noise/{noise}" for noise in noises]
  assert found == wanted
  paper = dataclasses.replace(figure4.PRESETS["paper"], games=("pong",))
  assert "W/pong/validation_0.9/sobolev/0.3/0.00032" in folders(paper)


@pytest.mark.parametrize("preset", figure4.PRESETS)
def test_every_method_is_searched_with_as_many_trials(preset):
  counts = collections.Counter()
  for config, _ in figure4.runs(figure4.PRESETS[preset], "W"):
    counts[config.game, config.validation_share, config.method] += 1
    assert config.seed == 100 and config.num_score_episodes == 0
    # No test episode takes part.
    assert config.percentage <= config.reserved_percentage
  assert len(set(counts.values())) == 1


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
  assert found["W/pong/seed_8/controls/attention"].alpha == 3.0


def run_here(*settings):
  return figure4.main(["figure4", "--workdir=W", *settings])


def test_runs_are_listed(capsys):
  assert run_here("--preset=smoke", "--games=pong", "--list=true") == 0
  assert capsys.readouterr().out.split() == [
    "W/pong/validation_0.5/regular/0.0001",
    "W/pong/validation_0.5/regular/0.001",
    "W/pong/validation_0.5/sobolev/0.1",
    "W/pong/validation_0.5/sobolev/1.0",
    "W/pong/validation_0.5/noise/0.03",
    "W/pong/validation_0.5/noise/0.1",
  ]


def test_faults_are_one_sentence():
  for settings, phrase in {
    ("--stage=final",): "--search is missing",
    ("--search=a.csv",): "counts only with --stage=final",
    ("--stage=final", "--search=none.csv"): "is not the search.csv",
    ("--alphas=0.1,nan",): "give a finite number",
    ("--validation_shares=1",): "must be below 1",
  }.items():
    with pytest.raises(CommandError, match=phrase):
      run_here(*settings)
