package northbound

import (
	"cmp"
	"net/netip"
	"slices"
)

// ShardCount is how many shards the source ports of an EgressIP with several addresses are divided into: bits 3
// to 7 of the port. The three low bits are left out because kernels choose ephemeral ports by parity and in
// runs.
const ShardCount = 32

// Shards divides all ShardCount shards evenly over the served addresses. A shard stays with the address that had
// it as long as that address is served and has no more than its share, so that an established connection keeps
// its source. The result has sorted shards; it is empty when nothing is served.
func Shards(previous map[netip.Addr][]int32, served []netip.Addr) map[netip.Addr][]int32 {
	if len(served) == 0 {
		return map[netip.Addr][]int32{}
	}
	addresses := slices.Clone(served)
	slices.SortFunc(addresses, netip.Addr.Compare)
	addresses = slices.Compact(addresses)
	// Those that have most get the larger shares, so that the fewest shards move.
	slices.SortStableFunc(addresses, func(a, b netip.Addr) int {
		return cmp.Compare(len(previous[b]), len(previous[a]))
	})

	result := make(map[netip.Addr][]int32, len(addresses))
	taken := [ShardCount]bool{}
	share := func(i int) int {
		if i < ShardCount%len(addresses) {
			return ShardCount/len(addresses) + 1
		}
		return ShardCount / len(addresses)
	}
	for i, a := range addresses {
		result[a] = []int32{}
		for _, s := range previous[a] {
			if s >= 0 && s < ShardCount && !taken[s] && len(result[a]) < share(i) {
				taken[s] = true
				result[a] = append(result[a], s)
			}
		}
	}
	next := int32(0)
	for i, a := range addresses {
		for len(result[a]) < share(i) {
			for taken[next] {
				next++
			}
			taken[next] = true
			result[a] = append(result[a], next)
		}
		slices.Sort(result[a])
	}
	return result
}
