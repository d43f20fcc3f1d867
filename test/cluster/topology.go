package cluster

import (
	"context"
	"fmt"
	"net/netip"
)

// clusterRouter is OVN-Kubernetes' name of the distributed router.
const clusterRouter = "ovn_cluster_router"

// managementAddressOffset is the management port's place in a node's pod subnet; the switch's router port has 1.
const managementAddressOffset = 2

// Names that OVN-Kubernetes derives from a node's.
func gatewayRouter(n *Node) string         { return "GR_" + n.Name }
func localnetPort(n *Node) string          { return "ext_" + n.Name + "_ln" }
func managementLogicalPort(n *Node) string { return "k8s-" + n.Name }

// buildTopology writes what OVN-Kubernetes has in the northbound database of a central zone before there are
// pods, services or EgressIPs, all in one transaction.
func (s *State) buildTopology(ctx context.Context) error {
	commands := s.clusterTopology()
	for i := range s.Nodes {
		commands = append(commands, s.nodeTopology(&s.Nodes[i])...)
	}
	var args []string
	for i, command := range commands {
		if i > 0 {
			args = append(args, "--")
		}
		args = append(args, command...)
	}
	if _, err := s.nbctl(ctx, args...); err != nil {
		return fmt.Errorf("write the topology: %w", err)
	}
	return nil
}

// clusterTopology returns the ovn-nbctl commands for what exists once: the distributed router and the join switch.
func (s *State) clusterTopology() [][]string {
	address := offset(s.JoinSubnets[0].Addr(), 1)
	return append([][]string{
		{"lr-add", clusterRouter},
		{"ls-add", "join"},
	}, joinRouter(clusterRouter, netip.PrefixFrom(address, s.JoinSubnets[0].Bits()))...)
}

// joinRouter connects a router with the join switch.
func joinRouter(router string, address netip.Prefix) [][]string {
	return routerPort(router, "rtoj-"+router, macOf(ovnMAC, address.Addr()), address, "join", "jtor-"+router)
}

// routerPort connects a router with a switch by a pair of ports.
func routerPort(router, port, mac string, address netip.Prefix, logicalSwitch, peer string) [][]string {
	return [][]string{
		{"lrp-add", router, port, mac, address.String()},
		{"lsp-add", logicalSwitch, peer},
		{"lsp-set-type", peer, "router"},
		{"lsp-set-addresses", peer, "router"},
		{"lsp-set-options", peer, "router-port=" + port},
	}
}

// nodeTopology returns the ovn-nbctl commands for one node: its switch with the management port, its gateway
// router with the external switch, and the routes between them.
func (s *State) nodeTopology(n *Node) [][]string {
	pods, join := n.PodSubnets[0], n.JoinAddresses[0]
	commands := [][]string{
		{"ls-add", n.Name},
		{"set", "logical_switch", n.Name, "other_config:subnet=" + pods.String(),
			"other_config:exclude_ips=" + offset(pods.Addr(), managementAddressOffset).String()},
	}
	gateway := prefixAt(pods, 1)
	commands = append(commands,
		routerPort(clusterRouter, "rtos-"+n.Name, macOf(ovnMAC, gateway.Addr()), gateway, n.Name, "stor-"+n.Name)...)
	management := offset(pods.Addr(), managementAddressOffset).String()
	commands = append(commands,
		[]string{"lsp-add", n.Name, managementLogicalPort(n)},
		[]string{"lsp-set-addresses", managementLogicalPort(n), n.ManagementPortMAC + " " + management},
	)
	commands = append(commands, s.gatewayTopology(n)...)
	return append(commands,
		[]string{"--policy=src-ip", "lr-route-add", clusterRouter, pods.String(), join.String()},
		[]string{"lr-route-add", clusterRouter, join.String(), join.String()},
		// A pod reaches its own node by the management port: the gateway router has the node's address too and
		// would take the packet for its own.
		[]string{"lr-policy-add", clusterRouter, "1004",
			fmt.Sprintf(`inport == "rtos-%s" && ip4.dst == %s /* %s */`, n.Name, n.Addresses[0].Addr(), n.Name),
			"reroute", management},
	)
}

// gatewayTopology returns the ovn-nbctl commands for a node's gateway router and what is outside of it.
func (s *State) gatewayTopology(n *Node) [][]string {
	router, outside, node := gatewayRouter(n), "rtoe-"+gatewayRouter(n), n.Addresses[0]
	commands := [][]string{
		{"lr-add", router},
		{"set", "logical_router", router, "options:chassis=" + n.Chassis,
			"options:always_learn_from_arp_request=false", "options:dynamic_neigh_routers=false",
			"options:lb_force_snat_ip=router_ip", "options:snat-ct-zone=0", "options:mac_binding_age_threshold=300"},
		{"ls-add", "ext_" + n.Name},
	}
	commands = append(commands,
		joinRouter(router, netip.PrefixFrom(n.JoinAddresses[0], s.JoinSubnets[0].Bits()))...)
	commands = append(commands, routerPort(router, outside, n.MAC, node, "ext_"+n.Name, "etor-"+router)...)
	commands = append(commands,
		[]string{"lsp-set-options", "etor-" + router, "router-port=" + outside, "nat-addresses=router",
			"exclude-lb-vips-from-garp=true"},
		[]string{"lsp-add", "ext_" + n.Name, localnetPort(n)},
		[]string{"lsp-set-type", localnetPort(n), "localnet"},
		[]string{"lsp-set-addresses", localnetPort(n), "unknown"},
		[]string{"lsp-set-options", localnetPort(n), "network_name=physnet"},
		[]string{"lr-route-add", router, "0.0.0.0/0", gatewayAddress.String(), outside},
		[]string{"lr-route-add", router, masqueradeSubnet.String(), masqueradeNextHop.String(), outside},
		[]string{"static-mac-binding-add", outside, masqueradeNextHop.String(), macOf(ovnMAC, masqueradeNextHop)},
	)
	commands = append(commands, s.knownNeighbours(n)...)
	for _, subnet := range s.ClusterSubnets {
		commands = append(commands,
			[]string{"lr-route-add", router, subnet.String(), offset(s.JoinSubnets[0].Addr(), 1).String()},
			[]string{"lr-nat-add", router, "snat", node.Addr().String(), subnet.String()})
	}
	return commands
}

// knownNeighbours returns the ovn-nbctl commands that tell a node's gateway router the MAC addresses of the control
// plane and of the other nodes, which are backends of services. If it first has to ask for one, OVN 23.03 loses
// the first connection of the host to a service for good: it does not apply lb_force_snat_ip to a SYN that TCP
// sends again.
func (s *State) knownNeighbours(n *Node) [][]string {
	bind := func(address netip.Addr, mac string) []string {
		return []string{"static-mac-binding-add", "rtoe-" + gatewayRouter(n), address.String(), mac}
	}
	commands := [][]string{bind(controlAddress, macOf(underlayMAC, controlAddress))}
	for i := range s.Nodes {
		if other := &s.Nodes[i]; other.Name != n.Name {
			commands = append(commands, bind(other.Addresses[0].Addr(), other.MAC))
		}
	}
	return commands
}

// waitForChassis waits until every node's ovn-controller has installed what the northbound database says.
func (s *State) waitForChassis(ctx context.Context) error {
	if _, err := s.nbctl(ctx, "--wait=hv", "sync"); err != nil {
		return fmt.Errorf("wait for the nodes' ovn-controllers: %w", err)
	}
	return nil
}
