package agent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/ovn-egress/ovn-egress/pkg/agent/vswitch"
	"github.com/ovn-egress/ovn-egress/pkg/api/ovn-egress.io/v1alpha1"
)

// reported are facts of a node with one address, before any status was written.
func reported() facts {
	return facts{
		Spec:       v1alpha1.EgressNodeSpec{Epoch: 5, Addresses: []v1alpha1.EgressNodeAddress{entry(3, 10)}},
		Generation: 8, BootID: boot, Interface: "br-ex", OVS: chassisAt(10), Now: start,
	}
}

func TestCompileStatusAnswersEveryAddressOfTheSpec(t *testing.T) {
	f := reported()
	second := entry(4, 11)
	second.Address = "172.18.0.201"
	third := entry(5, 10)
	third.Address = "172.18.0.202"
	f.Spec.Addresses = append(f.Spec.Addresses, second, third)
	l := ledger{}.observe(f.Spec.Addresses, f.OVS, f.Now)
	l.announced(l.due(f.Now), 1, fmt.Errorf("network is down"), f.Now)

	want := []v1alpha1.EgressNodeAddressStatus{
		{Address: address, Generation: 3, Ready: true, Interface: "br-ex"},
		{Address: "172.18.0.201", Generation: 4, Message: "the chassis has installed configuration 10, needed is 11"},
		{Address: "172.18.0.202", Generation: 5, Interface: "br-ex", Message: "not announced: network is down"},
	}
	s := compileStatus(f, l)
	if diff := cmp.Diff(want, s.Addresses); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	if s.BootID != boot || s.Epoch != 5 || s.ObservedGeneration != 8 || !s.Heartbeat.Time.Equal(start) {
		t.Errorf("status = %+v", s)
	}
	if got := countReady(s); got != 1 {
		t.Errorf("ready addresses = %d, want 1", got)
	}
}

func TestConditions(t *testing.T) {
	failing := ledger{address: {Installed: true, Announced: true, Problem: "network is down"}}
	tests := []struct {
		name    string
		change  func(*facts)
		ledger  ledger
		typ     string
		status  metav1.ConditionStatus
		reason  string
		message string
	}{
		{name: "announcing when nothing fails", typ: ConditionAnnouncing, status: metav1.ConditionTrue, reason: "Announced"},
		{name: "not announcing what cannot be sent", ledger: failing, typ: ConditionAnnouncing,
			status: metav1.ConditionFalse, reason: "AnnouncementFailed", message: address + ": network is down"},
		{name: "announcing the bridge's MAC address, and why", change: func(f *facts) { f.Gateway = "no annotation" },
			typ: ConditionAnnouncing, status: metav1.ConditionTrue, reason: "BridgeAddress", message: "of br-ex: no annotation"},
		{name: "connected", typ: ConditionOVSConnected, status: metav1.ConditionTrue, reason: "Connected"},
		{name: "connected to what cannot be read", change: func(f *facts) { f.OVS = vswitch.State{Connected: true, Problem: "no bridge br-int"} },
			typ: ConditionOVSConnected, status: metav1.ConditionTrue, reason: "Unreadable", message: "no bridge br-int"},
		{name: "disconnected", change: func(f *facts) { f.OVS = vswitch.State{Problem: "refused"} },
			typ: ConditionOVSConnected, status: metav1.ConditionFalse, reason: "Disconnected", message: "refused"},
		{name: "an equal epoch is accepted", change: func(f *facts) { f.Epoch = 5 }, typ: ConditionEpochAccepted, status: metav1.ConditionTrue, reason: "Accepted"},
		{name: "a lower epoch is not", change: func(f *facts) { f.Epoch = 6 }, typ: ConditionEpochAccepted,
			status: metav1.ConditionFalse, reason: "LowerEpoch", message: "spec.epoch 5 is lower than 6"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			f := reported()
			if tc.change != nil {
				tc.change(&f)
			}
			c := meta.FindStatusCondition(compileStatus(f, tc.ledger).Conditions, tc.typ)
			if c == nil || c.Status != tc.status || c.Reason != tc.reason || !strings.Contains(c.Message, tc.message) {
				t.Fatalf("condition = %+v, want %s, %s, %q", c, tc.status, tc.reason, tc.message)
			}
			if c.ObservedGeneration != 8 || !c.LastTransitionTime.Time.Equal(start) {
				t.Errorf("condition = %+v, want generation 8 and the time of the change", c)
			}
		})
	}
}

