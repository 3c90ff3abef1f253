"""Curvature in both of its forms, against dense matrices."""

import numpy as np
import pytest

from sobolev_tf.surrogate.curvature import OfProducts, OfRows, cholesky


@pytest.mark.parametrize("form", [OfRows, OfProducts])
@pytest.mark.parametrize("examples, parameters", [(3, 30), (40, 30), (3, 90)])
def test_solves_and_inverts_as_a_dense_matrix_does(form, examples, parameters):
  rng = np.random.default_rng(0)
  jacobian = rng.normal(size=[examples, 2, parameters])
  noise = np.array([0.5, 2.0])
  given = OfProducts.products(jacobian) if form is OfProducts else jacobian
  curvature = form(given, 3 * noise).with_noise(noise)
  rows = (jacobian / noise[:, np.newaxis]).reshape(-1, parameters)
  products = rows.T @ rows
  diagonal, slope = rng.uniform(1, 2, parameters), rng.normal(size=parameters)
  whole = products + np.diag(diagonal)
  np.testing.assert_allclose(
    curvature.solve(diagonal, slope), np.linalg.solve(whole, slope), rtol=1e-8
  )
  fitted, variances, log_determinant = curvature.posterior(diagonal)
  inverse = np.linalg.inv(whole)
  np.testing.assert_allclose(variances, np.diag(inverse), rtol=1e-8)
  np.testing.assert_allclose(log_determinant, np.linalg.slogdet(whole)[1])
  hat = np.diag(rows @ inverse @ rows.T).reshape(examples, 2)
  np.testing.assert_allclose(fitted, hat.sum(axis=0))


@pytest.mark.parametrize("size", [3, 90])
def test_what_is_not_positive_definite_is_told(size):
  with pytest.raises(np.linalg.LinAlgError):
    cholesky(-np.eye(size), 0.5)
