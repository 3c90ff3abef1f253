"""Decoupling a Keras network of your own.

A convolutional classifier of handwritten digits is cut in two places. Each
segment learns from a critic at its upper border, without waiting for what lies
above.
"""

import pathlib

import keras
import matplotlib.pyplot as plt
import sklearn.datasets
import sklearn.model_selection

from sobolev_tf import synthetic_gradients

pictures, digits = sklearn.datasets.load_digits(return_X_y=True)
pictures = pictures.reshape(-1, 8, 8, 1).astype("float32") / 16
x, x_test, y, y_test = sklearn.model_selection.train_test_split(
  pictures, digits, test_size=500, random_state=0
)


def segment(*layers):
  """A part of the network."""
  return keras.Sequential(list(layers))


def build(estimators):
  """Three segments with an estimator at each border."""
  conv, dense = keras.layers.Conv2D, keras.layers.Dense
  segments = [
    segment(conv(16, 3, activation="relu", padding="same")),
    segment(conv(32, 3, strides=2, activation="relu", padding="same")),
    segment(keras.layers.Flatten(), dense(64, "relu"), dense(10)),
  ]
  if not estimators:
    segments = [segment(*segments)]
  network = synthetic_gradients.DecoupledNetwork(segments, estimators)
  return synthetic_gradients.DecoupledModel(network)


def critic():
  """Predicts the classes, and through them the loss, from activations."""
  return synthetic_gradients.LossCritic(
    segment(keras.layers.Flatten(), keras.layers.Dense(10))
  )


curves = {}
for name, estimators in (
  ("backpropagation", lambda: []),
  ("Sobolev critics", lambda: [critic(), critic()]),
  ("no gradient (Noprop)", lambda: [synthetic_gradients.ZeroEstimator()] * 2),
):
  keras.utils.set_random_seed(0)
  model = build(estimators())
  model.compile(keras.optimizers.Adam(2e-3), keras.optimizers.Adam(5e-3))
  history = model.fit(
    x, y, epochs=8, batch_size=64, validation_data=(x_test, y_test), verbose=0
  )
  curves[name] = history.history["val_accuracy"]
  print(f"{name}: {100 * curves[name][-1]:.1f} % of 500 test digits")
assert curves["Sobolev critics"][-1] > 0.93, curves
assert curves["backpropagation"][-1] > 0.95, curves

figure, axis = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
for marker, (name, values) in zip("osx", curves.items(), strict=True):
  axis.plot(range(1, 9), values, marker + "-", label=name)
axis.set(xlabel="epoch", ylabel="test accuracy")
axis.legend()
axis.set_title("Three segments, 1,297 digits")
figure.savefig(pathlib.Path(__file__).with_suffix(".png"), dpi=100)
