// Package standin is, in one process for all nodes of a netns cluster, what the cluster has in place of scheduler,
// kubelets, network plugin and kube-proxy. It does what the real ones do and in their order, and it knows nothing of
// egress addresses: it never waits for the controller under test, so that the controller has to keep up.
//
// A pod's way is that of a pod under OVN-Kubernetes: it is bound to a node; gets an address, written to its
// annotation k8s.ovn.org/pod-networks, and a logical switch port; a network namespace and a veth pair on br-int;
// once ovn-controller has installed the port its command is started; then status.podIPs and Ready are set. On the
// way back command, veth pair and namespace go first, then the object, and only then the logical switch port and
// the address, which another pod may have next.
//
// Two annotations on pods are for tests. netcluster.ovn-egress.io/address asks for an address of the node's pod subnet,
// and the pod waits while another one has it. netcluster.ovn-egress.io/phantom: "true" makes a pod with address and
// logical switch port that is Running at once, without namespace and process, so that there can be thousands.
//
// Pods that have a command run it if it exists on the machine, in the machine's file system; there are no images.
// Other containers than the first, init containers, probes and volumes are taken for granted.
package standin

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

// standIn is one run of the stand-in.
type standIn struct {
	state     *cluster.State
	log       logr.Logger
	informers informers.SharedInformerFactory
	zones     map[string]*northbound  // zone name -> its northbound database
	switches  map[string]*openVSwitch // node name -> its Open vSwitch
	failures  *failures
	kubelet   *kubelet
	reporter  *nodeReporter
	scheduler *scheduler
	proxy     *proxy
}

// Run brings the pods, nodes and services of the cluster to life until ctx ends; the error is nil then. What it
// made stays when it ends, and the next run takes it over. There must be one run a cluster at a time.
func Run(ctx context.Context, s *cluster.State, log logr.Logger) error {
	// What watches a process or a node must end before Run does, also when it ends with an error.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := &standIn{state: s, log: log, zones: map[string]*northbound{}, switches: map[string]*openVSwitch{}}
	defer in.disconnect()
	if err := in.connect(ctx); err != nil {
		return fmt.Errorf("stand-in: %w", err)
	}
	if err := in.run(ctx); err != nil {
		return fmt.Errorf("stand-in: %w", err)
	}
	return nil
}

// connect connects to the API server and to all databases and makes the parts.
func (in *standIn) connect(ctx context.Context) error {
	config, err := clientcmd.BuildConfigFromFlags("", in.state.Kubeconfig())
	if err != nil {
		return err
	}
	config.QPS = -1                                            // one stand-in does what many kubelets would do beside each other
	config.ContentType = "application/vnd.kubernetes.protobuf" // a fraction of JSON's cost on both sides
	config.AcceptContentTypes = config.ContentType + ",application/json"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	version, err := client.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("API server: %w", err)
	}
	in.informers = informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(withoutManagedFields))
	if in.failures, err = newFailures(ctx, in.state.Nodes); err != nil {
		return err
	}
	for _, zone := range in.state.Zones {
		nb, err := openNorthbound(ctx, zone, in.state.Nodes, in.log)
		if err != nil {
			return err
		}
		in.zones[zone.Name] = nb
	}
	if err := in.makeKubelet(ctx, client); err != nil {
		return err
	}
	in.makeOthers(client, version.GitVersion)
	return nil
}

// disconnect closes the connections to the databases.
func (in *standIn) disconnect() {
	for _, nb := range in.zones {
		nb.client.Close()
	}
	for _, ovs := range in.switches {
		ovs.client.Close()
	}
}

// makeOthers makes all parts but the kubelet.
func (in *standIn) makeOthers(client kubernetes.Interface, version string) {
	core := in.informers.Core().V1()
	in.reporter = &nodeReporter{
		client: client, nodes: in.state.Nodes, lister: core.Nodes().Lister(), failures: in.failures,
		version: version, queue: newQueue[string](), log: in.log.WithName("node"),
	}
	in.scheduler = &scheduler{
		client: client, pods: core.Pods().Lister(), nodes: core.Nodes().Lister(), failures: in.failures,
		queue: newQueue[cache.ObjectName](), log: in.log.WithName("scheduler"), bound: map[types.UID]string{},
	}
	in.proxy = &proxy{
		client: client, state: in.state, zones: in.zones, services: core.Services().Lister(), nodes: core.Nodes().Lister(),
		endpoints: in.informers.Discovery().V1().EndpointSlices().Lister(),
		queue:     newQueue[cache.ObjectName](), log: in.log.WithName("proxy"), assigned: map[netip.Addr]types.UID{},
	}
}

// makeKubelet makes the kubelet and connects it to the nodes' databases.
func (in *standIn) makeKubelet(ctx context.Context, client kubernetes.Interface) error {
	pods := in.informers.Core().V1().Pods().Informer()
	if err := pods.AddIndexers(cache.Indexers{byUID: func(object any) ([]string, error) {
		return []string{string(object.(*corev1.Pod).UID)}, nil
	}}); err != nil {
		return err
	}
	k := &kubelet{
		state: in.state, client: client, pods: pods.GetIndexer(), addresses: newAddressPool(in.state.Nodes),
		zones: in.zones, switches: in.switches, failures: in.failures, queue: newQueue[types.UID](),
		log: in.log.WithName("kubelet"), built: map[types.UID]string{},
	}
	changed := func(pod types.UID) { k.enqueue(pod) }
	k.containers = newContainers(in.state.Name, k.log, changed)
	for i := range in.state.Nodes {
		node := &in.state.Nodes[i]
		ovs, err := openOpenVSwitch(ctx, node, k.log, changed)
		if err != nil {
			return err
		}
		in.switches[node.Name] = ovs
	}
	in.kubelet = k
	return nil
}

// run starts the parts, each when what it builds upon is known, and waits for their end.
func (in *standIn) run(ctx context.Context) error {
	if err := in.handleEvents(); err != nil {
		return err
	}
	in.informers.Start(ctx.Done())
	defer in.informers.Shutdown()
	for kind, synced := range in.informers.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("list %s: %w", kind, ctx.Err())
		}
	}
	if err := in.kubelet.adopt(ctx); err != nil {
		return err
	}
	if err := in.proxy.adopt(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return in.failures.watch(ctx, func(node string) { in.nodeFailureChanged(ctx, node) }) })
	group.Go(func() error { return in.reporter.run(ctx) })
	group.Go(func() error { return in.reporter.renewLeases(ctx) })
	group.Go(func() error { return in.scheduler.run(ctx) })
	group.Go(func() error { return in.kubelet.run(ctx) })
	group.Go(func() error { return in.proxy.run(ctx) })
	return group.Wait()
}

// nodeFailureChanged tells everyone that a node has failed or come back.
func (in *standIn) nodeFailureChanged(ctx context.Context, node string) {
	in.log.Info("Node changed", "node", node, "failure", in.failures.of(node))
	in.reporter.queue.Add(node)
	if err := in.kubelet.nodeChanged(ctx, node); err != nil {
		in.log.Error(err, "Pods of the node not looked at", "node", node)
	}
}

// withoutManagedFields keeps out of memory what nobody here looks at.
func withoutManagedFields(object any) (any, error) {
	switch o := object.(type) {
	case *corev1.Pod:
		o.ManagedFields = nil
	case *discoveryv1.EndpointSlice:
		o.ManagedFields = nil
	}
	return object, nil
}
