"""Sobolev training: networks that are trained on derivatives as well as values.

Rebuilds "Sobolev Training for Neural Networks" (Czarnecki et al., 2017).
"""

from sobolev_tf.derivatives import derivatives, project, projected_derivatives
from sobolev_tf.directions import random_directions
from sobolev_tf.losses import SobolevLoss, sobolev_loss

__all__ = [
  "SobolevLoss",
  "derivatives",
  "project",
  "projected_derivatives",
  "random_directions",
  "sobolev_loss",
]
