package agent

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ovn-egress/ovn-egress/pkg/agent/vswitch"
	"github.com/ovn-egress/ovn-egress/pkg/api/ovn-egress.io/v1alpha1"
)

const routerMAC = "02:42:ac:12:00:03"

// bench is a reconciler with everything around it made up, and a clock that stands still.
type bench struct {
	t      *testing.T
	r      *reconciler
	client client.Client
	ovs    vswitch.State
	now    time.Time
	down   error    // what announcing fails with
	sent   []string // announcements, "ADDRESS@MAC"
	writes int      // of the status
	fail   error    // what writing the status fails with, once
}

func newBench(t *testing.T, objects ...client.Object) *bench {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	b := &bench{t: t, ovs: chassisAt(10), now: start}
	b.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.EgressNode{}).
		WithInterceptorFuncs(interceptor.Funcs{SubResourceUpdate: b.countWrite}).Build()
	b.start()
	return b
}

// start starts the agent, the first time or again.
func (b *bench) start() {
	b.t.Helper()
	ovs := func() vswitch.State { return b.ovs }
	m, err := newMetrics(prometheus.NewRegistry(), ovs)
	if err != nil {
		b.t.Fatal(err)
	}
	b.r = &reconciler{
		name: "n1", bootID: boot, iface: "br-ex", heartbeat: 5 * time.Second, client: b.client, nodes: b.client,
		ovs: ovs, announcer: b, metrics: m, now: func() time.Time { return b.now },
	}
}

func (b *bench) countWrite(ctx context.Context, c client.Client, sub string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
	if err := b.fail; err != nil {
		b.fail = nil
		return err
	}
	b.writes++
	return c.SubResource(sub).Update(ctx, obj, opts...)
}

// Announce makes the bench the announcer.
func (b *bench) Announce(mac net.HardwareAddr, addrs []netip.Addr) (int, error) {
	if b.down != nil {
		return 0, b.down
	}
	for _, a := range addrs {
		b.sent = append(b.sent, a.String()+"@"+mac.String())
	}
	return len(addrs), nil
}

func (b *bench) pass() reconcile.Result {
	b.t.Helper()
	result, err := b.r.Reconcile(b.t.Context(), reconcile.Request{})
	if err != nil {
		b.t.Fatalf("pass: %v", err)
	}
	return result
}

// elapse lets time pass as the agent asked for, pass by pass.
func (b *bench) elapse(d time.Duration) {
	b.t.Helper()
	end := b.now.Add(d)
	for {
		next := b.pass().RequeueAfter
		if next <= 0 {
			b.t.Fatalf("a pass at %s asked for no other", b.now)
		}
		if b.now.Add(next).After(end) {
			b.now = end
			return
		}
		b.now = b.now.Add(next)
	}
}

func (b *bench) node() *v1alpha1.EgressNode {
	b.t.Helper()
	n := &v1alpha1.EgressNode{}
	if err := b.client.Get(b.t.Context(), client.ObjectKey{Name: "n1"}, n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// place writes the spec, as the controller does.
func (b *bench) place(epoch int64, entries ...v1alpha1.EgressNodeAddress) {
	b.t.Helper()
	n := b.node()
	n.Generation++
	n.Spec.Epoch, n.Spec.Addresses = epoch, entries
	if err := b.client.Update(b.t.Context(), n); err != nil {
		b.t.Fatal(err)
	}
}

func kubernetesNode(annotations map[string]string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Annotations: annotations}}
}

func sharedGateway() *corev1.Node {
	return kubernetesNode(map[string]string{annotationGateway: `{"default":{"mac-address":"` + routerMAC + `"}}`})
}

