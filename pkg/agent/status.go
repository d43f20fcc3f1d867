package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ovn-egress/ovn-egress/pkg/agent/vswitch"
	"github.com/ovn-egress/ovn-egress/pkg/api/ovn-egress.io/v1alpha1"
)

// Types of conditions of an EgressNode.
const (
	// ConditionAnnouncing is False while an address that the chassis has installed could not be announced.
	ConditionAnnouncing = "Announcing"
	// ConditionOVSConnected is False while the node's Open vSwitch database does not answer.
	ConditionOVSConnected = "OVSConnected"
	// ConditionEpochAccepted is False while the spec has a lower epoch than the agent has seen. Such a spec was
	// written by a leader that was replaced; it is not followed.
	ConditionEpochAccepted = "EpochAccepted"
)

// facts is everything that a status is compiled from, next to the ledger.
type facts struct {
	Spec       v1alpha1.EgressNodeSpec
	Generation int64 // metadata.generation of Spec
	Previous   v1alpha1.EgressNodeStatus
	Epoch      int64 // highest that was seen before Spec
	BootID     string
	OVS        vswitch.State
	Interface  string // external bridge
	Gateway    string // why the gateway router's MAC address is not known, empty if it is
	Now        time.Time
}

// accepted reports whether the spec is to be followed.
func (f facts) accepted() bool { return f.Spec.Epoch >= f.Epoch }

// compileStatus is the status to report.
func compileStatus(f facts, l ledger) v1alpha1.EgressNodeStatus {
	s := *f.Previous.DeepCopy()
	s.BootID = f.BootID
	s.Heartbeat = &metav1.MicroTime{Time: f.Now}
	s.Epoch = max(f.Epoch, f.Spec.Epoch)
	if f.accepted() {
		s.ObservedGeneration = f.Generation
		s.Addresses = compileAddresses(f, l)
	} else if f.Previous.BootID != f.BootID {
		for i := range s.Addresses {
			s.Addresses[i].Ready, s.Addresses[i].Message = false, "the node was booted since"
		}
	}
	for _, c := range []metav1.Condition{announcing(f, l), ovsConnected(f), epochAccepted(f)} {
		c.ObservedGeneration = f.Generation
		c.LastTransitionTime = metav1.NewTime(f.Now)
		meta.SetStatusCondition(&s.Conditions, c)
	}
	return s
}

func compileAddresses(f facts, l ledger) []v1alpha1.EgressNodeAddressStatus {
	var addresses []v1alpha1.EgressNodeAddressStatus
	for _, entry := range f.Spec.Addresses {
		r := l[entry.Address]
		a := v1alpha1.EgressNodeAddressStatus{
			Address: entry.Address, Generation: entry.Generation, Ready: r.ready(), Message: r.Waiting,
		}
		if r.Installed {
			a.Interface = f.Interface
		}
		if r.Problem != "" {
			a.Message = "not announced: " + r.Problem
		}
		addresses = append(addresses, a)
	}
	return addresses
}

func announcing(f facts, l ledger) metav1.Condition {
	var problems []string
	for text, r := range l {
		if r.Problem != "" {
			problems = append(problems, fmt.Sprintf("%s: %s", text, r.Problem))
		}
	}
	c := metav1.Condition{Type: ConditionAnnouncing, Status: metav1.ConditionTrue, Reason: "Announced"}
	switch {
	case len(problems) > 0:
		slices.Sort(problems)
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, "AnnouncementFailed", strings.Join(problems, "; ")
	case f.Gateway != "":
		c.Reason = "BridgeAddress"
		c.Message = fmt.Sprintf("announced with the MAC address of %s: %s", f.Interface, f.Gateway)
	}
	return c
}

func ovsConnected(f facts) metav1.Condition {
	c := metav1.Condition{
		Type: ConditionOVSConnected, Status: metav1.ConditionTrue, Reason: "Connected", Message: f.OVS.Problem,
	}
	if !f.OVS.Connected {
		c.Status, c.Reason = metav1.ConditionFalse, "Disconnected"
	} else if f.OVS.Problem != "" {
		c.Reason = "Unreadable"
	}
	return c
}

func epochAccepted(f facts) metav1.Condition {
	if f.accepted() {
		return metav1.Condition{Type: ConditionEpochAccepted, Status: metav1.ConditionTrue, Reason: "Accepted"}
	}
	return metav1.Condition{
		Type: ConditionEpochAccepted, Status: metav1.ConditionFalse, Reason: "LowerEpoch",
		Message: fmt.Sprintf("spec.epoch %d is lower than %d, which this agent has seen: the spec is not followed",
			f.Spec.Epoch, f.Epoch),
	}
}

// heartbeatDue is when a status has to be renewed although nothing changed.
func heartbeatDue(s v1alpha1.EgressNodeStatus, interval time.Duration, now time.Time) time.Time {
	if s.Heartbeat == nil || s.Heartbeat.After(now) { // never, or a clock that was set back
		return now
	}
	return s.Heartbeat.Add(interval)
}

// sameButHeartbeat reports whether two statuses say the same.
func sameButHeartbeat(a, b v1alpha1.EgressNodeStatus) bool {
	a.Heartbeat, b.Heartbeat = nil, nil
	return equality.Semantic.DeepEqual(a, b)
}
