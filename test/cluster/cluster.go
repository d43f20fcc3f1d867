// Package cluster makes OVN Kubernetes clusters of several nodes on one machine without containers or virtual
// machines: each node is a network namespace with its own Open vSwitch (userspace datapath) and ovn-controller;
// kube-apiserver, kube-controller-manager and etcd are real. It needs root and touches nothing of the machine but
// namespaces named nc-CLUSTER-…, /run/netcluster/CLUSTER, the user's cache directory and a port on loopback.
package cluster

import (
	"crypto/sha256"
	"fmt"
)

// Cluster is a cluster that exists.
type Cluster struct {
	*State
	options Options
}

// Open returns the named cluster, which an earlier Up made. Of the options, those that say what the cluster is
// are ignored.
func Open(name string, o Options) (*Cluster, error) {
	s, err := LoadState(name)
	if err != nil {
		return nil, err
	}
	o.Name = name
	o.setDefaults()
	return &Cluster{State: s, options: o}, nil
}

// PodNamespace names the network namespace of a pod that does not share its node's.
func PodNamespace(cluster, namespace, uid string) string {
	sum := sha256.Sum256([]byte(namespace + "/" + uid))
	return fmt.Sprintf("%sp-%x", namespacePrefix(cluster), sum[:5])
}
