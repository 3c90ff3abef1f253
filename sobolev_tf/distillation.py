"""Losses that move what one network knows into another."""

import tensorflow as tf

from sobolev_tf.losses import SobolevLoss, sobolev_loss


def attention_transfer_loss(predicted, target_gradient, alpha=1.0):
  """Gradient-based attention transfer, Eq. (3) of the supplement's §5.

  Per example `L(g(x)) + alpha |dL(g(x))/dx - dL(f(x))/dx|_2`: the student g
  minimises its own loss and matches where the teacher f is sensitive. The
  Sobolev loss on L∘f, which it is compared with, is
  `sobolev_loss(predicted, (L(f(x)), dL(f(x))/dx), (1, alpha),
  loss=("l1", "norm"))`: it differs in the first term alone, and only unless
  L(f(x)) = 0. There a student that equals the teacher is a minimiser, here it
  need not be (Remark 2).

  Args:
    predicted: `(L(g(x)) [B], dL(g(x))/dx [B, *in])`, as `derivatives` returns
      it for the function from x to the student's loss per example.
    target_gradient: `dL(f(x))/dx`, `[B, *in]`; NaN means unknown.
    alpha: weight of the gradients' distance.

  Returns:
    `SobolevLoss(loss, terms)`, with the student's loss and the distance of the
    gradients as terms, each `[B]`. The distance is not squared, as in the
    paper; where it is 0 its gradient is taken as 0.

  Raises:
    ValueError: shapes differ.
  """
  if len(predicted) != 2:
    raise ValueError(
      "predicted must hold the student's loss and its input gradient, but it "
      f"holds {len(predicted)} term(s)."
    )
  own, gradient = (tf.convert_to_tensor(term) for term in predicted)
  if own.shape.rank != 1:
    raise ValueError(
      "predicted[0] must have shape [B], one loss per example, but it has "
      f"shape {own.shape}."
    )
  # The value term is what sets Eq. (3) apart, so only the gradients' distance
  # comes from the Sobolev loss.
  zero = tf.zeros_like(own)
  sensitivity = sobolev_loss(
    (zero, gradient), (zero, target_gradient), (1, alpha), loss=("l1", "norm")
  )
  return SobolevLoss(own + sensitivity.loss, (own, sensitivity.terms[1]))
