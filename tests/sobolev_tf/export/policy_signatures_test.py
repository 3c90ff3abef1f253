"""The SavedModel of a policy, through the real command and after reloading."""

import json
import pathlib
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.distillation.objective import (
  policy_distillation_loss,
  projected_policy_gradient,
)
from sobolev_tf.export import policy_signatures as export
from sobolev_tf.export import weights
from sobolev_tf.export.policies import save_policy
from sobolev_tf.networks.atari import StudentNetwork, TeacherNetwork
from tests import warm_python

NAMES = ["NOOP", "RIGHT", "LEFT"]
CLI = "tensorflow.python.tools.saved_model_cli"


def some_frames(count):
  return np.random.default_rng(0).integers(
    0, 256, [count, 84, 84, 4], dtype=np.uint8
  )


def some_directions(count):
  v = np.random.default_rng(1).normal(size=[count, 3]).astype(np.float32)
  return v / np.linalg.norm(v, axis=1, keepdims=True)


def sharpen(network):
  """A policy that starts nearly uniform would hide faults."""
  network.policy.w.assign(100 * network.policy.w)
  weights.round_weights(network)
  return network


def save(folder, network):
  path = str(folder / "policy.npz")
  save_policy(path, network, {"game": "pong", "action_names": NAMES})
  return path


