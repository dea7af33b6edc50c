"""A cluster of several simulated nodes on this machine, driven by lines on stdin.

    python -m tests.support.ray_cluster     # prints its address

`add` adds a node with one CPU and prints its number, `kill N` ends that node as a power cut would.
A process of its own, since what ray warns of is no matter of our tests.
"""

import os
import sys

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

from ray.cluster_utils import Cluster


def main() -> None:
    """Runs until stdin ends."""
    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    print(cluster.address, flush=True)
    nodes = []
    for line in sys.stdin:
        what, _, number = line.strip().partition(" ")
        if what == "add":
            nodes.append(cluster.add_node(num_cpus=1))
            print(len(nodes) - 1, flush=True)
        else:
            cluster.remove_node(nodes[int(number)], allow_graceful=False)
            print("killed", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
