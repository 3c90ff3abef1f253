"""Local least squares against the textbook's formulas."""

import numpy as np

from sobolev_tf.labels.neighbourhoods import fit_locally, nearest_neighbours


def test_coefficients_and_standard_errors_are_those_of_weighted_regression():
  rng = np.random.default_rng(0)
  design = rng.normal(size=[3, 9, 2])
  values = rng.normal(size=[3, 9])
  weights = rng.uniform(0.2, 2, size=[3, 9])
  weights[:, 4] = 0  # eight points count, six degrees of freedom are left
  values[:, 4] = np.nan
  coefficients, errors = fit_locally(design, values, weights)
  for n in range(3):
    kept = weights[n] > 0
    a, b, w = design[n][kept], values[n][kept], np.diag(weights[n][kept])
    inverse = np.linalg.inv(a.T @ w @ a)
    wanted = inverse @ a.T @ w @ b
    np.testing.assert_allclose(coefficients[n], wanted, rtol=1e-10)
    left = b - a @ wanted
    variance = left @ w @ left / (8 - 2)
    np.testing.assert_allclose(
      errors[n], np.sqrt(variance * np.diag(inverse)), rtol=1e-10
    )


def test_nothing_left_over_has_no_standard_error():
  design = np.array([[[1.0, 0.0], [1.0, 1.0]]])
  coefficients, errors = fit_locally(
    design, np.array([[2.0, 5.0]]), np.ones([1, 2])
  )
  np.testing.assert_allclose(coefficients, [[2, 3]], rtol=1e-12)
  assert np.isnan(errors).all()


def test_neighbours_are_near_in_units_of_each_inputs_deviation():
  # Along the first input points are 100 apart, along the second 1.
  x = np.array([[0.0, 0.0], [100.0, 0.0], [0.0, 1.0], [300.0, 3.0]])
  indices, displacements, scale = nearest_neighbours(x, 2)
  np.testing.assert_allclose(scale, x.std(axis=0), rtol=1e-12)
  np.testing.assert_array_equal(np.sort(indices[0]), [1, 2])
  np.testing.assert_allclose(
    displacements * scale, x[indices] - x[:, None], atol=1e-10
  )
