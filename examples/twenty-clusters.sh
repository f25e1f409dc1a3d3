#!/usr/bin/env bash
# The talk's demo: creates clusters test-1 .. test-N (default 20) on the playground whose kubeconfig
# is in KUBECONFIG, or on the one that `capim up` runs.
#
#   capim up                      # in one terminal
#   examples/twenty-clusters.sh   # in another one
set -euo pipefail

count=${1:-20}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export KUBECONFIG=${KUBECONFIG:-${XDG_STATE_HOME:-$HOME/.local/state}/capim/default/kubeconfig}

for i in $(seq "$count"); do
  sed "s/test-1/test-$i/g" "$here/in-memory-v1alpha1.yaml"
  echo ---
done | kubectl apply --server-side -f -
