package cluster

import (
	"fmt"
	"strings"
	"testing"
)

func TestPortMatchesCoverExactlyTheNodePorts(t *testing.T) {
	covered := func(port int) (times int) {
		for _, match := range portMatches(nodePortsFirst, nodePortsLast) {
			var value, mask int
			if _, err := fmt.Sscanf(match, "0x%x/0x%x", &value, &mask); err != nil {
				t.Fatalf("match %q: %v", match, err)
			}
			if port&mask == value {
				times++
			}
		}
		return times
	}
	for port := range 0x10000 {
		want := 0
		if port >= nodePortsFirst && port <= nodePortsLast {
			want = 1
		}
		if got := covered(port); got != want {
			t.Fatalf("port %d is covered %d times, want %d", port, got, want)
		}
	}
}

func TestBridgeFlowsDecideOncePerPriority(t *testing.T) {
	s := planned(t, Options{Name: "c"})
	seen := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(bridgeFlows(
		&s.Nodes[0], serviceSubnet, bridgePorts{physical: "1", patch: "2"})), "\n") {
		match, _, found := strings.Cut(line, ",actions=")
		if !found {
			t.Errorf("flow without actions: %s", line)
		}
		if seen[match] {
			t.Errorf("two flows with %s", match)
		}
		seen[match] = true
	}
}

// spec/egressip.md 5.6: what a pod sends to a node keeps its own node's address, whatever the gateway router made
// of it, and the answers find back.
func TestPodToNodeTrafficKeepsTheNodeAddress(t *testing.T) {
	s := planned(t, Options{Name: "c"})
	flows := bridgeFlows(&s.Nodes[0], serviceSubnet, bridgePorts{physical: "1", patch: "2"})
	for _, want := range []string{
		"table=0,priority=510,in_port=2,ip,dl_src=02:42:ac:12:00:0b,pkt_mark=0x3f0," +
			"actions=ct(commit,zone=64000,nat(src=172.18.0.11),exec(set_field:1->ct_mark)),1\n",
		"table=0,priority=450,in_port=1,ip,nw_dst=172.18.0.11,actions=ct(zone=64000,nat,table=1)\n",
		"table=1,priority=100,ip,ct_state=+trk+est,ct_mark=1,actions=2\n",
	} {
		if !strings.Contains(flows, want) {
			t.Errorf("no flow %sin:\n%s", want, flows)
		}
	}
}
