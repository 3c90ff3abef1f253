"""Command lines: their mistakes and their help."""

import os

import pytest

from trainers.lifecycle import command_line, exit_codes
from trainers.regression import train as regression


def test_wrong_command_lines_give_one_sentence_and_code_two(tmp_path, capsys):
  a_file = tmp_path / "a_file"
  a_file.write_text("mine")
  cases = {
    ("--function=boot",): "Did you mean booth?",
    ("--num_train=-5",): "must be 1 or more",
    ("--num_train=many",): "give a whole number",
    ("--learning_rate=nan",): "give a finite number",
    ("--learning_rate=1e10",): "must be 1000000000 or less",
    ("--num_test=1e9",): "give a whole number",
    ("--num_test=1000000000",): "must be 1000000 or less",
    ("--seed=99999999999",): "must be 2147483647 or less",
    ("--method=regular", "--derivative_weight=1"): "only with --method=sobolev",
    ("--function=boo\0th",): "cannot be printed",
    (f"--workdir={tmp_path}/\udcff",): "cannot be printed",
    ("--seed=1,1",): "names a seed twice",
    ("booth",): "is not a flag",
    (f"--workdir={a_file}",): "is a file; name a folder",
    ("--workdir=/proc/nothing/here",): "cannot be written",
    ("--workdir=",): "--workdir is missing",
  }
  start_of_all = ["regression", f"--workdir={tmp_path}/run", "--preset=smoke"]
  for case, phrase in cases.items():
    with pytest.raises(SystemExit) as found:
      command_line.run_main(regression.main, [*start_of_all, *case])
    assert found.value.code == 2, case
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and phrase in line, (case, line)
  assert a_file.read_text() == "mine"
  assert not os.path.exists(tmp_path / "run" / "config.json")


def test_an_error_in_the_program_is_not_taken_for_an_infinite_loss(capsys):
  def broken(argv):
    raise KeyError("bug")

  with pytest.raises(SystemExit) as end:
    command_line.run_main(broken, [])
  assert end.value.code == exit_codes.CRASHED
  assert "KeyError: 'bug'" in capsys.readouterr().err


def test_help_explains_every_flag_with_default_and_source(capsys):
  with pytest.raises(SystemExit) as exit_:
    regression.main(["regression", "--help"])
  assert exit_.value.code == 0
  text = " ".join(capsys.readouterr().out.split())
  for field in regression.Config.__dataclass_fields__.values():
    assert f"--{field.name}" in text
    assert field.metadata["description"] in text
    assert field.metadata["source"] in text
  assert "3e-05" in text


def test_flags_without_a_configuration_are_typed_by_their_defaults(capsys):
  declared = {
    "names": command_line.setting(("a", "b"), "some of them"),
    "count": command_line.setting(1, "how many", minimum=1),
    "redraw": command_line.setting(False, "only draw"),
  }

  def read(*words, **options):
    return command_line.read_flags(["me", *words], declared, "Me.", **options)

  assert read() == {"names": ("a", "b"), "count": 1, "redraw": False}
  assert read("--redraw", "--names=c,d", "--count=2") == {
    "names": ("c", "d"),
    "count": 2,
    "redraw": True,
  }
  assert read("--redraw=false")["redraw"] is False
  assert read("--other=1", "--count=3", known_only=True)["count"] == 3
  for word in ("--other=1", "--count=0", "--redraw=1", "stray"):
    with pytest.raises(command_line.CommandError):
      read(word)
  with pytest.raises(SystemExit) as end:
    read("--help")
  assert end.value.code == 0
  assert "how many (default: 1)" in capsys.readouterr().out
