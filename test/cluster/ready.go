package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// readyTimeout is how long a process may take to become ready.
const readyTimeout = time.Minute

// WaitReady waits until the process says that it is ready, at the URL of its spec.
func (p *Process) WaitReady(ctx context.Context) error {
	if p.Ready == "" {
		return fmt.Errorf("%s has no URL for readiness", p.Component)
	}
	client := p.httpClient()
	defer client.CloseIdleConnections()
	var last error
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, readyTimeout, true, func(ctx context.Context) (bool, error) {
		if !p.Alive() {
			return false, errors.New("it has ended")
		}
		last = get(ctx, client, p.Ready)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s to be ready, see %s: %w",
			p.Component, LogPath(p.Cluster, p.Component), errors.Join(err, last))
	}
	return nil
}

// httpClient connects from within the network namespace of the process.
func (p *Process) httpClient() *http.Client {
	dial := func(ctx context.Context, _, address string) (conn net.Conn, err error) {
		err = InNamespace(p.Namespace, func() (err error) {
			conn, err = (&net.Dialer{FallbackDelay: -1}).DialContext(ctx, "tcp4", address)
			return err
		})
		return conn, err
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: time.Second}
}

func get(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

// Signal sends a signal to the process of a component; after SIGKILL it waits until the process is gone.
func (c *Cluster) Signal(ctx context.Context, component string, s syscall.Signal) error {
	p, err := FindProcess(c.Name, component)
	if err != nil {
		return err
	}
	if s == syscall.SIGKILL {
		return p.Kill(ctx)
	}
	return p.Signal(s)
}

// Restart starts the process of a component, which must have ended, again with identical arguments. It does not
// wait until the process is ready.
func (c *Cluster) Restart(component string) (*Process, error) {
	p, err := FindProcess(c.Name, component)
	if err != nil {
		return nil, err
	}
	return StartProcess(p.Spec())
}
