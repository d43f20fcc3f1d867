package controller

import (
	"context"
	"fmt"
	"net/http"

	"github.com/go-logr/logr"

	"github.com/ovn-egress/ovn-egress/pkg/northbound"
)

// Databases are the connections to OVN. Every replica makes them, so that a standby is warm.
type Databases struct {
	northbound *northbound.Database
	barrier    *northbound.Barrier
	open       chan struct{} // closed when both are connected
	endpoints  [2]northbound.Endpoint
	layout     northbound.Layout
	work       *work
	log        logr.Logger
}

// newDatabases prepares connections to the northbound and the southbound database.
func newDatabases(nb, sb northbound.Endpoint, layout northbound.Layout, w *work, log logr.Logger) *Databases {
	return &Databases{open: make(chan struct{}), endpoints: [2]northbound.Endpoint{nb, sb}, layout: layout, work: w, log: log}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (d *Databases) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable: it connects and keeps the connections until ctx ends.
func (d *Databases) Start(ctx context.Context) error {
	nb, err := northbound.Open(ctx, d.endpoints[0], d.layout, d.work, d.log.WithName("northbound"))
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer nb.Close()
	sb, err := northbound.OpenBarrier(ctx, d.endpoints[1], d.work.chassisConfirmed, d.log.WithName("southbound"))
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer sb.Close()
	d.northbound, d.barrier = nb, sb
	close(d.open)
	<-ctx.Done()
	return nil
}

// wait returns when both databases are connected, or with ctx's error.
func (d *Databases) wait(ctx context.Context) error {
	select {
	case <-d.open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Ready is a readiness check: both databases answer.
func (d *Databases) Ready(*http.Request) error {
	select {
	case <-d.open:
	default:
		return fmt.Errorf("databases are not connected yet")
	}
	if !d.northbound.Connected() {
		return fmt.Errorf("the northbound database is not connected")
	}
	if !d.barrier.Connected() {
		return fmt.Errorf("the southbound database is not connected")
	}
	return nil
}
