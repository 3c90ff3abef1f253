"""What concerns the whole suite: long files first, and noise on demand."""

import os

import pytest

from tests import warm_python

# The files that take longest, so that they start first and the processes
# of scripts/test.sh end together. (xdist hands out whole files, in the order in
# which they were collected.)
_LONGEST = (
  "tests/gallery/gallery_test.py",
  "tests/trainers/parameter_server/member_test.py",
  "tests/trainers/distillation/train_test.py",
  "tests/trainers/lifecycle/run_test.py",
  "tests/sobolev_tf/model_callbacks_test.py",
  "tests/trainers/teachers/train_test.py",
  "tests/trainers/synthetic_gradients/replicas_test.py",
  "tests/attack/attack_test.py",
  "tests/trainers/parameter_server/learner_test.py",
  "tests/trainers/synthetic_gradients/train_test.py",
  "tests/trainers/export_test.py",
  "tests/trainers/teachers/report_test.py",
  "tests/sobolev_tf/surrogate/fit_test.py",
  "tests/trainers/distillation/served_test.py",
  "tests/documentation_test.py",
  "tests/trainers/regression/report_test.py",
  "tests/trainers/synthetic_gradients/train_imagenet_test.py",
  "tests/sobolev_tf/model_test.py",
  "tests/sobolev_tf/model_learning_test.py",
  "tests/trainers/regression/train_test.py",
  "tests/sobolev_tf/model_projections_test.py",
  "tests/sobolev_tf/networks/resnet_test.py",
)


@pytest.fixture
def eagerly():
  """For tests of a few steps, where tracing them would take most of the time.

  That compiled steps do the same is what others show.
  """
  import tensorflow as tf  # here, since not every session needs its seconds

  tf.config.run_functions_eagerly(True)
  yield
  tf.config.run_functions_eagerly(False)


def pytest_collection_modifyitems(items):
  """Moves the tests of the longest files to the front."""
  places = {name: place for place, name in enumerate(_LONGEST)}
  items.sort(
    key=lambda item: places.get(item.nodeid.split("::")[0], len(places))
  )


def pytest_configure(config):
  """Makes warm Python known; perturbs all draws if SOBOLEV_TF_NOISE is set.

  `SOBOLEV_TF_NOISE=1e-7 ./scripts/test.sh` multiplies every random float32
  number, initial weights among them, by 1 + 1e-7 u, with u between -1 and 1 a
  function of the number. What is deterministic stays so, float64 is left
  alone, and a verdict that changes hangs on rounding.
  """
  if not hasattr(config, "workerinput"):  # the workers share the session's
    warm_python.prepare()
  size = float(os.environ.get("SOBOLEV_TF_NOISE", "0"))
  if size:
    _perturb_draws(size)


def _perturb_draws(size):
  import tensorflow as tf

  for name in (
    "stateless_truncated_normal",
    "stateless_normal",
    "stateless_uniform",
    "truncated_normal",
    "normal",
    "uniform",
  ):
    setattr(tf.random, name, _perturbed(getattr(tf.random, name), size, tf))
  from sobolev_tf.networks.initialisers import Orthogonal

  Orthogonal.__call__ = _perturbed(Orthogonal.__call__, size, tf)


def _perturbed(draw, size, tf):
  def perturbed(*args, **kwargs):
    drawn = draw(*args, **kwargs)
    if drawn.dtype != tf.float32:
      return drawn
    return drawn + size * drawn * tf.sin(1e5 * drawn)

  return perturbed
