"""Tests mirror the tree.

`tests/sobolev_tf/model_test.py` tests `sobolev_tf/model.py`, and so does
`model_inputs_test.py` beside it, one side of it (unless there is a source of
that longer name). Tests of the repository as a whole lie in `tests` itself.
"""

import pathlib
import re

ROOT = pathlib.Path(__file__).parent.parent
FOLDERS = ("sobolev_tf", "trainers", "data", "benchmarks")
# Sources without a test file of their own, and what exercises them instead; a
# folder stands for all that is in it.
EXERCISED_BY = {
  "benchmarks/derivative_rivals.py": "rivals are packages that the tests lack",
  "benchmarks/surrogate_problems.py": "benchmarks/surrogates_test.py",
  "benchmarks/surrogate_rivals.py": "rivals are packages that the tests lack",
  "sobolev_tf/labels/kinds.py": "sobolev_tf/labels/directional_test.py",
  "sobolev_tf/labels/noise.py": "sobolev_tf/labels/checks_test.py",
  "sobolev_tf/labels/scattered.py": "sobolev_tf/labels/checks_test.py",
  "sobolev_tf/labels/verdicts.py": "sobolev_tf/labels/checks_test.py",
  "sobolev_tf/surrogate/examples.py": "sobolev_tf/surrogate/evidence_test.py",
  "sobolev_tf/surrogate/model.py": "sobolev_tf/surrogate/fit_test.py",
  "sobolev_tf/surrogate/report.py": "sobolev_tf/surrogate/fit_test.py",
  "benchmarks/parameter_server.py": "run by hand; its processes take minutes",
  "benchmarks/projected_derivatives.py": "run by hand, no arithmetic inside",
  "benchmarks/rivals.py": "benchmarks need packages that the tests lack",
  "benchmarks/sobolev_step.py": "benchmarks need packages that the tests lack",
  "benchmarks/label_supervision.py": "run by hand; a study, not a part",
  "benchmarks/timing.py": "benchmarks/decoupled_step_test.py",
  "data/atari_recorder.py": "data/atari_recordings_test.py",
  "data/encoded_pictures.py": "data/imagenet_test.py",
  "data/imagenet_stand_in.py": "data/imagenet_test.py",
  "data/inception_crop.py": "data/imagenet_test.py",
  "data/record_files.py": "data/imagenet_test.py",
  "sobolev_tf/derivatives/inputs.py": (
    "sobolev_tf/derivatives/nested_tapes_test.py"
  ),
  "sobolev_tf/derivatives/line_tapes.py": (
    "sobolev_tf/derivatives/taylor_test.py"
  ),
  "sobolev_tf/derivatives/programs.py": "sobolev_tf/derivatives/taylor_test.py",
  "sobolev_tf/derivatives/series.py": "sobolev_tf/derivatives/taylor_test.py",
  "sobolev_tf/derivatives/series_functions.py": (
    "sobolev_tf/derivatives/taylor_test.py"
  ),
  "sobolev_tf/derivatives/taylor_rules/": (
    "sobolev_tf/derivatives/taylor_test.py"
  ),
  "sobolev_tf/labels/faults.py": "sobolev_tf/labels/checks_test.py",
  "trainers/distillation/export.py": "trainers/distillation/train_test.py",
  "trainers/regression/export.py": "trainers/export_test.py",
  "trainers/synthetic_gradients/export.py": "trainers/export_test.py",
  "sobolev_tf/networks/batch_norm.py": "sobolev_tf/networks/cifar10_test.py",
  "sobolev_tf/networks/initialisers.py": "sobolev_tf/networks/atari_test.py",
  "sobolev_tf/networks/synthetic_gradient_modules.py": (
    "sobolev_tf/synthetic_gradients/estimators_test.py"
  ),
  "sobolev_tf/synthetic_gradients/parts.py": (
    "sobolev_tf/synthetic_gradients/model_test.py"
  ),
  "sobolev_tf/training/column_moments.py": (
    "sobolev_tf/training/scaling_test.py"
  ),
  "sobolev_tf/training/levenberg_marquardt.py": (
    "sobolev_tf/training/full_batch_test.py"
  ),
  "sobolev_tf/training/minimisers.py": "sobolev_tf/training/full_batch_test.py",
  "sobolev_tf/training/objective_model.py": "sobolev_tf/model_test.py",
  "sobolev_tf/training/resident_loss.py": (
    "sobolev_tf/training/full_batch_test.py"
  ),
  "sobolev_tf/training/scaled_model.py": "sobolev_tf/model_inputs_test.py",
  "sobolev_tf/training/terms.py": "sobolev_tf/training/objective_test.py",
  "sobolev_tf/training/twins.py": "sobolev_tf/training/full_batch_test.py",
  "sobolev_tf/training/updates.py": "sobolev_tf/training/full_batch_test.py",
  "trainers/distillation/config.py": "trainers/distillation/train_test.py",
  "trainers/distillation/figures.py": "trainers/distillation/report_test.py",
  "trainers/distillation/jacobians.py": "trainers/distillation/train_test.py",
  "trainers/distillation/objective.py": "trainers/distillation/learner_test.py",
  "trainers/distillation/outcome.py": "trainers/distillation/train_test.py",
  "trainers/distillation/search.py": "trainers/distillation/report_test.py",
  "trainers/distillation/search_report.py": (
    "trainers/distillation/report_test.py"
  ),
  "trainers/lifecycle/exit_codes.py": "trainers/lifecycle/run_test.py",
  "trainers/lifecycle/served.py": "trainers/parameter_server/learner_test.py",
  "trainers/lifecycle/settings.py": "trainers/lifecycle/command_line_test.py",
  "trainers/lifecycle/values.py": "trainers/lifecycle/command_line_test.py",
  "trainers/parameter_server/local_cluster.py": (
    "trainers/parameter_server/cluster_test.py"
  ),
  "trainers/parameter_server/worker_batches.py": (
    "trainers/parameter_server/learner_test.py"
  ),
  "trainers/regression/config.py": "trainers/regression/train_test.py",
  "trainers/regression/examples.py": "trainers/regression/train_test.py",
  "trainers/regression/figures.py": "trainers/regression/report_test.py",
  "trainers/regression/surfaces.py": "trainers/regression/report_test.py",
  "trainers/regression/learner.py": "trainers/regression/train_test.py",
  "trainers/synthetic_gradients/config.py": (
    "trainers/synthetic_gradients/train_test.py"
  ),
  "trainers/synthetic_gradients/figures.py": (
    "trainers/synthetic_gradients/report_test.py"
  ),
  "trainers/synthetic_gradients/served.py": (
    "trainers/parameter_server/learner_test.py"
  ),
  "trainers/teachers/actor.py": "trainers/teachers/train_test.py",
  "trainers/teachers/figures.py": "trainers/teachers/report_test.py",
  "trainers/teachers/files.py": "trainers/teachers/report_test.py",
  "trainers/theory/relations.py": "trainers/theory/report_test.py",
  "trainers/theory/statements.py": "trainers/theory/report_test.py",
}
# Tests of the repository as a whole and of what is no Python.
OF_NO_SOURCE = ("tests", "tests/attack", "tests/gallery", "tests/scripts")


