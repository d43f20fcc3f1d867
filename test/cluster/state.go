package cluster

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
)

// Root is where clusters keep their state: one directory a cluster, named after it. It is short because the
// paths of unix sockets below it have to fit into 108 bytes (unix(7)).
const Root = "/run/netcluster"

// State is what a cluster is. Up writes it, step by step, to state.json in the cluster's directory; every other
// command and the stand-in read it.
type State struct {
	Name     string `json:"name"`
	OVN      string `json:"ovn"`      // release: distro, trixie or sid
	Topology string `json:"topology"` // central or interconnect
	IP       string `json:"ip"`       // address families: 4, 6 or dual

	// Tools is the directory with the executables of the chosen OVN release: ovn-nbctl, ovs-vsctl and so on.
	Tools string `json:"tools"`
	// ControlPlane is the directory with etcd, kube-apiserver, kube-controller-manager and kubectl.
	ControlPlane string `json:"controlPlane"`

	// APIServer is where the nodes and the control-plane namespace reach kube-apiserver: https://172.18.0.2:6443.
	APIServer string `json:"apiServer"`
	// HostAPIServer is where the machine itself reaches it, on loopback: https://127.0.0.1:PORT.
	HostAPIServer string `json:"hostAPIServer"`

	ClusterSubnets []netip.Prefix `json:"clusterSubnets"` // 10.244.0.0/16
	ServiceSubnets []netip.Prefix `json:"serviceSubnets"` // 10.96.0.0/16
	JoinSubnets    []netip.Prefix `json:"joinSubnets"`    // 100.64.0.0/16

	Nodes     []Node     `json:"nodes"`
	Zones     []Zone     `json:"zones"`
	Externals []External `json:"externals"`

	EgressIPRange []netip.Addr `json:"egressIPRange"`
}

// Node is one node: a network namespace with its own Open vSwitch and ovn-controller.
type Node struct {
	Name      string         `json:"name"`      // node1
	ID        int            `json:"id"`        // 2 for node1: 1 is the distributed router's in the join subnet
	Namespace string         `json:"namespace"` // network namespace, as ip netns knows it
	Directory string         `json:"directory"` // Root/NAME/nodes/node1: db.sock, vswitchd.ctl, pid files
	Chassis   string         `json:"chassis"`   // system-id
	Zone      string         `json:"zone"`
	MAC       string         `json:"mac"`       // of br-ex and of rtoe-GR_<node>
	Addresses []netip.Prefix `json:"addresses"` // primary address with the mask of its subnet: 172.18.0.11/16
	// SecondaryAddresses are those on the further external networks (eth1, eth2, …).
	SecondaryAddresses []netip.Prefix `json:"secondaryAddresses,omitempty"`
	PodSubnets         []netip.Prefix `json:"podSubnets"` // 10.244.4.0/22
	JoinAddresses      []netip.Addr   `json:"joinAddresses"`
	ManagementPortMAC  string         `json:"managementPortMAC"`
}

// Zone is one northbound database and the nodes that it serves.
type Zone struct {
	Name string `json:"name"` // global
	NB   string `json:"nb"`   // unix:…
	SB   string `json:"sb"`
	// NBTLS and SBTLS are the same databases over TCP with TLS, reachable from the nodes.
	NBTLS string `json:"nbTLS"`
	SBTLS string `json:"sbTLS"`
}

// External is a network outside the cluster with a host on it that answers with the source address it saw.
type External struct {
	Name      string         `json:"name"` // ext1
	Namespace string         `json:"namespace"`
	Addresses []netip.Addr   `json:"addresses"` // where the host listens
	Subnets   []netip.Prefix `json:"subnets"`
	Gateways  []netip.Addr   `json:"gateways"`
	Log       string         `json:"log"` // a line a connection or datagram, with nanoseconds
}

// Directory is where the named cluster keeps its files.
func Directory(name string) string { return filepath.Join(Root, name) }

// Path is a path inside the cluster's directory.
func (s *State) Path(elem ...string) string {
	return filepath.Join(append([]string{Directory(s.Name)}, elem...)...)
}

// Kubeconfig is the administrator's, for use on the machine itself.
func (s *State) Kubeconfig() string { return s.Path("kubeconfig") }

// NodeKubeconfig is the administrator's, for use inside the namespaces of nodes.
func (s *State) NodeKubeconfig() string { return s.Path("kubeconfig.node") }

// Node returns the named node; the error says which nodes there are.
func (s *State) Node(name string) (*Node, error) {
	names := make([]string, 0, len(s.Nodes))
	for i := range s.Nodes {
		if s.Nodes[i].Name == name {
			return &s.Nodes[i], nil
		}
		names = append(names, s.Nodes[i].Name)
	}
	return nil, fmt.Errorf("cluster %s has no node %q, only %v", s.Name, name, names)
}

// Zone returns the named zone, or the only one for the empty name.
func (s *State) Zone(name string) (*Zone, error) {
	names := make([]string, 0, len(s.Zones))
	for i := range s.Zones {
		if s.Zones[i].Name == name || name == "" && len(s.Zones) == 1 {
			return &s.Zones[i], nil
		}
		names = append(names, s.Zones[i].Name)
	}
	return nil, fmt.Errorf("cluster %s has no zone %q, only %v", s.Name, name, names)
}

// LoadState reads the state of the named cluster.
func LoadState(name string) (*State, error) {
	raw, err := os.ReadFile(filepath.Join(Directory(name), "state.json"))
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", name, err)
	}
	s := &State{}
	if err := json.Unmarshal(raw, s); err != nil {
		return nil, fmt.Errorf("cluster %s: state.json: %w", name, err)
	}
	return s, nil
}

// Save writes the state so that a reader sees either the old or the new one.
func (s *State) Save() error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("cluster %s: %w", s.Name, err)
	}
	tmp := s.Path("state.json.new")
	if err := os.WriteFile(tmp, append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("cluster %s: %w", s.Name, err)
	}
	if err := os.Rename(tmp, s.Path("state.json")); err != nil {
		return fmt.Errorf("cluster %s: %w", s.Name, err)
	}
	return nil
}
