package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
)

// Addresses of OVN-Kubernetes' shared gateway mode that are used between a node's kernel and its gateway router
// and never leave the node.
var (
	masqueradeSubnet  = netip.MustParsePrefix("169.254.169.0/29")
	hostMasquerade    = netip.MustParsePrefix("169.254.169.2/29") // the host, towards the gateway router
	masqueradeNextHop = netip.MustParseAddr("169.254.169.4")      // held by nobody
)

// Connection tracking zones and marks of br-ex, numbered as in OVN-Kubernetes.
const (
	bridgeZone        = 64000 // who began a connection of the node's address: OVN or the host
	hostServiceZone   = 64001 // the host's connections to services
	ovnMark           = 1
	hostMark          = 2
	podToNodeMark     = 0x3f0 // pkt_mark of pods' packets to node addresses: they keep the node's address
	geneveDestination = 6081
	nodePortsFirst    = 30000
	nodePortsLast     = 32767
)

// bridgePorts are OpenFlow port numbers of br-ex.
type bridgePorts struct {
	physical string // to the underlay
	patch    string // to br-int, that is, to the external switch and the gateway router
}

// installBridgeFlows waits until ovn-controller has connected br-ex with br-int and replaces the flows of br-ex.
func (s *State) installBridgeFlows(ctx context.Context, n *Node) error {
	patch := fmt.Sprintf("patch-%s-to-br-int", localnetPort(n))
	out, err := s.vsctl(ctx, n, "wait-until", "interface", patch, "ofport>0",
		"--", "get", "interface", uplink, "ofport", "--", "get", "interface", patch, "ofport")
	if err != nil {
		return fmt.Errorf("wait for ovn-controller to connect %s: %w", externalBridge, err)
	}
	ports := strings.Fields(out)
	if len(ports) != 2 {
		return fmt.Errorf("node %s: OpenFlow ports of %s and %s: got %q", n.Name, uplink, patch, out)
	}
	cmd := exec.CommandContext(ctx, s.tool("ovs-ofctl"), "-O", "OpenFlow15", "replace-flows", externalBridge, "-")
	cmd.Env = append(os.Environ(), n.environment()...)
	cmd.Stdin = strings.NewReader(bridgeFlows(n, s.ServiceSubnets[0], bridgePorts{physical: ports[0], patch: ports[1]}))
	if _, err := runWith(cmd); err != nil {
		return fmt.Errorf("node %s: flows of %s: %w", n.Name, externalBridge, err)
	}
	return nil
}

// bridgeFlows are the flows of a node's br-ex in the notation of ovs-ofctl(8). The node's kernel (LOCAL) and its
// gateway router (patch) share one address and one MAC address; a connection belongs to who began it.
//
// Packets are recirculated (ct with a table) as little as possible: the userspace datapath of Open vSwitch 3.1 drops
// a packet the seventh time, and the gateway router with a load balancer, a forced SNAT and a pod behind it on
// the same node needs six.
func bridgeFlows(n *Node, services netip.Prefix, p bridgePorts) string {
	var b strings.Builder
	b.WriteString("table=0,priority=0,actions=NORMAL\n")
	flow := func(table, priority int, match, actions string) {
		fmt.Fprintf(&b, "table=%d,priority=%d,%s,actions=%s\n", table, priority, match, actions)
	}
	commit := func(mark int) string {
		return fmt.Sprintf("ct(commit,zone=%d,exec(set_field:%d->ct_mark)),%s", bridgeZone, mark, p.physical)
	}
	node := n.Addresses[0].Addr()

	// Tunnels end in the node's kernel, as far as br-ex is concerned, whoever began.
	flow(0, 600, fmt.Sprintf("in_port=%s,udp,tp_dst=%d", p.physical, geneveDestination), "LOCAL")
	flow(0, 600, fmt.Sprintf("in_port=LOCAL,udp,tp_dst=%d", geneveDestination), p.physical)

	// The host's connections to services go through the gateway router under the masquerade address.
	flow(0, 520, fmt.Sprintf("in_port=LOCAL,ip,nw_dst=%s", services),
		fmt.Sprintf("ct(commit,zone=%d,nat(src=%s)),set_field:%s->eth_dst,%s",
			hostServiceZone, hostMasquerade.Addr(), n.MAC, p.patch))
	flow(0, 520, fmt.Sprintf("in_port=%s,ip,nw_dst=%s", p.patch, hostMasquerade.Addr()),
		fmt.Sprintf("ct(zone=%d,nat,table=2)", hostServiceZone))
	flow(2, 10, "ip", fmt.Sprintf("set_field:%s->eth_dst,LOCAL", n.MAC))

	// A pod reaches nodes with its own node's address, also when its gateway router gives it an EgressIP.
	flow(0, 510, fmt.Sprintf("in_port=%s,ip,dl_src=%s,pkt_mark=%#x", p.patch, n.MAC, podToNodeMark),
		fmt.Sprintf("ct(commit,zone=%d,nat(src=%s),exec(set_field:%d->ct_mark)),%s",
			bridgeZone, node, ovnMark, p.physical))

	flow(0, 500, fmt.Sprintf("in_port=%s,ip,dl_src=%s", p.patch, n.MAC), commit(ovnMark))
	flow(0, 500, "in_port=LOCAL,ip", commit(hostMark))
	// What comes in for the node's address belongs to the host unless OVN began the connection; node ports and
	// all other addresses (EgressIPs, load balancers) are OVN's.
	for _, protocol := range []string{"tcp", "udp"} {
		for _, ports := range portMatches(nodePortsFirst, nodePortsLast) {
			flow(0, 460, fmt.Sprintf("in_port=%s,%s,nw_dst=%s,tp_dst=%s", p.physical, protocol, node, ports), p.patch)
		}
	}
	flow(0, 450, fmt.Sprintf("in_port=%s,ip,nw_dst=%s", p.physical, node),
		fmt.Sprintf("ct(zone=%d,nat,table=1)", bridgeZone))
	flow(0, 440, fmt.Sprintf("in_port=%s,ip", p.physical), p.patch)
	flow(1, 100, fmt.Sprintf("ip,ct_state=+trk+est,ct_mark=%d", ovnMark), p.patch)
	flow(1, 90, "ip,ct_state=+trk+rel", p.patch+",LOCAL")
	flow(1, 10, "ip", "LOCAL")

	flow(0, 400, fmt.Sprintf("in_port=%s,arp", p.physical), p.patch+",LOCAL")
	flow(0, 400, fmt.Sprintf("in_port=%s,arp", p.patch), p.physical+",LOCAL")
	flow(0, 400, "in_port=LOCAL,arp", p.physical+","+p.patch)
	return b.String()
}

// portMatches covers the ports from first to last with as few values with masks as possible.
func portMatches(first, last int) []string {
	var matches []string
	for first <= last {
		size := 1
		for first&(2*size-1) == 0 && first+2*size-1 <= last {
			size *= 2
		}
		matches = append(matches, fmt.Sprintf("%#x/%#x", first, 0x10000-size))
		first += size
	}
	return matches
}
