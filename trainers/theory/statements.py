"""Theorems 1, 2 and Propositions 1 to 3, measured and drawn (§3, SM §1)."""

import fractions
import math

import numpy as np
import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.theory import approximation, sample_complexity
from sobolev_tf.theory.interpolation import interpolating_network
from trainers.theory.results import (
  MARKERS,
  REGULAR,
  SOBOLEV,
  THIRD,
  Measurement,
  Result,
  canvas,
)

_BATCH = 100  # a hidden layer of 84,000 units is large


def _largest_errors(network, points, values, gradients):
  """Largest absolute errors in value and gradient at the points."""
  worst = [0.0, 0.0]
  for start in range(0, len(points), _BATCH):
    rows = slice(start, start + _BATCH)
    value, gradient = derivatives(network, tf.constant(points[rows]))
    for index, (got, wanted) in enumerate(
      ((value, values[rows]), (gradient, gradients[rows]))
    ):
      worst[index] = max(worst[index], float(np.abs(got - wanted).max()))
  return worst


def interpolation():
  """Proposition 1."""
  figure, (left, right) = canvas(
    "Proposition 1: a ReLU network can have any values and gradients\n"
    "at finitely many points"
  )
  rng = np.random.default_rng(3)
  x = np.linspace(-1, 1, 7)[:, np.newaxis] + rng.uniform(-0.08, 0.08, [7, 1])
  f, g = rng.normal(size=7), rng.normal(size=[7, 1]) * 6
  line = np.linspace(-1.3, 1.3, 4001)[:, np.newaxis]
  left.plot(line, interpolating_network(x, f, g)(line), color=SOBOLEV, lw=1)
  left.plot(x, f, "o", color="black", ms=4, label="given values")
  for (point,), value, (slope,) in zip(x, f, g, strict=True):
    ends = np.array([-0.05, 0.05])
    left.plot(point + ends, value + slope * ends, color=REGULAR, lw=2)
  left.plot([], [], color=REGULAR, lw=2, label="given derivatives")
  left.set(xlabel="x", title="the construction on a line: a bump per point")
  left.legend()

  measurements, dimensions = [], (1, 2, 5, 20)
  for slope, shift, colour, name in (
    (0.0, -0.2, SOBOLEV, "ReLU"),
    (0.2, 0.2, THIRD, "leaky ReLU"),
  ):
    errors = []
    for d in dimensions:
      labels = [rng.normal(size=s) for s in ([1000, d], 1000, [1000, d])]
      network = interpolating_network(*labels, negative_slope=slope)
      errors.append(_largest_errors(network, *labels))
      for index, kind in enumerate(("value", "gradient")):
        quantity = f"{name}, largest {kind} error at 1,000 points, d = {d}"
        measurements.append(Measurement(quantity, errors[-1][index], 1e-9))
    at = np.arange(len(dimensions)) + shift
    right.plot(at, [e[0] for e in errors], "o", color=colour)
    right.plot(at, [e[1] for e in errors], "x", color=colour)
    right.plot([], [], "o", color=colour, label=f"{name}, value")
    right.plot([], [], "x", color=colour, label=f"{name}, gradient")
  right.axhline(1e-9, color="grey", ls="--", label="1e-9")
  right.set_xticks(range(len(dimensions)), dimensions)
  right.set(
    yscale="log",
    xlabel="dimension d",
    ylim=(1e-17, 1e-5),
    ylabel="largest absolute error",
    title="1,000 random points, N(0, 1) labels, float64",
  )
  right.legend(ncols=2, loc="upper left")
  return Result(figure, measurements)


def approximation_on_a_line():
  """Theorem 1 for d = 1, Lemmas 1 and 2."""
  figure, (left, right) = canvas(
    "Theorem 1 on a line: ReLU networks approximate C1 functions\n"
    "in value and derivative"
  )
  line = np.linspace(-math.pi, math.pi, 2001)
  coarse = approximation.approximate(np.sin, np.cos, -math.pi, math.pi, 0.3)
  value, slope = derivatives(coarse, tf.constant(line[:, np.newaxis]))
  left.plot(line, np.sin(line), color="black", label="sin")
  left.plot(line, value, color=SOBOLEV, label="network")
  left.plot(line, np.cos(line), color="black", ls=":", label="cos")
  left.plot(line, slope, ".", ms=1, color=REGULAR, label="its derivative")
  left.set(
    xlabel="x", ylim=(-1.2, 2.1), title=f"eps = 0.3: {coarse.num_units} units"
  )
  left.legend(ncols=2, loc="upper left", markerscale=6)

  measurements, grid = [], np.geomspace(0.2, 1e-3, 8)
  wide = np.linspace(-30, 30, 20001)[:, np.newaxis]
  for name, f, df, build, x, curvature, colour in (
    (
      "sin on [-pi, pi]",
      np.sin,
      np.cos,
      lambda eps: approximation.approximate(
        np.sin, np.cos, -math.pi, math.pi, eps
      ),
      line[:, np.newaxis],
      lambda eps: math.pi / eps,
      SOBOLEV,
    ),
    (
      "sigmoid on R",
      approximation.sigmoid,
      approximation.sigmoid_derivative,
      approximation.approximate_sigmoid,
      wide,
      lambda eps: math.log(2 / eps) / eps / (6 * math.sqrt(3)),
      REGULAR,
    ),
  ):
    units = []
    for eps in grid:
      network = build(eps)
      units.append(network.num_units)
      errors = _largest_errors_on_line(network, x, f, df)
      quantity = f"{name}, eps = {eps:.2g}: error with {units[-1]} units"
      measurements.append(Measurement(quantity, max(errors), eps))
    right.loglog(grid, units, MARKERS[colour], color=colour, label=name)
    bound = [curvature(eps) for eps in grid]
    right.loglog(grid, bound, "--", color=colour, lw=1)
  right.plot([], [], "--", color="grey", label="max|f''| length / (2 eps)")
  right.set(xlabel="eps", ylabel="hidden units", title="units against eps")
  right.legend()
  return Result(figure, measurements)


