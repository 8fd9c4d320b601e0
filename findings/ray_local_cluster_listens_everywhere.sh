#!/bin/sh
# A local cluster of Ray, told the address of this machine alone, listens on all of them.
#
# The guess: ray.init(address="local") begins a cluster for this machine, and with
# _node_ip_address="127.0.0.1" its processes listen there and nowhere else; the dashboard, which is
# documented to default to localhost, is off.
#
# The behaviour: the address is replaced by the machine's own, where it has one, and the cluster's
# control store, its raylet and each worker listen on all addresses (:: or 0.0.0.0). What guards
# them is a token, which Ray makes on its own and writes to ~/.ray/auth_token, unless RAY_AUTH_TOKEN
# is in the environment.
#
# Versions: ray 2.60.0, psutil 7.2.2, Python 3.11, Linux.
#
# Why it matters: whoever reaches one of these ports and has the token runs code. A program that
# begins a cluster "on this machine only" cannot promise closed ports: it can keep the token to
# itself, or run in a network namespace of its own.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ray==2.60.0 psutil==7.2.2
cat > "$folder/show.py" <<'PYTHON'
import logging
import os

import psutil
import ray

ray.init(
    address="local",
    num_cpus=1,
    include_dashboard=False,
    _node_ip_address="127.0.0.1",
    log_to_driver=False,
    logging_level=logging.ERROR,
)


@ray.remote
def task():
    return os.getpid()


ray.get(task.remote())
found = {}
for process in psutil.Process().children(recursive=True):
    for connection in process.net_connections("inet"):
        if connection.status == psutil.CONN_LISTEN:
            name = process.name().split(":")[0]
            found.setdefault(name, set()).add(connection.laddr.ip in ("::", "0.0.0.0"))
ray.shutdown()
for name in ("gcs_server", "raylet"):
    print(f"{name}: listens on all addresses: {True in found.get(name, set())}")
assert True in found["gcs_server"], found
assert True in found["raylet"], found
print("token written:", os.path.exists(os.path.expanduser("~/.ray/auth_token")))
PYTHON
HOME="$folder" "$folder/venv/bin/python" "$folder/show.py"
# Output, 2026-12-01:
#     gcs_server: listens on all addresses: True
#     raylet: listens on all addresses: True
#     token written: True
