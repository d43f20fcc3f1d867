// Package v1alpha1 is the project's own API group, ovn-egress.io/v1alpha1.
//
// +kubebuilder:object:generate=true
// +groupName=ovn-egress.io
package v1alpha1
