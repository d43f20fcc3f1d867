package controller

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
	"github.com/ovn-egress/ovn-egress/pkg/api/ovn-egress.io/v1alpha1"
	"github.com/ovn-egress/ovn-egress/pkg/assign"
)

const anAddress = "172.18.0.201"

// scene is a cluster with one EgressIP of one address.
type scene struct {
	*cluster
	e    *egressipv1.EgressIP
	plan plan
}

// newScene has nodes n1 and n2; the address is planned for target and, by status, served by serving ("" for none).
func newScene(target, serving string) scene {
	s := scene{e: newEgressIP("e", 1, metav1.LabelSelector{}, metav1.LabelSelector{}, anAddress)}
	s.cluster = &cluster{
		egressIPs: []*egressipv1.EgressIP{s.e}, nodes: map[string]nodeFacts{}, egressNodes: map[string]*v1alpha1.EgressNode{},
	}
	for _, n := range []string{"n1", "n2"} {
		s.nodes[n] = nodeFacts{name: n, ready: true}
		s.egressNodes[n] = &v1alpha1.EgressNode{ObjectMeta: metav1.ObjectMeta{Name: n}}
	}
	var p assign.Plan
	if target != "" {
		p.Placements = []assign.Placement{{EgressIP: "e", Address: netip.MustParseAddr(anAddress), Node: target, Network: "ovn"}}
	}
	s.plan = indexed(p)
	if serving != "" {
		s.e.Status.Items = []egressipv1.EgressIPStatusItem{{Node: serving, EgressIP: anAddress}}
	}
	s.index()
	return s
}

// prepared makes the node prepare the address, confirmed or not.
func (s scene) prepares(node string, ready bool) scene {
	n := s.egressNodes[node]
	n.Spec.Addresses = []v1alpha1.EgressNodeAddress{{Address: anAddress, EgressIP: "e", Network: "ovn", Generation: 1, TargetConfig: 5}}
	n.Status.Addresses = []v1alpha1.EgressNodeAddressStatus{{Address: anAddress, Generation: 1, Ready: ready}}
	s.index()
	return s
}

func (s scene) lost(node string) scene {
	s.nodes[node] = nodeFacts{name: node}
	return s
}

func (s scene) before(reason string) scene {
	s.e.Status.Conditions = []metav1.Condition{{Type: egressipv1.ConditionAssigned, Reason: reason}}
	return s
}

func TestWhereTrafficGoes(t *testing.T) {
	for _, tc := range []struct {
		name    string
		scene   scene
		served  string // node, "" for none
		guarded bool
	}{
		{"the first node is not ready: pods leave as before", newScene("n1", "").prepares("n1", false), "", false},
		{"the first node is ready", newScene("n1", "").prepares("n1", true), "n1", true},
		{"a move waits for the new node", newScene("n2", "n1").prepares("n1", true).prepares("n2", false), "n1", true},
		{"a move happens when the new node is ready", newScene("n2", "n1").prepares("n1", true).prepares("n2", true), "n2", true},
		{"the node is lost: silence until the next is ready", newScene("n2", "n1").prepares("n1", true).prepares("n2", false).lost("n1"), "", true},
		{"still silent after a change of the leader", newScene("n2", "").prepares("n2", false).before(reasonMoving), "", true},
		{"the node is lost: the next is ready", newScene("n2", "n1").prepares("n1", true).prepares("n2", true).lost("n1"), "n2", true},
		{"no node can host it: pods leave with the node's address", newScene("", "n1").prepares("n1", true), "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := serve(tc.scene.e, tc.scene.cluster, tc.scene.plan)
			node := ""
			if len(got.served) == 1 {
				node = got.served[0].node
			}
			if node != tc.served || got.guarded != tc.guarded {
				t.Errorf("served by %q, guarded %v, want %q, %v", node, got.guarded, tc.served, tc.guarded)
			}
		})
	}
}

