"""Calls of the library with one argument that cannot be meant.

A clear answer is a ValueError or a TypeError of one sentence; what works as it
is meant has to return. All calls run in one fork, one after another: a crash
below Python costs one case, not the attack.
"""

import json
import os
import random
import signal
import tempfile
import typing

import keras
import numpy as np
import tensorflow as tf

import sobolev_tf
from tests.attack.judged import Case, Fork, judge

_TIMEOUT = 600.0  # seconds, and as many more for each call:
_CPU_TIMEOUT = 15.0  # seconds that a call may compute
_NAN, _INFINITY = float("nan"), float("inf")
_X = np.linspace(-1, 1, 24).reshape(12, 2)
_Y = np.sin(_X).sum(axis=1)
_DY = np.cos(_X)


class Call(typing.NamedTuple):
  """A call that works, and what may go wrong with each of its arguments.

  Attributes:
    function: what is called.
    good: dict of arguments with which it works.
    bad: dict from an argument to what it cannot be, by a name for people.
    is_quick: whether the call that works may be made, too.
  """

  function: typing.Callable
  good: dict
  bad: dict
  is_quick: bool = True

  @property
  def name(self):
    """For people."""
    return self.function.__name__.lstrip("_")

  def variants(self):
    """Yields (what is said of it, arguments, whether they are meant)."""
    if self.is_quick:
      yield f"{self.name}(as it is meant)", self.good, True
    for argument, values in self.bad.items():
      for what, value in values.items():
        about = f"{self.name}({argument} is {what})"
        yield about, {**self.good, argument: value}, False


# What is no array of points; no order; no function; no size; no share.
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
  "nan": _NAN,
  "text": "x",
  "None": None,
  "a list": [1],
}
_NO_ORDER_EVEN_BY_DEFAULT = {
  what: order for what, order in _NO_ORDER.items() if order is not None
}
_NO_FUNCTION = {"None": None, "a number": 3, "an array": _X, "text": "f"}
_NO_SIZE = {
  "0": 0,
  "-1": -1,
  "nan": _NAN,
  "text": "x",
  "an infinity": _INFINITY,
}
_NO_SHARE = {"-1": -1, "2": 2.0, "nan": _NAN, "text": "x"}
_NO_WEIGHT = {
  "of another length": _Y[:5],
  "one number": 1.0,
  "text": "x",
  "nan": _NAN * _Y,
}
_NO_NORM = {"0": 0, "-1": -1, "nan": _NAN, "text": "x", "0.5": 0.5}
_NO_LABELS = {
  "of another length": _DY[:5],
  "of another shape": np.zeros([12, 3]),
  "of rank 4": np.zeros([12, 1, 2, 2]),
  "text": "x",
  "complex": _DY + 1j,
}
_NO_VALUES = {
  "of another length": _Y[:5],
  "of rank 3": np.zeros([12, 1, 1]),
  "text": "x",
  "complex": _Y + 1j,
}
_NO_DIRECTION = {"of another shape": np.zeros([5, 7]), "text": "x"}


def _square(x):
  return tf.reduce_sum(tf.square(x), axis=1)


def _field(x):
  return tf.sin(x)


def _black_box(x):
  return np.sum(np.square(x), axis=1)


def _model(**settings):
  dense = keras.layers.Dense
  network = keras.Sequential([keras.Input([2]), dense(3, "tanh"), dense(1)])
  return sobolev_tf.SobolevModel(network, **settings)


def _fit(x, y, dy, **settings):
  made = _model()
  made.compile("sgd", run_eagerly=True, **settings)
  made.fit(x, (y, dy), verbose=0)


def _fit_with(x, y, dy, **settings):
  made = _model()
  made.compile("sgd", run_eagerly=True)
  made.fit(x, (y, dy), verbose=0, **settings)


def _predict(x, **settings):
  made = _model()
  made.compile("sgd", run_eagerly=True)
  made.predict(x, verbose=0, **settings)


def _export(folder):
  made = _model()
  made(_X)
  sobolev_tf.export(made, folder)


def _fit_full_batch(x, y, dy, **settings):
  made = _model()
  made.compile(run_eagerly=True)
  made.fit_full_batch(x, (y, dy), **{"updates": 1, **settings})


