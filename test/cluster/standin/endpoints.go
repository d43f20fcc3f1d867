package standin

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// backend is one endpoint of a service for one of its ports.
type backend struct {
	addr netip.AddrPort
	node string // where it runs, empty if unknown
}

// backendsOf returns the endpoints of one port, ordered and each once: those that are ready or, if none is, those
// that still serve while they terminate.
func backendsOf(port corev1.ServicePort, endpoints []*discoveryv1.EndpointSlice) []backend {
	var ready, terminating []backend
	for _, slice := range endpoints {
		number, ok := targetPort(slice, port)
		if !ok {
			continue
		}
		for _, endpoint := range slice.Endpoints {
			list := &ready
			if !isTrue(endpoint.Conditions.Ready, true) {
				if !isTrue(endpoint.Conditions.Serving, false) || !isTrue(endpoint.Conditions.Terminating, false) {
					continue
				}
				list = &terminating
			}
			for _, addr := range parseAddrs(endpoint.Addresses) {
				b := backend{addr: netip.AddrPortFrom(addr, number)}
				if endpoint.NodeName != nil {
					b.node = *endpoint.NodeName
				}
				*list = append(*list, b)
			}
		}
	}
	if len(ready) == 0 {
		ready = terminating
	}
	slices.SortFunc(ready, func(a, b backend) int { return a.addr.Compare(b.addr) })
	return slices.Compact(ready)
}

// targetPort is the number of a service's port on the endpoints of a slice.
func targetPort(slice *discoveryv1.EndpointSlice, port corev1.ServicePort) (uint16, bool) {
	for _, p := range slice.Ports {
		var name string
		if p.Name != nil {
			name = *p.Name
		}
		protocol := corev1.ProtocolTCP
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		if p.Port != nil && name == port.Name && protocol == cmp.Or(port.Protocol, corev1.ProtocolTCP) {
			return uint16(*p.Port), true
		}
	}
	return 0, false
}

// reachableFromRouter leaves out the addresses that the node's gateway router has itself.
func reachableFromRouter(backends []backend, node proxyNode) []backend {
	return slices.DeleteFunc(slices.Clone(backends), func(b backend) bool {
		return slices.Contains(node.addresses, b.addr.Addr())
	})
}

// onNode keeps those that run on the node.
func onNode(backends []backend, node string) []backend {
	return slices.DeleteFunc(slices.Clone(backends), func(b backend) bool { return b.node != node })
}

// parseAddrs returns the addresses among the texts; "None" of a headless service and host names are none.
func parseAddrs(texts []string) []netip.Addr {
	var addrs []netip.Addr
	for _, text := range texts {
		if addr, err := netip.ParseAddr(text); err == nil {
			addrs = append(addrs, addr.Unmap())
		}
	}
	return addrs
}

// isTrue is the value of an optional condition, or what its absence means.
func isTrue(condition *bool, absent bool) bool {
	if condition == nil {
		return absent
	}
	return *condition
}
