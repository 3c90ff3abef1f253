"""Full and projected derivatives against closed forms and differences."""

import itertools

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from sobolev_tf.derivatives import nested_tapes
from sobolev_tf.derivatives.directions import random_directions
from sobolev_tf.derivatives.finite_differences import finite_differences
from sobolev_tf.derivatives.nested_tapes import (
  derivatives,
  project,
  projected_derivatives,
)
from sobolev_tf.derivatives.taylor import forward_jacobian

# Linear maps R^3 -> out, so that D^j exp(A x) = exp(A x) A ... A.
_OUTPUTS = ((), (1,), (3,), (2, 2))


def _points(shape, seed=0, dtype=np.float64):
  return np.random.default_rng(seed).uniform(-1, 1, shape).astype(dtype)


def _exponential(matrix):
  def f(x):
    flat = tf.reshape(x, [tf.shape(x)[0], -1])
    return tf.exp(tf.tensordot(flat, tf.cast(matrix, x.dtype), [[1], [-1]]))

  return f


def _exponential_truth(matrix, x, order):
  matrix = matrix.astype(np.float64)
  inputs = x.shape[1:]
  value = np.exp(np.tensordot(x.reshape(len(x), -1), matrix, [[1], [-1]]))
  terms = [value]
  rows = matrix.reshape(-1, matrix.shape[-1])  # [O, M]
  power = np.ones([len(rows), 1])
  for j in range(1, order + 1):
    power = np.einsum("oa,om->oam", power, rows).reshape(len(rows), -1)
    flat = value.reshape(len(x), -1, 1) * power
    terms.append(flat.reshape(value.shape + inputs * j))
  return terms


def _close(actual, wanted, tolerance=1e-12):
  for a, b in zip(actual, wanted, strict=True):
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("out", _OUTPUTS)
@pytest.mark.parametrize("inputs", [(3,), (2, 2, 1)])
def test_three_orders_of_an_exponential_have_their_closed_form(out, inputs):
  x = _points((4, *inputs))
  matrix = _points((*out, x[0].size), seed=1)
  actual = derivatives(_exponential(matrix), x, 3)
  _close(actual, _exponential_truth(matrix, x, 3))


def test_single_precision_keeps_its_dtype_and_precision():
  x = _points((4, 3), dtype=np.float32)
  matrix = _points((2, 3), seed=1, dtype=np.float32)
  actual = derivatives(_exponential(matrix), x, 3)
  assert {term.dtype for term in actual} == {tf.float32}
  _close(actual, _exponential_truth(matrix, x, 3), 2e-6)


@pytest.mark.parametrize("compiled", [False, True])
def test_graph_and_compiled_code_equal_eager_code(compiled):
  x = tf.constant(_points((4, 3)))
  f = _exponential(_points((2, 3), seed=1))
  graph = tf.function(lambda z: derivatives(f, z, 2), jit_compile=compiled)
  _close(graph(x), derivatives(f, x, 2))


@pytest.mark.parametrize("compiled", [False, True])
def test_projections_and_their_training_gradient_equal_eager_code(compiled):
  x = tf.constant(_points((4, 3)))
  weights = tf.Variable(_points((3, 2), seed=1))
  v = [tf.constant(_points((4, 2), seed=2)), tf.constant(_points((4, 3)))]

  def step():
    with tf.GradientTape() as tape:
      terms = projected_derivatives(
        lambda z: tf.sin(tf.matmul(z, weights)), x, v
      )
      loss = tf.add_n([tf.reduce_sum(term**2) for term in terms])
    return terms, tape.gradient(loss, weights)

  graph = tf.function(step, jit_compile=compiled)
  (terms, gradient), (eager_terms, eager_gradient) = graph(), step()
  _close(terms, eager_terms)
  np.testing.assert_allclose(gradient, eager_gradient, rtol=1e-12)


def test_a_jacobian_of_many_rows_equals_one_taken_row_by_row():
  x, w = tf.constant(_points((4, 3))), _points((3, 20), seed=1)

  def f(z):
    return tf.sin(tf.matmul(z, w))

  whole = derivatives(f, x, 2)
  for first in (0, 8, 16):
    part = derivatives(lambda z, a=first: f(z)[:, a : a + 8], x, 2)
    _close(part, [term[:, first : first + 8] for term in whole])


