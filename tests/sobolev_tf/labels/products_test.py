"""Labels along directions made from functions, black boxes and neighbours."""

import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.labels.makers import (
  targets_from_black_box,
  targets_from_function,
  targets_from_neighbours,
)

_RNG = np.random.default_rng(0)
_X = _RNG.uniform(-1, 1, [7, 3])
_U, _V = _RNG.normal(size=[7, 2, 3]), _RNG.normal(size=[7, 2, 2])


def _f(x):
  x = tf.convert_to_tensor(x)
  value = tf.sin(x[:, 0]) * tf.exp(x[:, 1])
  return tf.stack([value, x[:, 0] * x[:, 2] ** 2], axis=1)


_Y, _DY, _D2Y = (term.numpy() for term in derivatives(_f, _X, 2))
_JVP = np.einsum("boi,bpi->bpo", _DY, _U)
_VJP = np.einsum("boi,bpo->bpi", _DY, _V)
_VHVP = np.einsum("boij,bpo,bpj->bpi", _D2Y, _V, _U)


def test_products_of_a_function_are_contractions():
  directions = {"jvp": _U, "vjp": _V, "vhvp": (_V, _U)}
  labels = targets_from_function(_f, _X, batch_size=4, directions=directions)
  assert set(labels) == {"y", "jvp", "vjp", "vhvp"}
  np.testing.assert_allclose(labels["y"], _Y, rtol=1e-13)
  wanted = {"jvp": _JVP, "vjp": _VJP, "vhvp": _VHVP}
  for name, (*given, product) in labels.items():
    if name != "y":
      np.testing.assert_allclose(product, wanted[name], atol=1e-12)
      assert len(given) == (2 if name == "vhvp" else 1)


def test_one_direction_needs_no_axis_and_full_derivatives_may_stand_beside():
  labels = targets_from_function(
    lambda x: _f(x)[:, :1], _X, 1, directions={"hvp": _U[:, 0]}
  )
  np.testing.assert_allclose(labels["dy"], _DY[:, :1], atol=1e-13)
  wanted = np.einsum("bij,bj->bi", _D2Y[:, 0], _U[:, 0])
  np.testing.assert_allclose(labels["hvp"][1], wanted, atol=1e-12)


def test_a_black_box_is_asked_twice_for_each_direction():
  asked = 0

  def f(x):
    nonlocal asked
    asked += len(x)
    return _f(x).numpy()

  labels = targets_from_black_box(f, _X, directions={"jvp": _U})
  assert asked == 7 * (1 + 2 * 2)
  np.testing.assert_allclose(labels["jvp"][1], _JVP, atol=1e-8)
  both = targets_from_black_box(
    f, _X, directions={"jvp": _U[:, 0], "vjp": _V[:, 0]}
  )
  np.testing.assert_allclose(both["jvp"][1], _JVP[:, 0], atol=1e-8)
  np.testing.assert_allclose(both["vjp"][1], _VJP[:, 0], atol=1e-8)


def test_the_products_of_a_gradient_are_those_of_the_hessian():
  def gradient(x):
    return derivatives(_f, tf.constant(x))[1][:, 0].numpy()

  labels = targets_from_black_box(gradient, _X, directions={"jvp": _U[:, 0]})
  wanted = np.einsum("bij,bj->bi", _D2Y[:, 0], _U[:, 0])
  np.testing.assert_allclose(labels["jvp"][1], wanted, atol=1e-8)


def test_neighbours_give_the_products_of_their_own_slopes():
  x = _RNG.uniform(-1, 1, [40, 3])
  y = _f(x).numpy()
  u, v = _RNG.normal(size=[40, 3]), _RNG.normal(size=[40, 2, 2])
  _, dy = targets_from_neighbours(x, y, largest_error=np.inf)
  labels = targets_from_neighbours(
    x, y, largest_error=np.inf, directions={"jvp": u, "vjp": v}
  )
  np.testing.assert_allclose(
    labels["jvp"][1], np.einsum("boi,bi->bo", dy, u), atol=1e-12
  )
  np.testing.assert_allclose(
    labels["vjp"][1], np.einsum("boi,bpo->bpi", dy, v), atol=1e-12
  )


@pytest.mark.parametrize(
  ("directions", "message"),
  [
    ({"jvp": _V}, "must have shape"),
    ({"jvp": _U[:3]}, "for each of the 7 points"),
    ({"hvp": _U}, '"vhvp"'),
    ({"jacobian": _U}, "what can be made"),
  ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(directions, message):
  with pytest.raises(ValueError, match=message) as refusal:
    targets_from_function(_f, _X, directions=directions)
  assert str(refusal.value).endswith(".")
  with pytest.raises(ValueError, match=r"shape|points|made") as refusal:
    targets_from_black_box(lambda x: _f(x).numpy(), _X, directions=directions)
  assert str(refusal.value).endswith(".")
