package standin

import (
	"time"

	"k8s.io/client-go/util/workqueue"
)

// Pauses between attempts for what failed: whatever is in the way is local, and tests wait for it.
const (
	firstRetry = 20 * time.Millisecond
	lastRetry  = time.Second
)

// newQueue makes a queue of keys whose failed attempts are repeated with growing pauses.
func newQueue[T comparable]() workqueue.TypedRateLimitingInterface[T] {
	return workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[T](firstRetry, lastRetry))
}
