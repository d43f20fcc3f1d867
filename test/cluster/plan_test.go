package cluster

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func planned(t *testing.T, o Options) *State {
	t.Helper()
	o.setDefaults()
	s, err := plan(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNodeOneIsWhereTheContractSaysItIs(t *testing.T) {
	s := planned(t, Options{Name: "c", ExternalNetworks: 3})
	got := s.Nodes[0]
	want := Node{
		Name: "node1", ID: 2, Namespace: "nc-c-node1", Directory: "/run/netcluster/c/nodes/node1", Zone: "global",
		MAC:       "02:42:ac:12:00:0b",
		Addresses: []netip.Prefix{netip.MustParsePrefix("172.18.0.11/16")},
		SecondaryAddresses: []netip.Prefix{
			netip.MustParsePrefix("10.10.10.11/24"), netip.MustParsePrefix("10.10.20.11/24"),
		},
		PodSubnets:        []netip.Prefix{netip.MustParsePrefix("10.244.4.0/22")},
		JoinAddresses:     []netip.Addr{netip.MustParseAddr("100.64.0.2")},
		ManagementPortMAC: "0a:58:0a:f4:04:02",
	}
	if diff := cmp.Diff(want, got, comparePrefixes(), cmpopts.IgnoreFields(Node{}, "Chassis")); diff != "" {
		t.Error(diff)
	}
	if got.Chassis == "" || got.Chassis == s.Nodes[1].Chassis {
		t.Errorf("chassis %q of node1 and %q of node2 do not tell them apart", got.Chassis, s.Nodes[1].Chassis)
	}
}

func TestNoAddressIsUsedTwiceInTheLargestCluster(t *testing.T) {
	s := planned(t, Options{Name: "c", Nodes: maxNodes, ExternalNetworks: maxExternalNetworks})
	users := map[netip.Addr]string{gatewayAddress: "gateway", controlAddress: "control plane"}
	use := func(who string, addresses ...netip.Addr) {
		for _, a := range addresses {
			if other, used := users[a]; used {
				t.Errorf("%s is both %s's and %s's", a, other, who)
			}
			users[a] = who
		}
	}
	for _, n := range s.Nodes {
		for _, p := range append(append([]netip.Prefix{}, n.Addresses...), n.SecondaryAddresses...) {
			use(n.Name, p.Addr())
		}
		use(n.Name, n.JoinAddresses...)
		if !clusterSubnet.Overlaps(n.PodSubnets[0]) || n.PodSubnets[0] != n.PodSubnets[0].Masked() {
			t.Errorf("%s has pod subnet %s", n.Name, n.PodSubnets[0])
		}
		use(n.Name, n.PodSubnets[0].Addr())
	}
	for _, e := range s.Externals {
		use(e.Name, e.Addresses...)
	}
	use("EgressIP range", s.EgressIPRange...)
	if len(s.EgressIPRange) < 16 {
		t.Errorf("only %d addresses for EgressIPs", len(s.EgressIPRange))
	}
}

func TestOptionsThatCannotBeAreRefusedWithTheReason(t *testing.T) {
	for _, test := range []struct {
		options Options
		want    string
	}{
		{Options{Name: "Upper"}, `"Upper" does not match`},
		{Options{Name: "with-dash"}, `"with-dash" does not match`},
		{Options{Name: "thirteenchars"}, `"thirteenchars" does not match`},
		{Options{Nodes: maxNodes + 1}, "61 nodes"},
		{Options{Nodes: -1}, "-1 nodes"},
		{Options{ExternalNetworks: 10}, "10 external networks"},
		{Options{OVN: "buster"}, `OVN release "buster": choose distro, trixie or sid`},
		{Options{Topology: "interconnect"}, "not yet"},
		{Options{Topology: "ring"}, "choose central or interconnect"},
		{Options{IP: "6"}, "address family 6: not yet"},
		{Options{IP: "dual"}, "address family dual: not yet"},
		{Options{IP: "5"}, "choose 4, 6 or dual"},
	} {
		test.options.setDefaults()
		_, err := plan(test.options)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: got error %v, want one with %q", test.options, err, test.want)
		}
	}
}

func TestStateSurvivesItsFile(t *testing.T) {
	want := planned(t, Options{Name: "c", ExternalNetworks: 2})
	raw, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got := &State{}
	if err := json.Unmarshal(raw, got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, comparePrefixes()); diff != "" {
		t.Error(diff)
	}
}

func TestStatusHasTheFieldsThatScriptsUse(t *testing.T) {
	raw, err := json.Marshal(planned(t, Options{Name: "c"}).Status())
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "egressIPRange")
	got["nodes"] = got["nodes"].([]any)[0]
	want := map[string]any{
		"name": "c", "ovn": "distro", "topology": "central", "kubeconfig": "/run/netcluster/c/kubeconfig",
		"nodes": map[string]any{
			"name": "node1", "addresses": []any{"172.18.0.11"}, "zone": "global", "podSubnets": []any{"10.244.4.0/22"},
		},
		"zones": []any{map[string]any{
			"name": "global", "nb": "unix:/run/netcluster/c/ovn/nb.sock", "sb": "unix:/run/netcluster/c/ovn/sb.sock",
		}},
		"externals": []any{map[string]any{
			"name": "ext1", "addresses": []any{"172.18.0.100", "198.51.100.1"},
			"subnets": []any{"172.18.0.0/16"}, "gateways": []any{"172.18.0.1"},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func comparePrefixes() cmp.Option {
	return cmp.Options{
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	}
}
