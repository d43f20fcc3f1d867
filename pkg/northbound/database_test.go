package northbound

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// topology makes the routers and switches of nodes n1 to n3 as OVN-Kubernetes names them.
func topology(s *server) {
	s.nbctl("init")
	args := []string{"lr-add", "ovn_cluster_router"}
	for i := 1; i <= 3; i++ {
		args = append(args, "--", "ls-add", fmt.Sprintf("n%d", i),
			"--", "lr-add", fmt.Sprintf("GR_n%d", i),
			"--", "lrp-add", fmt.Sprintf("GR_n%d", i), fmt.Sprintf("rtoj-GR_n%d", i),
			fmt.Sprintf("0a:58:64:40:00:%02x", i+1), fmt.Sprintf("100.64.0.%d/16", i+1),
			"--", "lr-nat-add", fmt.Sprintf("GR_n%d", i), "snat", fmt.Sprintf("172.18.0.1%d", i), "10.244.0.0/16")
	}
	s.nbctl(args...)
}

// apply compiles nothing: it writes the program as the owner's whole state.
func apply(t *testing.T, d *Database, epoch int64, o Owner, want Program) int {
	t.Helper()
	ctx := t.Context()
	have, err := d.Installed(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	parents, err := d.Parents(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ops, missing := Diff(o, want, have, parents)
	if len(missing) > 0 {
		t.Fatalf("missing parents %v", missing)
	}
	if len(ops) > 0 {
		if _, err := d.Apply(ctx, epoch, ops); err != nil {
			t.Fatal(err)
		}
	}
	return len(ops)
}

func takeOver(t *testing.T, d *Database) int64 {
	t.Helper()
	epoch, err := d.TakeOver(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return epoch
}

func TestRowsAreInstalledOnceRepairedAndRemoved(t *testing.T) {
	s := startServer(t, "nb", nbSchema)
	topology(s)
	before := s.nbctl("list", "NAT") + s.nbctl("list", "Logical_Router_Policy")
	seen := &recorder{}
	d := openDatabase(t, s, seen)
	epoch := takeOver(t, d)

	owner := EgressIPOwner("prod")
	want := CompileEgressIP(exampleEgressIP(d.Capabilities()))
	if n := apply(t, d, epoch, owner, want); n == 0 {
		t.Fatal("nothing was written")
	}
	if n := apply(t, d, epoch, owner, want); n != 0 {
		t.Fatalf("%d operations for rows that are already there", n)
	}

	changes := seen.rowsChanged(owner)
	s.nbctl("lr-policy-del", "ovn_cluster_router", "99")
	eventually(t, func() bool { return seen.rowsChanged(owner) > changes })
	if n := apply(t, d, epoch, owner, want); n == 0 {
		t.Fatal("a policy deleted by hand was not repaired")
	}

	changes = seen.rowsChanged(owner)
	uuid := strings.TrimSpace(s.nbctl("--bare", "--columns=_uuid", "find", "Logical_Router_Policy", "priority=99"))
	s.nbctl("set", "Logical_Router_Policy", uuid, "nexthops=1.2.3.4")
	eventually(t, func() bool { return seen.rowsChanged(owner) > changes })
	if n := apply(t, d, epoch, owner, want); n != 1 {
		t.Fatalf("%d operations to repair one edited policy, want 1", n)
	}

	apply(t, d, epoch, owner, Program{})
	if after := s.nbctl("list", "NAT") + s.nbctl("list", "Logical_Router_Policy"); after != before {
		t.Errorf("rows that are not ours changed, or ours remain:\n%s\nwant:\n%s", after, before)
	}
	if sets := s.nbctl("list", "Address_Set"); sets != "" {
		t.Errorf("address sets remain:\n%s", sets)
	}
}

func TestAPodMoreIsAMutationOfOneSet(t *testing.T) {
	e := exampleEgressIP(Capabilities{NATMatch: true})
	have := asInstalled(EgressIPOwner(e.Name), CompileEgressIP(e))
	e.Translated = append(e.Translated, netip.MustParseAddr("10.244.1.99"))
	ops, _ := Diff(EgressIPOwner(e.Name), CompileEgressIP(e), have, allParents())
	if len(ops) != 1 || ops[0].Op != "mutate" || ops[0].Table != tableAddressSet {
		t.Errorf("operations %v, want one mutation of an address set", ops)
	}
}

func TestAWriterOfAnEarlierEpochIsFenced(t *testing.T) {
	s := startServer(t, "nb", nbSchema)
	topology(s)
	d := openDatabase(t, s, &recorder{})
	first := takeOver(t, d)
	second := takeOver(t, openDatabase(t, s, &recorder{}))
	if second <= first {
		t.Fatalf("epoch %d after %d", second, first)
	}
	config, err := d.Apply(t.Context(), first, nil)
	if !errors.Is(err, ErrFenced) {
		t.Fatalf("configuration %d, error %v, want ErrFenced", config, err)
	}
	s.nbctl("set", "NB_Global", ".", "external_ids:somebody-elses=key")
	if _, err := d.Apply(t.Context(), second, nil); err != nil {
		t.Errorf("a key of somebody else stopped the writer: %v", err)
	}
}

func TestApplyReturnsTheConfigurationNumberItRaised(t *testing.T) {
	s := startServer(t, "nb", nbSchema)
	topology(s)
	d := openDatabase(t, s, &recorder{})
	epoch := takeOver(t, d)
	for range 3 {
		before, err := d.Config(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		config, err := d.Apply(t.Context(), epoch, nil)
		if err != nil || config != before+1 {
			t.Fatalf("configuration %d, error %v, want %d", config, err, before+1)
		}
	}
}

func TestARestartedServerIsFoundAgain(t *testing.T) {
	s := startServer(t, "nb", nbSchema)
	topology(s)
	seen := &recorder{}
	d := openDatabase(t, s, seen)
	epoch := takeOver(t, d)
	changes := seen.allChanged()
	s.stop()
	s.start()
	eventually(t, func() bool { return seen.allChanged() > changes })
	if n := apply(t, d, epoch, EgressIPOwner("prod"), CompileEgressIP(exampleEgressIP(d.Capabilities()))); n == 0 {
		t.Error("nothing was written after the restart")
	}
}

func TestGatewaysAreReadFromTheirJoinPort(t *testing.T) {
	s := startServer(t, "nb", nbSchema)
	topology(s)
	s.nbctl("lr-nat-add", "GR_n2", "snat", "172.18.0.77", "10.244.9.9")
	d := openDatabase(t, s, &recorder{})
	cluster := []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")}
	g, err := d.Gateway(t.Context(), "n2", []netip.Prefix{netip.MustParsePrefix("10.244.2.0/24")}, cluster)
	if err != nil {
		t.Fatal(err)
	}
	if g.JoinAddress != netip.MustParseAddr("100.64.0.3") {
		t.Errorf("join address %s, want 100.64.0.3", g.JoinAddress)
	}
	if len(g.Foreign) != 1 || g.Foreign[0] != netip.MustParsePrefix("10.244.9.9/32") {
		t.Errorf("foreign translations %v, want only 10.244.9.9/32", g.Foreign)
	}
	if _, err := d.Gateway(t.Context(), "n9", nil, cluster); !errors.Is(err, ErrNoGateway) {
		t.Errorf("error %v, want ErrNoGateway", err)
	}
}

func TestTheBarrierReadsChassis(t *testing.T) {
	s := startServer(t, "sb", sbSchema)
	changed := make(chan struct{}, 1)
	b, err := OpenBarrier(t.Context(), s.endpoint(), func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s.run("ovn-sbctl", "--db=unix:"+s.socket(), "create", "Chassis_Private", "name=c1", "nb_cfg=7")
	eventually(t, func() bool {
		n, err := b.Installed(context.Background(), "c1")
		return err == nil && n == 7
	})
	<-changed
	if n, err := b.Installed(t.Context(), "unknown"); n != 0 || err != nil {
		t.Errorf("unknown chassis: %d, %v, want 0", n, err)
	}
}
