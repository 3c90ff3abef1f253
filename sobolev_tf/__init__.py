"""Sobolev training: networks that are trained on derivatives as well as values.

Rebuilds "Sobolev Training for Neural Networks" (Czarnecki et al., 2017).
"""

from sobolev_tf import distillation, synthetic_gradients, theory
from sobolev_tf.derivatives import (
  FiniteDifferences,
  derivatives,
  divergence,
  finite_differences,
  jet,
  laplacian,
  project,
  projected_derivatives,
  random_directions,
  sobolev_distance,
  sobolev_norm,
)

# The function; the package of this name is `sobolev_tf.export` to `import`.
from sobolev_tf.export import export
from sobolev_tf.labels import (
  DerivativeCheck,
  check_derivatives,
  sample_rows,
  targets_from_black_box,
  targets_from_function,
  targets_from_neighbours,
)
from sobolev_tf.model import SobolevModel
from sobolev_tf.surrogate import SurrogateModel, fit_surrogate
from sobolev_tf.training import Scaling, SobolevLoss, sobolev_loss

__version__ = "0.1.0"

__all__ = [
  "DerivativeCheck",
  "FiniteDifferences",
  "Scaling",
  "SobolevLoss",
  "SobolevModel",
  "SurrogateModel",
  "check_derivatives",
  "derivatives",
  "distillation",
  "divergence",
  "export",
  "finite_differences",
  "fit_surrogate",
  "jet",
  "laplacian",
  "project",
  "projected_derivatives",
  "random_directions",
  "sample_rows",
  "sobolev_distance",
  "sobolev_loss",
  "sobolev_norm",
  "synthetic_gradients",
  "targets_from_black_box",
  "targets_from_function",
  "targets_from_neighbours",
  "theory",
]
