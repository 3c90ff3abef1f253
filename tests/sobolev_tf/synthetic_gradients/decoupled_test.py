import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from sobolev_tf.networks.cifar10 import cifar10_segments
from sobolev_tf.synthetic_gradients import (
  DecoupledNetwork,
  DirectEstimator,
  Estimate,
  LocalLoss,
  LossCritic,
  ZeroEstimator,
)

WIDTHS = (4, 6, 5, 3)


class Layer(snt.Module):
  """A segment in float64 that counts its calls."""

  def __init__(self, fan_in, fan_out, is_top, seed):
    super().__init__()
    rng = np.random.default_rng(seed)
    self.w = tf.Variable(rng.normal(size=[fan_in, fan_out]), name="w")
    self.b = tf.Variable(rng.normal(size=[fan_out]), name="b")
    self.is_top = is_top
    self.calls = 0

  def __call__(self, x, is_training):
    self.calls += 1
    z = x @ self.w + self.b
    return z if self.is_top else tf.tanh(z)


class Predictor(snt.Module):
  def __init__(self, fan_in, seed):
    super().__init__()
    rng = np.random.default_rng(seed)
    self.w1 = tf.Variable(rng.normal(size=[fan_in, 7]))
    self.w2 = tf.Variable(rng.normal(size=[7, 3]))

  def __call__(self, h):
    return tf.tanh(h @ self.w1) @ self.w2


class TrueGradient(snt.Module):
  """The perfect estimator: backpropagates through what lies above."""

  needs_gradient = True

  def __init__(self, segments):
    super().__init__()
    self._above = segments  # called with is_training, as the network does

  def __call__(self, h, y):
    with tf.GradientTape() as tape:
      tape.watch(h)
      z = h
      for segment in self._above:
        z = segment(z, True)
      log_loss = -tf.nn.log_softmax(z)
      value = tf.reduce_sum(y * log_loss, axis=-1)
    return Estimate(value, tape.gradient(value, h), log_loss)

  def loss(self, estimate, target):
    return LossCritic(lambda h: h).loss(estimate, target)

  @property
  def trainable_variables(self):
    return ()


def make_segments():
  return [Layer(WIDTHS[i], WIDTHS[i + 1], i == 2, seed=i) for i in range(3)]


def make_batch(size=5):
  rng = np.random.default_rng(9)
  x = tf.constant(rng.normal(size=[size, WIDTHS[0]]))
  y = tf.one_hot(rng.integers(0, 3, size), 3, dtype=tf.float64)
  return x, y


def critics(**switches):
  return [LossCritic(Predictor(w, 10 + w), **switches) for w in WIDTHS[1:3]]


def backpropagation(segments, x, y, l2=0.0):
  variables = [v for s in segments for v in s.trainable_variables]
  with tf.GradientTape() as tape:
    z = x
    for segment in segments:
      z = segment(z, True)
    loss = tf.reduce_mean(
      tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=z)
    )
    total = loss + l2 * tf.add_n(
      [tf.nn.l2_loss(v) for v in variables if v.shape.rank > 1]
    )
  return tape.gradient(total, variables), loss


@pytest.mark.parametrize("targets", ["true", "bootstrapped"])
def test_perfect_estimators_give_the_gradients_of_backpropagation(targets):
  segments = make_segments()
  x, y = make_batch()
  perfect = [TrueGradient(segments[1:]), TrueGradient(segments[2:])]
  network = DecoupledNetwork(segments, perfect, targets, l2=0.3)
  step = network.gradients(x, y)
  expected, loss = backpropagation(segments, x, y, l2=0.3)
  np.testing.assert_allclose(step.loss, loss, rtol=1e-12)
  for got, wanted in zip(step.main, expected, strict=True):
    np.testing.assert_allclose(got, wanted, atol=1e-12)
  for border in (1, 2):
    np.testing.assert_allclose(step.measures[f"cosine_{border}"], 1)
    for name in ("relative_error", "value_loss", "gradient_loss"):
      # Zero, so true and bootstrapped targets are what they should be.
      assert abs(step.measures[f"{name}_{border}"]) < 1e-12


def test_perfect_estimators_through_batch_normalisation():
  segments = cifar10_segments(3, width=0.07, seed=4)
  x = tf.random.stateless_normal([4, 32, 32, 3], [0, 1])
  y = tf.one_hot([3, 1, 9, 0], 10)
  perfect = [TrueGradient(segments[k:]) for k in (1, 2, 3)]
  network = DecoupledNetwork(segments, perfect, l2=1e-2)
  network(x)
  step = network.gradients(x, y)
  expected, _ = backpropagation(segments, x, y, l2=1e-2)
  for got, wanted in zip(step.main, expected, strict=True):
    # Single precision through eleven normalisations of few values each.
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(got / scale, wanted / scale, atol=1e-5)


