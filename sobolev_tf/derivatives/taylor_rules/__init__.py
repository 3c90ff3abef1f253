"""What each TensorFlow operation does to Taylor series.

A rule is a function of (operation, inputs) to the list of outputs; inputs and
outputs are `Series`, or tensors where they do not depend on x. `RULES` holds
them by the operation's type. Nothing here knows a layer: Dense, convolutions,
pooling, normalisation at inference and activations of Keras and Sonnet all
come down to these operations.
"""

from sobolev_tf.derivatives.taylor_rules import (
  elementwise,
  gradients,
  movements,
  products,
)
from sobolev_tf.derivatives.taylor_rules.registry import RULES

__all__ = ["RULES", "elementwise", "gradients", "movements", "products"]
