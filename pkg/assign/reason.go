package assign

// Reason says in one word why an address is not placed. It is used as the reason of a condition.
type Reason string

const (
	// InvalidAddress means: not an address, or none that packets could come from.
	InvalidAddress Reason = "InvalidAddress"
	// NodeAddress means: an address of a node.
	NodeAddress Reason = "NodeAddress"
	// ReservedNetwork means: in a network of the cluster, or a subnet's own network or broadcast address.
	ReservedNetwork Reason = "ReservedNetwork"
	// Taken means: belongs to an older EgressIP.
	Taken Reason = "Taken"
	// NoEgressNode means: no node is labelled and Ready.
	NoEgressNode Reason = "NoEgressNode"
	// NoSubnet means: no egress node's primary subnet contains the address.
	NoSubnet Reason = "NoSubnet"
	// NoAgent means: the egress nodes whose subnet contains the address have no live agent.
	NoAgent Reason = "NoAgent"
	// NotEnoughNodes means: every node that could host the address hosts another one of the same EgressIP.
	NotEnoughNodes Reason = "NotEnoughNodes"
)

// EventReason is the reason that events of existing EgressIP implementations give for the same situation, so that
// whatever watches for those events keeps working.
func (r Reason) EventReason() string {
	switch r {
	case InvalidAddress:
		return "InvalidEgressIP"
	case NodeAddress, ReservedNetwork:
		return "EgressIPConflict"
	case Taken:
		return "UnsupportedRequest"
	case NotEnoughNodes:
		return "UnassignedRequest"
	default:
		return "NoMatchingNodeFound"
	}
}
