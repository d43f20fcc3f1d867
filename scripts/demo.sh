#!/usr/bin/env bash
# The demo: a real Kubernetes API server and a real three-node OVN on this machine, an EgressIP, and the loss of the
# node that hosts it. Everything it starts is gone when it ends, however it ends.
set -euo pipefail
cd "$(dirname "$0")/.."

name=demo
bold='' dim='' plain=''
if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; fi
title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
say() { printf '  %s\n' "$*"; }
command_line() { printf '  %s$ %s%s\n' "$dim" "$*" "$plain"; }
run() {
  command_line "$@"
  "$@" 2>&1 | sed -u 's/^/    /'
}
netcluster() { bin/netcluster "$@" --name "$name"; }
inside() { bin/netcluster exec --name "$name" "$@"; }
fail() {
  echo "demo: $*" >&2
  exit 1
}

# What the external server saw as source of a connection from the pod, without the port.
source_of_pod() { inside pod/shop/web -- curl --silent --max-time 2 "http://$server:8080/" | cut -d: -f1 || true; }

expect_source() {
  local seen
  command_line "netcluster exec pod/shop/web -- curl http://$server:8080/"
  for _ in $(seq 50); do
    seen=$(source_of_pod)
    if [ "$seen" = "$1" ]; then
      say "the server saw: $seen"
      return
    fi
  done
  fail "the server saw '$seen', expected $1"
}

began=$SECONDS
log=$(mktemp)
cleanup() {
  rm -f "$log"
  netcluster down >/dev/null || echo "demo: bin/netcluster down --name $name failed" >&2
}
trap cleanup EXIT
netcluster down >/dev/null

title "1. A cluster: kube-apiserver, three nodes of OVN, and a server outside"
run netcluster up --nodes 3 --ovn trixie | tee "$log"
eval "$(sed -n 's/^ *export /export /p' "$log")" # KUBECONFIG, and kubectl in PATH
server=172.18.0.100

title "2. ovn-egress on it: two controllers, an agent on every node"
run netcluster deploy
run kubectl label nodes node2 node3 k8s.ovn.org/egress-assignable=

title "3. A pod of a shop, on node1. The server outside sees the address of the pod's node."
run kubectl create namespace shop
run kubectl label namespace shop env=shop
kubectl apply -f - <<'Y' | sed -u 's/^/    /'
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  nodeName: node1
  containers: [{name: web, image: shop}]
Y
run kubectl wait --for=condition=Ready pod/web --namespace shop --timeout 30s
expect_source 172.18.0.11

title "4. An EgressIP for all pods of the shop. The server sees that, and nothing else."
egress_ip='apiVersion: k8s.ovn.org/v1
kind: EgressIP
metadata:
  name: shop
spec:
  egressIPs: [172.18.0.201]
  namespaceSelector:
    matchLabels: {env: shop}'
sed 's/^/    /' <<<"$egress_ip"
command_line 'kubectl apply -f shop.yaml'
kubectl apply -f - <<<"$egress_ip" | sed -u 's/^/    /'
run kubectl wait --for=condition=Assigned egressip/shop --timeout 30s
run kubectl get eip
expect_source 172.18.0.201

title "5. How OVN does it: the pods are in a set; one policy sends the set to the hosting node, one row translates it."
host=$(kubectl get eip shop -o jsonpath='{.status.items[0].node}')
command_line 'ovn-nbctl lr-policy-list ovn_cluster_router'
bin/netcluster nbctl --name "$name" lr-policy-list ovn_cluster_router | grep egress_ | sed -u 's/^/    /'
command_line "ovn-nbctl find NAT external_ip=172.18.0.201   (on GR_$host)"
bin/netcluster nbctl --name "$name" --columns=type,external_ip,logical_ip,match find NAT external_ip=172.18.0.201 | sed -u 's/^/    /'

title "6. $host loses power. The address moves; the pod keeps its source."
run netcluster fail "node/$host"
for _ in $(seq 100); do
  now=$(kubectl get eip shop -o jsonpath='{.status.items[0].node}')
  [ -n "$now" ] && [ "$now" != "$host" ] && break
done
run kubectl get eip
[ -n "$now" ] && [ "$now" != "$host" ] || fail "the address did not leave $host"
expect_source 172.18.0.201

title "7. $host comes back, the EgressIP is deleted: the pod leaves with its node's address again."
run netcluster heal "node/$host"
run kubectl delete eip shop
expect_source 172.18.0.11

title "Done in $((SECONDS - began)) s. Cleaning up."