def test_a_jacobian_of_many_rows_is_a_loop_where_xla_compiles(monkeypatch):
  # The gradient of the vectorised one would be compiled at every call.
  x = tf.constant(_points((2, 10)))
  w = tf.Variable(_points((10, 9), seed=1))
  seen = []

  def probe(x):
    seen.append(nested_tapes._is_for_xla())
    return x

  compiled = tf.function(probe, jit_compile=True)
  tf.function(lambda z: probe(z) + compiled(z))(x)
  assert seen == [False, True]

  @tf.function
  def step(x):
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(derivatives(lambda z: tf.sin(z @ w), x)[1] ** 2)
    return tape.gradient(loss, w)

  vectorised = step(x)
  monkeypatch.setattr(nested_tapes, "_is_for_xla", lambda: True)
  by_loop = tf.function(step.python_function)(x)
  np.testing.assert_allclose(by_loop, vectorised, rtol=1e-12)


@pytest.mark.parametrize(("inputs", "outputs"), [(2, 12), (12, 2), (3, 3)])
def test_forward_and_reverse_mode_agree_with_their_gradients(inputs, outputs):
  x = tf.constant(_points((4, inputs)))
  w = tf.Variable(_points((inputs, outputs), 1))

  @tf.function
  def step(mode):
    with tf.GradientTape() as tape:
      terms = derivatives(lambda z: tf.sin(z @ w), x, 2, mode)
      loss = tf.add_n([tf.reduce_sum((t - 0.3) ** 2) for t in terms])
    return (*terms, tape.gradient(loss, w))

  reverse = step("reverse")
  _close(step("forward"), reverse)
  _close(step("auto"), reverse)


@pytest.mark.parametrize("eager", [False, True])
def test_the_cheaper_mode_is_chosen_by_shape(monkeypatch, eager):
  calls = []

  def counted(f, x, strict):
    calls.append(x.shape[1])
    return forward_jacobian(f, x, strict)

  monkeypatch.setattr(nested_tapes, "forward_jacobian", counted)
  run = (lambda f: f) if eager else tf.function
  for inputs, outputs in ((2, 12), (12, 2), (3, 3)):
    w = _points((inputs, outputs), 1)
    run(lambda z, w=w: derivatives(lambda x: tf.sin(x @ w), z, 1))(
      tf.constant(_points((4, inputs)))
    )
  assert calls == [2]


def test_an_operation_without_a_forward_rule_goes_in_reverse():
  def f(z):
    return tf.tile(tf.math.lgamma(2 + z), [1, 20])

  x = tf.constant(_points((4, 2)))
  _close(derivatives(f, x, 1), derivatives(f, x, 1, "reverse"))
  _close(derivatives(f, x, 1, "forward"), derivatives(f, x, 1, "reverse"))


def test_unknown_batch_size_in_a_graph_keeps_the_other_shapes():
  f = _exponential(_points((2, 3), seed=1))

  @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float64)])
  def graph(x):
    terms = derivatives(f, x, 2)
    assert terms[2].shape.as_list() == [None, 2, 3, 3]
    v = (tf.ones_like(terms[0]), tf.ones_like(x))
    return terms + projected_derivatives(f, x, v)

  x = tf.constant(_points((5, 3)))
  eager = derivatives(f, x, 2)
  v = (tf.ones([5, 2], tf.float64), tf.ones([5, 3], tf.float64))
  _close(graph(x), eager + project(eager, v))


def test_scalar_inputs_without_an_input_axis_work():
  x = _points((6,))
  actual = derivatives(lambda z: tf.sin(2 * z), x, 3)
  s, c = np.sin(2 * x), np.cos(2 * x)
  _close(actual, (s, 2 * c, -4 * s, -8 * c))
  v = tf.constant(_points((6,), 1))
  projected = projected_derivatives(lambda z: tf.sin(2 * z), x, (v, v))
  _close(projected, (s, 2 * c * v.numpy(), -4 * s * v.numpy() ** 2))


def test_polynomial_has_its_closed_form():
  x = _points((5, 2))
  a, b = x.T
  actual = derivatives(lambda z: z[:, 0] ** 3 * z[:, 1], x, 2)
  zero = 0 * a
  hessian = [[6 * a * b, 3 * a**2], [3 * a**2, zero]]
  _close(
    actual,
    (a**3 * b, np.stack([3 * a**2 * b, a**3], 1), np.moveaxis(hessian, 2, 0)),
  )