_DERIVATIVES = [
  Call(
    sobolev_tf.derivatives,
    {"f": _square, "x": _X, "order": 1},
    {
      "f": _NO_FUNCTION,
      "x": _NO_POINTS,
      "order": _NO_ORDER,
      "mode": {"unknown": "sideways", "None": None},
    },
  ),
  Call(
    sobolev_tf.projected_derivatives,
    {"f": _field, "x": _X, "directions": (_X, _X)},
    {
      "f": _NO_FUNCTION,
      "x": _NO_POINTS,
      "directions": {
        "of another shape": (np.zeros([5, 7]),),
        "text": ("x",),
        "None": None,
        "a number": 3,
      },
    },
  ),
  Call(
    sobolev_tf.project,
    {"full": (_X, np.zeros([12, 2, 2])), "directions": (_X,)},
    {
      "full": {"None": None, "too few": (_X,), "text": ("a", "b")},
      "directions": {
        "None": None,
        "too many": (_X, _X),
        "of another shape": (np.zeros([5, 7]),),
      },
    },
  ),
  Call(
    sobolev_tf.jet,
    {"f": _square, "x": _X, "direction": _DY, "order": 2},
    {
      "f": _NO_FUNCTION,
      "x": _NO_POINTS,
      "direction": _NO_DIRECTION | {"None": None},
      "order": _NO_ORDER | {"0": 0},
    },
  ),
  Call(
    sobolev_tf.laplacian,
    {"f": _square, "x": _X},
    {"f": _NO_FUNCTION, "x": _NO_POINTS},
  ),
  Call(
    sobolev_tf.divergence,
    {"f": _field, "x": _X},
    {"f": _NO_FUNCTION | {"a scalar's": _square}, "x": _NO_POINTS},
  ),
  Call(
    sobolev_tf.finite_differences,
    {"f": _black_box, "x": _X},
    {
      "f": _NO_FUNCTION,
      "x": _NO_POINTS,
      "step": _NO_SIZE,
      "directions": _NO_DIRECTION,
    },
  ),
  Call(
    sobolev_tf.random_directions,
    {"shape": [4, 3], "seed": [1, 2]},
    {
      "shape": {"text": "x", "-1": [-1, 3], "None": None, "nan": [_NAN]},
      "seed": {"text": "x", "None": None, "of three": [1, 2, 3]},
    },
  ),
  Call(
    sobolev_tf.sobolev_norm,
    {"f": _square, "x": _X, "order": 1, "p": 2},
    {"f": _NO_FUNCTION, "x": _NO_POINTS, "order": _NO_ORDER, "p": _NO_NORM},
  ),
  Call(
    sobolev_tf.sobolev_distance,
    {"f": _square, "g": _square, "x": _X},
    {
      "f": _NO_FUNCTION,
      "g": _NO_FUNCTION | {"of another shape": _field},
      "x": _NO_POINTS,
      "order": _NO_ORDER,
      "p": _NO_NORM,
    },
  ),
]
_LOSSES = [
  Call(
    sobolev_tf.sobolev_loss,
    {"predicted": (_Y, _DY), "target": (_Y, _DY)},
    {
      "predicted": {"None": None, "too few": (_Y,), "text": ("a", "b")},
      "target": {
        "None": None,
        "too many": (_Y, _DY, _DY),
        **{what: (_Y, value) for what, value in _NO_LABELS.items()},
      },
      "weights": {
        "too few": (1.0,),
        "negative": (-1.0, 1.0),
        "nan": (1.0, _NAN),
        "text": ("a", "b"),
      },
      "loss": {"unknown": "l7", "None twice": (None, None), "a number": 3},
      "reduction": {"unknown": "median", "a number": 3},
      "huber_delta": {"-1": -1.0, "0": 0.0, "nan": _NAN},
      "example_weights": {"of another length": _Y[:5], "text": "x"},
    },
  ),
]
_LABELS = [
  Call(
    sobolev_tf.targets_from_function,
    {"f": _square, "x": _X, "order": 1},
    {
      "f": _NO_FUNCTION,
      "x": _NO_POINTS,
      "order": _NO_ORDER_EVEN_BY_DEFAULT,
      "batch_size": _NO_SIZE,
    },
  ),
  Call(
    sobolev_tf.targets_from_black_box,
    {"f": _black_box, "x": _X},
    {"f": _NO_FUNCTION, "x": _NO_POINTS, "step": _NO_SIZE},
  ),
  Call(
    sobolev_tf.targets_from_neighbours,
    {"x": _X + np.arange(12)[:, np.newaxis] % 5, "y": _Y},
    {
      "x": _NO_POINTS,
      "y": {"of another length": _Y[:5], "text": "x", "None": None},
      "num_neighbours": {**_NO_SIZE, "too many": 1000},
      "degree": {"-1": -1, "7": 7, "text": "x", "nan": _NAN},
      "largest_error": {"0": 0, "-1": -1, "nan": _NAN, "text": "x"},
    },
  ),
  Call(
    sobolev_tf.check_derivatives,
    {"f_or_labels": _square, "x": _X, "dy": 2 * _X},
    {
      "f_or_labels": {"None": None, "a number": 3, "text": "x"},
      "x": _NO_POINTS,
      "dy": _NO_LABELS,
      "tolerance": {"-1": -1, "nan": _NAN, "text": "x"},
      "max_points": _NO_SIZE,
    },
  ),
  Call(
    sobolev_tf.check_derivatives,
    {"f_or_labels": (_Y, _DY), "x": _X},
    {
      "f_or_labels": {
        "values alone": _Y,
        "one of them": (_Y,),
        "three of them": (_Y, _DY, _DY),
        **{f"with a gradient {w}": (_Y, v) for w, v in _NO_LABELS.items()},
        **{f"with values {w}": (v, _DY) for w, v in _NO_VALUES.items()},
      },
    },
  ),
]
_MODELS = [
  Call(
    _model,
    {},
    {
      "order": _NO_ORDER,
      "num_projections": _NO_SIZE,
      "scaling": {"unknown": "x", "a number": 3},
      "seed": {"text": "x", "nan": _NAN, "None": None},
    },
  ),
  Call(
    _fit,
    {"x": _X, "y": _Y, "dy": _DY},
    {
      "y": _NO_VALUES,
      "dy": _NO_LABELS,
      "derivative_weights": {
        "negative": -1.0,
        "nan": _NAN,
        "text": "x",
        "too many": (1.0, 1.0, 1.0),
      },
      "derivative_losses": {"unknown": "l7", "a number": 3},
    },
  ),
  Call(
    _fit_with,
    {"x": _X, "y": _Y, "dy": _DY},
    {
      "x": {"too large": 1e300 * _X, "unknown": _NAN * _X},
      "batch_size": _NO_SIZE,
      "epochs": {name: _NO_SIZE[name] for name in _NO_SIZE if name != "0"},
      "steps_per_epoch": _NO_SIZE,
      "validation_split": _NO_SHARE,
      "sample_weight": _NO_WEIGHT,
    },
  ),
  Call(
    _predict,
    {"x": _X},
    {"x": _NO_POINTS, "batch_size": _NO_SIZE},
  ),
  Call(
    _export,
    {"folder": "exported"},
    {
      "folder": {
        "None": None,
        "a number": 3,
        "empty": "",
        "with NUL": "a\0b",
        "of no UTF-8": "a\udcff",
        "one that is full": os.path.dirname(__file__),
        "a file": __file__,
        "below a file": os.path.join(__file__, "x"),
      }
    },
    is_quick=False,
  ),
  Call(
    _fit_full_batch,
    {"x": _X, "y": _Y, "dy": _DY},
    {
      "y": _NO_VALUES,
      "dy": _NO_LABELS,
      "method": {"unknown": "x", "None": None},
      "updates": _NO_SIZE,
      "updates_per_epoch": _NO_SIZE,
      "batch_size": _NO_SIZE,
      "l2": {"-1": -1, "nan": _NAN, "text": "x", "an infinity": _INFINITY},
      "validation_split": _NO_SHARE,
      "sample_weight": _NO_WEIGHT,
      "validation_data": {
        "x alone": _X,
        "a number": 3,
        "with weights": (_X, _Y, _Y),
      },
    },
  ),
  Call(
    sobolev_tf.fit_surrogate,
    {"x": _X, "y": _Y, "dy": _DY},
    {
      "x": _NO_POINTS,
      "y": {"of another length": _Y[:5], "text": "x", "complex": _Y + 1j},
      "dy": _NO_LABELS,
      "members": _NO_SIZE,
      "seed": {"text": "x", "nan": _NAN},
    },
    is_quick=False,
  ),
]
CALLS = [*_DERIVATIVES, *_LOSSES, *_LABELS, *_MODELS]


