package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
	"github.com/ovn-egress/ovn-egress/pkg/api/ovn-egress.io/v1alpha1"
)

// reportState puts into the report of a failed spec what one wants to see first. It is called before the spec's
// objects are removed. What cannot be had is reported as such.
func reportState(ctx context.Context) {
	AddReportEntry("northbound", ReportEntryVisibilityFailureOrVerbose, northboundState(ctx))
	for _, list := range []client.ObjectList{&egressipv1.EgressIPList{}, &v1alpha1.EgressNodeList{}, &corev1.NodeList{}} {
		AddReportEntry(fmt.Sprintf("%T", list), ReportEntryVisibilityFailureOrVerbose, objectState(ctx, list))
	}
	logs, err := bed.Logs(ctx)
	if err != nil {
		AddReportEntry("logs", ReportEntryVisibilityFailureOrVerbose, err.Error())
	}
	for _, component := range slices.Sorted(maps.Keys(logs)) {
		AddReportEntry("log of "+component, ReportEntryVisibilityFailureOrVerbose, logs[component])
	}
}

// northboundState prints policies and translations of all routers and the address sets.
func northboundState(ctx context.Context) string {
	routers := []string{"ovn_cluster_router"}
	for _, n := range bed.Facts().Nodes {
		routers = append(routers, "GR_"+n.Name)
	}
	commands := [][]string{{"--columns=name,addresses", "list", "Address_Set"}, {"list", "NB_Global"}}
	for _, r := range routers {
		commands = append(commands, []string{"lr-policy-list", r}, []string{"lr-nat-list", r})
	}
	var b strings.Builder
	for _, c := range commands {
		out, err := bed.Northbound(ctx, c...)
		if err != nil {
			out = err.Error() + "\n"
		}
		fmt.Fprintf(&b, "# ovn-nbctl %s\n%s\n", strings.Join(c, " "), out)
	}
	return b.String()
}

// objectState prints the objects of a list as YAML, without what only apply needs.
func objectState(ctx context.Context, list client.ObjectList) string {
	if err := api.List(ctx, list); err != nil {
		return err.Error()
	}
	switch l := list.(type) {
	case *egressipv1.EgressIPList:
		stripManaged(l.Items, func(o *egressipv1.EgressIP) client.Object { return o })
	case *v1alpha1.EgressNodeList:
		stripManaged(l.Items, func(o *v1alpha1.EgressNode) client.Object { return o })
	case *corev1.NodeList:
		stripManaged(l.Items, func(o *corev1.Node) client.Object { return o })
	}
	out, err := yaml.Marshal(list)
	if err != nil {
		return err.Error()
	}
	return string(out)
}

func stripManaged[T any](all []T, object func(*T) client.Object) {
	for i := range all {
		object(&all[i]).SetManagedFields(nil)
	}
}
