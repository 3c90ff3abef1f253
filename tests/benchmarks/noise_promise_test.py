"""The noise table: resuming and its arithmetic."""

from benchmarks import noise_promise


def test_measures_what_is_missing_and_divides_by_the_fit_without_dy(
  tmp_path, monkeypatch
):
  calls = []

  def measure(problem, noise, seed):
    calls.append(noise)
    value = 0.1 if noise == "without dy" else 0.02 + 0.2 * noise
    row = (problem, seed, noise, value, 0.9)
    return dict(zip(noise_promise._FIELDS, row, strict=True))

  monkeypatch.setattr(noise_promise, "measure", measure)
  path = tmp_path / "surrogate_noise.csv"
  for _ in range(2):
    noise_promise.run(path, ["branin"], 1)
  assert calls == ["without dy", *noise_promise.NOISE]
  text = noise_promise.table(noise_promise.rows_of(path))
  assert "| branin | 0.20 (0.20 to 0.20) | 0.22" in text
  assert "At most 1.05: 4 of 5 cases." in text
  assert "At most 0.5 with up to 5 % of noise: 3 of 3." in text
  assert "hold 90.0% of the test values" in text
