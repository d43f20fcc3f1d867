package standin

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

func TestNodeStatusFollowsTheFailure(t *testing.T) {
	spec := &cluster.Node{Name: "node1", Addresses: prefixes("172.18.0.11/16")}
	node := testNode("node1")
	node.Status = *nodeStatus(node, spec, "v1", "", noon)
	for failure, want := range map[cluster.Failure]corev1.ConditionStatus{
		"":             corev1.ConditionTrue,
		cluster.OVN:    corev1.ConditionTrue,
		cluster.Link:   corev1.ConditionTrue, // as it was: kube-controller-manager has to find out
		cluster.Power:  corev1.ConditionUnknown,
		cluster.Reboot: corev1.ConditionUnknown,
	} {
		status := nodeStatus(node, spec, "v1", failure, noon)
		for _, c := range status.Conditions {
			if c.Type == corev1.NodeReady && c.Status != want {
				t.Errorf("failure %q: Ready is %s, want %s", failure, c.Status, want)
			}
		}
		if failed := poweredOff(failure); equality.Semantic.DeepEqual(&node.Status, status) == failed {
			t.Errorf("failure %q: status changed to %+v", failure, status)
		}
	}
}

func TestNodeComesBackReady(t *testing.T) {
	spec := &cluster.Node{Name: "node1", Addresses: prefixes("172.18.0.11/16")}
	node := testNode("node1")
	node.Status = *nodeStatus(node, spec, "v1", cluster.Power, noon)
	if isReady(node) {
		t.Fatal("a node without power is Ready")
	}
	node.Status = *nodeStatus(node, spec, "v1", "", noon.Add(time.Minute))
	if !isReady(node) {
		t.Errorf("the node is back, but its status is %+v", node.Status)
	}
	for _, c := range node.Status.Conditions {
		if !c.LastTransitionTime.Time.Equal(noon.Add(time.Minute)) {
			t.Errorf("condition %s changed at %s, want a minute after %s", c.Type, c.LastTransitionTime, noon)
		}
	}
}
