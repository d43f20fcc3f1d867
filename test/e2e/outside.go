package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
)

// outsideURL is where the outside host answers HTTP.
func outsideURL(host netip.Addr, path string) string {
	return fmt.Sprintf("http://%s/%s", netip.AddrPortFrom(host, outsideHTTP), path)
}

// sourceOf asks the outside host, by HTTP from a target of Exec, for the source of the connection.
func sourceOf(ctx context.Context, target string) (netip.Addr, error) {
	return sourceAt(ctx, target, outsideURL(bed.Facts().Outside.Address, ""))
}

// sourceAt asks a server for the source of a connection; it answers with one line that begins with ADDRESS:PORT.
func sourceAt(ctx context.Context, target, url string) (netip.Addr, error) {
	all, err := answers(ctx, target, url, 1)
	if err != nil {
		return netip.Addr{}, err
	}
	return all[0].client, nil
}

// answer is what a server said about a connection.
type answer struct {
	client netip.Addr // as the server sees it
	server string     // name of the backend pod; the outside host has none
}

// answers asks an HTTP server several times, with a connection each. All must succeed.
func answers(ctx context.Context, target, url string, count int) ([]answer, error) {
	out, err := bed.Exec(ctx, target, probe, "get", "-insecure", "-count", strconv.Itoa(count), url)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	result := make([]answer, 0, len(lines))
	for _, line := range lines {
		address, server, _ := strings.Cut(line, " ")
		source, err := netip.ParseAddrPort(address)
		if err != nil {
			return nil, fmt.Errorf("answer of %s: %w", url, err)
		}
		result = append(result, answer{client: source.Addr(), server: server})
	}
	return result, nil
}

// outsideAnswers is where the outside host answers lines over TCP, and datagrams.
func outsideAnswers() string {
	return netip.AddrPortFrom(bed.Facts().Outside.Address, outsideEcho).String()
}

// connections makes TCP connections to the outside host and counts them by source. All must succeed.
func connections(ctx context.Context, target string, count int) (map[netip.Addr]int, error) {
	out, err := bed.Exec(ctx, target, probe, "many", strconv.Itoa(count), outsideAnswers())
	if err != nil {
		return nil, err
	}
	sources := map[netip.Addr]int{}
	return sources, json.Unmarshal([]byte(out), &sources)
}

// steady is how many connections have to agree before a source counts as settled.
const steady = 5

// expectSource waits until connections of a target leave with a source, and then expects that of all of them.
func expectSource(ctx context.Context, target string, want netip.Addr) {
	GinkgoHelper()
	Eventually(sourceOf).WithContext(ctx).WithArguments(target).Should(Equal(want), "source of %s", target)
	expectAlready(ctx, target, want)
}

// expectAlready expects that all connections of a target leave with a source right now.
func expectAlready(ctx context.Context, target string, want netip.Addr) {
	GinkgoHelper()
	sources, err := connections(ctx, target, steady)
	Expect(err).NotTo(HaveOccurred())
	Expect(sources).To(Equal(map[netip.Addr]int{want: steady}), "sources of %s", target)
}

// expectOnly waits until all of a pod's connections leave with some of these sources.
func expectOnly(ctx context.Context, p *pod, sources ...netip.Addr) {
	GinkgoHelper()
	Eventually(connections).WithContext(ctx).WithArguments(p.target(), steady).Should(haveOnlyKeys(sources...),
		"sources of %s on %s", p.name, p.node.Name)
}

// expectHeir expects that a pod leaves as its node and never with the address, which the previous owner of its own
// address left with, from its first connection on. The witness still does.
func expectHeir(ctx context.Context, heir, witness *pod, address netip.Addr) {
	GinkgoHelper()
	token := unique("heir")
	url := outsideURL(bed.Facts().Outside.Address, token)
	Eventually(sourceAt).WithContext(ctx).WithArguments(heir.target(), url).Should(Equal(heir.node.Address))
	expectAlready(ctx, heir.target(), heir.node.Address)
	expectAlready(ctx, witness.target(), address)
	Eventually(bed.Seen).WithArguments(token).Should(haveOnlyKeys(heir.node.Address), "requests of %s", heir.name)
}

// flow is a stream of datagrams from a pod to the outside host.
type flow struct {
	token string
	done  chan flowResult
}

// flowResult is how a flow went.
type flowResult struct {
	Sent    int                `json:"sent"`
	Answers map[netip.Addr]int `json:"answers"` // by the source that the outside host saw
	Silence time.Duration      `json:"silence"` // longest time between two answers
	arrived map[netip.Addr]int // what the outside host logged, answered or not
	err     error
}

// String says how many datagrams were sent, arrived and answered.
func (r flowResult) String() string {
	return fmt.Sprintf("%d datagrams sent; arrived: %v; answered: %v, at most %v apart",
		r.Sent, r.arrived, r.Answers, r.Silence.Round(time.Millisecond))
}

// startFlow starts a stream of 500 datagrams a second from one port and returns when the first have arrived.
func startFlow(ctx context.Context, p *pod, duration time.Duration) *flow {
	GinkgoHelper()
	f := &flow{token: unique("flow"), done: make(chan flowResult, 1)}
	go func() {
		var r flowResult
		out, err := bed.Exec(ctx, p.target(), probe, "udp", "-rate", "500", "-duration", duration.String(),
			f.token, outsideAnswers())
		if err == nil {
			err = json.Unmarshal([]byte(out), &r)
		}
		r.err = err
		f.done <- r
	}()
	const established = 50
	Eventually(func() (int, error) {
		sources, err := bed.Seen(f.token)
		return total(sources), err
	}).WithContext(ctx).Should(BeNumerically(">=", established), "datagrams of %s arrive", p.name)
	return f
}

// end waits until the flow is over.
func (f *flow) end(ctx context.Context) flowResult {
	GinkgoHelper()
	var r flowResult
	Eventually(f.done).WithContext(ctx).WithTimeout(time.Minute).Should(Receive(&r))
	Expect(r.err).NotTo(HaveOccurred())
	var err error
	r.arrived, err = bed.Seen(f.token)
	Expect(err).NotTo(HaveOccurred())
	return r
}

// flowStart is long enough for a flow to be established, and then some.
const flowStart = 500 * time.Millisecond

// haveOnlyKeys matches counts by source that have no other source than these, and at least one of them.
func haveOnlyKeys(sources ...netip.Addr) types.GomegaMatcher {
	return WithTransform(func(counts map[netip.Addr]int) []netip.Addr { return slices.Collect(maps.Keys(counts)) },
		And(Not(BeEmpty()), HaveEach(BeElementOf(sources))))
}

func total(counts map[netip.Addr]int) int {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum
}
