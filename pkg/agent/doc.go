// Package agent is the program that runs on every node that may host EgressIPs. It answers the spec of the node's
// own EgressNode, "prepare to host these addresses", with its status, "ready": the chassis has installed the rows of
// the placement, and the address is announced.
//
// # Announcements
//
// An address that came to this node is at another MAC address than before, and neighbours have to be told by
// gratuitous ARP (RFC 5227, section 3). ovn-controller does that too, but only 1.0 s after it installed the address;
// that second was most of the time that a failover took. Without any announcement nothing tells the neighbours: the
// gateway router's own ARP requests carry the node's address, and replies went to the old node until the neighbour's
// cache expired. So the agent announces as soon as the chassis has the flows, and repeats it, because frames get
// lost while a network is failing over. An address that the spec drops is not announced any more.
//
// # Structure
//
// A pass of the reconciler looks at the EgressNode and at the chassis, and gives both to pure functions:
// ledger.observe decides which addresses are installed, ledger.due which have to be announced now, compileStatus
// what to report. The ledger is all that the agent remembers; it is made again from the status when the agent
// starts. Passes run one at a time, when something changed and when the next announcement or heartbeat is due.
package agent
