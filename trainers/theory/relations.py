"""Piecewise linear functions, Proposition 4, Remark 2 and the future work."""

import numpy as np
import tensorflow as tf

from sobolev_tf.synthetic_gradients.jacobian_symmetry import jacobian_asymmetry
from sobolev_tf.theory import (
  attention_transfer,
  internal_activations,
  sample_complexity,
  second_order,
  temporal_model,
  training,
)
from trainers.theory.results import (
  MARKERS,
  REGULAR,
  SOBOLEV,
  THIRD,
  Measurement,
  Result,
  canvas,
)

_SEEDS = (0, 1, 2)


def piecewise_linear():
  """Proposition 3 for piecewise linear functions (Figure 2, left)."""
  figure, (left, right) = canvas(
    "Proposition 3: a piecewise linear function needs one point with its\n"
    "derivative per piece, or d + 1 values per piece"
  )
  slopes, offsets = np.array([1.0, -0.6, 0.3]), np.array([0.0, 0.9, -0.2])
  for piece, (slope, offset) in enumerate(zip(slopes, offsets, strict=True)):
    x, middle = np.array([piece, piece + 0.96]), piece + 0.5
    value = slope * middle + offset
    left.plot(x, slope * x + offset, color=SOBOLEV, lw=2)
    # Another slope through the same point: values alone allow it.
    left.plot(x, value + (slope + 1.2) * (x - middle), "--", color=REGULAR)
    left.plot(middle, value, "o", color="black")
  left.plot([], [], color=SOBOLEV, lw=2, label="fits value and derivative")
  left.plot([], [], "--", color=REGULAR, label="fits the value alone")
  left.set(xlabel="x", title="three pieces, one point each", ylim=(-0.8, 2.4))
  left.legend()
  pieces, dimensions = 10, np.array([1, 2, 5, 10, 20])
  right.loglog(
    dimensions, pieces * (dimensions + 1), "s-", color=REGULAR, label="values"
  )
  right.loglog(
    dimensions, np.full(5, pieces), "o-", color=SOBOLEV,
    label="values and derivatives",
  )  # fmt: skip
  right.set_xticks(dimensions, dimensions)
  right.minorticks_off()
  right.set(
    xlabel="dimension d",
    ylabel="points needed",
    ylim=(6, 400),
    title=f"{pieces} pieces",
  )
  right.legend()
  return Result(figure, _piecewise_linear_measurements(pieces, dimensions))


def _piecewise_linear_measurements(pieces, dimensions):
  rng, worst = np.random.default_rng(0), {True: 0.0, False: 0.0}
  for d in dimensions:
    for _ in range(pieces):
      w, b, x = rng.normal(size=d), rng.normal(), rng.normal(size=[d + 1, d])
      y = x @ w + b
      for one_point, found in (
        (True, sample_complexity.affine_from_point(x[0], y[0], w)),
        (False, sample_complexity.affine_from_values(x, y)),
      ):
        error = max(np.abs(found[0] - w).max(), abs(found[1] - b))
        worst[one_point] = max(worst[one_point], float(error))
  return [
    Measurement("error from 1 point with derivative", worst[True], 1e-12),
    Measurement("error from d + 1 values", worst[False], 1e-9),
  ]


def jacobian_symmetry():
  """Proposition 4."""
  figure, axis = canvas(
    "Proposition 4: the Jacobian of a valid synthetic gradient is symmetric;\n"
    "that of a network that regresses gradients is not",
    columns=1,
  )
  flat = tf.random.stateless_normal([16, 24], [0, 1], dtype=tf.float64)
  image = tf.random.stateless_normal([16, 8, 8, 3], [0, 2], dtype=tf.float64)
  matrix = tf.random.stateless_normal([24, 24], [0, 3], dtype=tf.float64)
  kernel = tf.random.stateless_normal([3, 3, 3, 3], [0, 4], dtype=tf.float64)
  critic = training.SmoothMLP([24, 32, 1], 0, tf.float64)

  def convolve(h):
    return tf.nn.conv2d(h, kernel, 1, "SAME")

  fields = (
    ("random linear field", lambda h: tf.matmul(h, matrix), flat),
    ("random convolution", convolve, image),
    (
      "three convolutions\nwith ReLU",
      lambda h: convolve(tf.nn.relu(convolve(tf.nn.relu(convolve(h))))),
      image,
    ),
    ("gradient of a network", _gradient_of(critic), flat),
    (
      "gradient of a\nconvolutional network",
      _gradient_of(lambda h: tf.reduce_sum(tf.tanh(convolve(h)), [1, 2, 3])),
      image,
    ),
  )
  measurements = []
  for row, (name, field, h) in enumerate(fields):
    size = jacobian_asymmetry(field, h, seed=0, num_projections=32).numpy()
    is_gradient = name.startswith("gradient")
    colour = SOBOLEV if is_gradient else REGULAR
    axis.errorbar(
      size.mean(), row, xerr=size.std(), fmt=MARKERS[colour], capsize=3,
      color=colour,
    )  # fmt: skip
    quantity = f"asymmetry, {name}".replace("\n", " ")
    measurements.append(
      Measurement(quantity, float(size.max()), 1e-12)
      if is_gradient
      else Measurement(quantity, float(size.min()), 0.5, above=True)
    )
  axis.set_yticks(range(len(fields)), [name for name, *_ in fields])
  axis.set(
    xlabel="|J − Jᵀ| / |J|: mean and standard deviation over 16 examples",
    xscale="log",
    xlim=(1e-17, 10),
  )
  return Result(figure, measurements)


