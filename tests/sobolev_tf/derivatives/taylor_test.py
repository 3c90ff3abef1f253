"""Taylor mode against nested tapes, closed forms and finite differences."""

import math

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from sobolev_tf.derivatives import series_functions
from sobolev_tf.derivatives.finite_differences import finite_differences
from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.derivatives.taylor import divergence, jet, laplacian

_LAYERS = keras.layers


def _points(shape, seed=0):
  return tf.constant(np.random.default_rng(seed).uniform(-1, 1, shape))


def _mixed(value):
  """One number per example, in which every output has a weight of its own."""
  rows = tf.reshape(value, [value.shape[0], -1])
  return tf.linalg.matvec(rows, _points((rows.shape[1],), 9))


def _nested(f, x, v, order):
  """Derivatives of `_mixed(f)` w.r.t. each example's own t, by nested tapes."""
  ones = [1] * (x.shape.rank - 1)

  @tf.function
  def line(t):
    return _mixed(f(x + tf.reshape(t, [-1, *ones]) * v))

  return derivatives(line, tf.zeros(x.shape[:1], x.dtype), order, "reverse")


def _close(actual, wanted, tolerance=1e-10):
  for a, b in zip(actual, wanted, strict=True):
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def _dense(activation):
  matrix = _points((3, 4), 5) + tf.constant(0.3, tf.float64)
  return lambda x: activation(x @ matrix)


def _convolutional():
  kernel, depthwise = _points((3, 3, 2, 4), 1), _points((2, 2, 4, 1), 2)
  wide, readout = _points((2, 2, 3, 4), 3), _points((3, 2), 4)

  def f(x):
    h = tf.tanh(tf.nn.conv2d(x, kernel, 1, "SAME"))
    h = tf.nn.max_pool2d(h, 2, 2, "VALID")
    h = tf.nn.depthwise_conv2d(h, depthwise, [1, 1, 1, 1], "SAME")
    h = tf.nn.avg_pool2d(h, 2, 1, "SAME")
    h = tf.nn.conv2d_transpose(h, wide, [x.shape[0], 6, 6, 3], 2, "SAME")
    return tf.reduce_mean(tf.sigmoid(h), [1, 2]) @ readout

  return f


def _arithmetic(x):
  a, b, c = tf.unstack(x, axis=1)
  parts = [
    tf.sin(a) * tf.exp(b) - tf.cos(c) / (2 + a**2),
    tf.atan(b) ** 3 + tf.math.log(3 + a) ** 1.5 + 2.0**c,
    tf.norm(x, axis=1) * tf.math.rsqrt(3 + c),
    tf.sinh(a) + tf.cosh(b) + tf.math.erf(c) * tf.math.expm1(a),
    tf.math.log1p(tf.square(b)) + 1 / (2 + a) - tf.math.erfc(b),
    tf.maximum(a, b) + tf.minimum(a * b, c) + tf.abs(a**3),
    tf.where(a > 0, a * b, b**2) + tf.clip_by_value(a * c, -0.2, 0.2),
    tf.reduce_max(x**2, axis=1) + tf.add_n([a, b, c]),
  ]
  return tf.stack(parts, axis=1)


def _movements(x):
  x = tf.concat([x, tf.exp(x), tf.ones_like(x)], axis=1)  # [B, 9]
  y = tf.transpose(tf.reshape(x, [-1, 3, 3]), [0, 2, 1])
  y = tf.pad(y, [[0, 0], [1, 0], [0, 1]])[:, 1:, tf.newaxis, ::-1]
  y = tf.tile(tf.squeeze(y, 2), [1, 2, 1])
  y = tf.matmul(y, y, transpose_a=True) + tf.cumsum(y[:, :4], axis=1)
  first, second = tf.split(y, 2, axis=2)
  y = tf.einsum("bij,bkj->bik", first, tf.sin(second))
  return tf.gather(y, [2, 0], axis=1) * tf.broadcast_to(
    x[:, :1, None], y[:, :2].shape
  )


