package standin

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
)

// handleEvents lets the parts know what changes in the API server.
func (in *standIn) handleEvents() error {
	core := in.informers.Core().V1()
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		core.Pods().Informer():                                    onChange(in.podChanged, in.podDeleted),
		core.Services().Informer():                                onChange(in.serviceChanged, in.serviceChanged),
		in.informers.Discovery().V1().EndpointSlices().Informer(): onChange(in.proxy.endpointsChanged, in.proxy.endpointsChanged),
		core.Nodes().Informer():                                   in.nodeHandler(),
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
	}
	return nil
}

// onChange is a handler that calls changed for objects that are new or different, and deleted with the last known
// state of objects that are gone.
func onChange[T any](changed, deleted func(T)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { changed(object.(T)) },
		UpdateFunc: func(_, object any) { changed(object.(T)) },
		DeleteFunc: func(object any) {
			if missed, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = missed.Obj
			}
			deleted(object.(T))
		},
	}
}

func (in *standIn) podChanged(pod *corev1.Pod) {
	in.scheduler.consider(pod)
	in.kubelet.enqueue(pod.UID)
}

func (in *standIn) podDeleted(pod *corev1.Pod) {
	in.scheduler.forget(pod.UID)
	in.kubelet.enqueue(pod.UID)
}

func (in *standIn) serviceChanged(service *corev1.Service) {
	in.proxy.queue.Add(cache.MetaObjectToName(service))
}

// nodeHandler tells the reporter of every change, the others of those that make a difference to them.
func (in *standIn) nodeHandler() cache.ResourceEventHandler {
	changed := func(before, node *corev1.Node) {
		in.reporter.queue.Add(node.Name)
		if err := in.scheduler.considerAll(); err != nil {
			in.log.Error(err, "Pods not considered after a change of a node", "node", node.Name)
		}
		if before != nil && isReady(before) == isReady(node) {
			return
		}
		if err := in.proxy.considerAll(); err != nil {
			in.log.Error(err, "Services not considered after a change of a node", "node", node.Name)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { changed(nil, object.(*corev1.Node)) },
		UpdateFunc: func(before, object any) { changed(before.(*corev1.Node), object.(*corev1.Node)) },
	}
}
