//go:build tools

// Package controlplane pins the Kubernetes control plane that the netns cluster runs: kube-apiserver,
// kube-controller-manager, kubectl and etcd are built from exactly the versions in this module's go.mod.
package controlplane

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
