package e2e

import (
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
)

var _ = Describe("Selection", func() {
	It("follows labels of namespaces and of pods, both ways (seeds/003 20.8.2)", limit, func(ctx SpecContext) {
		hostsAre(ctx, node2)
		key := unique("tenant")
		namespace := newNamespace(ctx, map[string]string{key: "a"})
		near, far := startPod(ctx, namespace, node2, labelled("app", "web")), startPod(ctx, namespace, node1)
		ready(ctx, near, far)
		address := freeAddress()
		newEgressIP(ctx, egressipv1.EgressIPSpec{
			EgressIPs: texts(address), NamespaceSelector: withLabel(key, "b"), PodSelector: withLabel("app", "web"),
		})
		expectSource(ctx, near.target(), node2.Address)

		By("the namespace")
		relabelNamespace(ctx, namespace, map[string]string{key: "b"})
		expectSource(ctx, near.target(), address)
		expectAlready(ctx, far.target(), node1.Address)
		relabelNamespace(ctx, namespace, map[string]string{key: ""})
		expectSource(ctx, near.target(), node2.Address)
		relabelNamespace(ctx, namespace, map[string]string{key: "b"})
		expectSource(ctx, near.target(), address)

		By("the pods")
		relabelPod(ctx, far, map[string]string{"app": "web"})
		relabelPod(ctx, near, map[string]string{"app": "db"})
		expectSource(ctx, far.target(), address)
		expectSource(ctx, near.target(), node2.Address)
		relabelPod(ctx, far, map[string]string{"app": ""})
		relabelPod(ctx, near, map[string]string{"app": "web"})
		expectSource(ctx, far.target(), node1.Address)
		expectSource(ctx, near.target(), address)
	})

	It("is by namespace in the manual's example of the architecture (seeds/003 20.8.1.6)", limit, func(ctx SpecContext) {
		hostsAre(ctx, node1, node3)
		production, second, test := newNamespace(ctx, map[string]string{"env": "prod"}),
			newNamespace(ctx, map[string]string{"env": "prod"}), newNamespace(ctx, map[string]string{"env": "test"})
		selected := []*pod{
			startPod(ctx, production, node1), startPod(ctx, production, node2), startPod(ctx, second, node2), startPod(ctx, second, node3),
		}
		other := startPod(ctx, test, node2)
		ready(ctx, append(selected, other)...)
		addresses := []netip.Addr{freeAddress(), freeAddress()}
		name := applyManifest(ctx, `
apiVersion: k8s.ovn.org/v1
kind: EgressIP
metadata:
  name: egressips-prod
spec:
  egressIPs:
  - %s
  - %s
  namespaceSelector:
    matchLabels:
      env: prod
`, addresses[0], addresses[1])

		expectSpread(ctx, name, addresses, node1, node3)
		for _, p := range selected {
			expectOnly(ctx, p, addresses...)
		}
		expectAlready(ctx, other.target(), node2.Address)
	})

	It("is by pod and namespace in the manual's first example (seeds/003 20.8.2 egress-group1)", limit, func(ctx SpecContext) {
		hostsAre(ctx, node1, node3)
		production, test := newNamespace(ctx, map[string]string{"env": "prod"}), newNamespace(ctx, map[string]string{"env": "test"})
		web := labelled("app", "web")
		selected := []*pod{startPod(ctx, production, node1, web), startPod(ctx, production, node2, web)}
		others := []*pod{
			startPod(ctx, production, node2, labelled("app", "db")), startPod(ctx, production, node3), startPod(ctx, test, node1, web),
		}
		ready(ctx, append(selected, others...)...)
		addresses := []netip.Addr{freeAddress(), freeAddress()}
		name := applyManifest(ctx, `
apiVersion: k8s.ovn.org/v1
kind: EgressIP
metadata:
  name: egress-group1
spec:
  egressIPs:
  - %s
  - %s
  podSelector:
    matchLabels:
      app: web
  namespaceSelector:
    matchLabels:
      env: prod
`, addresses[0], addresses[1])

		expectSpread(ctx, name, addresses, node1, node3)
		for _, p := range selected {
			expectOnly(ctx, p, addresses...)
		}
		for _, p := range others {
			expectAlready(ctx, p.target(), p.node.Address)
		}
	})

	It("is by NotIn, namespaces without the key included, in the manual's second example (seeds/003 20.8.2 egress-group2)",
		limit, func(ctx SpecContext) {
			hostsAre(ctx, node1, node3)
			development := newNamespace(ctx, map[string]string{"environment": "development"})
			production, without := newNamespace(ctx, map[string]string{"environment": "production"}), newNamespace(ctx, nil)
			selected := []*pod{startPod(ctx, production, node1), startPod(ctx, without, node2)}
			other := startPod(ctx, development, node2)
			ready(ctx, append(selected, other)...)
			addresses := []netip.Addr{freeAddress(), freeAddress()}
			name := applyManifest(ctx, `
apiVersion: k8s.ovn.org/v1
kind: EgressIP
metadata:
  name: egress-group2
spec:
  egressIPs:
  - %s
  - %s
  namespaceSelector:
    matchExpressions:
    - key: environment
      operator: NotIn
      values:
      - development
`, addresses[0], addresses[1])

			expectSpread(ctx, name, addresses, node1, node3)
			for _, p := range selected {
				expectOnly(ctx, p, addresses...)
			}
			expectAlready(ctx, other.target(), node2.Address)
			relabelNamespace(ctx, without, map[string]string{"environment": "development"})
			expectSource(ctx, selected[1].target(), node2.Address)
		})

	It("of one pod by two EgressIPs: the older serves it, the younger says so, and follows (seeds/003 20.8.1.5; spec 6.5)",
		limit, func(ctx SpecContext) {
			hostsAre(ctx, node2, node3)
			namespace := newNamespace(ctx, nil)
			both, one := startPod(ctx, namespace, node1, labelled("app", "web")), startPod(ctx, namespace, node1)
			ready(ctx, both, one)
			first, second := freeAddress(), freeAddress()
			older := newEgressIP(ctx, egressipv1.EgressIPSpec{
				EgressIPs: texts(first), NamespaceSelector: named(namespace), PodSelector: withLabel("app", "web"),
			})
			expectSource(ctx, both.target(), first)
			younger := newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(second), NamespaceSelector: named(namespace)})

			expectSource(ctx, one.target(), second)
			expectAlready(ctx, both.target(), first)
			c := expectCondition(ctx, younger, egressipv1.ConditionPodsExclusive, "False")
			Expect(c.Message).To(And(ContainSubstring(older), ContainSubstring(both.name)))
			Eventually(eventReasons).WithContext(ctx).WithArguments(younger).Should(ContainElement("UndefinedRequest"))
			expectCondition(ctx, older, egressipv1.ConditionPodsExclusive, "True")

			By("the older one is deleted")
			deleteEgressIP(ctx, older)
			expectSource(ctx, both.target(), second)
			expectCondition(ctx, younger, egressipv1.ConditionPodsExclusive, "True")
		})
})

