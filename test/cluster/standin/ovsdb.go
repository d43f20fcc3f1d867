package standin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

const (
	// reconnectPause lies between two attempts to reach a database again; one that was restarted is back soon.
	reconnectPause = 100 * time.Millisecond
	// reconnectTimeout is for how long one attempt may take.
	reconnectTimeout = 5 * time.Second
)

// connect opens a connection to a database that reconnects for ever, and fills its cache with the monitored columns,
// which must be columns of the model db. The handler, if there is one, is told of their changes.
func connect(
	ctx context.Context, endpoint string, db model.ClientDBModel, log logr.Logger, handler *eventHandler,
	monitored ...client.MonitorOption,
) (client.Client, error) {
	c, err := client.NewOVSDBClient(db, client.WithEndpoint(endpoint), client.WithLogger(&log),
		client.WithReconnect(reconnectTimeout, backoff.NewConstantBackOff(reconnectPause)))
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", endpoint, err)
	}
	if err := c.Connect(ctx); err != nil {
		return nil, fmt.Errorf("database %s: %w", endpoint, err)
	}
	if handler != nil {
		c.Cache().AddEventHandler(handler)
	}
	if _, err := c.Monitor(ctx, c.NewMonitor(monitored...)); err != nil {
		c.Close()
		return nil, fmt.Errorf("database %s: %w", endpoint, err)
	}
	return c, nil
}

// eventHandler calls changed for every row that is added or changed. It must not block.
type eventHandler struct{ changed func(row model.Model) }

func (h *eventHandler) OnAdd(_ string, row model.Model)       { h.changed(row) }
func (h *eventHandler) OnUpdate(_ string, _, row model.Model) { h.changed(row) }
func (h *eventHandler) OnDelete(string, model.Model)          {}

// transact runs the operations as one transaction; no operations are no transaction.
func transact(ctx context.Context, c client.Client, operations []ovsdb.Operation) error {
	if len(operations) == 0 {
		return nil
	}
	results, err := c.Transact(ctx, operations...)
	if err != nil {
		return fmt.Errorf("transaction: %w", err)
	}
	if failed, err := ovsdb.CheckOperationResults(results, operations); err != nil {
		return fmt.Errorf("transaction: %w: %v", err, failed)
	}
	return nil
}

// first returns the only row that the condition selects, or nil if there is none.
func first[T any](ctx context.Context, condition client.ConditionalAPI) (*T, error) {
	var rows []*T
	if err := condition.List(ctx, &rows); err != nil && !errors.Is(err, client.ErrNotFound) {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return rows[0], nil
}
