package cluster

import (
	"context"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Ports of the control plane in its namespace.
const (
	apiServerPort  = 6443
	etcdPort       = 2379
	etcdPeerPort   = 2380
	northboundPort = 6641
	southboundPort = 6642
)

// auditPolicy logs who did what to which object, without the objects' contents: enough to compare the requests
// of a component with the rights it was given.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// controlNamespace is the network namespace of kube-apiserver, etcd, the northbound and southbound databases.
func (s *State) controlNamespace() string { return namespacePrefix(s.Name) + "control" }

// writeControlPlaneFiles makes the certificates, keys and configuration that kube-apiserver and its clients use,
// except for kubeconfigs with the address on loopback, which is known only when the forwarder runs.
func (s *State) writeControlPlaneFiles() error {
	ca, err := newAuthority("netcluster " + s.Name + " kubernetes")
	if err != nil {
		return err
	}
	if err := writeFile(s.Path("pki", "kubernetes-ca.crt"), ca.pem); err != nil {
		return err
	}
	server, err := ca.issue(pkix.Name{CommonName: "kube-apiserver"},
		[]string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"},
		controlAddress.AsSlice(), firstServiceIP.AsSlice(), net.IPv4(127, 0, 0, 1))
	if err != nil {
		return err
	}
	if err := server.write(s.Path("pki", "kube-apiserver")); err != nil {
		return err
	}
	if err := writeSigningKey(s.Path("pki", "service-account")); err != nil {
		return err
	}
	if err := writeFile(s.Path("audit-policy.yaml"), []byte(auditPolicy)); err != nil {
		return err
	}
	admin, err := ca.issue(pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}, nil)
	if err != nil {
		return err
	}
	if err := admin.write(s.Path("pki", "admin")); err != nil {
		return err
	}
	manager, err := ca.issue(pkix.Name{CommonName: "system:kube-controller-manager"}, nil)
	if err != nil {
		return err
	}
	if err := writeKubeconfig(s.NodeKubeconfig(), s.APIServer, ca.pem, withCertificate(admin)); err != nil {
		return err
	}
	return writeKubeconfig(s.managerKubeconfig(), s.APIServer, ca.pem, withCertificate(manager))
}

func (s *State) managerKubeconfig() string { return s.Path("kubeconfig.controller-manager") }

// AuditLog is kube-apiserver's audit log: one JSON object of kind audit.k8s.io/v1 Event a line, level Metadata.
func (s *State) AuditLog() string { return s.Path("logs", "audit.log") }

func (s *State) etcdSpec() ProcessSpec {
	client := fmt.Sprintf("http://127.0.0.1:%d", etcdPort)
	peer := fmt.Sprintf("http://127.0.0.1:%d", etcdPeerPort)
	return ProcessSpec{
		Cluster: s.Name, Component: "etcd", Namespace: s.controlNamespace(),
		Argv: []string{
			filepath.Join(s.ControlPlane, "etcd"), "--name=etcd", "--data-dir=" + s.Path("etcd"),
			"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=etcd=" + peer,
			"--unsafe-no-fsync", "--log-level=warn",
		},
	}
}

func (s *State) apiServerSpec() ProcessSpec {
	pki := func(file string) string { return s.Path("pki", file) }
	return ProcessSpec{
		Cluster: s.Name, Component: "kube-apiserver", Namespace: s.controlNamespace(),
		Argv: []string{
			filepath.Join(s.ControlPlane, "kube-apiserver"),
			fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", etcdPort),
			"--advertise-address=" + controlAddress.String(), fmt.Sprintf("--secure-port=%d", apiServerPort),
			"--tls-cert-file=" + pki("kube-apiserver.crt"), "--tls-private-key-file=" + pki("kube-apiserver.key"),
			"--client-ca-file=" + pki("kubernetes-ca.crt"),
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + pki("service-account.pub"),
			"--service-account-signing-key-file=" + pki("service-account.key"),
			"--service-cluster-ip-range=" + s.ServiceSubnets[0].String(),
			"--authorization-mode=Node,RBAC", "--allow-privileged=true",
			"--audit-policy-file=" + s.Path("audit-policy.yaml"), "--audit-log-path=" + s.AuditLog(),
			"--audit-log-maxsize=100", "--audit-log-maxbackup=3",
		},
	}
}

func (s *State) managerSpec() ProcessSpec {
	kubeconfig := s.managerKubeconfig()
	return ProcessSpec{
		Cluster: s.Name, Component: "kube-controller-manager", Namespace: s.controlNamespace(),
		Argv: []string{
			filepath.Join(s.ControlPlane, "kube-controller-manager"),
			"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig,
			"--authorization-kubeconfig=" + kubeconfig, "--bind-address=127.0.0.1",
			"--tls-cert-file=" + s.Path("pki", "kube-apiserver.crt"),
			"--tls-private-key-file=" + s.Path("pki", "kube-apiserver.key"),
			"--root-ca-file=" + s.Path("pki", "kubernetes-ca.crt"),
			"--service-account-private-key-file=" + s.Path("pki", "service-account.key"),
			"--use-service-account-credentials=true", "--leader-elect=false",
			// A node counts as lost sooner than the default 50 s, so that tests of it need not wait for that.
			"--node-monitor-period=1s", "--node-monitor-grace-period=8s",
			"--kube-api-qps=100", "--kube-api-burst=200",
		},
	}
}

// startControlPlane starts etcd, kube-apiserver and kube-controller-manager and waits until the API is ready.
func (s *State) startControlPlane(ctx context.Context, o Options, p *progress) error {
	err := p.step("starting etcd and kube-apiserver", func() error {
		if err := s.startForwarder(ctx, o.Program); err != nil {
			return err
		}
		for _, spec := range []ProcessSpec{s.etcdSpec(), s.apiServerSpec()} {
			if _, err := StartProcess(spec); err != nil {
				return err
			}
		}
		return s.waitForAPI(ctx)
	})
	if err != nil {
		return err
	}
	return p.step("starting kube-controller-manager", func() error {
		_, err := StartProcess(s.managerSpec())
		return err
	})
}

// waitForAPI waits until kube-apiserver says that it is ready.
func (s *State) waitForAPI(ctx context.Context) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	server, err := FindProcess(s.Name, "kube-apiserver")
	if err != nil {
		return err
	}
	var last error
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		if !server.Alive() {
			return false, fmt.Errorf("kube-apiserver has ended, see %s", LogPath(s.Name, "kube-apiserver"))
		}
		last = client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for kube-apiserver: %w", errors.Join(err, last))
	}
	return nil
}
