package assign

import "net/netip"

// Node is a candidate to host addresses.
type Node struct {
	// Name of the Kubernetes node.
	Name string
	// Assignable: the node carries the label k8s.ovn.org/egress-assignable.
	Assignable bool
	// Ready: the node's condition Ready is True.
	Ready bool
	// TakesNew: the node's agent is alive, so the node may be given addresses that it does not host yet.
	TakesNew bool
	// Primary is the node's primary address with the mask of its subnet, at most one a family
	// (annotation k8s.ovn.org/node-primary-ifaddr).
	Primary []netip.Prefix
	// Addresses are all addresses of the node (annotation k8s.ovn.org/host-cidrs): none can be an EgressIP.
	Addresses []netip.Addr
}

// Request is what one EgressIP asks for.
type Request struct {
	// Name of the EgressIP.
	Name string
	// Addresses as the user wrote them. An address that is listed twice counts once.
	Addresses []string
	// Current maps an address to the node that hosts it or prepares to.
	Current map[netip.Addr]string
}

// Reserved is a network that no EgressIP may come from.
type Reserved struct {
	Prefix netip.Prefix
	// What the network is, as messages call it: "cluster network", "service network", "join network".
	What string
}

// Facts is everything that a plan depends on.
type Facts struct {
	// Nodes in any order, those that are no egress nodes included: their addresses are conflicts too.
	Nodes []Node
	// Requests in order of precedence, the oldest EgressIP first.
	Requests []Request
	Reserved []Reserved
}

// NetworkOVN is the network of addresses that OVN itself translates, on the gateway router of the hosting node.
const NetworkOVN = "ovn"

// Placement says that a node is to host an address.
type Placement struct {
	EgressIP string
	Address  netip.Addr
	Node     string
	// Network through which the node hosts the address; always NetworkOVN.
	Network string
}

// Refusal says why an address is not placed.
type Refusal struct {
	EgressIP string
	// Address as the user wrote it.
	Address string
	Reason  Reason
	// Message is a phrase that names the address and what is in its way, for conditions and events.
	Message string
}

// Plan is where every address goes, or why it does not. Both lists are in the order of Facts.Requests, then of
// Request.Addresses; each address of a request is in exactly one of them, once.
type Plan struct {
	Placements []Placement
	Refusals   []Refusal
}
