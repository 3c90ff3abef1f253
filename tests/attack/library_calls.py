"""Calls of the library with one argument that cannot be meant.

A clear answer is a ValueError or a TypeError of one sentence. All calls run in
one fork after another: a crash below Python costs one case, not the attack.
"""

import json
import os
import tempfile

import numpy as np

from tests.attack.judged import Case, Fork, judge

_TIMEOUT = 60.0  # seconds for a call
_X = np.linspace(-1, 1, 24).reshape(12, 2)
_Y = np.sin(_X).sum(axis=1)
_DY = np.cos(_X)
# No array of points; no array at all.
_NO_POINTS = {
  "None": None,
  "text": "x",
  "an empty list": [],
  "a list of texts": ["a", "b"],
  "complex numbers": _X + 1j,
  "objects": np.array([object()] * 12),
  "rows of different length": [[1.0], [1.0, 2.0]],
}
_NO_ORDER = {
  "-1": -1,
  "1.5": 1.5,
  "nan": float("nan"),
  "text": "x",
  "None": None,
  "a list": [1],
}
_NO_FUNCTION = {"None": None, "a number": 3, "an array": _X, "text": "f"}
_NO_SIZE = {
  "0": 0,
  "-1": -1,
  "nan": float("nan"),
  "text": "x",
  "an infinity": float("inf"),
}


def _table():
  """Functions, a call that works, and what may go wrong with each argument."""
  import keras
  import tensorflow as tf

  import sobolev_tf

  def square(x):
    return tf.reduce_sum(tf.square(x), axis=1)

  def black_box(x):
    return np.sum(np.square(x), axis=1)

  def model(order=1, num_projections=None, scaling=None):
    dense = keras.layers.Dense
    network = keras.Sequential([keras.Input([2]), dense(3, "tanh"), dense(1)])
    return sobolev_tf.SobolevModel(
      network, order=order, num_projections=num_projections, scaling=scaling
    )

  def fit(x, y, dy, derivative_weights=1.0):
    made = model()
    made.compile("sgd", derivative_weights=derivative_weights, run_eagerly=True)
    made.fit(x, (y, dy), verbose=0)

  points = {"x": _X}
  labels = {
    "of another length": _DY[:5],
    "of another shape": np.zeros([12, 3]),
    "of rank 4": np.zeros([12, 1, 2, 2]),
    "text": "x",
    "complex": _DY + 1j,
  }
  return [
    (
      sobolev_tf.derivatives,
      {"f": square, "order": 1} | points,
      {"f": _NO_FUNCTION, "x": _NO_POINTS, "order": _NO_ORDER},
    ),
    (
      sobolev_tf.finite_differences,
      {"f": black_box} | points,
      {
        "f": _NO_FUNCTION,
        "x": _NO_POINTS,
        "step": _NO_SIZE,
        "directions": {"of another shape": np.zeros([5, 7]), "text": "x"},
      },
    ),
    (
      sobolev_tf.random_directions,
      {"shape": [4, 3], "seed": [1, 2]},
      {
        "shape": {"text": "x", "-1": [-1, 3], "None": None, "nan": [np.nan]},
        "seed": {"text": "x", "None": None, "of three": [1, 2, 3]},
      },
    ),
    (
      sobolev_tf.sobolev_norm,
      {"f": square, "order": 1, "p": 2} | points,
      {
        "f": _NO_FUNCTION,
        "x": _NO_POINTS,
        "order": _NO_ORDER,
        "p": _NO_SIZE | {"0.5": 0.5, "None": None},
      }
      | {"p": {"0": 0, "-1": -1, "nan": float("nan"), "text": "x"}},
    ),
    (
      sobolev_tf.sobolev_loss,
      {"predicted": (_Y, _DY), "target": (_Y, _DY)},
      {
        "predicted": {"None": None, "too few": (_Y,), "text": ("a", "b")},
        "target": {
          "None": None,
          "too many": (_Y, _DY, _DY),
          **{what: (_Y, value) for what, value in labels.items()},
        },
        "weights": {
          "too few": (1.0,),
          "negative": (-1.0, 1.0),
          "nan": (1.0, float("nan")),
          "text": ("a", "b"),
        },
        "loss": {"unknown": "l7", "None twice": (None, None), "a number": 3},
        "reduction": {"unknown": "median", "a number": 3},
        "huber_delta": {"-1": -1.0, "0": 0.0, "nan": float("nan")},
      },
    ),
    (
      sobolev_tf.targets_from_function,
      {"f": square, "order": 1} | points,
      {
        "f": _NO_FUNCTION,
        "x": _NO_POINTS,
        "order": _NO_ORDER,
        "batch_size": _NO_SIZE,
      },
    ),
    (
      sobolev_tf.targets_from_black_box,
      {"f": black_box} | points,
      {"f": _NO_FUNCTION, "x": _NO_POINTS, "step": _NO_SIZE},
    ),
    (
      sobolev_tf.targets_from_neighbours,
      {"y": _Y} | points,
      {
        "x": _NO_POINTS,
        "y": {"of another length": _Y[:5], "text": "x", "None": None},
        "num_neighbours": {**_NO_SIZE, "too many": 1000},
        "degree": {"-1": -1, "7": 7, "text": "x", "nan": float("nan")},
      },
    ),
    (
      sobolev_tf.check_derivatives,
      {"f_or_labels": _Y, "dy": _DY} | points,
      {
        "f_or_labels": {"of another length": _Y[:5], "text": "x"},
        "x": _NO_POINTS,
        "dy": labels,
        "tolerance": {"-1": -1, "nan": float("nan"), "text": "x"},
        "max_points": _NO_SIZE,
      },
    ),
    (
      model,
      {},
      {
        "order": _NO_ORDER,
        "num_projections": _NO_SIZE,
        "scaling": {"unknown": "x", "a number": 3},
      },
    ),
    (
      fit,
      {"y": _Y, "dy": _DY} | points,
      {
        "y": {"of another length": _Y[:5], "of rank 3": np.zeros([12, 1, 1])},
        "dy": labels,
        "derivative_weights": {
          "negative": -1.0,
          "nan": float("nan"),
          "text": "x",
          "too many": (1.0, 1.0, 1.0),
        },
      },
    ),
  ]


