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
  LocalLoss,
  LossCritic,
  Target,
  ZeroEstimator,
)
from sobolev_tf.synthetic_gradients.model import DecoupledModel

__all__ = [
  "DecoupledModel",
  "DecoupledNetwork",
  "DirectEstimator",
  "Estimate",
  "EstimatorLoss",
  "LocalLoss",
  "LossCritic",
  "StepGradients",
  "Target",
  "ZeroEstimator",
  "is_decayed",
]
