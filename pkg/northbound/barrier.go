package northbound

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/cache"
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
)

// Barrier tells what each chassis has installed: Chassis_Private.nb_cfg (ovn-sb(5)), which ovn-controller raises
// after Open vSwitch confirmed the flows. NB_Global.hv_cfg is of no use: it is the minimum over all chassis, one
// dead node blocks it for ever.
type Barrier struct {
	client client.Client
	stop   context.CancelFunc // ends the probes
}

// OpenBarrier connects to a southbound database, tries until it succeeds or ctx ends. changed is called, one at a
// time, when a chassis reports a new number; it must not block.
func OpenBarrier(ctx context.Context, e Endpoint, changed func(), log logr.Logger) (*Barrier, error) {
	m, err := southboundModel()
	if err != nil {
		return nil, fmt.Errorf("southbound model: %w", err)
	}
	c, err := connect(ctx, m, e, log)
	if err != nil {
		return nil, err
	}
	c.Cache().AddEventHandler(&cache.EventHandlerFuncs{
		AddFunc:    func(string, model.Model) { changed() },
		UpdateFunc: func(string, model.Model, model.Model) { changed() },
		DeleteFunc: func(string, model.Model) { changed() },
	})
	if _, err := c.Monitor(ctx, monitor(c, m)); err != nil {
		c.Close()
		return nil, fmt.Errorf("southbound: monitor: %w", err)
	}
	log.Info("connected to the southbound database", "endpoint", c.CurrentEndpoint())
	return &Barrier{client: c, stop: keep(ctx, c)}, nil
}

// Close ends the connection for good.
func (b *Barrier) Close() {
	b.stop()
	b.client.Close()
}

// Connected says whether the server answers.
func (b *Barrier) Connected() bool { return b.client.Connected() }

// Installed is the configuration number that the chassis has installed; 0 for one that is not known.
func (b *Barrier) Installed(ctx context.Context, chassis string) (int64, error) {
	row := &chassisPrivate{Name: chassis}
	if err := b.client.Get(ctx, row); errors.Is(err, client.ErrNotFound) {
		return 0, nil
	} else if err != nil {
		return 0, fmt.Errorf("chassis %s: %w", chassis, err)
	}
	return int64(row.NbCfg), nil
}