@pytest.mark.parametrize("targets", ["true", "bootstrapped"])
def test_segments_under_local_losses_learn_from_their_heads_alone(targets):
  """Decoupled greedy learning: each lower segment with its head by itself."""
  segments, (x, y) = make_segments(), make_batch()
  heads = [Predictor(width, 10 + width) for width in WIDTHS[1:3]]
  network = DecoupledNetwork(segments, [LocalLoss(h) for h in heads], targets)
  found = network.gradients(x, y, measure=False)
  expected_main, expected_heads, z = [], [], x
  for segment, head in zip(segments, [*heads, lambda h: h], strict=True):
    main = segment.trainable_variables
    own = getattr(head, "trainable_variables", ())
    with tf.GradientTape() as tape:
      z = segment(z, True)
      loss = tf.reduce_mean(
        tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=head(z))
      )
    gradients = tape.gradient(loss, [*main, *own])
    expected_main += gradients[: len(main)]
    expected_heads += gradients[len(main) :]
  assert len(found.main) == len(expected_main)
  for mine, other in zip(
    [*found.main, *found.estimators],
    [*expected_main, *expected_heads],
    strict=True,
  ):
    np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-12)


def test_one_segment_is_backpropagation():
  segment = make_segments()[2]
  rng = np.random.default_rng(0)
  x, y = tf.constant(rng.normal(size=[5, WIDTHS[2]])), make_batch()[1]
  step = DecoupledNetwork([segment], []).gradients(x, y)
  expected, _ = backpropagation([segment], x, y)
  for got, wanted in zip(step.main, expected, strict=True):
    np.testing.assert_allclose(got, wanted, atol=1e-14)
  assert step.estimators == [] and step.measures == {}


def test_no_gradient_crosses_a_border():
  """A segment learns from its own estimator alone, whatever stands above."""
  segments = make_segments()
  estimators = critics()
  x, y = make_batch()
  network = DecoupledNetwork(segments, estimators)
  before = network.gradients(x, y)
  segments[2].w.assign_add(tf.ones_like(segments[2].w))
  segments[2].b.assign([5.0, -3.0, 1.0])
  after = network.gradients(x, y)
  for a, b in zip(before.main[:4], after.main[:4], strict=True):
    np.testing.assert_array_equal(a, b)
  assert np.abs(before.main[4] - after.main[4]).max() > 0.1
  # The estimators do see the change: their targets come from above.
  assert np.abs(before.estimators[0] - after.estimators[0]).max() > 1e-3
  # The upper estimator is changed: the lowest segment does not notice.
  estimators[1].predictor.w2.assign_add(np.eye(7, 3))
  again = network.gradients(x, y)
  for a, b in zip(before.main[:2], again.main[:2], strict=True):
    np.testing.assert_array_equal(a, b)
  assert np.abs(before.main[2] - again.main[2]).max() > 1e-3


def test_an_outer_tape_finds_no_path_into_a_segment_from_its_update():
  segments = make_segments()
  x, y = make_batch()
  network = DecoupledNetwork(segments, critics())
  step = network.gradients(x, y)
  synthetic = network.estimators[0](segments[0](x, True), y).gradient
  with tf.GradientTape() as tape:
    output = segments[0](x, True)
  expected = tape.gradient(
    output, segments[0].trainable_variables, output_gradients=synthetic
  )
  for got, total in zip(step.main[:2], expected, strict=True):
    np.testing.assert_allclose(got, total / 5, rtol=1e-12)


@pytest.mark.parametrize("targets", ["true", "bootstrapped"])
@pytest.mark.parametrize("measure", [True, False])
def test_every_segment_runs_forward_once(targets, measure):
  segments = make_segments()
  network = DecoupledNetwork(segments, critics(), targets)
  network.gradients(*make_batch(), measure=measure)
  assert [segment.calls for segment in segments] == [1, 1, 1]


class Diary(snt.Module):
  """A layer that writes down when it runs forward and backward."""

  def __init__(self, index, lines):
    super().__init__()
    self._index, self._lines = index, lines
    self.w = tf.Variable(np.eye(3))

  def __call__(self, x, is_training):
    @tf.custom_gradient
    def layer(x, w):
      self._note("forward")

      def backward(dy):
        self._note("backward")
        return dy @ tf.transpose(w), tf.transpose(x) @ dy

      return x @ w, backward

    return layer(x, tf.convert_to_tensor(self.w))

  def _note(self, word):
    self._lines.append(f"{word} {self._index}")


