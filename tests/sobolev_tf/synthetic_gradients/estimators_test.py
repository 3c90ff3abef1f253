import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from sobolev_tf.networks.synthetic_gradient_modules import (
  ClassPredictor,
  GradientPredictor,
)
from sobolev_tf.synthetic_gradients import (
  DirectEstimator,
  LocalLoss,
  LossCritic,
  Target,
  ZeroEstimator,
)

SWITCHES = {
  "sobolev": (True, True, False),
  "critic": (True, False, False),
  "vfbn": (False, True, False),
  "labels": (False, False, True),
  "all": (True, True, True),
}


class SmoothPredictor(snt.Module):
  """A small class predictor in float64, smooth and not linear."""

  def __init__(self, num_inputs=4, num_classes=3, seed=0):
    super().__init__()
    rng = np.random.default_rng(seed)
    self.w1 = tf.Variable(rng.normal(size=[num_inputs, 5]))
    self.b1 = tf.Variable(rng.normal(size=[5]))
    self.w2 = tf.Variable(rng.normal(size=[5, num_classes]))

  def __call__(self, h):
    return tf.tanh(h @ self.w1 + self.b1) @ self.w2


def example_batch(seed=1, size=6):
  rng = np.random.default_rng(seed)
  h = tf.constant(rng.normal(size=[size, 4]))
  # Soft labels, so that every class takes part in the derivatives.
  y = tf.constant(rng.dirichlet(np.ones(3), size=size))
  p = rng.dirichlet(np.ones(3), size=size)
  target = Target(
    tf.constant(-np.sum(y.numpy() * np.log(p), axis=1)),
    tf.constant(rng.normal(size=[size, 4])),
    tf.constant(-np.log(p)),
  )
  return h, y, target


def mean_loss(estimator, h, y, target):
  return tf.reduce_mean(estimator.loss(estimator(h, y), target).loss)


def test_loss_critic_predicts_the_log_loss_and_its_derivatives():
  h, y, _ = example_batch()
  estimate = LossCritic(SmoothPredictor())(h, y)
  with tf.GradientTape() as tape:
    tape.watch([h, y])
    value = tf.nn.softmax_cross_entropy_with_logits(
      labels=y, logits=SmoothPredictor()(h)
    )
    written_out = -tf.reduce_sum(
      y * tf.nn.log_softmax(SmoothPredictor()(h)), axis=-1
    )
  gradient, label_gradient = tape.gradient(written_out, [h, y])
  np.testing.assert_allclose(estimate.value, value, rtol=1e-12)
  np.testing.assert_allclose(estimate.gradient, gradient, atol=1e-12)
  np.testing.assert_allclose(estimate.label_gradient, label_gradient, 1e-12)


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("loss", ["l1", "l2"])
def test_parameter_gradient_of_the_loss_agrees_with_finite_differences(
  name, loss
):
  h, y, target = example_batch()
  critic = LossCritic(SmoothPredictor(), *SWITCHES[name], loss=loss)
  with tf.GradientTape() as tape:
    total = mean_loss(critic, h, y, target)
  gradients = tape.gradient(total, critic.trainable_variables)
  rng = np.random.default_rng(3)
  step = 1e-6
  for variable, gradient in zip(
    critic.trainable_variables, gradients, strict=True
  ):
    assert gradient is not None
    assert np.abs(gradient.numpy()).max() > 1e-4
    direction = rng.normal(size=variable.shape)
    start = variable.numpy()
    ends = []
    for sign in (1, -1):
      variable.assign(start + sign * step * direction)
      ends.append(mean_loss(critic, h, y, target).numpy())
    variable.assign(start)
    slope = (ends[0] - ends[1]) / (2 * step)
    np.testing.assert_allclose(
      np.sum(gradient.numpy() * direction), slope, rtol=1e-5, atol=1e-7
    )


def test_label_term_is_the_distance_of_log_probabilities():
  """SM §4.1: ||dm/dy - dL/dy||^2 = ||log p(h) - log p_h||^2."""
  h, y, target = example_batch()
  critic = LossCritic(SmoothPredictor(), False, False, True, loss="l2")
  log_p = tf.nn.log_softmax(SmoothPredictor()(h))
  expected = tf.reduce_sum((log_p + target.label_gradient) ** 2, axis=1)
  terms = critic.loss(critic(h, y), target)
  np.testing.assert_allclose(terms.loss, expected, rtol=1e-12)
  assert terms.loss.shape == [6]


