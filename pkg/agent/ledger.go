package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ovn-egress/ovn-egress/pkg/agent/vswitch"
	"github.com/ovn-egress/ovn-egress/pkg/api/ovn-egress.io/v1alpha1"
)

// patience is how long after ovn-controller's start a configuration number of its earlier run is not believed. A
// number that is right again is not written again, so on a quiet cluster there would be nothing else to wait for;
// ovn-controller installs its flows within seconds of its start.
const patience = 15 * time.Second

// ledger is what the agent knows of each address in the spec. Key: the address as the spec writes it.
type ledger map[string]record

// record is what the agent knows of one placement.
type record struct {
	Generation int64
	// Addr is the address; valid if Installed.
	Addr netip.Addr
	// Installed: the chassis has the rows of the placement. It stays installed until the chassis falls behind Target.
	Installed bool
	// Target is the configuration number that proved Installed; 0 while it rests on the word of an earlier process.
	Target int64
	// Waiting says what is missing while the placement is not installed.
	Waiting string

	// Leaving: the address is another node's, which announces it.
	Leaving bool
	// Announcement is the number of the spec that the announcements answer.
	Announcement int64
	// Announced: at least once, since it was installed, or since it came back before it had left.
	Announced bool
	// Sent counts the announcements of the schedule that are done, the first one at First.
	Sent  int
	First time.Time
	// Problem is why the last announcement failed, to be tried again at Retry; empty if it did not.
	Problem string
	Retry   time.Time
}

// ready is what the status says of a placement.
func (r record) ready() bool { return r.Installed && r.Announced }

// adopt makes the ledger of an agent that starts: what an earlier process of this boot called ready stays ready until
// the chassis says otherwise, so that a restart of the agent is not seen. It is announced again, which costs nothing.
func adopt(status v1alpha1.EgressNodeStatus, bootID string) ledger {
	l := make(ledger, len(status.Addresses))
	if status.BootID != bootID {
		return l
	}
	for _, a := range status.Addresses {
		if addr, err := netip.ParseAddr(a.Address); err == nil && a.Ready {
			l[a.Address] = record{Generation: a.Generation, Addr: addr, Installed: true, Announced: true}
		}
	}
	return l
}

// observe is the ledger after a look at the spec and at the chassis.
func (l ledger) observe(addresses []v1alpha1.EgressNodeAddress, ovs vswitch.State, now time.Time) ledger {
	next := make(ledger, len(addresses))
	for _, entry := range addresses {
		r := l[entry.Address]
		if r.Generation != entry.Generation {
			r = record{Generation: entry.Generation}
		}
		after := r.observe(entry, ovs, now)
		if r.Leaving && !entry.Leaving {
			after.Announced, after.Sent, after.Problem = false, 0, ""
		}
		if r.Announcement != entry.Announcement {
			after.Sent, after.Problem = 0, ""
		}
		after.Leaving, after.Announcement = entry.Leaving, entry.Announcement
		next[entry.Address] = after
	}
	return next
}

func (r record) observe(entry v1alpha1.EgressNodeAddress, ovs vswitch.State, now time.Time) record {
	waiting := func(format string, args ...any) record {
		return record{Generation: r.Generation, Waiting: fmt.Sprintf(format, args...)}
	}
	addr, err := hostable(entry)
	if err != nil {
		return waiting("%v", err)
	}
	if entry.TargetConfig == 0 {
		return waiting("its northbound rows are not written yet")
	}
	if !ovs.Connected {
		if r.Installed {
			return r // no news is no reason to take it back
		}
		return waiting("Open vSwitch is not connected")
	}
	need := entry.TargetConfig
	if r.Installed && r.Target != 0 {
		need = min(need, r.Target) // what is installed is not undone by rows that are written later
	}
	chassis := ovs.Chassis
	if chassis.Config < need {
		return waiting("the chassis has installed configuration %d, needed is %d", chassis.Config, need)
	}
	proven := r.Installed && r.Target != 0
	if !proven && chassis.Stale() && now.Sub(chassis.Started) < patience {
		return waiting("ovn-controller has not confirmed configuration %d since it started", chassis.Config)
	}
	r.Addr, r.Installed, r.Target, r.Waiting = addr, true, need, ""
	return r
}

// hostable reads the address of an entry; the error says why the agent cannot host it, whatever happens.
func hostable(entry v1alpha1.EgressNodeAddress) (netip.Addr, error) {
	addr, err := netip.ParseAddr(entry.Address)
	switch {
	case err != nil:
		return netip.Addr{}, fmt.Errorf("%q is not an IP address", entry.Address)
	case addr.String() != entry.Address:
		return netip.Addr{}, fmt.Errorf("%q is not in canonical form, %s", entry.Address, addr)
	case entry.Network != v1alpha1.NetworkOVN:
		return netip.Addr{}, fmt.Errorf("network %q is not supported, only %q", entry.Network, v1alpha1.NetworkOVN)
	case !addr.Is4():
		return netip.Addr{}, errors.New("IPv6 addresses are not announced")
	default:
		return addr, nil
	}
}
