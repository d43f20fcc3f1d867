package e2e

import (
	"context"
	"net/netip"

	"k8s.io/client-go/rest"
)

// provider is the cluster that the specs run against, as far as the Kubernetes API does not give access to it.
type provider interface {
	// Facts are what does not change while the cluster exists.
	Facts() facts
	// RESTConfig is for clients with the administrator's rights.
	RESTConfig() (*rest.Config, error)
	// Exec runs a command in the network of a node ("node/NAME"), a pod ("pod/NAMESPACE/NAME") or the host outside
	// ("external/NAME") and returns its standard output. The error has what it wrote to standard error.
	Exec(ctx context.Context, target string, argv ...string) (string, error)

	// Northbound runs ovn-nbctl and returns its standard output.
	Northbound(ctx context.Context, args ...string) (string, error)
	// RestartNorthbound kills the server of the northbound database and starts it again.
	RestartNorthbound(ctx context.Context) error

	// PowerOff freezes a node and cuts its links; its Node is NotReady at once. PowerOn undoes it; it may be called
	// for a node that runs.
	PowerOff(ctx context.Context, node string) error
	PowerOn(ctx context.Context, node string) error

	// Controllers returns the nodes on which a controller runs.
	Controllers(ctx context.Context) ([]string, error)
	// KillController kills the controller on a node (SIGKILL); StopController lets it end in order (SIGTERM). Both
	// return when it has ended. It does not come back by itself.
	KillController(ctx context.Context, node string) error
	StopController(ctx context.Context, node string) error
	// StartControllers starts the controllers that do not run.
	StartControllers(ctx context.Context) error

	// Seen counts, by source, what the outside host got from clients with the token: HTTP requests whose path it is,
	// datagrams that begin with it.
	Seen(token string) (map[netip.Addr]int, error)
	// Audited returns the addresses that the API server saw as sources of requests with this URI.
	Audited(uri string) ([]netip.Addr, error)
	// Logs returns the ends of the logs of controllers and agents, by component.
	Logs(ctx context.Context) (map[string]string, error)
}

// facts describe the cluster.
type facts struct {
	OVN     string // release
	Nodes   []node // in the order of their names
	Outside outsideHost
	// EgressIPs are addresses of the nodes' subnet that nothing uses.
	EgressIPs []netip.Addr
}

// node is a node of the cluster.
type node struct {
	Name    string
	Address netip.Addr
	MAC     string // that answers for the node's address and for EgressIPs that it hosts
	// Management is the address of the node in its own pod subnet.
	Management netip.Addr
}

// outsideHost is the host outside the cluster. It answers with the source that it sees: HTTP on port 8080, TCP and
// UDP on port 9000.
type outsideHost struct {
	Target  string     // for Exec
	Address netip.Addr // in the nodes' subnet
	Beyond  netip.Addr // behind the nodes' default gateway
}

// Ports of the outside host.
const (
	outsideHTTP = 8080
	outsideEcho = 9000
)
