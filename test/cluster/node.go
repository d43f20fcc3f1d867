package cluster

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"

	"github.com/vishvananda/netlink"
)

// Names and sizes inside every node, as OVN-Kubernetes has them.
const (
	externalBridge    = "br-ex"
	integrationBridge = "br-int"
	uplink            = "eth0" // the port on the underlay, in nodes a port of br-ex
	managementPort    = "ovn-k8s-mp0"
	podMTU            = 1400
)

// component names a process of a node.
func (n *Node) component(what string) string { return what + "-" + n.Name }

func (n *Node) database() string { return "unix:" + filepath.Join(n.Directory, "db.sock") }

// buildNode makes the node's namespace with its connections to the external networks.
func (s *State) buildNode(ctx context.Context, n *Node) error {
	if err := os.MkdirAll(n.Directory, 0o755); err != nil {
		return err
	}
	if err := createNamespace(ctx, n.Namespace); err != nil {
		return err
	}
	sysctls := withoutIPv6()
	sysctls["ipv4/ip_forward"] = "1"
	sysctls["ipv4/conf/all/rp_filter"] = "0"
	sysctls["ipv4/conf/default/rp_filter"] = "0"
	// The kernel sees what arrives at ports of the userspace datapath too. It must not answer for the addresses of
	// br-ex and the management port there, with the MAC address of the port.
	sysctls["ipv4/conf/all/arp_ignore"] = "1"
	if err := setSysctls(n.Namespace, sysctls); err != nil {
		return err
	}
	if err := s.plug(ctx, 1, n.Name, n.Namespace, uplink); err != nil {
		return err
	}
	for i, address := range n.SecondaryAddresses {
		if err := s.plug(ctx, i+2, n.Name, n.Namespace, fmt.Sprintf("eth%d", i+1), address); err != nil {
			return err
		}
	}
	return nil
}

// startNode starts the node's Open vSwitch and ovn-controller, in a node's boot order, and configures what
// vanishes with them: the addresses and routes of br-ex and of the management port. The flows of br-ex follow
// when OVN has connected it: see installBridgeFlows.
func (s *State) startNode(ctx context.Context, n *Node, r *release) error {
	if err := s.startSwitchDatabase(ctx, n, r); err != nil {
		return err
	}
	if err := s.startSwitch(ctx, n); err != nil {
		return err
	}
	if err := s.configureHost(ctx, n); err != nil {
		return err
	}
	return s.startController(n)
}

func (s *State) startSwitchDatabase(ctx context.Context, n *Node, r *release) error {
	if err := s.startDatabase(ctx, database{
		component: n.component("ovsdb"), node: n.Name, namespace: n.Namespace, schema: r.switchSchema(),
		file: filepath.Join(n.Directory, "conf.db"), socket: filepath.Join(n.Directory, "db.sock"),
	}); err != nil {
		return err
	}
	_, err := s.vsctl(ctx, n, "--no-wait", "init", "--", "set", "open_vswitch", ".",
		"external_ids:system-id="+n.Chassis, "external_ids:hostname="+n.Name,
		"external_ids:ovn-remote="+s.Zones[0].SB,
		"external_ids:ovn-encap-type=geneve", "external_ids:ovn-encap-ip="+n.Addresses[0].Addr().String(),
		"external_ids:ovn-bridge-mappings=physnet:"+externalBridge,
		// Without it ovn-controller takes br-int for a bridge of the kernel and makes it anew.
		"external_ids:ovn-bridge-datapath-type=netdev",
		"external_ids:ovn-monitor-all=true",
		"external_ids:ovn-openflow-probe-interval=0", "external_ids:ovn-remote-probe-interval=0",
		// A thread per task is plenty for a few nodes on two cores.
		"other_config:n-revalidator-threads=1", "other_config:n-handler-threads=1")
	return err
}

