package controller

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
)

// Reasons of the condition Assigned. Where no address is placed, the reason is that of the first refusal
// (assign.Reason).
const (
	reasonAllServed  = "AllAddressesServed"
	reasonSomeServed = "SomeAddressesServed"
	// reasonPreparing: nothing is served yet; nodes prepare.
	reasonPreparing = "Preparing"
	// reasonMoving: what was served is not any more; pods are silent until the next node is ready.
	reasonMoving = "Moving"
)

// Reasons of the condition PodsExclusive.
const (
	reasonExclusive = "NoOverlap"
	reasonOverlap   = "OlderEgressIPServes"
)

// event is something to tell the user about an EgressIP.
type event struct {
	kind    string // corev1.EventTypeNormal or EventTypeWarning
	reason  string
	action  string
	message string
}

// report gives the status of an EgressIP that is served so, and the events that the change from its present status
// is worth.
func report(e *egressipv1.EgressIP, p plan, s service, overlaps []Overlap) (egressipv1.EgressIPStatus, []event) {
	status := egressipv1.EgressIPStatus{
		Items:      []egressipv1.EgressIPStatusItem{},
		Conditions: slices.Clone(e.Status.Conditions),
	}
	var events []event
	before := servedBy(e)
	for _, x := range s.served {
		status.Items = append(status.Items, egressipv1.EgressIPStatusItem{Node: x.node, EgressIP: x.address.String()})
		if before[x.address] != x.node {
			events = append(events, event{
				corev1.EventTypeNormal, "Assigned", "Assign", fmt.Sprintf("%s is served by node %s", x.address, x.node),
			})
		}
	}
	assigned := assignedCondition(e, p, s)
	if set(&status.Conditions, e.Generation, assigned) {
		for _, r := range p.refusals[e.Name] {
			events = append(events, event{corev1.EventTypeWarning, r.Reason.EventReason(), "Assign", r.Message})
		}
	}
	exclusive := exclusiveCondition(e.Name, overlaps)
	if set(&status.Conditions, e.Generation, exclusive) && exclusive.Status == metav1.ConditionFalse {
		events = append(events, event{corev1.EventTypeWarning, "UndefinedRequest", "Select", exclusive.Message})
	}
	return status, events
}

// set puts the condition into the list and says whether its status, reason or message changed.
func set(conditions *[]metav1.Condition, generation int64, c metav1.Condition) bool {
	old := meta.FindStatusCondition(*conditions, c.Type)
	changed := old == nil || old.Status != c.Status || old.Reason != c.Reason || old.Message != c.Message
	c.ObservedGeneration = generation
	meta.SetStatusCondition(conditions, c)
	return changed
}

func assignedCondition(e *egressipv1.EgressIP, p plan, s service) metav1.Condition {
	c := metav1.Condition{Type: egressipv1.ConditionAssigned, Status: metav1.ConditionFalse}
	served := map[netip.Addr]bool{}
	for _, x := range s.served {
		served[x.address] = true
	}
	var why []string
	refused := 0
	for _, r := range p.refusals[e.Name] {
		why = append(why, r.Message)
		if a, err := netip.ParseAddr(r.Address); err != nil || !served[a] {
			refused++
		}
		if c.Reason == "" {
			c.Reason = string(r.Reason)
		}
	}
	waiting := 0
	for _, x := range p.placements[e.Name] {
		if served[x.Address] {
			continue
		}
		waiting++
		reason := fmt.Sprintf("%s waits for node %s to be ready", x.Address, x.Node)
		if problem := s.problems[place{e.Name, x.Address, x.Node}]; problem != "" {
			reason += " (" + problem + ")"
		}
		why = append(why, reason)
	}
	total := len(s.served) + waiting + refused
	switch {
	case len(s.served) == total:
		c.Status, c.Reason = metav1.ConditionTrue, reasonAllServed
	case len(s.served) > 0:
		c.Reason = reasonSomeServed
	case waiting > 0 && s.guarded:
		c.Reason = reasonMoving
	case waiting > 0:
		c.Reason = reasonPreparing
	}
	c.Message = strings.Join(append([]string{fmt.Sprintf("%d of %d addresses are served", len(s.served), total)}, why...), "; ")
	return c
}

func exclusiveCondition(name string, overlaps []Overlap) metav1.Condition {
	if len(overlaps) == 0 {
		return metav1.Condition{
			Type: egressipv1.ConditionPodsExclusive, Status: metav1.ConditionTrue, Reason: reasonExclusive,
			Message: "no selected pod is served by another EgressIP",
		}
	}
	first := overlaps[0]
	message := fmt.Sprintf("EgressIP %s will not be used for pod %s since the older EgressIP %s is serving it", name, first.Pod, first.Older)
	if more := len(overlaps) - 1; more > 0 {
		message += fmt.Sprintf(", and %d more", more)
	}
	return metav1.Condition{
		Type: egressipv1.ConditionPodsExclusive, Status: metav1.ConditionFalse, Reason: reasonOverlap, Message: message,
	}
}
