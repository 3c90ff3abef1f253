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

__all__ = [
  "FiniteDifferences",
  "derivatives",
  "finite_differences",
  "project",
  "projected_derivatives",
  "random_directions",
  "sobolev_distance",
  "sobolev_norm",
]
