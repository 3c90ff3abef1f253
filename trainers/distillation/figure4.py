r"""Figure 4's runs: the search for settings, then the students.

    python -m trainers.distillation.figure4 --stage=search --workdir=DIR/search
    python -m trainers.distillation.figure4 --stage=final --workdir=DIR/final \
        --search=results/figure4/search.csv

Between the two, trainers.distillation.search_report writes search.csv. Every
method is searched with as many trials, on a validation slice of the training
episodes. Several processes of one command share its runs; folders are named by
game and seed, so that more of them can be added later.
"""

import dataclasses

from trainers.distillation.config import PRESETS as RUNS
from trainers.distillation.outcome import describe
from trainers.distillation.search import apply_choice, read_choice
from trainers.distillation.train import train
from trainers.lifecycle import command_line, loop
from trainers.lifecycle.command_line import CommandError, setting

_SEARCH_SEED = 100  # none of the final runs'


@dataclasses.dataclass(frozen=True)
class Config:
  """What is searched and trained; the grids are ours."""

  stage: str = setting(
    "search",
    "search for settings, or train the final students with them",
    choices=("search", "final"),
  )
  runs: str = setting(
    "desk", "preset of trainers.distillation for every run", choices=RUNS
  )
  search: str = setting(
    "", "search.csv with the settings of the final students", "ours"
  )
  games: tuple[str, ...] = setting(
    ("pong", "breakout", "space_invaders"), "games of ale-py", "§4.2"
  )
  percentages: tuple[float, ...] = setting(
    (1.0, 5.0, 10.0, 50.0),
    "per cent of the frames that students learn from",
    "Figure 4",
    above=0,
    below=100,
  )
  seeds: tuple[int, ...] = setting(
    (0, 1, 2), "one student each; the first one's also play", minimum=0
  )
  num_score_episodes: int = setting(
    30, "episodes that the students of the first seed play", minimum=0
  )
  rates: tuple[float, ...] = setting(
    (3.2e-5, 1e-4, 3.2e-4, 1e-3),
    "learning rates to search for regular distillation",
    "SM §3: between 1e-5 and 1e-3",
    minimum=0,
  )
  weighted_rates: tuple[float, ...] = setting(
    (1e-3,),
    "learning rates to search together with a weight: those that suit the "
    "number of updates",
    "ours",
    minimum=0,
  )
  alphas: tuple[float, ...] = setting(
    (0.003, 0.03, 0.3, 3.0), "weights to search for sobolev", minimum=0
  )
  noises: tuple[float, ...] = setting(
    (0.001, 0.003, 0.01, 0.03), "deviations to search for noise", minimum=0
  )
  searched_percentage: float = setting(
    10.0, "per cent of the frames that the search sees", above=0, below=100
  )
  validation_shares: tuple[float, ...] = setting(
    (0.9, 0.2),
    "shares of those that are held out: little data is searched separately",
    above=0,
    below=1,
  )
  controlled_percentage: float = setting(
    5.0, "per cent of the frames for the controls", above=0, below=100
  )
  jacobian_gib: float = setting(
    4.0, "as trainers.distillation takes it", minimum=0
  )
  recordings: str = setting("runs/recordings", "folder of recordings", "ours")
  teachers: str = setting("results/teachers", "folder of teachers", "ours")


PRESETS = {
  "desk": Config(),
  "paper": Config(
    runs="paper",
    rates=(1e-5, 1.9e-5, 3.7e-5, 7.2e-5, 1.4e-4, 2.7e-4, 5.2e-4, 1e-3),
    weighted_rates=(1e-4, 3.2e-4),
  ),
  "smoke": Config(
    runs="smoke",
    games=("breakout",),
    percentages=(50.0,),
    seeds=(0, 1),
    num_score_episodes=2,
    rates=(1e-4, 1e-3),
    alphas=(0.1, 1.0),
    noises=(0.03, 0.1),
    searched_percentage=50.0,
    validation_shares=(0.5,),
    controlled_percentage=50.0,
  ),
}


def runs(config, workdir):
  """The runs of a stage, in order.

  Returns:
    List of (configuration of trainers.distillation, folder).

  Raises:
    CommandError: there is no search.csv, or it does not hold a choice.
  """
  if config.stage == "search":
    sweeps = _search(config, workdir)
  else:
    sweeps = [*_students(config, workdir), *_controls(config, workdir)]
  found = [run for sweep in sweeps for run in loop.runs_of(sweep)]
  if config.stage == "search":
    return found
  if not config.search:
    raise CommandError("--search is missing; name the search.csv of a search.")
  chosen = read_choice(config.search)
  return [(apply_choice(one, chosen), folder) for one, folder in found]


def _search(config, workdir):
  for game in config.games:
    for share in config.validation_shares:
      common = {
        "game": game,
        "percentage": config.searched_percentage,
        "seed": _SEARCH_SEED,
        "validation_share": share,
        "num_score_episodes": 0,
      }
      folder = f"{workdir}/{game}/validation_{share:g}"
      grids = {
        "regular": {"learning_rate": config.rates},
        "sobolev": {
          "alpha": config.alphas,
          "learning_rate": config.weighted_rates,
        },
      }
      if share == config.validation_shares[-1]:  # the controls have much data
        grids["noise"] = {
          "learning_rate": config.weighted_rates,
          "noise": config.noises,
        }
      for method, grid in grids.items():
        base = _base(config, method=method, **common)
        yield command_line.sweep(base, grid, f"{folder}/{method}")


def _students(config, workdir):
  grid = {"method": ("regular", "sobolev"), "percentage": config.percentages}
  for game in config.games:
    for seed in config.seeds:
      # Playing takes as long as training.
      is_first = seed == config.seeds[0]
      episodes = config.num_score_episodes if is_first else 0
      base = _base(config, game=game, seed=seed, num_score_episodes=episodes)
      folder = f"{workdir}/{game}/seed_{seed}/students"
      yield command_line.sweep(base, grid, folder)


def _controls(config, workdir):
  for game in config.games:
    for seed in config.seeds:
      base = _base(
        config,
        game=game,
        seed=seed,
        percentage=config.controlled_percentage,
        num_score_episodes=0,
      )
      folder = f"{workdir}/{game}/seed_{seed}/controls"
      grid = {"method": ("noise", "attention")}
      yield command_line.sweep(base, grid, folder)


def _base(config, **changes):
  return dataclasses.replace(
    RUNS[config.runs],
    jacobian_gib=config.jacobian_gib,
    reserved_percentage=config.searched_percentage,
    recordings=config.recordings,
    teachers=config.teachers,
    **changes,
  )


def main(argv):
  """Trains the runs of a stage, or lists their folders."""
  only_list = setting(False, "true: print the runs' folders and train nothing")
  extra = {"list": only_list}
  command = command_line.parse(argv, Config, PRESETS, __doc__, extra)
  (config,) = command.configs
  if config.stage == "search" and "search" in command.given:
    raise CommandError("--search counts only with --stage=final; leave it out.")
  found = runs(config, command.workdir)
  if command.arguments["list"]:
    print("\n".join(folder for _, folder in found))
    return 0
  return loop.run_each(found, train, describe, command.workdir)


if __name__ == "__main__":
  command_line.run_main(main)