def test_differentiating_m_by_the_labels_reaches_the_parameters():
  """The cross term that TensorFlow's own cross entropy loses."""
  h, y, _ = example_batch()
  critic = LossCritic(SmoothPredictor())
  with tf.GradientTape() as outer:
    with tf.GradientTape() as tape:
      tape.watch(y)
      value = critic(h, y).value
    total = tf.reduce_sum(tape.gradient(value, y) ** 2)
  w1 = critic.predictor.w1
  with tf.GradientTape() as direct:
    closed = tf.reduce_sum(tf.nn.log_softmax(critic.predictor(h)) ** 2)
  expected = direct.gradient(closed, w1)
  assert np.abs(expected.numpy()).max() > 0.1
  np.testing.assert_allclose(outer.gradient(total, w1), expected, rtol=1e-10)


def test_switches_add_up():
  h, y, target = example_batch()
  losses = {}
  for name, switches in SWITCHES.items():
    critic = LossCritic(SmoothPredictor(), *switches, loss="l1")
    losses[name] = critic.loss(critic(h, y), target).loss.numpy()
  np.testing.assert_allclose(
    losses["sobolev"], losses["critic"] + losses["vfbn"], rtol=1e-12
  )
  np.testing.assert_allclose(
    losses["all"], losses["sobolev"] + losses["labels"], rtol=1e-12
  )
  value = LossCritic(SmoothPredictor())(h, y).value
  np.testing.assert_allclose(losses["critic"], np.abs(value - target.value))


def parameter_gradient(estimator, h, y, target):
  with tf.GradientTape() as tape:
    loss = mean_loss(estimator, h, y, target)
  found = tape.gradient(loss, estimator.trainable_variables)
  return np.concatenate([np.ravel(g) for g in found])


def test_each_term_has_its_weight():
  h, y, target = example_batch()
  parts = [
    parameter_gradient(
      LossCritic(SmoothPredictor(), *SWITCHES[name]), h, y, target
    )
    for name in ("critic", "vfbn", "labels")
  ]
  critic = LossCritic(
    SmoothPredictor(), *SWITCHES["all"], weights=(2.0, 0.5, 0.01)
  )
  found = parameter_gradient(critic, h, y, target)
  expected = 2 * parts[0] + 0.5 * parts[1] + 0.01 * parts[2]
  np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
  terms = critic.loss(critic(h, y), target)
  np.testing.assert_allclose(
    terms.loss,
    2 * terms.value + 0.5 * terms.gradient + 0.01 * terms.label_gradient,
    rtol=1e-12,
  )


def test_balanced_terms_are_as_large_as_the_first_and_their_weights_shares():
  h, y, target = example_batch()
  # A weight may change, but is not learnt.
  half = tf.Variable(0.5, trainable=False, dtype=tf.float64)
  critic = LossCritic(
    SmoothPredictor(), *SWITCHES["all"], weights=(1, 1, half), balance=True
  )
  terms = critic.loss(critic(h, y), target)
  value, gradient, labels = (
    np.mean(term)
    for term in (terms.value, terms.gradient, terms.label_gradient)
  )
  np.testing.assert_allclose(np.mean(terms.loss), 2.5 * value, rtol=1e-12)
  parts = [
    parameter_gradient(
      LossCritic(SmoothPredictor(), *SWITCHES[name]), h, y, target
    )
    for name in ("critic", "vfbn", "labels")
  ]
  expected = (
    parts[0] + value / gradient * parts[1] + 0.5 * value / labels * parts[2]
  )
  np.testing.assert_allclose(
    parameter_gradient(critic, h, y, target), expected, rtol=1e-12, atol=1e-12
  )
  # A term that is zero already has nothing to be made larger.
  perfect = critic(h, y)
  exact = Target(perfect.value + 1, perfect.gradient, target.label_gradient)
  assert np.all(np.isfinite(critic.loss(perfect, exact).loss))


def test_a_local_loss_answers_as_a_critic_and_learns_the_labels():
  h, y, target = example_batch()
  local = LocalLoss(SmoothPredictor())
  estimate, asked = local(h, y), LossCritic(SmoothPredictor())(h, y)
  for mine, other in zip(estimate, asked, strict=True):
    np.testing.assert_array_equal(mine, other)
  with tf.GradientTape() as tape:
    log_loss = tf.reduce_mean(
      tf.nn.softmax_cross_entropy_with_logits(y, local.predictor(h))
    )
  expected = tape.gradient(log_loss, local.trainable_variables)
  np.testing.assert_allclose(
    parameter_gradient(local, h, y, target),
    np.concatenate([np.ravel(g) for g in expected]),
    rtol=1e-12,
    atol=1e-12,
  )
  terms = local.loss(estimate, target)  # for logging: what a critic matches
  np.testing.assert_allclose(
    terms.value, np.abs(estimate.value - target.value), rtol=1e-12
  )
  assert terms.gradient.numpy().min() > 0
  nothing = local.loss(estimate, Target(None, None))
  np.testing.assert_array_equal(nothing.loss, estimate.value)


