package northbound

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"
	"pgregory.net/rapid"
)

func testLog(t *testing.T) logr.Logger { return testr.New(t) }

func gateway(i int) Gateway {
	return Gateway{
		Node:        fmt.Sprintf("n%d", i),
		JoinAddress: netip.AddrFrom4([4]byte{100, 64, 0, byte(i + 1)}),
		PodSubnets:  []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(i), 0}), 24)},
	}
}

func exampleNetworks() Networks {
	return Networks{
		Cluster: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")},
		Join:    []netip.Prefix{netip.MustParsePrefix("100.64.0.0/16")},
		Nodes:   []netip.Addr{netip.MustParseAddr("172.18.0.11"), netip.MustParseAddr("172.18.0.12")},
	}
}

func exampleEgressIP(c Capabilities) EgressIP {
	hosts := []Hosted{
		{Address: netip.MustParseAddr("172.18.0.201"), Gateway: gateway(2), Shards: []int32{0, 1, 2}},
		{Address: netip.MustParseAddr("172.18.0.202"), Gateway: gateway(3), Shards: []int32{3, 4}},
	}
	return EgressIP{
		Name: "prod", Layout: OVNKubernetes, Capabilities: c, Networks: exampleNetworks(), Hosts: hosts, Routed: hosts,
		Translated: []netip.Addr{netip.MustParseAddr("10.244.1.10"), netip.MustParseAddr("10.244.2.10")},
		Rerouted:   []netip.Addr{netip.MustParseAddr("10.244.1.10")},
	}
}

func allParents() Parents {
	p := Parents{Routers: map[string]bool{"ovn_cluster_router": true}, Switches: map[string]bool{}}
	for i := range 10 {
		p.Routers[fmt.Sprintf("GR_n%d", i)] = true
		p.Switches[fmt.Sprintf("n%d", i)] = true
	}
	return p
}

// asInstalled is what the database would have after the program was written.
func asInstalled(o Owner, p Program) Installed {
	var have Installed
	for i, r := range p.Policies {
		have.Policies = append(have.Policies, installed[Policy]{fmt.Sprintf("p%d", i), o.ids(r.Role, r.Router), r})
	}
	for i, r := range p.NATs {
		have.NATs = append(have.NATs, installed[NAT]{fmt.Sprintf("n%d", i), o.ids(r.Role, r.Router), r})
	}
	for i, r := range p.QoS {
		have.QoS = append(have.QoS, installed[QoS]{fmt.Sprintf("q%d", i), o.ids(r.Role, r.Switch), r})
	}
	for i, r := range p.Sets {
		have.Sets = append(have.Sets, installed[AddressSet]{fmt.Sprintf("s%d", i), o.ids(r.Role, ""), r})
	}
	return have
}

func lines(p Program) []string {
	var out []string
	for _, r := range p.Policies {
		out = append(out, fmt.Sprintf("%s %d %s %s %v", r.Router, r.Priority, r.Match, r.Action, r.Nexthops))
	}
	for _, r := range p.NATs {
		out = append(out, fmt.Sprintf("%s snat %s %s %q %d", r.Router, r.ExternalIP, r.LogicalIP, r.Match, r.Priority))
	}
	return out
}

