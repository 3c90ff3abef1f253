"""A large network moved into a small one, values and slopes.

The teacher knows its own derivatives everywhere, so `targets_from_function`
labels as many points as one likes; here a few are enough.
"""

import pathlib

import keras
import matplotlib.pyplot as plt
import numpy as np

import sobolev_tf

rng = np.random.default_rng(0)
dense = keras.layers.Dense
# Random weights stand for a trained network.
draw = keras.initializers.RandomNormal(stddev=1.5, seed=1)
narrow = keras.initializers.RandomNormal(stddev=0.05, seed=2)
teacher = keras.Sequential(
  [
    dense(256, "tanh", kernel_initializer=draw, bias_initializer=draw),
    dense(256, "tanh", kernel_initializer=narrow),
    dense(1, kernel_initializer=draw),
  ]
)
line = np.linspace(-3, 3, 400, dtype="float32")[:, np.newaxis]

x = rng.uniform(-3, 3, [14, 1]).astype("float32")
y, dy = sobolev_tf.targets_from_function(teacher, x)
truth = teacher.predict(line, verbose=0)[:, 0]

errors, found = {}, {}
for name, weight in (("values alone", 0), ("values and slopes", 1.0)):
  keras.utils.set_random_seed(0)
  student = keras.Sequential([dense(24, "tanh"), dense(24, "tanh"), dense(1)])
  model = sobolev_tf.SobolevModel(student)
  model.compile(keras.optimizers.Adam(1e-2), derivative_weights=weight)
  model.fit_full_batch(x, (y, dy), updates=3000)
  found[name] = model.predict(line, verbose=0)[:, 0]
  errors[name] = np.sqrt(np.mean((found[name] - truth) ** 2))
  print(f"{name}: RMSE to the teacher {errors[name]:.4f}")
assert errors["values and slopes"] < 0.5 * errors["values alone"], errors

figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
axis.plot(line, truth, "k", label="teacher, 66,561 weights")
for style, (name, values) in zip(("--", ":"), found.items(), strict=True):
  axis.plot(line, values, style, label=f"student, 673 weights, {name}")
axis.plot(x, y, "ko")
axis.legend()
axis.set_title("Fourteen points of a teacher")
figure.savefig(pathlib.Path(__file__).with_suffix(".png"), dpi=100)