func TestANodeWithoutLabelServesOnWhileNoOtherHasAnAgent(t *testing.T) {
	for _, tc := range []struct {
		name   string
		reason assign.Reason
		lost   bool
		want   bool
	}{
		{"the others have no agent yet", assign.NoAgent, false, true},
		{"there are no others", assign.NoEgressNode, false, false},
		{"it is lost itself", assign.NoAgent, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScene("", "n1").prepares("n1", true)
			if tc.lost {
				s = s.lost("n1")
			}
			p := indexed(assign.Plan{Refusals: []assign.Refusal{{EgressIP: "e", Address: anAddress, Reason: tc.reason, Message: "why"}}})
			got := serve(s.e, s.cluster, p)
			if served := len(got.served) == 1; served != tc.want || got.guarded != tc.want {
				t.Errorf("served %v, guarded %v, want %v", served, got.guarded, tc.want)
			}
			status, _ := report(s.e, p, got, nil)
			if served := status.Conditions[0].Status == metav1.ConditionTrue; served != tc.want {
				t.Errorf("condition %+v, want Assigned %v", status.Conditions[0], tc.want)
			}
		})
	}
}

func TestAnAgentThatIsHeardAgainIsNews(t *testing.T) {
	at := func(d time.Duration) *metav1.MicroTime { return &metav1.MicroTime{Time: time.Unix(0, 0).Add(d)} }
	for _, tc := range []struct {
		before, after *metav1.MicroTime
		want          bool
	}{{nil, nil, false}, {nil, at(0), true}, {at(0), at(5 * time.Second), false}, {at(0), at(freshFor), true}} {
		if got := revived(tc.before, tc.after); got != tc.want {
			t.Errorf("revived(%v, %v) = %v, want %v", tc.before, tc.after, got, tc.want)
		}
	}
}

