package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// EgressNode is the handshake between the controller, which writes spec, and the agent of the node of the same
// name, which writes status: "prepare to host this address" and "ready". It makes every move make-before-break.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=egressnodes,scope=Cluster
// +kubebuilder:printcolumn:name="Addresses",type=string,JSONPath=".spec.addresses[*].address"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=".status.addresses[?(@.ready==true)].address"
// +kubebuilder:printcolumn:name="Heartbeat",type=date,JSONPath=".status.heartbeat"
type EgressNode struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// What the node is to host. Written by the controller.
	// +optional
	Spec EgressNodeSpec `json:"spec,omitempty"`
	// What the node has installed. Written by the node's agent.
	// +optional
	Status EgressNodeStatus `json:"status,omitempty"`
}

// EgressNodeSpec lists what a node is to host.
type EgressNodeSpec struct {
	// Epoch of the leader that wrote this; an agent refuses a lower one than it has seen.
	// +optional
	Epoch int64 `json:"epoch,omitempty"`

	// Addresses to prepare.
	// +optional
	// +listType=map
	// +listMapKey=address
	Addresses []EgressNodeAddress `json:"addresses,omitempty"`

	// Source-port shards that go to this node, per EgressIP with several served addresses. This is where a
	// connection's stickiness lives: the next plan starts from it.
	// +optional
	// +listType=map
	// +listMapKey=egressIP
	// +listMapKey=address
	Shards []EgressNodeShards `json:"shards,omitempty"`
}

// NetworkOVN is the network of addresses that OVN itself translates, on the node's gateway router.
const NetworkOVN = "ovn"

// EgressNodeAddress is one address to prepare.
type EgressNodeAddress struct {
	// The address, in canonical form.
	Address string `json:"address"`
	// Name of the EgressIP that it belongs to.
	EgressIP string `json:"egressIP"`
	// "ovn", or the subnet that contains the address by longest prefix.
	Network string `json:"network"`
	// Distinguishes this placement from earlier ones of the same address here; rises with every placement.
	Generation int64 `json:"generation"`
	// Northbound configuration number (NB_Global.nb_cfg) that contains the rows of this placement; 0 until they
	// are written. Ready means that the node's chassis has installed it.
	// +optional
	TargetConfig int64 `json:"targetConfig,omitempty"`
	// Traffic was led away: the address is translated on for what is still under way, and no longer announced.
	// +optional
	Leaving bool `json:"leaving,omitempty"`
	// Rises when the address is to be announced again: its former node has stopped answering for it, and may have
	// called neighbours back until then.
	// +optional
	Announcement int64 `json:"announcement,omitempty"`
}

// EgressNodeShards says which source-port shards of an EgressIP this node serves.
type EgressNodeShards struct {
	// Name of the EgressIP.
	EgressIP string `json:"egressIP"`
	// The address that they leave with. While addresses change places, a node may have two of one EgressIP.
	Address string `json:"address"`
	// Values of bits 3 to 7 of the source port, 0 to 31.
	// +listType=atomic
	Shards []int32 `json:"shards"`
}

// EgressNodeStatus is what the node's agent reports.
type EgressNodeStatus struct {
	// Boot of the node's kernel (/proc/sys/kernel/random/boot_id) in which this was written.
	// +optional
	BootID string `json:"bootID,omitempty"`
	// Renewed by the agent every few seconds. A status that is not renewed counts as not ready for new
	// placements; it never evicts.
	// +optional
	Heartbeat *metav1.MicroTime `json:"heartbeat,omitempty"`
	// metadata.generation of the spec that this answers.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Highest epoch that the agent has seen.
	// +optional
	Epoch int64 `json:"epoch,omitempty"`
	// One entry for each address of the spec.
	// +optional
	// +listType=map
	// +listMapKey=address
	Addresses []EgressNodeAddressStatus `json:"addresses,omitempty"`
	// Conditions of the node.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// EgressNodeAddressStatus is the state of one prepared address.
type EgressNodeAddressStatus struct {
	// The address.
	Address string `json:"address"`
	// Placement that this answers.
	Generation int64 `json:"generation"`
	// The chassis has installed the rows of this placement and the address is announced.
	Ready bool `json:"ready"`
	// Interface that the address leaves through.
	// +optional
	Interface string `json:"interface,omitempty"`
	// Why it is not ready, or not announced.
	// +optional
	Message string `json:"message,omitempty"`
}

// EgressNodeList is a list of EgressNode.
//
// +kubebuilder:object:root=true
type EgressNodeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []EgressNode `json:"items"`
}
