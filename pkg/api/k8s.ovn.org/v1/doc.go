// Package v1 is the EgressIP API, k8s.ovn.org/v1, compatible with the one of OVN-Kubernetes: what its manifests
// and tools read and write is here under the same names. Added are conditions in the status, the status
// subresource, and validation rules that reject at admission what could never be served.
//
// +kubebuilder:object:generate=true
// +groupName=k8s.ovn.org
package v1