func TestWhatNodesPrepare(t *testing.T) {
	stays := func(place) bool { return true }
	goes := func(place) bool { return false }
	for _, tc := range []struct {
		name      string
		scene     scene
		departing func(place) bool
		want      []string
	}{
		{"the plan", newScene("n1", ""), goes, []string{"n1"}},
		{"the old node as long as traffic goes there", newScene("n2", "n1").prepares("n1", true), goes, []string{"n1", "n2"}},
		{"the old node until the departure is over", newScene("n2", "n2").prepares("n1", true).prepares("n2", true), stays, []string{"n1", "n2"}},
		{"not longer", newScene("n2", "n2").prepares("n1", true).prepares("n2", true), goes, []string{"n2"}},
		{"no lost node", newScene("n2", "n1").prepares("n1", true).lost("n1"), stays, []string{"n2"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for node, entries := range prepare(tc.scene.plan, tc.scene.cluster, tc.departing) {
				if len(entries) > 0 {
					got = append(got, node)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, tc.want) {
				t.Errorf("prepare on %v, want %v", got, tc.want)
			}
		})
	}
}

func TestANewAddressWaitsForAnotherOfItsEgressIPToLeaveTheNode(t *testing.T) {
	s := newScene("n1", "")
	s.e.Spec.EgressIPs = append(s.e.Spec.EgressIPs, "172.18.0.202")
	other := v1alpha1.EgressNodeAddress{Address: "172.18.0.202", EgressIP: "e", Network: "ovn", Generation: 1}
	s.egressNodes["n1"].Spec.Addresses = []v1alpha1.EgressNodeAddress{other}
	s.index()
	if got := prepare(s.plan, s.cluster, func(place) bool { return true })["n1"]; len(got) != 1 || got[0].Address != other.Address {
		t.Errorf("prepare %v, want only the address that is leaving", got)
	}
	if got := prepare(s.plan, s.cluster, func(place) bool { return false })["n1"]; len(got) != 1 || got[0].Address != anAddress {
		t.Errorf("prepare %v, want only the new address", got)
	}
}

func TestAReplacedAddressDoesNotHoldUpItsSuccessor(t *testing.T) {
	s := newScene("n1", "")
	s.egressNodes["n1"].Spec.Addresses = []v1alpha1.EgressNodeAddress{
		{Address: "172.18.0.202", EgressIP: "e", Network: "ovn", Generation: 1}, // no longer in the spec
	}
	s.index()
	if got := prepare(s.plan, s.cluster, func(place) bool { return true })["n1"]; len(got) != 1 || got[0].Address != anAddress {
		t.Errorf("prepare %v, want the new address at once", got)
	}
}

func TestAPlaceThatIsBeingLeftIsNotWhereTheAddressIs(t *testing.T) {
	s := newScene("n2", "n2").prepares("n1", true).prepares("n2", true)
	left := prepare(s.plan, s.cluster, func(place) bool { return true })
	if !left["n1"][0].Leaving || left["n2"][0].Leaving {
		t.Fatalf("prepare %v, want n1 to be left", left)
	}
	for node, entries := range left {
		s.egressNodes[node].Spec.Addresses = entries
	}
	s.index()
	if got := s.current(s.e)[netip.MustParseAddr(anAddress)]; got != "n2" {
		t.Errorf("the address is on %s, want n2: it would move back", got)
	}
	s.plan = newScene("n1", "").plan
	if back := prepare(s.plan, s.cluster, func(place) bool { return true }); back["n1"][0].Leaving {
		t.Errorf("prepare %v, want n1 to stay when the plan wants it again", back)
	}
}

func TestTheNewPlaceIsAnnouncedAgainWhenTheOldOneIsGivenUp(t *testing.T) {
	s := newScene("n2", "n2").prepares("n1", true).prepares("n2", true)
	if kept := prepare(s.plan, s.cluster, func(place) bool { return true })["n2"][0]; kept.Announcement != 0 {
		t.Errorf("announcement %d while the old place still answers, want none", kept.Announcement)
	}
	if given := prepare(s.plan, s.cluster, func(place) bool { return false })["n2"][0]; given.Announcement != 1 {
		t.Errorf("announcement %d, want the first", given.Announcement)
	}
}

func TestAPlacementThatReturnsIsConfirmedAnew(t *testing.T) {
	s := newScene("n1", "")
	s.egressNodes["n1"].Generation = 7
	entry := prepare(s.plan, s.cluster, nil)["n1"][0]
	if entry.Generation != 8 || entry.TargetConfig != 0 {
		t.Errorf("generation %d, target %d, want 8 and none", entry.Generation, entry.TargetConfig)
	}
}

func TestADepartureEndsAfterTheOverlapOnceConfirmed(t *testing.T) {
	start := time.Unix(0, 0)
	d := departure{config: 5, since: start}
	for _, tc := range []struct {
		after     time.Duration
		confirmed int64
		want      bool
	}{
		{0, 5, false}, {overlap, 5, true}, {overlap, 4, false}, {overlapAtMost, 4, true},
	} {
		if got, _ := d.over(start.Add(tc.after), tc.confirmed); got != tc.want {
			t.Errorf("after %s with %d confirmed: over %v, want %v", tc.after, tc.confirmed, got, tc.want)
		}
	}
}

func TestReportsSayWhatIsMissing(t *testing.T) {
	s := newScene("", "")
	p := indexed(assign.Plan{Refusals: []assign.Refusal{{
		EgressIP: "e", Address: anAddress, Reason: assign.NoEgressNode, Message: "no node is labelled",
	}}})
	status, events := report(s.e, p, serve(s.e, s.cluster, p), nil)
	if c := status.Conditions[0]; c.Status != metav1.ConditionFalse || c.Reason != "NoEgressNode" ||
		c.Message != "0 of 1 addresses are served; no node is labelled" {
		t.Errorf("condition %+v", c)
	}
	if len(events) != 1 || events[0].reason != "NoMatchingNodeFound" {
		t.Errorf("events %+v, want NoMatchingNodeFound", events)
	}
	s.e.Status = status
	if again, events := report(s.e, p, serve(s.e, s.cluster, p), nil); len(events) != 0 || fmt.Sprint(again) != fmt.Sprint(status) {
		t.Errorf("a second report gives events %v and status %v", events, again)
	}
}