def _largest_errors_on_line(network, x, f, df):
  value, slope = derivatives(network, tf.constant(x))
  return [
    float(np.abs(value - f(x[:, 0])).max()),
    float(np.abs(slope[:, 0] - df(x[:, 0])).max()),
  ]


def sigmoids_to_relus():
  """The last step of Theorem 1: from sigmoid to ReLU networks."""
  figure, axis = canvas(
    "Theorem 1: every network of sigmoids is within eps of a ReLU network,\n"
    "in value and gradient, in any dimension",
    columns=1,
  )
  measurements, grid = [], (0.3, 0.1, 0.03, 0.01)
  for d, colour in ((1, SOBOLEV), (3, REGULAR), (10, THIRD)):
    rng = np.random.default_rng(d)
    sigmoids = approximation.SigmoidNetwork(
      rng.normal(size=[d, 4]), rng.normal(size=4), rng.normal(size=4) / 2
    )
    x = 2 * rng.normal(size=[1000, d])
    f, g = derivatives(sigmoids, tf.constant(x))
    errors = []
    for eps in grid:
      network = approximation.relu_from_sigmoids(sigmoids, eps)
      value_error = slope_error = 0.0
      for start in range(0, len(x), _BATCH):
        rows = slice(start, start + _BATCH)
        value, slope = derivatives(network, tf.constant(x[rows]))
        value_error = max(value_error, np.abs(value - f[rows]).max())
        distance = np.linalg.norm(slope - g[rows], axis=1)
        slope_error = max(slope_error, distance.max())
      errors.append(float(max(value_error, slope_error)))
      quantity = f"d = {d}, eps = {eps}: error with {network.num_units} units"
      measurements.append(Measurement(quantity, errors[-1], eps))
    line = f"{MARKERS[colour]}-"
    axis.loglog(grid, errors, line, color=colour, label=f"d = {d}")
  axis.loglog(grid, grid, "--", color="grey", label="eps")
  axis.set(xlabel="eps", ylabel="largest error at 1,000 points")
  axis.legend()
  return Result(figure, measurements)


def contradiction(widths=(4, 8, 16, 32, 64)):
  """Theorem 2."""
  figure, axis = canvas(
    "Theorem 2: values and derivatives that contradict each other\n"
    "cannot both be approximated",
    columns=1,
  )
  interval = (-math.pi, math.pi)
  measurements = []
  for shift, colour, name in (
    (0.5, REGULAR, "g = cos + 0.5, not the derivative"),
    (0.0, SOBOLEV, "g = cos, the derivative"),
  ):

    def g(x, shift=shift):
      return np.cos(x) + shift

    errors = [
      approximation.best_trained_error(np.sin, g, *interval, hidden_size=width)
      for width in widths
    ]
    axis.loglog(widths, errors, f"{MARKERS[colour]}-", color=colour, label=name)
    bound = approximation.contradiction_bound(np.cos, g, *interval)
    if shift:
      axis.axhline(bound, ls="--", color=colour, label="Theorem 2's bound")
      quantity = "best trained error, g = cos + 0.5"
      measurements.append(Measurement(quantity, min(errors), bound, above=True))
    else:
      quantity = "best trained error, g = cos"
      measurements.append(Measurement(quantity, min(errors), 0.05))
  axis.set_xticks(widths, widths)
  axis.minorticks_off()
  axis.set(
    xlabel="units in each of two hidden layers",
    ylabel="max(sup |sin − h|, sup |g − h'|)",
    ylim=(3e-3, 4),
  )
  axis.legend(loc="upper right")
  return Result(figure, measurements)


