package controller

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
)

func newEgressIP(name string, age int, namespaces, pods metav1.LabelSelector, addresses ...string) *egressipv1.EgressIP {
	return &egressipv1.EgressIP{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Unix(int64(1000-age), 0))},
		Spec:       egressipv1.EgressIPSpec{EgressIPs: addresses, NamespaceSelector: namespaces, PodSelector: pods},
	}
}

func newPod(namespace, name, address string, l map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: l},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: address}}},
	}
}

func matching(l map[string]string) metav1.LabelSelector { return metav1.LabelSelector{MatchLabels: l} }

func (s *Selection) must(t *testing.T, e *egressipv1.EgressIP) []string {
	t.Helper()
	affected, err := s.SetEgressIP(e)
	if err != nil {
		t.Fatal(err)
	}
	return affected
}

func wantPods(t *testing.T, s *Selection, egressIP string, want ...string) {
	t.Helper()
	addresses, _ := s.Pods(egressIP)
	got := make([]string, 0, len(addresses))
	for _, a := range addresses {
		got = append(got, a.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("EgressIP %s serves %v, want %v", egressIP, got, want)
	}
}

func TestSelectorsOfTheManual(t *testing.T) { // seeds/003 20.8.2
	s := NewSelection()
	s.SetNamespace("prod", labels.Set{"env": "prod"})
	s.SetNamespace("dev", labels.Set{"environment": "development"})
	s.SetNamespace("bare", labels.Set{})
	s.SetPod(newPod("prod", "web", "10.244.0.1", map[string]string{"app": "web"}))
	s.SetPod(newPod("prod", "db", "10.244.0.2", nil))
	s.SetPod(newPod("dev", "web", "10.244.0.3", map[string]string{"app": "web"}))
	s.SetPod(newPod("bare", "web", "10.244.0.4", nil))

	s.must(t, newEgressIP("egress-group1", 2, matching(map[string]string{"env": "prod"}), matching(map[string]string{"app": "web"})))
	wantPods(t, s, "egress-group1", "10.244.0.1")

	s.must(t, newEgressIP("egress-group2", 1, metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: "environment", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"development"}},
	}}, metav1.LabelSelector{}))
	wantPods(t, s, "egress-group2", "10.244.0.2", "10.244.0.4") // namespaces without the key match too
}

func TestTheOlderEgressIPServes(t *testing.T) {
	s := NewSelection()
	s.SetNamespace("ns", labels.Set{})
	s.SetPod(newPod("ns", "a", "10.244.0.1", nil))
	s.must(t, newEgressIP("young", 1, metav1.LabelSelector{}, metav1.LabelSelector{}))
	wantPods(t, s, "young", "10.244.0.1")
	affected := s.must(t, newEgressIP("old", 9, metav1.LabelSelector{}, metav1.LabelSelector{}))
	if !slices.Equal(affected, []string{"old", "young"}) {
		t.Errorf("affected %v, want both", affected)
	}
	wantPods(t, s, "old", "10.244.0.1")
	wantPods(t, s, "young")
	if _, overlaps := s.Pods("young"); len(overlaps) != 1 || overlaps[0].Older != "old" {
		t.Errorf("overlaps %v, want the pod and who serves it", overlaps)
	}
	if affected := s.DeleteEgressIP("old"); !slices.Contains(affected, "young") {
		t.Errorf("affected %v, want young", affected)
	}
	wantPods(t, s, "young", "10.244.0.1")
}

func TestPodsComeAndGo(t *testing.T) {
	s := NewSelection()
	s.must(t, newEgressIP("e", 1, matching(map[string]string{"env": "prod"}), metav1.LabelSelector{}))
	pod := newPod("ns", "a", "10.244.0.1", nil)
	s.SetPod(pod) // before its namespace is known
	wantPods(t, s, "e")
	s.SetNamespace("ns", labels.Set{"env": "prod"})
	wantPods(t, s, "e", "10.244.0.1")
	if affected := s.SetPod(pod); len(affected) != 0 {
		t.Errorf("an unchanged pod affected %v", affected)
	}
	done := pod.DeepCopy()
	done.Status.Phase = corev1.PodSucceeded
	s.SetPod(done)
	wantPods(t, s, "e")
	s.SetPod(pod)
	s.SetNamespace("ns", labels.Set{})
	wantPods(t, s, "e")
	s.SetNamespace("ns", labels.Set{"env": "prod"})
	s.DeletePod(types.NamespacedName{Namespace: "ns", Name: "a"})
	wantPods(t, s, "e")
}

func TestAPodsAddressIsTakenFromTheAnnotationFirst(t *testing.T) {
	early := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
		annotationPodNetworks: `{"default":{"ip_addresses":["10.244.1.3/24"],"mac_address":"0a:58:0a:f4:01:03"}}`,
	}}}
	if got := PodAddresses(early); len(got) != 1 || got[0] != netip.MustParseAddr("10.244.1.3") {
		t.Errorf("addresses %v, want 10.244.1.3", got)
	}
	early.Spec.HostNetwork = true
	if got := PodAddresses(early); got != nil {
		t.Errorf("addresses %v of a host-network pod, want none", got)
	}
}

func TestAnInvalidSelectorSelectsNothing(t *testing.T) {
	s := NewSelection()
	s.SetNamespace("ns", labels.Set{})
	s.SetPod(newPod("ns", "a", "10.244.0.1", nil))
	bad := metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "k", Operator: "Sometimes"}}}
	if _, err := s.SetEgressIP(newEgressIP("e", 1, bad, metav1.LabelSelector{})); err == nil {
		t.Error("no error")
	}
	wantPods(t, s, "e")
}
