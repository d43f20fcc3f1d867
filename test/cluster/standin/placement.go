package standin

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
)

// errUnschedulable is wrapped by the error of choose when no node will do for the pod at present.
var errUnschedulable = errors.New("no node available")

// choose returns the node for a pod that has none: among the nodes that it may run on the one with the fewest pods
// of the same controller, then with the fewest pods, then the first by name. Of all the rules of the real scheduler
// it knows Ready, taints, node selectors, required node affinity, and required pod anti-affinity by host name.
//
// Nodes are those to choose from; pods are all of the cluster. The error says for each node what speaks against it.
func choose(pod *corev1.Pod, nodes []*corev1.Node, pods []*corev1.Pod) (string, error) {
	repelled, err := repelledBy(pod, pods)
	if err != nil {
		return "", err
	}
	load := loads(pod, pods)
	var fitting []*corev1.Node
	var reasons []string
	for _, node := range nodes {
		reason, err := unfit(pod, node, repelled)
		if err != nil {
			return "", err
		}
		if reason == "" {
			fitting = append(fitting, node)
		} else {
			reasons = append(reasons, node.Name+" "+reason)
		}
	}
	if len(fitting) == 0 {
		slices.Sort(reasons)
		return "", fmt.Errorf("%w: %s", errUnschedulable, strings.Join(reasons, ", "))
	}
	best := slices.MinFunc(fitting, func(a, b *corev1.Node) int {
		la, lb := load[a.Name], load[b.Name]
		return cmp.Or(cmp.Compare(la.siblings, lb.siblings), cmp.Compare(la.pods, lb.pods), cmp.Compare(a.Name, b.Name))
	})
	return best.Name, nil
}

// nodeLoad counts the pods of a node that have not ended.
type nodeLoad struct{ pods, siblings int }

// loads counts the pods of each node, and among them those of the same controller as pod.
func loads(pod *corev1.Pod, pods []*corev1.Pod) map[string]nodeLoad {
	owner := controllerOf(pod)
	load := map[string]nodeLoad{}
	for _, other := range pods {
		if other.Spec.NodeName == "" || ended(other) {
			continue
		}
		l := load[other.Spec.NodeName]
		l.pods++
		if owner != "" && controllerOf(other) == owner {
			l.siblings++
		}
		load[other.Spec.NodeName] = l
	}
	return load
}

// controllerOf is the UID of the object that made the pod, empty if a person did.
func controllerOf(pod *corev1.Pod) types.UID {
	if ref := metav1.GetControllerOfNoCopy(pod); ref != nil {
		return ref.UID
	}
	return ""
}

// unfit says why the pod may not run on the node; it is empty if it may.
func unfit(pod *corev1.Pod, node *corev1.Node, repelled map[string]bool) (string, error) {
	if !isReady(node) {
		return "is not Ready", nil
	}
	for _, taint := range node.Spec.Taints {
		if taint.Effect != corev1.TaintEffectPreferNoSchedule && !tolerated(pod, &taint) {
			return fmt.Sprintf("has taint %s", taint.ToString()), nil
		}
	}
	if !labels.SelectorFromSet(pod.Spec.NodeSelector).Matches(labels.Set(node.Labels)) {
		return "does not match the node selector", nil
	}
	ok, err := matchesNodeAffinity(pod, node)
	if err != nil {
		return "", err
	}
	if !ok {
		return "does not match the node affinity", nil
	}
	if repelled[node.Name] {
		return "has a pod that this one must not share a node with", nil
	}
	return "", nil
}

// tolerated says whether the pod may run in spite of the taint.
func tolerated(pod *corev1.Pod, taint *corev1.Taint) bool {
	return slices.ContainsFunc(pod.Spec.Tolerations, func(t corev1.Toleration) bool {
		return t.ToleratesTaint(klog.Background(), taint, false)
	})
}

// matchesNodeAffinity says whether the node matches one of the terms of the pod's required node affinity, if it
// has such.
func matchesNodeAffinity(pod *corev1.Pod, node *corev1.Node) (bool, error) {
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.NodeAffinity == nil {
		return true, nil
	}
	required := pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	if required == nil {
		return true, nil
	}
	for _, term := range required.NodeSelectorTerms {
		byLabel, err := matchesAll(term.MatchExpressions, labels.Set(node.Labels))
		if err != nil {
			return false, err
		}
		// The only field that the API allows here; the pods of a DaemonSet name their node by it.
		byField, err := matchesAll(term.MatchFields, labels.Set{metav1.ObjectNameField: node.Name})
		if err != nil {
			return false, err
		}
		if byLabel && byField && len(term.MatchExpressions)+len(term.MatchFields) > 0 {
			return true, nil
		}
	}
	return false, nil
}

// matchesAll says whether the set meets all requirements.
func matchesAll(requirements []corev1.NodeSelectorRequirement, set labels.Set) (bool, error) {
	for _, r := range requirements {
		operator, ok := nodeSelectorOperators[r.Operator]
		if !ok {
			return false, fmt.Errorf("node affinity: unknown operator %q", r.Operator)
		}
		requirement, err := labels.NewRequirement(r.Key, operator, r.Values)
		if err != nil {
			return false, fmt.Errorf("node affinity: %w", err)
		}
		if !requirement.Matches(set) {
			return false, nil
		}
	}
	return true, nil
}

// nodeSelectorOperators translates the operators of node affinity to those of label selectors.
var nodeSelectorOperators = map[corev1.NodeSelectorOperator]selection.Operator{
	corev1.NodeSelectorOpIn:           selection.In,
	corev1.NodeSelectorOpNotIn:        selection.NotIn,
	corev1.NodeSelectorOpExists:       selection.Exists,
	corev1.NodeSelectorOpDoesNotExist: selection.DoesNotExist,
	corev1.NodeSelectorOpGt:           selection.GreaterThan,
	corev1.NodeSelectorOpLt:           selection.LessThan,
}

// repelledBy returns the nodes with pods that match a required anti-affinity term of pod whose topology is the
// host name. Terms look into the pod's own namespace or those that they list; namespace selectors are not looked at.
func repelledBy(pod *corev1.Pod, pods []*corev1.Pod) (map[string]bool, error) {
	repelled := map[string]bool{}
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.PodAntiAffinity == nil {
		return repelled, nil
	}
	for _, term := range pod.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
		if term.TopologyKey != corev1.LabelHostname {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(term.LabelSelector)
		if err != nil {
			return nil, fmt.Errorf("pod anti-affinity: %w", err)
		}
		namespaces := term.Namespaces
		if len(namespaces) == 0 {
			namespaces = []string{pod.Namespace}
		}
		for _, other := range pods {
			if other.Spec.NodeName != "" && !ended(other) && slices.Contains(namespaces, other.Namespace) &&
				selector.Matches(labels.Set(other.Labels)) {
				repelled[other.Spec.NodeName] = true
			}
		}
	}
	return repelled, nil
}

// isReady says whether the node's condition Ready is True.
func isReady(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// ended says whether the pod has run to its end and will never run again.
func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}
