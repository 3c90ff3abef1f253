"""Who takes part: TF_CONFIG, flags, and the sentences about both."""

import json
import signal
import socket
import subprocess

import pytest

from tests import warm_python
from trainers.lifecycle.command_line import CommandError
from trainers.parameter_server import cluster, local_cluster

JOBS = {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1"]}
FLAGS = {name: field.default for name, field in cluster.FLAGS.items()}


def config_of(role="worker", index=1, **changes):
  task = {"type": role, "index": index}
  return {
    "TF_CONFIG": json.dumps({"cluster": {**JOBS, **changes}, "task": task})
  }


def test_members_are_read_from_tf_config_or_flags():
  found = cluster.read(FLAGS, config_of())
  given = {
    **FLAGS,
    "role": "worker",
    "index": 1,
    "chief": "a:1",
    "workers": "b:1,c:1",
    "servers": "d:1",
  }
  assert found == cluster.read(given, {})
  assert found.address == "c:1" and found.num_workers == 2
  assert found.others() == {"ps 0": "d:1", "worker 0": "b:1", "worker 1": "c:1"}


@pytest.mark.parametrize("given", ["", "1", "2", "many", "64"])
def test_a_member_has_a_thread_for_itself_and_each_worker(given):
  environment = {"TF_NUM_INTEROP_THREADS": given}
  cluster.ensure_threads(cluster.read(FLAGS, config_of()), environment)
  count = int(environment["TF_NUM_INTEROP_THREADS"])
  assert count == 64 if given == "64" else count >= 3


@pytest.mark.parametrize(
  "flags, environment, phrase",
  [
    ({}, {}, "set TF_CONFIG"),
    ({}, {"TF_CONFIG": "{"}, "is not of the form"),
    ({}, {"TF_CONFIG": "[]"}, "is not of the form"),
    ({}, config_of(index=2), "give 0 to 1"),
    ({}, config_of(index=-1), "give 0 to 1"),
    ({}, config_of(role="boss"), "one of chief, worker, ps"),
    ({}, config_of(ps=[]), "0 ps, but some"),
    ({}, config_of(chief=["a:1", "e:1"]), "2 chief, but one"),
    ({}, config_of(ps=["d"]), "HOST:PORT"),
    ({}, config_of(ps=["d:70000"]), "HOST:PORT"),
    ({}, config_of(ps=["b:1"]), "appears twice"),
  ],
)
def test_a_fault_is_one_sentence(flags, environment, phrase):
  with pytest.raises(CommandError, match=phrase) as error:
    cluster.read({**FLAGS, **flags}, environment)
  assert "\n" not in str(error.value)


def test_a_taken_port_is_named():
  with socket.socket() as taken:
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = taken.getsockname()[1]
    with pytest.raises(CommandError, match=f"port {port} of 127.0.0.1"):
      cluster.check_port(f"127.0.0.1:{port}")
  cluster.check_port(f"127.0.0.1:{port}")


def test_waiting_names_whom_it_waits_for(monkeypatch):
  monkeypatch.setattr(cluster, "_NOTICE_SECONDS", 0.0)
  said = []
  with socket.socket() as there:
    there.bind(("127.0.0.1", 0))
    there.listen()
    port = there.getsockname()[1]
    members = {"ps 0": f"127.0.0.1:{port}", "worker 0": "127.0.0.1:1"}
    missing = cluster.wait_for(members, said.append, patience=0.5)
  assert missing == ["worker 0"]
  assert said and all("worker 0 at 127.0.0.1:1" in line for line in said)
  assert not any("ps 0" in line for line in said)


def test_only_an_open_port_warns(capsys):
  with socket.socket() as listening:
    listening.bind(("", 0))
    listening.listen()
    port = listening.getsockname()[1]
    jobs = {**JOBS, "chief": [f"127.0.0.1:{port}"]}
    for bind, device in (("any", b""), ("loopback", b"lo")):
      cluster.close(cluster.Cluster(jobs, "chief", 0, bind))
      found = listening.getsockopt(
        socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16
      )
      assert found.rstrip(b"\0") == device
      warned = "no authentication" in capsys.readouterr().out
      assert warned == (bind == "any")


def test_the_supervisor_names_a_wrong_flag_of_the_trainer(tmp_path):
  result = subprocess.run(
    [
      warm_python.command(),
      "-m",
      "trainers.parameter_server.local_cluster",
      "--workers=1",
      "--",
    ]
    + ["--preset=smoke", "--metod=sobolev", f"--workdir={tmp_path / 'run'}"],
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert result.returncode == 2
  errors = [x for x in result.stderr.splitlines() if x.startswith("error:")]
  assert len(errors) == 1 and "Did you mean: method" in errors[0]


@pytest.fixture
def signal_handlers():
  numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
  before = {number: signal.getsignal(number) for number in numbers}
  yield
  for number, handler in before.items():
    signal.signal(number, handler)


@pytest.mark.parametrize("first", ["ps", "worker", "chief"])
def test_whoever_ends_first_names_the_mistake(
  first, tmp_path, monkeypatch, signal_handlers
):
  (tmp_path / "stand_in.py").write_text(
    "import json, os, sys, time\n"
    "role = json.loads(os.environ['TF_CONFIG'])['task']['type']\n"
    f"if role != {first!r}:\n"
    "  time.sleep(60)\n"
    "print('error: no such flag.')\n"
    "sys.exit(2)\n"
  )
  monkeypatch.setattr(local_cluster, "_TRAINER", "stand_in")
  monkeypatch.setenv("PYTHONPATH", str(tmp_path))
  members = local_cluster.build_members(1, 1, 0, [], str(tmp_path))
  with pytest.raises(CommandError, match=f"{first}.* start: no such flag"):
    local_cluster.Supervisor(members).run()
  assert all(member.process.poll() is not None for member in members)
