r"""Figure 4's runs: the search for settings, then the students.

    python -m trainers.distillation.figure4 --stage=search --workdir=DIR/search
    python -m trainers.distillation.figure4 --stage=final --workdir=DIR/final \
        --search=results/figure4/search.csv

Between the two, trainers.distillation.search_report writes search.csv. Every
method is searched in the learning rate and a second setting (regular: the
weight decay, sobolev: the gradients' weight, noise: the noise), with as many
trials, on a validation slice of the training episodes (`trial_plan`). Several
processes of one command share its runs; folders are named by game and seed, so
that more of them can be added later.
"""

import dataclasses
import typing

from trainers.distillation.config import PRESETS as RUNS
from trainers.distillation.outcome import describe
from trainers.distillation.search import (
  CRITERIA,
  MEASURES,
  WEIGHTS,
  apply_choice,
  read_choice,
)
from trainers.distillation.train import train
from trainers.distillation.trial_plan import TrialPlan
from trainers.lifecycle import command_line, loop, run
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
    (1e-4, 3.2e-4, 1e-3),
    "learning rates to search first, for every method",
    "SM §3: between 1e-5 and 1e-3",
    above=0,
  )
  decays: tuple[float, ...] = setting(
    (0.0, 0.01, 0.1),
    "weight decays to search first for regular distillation",
    minimum=0,
  )
  alphas: tuple[float, ...] = setting(
    (0.03, 0.3, 3.0), "weights to search first for sobolev", above=0
  )
  noises: tuple[float, ...] = setting(
    (0.001, 0.01, 0.03), "deviations to search first for noise", above=0
  )
  num_trials: int = setting(
    12,
    "trials of every method: all pairs of the values above, and what lies "
    "beyond them or between",
    "ours",
    minimum=1,
  )
  lengths: tuple[float, ...] = setting(
    (0.25, 1.0),
    "shares of the updates after which the better trials go on",
    "ours",
    above=0,
    maximum=1,
  )
  kept: float = setting(
    0.34, "share of the trials that go on", "ours", above=0, maximum=1
  )
  choose_by: str = setting(
    "kl",
    "measure on the validation slice that the final students' settings are "
    "the best by",
    "ours",
    choices=tuple(CRITERIA),
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

  def __post_init__(self):
    for name in ("rates", "decays", "alphas", "noises", "lengths"):
      values = getattr(self, name)
      if list(values) != sorted(set(values)):
        raise ValueError(
          f"--{name} is {','.join(map(str, values))}; give each value once, in "
          "ascending order."
        )
    if len({len(self.decays), len(self.alphas), len(self.noises)}) > 1:
      raise ValueError(
        "--decays, --alphas and --noises must have as many values as each "
        "other, for no method is to have more trials than another."
      )
    count = len(self.rates) * len(self.alphas)
    if self.num_trials < count:
      raise ValueError(
        f"--num_trials is {self.num_trials}, but there are {count} pairs of a "
        "rate and a second setting to begin with; give that many or more."
      )
    if self.lengths[-1] != 1:
      raise ValueError(
        f"--lengths ends with {self.lengths[-1]:g}, but settings are chosen by "
        "trials as long as the final runs; let it end with 1."
      )


PRESETS = {
  "desk": Config(),
  "paper": Config(
    runs="paper",
    rates=(1e-5, 1e-4, 1e-3),
    num_trials=16,
  ),
  "smoke": Config(
    runs="smoke",
    games=("breakout",),
    percentages=(50.0,),
    seeds=(0, 1),
    num_score_episodes=2,
    rates=(1e-4, 1e-3),
    decays=(0.0,),
    alphas=(0.1,),
    noises=(0.03,),
    num_trials=2,
    lengths=(0.5, 1.0),
    kept=0.5,
    searched_percentage=50.0,
    validation_shares=(0.5,),
    controlled_percentage=50.0,
  ),
}


class MethodSearch(typing.NamedTuple):
  """The search of one method on one game, after training on some frames.

  Attributes:
    base: configuration of its trials, but for what is searched.
    plan: its `TrialPlan`.
    folder: of its trials.
  """

  base: typing.Any
  plan: TrialPlan
  folder: str

  def trial(self, length, values):
    """The (configuration, folder) of a trial that the plan names."""
    settings = dict(zip(self.plan.axes, values, strict=True))
    config = dataclasses.replace(self.base, num_steps=length, **settings)
    folders = [f"updates_{length}", *(f"{value:g}" for value in values)]
    return config, "/".join([self.folder, *folders])


def searches(config, workdir):
  """A `MethodSearch` for each game, share of the frames and method."""
  updates = RUNS[config.runs].num_steps
  lengths = tuple(
    dict.fromkeys(max(round(share * updates), 1) for share in config.lengths)
  )
  second = {"regular": config.decays, "sobolev": config.alphas}
  for game in config.games:
    for share in config.validation_shares:
      # The controls have much data.
      is_last = share == config.validation_shares[-1]
      grids = second | ({"noise": config.noises} if is_last else {})
      for method, values in grids.items():
        axes = {"learning_rate": config.rates, WEIGHTS[method]: values}
        yield MethodSearch(
          _base(
            config,
            game=game,
            method=method,
            percentage=config.searched_percentage,
            seed=_SEARCH_SEED,
            validation_share=share,
            num_score_episodes=0,
          ),
          TrialPlan(axes, config.num_trials, lengths, config.kept),
          f"{workdir}/{game}/validation_{share:g}/{method}",
        )


def search(config, workdir, train_trial):
  """Makes the trials of all searches.

  What another process works on is left to it, and so is what depends on that.

  Args:
    config: a `Config`.
    workdir: folder of the stage.
    train_trial: function of (config, folder) that returns a result.

  Returns:
    The exit code.
  """
  codes, waiting = [0], [(one, {}) for one in searches(config, workdir)]
  while waiting:
    blocked, before = [], _count(waiting)
    for one, measured in waiting:
      code, is_done = _go_on(one, measured, workdir, train_trial)
      codes.append(code)
      if code >= 128:  # stopped by a signal
        return code
      blocked += [(one, measured)] * (not is_done)
    if _count(waiting) == before:  # the others' trials are all that is left
      break
    waiting = blocked
  return max(codes)


def _count(waiting):
  """How many trials are measured."""
  return sum(len(measured) for _, measured in waiting)


def _go_on(one, measured, workdir, train_trial):
  """Makes trials of a `MethodSearch` until there is none that is free.

  Args:
    one: the search.
    measured: what its plan takes; what is found is put into it.
    workdir: folder of the stage.
    train_trial: function of (config, folder) that returns a result.

  Returns:
    The exit code, and whether the search is at its end.
  """
  codes = [0]
  while wanted := one.plan.next_trials(measured):
    trials = {one.trial(*key)[1]: key for key in wanted}

    def work(config, folder, trials=trials):
      try:
        result = train_trial(config, folder)
      except run.NotFinite:
        measured[trials[folder]] = None
        raise
      measured[trials[folder]] = tuple(result[name] for name in MEASURES)
      return result

    found = [one.trial(*key) for key in wanted]
    codes.append(loop.run_each(found, work, describe, workdir))
    if codes[-1] >= 128 or not set(wanted) <= set(measured):
      return max(codes), False
  return max(codes), True


def runs(config, workdir):
  """The final runs, in order.

  Returns:
    List of (configuration of trainers.distillation, folder).

  Raises:
    CommandError: there is no search.csv, or it does not hold a choice.
  """
  sweeps = [*_students(config, workdir), *_controls(config, workdir)]
  found = [one for sweep in sweeps for one in loop.runs_of(sweep)]
  if not config.search:
    raise CommandError("--search is missing; name the search.csv of a search.")
  chosen = read_choice(config.search, config.choose_by)
  return [(apply_choice(one, chosen), folder) for one, folder in found]


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
  only_list = setting(
    False,
    "true: print the runs' folders and train nothing; of a search those that "
    "it begins with",
  )
  extra = {"list": only_list}
  command = command_line.parse(argv, Config, PRESETS, __doc__, extra)
  (config,) = command.configs
  _check(config, command.given)
  is_search = config.stage == "search"
  if command.arguments["list"]:
    if is_search:
      found = [
        one.trial(*key)
        for one in searches(config, command.workdir)
        for key in one.plan.next_trials({})
      ]
    else:
      found = runs(config, command.workdir)
    print("\n".join(folder for _, folder in found))
    return 0
  if is_search:
    return search(config, command.workdir, train)
  found = runs(config, command.workdir)
  return loop.run_each(found, train, describe, command.workdir)


def _check(config, given):
  for name in ("search", "choose_by"):
    if config.stage == "search" and name in given:
      raise CommandError(
        f"--{name} counts only with --stage=final; leave it out."
      )


if __name__ == "__main__":
  command_line.run_main(main)
