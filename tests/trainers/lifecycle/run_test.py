"""The run folder: resume, refusal, fallback, signals. With real processes."""

import dataclasses
import errno
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import (
  EventAccumulator,
)

from tests import warm_python
from trainers.lifecycle import (
  checkpoints,
  claims,
  command_line,
  exit_codes,
  loop,
  run,
)
from trainers.lifecycle.command_line import CommandError
from trainers.lifecycle.run import NotFinite, open_run
from trainers.regression import train as regression

_SETTINGS = (
  "--preset=smoke",
  "--function=booth",
  "--num_train=20",
  "--method=sobolev",
  "--hidden_sizes=16,16",
)


_LONG = (
  *_SETTINGS,
  "--num_steps=1000",
  "--evaluate_every=25",
  "--checkpoint_every=25",
)
# As many tests and checkpoints; its steps are made eagerly, since XLA would
# take five seconds of a core to compile them anew in every process.
_EAGER = (
  *_SETTINGS,
  "--num_steps=120",
  "--evaluate_every=3",
  "--checkpoint_every=3",
)
_EAGER_COMMAND = (
  "-c",
  "import tensorflow as tf; from trainers.regression import train; "
  "from trainers.lifecycle import command_line; "
  "tf.config.run_functions_eagerly(True); command_line.run_main(train.main)",
)


_RESULTS = ("metrics.csv", "networks.npz", "finished.json")


