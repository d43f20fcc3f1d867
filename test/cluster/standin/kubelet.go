package standin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

const (
	// podWorkers work on pods at a time. They spend most of their time waiting for the API server and OVN.
	podWorkers = 8
	// podTimeout is how long one step of a pod may take; a step that takes longer is begun again.
	podTimeout = 10 * time.Second
	// byUID is the name of the index of pods by UID.
	byUID = "uid"
)

// kubelet is the kubelets of all nodes together with the network plugin: it brings pods to life and to an end, a
// step at a time, each from what is there and not from what it remembers, so that it can be restarted at any time.
type kubelet struct {
	state      *cluster.State
	client     kubernetes.Interface
	pods       cache.Indexer // by UID
	addresses  *addressPool
	zones      map[string]*northbound  // zone name -> its northbound database
	switches   map[string]*openVSwitch // node name -> its Open vSwitch
	failures   *failures
	containers *containers
	queue      workqueue.TypedRateLimitingInterface[types.UID]
	log        logr.Logger

	mu sync.Mutex
	// built has the pods whose sandbox was made or checked since their node last came back.
	built map[types.UID]string // pod -> node name
}

// run works until ctx ends.
func (k *kubelet) run(ctx context.Context) error {
	var workers sync.WaitGroup
	for range podWorkers {
		workers.Go(func() {
			for k.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	k.queue.ShutDown()
	workers.Wait()
	return nil
}

// next does the next step of the next pod; it returns false when there will be none.
func (k *kubelet) next(ctx context.Context) bool {
	uid, shutdown := k.queue.Get()
	if shutdown {
		return false
	}
	defer k.queue.Done(uid)
	again, err := k.sync(ctx, uid)
	switch {
	case ctx.Err() != nil:
	case err != nil && !errors.Is(err, context.Canceled): // cancelled: the node is cut off, and its return brings the pod back
		k.log.Error(err, "Pod will be tried again", "pod", k.name(uid))
		k.queue.AddRateLimited(uid)
	case again > 0:
		k.queue.Forget(uid)
		k.queue.AddAfter(uid, again)
	default:
		k.queue.Forget(uid)
	}
	return true
}

// sync does what is to be done for a pod now. The duration, if not zero, says when to look again.
func (k *kubelet) sync(ctx context.Context, uid types.UID) (time.Duration, error) {
	pod, err := k.pod(uid)
	if err != nil {
		return 0, err
	}
	if pod == nil {
		return 0, k.vanished(ctx, uid)
	}
	node, err := k.state.Node(pod.Spec.NodeName)
	if err != nil {
		return 0, nil // not scheduled yet, or to a node that is not ours
	}
	reachable, ok := k.failures.context(node.Name)
	if !ok {
		return 0, k.lost(ctx, pod) // the node's return brings the pod back
	}
	step, cancel := context.WithTimeout(reachable, podTimeout)
	defer cancel()
	switch {
	case pod.DeletionTimestamp != nil:
		return 0, k.terminate(ctx, step, pod, node)
	case ended(pod):
		return 0, k.dismantle(ctx, step, pod, node)
	default:
		return k.advance(ctx, step, pod, node)
	}
}

// advance brings a pod one step nearer to Running, or keeps it there: address and annotation, logical switch port,
// sandbox, command, status. Only the wait for ovn-controller in between is left to an event.
func (k *kubelet) advance(ctx, step context.Context, pod *corev1.Pod, node *cluster.Node) (time.Duration, error) {
	if pod.Spec.HostNetwork {
		ips := []netip.Addr{node.Addresses[0].Addr()}
		return k.runCommand(ctx, step, pod, node, node.Namespace, ips)
	}
	a, err := k.allocate(step, pod, node)
	if err != nil {
		return 0, err
	}
	if err := k.zones[node.Zone].ensurePort(step, node, idOf(pod), a); err != nil {
		return 0, err
	}
	if phantom(pod) {
		running := containerState{running: true, started: pod.CreationTimestamp.Time}
		return 0, k.report(step, pod, node, a.podIPs(), running)
	}
	box := sandboxOf(k.state.Name, idOf(pod))
	if installed, err := k.ensureSandbox(step, box, node, a); err != nil || !installed {
		return 0, err
	}
	return k.runCommand(ctx, step, pod, node, box.namespace, a.podIPs())
}

// allocate chooses the pod's addresses and publishes them in its annotation.
func (k *kubelet) allocate(ctx context.Context, pod *corev1.Pod, node *cluster.Node) (attachment, error) {
	wanted, err := wantedAddresses(pod)
	if err != nil {
		return attachment{}, err
	}
	prefixes, err := k.addresses.claim(pod.UID, node.Name, wanted)
	if err != nil {
		return attachment{}, err
	}
	a := newAttachment(prefixes)
	text, err := a.annotation()
	if err != nil || pod.Annotations[podNetworksAnnotation] == text {
		return a, err
	}
	return a, k.annotate(ctx, pod, podNetworksAnnotation, text)
}

// ensureSandbox makes the pod's namespace and its connection to the node's switch, and reports whether
// ovn-controller has installed the connection. A sandbox of which anything is missing is made anew.
func (k *kubelet) ensureSandbox(ctx context.Context, box sandbox, node *cluster.Node, a attachment) (bool, error) {
	ovs := k.switches[node.Name]
	iface, err := ovs.interfaceOf(ctx, box.pod.uid)
	if err != nil {
		return false, err
	}
	if iface != nil && k.builtOn(box.pod.uid) == node.Name {
		return iface.installed(), nil
	}
	if iface != nil {
		complete, err := box.complete(node)
		if err != nil {
			return false, err
		}
		if complete {
			k.setBuilt(box.pod.uid, node.Name)
			return iface.installed(), nil
		}
	}
	if err := ovs.deletePort(ctx, box.hostLink); err != nil {
		return false, err
	}
	if err := box.remove(node); err != nil {
		return false, err
	}
	if err := box.create(node, a); err != nil {
		return false, err
	}
	if err := ovs.addPort(ctx, box, a); err != nil {
		return false, err
	}
	k.setBuilt(box.pod.uid, node.Name)
	return false, nil
}

// runCommand starts the pod's command if it is time to, and reports how the pod is.
func (k *kubelet) runCommand(
	ctx, step context.Context, pod *corev1.Pod, node *cluster.Node, namespace string, ips []netip.Addr,
) (time.Duration, error) {
	argv, ok := podCommand(pod)
	if !ok {
		return 0, k.report(step, pod, node, ips, containerState{running: true, started: startOf(pod)})
	}
	state, known := k.containers.state(pod.UID)
	if !known {
		state, known = endedUnseen(pod)
	}
	var again time.Duration
	if known && !state.running && willRestart(pod.Spec.RestartPolicy, state.exitCode) {
		if again = time.Until(state.finished.Add(restartPause(state.restarts))); again <= 0 {
			state.restarts++
			known = false
		}
	}
	if !known {
		env, err := podEnvironment(pod, k.state, ips)
		if err != nil {
			return 0, err
		}
		spec := cluster.ProcessSpec{
			Cluster: k.state.Name, Component: component(idOf(pod)), Node: node.Name, Namespace: namespace,
			Argv: argv, Env: env,
		}
		if err := k.containers.start(ctx, pod.UID, spec, state.restarts); err != nil {
			return 0, err
		}
		again = 0
		state, _ = k.containers.state(pod.UID)
	}
	return max(again, 0), k.report(step, pod, node, ips, state)
}

// terminate ends a pod that is being deleted as kubelet does: command, sandbox, then the object itself. The logical
// switch port and the address are given back when the object is gone, as OVN-Kubernetes does.
func (k *kubelet) terminate(ctx, step context.Context, pod *corev1.Pod, node *cluster.Node) error {
	if !k.containers.stop(ctx, pod.UID) {
		return nil
	}
	if err := k.removeSandbox(step, pod, node); err != nil {
		return err
	}
	err := k.client.CoreV1().Pods(pod.Namespace).Delete(step, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64(0)), Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
	})
	if err != nil && !gone(err) {
		return fmt.Errorf("delete pod: %w", err)
	}
	return nil
}

// dismantle gives back all that a pod had that has run to its end; the object stays.
func (k *kubelet) dismantle(ctx, step context.Context, pod *corev1.Pod, node *cluster.Node) error {
	if !k.containers.stop(ctx, pod.UID) {
		return nil
	}
	if err := k.removeSandbox(step, pod, node); err != nil {
		return err
	}
	return k.releaseAddress(step, pod.UID)
}

// vanished gives back all that a pod had whose object is gone. What is on a node that is cut off has to wait until
// the node is back; the logical switch port and the address do not.
func (k *kubelet) vanished(ctx context.Context, uid types.UID) error {
	step, cancel := context.WithTimeout(ctx, podTimeout)
	defer cancel()
	if err := k.releaseAddress(step, uid); err != nil {
		return err
	}
	for i := range k.state.Nodes {
		node := &k.state.Nodes[i]
		reachable, ok := k.failures.context(node.Name)
		if !ok {
			continue
		}
		if k.containers.node(uid) == node.Name && !k.containers.stop(ctx, uid) {
			return nil
		}
		iface, err := k.switches[node.Name].interfaceOf(step, uid)
		if err != nil {
			return err
		}
		if iface == nil {
			continue
		}
		onNode, cancel := context.WithTimeout(reachable, podTimeout)
		box := sandbox{pod: podID{uid: uid}, namespace: iface.ExternalIDs[sandboxKey], hostLink: iface.Name}
		err = k.removeBox(onNode, box, node)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// removeSandbox removes a pod's connection to its node's switch and its namespace.
func (k *kubelet) removeSandbox(ctx context.Context, pod *corev1.Pod, node *cluster.Node) error {
	if pod.Spec.HostNetwork || phantom(pod) {
		return nil
	}
	return k.removeBox(ctx, sandboxOf(k.state.Name, idOf(pod)), node)
}

func (k *kubelet) removeBox(ctx context.Context, box sandbox, node *cluster.Node) error {
	if err := k.switches[node.Name].deletePort(ctx, box.hostLink); err != nil {
		return err
	}
	k.setBuilt(box.pod.uid, "")
	return box.remove(node)
}

// releaseAddress removes a pod's logical switch port and then lets others have its address.
func (k *kubelet) releaseAddress(ctx context.Context, uid types.UID) error {
	for _, zone := range k.zones {
		if err := zone.deletePort(ctx, uid); err != nil {
			return err
		}
	}
	k.addresses.release(uid)
	return nil
}