def polynomials():
  """Proposition 2 and the polynomial example."""
  figure, (left, right) = canvas(
    "Proposition 2: derivatives never need more points;\n"
    "a polynomial of degree n needs ⌈(n+1)/2⌉ instead of n + 1"
  )
  degrees, needed = range(1, 13), sample_complexity.points_needed
  left.plot(
    degrees, [needed(n, False) for n in degrees], "s", color=REGULAR,
    label="values: n + 1",
  )  # fmt: skip
  left.plot(
    degrees, [needed(n, True) for n in degrees], "o", color=SOBOLEV,
    label="with derivatives: ⌈(n+1)/2⌉",
  )  # fmt: skip
  left.plot(
    degrees, [-(-n // 2) for n in degrees], "_", color="black", ms=12,
    label="as printed: ⌈n/2⌉",
  )  # fmt: skip
  left.set(xlabel="degree n", ylabel="points needed", title="points needed")
  left.legend()
  x = np.linspace(-1.5, 2.5, 200)
  for c, colour, name in (
    ([0, 0.5, -0.5], SOBOLEV, "p"),
    (sample_complexity.rival_polynomial([0, 0.5, -0.5], [0.5]), REGULAR,
     "p + (x − ½)²"),
  ):  # fmt: skip
    right.plot(x, np.polyval(c[::-1], x), color=colour, label=name)
  right.plot(0.5, 0.125, "o", color="black", label="⌈n/2⌉ = 1 point")
  right.set(xlabel="x", title="n = 2: one value and derivative leave a choice")
  right.legend()
  return Result(figure, _polynomial_measurements())


def _polynomial_measurements():
  """Recovers polynomials with random fractions as coefficients, exactly."""
  rng = np.random.default_rng(0)
  worst = {"values": 0.0, "values and derivatives": 0.0}
  for degree in range(1, 13):
    p = [fractions.Fraction(int(c), 7) for c in rng.integers(-9, 9, degree + 1)]
    dp = [i * c for i, c in enumerate(p)][1:]

    def at(c, x):
      return sum(a * x**i for i, a in enumerate(c))

    for kind in worst:
      count = sample_complexity.points_needed(degree, kind != "values")
      points = [fractions.Fraction(i, 3) for i in range(count)]
      labels = [[at(p, x) for x in points], [at(dp, x) for x in points]]
      if kind == "values":
        found = sample_complexity.lagrange_polynomial(points, labels[0])
      else:
        found = sample_complexity.hermite_polynomial(points, *labels)
      padded = p + [0] * (len(found) - len(p))
      error = max(abs(a - b) for a, b in zip(found, padded, strict=True))
      worst[kind] = max(worst[kind], float(error))
  return [
    Measurement(f"coefficient error, degrees 1-12 from {kind}", error, 0.0)
    for kind, error in worst.items()
  ]


def gaussians():
  """Proposition 3 for Gaussian densities."""
  figure, axis = canvas(
    "Proposition 3: one value and derivative determine a Gaussian,\n"
    "two values do not",
    columns=1,
  )
  mu, sigma = sample_complexity.gaussian_twin(2.0, 1.0, (0.0, 3.0))
  x, ends = np.linspace(-3, 8, 400), np.array([0.0, 3.0])
  density = sample_complexity.gaussian
  axis.plot(x, density(x, 2, 1), color=SOBOLEV, label="N(2, 1)")
  label = f"N({mu:.4f}, {sigma:.4f}²)"
  axis.plot(x, density(x, mu, sigma), color=REGULAR, label=label)
  axis.plot(ends, density(ends, 2, 1), "o", color="black", label="equal values")
  for m, s, colour in ((2, 1, SOBOLEV), (mu, sigma, REGULAR)):
    for point in ends:
      near = point + np.array([-0.6, 0.6])
      slope = sample_complexity.gaussian_derivative(point, m, s)
      axis.plot(
        near, density(point, m, s) + slope * (near - point), "--", color=colour
      )
  axis.plot([], [], "--", color="grey", label="derivatives tell them apart")
  axis.set(xlabel="x", ylabel="density", ylim=(-0.02, 0.55))
  axis.legend()
  gap = np.abs(density(ends, mu, sigma) - density(ends, 2, 1)).max()
  rng, worst = np.random.default_rng(0), 0.0
  for _ in range(1000):
    m, s = rng.normal(), rng.uniform(0.2, 5)
    point = m + s * rng.uniform(-3, 3)
    found = sample_complexity.gaussian_from_point(
      point,
      density(point, m, s),
      sample_complexity.gaussian_derivative(point, m, s),
    )
    worst = max(worst, abs(found[0] - m), abs(found[1] - s))
  return Result(
    figure,
    [
      Measurement("difference of the pair's values at 0 and 3", gap, 1e-12),
      Measurement("pair: |mu - 2.84745564767|", abs(mu - 2.84745564767), 1e-11),
      Measurement("error of (mu, sigma) from one point", worst, 1e-9),
    ],
  )
