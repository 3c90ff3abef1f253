"""Synthetic gradients: estimators and the network that they decouple (§4.3)."""

from sobolev_tf.synthetic_gradients.decoupled import (
  DecoupledNetwork,
  StepGradients,
  is_decayed,
)
from sobolev_tf.synthetic_gradients.estimators import (
  DirectEstimator,
  Estimate,
  EstimatorLoss,
  LossCritic,
  Target,
  ZeroEstimator,
)

__all__ = [
  "DecoupledNetwork",
  "DirectEstimator",
  "Estimate",
  "EstimatorLoss",
  "LossCritic",
  "StepGradients",
  "Target",
  "ZeroEstimator",
  "is_decayed",
]
