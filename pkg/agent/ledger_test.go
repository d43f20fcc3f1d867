package agent

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ovn-egress/ovn-egress/pkg/agent/vswitch"
	"github.com/ovn-egress/ovn-egress/pkg/api/ovn-egress.io/v1alpha1"
)

var start = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

const (
	address = "172.18.0.200"
	boot    = "boot-1"
)

func entry(generation, target int64) v1alpha1.EgressNodeAddress {
	return v1alpha1.EgressNodeAddress{
		Address: address, EgressIP: "prod", Network: v1alpha1.NetworkOVN, Generation: generation, TargetConfig: target,
	}
}

// chassisAt is a connected database whose chassis has installed that configuration.
func chassisAt(config int64) vswitch.State {
	return vswitch.State{Connected: true, Chassis: vswitch.Chassis{
		Config: config, Recorded: start, Started: start.Add(-time.Hour),
	}}
}

// restartedAt is the same after a restart of ovn-controller, which has not written the number again.
func restartedAt(config int64, since time.Duration) vswitch.State {
	s := chassisAt(config)
	s.Chassis.Started = start.Add(-since)
	s.Chassis.Recorded = s.Chassis.Started.Add(-time.Minute)
	return s
}

func TestWhenAPlacementIsInstalled(t *testing.T) {
	disconnected := vswitch.State{Problem: "gone"}
	installed := record{Generation: 3, Addr: netip.MustParseAddr(address), Installed: true, Target: 10, Announced: true, Sent: 2}
	adopted := installed
	adopted.Target = 0
	tests := []struct {
		name    string
		before  record
		entry   v1alpha1.EgressNodeAddress
		ovs     vswitch.State
		want    bool // installed
		waiting string
	}{
		{name: "not before its rows have a number", entry: entry(3, 0), ovs: chassisAt(99), waiting: "not written"},
		{name: "not while the chassis is behind", entry: entry(3, 10), ovs: chassisAt(9), waiting: "configuration 9, needed is 10"},
		{name: "once the chassis has the number", entry: entry(3, 10), ovs: chassisAt(10), want: true},
		{name: "also when the chassis is ahead", entry: entry(3, 10), ovs: chassisAt(11), want: true},
		{name: "not while Open vSwitch is away", entry: entry(3, 10), ovs: disconnected, waiting: "not connected"},
		{name: "not without a number", entry: entry(3, 10), ovs: vswitch.State{Connected: true}, waiting: "configuration 0"},
		{name: "not by a number of before ovn-controller's start", entry: entry(3, 10), ovs: restartedAt(10, time.Second), waiting: "not confirmed"},
		{name: "but by such a number when ovn-controller has run for long", entry: entry(3, 10), ovs: restartedAt(10, patience), want: true},

		{name: "stays while Open vSwitch is away", before: installed, entry: entry(3, 10), ovs: disconnected, want: true},
		{name: "stays over a restart of ovn-controller", before: installed, entry: entry(3, 10), ovs: restartedAt(10, time.Second), want: true},
		{name: "stays when rows are written later", before: installed, entry: entry(3, 20), ovs: chassisAt(10), want: true},
		{name: "ends when the chassis falls behind", before: installed, entry: entry(3, 10), ovs: chassisAt(9), waiting: "needed is 10"},
		{name: "ends when the number vanishes", before: installed, entry: entry(3, 10), ovs: vswitch.State{Connected: true}, waiting: "needed is 10"},
		{name: "ends with its generation", before: installed, entry: entry(4, 11), ovs: chassisAt(10), waiting: "needed is 11"},

		{name: "an earlier process is believed while Open vSwitch is away", before: adopted, entry: entry(3, 10), ovs: disconnected, want: true},
		{name: "an earlier process is not believed against the chassis", before: adopted, entry: entry(3, 10), ovs: chassisAt(9), waiting: "needed is 10"},
		{name: "an earlier process is not believed after a restart of ovn-controller", before: adopted, entry: entry(3, 10), ovs: restartedAt(10, time.Second), waiting: "not confirmed"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			before := ledger{}
			if tc.before.Generation != 0 {
				before[address] = tc.before
			}
			got := before.observe([]v1alpha1.EgressNodeAddress{tc.entry}, tc.ovs, start)[address]
			if got.Installed != tc.want || got.Generation != tc.entry.Generation {
				t.Errorf("record = %+v, want installed %t", got, tc.want)
			}
			if (tc.waiting == "") != (got.Waiting == "") || !strings.Contains(got.Waiting, tc.waiting) {
				t.Errorf("waiting for %q, want %q", got.Waiting, tc.waiting)
			}
			if !got.Installed && (got.Announced || got.Sent != 0) {
				t.Errorf("record = %+v: what is not installed is announced anew when it is", got)
			}
		})
	}
}

