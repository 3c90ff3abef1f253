"""Derivatives at internal activations."""

from sobolev_tf.theory import (
  internal_activations,
)


def test_derivatives_at_internal_activations_teach_a_sub_network():
  errors = internal_activations.sub_network_errors(num_steps=800, seed=1)
  assert errors["+ dy/dh"] < 0.5 * errors["values"] < 0.2