var _ = Describe("A pod's address", func() {
	It("is not served when an unselected pod has it next (spec 6.4 IP reuse)", limit, func(ctx SpecContext) {
		hostsAre(ctx, node2)
		namespace, other := newNamespace(ctx, nil), newNamespace(ctx, nil)
		witness, first := startPod(ctx, namespace, node2), startPod(ctx, namespace, node1)
		ready(ctx, witness, first)
		address := freeAddress()
		newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(address), NamespaceSelector: named(namespace)})
		expectSource(ctx, first.target(), address)

		deletePod(ctx, first)
		heir := newPod(ctx, other, node1, at(first.address))
		Expect(heir.address).To(Equal(first.address))
		expectHeir(ctx, heir, witness, address)
	})

	It("is not served when its pod has completed, nor when an unselected pod has it next (spec 6.4 completed pods)",
		limit, func(ctx SpecContext) {
			hostsAre(ctx, node2)
			namespace, other := newNamespace(ctx, nil), newNamespace(ctx, nil)
			witness := newPod(ctx, namespace, node2)
			address := freeAddress()
			name := newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(address), NamespaceSelector: named(namespace)})
			expectSource(ctx, witness.target(), address)

			job := startPod(ctx, namespace, node1, completing("udp", "-duration", "300ms", "job", outsideAnswers()))
			Eventually(func(g Gomega) {
				object, err := getFresh(ctx, &corev1.Pod{}, job.namespace, job.name)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(object.Status.Phase).To(Equal(corev1.PodSucceeded))
				job.address, err = netip.ParseAddr(object.Status.PodIP)
				g.Expect(err).NotTo(HaveOccurred())
			}).WithContext(ctx).Should(Succeed())
			Eventually(rowsOf).WithContext(ctx).WithArguments(name).ShouldNot(ContainElement(ContainSubstring(job.address.String())))
			heir := newPod(ctx, other, node1, at(job.address))
			expectHeir(ctx, heir, witness, address)
		})
})
