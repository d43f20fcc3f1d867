package controller

import (
	"context"
	"fmt"
	"maps"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
	"github.com/ovn-egress/ovn-egress/pkg/api/ovn-egress.io/v1alpha1"
)

// apiServerSlices selects the EndpointSlices of the API server.
var apiServerSlices = labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: "kubernetes"})

// CacheOptions are the caches that the controller needs, and no more: pods without what is not looked at, the
// EndpointSlices of the API server.
func CacheOptions() cache.Options {
	return cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Pod{}: {Transform: stripPod},
			&discoveryv1.EndpointSlice{}: {
				Label:      apiServerSlices,
				Namespaces: map[string]cache.Config{metav1.NamespaceDefault: {}},
			},
		},
	}
}

// stripPod keeps of a pod what the Selection reads.
func stripPod(obj any) (any, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil // a tombstone
	}
	slim := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID, ResourceVersion: pod.ResourceVersion, Labels: pod.Labels,
		},
		Spec:   corev1.PodSpec{HostNetwork: pod.Spec.HostNetwork, NodeName: pod.Spec.NodeName},
		Status: corev1.PodStatus{Phase: pod.Status.Phase, PodIPs: pod.Status.PodIPs},
	}
	if text, ok := pod.Annotations[annotationPodNetworks]; ok {
		slim.Annotations = map[string]string{annotationPodNetworks: text}
	}
	return slim, nil
}

// sources feeds changes of objects into the Selection and the work.
type sources struct {
	selection *Selection
	work      *work
	log       logr.Logger
	synced    []toolscache.InformerSynced
}

// start registers with the caches; standbys do so too, to be warm.
func (s *sources) start(ctx context.Context, c cache.Cache) error {
	handlers := map[client.Object]toolscache.ResourceEventHandler{
		&egressipv1.EgressIP{}:       handler(s.egressIP, s.egressIPGone),
		&v1alpha1.EgressNode{}:       handler(s.egressNode, func(*v1alpha1.EgressNode) { s.work.planChanged() }),
		&corev1.Node{}:               handler(s.node, func(*corev1.Node) { s.nodesChanged() }),
		&corev1.Namespace{}:          handler(s.namespace, s.namespaceGone),
		&corev1.Pod{}:                handler(s.pod, s.podGone),
		&discoveryv1.EndpointSlice{}: handler(s.apiServer, func(*discoveryv1.EndpointSlice) { s.nodesChanged() }),
	}
	for object, h := range handlers {
		informer, err := c.GetInformer(ctx, object)
		if err != nil {
			return fmt.Errorf("watch %T: %w", object, err)
		}
		registration, err := informer.AddEventHandler(h)
		if err != nil {
			return fmt.Errorf("watch %T: %w", object, err)
		}
		s.synced = append(s.synced, registration.HasSynced)
	}
	return nil
}

// handler makes an event handler of two functions: changed gets nil as the old object of one that is new.
func handler[T client.Object](changed func(before, after T), gone func(T)) toolscache.ResourceEventHandler {
	var none T
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if o, ok := obj.(T); ok {
				changed(none, o)
			}
		},
		UpdateFunc: func(before, after any) {
			b, okBefore := before.(T)
			a, okAfter := after.(T)
			if okBefore && okAfter {
				changed(b, a)
			}
		},
		DeleteFunc: func(obj any) {
			if unknown, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
				obj = unknown.Obj
			}
			if o, ok := obj.(T); ok {
				gone(o)
			}
		},
	}
}

func (s *sources) egressIP(before, after *egressipv1.EgressIP) {
	affected, err := s.selection.SetEgressIP(after)
	if err != nil {
		s.log.Info("selector selects nothing", "egressIP", after.Name, "error", err.Error())
	}
	s.work.egressIPsChanged(append(affected, after.Name)...)
	if before == nil || before.Generation != after.Generation {
		s.work.planChanged()
	}
}

func (s *sources) egressIPGone(e *egressipv1.EgressIP) {
	s.work.egressIPsChanged(append(s.selection.DeleteEgressIP(e.Name), e.Name)...)
	s.work.planChanged()
}

// egressNode ignores heartbeats but the first one, and the first one after silence: from then on the node may be
// given addresses.
func (s *sources) egressNode(before, after *v1alpha1.EgressNode) {
	if before == nil || before.Generation != after.Generation ||
		!equality.Semantic.DeepEqual(before.Status.Addresses, after.Status.Addresses) ||
		revived(before.Status.Heartbeat, after.Status.Heartbeat) {
		s.work.planChanged()
	}
}

// revived says that an agent was silent for so long that it did not count as alive, and is heard again.
func revived(before, after *metav1.MicroTime) bool {
	return after != nil && (before == nil || after.Sub(before.Time) >= freshFor)
}

// node ignores what kubelets write every few seconds.
func (s *sources) node(before, after *corev1.Node) {
	if before == nil || isReady(before) != isReady(after) || !maps.Equal(before.Labels, after.Labels) ||
		!maps.Equal(before.Annotations, after.Annotations) ||
		!equality.Semantic.DeepEqual(before.Status.Addresses, after.Status.Addresses) {
		s.nodesChanged()
	}
}

func (s *sources) nodesChanged() {
	s.work.planChanged()
	s.work.ZoneChanged()
}

func (s *sources) namespace(_, after *corev1.Namespace) {
	s.work.egressIPsChanged(s.selection.SetNamespace(after.Name, after.Labels)...)
}

func (s *sources) namespaceGone(n *corev1.Namespace) {
	s.work.egressIPsChanged(s.selection.DeleteNamespace(n.Name)...)
}

func (s *sources) pod(_, after *corev1.Pod) {
	s.work.egressIPsChanged(s.selection.SetPod(after)...)
}

func (s *sources) podGone(p *corev1.Pod) {
	s.work.egressIPsChanged(s.selection.DeletePod(types.NamespacedName{Namespace: p.Namespace, Name: p.Name})...)
}

func (s *sources) apiServer(_, _ *discoveryv1.EndpointSlice) { s.nodesChanged() }
