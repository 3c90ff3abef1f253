"""A surrogate inside `scipy.optimize`.

A surrogate with right slopes is what a gradient-based optimiser wants: the
minimum of Rosenbrock's function from 60 points with gradients.
"""

import pathlib

import keras
import matplotlib.pyplot as plt
import numpy as np
import scipy.optimize

import sobolev_tf

rng = np.random.default_rng(0)
x = rng.uniform(-2, 2, [60, 2])
y = scipy.optimize.rosen(x.T)
dy = scipy.optimize.rosen_der(x.T).T

keras.utils.set_random_seed(0)
dense = keras.layers.Dense
network = keras.Sequential([dense(48, "tanh"), dense(48, "tanh"), dense(1)])
model = sobolev_tf.SobolevModel(network, scaling="standard")
model.compile(derivative_weights=1.0)
model.fit_full_batch(x, (y, dy), method="lbfgs", updates=800)

path = []


def value_and_gradient(point):
  """What SciPy asks for with jac=True."""
  value, gradient = model.predict_with_derivatives(point[np.newaxis])
  path.append(point)
  return float(value[0, 0]), gradient[0, 0].astype(float)


found = scipy.optimize.minimize(
  value_and_gradient,
  [-1.5, 1.5],
  jac=True,
  method="L-BFGS-B",
  bounds=[(-2, 2)] * 2,
)
true = scipy.optimize.rosen(found.x)
print(
  f"{len(path)} calls; minimum at {found.x}, where Rosenbrock is {true:.3f}"
)
assert true < 2.0, true  # the points' own median is above 300

side = np.linspace(-2, 2, 120)
grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
values = model.predict(grid, verbose=0)[:, 0].reshape(120, 120)
figure, axis = plt.subplots(figsize=(5, 4), layout="constrained")
levels = np.arange(-2, 4, 0.25)
drawn = axis.contourf(
  side, side, np.log10(np.maximum(values, 1e-2)), levels, extend="both"
)
axis.plot(*x.T, "o", color="orange", markersize=3, label="60 points")
axis.plot(*np.array(path).T, "r.-", label="L-BFGS-B on the surrogate")
axis.plot(1, 1, "k*", markersize=12, label="minimum of Rosenbrock")
axis.set(xlabel="x1", ylabel="x2")
axis.legend(loc="lower right")
figure.colorbar(drawn, label="log10 of the surrogate")
figure.savefig(pathlib.Path(__file__).with_suffix(".png"), dpi=100)
