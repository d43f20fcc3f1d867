package standin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

const (
	// unschedulablePause is when to look again at a pod that no node will do for; changes of nodes come sooner.
	unschedulablePause = time.Second
	bindTimeout        = 5 * time.Second
)

// scheduler binds pods to nodes, one pod at a time.
type scheduler struct {
	client   kubernetes.Interface
	pods     corelisters.PodLister
	nodes    corelisters.NodeLister
	failures *failures
	queue    workqueue.TypedRateLimitingInterface[cache.ObjectName]
	log      logr.Logger

	mu sync.Mutex
	// bound has the pods that were bound but that the lister does not show as bound yet.
	bound map[types.UID]string // pod -> node name
}

// run schedules until ctx ends.
func (s *scheduler) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, s.queue.ShutDown)
	defer stop()
	for {
		pod, shutdown := s.queue.Get()
		if shutdown {
			return nil
		}
		err := s.schedule(ctx, pod)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, errUnschedulable):
			s.queue.Forget(pod)
			s.queue.AddAfter(pod, unschedulablePause)
		case err != nil:
			s.log.Error(err, "Pod will be scheduled later", "pod", pod)
			s.queue.AddRateLimited(pod)
		default:
			s.queue.Forget(pod)
		}
		s.queue.Done(pod)
	}
}

// consider queues a pod that needs a node; of one that has got it there is nothing to remember any more.
func (s *scheduler) consider(pod *corev1.Pod) {
	if pod.Spec.NodeName != "" || pod.DeletionTimestamp != nil {
		s.forget(pod.UID)
		return
	}
	if pod.Spec.SchedulerName == corev1.DefaultSchedulerName {
		s.queue.Add(cache.MetaObjectToName(pod))
	}
}

// considerAll queues all pods that need a node, because something about the nodes changed.
func (s *scheduler) considerAll() error {
	pods, err := s.pods.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("pods: %w", err)
	}
	for _, pod := range pods {
		s.consider(pod)
	}
	return nil
}

func (s *scheduler) forget(pod types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.bound, pod)
}

// schedule binds one pod if it still needs a node.
func (s *scheduler) schedule(ctx context.Context, name cache.ObjectName) error {
	ctx, cancel := context.WithTimeout(ctx, bindTimeout)
	defer cancel()
	pod, err := s.pods.Pods(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("pod: %w", err)
	}
	if pod.Spec.NodeName != "" || pod.DeletionTimestamp != nil || len(pod.Spec.SchedulingGates) > 0 {
		return nil
	}
	nodes, pods, err := s.view()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(pods, func(p *corev1.Pod) bool { return p.UID == pod.UID && p.Spec.NodeName != "" }) {
		return nil // bound by us a moment ago
	}
	node, err := choose(pod, nodes, pods)
	if errors.Is(err, errUnschedulable) {
		if err := s.reportUnschedulable(ctx, pod, err); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	return s.bind(ctx, pod, node)
}

// view returns the nodes that can take pods and all pods, with those bound by us shown as bound.
func (s *scheduler) view() ([]*corev1.Node, []*corev1.Pod, error) {
	nodes, err := s.nodes.List(labels.Everything())
	if err != nil {
		return nil, nil, fmt.Errorf("nodes: %w", err)
	}
	nodes = slices.DeleteFunc(nodes, func(n *corev1.Node) bool { return !s.failures.healthy(n.Name) })
	pods, err := s.pods.List(labels.Everything())
	if err != nil {
		return nil, nil, fmt.Errorf("pods: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, pod := range pods {
		if node, ok := s.bound[pod.UID]; ok && pod.Spec.NodeName == "" {
			pods[i] = pod.DeepCopy()
			pods[i].Spec.NodeName = node
		}
	}
	return nodes, pods, nil
}

func (s *scheduler) bind(ctx context.Context, pod *corev1.Pod, node string) error {
	s.mu.Lock()
	s.bound[pod.UID] = node
	s.mu.Unlock()
	err := s.client.CoreV1().Pods(pod.Namespace).Bind(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node},
	}, metav1.CreateOptions{})
	if err == nil {
		return nil
	}
	s.forget(pod.UID)
	if gone(err) {
		return nil // deleted, or bound by someone else
	}
	return fmt.Errorf("bind to %s: %w", node, err)
}

// reportUnschedulable says in the pod's status why it has no node.
func (s *scheduler) reportUnschedulable(ctx context.Context, pod *corev1.Pod, why error) error {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Message == why.Error() {
			return nil
		}
	}
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
		Message: why.Error(), LastTransitionTime: metav1.Now(),
	}}}})
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	_, err = s.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch,
		metav1.PatchOptions{}, "status")
	if err != nil && !gone(err) {
		return fmt.Errorf("status: %w", err)
	}
	return nil
}
