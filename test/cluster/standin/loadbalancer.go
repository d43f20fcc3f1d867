package standin

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// proxyNode is what the load balancers need to know of a node.
type proxyNode struct {
	name      string
	addresses []netip.Addr
	ready     bool
}

// balancer is one row of Load_Balancer together with the switches and routers that it is on.
type balancer struct {
	name     string
	protocol string            // tcp, udp or sctp
	vips     map[string]string // address:port -> address:port,…; nothing behind the colon: connections are refused
	options  map[string]string
	switches []string // names of logical switches
	routers  []string // names of logical routers
}

// serviceCompiler holds what is the same for all ports of a service while its rows are put together.
type serviceCompiler struct {
	svc       *corev1.Service
	endpoints []*discoveryv1.EndpointSlice
	nodes     []proxyNode
	rows      map[string]*balancer // name of the row -> row
	// routersDiffer: some endpoint is a node address, so that not all gateway routers can have the same backends.
	routersDiffer bool
}

// compileService returns the load balancer rows of a service, ordered by name. The names are those of
// OVN-Kubernetes, and so are the kinds of rows:
//
//	Service_<ns>/<name>_TCP_cluster           cluster addresses, on all node switches and gateway routers
//	Service_<ns>/<name>_TCP_node_switch_<n>   for pods of one node: node port, external addresses
//	Service_<ns>/<name>_TCP_node_router_<n>   for who comes through one node's gateway router: node port, external addresses
//	Service_<ns>/<name>_TCP_node_local_router_<n>  the same for externalTrafficPolicy Local: backends of this node only, client address kept
//
// Other than in OVN-Kubernetes an external address (of status.loadBalancer or spec.externalIPs) is on exactly one
// gateway router, that of the first Ready node (with externalTrafficPolicy Local: that has a backend), because
// the router that has it answers ARP for it, as an announcer on layer 2 would.
//
// A gateway router has its node's address itself and cannot send to the node: a backend with the host's network is
// left out of its own node's rows for the gateway router.
func compileService(svc *corev1.Service, endpoints []*discoveryv1.EndpointSlice, nodes []proxyNode) []balancer {
	if svc.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	c := &serviceCompiler{svc: svc, endpoints: endpoints, nodes: nodes, rows: map[string]*balancer{}}
	c.routersDiffer = slices.ContainsFunc(svc.Spec.Ports, c.hasNodeAddress)
	for _, port := range svc.Spec.Ports {
		backends := backendsOf(port, c.endpoints)
		c.clusterAddresses(port, backends)
		for _, node := range nodes {
			c.nodePorts(port, node, backends)
		}
		c.externalAddresses(port, backends)
	}
	var rows []balancer
	for _, name := range slices.Sorted(maps.Keys(c.rows)) {
		if len(c.rows[name].vips) > 0 {
			rows = append(rows, *c.rows[name])
		}
	}
	return rows
}

// clusterAddresses adds the addresses inside the cluster.
func (c *serviceCompiler) clusterAddresses(port corev1.ServicePort, backends []backend) {
	addrs := parseAddrs(c.svc.Spec.ClusterIPs)
	if c.internalLocal() {
		for _, node := range c.nodes {
			c.add(c.switchRow(port, node), addrs, port.Port, onNode(backends, node.name))
		}
		return
	}
	row := c.row(port, "cluster")
	row.switches = nodeNames(c.nodes)
	c.add(row, addrs, port.Port, backends)
	if !c.routersDiffer {
		row.routers = routerNames(c.nodes)
		return
	}
	for _, node := range c.nodes {
		c.add(c.routerRow(port, node, false), addrs, port.Port, reachableFromRouter(backends, node))
	}
}

// nodePorts adds the node port on the addresses of one node.
func (c *serviceCompiler) nodePorts(port corev1.ServicePort, node proxyNode, backends []backend) {
	if port.NodePort == 0 {
		return
	}
	c.add(c.switchRow(port, node), node.addresses, port.NodePort, backends)
	c.add(c.routerRow(port, node, c.externalLocal()), node.addresses, port.NodePort, c.fromOutside(backends, node))
}

// externalAddresses adds the addresses outside the cluster: for the pods of all nodes, and at one gateway router.
func (c *serviceCompiler) externalAddresses(port corev1.ServicePort, backends []backend) {
	addrs := externalAddrs(c.svc)
	for _, node := range c.nodes {
		c.add(c.switchRow(port, node), addrs, port.Port, backends)
	}
	if node, ok := c.announcer(); ok {
		row := c.routerRow(port, node, c.externalLocal())
		c.add(row, addrs, port.Port, c.fromOutside(backends, node))
		if len(addrs) > 0 {
			row.options["neighbor_responder"] = "reachable"
		}
	}
}

// announcer is the node whose gateway router has the external addresses. It is the same for all ports.
func (c *serviceCompiler) announcer() (proxyNode, bool) {
	for _, node := range c.nodes {
		if node.ready && (!c.externalLocal() || c.hasBackendOn(node.name)) {
			return node, true
		}
	}
	return proxyNode{}, false
}

