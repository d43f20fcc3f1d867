package e2e

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestE2E(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "ovn-egress")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	Expect(setUp(ctx)).To(Succeed())
})

// After the spec, before its objects are removed.
var _ = JustAfterEach(func(ctx SpecContext) {
	if CurrentSpecReport().Failed() {
		reportState(ctx)
	}
})
