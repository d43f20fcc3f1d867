package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/clientcmd/api"
)

func (s *State) forwarderPortFile() string { return s.Path("forwarder.port") }

// startForwarder starts the process through which the machine reaches kube-apiserver on loopback, and writes the
// administrator's kubeconfig for that address.
func (s *State) startForwarder(ctx context.Context, program string) error {
	if _, err := StartProcess(ProcessSpec{
		Cluster: s.Name, Component: "forwarder", Argv: []string{program, "forward", "--name", s.Name},
	}); err != nil {
		return err
	}
	var port string
	err := wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		raw, err := os.ReadFile(s.forwarderPortFile())
		port = strings.TrimSpace(string(raw))
		if errors.Is(err, os.ErrNotExist) {
			return false, nil
		}
		return port != "", err
	})
	if err != nil {
		return fmt.Errorf("wait for the forwarder, see %s: %w", LogPath(s.Name, "forwarder"), err)
	}
	s.HostAPIServer = "https://127.0.0.1:" + port
	ca, err := os.ReadFile(s.Path("pki", "kubernetes-ca.crt"))
	if err != nil {
		return err
	}
	admin := &api.AuthInfo{ClientCertificate: s.Path("pki", "admin.crt"), ClientKey: s.Path("pki", "admin.key")}
	return writeKubeconfig(s.Kubeconfig(), s.HostAPIServer, ca, admin)
}

// Forward accepts connections on loopback in the machine's own network namespace and carries them to
// kube-apiserver in the cluster's, until the context ends. It listens on a free port, the same again after a
// restart, and writes it to a file of the cluster.
func Forward(ctx context.Context, name string) error {
	s := &State{Name: name}
	port, err := previousPort(s.forwarderPortFile())
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return fmt.Errorf("forwarder: %w", err)
	}
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	port = listener.Addr().(*net.TCPAddr).Port
	if err := writeFile(s.forwarderPortFile(), []byte(strconv.Itoa(port))); err != nil {
		return fmt.Errorf("forwarder: %w", err)
	}
	target := net.JoinHostPort(controlAddress.String(), strconv.Itoa(apiServerPort))
	for {
		client, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("forwarder: %w", err)
		}
		go carry(ctx, client, s.controlNamespace(), target)
	}
}

func previousPort(file string) (int, error) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("forwarder: %w", err)
	}
	return strconv.Atoi(strings.TrimSpace(string(raw)))
}

// carry joins a connection to a new one that is dialled in another network namespace. A client whose target does
// not answer sees its connection closed, as with a server that is down.
func carry(ctx context.Context, client net.Conn, namespace, target string) {
	defer client.Close()
	var server net.Conn
	err := InNamespace(namespace, func() (err error) {
		// A socket belongs to the namespace of the thread that creates it, and a dial with one address and
		// without fallback creates it on the calling thread.
		dialer := net.Dialer{Timeout: 5 * time.Second, FallbackDelay: -1}
		server, err = dialer.DialContext(ctx, "tcp4", target)
		return err
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() { client.Close(); server.Close() })()

	var both sync.WaitGroup
	both.Go(func() { copyAndClose(server, client) })
	both.Go(func() { copyAndClose(client, server) })
	both.Wait()
}

// copyAndClose copies until one side ends and passes the end on. A connection that breaks is not worth a line.
func copyAndClose(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	if half, ok := to.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
}