_FUNCTIONS = {
  **{
    name: (_dense(function), (4, 3))
    for name, function in {
      "relu": tf.nn.relu,
      "relu6": tf.nn.relu6,
      "leaky_relu": tf.nn.leaky_relu,
      "tanh": tf.tanh,
      "sigmoid": tf.sigmoid,
      "softplus": tf.nn.softplus,
      "silu": tf.nn.silu,
      "gelu": tf.nn.gelu,
      "elu": tf.nn.elu,
      "selu": tf.nn.selu,
      "softmax": tf.nn.softmax,
      "log_softmax": tf.nn.log_softmax,
    }.items()
  },
  "convolutions": (_convolutional(), (2, 6, 6, 2)),
  "arithmetic": (_arithmetic, (4, 3)),
  "movements": (_movements, (4, 3)),
  "function in a function": (tf.function(_dense(tf.nn.silu)), (4, 3)),
}


@pytest.mark.parametrize("name", _FUNCTIONS)
def test_every_order_equals_nested_tapes(name):
  f, shape = _FUNCTIONS[name]
  x, v = _points(shape), _points(shape, 1)
  # Nested tapes need seconds for a third order of many operations.
  order = 2 if name in ("arithmetic", "movements", "convolutions") else 3
  terms, explanation = jet(f, x, v, order, explain=True)
  _close([_mixed(term) for term in terms], _nested(f, x, v, order))
  assert not explanation.by_tapes
  assert explanation.whole is None


def test_seven_orders_of_sines_and_powers_have_their_closed_form():
  x, v = _points((5,)), _points((5,), 1)
  actual = jet(lambda z: tf.sin(z) + z**5, x, v, 7)
  for k, term in enumerate(actual):
    wanted = np.sin(x + k * np.pi / 2)
    if k <= 5:
      wanted += math.perm(5, k) * x.numpy() ** (5 - k)
    np.testing.assert_allclose(term, wanted * v.numpy() ** k, rtol=1e-12)


def test_powers_of_any_number_have_their_closed_form_in_graphs_too():
  # The gradient of a power has an exponent that no graph knows beforehand.
  x = tf.constant([[-0.7], [0.0], [0.4]], tf.float64)

  def gradient(z, exponent):
    with tf.GradientTape() as tape:
      tape.watch(z)
      value = z**exponent
    return tape.gradient(value, z)

  for n in (1, 2, 3):
    _, slope = tf.function(
      lambda z, n=n: jet(lambda y: gradient(y, n), z, tf.ones_like(z), 1)
    )(x)
    np.testing.assert_allclose(slope, n * (n - 1) * x.numpy() ** max(n - 2, 0))
  terms = jet(lambda z: (2 + z) ** -1.5, x, tf.ones_like(x), 2)
  base = 2 + x.numpy()
  _close(terms, (base**-1.5, -1.5 * base**-2.5, 3.75 * base**-3.5))


def test_keras_and_sonnet_networks_have_rules_for_everything():
  dense = _LAYERS.Dense
  inputs = keras.Input([4], dtype="float64")
  a = dense(6, "tanh", dtype="float64")(inputs)
  b = dense(6, "gelu", dtype="float64")(inputs)
  joined = _LAYERS.Concatenate(dtype="float64")([a, b])
  scaled = _LAYERS.BatchNormalization(dtype="float64")(joined)
  dropped = _LAYERS.Dropout(0.5, dtype="float64")(scaled)
  functional = keras.Model(inputs, dense(2, dtype="float64")(dropped))
  initial = snt.initializers.RandomNormal(stddev=0.5, seed=1)
  sonnet = snt.Sequential(
    [
      lambda z: tf.cast(z, tf.float32),
      snt.Linear(5, w_init=initial),
      tf.tanh,
      snt.Linear(2, w_init=initial),
      lambda z: tf.cast(z, tf.float64),
    ]
  )
  x, v = _points((3, 4)), _points((3, 4), 1)
  for network, tolerance in ((functional, 1e-10), (sonnet, 2e-6)):
    terms, explanation = jet(network, x, v, 2, explain=True)
    mixed = [_mixed(term) for term in terms]
    _close(mixed, _nested(network, x, v, 2), tolerance)
    assert "MatMul" in explanation.by_rule
    assert not explanation.by_tapes


def test_stacked_directions_equal_one_call_each():
  for name in ("arithmetic", "convolutions", "movements"):
    f, shape = _FUNCTIONS[name]
    x = _points(shape)
    v = [_points(shape, seed) for seed in (1, 2)]
    stacked = jet(f, x, tf.stack(v, axis=1), 2)
    singles = [jet(f, x, direction, 2) for direction in v]
    _close(stacked[:1], singles[0][:1])
    for k in (1, 2):
      _close([stacked[k]], [tf.stack([s[k] for s in singles], axis=1)])


