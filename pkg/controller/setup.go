package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
	"github.com/ovn-egress/ovn-egress/pkg/api/ovn-egress.io/v1alpha1"
	"github.com/ovn-egress/ovn-egress/pkg/northbound"
)

// Config is what the controller is told by its command line.
type Config struct {
	Northbound northbound.Endpoint
	Southbound northbound.Endpoint
	Layout     northbound.Layout
	Networks   Networks
}

// Setup adds the controller to the manager: watches and database connections on every replica, the Writer on the
// leader, and the readiness check.
func Setup(ctx context.Context, m manager.Manager, cfg Config, log logr.Logger) error {
	queue := newWork()
	selection := NewSelection()
	watches := &sources{selection: selection, work: queue, log: log.WithName("sources")}
	if err := watches.start(ctx, m.GetCache()); err != nil {
		return err
	}
	databases := newDatabases(cfg.Northbound, cfg.Southbound, cfg.Layout, queue, log)
	writer := &Writer{
		Options: Options{
			Client: m.GetClient(), Events: m.GetEventRecorder("egress-controller"), Networks: cfg.Networks,
			Databases: databases, Selection: selection, Log: log.WithName("writer"), Now: time.Now,
		},
		work: queue, synced: watches.synced,
		egressIPs: latest[*egressipv1.EgressIP]{}, egressNodes: latest[*v1alpha1.EgressNode]{},
	}
	for _, r := range []manager.Runnable{databases, writer} {
		if err := m.Add(r); err != nil {
			return fmt.Errorf("add %T: %w", r, err)
		}
	}
	if err := m.AddReadyzCheck("databases", databases.Ready); err != nil {
		return err
	}
	return nil
}
