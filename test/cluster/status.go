package cluster

import "net/netip"

// Status is what "netcluster status -o json" prints. Scripts depend on its fields.
type Status struct {
	Name          string           `json:"name"`
	OVN           string           `json:"ovn"`
	Topology      string           `json:"topology"`
	Kubeconfig    string           `json:"kubeconfig"` // path of the administrator's
	Nodes         []NodeStatus     `json:"nodes"`
	Zones         []ZoneStatus     `json:"zones"`
	Externals     []ExternalStatus `json:"externals"`
	EgressIPRange []netip.Addr     `json:"egressIPRange"` // addresses of the primary subnet that nothing uses
}

// NodeStatus is a node in a Status.
type NodeStatus struct {
	Name       string         `json:"name"`
	Addresses  []netip.Addr   `json:"addresses"` // the primary ones first
	Zone       string         `json:"zone"`
	PodSubnets []netip.Prefix `json:"podSubnets"`
}

// ZoneStatus is a zone in a Status; the remotes of the databases are as ovn-nbctl takes them.
type ZoneStatus struct {
	Name string `json:"name"`
	NB   string `json:"nb"`
	SB   string `json:"sb"`
}

// ExternalStatus is an external network in a Status.
type ExternalStatus struct {
	Name      string         `json:"name"`
	Addresses []netip.Addr   `json:"addresses"` // of the host that answers with the source it saw
	Subnets   []netip.Prefix `json:"subnets"`
	Gateways  []netip.Addr   `json:"gateways"`
}

// Status describes the cluster.
func (s *State) Status() Status {
	status := Status{
		Name: s.Name, OVN: s.OVN, Topology: s.Topology, Kubeconfig: s.Kubeconfig(), EgressIPRange: s.EgressIPRange,
	}
	for _, n := range s.Nodes {
		node := NodeStatus{Name: n.Name, Zone: n.Zone, PodSubnets: n.PodSubnets}
		for _, a := range n.Addresses {
			node.Addresses = append(node.Addresses, a.Addr())
		}
		for _, a := range n.SecondaryAddresses {
			node.Addresses = append(node.Addresses, a.Addr())
		}
		status.Nodes = append(status.Nodes, node)
	}
	for _, z := range s.Zones {
		status.Zones = append(status.Zones, ZoneStatus{Name: z.Name, NB: z.NB, SB: z.SB})
	}
	for _, e := range s.Externals {
		status.Externals = append(status.Externals, ExternalStatus{
			Name: e.Name, Addresses: e.Addresses, Subnets: e.Subnets, Gateways: e.Gateways,
		})
	}
	return status
}
