"""A teacher's curvature: rows of its Hessians, drawn at random.

The teacher is a network, so it knows its own Hessian in every direction. A few
directions for each point, made once by `targets_from_function`, move its
curvature into a small student; no Hessian is built.
"""

import pathlib

import keras
import matplotlib.pyplot as plt
import numpy as np

import sobolev_tf

INPUTS, POINTS, ROWS = 4, 30, 1
rng = np.random.default_rng(0)
dense = keras.layers.Dense
# Random weights stand for a trained network.
draw = keras.initializers.RandomNormal(stddev=0.7, seed=1)
narrow = keras.initializers.RandomNormal(stddev=0.1, seed=2)
teacher = keras.Sequential(
  [
    dense(128, "tanh", kernel_initializer=draw, bias_initializer=draw),
    dense(128, "tanh", kernel_initializer=narrow),
    dense(1, kernel_initializer=narrow),
  ]
)
x = rng.uniform(-1, 1, [POINTS, INPUTS]).astype("float32")
rows = np.eye(INPUTS, dtype="float32")[
  np.array([rng.choice(INPUTS, ROWS, replace=False) for _ in x])
]  # [N, 1, 4]
labels = sobolev_tf.targets_from_function(
  teacher, x, 1, directions={"hvp": rows}
)
assert sobolev_tf.check_derivatives(teacher, x, labels)

x_test = rng.uniform(-1, 1, [500, INPUTS]).astype("float32")
truth = sobolev_tf.targets_from_function(teacher, x_test, 2)

choices = {
  "values and slopes": ("y", "dy"),
  f"and {ROWS} row of {INPUTS}": ("y", "dy", "hvp"),
}
errors = {}
for name, kept in choices.items():
  keras.utils.set_random_seed(0)
  student = keras.Sequential([dense(24, "tanh"), dense(24, "tanh"), dense(1)])
  model = sobolev_tf.SobolevModel(student, order=2)
  model.compile(derivative_weights=[1.0, 0.3 * ("hvp" in kept)])
  given = {label: labels[label] for label in kept}
  model.fit_full_batch(x, given, method="lbfgs", updates=150)
  found = model.predict_with_derivatives(x_test)
  errors[name] = [
    np.linalg.norm(a - b) / np.linalg.norm(b)
    for a, b in zip(found, truth, strict=True)
  ]
  print(
    f"{name}: error of value {errors[name][0]:.1%}, slope "
    f"{errors[name][1]:.1%}, curvature {errors[name][2]:.1%}"
  )
slopes, curved = errors.values()
assert curved[1] < 0.9 * slopes[1] and curved[2] < 0.9 * slopes[2], errors

figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
for place, (name, parts) in enumerate(errors.items()):
  axes.bar(
    np.arange(3) + 0.3 * (place - 0.5),
    np.multiply(100, parts),
    0.28,
    label=name,
  )
axes.set_xticks(range(3), ["value", "slope", "curvature"])
axes.set(ylabel="student's error, %")
axes.legend(title="trained on the teacher's")
figure.savefig(pathlib.Path(__file__).with_suffix(".png"), dpi=100)
