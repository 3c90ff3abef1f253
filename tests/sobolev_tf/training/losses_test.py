"""Sobolev losses against an independent NumPy computation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.model import SobolevModel
from sobolev_tf.training.losses import LOSSES, sobolev_loss

_SHAPES = ((4, 3), (4, 3, 2), (4, 3, 2, 2))


def _tuples(dtype=np.float64):
  rng = np.random.default_rng(0)
  return tuple(
    tuple((2 * rng.normal(size=shape)).astype(dtype) for shape in _SHAPES)
    for _ in range(2)
  )


def _numpy_term(p, t, loss, weight=1.0, reduction="sum", delta=1.0):
  d = np.where(np.isnan(t), 0, p - t)
  if loss == "l1":
    e = np.abs(d)
  elif loss == "huber":
    e = np.where(np.abs(d) <= delta, d**2 / 2, delta * (np.abs(d) - delta / 2))
  else:
    e = d**2
  e = (e * weight).reshape(len(d), -1)
  r = e.sum(axis=1) if reduction == "sum" else e.mean(axis=1)
  return np.sqrt(r) if loss == "norm" else r


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_equals_its_formula(name, reduction):
  predicted, target = _tuples()
  weights = (0.9, 0.37, 2.5)
  result = sobolev_loss(
    predicted, target, weights, name, reduction=reduction, huber_delta=0.7
  )
  terms = [
    _numpy_term(p, t, name, reduction=reduction, delta=0.7)
    for p, t in zip(predicted, target, strict=True)
  ]
  for actual, wanted in zip(result.terms, terms, strict=True):
    np.testing.assert_allclose(actual, wanted, rtol=1e-12)
  total = sum(w * t for w, t in zip(weights, terms, strict=True))
  np.testing.assert_allclose(result.loss, total, rtol=1e-12)


def test_each_order_can_have_its_own_loss():
  predicted, target = _tuples()
  names = ("l2", "l1", "norm")
  result = sobolev_loss(predicted, target, loss=names)
  for order, name in enumerate(names):
    wanted = _numpy_term(predicted[order], target[order], name)
    np.testing.assert_allclose(result.terms[order], wanted, rtol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_components_outputs_and_examples_can_be_weighed(name):
  predicted, target = _tuples()
  components = np.array([[1.0, 0.0], [0.37, 2.0], [5.0, 0.1]])
  outputs = np.array([0.5, 2.0, 3.0])
  examples = np.array([1.0, 0.0, 0.37, 4.0])
  result = sobolev_loss(
    predicted,
    target,
    (0.9, components, 1.5),
    name,
    output_weights=outputs,
    example_weights=examples,
  )
  weights = (outputs, components * outputs[:, None], outputs[:, None, None])
  terms = [
    _numpy_term(p, t, name, w)
    for p, t, w in zip(predicted, target, weights, strict=True)
  ]
  for actual, wanted in zip(result.terms, terms, strict=True):
    np.testing.assert_allclose(actual, wanted, rtol=1e-12)
  total = examples * (0.9 * terms[0] + terms[1] + 1.5 * terms[2])
  np.testing.assert_allclose(result.loss, total, rtol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_missing_labels_contribute_no_loss(name):
  predicted, target = _tuples()
  target[0][1] = np.nan
  target[1][2, 1] = np.nan
  target[2][3, 0, 1, 1] = np.nan
  result = sobolev_loss(predicted, target, loss=name)
  for p, t, term in zip(predicted, target, result.terms, strict=True):
    np.testing.assert_allclose(term, _numpy_term(p, t, name), rtol=1e-12)
  assert result.terms[0][1] == 0


def _network():
  rng = np.random.default_rng(1)
  w1, b1, w2 = (
    tf.Variable(rng.normal(size=size)) for size in ((2, 5), (5,), (5, 3))
  )
  return (lambda x: tf.tanh(x @ w1 + b1) @ w2), (w1, b1, w2)


def _loss_and_gradients(target, **options):
  f, parameters = _network()
  x = tf.constant(np.random.default_rng(2).normal(size=[4, 2]))
  with tf.GradientTape() as tape:
    loss = tf.reduce_sum(
      sobolev_loss(derivatives(f, x, len(target) - 1), target, **options).loss
    )
  return loss, tape.gradient(loss, parameters, unconnected_gradients="zero")


@pytest.mark.parametrize("name", LOSSES)
def test_all_labels_missing_gives_zero_loss_and_zero_gradients(name):
  target = [np.full(shape, np.nan) for shape in _SHAPES]
  loss, gradients = _loss_and_gradients(target, loss=name)
  assert loss == 0
  for gradient in gradients:
    np.testing.assert_array_equal(gradient, np.zeros(gradient.shape))


@pytest.mark.parametrize("name", LOSSES)
def test_missing_labels_contribute_no_gradient(name):
  _, target = _tuples()
  target[0][1], target[1][:, 0, 1], target[2][2] = np.nan, np.nan, np.nan
  known = [np.isfinite(t) for t in target]
  loss, gradients = _loss_and_gradients(target, loss=name)
  filled = [np.where(k, t, 7.7) for k, t in zip(known, target, strict=True)]
  masks = [k.astype(float) for k in known]
  f, parameters = _network()
  x = tf.constant(np.random.default_rng(2).normal(size=[4, 2]))
  with tf.GradientTape() as tape:
    wanted = 0.0
    terms = derivatives(f, x, 2)
    for p, t, m in zip(terms, filled, masks, strict=True):
      p = m * p + (1 - m) * t
      wanted += tf.reduce_sum(sobolev_loss((p,), (t,), loss=name).loss)
  np.testing.assert_allclose(loss, wanted, rtol=1e-12)
  for a, b in zip(gradients, tape.gradient(wanted, parameters), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_exact_predictions_have_finite_gradients(name):
  p = tf.Variable(_tuples()[0][1])
  with tf.GradientTape() as tape:
    loss = sobolev_loss((p,), (p.numpy(),), loss=name).loss
  gradient = tape.gradient(loss, p)
  np.testing.assert_array_equal(gradient, np.zeros(p.shape))


@pytest.mark.parametrize("name", LOSSES)
def test_weight_zero_equals_the_plain_loss_bit_for_bit(name):
  _, target = _tuples()
  plain, plain_gradients = _loss_and_gradients(target[:1], loss=name)
  zero, zero_gradients = _loss_and_gradients(
    target, weights=(1, 0, 0), loss=name
  )
  assert plain.numpy() == zero.numpy()
  for a, b in zip(plain_gradients, zero_gradients, strict=True):
    np.testing.assert_array_equal(a, b)


def test_weights_may_be_tensors_of_a_schedule_in_a_graph():
  predicted, target = _tuples()

  @tf.function
  def loss(step):
    decay = 0.95 ** tf.cast(step, tf.float32)
    return sobolev_loss(predicted, target, (1.0, decay, 0.5 * decay)).loss

  for step in (0, 10):
    decay = 0.95**step
    wanted = sobolev_loss(predicted, target, (1, decay, decay / 2)).loss
    np.testing.assert_allclose(loss(tf.constant(step)), wanted, rtol=1e-6)
  assert loss.experimental_get_tracing_count() == 1


def test_scaling_a_weight_scales_the_gradient_linearly():
  _, target = _tuples()
  gradients = [
    _loss_and_gradients(target[:2], weights=(0, w))[1] for w in (0.37, 0.74)
  ]
  for one, two in zip(*gradients, strict=True):
    np.testing.assert_allclose(2 * one, two, rtol=1e-12)


def test_targets_take_the_dtype_of_the_prediction():
  predicted, target = _tuples(np.float32)
  target = tuple(t.astype(np.float64).tolist() for t in target)
  assert sobolev_loss(predicted, target).loss.dtype == tf.float32


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"target": lambda p: p[:2]}, "3 term"),
    ({"target": lambda p: (*p, p[0])}, "4"),
    ({"target": lambda p: (p[0][..., None], *p[1:])}, "value"),
    ({"target": lambda p: (p[0], p[1][:, :1], p[2])}, "order 1"),
    ({"weights": (1, 1)}, "weights"),
    ({"weights": (1, np.ones(3), 1)}, r"weights\[1\]"),
    ({"weights": "abc"}, "weights.*'abc'"),
    ({"weights": ("1", 1, 1)}, r"weights\[0\].*'1'"),
    ({"weights": (1, -0.1, 1)}, r"weights\[1\].*-0.1"),
    ({"weights": (1, 1, np.nan)}, r"weights\[2\].*nan"),
    ({"weights": (1, 1, -np.ones([3, 2, 2]))}, r"weights\[2\].*\(3, 2, 2\)"),
    ({"weights": (1, None, 1)}, r"weights\[1\].*None"),
    ({"weights": np.ones(3)}, r"weights.*shape \(3,\)"),
    ({"weights": lambda step: 1.0}, r"weights\[1\].*function"),
    ({"weights": {"dy": 1}}, r"weights\[1\]"),
    ({"loss": ("l1", "l2")}, "loss"),
    ({"loss": "l3"}, "l3"),
    ({"loss": ("l1", "l2", 3)}, "3"),
    ({"loss": None}, "None"),
    ({"loss": tf.square}, "function"),
    ({"loss": ("l1", tf.square, "l1")}, "function"),
    ({"huber_delta": 0}, "huber_delta.* 0"),
    ({"huber_delta": -1.0}, "huber_delta.*-1"),
    ({"huber_delta": np.nan}, "huber_delta.*nan"),
    ({"huber_delta": np.inf}, "huber_delta.*inf"),
    ({"huber_delta": "1"}, "huber_delta.*'1'"),
    ({"huber_delta": None}, "huber_delta.*None"),
    ({"target": lambda p: p[0]}, "target must be a tuple.*write"),
    ({"target": lambda p: ()}, "target 0"),
    ({"target": lambda p: (*p[:2], p[2] + 1j)}, r"target\[2\].*complex"),
    ({"target": lambda p: (*p[:2], p[2].astype(str))}, r"target\[2\].*string"),
    ({"target": lambda p: (p[0], None, p[2])}, r"target\[1\].*None"),
    ({"output_weights": ["a", "b", "c"]}, "output_weights.*string"),
    ({"example_weights": "abc"}, "example_weights.*string"),
    ({"reduction": "max"}, "reduction"),
    ({"output_weights": np.ones(2)}, "output_weights"),
    ({"example_weights": np.ones([4, 1])}, "example_weights"),
  ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(change, message):
  predicted, _ = _tuples()
  options = dict(change)
  target = options.pop("target", lambda p: p)(predicted)
  with pytest.raises(ValueError, match=message) as refusal:
    sobolev_loss(predicted, target, **options)
  assert str(refusal.value).endswith(".")


def _array(values):
  return np.array(values, np.float64)


@pytest.mark.parametrize(
  "given", [_array([1.0, 2.0]), tf.constant([1.0, 2.0]), 3.0, {"y": 1}]
)
def test_terms_that_are_no_tuples_are_not_taken_apart(given):
  with pytest.raises(ValueError, match="predicted must be a tuple") as refusal:
    sobolev_loss(given, given)
  assert str(refusal.value).endswith(".")


def test_a_prediction_must_be_floating_and_have_a_batch_axis():
  with pytest.raises(ValueError, match=r"predicted\[0\].*int64"):
    sobolev_loss((np.arange(3),), (np.arange(3),))
  with pytest.raises(ValueError, match="batch axis"):
    sobolev_loss((1.0,), (1.0,))


@pytest.mark.parametrize(
  "labels", [np.array([0, 2]), tf.constant([0, 2]), [0, 2], np.uint8([0, 2])]
)
def test_labels_of_any_real_dtype_count_as_their_numbers(labels):
  loss = sobolev_loss((_array([0.5, 0.5]),), (labels,)).loss
  np.testing.assert_array_equal(loss, [0.25, 2.25])
  flags = sobolev_loss((_array([0.5, 0.5]),), (np.array([True, False]),)).loss
  np.testing.assert_array_equal(flags, [0.25, 0.25])


def test_double_labels_of_a_single_prediction_are_taken_in_its_dtype():
  target = tf.constant([0.1, 0.2], tf.float64)
  result = sobolev_loss((tf.constant([0.0, 0.0]),), (target,))
  assert result.loss.dtype == tf.float32
  np.testing.assert_allclose(result.loss, [0.01, 0.04], rtol=1e-6)


@pytest.mark.parametrize("weight", [0.37, 2, tf.constant(0.37, tf.float64)])
def test_one_weight_is_that_of_every_derivative_beside_the_value(weight):
  predicted, target = _tuples()
  one = sobolev_loss(predicted, target, weight)
  each = sobolev_loss(predicted, target, (1, weight, weight))
  np.testing.assert_allclose(one.loss, each.loss, rtol=1e-14)
  value = sobolev_loss(predicted[:1], target[:1], weight).loss
  np.testing.assert_allclose(value, one.terms[0], rtol=1e-14)


@pytest.mark.parametrize("weights", [0.37, (0.37, 2.5)])
def test_weights_mean_here_what_they_mean_in_compile(weights):
  x = np.random.default_rng(2).normal(size=[8, 2])
  f, _ = _network()
  labels = [term.numpy() + 0.3 for term in derivatives(f, x, 2)]
  network = keras.Sequential([keras.layers.Dense(3, "tanh", dtype="float64")])
  model = SobolevModel(network, order=2, dtype="float64")
  model.compile(derivative_weights=weights, run_eagerly=True)
  model.build((None, 2))
  data = tf.data.Dataset.from_tensor_slices((x, tuple(labels))).batch(8)
  reported = model.evaluate(data, verbose=0, return_dict=True)["loss"]
  weights = weights if isinstance(weights, float) else (1, *weights)
  loss = sobolev_loss(derivatives(network, x, 2), labels, weights).loss
  np.testing.assert_allclose(reported, np.mean(loss), rtol=1e-6)


@pytest.mark.parametrize(
  ("losses", "message"),
  [
    (lambda a, b: a - b, "function"),
    (["l2", tf.square], "function"),
    (None, "None"),
    (["l2", "l1", "l2"], "3 entries"),
    ("mse", "'mse'"),
  ],
)
def test_compile_refuses_losses_in_the_same_words(losses, message):
  model = SobolevModel(keras.Sequential([keras.layers.Dense(1)]), order=2)
  with pytest.raises(ValueError, match=message) as refusal:
    model.compile(derivative_losses=losses)
  assert str(refusal.value).endswith(".")


def test_a_column_is_not_broadcast_against_a_vector():
  with pytest.raises(ValueError, match="match exactly"):
    sobolev_loss((np.ones([4]),), (np.ones([4, 1]),))


def test_output_weights_are_refused_for_projected_derivatives():
  terms = (np.ones([4, 3]), np.ones([4, 2]))
  with pytest.raises(ValueError, match="projected away"):
    sobolev_loss(terms, terms, output_weights=np.ones(3))
