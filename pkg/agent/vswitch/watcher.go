package vswitch

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/cache"
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

const (
	database    = "Open_vSwitch"
	tableBridge = "Bridge"

	// A session that does not come up in this time is given up.
	connectTimeout = 5 * time.Second
	// A connected server is asked this often whether it is still there, and has as long to answer.
	probeInterval = 5 * time.Second
	// Pauses between attempts to connect double from the first to the second.
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
)

// bridge is a row of table Bridge (ovs-vswitchd.conf.db(5)), as much of it as is used.
type bridge struct {
	UUID        string            `ovsdb:"_uuid"`
	Name        string            `ovsdb:"name"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
}

// State is what is known at a time.
type State struct {
	// Connected: the database answers and Chassis is what it says.
	Connected bool
	// Problem says why it is not connected, or what in the database cannot be read.
	Problem string
	// Chassis is zero while not connected, or while there is no integration bridge.
	Chassis Chassis
}

// Watcher follows the database. It is safe for concurrent use.
type Watcher struct {
	address string
	bridge  string
	log     logr.Logger
	changed func()

	mu    sync.Mutex
	state State
	rows  *cache.TableCache // of the session that is up, nil while there is none
}

// NewWatcher makes a watcher of the database at address (ovsdb(7): "unix:/run/openvswitch/db.sock") and the
// integration bridge of that name. changed is called after every change of the state, from goroutines of the
// watcher, and must not block. Nothing happens before Start.
func NewWatcher(address, bridge string, log logr.Logger, changed func()) (*Watcher, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("address of the Open vSwitch database: %w", err)
	}
	if u.Scheme != client.UNIX && u.Scheme != client.TCP {
		return nil, fmt.Errorf("address of the Open vSwitch database %q: want unix:PATH or tcp:HOST:PORT", address)
	}
	return &Watcher{
		address: address, bridge: bridge, log: log, changed: changed,
		state: State{Problem: "not connected yet"},
	}, nil
}

// State is what is known now.
func (w *Watcher) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// begin makes a session's rows the state.
func (w *Watcher) begin(rows *cache.TableCache) {
	w.mu.Lock()
	w.rows = rows
	w.mu.Unlock()
	w.refresh(rows)
}

// refresh reads the state from a session's rows. It reads them all again rather than to trust the event that it is
// called for: events queue up, and an old one must not take back what is known already. The rows of a session that
// is over, or not up yet, are not the state.
func (w *Watcher) refresh(rows *cache.TableCache) {
	w.mu.Lock()
	old := w.state
	if rows == w.rows {
		w.state = read(rows, w.bridge)
	}
	same := w.state == old
	w.mu.Unlock()
	if !same {
		w.changed()
	}
}

// end forgets the session and reports whether it was up.
func (w *Watcher) end(problem string) (wasConnected bool) {
	w.mu.Lock()
	wasConnected = w.state.Connected
	same := w.state == State{Problem: problem}
	w.state, w.rows = State{Problem: problem}, nil
	w.mu.Unlock()
	if !same {
		w.changed()
	}
	return wasConnected
}

// read finds the integration bridge among the rows.
func read(rows *cache.TableCache, name string) State {
	for _, row := range rows.Table(tableBridge).Rows() {
		if b, ok := row.(*bridge); ok && b.Name == name {
			chassis, err := readChassis(b.ExternalIDs)
			if err != nil {
				return State{Connected: true, Chassis: chassis, Problem: fmt.Sprintf("bridge %s: %v", name, err)}
			}
			return State{Connected: true, Chassis: chassis}
		}
	}
	return State{Connected: true, Problem: fmt.Sprintf("no bridge %s", name)}
}

// Start follows the database until the context is done, connecting again for ever. It returns nil.
func (w *Watcher) Start(ctx context.Context) error {
	pause := firstPause
	for {
		reason := w.session(ctx).Error()
		if ctx.Err() != nil {
			w.end("stopped")
			return nil //nolint:nilerr // being told to stop is no failure
		}
		if w.end(reason) {
			pause = firstPause
			w.log.Info("connection lost", "address", w.address, "reason", reason)
		} else {
			w.log.V(1).Info("cannot connect", "address", w.address, "reason", reason, "pause", pause)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			pause = min(2*pause, lastPause)
		}
	}
}

// session is one connection, from its start to its end; it always gives the reason of the end. A client serves one
// session only: what it remembers of a server that is gone is of no use for the next.
func (w *Watcher) session(ctx context.Context) error {
	c, err := w.newClient()
	if err != nil {
		return err
	}
	defer c.Close()

	attempt, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := c.Connect(attempt); err != nil {
		return fmt.Errorf("%s: %w", w.address, err)
	}
	rows := c.Cache()
	if rows == nil {
		return fmt.Errorf("%s: closed while connecting", w.address)
	}
	rows.AddEventHandler(&cache.EventHandlerFuncs{
		AddFunc:    func(string, model.Model) { w.refresh(rows) },
		UpdateFunc: func(string, model.Model, model.Model) { w.refresh(rows) },
		DeleteFunc: func(string, model.Model) { w.refresh(rows) },
	})
	row := &bridge{}
	_, err = c.Monitor(attempt, c.NewMonitor(client.WithConditionalTable(row,
		[]model.Condition{{Field: &row.Name, Function: ovsdb.ConditionEqual, Value: w.bridge}},
		&row.Name, &row.ExternalIDs)))
	if err != nil {
		return fmt.Errorf("%s: monitor bridge %s: %w", w.address, w.bridge, err)
	}
	w.begin(rows)
	w.log.Info("connected", "address", w.address)
	return w.attend(ctx, c)
}

func (w *Watcher) newClient() (client.Client, error) {
	db, err := model.NewClientDBModel(database, map[string]model.Model{tableBridge: &bridge{}})
	if err != nil {
		return nil, fmt.Errorf("model of database %s: %w", database, err)
	}
	c, err := client.NewOVSDBClient(db, client.WithEndpoint(w.address), client.WithLogger(&w.log))
	if err != nil {
		return nil, fmt.Errorf("client of database %s: %w", database, err)
	}
	return c, nil
}

// attend waits for the end of a session.
func (w *Watcher) attend(ctx context.Context, c client.Client) error {
	probe := time.NewTicker(probeInterval)
	defer probe.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.DisconnectNotify():
			return errors.New("the server closed the connection")
		case <-probe.C:
			answer, cancel := context.WithTimeout(ctx, probeInterval)
			err := c.Echo(answer)
			cancel()
			if err != nil {
				return fmt.Errorf("the server does not answer: %w", err)
			}
		}
	}
}
