"""Which networks are taken, and in what precision."""

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.model import SobolevModel
from sobolev_tf.training.network_model import NetworkModel

_X = np.random.default_rng(0).uniform(-1, 1, [6, 2])
_LABELS = (np.sin(_X[:, 0]), np.stack([np.cos(_X[:, 0]), 0 * _X[:, 0]], 1))


def _dense(dtype=None, last=None):
  return keras.Sequential(
    [
      keras.layers.Dense(4, "tanh", dtype=dtype),
      keras.layers.Dense(1, dtype=last or dtype),
    ]
  )


class Module(snt.Module):
  """Sines of a product, behind a counter, in a dtype of its own."""

  def __init__(self, dtype, late=False, result=None):
    super().__init__()
    self._dtype, self._result = dtype, result or dtype
    if not late:
      self._create()

  @snt.once
  def _create(self):
    self.a_counter = tf.Variable(0, trainable=False)
    self.weight = tf.Variable(np.ones([2, 1]), dtype=self._dtype)

  def __call__(self, z):
    self._create()
    if self._result != self._dtype:
      z = tf.cast(z, self._dtype)
    return tf.cast(tf.sin(z @ self.weight), self._result)


@pytest.mark.parametrize(
  "network, dtype",
  [
    (lambda: _dense(), "float32"),
    (lambda: _dense("float64"), "float64"),
    (lambda: _dense("float64", last="float32"), "float32"),
    (lambda: _dense("float32", last="float64"), "float64"),
    (lambda: Module(tf.float32), "float32"),
    (lambda: Module(tf.float64), "float64"),
    (lambda: Module(tf.float64, late=True), "float64"),
    (lambda: Module(tf.float32, result=tf.float64), "float64"),
  ],
)
@pytest.mark.parametrize("scaling", [None, "dml"])
def test_the_precision_is_that_of_what_the_network_computes(
  network, dtype, scaling
):
  model = SobolevModel(network(), scaling=scaling)
  model.compile("sgd", run_eagerly=True)
  model.fit(_X, _LABELS, verbose=0)
  assert model.compute_dtype == dtype
  terms = model.predict_with_derivatives(_X)
  assert {term.dtype.name for term in terms} == {dtype}


def test_a_dtype_that_is_given_stays():
  model = SobolevModel(_dense("float64"), dtype="float32")
  model.compile("sgd", run_eagerly=True)
  model.fit(_X, _LABELS, verbose=0)
  assert model.compute_dtype == "float32"


class Late(keras.layers.Layer):
  """Makes its layers when it is built."""

  def build(self, input_shape):
    self.inner = keras.layers.Dense(4, dtype="mixed_float16")
    self.outer = keras.layers.Dense(1)
    self.inner.build(input_shape)
    self.outer.build((None, 4))

  def call(self, z):
    return self.outer(self.inner(z))


@pytest.mark.parametrize(
  "network, where",
  [
    (lambda: _dense("mixed_float16", last="float32"), "layer 'dense.*float16"),
    (lambda: _dense("float32", last="mixed_bfloat16"), "layer .*bfloat16"),
    (lambda: keras.Sequential([_dense("float16")]), "layer 'dense.*float16"),
    (lambda: Late(), "layer 'dense.* float16"),
    (lambda: Module(tf.float16), "the network computes in float16"),
    (lambda: Module(tf.float32, result=tf.float16), "network .* float16"),
  ],
)
def test_half_precision_anywhere_is_refused(network, where):
  with pytest.raises(ValueError, match=where):
    SobolevModel(network()).build((None, 2))


def test_keras_2_is_refused():
  class Model(tf.Module):
    __module__ = "tf_keras.src.engine.training"

  class Child(Model):
    pass

  for network in (Model(), Child()):
    with pytest.raises(ValueError, match="of Keras 2 .*; build .* Keras 3"):
      NetworkModel(network)


def test_another_backend_is_refused(monkeypatch):
  monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
  with pytest.raises(ValueError, match="needs Keras' TensorFlow backend"):
    NetworkModel(keras.layers.Dense(1))


@pytest.mark.parametrize("form", [list, dict])
def test_several_inputs_are_refused_at_once(form):
  inputs = [keras.Input((2,), name=name) for name in "ab"]
  output = keras.layers.Concatenate()(inputs)
  if form is dict:
    inputs = dict(zip("ab", inputs, strict=True))
  with pytest.raises(ValueError, match="network has 2 inputs"):
    NetworkModel(keras.Model(inputs, output))


@pytest.mark.parametrize("form", [lambda out: [out], lambda out: {"y": out}])
def test_one_output_may_stand_in_a_container(form):
  given = keras.Input((2,))
  out = keras.layers.Dense(1)(keras.layers.Dense(4, "tanh")(given))
  model = SobolevModel(keras.Model(given, form(out)))
  model.compile("sgd", run_eagerly=True)
  model.fit(_X, _LABELS, verbose=0)
  y, dy = model.predict_with_derivatives(_X)
  assert y.shape == (6, 1) and dy.shape == (6, 1, 2)


def test_several_outputs_are_refused():
  given = keras.Input((2,))
  network = keras.Model(given, [keras.layers.Dense(1)(given)] * 2)
  with pytest.raises(ValueError, match="must return one tensor"):
    NetworkModel(network).build_network((None, 2))


@pytest.mark.parametrize("kind", ["RMSNormalization", "LayerNormalization"])
def test_normalisation_trains_on_derivatives_by_the_right_gradient(kind):
  network = keras.Sequential(
    [
      keras.layers.Dense(4, "tanh", dtype="float64"),
      getattr(keras.layers, kind)(dtype="float64"),
      keras.layers.Dense(1, dtype="float64"),
    ]
  )
  x = tf.constant(np.random.default_rng(0).normal(size=[3, 2]))
  network(x)
  kernel = network.layers[0].kernel

  def loss():
    return tf.reduce_sum(derivatives(network, x)[1] ** 2)

  with tf.GradientTape() as tape:
    value = loss()
  gradient = tape.gradient(value, kernel)[0, 1]
  step = np.zeros(kernel.shape)
  step[0, 1] = 1e-6
  start = kernel.numpy()
  kernel.assign(start + step)
  above = loss()
  kernel.assign(start - step)
  assert float((above - loss()) / 2e-6) == pytest.approx(float(gradient), 1e-5)
