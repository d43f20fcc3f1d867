package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"testing"
)

func TestCertificatesServeTheirAddressesAndIdentifyTheirUsers(t *testing.T) {
	ca, err := newAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	leaf := func(i *identity, err error) *x509.Certificate {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(i.certificate, i.key)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf
	}
	server := leaf(ca.issue(pkix.Name{CommonName: "s"}, []string{"localhost"}, net.IPv4(172, 18, 0, 2)))
	client := leaf(ca.issue(pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}, nil))

	for _, name := range []string{"172.18.0.2", "localhost"} {
		if _, err := server.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("server as %s: %v", name, err)
		}
	}
	asClient := x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := client.Verify(asClient); err != nil {
		t.Errorf("client: %v", err)
	}
	if _, err := client.Verify(x509.VerifyOptions{Roots: roots}); err == nil {
		t.Error("a client's certificate serves")
	}
	if got := client.Subject.Organization; len(got) != 1 || got[0] != "system:masters" {
		t.Errorf("groups are %v", got)
	}
}
