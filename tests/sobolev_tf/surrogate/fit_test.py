"""`fit_surrogate`: what it returns, what it chooses, what it refuses."""

import keras
import numpy as np
import pytest

import sobolev_tf


def _function(x):
  y = np.sin(2 * x[:, 0]) * x[:, 1]
  dy = np.stack([2 * np.cos(2 * x[:, 0]) * x[:, 1], np.sin(2 * x[:, 0])], 1)
  return y, dy


def _points(count, seed=0):
  return np.random.default_rng(seed).uniform(-1, 1, [count, 2])


@pytest.fixture(scope="module")
def fitted():
  x = _points(60)
  return sobolev_tf.fit_surrogate(x, *_function(x), members=2)


def test_predicts_values_and_gradients_of_new_points(fitted):
  x = _points(200, seed=1)
  y, dy = _function(x)
  predicted, slopes = fitted.predict_with_derivatives(x)
  assert predicted.shape == (200, 1) and slopes.shape == (200, 1, 2)
  assert np.sqrt(np.mean((predicted[:, 0] - y) ** 2)) < 0.05 * y.std()
  assert np.sqrt(np.mean((slopes[:, 0] - dy) ** 2)) < 0.15 * dy.std()


def test_report_says_that_the_derivatives_help_and_by_how_much(fitted):
  report = fitted.report
  assert report.uses_derivatives
  assert report.errors.names == ("y", "dy/dx0", "dy/dx1")
  assert report.errors_without.rmse[0] > 1.5 * report.errors.rmse[0]
  assert report.errors.r2[0] > 0.99
  text = str(report)
  assert "Derivatives help" in text and "12 held-out points" in text
  assert f"{report.errors.rmse[1]:.3g}" in text
  assert max(len(line) for line in text.splitlines()[:5]) <= 80


def test_held_out_errors_are_of_the_size_of_true_ones(fitted):
  x = _points(500, seed=2)
  error = fitted.predict_with_derivatives(x)[0][:, 0] - _function(x)[0]
  true = np.sqrt(np.mean(error**2))
  # Of 12 points, and of networks that saw four fifths of the others.
  assert 0.3 * true < fitted.report.errors.rmse[0] < 4 * true


def test_intervals_hold_most_new_values_and_widen_outside_the_data(fitted):
  x = _points(500, seed=3)
  value, half_width = fitted.predict_with_uncertainty(x)
  np.testing.assert_allclose(
    value, fitted.predict_with_derivatives(x)[0], rtol=1e-4, atol=1e-5
  )
  inside = np.abs(value[:, 0] - _function(x)[0]) <= half_width[:, 0]
  assert inside.mean() > 0.8
  far = fitted.predict_with_uncertainty(x + 3.0)[1]
  assert np.median(far) > 3 * np.median(half_width)


def test_a_surrogate_can_be_saved_and_trained_further(fitted, tmp_path):
  path = tmp_path / "surrogate.keras"
  fitted.save(path)
  loaded = keras.models.load_model(path)
  x = _points(9, seed=4)
  for method in ("predict_with_derivatives", "predict_with_uncertainty"):
    for a, b in zip(
      getattr(fitted, method)(x), getattr(loaded, method)(x), strict=True
    ):
      np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
  history = loaded.fit_full_batch(
    x, _function(x), method="lbfgs", updates=5, jit_compile=False
  )
  assert history.history["loss"][-1] <= history.history["loss"][0]


def test_labels_that_are_wrong_are_taken_as_noise():
  x = _points(60)
  wrong = np.random.default_rng(5).normal(size=x.shape) * 3
  report = sobolev_tf.fit_surrogate(x, _function(x)[0], wrong, members=1).report
  np.testing.assert_allclose(report.noise[1], 1, atol=0.15)
  assert report.noise[0] < 0.05
  assert report.errors.rmse[0] <= 1.5 * report.errors_without.rmse[0]


def test_labels_that_do_not_vary_or_are_all_unknown_are_taken(monkeypatch):
  monkeypatch.setattr("sobolev_tf.surrogate.search._MOST_ADDITIONAL", 0)
  x = _points(12)
  for y, dy in ((np.ones(12), 0 * x), (x[:, 0], np.full_like(x, np.nan))):
    model = sobolev_tf.fit_surrogate(x, y, dy, members=1)
    np.testing.assert_allclose(
      model.predict_with_derivatives(x)[0][:, 0], y, atol=0.05
    )


def test_unknown_labels_and_several_outputs_are_taken():
  x = _points(60)
  y, dy = _function(x)
  y, dy = np.stack([y, 2 - y], axis=1), np.stack([dy, -dy], axis=1)
  y[3, 0], dy[5] = np.nan, np.nan
  model = sobolev_tf.fit_surrogate(x, y, dy, members=1)
  assert model.report.errors.names[:3] == ("y0", "y1", "dy0/dx0")
  assert min(model.report.errors.r2) > 0.9


def test_points_that_tell_nothing_of_each_other_are_all_fitted():
  x = np.linspace(-3, 3, 5)[:, np.newaxis]
  y, dy = np.sin(3 * x[:, 0]), 3 * np.cos(3 * x)
  model = sobolev_tf.fit_surrogate(x, y, dy, members=1)
  assert model.report.uses_derivatives
  assert "too few points to choose by" in str(model.report)
  predicted = model.predict_with_derivatives(x)
  np.testing.assert_allclose(predicted[0][:, 0], y, atol=0.1)
  np.testing.assert_allclose(predicted[1][:, 0], dy, atol=0.3)


@pytest.mark.parametrize(
  "x, labels, message",
  [
    (np.zeros([5]), (np.zeros(5),), "x must be a finite array"),
    (np.full([5, 2], np.nan), (np.zeros(5),), "holds NaN or inf"),
    (np.zeros([5, 2]), (np.zeros(4),), "y must have shape"),
    (np.zeros([5, 2]), (np.zeros(5), np.zeros([5, 3])), "dy must have shape"),
    (np.zeros([5, 2]), (np.full(5, np.inf),), "hold infinities"),
    (np.zeros([5, 2]), (np.zeros(5), None, np.zeros([5, 2, 2])), "without dy"),
  ],
)
def test_arrays_of_another_form_are_refused(x, labels, message):
  with pytest.raises(ValueError, match=message):
    sobolev_tf.fit_surrogate(x, *labels)
