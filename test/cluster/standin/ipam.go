package standin

import (
	"fmt"
	"net/netip"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

// firstPodHost is the host number of the first pod address of a subnet; 1 is the switch's router port, 2 the
// node's management port.
const firstPodHost = 3

// addressPool hands out the pod addresses of all nodes: to every pod one of each of its node's subnets, and none
// to two pods at a time. Its methods may be called concurrently.
type addressPool struct {
	mu      sync.Mutex
	subnets map[string][]*podSubnet     // node name -> its subnets
	held    map[types.UID][]heldAddress // pod -> its addresses
	holders map[netip.Addr]types.UID    // address -> the pod that has it
}

// heldAddress is an address together with the subnet that it was taken from.
type heldAddress struct {
	addr   netip.Addr
	subnet *podSubnet
}

// podSubnet walks through one subnet: an address that was given back is used again only after all that follow it.
type podSubnet struct {
	prefix netip.Prefix
	first  netip.Addr
	next   netip.Addr
	used   int
}

// newAddressPool makes the pool of the nodes' pod subnets, all of it free.
func newAddressPool(nodes []cluster.Node) *addressPool {
	p := &addressPool{
		subnets: map[string][]*podSubnet{},
		held:    map[types.UID][]heldAddress{},
		holders: map[netip.Addr]types.UID{},
	}
	for _, node := range nodes {
		for _, prefix := range node.PodSubnets {
			first := nthAddress(prefix, firstPodHost)
			p.subnets[node.Name] = append(p.subnets[node.Name],
				&podSubnet{prefix: prefix.Masked(), first: first, next: first})
		}
	}
	return p
}

// claim returns the addresses of the pod, with their subnets' masks: those that it has already, otherwise the wanted ones, and
// the next free ones of the subnets that no wanted address belongs to. A wanted address that another pod has, or
// that is not a pod address of the node, is an error, and so is a full subnet; nothing is claimed then.
func (p *addressPool) claim(pod types.UID, node string, wanted []netip.Addr) ([]netip.Prefix, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if held := p.held[pod]; held != nil {
		return prefixesOf(held), nil
	}
	var claimed []heldAddress
	matched := 0
	for _, subnet := range p.subnets[node] {
		addr, ok := subnet.pick(wanted)
		if ok {
			matched++
		} else if addr, ok = p.nextFree(subnet); !ok {
			return nil, fmt.Errorf("pod subnet %s of node %s is full", subnet.prefix, node)
		}
		if holder, taken := p.holders[addr]; taken {
			return nil, fmt.Errorf("address %s is held by pod %s", addr, holder)
		}
		claimed = append(claimed, heldAddress{addr: addr, subnet: subnet})
	}
	if matched < len(wanted) || len(claimed) == 0 {
		return nil, fmt.Errorf("addresses %v are not all pod addresses of node %s", wanted, node)
	}
	for _, h := range claimed {
		h.subnet.used++
		h.subnet.next = h.addr.Next()
		p.holders[h.addr] = pod
	}
	p.held[pod] = claimed
	return prefixesOf(claimed), nil
}

// release gives the addresses of the pod back, if it has any.
func (p *addressPool) release(pod types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range p.held[pod] {
		h.subnet.used--
		delete(p.holders, h.addr)
	}
	delete(p.held, pod)
}

// nextFree returns the first free address from subnet.next on, around the end of the subnet.
func (p *addressPool) nextFree(subnet *podSubnet) (netip.Addr, bool) {
	addr := subnet.next
	// Among one more candidates than there are addresses in use is a free one, unless they repeat: then none is.
	for range subnet.used + 1 {
		if !subnet.contains(addr) {
			addr = subnet.first
		}
		if _, taken := p.holders[addr]; !taken {
			return addr, subnet.contains(addr)
		}
		addr = addr.Next()
	}
	return netip.Addr{}, false
}

// pick returns the address among the wanted ones that pods may have in this subnet.
func (s *podSubnet) pick(wanted []netip.Addr) (netip.Addr, bool) {
	for _, addr := range wanted {
		if s.contains(addr) {
			return addr, true
		}
	}
	return netip.Addr{}, false
}

// contains says whether pods may have the address: inside the subnet, from the first pod address on, and in IPv4
// not the broadcast address, which is the one whose successor lies outside.
func (s *podSubnet) contains(addr netip.Addr) bool {
	if !s.prefix.Contains(addr) || addr.Less(s.first) {
		return false
	}
	return addr.Is6() || s.prefix.Contains(addr.Next())
}

// nthAddress is the address with the given host number in the subnet.
func nthAddress(subnet netip.Prefix, n int) netip.Addr {
	addr := subnet.Masked().Addr()
	for range n {
		addr = addr.Next()
	}
	return addr
}

// prefixesOf writes addresses with the masks of their subnets.
func prefixesOf(held []heldAddress) []netip.Prefix {
	prefixes := make([]netip.Prefix, 0, len(held))
	for _, h := range held {
		prefixes = append(prefixes, netip.PrefixFrom(h.addr, h.subnet.prefix.Bits()))
	}
	return prefixes
}