def test_higher_derivatives_of_a_linear_function_are_zero():
  x = _points((4, 3))
  matrix = tf.constant(_points((3, 2)))
  terms = derivatives(lambda z: z @ matrix, x, 3)
  _close(terms[2:], (np.zeros([4, 2, 3, 3]), np.zeros([4, 2, 3, 3, 3])))
  v = tf.ones([4, 2], tf.float64)
  ones = tf.ones([4, 3], tf.float64)
  projected = projected_derivatives(lambda z: z @ matrix, x, (v, ones, ones))
  _close(projected[2:], (np.zeros([4, 3]), np.zeros([4, 3])))


def test_sonnet_and_keras_networks_agree_with_finite_differences():
  x = _points((4, 3))
  initial = snt.initializers.RandomNormal(stddev=0.5, seed=1)
  sonnet = snt.Sequential(
    [
      lambda z: tf.cast(z, tf.float64),
      snt.Linear(5, w_init=initial),
      tf.tanh,
      snt.Linear(2, w_init=initial),
    ]
  )
  keras_network = keras.Sequential(
    [
      keras.Input([3], dtype="float64"),
      keras.layers.Dense(5, "softplus", dtype="float64"),
      keras.layers.Dense(2, dtype="float64"),
    ]
  )
  for network in (sonnet, keras_network):
    gradient = derivatives(network, x, 1)[1]
    numeric = finite_differences(network, x).derivative
    np.testing.assert_allclose(gradient, numeric, atol=1e-6)


def _image_network():
  kernel = tf.constant(_points((3, 3, 1, 2), 3))
  readout = tf.constant(_points((8, 2), 4))

  def f(x):
    h = tf.tanh(tf.nn.conv2d(x, kernel, 1, "SAME"))
    h = tf.nn.avg_pool2d(h, 2, 2, "VALID")
    return tf.reshape(h, [-1, 8]) @ readout

  return f


def test_jacobian_through_convolution_and_pooling_is_exact():
  x = _points((2, 4, 4, 1))
  jacobian = derivatives(_image_network(), x, 1)[1]
  assert jacobian.shape == (2, 2, 4, 4, 1)
  numeric = finite_differences(_image_network(), x).derivative
  np.testing.assert_allclose(jacobian, numeric, atol=1e-6)


@pytest.mark.parametrize("out", _OUTPUTS)
@pytest.mark.parametrize("inputs", [(3,), (2, 2)])
def test_projecting_the_full_derivatives_equals_projecting_the_function(
  out, inputs
):
  x = _points((4, *inputs))
  f = _exponential(_points((*out, x[0].size), 1))
  v = [_points((4, *out), 2), _points(x.shape, 3), _points(x.shape, 4)]
  _close(project(derivatives(f, x, 3), v), projected_derivatives(f, x, v))


def test_stacked_directions_equal_one_call_each():
  x = _points((4, 3))
  f = _exponential(_points((2, 3), 1))
  v = [_points((4, 5, 2), 2), _points((4, 5, 3), 3)]
  stacked = projected_derivatives(f, x, v)
  _close(project(derivatives(f, x, 2), v), stacked)
  for p in range(5):
    single = projected_derivatives(f, x, [d[:, p] for d in v])
    _close([stacked[0], *(g[:, p] for g in stacked[1:])], single)


def test_projected_estimate_of_the_jacobian_norm_is_unbiased():
  draws, outputs = 100_000, 3
  x = np.tile(_points((1, 2)), [draws, 1])
  f = _exponential(_points((outputs, 2), 1))
  v = random_directions([draws, outputs], (3, 4), tf.float64)
  g = projected_derivatives(f, x, [v])[1].numpy()
  estimates = outputs * np.sum(g**2, axis=1)
  truth = np.sum(np.square(derivatives(f, x[:1], 1)[1]))
  error = estimates.std() / draws**0.5
  assert error < 0.01 * truth
  assert abs(estimates.mean() - truth) < 3 * error


@pytest.mark.parametrize("activation", [tf.tanh, tf.nn.softplus])
@pytest.mark.parametrize("projected", [False, True])
def test_parameter_gradients_through_derivatives_are_right(
  activation, projected
):
  x, sizes = _points((3, 2)), ((2, 4), (4,), (4, 2))
  start = [_points(size, 10 + i) for i, size in enumerate(sizes)]
  flat = np.concatenate([a.ravel() for a in start])
  v = _points((3, 2), 5)

  @tf.function
  def loss(parameters):
    w1, b1, w2 = (
      tf.reshape(part, size)
      for part, size in zip(tf.split(parameters, [8, 4, 8]), sizes, strict=True)
    )

    def f(z):
      return activation(z @ w1 + b1) @ w2

    terms = (
      projected_derivatives(f, x, [v]) if projected else derivatives(f, x, 1)
    )
    return tf.reduce_sum((terms[0] - 0.3) ** 2) + 0.37 * tf.reduce_sum(
      (terms[1] - 0.2) ** 2
    )

  variable = tf.Variable(flat)
  with tf.GradientTape() as tape:
    value = loss(variable)
  gradient = tape.gradient(value, variable)
  numeric = finite_differences(
    lambda p: loss(tf.constant(p)).numpy(), flat[np.newaxis], batched=False
  ).derivative
  np.testing.assert_allclose(gradient, numeric[0], rtol=1e-5, atol=1e-7)


