"""Private names of Keras: each test fails where a version changes one."""

import keras
import pytest

from sobolev_tf.training import keras_internals


def test_layers_at_any_depth_are_found():
  inner = keras.Sequential([keras.layers.Dense(2, name="deep")])
  model = keras.Sequential([inner, keras.layers.Dense(1, name="shallow")])
  names = {layer.name for layer in keras_internals.flatten_layers(model)}
  assert {model.name, inner.name, "deep", "shallow"} <= names


def test_what_compile_made_is_found():
  model = keras.Sequential([keras.layers.Dense(1)])
  model.compile("sgd", "mse")
  assert keras_internals.loss_tracker(model).name == "loss"
  assert keras_internals.compiled_metrics(model) is None
  model.compile("sgd", "mse", metrics=["mae"])
  assert keras_internals.compiled_metrics(model) in model.metrics


@pytest.mark.parametrize("monitor", ["error", "val_error"])
def test_callbacks_see_the_direction_of_a_metric(monitor):
  class Measured(keras.Model):
    def __init__(self):
      super().__init__()
      self.error = keras_internals.with_direction(
        keras.metrics.MeanSquaredError(name="error")
      )

  stopping = keras.callbacks.EarlyStopping(monitor)
  stopping.set_model(Measured())
  stopping.on_train_begin()
  stopping._set_monitor_op()
  assert stopping.monitor_op is keras.ops.less


def test_a_wrapped_metric_reports_under_its_own_name():
  metric = keras_internals.with_direction(
    keras.metrics.MeanSquaredError(name="error")
  )
  metric.update_state([[1.0]], [[3.0]])
  assert metric.name == "error"
  assert float(metric.result()["error"]) == 4.0
  metric.reset_state()
  assert float(metric.result()["error"]) == 0.0


def test_keras_asks_the_model_for_the_results_of_all_replicas():
  # SobolevModel overrides it; under another name its metrics would be those of
  # one replica.
  assert callable(keras.Model._get_metrics_result_or_logs)


def test_backup_and_restore_tells_where_training_goes_on(tmp_path):
  model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
  model.compile("sgd", "mse", run_eagerly=True)
  backup = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))
  backup.set_model(model)
  keras_internals.begin_at_no_epoch(model)
  backup.on_train_begin()
  assert keras_internals.first_epoch(model) == 0
  backup.on_epoch_end(4)
  backup.on_train_begin()
  assert keras_internals.first_epoch(model) == 5
  keras_internals.begin_at_no_epoch(model)
  assert keras_internals.first_epoch(model) == 0


def test_the_old_format_is_noticed_while_it_is_written(tmp_path):
  class Asked(keras.Sequential):
    def get_config(self):
      seen.append(keras_internals.is_saving_as_hdf5())
      return super().get_config()

  model = Asked([keras.Input([1]), keras.layers.Dense(1)])
  for name, wanted in (("m.h5", True), ("m.keras", False), ("m.hdf5", True)):
    seen = []
    keras.models.save_model(model, tmp_path / name)
    assert seen and set(seen) == {wanted}
  assert not keras_internals.is_saving_as_hdf5()


def test_a_schedule_is_told_from_a_rate():
  schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
  assert keras_internals.has_schedule(keras.optimizers.Adam(schedule))
  assert not keras_internals.has_schedule(keras.optimizers.Adam(0.1))


def test_what_is_built_takes_a_layer_and_no_other_after_it():
  layer = keras.layers.Dense(1)
  layer.build((None, 2))
  with keras_internals.taking_new_layers(layer):
    layer.further = keras.layers.Dense(1)
  with pytest.raises(ValueError, match="already built"):
    layer.one_more = keras.layers.Dense(1)
