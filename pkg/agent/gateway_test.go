package agent

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestGatewayMAC(t *testing.T) {
	tests := []struct {
		name, annotation string
		want, wantErr    string
	}{
		{
			name: "the default network's is taken",
			annotation: `{"default":{"mode":"shared","mac-address":"02:42:ac:12:00:03","ip-addresses":["172.18.0.3/16"]},` +
				`"blue":{"mac-address":"02:42:ac:12:00:04"}}`,
			want: "02:42:ac:12:00:03",
		},
		{name: "a missing annotation is named", wantErr: "node n1 has no annotation k8s.ovn.org/l3-gateway-config"},
		{name: "what is no JSON is refused", annotation: "{", wantErr: "l3-gateway-config"},
		{name: "a missing network is refused", annotation: `{}`, wantErr: "default.mac-address"},
		{name: "what is no MAC address is refused", annotation: `{"default":{"mac-address":"02:42"}}`, wantErr: "02:42"},
		{name: "a group address is refused", annotation: `{"default":{"mac-address":"03:42:ac:12:00:03"}}`, wantErr: "not the address of an Ethernet port"},
		{name: "an InfiniBand address is refused", annotation: `{"default":{"mac-address":"02:42:ac:12:00:03:00:01"}}`, wantErr: "not the address of an Ethernet port"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
			if tc.annotation != "" {
				node.Annotations = map[string]string{annotationGateway: tc.annotation}
			}
			mac, err := gatewayMAC(node)
			if mac.String() != tc.want {
				t.Errorf("MAC address = %s, want %s", mac, tc.want)
			}
			if (err == nil) != (tc.wantErr == "") || err != nil && !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("error = %v, want %q", err, tc.wantErr)
			}
		})
	}
}
