"""A supervised cluster whose members are on hosts of a `namespaces.Network`.

    python -m tests.acceptance.namespaced_cluster TAG WORKERS SERVERS FOLDER \
        FLAG ...

The network is there already; FOLDER is for logs and FLAGs are the trainer's.
"""

from tests.acceptance import namespaces
from trainers.lifecycle import command_line
from trainers.parameter_server import local_cluster


def build_members(tag, num_workers, num_servers, folder, arguments):
  """The members, each on its host; the chief is the last one."""
  hosts = namespaces.cluster_of(num_workers, num_servers)
  names = [name for names in hosts.values() for name in names]
  network = namespaces.Network(names, tag)
  return local_cluster.members_at(
    namespaces.jobs_on(hosts),
    [*arguments, "--bind=any"],
    folder,
    lambda role, index: network.launcher(hosts[role][index]),
  )


def main(argv):
  """Runs a cluster; returns the chief's exit code."""
  tag, workers, servers, folder, *arguments = argv[1:]
  members = build_members(tag, int(workers), int(servers), folder, arguments)
  return local_cluster.Supervisor(members).run()


if __name__ == "__main__":
  command_line.run_main(main)
