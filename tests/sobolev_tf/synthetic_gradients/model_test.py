"""`DecoupledModel`: segments and estimators of the user's own, from `fit`."""

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from sobolev_tf.synthetic_gradients import (
  DecoupledModel,
  DecoupledNetwork,
  DirectEstimator,
  LossCritic,
  ZeroEstimator,
)

CLASSES, WIDTH = 3, 16


def dense(units, seed, activation=None):
  return keras.layers.Dense(
    units,
    activation,
    kernel_initializer=keras.initializers.GlorotUniform(seed),
  )


class SonnetSegment(snt.Module):
  """A segment in the form that the paper's networks have."""

  def __init__(self, units, activation=None):
    super().__init__()
    self.linear = snt.Linear(units)
    self.activation = activation or (lambda z: z)

  def __call__(self, x, is_training):
    return self.activation(self.linear(x))


def compiled(network, rate=0.05):
  model = DecoupledModel(network)
  model.compile(
    keras.optimizers.SGD(rate, momentum=0.9), keras.optimizers.Adam(1e-2)
  )
  return model


def keras_network(estimator=None):
  estimator = estimator or LossCritic(dense(CLASSES, 3))
  return DecoupledNetwork(
    [dense(WIDTH, 1, "relu"), dense(CLASSES, 2)], [estimator]
  )


@pytest.fixture(scope="module")
def examples():
  x = np.random.default_rng(0).normal(size=[256, 8]).astype("float32")
  return x, np.argmax(x[:, :CLASSES], axis=1)


def test_a_step_applies_the_network_s_own_gradients(examples):
  x, y = examples[0][:32], examples[1][:32]
  model = DecoupledModel(keras_network())
  model.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.2))
  model.build(x.shape)
  found = model.network.gradients(tf.constant(x), tf.one_hot(y, CLASSES))
  main, estimators = (
    [v.numpy() for v in variables]
    for variables in (
      model.network.main_variables,
      model.network.estimator_variables,
    )
  )
  model.train_on_batch(x, y)
  for rate, before, gradients, variables in (
    (0.1, main, found.main, model.network.main_variables),
    (0.2, estimators, found.estimators, model.network.estimator_variables),
  ):
    assert len(variables) == (4 if rate == 0.1 else 2)
    for old, g, v in zip(before, gradients, variables, strict=True):
      np.testing.assert_allclose((old - v.numpy()) / rate, g, atol=1e-5)


def test_fit_learns_and_reports_what_happens_at_the_border(examples):
  model = compiled(keras_network())
  history = model.fit(
    *examples, epochs=12, verbose=0, validation_data=examples
  ).history
  assert history["val_accuracy"][-1] > 0.85
  assert {"loss", "accuracy", "cosine_1", "value_loss_1"} <= set(history)
  assert history["cosine_1"][-1] > 0.3
  logits = model.predict(examples[0], verbose=0)
  accuracy = np.mean(np.argmax(logits, axis=1) == examples[1])
  assert accuracy == pytest.approx(history["val_accuracy"][-1], abs=1e-6)


def test_sonnet_segments_and_mixed_parts_learn(examples):
  network = DecoupledNetwork(
    [SonnetSegment(WIDTH, tf.nn.relu), dense(CLASSES, 2)],
    [LossCritic(snt.Linear(CLASSES))],
  )
  model = compiled(network)
  first = model.evaluate(*examples, verbose=0, return_dict=True)["loss"]
  model.fit(*examples, epochs=3, verbose=0)
  last = model.evaluate(*examples, verbose=0, return_dict=True)["loss"]
  assert last < 0.7 * first
  # Two variables each of two segments and a critic.
  assert len(model.network.main_variables) == 4
  assert len(model.network.estimator_variables) == 2


def test_without_estimators_trained_the_lower_segment_stands_still(examples):
  network = keras_network(ZeroEstimator())
  model = compiled(network)
  model.build(examples[0].shape)
  before = network.segments[0].kernel.numpy()
  model.fit(*examples, verbose=0)
  np.testing.assert_array_equal(network.segments[0].kernel.numpy(), before)


def test_labels_are_classes_or_weights_of_classes(examples):
  x, y = examples
  results = []
  for labels in (y, y[:, np.newaxis], np.eye(CLASSES)[y]):
    model = compiled(keras_network())
    results.append(model.evaluate(x, labels, verbose=0))
  np.testing.assert_allclose(results[1], results[0])
  np.testing.assert_allclose(results[2], results[0])


def test_weights_come_back(examples, tmp_path):
  model = compiled(keras_network())
  model.fit(*examples, verbose=0)
  path = str(tmp_path / "model.weights.h5")
  model.save_weights(path)
  other = compiled(keras_network())
  other.build(examples[0].shape)
  other.load_weights(path)
  np.testing.assert_allclose(
    other.evaluate(*examples, verbose=0), model.evaluate(*examples, verbose=0)
  )


@pytest.mark.parametrize(
  ("call", "phrase"),
  [
    (lambda m, x, y: m.fit(x, verbose=0), "learns from pairs"),
    (lambda m, x, y: m.fit(x, y * 0.5, verbose=0), r"integers \[N\]"),
    (lambda m, x, y: m.compile(loss="mse"), "takes no loss"),
    (lambda m, x, y: m.save("x.keras"), "save_weights"),
    (lambda m, x, y: DecoupledModel(3), "must be a DecoupledNetwork"),
  ],
)
def test_a_call_that_cannot_be_meant_is_one_sentence(call, phrase, examples):
  model = compiled(keras_network())
  model.run_eagerly = True
  with pytest.raises(ValueError, match=phrase):
    call(model, *examples)


def test_a_keras_predictor_with_batch_normalisation_is_refused(examples):
  predictor = keras.Sequential(
    [dense(4, 0), keras.layers.BatchNormalization(), dense(CLASSES, 1)]
  )
  model = compiled(keras_network(LossCritic(predictor)))
  with pytest.raises(ValueError, match="couples the examples"):
    model.train_on_batch(*examples)


def test_a_direct_estimator_of_keras_layers_is_trained(examples):
  class Direct(keras.layers.Layer):
    def __init__(self):
      super().__init__()
      self.dense = keras.layers.Dense(WIDTH)

    def call(self, h, y):
      return self.dense(tf.concat([h, y], axis=1))

  model = compiled(keras_network(DirectEstimator(Direct())))
  model.train_on_batch(*examples)
  assert len(model.network.estimator_variables) == 2