func TestEntriesThatCannotBeHostedSayWhy(t *testing.T) {
	tests := map[string]struct {
		change func(*v1alpha1.EgressNodeAddress)
		want   string
	}{
		"no address":       {func(e *v1alpha1.EgressNodeAddress) { e.Address = "172.18.0" }, `"172.18.0" is not an IP address`},
		"another spelling": {func(e *v1alpha1.EgressNodeAddress) { e.Address = "FD00::1" }, "canonical form, fd00::1"},
		"another network":  {func(e *v1alpha1.EgressNodeAddress) { e.Network = "10.0.0.0/24" }, `network "10.0.0.0/24"`},
		"IPv6":             {func(e *v1alpha1.EgressNodeAddress) { e.Address = "fd00::1" }, "IPv6"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			e := entry(1, 1)
			tc.change(&e)
			l := ledger{}.observe([]v1alpha1.EgressNodeAddress{e}, chassisAt(5), start)
			if r := l[e.Address]; r.Installed || !strings.Contains(r.Waiting, tc.want) {
				t.Errorf("record = %+v, want it to say %q", r, tc.want)
			}
			if due := l.due(start); len(due) > 0 {
				t.Errorf("due = %v", due)
			}
		})
	}
}

func TestAdoptTakesWhatIsReadyInThisBoot(t *testing.T) {
	status := v1alpha1.EgressNodeStatus{BootID: boot, Addresses: []v1alpha1.EgressNodeAddressStatus{
		{Address: address, Generation: 3, Ready: true},
		{Address: "172.18.0.201", Generation: 4},
		{Address: "nonsense", Generation: 5, Ready: true},
	}}
	want := ledger{address: {Generation: 3, Addr: netip.MustParseAddr(address), Installed: true, Announced: true}}
	byValue := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if diff := cmp.Diff(want, adopt(status, boot), byValue); diff != "" {
		t.Errorf("ledger (-want +got):\n%s", diff)
	}
	if l := adopt(status, "boot-2"); l == nil || len(l) != 0 {
		t.Errorf("ledger after a reboot = %v, want an empty one", l)
	}
}

func TestAnAddressIsAnnouncedAtOnceAndAfterOneAndThreeSeconds(t *testing.T) {
	l := ledger{}.observe([]v1alpha1.EgressNodeAddress{entry(3, 10)}, chassisAt(10), start)
	var sent []time.Duration
	for now := start; now.Before(start.Add(time.Minute)); now = now.Add(100 * time.Millisecond) {
		if due := l.due(now); len(due) > 0 {
			sent = append(sent, now.Sub(start))
			l.announced(due, len(due), nil, now)
		}
		l = l.observe([]v1alpha1.EgressNodeAddress{entry(3, 10)}, chassisAt(10), now)
		if at, more := l.next(); more && !at.After(now) {
			t.Fatalf("next announcement at %s, but it was just looked at (%s)", at, now)
		}
	}
	if diff := cmp.Diff([]time.Duration{0, time.Second, 3 * time.Second}, sent); diff != "" {
		t.Errorf("announced after (-want +got):\n%s", diff)
	}
	if at, more := l.next(); more {
		t.Errorf("another announcement at %s", at)
	}
}

