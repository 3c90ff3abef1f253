"""`check_derivatives` of labels along directions: right ones and wrong ones."""

import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.labels.checks import check_derivatives
from sobolev_tf.labels.makers import targets_from_function

_RNG = np.random.default_rng(0)
_X = _RNG.uniform(-1, 1, [30, 3])
_U, _V = _RNG.normal(size=[30, 2, 3]), _RNG.normal(size=[30, 2])


def _f(x):
  x = tf.convert_to_tensor(x)
  first = tf.sin(x[:, 0]) * tf.exp(0.5 * x[:, 1]) + x[:, 2] ** 2
  return tf.stack([first, x[:, 0] * x[:, 2] ** 2], axis=1)


def _one(x):
  return _f(x)[:, :1]


_LABELS = {
  "jvp": (_f, {"jvp": _U}),
  "vjp": (_f, {"vjp": _V}),
  "vhvp": (_f, {"vhvp": (_V, _U[:, 0])}),
  "hvp": (_one, {"hvp": _U}),
}


def _labelled(name, dtype=np.float64):
  f, directions = _LABELS[name]
  labels = targets_from_function(f, _X, directions=directions)
  cast = lambda part: part.astype(dtype)  # noqa: E731
  parts = [np.array(part) for part in labels[name]]
  return (lambda x: cast(f(x).numpy())), parts


@pytest.mark.parametrize("name", _LABELS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_right_labels_pass(name, dtype):
  f, parts = _labelled(name, dtype)
  check = check_derivatives(f, _X.astype(dtype), {"y": 0, name: parts})
  assert check and check.verdict == "right", check.message
  assert check.wrong_components == ()
  assert check.errors[name].max() < 0.02


@pytest.mark.parametrize("name", _LABELS)
def test_a_flipped_sign_wrong_units_and_one_wrong_component_are_named(name):
  f, parts = _labelled(name)
  *directions, product = parts
  for factor, words in ((-1, "sign were flipped"), (50, "multiplied by 0.02")):
    check = check_derivatives(f, _X, {name: (*directions, factor * product)})
    assert not check and check.verdict == "wrong"
    assert words in check.message and check.message.startswith(name)
  product[..., -1] *= 1.1
  check = check_derivatives(f, _X, {name: (*directions, product)})
  wanted = (name, product.shape[-1] - 1)
  assert check.wrong_components == (wanted,)
  assert not check


def test_unknown_products_and_directions_are_not_looked_at():
  f, (u, product) = _labelled("jvp")
  product[3], u[5, 0, 1] = np.nan, np.nan
  assert check_derivatives(f, _X, {"jvp": (u, product)})
  product[:] = np.nan
  check = check_derivatives(f, _X, {"jvp": (u, product)})
  assert not check and check.verdict == "cannot tell"


def test_full_derivatives_may_stand_beside_and_the_worst_verdict_counts():
  f, parts = _labelled("jvp")
  _, dy = targets_from_function(_f, _X)
  assert check_derivatives(f, _X, {"dy": dy, "jvp": parts})
  check = check_derivatives(f, _X, {"dy": -dy, "jvp": parts})
  assert check.verdict == "wrong"
  assert {component[0] for component in check.wrong_components} == {"dy"}
  assert "jvp agrees" in check.message


def test_labels_that_it_cannot_check_are_refused():
  with pytest.raises(ValueError, match="d3y") as refusal:
    check_derivatives(_f, _X, {"d3y": _X})
  assert str(refusal.value).endswith(".")


def test_few_points_are_asked_for_many_directions():
  asked = 0

  def f(x):
    nonlocal asked
    asked += len(x)
    return _f(x).numpy()

  u = _RNG.normal(size=[30, 50, 3])
  labels = targets_from_function(_f, _X, directions={"jvp": u})
  assert check_derivatives(f, _X, labels, max_points=20)
  assert asked < 20 * 6