func TestAnAgentMakesItsNodeKnown(t *testing.T) {
	b := newBench(t, sharedGateway())
	b.pass()
	n := b.node()
	if !cmp.Equal(n.Spec, v1alpha1.EgressNodeSpec{}) {
		t.Errorf("spec = %+v, want it left to the controller", n.Spec)
	}
	if n.Status.BootID != boot || n.Status.Heartbeat == nil || !meta.IsStatusConditionTrue(n.Status.Conditions, ConditionOVSConnected) {
		t.Errorf("status = %+v", n.Status)
	}
	if err := b.client.Delete(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	b.pass()
	if b.node().Status.Heartbeat == nil {
		t.Error("an EgressNode that was deleted is not made again with a status")
	}
}

func TestAnAddressBecomesReadyWhenTheChassisHasIt(t *testing.T) {
	b := newBench(t, sharedGateway())
	b.pass()
	b.place(1, entry(3, 11))
	b.pass()
	if a := b.node().Status.Addresses; len(a) != 1 || a[0].Ready || len(b.sent) > 0 {
		t.Fatalf("before it is installed: status %+v, announced %v", a, b.sent)
	}
	b.ovs = chassisAt(11)
	b.pass()
	want := []v1alpha1.EgressNodeAddressStatus{{Address: address, Generation: 3, Ready: true, Interface: "br-ex"}}
	if diff := cmp.Diff(want, b.node().Status.Addresses); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{address + "@" + routerMAC}, b.sent); diff != "" {
		t.Errorf("announced (-want +got):\n%s", diff)
	}
	if got := testutil.ToFloat64(b.r.metrics.addressesReady); got != 1 {
		t.Errorf("addresses ready = %v, want 1", got)
	}
	b.elapse(time.Minute)
	if len(b.sent) != len(offsets) || testutil.ToFloat64(b.r.metrics.announcements) != float64(len(offsets)) {
		t.Errorf("announced %v, counted %v", b.sent, testutil.ToFloat64(b.r.metrics.announcements))
	}
}

func TestAnAddressThatLeavesIsNotAnnouncedAnyMore(t *testing.T) {
	b := newBench(t, sharedGateway())
	b.pass()
	b.place(1, entry(3, 10))
	b.pass()
	b.place(1)
	b.elapse(time.Minute)
	if len(b.sent) != 1 {
		t.Errorf("announced %v, want once", b.sent)
	}
	if a := b.node().Status.Addresses; len(a) > 0 {
		t.Errorf("addresses = %+v, want none", a)
	}
}

func TestTheHeartbeatIsRenewedAndNothingElseIsWritten(t *testing.T) {
	b := newBench(t, sharedGateway())
	b.pass()
	for range 10 {
		b.pass() // events without a change
	}
	if b.writes != 1 {
		t.Errorf("%d writes, want the first only", b.writes)
	}
	b.elapse(time.Minute)
	if b.writes != 12+1 {
		t.Errorf("%d writes, want one more every 5 seconds", b.writes)
	}
	if h := b.node().Status.Heartbeat; b.now.Sub(h.Time) > 5*time.Second {
		t.Errorf("heartbeat of %s at %s", h, b.now)
	}
}

func TestAnAnnouncementThatFailsIsReportedAndRepeated(t *testing.T) {
	b := newBench(t, sharedGateway())
	b.pass()
	b.down = errors.New("network is down")
	b.place(1, entry(3, 10))
	b.pass()
	n := b.node()
	if a := n.Status.Addresses[0]; a.Ready || !strings.Contains(a.Message, "network is down") {
		t.Errorf("address = %+v", a)
	}
	if !meta.IsStatusConditionFalse(n.Status.Conditions, ConditionAnnouncing) || testutil.ToFloat64(b.r.metrics.failures) != 1 {
		t.Errorf("conditions = %+v", n.Status.Conditions)
	}
	b.down = nil
	b.elapse(retryAfter)
	b.pass()
	n = b.node()
	if !n.Status.Addresses[0].Ready || !meta.IsStatusConditionTrue(n.Status.Conditions, ConditionAnnouncing) {
		t.Errorf("status = %+v, want it ready", n.Status)
	}
}

func TestASpecOfALowerEpochIsNotFollowed(t *testing.T) {
	b := newBench(t, sharedGateway())
	b.pass()
	b.place(5, entry(3, 10))
	b.pass()
	before := b.node()
	check := func(when string) {
		t.Helper()
		n := b.node()
		if diff := cmp.Diff(before.Status.Addresses, n.Status.Addresses); diff != "" {
			t.Errorf("%s: addresses (-want +got):\n%s", when, diff)
		}
		if n.Status.Epoch != 5 || n.Status.ObservedGeneration != before.Status.ObservedGeneration ||
			!meta.IsStatusConditionFalse(n.Status.Conditions, ConditionEpochAccepted) {
			t.Errorf("%s: status = %+v", when, n.Status)
		}
	}
	b.place(4)
	b.pass()
	check("a lower epoch")
	b.start()
	b.pass()
	check("a lower epoch, and an agent that starts")
	b.place(6)
	b.pass()
	if n := b.node(); n.Status.Epoch != 6 || len(n.Status.Addresses) > 0 || !meta.IsStatusConditionTrue(n.Status.Conditions, ConditionEpochAccepted) {
		t.Errorf("a higher epoch: status = %+v", n.Status)
	}
}

