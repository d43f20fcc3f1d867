package cluster

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"

	"k8s.io/apimachinery/pkg/util/uuid"
)

// The networks of every cluster; clusters do not see each other, so they can all have the same.
var (
	underlaySubnet = netip.MustParsePrefix("172.18.0.0/16")
	clusterSubnet  = netip.MustParsePrefix("10.244.0.0/16")
	serviceSubnet  = netip.MustParsePrefix("10.96.0.0/16")
	joinSubnet     = netip.MustParsePrefix("100.64.0.0/16")

	gatewayAddress  = netip.MustParseAddr("172.18.0.1")   // held by the first external network's host
	controlAddress  = netip.MustParseAddr("172.18.0.2")   // kube-apiserver, NB and SB
	firstHost       = netip.MustParseAddr("172.18.0.100") // the host of the first external network
	beyondGateway   = netip.MustParseAddr("198.51.100.1") // on that host too, but only reachable by routing
	firstEgressIP   = netip.MustParseAddr("172.18.0.201")
	firstServiceIP  = netip.MustParseAddr("10.96.0.1") // the kubernetes service
	egressIPCount   = 50
	nodePodBits     = 22 // prefix length of a node's pod subnet
	nodeAddressBase = 10 // node1 is .11
)

// Limits that follow from the address plan: node addresses end below the external host's, and there is a third
// octet of 10.10.x.0/24 for each further external network.
const (
	maxNodes            = 60
	maxExternalNetworks = 9
)

var validName = regexp.MustCompile(`^[a-z][a-z0-9]{0,11}$`)

// plan decides everything about a cluster that can be decided before anything of it exists.
func plan(o Options) (*State, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &State{
		Name: o.Name, OVN: o.OVN, Topology: o.Topology, IP: o.IP,
		APIServer:      fmt.Sprintf("https://%s:%d", controlAddress, apiServerPort),
		ClusterSubnets: []netip.Prefix{clusterSubnet},
		ServiceSubnets: []netip.Prefix{serviceSubnet},
		JoinSubnets:    []netip.Prefix{joinSubnet},
	}
	s.Zones = []Zone{{
		Name:  "global",
		NB:    "unix:" + s.Path("ovn", "nb.sock"),
		SB:    "unix:" + s.Path("ovn", "sb.sock"),
		NBTLS: fmt.Sprintf("ssl:%s:%d", controlAddress, northboundPort),
		SBTLS: fmt.Sprintf("ssl:%s:%d", controlAddress, southboundPort),
	}}
	for i := 1; i <= o.Nodes; i++ {
		s.Nodes = append(s.Nodes, planNode(s, i, o.ExternalNetworks))
	}
	for i := 1; i <= o.ExternalNetworks; i++ {
		s.Externals = append(s.Externals, planExternal(s, i))
	}
	for i := range egressIPCount {
		s.EgressIPRange = append(s.EgressIPRange, offset(firstEgressIP, i))
	}
	return s, nil
}

func planNode(s *State, i, externalNetworks int) Node {
	name := fmt.Sprintf("node%d", i)
	address := offset(underlaySubnet.Addr(), nodeAddressBase+i)
	pods := netip.PrefixFrom(offset(clusterSubnet.Addr(), i<<(32-nodePodBits)), nodePodBits)
	n := Node{
		Name: name, ID: i + 1, Zone: s.Zones[0].Name, Chassis: string(uuid.NewUUID()),
		Namespace:         namespacePrefix(s.Name) + name,
		Directory:         filepath.Join(Directory(s.Name), "nodes", name),
		MAC:               macOf(underlayMAC, address),
		Addresses:         []netip.Prefix{netip.PrefixFrom(address, underlaySubnet.Bits())},
		PodSubnets:        []netip.Prefix{pods},
		JoinAddresses:     []netip.Addr{offset(joinSubnet.Addr(), i+1)},
		ManagementPortMAC: macOf(ovnMAC, offset(pods.Addr(), 2)),
	}
	for network := 2; network <= externalNetworks; network++ {
		subnet := externalSubnet(network)
		n.SecondaryAddresses = append(n.SecondaryAddresses,
			netip.PrefixFrom(offset(subnet.Addr(), nodeAddressBase+i), subnet.Bits()))
	}
	return n
}

