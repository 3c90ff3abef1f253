"""Sobolev training: networks that are trained on derivatives as well as values.

Rebuilds "Sobolev Training for Neural Networks" (Czarnecki et al., 2017).
"""

from sobolev_tf.checks import DerivativeCheck, check_derivatives
from sobolev_tf.derivatives import derivatives, project, projected_derivatives
from sobolev_tf.directions import random_directions
from sobolev_tf.finite_differences import (
  FiniteDifferences,
  finite_differences,
)
from sobolev_tf.losses import SobolevLoss, sobolev_loss
from sobolev_tf.model import SobolevModel
from sobolev_tf.norms import sobolev_distance, sobolev_norm
from sobolev_tf.scaling import Scaling
from sobolev_tf.targets import (
  targets_from_black_box,
  targets_from_function,
  targets_from_neighbours,
)

__all__ = [
  "DerivativeCheck",
  "FiniteDifferences",
  "Scaling",
  "SobolevLoss",
  "SobolevModel",
  "check_derivatives",
  "derivatives",
  "finite_differences",
  "project",
  "projected_derivatives",
  "random_directions",
  "sobolev_distance",
  "sobolev_loss",
  "sobolev_norm",
  "targets_from_black_box",
  "targets_from_function",
  "targets_from_neighbours",
]
