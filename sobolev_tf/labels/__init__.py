"""Derivative labels: made, checked, and brought into one form."""

from sobolev_tf.labels.checks import check_derivatives
from sobolev_tf.labels.makers import (
  targets_from_black_box,
  targets_from_function,
  targets_from_neighbours,
)
from sobolev_tf.labels.rows import SampledRows, sample_rows
from sobolev_tf.labels.verdicts import DerivativeCheck

__all__ = [
  "DerivativeCheck",
  "SampledRows",
  "check_derivatives",
  "sample_rows",
  "targets_from_black_box",
  "targets_from_function",
  "targets_from_neighbours",
]