func TestOneAddressIsOnePolicyAndOneTranslation(t *testing.T) {
	e := exampleEgressIP(Capabilities{NATMatch: true})
	e.Hosts, e.Routed = e.Hosts[:1], e.Routed[:1]
	translated, rerouted := setName(EgressIPOwner("prod"), "translated"), setName(EgressIPOwner("prod"), "rerouted")
	want := []string{
		"ovn_cluster_router 100 ip4.src == $" + rerouted + " reroute [100.64.0.3]",
		`GR_n2 500 inport == "rtoj-GR_n2" && ip4.src == $` + translated + " allow []",
		`GR_n2 snat 172.18.0.201 10.244.0.0/16 "ip4.src == $` + translated + ` && outport == \"rtoe-GR_n2\"" 10`,
	}
	if got := lines(CompileEgressIP(e)); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestSeveralAddressesShareByPortOnePolicyAProtocol(t *testing.T) {
	got := strings.Join(lines(CompileEgressIP(exampleEgressIP(Capabilities{NATMatch: true}))), "\n")
	for _, want := range []string{
		"&& tcp.src[3..7] == {0, 1, 2} reroute [100.64.0.3]", "&& udp.src[3..7] == {3, 4} reroute [100.64.0.4]",
		"&& sctp.src[3..7] == {3, 4} reroute [100.64.0.4]", "ovn_cluster_router 99 ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "||") || strings.Contains(got, "!=") {
		t.Errorf("disjunction or negated match in\n%s", got)
	}
}

func TestWithoutNATMatchThereIsARowAPodAndAddress(t *testing.T) {
	p := CompileEgressIP(exampleEgressIP(Capabilities{}))
	if len(p.NATs) != 4 {
		t.Errorf("%d translations for two pods and two addresses, want 4", len(p.NATs))
	}
	for _, n := range p.NATs {
		if n.Match != "" || strings.Contains(n.LogicalIP, "/") {
			t.Errorf("translation %+v, want a bare pod address and no match", n)
		}
	}
}

func TestRowsDoNotGrowWithPods(t *testing.T) {
	count := func(pods int) int {
		e := exampleEgressIP(Capabilities{NATMatch: true})
		e.Translated = nil
		for i := range pods {
			e.Translated = append(e.Translated, netip.AddrFrom4([4]byte{10, 244, byte(i >> 8), byte(i)}))
		}
		p := CompileEgressIP(e)
		return len(p.Policies) + len(p.NATs) + len(p.Sets)
	}
	if one, many := count(1), count(2000); one != many {
		t.Errorf("%d rows for one pod, %d for 2,000", one, many)
	}
}

func TestTheGuardAsksInOrder(t *testing.T) {
	z := Zone{
		Layout: OVNKubernetes, Capabilities: Capabilities{NATMatch: true, QoSMark: true}, Networks: exampleNetworks(),
		Switches: []string{"n1", "n2"}, Guarded: []Gateway{gateway(2)}, Served: []netip.Addr{netip.MustParseAddr("10.244.1.10")},
	}
	p := CompileZone(z)
	guard := slices.DeleteFunc(slices.Clone(p.Policies), func(r Policy) bool { return r.Router != "GR_n2" })
	slices.SortStableFunc(guard, func(a, b Policy) int { return b.Priority - a.Priority })
	var order []string
	for _, r := range guard {
		order = append(order, r.Role[strings.LastIndex(r.Role, ":")+1:]+" "+r.Action)
		if !strings.HasPrefix(r.Match, `inport == "rtoj-GR_n2" && `) || strings.Contains(r.Match, "!=") {
			t.Errorf("match %q, want traffic from the join port only and nothing negated", r.Match)
		}
	}
	want := []string{"reply allow", "marked-reply allow", "inside allow", "node allow", "served drop", "own-pods allow", "remote drop"}
	if !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	if len(p.QoS) != 4 {
		t.Errorf("%d QoS rows for two switches, want 4", len(p.QoS))
	}
}

func TestDiffOfWhatIsInstalledIsEmptyAndRepairsAnything(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		e := exampleEgressIP(Capabilities{NATMatch: rapid.Bool().Draw(rt, "match")})
		for range rapid.IntRange(0, 20).Draw(rt, "pods") {
			a := netip.AddrFrom4([4]byte{10, 244, rapid.Byte().Draw(rt, "x"), rapid.Byte().Draw(rt, "y")})
			e.Translated = append(e.Translated, a)
		}
		o := EgressIPOwner(e.Name)
		want := CompileEgressIP(e)
		have := asInstalled(o, want)
		if ops, _ := Diff(o, want, have, allParents()); len(ops) != 0 {
			rt.Fatalf("operations %v for rows that are there", ops)
		}
		i := rapid.IntRange(0, len(have.Policies)-1).Draw(rt, "policy")
		switch rapid.SampledFrom([]string{"edit", "ids", "delete", "duplicate"}).Draw(rt, "damage") {
		case "edit":
			have.Policies[i].value.Match = "1"
		case "ids":
			have.Policies[i].ids = maps.Clone(have.Policies[i].ids)
			have.Policies[i].ids["stray"] = "key"
		case "delete":
			have.Policies = slices.Delete(have.Policies, i, i+1)
		case "duplicate":
			extra := have.Policies[i]
			extra.uuid = "another"
			have.Policies = append(have.Policies, extra)
		}
		if ops, _ := Diff(o, want, have, allParents()); len(ops) == 0 || len(ops) > 2 {
			rt.Fatalf("%d operations to repair one row", len(ops))
		}
	})
}

func TestSetNamesAreIdentifiersAndDistinct(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"prod", "a-b", "a.b", "a_b", strings.Repeat("x", 253), strings.Repeat("x", 252) + "y"} {
		got := setName(EgressIPOwner(name), "translated")
		if strings.Trim(got, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			t.Errorf("%q is no identifier", got)
		}
		if other, ok := seen[got]; ok {
			t.Errorf("%q and %q share %q", name, other, got)
		}
		seen[got] = name
	}
}

func TestShards(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		address := rapid.Map(rapid.ByteRange(1, 12), func(b byte) netip.Addr { return netip.AddrFrom4([4]byte{172, 18, 0, b}) })
		first := rapid.SliceOfNDistinct(address, 1, 8, rapid.ID).Draw(rt, "first")
		second := rapid.SliceOfNDistinct(address, 1, 8, rapid.ID).Draw(rt, "second")
		before := Shards(nil, first)
		after := Shards(before, second)
		for _, result := range []map[netip.Addr][]int32{before, after} {
			var all []int32
			smallest, largest := ShardCount, 0
			for _, s := range result {
				all = append(all, s...)
				smallest, largest = min(smallest, len(s)), max(largest, len(s))
			}
			slices.Sort(all)
			if len(slices.Compact(all)) != ShardCount {
				rt.Fatalf("shards %v, want each of %d once", result, ShardCount)
			}
			if largest-smallest > 1 {
				rt.Fatalf("shards %v are uneven", result)
			}
		}
		for a, had := range before {
			if !slices.Contains(second, a) {
				continue
			}
			kept := 0
			for _, s := range had {
				if slices.Contains(after[a], s) {
					kept++
				}
			}
			if kept < min(len(had), len(after[a])) {
				rt.Fatalf("%s had %v and got %v: shards moved without need", a, had, after[a])
			}
		}
	})
}
