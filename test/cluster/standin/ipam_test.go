package standin

import (
	"fmt"
	"net/netip"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

func nodeWithSubnets(name string, subnets ...string) cluster.Node {
	node := cluster.Node{Name: name}
	for _, s := range subnets {
		node.PodSubnets = append(node.PodSubnets, netip.MustParsePrefix(s))
	}
	return node
}

func TestNoTwoLivePodsShareAnAddress(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := []cluster.Node{
			nodeWithSubnets("node1", "10.244.4.0/28", "fd00:10:244:1::/64"),
			nodeWithSubnets("node2", "10.244.8.0/29", "fd00:10:244:2::/64"),
		}
		pool := newAddressPool(nodes)
		live := map[netip.Addr]types.UID{}
		mine := map[types.UID][]netip.Prefix{}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			pod := types.UID(fmt.Sprint("pod", rapid.IntRange(0, 20).Draw(t, "pod")))
			if rapid.Bool().Draw(t, "release") {
				pool.release(pod)
				for _, p := range mine[pod] {
					delete(live, p.Addr())
				}
				delete(mine, pod)
				continue
			}
			node := rapid.SampledFrom(nodes).Draw(t, "node")
			var wanted []netip.Addr
			if rapid.Bool().Draw(t, "wants") {
				wanted = []netip.Addr{nthAddress(node.PodSubnets[0], rapid.IntRange(0, 16).Draw(t, "host"))}
			}
			got, err := pool.claim(pod, node.Name, wanted)
			if err != nil {
				continue
			}
			if mine[pod] == nil && len(wanted) > 0 && got[0].Addr() != wanted[0] {
				t.Fatalf("%s wanted %s, got %s", pod, wanted, got)
			}
			if before := mine[pod]; before != nil && fmt.Sprint(before) != fmt.Sprint(got) {
				t.Fatalf("%s had %s, now %s", pod, before, got)
			}
			for _, p := range got {
				if holder, ok := live[p.Addr()]; ok && holder != pod {
					t.Fatalf("%s given to %s and %s", p, holder, pod)
				}
				if n := hostNumber(p); n < firstPodHost || p.Addr().Is4() && n == 1<<(32-p.Bits())-1 {
					t.Fatalf("%s given to %s: host number %d is not a pod's", p, pod, n)
				}
				live[p.Addr()] = pod
			}
			mine[pod] = got
		}
	})
}

// hostNumber is how far the address is from its subnet's start.
func hostNumber(p netip.Prefix) int {
	n := 0
	for addr := p.Masked().Addr(); addr != p.Addr(); addr = addr.Next() {
		n++
	}
	return n
}

func TestAnAddressGivenBackIsUsedLast(t *testing.T) {
	pool := newAddressPool([]cluster.Node{nodeWithSubnets("node1", "10.244.4.0/29")})
	var got []string
	for i := range 6 { // the subnet has four: .3 to .6
		pod := types.UID(fmt.Sprint("pod", i))
		address, err := pool.claim(pod, "node1", nil)
		if err != nil {
			t.Fatal(err)
		}
		pool.release(pod)
		got = append(got, address[0].String())
	}
	want := "[10.244.4.3/29 10.244.4.4/29 10.244.4.5/29 10.244.4.6/29 10.244.4.3/29 10.244.4.4/29]"
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAFullSubnetIsFullUntilAnAddressIsReleased(t *testing.T) {
	pool := newAddressPool([]cluster.Node{nodeWithSubnets("node1", "10.244.4.0/29")})
	for i := range 4 {
		if _, err := pool.claim(types.UID(fmt.Sprint("pod", i)), "node1", nil); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := pool.claim("pod4", "node1", nil); err == nil {
		t.Fatalf("a fifth pod got %v", got)
	}
	pool.release("pod2")
	got, err := pool.claim("pod4", "node1", nil)
	if err != nil || got[0].String() != "10.244.4.5/29" {
		t.Errorf("got %v, %v, want the released 10.244.4.5/29", got, err)
	}
}

func TestAWantedAddressIsRefused(t *testing.T) {
	for _, tc := range []struct{ why, addr string }{
		{"held by another pod", "10.244.4.3"},
		{"of another node", "10.244.8.3"},
		{"router port", "10.244.4.1"},
		{"management port", "10.244.4.2"},
		{"broadcast", "10.244.7.255"},
		{"network", "10.244.4.0"},
	} {
		t.Run(tc.why, func(t *testing.T) {
			pool := newAddressPool([]cluster.Node{
				nodeWithSubnets("node1", "10.244.4.0/22"), nodeWithSubnets("node2", "10.244.8.0/22"),
			})
			if _, err := pool.claim("first", "node1", nil); err != nil {
				t.Fatal(err)
			}
			if got, err := pool.claim("second", "node1", []netip.Addr{netip.MustParseAddr(tc.addr)}); err == nil {
				t.Errorf("got %v, want an error", got)
			}
		})
	}
}