// hasNodeAddress says whether a node's own address is among the endpoints of the port.
func (c *serviceCompiler) hasNodeAddress(port corev1.ServicePort) bool {
	backends := backendsOf(port, c.endpoints)
	return slices.ContainsFunc(c.nodes, func(node proxyNode) bool {
		return len(reachableFromRouter(backends, node)) < len(backends)
	})
}

func (c *serviceCompiler) hasBackendOn(node string) bool {
	return slices.ContainsFunc(c.svc.Spec.Ports, func(port corev1.ServicePort) bool {
		return len(onNode(backendsOf(port, c.endpoints), node)) > 0
	})
}

// fromOutside are the backends that traffic from outside is sent to by the gateway router of a node.
func (c *serviceCompiler) fromOutside(backends []backend, node proxyNode) []backend {
	if c.externalLocal() {
		backends = onNode(backends, node.name)
	}
	return reachableFromRouter(backends, node)
}

func (c *serviceCompiler) externalLocal() bool {
	return c.svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

func (c *serviceCompiler) internalLocal() bool {
	policy := c.svc.Spec.InternalTrafficPolicy
	return policy != nil && *policy == corev1.ServiceInternalTrafficPolicyLocal
}

func (c *serviceCompiler) switchRow(port corev1.ServicePort, node proxyNode) *balancer {
	row := c.row(port, "node_switch_"+node.name)
	row.switches = []string{node.name}
	return row
}

// routerRow is the row for one gateway router; local keeps the client's address (no lb_force_snat_ip).
func (c *serviceCompiler) routerRow(port corev1.ServicePort, node proxyNode, local bool) *balancer {
	scope := "node_router_"
	if local {
		scope = "node_local_router_"
	}
	row := c.row(port, scope+node.name)
	row.routers = []string{gatewayRouter(node.name)}
	row.options["skip_snat"] = strconv.FormatBool(local)
	return row
}

// row returns the row of one scope for the protocol of the port, made when first asked for.
func (c *serviceCompiler) row(port corev1.ServicePort, scope string) *balancer {
	protocol := cmp.Or(port.Protocol, corev1.ProtocolTCP)
	name := fmt.Sprintf("Service_%s/%s_%s_%s", c.svc.Namespace, c.svc.Name, protocol, scope)
	if row, ok := c.rows[name]; ok {
		return row
	}
	row := &balancer{
		name:     name,
		protocol: strings.ToLower(string(protocol)),
		vips:     map[string]string{},
		options: map[string]string{
			"event":              "false",
			"reject":             "true",
			"skip_snat":          "false",
			"neighbor_responder": "none",
			"hairpin_snat_ip":    "169.254.169.5 fd69::5", // what a pod sees that reaches itself through the service
		},
	}
	if c.svc.Spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		row.options["affinity_timeout"] = strconv.Itoa(int(affinitySeconds(c.svc)))
	}
	c.rows[name] = row
	return row
}

// add puts one port of some addresses into a row, each with the backends of its family.
func (c *serviceCompiler) add(row *balancer, addrs []netip.Addr, port int32, backends []backend) {
	for _, addr := range addrs {
		var targets []string
		for _, b := range backends {
			if b.addr.Addr().Is4() == addr.Is4() {
				targets = append(targets, b.addr.String())
			}
		}
		row.vips[netip.AddrPortFrom(addr, uint16(port)).String()] = strings.Join(targets, ",")
	}
}

// externalAddrs are the addresses outside the cluster that the service is reached at.
func externalAddrs(svc *corev1.Service) []netip.Addr {
	addrs := parseAddrs(svc.Spec.ExternalIPs)
	if svc.Spec.Type == corev1.ServiceTypeLoadBalancer {
		for _, ingress := range svc.Status.LoadBalancer.Ingress {
			addrs = append(addrs, parseAddrs([]string{ingress.IP})...)
		}
	}
	return addrs
}

func nodeNames(nodes []proxyNode) []string {
	names := make([]string, 0, len(nodes))
	for _, node := range nodes {
		names = append(names, node.name)
	}
	return names
}

func routerNames(nodes []proxyNode) []string {
	names := nodeNames(nodes)
	for i, name := range names {
		names[i] = gatewayRouter(name)
	}
	return names
}

// gatewayRouter is the name of a node's gateway router.
func gatewayRouter(node string) string { return "GR_" + node }

// affinitySeconds is for how long a client keeps its backend; the API server's default is three hours.
func affinitySeconds(svc *corev1.Service) int32 {
	config := svc.Spec.SessionAffinityConfig
	if config == nil || config.ClientIP == nil || config.ClientIP.TimeoutSeconds == nil {
		return corev1.DefaultClientIPServiceAffinitySeconds
	}
	return *config.ClientIP.TimeoutSeconds
}
