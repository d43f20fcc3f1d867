package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
)

// named selects the namespace of a name.
func named(namespace string) metav1.LabelSelector {
	return withLabel(corev1.LabelMetadataName, namespace)
}

// withLabel selects objects with a label.
func withLabel(key, value string) metav1.LabelSelector {
	return metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}

// texts writes addresses as they are in a spec.
func texts(addresses ...netip.Addr) []string {
	result := make([]string, 0, len(addresses))
	for _, a := range addresses {
		result = append(result, a.String())
	}
	return result
}

// newEgressIP makes an EgressIP and returns its name. After the spec it is deleted, and none of its rows may remain.
func newEgressIP(ctx context.Context, spec egressipv1.EgressIPSpec) string {
	GinkgoHelper()
	return createEgressIP(ctx, &egressipv1.EgressIP{ObjectMeta: metav1.ObjectMeta{Name: unique("eip")}, Spec: spec})
}

// applyManifest makes the EgressIP of a manifest and returns its name.
func applyManifest(ctx context.Context, format string, arguments ...any) string {
	GinkgoHelper()
	e := &egressipv1.EgressIP{}
	Expect(yaml.UnmarshalStrict(fmt.Appendf(nil, format, arguments...), e)).To(Succeed())
	return createEgressIP(ctx, e)
}

func createEgressIP(ctx context.Context, e *egressipv1.EgressIP) string {
	GinkgoHelper()
	Expect(api.Create(ctx, e)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { deleteEgressIP(ctx, e.Name) })
	return e.Name
}

// deleteEgressIP deletes an EgressIP, if it still exists, and waits until no row of it remains.
func deleteEgressIP(ctx context.Context, name string) {
	GinkgoHelper()
	Expect(client.IgnoreNotFound(api.Delete(ctx, egressIPNamed(name)))).To(Succeed())
	Eventually(rowsOf).WithContext(ctx).WithArguments(name).Should(BeEmpty(), "no row of %s remains", name)
}

// egressIPNamed is enough of an EgressIP to delete it.
func egressIPNamed(name string) *egressipv1.EgressIP {
	return &egressipv1.EgressIP{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// editEgressIP changes an EgressIP.
func editEgressIP(ctx context.Context, name string, change func(*egressipv1.EgressIPSpec)) {
	GinkgoHelper()
	e, err := getFresh(ctx, &egressipv1.EgressIP{}, "", name)
	Expect(err).NotTo(HaveOccurred())
	before := e.DeepCopy()
	change(&e.Spec)
	Expect(api.Patch(ctx, e, client.MergeFrom(before))).To(Succeed())
}

// items reads where the addresses of an EgressIP are served: address -> node.
func items(ctx context.Context, name string) (map[netip.Addr]string, error) {
	e, err := getFresh(ctx, &egressipv1.EgressIP{}, "", name)
	if err != nil {
		return nil, err
	}
	result := map[netip.Addr]string{}
	for _, item := range e.Status.Items {
		a, err := netip.ParseAddr(item.EgressIP)
		if err != nil {
			return nil, err
		}
		if other, ok := result[a]; ok {
			return nil, fmt.Errorf("%s is served by %s and by %s", a, other, item.Node)
		}
		result[a] = item.Node
	}
	return result, nil
}

// expectServed waits until an EgressIP serves exactly these addresses on these nodes.
func expectServed(ctx context.Context, name string, where map[netip.Addr]string) {
	GinkgoHelper()
	Eventually(items).WithContext(ctx).WithArguments(name).Should(Equal(where), "places of %s", name)
}

// on is the map of one address on one node.
func on(n node, address netip.Addr) map[netip.Addr]string {
	return map[netip.Addr]string{address: n.Name}
}

// expectSpread waits until an EgressIP serves these addresses, each on one of as many nodes, and returns where.
func expectSpread(ctx context.Context, name string, addresses []netip.Addr, nodes ...node) map[netip.Addr]string {
	GinkgoHelper()
	names := make([]string, 0, len(nodes))
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	var where map[netip.Addr]string
	Eventually(func(g Gomega) {
		var err error
		where, err = items(ctx, name)
		g.Expect(err).NotTo(HaveOccurred())
		hosts := make([]string, 0, len(where))
		for _, a := range addresses {
			g.Expect(where).To(HaveKey(a))
			hosts = append(hosts, where[a])
		}
		g.Expect(where).To(HaveLen(len(addresses)))
		g.Expect(hosts).To(ConsistOf(names), "no node hosts two")
	}).WithContext(ctx).Should(Succeed(), "places of %s", name)
	return where
}

// condition reads a condition of an EgressIP; it is an error if there is none.
func condition(ctx context.Context, name, kind string) (metav1.Condition, error) {
	e, err := getFresh(ctx, &egressipv1.EgressIP{}, "", name)
	if err != nil {
		return metav1.Condition{}, err
	}
	c := meta.FindStatusCondition(e.Status.Conditions, kind)
	if c == nil {
		return metav1.Condition{}, fmt.Errorf("EgressIP %s has no condition %s", name, kind)
	}
	return *c, nil
}

// expectCondition waits for the status of a condition and returns the condition.
func expectCondition(ctx context.Context, name, kind string, status metav1.ConditionStatus) metav1.Condition {
	GinkgoHelper()
	var c metav1.Condition
	Eventually(func(g Gomega) {
		var err error
		c, err = condition(ctx, name, kind)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(c.Status).To(Equal(status), "%s: %s", c.Reason, c.Message)
	}).WithContext(ctx).Should(Succeed(), "condition %s of %s", kind, name)
	return c
}

// eventReasons lists the reasons of the events about an EgressIP.
func eventReasons(ctx context.Context, name string) ([]string, error) {
	var all eventsv1.EventList
	// Events about objects without namespace are in the default one.
	if err := api.List(ctx, &all, client.InNamespace(metav1.NamespaceDefault)); err != nil {
		return nil, err
	}
	var reasons []string
	for _, e := range all.Items {
		if e.Regarding.Kind == "EgressIP" && e.Regarding.Name == name {
			reasons = append(reasons, e.Reason)
		}
	}
	slices.Sort(reasons)
	return reasons, nil
}
