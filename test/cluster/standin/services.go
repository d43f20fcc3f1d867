package standin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/ovn-egress/ovn-egress/test/cluster"
)

// The host numbers, in the nodes' primary subnet, of the addresses that services of type LoadBalancer get:
// 172.18.0.151 to 172.18.0.200.
const (
	firstServiceHost = 151
	lastServiceHost  = 200
)

// serviceTimeout is how long the work for one service may take; work that takes longer is begun again.
const serviceTimeout = 10 * time.Second

// proxy stands in for kube-proxy, with OVN's load balancers, and for a cloud's controller that gives services of
// type LoadBalancer their addresses. It works on one service at a time.
type proxy struct {
	client    kubernetes.Interface
	state     *cluster.State
	zones     map[string]*northbound // zone name -> its northbound database
	services  corelisters.ServiceLister
	endpoints discoverylisters.EndpointSliceLister
	nodes     corelisters.NodeLister
	queue     workqueue.TypedRateLimitingInterface[cache.ObjectName]
	log       logr.Logger
	// assigned has the addresses that were given but that the lister does not show as given yet.
	assigned map[netip.Addr]types.UID // address -> service
}

// run works until ctx ends.
func (p *proxy) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, p.queue.ShutDown)
	defer stop()
	for {
		service, shutdown := p.queue.Get()
		if shutdown {
			return nil
		}
		if err := p.sync(ctx, service); err != nil && ctx.Err() == nil {
			p.log.Error(err, "Service will be tried again", "service", service)
			p.queue.AddRateLimited(service)
		} else {
			p.queue.Forget(service)
		}
		p.queue.Done(service)
	}
}

// adopt queues the services that have load balancers from an earlier stand-in; they may be gone since.
func (p *proxy) adopt(ctx context.Context) error {
	for _, zone := range p.zones {
		services, err := zone.balancedServices(ctx)
		if err != nil {
			return err
		}
		for _, service := range services {
			name, err := cache.ParseObjectName(service)
			if err != nil {
				return fmt.Errorf("load balancers of service %q: %w", service, err)
			}
			p.queue.Add(name)
		}
	}
	return nil
}

// endpointsChanged queues the service that a slice belongs to.
func (p *proxy) endpointsChanged(slice *discoveryv1.EndpointSlice) {
	if service := slice.Labels[discoveryv1.LabelServiceName]; service != "" {
		p.queue.Add(cache.ObjectName{Namespace: slice.Namespace, Name: service})
	}
}

// considerAll queues all services, because a node has become Ready or is so no longer.
func (p *proxy) considerAll() error {
	services, err := p.services.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("services: %w", err)
	}
	for _, service := range services {
		p.queue.Add(cache.MetaObjectToName(service))
	}
	return nil
}

// sync gives a service the load balancers that it should have.
func (p *proxy) sync(ctx context.Context, name cache.ObjectName) error {
	ctx, cancel := context.WithTimeout(ctx, serviceTimeout)
	defer cancel()
	service, err := p.services.Services(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) {
		return p.write(ctx, name, nil)
	}
	if err != nil {
		return fmt.Errorf("service: %w", err)
	}
	if service, err = p.assignAddress(ctx, service); err != nil {
		return err
	}
	selector := labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: name.Name})
	slices, err := p.endpoints.EndpointSlices(name.Namespace).List(selector)
	if err != nil {
		return fmt.Errorf("endpoint slices: %w", err)
	}
	nodes, err := p.proxyNodes()
	if err != nil {
		return err
	}
	return p.write(ctx, name, compileService(service, slices, nodes))
}

// write puts the rows into the northbound databases, into each what is on its zone's switches and routers.
func (p *proxy) write(ctx context.Context, name cache.ObjectName, rows []balancer) error {
	for _, zone := range p.zones {
		if err := zone.setBalancers(ctx, name.String(), zone.part(rows)); err != nil {
			return err
		}
	}
	return nil
}

// proxyNodes returns the nodes of the cluster in their order.
func (p *proxy) proxyNodes() ([]proxyNode, error) {
	nodes := make([]proxyNode, 0, len(p.state.Nodes))
	for _, spec := range p.state.Nodes {
		node, err := p.nodes.Get(spec.Name)
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("node %s: %w", spec.Name, err)
		}
		n := proxyNode{name: spec.Name, ready: err == nil && isReady(node)}
		for _, address := range spec.Addresses {
			n.addresses = append(n.addresses, address.Addr())
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// assignAddress gives a service of type LoadBalancer an address if it has none, and returns it as it is then.
func (p *proxy) assignAddress(ctx context.Context, service *corev1.Service) (*corev1.Service, error) {
	if service.Spec.Type != corev1.ServiceTypeLoadBalancer || service.Spec.LoadBalancerClass != nil ||
		len(service.Status.LoadBalancer.Ingress) > 0 || service.DeletionTimestamp != nil {
		return service, nil
	}
	all, err := p.services.List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("services: %w", err)
	}
	p.forgetAssigned(all)
	addr, err := freeServiceAddress(p.state.Nodes[0].Addresses[0], service, all, p.assigned)
	if err != nil {
		return nil, err
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": service.UID},
		"status": map[string]any{"loadBalancer": corev1.LoadBalancerStatus{
			Ingress: []corev1.LoadBalancerIngress{{IP: addr.String()}},
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	updated, err := p.client.CoreV1().Services(service.Namespace).Patch(ctx, service.Name, types.MergePatchType, patch,
		metav1.PatchOptions{}, "status")
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	p.assigned[addr] = service.UID
	return updated, nil
}

// forgetAssigned drops from assigned what the lister knows by now, and services that are no more.
func (p *proxy) forgetAssigned(all []*corev1.Service) {
	for addr, uid := range p.assigned {
		pending := slices.ContainsFunc(all, func(s *corev1.Service) bool {
			return s.UID == uid && len(s.Status.LoadBalancer.Ingress) == 0
		})
		if !pending {
			delete(p.assigned, addr)
		}
	}
}

// freeServiceAddress chooses an address for a service in the subnet of a node's address: the one that it had been
// given a moment ago, or that it asks for in spec.loadBalancerIP, or the first that no service has.
func freeServiceAddress(
	node netip.Prefix, service *corev1.Service, all []*corev1.Service, assigned map[netip.Addr]types.UID,
) (netip.Addr, error) {
	taken := map[netip.Addr]bool{}
	for _, other := range all {
		if other.UID == service.UID {
			continue
		}
		for _, addr := range externalAddrs(other) {
			taken[addr] = true
		}
	}
	for addr, uid := range assigned {
		if uid == service.UID {
			return addr, nil
		}
		taken[addr] = true
	}
	wanted := parseAddrs([]string{service.Spec.LoadBalancerIP})
	addr := nthAddress(node, firstServiceHost)
	for range lastServiceHost - firstServiceHost + 1 {
		if !taken[addr] && (len(wanted) == 0 || wanted[0] == addr) {
			return addr, nil
		}
		addr = addr.Next()
	}
	if len(wanted) > 0 {
		return netip.Addr{}, fmt.Errorf("address %s is taken or not one for services", wanted[0])
	}
	return netip.Addr{}, fmt.Errorf("all %d addresses for services are taken", len(taken))
}
