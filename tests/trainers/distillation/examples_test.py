"""What a student's measures are seen beside."""

import types

import numpy as np

from trainers.distillation.examples import TeacherExamples


def test_baselines_know_the_training_frames_and_are_taken_on_held_out_ones():
  # Best actions 0 0 0 | 1 1 1 1 1 0: on all frames 1 leads, in training 0.
  best = np.array([0, 0, 0, 1, 1, 1, 1, 1, 0])
  logits = np.where(np.arange(2) == best[:, np.newaxis], np.log(3.0), 0.0)
  examples = object.__new__(TeacherExamples)
  examples.recording = types.SimpleNamespace(logits=logits)
  examples.train, examples.held_out = np.arange(3), np.arange(5, 9)
  found = examples.baselines()
  assert found.majority_error == 3 / 4
  # Probabilities 3/4 and 1/4 on every frame.
  entropy = -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
  np.testing.assert_allclose(found.teacher_entropy, entropy, rtol=1e-12)
