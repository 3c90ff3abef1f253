"""Networks whose weights have become constants."""

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from sobolev_tf.export import weights


class _Holder(snt.Module):
  """Keeps variables wherever a test wants them."""

  def __init__(self, **attributes):
    super().__init__()
    for name, value in attributes.items():
      setattr(self, name, value)


def _variable(name="v"):
  return tf.Variable([1.0, 2.0], name=name)


def test_a_frozen_network_computes_the_same_without_variables():
  network = snt.nets.MLP([3, 2])
  x = tf.constant([[1.0, -2.0]])
  before = network(x)
  weights.freeze(network)
  np.testing.assert_array_equal(network(x), before)
  assert tf.Module.variables.fget(network) == ()
  graph = tf.function(network).get_concrete_function(x).graph
  assert not graph.variables


def test_modules_in_containers_are_frozen_too():
  inner = _Holder(w=_variable())
  network = _Holder(layers=[inner, {"a": (_Holder(w=_variable()),)}])
  weights.freeze(network)
  assert isinstance(inner.w, np.ndarray)
  assert tf.Module.variables.fget(network) == ()


def test_a_variable_that_two_modules_share_is_frozen_in_both():
  shared = _variable()
  first, second = _Holder(w=shared), _Holder(w=shared)
  weights.freeze(_Holder(a=first, b=second))
  assert isinstance(first.w, np.ndarray) and isinstance(second.w, np.ndarray)


@pytest.mark.parametrize(
  "held",
  [
    lambda v: [v],
    lambda v: (v, 1),
    lambda v: {"w": v},
    lambda v: [{"w": [v]}],
    lambda v: _Holder(deeper=[v]),
    lambda v: [_Holder(deeper={"w": v})],
  ],
)
def test_a_variable_out_of_reach_is_named_and_nothing_is_frozen(held):
  network = _Holder(own=_variable("own"), kept=held(_variable("hidden")))
  with pytest.raises(ValueError, match="hidden.* cannot be frozen") as refusal:
    weights.freeze(network)
  assert str(refusal.value).endswith(".")
  assert isinstance(network.own, tf.Variable)


def test_a_module_without_variables_is_frozen_already():
  weights.freeze(_Holder(w=np.ones(2)))
