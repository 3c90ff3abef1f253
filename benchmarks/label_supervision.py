"""Does supervising label derivatives break training because its term is large?

    python -m benchmarks.label_supervision --output=results/benchmarks

A loss critic's term for the label derivatives is a sum over the classes of
numbers without a bound (SM §4.1). Here a small dense network with three borders
learns scikit-learn's 8x8 digits with that term at several weights, beside the
other rows of Table 1 and local losses. It is a network that trains in a second
rather than Table 1's: what it shows is what the weight does, not how well a
method does on pictures. Every row is kept at once; the same command goes on
where it stopped.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import sklearn.datasets  # noqa: E402
import tensorflow as tf  # noqa: E402

from sobolev_tf.synthetic_gradients import (  # noqa: E402
  DecoupledNetwork,
  LocalLoss,
  LossCritic,
  Target,
  ZeroEstimator,
)
from trainers.lifecycle import tables  # noqa: E402
from trainers.lifecycle.statistics import (  # noqa: E402
  mean_and_deviation,
  p_of_difference,
  verdicts,
)
from trainers.synthetic_gradients.networks import SUPERVISION  # noqa: E402

# Name: (method, weight of the label term, whether terms are balanced). Sobolev
# is label supervision of weight 0, so that one compiled step serves them all.
CANDIDATES = {
  "sobolev": ("sobolev_labels", 0.0, False),
  "labels, weight 1": ("sobolev_labels", 1.0, False),
  "labels, weight 0.01": ("sobolev_labels", 0.01, False),
  "labels, weight 1/classes": ("sobolev_labels", 0.1, False),
  "local": ("local", 1.0, False),
  "labels, balanced": ("sobolev_labels", 1.0, True),
  "critic": ("critic", 1.0, False),
  "backprop": ("backprop", 1.0, False),
  "vfbn": ("vfbn", 1.0, False),
  "noprop": ("noprop", 1.0, False),
}
TERMS = ("value", "gradient", "label")
_CLASSES, _WIDTH, _BORDERS = 10, 32, 3
_BATCH, _TEST = 32, 500
_ESTIMATOR_RATE = 1e-3  # ten times the paper's, for a hundredth of its updates
_FIELDS = ("candidate", "learning_rate", "seed", "test_accuracy", "test_loss")


class Study:
  """A network of one method, trained anew for each weight, rate and seed."""

  def __init__(self, method, balance):
    """Takes what is the same for all: method, and whether terms are equal."""
    self._method = method
    self._weight = tf.Variable(1.0, trainable=False)
    dense = keras.layers.Dense
    segments = [dense(_WIDTH, "relu") for _ in range(_BORDERS)]
    segments.append(dense(_CLASSES))
    if self._method == "backprop":
      segments = [keras.Sequential(segments)]
    self.network = DecoupledNetwork(
      segments,
      [self._estimator(balance) for _ in segments[1:]],
    )
    self._main = keras.optimizers.SGD(0.1, momentum=0.9)
    self._estimators = keras.optimizers.Adam(_ESTIMATOR_RATE)
    x, y = tf.zeros([1, 64]), tf.zeros([1, _CLASSES])
    for estimator, h in zip(
      self.network.estimators, self.network.activations(x), strict=False
    ):
      estimator.make_variables(h, y)
    self._main.build(self.network.main_variables)
    self._estimators.build(self.network.estimator_variables)

  def _estimator(self, balance):
    if self._method == "noprop":
      return ZeroEstimator()
    head = keras.Sequential(
      [keras.layers.Dense(_WIDTH, "relu"), keras.layers.Dense(_CLASSES)]
    )
    if self._method == "local":
      return LocalLoss(head)
    return LossCritic(
      head,
      *SUPERVISION[self._method],
      weights=(1.0, 1.0, self._weight),
      balance=balance,
    )

  def reset(self, seed, rate, weight):
    """Draws all weights anew and forgets the optimizers' state.

    Args:
      seed: of the weights.
      rate: of the segments' SGD.
      weight: of the label term.
    """
    self._weight.assign(weight)
    rng = np.random.default_rng(seed)
    for v in [*self.network.main_variables, *self.network.estimator_variables]:
      limit = np.sqrt(6 / sum(v.shape)) if len(v.shape) > 1 else 0.0
      v.assign(rng.uniform(-limit, limit, v.shape))
    for optimizer in (self._main, self._estimators):
      for v in optimizer.variables:
        if v is not optimizer.learning_rate:
          v.assign(np.zeros(v.shape, v.dtype))
    self._main.learning_rate = rate

  @tf.function
  def train(self, x, y, rows):
    """Makes an update for each of the rows `[L, B]`."""
    for batch in rows:
      found = self.network.gradients(
        tf.gather(x, batch), tf.gather(y, batch), measure=False
      )
      self._main.apply(found.main, self.network.main_variables)
      if found.estimators:
        self._estimators.apply(
          found.estimators, self.network.estimator_variables
        )

  @tf.function
  def evaluate(self, x, y):
    """Accuracy and mean log loss."""
    logits = self.network(x)
    right = tf.argmax(logits, axis=1) == tf.argmax(y, axis=1)
    losses = -tf.reduce_sum(y * tf.nn.log_softmax(logits), axis=-1)
    return tf.reduce_mean(tf.cast(right, tf.float32)), tf.reduce_mean(losses)

  def sizes_of_terms(self, x, y):
    """Length of the gradient of each term w.r.t. the lowest head's weights.

    Returns:
      dict with the names of `TERMS`; empty without a `LossCritic`.
    """
    if self._method not in SUPERVISION:
      return {}
    critic = self.network.estimators[0]
    with tf.GradientTape() as down:
      h = self.network.segments[0](x)
      down.watch(h)
      logits = h
      for segment in self.network.segments[1:]:
        logits = segment(logits)
      label_gradient = -tf.nn.log_softmax(logits)
      losses = tf.reduce_sum(y * label_gradient, axis=-1)
    target = Target(losses, down.gradient(losses, h), label_gradient)
    with tf.GradientTape(persistent=True) as tape:
      found = critic.loss(critic(h, y), target)
      outputs = [tf.reduce_mean(term) for term in found[1:]]
    return {
      name: float(
        tf.linalg.global_norm(
          tape.gradient(output, critic.predictor.trainable_variables)
        )
      )
      for name, output in zip(TERMS, outputs, strict=True)
    }


def load():
  """Training and test digits: x `[N, 64]` from 0 to 1 and one-hot y."""
  digits = sklearn.datasets.load_digits()
  order = np.random.default_rng(0).permutation(len(digits.data))
  x = (digits.data[order] / 16).astype(np.float32)
  y = np.eye(_CLASSES, dtype=np.float32)[digits.target[order]]
  return (x[_TEST:], y[_TEST:]), (x[:_TEST], y[:_TEST])


def measure(study, candidate, rate, seed, num_steps, train, test):
  """Trains one network: a row of label_supervision.csv."""
  study.reset(seed, rate, CANDIDATES[candidate][1])
  rng = np.random.default_rng([seed, 1])
  rows = rng.integers(0, len(train[0]), [num_steps, _BATCH])
  study.train(*map(tf.constant, train), tf.constant(rows))
  accuracy, loss = study.evaluate(*map(tf.constant, test))
  sizes = study.sizes_of_terms(*map(tf.constant, test))
  values = (candidate, rate, seed, f"{accuracy:.6g}", f"{loss:.6g}")
  return {
    **dict(zip(_FIELDS, values, strict=True)),
    **{f"{name}_term": f"{sizes[name]:.6g}" if sizes else "" for name in TERMS},
  }


def make_table(rows):
  """Accuracies, and each candidate against Sobolev without labels."""
  blocks = []
  for (rate,), group in tables.group(rows, "learning_rate").items():
    by_name = tables.group(group, "candidate")
    accuracy = {
      name: 100 * np.array(tables.numbers(own, "test_accuracy"))
      for (name,), own in by_name.items()
    }
    tested = [name for name in accuracy if name != "sobolev"]
    family = [
      (None, p_of_difference(accuracy[name] - accuracy["sobolev"]))
      for name in tested
    ]
    phrases = dict(zip(tested, verdicts(family), strict=True))

    def term(own, name):
      found = tables.numbers(own, f"{name}_term")
      return f"{np.mean(found):.2g}" if found else "-"

    cells = {
      "candidate": lambda own: own[0]["candidate"],
      "test accuracy, %": lambda own, a=accuracy: mean_and_deviation(
        a[own[0]["candidate"]]
      ),
      "against sobolev": lambda own, p=phrases: p.get(own[0]["candidate"], "-"),
      **{f"gradient of {n}": lambda own, n=n: term(own, n) for n in TERMS},
    }
    count = len(next(iter(by_name.values())))
    blocks.append(
      f"learning rate {rate}, {count} seeds:\n\n"
      f"{tables.markdown(by_name.values(), cells)}"
    )
  return (
    "`python -m benchmarks.label_supervision --output=DIR`, which goes on "
    "where it stopped.\n\n"
    + "\n".join(blocks)
    + "\np of paired t-tests, Holm's correction over each table. The last "
    "columns: length of each term's gradient w.r.t. the weights of the lowest "
    "head after training, at weight 1, mean over the seeds.\n"
  )


def main(argv=None):
  """Trains what is missing and writes the table."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument("--output", type=pathlib.Path, required=True)
  parser.add_argument("--seeds", type=int, default=5)
  parser.add_argument("--learning_rate", type=float, default=0.01)
  parser.add_argument("--num_steps", type=int, default=1_000)
  parser.add_argument(
    "--candidates", nargs="+", choices=CANDIDATES, default=list(CANDIDATES)
  )
  arguments = parser.parse_args(argv)
  arguments.output.mkdir(parents=True, exist_ok=True)
  path = arguments.output / "label_supervision.csv"
  rows = tables.read_csv(path, *_FIELDS) if path.exists() else []
  known = {(r["candidate"], r["learning_rate"], r["seed"]) for r in rows}
  rate, studies, digits = arguments.learning_rate, {}, load()
  for candidate in arguments.candidates:
    method, _, balance = CANDIDATES[candidate]
    for seed in range(arguments.seeds):
      if (candidate, str(rate), str(seed)) in known:
        continue
      if (method, balance) not in studies:
        studies[method, balance] = Study(method, balance)
      study = studies[method, balance]
      rows.append(
        measure(study, candidate, rate, seed, arguments.num_steps, *digits)
      )
      tables.write_csv(path, rows)
  table = make_table(tables.read_csv(path, *_FIELDS))
  (arguments.output / "label_supervision.md").write_text(table)
  print(table)


if __name__ == "__main__":
  main()
