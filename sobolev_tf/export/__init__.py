"""Networks in files: SavedModels that need none of our code, and weights."""

from sobolev_tf.export.derivative_signatures import ExportedModel, export
from sobolev_tf.export.policies import load_policy, save_policy
from sobolev_tf.export.policy_signatures import ExportedPolicy, export_policy

__all__ = [
  "ExportedModel",
  "ExportedPolicy",
  "export",
  "export_policy",
  "load_policy",
  "save_policy",
]