func TestARestartOfTheAgentIsNotSeen(t *testing.T) {
	b := newBench(t, sharedGateway())
	b.pass()
	b.place(1, entry(3, 10))
	b.elapse(10 * time.Second)
	before := b.node().Status.Addresses

	b.ovs = vswitch.State{Problem: "not connected yet"}
	b.sent = nil
	b.start()
	b.pass()
	if diff := cmp.Diff(before, b.node().Status.Addresses); diff != "" || !before[0].Ready {
		t.Errorf("addresses while it connects (-before +after):\n%s", diff)
	}
	b.ovs = chassisAt(10)
	b.elapse(10 * time.Second)
	if diff := cmp.Diff(before, b.node().Status.Addresses); diff != "" {
		t.Errorf("addresses once it is connected (-before +after):\n%s", diff)
	}
	if len(b.sent) != len(offsets) {
		t.Errorf("announced %v, want the whole schedule again", b.sent)
	}
}

func TestNothingIsReadyAfterABoot(t *testing.T) {
	b := newBench(t, sharedGateway())
	b.pass()
	b.place(1, entry(3, 10))
	b.pass()
	b.ovs = vswitch.State{Problem: "not connected yet"}
	b.start()
	b.r.bootID = "boot-2"
	b.pass()
	if s := b.node().Status; s.Addresses[0].Ready || s.BootID != "boot-2" {
		t.Errorf("status = %+v", s)
	}
}

func TestWithoutAnAnnotationTheBridgesAddressIsAnnounced(t *testing.T) {
	for name, objects := range map[string][]client.Object{"no annotation": {kubernetesNode(nil)}, "no Node": nil} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, objects...)
			b.pass()
			b.place(1, entry(3, 10))
			b.pass()
			if diff := cmp.Diff([]string{address + "@"}, b.sent); diff != "" {
				t.Errorf("announced (-want +got), with no MAC address for the bridge's own:\n%s", diff)
			}
			c := meta.FindStatusCondition(b.node().Status.Conditions, ConditionAnnouncing)
			if c.Status != metav1.ConditionTrue || c.Reason != "BridgeAddress" {
				t.Errorf("condition = %+v", c)
			}
		})
	}
}

func TestTheNodeIsReadAgainWhenThereIsNoHurry(t *testing.T) {
	b := newBench(t, kubernetesNode(nil))
	b.pass()
	n := sharedGateway()
	if err := b.client.Update(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	b.elapse(2 * gatewayAge)
	b.place(1, entry(3, 10))
	b.pass()
	if diff := cmp.Diff([]string{address + "@" + routerMAC}, b.sent); diff != "" {
		t.Errorf("announced (-want +got):\n%s", diff)
	}
}

func TestAConflictIsNoErrorAndLosesNothing(t *testing.T) {
	b := newBench(t, sharedGateway())
	b.pass()
	b.place(1, entry(3, 10))
	b.fail = apierrors.NewConflict(schema.GroupResource{Resource: "egressnodes"}, "n1", errors.New("changed"))
	if result := b.pass(); result.RequeueAfter != cacheLag {
		t.Errorf("next pass in %s, want %s", result.RequeueAfter, cacheLag)
	}
	b.pass()
	if !b.node().Status.Addresses[0].Ready || len(b.sent) != 1 {
		t.Errorf("status = %+v, announced %v; want it ready, announced once so far", b.node().Status, b.sent)
	}
}

func TestErrorsOfTheAPIServerNameTheObject(t *testing.T) {
	b := newBench(t, sharedGateway())
	unavailable := errors.New("unavailable")
	b.fail = unavailable
	if _, err := b.r.Reconcile(t.Context(), reconcile.Request{}); !errors.Is(err, unavailable) || !strings.Contains(err.Error(), "EgressNode n1") {
		t.Errorf("error = %v, want it to name EgressNode n1", err)
	}
}