def test_unsupervised_terms_are_computed_and_not_trained_on():
  h, y, target = example_batch()
  critic = LossCritic(SmoothPredictor(), True, False)
  terms = critic.loss(critic(h, y), target)
  np.testing.assert_array_equal(terms.loss, terms.value)
  assert terms.gradient.numpy().min() > 0
  unknown = critic.loss(critic(h, y), target._replace(gradient=None))
  assert unknown.gradient is None
  np.testing.assert_array_equal(unknown.loss, terms.loss)


def test_missing_supervision_is_named():
  h, y, target = example_batch()
  critic = LossCritic(SmoothPredictor())
  with pytest.raises(ValueError, match="target's gradient, but it is None"):
    critic.loss(critic(h, y), target._replace(gradient=None))
  direct = DirectEstimator(lambda h, y: 2 * h)
  with pytest.raises(ValueError, match="target's gradient, but it is None"):
    direct.loss(direct(h, y), target._replace(gradient=None))


def test_direct_estimator_regresses_the_gradient():
  h, y, target = example_batch()
  estimate = DirectEstimator(lambda h, y: 2 * h)(h, y)
  assert estimate.value is None
  for loss, power in (("l1", 1), ("l2", 2)):
    estimator = DirectEstimator(lambda h, y: 2 * h, loss=loss)
    expected = np.sum(np.abs(2 * h - target.gradient) ** power, axis=1)
    terms = estimator.loss(estimate, target)
    np.testing.assert_allclose(terms.loss, expected, rtol=1e-12)


def test_zero_estimator_says_zero_and_has_nothing_to_train():
  h, y, target = example_batch()
  estimator = ZeroEstimator()
  estimate = estimator(h, y)
  assert not np.any(estimate.gradient)
  assert estimator.trainable_variables == ()
  terms = estimator.loss(estimate, target)
  assert not np.any(terms.loss)
  assert terms.gradient.numpy().min() > 0


def test_contradictions_are_refused():
  with pytest.raises(ValueError, match="neither value, gradient nor labels"):
    LossCritic(SmoothPredictor(), False, False, False)
  with pytest.raises(ValueError, match='must be "l1" or "l2"'):
    LossCritic(SmoothPredictor(), loss="huber")
  for weights in ((1, 1), (1, 1, 0), (1, float("nan"), 1)):
    with pytest.raises(ValueError, match="three positive numbers"):
      LossCritic(SmoothPredictor(), weights=weights)
  with pytest.raises(ValueError, match="must not be trained"):
    LossCritic(SmoothPredictor(), weights=(1, 1, tf.Variable(1.0)))
  h, y, _ = example_batch()
  with pytest.raises(ValueError, match="logits in the shape of y"):
    LossCritic(SmoothPredictor(num_classes=2))(h, y)
  with pytest.raises(ValueError, match="do not depend on h"):
    LossCritic(lambda h: tf.zeros([6, 3], tf.float64))(h, y)
  with pytest.raises(ValueError, match="must return the shape of h"):
    DirectEstimator(lambda h, y: h[:, :2])(h, y)


def test_predictor_with_batch_normalisation_is_refused():
  norm = snt.BatchNorm(True, True)
  network = snt.Sequential([lambda h: norm(h, True), snt.Linear(3)])
  network.norm = norm
  with pytest.raises(ValueError, match="couples the examples of a batch"):
    LossCritic(network)(tf.ones([4, 4]), tf.ones([4, 3]) / 3)
  with pytest.raises(ValueError, match="couples the examples of a batch"):
    LocalLoss(network)(tf.ones([4, 4]), tf.ones([4, 3]) / 3)


def test_modules_of_the_paper_fit_the_estimators():
  h = tf.random.stateless_normal([2, 8, 8, 6], [1, 2])
  y = tf.one_hot([1, 7], 10)
  predictor = ClassPredictor(10, 5, seed=(3, 0))
  estimate = LossCritic(predictor)(h, y)
  assert estimate.gradient.shape == h.shape
  assert predictor.output.w.shape == [8 * 8 * 5, 10]
  network = GradientPredictor(6, 5, seed=(3, 0))
  assert not np.any(DirectEstimator(network)(h, y).gradient)
  network.output.w.assign(tf.ones_like(network.output.w))
  # Conditioned on the label: another one, another gradient.
  one = network(h[:1], y[:1])
  other = network(h[:1], y[1:])
  assert np.abs(one - other).max() > 1e-3
