package northbound

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/client"
)

// installedOf reads the rows of one owner from the client's copy of the database.
func installedOf(ctx context.Context, c client.Client, caps Capabilities, o Owner) (Installed, error) {
	ids := map[string]string{keyController: Controller, keyType: o.Type, keyName: o.Name}
	var have Installed
	var policies []*logicalRouterPolicy
	if err := c.Where(&logicalRouterPolicy{ExternalIDs: ids}).List(ctx, &policies); err != nil {
		return have, fmt.Errorf("%s %s: policies: %w", o.Type, o.Name, err)
	}
	for _, p := range policies {
		have.Policies = append(have.Policies, installed[Policy]{p.UUID, p.ExternalIDs, Policy{
			Priority: p.Priority, Match: p.Match, Action: p.Action, Nexthops: p.Nexthops, Options: p.Options,
		}})
	}
	var rules []*qos
	if err := c.Where(&qos{ExternalIDs: ids}).List(ctx, &rules); err != nil {
		return have, fmt.Errorf("%s %s: QoS: %w", o.Type, o.Name, err)
	}
	for _, q := range rules {
		have.QoS = append(have.QoS, installed[QoS]{q.UUID, q.ExternalIDs, QoS{
			Priority: q.Priority, Match: q.Match, Mark: q.Action["mark"],
		}})
	}
	var sets []*addressSet
	if err := c.Where(&addressSet{ExternalIDs: ids}).List(ctx, &sets); err != nil {
		return have, fmt.Errorf("%s %s: address sets: %w", o.Type, o.Name, err)
	}
	for _, s := range sets {
		slices.Sort(s.Addresses)
		have.Sets = append(have.Sets, installed[AddressSet]{s.UUID, s.ExternalIDs, AddressSet{
			Name: s.Name, Members: s.Addresses,
		}})
	}
	nats, err := translationsOf(ctx, c, caps, ids)
	if err != nil {
		return have, fmt.Errorf("%s %s: NAT: %w", o.Type, o.Name, err)
	}
	have.NATs = nats
	return have, nil
}

// translationsOf reads NAT rows of either shape.
func translationsOf(ctx context.Context, c client.Client, caps Capabilities, ids map[string]string) ([]installed[NAT], error) {
	var result []installed[NAT]
	if caps.NATMatch {
		var rows []*natWithMatch
		if err := c.Where(&natWithMatch{ExternalIDs: ids}).List(ctx, &rows); err != nil {
			return nil, err
		}
		for _, r := range rows {
			result = append(result, installed[NAT]{r.UUID, r.ExternalIDs, NAT{
				ExternalIP: r.ExternalIP, LogicalIP: r.LogicalIP, Match: r.Match, Priority: r.Priority,
			}})
		}
		return result, nil
	}
	var rows []*nat
	if err := c.Where(&nat{ExternalIDs: ids}).List(ctx, &rows); err != nil {
		return nil, err
	}
	for _, r := range rows {
		result = append(result, installed[NAT]{r.UUID, r.ExternalIDs, NAT{ExternalIP: r.ExternalIP, LogicalIP: r.LogicalIP}})
	}
	return result, nil
}

// Pods are the members of an EgressIP's two sets.
func (h Installed) Pods(egressIP string) (translated, rerouted []netip.Addr) {
	owner := EgressIPOwner(egressIP)
	for _, s := range h.Sets {
		switch s.value.Name {
		case setName(owner, "translated"):
			translated = addressesOf(s.value.Members)
		case setName(owner, "rerouted"):
			rerouted = addressesOf(s.value.Members)
		}
	}
	return translated, rerouted
}

// addressesOf reads the members of a set; what somebody put there that is no address is left out.
func addressesOf(members []string) []netip.Addr {
	result := make([]netip.Addr, 0, len(members))
	for _, m := range members {
		if a, err := netip.ParseAddr(m); err == nil {
			result = append(result, a)
		}
	}
	return result
}
