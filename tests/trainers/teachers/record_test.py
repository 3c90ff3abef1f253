"""Recording a teacher from the command line."""

import pytest

from data import atari_recorder, atari_recordings
from trainers.lifecycle.command_line import CommandError
from trainers.teachers import record


def call(folder, *flags):
  record.main(["record", f"--workdir={folder}", "--game=pong", *flags])


def test_the_teacher_that_comes_along_is_recorded_from_any_folder(
  tmp_path, monkeypatch, capsys
):
  monkeypatch.chdir(tmp_path)
  call("pong", "--num_frames=8", "--num_environments=2")
  assert "Recorded 8 frames of pong" in capsys.readouterr().out
  recording = atari_recordings.Recording("pong")
  assert recording.num_frames == 8 and recording.num_actions == 3
  assert len(recording.card["teacher_sha256"]) == 64


def test_nobody_plays_for_a_folder_that_cannot_be_written(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(atari_recorder, "_play", pytest.fail)
  (tmp_path / "file").touch()
  (tmp_path / "there").mkdir()
  for folder, message in (
    ("/proc/none/r", "cannot be written"),
    (tmp_path / "file" / "r", "cannot be written"),
    (tmp_path / "there", "exists already"),
  ):
    with pytest.raises(CommandError, match=message):
      call(folder)
