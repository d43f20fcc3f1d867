package northbound

// Program is the rows of one Owner, as plain values.
type Program struct {
	Policies []Policy
	NATs     []NAT
	QoS      []QoS
	Sets     []AddressSet
}

// Policy is a Logical_Router_Policy (ovn-nb(5)).
type Policy struct {
	Role     string // distinguishes the rows of one owner
	Router   string // logical router that holds it
	Priority int
	Match    string
	Action   string   // allow, drop or reroute
	Nexthops []string // for reroute, exactly one: several would rehash every flow when one goes away
	Options  map[string]string
}

// NAT is a source translation (ovn-nb(5), table NAT, type snat).
type NAT struct {
	Role       string
	Router     string
	ExternalIP string
	LogicalIP  string
	Match      string // only where Capabilities.NATMatch
	Priority   int    // only with a Match
}

// QoS sets the packet mark of what a logical switch lets in (ovn-nb(5), table QoS, direction from-lport).
type QoS struct {
	Role     string
	Switch   string
	Priority int
	Match    string
	Mark     int
}

// AddressSet is an Address_Set; members are sorted.
type AddressSet struct {
	Role    string
	Name    string
	Members []string
}

// Actions of policies.
const (
	actionAllow   = "allow"
	actionDrop    = "drop"
	actionReroute = "reroute"
)

// Priorities of policies on the distributed router. 102 and 100 are those of OVN-Kubernetes.
const (
	priorityAllow   = 102 // what stays inside the cluster
	priorityReroute = 100 // to the hosting node
	priorityRest    = 99  // protocols without source ports
	priorityNoLeak  = 98  // a served pod that no policy above sent anywhere
)

// Priorities of policies on the gateway router of a node that hosts an address: the guard, in the order in which
// its parts have to be asked.
const (
	priorityGuardReply      = 510
	priorityGuardInside     = 505
	priorityGuardTranslated = 500
	priorityGuardServed     = 495
	priorityGuardRemote     = 490
)

// priorityMarkReply is the priority of the QoS rows, that of OVN-Kubernetes.
const priorityMarkReply = 103

// Packet marks of OVN-Kubernetes.
const (
	// markReply marks replies of services with externalTrafficPolicy Local: they leave by the node they came to.
	markReply = 42
	// markToNode marks traffic from pods to node addresses; the external bridge translates it to the address of
	// the pod's node whatever OVN did.
	markToNode = 1008
)

// natPriority lets our translation win over the one of the whole cluster subnet (priority is honoured only with
// a match, ovn-nb(5)).
const natPriority = 10
