package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/ovn-egress/ovn-egress/pkg/agent/vswitch"
	"github.com/ovn-egress/ovn-egress/pkg/api/ovn-egress.io/v1alpha1"
)

const (
	// bootIDFile is a random identifier of the running kernel's boot (proc_sys_kernel(5)).
	bootIDFile = "/proc/sys/kernel/random/boot_id"

	// A pass that failed is repeated after pauses that double from the first to the last: an agent must be heard
	// again soon after the API server is back.
	firstPause = 10 * time.Millisecond
	lastPause  = time.Second
	// passTimeout bounds a pass, so that an API server that does not answer does not hold up announcements.
	passTimeout = 5 * time.Second
	// A cache that is not filled after this time ends the agent.
	forever = 10 * 365 * 24 * time.Hour
)

// Options of an agent. All are required.
type Options struct {
	// NodeName is the name of the Kubernetes node that the agent runs on.
	NodeName string
	// OVSAddress is where the node's Open vSwitch database listens, "unix:/run/openvswitch/db.sock".
	OVSAddress string
	// IntegrationBridge is the bridge that ovn-controller manages, "br-int".
	IntegrationBridge string
	// ExternalBridge is the bridge through which the gateway router reaches the outside, "br-ex".
	ExternalBridge string
	// Heartbeat is how often the status is renewed while nothing changes.
	Heartbeat time.Duration
	// HealthAddress is where /healthz and /readyz are served, ":9109"; "0" for nowhere.
	HealthAddress string
	// MetricsAddress is where /metrics is served over plain HTTP, ":9110"; "0" for nowhere.
	MetricsAddress string
	Log            logr.Logger
}

func (o Options) validate() error {
	var missing []error
	for _, required := range []struct {
		name string
		ok   bool
	}{
		{"node name", o.NodeName != ""},
		{"address of the Open vSwitch database", o.OVSAddress != ""},
		{"integration bridge", o.IntegrationBridge != ""},
		{"external bridge", o.ExternalBridge != ""},
		{"heartbeat interval", o.Heartbeat > 0},
	} {
		if !required.ok {
			missing = append(missing, fmt.Errorf("the %s is missing", required.name))
		}
	}
	return errors.Join(missing...)
}

// Run runs the agent until the context is done. It waits for the API server and for Open vSwitch for ever, at the start
// as later: on a node that boots they come up in any order. An error means that the agent cannot work as configured.
func Run(ctx context.Context, config *rest.Config, o Options) error {
	if err := o.validate(); err != nil {
		return err
	}
	boot, err := os.ReadFile(bootIDFile)
	if err != nil {
		return fmt.Errorf("boot id: %w", err)
	}
	mgr, err := newManager(config, o)
	if err != nil {
		return err
	}
	// One pending event is enough: a pass looks at everything. The first one makes the EgressNode if there is none.
	changes := make(chan event.GenericEvent, 1)
	changed := func() {
		select {
		case changes <- event.GenericEvent{Object: &v1alpha1.EgressNode{ObjectMeta: metav1.ObjectMeta{Name: o.NodeName}}}:
		default:
		}
	}
	changed()
	ovs, err := vswitch.NewWatcher(o.OVSAddress, o.IntegrationBridge, o.Log.WithName("vswitch"), changed)
	if err != nil {
		return err
	}
	if err := mgr.Add(ovs); err != nil {
		return fmt.Errorf("add watcher of Open vSwitch: %w", err)
	}
	metrics, err := newMetrics(ctrlmetrics.Registry, ovs.State)
	if err != nil {
		return err
	}
	arp := &arpAnnouncer{name: o.ExternalBridge}
	r := &reconciler{
		name: o.NodeName, bootID: strings.TrimSpace(string(boot)), iface: o.ExternalBridge, heartbeat: o.Heartbeat,
		client: mgr.GetClient(), nodes: mgr.GetAPIReader(), ovs: ovs.State,
		announcer: arp, metrics: metrics, now: time.Now,
	}
	if err := watch(mgr, r, changes); err != nil {
		return err
	}
	if err := addChecks(mgr, r, ovs); err != nil {
		return err
	}
	// The workers are done when Start returns, so nobody uses the socket.
	if err := errors.Join(mgr.Start(ctx), arp.Close()); err != nil {
		return fmt.Errorf("agent of node %s: %w", o.NodeName, err)
	}
	return nil
}

// newManager makes a manager whose cache holds the node's own EgressNode and nothing else.
func newManager(config *rest.Config, o Options) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("scheme: %w", err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("scheme: %w", err)
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:         scheme,
		MapperProvider: clusterScoped,
		Logger:         o.Log,
		Cache: cache.Options{ByObject: map[client.Object]cache.ByObject{
			&v1alpha1.EgressNode{}: {Field: fields.OneTermEqualSelector(metav1.ObjectNameField, o.NodeName)},
		}},
		HealthProbeBindAddress: o.HealthAddress,
		Metrics:                metricsserver.Options{BindAddress: o.MetricsAddress},
	})
	if err != nil {
		return nil, fmt.Errorf("manager: %w", err)
	}
	return mgr, nil
}

// clusterScoped maps the two types that the agent uses, so that it need not ask the API server for what is known, nor
// wait for it to start.
func clusterScoped(*rest.Config, *http.Client) (meta.RESTMapper, error) {
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(v1alpha1.GroupVersion.WithKind("EgressNode"), meta.RESTScopeRoot)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Node"), meta.RESTScopeRoot)
	return mapper, nil
}

// watch runs the reconciler whenever the spec or Open vSwitch changed. Changes of the status are its own.
func watch(mgr ctrl.Manager, r *reconciler, changes <-chan event.GenericEvent) error {
	err := ctrl.NewControllerManagedBy(mgr).
		Named("egressnode").
		For(&v1alpha1.EgressNode{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(source.Channel(changes, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{
			RateLimiter:           workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstPause, lastPause),
			ReconciliationTimeout: passTimeout,
			CacheSyncTimeout:      forever,
		}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	return nil
}

// addChecks adds what /healthz and /readyz answer: alive, and ready once the node's state was reported, from when on
// the node may be given addresses, while Open vSwitch is connected.
func addChecks(mgr ctrl.Manager, r *reconciler, ovs *vswitch.Watcher) error {
	reported := func(*http.Request) error {
		if !r.reported.Load() {
			return errors.New("the state of the node is not reported yet")
		}
		return nil
	}
	connected := func(*http.Request) error {
		if s := ovs.State(); !s.Connected {
			return fmt.Errorf("no connection to Open vSwitch: %s", s.Problem)
		}
		return nil
	}
	return errors.Join(
		mgr.AddHealthzCheck("ping", healthz.Ping),
		mgr.AddReadyzCheck("reported", reported),
		mgr.AddReadyzCheck("ovs", connected),
	)
}
