"""Every experiment's script, from its first command to its report, in smoke.

These take minutes. They are left out unless asked for:
`./scripts/test.sh -m slow`.
"""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
# What each script leaves behind in its smoke preset.
REPORTS = {
  "reproduce_figure2.sh": ("figure2.png", "results.csv", "table.md"),
  "reproduce_table1_cifar10.sh": ("accuracy.png", "results.csv", "table.md"),
  "reproduce_table1_imagenet.sh": ("table.md",),
  "train_teachers.sh": ("breakout.npz", "breakout.json", "table.md"),
  "reproduce_figure4.sh": ("figure4.png", "search.csv", "table.md"),
  "reproduce_parameter_server.sh": ("results.csv", "table.md"),
}
# Smaller than the scripts' own smoke presets, where that is possible.
SETTINGS = {
  "train_teachers.sh": {"GAMES": "breakout"},
  "reproduce_table1_imagenet.sh": {"METHODS": "backprop,sobolev"},
  "reproduce_parameter_server.sh": {"SEEDS": "0", "WORKERS": "1,2"},
}


def run_script(name, tmp_path, **settings):
  if not (ROOT / ".venv" / "installed").exists():
    pytest.skip("this environment was not made by the scripts")
  result = subprocess.run(
    [str(ROOT / "scripts" / name)],
    cwd=tmp_path,
    env={
      **os.environ,
      "PRESET": "smoke",
      "WORKDIR": str(tmp_path / "work"),
      **settings,
    },
    capture_output=True,
    text=True,
    timeout=3600,
  )
  assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
  assert "Traceback" not in result.stderr


def test_every_script_with_a_smoke_preset_is_here():
  scripts = {
    path.name
    for path in (ROOT / "scripts").glob("*.sh")
    if "PRESET=smoke" in path.read_text()
  }
  assert scripts == set(REPORTS)


@pytest.mark.slow
@pytest.mark.parametrize("script", REPORTS)
def test_the_smoke_preset_runs_to_its_report(script, tmp_path):
  run_script(
    script,
    tmp_path,
    OUTPUT=str(tmp_path / "report"),
    **SETTINGS.get(script, {}),
  )
  found = {path.name for path in (tmp_path / "report").rglob("*")}
  assert found >= set(REPORTS[script])
