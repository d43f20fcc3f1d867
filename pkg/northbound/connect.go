package northbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// Endpoint is where a database is, and how to prove who we are.
type Endpoint struct {
	// Addresses of the servers in OVSDB's own notation (ovsdb(7)): tcp:, ssl: or unix:, all members of a cluster.
	Addresses []string
	// TLS is used for ssl: addresses.
	TLS *tls.Config
}

// ParseEndpoint reads a comma-separated list of OVSDB addresses.
func ParseEndpoint(addresses string, tlsConfig *tls.Config) (Endpoint, error) {
	e := Endpoint{TLS: tlsConfig}
	for _, a := range strings.Split(addresses, ",") {
		a = strings.TrimSpace(a)
		scheme, rest, found := strings.Cut(a, ":")
		if !found || rest == "" || !slices.Contains([]string{client.TCP, client.SSL, client.UNIX}, scheme) {
			return e, fmt.Errorf("OVSDB address %q: want tcp:HOST:PORT, ssl:HOST:PORT or unix:PATH", a)
		}
		if scheme == client.SSL && tlsConfig == nil {
			return e, fmt.Errorf("OVSDB address %q: ssl needs a private key, a certificate and a CA certificate", a)
		}
		e.Addresses = append(e.Addresses, a)
	}
	return e, nil
}

const (
	connectTimeout = 5 * time.Second
	// probeInterval and probeTimeout find a server that went away without closing the connection.
	probeInterval = 5 * time.Second
	probeTimeout  = 5 * time.Second
)

// forever is the backoff of reconnects: 50 ms up to 5 s, without end.
func forever() backoff.BackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.MaxElapsedTime = 50*time.Millisecond, 5*time.Second, 0
	return b
}

// options are the libovsdb options of a connection that stays.
func (e Endpoint) options(log logr.Logger) []client.Option {
	opts := []client.Option{
		client.WithLogger(&log),
		client.WithLeaderOnly(true),
		client.WithReconnect(connectTimeout, forever()),
	}
	for _, a := range e.Addresses {
		opts = append(opts, client.WithEndpoint(a))
	}
	if e.TLS != nil {
		opts = append(opts, client.WithTLSConfig(e.TLS))
	}
	return opts
}

// connect tries until it succeeds or ctx ends.
func connect(ctx context.Context, m model.ClientDBModel, e Endpoint, log logr.Logger) (client.Client, error) {
	for b := forever(); ; {
		c, err := client.NewOVSDBClient(m, e.options(log)...)
		if err != nil {
			return nil, fmt.Errorf("database %s: %w", m.Name(), err)
		}
		attempt, cancel := context.WithTimeout(ctx, connectTimeout)
		err = c.Connect(attempt)
		cancel()
		if err == nil {
			return c, nil
		}
		log.Info("cannot connect, will try again", "database", m.Name(), "addresses", e.Addresses, "error", err.Error())
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("database %s at %s: %w", m.Name(), strings.Join(e.Addresses, ","), errors.Join(ctx.Err(), err))
		case <-time.After(b.NextBackOff()):
		}
	}
}

// schemaOf reads the schema of the connected database: libovsdb refuses a model that names a column which the
// database lacks, so the model is chosen after looking.
func schemaOf(ctx context.Context, database string, e Endpoint, log logr.Logger) (ovsdb.DatabaseSchema, error) {
	empty, err := model.NewClientDBModel(database, map[string]model.Model{})
	if err != nil {
		return ovsdb.DatabaseSchema{}, err
	}
	c, err := connect(ctx, empty, e, log)
	if err != nil {
		return ovsdb.DatabaseSchema{}, err
	}
	defer c.Close()
	return c.Schema(), nil
}

// keep starts the probes of a connection; they go on until the returned function is called, whatever becomes of ctx.
func keep(ctx context.Context, c client.Client) (stop context.CancelFunc) {
	ctx, stop = context.WithCancel(context.WithoutCancel(ctx))
	go probe(ctx, c)
	return stop
}

// probe asks the server for an echo (RFC 7047, 4.1.11) until ctx ends, and makes the connection anew when
// none comes. libovsdb's own inactivity check is not used: in v0.8.1 a transaction can send on the channel that
// its handler of a disconnect closes, which panics.
func probe(ctx context.Context, c client.Client) {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		attempt, cancel := context.WithTimeout(ctx, probeTimeout)
		if err := c.Echo(attempt); errors.Is(err, context.DeadlineExceeded) {
			c.Disconnect() // libovsdb connects again
		}
		cancel()
	}
}
