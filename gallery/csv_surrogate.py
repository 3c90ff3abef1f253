"""A surrogate in two lines, from a CSV file.

`beam.csv` holds 40 cantilever beams: length, width, height, load, the tip's
deflection, and its four partial derivatives as an adjoint solver gives them.
"""

import pathlib

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import sobolev_tf

HERE = pathlib.Path(__file__).parent
INPUTS = ["length", "width", "height", "load"]

beams = pd.read_csv(HERE / "beam.csv")
x, y = beams[INPUTS], beams["deflection"]
dy = beams[[f"d_{name}" for name in INPUTS]]

model = sobolev_tf.fit_surrogate(x, y, dy)
print(model.report)


def deflection(x):
  """The formula that made the file: P L^3 / (3 E I), in millimetres."""
  length, width, height, load = np.asarray(x).T
  return load * length**3 / (3 * 200e9 * width * height**3 / 12) * 1e3


new = np.random.default_rng(1).uniform(x.min(), x.max(), [500, 4])
predicted, slopes = model.predict_with_derivatives(new)
error = predicted[:, 0] - deflection(new)
relative = np.sqrt(np.mean(error**2)) / np.std(deflection(new))
print(f"error on 500 new beams: {100 * relative:.2f} % of their spread")
assert relative < 0.05, relative

figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
axes[0].plot(deflection(new), predicted[:, 0], ".", markersize=3)
axes[0].axline((0, 0), slope=1, color="grey", linewidth=1)
axes[0].set(xlabel="deflection, mm", ylabel="predicted, mm")
exact = 3 * deflection(new) / new[:, 0]
axes[1].plot(exact, slopes[:, 0, 0], ".", markersize=3)
axes[1].axline((0, 0), slope=1, color="grey", linewidth=1)
axes[1].set(xlabel="d deflection / d length, mm/m", ylabel="predicted")
figure.suptitle("40 beams from a CSV file, 500 new ones")
figure.savefig(pathlib.Path(__file__).with_suffix(".png"), dpi=100)