func TestALowerEpochKeepsTheStatus(t *testing.T) {
	f := reported()
	f.Previous = v1alpha1.EgressNodeStatus{
		BootID: boot, Epoch: 6, ObservedGeneration: 7,
		Addresses: []v1alpha1.EgressNodeAddressStatus{{Address: "172.18.0.250", Generation: 2, Ready: true}},
	}
	f.Epoch = 6
	s := compileStatus(f, ledger{})
	if diff := cmp.Diff(f.Previous.Addresses, s.Addresses); diff != "" || s.ObservedGeneration != 7 || s.Epoch != 6 {
		t.Errorf("status = %+v, want that of before", s)
	}
	if !s.Heartbeat.Time.Equal(start) {
		t.Errorf("heartbeat = %s, want it renewed: the agent is alive", s.Heartbeat)
	}

	f.BootID = "boot-2"
	if s := compileStatus(f, ledger{}); s.Addresses[0].Ready || s.BootID != "boot-2" {
		t.Errorf("status = %+v, want nothing ready that an earlier boot installed", s)
	}
	if !f.Previous.Addresses[0].Ready {
		t.Error("the previous status was changed")
	}
}

func TestAConditionKeepsTheTimeOfItsLastChange(t *testing.T) {
	f := reported()
	f.Previous = compileStatus(f, nil)
	f.Now = start.Add(time.Minute)
	f.OVS = vswitch.State{}
	s := compileStatus(f, nil)
	if c := meta.FindStatusCondition(s.Conditions, ConditionOVSConnected); !c.LastTransitionTime.Time.Equal(f.Now) {
		t.Errorf("%s changed at %s, want now", c.Type, c.LastTransitionTime)
	}
	if c := meta.FindStatusCondition(s.Conditions, ConditionAnnouncing); !c.LastTransitionTime.Time.Equal(start) {
		t.Errorf("%s changed at %s, want a minute ago", c.Type, c.LastTransitionTime)
	}
}

func TestTheHeartbeatIsDueAfterItsInterval(t *testing.T) {
	at := func(d time.Duration) v1alpha1.EgressNodeStatus {
		return v1alpha1.EgressNodeStatus{Heartbeat: &metav1.MicroTime{Time: start.Add(d)}}
	}
	tests := map[string]struct {
		status v1alpha1.EgressNodeStatus
		want   time.Time
	}{
		"the first is due now":                      {v1alpha1.EgressNodeStatus{}, start},
		"the next after an interval":                {at(-time.Second), start.Add(4 * time.Second)},
		"at once if the clock was set back an hour": {at(time.Hour), start},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := heartbeatDue(tc.status, 5*time.Second, start); !got.Equal(tc.want) {
				t.Errorf("due %s, want %s", got, tc.want)
			}
		})
	}
}

// Whatever happens in whatever order: what is called ready has been installed and announced for its generation, and
// the chassis was not seen without it since.
func TestReadyMeansInstalledAndAnnounced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now, l := start, ledger{}
		generation, target, config := int64(1), int64(0), int64(0)
		connected, installed, announced := true, false, false
		proof := int64(0) // least number that a chassis with the rows has
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 4000).Draw(t, "ms")) * time.Millisecond)
			switch rapid.SampledFrom([]string{"place anew", "write rows", "install", "lose flows", "connection"}).Draw(t, "what") {
			case "place anew":
				generation, target, installed = generation+1, 0, false
			case "write rows":
				target = config + 1
			case "install":
				config++
			case "lose flows":
				config = 0
			case "connection":
				connected = !connected
			}
			ovs := vswitch.State{Connected: connected}
			if connected {
				ovs.Chassis.Config = config
				if installed && config < min(proof, target) {
					installed = false
				}
				if target > 0 && config >= target && !installed {
					installed, proof = true, target
				}
				proof = min(proof, target)
			}
			f := reported()
			f.Now, f.OVS, f.Spec.Addresses = now, ovs, []v1alpha1.EgressNodeAddress{entry(generation, target)}
			l = l.observe(f.Spec.Addresses, f.OVS, f.Now)
			announced = announced && installed
			if due := l.due(now); len(due) > 0 && rapid.Bool().Draw(t, "the interface works") {
				l.announced(due, len(due), nil, now)
				announced = true
			} else if len(due) > 0 {
				l.announced(due, 0, fmt.Errorf("network is down"), now)
			}
			got := compileStatus(f, l).Addresses[0]
			if want := installed && announced; got.Ready != want || got.Generation != generation {
				t.Fatalf("status = %+v, want ready %t for generation %d (installed %t, announced %t, record %+v)",
					got, want, generation, installed, announced, l[address])
			}
			if !got.Ready && got.Message == "" {
				t.Fatalf("not ready, and no word why: %+v", got)
			}
		}
	})
}
