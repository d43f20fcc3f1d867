package assign

import (
	"math"
	"net/netip"
)

// seating is the placement of one EgressIP's addresses, each on a node of its own.
type seating struct {
	hosts *hosts
	addrs []netip.Addr
	home  []int // address -> node that it stays on unless it has to make room, or none
	node  []int // address -> node, or none

	may   [][]bool // address -> node -> may be placed there; only while the seating is filled
	guest []int    // node -> address of this EgressIP that is there, or none; only while the seating is filled
}

// keep seats every address that may stay where it is. All EgressIPs are kept before any is filled, so that loads are
// known when the first new address is placed.
func keep(h *hosts, addrs []netip.Addr, current map[netip.Addr]string) *seating {
	s := &seating{hosts: h, addrs: addrs, home: make([]int, len(addrs)), node: make([]int, len(addrs))}
	occupied := make(map[int]bool, len(addrs))
	for a, addr := range addrs {
		s.home[a] = none
		if n := h.find(current[addr]); n != none && h.suits(n, addr) && !occupied[n] {
			occupied[n] = true
			s.home[a] = n
			h.load[n]++
		}
		s.node[a] = s.home[a]
	}
	return s
}

// fill places as many of the other addresses as possible; see the package documentation for what that means.
func (s *seating) fill() {
	unplaced := 0
	for _, n := range s.node {
		if n == none {
			unplaced++
		}
	}
	if unplaced == 0 {
		return
	}
	s.survey()
	for range unplaced {
		if !s.direct() && !s.augment() {
			break
		}
	}
	s.may, s.guest = nil, nil
}

// survey finds out who may go where, and who is where.
func (s *seating) survey() {
	s.guest = make([]int, len(s.hosts.nodes))
	for n := range s.guest {
		s.guest[n] = none
	}
	s.may = make([][]bool, len(s.addrs))
	for a, addr := range s.addrs {
		if n := s.node[a]; n != none {
			s.guest[n] = a
		}
		s.may[a] = make([]bool, len(s.hosts.nodes))
		for n := range s.hosts.nodes {
			s.may[a][n] = (s.hosts.nodes[n].TakesNew || n == s.home[a]) && s.hosts.suits(n, addr)
		}
	}
}

// direct places an address on the least loaded free node, if one may go there: no path is cheaper than that, because
// it moves nothing and every path ends on a free node. It spares the search in the common case.
func (s *seating) direct() bool {
	least := none
	for n := range s.hosts.nodes {
		if s.guest[n] == none && s.hosts.nodes[n].TakesNew && (least == none || s.hosts.load[n] < s.hosts.load[least]) {
			least = n
		}
	}
	if least == none {
		return false
	}
	for a := range s.addrs {
		if s.node[a] == none && s.may[a][least] {
			s.node[a], s.guest[least] = least, a
			s.hosts.load[least]++
			return true
		}
	}
	return false
}

const (
	move        int64 = 1 << 32 // outweighs every load
	unreachable int64 = math.MaxInt64
)

// cost of an address on a node, next to the load of that node.
func (s *seating) cost(a, n int) int64 {
	if s.home[a] == none || s.home[a] == n {
		return 0
	}
	return move
}

// augment follows the cheapest augmenting path, if there is one: along it every address takes the node of the next,
// and the last takes a free node.
func (s *seating) augment() bool {
	dist, from := s.paths()
	best, last, free := unreachable, none, none
	for a := range s.addrs {
		if dist[a] == unreachable {
			continue
		}
		for n := range s.hosts.nodes {
			if s.guest[n] != none || !s.may[a][n] {
				continue
			}
			if d := dist[a] + s.cost(a, n) + int64(s.hosts.load[n]); d < best {
				best, last, free = d, a, n
			}
		}
	}
	if last == none {
		return false
	}
	s.hosts.load[free]++
	for a, n := last, free; a != none; {
		left := s.node[a]
		s.node[a], s.guest[n] = n, a
		a, n = from[a], left
	}
	return true
}

// paths finds for every address the cheapest way to make it leave its node, starting from any unplaced address: what
// it costs, and which address takes its node. Costs along a path can be negative (an address that moved returns), so
// this is Bellman-Ford; there is no negative cycle, because the seating is the cheapest of its size.
func (s *seating) paths() (dist []int64, from []int) {
	dist, from = make([]int64, len(s.addrs)), make([]int, len(s.addrs))
	for a := range s.addrs {
		from[a] = none
		if s.node[a] != none {
			dist[a] = unreachable
		}
	}
	for changed := true; changed; {
		changed = false
		for a := range s.addrs {
			if dist[a] == unreachable {
				continue
			}
			for b, n := range s.node {
				if b == a || n == none || !s.may[a][n] {
					continue
				}
				if d := dist[a] + s.cost(a, n) - s.cost(b, n); d < dist[b] {
					dist[b], from[b], changed = d, a, true
				}
			}
		}
	}
	return dist, from
}
