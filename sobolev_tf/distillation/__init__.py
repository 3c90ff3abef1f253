"""Moving what one network knows into another (§4.2, SM §5)."""

from sobolev_tf.distillation.model import DistillationModel
from sobolev_tf.distillation.objective import (
  DIRECTIONS,
  KL_DIRECTIONS,
  DistillationLoss,
  action_prediction_error,
  attention_transfer_loss,
  kl_divergence,
  policy_directions,
  policy_distillation_loss,
  policy_entropy,
  projected_policy_gradient,
)

__all__ = [
  "DistillationLoss",
  "DistillationModel",
  "KL_DIRECTIONS",
  "DIRECTIONS",
  "action_prediction_error",
  "attention_transfer_loss",
  "kl_divergence",
  "policy_directions",
  "policy_distillation_loss",
  "policy_entropy",
  "projected_policy_gradient",
]