def attack(count, rng, folder, material):
  """Yields a `Case` for each of `count` calls."""
  del folder, material
  seed, done = rng.randrange(2**31), 0
  while done < count:
    with tempfile.TemporaryDirectory() as place:
      path = os.path.join(place, "cases")
      first = done
      fork = Fork(lambda p=path, d=first: _play(p, seed, d, count))
      answer = fork.answer(_TIMEOUT + 1.0 * (count - done))
      with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    for line in lines:
      about, *verdict = json.loads(line)
      done += bool(verdict)
      if verdict:
        yield Case(about, *verdict)
    if done < count:
      if answer.code == 0:
        return  # there are no more
      if not lines:
        raise RuntimeError(f"the calls do not start: {answer.words[-1000:]}")
      about = json.loads(lines[-1])[0]
      done += 1
      yield Case(about, judge(answer, lambda: False), answer.words)


def _play(path, seed, first, count):
  """Makes the calls from `first` on and writes a line before and after each."""
  import random

  calls = [
    (function, good, argument, what, value)
    for function, good, bad in _table()
    for argument, values in bad.items()
    for what, value in values.items()
  ]
  random.Random(seed).shuffle(calls)
  with open(path, "w", encoding="utf-8", buffering=1) as file:
    for function, good, argument, what, value in calls[first:count]:
      about = f"{function.__name__}({argument} is {what})"
      file.write(json.dumps([about]) + "\n")
      verdict, words = _call(function, {**good, argument: value})
      file.write(json.dumps([about, verdict, words]) + "\n")


def _call(function, arguments):
  try:
    function(**arguments)
  except (ValueError, TypeError) as error:
    words = f"{type(error).__name__}: {error}"
    is_sentence = len(words.splitlines()) == 1 and words.rstrip().endswith(".")
    return ("clear" if is_sentence else "traceback"), words[:1000]
  except Exception as error:
    return "traceback", f"{type(error).__name__}: {error}"[:1000]
  return "silent", "it returned"
