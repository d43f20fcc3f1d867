package e2e

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
)

var _ = Describe("Whatever changes", func() {
	It("served pods leave with addresses of their EgressIP and no others (design: a packet never leaves with the node's address because of a move)",
		NodeTimeout(3*time.Minute), func(ctx SpecContext) {
			mayStopControllers()
			hosts := []node{node1, node2, node3}
			hostsAre(ctx, hosts...)
			namespace := newNamespace(ctx, nil)
			pods := []*pod{startPod(ctx, namespace, node1), startPod(ctx, namespace, node2), startPod(ctx, namespace, node3)}
			ready(ctx, pods...)
			one, two := freeAddress(), freeAddress()
			name := newEgressIP(ctx, egressipv1.EgressIPSpec{EgressIPs: texts(one), NamespaceSelector: named(namespace)})
			for _, p := range pods {
				expectSource(ctx, p.target(), one)
			}

			const duration = 30 * time.Second
			ends := time.Now().Add(duration)
			var flows []*flow
			for _, p := range pods {
				flows = append(flows, startFlow(ctx, p, duration))
			}
			changes := []func(context.Context, string){
				func(ctx context.Context, _ string) { setHosts(ctx, hosts[1], hosts[2]) },
				func(ctx context.Context, _ string) { setHosts(ctx, hosts[0], hosts[2]) },
				func(ctx context.Context, _ string) { setHosts(ctx, hosts[0], hosts[1]) },
				func(ctx context.Context, _ string) { setHosts(ctx, hosts...) },
				func(ctx context.Context, name string) {
					editEgressIP(ctx, name, func(s *egressipv1.EgressIPSpec) { s.EgressIPs = texts(one, two) })
				},
				func(ctx context.Context, name string) {
					editEgressIP(ctx, name, func(s *egressipv1.EgressIPSpec) { s.EgressIPs = texts(one) })
				},
				func(ctx context.Context, _ string) {
					Expect(bed.KillController(ctx, theLeader(ctx))).To(Succeed())
					startControllers(ctx)
				},
			}
			seed := GinkgoRandomSeed()
			random := rand.New(rand.NewPCG(uint64(seed), 0))
			count := 0
			for time.Now().Before(ends.Add(-3 * time.Second)) {
				changes[random.IntN(len(changes))](ctx, name)
				expectCondition(ctx, name, egressipv1.ConditionAssigned, metav1.ConditionTrue)
				count++
			}
			AddReportEntry("changes", count)
			for i, f := range flows {
				result := f.end(ctx)
				AddReportEntry("flow of "+pods[i].name, result.arrived)
				Expect(result.arrived).To(haveOnlyKeys([]netip.Addr{one, two}...), "what the outside host got from %s", pods[i].name)
			}
		})
})