@pytest.mark.parametrize(
  "kind, targets, early",
  [
    ("critic", "true", 2),
    ("sobolev", "true", 1),
    ("sobolev", "bootstrapped", 2),
  ],
)
def test_segment_without_a_true_gradient_frees_its_activations(
  kind, targets, early
):
  """It runs backward before the next one runs forward."""
  lines = []
  network = DecoupledNetwork(
    [Diary(index, lines) for index in range(3)],
    [
      LossCritic(Predictor(3, index), match_gradient=kind == "sobolev")
      for index in range(2)
    ],
    targets,
  )
  x = tf.constant(np.random.default_rng(0).normal(size=[5, 3]))
  y = tf.one_hot([0, 1, 2, 0, 1], 3, dtype=tf.float64)
  network.gradients(x, y, measure=False)
  expected = []
  for index in range(3):
    expected.append(f"forward {index}")
    if index < early:
      expected.append(f"backward {index}")
  assert lines[: len(expected)] == expected


def test_quantities_are_each_examples_own():
  """Twice the batch with everyone in it twice changes no average."""
  x, y = make_batch()
  network = DecoupledNetwork(make_segments(), critics(match_labels=True))
  once = network.gradients(x, y)
  twice = network.gradients(tf.tile(x, [2, 1]), tf.tile(y, [2, 1]))
  for a, b in zip(
    once.main + once.estimators, twice.main + twice.estimators, strict=True
  ):
    np.testing.assert_allclose(a, b, atol=1e-12)
  for name, value in once.measures.items():
    np.testing.assert_allclose(value, twice.measures[name], rtol=1e-9)


def test_estimators_are_trained_on_the_true_loss_and_gradients():
  segments = make_segments()
  x, y = make_batch()
  network = DecoupledNetwork(segments, critics(match_labels=True))
  step = network.gradients(x, y)
  outputs = network.activations(x, True)
  expected = []
  for border, estimator in enumerate(network.estimators):
    target = TrueGradient(segments[border + 1 :])(outputs[border], y)
    with tf.GradientTape() as tape:
      estimate = estimator(outputs[border], y)
      loss = tf.reduce_mean(estimator.loss(estimate, target).loss)
    expected += tape.gradient(loss, estimator.trainable_variables)
  for got, wanted in zip(step.estimators, expected, strict=True):
    np.testing.assert_allclose(got, wanted, atol=1e-12)


def test_bootstrapped_targets_come_from_the_estimator_above():
  segments = make_segments()
  x, y = make_batch()
  # With L1 the sign alone of the value's error would show.
  network = DecoupledNetwork(segments, critics(loss="l2"), "bootstrapped")
  step = network.gradients(x, y)
  h1, h2, _ = network.activations(x, True)
  above = network.estimators[1](h2, y)
  with tf.GradientTape() as tape:
    tape.watch(h1)
    carried = segments[1](h1, True)
  target = above._replace(
    gradient=tape.gradient(carried, h1, output_gradients=above.gradient)
  )
  lower = network.estimators[0]
  with tf.GradientTape() as tape:
    loss = tf.reduce_mean(lower.loss(lower(h1, y), target).loss)
  expected = tape.gradient(loss, lower.trainable_variables)
  for got, wanted in zip(step.estimators[:2], expected, strict=True):
    np.testing.assert_allclose(got, wanted, atol=1e-12)


@pytest.mark.parametrize("targets", ["true", "bootstrapped"])
@pytest.mark.parametrize("kind", ["sobolev", "critic", "zero", "direct"])
def test_measuring_changes_no_gradient(targets, kind):
  estimators = {
    "sobolev": lambda: critics(),
    "critic": lambda: critics(match_gradient=False),
    "zero": lambda: [ZeroEstimator(), ZeroEstimator()],
    "direct": lambda: (
      [snt.allow_empty_variables(DirectEstimator(lambda h, y: 0.1 * h))] * 2
    ),
  }[kind]()
  x, y = make_batch()
  network = DecoupledNetwork(make_segments(), estimators, targets, l2=0.1)
  plain = network.gradients(x, y, measure=False)
  measured = network.gradients(x, y, measure=True)
  for a, b in zip(
    plain.main + plain.estimators,
    measured.main + measured.estimators,
    strict=True,
  ):
    np.testing.assert_array_equal(a, b)
  assert {"cosine_1", "cosine_2", "relative_error_1"} <= set(measured.measures)


