"""A small network in NumPy: values, derivatives and their Jacobian.

A network of two hidden layers of tanh units is so small that compiling it
costs more than training it. Its derivatives with respect to inputs and
parameters fit on a page: the forward and the backward pass are differentiated
along the inputs, once or twice.
"""

import math

import numpy as np

MAX_ORDER = 2


class TanhNetwork:
  """Two hidden layers of tanh units whose parameters are one vector `[P]`.

  Attributes:
    sizes: inputs, width, width, outputs.
    shapes: of kernel, bias, kernel, ... in the order of the vector.
    count: P.
  """

  def __init__(self, inputs: int, width: int, outputs: int) -> None:
    """Takes the numbers of units."""
    self.sizes = (inputs, width, width, outputs)
    self.shapes = []
    for fan_in, fan_out in zip(self.sizes[:-1], self.sizes[1:], strict=True):
      self.shapes += [(fan_in, fan_out), (fan_out,)]
    ends = np.cumsum([math.prod(shape) for shape in self.shapes])
    self.count = int(ends[-1])
    self._ends = ends[:-1]

  def split(self, position: np.ndarray) -> list:
    """The vector `[P]` as arrays of `shapes`."""
    parts = np.split(position, self._ends)
    return [p.reshape(s) for p, s in zip(parts, self.shapes, strict=True)]

  def initial(self, rng: np.random.Generator) -> np.ndarray:
    """Glorot's uniform kernels and small random biases, `[P]`."""
    parts = []
    for shape in self.shapes:
      limit = math.sqrt(6 / sum(shape)) if len(shape) > 1 else 0.5
      parts.append(rng.uniform(-limit, limit, shape).ravel())
    return np.concatenate(parts)

  def evaluate(self, position: np.ndarray, x: np.ndarray, order: int) -> tuple:
    """Values and derivatives at x `[N, d]`.

    Args:
      position: `[P]`.
      x: `[N, d]`.
      order: 0, 1 or 2, up to which to differentiate.

    Returns:
      Tuple of y `[N, k]`, dy `[N, k, d]`, d2y `[N, k, d, d]` up to the order.
    """
    return self._terms(self.split(position), x, order).outputs

  def jacobian(self, position: np.ndarray, x: np.ndarray, order: int) -> tuple:
    """What `evaluate` returns, and how it depends on the parameters.

    Returns:
      Pair of that tuple and the Jacobian `[N, R, P]`; the R components of an
      example are those of y, then of dy, then of d2y, the last axis fastest.
    """
    parameters = self.split(position)
    terms = self._terms(parameters, x, order)
    rows = [
      np.stack(per_output, axis=1).reshape(len(x), -1, self.count)
      for per_output in zip(
        *(
          self._rows(parameters, terms, x, order, output)
          for output in range(self.sizes[-1])
        ),
        strict=True,
      )
    ]
    return terms.outputs, np.concatenate(rows, axis=1)

  def _terms(self, parameters, x, order):
    """The forward pass and its derivatives along the inputs i and j."""
    w1, b1, w2, b2, w3, b3 = parameters
    first = _Layer.of(x @ w1 + b1)
    second = _Layer.of(first.h @ w2 + b2)
    terms = _Terms(first, second, (second.h @ w3 + b3,))
    if order:
      first.h_i = first.p[:, None] * w1  # [N, d, H]
      first.a_i = np.broadcast_to(w1, first.h_i.shape)
      second.a_i = first.h_i @ w2
      second.h_i = second.p[:, None] * second.a_i
      terms.outputs += (np.swapaxes(second.h_i @ w3, 1, 2),)
    if order > 1:
      first.pairs = first.a_i[:, :, None] * first.a_i[:, None]
      second.pairs = second.a_i[:, :, None] * second.a_i[:, None]
      first.h_ij = first.q[:, None, None] * first.pairs  # [N, d, d, H]
      second.a_ij = first.h_ij @ w2
      second.h_ij = (
        second.q[:, None, None] * second.pairs
        + second.p[:, None, None] * second.a_ij
      )
      terms.outputs += (np.moveaxis(second.h_ij @ w3, 3, 1),)
    return terms

  def _rows(self, parameters, terms, x, order, output):
    """Jacobians of one output's components: `[N, P]`, `[N, d, P]`, ..."""
    _, _, w2, _, w3, _ = parameters
    first, second, _ = terms
    w, inputs = w3[:, output], self.sizes[0]
    # Backward: what the output makes of a2, h1 and a1.
    s2 = w * second.p
    e = s2 @ w2.T
    s1 = e * first.p
    yield self._row(
      (x, s1), (first.h, s2), (second.h, output), extra=(s1, s2, 1.0)
    )
    if not order:
      return
    s2_i = w * second.q[:, None] * second.a_i  # [N, d, H]
    e_i = s2_i @ w2.T
    p_i = first.q[:, None] * first.a_i
    s1_i = e_i * first.p[:, None] + e[:, None] * p_i
    row = self._row(
      (x[:, None], s1_i),
      (first.h[:, None], s2_i),
      (second.h_i, output),
      extra=(s1_i, s2_i, 0.0),
    )
    w1_part, w2_part = self._kernels(row)
    for i in range(inputs):
      w1_part[:, i, i] += s1
    w2_part += first.h_i[..., None] * s2[:, None, None]
    yield row
    if order < 2:
      return
    p2_ij = (
      second.r[:, None, None] * second.pairs
      + second.q[:, None, None] * second.a_ij
    )
    s2_ij = w * p2_ij
    e_ij = s2_ij @ w2.T
    mixed = e_i[:, :, None] * p_i[:, None]
    s1_ij = (
      e_ij * first.p[:, None, None]
      + mixed
      + np.swapaxes(mixed, 1, 2)
      + (e * first.r)[:, None, None] * first.pairs
    )
    row = self._row(
      (x[:, None, None], s1_ij),
      (first.h[:, None, None], s2_ij),
      (second.h_ij, output),
      extra=(s1_ij, s2_ij, 0.0),
    )
    w1_part, w2_part = self._kernels(row)
    for i in range(inputs):
      w1_part[:, i, :, i] += s1_i
      w1_part[:, :, i, i] += s1_i
    mixed = first.h_i[:, :, None, :, None] * s2_i[:, None, :, None, :]
    w2_part += mixed + np.swapaxes(mixed, 1, 2)
    w2_part += first.h_ij[..., None] * s2[:, None, None, None]
    yield row

  def _row(self, w1, w2, w3, extra):
    """One block of rows from outer products: `[..., P]`."""
    hidden, output = w3
    shape = hidden.shape[:-1]
    outer_1 = w1[0][..., None] * w1[1][..., None, :]
    outer_2 = w2[0][..., None] * w2[1][..., None, :]
    last = np.zeros([*shape, *self.shapes[4]])
    last[..., output] = hidden
    bias = np.zeros([*shape, self.sizes[-1]])
    bias[..., output] = extra[2]
    parts = (outer_1, extra[0], outer_2, extra[1], last, bias)
    return np.concatenate([p.reshape(*shape, -1) for p in parts], axis=-1)

  def _kernels(self, row):
    """Views of the parts of both hidden kernels in rows `[..., P]`."""
    shape = row.shape[:-1]
    starts = (0, self._ends[1])
    return [
      row[..., start : start + math.prod(size)].reshape(*shape, *size)
      for start, size in zip(starts, self.shapes[:4:2], strict=True)
    ]


class _Layer:
  """A hidden layer: h = tanh(a), and p, q, r the next derivatives of tanh."""

  @classmethod
  def of(cls, a: np.ndarray) -> "_Layer":
    layer = cls()
    layer.h = np.tanh(a)
    layer.p = 1 - layer.h**2
    layer.q = -2 * layer.h * layer.p
    layer.r = layer.p * (6 * layer.h**2 - 2)
    return layer


class _Terms:
  def __init__(self, first, second, outputs):
    self.first, self.second, self.outputs = first, second, outputs

  def __iter__(self):
    return iter((self.first, self.second, self.outputs))
