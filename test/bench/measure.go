package main

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/client"

	egressipv1 "github.com/ovn-egress/ovn-egress/pkg/api/k8s.ovn.org/v1"
	"github.com/ovn-egress/ovn-egress/test/cluster"
)

// attempt bounds one connection: a lost SYN is repeated by the kernel only after a second, so the next attempt is
// made with a new one.
const attempt = 25 * time.Millisecond

// measureApply times EgressIPs from the request that creates them to the end of the first connection with their
// address, from a pod on a node that does not host it.
func (b *bench) measureApply(ctx context.Context, count int) ([]time.Duration, error) {
	if err := b.namespace(ctx, "apply"); err != nil {
		return nil, err
	}
	pod, err := b.pod(ctx, "apply", "client", "node1", false)
	if err != nil {
		return nil, err
	}
	if err := b.label(ctx, "node2", true); err != nil {
		return nil, err
	}
	address := b.cluster.EgressIPRange[0]
	var times []time.Duration
	for i := range count + 1 { // the first one waits for the leader to start
		e := newEgressIP(fmt.Sprintf("apply-%d", i), "apply", address)
		start := time.Now()
		if err := b.api.Create(ctx, e); err != nil {
			return nil, err
		}
		if _, err := b.untilSource(ctx, pod, address); err != nil {
			return nil, err
		}
		if took := time.Since(start); i > 0 {
			times = append(times, took)
		}
		if err := b.api.Delete(ctx, e); err != nil {
			return nil, err
		}
		nodeAddress := b.cluster.Nodes[0].Addresses[0].Addr()
		if _, err := b.untilSource(ctx, pod, nodeAddress); err != nil {
			return nil, err
		}
	}
	return times, b.label(ctx, "node2", false)
}

// loss is one lost node.
type loss struct {
	duration time.Duration
	others   map[string]int // what connections saw meanwhile: "none", or an address that is not the EgressIP
}

// measureLoss cuts the power of the node that hosts an address and times until a connection through the next node
// works. The stand-in turns the Node NotReady at once: this is the time after the loss is known.
func (b *bench) measureLoss(ctx context.Context, count int) ([]loss, error) {
	if err := b.namespace(ctx, "loss"); err != nil {
		return nil, err
	}
	pod, err := b.pod(ctx, "loss", "client", "node1", false)
	if err != nil {
		return nil, err
	}
	for _, n := range []string{"node2", "node3"} {
		if err := b.label(ctx, n, true); err != nil {
			return nil, err
		}
	}
	address := b.cluster.EgressIPRange[1]
	e := newEgressIP("loss", "loss", address)
	if err := b.api.Create(ctx, e); err != nil {
		return nil, err
	}
	if _, err := b.untilSource(ctx, pod, address); err != nil {
		return nil, err
	}
	var losses []loss
	for range count {
		host, err := b.host(ctx, e)
		if err != nil {
			return nil, err
		}
		start := time.Now()
		if err := b.cluster.Fail(ctx, host, cluster.Power); err != nil {
			return nil, err
		}
		others, err := b.untilSource(ctx, pod, address)
		if err != nil {
			return nil, err
		}
		losses = append(losses, loss{duration: time.Since(start), others: others})
		if err := b.cluster.Heal(ctx, host, cluster.Power); err != nil {
			return nil, err
		}
		if err := b.agentAnswers(ctx, host); err != nil {
			return nil, err
		}
	}
	for _, n := range []string{"node2", "node3"} {
		if err := b.label(ctx, n, false); err != nil {
			return nil, err
		}
	}
	return losses, b.api.Delete(ctx, e)
}

// host waits until the EgressIP is served and returns the node.
func (b *bench) host(ctx context.Context, e *egressipv1.EgressIP) (string, error) {
	err := until(ctx, "status of "+e.Name, func(ctx context.Context) (bool, error) {
		err := b.api.Get(ctx, client.ObjectKeyFromObject(e), e)
		return len(e.Status.Items) == 1, err
	})
	if err != nil {
		return "", err
	}
	return e.Status.Items[0].Node, nil
}

// agentAnswers waits until the agent of a node that was healed has renewed its heartbeat.
func (b *bench) agentAnswers(ctx context.Context, node string) error {
	healed := time.Now()
	return until(ctx, "agent of "+node, func(ctx context.Context) (bool, error) {
		n, err := b.egressNode(ctx, node)
		return err == nil && n.Status.Heartbeat != nil && n.Status.Heartbeat.After(healed), err
	})
}

// countRows counts the rows of ours with so many pods behind one EgressIP of one address.
func (b *bench) countRows(ctx context.Context, pods []int) (map[int]map[string]int, error) {
	if err := b.namespace(ctx, "rows"); err != nil {
		return nil, err
	}
	if err := b.label(ctx, "node2", true); err != nil {
		return nil, err
	}
	e := newEgressIP("rows", "rows", b.cluster.EgressIPRange[2])
	if err := b.api.Create(ctx, e); err != nil {
		return nil, err
	}
	if _, err := b.host(ctx, e); err != nil {
		return nil, err
	}
	result := map[int]map[string]int{}
	made := 0
	for _, count := range pods {
		if err := b.phantoms(ctx, made, count); err != nil {
			return nil, err
		}
		made = count
		err := until(ctx, fmt.Sprintf("%d pods in the set", count), func(ctx context.Context) (bool, error) {
			out, err := b.nbctl(ctx, "--bare", "--columns=addresses", "find", "Address_Set", `external_ids:k8s.ovn.org/id="ovn-egress:EgressIP:rows:rerouted"`)
			return len(strings.Fields(out)) == count, err
		})
		if err != nil {
			return nil, err
		}
		result[count] = map[string]int{}
		for _, table := range []string{"Logical_Router_Policy", "NAT", "QoS", "Address_Set"} {
			out, err := b.nbctl(ctx, "--bare", "--columns=_uuid", "find", table, "external_ids:k8s.ovn.org/owner-controller=ovn-egress")
			if err != nil {
				return nil, err
			}
			result[count][table] = len(strings.Fields(out))
		}
	}
	return result, nil
}

// phantoms makes pods number from to to, spread over the nodes.
func (b *bench) phantoms(ctx context.Context, from, to int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for i := from; i < to; i++ {
		node := b.cluster.Nodes[i%len(b.cluster.Nodes)].Name
		group.Go(func() error { return b.api.Create(ctx, newPod("rows", fmt.Sprintf("p%d", i), node, true)) })
	}
	return group.Wait()
}

func (b *bench) nbctl(ctx context.Context, args ...string) (string, error) {
	args = append([]string{"--db=" + b.cluster.Zones[0].NB}, args...)
	out, err := exec.CommandContext(ctx, filepath.Join(b.cluster.Tools, "ovn-nbctl"), args...).Output()
	if err != nil {
		return "", fmt.Errorf("ovn-nbctl %v: %w", args, err)
	}
	return string(out), nil
}

func splitComma(list string) []string {
	var result []string
	for _, word := range strings.Split(list, ",") {
		if word = strings.TrimSpace(word); word != "" {
			result = append(result, word)
		}
	}
	return result
}

func addressOf(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}
