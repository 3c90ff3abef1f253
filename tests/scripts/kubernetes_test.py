"""The manifests for Kubernetes say one thing each, and what members read."""

import json
import pathlib

import pytest
import yaml

from trainers.parameter_server import cluster

FOLDER = pathlib.Path(__file__).parents[2] / "scripts" / "kubernetes"


def read(name):
  return yaml.safe_load((FOLDER / name).read_text())


def pods():
  """Yields (role, number of pods, pod) of both kinds of job."""
  specs = read("tfjob.yaml")["spec"]["tfReplicaSpecs"]
  for role, spec in specs.items():
    assert spec["restartPolicy"] == "OnFailure"
    yield role.lower(), spec["replicas"], spec["template"]
  for job in read("jobset.yaml")["spec"]["replicatedJobs"]:
    spec = job["template"]["spec"]
    assert job["replicas"] == 1 and spec["completionMode"] == "Indexed"
    assert spec["parallelism"] == spec["completions"]
    assert spec["template"]["spec"]["restartPolicy"] == "OnFailure"
    yield job["name"], spec["completions"], spec["template"]


def test_both_jobs_start_the_same_members_with_the_same_command():
  found = list(pods())
  assert [(role, count) for role, count, _ in found[:3]] == [
    (role, count) for role, count, _ in found[3:]
  ]
  policy = read("network_policy.yaml")["spec"]
  port = policy["ingress"][0]["ports"][0]["port"]
  for role, _, pod in found:
    (container,) = pod["spec"]["containers"]
    assert container["command"] == ["python", "-m", "trainers.parameter_server"]
    assert container["args"] == found[0][2]["spec"]["containers"][0]["args"]
    assert "--bind=any" in container["args"]
    assert [one["containerPort"] for one in container["ports"]] == [port]
    has_gpu = "nvidia.com/gpu" in container["resources"]["limits"]
    assert has_gpu == (role == "worker")
    assert pod["metadata"]["labels"] == policy["podSelector"]["matchLabels"]
    mounted = {one["name"] for one in container["volumeMounts"]}
    assert mounted == {one["name"] for one in pod["spec"]["volumes"]}


def test_what_a_pod_of_the_jobset_is_told_names_it():
  manifest = read("jobset.yaml")
  name = manifest["metadata"]["name"]
  assert manifest["spec"]["network"]["subdomain"] == name
  assert manifest["spec"]["successPolicy"]["targetReplicatedJobs"] == ["chief"]
  for job in manifest["spec"]["replicatedJobs"]:
    role, spec = job["name"], job["template"]["spec"]
    variables = spec["template"]["spec"]["containers"][0]["env"]
    assert [one["name"] for one in variables] == [
      "INDEX",
      "CLUSTER",
      "TF_CONFIG",
    ]
    for index in range(spec["completions"]):
      text = variables[2]["value"].replace("$(INDEX)", str(index))
      text = text.replace("$(CLUSTER)", variables[1]["value"])
      members = cluster.read({"role": "", "bind": "any"}, {"TF_CONFIG": text})
      assert (members.role, members.index) == (role, index)
      assert members.address == f"{name}-{role}-0-{index}.{name}:2222"
      assert len(members.jobs[role]) == spec["completions"]


@pytest.mark.parametrize(
  ("name", "version", "kind"),
  [
    ("tfjob.yaml", "kubeflow.org/v1", "TFJob"),
    ("jobset.yaml", "jobset.x-k8s.io/v1alpha2", "JobSet"),
    ("network_policy.yaml", "networking.k8s.io/v1", "NetworkPolicy"),
  ],
)
def test_a_manifest_is_of_the_kind_that_it_is_called(name, version, kind):
  manifest = read(name)
  assert (manifest["apiVersion"], manifest["kind"]) == (version, kind)
  assert set(manifest) == {"apiVersion", "kind", "metadata", "spec"}
  json.dumps(manifest)  # nothing that YAML takes for a date or the like
