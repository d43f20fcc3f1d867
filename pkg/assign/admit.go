package assign

import (
	"fmt"
	"net/netip"
)

// claim is one address of a request, either admitted or refused.
type claim struct {
	written string
	addr    netip.Addr // zero if it could not be read
	reason  Reason     // empty: admitted
	message string
}

// admission knows every address that no EgressIP, or no further EgressIP, may have.
type admission struct {
	nodeAddress map[netip.Addr]string // address -> node
	subnetOwn   map[netip.Addr]string // network or broadcast address -> what it is
	reserved    []Reserved
	owner       map[netip.Addr]string // address -> EgressIP that claimed it first
}

// newAdmission wants the nodes sorted by name, so that a message names the same node every time.
func newAdmission(nodes []Node, reserved []Reserved) *admission {
	a := &admission{
		nodeAddress: make(map[netip.Addr]string),
		subnetOwn:   make(map[netip.Addr]string),
		reserved:    reserved,
		owner:       make(map[netip.Addr]string),
	}
	for _, n := range nodes {
		for _, addr := range n.Addresses {
			setDefault(a.nodeAddress, addr.Unmap(), n.Name)
		}
		for _, p := range n.Primary {
			setDefault(a.nodeAddress, p.Addr(), n.Name)
			a.addSubnet(p.Masked(), n.Name)
		}
	}
	return a
}

// addSubnet notes the addresses of a subnet that stand for the subnet itself: the network address (in IPv6 the
// subnet-router anycast address, RFC 4291) and the IPv4 broadcast address. Point-to-point subnets, /31 and /127
// (RFC 3021, RFC 6164), and host prefixes have none.
func (a *admission) addSubnet(subnet netip.Prefix, node string) {
	first := subnet.Addr()
	if subnet.Bits() >= first.BitLen()-1 {
		return
	}
	setDefault(a.subnetOwn, first, fmt.Sprintf("the network address of subnet %s of node %s", subnet, node))
	if first.Is4() {
		setDefault(a.subnetOwn, broadcast(subnet), fmt.Sprintf("the broadcast address of subnet %s of node %s", subnet, node))
	}
}

// broadcast is the last address of an IPv4 subnet.
func broadcast(subnet netip.Prefix) netip.Addr {
	b := subnet.Addr().As4()
	for bit := subnet.Bits(); bit < 32; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	return netip.AddrFrom4(b)
}

func setDefault(m map[netip.Addr]string, key netip.Addr, value string) {
	if _, ok := m[key]; !ok {
		m[key] = value
	}
}

// admit reads the addresses of a request and drops repetitions. Requests are to be admitted in order of precedence.
func (a *admission) admit(r Request) []claim {
	claims := make([]claim, 0, len(r.Addresses))
	seen := make(map[string]bool, len(r.Addresses))
	for _, written := range r.Addresses {
		c := claim{written: written}
		identity := written
		if addr, err := netip.ParseAddr(written); err == nil {
			c.addr = addr.Unmap()
			identity = c.addr.String()
		}
		if seen[identity] {
			continue
		}
		seen[identity] = true
		c.reason, c.message = a.refuse(r.Name, c)
		claims = append(claims, c)
	}
	return claims
}

// refuse says what is in the way of an address, whatever the nodes can host; an empty reason admits it, and makes it
// the EgressIP's own.
func (a *admission) refuse(egressIP string, c claim) (Reason, string) {
	if !c.addr.IsValid() {
		return InvalidAddress, fmt.Sprintf("%q is not an IP address", c.written)
	}
	if kind := unusable(c.addr); kind != "" {
		return InvalidAddress, fmt.Sprintf("%s is %s, which no packet can come from", c.addr, kind)
	}
	if node, ok := a.nodeAddress[c.addr]; ok {
		return NodeAddress, fmt.Sprintf("%s is an address of node %s", c.addr, node)
	}
	for _, r := range a.reserved {
		if r.Prefix.Contains(c.addr) {
			return ReservedNetwork, fmt.Sprintf("%s is in the %s %s", c.addr, r.What, r.Prefix)
		}
	}
	if what, ok := a.subnetOwn[c.addr]; ok {
		return ReservedNetwork, fmt.Sprintf("%s is %s", c.addr, what)
	}
	if owner, ok := a.owner[c.addr]; ok {
		return Taken, fmt.Sprintf("%s belongs to the older EgressIP %s", c.addr, owner)
	}
	a.owner[c.addr] = egressIP
	return "", ""
}

// unusable names the kind of an address that cannot be the source of traffic that leaves a cluster, or is empty.
func unusable(addr netip.Addr) string {
	switch {
	case addr.Zone() != "":
		return "an address with a zone"
	case addr.IsUnspecified():
		return "the unspecified address"
	case addr.IsLoopback():
		return "a loopback address"
	case addr.IsMulticast():
		return "a multicast address"
	case addr.IsLinkLocalUnicast():
		return "a link-local address"
	case addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "the broadcast address"
	default:
		return ""
	}
}
