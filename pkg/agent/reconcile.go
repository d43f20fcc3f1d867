package agent

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ovn-egress/ovn-egress/pkg/agent/vswitch"
	"github.com/ovn-egress/ovn-egress/pkg/api/ovn-egress.io/v1alpha1"
)

const (
	// gatewayAge is how long what was read of the Node is used. The gateway router's MAC address hardly ever changes.
	gatewayAge = time.Minute
	// cacheLag is when to look again after the API server knew more than the cache.
	cacheLag = 50 * time.Millisecond
)

// reconciler keeps the node's EgressNode answered. It is not safe for concurrent use: it is run by a controller with
// one worker.
type reconciler struct {
	name      string        // of the node and of its EgressNode
	bootID    string        // of the kernel that runs
	iface     string        // external bridge
	heartbeat time.Duration // interval
	client    client.Client // EgressNode
	nodes     client.Reader // the Node; not cached
	ovs       func() vswitch.State
	announcer announcer
	metrics   *metrics
	now       func() time.Time

	reported atomic.Bool // the API server has a status that this process wrote or agrees with; read by the readiness check

	ledger  ledger // nil before the first pass
	epoch   int64  // highest that was seen
	gateway gateway
}

// gateway is what was read of the node's gateway router.
type gateway struct {
	mac     net.HardwareAddr // nil: unknown, the bridge's is used
	problem string           // why mac is unknown
	read    time.Time
}

// Reconcile is one pass.
func (r *reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	node, err := r.egressNode(ctx)
	if apierrors.IsAlreadyExists(err) {
		return reconcile.Result{RequeueAfter: cacheLag}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	if r.ledger == nil {
		r.ledger = adopt(node.Status, r.bootID)
	}
	f := r.facts(node)
	if f.accepted() {
		r.epoch = f.Spec.Epoch
		r.ledger = r.ledger.observe(f.Spec.Addresses, f.OVS, f.Now)
	}
	due := r.ledger.due(f.Now)
	if err := r.readGateway(ctx, len(due) > 0); err != nil {
		return reconcile.Result{}, err
	}
	f.Gateway = r.gateway.problem
	if len(due) > 0 {
		sent, err := r.announcer.Announce(r.gateway.mac, due)
		r.ledger.announced(due, sent, err, f.Now)
		r.account(logr.FromContextOrDiscard(ctx), len(due), sent, err)
	}
	status := compileStatus(f, r.ledger)
	r.metrics.addressesReady.Set(float64(countReady(status)))
	return r.report(ctx, node, status)
}

// egressNode gets the node's EgressNode, and makes it if there is none: the node is known as soon as its agent runs.
func (r *reconciler) egressNode(ctx context.Context) (*v1alpha1.EgressNode, error) {
	node := &v1alpha1.EgressNode{}
	err := r.client.Get(ctx, client.ObjectKey{Name: r.name}, node)
	if err == nil {
		return node, nil
	}
	if !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("get EgressNode %s: %w", r.name, err)
	}
	node = &v1alpha1.EgressNode{ObjectMeta: metav1.ObjectMeta{Name: r.name}}
	if err := r.client.Create(ctx, node); err != nil {
		return nil, fmt.Errorf("create EgressNode %s: %w", r.name, err)
	}
	logr.FromContextOrDiscard(ctx).Info("EgressNode created")
	return node, nil
}

func (r *reconciler) facts(node *v1alpha1.EgressNode) facts {
	return facts{
		Spec:       node.Spec,
		Generation: node.Generation,
		Previous:   node.Status,
		Epoch:      max(r.epoch, node.Status.Epoch),
		BootID:     r.bootID,
		OVS:        r.ovs(),
		Interface:  r.iface,
		Now:        r.now(),
	}
}

// readGateway reads the Node when nothing is known of it, or when that is old and there is no hurry. A Node that is
// gone or says nothing of use is a problem to report, not an error: the bridge's MAC address is the gateway router's
// in the shared gateway mode.
func (r *reconciler) readGateway(ctx context.Context, hurry bool) error {
	now := r.now()
	first := r.gateway.read.IsZero()
	if !first && (hurry || now.Sub(r.gateway.read) < gatewayAge) {
		return nil
	}
	node := &corev1.Node{}
	err := r.nodes.Get(ctx, client.ObjectKey{Name: r.name}, node)
	if err != nil && !apierrors.IsNotFound(err) {
		err = fmt.Errorf("get Node %s: %w", r.name, err)
		if first {
			return err
		}
		logr.FromContextOrDiscard(ctx).Error(err, "what was read before is used", "read", r.gateway.read)
		return nil
	}
	r.gateway = gateway{read: now}
	if err == nil {
		r.gateway.mac, err = gatewayMAC(node)
	}
	if err != nil {
		r.gateway.problem = err.Error()
		logr.FromContextOrDiscard(ctx).Info("gateway router's MAC address unknown, announcing the bridge's", "reason", err.Error())
	}
	return nil
}

// account logs and counts announcements.
func (r *reconciler) account(log logr.Logger, due, sent int, err error) {
	r.metrics.announcements.Add(float64(sent))
	r.metrics.failures.Add(float64(due - sent))
	if err != nil {
		log.Error(err, "announcing", "announced", sent, "due", due)
		return
	}
	log.V(1).Info("announced", "addresses", sent, "mac", r.gateway.mac.String())
}

// report writes the status if it says anything new, or if a heartbeat is due, and says when to look again.
func (r *reconciler) report(ctx context.Context, node *v1alpha1.EgressNode, status v1alpha1.EgressNodeStatus) (reconcile.Result, error) {
	now := status.Heartbeat.Time
	same := sameButHeartbeat(node.Status, status)
	if same && now.Before(heartbeatDue(node.Status, r.heartbeat, now)) {
		r.reported.Store(true)
		return r.again(node.Status), nil
	}
	if !same {
		logChanges(logr.FromContextOrDiscard(ctx), node.Status, status)
	}
	node.Status = status
	err := r.client.Status().Update(ctx, node)
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		// The object changed or went since it was read; the next pass sees what it is now.
		return reconcile.Result{RequeueAfter: cacheLag}, nil
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("update status of EgressNode %s: %w", r.name, err)
	}
	r.reported.Store(true)
	return r.again(status), nil
}

// again is when the next announcement or heartbeat is due.
func (r *reconciler) again(status v1alpha1.EgressNodeStatus) reconcile.Result {
	now := r.now()
	at := heartbeatDue(status, r.heartbeat, now)
	if next, more := r.ledger.next(); more && next.Before(at) {
		at = next
	}
	return reconcile.Result{RequeueAfter: max(at.Sub(now), time.Millisecond)}
}

// logChanges tells what became ready, and what is not any more.
func logChanges(log logr.Logger, before, after v1alpha1.EgressNodeStatus) {
	was := make(map[string]v1alpha1.EgressNodeAddressStatus, len(before.Addresses))
	for _, a := range before.Addresses {
		was[a.Address] = a
	}
	for _, a := range after.Addresses {
		if old := was[a.Address]; old != a {
			log.Info("address", "address", a.Address, "generation", a.Generation, "ready", a.Ready, "message", a.Message)
		}
		delete(was, a.Address)
	}
	for address := range was {
		log.Info("address released", "address", address)
	}
}

func countReady(status v1alpha1.EgressNodeStatus) int {
	ready := 0
	for _, a := range status.Addresses {
		if a.Ready {
			ready++
		}
	}
	return ready
}
