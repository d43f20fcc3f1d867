package controller

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
	"github.com/ovn-egress/ovn-egress/pkg/api/ovn-egress.io/v1alpha1"
	"github.com/ovn-egress/ovn-egress/pkg/northbound"
)

// Options are what a Writer needs.
type Options struct {
	Client    client.Client // reads from caches
	Events    events.EventRecorder
	Networks  Networks
	Databases *Databases
	Selection *Selection
	Log       logr.Logger
	Now       func() time.Time
}

// Writer is the loop of the leader. Only Start's goroutine touches its fields.
type Writer struct {
	Options
	work   *work
	synced []toolscache.InformerSynced

	epoch        int64 // of this leadership
	beginning    int64 // configuration number of the take-over: what is older has no known history
	config       int64 // newest configuration number written
	plan         plan
	heartbeats   heartbeats
	gateways     map[string]gateway           // node -> its gateway router, or why it has none
	services     map[string]service           // EgressIP -> how the last pass served it
	selected     map[string][]netip.Addr      // EgressIP -> its pods in the last pass
	translated   map[string][]netip.Addr      // EgressIP -> the pods that its hosts translate
	podSets      map[string]*podSets          // EgressIP -> its pods' way through the sets
	translatedBy map[netip.Addr]string        // pod -> the EgressIP that translates it
	waiting      map[string]bool              // EgressIPs with pods that wait for a confirmation
	departures   map[place]departure          // places that traffic was led away from
	egressIPs    latest[*egressipv1.EgressIP] // written, not yet seen in the cache
	egressNodes  latest[*v1alpha1.EgressNode] // likewise
}

type gateway struct {
	northbound.Gateway
	err error
}

const (
	// passInterval bounds how often the configuration number is raised: every chassis answers each with a
	// transaction of its own.
	passInterval = 5 * time.Millisecond
	// lookInterval is how often a pass looks at everything though nothing changed: agents that fell silent.
	lookInterval = 5 * time.Second
	// conflictInterval follows a write that met a newer object; the cache has it in a moment.
	conflictInterval = 20 * time.Millisecond
	// retryInterval follows a pass that failed otherwise.
	retryInterval = 200 * time.Millisecond
	// applyTimeout bounds one transaction; the connection is made anew meanwhile if it must be.
	applyTimeout = 10 * time.Second
)

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (w *Writer) NeedLeaderElection() bool { return true }

// Start implements manager.Runnable: it takes over and makes passes until ctx ends. The error wraps
// northbound.ErrFenced if another writer took over.
func (w *Writer) Start(ctx context.Context) error {
	if !toolscache.WaitForCacheSync(ctx.Done(), w.synced...) {
		return nil // ctx ended
	}
	if err := w.Databases.wait(ctx); err != nil {
		return nil //nolint:nilerr // ctx ended before the databases answered
	}
	if err := w.takeOver(ctx); err != nil {
		return err
	}
	w.work.AllChanged()
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.work.wake:
		case <-again.C:
			w.work.planChanged()
		case <-look.C:
			w.work.planChanged()
		}
		next, err := w.tryPass(ctx)
		switch {
		case errors.Is(err, northbound.ErrFenced):
			return err
		case apierrors.IsConflict(err):
			next = w.Now().Add(conflictInterval)
		case err != nil:
			w.Log.Error(err, "pass failed, will try again")
			next = w.Now().Add(retryInterval)
		}
		if !next.IsZero() {
			again.Reset(max(next.Sub(w.Now()), passInterval))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(passInterval):
		}
	}
}

// tryPass makes a pass and, if the database is in a lower epoch than ours, repairs that: someone changed it by hand.
func (w *Writer) tryPass(ctx context.Context) (time.Time, error) {
	t := w.work.take()
	if awaited := len(w.waiting) > 0 || len(w.departures) > 0; t.idle() && (!t.confirmed || !awaited) {
		return time.Time{}, nil
	}
	start := w.Now()
	next, err := w.pass(ctx, t)
	metricPassSeconds.Observe(w.Now().Sub(start).Seconds())
	if err != nil {
		w.work.putBack(t)
	}
	if !errors.Is(err, northbound.ErrFenced) {
		return next, err
	}
	epoch, readErr := w.Databases.northbound.Epoch(ctx)
	if readErr == nil && epoch >= w.epoch {
		return next, fmt.Errorf("epoch %d: %w", w.epoch, err)
	}
	w.Log.Info("the epoch in the northbound database was altered, starting a new one", "found", epoch, "epoch", w.epoch)
	if err := w.takeOver(ctx); err != nil {
		return next, err
	}
	w.work.AllChanged()
	return next, nil
}

// takeOver starts an epoch: transactions of earlier leaders are void from then on.
func (w *Writer) takeOver(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	floor := w.epoch
	var nodes v1alpha1.EgressNodeList
	if err := w.Client.List(ctx, &nodes); err != nil {
		return fmt.Errorf("take-over: %w", err)
	}
	for i := range nodes.Items {
		floor = max(floor, nodes.Items[i].Spec.Epoch)
	}
	epoch, err := w.Databases.northbound.TakeOver(ctx, floor)
	if err != nil {
		return err
	}
	w.epoch = epoch
	if w.beginning, err = w.Databases.northbound.Apply(ctx, epoch, nil); err != nil {
		return fmt.Errorf("take-over: %w", err)
	}
	w.config = w.beginning
	w.podSets, w.waiting, w.departures = map[string]*podSets{}, map[string]bool{}, map[place]departure{}
	w.translated, w.translatedBy = map[string][]netip.Addr{}, map[netip.Addr]string{}
	w.services, w.selected = map[string]service{}, map[string][]netip.Addr{}
	metricEpoch.Set(float64(epoch))
	w.Log.Info("took over", "epoch", epoch, "config", w.config)
	return nil
}
