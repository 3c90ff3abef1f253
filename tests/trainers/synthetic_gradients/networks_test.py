"""What Table 1's configurations are made of."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.synthetic_gradients import DirectEstimator, ZeroEstimator
from trainers.synthetic_gradients import networks
from trainers.synthetic_gradients import train as synthetic_gradients


@pytest.mark.parametrize(
  ("preset", "drops"),
  [
    ("paper", (40_000, 60_000, 80_000)),  # SM §4.2
    ("paper_imagenet", (100_000, 150_000, 175_000)),  # SM §4.3
  ],
)
def test_learning_rate_falls_right_after_the_papers_updates(preset, drops):
  schedule = networks.build_schedule(synthetic_gradients.PRESETS[preset])
  # The schedule is asked how many updates have been made before this one.
  before = [schedule(0), *(schedule(drop - 1) for drop in drops)]
  after = [schedule(drop) for drop in drops]
  np.testing.assert_allclose(before, [0.1, 0.1, 1e-2, 1e-3], rtol=1e-6)
  np.testing.assert_allclose(after, [1e-2, 1e-3, 1e-4], rtol=1e-6)


@pytest.mark.parametrize(
  ("method", "supervision"),
  [  # value, gradient, labels: Table 1 and SM §4.1
    ("critic", (True, False, False)),
    ("vfbn", (False, True, False)),
    ("sobolev", (True, True, False)),
    ("sobolev_labels", (True, True, True)),
  ],
)
def test_a_critic_is_supervised_as_its_row_of_table_1_says(method, supervision):
  config = dataclasses.replace(
    synthetic_gradients.PRESETS["paper"], method=method
  )
  critic = networks.build_estimator(config, 64, 10, (0, 100))
  assert supervision == (
    critic.match_value,
    critic.match_gradient,
    critic.match_labels,
  )


def test_the_label_term_has_the_weight_of_its_setting():
  paper = synthetic_gradients.PRESETS["paper"]
  config = dataclasses.replace(
    paper, method="sobolev_labels", label_weight=0.01, balance_terms=True
  )
  critic = networks.build_estimator(config, 64, 10, (0, 100))
  assert (critic.weights, critic.balance) == ((1, 1, 0.01), True)
  plain = networks.build_estimator(paper, 64, 10, (0, 100))
  assert (plain.weights, plain.balance) == ((1, 1, 1), False)


def test_local_losses_and_critics_have_the_same_heads():
  paper = synthetic_gradients.PRESETS["paper"]
  h, y = tf.ones([2, 8, 8, 64]), tf.one_hot([3, 7], 10)
  values = [
    networks.build_estimator(
      dataclasses.replace(paper, method=method), 64, 10, (0, 100)
    )(h, y).value
    for method in ("local", "critic")
  ]
  np.testing.assert_array_equal(*values)


def test_backpropagation_and_noprop_have_nothing_to_supervise():
  assert set(networks.METHODS) == {
    *("backprop", "noprop", "direct"),
    *("critic", "vfbn", "sobolev", "sobolev_labels", "local"),
  }
  paper = synthetic_gradients.PRESETS["paper"]
  kinds = [
    type(
      networks.build_estimator(
        dataclasses.replace(paper, method=method), 64, 10, (0, 100)
      )
    )
    for method in ("noprop", "direct")
  ]
  assert kinds == [ZeroEstimator, DirectEstimator]
