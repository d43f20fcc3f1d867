package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// EgressAssignableLabel marks a node that may host EgressIPs. Its presence counts, its value does not.
const EgressAssignableLabel = "k8s.ovn.org/egress-assignable"

// EgressIP gives the pods that it selects a fixed set of source addresses for traffic that leaves the cluster.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=egressips,scope=Cluster,shortName=eip
// +kubebuilder:printcolumn:name="EgressIPs",type=string,JSONPath=".spec.egressIPs[*]"
// +kubebuilder:printcolumn:name="Assigned Node",type=string,JSONPath=".status.items[*].node"
// +kubebuilder:printcolumn:name="Assigned EgressIPs",type=string,JSONPath=".status.items[*].egressIP"
type EgressIP struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// What is wanted.
	Spec EgressIPSpec `json:"spec"`
	// What is served. Written by the controller.
	// +optional
	Status EgressIPStatus `json:"status,omitempty"`
}

// EgressIPSpec says which pods leave the cluster with which addresses.
type EgressIPSpec struct {
	// The limits keep the cost of the rules below within the API server's budget. Two that concern one address are
	// rules of the items, where the offending value can be named at a constant cost. Duplicates are found in canonical
	// form (fd00:0::1 is fd00::1), and by position: comparing every pair exceeds the budget with 256 addresses.

	// Source addresses, IPv4 or IPv6. No node ever hosts two of them; connections of a pod are spread over all that
	// are served.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=45
	// +kubebuilder:validation:items:XValidation:rule="isIP(self)",messageExpression="'not an IP address: ' + self"
	// +kubebuilder:validation:items:XValidation:rule="!isIP(self) || ip(self).isGlobalUnicast()",messageExpression="'cannot be a source address (unspecified, loopback, link-local, multicast or broadcast): ' + self"
	// +kubebuilder:validation:XValidation:rule="[self.map(a, isIP(a) ? string(ip(a)) : a)].all(canonical, canonical.all(a, canonical.indexOf(a) == canonical.lastIndexOf(a)))",messageExpression="'listed more than once: ' + [self.map(a, isIP(a) ? string(ip(a)) : a)].map(canonical, canonical.filter(a, canonical.indexOf(a) != canonical.lastIndexOf(a))[0])[0]"
	EgressIPs []string `json:"egressIPs"`

	// Namespaces whose pods are selected; an empty selector selects all.
	NamespaceSelector metav1.LabelSelector `json:"namespaceSelector"`

	// Pods that are selected within those namespaces; an empty selector selects all.
	// +optional
	PodSelector metav1.LabelSelector `json:"podSelector,omitempty"`
}

// EgressIPStatus tells where the addresses are served, and why one is not.
type EgressIPStatus struct {
	// Addresses that are served, and by which node: it translates to the address, and traffic is sent there.
	// +listType=atomic
	Items []EgressIPStatusItem `json:"items"`

	// Conditions of types Assigned and PodsExclusive.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// EgressIPStatusItem is one served address.
type EgressIPStatusItem struct {
	// Node that hosts the address.
	Node string `json:"node"`
	// The address, in canonical form (RFC 5952 for IPv6).
	EgressIP string `json:"egressIP"`
}

// Types of conditions of an EgressIP.
const (
	// ConditionAssigned is True while every address of the spec is served.
	ConditionAssigned = "Assigned"
	// ConditionPodsExclusive is False while a pod that this EgressIP selects is served by an older EgressIP.
	ConditionPodsExclusive = "PodsExclusive"
)

// EgressIPList is a list of EgressIP.
//
// +kubebuilder:object:root=true
type EgressIPList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []EgressIP `json:"items"`
}