def attack(count, rng, folder, material, first=0):
  """Yields a `Case` for each call from number `first` to `count`."""
  del folder, material
  seed, done = rng.randrange(2**31), first
  while done < count:
    with tempfile.TemporaryDirectory() as place:
      path = os.path.join(place, "cases")
      fork = Fork(lambda p=path, d=done: _play(p, seed, d, count))
      answer = fork.answer(_TIMEOUT + _CPU_TIMEOUT * (count - done))
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
  calls = [
    (call.function, *variant) for call in CALLS for variant in call.variants()
  ]
  random.Random(seed).shuffle(calls)
  with open(path, "w", encoding="utf-8", buffering=1) as file:
    for function, about, arguments, is_meant in calls[first:count]:
      file.write(json.dumps([about]) + "\n")
      verdict, words = _call(function, arguments, is_meant)
      file.write(json.dumps([about, verdict, words]) + "\n")


class _TooLong(Exception):
  """A call computes as if its arguments were meant."""


def _stop(*unused):
  raise _TooLong


def _call(function, arguments, is_meant):
  signal.signal(signal.SIGVTALRM, _stop)
  signal.setitimer(signal.ITIMER_VIRTUAL, _CPU_TIMEOUT)
  try:
    function(**arguments)
  except (ValueError, TypeError) as error:
    words = f"{type(error).__name__}: {error}"
    is_sentence = len(words.splitlines()) == 1 and words.rstrip().endswith(".")
    is_clear = is_sentence and not is_meant
    return ("clear" if is_clear else "traceback"), words[:1000]
  except _TooLong:
    return "hang", f"it computes for more than {_CPU_TIMEOUT:g} s"
  except Exception as error:
    return "traceback", f"{type(error).__name__}: {error}"[:1000]
  finally:
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
  return ("right" if is_meant else "silent"), "it returned"