def test_order_zero_is_the_value_alone():
  x = _points((4, 3))
  (value,) = derivatives(tf.sin, x, 0)
  np.testing.assert_array_equal(value, tf.sin(x))
  (value,) = projected_derivatives(tf.sin, x, ())
  np.testing.assert_array_equal(value, tf.sin(x))


def test_missing_labels_spread_over_their_own_projection_only():
  full = (np.zeros([2, 3]), np.ones([2, 3, 2]))
  full[1][0, 1, 0] = np.nan
  g = project(full, [np.ones([2, 3])])[1].numpy()
  assert np.isnan(g).tolist() == [[True, False], [False, False]]


def test_a_vector_of_points_keeps_a_single_output_axis():
  terms = derivatives(lambda z: tf.sin(z)[:, tf.newaxis], _points((4,)), 2)
  assert [term.shape.as_list() for term in terms] == [[4, 1]] * 3


_LINEAR = np.ones([3, 2])


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda x: derivatives(tf.sin, x.astype(int)), "floating"),
    (lambda x: derivatives(tf.sin, 1.0), "batch axis"),
    (lambda x: derivatives(tf.sin, x, -1), "order"),
    (lambda x: derivatives(tf.sin, x, 1, "sideways"), "mode"),
    (lambda x: derivatives(lambda z: tf.constant(z.numpy()), x), "depend on x"),
    (lambda x: derivatives(lambda z: tf.cast(z, tf.int32), x), "floating"),
    (lambda x: derivatives(lambda z: z[:1], x), "batch axis"),
    (
      lambda x: projected_derivatives(lambda z: z @ _LINEAR, x, [x]),
      "direction 1",
    ),
    (
      lambda x: projected_derivatives(lambda z: z @ _LINEAR, x, [_LINEAR[:1]]),
      "direction 1",
    ),
    (
      lambda x: projected_derivatives(
        lambda z: tf.exp(z @ _LINEAR), x, [np.ones([4, 2])] * 2
      ),
      "direction 2",
    ),
    (lambda x: project((x, x), []), "one direction for each"),
    (lambda x: project((x, np.ones([4, 3, 3])), [x[:, :2]]), "direction 1"),
  ],
)
def test_unusable_arguments_are_refused_in_one_sentence(call, message):
  with pytest.raises(ValueError, match=message) as refusal:
    call(_points((4, 3)))
  assert str(refusal.value).endswith(".")


@pytest.mark.parametrize("order", [1, 2])
def test_mixed_partial_derivatives_are_symmetric(order):
  x = _points((3, 3))
  top = derivatives(_exponential(_points((2, 3), 1)), x, order + 1)[-1].numpy()
  axes = range(2, top.ndim)
  for permuted in itertools.permutations(axes):
    np.testing.assert_allclose(
      top, np.transpose(top, (0, 1, *permuted)), atol=1e-13
    )


@pytest.mark.parametrize("order", [-1, 1.5, "2", None])
def test_the_order_is_a_whole_number(order):
  with pytest.raises(ValueError, match="order must be a whole number"):
    derivatives(tf.sin, tf.zeros([1, 2]), order)


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_powers_of_negative_numbers_and_of_zero_have_derivatives(mode):
  # TensorFlow's gradient of x^3 has an exponent that is computed, 3 - 1.
  x = tf.constant([[-0.7], [0.0], [0.4]], tf.float64)

  @tf.function
  def differentiate(x):
    return derivatives(lambda z: tf.tile(z**3, [1, 3]), x, 2, mode=mode)

  _, first, second = differentiate(x)
  expected = np.broadcast_to(x.numpy(), [3, 3])
  np.testing.assert_allclose(first[..., 0], 3 * expected**2, rtol=1e-12)
  np.testing.assert_allclose(second[..., 0, 0], 6 * expected, rtol=1e-12)