def _gradient_of(function):
  def field(h):
    with tf.GradientTape() as tape:
      tape.watch(h)
      value = function(h)
    return tape.gradient(value, h)

  return field


def transfer():
  """Remark 2."""
  figure, axis = canvas(
    "Remark 2: the true θ minimises the Sobolev loss,\n"
    "but need not minimise the attention-transfer loss",
    columns=1,
  )
  measurements = []
  for loss, colour, name in (
    ("sobolev", SOBOLEV, "Sobolev loss on L∘f"),
    ("transfer", REGULAR, "transfer loss, Eq. (3)"),
  ):
    for start, style in ((1.0, "-"), (0.5, "--")):
      path = attention_transfer.descend(loss, start)
      label = f"{name}, from {'θ_f' if start == 1 else 'θ_f / 2'}"
      axis.plot(path, style, color=colour, label=label)
      if start == 1.0 and loss == "sobolev":
        moved = float(np.abs(path - 1).max())
        quantity = "distance moved from theta_f, Sobolev"
        measurements.append(Measurement(quantity, moved, 0.0))
      elif start == 1.0:
        quantity = "distance moved from theta_f, transfer"
        moved = float(abs(path[-1] - 1))
        measurements.append(Measurement(quantity, moved, 0.9, above=True))
  axis.set(
    xlabel="gradient descent step", ylabel="θ (θ_f = 1)", ylim=(-0.05, 1.45)
  )
  axis.legend(loc="upper right", ncols=2, fontsize=8)
  return Result(figure, measurements)


def internal():
  """Future work: derivatives w.r.t. internal activations."""
  runs = [internal_activations.sub_network_errors(seed=s) for s in _SEEDS]
  return _compare(
    "Future work: derivatives with respect to internal activations\n"
    "teach a sub-network from 40 examples",
    runs,
  )


def curvature():
  """Future work: second-order matching of a supplied curvature."""
  names = ("values", "+ gradients", "+ precisions along the axes")
  runs = []
  for seed in _SEEDS:
    errors = second_order.curvature_errors(seed=seed)
    runs.append({name: errors[k] for k, name in enumerate(names)})
  return _compare(
    "Future work: a supplied curvature, second-order matching of\n"
    "an energy −ln p(x) known at 12 points",
    runs,
  )


def _compare(title, runs):
  """The errors with growing labels; each label must help on average."""
  figure, axis = canvas(title, columns=1)
  names = list(runs[0])
  means = [np.exp(np.mean([np.log(run[n]) for run in runs])) for n in names]
  colours = (REGULAR, SOBOLEV, THIRD)[: len(names)]
  for run in runs:
    axis.plot(names, list(run.values()), ".-", color="#999999", lw=0.8)
  for name, mean, colour in zip(names, means, colours, strict=True):
    axis.plot([name], [mean], MARKERS[colour], color=colour, ms=10)
  axis.set(
    yscale="log", ylabel="relative test error (variance = 1)",
    xlabel=f"labels; grey: {len(runs)} seeds, large: their geometric mean",
  )  # fmt: skip
  measurements = [
    Measurement(f"test error from {name}, against without", after, before)
    for name, before, after in zip(
      names[1:], means[:-1], means[1:], strict=True
    )
  ]
  return Result(figure, measurements)


def temporal():
  """Future work: black-box targets by finite differences, through time."""
  figure, (left, right) = canvas(
    "Future work: finite differences of a black-box simulator\n"
    "train a generative model of time"
  )
  ends = {0: [], 1: []}
  for weight, colour, name in (
    (0, REGULAR, "values"),
    (1, SOBOLEV, "values and finite differences"),
  ):
    for seed in _SEEDS:
      model = temporal_model.train_step_model(weight, seed=seed)
      errors = temporal_model.rollout_errors(model, seed=seed)
      ends[weight].append(errors[-1])
      right.plot(
        errors, color=colour, label=name if seed == _SEEDS[0] else None
      )
    path = temporal_model.generate(model, [[1.5, 0.0]], 25, noise=0.01)
    left.plot(path[:, 0, 0], color=colour, label=f"model of {name}")
  path = temporal_model.generate(
    temporal_model.pendulum_step, [[1.5, 0.0]], 25, noise=0.01
  )
  left.plot(path[:, 0, 0], ":", color="black", label="simulator")
  left.set(
    xlabel="step", ylabel="angle (rad)", title="one generated trajectory",
    ylim=(-2, 3.2),
  )  # fmt: skip
  left.legend(loc="upper right")
  right.set(
    xlabel="step",
    ylabel="root mean square error of the state",
    title="100 trajectories; a line per seed",
  )
  right.legend()
  quantity = "error after 25 steps with finite differences, against values"
  means = [float(np.mean(ends[weight])) for weight in (1, 0)]
  return Result(figure, [Measurement(quantity, *means)])
