"""What a step of Sobolev training is made of (Eq. 1 and 2 of the paper)."""

from sobolev_tf.training.losses import SobolevLoss, sobolev_loss
from sobolev_tf.training.scaling import Scaling

__all__ = ["Scaling", "SobolevLoss", "sobolev_loss"]