def test_segments_under_zero_estimators_do_not_learn():
  network = DecoupledNetwork(
    make_segments(), [ZeroEstimator(), ZeroEstimator()]
  )
  x, y = make_batch()
  step = network.gradients(x, y)
  assert all(not np.any(gradient) for gradient in step.main[:4])
  assert np.any(step.main[4])
  assert step.measures["cosine_1"] == 0
  np.testing.assert_allclose(step.measures["relative_error_1"], 1)


def test_measures_compare_the_synthetic_with_the_true_gradient():
  segments = make_segments()
  x, y = make_batch()
  critic = LossCritic(Predictor(WIDTHS[2], 1))
  network = DecoupledNetwork(segments, [ZeroEstimator(), critic])
  measures = network.gradients(x, y).measures
  _, h, logits = network.activations(x, True)
  with tf.GradientTape() as tape:
    tape.watch(h)
    losses = -tf.reduce_sum(y * tf.nn.log_softmax(segments[2](h, True)), axis=1)
  true, said = tape.gradient(losses, h).numpy(), critic(h, y).gradient.numpy()
  sizes = np.linalg.norm(true), np.linalg.norm(said)
  np.testing.assert_allclose(
    measures["cosine_2"], np.sum(true * said) / np.prod(sizes), rtol=1e-12
  )
  np.testing.assert_allclose(
    measures["relative_error_2"], np.linalg.norm(said - true) / sizes[0]
  )
  # Where nothing is said, the distance is the true gradient's own size, in L1.
  below = tf.constant(network.activations(x, True)[0])
  with tf.GradientTape() as tape:
    tape.watch(below)
    z = segments[2](segments[1](below, True), True)
    losses = -tf.reduce_sum(y * tf.nn.log_softmax(z), axis=1)
  lengths = np.abs(tape.gradient(losses, below)).sum(axis=1)
  np.testing.assert_allclose(measures["gradient_loss_1"], lengths.mean())


def test_regularisation_stays_in_its_segment():
  x, y = make_batch()
  without, with_l2 = (
    DecoupledNetwork(make_segments(), critics(), l2=l2).gradients(x, y)
    for l2 in (0.0, 0.25)
  )
  weights = [v for s in make_segments() for v in s.trainable_variables]
  for a, b, weight in zip(without.main, with_l2.main, weights, strict=True):
    decay = 0.25 * weight if weight.shape.rank > 1 else 0.0
    np.testing.assert_allclose(b, a + decay, atol=1e-12)


def test_wrong_parts_are_refused():
  with pytest.raises(ValueError, match="3 segment.s. have 2 border"):
    DecoupledNetwork(make_segments(), critics()[:1])
  with pytest.raises(ValueError, match="true, bootstrapped"):
    DecoupledNetwork(make_segments(), critics(), "real")
  segment = make_segments()[0]
  segment.idle = tf.Variable([[1.0]], dtype=tf.float64, name="idle")
  network = DecoupledNetwork([segment, *make_segments()[1:]], critics())
  with pytest.raises(ValueError, match="does not use its variable idle"):
    network.gradients(*make_batch())


def test_whole_numbers_are_labels_in_one_row_per_example():
  network = DecoupledNetwork(make_segments(), critics())
  x, y = make_batch()
  expected = network.gradients(x, y).loss
  for kind in (tf.int32, tf.uint8, tf.bool):
    found = network.gradients(x, tf.cast(y, kind)).loss
    np.testing.assert_array_equal(found, expected)
  for wrong in (tf.argmax(y, axis=1), y[:, :1], y[..., None]):
    with pytest.raises(ValueError, match="one-hot|in the shape of y"):
      network.gradients(x, wrong)
  network = DecoupledNetwork(make_segments(), [ZeroEstimator()] * 2)
  with pytest.raises(ValueError, match="make class numbers one-hot"):
    network.gradients(x, tf.argmax(y, axis=1))


def test_critics_learn_to_align_with_the_true_gradient():
  """A frozen network's gradients are learnt well by the Sobolev critic."""
  x, y = make_batch(64)
  network = DecoupledNetwork(make_segments(), critics(loss="l2"))
  optimizer = snt.optimizers.Adam(1e-2)

  @tf.function
  def step():
    found = network.gradients(x, y)
    optimizer.apply(found.estimators, network.estimator_variables)
    return found.measures

  first = step()
  for _ in range(300):
    last = step()
  for border in (1, 2):
    name = f"cosine_{border}"
    assert 1 - last[name] < 0.5 * (1 - first[name])
    assert last[f"relative_error_{border}"] < 0.8
