"""Gauss-Newton curvature `J^T J` of labels that are divided by their noise.

Two forms of the same: one for few examples, one for many.
TensorFlow multiplies and factorises what is not small, and SciPy nothing: the
threads of their BLAS cost more than matrices of a few hundred rows do, the more
so on a busy machine.
"""

import numpy as np
import tensorflow as tf

_SMALL = 64  # rows
_FEW_MULTIPLICATIONS = 2**15


class OfRows:
  """The Jacobian itself is kept: for few examples."""

  def __init__(self, jacobian: np.ndarray, noise: np.ndarray) -> None:
    """Takes the Jacobian `[n, R, P]` and the noise `[R]`."""
    self._jacobian = jacobian
    rows = jacobian / noise[:, np.newaxis]
    self._rows = rows.reshape(-1, rows.shape[-1])
    self._is_wide = self._rows.shape[0] < self._rows.shape[1]
    self._sum = None if self._is_wide else _product(self._rows.T, self._rows)

  def with_noise(self, noise: np.ndarray) -> "OfRows":
    """The same of another noise `[R]`."""
    return OfRows(self._jacobian, noise)

  def solve(self, diagonal: np.ndarray, slope: np.ndarray) -> np.ndarray | None:
    """`(J^T J + diag)^-1 slope`, `[P]`; None if singular."""
    try:
      if not self._is_wide:
        return _solve(cholesky(self._sum, diagonal), slope)
      # Woodbury's identity: a system as large as there are rows.
      scaled = self._rows / diagonal
      root = cholesky(_product(scaled, self._rows.T), 1.0)
    except np.linalg.LinAlgError:
      return None
    right = np.einsum("rp,p->r", scaled, slope)
    explained = np.einsum("rp,r->p", scaled, _solve(root, right))
    return slope / diagonal - explained

  def posterior(self, precision: np.ndarray) -> tuple:
    """What the labels determine, for parameters of a prior precision `[P]`.

    Returns:
      How many labels of each component are fitted at will `[R]`, the
      parameters' variances `[P]`, and the log determinant of the curvature.
    """
    if self._is_wide:
      scaled = self._rows / precision
      root = _safe_cholesky(_product(scaled, self._rows.T), 1.0)
      inverse = _solve(root, np.eye(len(root)))
      fitted = 1 - np.diag(inverse)
      explained = np.einsum("rp,rp->p", scaled, _product(inverse, scaled))
      variances, rest = 1 / precision - explained, np.sum(np.log(precision))
    else:
      root = _safe_cholesky(self._sum, precision)
      inverse = _solve(root, np.eye(len(root)))
      explained = _product(self._rows, inverse)
      fitted = np.einsum("rp,rp->r", self._rows, explained)
      variances, rest = np.diag(inverse), 0.0
    fitted = fitted.reshape(-1, self._jacobian.shape[1]).sum(axis=0)
    return fitted, variances, _log_determinant(root) + rest


class OfProducts:
  """One product `J^T J` per component is kept: for many examples."""

  def __init__(self, products: np.ndarray, noise: np.ndarray) -> None:
    """Takes the products `[R, P, P]` and the noise `[R]`."""
    self._products, self._weight = products, noise**-2.0
    self._sum = np.tensordot(self._weight, products, 1)

  @staticmethod
  def products(jacobian: np.ndarray) -> np.ndarray:
    """Products `[R, P, P]` of a Jacobian `[n, R, P]`."""
    columns = tf.constant(np.swapaxes(jacobian, 0, 1))
    return tf.linalg.matmul(columns, columns, transpose_a=True).numpy()

  def with_noise(self, noise: np.ndarray) -> "OfProducts":
    """As of `OfRows`."""
    return OfProducts(self._products, noise)

  def solve(self, diagonal: np.ndarray, slope: np.ndarray) -> np.ndarray | None:
    """As of `OfRows`."""
    try:
      return _solve(cholesky(self._sum, diagonal), slope)
    except np.linalg.LinAlgError:
      return None

  def posterior(self, precision: np.ndarray) -> tuple:
    """As of `OfRows`."""
    root = _safe_cholesky(self._sum, precision)
    inverse = _solve(root, np.eye(len(root)))
    fitted = self._weight * np.tensordot(self._products, inverse, 2)
    return fitted, np.diag(inverse), _log_determinant(root)


def cholesky(matrix: np.ndarray, diagonal: np.ndarray | float) -> np.ndarray:
  """The lower root of a matrix to whose diagonal something is added.

  Raises:
    np.linalg.LinAlgError: the sum is not positive definite.
  """
  matrix = matrix.copy()
  matrix[np.diag_indices_from(matrix)] += diagonal
  if len(matrix) <= _SMALL:
    return np.linalg.cholesky(matrix)
  root = tf.linalg.cholesky(matrix).numpy()
  if not np.isfinite(root[-1]).all():  # TensorFlow does not raise.
    raise np.linalg.LinAlgError("the matrix is not positive definite")
  return root


def _safe_cholesky(matrix, diagonal):
  """`cholesky` of what rounding errors may have made indefinite."""
  for jitter in (0.0, 1e-14, 1e-12, 1e-10):
    try:
      return cholesky(matrix, diagonal + jitter * matrix.diagonal().max())
    except np.linalg.LinAlgError:
      continue
  return cholesky(matrix, diagonal + 1e-8 * matrix.diagonal().max())


def _solve(root, right):
  """`(L L^T)^-1 right`, `[n]` or `[n, m]`."""
  if len(root) <= _SMALL:
    return np.linalg.solve(root.T, np.linalg.solve(root, right))
  columns = right.reshape(len(root), -1)
  return tf.linalg.cholesky_solve(root, columns).numpy().reshape(right.shape)


def _product(left, right):
  if left.size * right.shape[1] <= _FEW_MULTIPLICATIONS:
    return left @ right
  return tf.linalg.matmul(left, right).numpy()


def _log_determinant(root):
  return 2 * np.sum(np.log(np.diag(root)))
