"""Exporting what runs of the experiments trained, from their folders."""

import json

import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf import derivatives
from trainers import export
from trainers.lifecycle import checkpoints
from trainers.lifecycle.command_line import CommandError
from trainers.regression import train as regression
from trainers.synthetic_gradients import config as table1_config
from trainers.synthetic_gradients import learner
from trainers.synthetic_gradients import train as synthetic_gradients


def _train(main, *argv):
  """Trains a few steps, which to trace would take most of the time."""
  tf.config.run_functions_eagerly(True)
  try:
    assert main([*argv]) == 0
  finally:
    tf.config.run_functions_eagerly(False)


def _export(run, output, *more):
  export.main(["export", f"--run={run}", f"--output={output}", *more])
  return tf.saved_model.load(str(output))


def test_a_regression_run_becomes_a_surface_in_its_own_units(
  tmp_path, monkeypatch
):
  run = tmp_path / "run"
  monkeypatch.setattr(regression, "_show_surface", lambda *_: None)
  _train(
    regression.main,
    *("regression", f"--workdir={run}", "--preset=smoke", "--num_steps=2"),
    *("--seed=3,4", "--scaling=standard", "--num_train=20"),
    *("--hidden_sizes=8", "--num_test=10"),
  )
  (folder,) = (path.parent for path in run.glob("**/config.json"))
  loaded = _export(folder, tmp_path / "model", "--seed=4")
  config = regression.Config(**_settings(folder))
  x = np.random.default_rng(0).uniform(-5, 5, [6, 2])
  with regression.load_networks(folder, config) as (trained, scaling):
    values, gradients = regression.predict(trained, scaling, x)
  found = loaded.signatures["value_and_derivatives"](x=tf.constant(x))
  np.testing.assert_allclose(found["y"], values[1], rtol=1e-6)
  np.testing.assert_allclose(found["dy"], gradients[1], rtol=1e-5)
  card = json.loads((tmp_path / "model" / "card.json").read_text())
  assert card["settings"]["seed"] == 4 and card["x"]["dtype"] == "float64"
  assert np.isscalar(card["results"]["test_mse"])
  with pytest.raises(CommandError, match=r"seeds 3, 4.*\.$"):
    export.export_run(folder, tmp_path / "other", seed=5)
  with pytest.raises(CommandError, match=r"not empty.*\.$"):
    export.export_run(folder, tmp_path / "model")


def _settings(folder):
  settings = json.loads((folder / "config.json").read_text())
  return {
    name: tuple(value) if isinstance(value, list) else value
    for name, value in settings.items()
  }


def test_a_run_of_table_1_becomes_its_classifier(tmp_path):
  run = tmp_path / "run"
  _train(
    synthetic_gradients.main,
    *("synthetic_gradients", f"--workdir={run}", "--preset=smoke"),
    *("--num_steps=2", "--method=critic", "--dataset=digits"),
  )
  (folder,) = (path.parent for path in run.glob("**/config.json"))
  loaded = _export(folder, tmp_path / "model")
  config = table1_config.Config(**_settings(folder))
  data = table1_config.build_data(config)
  trained = learner.SyntheticGradientLearner(
    config, tf.distribute.get_strategy(), data.image_shape, data.num_classes
  )
  assert checkpoints.restore(trained.trackables(), folder / "checkpoints") == 2
  x, _ = data.training_batch(0, 2)
  wanted = derivatives(trained.network, x, 1)
  found = loaded.value_and_derivatives(tf.constant(x))
  np.testing.assert_allclose(found["y"], wanted[0], rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(found["dy"], wanted[1], rtol=1e-3, atol=1e-5)
  card = json.loads((tmp_path / "model" / "card.json").read_text())
  assert card["settings"]["method"] == "critic"


def test_what_is_no_finished_run_is_refused_in_one_sentence(tmp_path):
  for content in (None, "{}", "[1", '{"percentage": 1}', '{"function": "x"}'):
    if content is not None:
      (tmp_path / "config.json").write_text(content)
    with pytest.raises(CommandError) as refusal:
      export.export_run(str(tmp_path), str(tmp_path / "model"))
    assert str(refusal.value).endswith(".")
  with pytest.raises(CommandError, match="--run=DIR"):
    export.main(["export", "--run=x"])
  with pytest.raises(SystemExit):
    export.main(["export", "--help"])