func planExternal(s *State, i int) External {
	name := fmt.Sprintf("ext%d", i)
	e := External{
		Name: name, Namespace: namespacePrefix(s.Name) + name, Log: LogPath(s.Name, name+"-connections"),
		Subnets: []netip.Prefix{externalSubnet(i)},
	}
	if i == 1 {
		e.Addresses = []netip.Addr{firstHost, beyondGateway}
		e.Gateways = []netip.Addr{gatewayAddress}
		return e
	}
	e.Addresses = []netip.Addr{offset(e.Subnets[0].Addr(), 100)}
	e.Gateways = []netip.Addr{offset(e.Subnets[0].Addr(), 1)}
	return e
}

// externalSubnet is the subnet of an external network: the first is the nodes' own, the others are 10.10.10.0/24,
// 10.10.20.0/24 and so on.
func externalSubnet(network int) netip.Prefix {
	if network == 1 {
		return underlaySubnet
	}
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 10, byte(10 * (network - 1)), 0}), 24)
}

// Options say what cluster to make.
type Options struct {
	Name             string // default netcluster
	Nodes            int    // default 3
	OVN              string // distro, trixie or sid; default distro
	Topology         string // default central
	IP               string // default 4
	ExternalNetworks int    // default 1

	// Checkout is the directory of this repository, for the sources of the control plane, the manifests and
	// bin/. The default is found from the working directory.
	Checkout string
	// Program is the netcluster executable, which is also what runs some of the cluster's processes. The default
	// is bin/netcluster of the checkout.
	Program string
	// Progress is told what is being done, a line a step; nil means nobody is told.
	Progress func(line string)
}

func (o *Options) setDefaults() {
	for field, value := range map[*string]string{
		&o.Name: "netcluster", &o.OVN: "distro", &o.Topology: "central", &o.IP: "4",
	} {
		if *field == "" {
			*field = value
		}
	}
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.ExternalNetworks == 0 {
		o.ExternalNetworks = 1
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
}

func (o *Options) validate() error {
	switch {
	case !validName.MatchString(o.Name):
		return fmt.Errorf("cluster name %q does not match %s", o.Name, validName)
	case o.Nodes < 1 || o.Nodes > maxNodes:
		return fmt.Errorf("%d nodes: the address plan has room for 1 to %d", o.Nodes, maxNodes)
	case o.ExternalNetworks < 1 || o.ExternalNetworks > maxExternalNetworks:
		return fmt.Errorf("%d external networks: the address plan has room for 1 to %d",
			o.ExternalNetworks, maxExternalNetworks)
	}
	if _, ok := releases[o.OVN]; !ok {
		return fmt.Errorf("OVN release %q: choose distro, trixie or sid", o.OVN)
	}
	switch o.Topology {
	case "central":
	case "interconnect":
		return fmt.Errorf("topology interconnect: not yet")
	default:
		return fmt.Errorf("topology %q: choose central or interconnect", o.Topology)
	}
	switch o.IP {
	case "4":
		return nil
	case "6", "dual":
		return fmt.Errorf("address family %s: not yet", o.IP)
	}
	return fmt.Errorf("address family %q: choose 4, 6 or dual", o.IP)
}

// offset is the address n after a.
func offset(a netip.Addr, n int) netip.Addr {
	raw := a.As4()
	binary.BigEndian.PutUint32(raw[:], binary.BigEndian.Uint32(raw[:])+uint32(n))
	return netip.AddrFrom4(raw)
}

// prefixAt is the nth address of a subnet with the subnet's mask.
func prefixAt(subnet netip.Prefix, n int) netip.Prefix {
	return netip.PrefixFrom(offset(subnet.Addr(), n), subnet.Bits())
}

// What MAC addresses that are derived from an IPv4 address begin with.
var (
	ovnMAC      = [2]byte{0x0a, 0x58} // those that OVN-Kubernetes derives
	underlayMAC = [2]byte{0x02, 0x42} // those of nodes and of the control plane
)

func macOf(prefix [2]byte, a netip.Addr) string {
	raw := a.As4()
	return net.HardwareAddr(append(prefix[:], raw[:]...)).String()
}
