package controller

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
)

// Selection knows which EgressIP serves which pod: of all that select it the oldest, by creation time, then name.
// Every change returns the names of the EgressIPs whose pods or overlaps changed. It is safe for concurrent use.
type Selection struct {
	mu         sync.Mutex
	rules      []*rule                            // oldest first
	namespaces map[string]labels.Set              // namespace -> its labels
	pods       map[types.NamespacedName]*podEntry // pods that can be served
	byRule     map[string]map[types.NamespacedName]*podEntry
}

// rule is the compiled selectors of one EgressIP.
type rule struct {
	name       string
	created    time.Time
	namespaces labels.Selector
	pods       labels.Selector
}

type podEntry struct {
	name      types.NamespacedName
	labels    labels.Set
	addresses []netip.Addr
	selected  []string // names of the EgressIPs that select it, oldest first: the first one serves it
}

// NewSelection returns an empty Selection.
func NewSelection() *Selection {
	return &Selection{
		namespaces: map[string]labels.Set{},
		pods:       map[types.NamespacedName]*podEntry{},
		byRule:     map[string]map[types.NamespacedName]*podEntry{},
	}
}

// SetEgressIP adds or changes an EgressIP. An invalid selector selects nothing and is returned as error.
func (s *Selection) SetEgressIP(e *egressipv1.EgressIP) ([]string, error) {
	namespaces, err := metav1.LabelSelectorAsSelector(&e.Spec.NamespaceSelector)
	pods, podsErr := metav1.LabelSelectorAsSelector(&e.Spec.PodSelector)
	if err == nil {
		err = podsErr
	}
	if err != nil {
		namespaces, pods = labels.Nothing(), labels.Nothing()
	}
	r := &rule{name: e.Name, created: e.CreationTimestamp.Time, namespaces: namespaces, pods: pods}

	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.rules, func(o *rule) bool { return o.name == r.name })
	if i >= 0 && s.rules[i].equal(r) {
		return nil, err
	}
	if i >= 0 {
		s.rules = slices.Delete(s.rules, i, i+1)
	}
	s.rules = append(s.rules, r)
	slices.SortFunc(s.rules, compareAge)
	return s.reselect(slices.Collect(maps.Values(s.pods)), r.name), err
}

func (r *rule) equal(o *rule) bool {
	return r.created.Equal(o.created) && r.namespaces.String() == o.namespaces.String() && r.pods.String() == o.pods.String()
}

func compareAge(a, b *rule) int {
	if c := a.created.Compare(b.created); c != 0 {
		return c
	}
	return strings.Compare(a.name, b.name)
}

// DeleteEgressIP removes an EgressIP.
func (s *Selection) DeleteEgressIP(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = slices.DeleteFunc(s.rules, func(r *rule) bool { return r.name == name })
	return s.reselect(slices.Collect(maps.Values(s.byRule[name])), name)
}

// SetNamespace adds a namespace or changes its labels.
func (s *Selection) SetNamespace(name string, l labels.Set) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.namespaces[name]; ok && maps.Equal(old, l) {
		return nil
	}
	s.namespaces[name] = maps.Clone(l)
	return s.reselect(s.podsIn(name))
}

// DeleteNamespace removes a namespace: its pods are no longer selected.
func (s *Selection) DeleteNamespace(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.namespaces, name)
	return s.reselect(s.podsIn(name))
}

func (s *Selection) podsIn(namespace string) []*podEntry {
	var result []*podEntry
	for key, p := range s.pods {
		if key.Namespace == namespace {
			result = append(result, p)
		}
	}
	return result
}

// SetPod adds or changes a pod. One that cannot be served (host network, completed, without address) is removed.
func (s *Selection) SetPod(pod *corev1.Pod) []string {
	key := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
	addresses := PodAddresses(pod)
	if len(addresses) == 0 {
		return s.DeletePod(key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.pods[key]
	if old != nil && slices.Equal(old.addresses, addresses) && maps.Equal(old.labels, labels.Set(pod.Labels)) {
		return nil
	}
	p := &podEntry{name: key, labels: maps.Clone(labels.Set(pod.Labels)), addresses: addresses}
	s.pods[key] = p
	affected := s.forget(old)
	return unique(append(affected, s.reselect([]*podEntry{p})...))
}

// DeletePod removes a pod.
func (s *Selection) DeletePod(key types.NamespacedName) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.pods[key]
	delete(s.pods, key)
	return s.forget(old)
}

// forget takes a pod out of the index of EgressIPs.
func (s *Selection) forget(p *podEntry) []string {
	if p == nil {
		return nil
	}
	for _, name := range p.selected {
		delete(s.byRule[name], p.name)
	}
	return p.selected
}

// reselect asks anew which EgressIPs select the pods, and returns those for which the answer changed, and also.
func (s *Selection) reselect(pods []*podEntry, also ...string) []string {
	affected := slices.Clone(also)
	for _, p := range pods {
		selected := s.selecting(p)
		if slices.Equal(selected, p.selected) {
			continue
		}
		affected = append(affected, s.forget(p)...)
		affected = append(affected, selected...)
		p.selected = selected
		for _, name := range selected {
			if s.byRule[name] == nil {
				s.byRule[name] = map[types.NamespacedName]*podEntry{}
			}
			s.byRule[name][p.name] = p
		}
	}
	return unique(affected)
}

func (s *Selection) selecting(p *podEntry) []string {
	namespace, ok := s.namespaces[p.name.Namespace]
	if !ok {
		return nil
	}
	var result []string
	for _, r := range s.rules {
		if r.namespaces.Matches(namespace) && r.pods.Matches(p.labels) {
			result = append(result, r.name)
		}
	}
	return result
}

// Overlap is a pod that an EgressIP selects and an older one serves.
type Overlap struct {
	Pod   types.NamespacedName
	Older string
}

// Pods returns the addresses of the pods that the EgressIP serves, and the pods that it loses to older ones, in
// order.
func (s *Selection) Pods(egressIP string) ([]netip.Addr, []Overlap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var addresses []netip.Addr
	var overlaps []Overlap
	for _, p := range s.byRule[egressIP] {
		if p.selected[0] == egressIP {
			addresses = append(addresses, p.addresses...)
		} else {
			overlaps = append(overlaps, Overlap{Pod: p.name, Older: p.selected[0]})
		}
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	slices.SortFunc(overlaps, func(a, b Overlap) int { return strings.Compare(a.Pod.String(), b.Pod.String()) })
	return slices.Compact(addresses), overlaps
}

func unique(names []string) []string {
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}
