"""One call from arrays to a trained model that says how good it is."""

from sobolev_tf.surrogate.fit import fit_surrogate
from sobolev_tf.surrogate.model import SurrogateModel
from sobolev_tf.surrogate.report import Report

__all__ = ["Report", "SurrogateModel", "fit_surrogate"]
