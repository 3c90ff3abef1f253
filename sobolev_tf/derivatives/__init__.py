"""Values and derivatives of any callable, and the directions to project on."""

from sobolev_tf.derivatives.directions import random_directions
from sobolev_tf.derivatives.finite_differences import (
  FiniteDifferences,
  finite_differences,
)
from sobolev_tf.derivatives.nested_tapes import (
  derivatives,
  project,
  projected_derivatives,
)
from sobolev_tf.derivatives.norms import sobolev_distance, sobolev_norm
from sobolev_tf.derivatives.taylor import divergence, jet, laplacian

__all__ = [
  "FiniteDifferences",
  "derivatives",
  "divergence",
  "finite_differences",
  "jet",
  "laplacian",
  "project",
  "projected_derivatives",
  "random_directions",
  "sobolev_distance",
  "sobolev_norm",
]