func (s *State) startSwitch(ctx context.Context, n *Node) error {
	control := filepath.Join(n.Directory, "vswitchd.ctl")
	p, err := StartProcess(ProcessSpec{
		Cluster: s.Name, Component: n.component("vswitchd"), Node: n.Name, Namespace: n.Namespace,
		Env: n.environment(),
		Argv: []string{
			s.tool("ovs-vswitchd"), "--no-chdir", "-vsyslog:off", "-vconsole:info",
			"--unixctl=" + control, "--disable-system", n.database(),
		},
	})
	if err != nil {
		return err
	}
	// Without --no-wait it returns when ovs-vswitchd has made the bridges, that is, when the devices exist; but
	// only if something changed in the database, which after a restart of ovs-vswitchd nothing else would.
	_, err = s.vsctl(ctx, n, "set", "open_vswitch", ".",
		fmt.Sprintf("external_ids:vswitchd-pid=%d", p.PID),
		"--", "--may-exist", "add-br", externalBridge, "--", "set", "bridge", externalBridge, "datapath_type=netdev",
		"fail_mode=standalone", "other_config:hwaddr="+strconv.Quote(n.MAC),
		"--", "--may-exist", "add-port", externalBridge, uplink,
		"--", "--may-exist", "add-br", integrationBridge, "--", "set", "bridge", integrationBridge,
		"datapath_type=netdev", "fail_mode=secure",
		"--", "--may-exist", "add-port", integrationBridge, managementPort,
		"--", "set", "interface", managementPort, "type=internal", fmt.Sprintf("mtu_request=%d", podMTU),
		"mac="+strconv.Quote(n.ManagementPortMAC), "external_ids:iface-id="+managementLogicalPort(n))
	return err
}

func (s *State) startController(n *Node) error {
	p, err := StartProcess(ProcessSpec{
		Cluster: s.Name, Component: n.component("ovn-controller"), Node: n.Name, Namespace: n.Namespace,
		Env:  n.environment(),
		Argv: []string{s.tool("ovn-controller"), "--no-chdir", "-vsyslog:off", "-vconsole:info", n.database()},
	})
	if err != nil {
		return err
	}
	// OVN 23.03's ovn-controller has no --unixctl: the name of its control socket contains its pid.
	link := filepath.Join(n.Directory, "ovn-controller.ctl")
	if err := os.Symlink(fmt.Sprintf("ovn-controller.%d.ctl", p.PID), link+".new"); err != nil {
		return err
	}
	return os.Rename(link+".new", link)
}

// environment tells the tools of Open vSwitch and OVN where a node keeps its sockets.
func (n *Node) environment() []string {
	return []string{"OVS_RUNDIR=" + n.Directory, "OVN_RUNDIR=" + n.Directory, "OVS_DBDIR=" + n.Directory}
}

// configureHost gives the node's kernel its addresses and routes. OVN-Kubernetes in shared gateway mode sends
// the host's connections to services into br-ex by a next hop that does not exist; br-ex's flows pass them on to
// the gateway router.
func (s *State) configureHost(ctx context.Context, n *Node) error {
	for _, link := range []string{externalBridge, managementPort} {
		if err := setUp(n.Namespace, link); err != nil {
			return err
		}
		if err := disableOffloads(ctx, n.Namespace, link); err != nil {
			return err
		}
	}
	pods := n.PodSubnets[0]
	for address, link := range map[netip.Prefix]string{
		n.Addresses[0]: externalBridge, hostMasquerade: externalBridge,
		prefixAt(pods, managementAddressOffset): managementPort,
	} {
		if err := addAddress(n.Namespace, link, address); err != nil {
			return err
		}
	}
	nextHopMAC, err := net.ParseMAC(macOf(ovnMAC, masqueradeNextHop))
	if err != nil {
		return err
	}
	return inNetlink(n.Namespace, func(h *netlink.Handle) error {
		bridge, err := h.LinkByName(externalBridge)
		if err != nil {
			return err
		}
		if err := h.NeighSet(&netlink.Neigh{
			LinkIndex: bridge.Attrs().Index, State: netlink.NUD_PERMANENT,
			IP: masqueradeNextHop.AsSlice(), HardwareAddr: nextHopMAC,
		}); err != nil {
			return fmt.Errorf("neighbour %s: %w", masqueradeNextHop, err)
		}
		for _, route := range []*netlink.Route{
			{Gw: gatewayAddress.AsSlice()},
			{Dst: ipNet(s.ServiceSubnets[0]), Gw: masqueradeNextHop.AsSlice(), MTU: podMTU},
			{Dst: ipNet(s.ClusterSubnets[0]), Gw: offset(pods.Addr(), 1).AsSlice()},
		} {
			if err := h.RouteReplace(route); err != nil {
				return fmt.Errorf("route %s: %w", route, err)
			}
		}
		return nil
	})
}

// vsctl runs ovs-vsctl on a node's database.
func (s *State) vsctl(ctx context.Context, n *Node, args ...string) (string, error) {
	out, err := run(ctx, append([]string{s.tool("ovs-vsctl"), "--timeout=30", "--db=" + n.database()}, args...)...)
	if err != nil {
		return "", fmt.Errorf("node %s: %w", n.Name, err)
	}
	return out, nil
}
