package standin

import (
	"fmt"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestAnnotationIsThatOfOVNKubernetes(t *testing.T) {
	for _, tc := range []struct {
		addresses []netip.Prefix
		want      string
	}{
		{
			prefixes("10.244.4.3/22"),
			`{"default":{"ip_addresses":["10.244.4.3/22"],"mac_address":"0a:58:0a:f4:04:03","gateway_ips":["10.244.4.1"],` +
				`"ip_address":"10.244.4.3/22","gateway_ip":"10.244.4.1","role":"primary"}}`,
		}, {
			prefixes("10.244.4.3/22", "fd00:10:244:1::3/64"),
			`{"default":{"ip_addresses":["10.244.4.3/22","fd00:10:244:1::3/64"],"mac_address":"0a:58:0a:f4:04:03",` +
				`"gateway_ips":["10.244.4.1","fd00:10:244:1::1"],"role":"primary"}}`,
		},
	} {
		got, err := newAttachment(tc.addresses).annotation()
		if err != nil || got != tc.want {
			t.Errorf("annotation of %v:\n got %s, %v\nwant %s", tc.addresses, got, err, tc.want)
		}
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
			podNetworksAnnotation: got, addressAnnotation: "10.244.4.99", // what it was given outranks what it asks for
		}}}
		wanted, err := wantedAddresses(pod)
		if err != nil || fmt.Sprint(wanted) != fmt.Sprint(newAttachment(tc.addresses).podIPs()) {
			t.Errorf("addresses of %s: got %v, %v, want %v", got, wanted, err, tc.addresses)
		}
	}
}

func TestWantedAddressesRejectsNonsense(t *testing.T) {
	for annotation, value := range map[string]string{podNetworksAnnotation: "{", addressAnnotation: "10.244.4"} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{annotation: value}}}
		if got, err := wantedAddresses(pod); err == nil {
			t.Errorf("%s=%s: got %v, want an error", annotation, value, got)
		}
	}
}

func TestLogicalSwitchPortAddress(t *testing.T) {
	got := newAttachment(prefixes("10.244.4.3/22", "fd00:10:244:1::3/64")).lspAddress()
	if want := "0a:58:0a:f4:04:03 10.244.4.3 fd00:10:244:1::3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
