"""A black box through time."""

import numpy as np

from sobolev_tf.theory import (
  temporal_model,
)


def test_finite_differences_of_the_simulator_improve_generation():
  ends = [
    temporal_model.rollout_errors(
      temporal_model.train_step_model(weight, num_steps=800, seed=2),
      horizon=15,
    )[-1]
    for weight in (0, 1)
  ]
  assert ends[1] < 0.6 * ends[0]


def test_the_simulator_loses_energy_and_rests_at_zero():
  start = np.array([[1.0, 0.0], [0.0, 0.0]])
  states = temporal_model.generate(temporal_model.pendulum_step, start, 200)
  assert states.shape == (201, 2, 2)
  assert np.abs(states[-30:, 0]).max() < 0.1
  np.testing.assert_array_equal(states[:, 1], 0)


def test_noise_is_fixed_by_its_seed():
  runs = [
    temporal_model.generate(lambda s: s, np.zeros([2, 2]), 5, 0.1, seed)
    for seed in (0, 0, 1)
  ]
  np.testing.assert_array_equal(runs[0], runs[1])
  assert np.abs(runs[0] - runs[2]).max() > 0.01