func TestAnAnnouncementThatFailsIsTriedAgainAfterASecond(t *testing.T) {
	second := entry(7, 10)
	second.Address = "172.18.0.201"
	l := ledger{}.observe([]v1alpha1.EgressNodeAddress{entry(3, 10), second}, chassisAt(10), start)
	due := l.due(start)
	if want := []netip.Addr{netip.MustParseAddr(address), netip.MustParseAddr("172.18.0.201")}; !cmp.Equal(due, want, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })) {
		t.Fatalf("due = %v, want %v", due, want)
	}
	l.announced(due, 1, errors.New("network is down"), start)
	if first, failed := l[address], l[second.Address]; !first.ready() || failed.ready() || failed.Problem != "network is down" {
		t.Errorf("first %+v, failed %+v", first, failed)
	}
	if due := l.due(start.Add(999 * time.Millisecond)); len(due) > 0 {
		t.Errorf("due too early: %v", due)
	}
	again := start.Add(time.Second)
	due = l.due(again)
	if len(due) != 2 {
		t.Fatalf("due after a second = %v, want both", due)
	}
	l.announced(due, 2, nil, again)
	if r := l[second.Address]; !r.ready() || r.Problem != "" || r.Sent != 1 {
		t.Errorf("record = %+v, want it announced once", r)
	}
}

func TestANewGenerationIsAnnouncedAnewAndAnAddressThatLeftIsNot(t *testing.T) {
	announce := func(l ledger, now time.Time) { l.announced(l.due(now), len(l.due(now)), nil, now) }
	l := ledger{}.observe([]v1alpha1.EgressNodeAddress{entry(3, 10)}, chassisAt(10), start)
	announce(l, start)
	announce(l, start.Add(time.Second))

	l = l.observe([]v1alpha1.EgressNodeAddress{entry(4, 10)}, chassisAt(10), start.Add(2*time.Second))
	if l[address].ready() {
		t.Errorf("ready before it was announced for the new generation: %+v", l[address])
	}
	if due := l.due(start.Add(2 * time.Second)); len(due) != 1 {
		t.Errorf("due = %v, want the address", due)
	}

	l = l.observe(nil, chassisAt(10), start.Add(2*time.Second))
	if at, more := l.next(); more || len(l) > 0 {
		t.Errorf("ledger = %v, next announcement %s", l, at)
	}
}

func TestAnAddressThatIsLeavingIsNotAnnouncedUntilItIsBack(t *testing.T) {
	leaving := entry(3, 10)
	leaving.Leaving = true
	l := ledger{}.observe([]v1alpha1.EgressNodeAddress{entry(3, 10)}, chassisAt(10), start)
	l.announced(l.due(start), 1, nil, start)

	later := start.Add(2 * time.Second)
	l = l.observe([]v1alpha1.EgressNodeAddress{leaving}, chassisAt(10), later)
	if due := l.due(later); len(due) != 0 || !l[address].ready() {
		t.Errorf("due = %v, record %+v, want it translated on in silence", due, l[address])
	}
	l = l.observe([]v1alpha1.EgressNodeAddress{entry(3, 10)}, chassisAt(10), later)
	if due := l.due(later); len(due) != 1 || l[address].ready() {
		t.Errorf("due = %v, record %+v, want it announced before it is ready", due, l[address])
	}
}

func TestAnAddressIsAnnouncedAgainWhenAskedAndStaysReady(t *testing.T) {
	l := ledger{}.observe([]v1alpha1.EgressNodeAddress{entry(3, 10)}, chassisAt(10), start)
	l.announced(l.due(start), 1, nil, start)
	again := entry(3, 10)
	again.Announcement++
	now := start.Add(500 * time.Millisecond)
	for range 2 { // asked once, announced once
		l = l.observe([]v1alpha1.EgressNodeAddress{again}, chassisAt(10), now)
		if !l[address].ready() {
			t.Fatalf("not ready: %+v", l[address])
		}
		l.announced(l.due(now), len(l.due(now)), nil, now)
	}
	if r := l[address]; r.Sent != 1 || !r.First.Equal(now) {
		t.Errorf("record %+v, want one announcement at %s", r, now)
	}
}
