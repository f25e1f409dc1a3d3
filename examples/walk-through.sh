#!/usr/bin/env bash
# The first six minutes with capim, as a script: what the README shows, and what keys of the
# dashboard do, by the commands that are equal to them.
#
#   examples/walk-through.sh          # needs capim and kubectl on the PATH
#   CLUSTERS=20 examples/walk-through.sh
set -euo pipefail

instance=walk-through
clusters=${CLUSTERS:-200}
scratch=$(mktemp -d)
say() { printf '\n== %s\n' "$*"; }
capim() { command capim -i "$instance" "$@"; }
trap 'capim down >/dev/null 2>&1; rm -rf "$scratch"' EXIT

say "0:20 a playground"
capim up -d
eval "$(capim env)"

say "0:30 a cluster, and what it waits for (key a)"
capim create cluster demo --cp 1 --workers 3
capim why demo
capim wait cluster/demo --for=Available --timeout 5m
capim wait cluster/demo --for=jsonpath='{.status.workers.readyReplicas}'=3 --timeout 5m

say "1:20 its context in a kubeconfig (key K)"
capim kubeconfig --merge --into "$scratch/config"
kubectl --kubeconfig "$scratch/config" config get-contexts -o name

say "1:30 the same data with kubectl"
kubectl get clusters,machines -A
capim describe cluster demo

say "2:20 into the cluster: no port-forward, no --server"
capim kubeconfig demo > "$scratch/demo"
kubectl --kubeconfig "$scratch/demo" get nodes,pods -A
kubectl --kubeconfig "$scratch/demo" wait --for=condition=Ready nodes --all --timeout=60s | wc -l |
  sed 's/ *$/ Nodes are Ready/'

say "3:00 more workers (key s)"
capim scale demo --workers 5 --wait --timeout 5m

say "5:00 another version (key U)"
capim upgrade demo --to v1.37.0 --wait --timeout 10m
kubectl get machines -o custom-columns=NAME:.metadata.name,VERSION:.spec.version

say "6:00 many clusters"
capim create cluster many -c "$clusters" --cp 3 --workers 10 --instant --wait --timeout 30m
kubectl get clusters -o name | grep -c many- | sed 's/$/ clusters/'
capim get clusters | head -5
capim status

capim down
command capim ls -o name | grep -qx "$instance" || echo "nothing runs any more"