def test_an_operation_without_a_rule_is_named_and_still_exact():
  def f(z):
    return tf.tanh(tf.math.lgamma(2 + z) * tf.reduce_prod(z, 1, keepdims=True))

  x, v = _points((4, 3)), _points((4, 3), 1)
  terms, explanation = jet(f, x, v, 2, explain=True)
  _close([_mixed(term) for term in terms], _nested(f, x, v, 2))
  assert "Tanh" in explanation.by_rule
  assert len(explanation.by_tapes) == 2
  assert "Lgamma has no Taylor rule" in explanation.by_tapes[0]
  value, total = laplacian(f, x)
  hessian = derivatives(f, x, 2)[2]
  _close([total], [tf.linalg.trace(hessian)])
  _close([value], [f(x)])


def test_python_control_flow_is_differentiated_by_nested_tapes():
  def f(z):
    return tf.sin(z) if tf.reduce_sum(z) < 100 else z

  x = _points((2, 3))
  terms, explanation = jet(f, x, x, 2, explain=True)
  _close(terms, (tf.sin(x), x * tf.cos(x), -(x**2) * tf.sin(x)))
  assert "control flow" in explanation.whole


@pytest.mark.parametrize("compiled", [False, True])
def test_parameter_gradients_through_jets_are_right(compiled):
  x, v = _points((3, 2)), _points((3, 2, 2), 1)
  flat = _points((30,), 2)

  @tf.function(jit_compile=compiled)
  def loss(parameters):
    w1 = tf.reshape(parameters[:10], [2, 5])
    w2 = tf.reshape(parameters[10:20], [5, 2])

    def f(z):
      h = tf.nn.silu(z @ w1 + parameters[20:25])
      return tf.nn.softplus(h * tf.tanh(h) @ w2)

    terms = jet(f, x, v, 2)
    return 0.37 * tf.add_n([tf.reduce_sum((t - 0.3) ** 2) for t in terms])

  variable = tf.Variable(flat)
  with tf.GradientTape() as tape:
    value = loss(variable)
  gradient = tape.gradient(value, variable)
  numeric = finite_differences(
    lambda p: loss(tf.constant(p)).numpy(), flat[tf.newaxis], batched=False
  )
  np.testing.assert_allclose(
    gradient, numeric.derivative[0], rtol=1e-5, atol=1e-7
  )


def test_gradients_through_jets_are_those_of_tapes_twice_over(monkeypatch):
  # Where shapes are known they come back by a formula of their own.
  x, v = _points((2, 2)), _points((2, 2, 2), 1)

  def f(z):
    h = [tf.tanh(z), tf.sigmoid(z), tf.nn.softplus(z), tf.exp(z), tf.sin(z)]
    return tf.cos(tf.add_n(h) * z)

  def gradients():
    with tf.GradientTape() as outer:
      outer.watch((x, v))
      with tf.GradientTape() as inner:
        inner.watch((x, v))
        terms = jet(f, x, v, 3)
        loss = tf.add_n([tf.reduce_sum(tf.sin(term)) for term in terms])
      first = inner.gradient(loss, (x, v))
      norm = tf.reduce_sum(first[0] ** 2) + tf.reduce_sum(first[1] ** 2)
    return *first, *outer.gradient(norm, (x, v))

  by_formula = gradients()
  monkeypatch.setattr(
    series_functions, "_gains_by_correlation", lambda _: False
  )
  _close(by_formula, gradients())


def test_a_first_layer_costs_a_laplacian_no_more_than_one_example():
  w, back = _points((3, 5)), _points((5, 3))
  traced = tf.function(lambda z: laplacian(lambda y: tf.tanh(y @ w) @ back, z))
  graph = traced.get_concrete_function(_points((7, 3))).graph
  rows = [
    op.outputs[0].shape[0]
    for op in graph.get_operations()
    if op.type == "MatMul"
  ]
  assert sorted(rows) == [3, 7, 7, 7, 7 * 3], rows


