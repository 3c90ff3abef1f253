"""An interatomic potential from the energies and forces of a small molecule.

Four copper atoms with ASE's EMT potential. A configuration has one energy and
twelve forces, so an energy-only fit throws away twelve numbers out of thirteen.
The forces are minus the gradient of the energy.
"""

import pathlib

import ase
import ase.calculators.emt
import keras
import matplotlib.pyplot as plt
import numpy as np

import sobolev_tf

rng = np.random.default_rng(0)
TETRAHEDRON = (
  1.6 / 2 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1.0]])
)


def label(positions):
  """Energy in eV and its gradient in eV per angstrom."""
  atoms = ase.Atoms("Cu4", positions, calculator=ase.calculators.emt.EMT())
  return atoms.get_potential_energy(), -atoms.get_forces().ravel()


def draw(count):
  """Tetrahedra with shaken atoms: positions [N, 12], energies, gradients."""
  positions = TETRAHEDRON + rng.normal(scale=0.12, size=[count, 4, 3])
  energies, gradients = zip(*map(label, positions), strict=True)
  return positions.reshape(count, 12), np.array(energies), np.array(gradients)


class Distances(keras.layers.Layer):
  """The six interatomic distances, which no rotation changes."""

  def call(self, x):
    """Maps positions [B, 12] to distances [B, 6]."""
    atoms = keras.ops.reshape(x, [-1, 4, 3])
    first, second = np.triu_indices(4, 1)
    apart = keras.ops.take(atoms, first, 1) - keras.ops.take(atoms, second, 1)
    return keras.ops.sqrt(keras.ops.sum(apart**2, axis=2)) - 2.3


x, y, dy = draw(60)
x_test, y_test, dy_test = draw(200)
errors, found = {}, {}
for name, weight in (("energies alone", 0), ("energies and forces", 1.0)):
  keras.utils.set_random_seed(0)
  dense = keras.layers.Dense
  network = keras.Sequential(
    [Distances(), dense(32, "tanh"), dense(32, "tanh"), dense(1)]
  )
  model = sobolev_tf.SobolevModel(network)
  model.compile(derivative_weights=weight)
  offset = y.mean()
  model.fit_full_batch(x, (y - offset, dy), method="lbfgs", updates=200)
  energy, gradient = model.predict_with_derivatives(x_test)
  found[name] = energy[:, 0] + offset, gradient[:, 0]
  errors[name] = np.sqrt(np.mean((gradient[:, 0] - dy_test) ** 2))
  print(f"{name}: RMSE of the forces {errors[name]:.3f} eV/A")
assert errors["energies and forces"] < 0.4 * errors["energies alone"], errors

figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
for axis, part, label_of in (
  (axes[0], 0, "energy, eV"),
  (axes[1], 1, "gradient, eV per angstrom"),
):
  exact = (y_test, dy_test)[part].ravel()
  for marker, (name, result) in zip("x.", found.items(), strict=True):
    axis.plot(exact, result[part].ravel(), marker, markersize=3, label=name)
  axis.axline((exact[0], exact[0]), slope=1, color="grey", linewidth=1)
  axis.set(xlabel=label_of, ylabel="predicted")
axes[0].legend()
figure.suptitle("Four copper atoms (EMT), 60 configurations")
figure.savefig(pathlib.Path(__file__).with_suffix(".png"), dpi=100)
