package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"k8s.io/client-go/rest"
)

func TestRunNamesEveryOptionThatIsMissing(t *testing.T) {
	err := Run(t.Context(), &rest.Config{}, Options{Log: testr.New(t)})
	if err == nil {
		t.Fatal("an agent without options runs")
	}
	for _, want := range []string{"node name", "Open vSwitch database", "integration bridge", "external bridge", "heartbeat interval"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not name the %s", err, want)
		}
	}
}

func TestRunRefusesAnAddressThatCannotBeDialled(t *testing.T) {
	err := Run(t.Context(), &rest.Config{Host: "https://127.0.0.1:1"}, Options{
		NodeName: "n1", OVSAddress: "/run/openvswitch/db.sock", IntegrationBridge: "br-int", ExternalBridge: "br-ex",
		Heartbeat: time.Second, HealthAddress: "0", MetricsAddress: "0", Log: testr.New(t),
	})
	if err == nil || !strings.Contains(err.Error(), "unix:PATH") {
		t.Errorf("error = %v, want it to say what an address looks like", err)
	}
}