def test_variables_are_watched_by_an_active_tape():
  w = tf.Variable(_points((3, 2)))
  with tf.GradientTape() as tape:
    loss = tf.reduce_sum(
      jet(lambda z: tf.sin(z @ w), _points((4, 3)), _points((4, 3), 1), 1)[1]
    )
  assert tape.gradient(loss, w).shape == (3, 2)


def test_jets_of_a_gradient_are_hessian_vector_products():
  f = _convolutional()

  def gradient(z):
    with tf.GradientTape() as tape:
      tape.watch(z)
      value = tf.reduce_sum(f(z) ** 2)
    return tape.gradient(value, z)

  x, v = _points((2, 6, 6, 2)), _points((2, 6, 6, 2), 1)
  (_, product), explanation = jet(gradient, x, v, 1, explain=True)
  assert not explanation.by_tapes
  width = 1e-5
  numeric = (gradient(x + width * v) - gradient(x - width * v)) / (2 * width)
  np.testing.assert_allclose(product, numeric, atol=1e-9)


def test_second_derivatives_through_moments_are_right():
  # Tapes get them wrong: `tf.nn.moments` stops a gradient that only the first
  # derivative can do without.
  def f(z):
    mean, variance = tf.nn.moments(z, [1], keepdims=True)
    return (z - mean) / tf.sqrt(variance + 0.1)

  x, v = _points((3, 4)), _points((3, 4), 1)
  width = 1e-4
  numeric = (f(x + width * v) - 2 * f(x) + f(x - width * v)) / width**2
  np.testing.assert_allclose(jet(f, x, v, 2)[2], numeric, atol=1e-5)


@pytest.mark.parametrize("name", ["tanh", "convolutions", "arithmetic"])
def test_the_laplacian_is_the_trace_of_the_hessian(name):
  f, shape = _FUNCTIONS[name]
  x = _points(shape)
  signature = [tf.TensorSpec([None, *shape[1:]], tf.float64)]
  if name == "convolutions":  # Its transposed convolution fixes the batch.
    signature = None
  value, total = tf.function(
    lambda z: laplacian(f, z), input_signature=signature
  )(x)
  units = tf.eye(math.prod(shape[1:]), dtype=tf.float64)
  v = tf.tile(
    tf.reshape(units, [1, -1, *shape[1:]]), [shape[0]] + [1] * len(shape)
  )
  wanted = tf.reduce_sum(jet(f, x, v, 2)[2], axis=1)
  _close((value, total), (f(x), wanted))


def test_the_divergence_is_the_trace_of_the_jacobian():
  matrix = _points((3, 3), 2)

  def f(z):
    return tf.sin(z @ matrix)

  x = _points((4, 3))
  value, total = divergence(f, x)
  _close((value, total), (f(x), tf.linalg.trace(derivatives(f, x)[1])))


def test_the_far_tail_of_softplus_and_silu_is_exact():
  x = tf.constant([[-40.0], [40.0]], tf.float64)
  ones = tf.ones_like(x)
  tail = np.exp(-40.0)
  np.testing.assert_allclose(
    jet(tf.nn.softplus, x, ones, 2)[2], [[tail], [tail]], rtol=1e-12
  )
  # silu'' = sigma' (2 + x (1 - 2 sigma))
  np.testing.assert_allclose(
    jet(tf.nn.silu, x, ones, 2)[2], [[-38 * tail], [-38 * tail]], rtol=1e-9
  )


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda x: jet(tf.sin, x, x, 0), "order"),
    (lambda x: jet(tf.sin, x, x[:, :2], 1), "direction"),
    (lambda x: jet(tf.sin, tf.cast(x, tf.int32), x, 1), "floating"),
    (lambda x: jet(lambda z: tf.ones_like(z), x, x, 1), "depend on x"),
    (lambda x: laplacian(lambda z: tf.constant(1.0), x), "depend on x"),
    (lambda x: divergence(lambda z: z[:, :2], x), "shape of x"),
    (
      lambda x: jet(lambda z: tf.numpy_function(np.sin, [z], z.dtype), x, x, 1),
      "no derivative",
    ),
  ],
)
def test_unusable_arguments_are_refused_in_one_sentence(call, message):
  with pytest.raises(ValueError, match=message) as refusal:
    call(_points((4, 3)))
  assert str(refusal.value).endswith(".")
