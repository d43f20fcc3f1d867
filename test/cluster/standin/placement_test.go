package standin

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func testNode(name string, change ...func(*corev1.Node)) *corev1.Node {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
		Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
	}
	for _, c := range change {
		c(node)
	}
	return node
}

func testPod(name, node string, change ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{NodeName: node},
	}
	for _, c := range change {
		c(pod)
	}
	return pod
}

func taint(key string, effect corev1.TaintEffect) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: effect}) }
}

func label(key, value string) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Labels[key] = value }
}

func ownedBy(uid types.UID) func(*corev1.Pod) {
	controller := true
	return func(p *corev1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{UID: uid, Controller: &controller}}
	}
}

func required(terms ...corev1.NodeSelectorTerm) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms},
		}}
	}
}

func notBeside(app string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
				TopologyKey:   corev1.LabelHostname,
				LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}},
			}},
		}}
	}
}

func completed(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }

func TestChoose(t *testing.T) {
	notReady := func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionUnknown }
	tolerate := func(p *corev1.Pod) {
		p.Spec.Tolerations = []corev1.Toleration{{Key: "key", Operator: corev1.TolerationOpExists}}
	}
	for _, tc := range []struct {
		name  string
		pod   *corev1.Pod
		nodes []*corev1.Node
		pods  []*corev1.Pod
		want  string // empty: none
	}{
		{"fewest pods", testPod("p", ""), []*corev1.Node{testNode("n1"), testNode("n2")},
			[]*corev1.Pod{testPod("a", "n1")}, "n2"},
		{"completed pods do not count", testPod("p", ""), []*corev1.Node{testNode("n1"), testNode("n2")},
			[]*corev1.Pod{testPod("a", "n1", completed), testPod("b", "n2")}, "n1"},
		{"equal: by name", testPod("p", ""), []*corev1.Node{testNode("n2"), testNode("n1")}, nil, "n1"},
		{"siblings apart first", testPod("p", "", ownedBy("rs")), []*corev1.Node{testNode("n1"), testNode("n2")},
			[]*corev1.Pod{testPod("a", "n1", ownedBy("rs")), testPod("b", "n2"), testPod("c", "n2")}, "n2"},
		{"not Ready", testPod("p", ""), []*corev1.Node{testNode("n1", notReady)}, nil, ""},
		{"NoSchedule", testPod("p", ""), []*corev1.Node{testNode("n1", taint("key", corev1.TaintEffectNoSchedule))}, nil, ""},
		{"NoExecute", testPod("p", ""), []*corev1.Node{testNode("n1", taint("key", corev1.TaintEffectNoExecute))}, nil, ""},
		{"PreferNoSchedule is no obstacle", testPod("p", ""),
			[]*corev1.Node{testNode("n1", taint("key", corev1.TaintEffectPreferNoSchedule))}, nil, "n1"},
		{"tolerated", testPod("p", "", tolerate),
			[]*corev1.Node{testNode("n1", taint("key", corev1.TaintEffectNoSchedule))}, nil, "n1"},
		{"node selector", testPod("p", "", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "ssd"} }),
			[]*corev1.Node{testNode("n1"), testNode("n2", label("disk", "ssd"))}, nil, "n2"},
		{"node affinity by field, as DaemonSets do", testPod("p", "", required(corev1.NodeSelectorTerm{
			MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: "In", Values: []string{"n2"}}}})),
			[]*corev1.Node{testNode("n1"), testNode("n2")}, nil, "n2"},
		{"node affinity by label, second term", testPod("p", "", required(
			corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "a", Operator: "Exists"}}},
			corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{
				{Key: "disk", Operator: "NotIn", Values: []string{"ssd"}}}})),
			[]*corev1.Node{testNode("n1", label("disk", "ssd")), testNode("n2")}, nil, "n2"},
		{"an empty node affinity term matches nothing", testPod("p", "", required(corev1.NodeSelectorTerm{})),
			[]*corev1.Node{testNode("n1")}, nil, ""},
		{"anti-affinity", testPod("p", "", notBeside("web")), []*corev1.Node{testNode("n1"), testNode("n2")},
			[]*corev1.Pod{testPod("web", "n1"), testPod("a", "n2"), testPod("b", "n2")}, "n2"},
		{"anti-affinity leaves no node", testPod("p", "", notBeside("web")), []*corev1.Node{testNode("n1")},
			[]*corev1.Pod{testPod("web", "n1")}, ""},
		{"anti-affinity to a completed pod", testPod("p", "", notBeside("web")), []*corev1.Node{testNode("n1")},
			[]*corev1.Pod{testPod("web", "n1", completed)}, "n1"},
		{"anti-affinity ends at the namespace", testPod("p", "", notBeside("web")), []*corev1.Node{testNode("n1")},
			[]*corev1.Pod{testPod("web", "n1", func(p *corev1.Pod) { p.Namespace = "other" })}, "n1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := choose(tc.pod, tc.nodes, tc.pods)
			if got != tc.want || (err == nil) != (tc.want != "") {
				t.Errorf("got %q, %v, want %q", got, err, tc.want)
			}
			if err != nil && !errors.Is(err, errUnschedulable) {
				t.Errorf("error %v is not errUnschedulable", err)
			}
		})
	}
}