@pytest.fixture(scope="module")
def student():
  return sharpen(StudentNetwork(3, seed=1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, student):
  base = tmp_path_factory.mktemp("export")
  output = base / "a model"
  assert (
    export.main([f"--checkpoint={save(base, student)}", f"--output={output}"])
    == 0
  )
  assert not list(base.glob("*.partial"))
  return output


@pytest.fixture(scope="module")
def reloaded(folder):
  return tf.saved_model.load(str(folder))


def test_reloaded_functions_equal_the_network(student, reloaded):
  for count in (1, 3):
    frames = some_frames(count)
    v = some_directions(count)
    s = tf.constant(frames, tf.float32) / 255
    logits = student(s)
    served = reloaded.signatures["serving_default"](frames=tf.constant(frames))
    assert set(served) == {"logits", "probabilities", "action"}
    np.testing.assert_allclose(served["logits"], logits, atol=1e-6)
    np.testing.assert_allclose(
      served["probabilities"], tf.nn.softmax(logits), atol=1e-6
    )
    np.testing.assert_array_equal(served["action"], np.argmax(logits, axis=1))
    with tf.GradientTape() as tape:
      tape.watch(s)
      projected = tf.reduce_sum(tf.nn.log_softmax(student(s)) * v)
    gradient = tape.gradient(projected, s)
    assert np.abs(gradient).max() > 1e-3
    found = reloaded.signatures["input_gradient"](
      frames=tf.constant(frames), directions=tf.constant(v)
    )
    assert set(found) == {"log_policy", "gradient"}
    np.testing.assert_allclose(found["gradient"], gradient, atol=1e-6)
    np.testing.assert_allclose(
      found["log_policy"], tf.nn.log_softmax(logits), atol=1e-6
    )


def test_logits_have_the_signatures_of_any_exported_model(student, reloaded):
  s = tf.constant(some_frames(2), tf.float32) / 255
  u = tf.constant(np.random.default_rng(2).normal(size=s.shape), tf.float32)
  y, dy = derivatives(student, s, 1)
  found = reloaded.signatures["value_and_derivatives"](x=s)
  np.testing.assert_allclose(found["y"], y, atol=1e-6)
  np.testing.assert_allclose(found["dy"], dy, atol=1e-6)
  along = reloaded.signatures["jvp"](x=s, u=u)["jvp"]
  product = tf.einsum("nahwc,nhwc->na", dy, u)
  np.testing.assert_allclose(along, product, rtol=1e-4, atol=1e-4)
  hessian_rows = reloaded.signatures["hvp"](x=s, u=u)["hvp"]
  assert hessian_rows.shape == dy.shape
  np.testing.assert_array_equal(hessian_rows, 0)  # of a ReLU network


@pytest.mark.parametrize("with_value", [False, True])
def test_a_teacher_is_exported_with_or_without_its_value(tmp_path, with_value):
  network = sharpen(TeacherNetwork(3, seed=2))
  arguments = [f"--checkpoint={save(tmp_path, network)}"]
  arguments += [f"--output={tmp_path / 'out'}"]
  assert export.main(arguments + ["--value"] * with_value) == 0
  loaded = tf.saved_model.load(str(tmp_path / "out"))
  frames = some_frames(2)
  served = loaded.signatures["serving_default"](frames=tf.constant(frames))
  logits, value = network.policy_and_value(
    tf.constant(frames, tf.float32) / 255
  )
  np.testing.assert_allclose(served["logits"], logits, atol=1e-6)
  assert ("value" in served) == with_value
  if with_value:
    np.testing.assert_allclose(served["value"], value, atol=1e-6)


def test_a_student_has_no_value_to_export(tmp_path, student):
  with pytest.raises(ValueError, match=r"teacher is wanted\.$"):
    export.export_policy(
      save(tmp_path, student), str(tmp_path / "out"), with_value=True
    )


def sobolev_gradients(predict, variables, target):
  with tf.GradientTape() as tape:
    loss = policy_distillation_loss(predict(), target, 0.3).loss
    total = tf.reduce_sum(loss)
  return tape.gradient(total, variables)


def test_sobolev_training_goes_on_after_reloading(student, reloaded):
  frames, v = some_frames(2), some_directions(2)
  s = tf.constant(frames, tf.float32) / 255
  other = sharpen(StudentNetwork(3, seed=5))
  target = projected_policy_gradient(other, s, v[:, None])

  def predict():
    found = reloaded.input_gradient(frames, v)
    return found["log_policy"], found["gradient"][:, None]

  found = sobolev_gradients(predict, list(reloaded.parameters), target)
  wanted = sobolev_gradients(
    lambda: projected_policy_gradient(student, s, v[:, None]),
    student.trainable_variables,
    target,
  )
  for gradient, expected in zip(found, wanted, strict=True):
    size = np.abs(expected).max()
    assert size > 0
    np.testing.assert_allclose(gradient, expected, atol=1e-5 * size)


def test_the_card_travels_along(folder, reloaded):
  (card,) = (folder / "assets").iterdir()
  assert json.loads(card.read_text())["action_names"] == NAMES
  assert (
    card.read_bytes()
    == pathlib.Path(reloaded.card.asset_path.numpy().decode()).read_bytes()
  )


def test_the_command_line_tool_shows_and_runs_it(student, folder, tmp_path):
  python = warm_python.command()
  shown = subprocess.run(
    [python, "-m", CLI, "show", "--dir", folder, "--all"],
    capture_output=True,
    text=True,
  )
  assert shown.returncode == 0, shown.stderr
  for name in ("serving_default", "input_gradient", "(-1, 84, 84, 4)"):
    assert name in shown.stdout
  np.savez(
    tmp_path / "in.npz", frames=some_frames(2), directions=some_directions(2)
  )
  ran = subprocess.run(
    [
      *(python, "-m", CLI, "run", "--dir", folder, "--tag_set", "serve"),
      *("--signature_def", "input_gradient", "--outdir", tmp_path / "out"),
      "--inputs",
      f"frames={tmp_path}/in.npz[frames];"
      f"directions={tmp_path}/in.npz[directions]",
    ],
    capture_output=True,
    text=True,
  )
  assert ran.returncode == 0, ran.stderr
  s = tf.constant(some_frames(2), tf.float32) / 255
  _, gradient = projected_policy_gradient(
    student, s, some_directions(2)[:, None]
  )
  np.testing.assert_allclose(
    np.load(tmp_path / "out" / "gradient.npy"), gradient[:, 0], atol=1e-6
  )


def test_an_interrupted_export_leaves_no_model(tmp_path, student, monkeypatch):
  path = save(tmp_path, student)

  def interrupt(policy, to, signatures):
    pathlib.Path(to, "saved_model.pb").write_bytes(b"half")
    raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(tf.saved_model, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
      export.export_policy(path, str(tmp_path / "out"))
  assert not (tmp_path / "out").exists()
  export.export_policy(path, str(tmp_path / "out") + "/")
  assert not (tmp_path / "out.partial").exists()
  assert tf.saved_model.contains_saved_model(str(tmp_path / "out"))


def test_faults_are_one_sentence(tmp_path, folder, student, capsys):
  path = save(tmp_path, student)
  file = tmp_path / "file"
  file.write_text("mine")
  cases = [
    (str(tmp_path / "none.npz"), str(tmp_path / "a"), "does not exist"),
    (path, str(folder), "exists already and is not empty"),
    (path, str(file), "exists already and is not empty"),
    (path, str(file / "below"), "cannot be written"),
  ]
  for checkpoint, output, phrase in cases:
    code = export.main([f"--checkpoint={checkpoint}", f"--output={output}"])
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and phrase in line
  assert file.read_text() == "mine"