def start(workdir, *settings, command=("-m", "trainers.regression")):
  return subprocess.Popen(
    [warm_python.command(), *command, f"--workdir={workdir}", *settings],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def complete(workdir, *settings):
  process = start(workdir, *settings)
  output, errors = process.communicate(timeout=300)
  return process.returncode, output, errors


def run_here(workdir, *settings):
  return regression.main(["regression", f"--workdir={workdir}", *settings])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  """A finished run, to be looked at; `copied` is one to change."""
  workdir = tmp_path_factory.mktemp("finished")
  assert run_here(workdir, *_SETTINGS) == 0
  return workdir


@pytest.fixture
def copied(finished, tmp_path):
  shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
  return tmp_path


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
  """Leaves out the surface, which `finished` has."""
  monkeypatch.setattr(regression, "_show_surface", lambda *_: None)


def results(workdir):
  return {name: (workdir / name).read_bytes() for name in _RESULTS}


def wait_for(process, is_true, what):
  """Waits until something is true; the process must not end before."""
  deadline = time.monotonic() + 120
  while not is_true():
    assert process.poll() is None, process.communicate()[1]
    assert time.monotonic() < deadline, f"no {what} within two minutes"
    time.sleep(0.002)


def wait_for_new(process, workdir, pattern):
  """Waits until the process has made something that is called so."""
  before = set(workdir.glob(pattern))
  wait_for(process, lambda: set(workdir.glob(pattern)) - before, pattern)


def wait_for_checkpoint(process, workdir):
  wait_for_new(process, workdir, "checkpoints/step_*[0-9]")


def wait_for_start(process, workdir):
  """Waits until the process holds the run's folder, before any step."""
  wait_for(process, (workdir / "config.json").exists, "config.json")


def wait_amid_steps(process, workdir):
  wait_for_checkpoint(process, workdir)
  time.sleep(random.Random(7).uniform(0.02, 0.1))


def wait_amid_saving(process, workdir):
  """Waits until a checkpoint is begun."""
  wait_for_checkpoint(process, workdir)
  wait_for_new(process, workdir, "checkpoints/step_*.partial")


def test_a_run_killed_at_any_moment_ends_with_the_bytes_of_a_whole_one(
  tmp_path, capsys, eagerly
):
  killed, whole = tmp_path / "killed", tmp_path / "whole"
  for wait_for_moment in (wait_for_start, wait_amid_steps, wait_amid_saving):
    process = start(killed, *_EAGER, command=_EAGER_COMMAND)
    wait_for_moment(process, killed)
    process.kill()
    process.communicate()
    while claims.owner(killed):
      time.sleep(0.01)  # what was forked ends a moment after its command
    assert not (killed / "finished.json").exists()
  assert run_here(killed, *_EAGER) == 0
  assert "Resuming at step" in capsys.readouterr().out
  assert run_here(whole, *_EAGER) == 0
  assert results(killed) == results(whole)


def test_a_second_process_is_refused_and_sigterm_saves_what_the_first_has(
  tmp_path, capsys
):
  parts, whole = tmp_path / "parts", tmp_path / "whole"
  process = start(parts, *_LONG)
  wait_for_checkpoint(process, parts)
  with pytest.raises(CommandError, match="another process"):
    run_here(parts, *_LONG)
  process.send_signal(signal.SIGTERM)
  _, errors = process.communicate(timeout=60)
  assert process.returncode == 128 + signal.SIGTERM
  assert "the same command resumes there" in errors
  assert "Traceback" not in errors
  assert run_here(parts, *_LONG) == 0
  assert "Resuming at step" in capsys.readouterr().out
  assert run_here(whole, *_LONG) == 0
  assert results(parts) == results(whole)


def test_finished_run_says_so_and_trains_nothing(copied, capsys):
  before = results(copied)
  assert run_here(copied, *_SETTINGS) == 0
  assert "finished already" in capsys.readouterr().out
  assert results(copied) == before


@pytest.mark.parametrize(
  "name, change, words",
  [
    ("metrics.csv", lambda old: old.replace("0.25", "0.35"), "has changed"),
    ("metrics.csv", lambda old: "", "has changed"),
    ("finished.json", lambda old: old.replace("0.25", "0.26"), "has changed"),
    ("finished.json", lambda old: "{}", "has changed"),
    ("finished.json", lambda old: "[]", "holds no object"),
    ("finished.json", lambda old: '{"a":' * 50_000, "cannot be read"),
    ("SHA256SUMS", lambda old: old[:40], "something else than digests"),
  ],
)
def test_a_finished_run_whose_files_were_changed_is_refused(
  tmp_path, name, change, words
):
  config = regression.Config(num_steps=1)
  with open_run(tmp_path, config, ("error",)) as one:
    one.log(1, {"error": 0.25})
    one.finish({"error": 0.25})
  with open_run(tmp_path, config, ("error",)) as same:
    assert same.result == {"error": 0.25}
  path = tmp_path / name
  path.write_text(change(path.read_text()))
  with pytest.raises(CommandError, match=words):
    with open_run(tmp_path, config, ("error",)):
      pass


def test_a_run_without_a_final_number_is_finished_all_the_same(tmp_path):
  config = regression.Config(num_steps=1)  # as teachers that play no games
  with open_run(tmp_path, config, ("error",)) as one:
    one.finish({})
  with open_run(tmp_path, config, ("error",)) as same:
    assert same.finished and same.result == {}


def test_a_command_that_cannot_be_read_hinders_nothing(tmp_path):
  config = regression.Config(num_steps=1)
  for damage in (lambda path: path.write_bytes(b"\xff\0"), os.remove):
    with open_run(tmp_path, config, ("error",)) as one:
      damage(tmp_path / "command.txt")
      assert one.restore({}) == 0


def test_changed_settings_are_refused_with_the_differences(copied):
  before = results(copied)
  with pytest.raises(CommandError) as error:
    run_here(copied, *_SETTINGS, "--learning_rate=0.5", "--num_steps=9")
  sentence = str(error.value)
  assert "learning_rate is 0.5 here and 3e-05 there" in sentence
  assert "num_steps is 9 here and 400 there" in sentence
  assert "derivative_weight" not in sentence
  assert results(copied) == before


def test_infinite_loss_stops_before_the_update_and_keeps_the_weights(tmp_path):
  config = regression.Config(
    function="booth",
    seed=(0,),
    num_steps=50,
    learning_rate=1e30,
    hidden_sizes=(16, 16),
  )
  with pytest.raises(NotFinite, match="not finite at step") as error:
    regression.train(config, tmp_path)
  learner = regression.build_learner(config)
  step = checkpoints.restore(learner.trackables(), tmp_path / "checkpoints")
  assert f"weights of step {step} are kept" in str(error.value)
  assert loop.is_finite(learner.network.trainable_variables)
  assert loop.is_finite(learner.optimizer.variables)
  assert learner.optimizer.iterations.numpy() == step


def test_metrics_are_cut_back_to_the_restored_step(copied):
  expected = (copied / "metrics.csv").read_bytes()
  (copied / "finished.json").unlink()
  with open(copied / "metrics.csv", "a") as file:
    file.write("500,0,1,1,1,1\n600,0,1,1")  # a crash cut the last row short
  run_here(copied, *_SETTINGS)
  assert (copied / "metrics.csv").read_bytes() == expected


def test_run_folder_describes_the_run(finished):
  names = {path.name for path in finished.iterdir()}
  assert names >= {
    "config.json",
    "command.txt",
    "environment.json",
    "metrics.csv",
    "tensorboard",
    "checkpoints",
    "finished.json",
    "SHA256SUMS",
  }
  rows = np.genfromtxt(finished / "metrics.csv", delimiter=",", names=True)
  assert list(rows["step"]) == [100, 100, 200, 200, 300, 300, 400, 400]
  assert len(list(finished.glob("checkpoints/*"))) == 3


def test_a_wrong_command_line_ends_the_process_with_code_two(tmp_path):
  code, _, errors = complete(tmp_path / "run", "--fucntion=booth")
  lines = [line for line in errors.splitlines() if line.startswith("error:")]
  assert code == 2 and len(lines) == 1 and "function" in lines[0], errors
  assert "Traceback" not in errors


def test_single_run_is_refused_in_a_folder_of_several(tmp_path):
  run_here(tmp_path, *_SETTINGS, "--scaling=none,standard", "--num_steps=1")
  with pytest.raises(CommandError, match="several runs in its subfolders"):
    run_here(tmp_path, *_SETTINGS)


def test_tensorboard_shows_each_seed_the_surface_and_the_result(finished):
  folder = finished / "tensorboard"
  events = EventAccumulator(str(folder)).Reload()
  tags = events.Tags()["tensors"]
  assert "surface" in tags and "test_at_the_end/mse" in tags
  (page,) = events.Tensors("run")
  text = page.tensor_proto.string_val[0].decode()
  command = (finished / "command.txt").read_text().strip()
  assert command in text
  assert "| num_train | 20 | 100 |" in text
  for seed in (0, 1):
    curves = EventAccumulator(str(folder / f"seed_{seed}")).Reload()
    curve = curves.Tensors("test/mse")
    assert [event.step for event in curve] == [100, 200, 300, 400]
    assert set(curves.Tags()["tensors"]) == {
      "train/loss",
      "test/mse",
      "test/gradient_mse",
      "test/sobolev_distance",
    }


def test_sighup_saves_like_sigterm(tmp_path):
  # Under nohup it is ignored, as it should be; here it is not.
  signal.signal(signal.SIGHUP, signal.SIG_DFL)
  run_ = run.open_run(str(tmp_path), Settings(), ("loss",))
  with pytest.raises(run.Stopped) as stop, run_ as this_run:
    os.kill(os.getpid(), signal.SIGHUP)
    this_run.check_stop({"one": tf.train.Checkpoint(x=tf.Variable(1.0))}, 7)
  assert stop.value.code == 128 + signal.SIGHUP
  assert "SIGHUP: stopped at step 7" in str(stop.value)


@dataclasses.dataclass(frozen=True)
class Settings:
  seed: int = 0


def log_and_save(workdir, steps=(1, 2)):
  objects = {"x": tf.Variable(1.0)}
  with run.open_run(str(workdir), Settings(), ("loss",)) as this_run:
    this_run.restore(objects)
    for step in steps:
      this_run.log(step, {"loss": 0.5 * step})
      objects["x"].assign(step)
      this_run.save(objects, step)
  return workdir / "metrics.csv"


def restore(workdir):
  objects = {"x": tf.Variable(0.0)}
  with run.open_run(str(workdir), Settings(), ("loss",)) as this_run:
    return this_run.restore(objects), float(objects["x"])


@pytest.mark.parametrize(
  "damage",
  [
    lambda content: b"",
    lambda content: content[: len(content) // 2],
    lambda content: content.replace(b"0.5", b"0.6"),
    lambda content: b"\xff" + content,
  ],
)
def test_metrics_that_were_changed_are_noticed(tmp_path, damage):
  path = log_and_save(tmp_path)
  content = path.read_bytes()
  path.write_bytes(damage(content))
  with pytest.raises(CommandError, match="changed or cut since step 2"):
    restore(tmp_path)
  path.write_bytes(content + b"3,1.5\n4,")  # as a crash leaves it
  assert restore(tmp_path) == (2, 2.0)
  assert path.read_bytes() == content


def test_missing_metrics_are_noticed(tmp_path):
  log_and_save(tmp_path).unlink()
  with pytest.raises(CommandError, match="changed or cut"):
    restore(tmp_path)


@pytest.mark.parametrize("name", ["a[1]", "b*c", "d?", "[!x]"])
def test_a_run_resumes_whatever_its_folder_is_called(tmp_path, name):
  log_and_save(tmp_path / name)
  assert restore(tmp_path / name) == (2, 2.0)


@pytest.mark.parametrize(
  "error",
  [
    OSError(errno.ENOSPC, "No space left on device"),
    tf.errors.ResourceExhaustedError(None, None, "w; No space left on device"),
  ],
)
def test_a_full_disk_is_one_sentence_and_a_code_of_its_own(
  tmp_path, capsys, error
):
  def main(argv):
    with run.open_run(str(tmp_path), Settings(), ("loss",)):
      raise error

  with pytest.raises(SystemExit) as end:
    command_line.run_main(main, [])
  assert end.value.code == exit_codes.FAILED == 74
  (line,) = capsys.readouterr().err.splitlines()
  assert f"cannot be written (No space left: {tmp_path})" in line


def test_a_reader_of_the_output_may_leave():
  code = (
    "from trainers.lifecycle.command_line import run_main\n"
    "run_main(lambda argv: [print('x' * 999) for _ in range(999)] and 3)"
  )
  process = subprocess.Popen(
    [sys.executable, "-c", code],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
  )
  process.stdout.close()
  assert process.wait(60) == 3
  assert not process.stderr.read()


@pytest.mark.parametrize("name", ["checkpoints", "claims", "tensorboard"])
@pytest.mark.parametrize("put", [pathlib.Path.touch, os.mkfifo])
def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path, name, put):
  put(tmp_path / name)
  with pytest.raises(CommandError, match=f"{name} is no folder, .* remove it"):
    with open_run(tmp_path, regression.Config(), ["loss"]):
      raise AssertionError("it was opened")


def test_metrics_that_are_no_file_are_refused(tmp_path):
  with open_run(tmp_path, regression.Config(), ["loss"]) as this_run:
    this_run.restore({})
    this_run.save({}, 3)
  (tmp_path / "metrics.csv").unlink()
  os.mkfifo(tmp_path / "metrics.csv")
  with open_run(tmp_path, regression.Config(), ["loss"]) as this_run:
    with pytest.raises(CommandError, match="metrics.csv cannot be read"):
      this_run.restore({})