def owner(test, of_sources):
  """The source that a test file mirrors, or None."""
  folder = test.relative_to(ROOT / "tests").parent
  fitting = [
    source
    for source in of_sources
    if source.relative_to(ROOT).parent == folder
    and test.name.startswith(f"{source.stem}_")
  ]
  return max(fitting, key=lambda source: len(source.stem), default=None)


def sources():
  return [
    path
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not path.name.startswith("__")
  ]


def tests():
  return sorted((ROOT / "tests").rglob("*_test.py"))


def test_every_test_file_is_named_after_a_source():
  of_sources = sources()
  for test in tests():
    folder = str(test.relative_to(ROOT).parent)
    assert folder in OF_NO_SOURCE or owner(test, of_sources), test.name


def test_every_source_has_a_test_file_or_is_exercised_by_another():
  of_sources = sources()
  tested = {owner(test, of_sources) for test in tests()}
  missing, superfluous = [], []
  for source in of_sources:
    name = source.relative_to(ROOT)
    listed = {str(name), f"{name.parent}/"} & set(EXERCISED_BY)
    if source not in tested and not listed:
      missing.append(str(name))
    if source in tested and str(name) in EXERCISED_BY:
      superfluous.append(str(name))
  assert not missing, f"write a test file for each, or list it: {missing}"
  assert not superfluous, f"take off the list EXERCISED_BY: {superfluous}"


def test_the_list_names_what_is_there():
  for name, where in EXERCISED_BY.items():
    assert (ROOT / name).exists(), name
    # A test file, or a sentence that says why there is none.
    assert (ROOT / "tests" / where).exists() or " " in where, where


def test_the_files_that_start_first_are_there():
  text = (ROOT / "tests" / "conftest.py").read_text()
  names = re.findall(r'"(tests/.*_test\.py)"', text)
  assert len(names) > 10
  for name in names:
    assert (ROOT / name).exists(), name
